"""A tiny broker that does what it is told and says what it did, but late, twice, and in an order of its own.

Executions and order snapshots travel in one stream, in order; positions and the answers of the route travel apart, and
none waits for another. A position report says what was true when written; ``position`` is what the account holds.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace

from live.commands import CancelOrders, ClosePosition, Command, PlaceBracket, PlaceExits
from live.events import (
    BrokerReport,
    ExecutionReported,
    Leg,
    OrderAcked,
    OrderRefused,
    OrdersReported,
    OrderUnknown,
    PositionReported,
    WorkingOrder,
)

Asked = PlaceBracket | PlaceExits | ClosePosition | CancelOrders


@dataclass
class Bracket:
    """Hold the exits that wait for their entry."""

    stop: int
    target: int


class HonestBroker:
    """Carry out commands one by one when told to; fill when told to."""

    def __init__(self) -> None:
        self.position = 0
        self.working: dict[int, WorkingOrder] = {}
        self.inbox: deque[tuple[Asked, str, int]] = deque()
        self.channels: dict[str, deque[BrokerReport]] = {name: deque() for name in ("answers", "stream", "positions")}
        self.entries: list[str] = []
        self.slowest_ns = 0
        self.cash_ticks = 0
        self._brackets: dict[str, Bracket] = {}
        self._ids = 0

    def take(self, command: Command, fate: str, now_ns: int) -> None:
        """Put an order into the inbox; ``fate`` of an entry: OK, REFUSED, LOST (never arrives) or UNKNOWN (arrives)."""
        if isinstance(command, Asked):
            self.inbox.append((command, fate, now_ns))

    def work(self, now_ns: int) -> None:
        """Carry out the oldest order of the inbox."""
        if not self.inbox:
            return
        order, fate, asked_ns = self.inbox.popleft()
        self.slowest_ns = max(self.slowest_ns, now_ns - asked_ns)
        match order:
            case PlaceBracket():
                self._enter(order, fate, now_ns)
            case PlaceExits():
                self._drop({Leg.STOP, Leg.TARGET})
                held = max(0, order.side * self.position)  # it may have left since it was asked
                self._exits(order.key, order.side, min(order.qty, held), Bracket(order.stop_ticks, order.target_ticks))
            case CancelOrders():
                self._drop({Leg.ENTRY} if order.entries_only else set(Leg))
            case ClosePosition():
                self._drop(set(Leg))
                if self.position:
                    self._fill_market(order.key, -self.position, now_ns)
        self.show_orders(now_ns)

    def fill_entry(self, qty: int, price: int, now_ns: int) -> None:
        """Fill up to ``qty`` of a working entry; its exits come to stand for what is filled."""
        for number, order in list(self.working.items()):
            if order.leg is Leg.ENTRY:
                done = min(qty, order.qty)
                self._reduce(number, done)
                self._executed(order.key, order.side * done, price, now_ns)
                held = sum(one.qty for one in self.working.values() if one.leg is Leg.STOP) + done
                self._drop({Leg.STOP, Leg.TARGET})
                self._exits(order.key, order.side, held, self._brackets[order.key])
                self.show_orders(now_ns)
                return

    def fill_exit(self, leg: Leg, qty: int, now_ns: int, *, both: bool) -> None:
        """Fill up to ``qty`` of an exit; one cancels the other, unless the market is faster (``both``)."""
        found = [(number, one) for number, one in self.working.items() if one.leg is leg]
        if not found:
            return
        number, order = found[0]
        done = min(qty, order.qty)
        self._reduce(number, done)
        self._executed(order.key, order.side * done, order.price_ticks, now_ns)
        other = Leg.TARGET if leg is Leg.STOP else Leg.STOP
        for sibling, one in list(self.working.items()):
            if one.leg is other and one.key == order.key:
                self._reduce(sibling, done)
                if both:
                    self._executed(one.key, one.side * min(done, one.qty), one.price_ticks, now_ns)
        self.show_orders(now_ns)

    def lose(self, leg: Leg, now_ns: int) -> None:
        """Let the exchange cancel an exit nobody asked to cancel."""
        self._drop({leg})
        self.show_orders(now_ns)

    def human(self, signed: int, price: int, now_ns: int) -> None:
        """Trade by hand in the same account."""
        self._executed("", signed, price, now_ns)

    def show_position(self, now_ns: int) -> None:
        """Write one position report."""
        self.channels["positions"].append(PositionReported(self.position, now_ns))

    def show_orders(self, now_ns: int, *, reread: bool = False) -> None:
        """Write one snapshot of all working orders; ``reread`` at the end of a complete re-read."""
        self.channels["stream"].append(OrdersReported(tuple(self.working.values()), now_ns, reread))

    def covered(self, leg: Leg) -> int:
        """Return for how many contracts exits of ``leg`` work."""
        return sum(order.qty for order in self.working.values() if order.leg is leg)

    def _enter(self, order: PlaceBracket, fate: str, now_ns: int) -> None:
        answers = self.channels["answers"]
        if fate == "REFUSED":
            answers.append(OrderRefused(order.key, "busy", now_ns))
            return
        unknown = OrderUnknown(order.key, "time-out", now_ns)
        answers.append(OrderAcked(order.key, "b", now_ns) if fate == "OK" else unknown)
        if fate != "LOST":
            self.entries.append(order.key)
            self._brackets[order.key] = Bracket(order.stop_ticks, order.target_ticks)
            self._add(order.key, Leg.ENTRY, order.side, order.qty, 0)

    def _exits(self, key: str, side: int, qty: int, at: Bracket) -> None:
        if qty > 0:
            self._add(key, Leg.STOP, -side, qty, at.stop)
            self._add(key, Leg.TARGET, -side, qty, at.target)

    def _add(self, key: str, leg: Leg, side: int, qty: int, price: int) -> None:
        self._ids += 1
        self.working[self._ids] = WorkingOrder(key, leg, side, qty, price, str(self._ids))

    def _drop(self, legs: set[Leg]) -> None:
        self.working = {number: order for number, order in self.working.items() if order.leg not in legs}

    def _reduce(self, number: int, qty: int) -> None:
        order = self.working.pop(number)
        if order.qty > qty:
            self.working[number] = replace(order, qty=order.qty - qty)

    def _fill_market(self, key: str, signed: int, now_ns: int) -> None:
        self._executed(key, signed, 900, now_ns)

    def _executed(self, ref: str, signed: int, price: int, now_ns: int) -> None:
        if signed:
            self.position += signed
            self.cash_ticks -= signed * price
            self._ids += 1
            fill = ExecutionReported(f"e{self._ids}", 1 if signed > 0 else -1, abs(signed), price, now_ns, ref)
            self.channels["stream"].append(fill)
            self.show_position(now_ns)
