"""Write a made-up file of bars and run ``pj search`` on it in processes of its own."""

from __future__ import annotations

import datetime as dt
import hashlib
import random
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from live.market import NS_PER_S, Bar

SPACE = """
fixed: {windows: [["18:00", "17:00"]], risk_per_trade_usd: 400, min_prev_day_bars: 1, cooldown_min: 0}
swing_n: [2, 5]
sweep_min_ticks: [1, 2, 3]
reclaim_max_min: [2, 10]
stop_buffer_ticks: {from: 1, to: 4, step: 1}
target_r: [1, 3/2, 2]
max_hold_min: [10, 60]
min_risk_ticks: [2, 30]
max_risk_ticks: [20, 200]
"""


def market(days: int, seed: int = 1) -> list[Bar]:
    """Return ``days`` trade dates of a restless made-up market, 09:30 to 16:00 ET in winter."""
    rng = random.Random(seed)
    bars, price = [], 80_000
    for day in range(days):
        date = dt.datetime(2025, 1, 6, 14, 30, tzinfo=dt.UTC) + dt.timedelta(days=day // 5 * 7 + day % 5)
        for minute in range(390):
            ts = int(date.timestamp()) + 60 * minute
            open_, close = price, price + rng.randint(-12, 12) + (80_000 - price) // 90
            high = max(open_, close) + rng.randint(0, 6)
            low = min(open_, close) - rng.randint(0, 6)
            bars.append(Bar(ts * NS_PER_S, open_, high, low, close, rng.randint(1, 99)))
            price = close
    return bars


def write_bars(path: Path, bars: list[Bar]) -> Path:
    stamps = pa.array([bar.ts_ns // NS_PER_S for bar in bars], pa.timestamp("s", "UTC"))
    columns = {"ts": stamps, "volume": [bar.volume for bar in bars]}
    for name in ("open", "high", "low", "close"):
        columns[name] = [getattr(bar, f"{name}_ticks") * 0.25 for bar in bars]
    pq.write_table(pa.table(columns), path)
    return path


def command(bars: Path, space: Path, out: Path, *more: str) -> list[str]:
    words = [sys.executable, "-P", "-m", "pj.cli", "search", "--bars", str(bars), "--space", str(space)]
    return [*words, "--out", str(out), "--threads", "1", *more]


def run(*words: str, timeout: float = 250, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, capture_output=True, text=True, timeout=timeout, check=False, env=env)


def bytes_of(folder: Path) -> dict[str, str]:
    """Return a hash per file of a folder, hidden ones included."""
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in found}
