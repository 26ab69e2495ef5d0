"""Print how fast the workbench is beside the tools its users could take instead, in one run; asserts nothing.

Run: python -P tests/bench/bench_peers.py --peers DIR --python PYTHON [--scratch DIR]

DIR holds the peers' programs (ref.py, w1_*.py), PYTHON is the interpreter of an environment outside the project in
which backtrader, backtesting, vectorbt, nautilus_trader and numba are installed. The peers run one simple rule on
350,000 seeded bars (5 million ticks); ours runs the whole of PJ-1 on the same bars, laid into trade dates of 1,380
minutes. A peer that cannot run is named, not left out silently.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np

from live.bar_builder import BarBuilder
from live.engine import Engine, Route
from live.events import BarClosed
from live.market import INSTRUMENTS, NS_PER_MIN, Bar, Tick, TickKind
from live.params import Params
from strategies.mle.bar_file import BarColumns
from strategies.mle.compiled import reclaims, trade_table
from strategies.mle.tape import Tape

BARS_A_DAY = 1380
EXACT_BARS = 150_000
TICKS = 1_000_000
CHUNK = 2_000
#: (program, arguments, what the line of its output is called)
PEERS = (
    ("w1_ref.py", ()),
    ("w1_vbt.py", ("bars",)),
    ("w1_btpy.py", ()),
    ("w1_nautilus.py", ("bars", "100000", "3")),
    ("w1_nautilus.py", ("ticks", "500000", "3")),
    ("w1_backtrader.py", ()),
)


def peer_lines(python: str, folder: Path, scratch: Path, program: str, arguments: tuple[str, ...]) -> list[str]:
    """Run one peer and return the JSON lines it printed; what it could not do is said on the screen."""
    command = [python, str(folder / program), *arguments]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "PERF_DATA": str(scratch)}, cwd=scratch
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no word"])[-1]
        print(f"{program} {' '.join(arguments)}: ended with {done.returncode}: {last}", flush=True)
    return [line for line in done.stdout.splitlines() if line.startswith("{")]


def peer_rates(python: str, folder: Path, scratch: Path) -> dict[str, float]:
    """Return each peer's items per second of wall time by the name it gives itself."""
    rates: dict[str, float] = {}
    for program, arguments in PEERS:
        for line in peer_lines(python, folder, scratch, program, arguments):
            told = json.loads(line)
            if "per_s_wall" in told:
                rates[told["name"]] = float(told["per_s_wall"])
    return rates


def day_starts(days: int) -> list[int]:
    """Return 18:00 ET of ``days`` trade dates (Monday to Friday) as epoch ns."""
    zone, found = ZoneInfo("America/New_York"), []
    trade_date = date(2024, 1, 2)
    while len(found) < days:
        if trade_date.weekday() < 5:
            evening = datetime.combine(trade_date - timedelta(days=1), datetime.min.time(), zone).replace(hour=18)
            found.append(int(evening.timestamp()) * 10**9)
        trade_date += timedelta(days=1)
    return found


def columns_of(scratch: Path) -> BarColumns:
    """Return the peers' bars as ours: the same prices, 1,380 minutes a trade date."""
    with np.load(scratch / "bars.npz") as made:
        prices = {name: np.rint(made[name] / 0.25).astype(np.int64) for name in "ohlc"}
        volume = made["v"].astype(np.int64)
    count = len(volume)
    starts = np.asarray(day_starts(-(-count // BARS_A_DAY)), np.int64)
    place = np.arange(count)
    ts_ns = starts[place // BARS_A_DAY] + place % BARS_A_DAY * NS_PER_MIN
    return BarColumns(ts_ns, prices["o"], prices["h"], prices["l"], prices["c"], volume, ["MNQ"] * count)


def rate(run: Callable[[], object], items: int, rounds: int) -> float:
    """Return items per second of wall time, median of ``rounds`` after one warm round."""
    run()
    took = []
    for _ in range(rounds):
        began = time.perf_counter()
        run()
        took.append(time.perf_counter() - began)
    return items / statistics.median(took)


def our_rates(scratch: Path) -> dict[str, float]:
    """Return ours: compiled and exact PJ-1 per bar, the live tick path per tick."""
    columns, params = columns_of(scratch), Params()
    tape = Tape.of(columns)
    bars = columns.take(np.arange(EXACT_BARS)).bars()
    with np.load(scratch / "ticks.npz") as made:
        ts = made["ts"][:TICKS].tolist()
        ticks = np.rint(made["price"][:TICKS] / 0.25).astype(np.int64).tolist()
        sizes = made["size"][:TICKS].tolist()

    def compiled() -> None:
        trade_table(tape, reclaims(tape, params), params)

    def exact() -> None:
        step = Engine(params, INSTRUMENTS["MNQ"], Route.SIMULATED).step
        for bar in bars:
            step(BarClosed(bar))

    def by_tick() -> None:
        builder, step, trade = BarBuilder(), Engine(params, INSTRUMENTS["MNQ"], Route.SIMULATED).step, TickKind.TRADE
        for start in range(0, TICKS, CHUNK):
            part = slice(start, start + CHUNK)
            rows = [Tick(0, ns, trade, p, z) for ns, p, z in zip(ts[part], ticks[part], sizes[part], strict=True)]
            for out in builder.on_ticks(rows, rows[-1].recv_ns):
                if isinstance(out, Bar):
                    step(BarClosed(out))

    return {
        "PJ-1 compiled, all pools, events and trades": rate(compiled, len(tape), 11),
        "PJ-1 exact (live engine)": rate(exact, EXACT_BARS, 5),
        "PJ-1 tick path (BarBuilder and live engine)": rate(by_tick, TICKS, 5),
    }


def main() -> int:
    """Run the peers, then ours, and print every rate with its ratios."""
    asked = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    asked.add_argument("--peers", type=Path, required=True)
    asked.add_argument("--python", required=True)
    asked.add_argument("--scratch", type=Path, default=None)
    options = asked.parse_args()
    scratch = options.scratch or Path(tempfile.mkdtemp(prefix="pj-peers-"))
    scratch.mkdir(parents=True, exist_ok=True)
    rates = peer_rates(options.python, options.peers.resolve(), scratch)
    ours = our_rates(scratch)
    compiled = ours["PJ-1 compiled, all pools, events and trades"]
    ticked = ours["PJ-1 tick path (BarBuilder and live engine)"]
    print(f"load {os.getloadavg()[0]:.2f}; data in {scratch}")
    for name, found in sorted({**rates, **ours}.items(), key=lambda pair: -pair[1]):
        base = ticked if "tick" in name.lower() else compiled
        print(f"{found:>16,.0f} /s  {name:<75} ours is {base / found:>10,.2f} x")
    return 0


if __name__ == "__main__":
    sys.exit(main())
