"""Run seeds of the simulation: ``python -P tests/simulation/run.py --seeds 10000 [--first N] [--jobs 2] [--story]``.

Prints each broken seed with the fewest kinds of fault that still break it and the end of that story; exit code 1 when
there is one. The same seed is the same run, always.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parents[2])]

from sim_world import ROUTES, SIDE_ROUTES, World, route_of, run_seed  # noqa: E402 - the folder is on the path only now

SHOWN = 25


def live(job: tuple[int, str]) -> tuple[int, str, list[str], float, str]:
    """Return seed, route, what broke, the seconds simulated and the digest of one run."""
    seed, route = job
    world = run_seed(seed, route=route)
    return seed, route, world.failures, world.plan.minutes * 60.0, world.digest


def shrunk(seed: int, route: str) -> World:
    """Return the run with the fewest kinds of fault that still breaks something."""
    world = run_seed(seed, route=route)
    for kind in sorted(world.plan.kinds):
        less = run_seed(seed, keep=world.plan.kinds - {kind}, route=route)
        if less.failures:
            world = less
    return world


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument(
        "--route", choices=(*ROUTES, *SIDE_ROUTES), action="append", help="only this route (default: all of them)"
    )
    parser.add_argument("--story", action="store_true", help="print the whole event log of each seed")
    arguments = parser.parse_args()
    seeds = range(arguments.first, arguments.first + arguments.seeds)
    named = arguments.route
    if arguments.story:
        for seed in seeds:
            for route in named or [route_of(seed)]:
                print("\n".join(run_seed(seed, route=route).story))
    begin, bad, simulated = time.perf_counter(), [], 0.0
    jobs = [(seed, named[seed % len(named)] if named else route_of(seed)) for seed in seeds]
    with multiprocessing.Pool(arguments.jobs) as pool:
        for seed, route, failures, seconds, _digest in pool.imap(live, jobs, chunksize=4):
            simulated += seconds
            if failures:
                bad.append((seed, route))
                print(f"seed {seed} ({route}): {failures[0][:300]}", flush=True)
    took = time.perf_counter() - begin
    for seed, route in bad[:5]:
        world = shrunk(seed, route)
        print(
            f"\nseed {seed} ({route}) with only {', '.join(sorted(world.plan.kinds)) or 'nothing'}: {world.failures[0]}"
        )
        print("\n".join(world.story[-SHOWN:]))
    speed = f"{simulated / took:.0f}x real time on {arguments.jobs} cores"
    print(f"{len(seeds)} seeds, {len(bad)} broken, {took:.1f} s, {speed}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
