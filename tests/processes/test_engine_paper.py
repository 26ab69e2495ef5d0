"""A real engine process on the paper route, over a tape that is written while it runs."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import pytest
from engine_world import CORE_TYPES, World, bars_of_two_days, ohlcv, replayed, wall

from live.commands import RecordEvent
from live.market import INSTRUMENTS, NS_PER_MIN, Bar
from live.params import Params
from live.records import EVENT_COLUMNS, TRADE_COLUMNS, event_row, trade_row
from pj.channels.csvlog import read_rows
from pj.channels.stats import Stats
from strategies.mle.bar_file import BarColumns
from strategies.mle.compiled import run_compiled
from strategies.mle.phase16_pj_engine import load_bars, run_bars
from strategies.mle.tape import Tape

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
    """Return the backtester's rows over ``bars`` as the journal writes them, trades among events."""
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


@pytest.mark.slow
def test_a_paper_morning_equals_the_backtest(make: Make, bars: list[Bar]) -> None:
    world = make("09:20", "11:35", 1200)
    world.write_history()
    world.start_engine()
    world.play()
    stats = world.wait(lambda stats: stats.gauge("bars", 0) >= 136)
    assert world.stop_engine() == 0

    source = [bar for bar in bars if world.start_ns <= bar.ts_ns < world.end_ns]
    own = [bar for bar in world.own_bars() if bar.ts_ns < world.end_ns]
    assert [ohlcv(bar) for bar in own] == [ohlcv(bar) for bar in source]
    assert not any(bar.degraded for bar in own)

    lived = [bar for bar in bars if bar.ts_ns < world.end_ns]
    rows = world.rows(*CORE_TYPES)
    assert rows == expected(lived)
    ran = run_bars(lived, Params(), MNQ)
    compiled = run_compiled(Tape.of(BarColumns.of(lived)), Params())
    assert list(map(event_row, compiled.events())) == list(map(event_row, ran.events))
    assert compiled.trades() == ran.trades
    assert sum(kind == "SIGNAL" for kind, *_ in rows) == sum(e.event == "SIGNAL" for e in ran.events)
    today = [trade_row(t, MNQ) for t in ran.trades if t.trade_date_ordinal == DAY.toordinal()]
    assert len(today) >= 3, "the morning must hold trades, or this proves nothing"
    assert read_rows(world.paths.trades, TRADE_COLUMNS) == today
    modes = [line.data["mode"] for line in world.journal() if line.type == "MODE"]
    assert modes == ["REHEARSED", "LIVE"]
    assert stats.gauge("mode", "") == "LIVE"
    assert stats.gauge("entries_blocked", "?") == ""
    print("edge_to_bar_ms", stats.gauges["edge_to_bar_ms"])
    the_day_survives_a_restart(world, stats)


def the_day_survives_a_restart(world: World, before: Stats) -> None:
    """Start the engine once more on the same files: counters and state as if it had never stopped."""
    faults, snapshot = replayed(world)
    assert faults == []
    world.start_engine()
    after = world.wait(lambda stats: stats.gauge("bars", 0) >= 136 and stats.phase == "RUNNING")
    for gauge in (
        "day_pnl_cents",
        "trades_today",
        "losses_streak",
        "refusals",
        "signals",
        "pools",
        "position",
        "locked",
    ):
        assert after.gauges[gauge] == before.gauges[gauge], gauge
    assert after.gauge("trades_today", 0) > 0
    assert after.gauge("entries_blocked", "") == "RECOVERING"
    assert world.stop_engine() == 0
    faults, again = replayed(world)
    assert faults == []
    ignored = {"outside", "mode"}
    assert {k: v for k, v in again.items() if k not in ignored} == {
        k: v for k, v in snapshot.items() if k not in ignored
    }


