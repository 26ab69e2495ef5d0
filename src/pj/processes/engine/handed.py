"""Follow orders that were handed over to the bridge until it has answered (execution.route ibkr).

An entry without an answer is UNKNOWN once the patience is over, and is never handed over again. Exits and cancels ask
for a state, so they are handed over again until the bridge has said something definite; a newer one stands for all
older ones, which may not come back when the position they meant is gone.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from live.commands import PlaceBracket
from live.events import Event, OrderAcked, OrderRefused, OrderUnknown
from pj.brokers.dispatcher import FENCED
from pj.clock import Clock
from pj.processes.engine.rows import Order

EXIT_PATIENCE_S: Final = 3.0
AGAIN_S: Final = 0.5
Heard = OrderAcked | OrderRefused | OrderUnknown


@dataclass(slots=True)
class _Open:
    order: Order
    due_s: float
    doubted: bool = False


class HandedOver:
    """Hold the orders that wait for an answer; ``patience_s`` is an entry's, in real seconds."""

    def __init__(self, clock: Clock, patience_s: float, now_s: Callable[[], float] = time.monotonic) -> None:
        """Start with none."""
        self._clock = clock
        self._patience_s = patience_s
        self._now_s = now_s
        self._open: dict[str, _Open] = {}

    @property
    def waiting(self) -> int:
        """Return how many wait for an answer."""
        return len(self._open)

    def add(self, order: Order) -> None:
        """Begin to wait for the answer of ``order``, which the bridge can read from now on."""
        known = self._open.get(order.key)
        patience_s = self._patience_s if isinstance(order, PlaceBracket) else EXIT_PATIENCE_S
        for older in [key for key, open_ in self._open.items() if not isinstance(open_.order, PlaceBracket)]:
            del self._open[older]
        self._open[order.key] = _Open(order, self._now_s() + patience_s, known is not None and known.doubted)

    def forget(self, key: str) -> None:
        """Stop waiting for ``key``: it never left, or its sender has said all there is to say."""
        self._open.pop(key, None)

    def hear(self, answer: Heard) -> Heard | None:
        """Take the bridge's answer and return what it means to the core, None when it will be asked again."""
        open_ = self._open.get(answer.key)
        if open_ is None:
            return answer
        entry = isinstance(open_.order, PlaceBracket)
        if entry or isinstance(answer, OrderAcked):
            del self._open[answer.key]
            return answer
        if isinstance(answer, OrderRefused) and answer.code != FENCED:
            del self._open[answer.key]
            return answer
        open_.due_s = min(open_.due_s, self._now_s() + AGAIN_S)
        if isinstance(answer, OrderRefused):
            return None  # it was an older engine's row: ours follows
        first, open_.doubted = not open_.doubted, True
        return answer if first else None

    def overdue(self) -> tuple[list[Event], list[Order]]:
        """Return what the core is told now, and the exits and cancels to hand over again."""
        events: list[Event] = []
        again: list[Order] = []
        for key, open_ in list(self._open.items()):
            if open_.due_s > self._now_s():
                continue
            if isinstance(open_.order, PlaceBracket):
                del self._open[key]
                why = f"the bridge has not answered within {self._patience_s:g} s"
                events.append(OrderUnknown(key, why, self._clock.now_ns()))
                continue
            if not open_.doubted:
                open_.doubted = True
                why = f"the bridge has not answered within {EXIT_PATIENCE_S:g} s"
                events.append(OrderUnknown(key, why, self._clock.now_ns()))
            open_.due_s = self._now_s() + EXIT_PATIENCE_S
            again.append(open_.order)
        return events, again
