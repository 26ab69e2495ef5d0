"""Match the account's orders against the market: MKT, LMT and STP, brackets, one-cancels-the-other.

Rules. MKT fills at the ask (buy) or bid (sell) of the moment; while the week is closed it waits for the
next print. LMT fills at the opposite quote when it is marketable on becoming active, later only when a
print trades through it by one tick, and then at its price. STP is triggered by a print at or through it and
fills one tick worse than the worse of stop and print. Children stay inactive until their parent is filled
completely; a fill of one child reduces its siblings by as much and a complete fill cancels them; so does an
OCA group of type 2 or 3, while type 1 cancels on the first fill. ``transmit=0`` holds an order back until an
order of its family comes with ``transmit=1``. Orders of TIF DAY end with the trading day.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import Final, Protocol

from pj.simulators.account import Account
from pj.simulators.contracts import Future
from pj.simulators.paths import Print


class Status(StrEnum):
    """Name an order's states as the wire does; HELD never leaves the gateway."""

    HELD = "ApiPending"
    PRE_SUBMITTED = "PreSubmitted"
    SUBMITTED = "Submitted"
    FILLED = "Filled"
    CANCELLED = "Cancelled"
    INACTIVE = "Inactive"


DONE: Final = frozenset({Status.FILLED, Status.CANCELLED, Status.INACTIVE})
TYPES: Final = ("MKT", "LMT", "STP")


class Quotes(Protocol):
    """Tell the market of the moment, in ticks."""

    last: int
    bid: int
    ask: int


@dataclass(slots=True)
class Order:
    """Hold one order as placed and as it stands; prices in ticks, ``side`` +1 buys."""

    client_id: int
    order_id: int
    future: Future
    side: int
    quantity: int
    kind: str
    limit_ticks: int | None = None
    stop_ticks: int | None = None
    tif: str = "DAY"
    oca_group: str = ""
    oca_type: int = 0
    order_ref: str = ""
    parent_id: int = 0
    transmit: bool = True
    outside_rth: bool = False
    open_close: str = ""
    perm_id: int = 0
    status: Status = Status.HELD
    filled: int = 0
    paid_ticks: int = 0
    last_fill_ticks: int = 0
    done_ns: int = 0

    @property
    def remaining(self) -> int:
        """Return the contracts not filled yet."""
        return self.quantity - self.filled

    @property
    def average_ticks(self) -> Fraction:
        """Return the average fill price in ticks, 0 before the first fill."""
        return Fraction(self.paid_ticks, self.filled) if self.filled else Fraction(0)

    @property
    def working(self) -> bool:
        """Tell whether the market can fill it now."""
        return self.status is Status.SUBMITTED


@dataclass(frozen=True, slots=True)
class Fill:
    """Carry one execution; ``order`` is the order right after it."""

    exec_id: str
    order: Order
    quantity: int
    price_ticks: int
    time_ns: int
    commission_usd: Decimal
    realized_usd: Fraction | None


@dataclass(frozen=True, slots=True)
class OrderNotice:
    """Tell an order's state (a copy of the moment)."""

    order: Order


@dataclass(frozen=True, slots=True)
class FillNotice:
    """Tell an execution."""

    fill: Fill


@dataclass(frozen=True, slots=True)
class ErrorNotice:
    """Tell a client about its order."""

    client_id: int
    order_id: int
    code: int
    text: str


Notice = OrderNotice | FillNotice | ErrorNotice
Key = tuple[int, int]


