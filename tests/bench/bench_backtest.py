"""Print how fast PJ-1 runs over bars: compiled and exact, warm and in a fresh process; asserts nothing.

Run: python -P tests/bench/bench_backtest.py [FILE.parquet [--front]] [--json]
Without a file the bars are a seeded random walk. ``year`` is the file tiled by whole weeks to a year of minutes.
Figures are medians and the best of the rounds, and per processor second, which other work disturbs least.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from live.engine import Engine, Route
from live.events import BarClosed
from live.market import INSTRUMENTS, NS_PER_S
from live.params import Params
from live.trading_day import is_trading_minute
from strategies.mle.bar_file import BarColumns, load_columns
from strategies.mle.compiled import reclaims, run_compiled, trade_table
from strategies.mle.phase16_pj_engine import run_backtest
from strategies.mle.tape import Tape

MNQ = INSTRUMENTS["MNQ"]
ROUNDS = 7
YEAR_BARS = 350_000
WEEK_NS = 7 * 86_400 * NS_PER_S
EXACT_BARS = 60_000
SEED = 20260415


def walk(bars: int) -> BarColumns:
    """Return a seeded random walk over real trading minutes, prices in ticks."""
    rng = np.random.default_rng(SEED)
    start = int(dt.datetime(2025, 1, 5, 23, 0, tzinfo=dt.UTC).timestamp())
    stamps = [ts for ts in range(start, start + bars * 90, 60) if is_trading_minute(ts * NS_PER_S)][:bars]
    moves = rng.integers(-12, 13, len(stamps))
    close = 80_000 + np.cumsum(moves)
    open_ = close - moves
    high = np.maximum(open_, close) + rng.integers(0, 14, len(stamps))
    low = np.minimum(open_, close) - rng.integers(0, 14, len(stamps))
    volume = rng.integers(1, 900, len(stamps))
    return BarColumns(np.asarray(stamps) * NS_PER_S, open_, high, low, close, volume, ["MNQZ5"] * len(stamps))


def tiled(columns: BarColumns, bars: int) -> BarColumns:
    """Return the columns repeated, each copy later by whole weeks, cut to ``bars`` rows."""
    weeks = -(-int(columns.ts_ns[-1] - columns.ts_ns[0] + 60 * NS_PER_S) // WEEK_NS)
    copies = -(-bars // len(columns.ts_ns))
    rows = np.tile(np.arange(len(columns.ts_ns)), copies)[:bars]
    shift = np.repeat(np.arange(copies) * weeks * WEEK_NS, len(columns.ts_ns))[:bars]
    many = columns.take(rows)
    return BarColumns(many.ts_ns + shift, many.open_, many.high, many.low, many.close, many.volume, many.contract)


def write(path: Path, columns: BarColumns) -> None:
    """Write the columns as the Parquet file they could have come from."""
    points = {name: getattr(columns, field) * 0.25 for name, field in (("open", "open_"), ("high", "high"))}
    points |= {name: getattr(columns, name) * 0.25 for name in ("low", "close")}
    stamps = pa.array(columns.ts_ns, pa.timestamp("ns", "UTC"))
    names = pa.array(list(columns.contract)).dictionary_encode()
    pq.write_table(pa.table({"ts": stamps, **points, "volume": columns.volume, "contract": names}), path)


class Times(NamedTuple):
    """Hold the wall and the processor seconds of each round."""

    wall: list[float]
    cpu: list[float]


def seconds(work: Callable[[], object], rounds: int = ROUNDS) -> Times:
    """Time ``work``; the processor's seconds leave out what other programs took."""
    found = Times([], [])
    for _ in range(rounds):
        began, began_cpu = time.perf_counter(), time.process_time()
        work()
        found.wall.append(time.perf_counter() - began)
        found.cpu.append(time.process_time() - began_cpu)
    return found


def rate(bars: int, times: Times) -> dict[str, float]:
    """Return bars per second: median and best by the wall clock, median by processor time."""
    return {
        "median": round(bars / statistics.median(times.wall)),
        "best": round(bars / min(times.wall)),
        "median of processor time": round(bars / statistics.median(times.cpu)),
    }


def cold(path: Path, out: Path) -> Times:
    """Time ``pj backtest`` in processes of their own, its compiled code on disk already (Windows: no child times)."""
    command = [sys.executable, "-P", "-m", "pj.cli", "backtest", "--bars", str(path), "--out", str(out), "--json"]
    found = Times([], [])
    for _ in range(3):
        began, before = time.perf_counter(), os.times()
        subprocess.run(command, check=True, capture_output=True, env=dict(os.environ))
        found.wall.append(time.perf_counter() - began)
        after = os.times()
        children = after.children_user + after.children_system - before.children_user - before.children_system
        found.cpu.append(children)
    return found


def exact_rate(columns: BarColumns) -> dict[str, float]:
    """Return what the live engine steps per second."""
    events = [BarClosed(bar) for bar in columns.bars()[:EXACT_BARS]]

    def step_all() -> None:
        step = Engine(Params(), MNQ, Route.SIMULATED).step
        for event in events:
            step(event)

    return rate(len(events), seconds(step_all, 3))


def measure(columns: BarColumns, folder: Path) -> dict[str, object]:
    """Return all figures."""
    tape, params = Tape.of(columns), Params()
    run_compiled(tape, params)
    year = tiled(columns, YEAR_BARS)
    path = folder / "year.parquet"
    write(path, year)
    found = reclaims(tape, params)
    run_backtest(path, folder / "warm", params)
    fresh = cold(path, folder / "cold")
    warm = seconds(lambda: run_backtest(path, folder / "warm", params))
    return {
        "bars": len(tape),
        "compiled bars/s": rate(len(tape), seconds(lambda: run_compiled(tape, params))),
        "structure pass bars/s": rate(len(tape), seconds(lambda: reclaims(tape, params))),
        "money pass bars/s": rate(len(tape), seconds(lambda: trade_table(tape, found, params))),
        "year bars": len(year.ts_ns),
        "year warm s": round(statistics.median(warm.wall), 3),
        "year warm processor s": round(statistics.median(warm.cpu), 3),
        "year cold s": round(statistics.median(fresh.wall), 3),
        "year cold processor s": round(statistics.median(fresh.cpu), 3),
        "exact bars/s": exact_rate(columns),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
        if hasattr(os, "getloadavg")
        else platform.machine(),
    }


def main() -> int:
    """Print the table, or JSON."""
    parser = argparse.ArgumentParser(description="Time the backtester.")
    parser.add_argument("file", nargs="?", type=Path)
    parser.add_argument("--front", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    columns = load_columns(options.file, MNQ, front=options.front) if options.file else walk(150_000)
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(columns, Path(folder))
    if options.json:
        print(json.dumps(figures, indent=1))
        return 0
    for name, figure in figures.items():
        shown = (
            ", ".join(f"{key} {value:,.0f}" for key, value in figure.items()) if isinstance(figure, dict) else figure
        )
        print(f"{name:<24} {shown}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
