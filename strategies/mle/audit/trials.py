"""Count how many different bets a search really tried (pj1 S11.4: effective N)."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Final

import numpy as np

from strategies.mle.audit.arrays import Flags, Floats, Ints, Matrix, StatisticsInputError, matrix, stands_still
from strategies.mle.audit.bootstrap import SEED
from strategies.mle.audit.reality import highest_by_luck
from strategies.mle.audit.sharpe import expected_max_normal

SAME_BET: Final = sqrt(0.5)
"""Correlation from which on half of a configuration's daily variance is its leader's: one bet, not two."""
LIMIT: Final = 10_000
"""Configurations that are looked at; of more, so many evenly spaced ones are."""
DRAWS: Final = 1_000
_BATCH: Final = 512


@dataclass(frozen=True, slots=True)
class Clusters:
    """Hold each column's cluster (-1: it never moves) and each cluster's leader, its first column."""

    labels: Ints
    leaders: Ints


def clusters(daily: Matrix, same_bet: float = SAME_BET) -> Clusters:
    """Return the clusters of a T x N matrix: a column joins the first leader it correlates with, or becomes one.

    Columns are taken in order, so the answer is one and the same each time. A mirrored configuration is a bet of its
    own. Raises StatisticsInputError for fewer than two days, a bound outside (0, 1] or values that are not finite.
    """
    if not 0.0 < same_bet <= 1.0:
        raise StatisticsInputError(f"a correlation of {same_bet:g} was given: give one above 0 and at most 1")
    checked = matrix(daily)
    days, columns = checked.shape
    labels = np.full(columns, -1, dtype=np.int64)
    leaders: list[int] = []
    basis: Floats = np.empty((min(columns, 2 * _BATCH), days))
    bound = same_bet - 1e-9
    for left in range(0, columns, _BATCH):
        unit, moving = _unit(np.asarray(checked[:, left : left + _BATCH], dtype=np.float64).T)
        old = len(leaders)
        if old:
            near = unit @ basis[:old].T >= bound
            found = near.any(axis=1) & moving
            labels[left : left + _BATCH][found] = near.argmax(axis=1)[found]
        within = unit @ unit.T >= bound
        for row in np.flatnonzero(moving):
            if labels[left + row] >= 0:
                continue
            labels[left + row] = len(leaders)
            same = within[row] & moving & (labels[left : left + _BATCH] < 0)
            labels[left : left + _BATCH][same] = len(leaders)
            if len(leaders) == basis.shape[0]:
                basis = np.concatenate((basis, np.empty_like(basis)))
            basis[len(leaders)] = unit[row]
            leaders.append(left + int(row))
    return Clusters(labels, np.array(leaders, dtype=np.int64))


def _unit(rows: Floats) -> tuple[Floats, Flags]:
    """Return the rows centred and scaled to length one, and which of them move."""
    centred = rows - rows.mean(axis=1, keepdims=True)
    length = np.einsum("ij,ij->i", centred, centred)
    moving = ~stands_still(length, np.einsum("ij,ij->i", rows, rows))
    return centred / np.sqrt(np.where(moving, length, 1.0))[:, None], moving


@dataclass(frozen=True, slots=True)
class Luck:
    """Hold what the deflated Sharpe ratio needs to know of a search: pj1 S11.4's N and Var, and the clusters found."""

    effective: float
    variance: float
    clusters: int


def luck(daily: Matrix, draws: int = DRAWS, seed: int = SEED) -> Luck:
    """Return `effective_trials`, and the variance of the Sharpe ratios over the leaders of the `clusters`.

    Over all columns, a family of good relatives would count as if luck alone had spread them, and a family of equals as
    if luck were small. The variance is at least that of pure chance, 1 / (T - 1). Of more than LIMIT columns, LIMIT
    evenly spaced ones are looked at.
    """
    picked = daily[:, _places(matrix(daily).shape[1])]
    leaders = clusters(picked).leaders
    part = np.asarray(picked[:, leaders], dtype=np.float64)
    ratios = part.mean(axis=0) / part.std(axis=0, ddof=1)
    least = 1.0 / (daily.shape[0] - 1)
    variance = max(least, float(ratios.var(ddof=1))) if leaders.size > 1 else least
    return Luck(effective_trials(daily, draws, seed), variance, int(leaders.size))


def effective_trials(daily: Matrix, draws: int = DRAWS, seed: int = SEED) -> float:
    """Return how many independent trials would show as good a best by luck as these configurations do.

    The days are resampled in blocks with every configuration recentred to zero, all together, so that their likeness is
    kept; the mean of the largest studentised mean is that of so many normal draws (`expected_max_normal`). Relatives
    count for what they add, neither once nor in full. At least 1, at most the number of columns that move. Of more than
    LIMIT columns, LIMIT evenly spaced ones are drawn and the answer is scaled up as if those left out were as new:
    rather too many than too few, which makes the deflated ratio stricter. docs/adr/0012 holds the figures.
    Raises StatisticsInputError for fewer than 8 days.
    """
    columns = int(matrix(daily, days_at_least=8).shape[1])
    places = _places(columns)
    highest, moving = highest_by_luck(daily[:, places], draws, seed)
    if moving == 0:
        return 1.0
    wanted = float(highest.mean())
    low, high = 1.0, float(moving)
    while high - low > 1e-9 * high:
        middle = (low + high) / 2.0
        low, high = (middle, high) if expected_max_normal(middle) < wanted else (low, middle)
    return high * columns / int(places.size)


def _places(columns: int) -> Ints:
    """Return the columns that are looked at: all, or LIMIT evenly spaced ones."""
    if columns <= LIMIT:
        return np.arange(columns)
    return np.linspace(0, columns - 1, LIMIT).astype(np.int64)
