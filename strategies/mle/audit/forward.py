"""Choose on the past and judge on what follows: walk-forward and combinatorial purged cross-validation (pj1 S11.3).

Both run over the fitted dates only: the held-out dates of a trial that was not frozen stay closed. With one
configuration there is nothing to choose, and the figures are its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from strategies.mle.audit.statistics import Split, StatisticsInputError, cpcv_paths, walk_forward
from strategies.mle.audit.weigh import best_trial, sharpes

YEAR_DAYS: Final = 252
FIT_DAYS: Final = 126
JUDGE_DAYS: Final = 21
"""Six months fitted, one month judged, where a year of dates is there; else a third and a tenth of them."""
GROUPS: Final = 6
TEST_GROUPS: Final = 2

Matrix = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Walk:
    """Hold one walk-forward: its kind, days per fit and walk, the trial chosen at each step, and what followed.

    ``daily`` are the judged days put together (cents), from ``first_row`` of the fitted dates on; ``efficiency`` is
    their mean over the mean day of the fits, None where the fits do not earn. ``sharpe`` is theirs, per day.
    """

    kind: str
    fit_days: int
    judge_days: int
    chosen: tuple[int, ...]
    first_row: int
    daily: tuple[int, ...]
    fit_mean_cents: float
    mean_cents: float
    sharpe: float
    efficiency: float | None


@dataclass(frozen=True, slots=True)
class CrossValidation:
    """Hold CPCV: its splits and paths, the Sharpe ratio per day and the net in cents of each path."""

    groups: int
    test_groups: int
    splits: int
    path_sharpes: tuple[float, ...]
    path_nets_cents: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Forward:
    """Hold everything that was judged on dates it was not chosen on; ``why`` says what could not be had."""

    walks: tuple[Walk, ...]
    cross: CrossValidation | None
    why: dict[str, str]


def forward(trials: Matrix) -> Forward:
    """Return rolling and anchored walk-forward and CPCV over a matrix of fitted dates x trials (cents)."""
    why: dict[str, str] = {}
    walks = []
    fit_days, judge_days = spans(len(trials))
    for kind in ("rolling", "anchored"):
        try:
            walks.append(_walk(trials, kind, fit_days, judge_days))
        except StatisticsInputError as error:
            why[kind] = str(error)
    cross = None
    try:
        cross = _cross(trials)
    except StatisticsInputError as error:
        why["cpcv"] = str(error)
    return Forward(tuple(walks), cross, why)


def spans(days: int) -> tuple[int, int]:
    """Return how many dates are fitted and judged at each step."""
    return (FIT_DAYS, JUDGE_DAYS) if days >= YEAR_DAYS else (max(5, days // 3), max(5, days // 10))


def _walk(trials: Matrix, kind: str, fit_days: int, judge_days: int) -> Walk:
    steps = walk_forward(len(trials), fit_days, judge_days, anchored=kind == "anchored")
    chosen, fits, daily = _choose(trials, steps)
    fit_mean, mean = float(np.mean(fits)), float(daily.mean())
    return Walk(
        kind,
        fit_days,
        judge_days,
        tuple(chosen),
        int(steps[0].judged[0]),
        tuple(daily.tolist()),
        fit_mean,
        mean,
        float(sharpes(daily.reshape(-1, 1))[0]),
        mean / fit_mean if fit_mean > 0.0 else None,
    )


def _choose(trials: Matrix, steps: Sequence[Split]) -> tuple[list[int], list[float], npt.NDArray[np.int64]]:
    """Return per step the chosen trial and its mean fitted day, and all judged days put together."""
    chosen, fits, judged = [], [], []
    for step in steps:
        fitted = trials[step.fit]
        best = best_trial(fitted)
        chosen.append(best)
        fits.append(float(np.mean(fitted[:, best])))
        judged.append(np.asarray(trials[step.judged, best], dtype=np.int64))
    return chosen, fits, np.concatenate(judged)


def _cross(trials: Matrix) -> CrossValidation:
    plan = cpcv_paths(len(trials), GROUPS, TEST_GROUPS)
    chosen = [best_trial(trials[split.fit]) for split in plan.splits]
    found = []
    for path in plan.paths:
        parts = [
            np.asarray(trials[plan.edges[group] : plan.edges[group + 1], chosen[split]], dtype=np.int64)
            for group, split in enumerate(path)
        ]
        found.append(np.concatenate(parts))
    ratios = tuple(float(sharpes(one.reshape(-1, 1))[0]) for one in found)
    return CrossValidation(GROUPS, TEST_GROUPS, len(plan.splits), ratios, tuple(int(one.sum()) for one in found))