@dataclass(slots=True)
class Book:
    """Hold all orders and executions of the account."""

    account: Account
    base_id: int = 0
    orders: dict[Key, Order] = field(default_factory=dict)
    fills: list[Fill] = field(default_factory=list)
    fill_cap: int = 0
    _live: dict[Key, Order] = field(default_factory=dict)

    def place(self, order: Order, market: Quotes, now_ns: int, *, is_open: bool) -> list[Notice]:
        """Take a new order or a change of a live one."""
        key = (order.client_id, order.order_id)
        if key in self.orders:
            return list(self._modify(self.orders[key], order, market, now_ns, is_open=is_open))
        if refusal := self._refusal(order):
            return [refusal]
        order.perm_id = self.base_id + len(self.orders) + 1
        self.orders[key] = order
        if not order.transmit:
            return []
        return list(self._release(order, market, now_ns, is_open=is_open))

    def cancel(self, client_id: int, order_id: int, now_ns: int) -> list[Notice]:
        """Cancel one order and, when it never filled completely, its children."""
        order = self.orders.get((client_id, order_id))
        if order is None:
            text = f"OrderId {order_id} that needs to be cancelled is not found."
            return [ErrorNotice(client_id, order_id, 10147, text)]
        if order.status in DONE:
            text = f"OrderId {order_id} that needs to be cancelled can not be cancelled, state: {order.status}."
            return [ErrorNotice(client_id, order_id, 10148, text)]
        return list(self._end(order, now_ns))

    def refuse_late(self, order: Order, now_ns: int) -> list[Notice]:
        """Take a new order, then reject it: its state goes PreSubmitted, Inactive, and error 201 comes."""
        order.perm_id = self.base_id + len(self.orders) + 1
        order.status = Status.PRE_SUBMITTED
        self.orders[order.client_id, order.order_id] = order
        text = "Order rejected - reason:planted after acceptance"
        ended = [OrderNotice(replace(order)), *self._end(order, now_ns, Status.INACTIVE)]
        return [*ended, ErrorNotice(order.client_id, order.order_id, 201, text)]

    def fill_now(self, order: Order, market: Quotes, now_ns: int) -> list[Notice]:
        """Fill what is left of a working order at the market of the moment."""
        price = market.ask if order.side > 0 else market.bid
        return list(self._fill(order, price, market, now_ns, is_open=True))

    def cancel_all(self, now_ns: int) -> list[Notice]:
        """Cancel every live order of the account."""
        return [notice for order in list(self._unfinished()) for notice in self._end(order, now_ns)]

    def end_day(self, now_ns: int) -> list[Notice]:
        """Cancel the orders of TIF DAY."""
        ending = [order for order in self._unfinished() if order.tif == "DAY"]
        return [notice for order in ending for notice in self._end(order, now_ns)]

    def trade(self, item: Print, market: Quotes, now_ns: int) -> list[Notice]:
        """Match the working orders against one print played at ``now_ns``."""
        if not self._live:
            return []
        notices: list[Notice] = []
        for order in sorted(self._live.values(), key=lambda live: live.perm_id):
            if order.working and (price := _touched(order, item.price_ticks, market)) is not None:
                notices += self._fill(order, price, market, now_ns, is_open=True)
        return notices

    def _unfinished(self) -> Iterator[Order]:
        return (order for order in self.orders.values() if order.status not in DONE)

    def _refusal(self, order: Order) -> ErrorNotice | None:
        reason = ""
        if order.kind not in TYPES:
            reason = f"order type {order.kind!r} is not taken by this gateway; use MKT, LMT or STP"
        elif order.quantity <= 0:
            reason = "the size value cannot be zero"
        elif order.kind == "LMT" and order.limit_ticks is None:
            reason = "a limit price is needed"
        elif order.kind == "STP" and order.stop_ticks is None:
            reason = "a stop price is needed"
        if reason:
            return ErrorNotice(order.client_id, order.order_id, 201, f"Order rejected - reason:{reason}")
        if order.parent_id:
            parent = self.orders.get((order.client_id, order.parent_id))
            if parent is None or parent.status in (Status.CANCELLED, Status.INACTIVE):
                return ErrorNotice(order.client_id, order.order_id, 10006, "Missing parent order.")
        return None

    def _family(self, order: Order) -> list[Order]:
        """Return the order's held family, parent first."""
        root = order.parent_id or order.order_id
        own = (other for (client, _), other in self.orders.items() if client == order.client_id)
        return [other for other in own if root in (other.order_id, other.parent_id) and other.status is Status.HELD]

    def _release(self, order: Order, market: Quotes, now_ns: int, *, is_open: bool) -> Iterator[Notice]:
        family = self._family(order)
        for member in family:
            member.status = Status.PRE_SUBMITTED
            yield OrderNotice(replace(member))
        for member in family:
            parent = self.orders.get((member.client_id, member.parent_id)) if member.parent_id else None
            if member.status is Status.PRE_SUBMITTED and (parent is None or parent.status is Status.FILLED):
                yield from self._activate(member, market, now_ns, is_open=is_open)

    def _activate(self, order: Order, market: Quotes, now_ns: int, *, is_open: bool) -> Iterator[Notice]:
        if not self.account.affords(order.future, order.side * order.quantity, market.last):
            text = "Order rejected - reason:available funds are insufficient for the margin of this order"
            yield ErrorNotice(order.client_id, order.order_id, 201, text)
            yield from self._end(order, now_ns, Status.INACTIVE)
            return
        order.status = Status.SUBMITTED
        self._live[order.client_id, order.order_id] = order
        yield OrderNotice(replace(order))
        price = _marketable(order, market) if is_open else None
        if price is not None:
            yield from self._fill(order, price, market, now_ns, is_open=is_open)

    def _fill(self, order: Order, price_ticks: int, market: Quotes, now_ns: int, *, is_open: bool) -> Iterator[Notice]:
        quantity = min(order.remaining, self.fill_cap or order.remaining)
        order.filled += quantity
        order.paid_ticks += quantity * price_ticks
        order.last_fill_ticks = price_ticks
        if not order.remaining:
            order.status, order.done_ns = Status.FILLED, now_ns
            self._live.pop((order.client_id, order.order_id), None)
        realized = self.account.apply(order.future, order.side * quantity, price_ticks)
        commission = self.account.commission_usd * quantity
        exec_id = f"{order.perm_id:08x}.{len(self.fills) + 1:08x}.{order.filled:02d}.01"
        fill = Fill(exec_id, replace(order), quantity, price_ticks, now_ns, commission, realized)
        self.fills.append(fill)
        yield OrderNotice(fill.order)
        yield FillNotice(fill)
        for sibling in self._siblings(order):
            yield from self._shrink(order, sibling, quantity, now_ns)
        if order.status is Status.FILLED:
            for child in list(self._children(order)):
                if child.status is Status.PRE_SUBMITTED:
                    yield from self._activate(child, market, now_ns, is_open=is_open)

    def _children(self, order: Order) -> Iterable[Order]:
        return [
            other
            for other in self._unfinished()
            if other.parent_id == order.order_id and other.client_id == order.client_id
        ]

    def _siblings(self, order: Order) -> list[Order]:
        def related(other: Order) -> bool:
            family = order.parent_id and (other.client_id, other.parent_id) == (order.client_id, order.parent_id)
            return bool(family or (order.oca_group and other.oca_group == order.oca_group))

        return [other for other in self._unfinished() if other is not order and related(other)]

    def _shrink(self, order: Order, sibling: Order, quantity: int, now_ns: int) -> Iterator[Notice]:
        blocked = order.oca_group and order.oca_group == sibling.oca_group and order.oca_type == 1
        if order.status is Status.FILLED or blocked or sibling.remaining <= quantity:
            yield from self._end(sibling, now_ns)
        else:
            sibling.quantity -= quantity
            yield OrderNotice(replace(sibling))

    def _end(self, order: Order, now_ns: int, status: Status = Status.CANCELLED) -> Iterator[Notice]:
        if order.status in DONE:
            return
        was_held = order.status is Status.HELD
        order.status, order.done_ns = status, now_ns
        self._live.pop((order.client_id, order.order_id), None)
        if not was_held:
            yield OrderNotice(replace(order))
            if status is Status.CANCELLED:
                yield ErrorNotice(order.client_id, order.order_id, 202, "Order Canceled - reason:")
        for child in self._children(order):
            yield from self._end(child, now_ns)

    def _modify(self, order: Order, wanted: Order, market: Quotes, now_ns: int, *, is_open: bool) -> Iterator[Notice]:
        client, number = order.client_id, order.order_id
        if order.status is Status.FILLED:
            yield ErrorNotice(client, number, 104, "Cannot modify a filled order.")
            return
        if order.status in DONE:
            yield ErrorNotice(client, number, 103, "Duplicate order id")
            return
        same = (order.future, order.side, order.kind) == (wanted.future, wanted.side, wanted.kind)
        if not same or wanted.quantity <= order.filled:
            yield ErrorNotice(client, number, 105, "Order being modified does not match original order.")
            return
        order.quantity, order.tif, order.order_ref = wanted.quantity, wanted.tif, wanted.order_ref
        order.limit_ticks, order.stop_ticks = wanted.limit_ticks, wanted.stop_ticks
        if order.status is Status.HELD:
            if wanted.transmit:
                yield from self._release(order, market, now_ns, is_open=is_open)
            return
        yield OrderNotice(replace(order))
        price = _marketable(order, market) if is_open and order.working else None
        if price is not None:
            yield from self._fill(order, price, market, now_ns, is_open=is_open)


def _marketable(order: Order, market: Quotes) -> int | None:
    """Return the price at which an order fills at once on becoming active, None when it rests."""
    touch = market.ask if order.side > 0 else market.bid
    if not touch:
        return None
    if order.kind == "MKT":
        return touch
    if order.kind == "LMT":
        limit = order.limit_ticks or 0
        return touch if order.side * (limit - touch) >= 0 else None
    return _stopped(order, market.last)


def _touched(order: Order, price: int, market: Quotes) -> int | None:
    """Return the price at which a resting order fills on a print at ``price``, None when it rests on."""
    if order.kind == "MKT":
        return _marketable(order, market)
    if order.kind == "LMT":
        limit = order.limit_ticks or 0
        return limit if order.side * (limit - price) >= 1 else None
    return _stopped(order, price)


def _stopped(order: Order, price: int) -> int | None:
    stop = order.stop_ticks or 0
    if order.side * (price - stop) < 0:
        return None
    return order.side * max(order.side * price, order.side * stop) + order.side
