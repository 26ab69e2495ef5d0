"""Make searches whose truth is known, so that the auditor itself can be audited (pj1 S11.10).

A trade risks 40 to 160 ticks of 50 cents, wins 2 R or loses 1 R, and pays its costs; its chance to win is set so that
its mean net result is the wanted edge in R exactly. Longs and shorts are alike, days are drawn evenly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from strategies.mle.audit.arrays import Floats, Ints, StatisticsInputError
from strategies.mle.audit.chance import below, heads, stream, word
from strategies.mle.kernels.jit import compiled

TICK_CENTS: Final = 50
COST_CENTS: Final = 2 * 62 + 2 * TICK_CENTS
"""Two commissions and a tick of slippage on either side."""
SLIP_CENTS: Final = 2 * TICK_CENTS
"""What one more tick of slippage on either side costs."""
KEEP: Final = 0.9
_LEAST_RISK, _RISKS = 40, 121


@dataclass(frozen=True, slots=True)
class Trades:
    """Hold one configuration's trades in order of day.

    Row of the trade date, side +-1, net in cents as traded and with one more tick of slippage on either side, and R
    (net over risk).
    """

    rows: Ints
    sides: Ints
    net_cents: Ints
    slipped_cents: Ints
    r: Floats


@dataclass(frozen=True, slots=True)
class SyntheticSearch:
    """Hold a made-up search: ``daily`` is T x N in cents.

    The columns ``family`` share one tape with the edge, all others are worthless and independent. Neighbours of a
    column are the ones beside it.
    """

    seed: int
    edge_r: float
    trades: int
    family: range
    daily: npt.NDArray[np.int32]

    def trades_of(self, column: int) -> Trades:
        """Return the trades behind a column of ``daily``."""
        planted = column in self.family
        edge = self.edge_r if planted else 0.0
        tape = round(self.trades / KEEP) if planted else self.trades
        table = np.empty((tape, 5), dtype=np.int64)
        kept = _trade(self.seed, self._tape_of(column), column, edge, self.trades, self.daily.shape[0], table)
        order = np.argsort(table[:kept, 0], kind="stable")
        rows, sides, net, slipped, risk = (np.ascontiguousarray(values) for values in table[:kept][order].T)
        return Trades(rows, sides, net, slipped, net / risk)

    def neighbours_of(self, column: int) -> tuple[int, ...]:
        """Return the columns one step beside: within the family for one of its own."""
        last = self.daily.shape[1] - 1
        near = [other for other in (column - 1, column + 1) if 0 <= other <= last]
        return tuple(other for other in near if (other in self.family) == (column in self.family))

    def _tape_of(self, column: int) -> int:
        return self.family.start if column in self.family else column


def synthetic_search(
    seed: int, edge_r: float = 0.0, *, days: int = 500, columns: int = 500, family: int = 25, trades: int = 1_500
) -> SyntheticSearch:
    """Return a search of ``columns`` configurations with ``trades`` trades each.

    With an edge, the ``family`` configurations in the middle each leave out a tenth of one tape of trades that has it;
    without one (0), every configuration is noise of its own. The same arguments give the same search everywhere.
    Raises StatisticsInputError for a family larger than the search or an edge that no chance to win can give.
    """
    if not 1 <= family <= columns or days < 2 or trades < 1:
        raise StatisticsInputError(f"a family of {family} in {columns} columns, {days} days, {trades} trades: too few")
    dearest = COST_CENTS / (_LEAST_RISK * TICK_CENTS)
    if not -1.0 <= edge_r <= 2.0 - dearest:
        raise StatisticsInputError(f"an edge of {edge_r:g} R was asked for: give one from -1 to {2.0 - dearest:.2f}")
    first = (columns - family) // 2
    kin = range(first, first + family) if edge_r else range(0)
    search = SyntheticSearch(seed, edge_r, trades, kin, np.zeros((days, columns), dtype=np.int32))
    for column in range(columns):
        made = search.trades_of(column)
        search.daily[:, column] = np.bincount(made.rows, weights=made.net_cents, minlength=days).astype(np.int32)
    return search


@compiled
def _trade(seed: int, tape: int, column: int, edge: float, wanted: int, days: int, table: Ints) -> int:
    """Fill row, side, net, slipped net and risk of each trade kept; return how many that are.

    A tape with more trades than wanted is thinned out by the column's own chance, to exactly ``wanted``.
    """
    drawn, own = stream(seed, 2 * tape), stream(seed, 2 * column + 1)
    kept = 0
    total = table.shape[0]
    for i in range(total):
        if below(word(own, i), total - i) >= wanted - kept:
            continue
        first, second = word(drawn, 2 * i), word(drawn, 2 * i + 1)
        risk = (_LEAST_RISK + below(second, _RISKS)) * TICK_CENTS
        chance = (1.0 + edge + COST_CENTS / risk) / 3.0
        gross = 2 * risk if heads(second, np.uint64(chance * 4294967296.0)) else -risk
        table[kept, 0] = below(first, days)
        table[kept, 1] = 1 if heads(first, np.uint64(2147483648)) else -1
        table[kept, 2] = gross - COST_CENTS
        table[kept, 3] = gross - COST_CENTS - SLIP_CENTS
        table[kept, 4] = risk
        kept += 1
    return kept
