"""Hold the GPU's blocks to the processors', bit for bit; run as a program under numba's simulator or on a real GPU."""

from __future__ import annotations

import random
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(folder) for folder in (HERE, HERE.parent, HERE.parents[1] / "oracle")]

import numpy as np  # noqa: E402
from search_cases import random_case, tape_of  # noqa: E402

from strategies.mle.search.batches import Searcher  # noqa: E402
from strategies.mle.search.cuda import CudaSearcher, device_name  # noqa: E402


def compare(seed: int, axes: int) -> tuple[int, int]:
    """Return rows and trades of one random tape and space on which both agree; raises AssertionError."""
    bars, space = random_case(random.Random(seed), axes)
    tape = tape_of(bars)
    trials = np.flatnonzero(space.allowed(space.places(np.arange(space.total))))
    if not len(trials):
        return 0, 0
    one, two = (kind(space, tape, threads=1).block(trials) for kind in (Searcher, CudaSearcher))
    for name in ("totals", "daily", "sums", "high_sums", "sharpe"):
        assert np.array_equal(getattr(one, name), getattr(two, name), equal_nan=True), (seed, name)
    return len(trials), int(one.totals[:, 0].sum())


def main() -> int:
    """Compare as many seeds as asked and print what was compared."""
    seeds, axes = int(sys.argv[1]), int(sys.argv[2])
    found = [compare(seed, axes) for seed in range(seeds)]
    print(f"{device_name()}: {sum(rows for rows, _ in found)} rows, {sum(trades for _, trades in found)} trades equal")
    return 0


if __name__ == "__main__":
    sys.exit(main())
