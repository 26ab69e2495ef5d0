"""Ask how often the best of the past is below the middle of the future: PBO by CSCV (pj1 S11.6).

Bailey, Borwein, Lopez de Prado, Zhu 2015. Exact over all C(S, S/2) splits: each block of days is reduced once to its
sum and sum of squares per configuration, and a half's mean and standard deviation are put together from its blocks.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from math import comb, inf, sqrt
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from strategies.mle.audit.arrays import Floats, Ints, Matrix, StatisticsInputError, matrix, share_out, stands_still
from strategies.mle.kernels.jit import compiled

MAX_BLOCKS: Final = 20
"""C(20, 10) = 184,756 splits; more blocks than that say nothing more."""
_COLUMNS: Final = 4096


@dataclass(frozen=True, slots=True)
class Pbo:
    """Hold what CSCV found; arrays have one entry a split, in lexicographic order of the in-sample blocks.

    ``pbo``: share of logits <= 0. ``median_oos_sharpe``: of the configuration chosen in sample, per day, out of sample.
    ``probability_of_loss``: share of splits where that is negative. ``slope``: least squares of its out-of-sample on
    its in-sample Sharpe ratio (the degradation; nan where the in-sample ratios do not differ).
    """

    pbo: float
    median_oos_sharpe: float
    logits: Floats
    splits: int
    probability_of_loss: float
    slope: float
    chosen: Ints
    is_sharpe: Floats
    oos_sharpe: Floats


def cscv(daily: Matrix, blocks: int = 16) -> Pbo:
    """Return the probability of backtest overfitting of a T x N matrix of daily results.

    The days are cut in order into ``blocks`` runs as even as can be: where T is not a multiple, the first T mod S runs
    are one day longer. A half's Sharpe ratio is over all its days (ddof 1); a configuration that stands still in a half
    has 0 there. The best in sample is the first of equals; its out-of-sample rank counts 1 for the worst, and equals
    share the mean of their ranks, so that N identical configurations sit exactly in the middle and count as overfitted.
    Raises StatisticsInputError for an odd number of blocks, one outside 2..20, fewer than two days a block, fewer than
    two configurations, or values that are not finite.
    """
    if blocks % 2 or not 2 <= blocks <= MAX_BLOCKS:
        raise StatisticsInputError(f"{blocks} blocks were asked for: give an even number from 2 to {MAX_BLOCKS}")
    checked = matrix(daily, days_at_least=2 * blocks, columns_at_least=2)
    days, sums, squares = _reduce(checked, blocks)
    halves = np.array(list(combinations(range(blocks), blocks // 2)), dtype=np.int64)
    splits = comb(blocks, blocks // 2)
    chosen = np.empty(splits, dtype=np.int64)
    figures = np.empty((splits, 3))

    def work(first: int, last: int) -> None:
        _judge(days, sums, squares, halves, first, last, chosen, figures)

    share_out(work, splits // 2)
    inside, outside, rank = figures[:, 0], figures[:, 1], figures[:, 2]
    share = rank / (checked.shape[1] + 1)
    logits = np.log(share / (1.0 - share))
    return Pbo(
        float(np.mean(logits <= 0.0)),
        float(np.median(outside)),
        logits,
        splits,
        float(np.mean(outside < 0.0)),
        _slope(inside, outside),
        chosen,
        inside.copy(),
        outside.copy(),
    )


def _reduce(daily: Matrix, blocks: int) -> tuple[Ints, Floats, Floats]:
    """Return days per block, and sum and sum of squares per block and configuration."""
    edges = np.cumsum([0, *(len(part) for part in np.array_split(np.arange(daily.shape[0]), blocks))])
    sums, squares = np.empty((blocks, daily.shape[1])), np.empty((blocks, daily.shape[1]))
    for left in range(0, daily.shape[1], _COLUMNS):
        for block in range(blocks):
            part = np.asarray(daily[edges[block] : edges[block + 1], left : left + _COLUMNS], dtype=np.float64)
            sums[block, left : left + _COLUMNS] = part.sum(axis=0)
            squares[block, left : left + _COLUMNS] = (part * part).sum(axis=0)
    return np.diff(edges).astype(np.int64), sums, squares


@compiled
def _ratio(total: float, square: float, days: int) -> float:
    """Return the Sharpe ratio from sum and sum of squares; a series that stands still at zero has 0."""
    variance = square - total * total / days
    if stands_still(variance, square):
        if total > 0.0:
            return inf
        return -inf if total < 0.0 else 0.0
    return total / days / sqrt(variance / (days - 1))


@compiled
def _half(days: Ints, sums: Floats, squares: Floats, picked: Any, ratios: Floats, scratch: Floats) -> None:
    """Write the Sharpe ratio of every configuration over the picked blocks."""
    count = 0
    scratch[:] = 0.0
    for block in range(days.size):
        if picked[block]:
            count += days[block]
            for k in range(ratios.size):
                scratch[0, k] += sums[block, k]
                scratch[1, k] += squares[block, k]
    for k in range(ratios.size):
        ratios[k] = _ratio(scratch[0, k], scratch[1, k], count)


@compiled
def _place(inside: Floats, outside: Floats, split: int, chosen: Ints, figures: Floats) -> None:
    """Write the best in sample, its two ratios and its mean rank out of sample."""
    best = 0
    for k in range(1, inside.size):
        if inside[k] > inside[best]:
            best = k
    below = 0
    equal = 0
    for k in range(outside.size):
        if outside[k] < outside[best]:
            below += 1
        elif outside[k] == outside[best]:
            equal += 1
    chosen[split] = best
    figures[split, 0] = inside[best]
    figures[split, 1] = outside[best]
    figures[split, 2] = below + (equal + 1) / 2.0


@compiled
def _judge(
    days: Ints, sums: Floats, squares: Floats, halves: Ints, first: int, last: int, chosen: Ints, figures: Floats
) -> None:
    """Judge a share of the splits; split i and its mirror image, the last but i, need the same two halves."""
    columns = sums.shape[1]
    one, other, scratch = np.empty(columns), np.empty(columns), np.empty((2, columns))
    picked = np.empty(days.size, dtype=np.bool_)
    for split in range(first, last):
        picked[:] = False
        for place in range(halves.shape[1]):
            picked[halves[split, place]] = True
        _half(days, sums, squares, picked, one, scratch)
        _half(days, sums, squares, ~picked, other, scratch)
        _place(one, other, split, chosen, figures)
        _place(other, one, halves.shape[0] - 1 - split, chosen, figures)


def _slope(inside: npt.NDArray[np.float64], outside: npt.NDArray[np.float64]) -> float:
    both = np.isfinite(inside) & np.isfinite(outside)
    if both.sum() < 2:
        return float("nan")
    x, y = inside[both] - inside[both].mean(), outside[both] - outside[both].mean()
    spread = float(x @ x)
    return float(x @ y) / spread if spread > 0.0 else float("nan")
