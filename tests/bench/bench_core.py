"""Print bars per second of the exact engine over a real file; asserts nothing.

Run: python -P tests/bench/bench_core.py FILE.parquet [--front]
"""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path

from live.engine import Engine, Route
from live.events import BarClosed
from live.market import INSTRUMENTS
from live.params import Params
from strategies.mle.phase16_pj_engine import load_bars

ROUNDS = 5


def main() -> int:
    """Time file reading and stepping apart."""
    path, front = Path(sys.argv[1]), "--front" in sys.argv[2:]
    began = time.perf_counter()
    bars = load_bars(path, INSTRUMENTS["MNQ"], front=front)
    print(f"{len(bars)} bars read and checked in {time.perf_counter() - began:.3f} s")
    rates = []
    for _ in range(ROUNDS):
        step = Engine(Params(), INSTRUMENTS["MNQ"], Route.SIMULATED).step
        began = time.perf_counter()
        for bar in bars:
            step(BarClosed(bar))
        rates.append(len(bars) / (time.perf_counter() - began))
    print(f"engine, exact: median {statistics.median(rates):,.0f} bars/s, worst {min(rates):,.0f}, of {ROUNDS} rounds")
    return 0


if __name__ == "__main__":
    sys.exit(main())
