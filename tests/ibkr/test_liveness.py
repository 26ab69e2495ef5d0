"""The four clocks, the verdict table and the ladder: every pair, and what holds over random histories."""

from __future__ import annotations

import itertools
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from live.market import NS_PER_S
from pj.calendar import Session, Sessions
from pj.ibkr.liveness import (
    CAP,
    EXPECT,
    LADDER,
    MISSED_MIN,
    SHIPPED,
    TABLE,
    Awake,
    Clocks,
    Counts,
    Expect,
    Flow,
    Ladder,
    Market,
    Patience,
    Pulse,
    Rung,
    Verdict,
    judge,
    market_at,
)

HEIGHT = {rung: height for height, rung in enumerate(Rung)}
DEAD = {Verdict.TRADES_DEAD, Verdict.QUOTES_DEAD, Verdict.FEED_DEAD}
QUIET = Clocks()


def ns(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * NS_PER_S


def schedule() -> Sessions:
    """Thanksgiving week 2026: Wednesday whole, Thursday closes at 13:00 ET, Friday at 13:15 ET; the weekend is shut."""
    days = (
        Session(date(2026, 11, 25), ns("2026-11-24 23:00"), ns("2026-11-25 22:00")),
        Session(date(2026, 11, 26), ns("2026-11-25 23:00"), ns("2026-11-26 18:00"), early=True),
        Session(date(2026, 11, 27), ns("2026-11-26 23:00"), ns("2026-11-27 18:15"), early=True),
        Session(date(2026, 11, 30), ns("2026-11-29 23:00"), ns("2026-11-30 22:00")),
    )
    return Sessions(days, date(2026, 11, 25), date(2026, 11, 30))


@pytest.mark.parametrize(
    ("moment", "market"),
    [
        ("2026-11-25 14:29:59", Market.NIGHT),
        ("2026-11-25 14:30:00", Market.DAY),
        ("2026-11-25 20:59:59", Market.DAY),
        ("2026-11-25 21:00:00", Market.NIGHT),
        ("2026-11-25 05:14:59", Market.NIGHT),
        ("2026-11-25 05:15:00", Market.RESET),
        ("2026-11-25 06:44:59", Market.RESET),
        ("2026-11-25 06:45:00", Market.NIGHT),
        ("2026-11-25 21:59:59", Market.NIGHT),
        ("2026-11-25 22:00:00", Market.CLOSED),  # the daily halt
        ("2026-11-25 23:00:00", Market.NIGHT),
        ("2026-11-26 15:00:00", Market.NIGHT),  # a holiday's thin morning is no day
        ("2026-11-26 18:00:00", Market.CLOSED),  # early close
        ("2026-11-27 18:14:59", Market.NIGHT),
        ("2026-11-27 18:15:00", Market.CLOSED),
        ("2026-11-28 15:00:00", Market.CLOSED),  # Saturday
        ("2026-11-30 15:00:00", Market.DAY),
        ("2026-11-30 22:00:00", Market.UNKNOWN),  # beyond the schedule
        ("2026-11-20 15:00:00", Market.UNKNOWN),
    ],
)
def test_phase_by_the_calendar(moment: str, market: Market) -> None:
    assert market_at(schedule(), ns(moment)) is market
    assert market_at(None, ns(moment)) is Market.UNKNOWN


def test_tables_are_whole() -> None:
    assert set(EXPECT) == set(Market)
    assert set(CAP) == set(Verdict)
    assert set(TABLE) == set(itertools.product(Expect, Flow, (Flow.LIVE, Flow.SILENT)))
    assert set(LADDER) == set(itertools.product(Rung, Rung))


def test_only_data_that_must_come_can_be_dead() -> None:
    for (expect, trades, quotes), verdict in TABLE.items():
        assert (verdict in DEAD) <= (expect is Expect.DUE), "dead only where the calendar says that data must come"
        if expect is Expect.UNKNOWN:
            assert HEIGHT[CAP[verdict]] <= HEIGHT[Rung.RESUBSCRIBE]
        if expect is Expect.NOT_DUE:
            assert CAP[verdict] is Rung.FRESH
        if (trades, quotes) == (Flow.MISSED, Flow.LIVE) and expect is Expect.DUE:
            assert verdict is Verdict.TRADES_DEAD, "a dead trade subscription beside living quotes is a dead feed"


@pytest.mark.parametrize(("rung", "cap"), list(itertools.product(Rung, Rung)))
def test_ladder_climbs_one_rung_and_never_above_the_cap(rung: Rung, cap: Rung) -> None:
    goal = LADDER[rung, cap]
    if cap is Rung.FRESH:
        assert goal is Rung.FRESH
    elif HEIGHT[rung] >= HEIGHT[cap]:
        assert goal is rung
    elif (rung, cap) == (Rung.FRESH, Rung.RECONNECT):
        assert goal is Rung.RECONNECT, "a deaf gateway answers no new subscription"
    else:
        assert HEIGHT[goal] == HEIGHT[rung] + 1


def deeds(verdict: Verdict, seconds: float, *, long: bool = False, vain: int = 0) -> list[tuple[int, Rung]]:
    """Return (second, deed) of a verdict that stays, looked at four times a second."""
    ladder, found = Ladder(), []
    for step in range(int(seconds * 4)):
        ladder, deed = ladder.climb(verdict, step / 4, SHIPPED, long=long, vain=vain)
        if deed is not None:
            found.append((step // 4, deed))
    return found


def test_dead_feed_climbs_to_the_restart() -> None:
    for verdict in DEAD:
        assert deeds(verdict, 200) == [(0, Rung.RESUBSCRIBE), (20, Rung.RECONNECT), (50, Rung.RESTART)]


def test_announced_loss_waits_longer_and_asks_on() -> None:
    found = deeds(Verdict.FEED_DEAD, 600, long=True)
    assert [at for at, deed in found if deed is Rung.RECONNECT] == [240]
    assert [at for at, deed in found if deed is Rung.RESTART] == [480]
    assert [at for at, deed in found if deed is Rung.RESUBSCRIBE] == [0, 30, 90, 210, 270, 330, 450]


def test_restarts_in_vain_grow_rare_but_never_end() -> None:
    waits = [deeds(Verdict.FEED_DEAD, 1000, vain=vain)[-1] for vain in range(8)]
    assert [(at, deed) for at, deed in waits] == [
        (20 + wait, Rung.RESTART) for wait in (30, 60, 120, 240, 480, 900, 900, 900)
    ]


def test_capped_verdicts_only_ask_anew_at_widening_intervals() -> None:
    for verdict in (Verdict.CALENDAR_UNKNOWN, Verdict.REFUSED, Verdict.TRADES_QUIET):
        found = deeds(verdict, 1300)
        assert {deed for _, deed in found} == {Rung.RESUBSCRIBE}
        assert [at for at, _ in found] == [0, 30, 90, 210, 450, 750, 1050]
    years = Ladder(Rung.RESUBSCRIBE, repeats=10_000, asked_s=0)
    assert years.climb(Verdict.REFUSED, 300.0, SHIPPED)[1] is Rung.RESUBSCRIBE


def test_deaf_gateway_is_connected_anew_and_no_more() -> None:
    assert deeds(Verdict.GATEWAY_DEAF, 2000) == [(0, Rung.RECONNECT)]


@pytest.mark.parametrize("verdict", [v for v in Verdict if CAP[v] is Rung.FRESH])
def test_nothing_is_done_for_what_is_well(verdict: Verdict) -> None:
    assert deeds(verdict, 3000) == []
    for rung in Rung:
        ladder, deed = Ladder(rung, 1.0, 1.0).climb(verdict, 2.0, SHIPPED)
        assert (ladder.rung, deed) == (Rung.FRESH, None)


def test_nobody_climbs_without_fresh_proof() -> None:
    ladder, _ = Ladder().climb(Verdict.TRADES_DEAD, 0.0, SHIPPED)
    same, deed = ladder.climb(Verdict.TRADES_DEAD, 25.0, SHIPPED, proof=False)
    assert (same.rung, deed) == (Rung.RESUBSCRIBE, None)
    above, deed = same.climb(Verdict.TRADES_DEAD, 26.0, SHIPPED, proof=True)
    assert (above.rung, deed) == (Rung.RECONNECT, Rung.RECONNECT)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(list(Verdict)), st.floats(0.1, 400), st.booleans(), st.booleans(), st.integers(0, 40)
        ),
        max_size=60,
    )
)
def test_ladder_over_random_histories(history: list[tuple[Verdict, float, bool, bool, int]]) -> None:
    ladder, now_s = Ladder(), 0.0
    for verdict, step_s, long, proof, vain in history:
        now_s += step_s
        before = ladder
        ladder, deed = before.climb(verdict, now_s, SHIPPED, long=long, proof=proof, vain=vain)
        assert HEIGHT[ladder.rung] <= max(HEIGHT[before.rung], HEIGHT[CAP[verdict]])
        if CAP[verdict] is Rung.FRESH:
            assert (ladder.rung, deed) == (Rung.FRESH, None)
        elif before.rung is Rung.FRESH:
            assert deed is not None, "what is dead is acted on at once"
        if deed in (Rung.RECONNECT, Rung.RESTART):
            assert ladder.rung is deed
            assert HEIGHT[deed] > HEIGHT[before.rung]
            if before.rung is not Rung.FRESH:
                assert proof
                assert now_s - before.since_s >= SHIPPED.rung_s(before.rung, long=long, vain=vain)


