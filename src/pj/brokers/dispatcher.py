"""Send orders from one thread of its own, so that a slow broker never stops the reading of ticks.

The main loop journals the intent, then submits; answers come back through ``drain``. One order
is in flight at a time and they leave in the order submitted. An entry is sent at most once. An
exit or a cancel is sent again until the broker has said something definite: both ask for a
state (flat, no orders), so a second one does no harm.

Before every single sending, whatever the order, the fence is asked and held until the answer is there: an instance that
was superseded sends nothing any more (``pj.channels.fence``).
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Final

from live.commands import ClosePosition, PlaceBracket
from pj.brokers.guarded import GuardedBroker
from pj.brokers.port import Answer, Order, Outcome
from pj.clock import Clock

RESEND_S: Final = (0.5, 1.0, 2.0, 5.0)
APART_S: Final = 3.0
"""Real seconds between two exits of one trade that bear different keys. A service closes what it finds: were the first
still on its way when the second looks, both would close, and the position would be turned around."""
MAX_QUEUE: Final = 1000
FENCED: Final = "FENCED"
SendFence = Callable[[], AbstractContextManager[bool]]
"""``Fence.sending``: yields whether one thing may be sent now, and lets nobody else be granted the fence meanwhile."""


@dataclass(frozen=True, slots=True)
class Result:
    """Report one sending of ``order``; ``final`` is False when it will be sent again.

    ``late`` holds the reason why an entry was dropped without being sent, empty otherwise.
    """

    order: Order
    answer: Answer
    attempt: int
    final: bool
    run_ns: int
    late: str = ""


class QueueFull(RuntimeError):
    """Report that more orders wait than can be right."""


class Dispatcher:
    """Own the sending thread; ``submit``, ``drain`` and ``close`` belong to the main loop."""

    def __init__(
        self,
        broker: GuardedBroker,
        clock: Clock,
        wake: Callable[[], None],
        fence: SendFence,
        max_age_s: float = 5.0,
        blocked: Callable[[], str] = lambda: "",
    ) -> None:
        """Start the thread; it calls ``wake`` after each result and asks ``blocked`` what forbids an entry now.

        ``fence`` is asked before every sending of any kind; without it the answer is REFUSED with FENCED.
        Raises TypeError for an adapter without its guard: nothing is sent past the kill switch.
        """
        if type(broker) is not GuardedBroker:
            raise TypeError(f"{broker!r} has no guard; wrap it: GuardedBroker(adapter, run_dir)")
        self._broker = broker
        self._clock = clock
        self._wake = wake
        self._fence = fence
        self._max_age_s = max_age_s
        self._blocked = blocked
        self._orders: queue.SimpleQueue[Order | None] = queue.SimpleQueue()
        self._results: deque[Result] = deque()
        self._stopping = threading.Event()
        self._warm_wish = threading.Event()
        self._waiting = 0
        self._last_exit = ("", "", 0.0)
        self._thread = threading.Thread(target=self._run, name="sender", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Return how many orders are submitted and not finished."""
        return self._waiting

    def submit(self, order: Order) -> None:
        """Queue ``order``, whose intent must already be on disk; raise QueueFull beyond MAX_QUEUE."""
        if self._waiting >= MAX_QUEUE:
            raise QueueFull(f"{self._waiting} orders wait for the broker; something repeats itself")
        self._waiting += 1
        self._orders.put(order)

    def warm(self) -> None:
        """Ask for an open connection; done when nothing is being sent."""
        if not self._waiting and not self._warm_wish.is_set():
            self._warm_wish.set()
            self._orders.put(None)

    def drain(self) -> list[Result]:
        """Return the results since the last call, oldest first."""
        results = []
        while self._results:
            result = self._results.popleft()
            self._waiting -= result.final
            results.append(result)
        return results

    def close(self, timeout_s: float) -> bool:
        """Stop after the sending in flight; return whether the thread ended in time."""
        self._stopping.set()
        self._orders.put(None)
        self._thread.join(timeout_s)
        if not self._thread.is_alive():
            self._broker.close()
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._stopping.is_set():
            order = self._orders.get()
            if order is not None:
                self._deliver(order)
            elif self._warm_wish.is_set() and not self._stopping.is_set():
                with self._fence() as may_send:
                    if may_send:
                        self._broker.warm()
                self._warm_wish.clear()

    def _deliver(self, order: Order) -> None:
        entry = isinstance(order, PlaceBracket)
        attempt = 0
        if not self._kept_apart(order):
            return
        while True:
            attempt += 1
            now_ns = self._clock.now_ns()
            late = self._why_late(order, now_ns)
            answer = Answer(Outcome.REFUSED, late) if late else self._send(order, now_ns)
            if isinstance(order, ClosePosition) and answer.outcome in {Outcome.ACKED, Outcome.UNKNOWN}:
                self._last_exit = (_trade_of(order), order.key, time.monotonic())
            final = entry or answer.outcome in {Outcome.ACKED, Outcome.REFUSED, Outcome.HANDED}
            self._results.append(Result(order, answer, attempt, final, self._clock.now_ns(), late))
            self._wake()
            if final or self._stopping.wait(RESEND_S[min(attempt, len(RESEND_S)) - 1]):
                return

    def _kept_apart(self, order: Order) -> bool:
        """Wait until another exit of the same trade is APART_S old; return False when stopped meanwhile."""
        trade, key, at_s = self._last_exit
        if not isinstance(order, ClosePosition) or _trade_of(order) != trade or order.key == key:
            return True
        rest_s = at_s + APART_S - time.monotonic()
        return rest_s <= 0 or not self._stopping.wait(rest_s)

    def _why_late(self, order: Order, now_ns: int) -> str:
        """Return why an entry must not leave any more; age is real time under every clock."""
        if not isinstance(order, PlaceBracket):
            return ""
        if (now_ns - order.signal_ts_ns) / 1e9 / self._clock.speed > self._max_age_s:
            return "STALE_SIGNAL"
        return self._blocked()

    def _send(self, order: Order, now_ns: int) -> Answer:
        with self._fence() as may_send:
            return self._ask_broker(order, now_ns) if may_send else Answer(Outcome.REFUSED, FENCED)

    def _ask_broker(self, order: Order, now_ns: int) -> Answer:
        try:
            return self._broker.send(order, now_ns)
        except Exception as error:  # noqa: BLE001 - whatever broke, the order may be out: that is UNKNOWN, never a retry
            return Answer(Outcome.UNKNOWN, f"crash-{type(error).__name__}")


def _trade_of(order: Order) -> str:
    """Return what the keys of one trade's orders have in common."""
    return order.key.rpartition(":")[0]
