"""Stand in for a position source where there is none (TradersPost without one): what we asked for, assumed.

A receipt is not a fill, so everything that follows from it is UNVERIFIED and shown as such. It lets
the clock exits work: what was taken is assumed filled, an exit that was taken is assumed done. An
entry nobody can vouch for is answered with an exit, which is harmless when flat, and no further
entry is taken that day (pj1 S8, services.md 1.4).
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Final

from live.commands import ClosePosition
from live.engine import Engine
from live.events import Event, OrderAcked, OrderUnknown, PositionReported
from live.execution_bridge import order_key
from pj.channels.journal import JournalLine
from pj.clock import Clock

REPEAT_S: Final = 5.0


class AssumedPosition:
    """Report the position that the broker's receipts imply."""

    def __init__(self, clock: Clock) -> None:
        """Start flat, which ``restore`` corrects."""
        self.doubted = False
        self._qty: int | None = 0
        self._clock = clock
        self._repeated_at = 0.0

    def restore(self, engine: Engine, lines: Iterable[JournalLine]) -> None:
        """Take over from a replay: what the core believes, and whether an entry was left unknown."""
        self.doubted = any(line.type == "UNKNOWN" and line.data["key"].endswith(":ENTRY") for line in lines)
        position = engine.desk.position
        self._qty = 0 if position is None else position.signal.side * position.qty
        if engine.desk.order is not None and position is None:
            self._qty = None

    def note(self, event: Event, engine: Engine) -> list[ClosePosition]:
        """Take the route's answer; return the exit to send when an entry became unknown."""
        order = engine.desk.order
        if order is None:
            return []
        if isinstance(event, OrderAcked):
            entry = event.key == order.key
            self._qty = order.signal.side * order.qty if entry else 0
            self._repeated_at = 0.0
        elif isinstance(event, OrderUnknown) and event.key == order.key:
            self.doubted, self._qty = True, None
            key = order_key(order.signal.pool_id, order.signal.signal_ns, "EXIT0")
            return [ClosePosition(key, order.signal.contract, order.qty, "UNVERIFIED", self._clock.now_ns())]
        return []

    def repeat(self) -> PositionReported | None:
        """Return the assumed position every five real seconds, at once after a change; None while unknown."""
        if self._qty is None or time.monotonic() - self._repeated_at < REPEAT_S:
            return None
        self._repeated_at = time.monotonic()
        return PositionReported(self._qty, self._clock.now_ns())