def pulse(**moved_s: float) -> Pulse:
    """Return a pulse at second 1000 whose counters last moved so many seconds ago."""
    made, counts = Pulse(), dict.fromkeys(("socket", "probe", "trades", "quotes", "flush"), 0)
    for name, ago_s in sorted(moved_s.items(), key=lambda item: -item[1]):
        counts[name] += 1
        made.look(Counts(**counts), 1000.0 - ago_s)
    made.look(Counts(**counts), 1000.0)
    return made


def test_clocks_are_apart() -> None:
    clocks = pulse(socket=1, probe=2, trades=3, quotes=4, flush=5).clocks()
    assert clocks == Clocks(1, 2, 3, 4, 5)
    assert clocks.gauges() == {"socket_s": 1, "probe_s": 2, "trades_s": 3, "quotes_s": 4, "flush_s": 5}
    assert pulse(quotes=7).clocks().trades_s == 1000, "what never came is as old as the process"


@pytest.mark.parametrize(
    ("market", "trades_s", "quotes_s", "verdict"),
    [
        (Market.DAY, 59, 14, Verdict.FRESH),
        (Market.DAY, 60, 14, Verdict.TRADES_QUIET),
        (Market.DAY, 14, 15, Verdict.QUOTES_DEAD),
        (Market.DAY, 15, 15, Verdict.FEED_DEAD),
        (Market.NIGHT, 119, 29, Verdict.FRESH),
        (Market.NIGHT, 120, 29, Verdict.TRADES_QUIET),
        (Market.NIGHT, 29, 30, Verdict.QUOTES_DEAD),
        (Market.NIGHT, 30, 30, Verdict.FEED_DEAD),
        (Market.RESET, 119, 29, Verdict.FRESH),
        (Market.RESET, 30, 30, Verdict.FEED_DEAD),
        (Market.CLOSED, 900, 900, Verdict.MARKET_CLOSED),
        (Market.UNKNOWN, 119, 29, Verdict.FRESH),
        (Market.UNKNOWN, 119, 30, Verdict.CALENDAR_UNKNOWN),
    ],
)
def test_thresholds_by_phase(market: Market, trades_s: float, quotes_s: float, verdict: Verdict) -> None:
    flows = pulse(trades=trades_s, quotes=quotes_s).flows(market, SHIPPED)
    assert judge(market, flows, QUIET, SHIPPED) is verdict