@pytest.mark.slow
def test_kills_at_random_moments_change_nothing_that_was_decided(make: Make, bars: list[Bar]) -> None:
    seed = random.randrange(1 << 32)
    print("seed", seed)
    dice = random.Random(seed)
    world = make("09:25", "10:25", 400)
    world.write_history()
    world.start_engine()
    world.play()
    world.wait(lambda stats: stats.gauge("bars", 0) >= 3)
    for _ in range(4):
        time.sleep(dice.uniform(0.2, 1.6))
        world.kill_engine()
        world.start_engine()
    world.wait_for_bar(world.end_ns - NS_PER_MIN)
    assert world.stop_engine() == 0

    source = [bar for bar in bars if world.start_ns <= bar.ts_ns < world.end_ns]
    own = [bar for bar in world.own_bars() if bar.ts_ns < world.end_ns]
    assert [ohlcv(bar) for bar in own] == [ohlcv(bar) for bar in source], "nothing lost, nothing twice"
    lines = world.journal()
    assert 2 <= sum(line.type == "START" for line in lines) <= 5, "a kill may come before the first line"
    assert not [line for line in lines if line.type == "ALARM"]
    faults, _ = replayed(world)
    assert faults == []
    rows = world.rows("SIGNAL", "REJECT", "TRADE")
    assert len(rows) == len(set(rows)), "no decision twice"
    ids = [row["trade_id"] for row in read_rows(world.paths.trades, TRADE_COLUMNS)]
    assert ids == sorted(set(ids), key=int)
    downtime = {line.data["after_bar"] for line in lines if line.type == "MODE" and line.data["mode"] == "MISSED"}
    print("restarts that missed bars", len(downtime))


@pytest.mark.slow
def test_the_day_turns_at_18_00(run_dir: Path, market_data: Path) -> None:
    evening, morrow = date(2026, 4, 15), date(2026, 4, 16)
    bars = bars_of_two_days(load_bars(market_data / FILE, MNQ, front=True), morrow, "MNQM6")
    world = World(run_dir, morrow, bars, wall(evening, "16:50"), wall(morrow, "18:14"), 1200)
    try:
        world.write_history()
        world.start_engine()
        world.play()
        last_ns = world.end_ns - NS_PER_MIN
        world.wait_for_bar(last_ns)
        assert world.stop_engine() == 0
        lived = [bar for bar in bars if bar.ts_ns < world.end_ns]
        rows = world.rows(*CORE_TYPES)
        assert rows == expected(lived)
        assert [row[0] for row in rows if ":PD" in row[3] and "739357" not in row[3]]
        assert [bar.ts_ns for bar in world.own_bars()][:1] == [wall(morrow, "18:00")]
        starts = [line.seq for line in world.journal() if line.type == "START"]
        assert starts[1:] == [1], "the new day's journal begins with its own START"

        world.start_engine()
        world.wait(lambda stats: stats.phase == "RUNNING" and stats.gauge("bars", 0) >= 14)
        assert world.stop_engine() == 0
        assert not [line for line in world.journal() if line.type == "ALARM"], "both days came out again, line by line"
        assert world.rows(*CORE_TYPES) == rows
    finally:
        world.close()


@pytest.mark.slow
def test_torn_files_are_mended_and_a_changed_journal_stops_trading(make: Make) -> None:
    world = make("09:25", "09:40", 600)
    world.write_history()
    world.start_engine()
    world.play()
    world.wait_for_bar(world.end_ns - NS_PER_MIN)
    world.kill_engine()
    for path, tear in ((world.paths.journal, b'{"data":{"after'), (world.paths.bars, b"16,2026-04-2")):
        with path.open("ab") as file:
            file.write(tear)
    world.start_engine()
    world.wait_for_bar(world.end_ns - NS_PER_MIN)
    assert world.stop_engine() == 0
    assert replayed(world)[0] == []

    whole = world.paths.journal.read_bytes()
    line_three = whole.split(b"\n")[2]
    world.paths.journal.write_bytes(whole.replace(line_three, line_three.replace(b'"level":', b'"level":1', 1)))
    world.start_engine()
    process = world.engines[-1]
    assert process.wait(20) == 4
    assert process.stderr is not None
    assert b"line 3" in process.stderr.read()


