"""One tape four ways, the same decisions: ticks through the BarBuilder, bars as lived, both backtests (P3)."""

from __future__ import annotations

import random
from collections.abc import Iterable
from pathlib import Path

import pytest
from pj1_tapes import lively_params, random_tape
from pj1_ticks import built, ticks_of

from live.commands import RecordEvent, RecordTrade
from live.engine import Engine, Route
from live.events import BarClosed, ClockPassed, EntriesJudged, Event, Mode, ModeChanged, PriceMarked
from live.market import INSTRUMENTS, Bar
from live.params import Params
from live.records import event_row
from strategies.mle.bar_file import BarColumns
from strategies.mle.compiled import run_compiled
from strategies.mle.phase16_pj_engine import Ran, load_bars, run_bars
from strategies.mle.tape import Tape

MNQ = INSTRUMENTS["MNQ"]


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
    own = built(ticks_of(bars, rng), rng)
    assert run_bars(own, params, MNQ) == truth
    compiled = run_compiled(Tape.of(BarColumns.of(own)), params)
    assert list(map(event_row, compiled.events())) == list(map(event_row, truth.events))
    assert compiled.trades() == truth.trades
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
