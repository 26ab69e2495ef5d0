"""One tape three ways, the same decisions: ticks through the BarBuilder, bars as lived, bars in the backtest (P3)."""

from __future__ import annotations

import random
from collections.abc import Iterable
from pathlib import Path

import pytest
from pj1_tapes import lively_params, random_tape

from live.bar_builder import BarBuilder
from live.commands import RecordEvent, RecordTrade
from live.engine import Engine, Route
from live.events import BarClosed, ClockPassed, EntriesJudged, Event, Mode, ModeChanged, PriceMarked
from live.market import INSTRUMENTS, NS_PER_MIN, Bar, Tick, TickKind
from live.params import Params
from strategies.mle.phase16_pj_engine import Ran, load_bars, run_bars

MNQ = INSTRUMENTS["MNQ"]


def ticks_of(bars: list[Bar], rng: random.Random) -> list[Tick]:
    """Return rows that hold each bar's open, high, low and close in some order of high and low, and every edge."""
    rows: list[Tick] = []

    def add(at: int, kind: TickKind, price: int | None, contract: str) -> None:
        rows.append(Tick(len(rows) + 1, at, kind, price, 2 if kind is TickKind.TRADE else 0, contract=contract))

    for bar, after in zip(bars, [*bars[1:], None], strict=True):
        inner = rng.sample([bar.high_ticks, bar.low_ticks], 2)
        add(bar.ts_ns, TickKind.HEARTBEAT, None, bar.contract)
        for price in (bar.open_ticks, *inner, bar.close_ticks):
            at = max(rows[-1].recv_ns, bar.ts_ns) + rng.randint(0, NS_PER_MIN // 5)
            add(at, TickKind.TRADE, price, bar.contract)
        until = after.ts_ns if after is not None else bar.ts_ns + NS_PER_MIN
        for edge in range(bar.ts_ns + NS_PER_MIN, until + 1, NS_PER_MIN):
            add(edge, TickKind.HEARTBEAT, bar.close_ticks, bar.contract)
    return rows


def built(ticks: list[Tick], rng: random.Random) -> list[Bar]:
    """Return the bars of ``ticks`` fed in chunks of random length."""
    builder, out, at = BarBuilder(), [], 0
    while at < len(ticks):
        size = rng.choice((1, 2, 7, 100))
        out += builder.on_ticks(ticks[at : at + size])
        at += size
    return [one for one in out if isinstance(one, Bar)]


def record(engine: Engine, events: Iterable[Event]) -> Ran:
    said = [command for event in events for command in engine.step(event)]
    rows = [one for one in said if isinstance(one, RecordEvent)]
    trades = [one.trade for one in said if isinstance(one, RecordTrade)]
    assert len(said) == len(rows) + len(trades), "a paper day sends nothing and raises no alarm"
    return Ran(rows, trades, engine.instrument)


def as_lived(bars: list[Bar], rng: random.Random) -> list[Event]:
    """Return bars as a paper day feeds them: rehearsed up to some minute, then live among clock and price events."""
    start = rng.randint(0, len(bars))
    events: list[Event] = []
    for place, bar in enumerate(bars):
        if place == start:
            events += [ModeChanged(Mode.LIVE), EntriesJudged("")]
        if place >= start:
            events += [ClockPassed(bar.ts_ns), PriceMarked(bar.ts_ns + 1, bar.low_ticks)]
        events.append(BarClosed(bar))
    return events


def compare(bars: list[Bar], params: Params, rng: random.Random) -> Ran:
    truth = run_bars(bars, params, MNQ)
    assert record(Engine(params, MNQ, Route.SIMULATED), as_lived(bars, rng)) == truth
    assert run_bars(built(ticks_of(bars, rng), rng), params, MNQ) == truth
    return truth


@pytest.mark.parametrize("seed", range(12))
def test_random_tapes_decide_alike(seed: int) -> None:
    rng = random.Random(seed)
    params = Params.from_dict(lively_params(rng))
    bars = [bar for bar in random_tape(rng, days=2, hours=2) if bar.volume]
    assert compare(bars, params, rng).events


def test_a_real_day_decides_alike(market_data: Path) -> None:
    bars = load_bars(market_data / "mnq_1m_2026-03_2026-05.parquet", MNQ)
    days = [bar for bar in bars if 1_776_117_600 <= bar.ts_ns // 10**9 < 1_776_290_400]
    truth = compare(days, Params(), random.Random(5))
    assert len(truth.trades) == 9
