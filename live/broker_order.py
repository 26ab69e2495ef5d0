"""Hold one entry order at a broker with its fills, position and exit, and carry it through a snapshot."""

from __future__ import annotations

from dataclasses import astuple, dataclass, field
from typing import Final, cast

from live.events import Leg, OrdersReported, WorkingOrder
from live.execution_bridge import OrderEvent, OrderState, next_state
from live.market import NS_PER_MIN
from live.params import Params
from live.position import Position, signal_of, signal_row
from live.reconciliation import Belief
from live.session_manager import Signal

UNSETTLED = frozenset({OrderState.PART_FILLED})


@dataclass(slots=True)
class Fills:
    """Sum the fills of one leg; ``value`` is the sum of price ticks times quantity."""

    qty: int = 0
    value: int = 0

    def add(self, qty: int, price: int) -> None:
        """Add one fill."""
        self.qty += qty
        self.value += qty * price

    def average(self, side: int) -> int:
        """Return the average price in ticks, a fraction rounded against the account: up when bought, down when sold."""
        return -(-self.value // self.qty) if side > 0 else self.value // self.qty


@dataclass(slots=True)
class Leaving:
    """Hold why a position is being closed, how often that was asked, and when last."""

    reason: str
    tries: int = 0
    sent_ns: int = 0


@dataclass(slots=True)
class Order:
    """Hold the entry order and everything that hangs on it until the position is flat again.

    ``guessed`` are exits booked without an execution (pj1 S8 ESTIMATED); a late execution takes their place.
    ``part_ns`` is when the position opened, ``exit_ns`` its last exit, ``settled_ns`` when the rest of a part-filled
    entry was cancelled.
    """

    key: str
    signal: Signal
    qty: int
    state: OrderState = OrderState.INTENT
    position: Position | None = None
    estimated: bool = False
    entry: Fills = field(default_factory=Fills)
    exit: Fills = field(default_factory=Fills)
    guessed: Fills = field(default_factory=Fills)
    leaving: Leaving | None = None
    part_ns: int = 0
    exit_ns: int = 0
    settled_ns: int = 0

    @property
    def stem(self) -> str:
        """Return what all keys of this trade begin with."""
        return self.key.removesuffix("ENTRY")

    @property
    def belief(self) -> Belief:
        """Return where this order stands in the table of pj1 S8."""
        if self.position is None:
            return Belief.PENDING
        if self.leaving is not None:
            return Belief.EXITING
        return Belief.FILLING if self.state in UNSETTLED else Belief.OPEN

    @property
    def gone(self) -> int:
        """Return how many contracts have left the position again, guessed ones included."""
        return self.exit.qty + self.guessed.qty

    @property
    def left(self) -> int:
        """Return how many contracts are open, never negative."""
        return 0 if self.position is None else max(0, self.position.qty - self.gone)

    @property
    def believed(self) -> int:
        """Return the signed position this order should leave in the account."""
        return self.signal.side * self.left

    @property
    def emptied(self) -> bool:
        """Tell whether there was a position and all of it has left again."""
        return self.position is not None and not self.left

    def over(self, at_ns: int, lag_ns: int) -> bool:
        """Tell whether an emptied order can be booked: no fill of its entry can still be on the way."""
        return self.emptied and (self.state is OrderState.FILLED or 0 < self.settled_ns <= at_ns - lag_ns)

    def settle(self, at_ns: int) -> None:
        """Expect no more of the entry than what is filled; a fill that comes all the same still counts."""
        self.take(OrderEvent.CANCELLED)
        self.settled_ns = at_ns

    def take(self, event: OrderEvent) -> None:
        """Advance the order's state by the table; raises IllegalOrderEvent."""
        self.state = next_state(self.state, event)

    def fill_entry(self, qty: int, price: int, at_ns: int) -> bool:
        """Book one entry fill; return whether it opened the position."""
        self.entry.add(qty, price)
        self.take(OrderEvent.FILLED if self.entry.qty >= self.qty else OrderEvent.PART_FILLED)
        average = self.entry.average(self.signal.side)
        opened = self.position is None
        if self.position is None:
            self.open(self.entry.qty, average, at_ns)
        else:
            self.position.qty = max(self.position.qty, self.entry.qty)
            self.position.entry_price = average
        self.estimated = self.position is not None and self.entry.qty < self.position.qty
        return opened

    def adopt(self, qty: int, price: int, at_ns: int) -> bool:
        """Believe the account's ``qty`` where its executions have not been seen; return whether that opened it."""
        self.take(OrderEvent.FILLED if qty + self.gone >= self.qty else OrderEvent.PART_FILLED)
        self.estimated = True
        if self.position is None:
            self.open(qty, price, at_ns)
            return True
        self.position.qty = qty + self.gone
        return False

    def open(self, qty: int, price: int, at_ns: int) -> None:
        """Open the position; the entry counts from its minute, as a fill at that bar's open would (pj1 S5.6)."""
        entry_m = self.signal.side * price
        self.position = Position(self.signal, qty, at_ns // NS_PER_MIN * NS_PER_MIN, price, entry_m, entry_m)
        self.part_ns = at_ns

    def fill_exit(self, qty: int, price: int, at_ns: int) -> int:
        """Book one exit fill up to what was held; return how many contracts of it belong to nothing of ours."""
        self.exit_ns = at_ns
        replaced = min(qty, self.guessed.qty)
        if replaced:
            each = self.guessed.value // self.guessed.qty
            self.guessed.add(-replaced, each)
        ours = qty if self.position is None else min(qty, self.left)
        if ours:
            self.exit.add(ours, price)
        return qty - ours

    def guess_exit(self, qty: int, price: int, at_ns: int) -> None:
        """Book an exit nobody reported."""
        self.exit_ns = at_ns
        self.guessed.add(qty, price)

    def exit_total(self) -> Fills:
        """Return all exits, guessed ones included."""
        return Fills(self.exit.qty + self.guessed.qty, self.exit.value + self.guessed.value)

    def gross_cents(self, position: Position, exits: Fills, params: Params) -> int:
        """Return the gross result of ``exits`` against the entry's exact fills, while estimated its planned price."""
        entry_value = position.entry_price * position.qty if self.estimated else self.entry.value
        return self.signal.side * (exits.value - entry_value) * params.tick_cents

    def open_cents(self, price: int, params: Params) -> int:
        """Return what closing the rest at ``price`` would book for the whole trade, all costs in it (pj1 S6.7)."""
        position = self.position
        if position is None:
            return 0
        exits = self.exit_total()
        exits.add(self.left, price - self.signal.side * params.slip_ticks)
        return self.gross_cents(position, exits, params) - 2 * params.comm_side_cents * position.qty


UNASKED: Final = frozenset({"MANUAL", "PHANTOM"})
"""Exits that were neither ours nor our bracket's: of the bracket, nobody says what became."""


def broker_reason(signal: Signal, price: int) -> str:
    """Return the name of an exit we did not ask for, by its price."""
    if signal.side * (price - signal.stop) <= 0:
        return "STOP"
    return "TARGET" if signal.side * (price - signal.target) >= 0 else "MANUAL"


def order_row(order: Order) -> dict[str, object]:
    """Return an order as a JSON object."""
    return {
        "key": order.key,
        "signal": signal_row(order.signal),
        "qty": order.qty,
        "state": order.state.value,
        "position": None if order.position is None else order.position.snapshot(),
        "estimated": order.estimated,
        "fills": [list(astuple(fills)) for fills in (order.entry, order.exit, order.guessed)],
        "leaving": leaving_row(order.leaving),
        "times": [order.part_ns, order.exit_ns, order.settled_ns],
    }


def order_of(row: dict[str, object]) -> Order:
    """Return the order that ``order_row`` wrote."""
    position = cast("list[object] | None", row["position"])
    entry, exit_, guessed = (Fills(*fills) for fills in cast("list[list[int]]", row["fills"]))
    part_ns, exit_ns, settled_ns = cast("list[int]", row["times"])
    return Order(
        key=cast("str", row["key"]),
        signal=signal_of(row["signal"]),
        qty=cast("int", row["qty"]),
        state=OrderState(cast("str", row["state"])),
        position=None if position is None else Position.restored(position),
        estimated=cast("bool", row["estimated"]),
        entry=entry,
        exit=exit_,
        guessed=guessed,
        leaving=leaving_of(row["leaving"]),
        part_ns=part_ns,
        exit_ns=exit_ns,
        settled_ns=settled_ns,
    )


def leaving_row(leaving: Leaving | None) -> list[object] | None:
    """Return an exit under way as a JSON array."""
    return None if leaving is None else list(astuple(leaving))


def leaving_of(row: object) -> Leaving | None:
    """Return the exit that ``leaving_row`` wrote."""
    return None if row is None else Leaving(*cast("tuple[str, int, int]", row))


def orders_row(report: OrdersReported) -> list[object]:
    """Return a snapshot of working orders as a JSON array."""
    return [report.ts_ns, [list(astuple(order)) for order in report.orders]]


def orders_of(row: object) -> OrdersReported:
    """Return the snapshot that ``orders_row`` wrote."""
    ts_ns, rows = cast("tuple[int, list[tuple[str, str, int, int, int, str]]]", row)
    return OrdersReported(tuple(WorkingOrder(one[0], Leg(one[1]), *one[2:]) for one in rows), ts_ns)
