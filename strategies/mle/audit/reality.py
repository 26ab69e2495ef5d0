"""Ask whether the best of many configurations beats doing nothing: White's RC, Hansen's SPA, Romano-Wolf StepM (S11.7).

The benchmark is 0 (no trade). ``arch.bootstrap.SPA`` is not used for the p values: its statistic is not studentised (it
studentises only the choice of the models that are recentred), where pj1 S11.7 and Hansen 2005 ask for it, and it keeps
columns x draws x 3 doubles, half a gigabyte for 10,000 configurations. The tests hold these loops equal to it, draw for
draw, where both mean the same.

A draw of the stationary bootstrap is some T / block_days runs of days; the sum of a run is one difference of prefix
sums, so a draw costs that many operations per configuration, and with integer cents every sum is exact.
Block length rule: `common_block_length`.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, log, sqrt
from typing import Final

import numpy as np

from strategies.mle.audit.arrays import (
    Flags,
    Floats,
    Ints,
    Matrix,
    StatisticsInputError,
    matrix,
    share_out,
    stands_still,
)
from strategies.mle.audit.bootstrap import SEED, block_length, check_draws, resampled_days
from strategies.mle.kernels.jit import compiled

DRAWS: Final = 2_000
_CHUNK: Final = 128
_SAMPLE: Final = 25
_NO_WEIGHT: Final = 1e-14


@dataclass(frozen=True, slots=True)
class RealityCheck:
    """Hold the p values and which configurations are superior.

    ``rc_p``: White's, over raw means. ``spa_p``: Hansen's, studentised, consistent. ``spa_p_lower``/``spa_p_upper``:
    his liberal and conservative bounds. ``survivors``: columns that StepM calls better than 0 with family-wise error
    ``size``. ``best``: the column of the largest mean. ``studentised``: each column's sqrt(T) * mean / omega.
    """

    rc_p: float
    spa_p: float
    spa_p_lower: float
    spa_p_upper: float
    survivors: Ints
    best: int
    studentised: Floats
    draws: int
    seed: int
    block_days: int
    size: float


def common_block_length(daily: Matrix) -> int:
    """Return one block length for all columns: the median of `block_length` over up to 25 of them, rounded up.

    The 25 are evenly spaced; columns that never move are left out; T**(1/3) where none moves.
    Raises StatisticsInputError for fewer than 8 days.
    """
    checked = matrix(daily, days_at_least=8)
    places = np.unique(np.linspace(0, checked.shape[1] - 1, min(_SAMPLE, checked.shape[1])).astype(np.int64))
    columns = [np.asarray(checked[:, place], dtype=np.float64) for place in places]
    lengths = [block_length(column) for column in columns if np.ptp(column) > 0.0]
    return int(np.ceil(np.median(lengths))) if lengths else max(1, round(float(np.cbrt(checked.shape[0]))))


def reality_check(
    daily: Matrix, draws: int = DRAWS, seed: int = SEED, block_days: int | None = None, size: float = 0.05
) -> RealityCheck:
    """Return RC, SPA and StepM of a T x N matrix of daily results against 0.

    A p value is the share of draws that reach the real figure. A configuration that never moves takes no part; where
    none moves, every p is 1. Raises StatisticsInputError for fewer than 8 days, impossible draws, blocks or size.
    """
    if not 0.0 < size < 1.0:
        raise StatisticsInputError(f"a family-wise error of {size:g} was given: give one between 0 and 1, as 0.05")
    checked = matrix(daily, days_at_least=8)
    length = common_block_length(checked) if block_days is None else block_days
    check_draws(checked.shape[0], draws, length)
    runs = _runs(resampled_days(checked.shape[0], draws, seed, length))
    return from_runs(checked, runs, draws, seed, length, size)


def highest_by_luck(daily: Matrix, draws: int, seed: int, block_days: int | None = None) -> tuple[Floats, int]:
    """Return per draw the largest studentised mean of the configurations recentred to zero, and how many of them move.

    Raises as `reality_check`; where none moves, every draw is 0.
    """
    checked = matrix(daily, days_at_least=8)
    length = common_block_length(checked) if block_days is None else block_days
    check_draws(checked.shape[0], draws, length)
    means, omegas = _means_and_omegas(checked, length)
    moving = omegas > 0.0
    if not moving.any():
        return np.zeros(draws), 0
    runs = _runs(resampled_days(checked.shape[0], draws, seed, length))
    return _maxima(checked, means, omegas, moving, runs, draws)[:, 3], int(moving.sum())


def from_runs(
    daily: Matrix, runs: tuple[Ints, Ints, Ints], draws: int, seed: int, block_days: int, size: float
) -> RealityCheck:
    """Return RC, SPA and StepM over given draws (`_runs`)."""
    days, columns = daily.shape
    means, omegas = _means_and_omegas(daily, block_days)
    moving = omegas > 0.0
    root = sqrt(days)
    studentised = np.zeros(columns)
    studentised[moving] = root * means[moving] / omegas[moving]
    if not moving.any():
        none = np.empty(0, dtype=np.int64)
        return RealityCheck(1.0, 1.0, 1.0, 1.0, none, 0, studentised, draws, seed, block_days, size)
    maxima = _maxima(daily, means, omegas, moving, runs, draws)
    best = int(np.argmax(np.where(moving, means, -np.inf)))
    top = max(0.0, float(studentised[moving].max()))
    p_rc = float(np.mean(maxima[:, 0] >= root * means[best]))
    p_lower, p_consistent, p_upper = (float(np.mean(np.maximum(maxima[:, i], 0.0) >= top)) for i in (1, 2, 3))
    survivors = _stepdown(daily, means, omegas, moving, studentised, runs, maxima, size)
    return RealityCheck(
        p_rc, p_consistent, p_lower, p_upper, survivors, best, studentised, draws, seed, block_days, size
    )


def _stepdown(
    daily: Matrix,
    means: Floats,
    omegas: Floats,
    moving: Flags,
    studentised: Floats,
    runs: tuple[Ints, Ints, Ints],
    maxima: Floats,
    size: float,
) -> Ints:
    """Return the columns rejected by StepM: take out what is beyond the rest's chance until nothing more is.

    Every column is recentred by its mean, as Romano and Wolf 2005 do; arch recentres as SPA does.
    """
    active = moving.copy()
    draws = maxima.shape[0]
    highest = np.sort(maxima[:, 3])
    while True:
        reached = draws - np.searchsorted(highest, studentised, side="left")
        fresh = active & (reached <= size * draws) & (studentised > 0.0)
        if not fresh.any():
            return np.flatnonzero(moving & ~active)
        active &= ~fresh
        if not active.any():
            return np.flatnonzero(moving)
        highest = np.sort(_maxima(daily, means, omegas, active, runs, draws)[:, 3])


def _runs(days: Ints) -> tuple[Ints, Ints, Ints]:
    """Return the draws as runs of neighbouring days: where each draw's runs begin, first days, days after the last."""
    draws, length = days.shape
    breaks = np.ones((draws, length), dtype=np.bool_)
    breaks[:, 1:] = days[:, 1:] != days[:, :-1] + 1
    offsets = np.concatenate(([0], np.cumsum(breaks.sum(axis=1)))).astype(np.int64)
    places = np.flatnonzero(breaks)
    lengths = np.diff(np.append(places, draws * length))
    firsts = days.ravel()[places]
    return offsets, firsts, firsts + lengths


