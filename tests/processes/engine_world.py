"""Put an engine process into a run folder that lives: a tape written as time passes, a beating bridge, a schedule.

The writer uses the product's own tape writer and stamps rows by a scaled clock that the engine shares, so the
engine meets exactly the files a bridge would give it, only faster.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

from live.market import INSTRUMENTS, NS_PER_MIN, NS_PER_S, Bar, Instrument, TickKind
from live.records import EVENT_COLUMNS, TRADE_COLUMNS
from live.trading_day import at_minute_ns, day_start_ns, minute_of_wall, trade_date
from pj.calendar import Session, Sessions, write_sessions
from pj.channels.csvlog import read_rows, write_rows
from pj.channels.daytape import DayTape
from pj.channels.formats import BAR_COLUMNS, HISTORY_COLUMNS, TAPE_COLUMNS, PriceText, history_row, parse_bar
from pj.channels.journal import JournalLine, read_journal, verify_run
from pj.channels.rundir import RunDir
from pj.channels.stats import Stats, StatsWriter, read_stats
from pj.clock import ScaledClock

MNQ = INSTRUMENTS["MNQ"]
DECISIONS = ("SIGNAL", "REJECT", "TRADE")
CORE_TYPES = frozenset({"DEFINED", "SWEPT", "RECLAIMED", "SIGNAL", "REJECT", "DEAD", "ENTRY_CANCEL", "LOCK", "TRADE"})


def wall(day: date, text: str) -> int:
    """Return ns UTC of an ET wall time of trade date ``day``."""
    return at_minute_ns(day, minute_of_wall(text))


def bars_of_two_days(bars: Iterable[Bar], day: date, contract: str) -> list[Bar]:
    """Return the bars of ``day`` and of the trade date before it, under the exchange's contract name."""
    by_day: dict[date, list[Bar]] = {}
    for bar in bars:
        by_day.setdefault(trade_date(bar.ts_ns), []).append(replace(bar, contract=contract))
    before = max(other for other in by_day if other < day)
    return by_day[before] + by_day[day]


def path_of(bar: Bar) -> list[tuple[int, int, int]]:
    """Return (ns in the minute, price, size) of trades that make exactly this bar."""
    far, near = (bar.low_ticks, bar.high_ticks) if bar.close_ticks > bar.open_ticks else (bar.high_ticks, bar.low_ticks)
    share = bar.volume // 4
    sizes = (share, share, share, bar.volume - 3 * share)
    prices = (bar.open_ticks, far, near, bar.close_ticks)
    return [(at * NS_PER_S, p, s) for at, p, s in zip((2, 14, 26, 38), prices, sizes, strict=True)]


