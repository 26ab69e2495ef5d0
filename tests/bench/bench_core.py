"""Print bars and ticks per second of the exact core, the code that trades; asserts nothing.

Run: python -P tests/bench/bench_core.py [FILE.parquet [--front]]

Without a file the bars are made of the same seeded ticks that the tick path is timed with. The tick path is what the
engine process does with rows already split: a ``Tick`` per row, ``BarBuilder`` with the clock, ``Engine.step`` per
bar, risk and order state included.
"""

from __future__ import annotations

import random
import statistics
import sys
import time
from pathlib import Path

from live.bar_builder import BarBuilder
from live.engine import Engine, Route
from live.events import BarClosed
from live.market import INSTRUMENTS, Bar, Tick, TickKind
from live.params import Params
from strategies.mle.phase16_pj_engine import load_bars

ROUNDS = 7
TICKS = 1_000_000
CHUNK = 2_000
STEP_NS = 120_000_000
#: Sunday 2026-04-05, 18:00 ET: a trade date begins.
START_NS = 1_775_426_400 * 10**9
Row = tuple[int, int, int, int]


def rows() -> list[Row]:
    """Return seeded tape rows (seq, recv_ns, price in ticks, size)."""
    dice = random.Random(1)
    price = 80_000
    made = []
    for seq in range(TICKS):
        price += dice.choice((-2, -1, 0, 0, 1, 2))
        made.append((seq, START_NS + seq * STEP_NS, price, dice.randint(1, 9)))
    return made


def fresh() -> Engine:
    """Return an engine with the spec's parameters on the simulated route."""
    return Engine(Params(), INSTRUMENTS["MNQ"], Route.SIMULATED)


def step_bars(bars: list[Bar]) -> float:
    """Return bars per second of one pass."""
    step = fresh().step
    began = time.perf_counter()
    for bar in bars:
        step(BarClosed(bar))
    return len(bars) / (time.perf_counter() - began)


def step_ticks(tape: list[Row], keep: list[Bar] | None = None) -> float:
    """Return ticks per second of one pass, the making of the Tick objects included; ``keep`` takes the bars."""
    builder, step = BarBuilder(), fresh().step
    trade = TickKind.TRADE
    began = time.perf_counter()
    for start in range(0, len(tape), CHUNK):
        ticks = [
            Tick(seq, ns, trade, price, size, contract="MNQM6") for seq, ns, price, size in tape[start : start + CHUNK]
        ]
        for made in builder.on_ticks(ticks, ticks[-1].recv_ns):
            if isinstance(made, Bar):
                step(BarClosed(made))
                if keep is not None:
                    keep.append(made)
    return len(tape) / (time.perf_counter() - began)


def main() -> int:
    """Time file reading, stepping of bars and the tick path apart."""
    tape = rows()
    bars: list[Bar] = []
    step_ticks(tape, bars)
    if len(sys.argv) > 1:
        path, front = Path(sys.argv[1]), "--front" in sys.argv[2:]
        began = time.perf_counter()
        bars = load_bars(path, INSTRUMENTS["MNQ"], front=front)
        print(f"{len(bars)} bars read and checked in {time.perf_counter() - began:.3f} s")
    _say("engine, exact", "bars/s", [step_bars(bars) for _ in range(ROUNDS)])
    _say("tick path, BarBuilder and step", "ticks/s", [step_ticks(tape) for _ in range(ROUNDS)])
    return 0


def _say(what: str, unit: str, rates: list[float]) -> None:
    print(f"{what}: median {statistics.median(rates):,.0f} {unit}, worst {min(rates):,.0f}, of {len(rates)} rounds")


if __name__ == "__main__":
    sys.exit(main())
