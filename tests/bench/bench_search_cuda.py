"""Print how fast the search is on a CUDA GPU beside all processors of the same machine; asserts no times.

Run: python -P tests/bench/bench_search_cuda.py FILE.parquet [--front] [--combinations N] [--rounds N]

The space has at least a million combinations unless told otherwise; both backends' results are compared bit for bit.
Without a GPU it says so and measures nothing (exit 1).
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))

from bench_search import SPACE

from live.market import INSTRUMENTS
from strategies.mle.bar_file import load_columns
from strategies.mle.search import cuda
from strategies.mle.search.batches import Searcher
from strategies.mle.search.plan import Plan, rows_of_part
from strategies.mle.search.space import Space, read_space
from strategies.mle.tape import Tape


def space_of(combinations: int) -> Space:
    """Return the space of bench_search.py with so many more stop buffers and holds that it is large enough."""
    per = read_space(SPACE).total // (len(SPACE["stop_buffer_ticks"]) * len(SPACE["max_hold_min"]))
    each = int((combinations / per) ** 0.5) + 1
    raw = {**SPACE, "stop_buffer_ticks": list(range(each)), "max_hold_min": list(range(10, 10 + each))}
    return read_space(raw)


def run(searcher: Searcher, plan: Plan) -> tuple[float, list[bytes]]:
    """Return the seconds that all parts took, and each part's totals and days as bytes."""
    began = time.perf_counter()
    told = []
    for part in range(len(plan)):
        block = searcher.block(plan.trials(part))
        told.append(np.concatenate([block.totals, block.sums], axis=1).tobytes() + block.daily.tobytes()[:4096])
    return time.perf_counter() - began, told


def main() -> int:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("bars", type=Path)
    parser.add_argument("--front", action="store_true")
    parser.add_argument("--combinations", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    if not cuda.is_available():
        print("no CUDA GPU here: nothing measured")
        return 1
    tape = Tape.of(load_columns(args.bars, INSTRUMENTS["MNQ"], front=args.front))
    space = space_of(args.combinations)
    plan = Plan(space, rows_of_part(len(tape.days)))
    print(f"{cuda.device_name()}; {os.cpu_count()} processors; {space.total:,} combinations x {len(tape):,} bars")
    seconds = {}
    told = {}
    for name, kind in (("cpu", Searcher), ("cuda", cuda.CudaSearcher)):
        kind(space, tape).block(plan.trials(0)[:100])  # compiles
        rounds = [run(kind(space, tape), plan) for _ in range(args.rounds)]
        seconds[name], told[name] = statistics.median(took for took, _ in rounds), rounds[0][1]
        rate = space.total * len(tape) / seconds[name]
        print(f"{name:<5} {seconds[name]:9.2f} s {rate / 1e9:9.1f} G parameter-bars/s")
    print(f"cuda is {seconds['cpu'] / seconds['cuda']:.1f} times as fast; equal bits: {told['cpu'] == told['cuda']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
