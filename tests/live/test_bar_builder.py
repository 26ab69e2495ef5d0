"""Playbooks for every sentence of pj1 S7: rows and clock in, bars and refusals out."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from live.bar_builder import BarBuilder, ClockJumped, Output, Refusal, TickRefused
from live.market import NS_PER_MIN, NS_PER_S, Bar, ClosedBy, Tick, TickKind
from live.trading_day import minute_of_day, trade_date

T0 = 1_790_000_040 * NS_PER_S - (1_790_000_040 % 60) * NS_PER_S
C = "MNQZ6"


def row(second: float, kind: TickKind = TickKind.QUOTE, price: int | None = None, size: int = 0, **more) -> Tick:
    return Tick(0, T0 + int(second * NS_PER_S), kind, price, size, contract=more.pop("contract", C), **more)


def trade(second: float, price: int, size: int = 1, contract: str = C) -> Tick:
    return row(second, TickKind.TRADE, price, size, contract=contract)


def beat(second: float) -> Tick:
    return row(second, TickKind.HEARTBEAT, 999)


def gap(start: float, end: float) -> Tick:
    return row(end, TickKind.GAP, exch_ns=T0 + int(start * NS_PER_S), source="RESTART")


def bars(out: list[Output]) -> list[Bar]:
    return [item for item in out if isinstance(item, Bar)]


def shape(bar: Bar) -> tuple[int, int, int, int, int, int]:
    """Return (minute, open, high, low, close, volume)."""
    minute = (bar.ts_ns - T0) // NS_PER_MIN
    return (minute, bar.open_ticks, bar.high_ticks, bar.low_ticks, bar.close_ticks, bar.volume)


def test_a_minute_closes_with_the_edge_row_and_holds_what_was_stamped_in_it():
    out = BarBuilder().on_ticks([beat(0), trade(0, 100, 2), trade(30, 105), trade(59.999, 98, 3), beat(60)])
    assert out == [
        Bar(T0, 100, 105, 98, 98, 6, C, seq=1, ticks=3, heartbeat=False, degraded=False, closed_by=ClosedBy.EDGE)
    ]


def test_a_row_on_the_edge_belongs_to_the_next_minute():
    out = BarBuilder().on_ticks([beat(0), trade(1, 100), trade(60, 200), beat(120)])
    assert [shape(bar) for bar in bars(out)] == [(0, 100, 100, 100, 100, 1), (1, 200, 200, 200, 200, 1)]


def test_no_trade_closes_a_minute_before_the_clock_has_passed_its_edge():
    builder = BarBuilder()
    builder.on_clock(T0 + 1)
    assert builder.on_ticks([beat(0), trade(1, 100)]) == []
    builder.on_clock(T0 + 59 * NS_PER_S)
    assert builder.on_ticks([beat(60), trade(60.4, 300, 7)]) == []
    assert builder.on_clock(T0 + 60 * NS_PER_S - 1) == []
    assert [shape(bar) for bar in bars(builder.on_clock(T0 + 60 * NS_PER_S))] == [(0, 100, 100, 100, 100, 1)]
    builder.on_clock(T0 + 120 * NS_PER_S)
    assert [shape(bar) for bar in bars(builder.on_tick(beat(120)))] == [(1, 300, 300, 300, 300, 7)]


def test_the_clock_alone_closes_nothing_before_the_grace():
    builder = BarBuilder()
    builder.on_ticks([beat(0), trade(1, 100)])
    assert builder.on_clock(T0 + 61 * NS_PER_S, mono_ns=5) == []
    assert builder.on_clock(T0 + 9_000 * NS_PER_S, mono_ns=NS_PER_S + 4) == []


def test_a_silent_minute_closes_after_one_real_second_and_says_so():
    builder = BarBuilder()
    builder.on_ticks([beat(0), trade(1, 100)])
    builder.on_clock(T0 + 60 * NS_PER_S, mono_ns=1000)
    (bar,) = bars(builder.on_clock(T0 + 61 * NS_PER_S, mono_ns=1000 + NS_PER_S))
    assert (bar.closed_by, bar.degraded) == (ClosedBy.GRACE, True)


def test_the_grace_is_real_time_whatever_the_speed_of_the_clock():
    builder = BarBuilder()
    builder.on_ticks([beat(0), trade(1, 100)])
    builder.on_clock(T0 + 60 * NS_PER_S, mono_ns=0)
    assert builder.on_clock(T0 + 119 * NS_PER_S, mono_ns=NS_PER_S - 1) == []
    assert len(bars(builder.on_tick(beat(60)))) == 1


def test_each_edge_has_its_own_grace():
    builder = BarBuilder()
    builder.on_ticks([beat(0), trade(1, 100)])
    builder.on_clock(T0 + 60 * NS_PER_S, mono_ns=0)
    builder.on_clock(T0 + 120 * NS_PER_S, mono_ns=NS_PER_S // 2)
    builder.on_clock(T0 + 121 * NS_PER_S, mono_ns=NS_PER_S)
    assert builder.edge_ns == T0 + 2 * NS_PER_MIN
    builder.on_clock(T0 + 122 * NS_PER_S, mono_ns=3 * NS_PER_S // 2)
    assert builder.edge_ns == T0 + 3 * NS_PER_MIN


def test_what_comes_after_the_grace_is_late_and_alters_nothing():
    builder = BarBuilder()
    builder.on_ticks([beat(0), trade(1, 100)])
    (bar,) = bars(builder.on_grace(T0 + NS_PER_MIN))
    late = trade(58, 500, 9)
    assert builder.on_ticks([late, trade(60.1, 101), beat(120)]) == [
        TickRefused(late, Refusal.LATE, T0),
        Bar(T0 + NS_PER_MIN, 101, 101, 101, 101, 1, C, seq=2, ticks=1),
    ]
    assert (bar.close_ticks, builder.late) == (100, 1)
    assert builder.late_share == pytest.approx(1 / 3)


def test_late_heartbeats_and_quotes_are_nothing():
    builder = BarBuilder()
    builder.on_ticks([beat(0), trade(1, 100)])
    builder.on_grace(T0 + NS_PER_MIN)
    assert builder.on_ticks([beat(59), row(59.5)]) == []
    assert builder.late == 0


def test_a_row_from_the_future_is_quarantined_and_its_minute_doubted():
    builder = BarBuilder()
    builder.on_clock(T0)
    future = trade(2.000000001, 400)
    assert builder.on_ticks([beat(0), future, trade(2, 100)]) == [TickRefused(future, Refusal.FUTURE, T0)]
    builder.on_clock(T0 + NS_PER_MIN)
    (bar,) = bars(builder.on_tick(beat(60)))
    assert (shape(bar), bar.degraded, builder.future) == ((0, 100, 100, 100, 100, 1), True, 1)


def test_the_clock_that_comes_with_the_rows_counts_for_them():
    builder = BarBuilder()
    assert builder.on_ticks([beat(0), trade(3, 100)], T0 + 3 * NS_PER_S) == []
    late_reader = builder.on_ticks([trade(59, 100), beat(60)], T0 + 90 * NS_PER_S)
    assert [shape(bar)[0] for bar in bars(late_reader)] == [0]
    assert builder.future == 0


def test_an_empty_minute_is_a_heartbeat_bar_at_the_last_close():
    out = bars(BarBuilder().on_ticks([beat(0), trade(1, 100), trade(2, 103), beat(60), beat(90), beat(120)]))
    assert shape(out[1]) == (1, 103, 103, 103, 103, 0)
    assert (out[1].heartbeat, out[1].ticks, out[1].degraded) == (True, 0, False)


def test_no_heartbeat_bar_before_a_close_is_known():
    out = BarBuilder().on_ticks([beat(0), beat(60), trade(61, 100), beat(120), beat(180)])
    assert [(shape(bar)[0], bar.heartbeat) for bar in bars(out)] == [(1, False), (2, True)]


def test_heartbeats_and_quotes_are_never_trades():
    quote = row(3, TickKind.QUOTE, None, 5, bid_ticks=1, ask_ticks=900)
    out = BarBuilder().on_ticks([beat(0), trade(1, 100), beat(2), quote, row(4, TickKind.STATUS), beat(60)])
    assert shape(bars(out)[0]) == (0, 100, 100, 100, 100, 1)


def test_a_trade_of_size_zero_moves_the_price_and_not_the_volume():
    out = bars(
        BarBuilder().on_ticks([beat(0), trade(1, 100, 4), trade(2, 90, 0), beat(60), trade(61, 95, 0), beat(120)])
    )
    assert [shape(bar) for bar in out] == [(0, 100, 100, 90, 90, 4), (1, 95, 95, 95, 95, 0)]
    assert [bar.heartbeat for bar in out] == [False, False]


def test_volume_zero_at_the_last_close_is_a_heartbeat_as_the_backtester_reads_it():
    out = bars(BarBuilder().on_ticks([beat(0), trade(1, 100, 4), beat(60), trade(61, 100, 0), beat(120)]))
    assert (out[1].heartbeat, out[1].ticks) == (True, 1)


def test_the_first_partial_minute_is_not_emitted():
    out = BarBuilder().on_ticks([trade(0.000000001, 100), beat(60), trade(61, 101), beat(120)])
    assert [shape(bar)[0] for bar in bars(out)] == [1]


def test_a_minute_read_from_its_edge_row_on_is_complete():
    out = BarBuilder().on_ticks([beat(60), trade(60.1, 100), beat(120)])
    assert [shape(bar)[0] for bar in bars(out)] == [1]


def test_the_minutes_that_a_gap_touches_are_degraded_and_the_ones_inside_missing():
    rows = [beat(0), trade(1, 100), beat(60), trade(61, 101), beat(80), gap(80, 270), trade(271, 110), beat(300)]
    out = bars(BarBuilder().on_ticks([*rows, trade(301, 111), beat(360)]))
    assert [(shape(bar)[0], bar.degraded) for bar in out] == [(0, False), (1, True), (4, True), (5, False)]
    assert not any(bar.heartbeat for bar in out)


def test_a_touched_minute_without_trades_is_a_degraded_heartbeat_only_if_rows_were_read_in_it():
    rows = [beat(0), trade(1, 100), beat(60), beat(70), gap(70, 190), beat(240), gap(240, 310), beat(360)]
    out = bars(BarBuilder().on_ticks(rows))
    assert [(shape(bar)[0], bar.heartbeat, bar.degraded) for bar in out] == [
        (0, False, False),
        (1, True, True),
        (4, True, True),
    ]


def test_a_gap_that_ends_on_an_edge_spares_the_minute_after_it():
    out = bars(BarBuilder().on_ticks([beat(0), trade(1, 100), gap(30, 60), beat(60), trade(61, 100), beat(120)]))
    assert [bar.degraded for bar in out] == [True, False]


def test_a_gap_that_begins_on_an_edge_spares_the_minute_before_it():
    out = bars(BarBuilder().on_ticks([beat(0), trade(1, 100), beat(60), gap(60, 70), trade(71, 100), beat(120)]))
    assert [bar.degraded for bar in out] == [False, True]


def test_a_gap_inside_one_minute_degrades_it():
    out = bars(BarBuilder().on_ticks([beat(0), trade(1, 100), gap(1, 3), trade(4, 100), beat(60)]))
    assert [bar.degraded for bar in out] == [True]


def test_a_tape_that_begins_with_a_gap_begins_with_a_partial_minute():
    out = BarBuilder().on_ticks([gap(-600, 10), trade(11, 100), beat(60), trade(61, 100), beat(120)])
    assert [(shape(bar)[0], bar.degraded) for bar in bars(out)] == [(1, False)]


def test_a_silent_minute_under_the_grace_is_missing_not_invented():
    builder = BarBuilder()
    builder.on_ticks([beat(0), trade(1, 100)])
    assert len(builder.on_grace(T0 + 3 * NS_PER_MIN)) == 1
    out = builder.on_ticks([gap(1, 200), trade(201, 105), beat(240)])
    assert [(shape(bar)[0], bar.degraded) for bar in bars(out)] == [(3, True)]


def test_a_jump_forward_emits_the_missing_heartbeats_and_says_so():
    out = BarBuilder().on_ticks([beat(0), trade(1, 100), trade(245, 120), beat(300)])
    assert out[1] == ClockJumped(T0 + NS_PER_MIN, T0 + 245 * NS_PER_S, 3)
    assert [(shape(bar)[0], bar.heartbeat) for bar in bars(out)] == [
        (0, False),
        (1, True),
        (2, True),
        (3, True),
        (4, False),
    ]


def test_a_jump_of_more_than_a_day_invents_nothing():
    day = 86_400
    out = BarBuilder().on_ticks([beat(0), trade(1, 100), trade(3 * day + 5, 120), beat(3 * day + 60)])
    assert [type(item) for item in out] == [Bar, ClockJumped, Bar]


def test_a_clock_that_steps_back_never_emits_a_minute_twice():
    builder = BarBuilder()
    builder.on_clock(T0 + NS_PER_MIN)
    first = bars(builder.on_ticks([beat(0), trade(1, 100), beat(60)]))
    builder.on_clock(T0 + 30 * NS_PER_S, mono_ns=0)
    assert builder.on_clock(T0 + 40 * NS_PER_S, mono_ns=50 * NS_PER_S) == []
    again = builder.on_ticks([trade(31, 100)])
    builder.on_clock(T0 + 2 * NS_PER_MIN, mono_ns=60 * NS_PER_S)
    rest = bars(builder.on_ticks([trade(61, 7), beat(120)]))
    assert [shape(bar)[0] for bar in first + rest] == [0, 1]
    assert [item.reason for item in again if isinstance(item, TickRefused)] == [Refusal.LATE]


def test_a_step_back_before_an_edge_stops_the_grace_of_that_edge():
    builder = BarBuilder()
    builder.on_ticks([beat(0), trade(1, 100)])
    builder.on_clock(T0 + NS_PER_MIN, mono_ns=0)
    assert builder.on_clock(T0 + 59 * NS_PER_S, mono_ns=2 * NS_PER_S) == []
    assert builder.on_clock(T0 + 61 * NS_PER_S, mono_ns=4 * NS_PER_S) == []
    assert len(builder.on_clock(T0 + 62 * NS_PER_S, mono_ns=5 * NS_PER_S)) == 1


def test_a_new_contract_closes_nothing_early_and_a_mixed_minute_is_degraded():
    rows = [
        beat(0),
        trade(1, 100),
        trade(2, 200, contract="MNQH7"),
        beat(60),
        trade(61, 201, contract="MNQH7"),
        beat(120),
    ]
    out = bars(BarBuilder().on_ticks(rows))
    assert [(bar.contract, bar.degraded, bar.ticks) for bar in out] == [("MNQH7", True, 2), ("MNQH7", False, 1)]


def test_a_trade_without_price_is_refused_not_counted():
    bad = row(1, TickKind.TRADE, None, 1)
    assert BarBuilder().on_ticks([beat(0), bad]) == [TickRefused(bad, Refusal.NO_PRICE, T0)]


def test_a_minute_with_an_unreadable_row_is_degraded():
    builder = BarBuilder()
    builder.on_ticks([beat(0), trade(1, 100)])
    builder.distrust(T0 + 5)
    assert [bar.degraded for bar in bars(builder.on_ticks([beat(60), trade(61, 1), beat(120)]))] == [True, False]


def test_bars_are_numbered_and_frozen():
    out = bars(BarBuilder().on_ticks([beat(0), trade(1, 100), beat(60), beat(120)]))
    assert [bar.seq for bar in out] == [1, 2]
    with pytest.raises(AttributeError):
        out[0].seq = 9  # type: ignore[misc]


def test_resume_goes_on_after_recorded_bars_and_hands_out_their_late_trades():
    late = trade(50, 999)
    rows = [trade(-5, 90), beat(0), trade(1, 100), late, beat(60), trade(61, 101), beat(120)]
    recorded = Bar(T0, 100, 100, 100, 100, 1, C, seq=4, ticks=1, closed_by=ClosedBy.GRACE, degraded=True)
    builder = BarBuilder()
    builder.resume([recorded])
    out = builder.on_ticks(rows)
    assert out[0] == TickRefused(late, Refusal.LATE, T0)
    assert [(shape(bar), bar.seq) for bar in bars(out)] == [((1, 101, 101, 101, 101, 1), 5)]


def test_resume_from_history_takes_the_minutes_it_covers():
    history = Bar(T0, 100, 100, 100, 100, 50, C, closed_by=ClosedBy.HISTORY)
    builder = BarBuilder()
    builder.resume([history])
    out = builder.on_ticks([trade(30, 101), beat(60), trade(61, 102), beat(120), beat(180)])
    assert [(shape(bar)[0], bar.heartbeat) for bar in bars(out)] == [(1, False), (2, True)]
    assert len(out) == 2


def test_resume_refuses_bars_out_of_order_and_a_late_call():
    bar = Bar(T0, 1, 1, 1, 1, 1)
    with pytest.raises(ValueError, match="does not come after"):
        BarBuilder().resume([bar, bar])
    builder = BarBuilder()
    builder.on_tick(beat(0))
    with pytest.raises(ValueError, match="before the first row"):
        builder.resume([bar])


@pytest.mark.parametrize(
    ("sunday_open", "monday"),
    [
        (datetime(2026, 3, 8, 22, tzinfo=UTC), "2026-03-09"),
        (datetime(2026, 11, 1, 23, tzinfo=UTC), "2026-11-02"),
        (datetime(2026, 3, 1, 23, tzinfo=UTC), "2026-03-02"),
        (datetime(2026, 10, 25, 22, tzinfo=UTC), "2026-10-26"),
    ],
)
def test_the_sunday_open_is_minute_zero_of_monday_in_summer_and_winter_time(sunday_open, monday):
    start = int(sunday_open.timestamp()) * NS_PER_S
    rows = [
        Tick(1, start - 50 * 3600 * NS_PER_S, TickKind.HEARTBEAT, None, 0),
        Tick(2, start, TickKind.GAP, None, 0, exch_ns=start - 50 * 3600 * NS_PER_S),
        Tick(3, start, TickKind.TRADE, 100, 1),
        Tick(4, start + NS_PER_MIN, TickKind.HEARTBEAT, 100, 0),
    ]
    (bar,) = bars(BarBuilder().on_ticks(rows))
    assert (bar.ts_ns, minute_of_day(bar.ts_ns), trade_date(bar.ts_ns).isoformat()) == (start, 0, monday)
    assert not bar.degraded
