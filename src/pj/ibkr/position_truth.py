"""Say what a contract's position is now, or that nobody knows: positions lag fills at a gateway.

The position is followed twice: as reported, and as the executions since the ground make it. The ground is the first
complete picture, from our own files or from the gateway; what executed before it is in it. Only where both agree
is it safe to close by it; closing twice on an old report would turn the position around (pj1 S8, 10148 and late
positions in reference/tws.md section 1). A difference that stays is believed in the end, unless the report is just what
it was before our own fills: then it is old news, however often it is repeated.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic
from typing import Final

LAG_S: Final = 5.0
FORGET_S: Final = 60.0


@dataclass(slots=True)
class _Held:
    reported: int = 0
    expected: int = 0
    differs_since_s: float = 0.0
    fills: list[tuple[float, int]] = field(default_factory=list)


class PositionTruth:
    """Keep the positions of one account; all calls belong to one thread."""

    def __init__(self, now_s: Callable[[], float] = monotonic) -> None:
        """Start with nothing held; ``now_s`` is real monotonic time in seconds."""
        self._now_s = now_s
        self._held: dict[str, _Held] = {}
        self._known_fills: set[str] = set()
        self._grounded = False
        self._listed: set[str] | None = None

    def ground(self) -> None:
        """Say that what was reported so far is a complete picture: a contract not in it is flat."""
        self._grounded = True

    def listing_began(self) -> None:
        """Begin to collect a complete list of positions."""
        self._listed = set()

    def listing_ended(self) -> None:
        """End a complete list, which is a ground: a contract it lacks is reported flat."""
        listed, self._listed = self._listed, None
        for contract in [name for name in self._held if listed is not None and name not in listed]:
            self.reported(contract, 0)
        self.ground()

    def reported(self, contract: str, qty: int) -> None:
        """Take a position report."""
        if self._listed is not None:
            self._listed.add(contract)
        held = self._held.setdefault(contract, _Held())
        held.reported = qty
        if not self._grounded:
            held.expected = qty
        self._compare(held)

    def executed(self, exec_id: str, contract: str, signed_qty: int) -> None:
        """Take one execution of any client, once; before the ground it is only remembered."""
        if exec_id in self._known_fills:
            return
        self._known_fills.add(exec_id)
        if not self._grounded:
            return
        held = self._held.setdefault(contract, _Held())
        held.expected += signed_qty
        held.fills.append((self._now_s(), signed_qty))
        self._compare(held)

    def now(self, contract: str) -> int | None:
        """Return the signed position, None while report and executions disagree."""
        held = self._held.get(contract)
        if held is None:
            return 0
        if held.reported != held.expected:
            self._settle(held)
        return held.reported if held.reported == held.expected else None

    def _compare(self, held: _Held) -> None:
        if held.reported == held.expected:
            held.differs_since_s = 0.0
        elif not held.differs_since_s:
            held.differs_since_s = self._now_s()

    def _settle(self, held: _Held) -> None:
        """Believe a report that has differed for long, unless it only lacks fills of the last minute."""
        now_s = self._now_s()
        held.fills = [(at_s, qty) for at_s, qty in held.fills if now_s - at_s < FORGET_S]
        lacking = 0
        for _, qty in reversed(held.fills):
            lacking += qty
            if held.reported + lacking == held.expected:
                return
        if now_s - held.differs_since_s >= LAG_S:
            held.expected, held.differs_since_s = held.reported, 0.0
