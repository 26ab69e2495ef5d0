"""Say P1-P14 of pj1 S12 as laws that any engine can be held to: ``law(subject, seed)`` raises when one is broken.

A subject is an engine as a function from bars and raw parameters to rows, with the bar builder before it. The live
engine and the compiled kernels are subjects; so is every mutant. Where a law asks about stepping (restart), a subject
that cannot be stopped in the middle is asked that a run leaves nothing behind.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import random
from collections.abc import Callable
from typing import Any

import numpy as np
from pj1_tapes import WIDE_OPEN, lively_params, random_params, random_tape
from pj1_ticks import built, ticks_of
from planted_lookaheads import columns_of

from live.bar_builder import BarBuilder
from live.commands import RecordEvent, RecordTrade, Trade
from live.engine import Engine, Route
from live.events import BarClosed
from live.market import INSTRUMENTS, NS_PER_MIN, NS_PER_S, Bar, TickKind
from live.params import Params
from live.trading_day import et_offset_s, iso_utc
from strategies.mle.causality.faults import Outcome, badly_stamped, rewritten, stamped_ahead
from strategies.mle.causality.futures import FUTURES
from strategies.mle.lookahead import ENGINES

MNQ = INSTRUMENTS["MNQ"]
Raw = dict[str, Any]
PRICES = ("level_ticks", "extreme_ticks", "entry_ref_ticks", "stop_ticks", "target_ticks", "entry_price_ticks")
OPEN_LIMITS: Raw = {
    "windows": WIDE_OPEN,
    "max_trades_day": 10_000,
    "max_consec_losses": 10_000,
    "max_orders_hour": 10_000,
    "cooldown_min": 0,
    "max_daily_loss_usd": 5_000_000,
    "risk_per_trade_usd": 1_000_000,
    "max_risk_ticks": 100_000,
    "blackouts": [],
}
TIGHTER: list[tuple[str, Any]] = [
    ("max_gap_min", 0),
    ("windows", [["09:30", "10:00"]]),
    ("max_trades_day", 0),
    ("max_consec_losses", 0),
    ("cooldown_min", 600),
    ("max_orders_hour", 1),
    ("max_risk_ticks", 20),
    ("risk_per_trade_usd", 8),
    ("max_daily_loss_usd", 1),
    ("flat_at", "09:40"),
]


@dataclasses.dataclass(frozen=True)
class Subject:
    """Hold what is held to the laws; ``engine`` builds one that can be stepped, None where there is no such thing."""

    name: str
    run: Callable[[list[Bar], Raw], Outcome]
    builder: Callable[[], BarBuilder] = BarBuilder
    engine: Callable[[Params], Engine] | None = None


def stepping(name: str, make: Callable[[Params], Engine], builder: Callable[[], BarBuilder] = BarBuilder) -> Subject:
    """Return the subject of an engine that is stepped bar by bar."""

    def run(bars: list[Bar], raw: Raw) -> Outcome:
        return collected(make(Params.from_dict(raw)), bars)

    return Subject(name, run, builder, make)


def collected(engine: Engine, bars: list[Bar]) -> Outcome:
    said = [command for bar in bars for command in engine.step(BarClosed(bar))]
    events = [one for one in said if isinstance(one, RecordEvent)]
    return Outcome(events, [one.trade for one in said if isinstance(one, RecordTrade)])


def plain(params: Params) -> Engine:
    return Engine(params, MNQ, Route.SIMULATED)


def compiled(bars: list[Bar], raw: Raw) -> Outcome:
    return ENGINES["compiled"](Params.from_dict(raw), MNQ)(columns_of(bars))


EXACT = stepping("exact", plain)
COMPILED = Subject("compiled", compiled)


def made(seed: int, days: int = 3) -> tuple[Raw, list[Bar], random.Random]:
    """Return parameters and a tape of the seed, and its generator for whatever else is drawn."""
    rng = random.Random(seed)
    raw = lively_params(rng) if rng.random() < 0.7 else random_params(rng)
    return raw, random_tape(rng, days=days, hours=2), rng


def close_s(bar: Bar) -> int:
    return (bar.ts_ns + NS_PER_MIN) // NS_PER_S


def moved(bar: Bar, change: Callable[[int], int]) -> Bar:
    """Return a bar with every price changed; a change that turns prices over swaps high and low."""
    high, low = change(bar.high_ticks), change(bar.low_ticks)
    return dataclasses.replace(
        bar,
        open_ticks=change(bar.open_ticks),
        high_ticks=max(high, low),
        low_ticks=min(high, low),
        close_ticks=change(bar.close_ticks),
    )


def named(trade: Trade) -> Raw:
    """Return a trade without the name of its pool, which says high or low."""
    return {**dataclasses.asdict(trade), "pool_id": ""}


# -- the laws ----------------------------------------------------------------------------------------


def p01_prefix_causality(subject: Subject, seed: int) -> None:
    """The rows of bars[:k] are the first rows of all bars; one bar more adds only rows stamped as S13 says."""
    raw, bars, rng = made(seed)
    cut = rng.randint(1, len(bars) - 1)
    whole, before, more = (subject.run(part, raw) for part in (bars, bars[:cut], bars[: cut + 1]))
    assert list(rewritten(before, whole, close_s(bars[cut - 1]))) == []
    assert list(stamped_ahead(before, close_s(bars[cut - 1]))) == []
    assert list(badly_stamped(before, more, bars[cut].ts_ns // NS_PER_S)) == []


def p02_altered_future(subject: Subject, seed: int) -> None:
    """Whatever follows bar k (levels, ranges, order, contract, silence), the rows up to k stay."""
    raw, bars, rng = made(seed)
    cut = rng.randint(1, len(bars) - 1)
    before = subject.run(bars[:cut], raw)
    tape = columns_of(bars)
    name = rng.choice(sorted(FUTURES))
    after = subject.run(FUTURES[name](tape, cut, np.random.default_rng(seed)).bars(), raw)
    assert list(rewritten(before, after, close_s(bars[cut - 1]))) == [], name


def p03_ticks_through_the_builder(subject: Subject, seed: int) -> None:
    """Ticks in any chunks give the rows of the bars they make; the first ticks give the first rows."""
    raw, bars, rng = made(seed, days=1)
    bars = [bar for bar in bars if bar.volume]
    ticks = ticks_of(bars, rng)
    truth = subject.run(bars, raw)
    assert subject.run(built(ticks, rng, subject.builder), raw) == truth
    early = built(ticks[: rng.randint(1, len(ticks))], rng, subject.builder)
    if early:
        assert list(rewritten(subject.run(early, raw), truth, close_s(early[-1]))) == []


def p04_heartbeats(subject: Subject, seed: int) -> None:
    """A missing minute and a heartbeat bar in its place are the same thing."""
    raw, bars, rng = made(seed)
    bars = [bar for bar in bars if bar.volume]
    filled: list[Bar] = []
    for bar, after in itertools.pairwise(bars):
        filled.append(bar)
        beat = bar.ts_ns + NS_PER_MIN
        while beat < after.ts_ns and len(filled) < 5000:
            if rng.random() < 0.8:
                flat = bar.close_ticks
                filled.append(Bar(beat, flat, flat, flat, flat, 0, bar.contract, heartbeat=True))
            beat += NS_PER_MIN
    filled.append(bars[-1])
    assert subject.run(filled, raw) == subject.run(bars, raw)


def p05_mirror(subject: Subject, seed: int) -> None:
    """Prices turned over give the same trades with the other side, and equal money."""
    raw, bars, rng = made(seed)
    about = rng.randint(-100_000, 100_000)
    straight, other = subject.run(bars, raw), subject.run([moved(bar, lambda p: about - p) for bar in bars], raw)
    rows = [named(trade) for trade in straight.trades]
    turned = [
        {name: about - row[name] for name in (*PRICES, "exit_price_ticks")} | {"side": -row["side"]} for row in rows
    ]
    assert [row | turn for row, turn in zip(rows, turned, strict=True)] == [named(trade) for trade in other.trades]
    assert len(straight.events) == len(other.events)


def p06_legal_transitions(subject: Subject, seed: int) -> None:
    """Pools move DEFINED, SWEPT, RECLAIMED, DEAD as the table allows; one signal each; nothing after the end."""
    raw, bars, _ = made(seed)
    order = {"DEFINED": ({""}, "D"), "SWEPT": ({"D"}, "S"), "RECLAIMED": ({"S"}, "R")}
    state: dict[str, str] = {}
    for row in subject.run(bars, raw).events:
        if row.event in order:
            before, after = order[row.event]
        elif row.event in {"SIGNAL", "REJECT"}:
            before, after = {"R"}, "X"
        elif row.event == "DEAD":
            before, after = {"R"} if row.reason in {"TIE", "MISSED"} else {"D", "S"}, "X"
        else:
            continue
        assert state.get(row.pool, "") in before, row
        state[row.pool] = after


def p07_trade_invariants(subject: Subject, seed: int) -> None:
    """Stops lie beyond the extreme, risk within its bounds, the planned loss within its budget, fills as promised."""
    raw, bars, rng = made(seed)
    raw["max_trades_day"] = rng.choice((1, 2, 100))
    params = Params.from_dict(raw)
    trades = subject.run(bars, raw).trades
    per_day: dict[int, int] = {}
    for trade in trades:
        s, slip = trade.side, params.slip_ticks
        stop, entry, target = s * trade.stop_ticks, s * trade.entry_ref_ticks, s * trade.target_ticks
        assert stop <= s * trade.extreme_ticks - params.stop_buffer_ticks
        assert stop < entry <= target
        assert trade.risk_ticks == entry - stop
        assert params.min_risk_ticks <= trade.risk_ticks <= params.max_risk_ticks
        planned = ((trade.risk_ticks + 2 * slip) * params.tick_cents + 2 * params.comm_side_cents) * trade.qty
        assert planned <= params.risk_per_trade_cents
        if trade.exit_reason == "STOP":
            assert s * trade.exit_price_ticks <= stop - slip
        if trade.exit_reason == "TARGET":
            assert trade.exit_price_ticks == trade.target_ticks
        per_day[trade.trade_date_ordinal] = per_day.get(trade.trade_date_ordinal, 0) + 1
    assert max(per_day.values(), default=0) <= params.max_trades_day
    for one, after in itertools.pairwise(trades):
        assert one.exit_ts_s <= after.signal_ts_s <= after.entry_ts_s


def p08_price_shift(subject: Subject, seed: int) -> None:
    """All prices k ticks higher give the same trades k ticks higher."""
    raw, bars, rng = made(seed)
    shift = rng.randint(-1_000_000, 1_000_000)
    straight, other = subject.run(bars, raw), subject.run([moved(bar, lambda p: p + shift) for bar in bars], raw)
    names = (*PRICES, "exit_price_ticks")
    assert list(other.trades) == [
        dataclasses.replace(trade, **{name: getattr(trade, name) + shift for name in names})
        for trade in straight.trades
    ]
    assert [(row.ts_s, row.event, row.pool, row.reason) for row in other.events] == [
        (row.ts_s, row.event, row.pool, row.reason) for row in straight.events
    ]


def p09_week_shift(subject: Subject, seed: int) -> None:
    """The same bars whole weeks later, without a clock change between, give the same rows that much later."""
    raw, bars, rng = made(seed)
    raw.pop("blackouts", None)
    jump = rng.randint(1, 8) * 7 * 86_400
    ends = (bars[0].ts_ns, bars[-1].ts_ns)
    if len({et_offset_s(ns + move * NS_PER_S) for ns in ends for move in (0, jump)}) > 1:
        return
    later = [dataclasses.replace(bar, ts_ns=bar.ts_ns + jump * NS_PER_S) for bar in bars]
    straight, other = subject.run(bars, raw), subject.run(later, raw)
    assert [(row.ts_s + jump, row.event, row.level, row.reason) for row in straight.events] == [
        (row.ts_s, row.event, row.level, row.reason) for row in other.events
    ]
    assert [trade.net_cents for trade in straight.trades] == [trade.net_cents for trade in other.trades]


def p10_restart(subject: Subject, seed: int) -> None:
    """A restart at any bar is no restart: equal rows, equal state. What cannot restart leaves nothing behind."""
    raw, bars, rng = made(seed)
    truth = subject.run(bars, raw)
    if subject.engine is None:
        other_raw, other_bars, _ = made(seed + 1)
        subject.run(other_bars, other_raw)
        assert subject.run(bars, raw) == truth
        return
    params = Params.from_dict(raw)
    cut = rng.randint(0, len(bars))
    whole, first, second = (subject.engine(params) for _ in range(3))
    before = collected(first, bars[:cut])
    second.restore(json.loads(json.dumps(first.snapshot())))
    after = collected(second, bars[cut:])
    assert ([*before.events, *after.events], [*before.trades, *after.trades]) == (truth.events, truth.trades)
    collected(whole, bars)
    assert second.snapshot() == whole.snapshot()


def p11_late_ticks(subject: Subject, seed: int) -> None:
    """Copies of ticks whose minute is over, and late ones at absurd prices, change no bar and so no row."""
    raw, bars, rng = made(seed, days=1)
    bars = [bar for bar in bars if bar.volume]
    clean = ticks_of(bars, rng)
    dirty = []
    for row in clean:
        dirty.append(row)
        minute = row.recv_ns // NS_PER_MIN * NS_PER_MIN
        if row.kind is TickKind.TRADE and rng.random() < 0.3:
            old = rng.choice(clean[: row.seq])
            if old.recv_ns < minute and old.kind is TickKind.TRADE:
                dirty.append(old)
            dirty.append(row._replace(recv_ns=minute - 1 - rng.randint(0, NS_PER_MIN), price_ticks=1_000_000))
    from_dirty = built(dirty, rng, subject.builder)
    assert from_dirty == built(clean, rng, subject.builder)
    assert subject.run(from_dirty, raw) == subject.run(bars, raw)


def p12_tighter_limits(subject: Subject, seed: int) -> None:
    """Tightening one limit never brings the run's first approved signal forward, nor makes one where there was none.

    Only the first counts: until it both runs are flat with equal counters, and whatever the tighter gate lets pass the
    wider one does too. A trade refused early can make room for a later one, so nothing is said about the rest.
    """
    raw, bars, rng = made(seed)
    limit = rng.choice(TIGHTER)
    raw |= {"max_gap_min": 5, "windows": WIDE_OPEN, "max_risk_ticks": 200, "min_risk_ticks": 2, "max_orders_hour": 30}
    raw |= {"risk_per_trade_usd": 100, "max_daily_loss_usd": 450, "cooldown_min": 5}
    wide = [row.ts_s for row in subject.run(bars, raw).events if row.event == "SIGNAL"]
    tight = [row.ts_s for row in subject.run(bars, {**raw, limit[0]: limit[1]}).events if row.event == "SIGNAL"]
    assert not tight or (wide and wide[0] <= tight[0]), limit


def p13_exits_pass(subject: Subject, seed: int) -> None:
    """With every later signal refused (blackout from just after an entry on), that trade ends as it would have."""
    raw, bars, rng = made(seed)
    raw |= {"windows": WIDE_OPEN, "blackouts": []}
    trades = subject.run(bars, raw).trades
    if not trades:
        return
    kept = rng.randrange(len(trades)) + 1
    span = [iso_utc(trades[kept - 1].entry_ts_s + 1), "2100-01-01T00:00:00Z"]
    assert list(subject.run(bars, {**raw, "blackouts": [span]}).trades) == list(trades[:kept])


def p14_higher_costs(subject: Subject, seed: int) -> None:
    """With every limit off, dearer commission and slippage leave the trades and lower each net or leave it.

    Limits must be off because a loss can lock the day, shrink the size or cool down: then costs choose other trades.
    """
    raw, bars, rng = made(seed)
    raw |= OPEN_LIMITS | {"slip_ticks": 1, "comm_side_usd": "0.62"}
    dear_raw = {**raw, "slip_ticks": 1 + rng.randint(0, 3), "comm_side_usd": str((62 + rng.randint(1, 500)) / 100)}
    cheap, dear = subject.run(bars, raw).trades, subject.run(bars, dear_raw).trades
    assert [trade.pool_id for trade in dear] == [trade.pool_id for trade in cheap]
    assert all(one.net_cents <= other.net_cents for one, other in zip(dear, cheap, strict=True))
