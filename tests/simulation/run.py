"""Run seeds of the simulation from a command line: ``python -P tests/simulation/run.py --seeds 10000 [--jobs 2]``."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parents[2])]

from sim_world import run_seed  # noqa: E402 - the folder is on the path only now


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--story", action="store_true", help="print the whole event log of each seed")
    arguments = parser.parse_args()
    begin = time.perf_counter()
    bad, simulated = 0, 0.0
    seeds = range(arguments.first, arguments.first + arguments.seeds)
    for seed in seeds:
        world = run_seed(seed)
        simulated += world.plan.minutes * 60
        if arguments.story:
            print("\n".join(world.story))
        if world.failures:
            bad += 1
            print(f"seed {seed}: {world.failures[0]}")
    took = time.perf_counter() - begin
    print(f"{len(seeds)} seeds, {bad} broken, {took:.1f} s, {simulated / took:.0f}x real time")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
