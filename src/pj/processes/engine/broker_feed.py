"""Follow broker_events.csv and tell the core what the account did: answers, fills, position, working orders, truth.

The position is the sum over all months of our root, so that a contract of yesterday is not overlooked; so are the
working orders. Months held against each other are two positions and no flat account: they count in full. What is told
once (position, orders) is told again every five real seconds while the bridge lives and stands, because it is still so
(pj1 S8). What a row cannot say (unreadable, foreign root) is counted and passed over.
"""

from __future__ import annotations

import re
import time
from collections.abc import Collection
from datetime import date
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, InvalidOperation
from typing import Final

from live.events import (
    ExecutionReported,
    Leg,
    OrderAcked,
    OrderRefused,
    OrdersReported,
    OrderUnknown,
    PositionReported,
    TruthChanged,
    WorkingOrder,
)
from live.execution_bridge import key_of_ref
from live.market import Instrument
from pj.channels.csvlog import CsvParser, Row
from pj.channels.formats import BROKER_EVENT_COLUMNS
from pj.channels.orders import REREAD, Answered
from pj.channels.rundir import RunDir
from pj.channels.tailer import DayFollower
from pj.clock import Clock

REPEAT_S: Final = 5.0
Answer = OrderAcked | OrderRefused | OrderUnknown
BrokerEvent = ExecutionReported | PositionReported | OrdersReported | TruthChanged | Answer
SETTLED_AS: Final = {OrderAcked: "ACKED", OrderRefused: "REFUSED", OrderUnknown: "UNKNOWN"}