@dataclass
class World:
    """Hold one run folder and what lives in it."""

    root: Path
    day: date
    bars: list[Bar]
    start_ns: int
    end_ns: int
    speed: float
    instrument: Instrument = MNQ
    settings: dict[str, str] = field(default_factory=dict)
    engines: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.run = RunDir(self.root, self.instrument).create()
        self.prices = PriceText(self.instrument)
        self.paths = self.run.day(self.day)
        self.clock = ScaledClock(self.start_ns, time.time_ns() + 1_000_000_000, self.speed)
        self._stop = threading.Event()
        self.paused = threading.Event()
        self.trouble: BaseException | None = None
        self.position_rows: list[dict[str, str]] = []
        self.day_sessions()

    def day_sessions(self, *, closed: bool = False) -> None:
        """Write the schedule: both trade dates open as usual, or nothing open."""
        days = sorted({trade_date(bar.ts_ns) for bar in self.bars})
        rows = [Session(d, day_start_ns(d), at_minute_ns(d, 1380)) for d in (days[:1] if closed else days)]
        write_sessions(self.run.session_file, Sessions(tuple(rows), days[0], days[-1]))

    def env(self) -> dict[str, str]:
        plain = {name: value for name, value in os.environ.items() if not name.startswith("PJ_")}
        settings = {"run_dir": str(self.root), "symbol": self.instrument.symbol, **self.settings}
        wishes = {"PJ__" + key.upper().replace(".", "__"): value for key, value in settings.items()}
        return {**plain, **self.clock.to_env(), **wishes, "PJ_CONFIG": str(self.config_file())}

    def config_file(self) -> Path:
        path = self.root.parent / "config.yaml"
        if not path.exists():
            path.write_text("profile: sim\n")
        return path

    def write_history(self, until_ns: int | None = None) -> None:
        """Write history.csv as the bridge does at its start."""
        until_ns = until_ns or self.start_ns
        past = [bar for bar in self.bars if bar.ts_ns + NS_PER_MIN <= until_ns]
        paths = self.run.day_at(until_ns).create()
        write_rows(paths.history, HISTORY_COLUMNS, (history_row(bar, self.prices) for bar in past))

    def play(self) -> threading.Thread:
        """Write the tape from now on, in a thread, until the end or ``stop``."""
        thread = threading.Thread(target=self._play, daemon=True)
        thread.start()
        return thread

    def _play(self) -> None:
        try:
            self._write_tape()
        except BaseException as error:
            self.trouble = error

    def _write_tape(self) -> None:
        todo = [
            (bar.ts_ns + at, price, size, bar.contract)
            for bar in self.bars
            if self.start_ns <= bar.ts_ns < self.end_ns and not bar.heartbeat
            for at, price, size in path_of(bar)
        ]
        stats = StatsWriter(self.run.state("bridge"), "bridge", "test", every_s=0.3)
        tape = DayTape(self.run, self.start_ns)
        try:
            at = 0
            while not self._stop.is_set():
                now_ns = min(self.clock.now_ns(), self.end_ns)
                if not self.paused.is_set():
                    while at < len(todo) and todo[at][0] <= now_ns:
                        stamp, price, size, contract = todo[at]
                        at += 1
                        tape.cross_edges(stamp)
                        text = self.prices.text(price)
                        tape.add(stamp, TickKind.TRADE, text, size, exch_ns=stamp, source="TBT", contract=contract)
                    tape.cross_edges(now_ns)
                    tape.flush()
                stats.beat_if_due("RUNNING", connected=True, market_data_type=1)
                if now_ns >= self.end_ns:
                    break
                time.sleep(0.002)
        finally:
            tape.close()

    def start_engine(self, **extra: str) -> subprocess.Popen[bytes]:
        """Start the engine process."""
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "pj.processes.run_live_engine"],
            env={**self.env(), **extra},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        self.engines.append(process)
        return process

    def kill_engine(self) -> None:
        """Kill the newest engine as a crash would."""
        self.engines[-1].kill()
        self._reap(self.engines[-1])

    def stop_engine(self, within_s: float = 5.0) -> int:
        """Ask the newest engine to stop and return its exit code."""
        process = self.engines[-1]
        process.send_signal(signal.SIGTERM)
        process.wait(within_s)
        self._reap(process)
        return int(process.returncode)

    def _reap(self, process: subprocess.Popen[bytes]) -> None:
        process.wait(10)
        if process.stderr is not None:
            process.stderr.close()

    def close(self) -> None:
        """End everything that was started."""
        self._stop.set()
        for process in self.engines:
            if process.poll() is None:
                process.kill()
            self._reap(process)

    def stats(self) -> Stats | None:
        """Return what the engine says of itself."""
        return read_stats(self.run.state("engine"))

    def wait_for_bar(self, ts_ns: int, limit_s: float = 30.0) -> None:
        """Return when the engine has taken the bar that opens at ``ts_ns``."""
        self.wait(lambda stats: stats.gauge("last_bar_ts_ns", 0) >= ts_ns and stats.phase == "RUNNING", limit_s)

    def wait(self, done: Any, limit_s: float = 30.0) -> Stats:
        """Return the engine's stats once ``done(stats)`` holds; fail after ``limit_s``."""
        deadline = time.monotonic() + limit_s
        while time.monotonic() < deadline:
            if self.trouble is not None:
                raise AssertionError(f"the tape's writer failed: {self.trouble!r}")
            process = self.engines[-1]
            if process.poll() is not None:
                words = process.stderr.read().decode() if process.stderr else ""
                raise AssertionError(f"the engine ended with {process.returncode}: {words}")
            stats = self.stats()
            if stats is not None and stats.pid == process.pid and done(stats):
                return stats
            time.sleep(0.02)
        raise AssertionError(f"waited {limit_s} s in vain; the engine says {self.stats()}")

    # -- what came of it ---------------------------------------------------------------------------

    def own_bars(self) -> list[Bar]:
        """Return bars.csv."""
        return [parse_bar(row, self.prices) for row in read_rows(self.paths.bars, BAR_COLUMNS)]

    def traded(self) -> set[float]:
        """Return the prices in points of all trades on the day's tape."""
        return {float(row["price"]) for row in read_rows(self.paths.market, TAPE_COLUMNS) if row["kind"] == "TRADE"}

    def journal(self) -> list[JournalLine]:
        """Return the verified journal of all days."""
        verify_run(self.run)
        return [line for day in self.run.days() for line in read_journal(self.run.day(day).journal)]

    def rows(self, *kinds: str) -> list[tuple[str, ...]]:
        """Return the deciding columns of the journal's lines of these types, as text."""
        found = []
        for line in self.journal():
            if line.type in (kinds or CORE_TYPES):
                columns = TRADE_COLUMNS if line.type == "TRADE" else EVENT_COLUMNS
                found.append((line.type, *(str(line.data[name]) for name in columns)))
        return found


def ohlcv(bar: Bar) -> tuple[int, ...]:
    """Return what makes a bar equal to its source."""
    return (bar.ts_ns, bar.open_ticks, bar.high_ticks, bar.low_ticks, bar.close_ticks, bar.volume)


def replayed(world: World) -> tuple[list[str], dict[str, Any]]:
    """Return faults and final snapshot of a fresh core stepped through what the day's files recorded."""
    from live.broker_watch import DeskRules
    from live.engine import Engine, Route
    from live.params import Params
    from pj.processes.engine.book import DayBook
    from pj.processes.engine.recorded import read_day, replay

    route = Route.SIMULATED if world.settings.get("execution.route", "paper") == "paper" else Route.BROKER
    engine = Engine(Params(), world.instrument, route, DeskRules(int(10e9 * world.speed)))
    day = read_day(world.run, world.day, world.prices)
    book = DayBook(world.run, world.paths, world.instrument, world.clock)
    try:
        replay(engine, day, lambda commands, _count: (book.record(commands, engine.mode), None)[1])
        book.end_replay()
        return [*day.faults, *([book.mismatch] if book.mismatch else [])], engine.snapshot()
    finally:
        book.close()
