"""Take the position from a human (``pj position set``) where no machine can tell it.

Between statements the route's receipts imply the position, as without any source. A statement corrects them, resolves
the doubts that are older than it, and ends with the next order: what was said before an order says nothing about what
the order did. Without a statement of this trade date nothing is known, and no entry is taken.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from live.engine import Engine
from live.events import Event, OrderAcked, OrderRefused, OrderUnknown
from live.trading_day import trade_date
from pj.channels.journal import JournalLine
from pj.channels.statement import AHEAD_NS, Statement, StatementDamaged, read_statement
from pj.clock import Clock
from pj.processes.engine.assumed import AssumedPosition

READ_S: Final = 0.5
ORDER_LINES: Final = frozenset({"INTENT", "SENT", "ACKED", "REFUSED", "UNKNOWN"})


class ManualPosition(AssumedPosition):
    """Report the position that was stated, or else the one that the receipts since then imply."""

    def __init__(self, engine: Engine, path: Path, clock: Clock, now_s: Callable[[], float] = time.monotonic) -> None:
        """Start without a statement; ``now_s`` is real monotonic time in seconds."""
        super().__init__(clock, now_s)
        self.trouble = ""
        self._engine = engine
        self._path = path
        self._said: Statement | None = None
        self._news: list[Statement] = []
        self._order_ns = 0
        self._read_at = -READ_S

    def restore(self, engine: Engine, lines: Sequence[JournalLine], found: Sequence[Event] = ()) -> None:
        """Take over from a replay; a statement younger than every order holds at once, and so did an older one then."""
        super().restore(engine, _unresolved(lines), found)
        told = (event.ts_ns for event in found if isinstance(event, OrderRefused | OrderUnknown))
        self._order_ns = max((*(line.ts_ns for line in lines if line.type in ORDER_LINES), *told), default=0)
        self._look()

    def note(self, event: Event, engine: Engine) -> None:
        """Take the route's answer: what was stated before it is stale now."""
        if isinstance(event, OrderAcked | OrderRefused | OrderUnknown):
            self._order_ns = max(self._order_ns, event.ts_ns)
        super().note(event, engine)

    @property
    def holds(self) -> bool:
        """Tell whether the last statement is younger than every order and not from the future."""
        said, order = self._said, self._engine.desk.order
        if said is None or said.said_ns - self._clock.now_ns() > AHEAD_NS:
            return False
        sent_ns = 0 if order is None else order.signal.signal_ns
        return said.said_ns > max(self._order_ns, sent_ns)

    @property
    def unverified(self) -> bool:
        """Tell whether entries are forbidden: a doubt, or nothing stated on this trade date."""
        said, today = self._said, trade_date(self._clock.now_ns())
        return self.doubted or said is None or trade_date(said.said_ns) != today

    def look(self) -> None:
        """Read the file again when that is due."""
        if self._now_s() - self._read_at >= READ_S:
            self._look()

    def news(self) -> list[Statement]:
        """Return the statements read since the last call, for the journal."""
        found, self._news = self._news, []
        return found

    def gauge(self, now_ns: int) -> dict[str, Any] | None:
        """Return what was stated, its age in s, and whether an order has made it stale; None without a statement."""
        if self._said is None:
            return {"trouble": self.trouble} if self.trouble else None
        said = {"qty": self._said.qty, "by": self._said.by, "age_s": round(self._said.age_s(now_ns), 1)}
        return {**said, "stale": not self.holds, "trouble": self.trouble}

    def _look(self) -> None:
        self._read_at = self._now_s()
        try:
            found, self.trouble = read_statement(self._path), ""
        except StatementDamaged as error:
            found, self.trouble = None, str(error)
        if found == self._said:
            return
        self._said = found
        if found is None:
            return
        self._news.append(found)
        if self.holds:
            self.doubted = False
            self._qty = found.qty
            self._exits.clear()  # a human has looked: what he says is what there is
            self._repeated_at = None


def _unresolved(lines: Sequence[JournalLine]) -> list[JournalLine]:
    """Leave out the doubts that a statement resolved: one that was younger than every order when it was read."""
    order_ns, resolved = 0, -1
    for place, line in enumerate(lines):
        if line.type in ORDER_LINES:
            order_ns = max(order_ns, line.ts_ns)
        elif line.type == "STATED" and order_ns < int(line.data["said_ns"]) <= line.ts_ns + AHEAD_NS:
            resolved = place
    return [line for place, line in enumerate(lines) if place > resolved or line.type != "UNKNOWN"]
