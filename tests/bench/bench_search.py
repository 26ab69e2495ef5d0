"""Print how fast the search is, beside the peers in the same run; asserts no times.

Run: python -P tests/bench/bench_search.py FILE.parquet [--front] [--peers DIR --data SCRATCH [--vectorbt PYTHON]]
     [--plot DIR] [--rounds N] [--threads N]

(a) The peers' simple rule, 10,000 combinations over 350,000 made-up bars: their sparse program and ours, equal row for
row; vectorbt's answer to the same rule when an interpreter that has it is named. (b) The whole of PJ-1, 10,000
combinations of structure and money over the file, file reading excluded. (c) Cost against combinations and bars; with
--plot also as search_cost.svg.
"""

from __future__ import annotations

import argparse
import importlib
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))

from simple_rule import SimpleSearch
from svg_lines import Panel, write_svg

from live.market import INSTRUMENTS
from strategies.mle.bar_file import load_columns
from strategies.mle.search.batches import Searcher
from strategies.mle.search.plan import PART_ROWS, Plan, rows_of_part
from strategies.mle.search.space import Space, read_space
from strategies.mle.tape import Tape
from strategies.mle.titan_search import BarChoice, run_search

KINDS = ["PD", "ASIA", "LDN", "OR", "NYAM", "NYL", "EQ", "SW"]
DAY = [["02:00", "05:00"], ["09:30", "11:30"], ["13:30", "15:45"]]
SPACE = {
    "use_kinds": [KINDS, ["PD", "ASIA", "LDN", "NYAM", "NYL", "OR"]],
    "sweep_min_ticks": [1, 2, 4, 8, 12],
    "reclaim_max_min": [3, 5, 10, 15, 20],
    "disp_den": [2, 3],
    "stop_buffer_ticks": [2, 4, 6, 8, 12],
    "target_r": ["1", "3/2", "2", "5/2", "3"],
    "max_hold_min": [30, 60],
    "windows": [DAY, [["09:30", "11:30"]]],
}
VECTORBT_COMBINATIONS = 20


def timed(call: Callable[[], Any], rounds: int) -> tuple[float, float]:
    """Return the medians of wall and processor seconds, after one warm call."""
    call()
    walls, cpus = [], []
    for _ in range(rounds):
        wall, cpu = time.perf_counter(), time.process_time()
        call()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return statistics.median(walls), statistics.median(cpus)


def tell(what: str, cells: float, wall: float, cpu: float) -> None:
    print(f"{what:<58} {wall:8.3f} s {cpu:8.3f} s cpu {cells / wall / 1e9:8.2f} G/s {cells / cpu / 1e9:8.2f} G/s cpu")


def simple_rule(peers: Path, data: Path, rounds: int, threads: int, vectorbt: str | None) -> None:
    """Compare with the peers' sparse program, and with vectorbt."""
    data.mkdir(parents=True, exist_ok=True)
    os.environ["PERF_DATA"] = str(data)
    sys.path.insert(0, str(peers))
    peer = importlib.import_module("w2")
    rows, bars = len(peer.P), peer.N_BARS
    theirs = np.zeros((rows, 3), np.int64)
    ours = SimpleSearch(peer, peer.P, threads)

    def sparse() -> None:
        peer.sparse_par(*peer.A, peer.CI, peer.CD, peer.CO, peer.P, peer.bp, theirs)

    sparse()
    equal = bool((ours.run() == theirs).all())
    trades = int(theirs[:, 0].sum())
    print(f"(a) simple rule, {rows:,} combinations x {bars:,} bars, {trades:,} trades; rows equal: {equal}")
    wall, cpu = timed(sparse, rounds)
    tell("peer, sparse numba", rows * bars, wall, cpu)
    own_wall, own_cpu = timed(ours.run, rounds)
    tell("ours", rows * bars, own_wall, own_cpu)
    print(f"ours / peer, time: {own_wall / wall:.2f} (processor {own_cpu / cpu:.2f})")
    if vectorbt is None:
        print("vectorbt: not asked for (--vectorbt PYTHON)")
        return
    words = [vectorbt, str(peers / "w1_vbt.py"), "params", str(VECTORBT_COMBINATIONS)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, env={**os.environ})
    told = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode or not told:
        print(f"vectorbt did not run: {done.stderr.strip().splitlines()[-1:]}")
        return
    found = json.loads(told[-1])
    ahead, ahead_cpu = (
        rows * bars / took / found[name] for took, name in ((own_wall, "per_s_wall"), (own_cpu, "per_s_cpu"))
    )
    print(
        f"vectorbt, {VECTORBT_COMBINATIONS} combinations: {found['per_s_wall'] / 1e6:.2f} M parameter-bars/s;"
        f" ours {ahead:,.0f} times that (processor time: {ahead_cpu:,.0f})"
    )


