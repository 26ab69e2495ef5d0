"""Make bars of the embedded market generator for any number of trade dates, as bars and as a Parquet file."""

from __future__ import annotations

import datetime as dt
from functools import lru_cache
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from compiled_pairs import columns_of

from live.market import INSTRUMENTS, NS_PER_S, Bar
from pj.simulators.contracts import front
from pj.simulators.market import GeneratedTape
from pj.simulators.market_days import trading_days
from strategies.mle.tape import Tape

LAST_DAY = dt.date(2026, 5, 29)
_EVER_NS = 2**62


@lru_cache(maxsize=4)
def bars_of(days: int, seed: int = 7) -> tuple[Bar, ...]:
    """Return the minutes of the ``days`` trade dates up to LAST_DAY, one contract throughout."""
    dates = trading_days(LAST_DAY, days)
    made = GeneratedTape(front(INSTRUMENTS["MNQ"], LAST_DAY), seed, dates)
    return tuple(made.bars(0, _EVER_NS))


@lru_cache(maxsize=4)
def tape_of(days: int, seed: int = 7) -> Tape:
    """Return the same as a tape."""
    return Tape.of(columns_of(bars_of(days, seed)))


def write_bars(path: Path, days: int, seed: int = 7) -> Path:
    """Write the same as the Parquet file that ``pj backtest`` reads."""
    bars = bars_of(days, seed)
    prices = {
        "open": [one.open_ticks / 4 for one in bars],
        "high": [one.high_ticks / 4 for one in bars],
        "low": [one.low_ticks / 4 for one in bars],
        "close": [one.close_ticks / 4 for one in bars],
    }
    ts = [dt.datetime.fromtimestamp(one.ts_ns // NS_PER_S, dt.UTC) for one in bars]
    rest = {"volume": [one.volume for one in bars], "contract": [one.contract for one in bars]}
    pq.write_table(pa.table({"ts": ts, **prices, **rest}), path)
    return path
