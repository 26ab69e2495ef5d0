"""Run parameter sets over one tape for the audit: compiled, with structure passes shared where they agree."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from live.params import Params
from strategies.mle.compiled import STRUCTURE, Reclaims, TradeTable, daily_net_cents, reclaims, trade_table
from strategies.mle.tape import Tape

Ints = npt.NDArray[np.int64]

_FIELDS: Final = tuple(sorted(STRUCTURE))
_KEPT: Final = 4


class Market:
    """Hold a tape and the structure passes last used."""

    def __init__(self, tape: Tape, symbol: str) -> None:
        self.tape = tape
        self.symbol = symbol
        self._passes: dict[tuple[Any, ...], Reclaims] = {}

    def trades(self, params: Params) -> TradeTable:
        """Return the closed trades of a parameter set, in order of exit."""
        return trade_table(self.tape, self._reclaims(params), params)

    def daily(self, params: Params) -> Ints:
        """Return the net cents of each trade date."""
        return daily_net_cents(self.tape, self.trades(params))

    def shifted_daily(self, params: Params, level_shift: Ints) -> Ints:
        """Return the net cents of each trade date with every pool's level moved outward by so many ticks."""
        found = reclaims(self.tape, params, level_shift)
        return daily_net_cents(self.tape, trade_table(self.tape, found, params))

    def pools(self, params: Params) -> int:
        """Return how many pools the rules define on this tape."""
        return len(self._reclaims(params).pools)

    def _reclaims(self, params: Params) -> Reclaims:
        key = tuple(getattr(params, name) for name in _FIELDS)
        found = self._passes.pop(key, None) or reclaims(self.tape, params)
        self._passes[key] = found  # the last used stand last
        while len(self._passes) > _KEPT:
            del self._passes[next(iter(self._passes))]
        return found
