"""Look at single factors, each pool kind and each direction, without believing the best of them (pj1 S11.8).

Of ten worthless factors one passes a level of 5 % two times in five: p values are held to their number, by Holm
(none is wrong) and by Benjamini and Hochberg (few are). ``t`` above 3 is the hurdle of Harvey, Liu and Zhu.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

from strategies.mle.audit.split import Split
from strategies.mle.audit.statistics import StatisticsInputError, benjamini_hochberg, holm, t_statistic
from strategies.mle.compiled import TradeTable
from strategies.mle.kernels import codes as c


@dataclass(frozen=True, slots=True)
class Factor:
    """Hold what the trades of one factor came to over the judged dates.

    ``p`` is one-sided (the mean day is above zero), ``holm`` and ``bh`` are p adjusted for the number of factors.
    """

    name: str
    trades: int
    net_cents: int
    t: float
    p: float
    holm: float
    bh: float


def factors(table: TradeTable, split: Split) -> tuple[Factor, ...]:
    """Return every pool kind and direction that traded on the judged dates; none where no statistic can be had."""
    rows = split.rows_of(table.column(c.T_DAY))
    judged = split.judged[rows]
    found: list[tuple[str, int, int, float]] = []
    for name, picked in _groups(table):
        here = picked & judged
        if not here.any():
            continue
        nets = np.bincount(rows[here], weights=table.column(c.T_NET)[here], minlength=len(split.days))
        try:
            found.append((name, int(here.sum()), int(nets.sum()), t_statistic(nets[split.judged])))
        except StatisticsInputError:  # one date alone, or every date the same: no statistic
            continue
    if not found:
        return ()
    p = np.array([NormalDist().cdf(-t) for *_, t in found])
    columns = (p, holm(p), benjamini_hochberg(p))
    adjusted = zip(*(column.tolist() for column in columns), strict=True)
    return tuple(Factor(*one, *values) for one, values in zip(found, adjusted, strict=True))


def _groups(table: TradeTable) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    for code, kind in enumerate(c.KINDS):
        yield kind, table.column(c.T_KIND) == code
    yield "longs", table.column(c.T_SIDE) > 0
    yield "shorts", table.column(c.T_SIDE) < 0