class BrokerFeed:
    """Turn rows into events; ``known`` says whether the account's position is known and its source alive."""

    def __init__(self, run_dir: RunDir, instrument: Instrument, clock: Clock, start: date) -> None:
        """Begin at the first row of ``start``."""
        self.connected = False
        self.position: int | None = None
        self.orders: tuple[WorkingOrder, ...] | None = None
        self.bad_rows = 0
        self._silent = True  # until a living bridge has been seen: the file's last word may be a dead one's
        self._instrument = instrument
        self._clock = clock
        self._ours = re.compile(rf"{re.escape(instrument.symbol)}[FGHJKMNQUVXZ]\d")
        self._held: dict[str, int] = {}
        self._listing: list[WorkingOrder] = []
        self._repeated_at = time.monotonic()
        self._follower: DayFollower[Row] = DayFollower(run_dir, "broker_events.csv", self._parser, start)

    @property
    def known(self) -> bool:
        """Return whether the position can be relied on."""
        return self.connected and not self._silent and self.position is not None

    def begin(
        self, ours: Collection[str], seen: Collection[str], settled: Collection[tuple[str, str]] = ()
    ) -> list[BrokerEvent]:
        """Read what is there at the start: what became of our orders ``ours``.

        How the account stands is told by ``heartbeat``, once a living bridge vouches for it. ``seen`` are executions
        and ``settled`` answers (key, journal type) taken before. Fills without one of our order references happened
        before us or beside us; the position shows them.
        """
        events: list[BrokerEvent] = []
        while rows := self._follower.poll():
            for event in self._events(rows):
                fill = isinstance(event, ExecutionReported) and event.order_ref in ours and event.exec_id not in seen
                if fill or (isinstance(event, Answer) and self._news(event, ours, settled)):
                    events.append(event)
        return events

    def poll(self) -> list[BrokerEvent]:
        """Return the events of the rows appended since, in order."""
        events: list[BrokerEvent] = []
        while rows := self._follower.poll():
            events += self._events(rows)
        return events

    def heartbeat(self, *, alive: bool) -> list[BrokerEvent]:
        """Take whether the bridge beats and is connected: a dead one cannot say that it is not any more.

        A connection that is back counts from the beat that says so: else its first moment would look like a new loss.
        """
        silent = not alive
        if silent == self._silent:
            return []
        self._silent = silent
        return self._truth(connected=not silent) if self.connected else []

    def repeat(self) -> list[BrokerEvent]:
        """Return position and orders once more five real seconds after they last changed (pj1 S8), if they are known.

        In the middle of news nothing is "still so"; but what only tells the known again (the bridge's own re-reads
        come as often) must not put this off for ever: nobody would see that a position lost its stop.
        """
        if not self.known or self._listing or time.monotonic() - self._repeated_at < REPEAT_S:
            return []
        self._repeated_at = time.monotonic()
        return self._now()

    def close(self) -> None:
        """Close the file."""
        self._follower.close()

    def _parser(self, _day: date, at_start: bool) -> CsvParser:
        return CsvParser(BROKER_EVENT_COLUMNS, at_start=at_start, on_bad=self._bad)

    def _bad(self, _text: str, _reason: str) -> None:
        self.bad_rows += 1

    @staticmethod
    def _news(answer: Answer, ours: Collection[str], settled: Collection[tuple[str, str]]) -> bool:
        return answer.key in ours and (answer.key, SETTLED_AS[type(answer)]) not in settled

    def _now(self) -> list[BrokerEvent]:
        if self.position is None:
            return []
        now_ns = self._clock.now_ns()
        events: list[BrokerEvent] = [PositionReported(self.position, now_ns, self._months())]
        return events if self.orders is None else [OrdersReported(self.orders, now_ns), *events]

    def _events(self, rows: list[Row]) -> list[BrokerEvent]:
        events: list[BrokerEvent] = []
        for row in rows:
            try:
                events += self._read(row)
            except (ValueError, InvalidOperation, KeyError):
                self.bad_rows += 1
        return events

    def _read(self, row: Row) -> list[BrokerEvent]:
        match row["kind"]:
            case "STATUS":
                return self._status(row["status"])
            case "POSITION" if self._ours.fullmatch(row["contract"]):
                return [self._position(row)]
            case "EXECUTION" if self._ours.fullmatch(row["contract"]):
                self._repeated_at = time.monotonic()
                return [self._execution(row)]
            case "ANSWER":
                self._repeated_at = time.monotonic()
                return [self._answer(row)]
            case "WORKING" if self._ours.fullmatch(row["contract"]):
                self._listing.append(self._working(row))
            case "ORDERS_END":
                return [self._snapshot(row)]
            case _:
                pass
        return []

    def _status(self, status: str) -> list[BrokerEvent]:
        before, self.connected = self.connected, status == "connected"
        if not self.connected:
            self.position = self.orders = None
            self._held.clear()
        self._listing = []
        if before == self.connected or self._silent:
            return []
        return self._truth(connected=self.connected)

    def _truth(self, *, connected: bool) -> list[BrokerEvent]:
        """Tell the change; a source that is back says at once how things stand."""
        self._repeated_at = time.monotonic()
        return [TruthChanged(connected, self._clock.now_ns()), *(self._now() if connected else [])]

    def _position(self, row: Row) -> PositionReported:
        self._held[row["contract"]] = int(Decimal(row["position"]))
        self.position = _whole(self._held.values())
        self._repeated_at = time.monotonic()
        return PositionReported(self.position, int(row["recv_ns"]), self._months())

    def _snapshot(self, row: Row) -> OrdersReported:
        told, self._listing = tuple(self._listing), []
        if _ours(told) != _ours(self.orders or ()):
            self._repeated_at = time.monotonic()
        self.orders = told
        return OrdersReported(told, int(row["recv_ns"]), row["status"] == REREAD)

    def _months(self) -> str:
        """Return the contracts that are held, with a space between."""
        return " ".join(sorted(name for name, qty in self._held.items() if qty))

    def _execution(self, row: Row) -> ExecutionReported:
        side = _side(row["side"])
        qty = int(Decimal(row["qty"]))
        if not side or qty <= 0 or not row["exec_id"]:
            raise ValueError(f"execution row {row['seq']} has no side, quantity or id")
        exact = Decimal(row["price"]) / self._instrument.tick
        price = int(exact.to_integral_value(ROUND_CEILING if side > 0 else ROUND_FLOOR))
        ref, contract = key_of_ref(row["order_ref"]), row["contract"]
        return ExecutionReported(row["exec_id"], side, qty, price, int(row["recv_ns"]), ref, contract)

    def _answer(self, row: Row) -> Answer:
        """Read an ANSWER row: ``order_ref`` is the key, ``status`` the word, and behind a colon why."""
        word, _, why = row["status"].partition(":")
        key, at_ns = row["order_ref"], int(row["recv_ns"])
        if not key:
            raise ValueError(f"answer row {row['seq']} has no key")
        match Answered(word):
            case Answered.TAKEN:
                return OrderAcked(key, row["order_id"], at_ns)
            case Answered.REFUSED:
                return OrderRefused(key, why, at_ns)
            case Answered.UNKNOWN:
                return OrderUnknown(key, why, at_ns)

    def _working(self, row: Row) -> WorkingOrder:
        """Read a WORKING row: ``order_ref`` is our key or empty, ``status`` the leg, ``order_id`` the broker's name."""
        price = self._instrument.to_ticks(row["price"]) if row["price"] else 0
        qty = int(Decimal(row["remaining"]))
        return WorkingOrder(row["order_ref"], Leg(row["status"]), _side(row["side"]), qty, price, row["order_id"])


def _ours(orders: tuple[WorkingOrder, ...]) -> tuple[WorkingOrder, ...]:
    return tuple(one for one in orders if one.key)


def _whole(held: Collection[int]) -> int:
    """Return the position over all months; a spread is its contracts with the sign of the larger side."""
    longs = sum(qty for qty in held if qty > 0)
    net = sum(held)
    shorts = longs - net
    return net if not longs or not shorts else (longs + shorts if net >= 0 else -longs - shorts)


def _side(text: str) -> int:
    return {"BUY": 1, "SELL": -1}.get(text, 0)
