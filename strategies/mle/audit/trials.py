"""Count how many different bets a search really tried (pj1 S11.4: effective N)."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Final

import numpy as np

from strategies.mle.audit.arrays import Flags, Floats, Ints, Matrix, StatisticsInputError, matrix, stands_still

SAME_BET: Final = sqrt(0.5)
"""Correlation from which on half of a configuration's daily variance is its leader's: one bet, not two."""
LIMIT: Final = 10_000
"""Configurations that are clustered; of more, so many evenly spaced ones are, and their count is scaled up."""
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
class Bets:
    """Hold how many different bets were tried (not whole where they were sampled) and a column that stands for each."""

    count: float
    leaders: Ints


def independent_bets(daily: Matrix, same_bet: float = SAME_BET) -> Bets:
    """Return the number of `clusters`, at least 1, and their leaders.

    The two belong together: expected luck is the spread of Sharpe ratios among independent trials times a figure of
    their number, so the variance must be taken over the leaders too. Over all columns it would count a large family of
    good relatives as if luck alone had spread them, and a large family of equals as if luck were small.
    Of more than LIMIT columns, LIMIT evenly spaced ones are clustered and the count is scaled up as if those left out
    held as many new bets as those looked at: rather too many than too few, which makes the deflated ratio stricter.
    """
    columns = matrix(daily).shape[1]
    if columns <= LIMIT:
        leaders = clusters(daily, same_bet).leaders
        return Bets(float(max(1, leaders.size)), leaders)
    places = np.linspace(0, columns - 1, LIMIT).astype(np.int64)
    leaders = places[clusters(daily[:, places], same_bet).leaders]
    return Bets(max(1.0, leaders.size * float(columns) / LIMIT), leaders)


def effective_trials(daily: Matrix, same_bet: float = SAME_BET) -> float:
    """Return the count of `independent_bets`: configurations that share half of their variance count once."""
    return independent_bets(daily, same_bet).count
