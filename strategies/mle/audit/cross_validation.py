"""Cut trade dates into what is fitted and what is judged: combinatorial purged CV, walk-forward (pj1 S11.2, S11.3).

Days are rows 0..T-1 of the daily matrix, one per trade date. Purge and embargo are counted in trade dates: the fit
loses ``purge`` dates on either side of each judged run (their trades or pool inputs may reach into it), and
``embargo`` more after it (what happened in it may still be felt).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np
import numpy.typing as npt

from strategies.mle.audit.arrays import Flags, Ints, StatisticsInputError


@dataclass(frozen=True, slots=True)
class Split:
    """Hold the rows fitted and the rows judged, both ascending; ``groups`` names the judged groups (CPCV only)."""

    fit: Ints
    judged: Ints
    groups: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Cpcv:
    """Hold C(S, k) splits and k/S*C(S, k) paths; ``paths[p, g]`` is the split whose judged group g belongs to path p.

    ``edges[g]``..``edges[g + 1]`` are the rows of group g.
    """

    splits: tuple[Split, ...]
    paths: Ints
    edges: Ints


def cpcv_paths(days: int | npt.ArrayLike, groups: int, test_groups: int, purge: int = 1, embargo: int = 1) -> Cpcv:
    """Return every split and path of combinatorial purged cross-validation (Lopez de Prado 2018, ch. 12).

    ``days`` is the number of trade dates or their ordinals. Groups are even runs of days; where T is not a multiple,
    the first T mod S are one day longer. Each path judges every group, hence every day, once.
    Raises StatisticsInputError for groups that cannot be cut, or a purge and embargo that leave nothing to fit.
    """
    count = _count(days)
    _refuse_negative(purge, embargo)
    if not 2 <= groups <= count or not 1 <= test_groups < groups:
        raise StatisticsInputError(
            f"{test_groups} of {groups} groups over {count} days: give 2 to {count} groups and judge fewer than all"
        )
    if comb(groups, test_groups) > 1_000_000:
        raise StatisticsInputError(f"C({groups}, {test_groups}) splits are over a million: give fewer groups")
    edges = np.cumsum([0, *(part.size for part in np.array_split(np.arange(count), groups))]).astype(np.int64)
    splits = []
    turns: list[list[int]] = [[] for _ in range(groups)]
    for number, picked in enumerate(combinations(range(groups), test_groups)):
        judged = np.zeros(count, dtype=np.bool_)
        for group in picked:
            judged[edges[group] : edges[group + 1]] = True
            turns[group].append(number)
        splits.append(Split(_fit_rows(judged, purge, embargo), np.flatnonzero(judged), picked))
    return Cpcv(tuple(splits), np.array(turns, dtype=np.int64).T.copy(), edges)


def _fit_rows(judged: Flags, purge: int, embargo: int) -> Ints:
    """Return the rows that are neither judged nor too near to a judged run."""
    steps = np.diff(np.concatenate(([False], judged, [False])).astype(np.int8))
    fit = ~judged
    for first, after in zip(np.flatnonzero(steps == 1), np.flatnonzero(steps == -1), strict=True):
        fit[max(0, first - purge) : first] = False
        fit[after : after + purge + embargo] = False
    if not fit.any():
        raise StatisticsInputError(
            f"a purge of {purge} and an embargo of {embargo} days leave nothing to fit: give fewer, or fewer groups"
        )
    return np.flatnonzero(fit)


def walk_forward(
    days: int | npt.ArrayLike,
    fit_days: int,
    judge_days: int,
    *,
    anchored: bool = False,
    purge: int = 1,
    embargo: int = 1,
) -> tuple[Split, ...]:
    """Return the walks: fit on the past, judge the next ``judge_days``, step on by as many; the last may be shorter.

    Rolling fits on ``fit_days`` dates, anchored on all since the first (at least ``fit_days``). Between fit and judged
    rows lie ``purge + embargo`` dates that belong to neither, so that fit never touches them; judged rows follow each
    other without gap or overlap. Raises StatisticsInputError where not even one walk fits.
    """
    count = _count(days)
    _refuse_negative(purge, embargo)
    if fit_days < 1 or judge_days < 1:
        raise StatisticsInputError(f"fits of {fit_days} and walks of {judge_days} days: both must be at least 1")
    gap = purge + embargo
    first = fit_days + gap
    if first >= count:
        raise StatisticsInputError(
            f"{count} days are too few for a fit of {fit_days}, a gap of {gap} and a day to judge: fit on fewer"
        )
    return tuple(
        Split(np.arange(0 if anchored else at - gap - fit_days, at - gap), np.arange(at, min(at + judge_days, count)))
        for at in range(first, count, judge_days)
    )


def _count(days: int | npt.ArrayLike) -> int:
    if isinstance(days, int):
        return days
    dates = np.asarray(days)
    if dates.ndim != 1 or (np.diff(dates) <= 0).any():
        raise StatisticsInputError("trade dates must ascend without repeating: give each date once")
    return int(dates.size)


def _refuse_negative(purge: int, embargo: int) -> None:
    if purge < 0 or embargo < 0:
        raise StatisticsInputError(f"a purge of {purge} and an embargo of {embargo} days: neither may be negative")
