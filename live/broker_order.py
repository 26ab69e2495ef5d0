"""Hold one entry order at a broker with its fills, position and exit, and carry it through a snapshot."""

from __future__ import annotations

from dataclasses import astuple, dataclass, field
from typing import cast

from live.events import Leg, OrdersReported, WorkingOrder
from live.execution_bridge import OrderEvent, OrderState, next_state
from live.position import Position, signal_of, signal_row
from live.session_manager import Signal


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
class Order:
    """Hold the entry order and everything that hangs on it until the position is flat again."""

    key: str
    signal: Signal
    qty: int
    state: OrderState = OrderState.INTENT
    position: Position | None = None
    estimated: bool = False
    entry: Fills = field(default_factory=Fills)
    exit: Fills = field(default_factory=Fills)
    exit_reason: str = ""
    exit_tries: int = 0
    exit_sent_ns: int = 0

    def take(self, event: OrderEvent) -> None:
        """Advance the order's state by the table; raises IllegalOrderEvent."""
        self.state = next_state(self.state, event)


def order_row(order: Order) -> dict[str, object]:
    """Return an order as a JSON object."""
    return {
        "key": order.key,
        "signal": signal_row(order.signal),
        "qty": order.qty,
        "state": order.state.value,
        "position": None if order.position is None else order.position.snapshot(),
        "estimated": order.estimated,
        "fills": [order.entry.qty, order.entry.value, order.exit.qty, order.exit.value],
        "exit": [order.exit_reason, order.exit_tries, order.exit_sent_ns],
    }


def order_of(row: dict[str, object]) -> Order:
    """Return the order that ``order_row`` wrote."""
    position = cast("list[object] | None", row["position"])
    fills = cast("list[int]", row["fills"])
    reason, tries, sent_ns = cast("tuple[str, int, int]", row["exit"])
    return Order(
        key=cast("str", row["key"]),
        signal=signal_of(row["signal"]),
        qty=cast("int", row["qty"]),
        state=OrderState(cast("str", row["state"])),
        position=None if position is None else Position.restored(position),
        estimated=cast("bool", row["estimated"]),
        entry=Fills(*fills[:2]),
        exit=Fills(*fills[2:]),
        exit_reason=reason,
        exit_tries=tries,
        exit_sent_ns=sent_ns,
    )


def orders_row(report: OrdersReported) -> list[object]:
    """Return a snapshot of working orders as a JSON array."""
    return [report.ts_ns, [list(astuple(order)) for order in report.orders]]


def orders_of(row: object) -> OrdersReported:
    """Return the snapshot that ``orders_row`` wrote."""
    ts_ns, rows = cast("tuple[int, list[tuple[str, str, int, int, int, str]]]", row)
    return OrdersReported(tuple(WorkingOrder(one[0], Leg(one[1]), *one[2:]) for one in rows), ts_ns)
