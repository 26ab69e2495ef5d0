"""Draw other orders of the same days: drawdown, time under water, chance of hitting a floor (pj1 S11.9).

Whole days are resampled, never trades. All money is integer cents, so every figure of a path is exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from strategies.mle.audit.arrays import Ints, StatisticsInputError, share_out
from strategies.mle.audit.bootstrap import SEED, Kind, block_length, check_draws, next_day, stay
from strategies.mle.audit.chance import below, stream, word
from strategies.mle.kernels.jit import compiled

PATHS: Final = 10_000
LEVELS: Final = (0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
_SHUFFLE: Final = 2**40
"""Stands where `stay` stands for blocks (at most 2**32): deal instead of drawing."""


@dataclass(frozen=True, slots=True)
class Floor:
    """Hold the chance of losing ``loss_cents``: since the start, from the best point so far, and within one day."""

    loss_cents: int
    hit: float
    drawdown: float
    in_a_day: float


@dataclass(frozen=True, slots=True)
class MonteCarlo:
    """Hold what the paths showed; quantiles by level (0.05 ... 0.99), whole cents and days that some path had.

    Drawdown: cents below the best point so far, the start included. Under water: the longest run of days in which a
    path stays below its best point. Net: the end of the path.
    """

    paths: int
    block_days: int
    seed: int
    drawdown_cents: dict[float, int]
    days_under_water: dict[float, int]
    net_cents: dict[float, int]
    floors: tuple[Floor, ...]


def monte_carlo(
    daily_cents: npt.ArrayLike,
    paths: int = PATHS,
    seed: int = SEED,
    block_days: int | None = None,
    floors_cents: tuple[int, ...] = (45_000,),
    kind: Kind | Literal["shuffle"] = "stationary",
) -> MonteCarlo:
    """Return quantiles over resampled paths of the given days, each as long as the record.

    ``kind`` "shuffle" deals each day exactly once: the paths differ, the sum does not. ``block_days`` defaults to
    `block_length`; a shuffle has no blocks. Floors are losses in cents, as positive numbers.
    Raises StatisticsInputError for days that are not whole cents, floors that are not positive, too few days.
    """
    daily = np.asarray(daily_cents)
    if daily.ndim != 1 or daily.size < 2 or daily.dtype.kind not in "iu":
        raise StatisticsInputError("give at least two days of integer cents: money is never rounded here")
    cents = np.ascontiguousarray(daily, dtype=np.int64)
    if any(floor <= 0 for floor in floors_cents):
        raise StatisticsInputError(f"floors of {floors_cents} cents were given: give each loss as a positive number")
    if kind == "shuffle":
        length, staying = 1, _SHUFFLE
    else:
        length = block_length(cents, kind) if block_days is None else block_days
        staying = stay(kind, length)
    check_draws(cents.size, paths, length)
    floors = np.array(floors_cents, dtype=np.int64)
    figures, hits = np.empty((paths, 3), dtype=np.int64), np.zeros((paths, 3, floors.size), dtype=np.bool_)
    share_out(lambda first, last: _walk(cents, seed, staying, floors, first, last, figures, hits), paths)
    shares = hits.mean(axis=0)
    told = tuple(
        Floor(int(floor), float(shares[0, i]), float(shares[1, i]), float(shares[2, i]))
        for i, floor in enumerate(floors_cents)
    )
    drawdown, water, net = (_quantiles(figures[:, column]) for column in range(3))
    return MonteCarlo(paths, length, seed, drawdown, water, net, told)


def _quantiles(values: Ints) -> dict[float, int]:
    found = np.quantile(values, LEVELS, method="inverted_cdf")
    return {level: int(value) for level, value in zip(LEVELS, found, strict=True)}


@compiled
def _walk(
    cents: Ints,
    seed: int,
    staying: int,
    floors: Ints,
    first: int,
    last: int,
    figures: Ints,
    hits: npt.NDArray[np.bool_],
) -> None:
    deck = np.arange(cents.size)
    for path in range(first, last):
        start = stream(seed, path)
        if staying == _SHUFFLE:
            _deal(deck, start)
        day = 0
        net = peak = worst_net = worst_drop = worst_day = np.int64(0)
        water = longest = 0
        for place in range(cents.size):
            day = deck[place] if staying == _SHUFFLE else next_day(word(start, place), day, place, cents.size, staying)
            net += cents[day]
            worst_day = min(worst_day, cents[day])
            worst_net = min(worst_net, net)
            peak = max(peak, net)
            worst_drop = max(worst_drop, peak - net)
            water = water + 1 if net < peak else 0
            longest = max(longest, water)
        figures[path, 0], figures[path, 1], figures[path, 2] = worst_drop, longest, net
        for i in range(floors.size):
            hits[path, 0, i] = -worst_net >= floors[i]
            hits[path, 1, i] = worst_drop >= floors[i]
            hits[path, 2, i] = -worst_day >= floors[i]


@compiled
def _deal(deck: Ints, start: int) -> None:
    """Shuffle from the sorted deck (Fisher, Yates), so that a path depends on its stream alone."""
    for i in range(deck.size):
        deck[i] = i
    for i in range(deck.size - 1, 0, -1):
        j = below(word(start, i), i + 1)
        deck[i], deck[j] = deck[j], deck[i]
