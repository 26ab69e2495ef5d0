"""Judge many p values at once, and the side of each trade (pj1 S11.8, S11.9)."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from strategies.mle.audit.arrays import Floats, StatisticsInputError, series, share_out
from strategies.mle.audit.chance import heads, stream, word
from strategies.mle.audit.sharpe import sharpe
from strategies.mle.kernels.jit import compiled

HURDLE_T: Final = 3.0
"""A t statistic that a newly claimed factor should pass (Harvey, Liu, Zhu 2016)."""
_HALF: Final = np.uint64(1 << 31)


def _p_values(p: npt.ArrayLike) -> Floats:
    values = series(p, at_least=1)
    if (values < 0.0).any() or (values > 1.0).any():
        raise StatisticsInputError("a p value lies outside 0..1: give probabilities")
    return values


def holm(p: npt.ArrayLike) -> Floats:
    """Return Holm's adjusted p values, in the order given: reject where <= a (p_(i) <= a/(m-i+1), step down).

    Raises StatisticsInputError for an empty list or a value outside 0..1.
    """
    values = _p_values(p)
    order = np.argsort(values, kind="stable")
    scaled = values[order] * np.arange(values.size, 0, -1)
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return adjusted


def benjamini_hochberg(p: npt.ArrayLike) -> Floats:
    """Return Benjamini and Hochberg's adjusted p values, in the order given: reject where <= q (p_(i) <= i*q/m).

    Raises StatisticsInputError for an empty list or a value outside 0..1.
    """
    values = _p_values(p)
    order = np.argsort(values, kind="stable")
    scaled = values[order] * values.size / np.arange(1, values.size + 1)
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    return adjusted


def t_statistic(r: npt.ArrayLike) -> float:
    """Return sqrt(T) * mean / sd, to be held against HURDLE_T; 0 for a series that is all zero."""
    values = series(r)
    return sharpe(values) * float(np.sqrt(values.size))


def sign_permutation(
    r: npt.ArrayLike, draws: int = 10_000, seed: int = 1, groups: npt.ArrayLike | None = None
) -> float:
    """Return the share of random sign flips whose sum reaches the real one: (1 + hits) / (1 + draws).

    The null says that each trade's result could as well have had the other sign. ``groups`` (one number a trade, as
    its trade date) flips the trades of a group together, for results that hang together within a day.
    Raises StatisticsInputError for no trades, no draws, or groups of another length.
    """
    values = series(r, at_least=1)
    if draws < 1:
        raise StatisticsInputError(f"{draws} draws were asked for: at least 1 is needed")
    if groups is not None:
        labels = np.asarray(groups)
        if labels.shape != values.shape:
            raise StatisticsInputError(f"{labels.size} groups for {values.size} trades: give one group per trade")
        _, members = np.unique(labels, return_inverse=True)
        values = np.bincount(members, weights=values).astype(np.float64)
    sums = np.empty(draws)
    share_out(lambda first, last: _flip(values, seed, first, last, sums), draws)
    real = _flip_sum(values)
    slack = 1e-12 * float(np.abs(values).sum())
    hits = int(np.count_nonzero(sums >= real - slack))
    return (1 + hits) / (1 + draws)


@compiled
def _flip_sum(values: Floats) -> float:
    total = 0.0
    for value in values:
        total += value
    return total


@compiled
def _flip(values: Floats, seed: int, first: int, last: int, sums: Floats) -> None:
    for draw in range(first, last):
        start = stream(seed, draw)
        total = 0.0
        for i in range(values.size):
            total += values[i] if heads(word(start, i), _HALF) else -values[i]
        sums[draw] = total
