"""Stand in for a position source where there is none (TradersPost without one): what we asked for, assumed.

A receipt is not a fill, so everything that follows from it is UNVERIFIED and shown as such. It lets
the clock exits work: what was taken is assumed filled, an exit that was taken is assumed done. An
entry nobody can vouch for is answered with an exit, which is harmless when flat, and no further
entry is taken that day (pj1 S8, services.md 1.4).

One exit is not enough: the entry may still be on its way inside the route when the exit arrives, which
then finds nothing to close. So it is asked again after FOLLOW_UPS_S, each time under a key of its own.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

from live.commands import ClosePosition
from live.engine import Engine
from live.events import Event, OrderAcked, OrderUnknown, PositionReported
from live.market import NS_PER_S
from pj.channels.journal import JournalLine
from pj.channels.statement import Statement
from pj.clock import Clock

REPEAT_S: Final = 5.0
ENTRY_LEG: Final = ":ENTRY"
FOLLOW_UPS_S: Final = (0.0, 3.0, 15.0)
#: After a restart an unknown entry older than this (run time) is the operator's: he may hold a position of his own.
YOUNG_NS: Final = 600 * NS_PER_S


class AssumedPosition:
    """Report the position that the broker's receipts imply."""

    def __init__(self, clock: Clock, now_s: Callable[[], float] = time.monotonic) -> None:
        """Start flat, which ``restore`` corrects; ``now_s`` is real monotonic time in seconds."""
        self.doubted = False
        self._qty: int | None = 0
        self._clock = clock
        self._now_s = now_s
        self._repeated_at: float | None = None
        self._exits: list[tuple[float, ClosePosition]] = []

    def restore(self, engine: Engine, lines: Sequence[JournalLine], found: Sequence[Event] = ()) -> None:
        """Take over from a replay: what the core believes, and the exits still owed to a young unknown entry.

        ``found`` are answers that this very start gave to orders without one: ``lines`` do not tell them yet.
        """
        intents = {line.data["key"]: line for line in lines if line.type == "INTENT"}
        done = {line.data["key"] for line in lines if line.type in {"ACKED", "REFUSED"}}
        for line in lines:
            key = str(line.data.get("key", ""))
            if line.type != "UNKNOWN" or not key.endswith(ENTRY_LEG):
                continue
            self.doubted = True
            entry = intents.get(key)
            if entry is not None and self._clock.now_ns() - entry.ts_ns < YOUNG_NS:
                self._owe(key, str(entry.data["contract"]), int(entry.data["qty"]), set(intents), done)
        position, order = engine.desk.position, engine.desk.order
        if order is not None and any(isinstance(one, OrderUnknown) and one.key == order.key for one in found):
            self.doubted = True
            if self._clock.now_ns() - order.signal.signal_ns < YOUNG_NS:
                self._owe(order.key, order.signal.contract, order.qty, set(), set())
        self._qty = 0 if position is None else position.signal.side * position.qty
        if order is not None and position is None:
            # Taken, and the process died before it was assumed filled: nothing later would say so again.
            taken = any(line.type == "ACKED" and line.data["key"] == order.key for line in lines)
            self._qty = order.signal.side * order.qty if taken else None

    def note(self, event: Event, engine: Engine) -> None:
        """Take the route's answer; an entry that became unknown is owed exits."""
        order = engine.desk.order
        if order is None:
            return
        if isinstance(event, OrderAcked):
            entry = event.key == order.key
            self._qty = order.signal.side * order.qty if entry else 0
            self._repeated_at = None
        elif isinstance(event, OrderUnknown) and event.key == order.key:
            self.doubted, self._qty = True, None
            self._owe(order.key, order.signal.contract, order.qty, set(), set())

    @property
    def unverified(self) -> bool:
        """Tell whether entries are forbidden."""
        return self.doubted

    def look(self) -> None:
        """Ask nobody: there is no source."""

    def news(self) -> list[Statement]:
        """Return nothing: nobody states anything."""
        return []

    def gauge(self, now_ns: int) -> dict[str, Any] | None:  # noqa: ARG002 (as ManualPosition's)
        """Return None: nobody stated anything."""
        return None

    def due_exits(self) -> list[ClosePosition]:
        """Return the exits that are due now, each once."""
        now_s = self._now_s()
        due = [exit_ for at_s, exit_ in self._exits if at_s <= now_s]
        self._exits = [owed for owed in self._exits if owed[0] > now_s]
        return [replace(exit_, ts_ns=self._clock.now_ns()) for exit_ in due]

    def _owe(self, entry_key: str, contract: str, qty: int, used: set[str], done: set[str]) -> None:
        """Owe the exits that are not ``done``; one that was intended and perhaps never left gets a key not ``used``."""
        stem = entry_key.removesuffix(ENTRY_LEG)
        keys = (f"{stem}:EXIT0{number or ''}" for number in itertools.count())
        asked = len([key for key in used if key.startswith(f"{stem}:EXIT0") and key in done])
        waits = FOLLOW_UPS_S[asked:]
        left = list(zip((key for key in keys if key not in used), waits, strict=False))
        first_s = left[0][1] if left else 0.0
        for key, wait_s in left:
            self._exits.append((self._now_s() + wait_s - first_s, ClosePosition(key, contract, qty, "UNVERIFIED", 0)))

    def repeat(self) -> PositionReported | None:
        """Return the assumed position every five real seconds, at once after a change; None while unknown."""
        now_s = self._now_s()
        if self._qty is None or (self._repeated_at is not None and now_s - self._repeated_at < REPEAT_S):
            return None
        self._repeated_at = now_s
        return PositionReported(self._qty, self._clock.now_ns())
