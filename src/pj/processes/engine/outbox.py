"""Bring the core's orders to the broker: intent on disk first, sent once, outcome back as an event.

After a restart the replay asks for the same orders again; nothing of that is sent. An entry whose
intent has no outcome is UNKNOWN, one without an intent never left. Exits and cancels without an
outcome are sent again: they ask for a state. On a route that hands over (ibkr) an entry that never stood in the
route's file never left either, and one that did is waited for: the bridge's answer may be there already.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Final

from live.commands import PlaceBracket
from live.events import Event, OrderAcked, OrderRefused, OrderUnknown
from pj.brokers.dispatcher import FENCED, Dispatcher, Result
from pj.brokers.port import Outcome
from pj.channels.journal import JournalLine
from pj.clock import Clock
from pj.processes.engine.book import DayBook
from pj.processes.engine.handed import HandedOver, Heard
from pj.processes.engine.latency import Latency
from pj.processes.engine.rows import Order

OUTCOME_TYPES: Final = {"ACKED", "REFUSED", "UNKNOWN"}
FINAL_TYPES: Final = {"ACKED", "REFUSED"}
NOT_SENT: Final = "NOT_SENT"


class Outbox:
    """Issue orders through a dispatcher; ``book`` returns the day's book of the moment."""

    def __init__(
        self,
        dispatcher: Dispatcher | None,
        book: Callable[[], DayBook],
        clock: Clock,
        handed: HandedOver | None = None,
        was_handed: Callable[[str], bool] = lambda _key: False,
    ) -> None:
        """Start in replay: orders are kept back until ``go_live``.

        ``handed`` (a route that hands over) waits for the answers, ``was_handed`` tells whether a key ever left.
        """
        self._handed = handed
        self._was_handed = was_handed
        self.edge_to_order = Latency()
        self.doubted: set[str] = set()
        self._dispatcher = dispatcher
        self._book = book
        self._clock = clock
        self._replaying = True
        self._replayed: list[Order] = []
        self._again: list[Order] = []
        self._intents: set[str] = set()

    @property
    def waiting(self) -> int:
        """Return how many orders are on their way."""
        waiting = self._dispatcher.waiting if self._dispatcher else 0
        return waiting + (self._handed.waiting if self._handed else 0)

    def issue(self, orders: list[Order]) -> None:
        """Journal the intents, sync, then hand the orders to the sender; an intent seen before is not sent again."""
        if self._replaying:
            self._replayed.extend(orders)
            return
        book = self._book()
        fresh = [order for order in orders if order.key not in self._intents]
        for order in orders:
            if order.key in self._intents:
                book.note("ALARM", {"code": "KEY_REUSED", "text": f"order {order.key} was asked for twice; sent once"})
            else:
                self._intents.add(order.key)
                book.intent(order)
        book.sync()
        for order in fresh:
            self._submit(order)

    def collect(self) -> list[Event]:
        """Return what became of orders since the last call, as events for the core; each sending is journaled."""
        events: list[Event] = []
        for result in self._dispatcher.drain() if self._dispatcher else ():
            self._note_sending(result)
            if self._handed is not None and result.final and result.answer.outcome is not Outcome.HANDED:
                self._handed.forget(result.order.key)
            event = outcome_event(result)
            if event is not None:
                events.append(event)
        if self._handed is not None:
            late, again = self._handed.overdue()
            events += late
            for order in again:
                self._submit(order)
        return events

    def hear(self, answer: Heard) -> Heard | None:
        """Take an answer that came as a fact from the bridge; None when it will be asked again."""
        return answer if self._handed is None else self._handed.hear(answer)

    def go_live(self, lines: Iterable[JournalLine]) -> list[Event]:
        """End the replay; return what is known of the replayed orders that ``lines`` do not settle.

        Exits and cancels without a final outcome are sent again, unless a later order stands for them. Call ``resend``
        after the events are taken.
        """
        outcomes: dict[str, set[str]] = {}
        for line in lines:
            if line.type == "INTENT":
                self._intents.add(line.data["key"])
            elif line.type in OUTCOME_TYPES:
                outcomes.setdefault(line.data["key"], set()).add(line.type)
        events: list[Event] = []
        for order in self._replayed:
            known = outcomes.get(order.key, set())
            if known & FINAL_TYPES or isinstance(order, PlaceBracket):
                self._again.clear()  # what came later stands for all that was asked before it
            if isinstance(order, PlaceBracket):
                events += [] if known else self._unanswered(order)
            elif not known & FINAL_TYPES:
                self._again.append(order)
        self._replayed = []
        self._replaying = False
        return events

    def _unanswered(self, entry: PlaceBracket) -> list[Event]:
        """Return what is known of an entry without an outcome: it never left, it is waited for, or it is unknown."""
        now_ns = self._clock.now_ns()
        left = entry.key in self._intents
        if self._handed is not None:
            left = left and self._was_handed(entry.key)
            if left:
                self._handed.add(entry)
                return []
        if left:
            return [OrderUnknown(entry.key, "the engine stopped before the answer came", now_ns)]
        return [OrderRefused(entry.key, NOT_SENT, now_ns)]

    def resend(self) -> None:
        """Send the exits and cancels that ``go_live`` found without an outcome."""
        for order in self._again:
            if order.key not in self._intents:
                self._intents.add(order.key)
                self._book().intent(order)
        self._book().sync()
        for order in self._again:
            self._submit(order)
        self._again = []

    def _submit(self, order: Order) -> None:
        if self._dispatcher is None:
            raise RuntimeError(f"order {order.key} has no route to a broker: the paper route fills inside the core")
        if self._handed is not None:
            self._handed.add(order)  # before it leaves: the answer may be read before the sender's own result
        self._dispatcher.submit(order)

    def _note_sending(self, result: Result) -> None:
        answer = result.answer
        data: dict[str, object] = {
            "key": result.order.key,
            "attempt": result.attempt,
            "outcome": answer.outcome.value,
            "code": answer.code,
            "status": answer.status,
            "left": bool(answer.sent_mono_ns),
        }
        if answer.sent_mono_ns and isinstance(result.order, PlaceBracket):
            ago_ns = time.monotonic_ns() - answer.sent_mono_ns
            since_edge_ns = (self._clock.now_ns() - result.order.signal_ts_ns) / self._clock.speed
            data["edge_to_order_ms"] = self.edge_to_order.add((since_edge_ns - ago_ns) / 1e6)
        self._book().note("SENT", data)


def outcome_event(result: Result) -> Event | None:
    """Return what a sending means to the core; None when it will be tried again and nothing is in doubt.

    An exit or a cancel that the fence held back is no answer either: the successor finds it open and sends it.
    """
    key, answer, run_ns = result.order.key, result.answer, result.run_ns
    if answer.code == FENCED and not isinstance(result.order, PlaceBracket):
        return None
    match answer.outcome:
        case Outcome.ACKED:
            return OrderAcked(key, answer.broker_id, run_ns)
        case Outcome.REFUSED:
            return OrderRefused(key, answer.code, run_ns)
        case Outcome.RETRY_SAFE:
            return OrderRefused(key, f"RETRY_SAFE-{answer.code}", run_ns) if result.final else None
        case Outcome.UNKNOWN:
            return OrderUnknown(key, answer.code, run_ns) if result.final or result.attempt == 1 else None
        case Outcome.HANDED:
            return None  # the bridge will say
