"""Follow the one order and position at a broker: pending, open, exiting, closed (pj1 S8, first form).

Executions are the truth about prices and quantities, position reports about whether anything is there at all; either
may come first, late or twice. Nothing here sends: the desk answers with commands. Where the reports cannot be
explained the desk is in doubt, and doubt stops entries until the reports explain themselves again. The full
verdict table of pj1 S8 (protection of naked positions, drifted brackets) belongs to live/reconciliation.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, cast

from live.broker_order import Order, order_of, order_row, orders_of, orders_row
from live.commands import CancelOrders, ClosePosition, Command, RaiseAlarm, RecordEvent, RecordTrade
from live.events import ExecutionReported, OrdersReported, PositionReported, TruthChanged
from live.execution_bridge import Intent, OrderEvent, OrderState, order_key
from live.market import NS_PER_MIN, NS_PER_S
from live.params import Params
from live.position import Position
from live.risk_guard import RiskGuard
from live.session_manager import Signal

EXIT_TRIES: Final = 3
DESTRUCTIVE_SIGHTINGS: Final = 2
"""Identical observations before the desk concludes that something is gone (positions lag fills; pj1 S8)."""


@dataclass(slots=True)
class Mismatch:
    """Count equal sightings of a position that contradicts the desk's belief."""

    qty: int = 0
    since_ns: int = 0
    sightings: int = 0

    def see(self, qty: int, at_ns: int) -> None:
        """Count one sighting; a different quantity starts anew."""
        if self.sightings == 0 or self.qty != qty:
            self.qty, self.since_ns, self.sightings = qty, at_ns, 0
        self.sightings += 1

    def certain(self, at_ns: int, patience_ns: int) -> bool:
        """Tell whether it was seen often and long enough to act on."""
        return self.sightings >= DESTRUCTIVE_SIGHTINGS and at_ns - self.since_ns >= patience_ns