def _means_and_omegas(daily: Matrix, block_days: int) -> tuple[Floats, Floats]:
    """Return each column's mean and omega: the root of T times the variance of its stationary bootstrap mean.

    Omega is 0 where a column stands still. Hansen 2005, appendix; kernel weights of Politis and Romano 1994.
    """
    days, columns = daily.shape
    lags = np.arange(days)
    keep = 1.0 - 1.0 / block_days
    weights = (1.0 - lags / days) * keep**lags + (lags / days) * keep ** (days - lags)
    weights[0] = 0.5
    means, omegas = np.empty(columns), np.empty(columns)
    for left in range(0, columns, _CHUNK):
        part = np.ascontiguousarray(daily[:, left : left + _CHUNK], dtype=np.float64)
        right = left + part.shape[1]
        means[left:right] = part.sum(axis=0) / days
        centred = part - means[left:right]
        still = stands_still((centred * centred).sum(axis=0), (part * part).sum(axis=0))
        variance = _long_run(centred, weights) / days
        omegas[left:right] = np.where(still | (variance <= 0.0), 0.0, np.sqrt(np.maximum(variance, 0.0)))
    return means, omegas


@compiled
def _long_run(centred: Floats, weights: Floats) -> Floats:
    """Return per column the sum over lags of 2 * weight * products."""
    days, columns = centred.shape
    total = np.zeros(columns)
    for lag in range(days):
        weight = 2.0 * weights[lag]
        if weight > _NO_WEIGHT:
            for day in range(days - lag):
                for k in range(columns):
                    total[k] += weight * centred[day, k] * centred[day + lag, k]
    return total