@pytest.mark.slow
def test_kill_switch_and_closed_market_refuse_entries(make: Make, bars: list[Bar]) -> None:
    world = make("09:30", "09:50", 480)
    world.write_history()
    world.run.kill_switch.write_text("drill (by the test)\n")
    world.start_engine()
    world.play()
    world.wait(lambda stats: stats.gauge("killed", default=False) and stats.gauge("bars", 0) >= 6)
    world.run.kill_switch.unlink()
    world.day_sessions(closed=True)
    world.wait(lambda stats: not stats.gauge("killed", default=True))
    world.wait_for_bar(world.end_ns - NS_PER_MIN)
    assert world.stop_engine() == 0
    assert [line.data["on"] for line in world.journal() if line.type == "KILL"] == [True, False]
    killed = [row for row in world.rows("REJECT") if row[10] == "KILL"]
    assert killed, "the signal of 09:31 is refused by the kill switch"


@pytest.mark.slow
def test_mistakes_of_the_operator_are_named(make: Make) -> None:
    world = make("09:25", "09:40", 600)
    world.write_history()
    cases = [
        ({"PJ__EXECUTION__ROUTE": "traderspost"}, b"PJ_TRADERSPOST_WEBHOOK_URL"),
        ({"PJ__EXECUTION__ROUTE": "ibkr", "PJ__EXECUTION__POSITION_SOURCE": "none"}, b"ibkr"),
        ({"PJ__STRATEGY__PJ__MAX_QYT": "3"}, b"max_qyt"),
        ({"PJ_CLOCK_SPEED": "fast"}, b"clock"),
    ]
    for extra, word in cases:
        process = world.start_engine(**extra)
        assert process.wait(20) == 2, extra
        assert process.stderr is not None
        said = process.stderr.read()
        assert word in said, said
        assert said.count(b"\n") == 1, "one clear sentence"


@pytest.mark.slow
def test_a_day_begun_on_one_route_is_not_continued_on_another(make: Make) -> None:
    world = make("09:25", "09:30", 300)
    world.write_history()
    world.start_engine()
    world.play()
    world.wait(lambda stats: stats.gauge("bars", 0) >= 2)
    assert world.stop_engine() == 0
    url = "http://127.0.0.1:9/trading/webhook/00000000-0000-0000-0000-000000000000/x"
    process = world.start_engine(PJ__EXECUTION__ROUTE="traderspost", PJ_TRADERSPOST_WEBHOOK_URL=url)
    assert process.wait(20) == 2
    assert process.stderr is not None
    assert b"paper" in process.stderr.read()


@pytest.mark.slow
def test_there_is_one_engine_and_it_trusts_no_damaged_bar(make: Make) -> None:
    world = make("09:25", "09:32", 300)
    world.write_history()
    world.start_engine()
    world.play()
    world.wait(lambda stats: stats.gauge("bars", 0) >= 2)
    second = world.start_engine()
    assert second.wait(20) == 1
    assert second.stderr is not None
    assert b"engine.lock is held by another writer" in second.stderr.read()
    world.engines.insert(0, world.engines.pop())
    world.wait(lambda stats: stats.gauge("bars", 0) >= 5)
    assert world.stop_engine() == 0

    rows = world.paths.bars.read_bytes().split(b"\n")
    rows[2] = rows[2].replace(b".", b"x", 1)
    world.paths.bars.write_bytes(b"\n".join(rows))
    third = world.start_engine()
    assert third.wait(20) == 4
    assert third.stderr is not None
    # The journal's sums speak first: they name the anchored stretch that holds the row.
    assert re.search(rb"bars\.csv, lines \d+ to \d+: changed or gone", third.stderr.read())