class BrokerDesk:
    """Turn reports of a broker route into positions and trades, and clock exits into commands."""

    __slots__ = (
        "_doubted",
        "_exec_ids",
        "_mismatch",
        "_older_exec_ids",
        "_params",
        "_patience_ns",
        "connected",
        "guard",
        "order",
        "orders",
        "stuck",
    )

    def __init__(self, params: Params, guard: RiskGuard, patience_ns: int) -> None:
        self._params = params
        self._patience_ns = patience_ns
        self.guard = guard
        self.order: Order | None = None
        self._doubted = False
        self.stuck = False
        self.orders: OrdersReported | None = None
        self.connected = True
        self._mismatch = Mismatch()
        self._exec_ids: dict[str, None] = {}
        self._older_exec_ids: dict[str, None] = {}

    @property
    def busy(self) -> bool:
        """Tell whether an entry is on its way or a position is open."""
        return self.order is not None

    @property
    def doubt(self) -> str:
        """Return why no entry may be made: UNVERIFIED while an order or position cannot be explained, else empty."""
        unknown = self.order is not None and self.order.state is OrderState.UNKNOWN
        return "UNVERIFIED" if unknown or self._doubted or not self.connected else ""

    @property
    def position(self) -> Position | None:
        """Return the open position, None while flat or pending."""
        return None if self.order is None else self.order.position

    def new_day(self) -> None:
        """Forget execution ids older than the previous trade date; brokers re-send only the day's."""
        self._older_exec_ids, self._exec_ids = self._exec_ids, {}

    def enter(self, intent: Intent, out: list[Command]) -> None:
        """Begin an order's life and ask for it to be sent."""
        if self.order is not None:
            raise RuntimeError(f"entry {intent.key} while {self.order.key} lives; the gate lets one order in at a time")
        self.order = Order(intent.key, intent.approved.signal, intent.approved.qty)
        self._mismatch = Mismatch()
        out.append(intent.command())

    def acked(self, key: str) -> None:
        """Take the route's acceptance of ``key``."""
        order = self.order
        if order is not None and key == order.key:
            order.take(OrderEvent.ACKED)

    def refused(self, key: str, code: str, at_ns: int, out: list[Command]) -> None:
        """Take the route's final refusal: an entry is consumed, an exit is tried again."""
        order = self.order
        if order is None or not key.startswith(_stem(order)):
            return
        if key != order.key:
            out.append(RaiseAlarm("EXIT_REFUSED", f"exit {key} was refused: {code}; it is sent again", at_ns))
            return
        order.take(OrderEvent.REFUSED)
        if order.state is OrderState.REFUSED:
            self._consume(order, code, at_ns, out)

    def unknown(self, key: str, why: str, at_ns: int, out: list[Command]) -> None:
        """Take the news that nobody knows whether ``key`` was taken; an entry is never sent again."""
        order = self.order
        if order is None or not key.startswith(_stem(order)):
            return
        if key != order.key:
            out.append(RaiseAlarm("EXIT_UNKNOWN", f"exit {key}: {why}; it is sent again until known", at_ns))
            return
        order.take(OrderEvent.DOUBTED)
        if order.state is OrderState.UNKNOWN:
            text = f"entry {key}: {why}; no entries until the position tells whether it was taken"
            out.append(RaiseAlarm("ORDER_UNKNOWN", text, at_ns))

    def executed(self, fill: ExecutionReported, out: list[Command]) -> None:
        """Book one fill, once per exec_id."""
        if fill.exec_id in self._exec_ids or fill.exec_id in self._older_exec_ids:
            return
        self._exec_ids[fill.exec_id] = None
        order = self.order
        if order is None:
            self._doubted = True
            text = f"execution {fill.exec_id} ({fill.side * fill.qty:+d}) belongs to no order of ours"
            out.append(RaiseAlarm("FOREIGN_EXECUTION", text, fill.ts_ns))
            return
        if fill.side == order.signal.side:
            self._fill_entry(order, fill)
        else:
            order.exit.add(fill.qty, fill.price_ticks)
        position = order.position
        if position is not None and order.exit.qty >= position.qty:
            self._close_by_fills(order, position, fill.ts_ns, out)

    def reported(self, report: PositionReported, out: list[Command]) -> None:
        """Compare the account's position with the desk's belief (pj1 S8)."""
        order = self.order
        if order is None:
            self._compare_flat(report, out)
        elif order.position is None:
            self._compare_pending(order, report, out)
        else:
            self._compare_open(order, order.position, report, out)

    def saw_orders(self, report: OrdersReported) -> None:
        """Keep the working orders last seen at the broker."""
        self.orders = report

    def truth_changed(self, event: TruthChanged) -> None:
        """Note whether position and orders can be seen; what was seen before the loss is forgotten."""
        self.connected = event.connected
        self.orders = None
        self._mismatch = Mismatch()

    def manage(self, now_ns: int, minute: int, ordinal: int, contract: str, out: list[Command]) -> None:
        """Send the clock exit due now (pj1 S5.6), or send an unanswered one again; no gate is asked."""
        order = self.order
        if order is None or order.position is None:
            return
        reason = order.exit_reason or self._due(order.position, (now_ns, minute, ordinal), contract)
        if reason:
            self._close(order, order.position, reason, now_ns, out)

    def _due(self, position: Position, when: tuple[int, int, int], contract: str) -> str:
        now_ns, minute, ordinal = when
        if ordinal != position.signal.ordinal or contract != position.signal.contract:
            return "DAY_ROLL"
        if self.guard.locked:
            return self.guard.locked
        if minute >= self.guard.flat_m:
            return "FLAT"
        return "TIME" if now_ns - position.entry_ns >= self._params.max_hold_min * NS_PER_MIN else ""

    def _close(self, order: Order, position: Position, reason: str, now_ns: int, out: list[Command]) -> None:
        if order.exit_tries and now_ns - order.exit_sent_ns < self._patience_ns:
            return
        if order.exit_tries >= EXIT_TRIES:
            self._give_up(order, now_ns, out)
            return
        order.exit_reason = reason
        order.exit_tries += 1
        order.exit_sent_ns = now_ns
        leg = "EXIT" if order.exit_tries == 1 else f"EXIT{order.exit_tries}"
        key = order_key(order.signal.pool_id, order.signal.signal_ns, leg)
        self.guard.ordered(now_ns)
        qty = position.qty - order.exit.qty
        out.append(ClosePosition(key, order.signal.contract, qty, reason, now_ns))

    def _give_up(self, order: Order, now_ns: int, out: list[Command]) -> None:
        if not self.stuck:
            self.stuck = True
            text = f"position of {order.key} is not flat after {EXIT_TRIES} exits; flatten it at the broker"
            out.append(RaiseAlarm("EXIT_STUCK", text, now_ns))

    def _fill_entry(self, order: Order, fill: ExecutionReported) -> None:
        order.entry.add(fill.qty, fill.price_ticks)
        whole = order.entry.qty >= order.qty
        order.take(OrderEvent.FILLED if whole else OrderEvent.PART_FILLED)
        price = order.entry.average(order.signal.side)
        if order.position is None:
            self._open(order, order.entry.qty, price, fill.ts_ns)
        else:
            order.position.qty = max(order.position.qty, order.entry.qty)
            order.position.entry_price = price
        order.estimated = order.entry.qty < order.position.qty if order.position else False

    def _open(self, order: Order, qty: int, price: int, at_ns: int) -> None:
        entry_m = order.signal.side * price
        # The entry counts from its minute, as a fill at that bar's open would (pj1 S5.6).
        entry_ns = at_ns // NS_PER_MIN * NS_PER_MIN
        order.position = Position(order.signal, qty, entry_ns, price, entry_m, entry_m)
        self._mismatch = Mismatch()
        self.guard.filled()

    def _consume(self, order: Order, reason: str, at_ns: int, out: list[Command]) -> None:
        """End an entry that will never be a position; its pool stays consumed."""
        row = RecordEvent(at_ns // NS_PER_S, "ENTRY_CANCEL", reason=reason, trade=order.signal.pool_id)
        out.append(row)
        self.order = None
        self._doubted = False

    def _close_by_fills(self, order: Order, position: Position, at_ns: int, out: list[Command]) -> None:
        side = order.signal.side
        price = order.exit.average(-side)
        reason = order.exit_reason or _broker_reason(order.signal, price)
        entry_value = position.entry_price * position.qty if order.estimated else order.entry.value
        gross = side * (order.exit.value - entry_value) * self._params.tick_cents
        position.see(price, price)
        self._book(position, (at_ns, price, reason, gross), out)

    def _book(self, position: Position, end: tuple[int, int, str, int], out: list[Command]) -> None:
        at_ns, price, reason, gross = end
        cost = 2 * self._params.comm_side_cents * position.qty
        trade = position.booked(self.guard.trades + 1, at_ns, price, reason, (gross, cost))
        self.guard.exited(trade.net_cents, at_ns)
        out.append(RecordTrade(trade))
        self.order = None
        self.stuck = False
        self._doubted = False
        self._mismatch = Mismatch()

    def _compare_flat(self, report: PositionReported, out: list[Command]) -> None:
        if report.qty == 0:
            self._doubted = False
            self._mismatch = Mismatch()
            return
        self._mismatch.see(report.qty, report.ts_ns)
        if self._mismatch.certain(report.ts_ns, self._patience_ns) and not self._doubted:
            self._doubted = True
            text = f"the account holds {report.qty:+d} that no order of ours explains; no entries until it is flat"
            out.append(RaiseAlarm("UNKNOWN_POSITION", text, report.ts_ns))

    def _compare_pending(self, order: Order, report: PositionReported, out: list[Command]) -> None:
        held = report.qty * order.signal.side
        if held > 0:
            # Filled, though the execution has not been seen: open at the planned price until it is.
            price = order.signal.entry_ref + order.signal.side * self._params.slip_ticks
            order.take(OrderEvent.FILLED if held >= order.qty else OrderEvent.PART_FILLED)
            self._open(order, held, price, report.ts_ns)
            order.estimated = True
            return
        self._mismatch.see(report.qty, report.ts_ns)
        waited = report.ts_ns - order.signal.signal_ns >= self._patience_ns
        if held < 0:
            self._disagree(report, 0, out)
        elif waited and self._mismatch.certain(report.ts_ns, 0):
            text = (
                f"entry {order.key} left no position after {self._patience_ns // NS_PER_S} s; cancelled, never resent"
            )
            out.append(RaiseAlarm("ENTRY_LOST", text, report.ts_ns))
            key = order_key(order.signal.pool_id, order.signal.signal_ns, "CANCEL")
            out.append(CancelOrders(key, order.signal.contract, "ENTRY_LOST", report.ts_ns))
            order.take(OrderEvent.LOST)
            self._consume(order, "ENTRY_LOST", report.ts_ns, out)

    def _compare_open(self, order: Order, position: Position, report: PositionReported, out: list[Command]) -> None:
        left = position.qty - order.exit.qty
        held = report.qty * order.signal.side
        if held == left:
            self._doubted = False
            self._mismatch = Mismatch()
            return
        if order.estimated and left < held <= order.qty:
            position.qty = held
            return
        self._mismatch.see(report.qty, report.ts_ns)
        if not self._mismatch.certain(report.ts_ns, self._patience_ns):
            return
        if held == 0:
            self._book_phantom(order, position, report.ts_ns, out)
        else:
            self._disagree(report, left * order.signal.side, out)

    def _disagree(self, report: PositionReported, believed: int, out: list[Command]) -> None:
        if not self._doubted:
            self._doubted = True
            text = f"the account holds {report.qty:+d}, the engine {believed:+d}; no entries until they agree"
            out.append(RaiseAlarm("POSITION_MISMATCH", text, report.ts_ns))

    def _book_phantom(self, order: Order, position: Position, at_ns: int, out: list[Command]) -> None:
        """Book an exit nobody reported at stop minus slippage, the worst plan, and say so (pj1 S8 PHANTOM)."""
        side = order.signal.side
        rest = position.qty - order.exit.qty
        price = order.signal.stop - side * self._params.slip_ticks
        order.exit.add(rest, price)
        text = f"position of {order.key} is gone without an execution; booked ESTIMATED at its stop"
        out.append(RaiseAlarm("PHANTOM", text, at_ns))
        order.exit_reason = order.exit_reason or "PHANTOM"
        self._close_by_fills(order, position, at_ns, out)

    def snapshot(self) -> dict[str, object]:
        """Return the order, its position and what has been seen, as JSON values."""
        mismatch = self._mismatch
        return {
            "order": None if self.order is None else order_row(self.order),
            "doubted": self._doubted,
            "stuck": self.stuck,
            "connected": self.connected,
            "orders": None if self.orders is None else orders_row(self.orders),
            "mismatch": [mismatch.qty, mismatch.since_ns, mismatch.sightings],
            "exec_ids": [list(self._older_exec_ids), list(self._exec_ids)],
        }

    def restore(self, state: dict[str, object]) -> None:
        """Take the state of ``snapshot``."""
        row = cast("dict[str, object] | None", state["order"])
        self.order = None if row is None else order_of(row)
        self._doubted = cast("bool", state["doubted"])
        self.stuck = cast("bool", state["stuck"])
        self.connected = cast("bool", state["connected"])
        seen = state["orders"]
        self.orders = None if seen is None else orders_of(seen)
        self._mismatch = Mismatch(*cast("list[int]", state["mismatch"]))
        older, newer = cast("list[list[str]]", state["exec_ids"])
        self._older_exec_ids, self._exec_ids = dict.fromkeys(older), dict.fromkeys(newer)


def _stem(order: Order) -> str:
    return order.key.removesuffix("ENTRY")


def _broker_reason(signal: Signal, price: int) -> str:
    if signal.side * (price - signal.stop) <= 0:
        return "STOP"
    return "TARGET" if signal.side * (price - signal.target) >= 0 else "MANUAL"
