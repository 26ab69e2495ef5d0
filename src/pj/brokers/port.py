"""Name what every route to a broker offers, and what it can answer.

An answer is one of four (services.md 1.4): the order was taken, it was refused for good, it
certainly never arrived, or nobody can say. The last one is why an entry is never sent twice. A route that goes
through another process of ours has a fifth: it was handed over, and that process will answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from live.commands import CancelOrders, ClosePosition, PlaceBracket, PlaceExits

Order = PlaceBracket | ClosePosition | CancelOrders | PlaceExits


class Outcome(StrEnum):
    """Name the ends of one sending; HANDED is no end yet: the answer comes as a fact from elsewhere."""

    ACKED = "ACKED"
    REFUSED = "REFUSED"
    RETRY_SAFE = "RETRY_SAFE"
    UNKNOWN = "UNKNOWN"
    HANDED = "HANDED"


@dataclass(frozen=True, slots=True)
class Answer:
    """Carry the end of one sending.

    ``code`` is a stable word (a message code, ``http-500``, ``connect``, ``time-out``), ``broker_id`` the
    order's name at the broker, ``sent_mono_ns`` the real monotonic time at which the last byte of
    the request had been handed to the socket (0: no byte left).
    """

    outcome: Outcome
    code: str = ""
    broker_id: str = ""
    log_id: str = ""
    status: int = 0
    sent_mono_ns: int = 0


class Broker(Protocol):
    """Carry orders out; every call blocks until an answer or a time-out, and never raises for one."""

    name: str

    def send(self, order: Order, now_ns: int) -> Answer:
        """Send ``order`` exactly once at run time ``now_ns``."""
        ...

    def warm(self) -> None:
        """Open the connection ahead of the next order, without sending one."""
        ...

    def close(self) -> None:
        """Drop the connection."""
        ...
