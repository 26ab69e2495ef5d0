"""Ask whether the levels matter at all: move every pool 5-30 points outward at random and trade the same rules (S11.9).

If places where nothing rests do as well as the pools, whatever was earned did not come from the pools.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from live.params import Params
from strategies.mle.audit.arrays import share_out
from strategies.mle.audit.chance import below, stream, word
from strategies.mle.audit.market import Market
from strategies.mle.kernels.jit import compiled

RUNS: Final = 200
NEAREST_POINTS: Final = 5
FARTHEST_POINTS: Final = 30

Ints = npt.NDArray[np.int64]
Rows = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Placebo:
    """Hold the net of every placebo run in cents, and the share of them that did as well as the real levels.

    ``p``: (1 + runs with at least the real net) / (1 + runs).
    """

    nets_cents: tuple[int, ...]
    real_net_cents: int
    p: float


def placebo(market: Market, params: Params, rows: Rows, runs: int = RUNS, seed: int = 1) -> Placebo:
    """Return the placebo runs over the given rows (days) of the tape; run k is stream k of the seed."""
    pools = market.pools(params)
    real = int(market.daily(params)[rows].sum())
    nets = [0] * runs

    def work(first: int, last: int) -> None:
        for run in range(first, last):
            moved = market.shifted_daily(params, level_shifts(seed, run, pools, params))
            nets[run] = int(moved[rows].sum())

    share_out(work, runs)
    reached = sum(net >= real for net in nets)
    return Placebo(tuple(nets), real, (1 + reached) / (1 + runs))


def level_shifts(seed: int, run: int, pools: int, params: Params) -> Ints:
    """Return for each pool, in order of definition, the whole ticks that 5 to 30 points are drawn from evenly."""
    nearest, farthest = (int(points / params.tick) for points in (NEAREST_POINTS, FARTHEST_POINTS))
    shifts = np.empty(pools, np.int64)
    _draw(seed, run, nearest, farthest - nearest + 1, shifts)
    return shifts


@compiled
def _draw(seed: int, run: int, least: int, many: int, shifts: Ints) -> None:
    start = stream(seed, run)
    for pool in range(shifts.size):
        shifts[pool] = least + below(word(start, pool), many)