def _maxima(
    daily: Matrix, means: Floats, omegas: Floats, active: Flags, runs: tuple[Ints, Ints, Ints], draws: int
) -> Floats:
    """Return per draw the largest root-T deviation of the active columns.

    Columns: raw and recentred by every mean (RC); studentised, recentred by the mean where positive (SPA lower), where
    not hopeless (SPA consistent), always (SPA upper, StepM).
    """
    days, columns = daily.shape
    hopeless = means < -omegas * sqrt(2.0 * log(log(days)) / days)
    lower = np.where(means < 0.0, 0.0, means)
    consistent = np.where(hopeless, 0.0, means)
    maxima = np.full((draws, 4), -np.inf)
    for left in range(0, columns, _CHUNK):
        picked = left + np.flatnonzero(active[left : left + _CHUNK])
        if picked.size == 0:
            continue
        part = np.asarray(daily[:, left : left + _CHUNK], dtype=np.float64)[:, picked - left]
        prefix = np.zeros((days + 1, picked.size))
        np.cumsum(part, axis=0, out=prefix[1:])
        centres = np.stack((means[picked], lower[picked], consistent[picked]))
        _spread(prefix, centres, omegas[picked], runs, maxima)
    return maxima


def _spread(prefix: Floats, centres: Floats, omegas: Floats, runs: tuple[Ints, Ints, Ints], maxima: Floats) -> None:
    share_out(lambda first, last: _draw(prefix, centres, omegas, *runs, first, last, maxima), maxima.shape[0])


@compiled
def _draw(
    prefix: Floats,
    centres: Floats,
    omegas: Floats,
    offsets: Ints,
    firsts: Ints,
    ends: Ints,
    first: int,
    last: int,
    maxima: Floats,
) -> None:
    days = prefix.shape[0] - 1
    columns = prefix.shape[1]
    root = sqrt(days)
    total = np.empty(columns)
    for draw in range(first, last):
        total[:] = 0.0
        for run in range(offsets[draw], offsets[draw + 1]):
            begin, end = firsts[run], ends[run]
            for k in range(columns):
                total[k] += prefix[end, k] - prefix[begin, k]
        raw = lower = consistent = upper = -inf
        for k in range(columns):
            mean = total[k] / days
            by_mean = root * (mean - centres[0, k])
            raw = max(raw, by_mean)
            upper = max(upper, by_mean / omegas[k])
            lower = max(lower, root * (mean - centres[1, k]) / omegas[k])
            consistent = max(consistent, root * (mean - centres[2, k]) / omegas[k])
        for column, value in enumerate((raw, lower, consistent, upper)):
            maxima[draw, column] = max(maxima[draw, column], value)