def compute(space: Space, tape: Tape, threads: int) -> int:
    """Compute the whole space part by part and return the number of trades."""
    plan, searcher = Plan(space, rows_of_part(len(tape.days))), Searcher(space, tape, threads)
    return sum(int(searcher.block(plan.trials(part)).totals[:, 0].sum()) for part in range(len(plan)))


def whole_rules(args: argparse.Namespace, tape: Tape) -> None:
    """Measure full PJ-1 on 10,000 combinations, without and with the folder."""
    space = read_space(SPACE)
    cells = space.total * len(tape)
    trades = compute(space, tape, args.threads)
    print(
        f"(b) PJ-1, {space.total:,} combinations (100 structures x 100) x {len(tape):,} bars, {trades:,} trades,"
        f" {args.threads} threads, parts of {min(PART_ROWS, space.total):,}"
    )
    tell("trials computed", cells, *timed(lambda: compute(space, tape, args.threads), args.rounds))
    choice = BarChoice(args.bars, front=args.front)

    def stored() -> None:
        with tempfile.TemporaryDirectory() as folder:
            run_search(choice, space, Path(folder) / "out", threads=args.threads)

    tell("pj search whole: file read, trials, folder synced", cells, *timed(stored, args.rounds))


def linear(args: argparse.Namespace, tape: Tape) -> None:
    """Print cost against combinations and bars, and plot it where asked."""
    print("(c) cost")
    by_rows, by_bars = [], []
    for count in (2, 5, 10, 15, 20):
        raw = {**SPACE, "sweep_min_ticks": list(range(1, count + 1))}
        space = read_space(raw)
        wall, cpu = timed(lambda s=space: compute(s, tape, args.threads), args.rounds)  # type: ignore[misc]
        tell(f"  {space.total:>7,} combinations x {len(tape):>9,} bars", space.total * len(tape), wall, cpu)
        by_rows.append((space.total, cpu))
    space = read_space(SPACE)
    for eighths in (1, 2, 4, 8):
        days = tape.days
        part = tape.between(int(days[0]), int(days[len(days) * eighths // 8 - 1]))
        wall, cpu = timed(lambda p=part: compute(space, p, args.threads), args.rounds)  # type: ignore[misc]
        tell(f"  {space.total:>7,} combinations x {len(part):>9,} bars", space.total * len(part), wall, cpu)
        by_bars.append((len(part), cpu))
    for what, points in (("combinations", by_rows), ("bars", by_bars)):
        print(f"  processor time grows with {what} to the power {slope(points):.2f} (1 = linear)")
    if args.plot:
        args.plot.mkdir(parents=True, exist_ok=True)
        path = args.plot / "search_cost.svg"
        by_all = Panel("combinations", "processor s", by_rows, f"{len(tape):,} bars")
        write_svg(path, [by_all, Panel("bars", "processor s", by_bars, f"{space.total:,} combinations")])
        print(f"  plot: {path}")


def slope(points: list[tuple[int, float]]) -> float:
    """Return the exponent of a power law through the points (least squares of the logarithms)."""
    x, y = ([math.log(point[place]) for point in points] for place in (0, 1))
    return float(np.polyfit(x, y, 1)[0])


def main() -> int:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("bars", type=Path)
    parser.add_argument("--front", action="store_true")
    parser.add_argument("--peers", type=Path)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--vectorbt")
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    args = parser.parse_args()
    print(f"{args.threads} threads, load {os.getloadavg()[0]:.1f}, medians of {args.rounds} rounds")
    if args.peers and args.data:
        simple_rule(args.peers, args.data, args.rounds, args.threads, args.vectorbt)
    else:
        print("(a) left out: --peers DIR and --data SCRATCH name the peers' programs and a folder for their data")
    tape = Tape.of(load_columns(args.bars, INSTRUMENTS["MNQ"], front=args.front))
    whole_rules(args, tape)
    linear(args, tape)
    return 0


if __name__ == "__main__":
    sys.exit(main())