def test_the_longest_pauses_of_real_markets_are_no_death() -> None:
    """The figures of the module's docstring: MNQ 35 s by day, 31 s by night; the book of Christmas evening 10 s."""
    assert judge(Market.DAY, pulse(trades=35, quotes=10).flows(Market.DAY, SHIPPED), QUIET, SHIPPED) is Verdict.FRESH
    flows = pulse(trades=31, quotes=10).flows(Market.NIGHT, SHIPPED)
    assert judge(Market.NIGHT, flows, QUIET, SHIPPED) is Verdict.FRESH


def test_last_without_trades_proves_a_dead_trade_subscription() -> None:
    made = pulse(trades=5, quotes=0)
    for step in range(1, 40):
        now_s = 1000.0 + step / 2
        made.look(Counts(trades=1, quotes=1 + step, lasts=step), now_s)
        missed = made.flows(Market.NIGHT, SHIPPED)[0] is Flow.MISSED
        assert missed == (step >= MISSED_MIN and now_s - 1000.5 >= SHIPPED.missed_s), now_s
    assert made.fresh_proof
    made.look(Counts(trades=2, quotes=99, lasts=99), 1021.0)
    assert made.flows(Market.NIGHT, SHIPPED)[0] is Flow.LIVE, "a trade takes it all back"


