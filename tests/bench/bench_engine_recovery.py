"""Measure the engine's recovery: kill -9 to the first RUNNING beat of the next one with the day's state restored.

``python -P tests/bench/bench_engine_recovery.py [--trials N] [--rebuilds N] [--folder DIR]`` prints figures and asserts
only that what was measured happened. DIR is built when it is missing and can be measured again.

The folder is what a supervised run leaves at 17:00 ET: yesterday (a light tape) and a whole trade date of 1,380 minutes
with more than a million TRADE and QUOTE rows and 1 Hz heartbeats; bars, journal and trades were written by the real
engine, which lived through the day at SPEED times real time. While trials run the tape goes on at 1 Hz.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).parents[1] / "processes"))
from engine_world import MNQ, World

from live.market import NS_PER_MIN, NS_PER_S, Bar, TickKind
from live.trading_day import at_minute_ns
from pj.channels.fence import grant
from pj.channels.journal import read_journal
from pj.channels.stats import Stats, StatsWriter, read_stats
from pj.channels.tape import TapeWriter, open_tape
from pj.clock import ScaledClock
from pj.simulators.market import GeneratedTape, generate

DAY = date(2026, 4, 15)
YESTERDAY = DAY - timedelta(days=1)
MINUTES = 1380
SPEED = 600.0
SEED = 3
#: Contracts in one TRADE row on average: about 400 trades and as many quotes in a minute.
LOT = 3
LIMIT_S = 60.0
Row = tuple[int, TickKind, int, int, int]


def rows_of(tape: GeneratedTape, minute_ns: int, lot: int) -> list[Row]:
    """Return a minute's rows (stamp, kind, price ticks, size, bid ticks): its prints in lots, a quote after each."""
    dice = Random(minute_ns)
    beats = range(minute_ns + NS_PER_S // 2, minute_ns + NS_PER_MIN, NS_PER_S)
    rows: list[Row] = [(stamp, TickKind.HEARTBEAT, 0, 0, 0) for stamp in beats]
    for trade in tape.prints(minute_ns):
        left = trade.size
        while left > 0:
            size = min(left, dice.randint(1, 2 * lot - 1))
            left -= size
            stamp = trade.exch_ns + dice.randrange(NS_PER_S)
            stamp = min(stamp, minute_ns + NS_PER_MIN - 1)
            rows.append((stamp, TickKind.TRADE, trade.price_ticks, size, 0))
            rows.append((stamp, TickKind.QUOTE, 0, 1 + size % 9, trade.price_ticks - dice.randint(0, 1)))
    rows.sort(key=lambda row: row[0])
    return rows


class Day:
    """Write one day's tape with the product's writer, minute by minute."""

    def __init__(self, world: World, tape: GeneratedTape, day: date, lot: int) -> None:
        self.writer = TapeWriter(world.run.day(day).create().market, MNQ)
        self.market_rows = 0
        self._tape, self._lot, self._text = tape, lot, world.prices.text
        self._contract = tape.future.local_symbol

    def write(self, minute_ns: int) -> None:
        """Write one minute and its closing edge."""
        writer, text, contract = self.writer, self._text, self._contract
        writer.cross_edges(minute_ns)
        for stamp, kind, price, size, bid in rows_of(self._tape, minute_ns, self._lot):
            if kind is TickKind.TRADE:
                writer.add(stamp, kind, text(price), size, exch_ns=stamp, source="TBT", contract=contract)
            elif kind is TickKind.QUOTE:
                writer.add(stamp, kind, "", size, text(bid), text(bid + 1), stamp, "TBT", contract)
            else:
                writer.heartbeat(stamp)
                continue
            self.market_rows += 1
        writer.cross_edges(minute_ns + NS_PER_MIN)
        writer.flush()


def build(root: Path) -> None:
    """Make the run folder by letting the real engine live through it."""
    (tape,) = generate("MNQ", "", DAY, SEED).tapes.values()
    assert isinstance(tape, GeneratedTape)
    begin, end = at_minute_ns(YESTERDAY, 0), at_minute_ns(DAY, MINUTES)
    world = World(root, DAY, _bars(tape, begin, end), at_minute_ns(DAY, 0), end, SPEED)
    try:
        _live_yesterday(world, tape)
        told = _live_today(world, tape)
    finally:
        world.close()
    (root.parent / "built.json").write_text(json.dumps(told))


def _bars(tape: GeneratedTape, begin_ns: int, end_ns: int) -> list[Bar]:
    return [bar for bar in tape.bars(begin_ns, end_ns) if bar.ts_ns < end_ns]


def _live_yesterday(world: World, tape: GeneratedTape) -> None:
    """Leave yesterday's records: the engine starts at its end and catches up."""
    begin = at_minute_ns(YESTERDAY, 0)
    world.clock = ScaledClock(at_minute_ns(YESTERDAY, MINUTES), time.time_ns(), 1.0)
    world.write_history(begin + NS_PER_MIN)
    day = Day(world, tape, YESTERDAY, 1000)
    for minute in range(MINUTES):
        day.write(begin + minute * NS_PER_MIN)
    day.writer.close()
    world.start_engine()
    world.wait(lambda stats: stats.gauge("bars", 0) >= MINUTES - 1 and stats.phase == "RUNNING", LIMIT_S)
    assert world.stop_engine() == 0


def _live_today(world: World, tape: GeneratedTape) -> dict[str, int]:
    """Let the engine live through the day as its tape is written, then stop it as a crash would."""
    begin = at_minute_ns(DAY, 0)
    world.clock = ScaledClock(begin, time.time_ns() + 3_000_000_000, SPEED)
    world.write_history(begin)
    stats = StatsWriter(world.run.state("bridge"), "bridge", "bench", every_s=0.3)
    stats.beat("RUNNING", connected=True, market_data_type=1)
    day = Day(world, tape, DAY, LOT)
    world.start_engine()
    for minute in range(MINUTES):
        minute_ns = begin + minute * NS_PER_MIN
        while world.clock.now_ns() < minute_ns + NS_PER_MIN:
            time.sleep(0.005)
        day.write(minute_ns)
        stats.beat_if_due("RUNNING", connected=True, market_data_type=1)
    world.wait(lambda stats: stats.gauge("bars", 0) >= MINUTES - 1, LIMIT_S)
    world.kill_engine()
    day.writer.close()
    lines = len(read_journal(world.paths.journal))
    size_mb = round(world.paths.market.stat().st_size / 1e6)
    return {"market_rows": day.market_rows, "tape_rows": day.writer.rows, "tape_mb": size_mb, "journal_lines": lines}


class Ticking:
    """Go on with the tape at 1 Hz in real time, as a bridge does in the daily halt."""

    def __init__(self, world: World) -> None:
        self._stop = threading.Event()
        self._world = world
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the tape."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        world = self._world
        stats = StatsWriter(world.run.state("bridge"), "bridge", "bench", every_s=0.3)
        tape = open_tape(world.paths.market, MNQ, world.clock.now_ns())
        while not self._stop.wait(0.25):
            now_ns = world.clock.now_ns()
            tape.cross_edges(now_ns)
            if now_ns - tape.last_recv_ns >= NS_PER_S:
                tape.heartbeat(now_ns)
            tape.flush()
            stats.beat_if_due("RUNNING", connected=True, market_data_type=1)
        tape.close()


def start(world: World) -> str:
    """Grant and start an engine as the Sentinel does; return its instance."""
    instance = uuid.uuid4().hex
    grant(world.run, "engine", instance)
    world.start_engine(PJ_INSTANCE=instance)
    return instance


def until_running(world: World, instance: str, bars: int) -> tuple[float, Stats]:
    """Return the monotonic second at which the stats file first said RUNNING with ``bars`` bars, and the stats."""
    path, deadline = world.run.state("engine"), time.monotonic() + LIMIT_S
    while time.monotonic() < deadline:
        stats = read_stats(path)
        there = stats is not None and stats.instance == instance and stats.phase == "RUNNING"
        if there and stats is not None and stats.gauge("bars", 0) >= bars:
            return time.monotonic(), stats
        assert world.engines[-1].poll() is None, "the engine ended by itself"
        time.sleep(0.001)
    raise AssertionError(f"waited {LIMIT_S} s in vain for {bars} bars; the engine says {read_stats(path)}")


def trials(world: World, count: int) -> Iterator[tuple[float, float]]:
    """Kill and restart ``count`` times; yield the seconds to the beat, and those of the process's CPU."""
    _, before = until_running(world, start(world), MINUTES - 1)
    dice = Random(1)
    for _ in range(count):
        time.sleep(dice.uniform(0.3, 1.3))
        before = read_stats(world.run.state("engine")) or before
        killed_s = time.monotonic()
        world.kill_engine()
        instance = start(world)
        beat_s, now = until_running(world, instance, before.gauge("bars", 0))
        assert now.gauge("journal_seq", 0) > before.gauge("journal_seq", 0), "the restart is journaled"
        assert now.gauge("pools", dict[str, int]()) == before.gauge("pools", dict[str, int]())
        cpu = _cpu_s(world.engines[-1].pid)
        yield beat_s - killed_s, cpu
        before = now
    world.kill_engine()


def _cpu_s(pid: int) -> float:
    import psutil

    return float(sum(psutil.Process(pid).cpu_times()[:2]))


def rebuilds(folder: Path, count: int, case: str) -> Iterator[tuple[float, float]]:
    """Start over a copy whose records are lost or behind, ``count`` times; yield as ``trials`` does."""
    for _ in range(count):
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
            root = Path(scratch) / "run"
            shutil.copytree(folder, root)
            world = opened(root)
            ticking = Ticking(world)
            try:
                lose(world, case)
                begun_s = time.monotonic()
                beat_s, _ = until_running(world, start(world), MINUTES - 1)
                yield beat_s - begun_s, _cpu_s(world.engines[-1].pid)
            finally:
                ticking.close()
                world.close()


def lose(world: World, case: str) -> None:
    """Take records away: ``bars`` (bars.csv), ``records`` (all of today's), or leave only the first five minutes."""
    paths = world.paths
    match case:
        case "bars":
            paths.bars.unlink()
        case "records":
            for path in (paths.bars, paths.journal, paths.trades):
                path.unlink(missing_ok=True)
        case "down":
            kept = paths.bars.read_bytes().split(b"\n")[:6]
            paths.bars.write_bytes(b"\n".join(kept) + b"\n")
            lines = [line for line in paths.journal.read_bytes().split(b"\n") if line]
            early = [line for line in lines if json.loads(line)["data"].get("after_bar", 0) <= 5]
            paths.journal.write_bytes(b"\n".join(early) + b"\n")
            paths.trades.unlink(missing_ok=True)
        case _:
            raise ValueError(case)


def opened(root: Path) -> World:
    """Return the built folder under a clock that stands at the day's end and goes on in real time."""
    (tape,) = generate("MNQ", "", DAY, SEED).tapes.values()
    begin, end = at_minute_ns(DAY, 0), at_minute_ns(DAY, MINUTES)
    world = World(root, DAY, _bars(tape, at_minute_ns(YESTERDAY, 0), end), begin, end, 1.0)
    world.clock = ScaledClock(end, time.time_ns(), 1.0)
    return world


def tell(what: str, found: list[tuple[float, float]]) -> None:
    """Print median, p95 and maximum in seconds."""
    waits = sorted(wait for wait, _ in found)
    if not waits:
        return
    p95 = waits[min(len(waits) - 1, -(-95 * len(waits) // 100) - 1)]
    cpu = statistics.median(cpu for _, cpu in found)
    print(
        f"{what}, n {len(waits)}: median {statistics.median(waits):.3f} s, p95 {p95:.3f} s, max {waits[-1]:.3f} s;"
        f" CPU of the new engine, median {cpu:.2f} s (load {os.getloadavg()[0]:.1f})"
    )


def main() -> None:
    """Build if needed, run the measurement, print it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--trials", type=int, default=50)
    parser.add_argument("--rebuilds", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="keep the built run here and use it again")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        base = options.folder or Path(scratch)
        base.mkdir(parents=True, exist_ok=True)
        if not (base / "built.json").exists():
            build(base / "run")
        print(" ".join(f"{name} {value}" for name, value in json.loads((base / "built.json").read_text()).items()))
        world = opened(base / "run")
        ticking = Ticking(world)
        try:
            tell("kill -9 to RUNNING with the day restored", list(trials(world, options.trials)))
        finally:
            ticking.close()
            world.close()
        for case, words in (
            ("bars", "bars.csv lost, whole tape rebuilt (REPLAY_MISMATCH stands)"),
            ("records", "all of today's records lost, day begun anew"),
            ("down", "engine was down since five minutes after the open"),
        ):
            tell(words, list(rebuilds(base / "run", options.rebuilds, case)))


if __name__ == "__main__":
    main()
