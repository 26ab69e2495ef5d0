"""Resample whole days in blocks: how long the blocks are, which days a draw takes, and intervals of a mean (pj1 S11.9).

Stationary bootstrap (Politis, Romano 1994): a day starts a new block with chance 1 / block_days, else the day after the
last one follows, round the end. Circular block bootstrap (Politis, Romano 1992): blocks of exactly block_days.
Block length rule: `block_length`, the automatic rule of Politis, White 2004 (corrected 2009) through
``arch.bootstrap.optimal_block_length``, rounded up, at least 1 and at most T / 4; T**(1/3)
rounded where that rule has no answer: under 30 days, or a series without movement.
"""

from __future__ import annotations

from math import ceil
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from strategies.mle.audit.arrays import Floats, Ints, StatisticsInputError, series, share_out
from strategies.mle.audit.chance import below, heads, stream, word
from strategies.mle.kernels.jit import compiled

Kind = Literal["stationary", "circular"]
DRAWS: Final = 10_000
SEED: Final = 1
AUTOMATIC_DAYS: Final = 30
"""The automatic rule looks at autocorrelations up to about sqrt(T) + 5 days; shorter series hold too few of them."""


def block_length(daily: npt.ArrayLike, kind: Kind = "stationary") -> int:
    """Return the mean length of the blocks in days for a daily series: see the rule above, rounded up.

    Raises StatisticsInputError for fewer than 8 days or a value that is not finite.
    """
    from arch.bootstrap import optimal_block_length

    values = series(daily, at_least=8)
    found = float("nan")
    if values.size >= AUTOMATIC_DAYS and np.ptp(values) > 0.0:
        # A series that ends in days exactly at its mean divides by zero in there: no answer, or the longest.
        with np.errstate(divide="ignore", invalid="ignore"):
            found = float(optimal_block_length(values)[kind].iloc[0])
    longest = int(values.size) // 4
    return max(1, min(longest, ceil(found) if np.isfinite(found) else round(float(np.cbrt(values.size)))))


def check_draws(days: int, draws: int, block_days: int) -> None:
    """Refuse a resampling that cannot be done: raises StatisticsInputError."""
    if draws < 1:
        raise StatisticsInputError(f"{draws} draws were asked for: at least 1 is needed")
    if not 1 <= block_days <= days:
        raise StatisticsInputError(f"blocks of {block_days} days were asked for: give 1 to {days}, the days there are")


def stay(kind: Kind, block_days: int) -> int:
    """Return what the loops need of the kind: 2**32 * (1 - 1/block_days), or -block_days for fixed blocks."""
    return -block_days if kind == "circular" else round((1.0 - 1.0 / block_days) * 2**32)


@compiled
def next_day(bits: Any, last: int, place: int, days: int, staying: int) -> Any:
    """Return the day that follows ``last`` at a place of a draw."""
    fresh = place == 0
    if not fresh:
        fresh = place % (-staying) == 0 if staying < 0 else not heads(bits, np.uint64(staying))
    return below(bits, days) if fresh else (last + 1) % days


def resampled_days(days: int, draws: int, seed: int, block_days: int, kind: Kind = "stationary") -> Ints:
    """Return the days (0..days-1) of each draw as a draws x days array; draw d is stream d of the seed."""
    check_draws(days, draws, block_days)
    rows = np.empty((draws, days), dtype=np.int64)
    staying = stay(kind, block_days)
    share_out(lambda first, last: _fill(rows, seed, staying, first, last), draws)
    return rows


@compiled
def _fill(rows: Ints, seed: int, staying: int, first: int, last: int) -> None:
    for draw in range(first, last):
        start = stream(seed, draw)
        day = 0
        for place in range(rows.shape[1]):
            day = next_day(word(start, place), day, place, rows.shape[1], staying)
            rows[draw, place] = day


def bootstrap_means(
    daily: npt.ArrayLike, draws: int = DRAWS, seed: int = SEED, block_days: int | None = None, kind: Kind = "stationary"
) -> Floats:
    """Return the mean of each resampled series; ``block_days`` defaults to `block_length`."""
    values = series(daily)
    length = block_length(values, kind) if block_days is None else block_days
    check_draws(values.size, draws, length)
    means = np.empty(draws)
    staying = stay(kind, length)
    share_out(lambda first, last: _means(values, seed, staying, first, last, means), draws)
    return means


@compiled
def _means(values: Floats, seed: int, staying: int, first: int, last: int, means: Floats) -> None:
    for draw in range(first, last):
        start = stream(seed, draw)
        day = 0
        total = 0.0
        for place in range(values.size):
            day = next_day(word(start, place), day, place, values.size, staying)
            total += values[day]
        means[draw] = total / values.size


def mean_interval(
    daily: npt.ArrayLike,
    draws: int = DRAWS,
    seed: int = SEED,
    block_days: int | None = None,
    level: float = 0.95,
    kind: Kind = "stationary",
) -> tuple[float, float]:
    """Return the two-sided percentile interval of the mean day, from whole days resampled in blocks.

    The unit is that of ``daily``; times T it is the interval of the net sum. ``level`` 0.95 leaves 2.5 % on each side,
    so that "lower bound > 0" is the stricter reading of pj1 S11.10.
    Raises StatisticsInputError for a level outside (0, 1), too few days or an impossible block length.
    """
    if not 0.0 < level < 1.0:
        raise StatisticsInputError(f"a level of {level:g} was given: give one between 0 and 1, as 0.95")
    means = bootstrap_means(daily, draws, seed, block_days, kind)
    lower, upper = np.quantile(means, [(1.0 - level) / 2.0, (1.0 + level) / 2.0])
    return float(lower), float(upper)