def test_last_that_follows_its_trade_proves_nothing() -> None:
    made = Pulse()
    for step in range(1, 200):
        made.look(Counts(trades=step, lasts=3 * step - 3), step * 2.0)
        made.look(Counts(trades=step, lasts=3 * step), step * 2.0 + 1.5)
    assert made.missed == 0


def test_silence_before_data_was_due_is_excused() -> None:
    made = pulse(trades=4000, quotes=4000)
    made.excuse()
    assert made.flows(Market.DAY, SHIPPED) == (Flow.LIVE, Flow.LIVE)
    made.look(made.counts, 1014.9)
    assert made.flows(Market.DAY, SHIPPED) == (Flow.LIVE, Flow.LIVE)
    made.look(made.counts, 1015.0)
    assert made.flows(Market.DAY, SHIPPED) == (Flow.SILENT, Flow.SILENT)


def test_deaf_refused_and_unwritten() -> None:
    live, dead = (Flow.LIVE, Flow.LIVE), (Flow.SILENT, Flow.SILENT)
    assert judge(Market.DAY, live, Clocks(probe_s=30), SHIPPED) is Verdict.GATEWAY_DEAF
    assert judge(Market.DAY, dead, Clocks(probe_s=29), SHIPPED) is Verdict.FEED_DEAD
    assert judge(Market.DAY, dead, QUIET, SHIPPED, refused=True) is Verdict.REFUSED
    assert judge(Market.DAY, live, QUIET, SHIPPED, refused=True) is Verdict.FRESH
    assert judge(Market.DAY, live, Clocks(flush_s=5), SHIPPED) is Verdict.UNWRITTEN
    assert judge(Market.CLOSED, dead, Clocks(flush_s=5), SHIPPED) is Verdict.UNWRITTEN
    assert judge(Market.DAY, dead, Clocks(flush_s=5), SHIPPED) is Verdict.FEED_DEAD


def test_sleep_of_the_machine_is_one_look() -> None:
    awake, mono_ns = Awake(), 10**15
    for _ in range(40):
        awake.look(mono_ns)
        mono_ns += NS_PER_S // 4
    before_s = awake.now_s
    assert before_s == pytest.approx(39 / 4)
    assert awake.look(mono_ns + 8 * 3600 * NS_PER_S) == pytest.approx(before_s + 1.0)
    assert awake.look(mono_ns) == pytest.approx(before_s + 1.0), "a clock that went back adds nothing"


@given(st.floats(0, 500), st.floats(0, 500), st.sampled_from(list(Market)))
def test_younger_data_never_make_it_worse(trades_s: float, quotes_s: float, market: Market) -> None:
    def height(trades: float, quotes: float) -> int:
        flows = pulse(trades=trades, quotes=quotes).flows(market, SHIPPED)
        return HEIGHT[CAP[judge(market, flows, QUIET, SHIPPED)]]

    assert height(0, 0) == 0
    assert height(trades_s / 2, quotes_s / 2) <= height(trades_s, quotes_s)


def test_every_wait_is_longer_than_the_gateway_allows_between_requests() -> None:
    """IB serves one tick-by-tick request per instrument per 15 s (reference/tws.md section 1, pacing)."""
    waits = Patience()
    assert min(waits.quotes_day_s, waits.missed_s, waits.resubscribed_s, waits.reconnected_s, waits.repeat_s) >= 15
