"""A real engine process on the paper route, over a tape that is written while it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import pytest
from engine_world import CORE_TYPES, World, bars_of_two_days, ohlcv, wall

from live.commands import RecordEvent
from live.market import INSTRUMENTS, NS_PER_MIN, Bar
from live.params import Params
from live.records import EVENT_COLUMNS, TRADE_COLUMNS, event_row, trade_row
from pj.channels.csvlog import read_rows
from strategies.mle.phase16_pj_engine import load_bars, run_bars

MNQ = INSTRUMENTS["MNQ"]
DAY = date(2026, 4, 24)
FILE = "mnq_1m_2026-03_2026-05.parquet"
Make = Callable[..., World]


@pytest.fixture(scope="module")
def bars(market_data: Path) -> list[Bar]:
    return bars_of_two_days(load_bars(market_data / FILE, MNQ, front=True), DAY, "MNQM6")


@pytest.fixture
def make(run_dir: Path, bars: list[Bar]) -> Iterator[Make]:
    worlds = []

    def build(begin: str, end: str, speed: float, **settings: str) -> World:
        world = World(run_dir, DAY, bars, wall(DAY, begin), wall(DAY, end), speed, settings=settings)
        worlds.append(world)
        return world

    yield build
    for world in worlds:
        world.close()


def expected(bars: list[Bar]) -> list[tuple[str, ...]]:
    """Return the backtester's rows over ``bars`` as the journal writes them: trades among events, by the core's order."""
    from live.commands import RecordTrade
    from live.engine import Engine, Route
    from live.events import BarClosed

    engine = Engine(Params(), MNQ, Route.SIMULATED)
    rows: list[tuple[str, ...]] = []
    for bar in bars:
        for command in engine.step(BarClosed(bar)):
            if isinstance(command, RecordEvent):
                rows.append((command.event, *(event_row(command)[name] for name in EVENT_COLUMNS)))
            elif isinstance(command, RecordTrade):
                row = trade_row(command.trade, MNQ)
                rows.append(("TRADE", *(row[name] for name in TRADE_COLUMNS)))
    return rows


def test_a_paper_morning_equals_the_backtest(make: Make, bars: list[Bar]) -> None:
    world = make("09:20", "11:35", 900)
    world.write_history()
    world.start_engine()
    world.play()
    last = world.end_ns - NS_PER_MIN
    world.wait_for_bar(last)
    stats = world.stats()
    assert world.stop_engine() == 0

    source = [bar for bar in bars if world.start_ns <= bar.ts_ns < world.end_ns]
    own = [bar for bar in world.own_bars() if bar.ts_ns < world.end_ns]
    assert [ohlcv(bar) for bar in own] == [ohlcv(bar) for bar in source]
    assert not any(bar.degraded for bar in own)

    lived = [bar for bar in bars if bar.ts_ns < world.end_ns]
    rows = world.rows(*CORE_TYPES)
    assert rows == expected(lived)
    ran = run_bars(lived, Params(), MNQ)
    assert sum(kind == "SIGNAL" for kind, *_ in rows) == sum(e.event == "SIGNAL" for e in ran.events)
    today = [trade_row(t, MNQ) for t in ran.trades if t.trade_date_ordinal == DAY.toordinal()]
    assert len(today) >= 3, "the morning must hold trades, or this proves nothing"
    assert read_rows(world.paths.trades, TRADE_COLUMNS) == today
    modes = [line.data["mode"] for line in world.journal() if line.type == "MODE"]
    assert modes == ["REHEARSED", "LIVE"]
    assert stats is not None
    assert stats.gauge("mode", "") == "LIVE"
    assert stats.gauge("entries_blocked", "?") == ""
    print("edge_to_bar_ms", stats.gauges["edge_to_bar_ms"])
