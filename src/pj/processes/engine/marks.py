"""Pass on only the trades that can matter to an open position: new extremes since it opened.

The worst price decides the daily loss, both extremes the excursions; everything between changes
nothing. Each passed mark is journaled, so a replay sees the same ones.
"""

from __future__ import annotations

from collections.abc import Iterable

from live.events import PriceMarked
from live.market import Tick


class MarkFilter:
    """Remember the extremes passed on since ``reset``."""

    def __init__(self) -> None:
        """Start empty."""
        self._low: int | None = None
        self._high: int | None = None

    def reset(self) -> None:
        """Forget the extremes: no position was open."""
        self._low = self._high = None

    def pick(self, trades: Iterable[Tick]) -> list[PriceMarked]:
        """Return the trades beyond the extremes, in order."""
        marks = []
        for tick in trades:
            price = tick.price_ticks
            if price is None or (self._low is not None and self._high is not None and self._low <= price <= self._high):
                continue
            self._low = price if self._low is None else min(self._low, price)
            self._high = price if self._high is None else max(self._high, price)
            marks.append(PriceMarked(tick.recv_ns, price))
        return marks
