"""Answer requests about orders and executions, and publish what becomes of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Final

from live.market import OffGrid
from pj.simulators import answers_account, order_replies
from pj.simulators.answers_reference import NO_DEFINITION, nothing, query
from pj.simulators.eastern import is_open
from pj.simulators.gateway_core import Core
from pj.simulators.matching import DONE, ErrorNotice, Fill, FillNotice, Notice, Order, OrderNotice, Status
from pj.simulators.order_faults import TIF_NOTE
from pj.simulators.wire import Field, Fields

if TYPE_CHECKING:
    from pj.simulators.contracts import Future
    from pj.simulators.gateway_session import Session

_SIDES: Final = {"BUY": 1, "SELL": -1}


def place_order(core: Core, session: Session, fields: Fields) -> None:
    """Take a new order or a change of a working one."""
    order_id = fields.integer()
    found = core.find(query(fields))
    fields.skip(2)
    if len(found) != 1:
        session.error(order_id, 200, NO_DEFINITION)
        return
    key = (session.client_id, order_id)
    expected = core.next_ids.get(session.client_id, 1)
    if key not in core.book.orders and order_id < expected:
        session.error(order_id, 103, "Duplicate order id")
        return
    try:
        order = _read_order(session, order_id, found[0], fields)
    except OffGrid:
        session.error(order_id, 110, "The price does not conform to the minimum price variation for this contract.")
        return
    if order is None:
        return
    if _what_if(fields):
        _answer_what_if(core, session, order)
        return
    _take_order(core, session, order, expected)


def _take_order(core: Core, session: Session, order: Order, expected: int) -> None:
    """Book the order, or let what is planted befall it."""
    order_id = order.order_id
    key = (session.client_id, order_id)
    planted = core.faults.orders
    new = key not in core.book.orders
    if new and planted.takes("lose_order"):
        session.reset()
        return
    core.next_ids[session.client_id] = max(expected, order_id + 1)
    if core.faults.reject and key not in core.book.orders:
        core.faults.reject -= 1
        session.error(order_id, 201, "Order rejected - reason:planted")
        return
    if order.transmit and new and planted.takes("drop_on_order"):
        session.reset()
    now = core.clock.now_ns()
    if new and planted.takes("late_reject"):
        publish(core, core.book.refuse_late(order, now))
        return
    publish(core, core.book.place(order, core.market, now, is_open=is_open(now)))
    if new and planted.takes("tif_note"):
        session.error(order_id, *TIF_NOTE)


def _read_order(session: Session, order_id: int, future: Future, fields: Fields) -> Order | None:
    """Read the order's head; a refusal is answered here and returns None."""
    action, quantity, kind = fields.text(), fields.integer(), fields.text()
    limit, stop = fields.price(), fields.price()
    tif, group, _account, open_close = fields.text("DAY"), fields.text(), fields.text(), fields.text()
    fields.skip(1)
    reference, transmit, parent = fields.text(), fields.flag(), fields.integer()
    fields.skip(4)
    outside = fields.flag()
    fields.skip(1 + 1 + 3)
    fields.skip(3 if session.version >= 177 else 4)
    fields.skip(4)
    oca_type = fields.integer()
    if action not in _SIDES:
        session.error(order_id, 321, f"Error validating request: order action {action!r} is not BUY or SELL")
        return None
    to_ticks = future.instrument.to_ticks
    return Order(
        client_id=session.client_id,
        order_id=order_id,
        future=future,
        side=_SIDES[action],
        quantity=quantity,
        kind=kind,
        limit_ticks=to_ticks(limit) if limit and kind == "LMT" else None,
        stop_ticks=to_ticks(stop) if stop and kind == "STP" else None,
        tif=tif,
        oca_group=group,
        oca_type=oca_type,
        order_ref=reference,
        parent_id=parent,
        transmit=transmit,
        outside_rth=outside,
        open_close=open_close,
    )


def _what_if(fields: Fields) -> bool:
    """Read on behind the order's head to its whatIf flag, past the groups that are only there when used."""
    fields.skip(17)
    delta_neutral = fields.text()
    fields.skip(9 if delta_neutral else 1)
    fields.skip(6)
    scale_increment = fields.price()
    fields.skip(10 if scale_increment not in ("", "0", "0.0") else 3)
    hedge = fields.text()
    fields.skip(5 if hedge else 4)
    fields.skip(3 if fields.flag() else 0)
    if fields.text():
        fields.skip(2 * fields.integer())
    fields.skip(1)
    return fields.flag()


def _answer_what_if(core: Core, session: Session, order: Order) -> None:
    """Tell the margin an order would need, without placing it."""
    account, mark = core.book.account, core.market.last
    held = account.position(order.future).quantity
    before = account.margin_usd(order.future, held)
    after = account.margin_usd(order.future, held + order.side * order.quantity)
    equity = float(account.cash_usd + account.unrealized_usd(order.future, mark))
    figures = {
        "Before": (before, equity),
        "Change": (after - before, 0.0),
        "After": (after, equity),
    }
    state: dict[str, Field] = {"whatIf": True, "status": "PreSubmitted", "commissionCurrency": "USD"}
    for when, (margin, worth) in figures.items():
        state |= {f"initMargin{when}": float(margin), f"maintMargin{when}": float(margin)}
        state[f"equityWithLoan{when}"] = worth
    state["commission"] = account.commission_usd * order.quantity
    session.send(order_replies.open_order(session.version, account.account_id, order, state))


def cancel_order(core: Core, session: Session, fields: Fields) -> None:
    """Cancel one order of the client."""
    fields.skip(1)
    order_id, now = fields.integer(), core.clock.now_ns()
    order = core.book.orders.get((session.client_id, order_id))
    if order is not None and order.working and core.faults.orders.takes("fill_on_cancel"):
        publish(core, core.book.fill_now(order, core.market, now))
    publish(core, core.book.cancel(session.client_id, order_id, now))


def global_cancel(core: Core, session: Session, fields: Fields) -> None:
    """Cancel all orders of the account."""
    del session, fields
    publish(core, core.book.cancel_all(core.clock.now_ns()))


def open_orders(core: Core, session: Session, fields: Fields) -> None:
    """Answer reqOpenOrders: the client's own working orders."""
    del fields
    _send_open(core, session, (order for order in _unfinished(core) if order.client_id == session.client_id))


def all_open_orders(core: Core, session: Session, fields: Fields) -> None:
    """Answer reqAllOpenOrders: the working orders of every client."""
    del fields
    _send_open(core, session, _unfinished(core))


def _unfinished(core: Core) -> Iterable[Order]:
    return [order for order in core.book.orders.values() if order.status not in (*DONE, Status.HELD)]


def _send_open(core: Core, session: Session, orders: Iterable[Order]) -> None:
    frames = [part for order in orders for part in _order_frames(core, session, order)]
    session.send(*frames, order_replies.open_order_end())


def _order_frames(core: Core, session: Session, order: Order) -> tuple[bytes, bytes]:
    account = core.book.account.account_id
    return order_replies.open_order(session.version, account, order), order_replies.order_status(order)


def completed_orders(core: Core, session: Session, fields: Fields) -> None:
    """Answer reqCompletedOrders."""
    del fields
    account = core.book.account.account_id
    done = [order for order in core.book.orders.values() if order.status in DONE]
    frames = [order_replies.completed_order(session.version, account, order) for order in done]
    session.send(*frames, order_replies.completed_orders_end())


def executions(core: Core, session: Session, fields: Fields) -> None:
    """Answer reqExecutions for every client of the account, narrowed by the filter's client, symbol and side."""
    fields.skip(1)
    request_id = fields.integer()
    client, account, _since, symbol = fields.integer(), fields.text(), fields.text(), fields.text()
    fields.skip(2)
    side = _SIDES.get(fields.text().upper().replace("BOT", "BUY").replace("SLD", "SELL"), 0)
    frames: list[bytes] = []
    for fill in core.book.fills:
        order = fill.order
        if (
            client in (0, order.client_id)
            and account in ("", core.book.account.account_id)
            and symbol in ("", order.future.symbol)
            and side in (0, order.side)
        ):
            frames += _fill_frames(core, session, request_id, fill)
    session.send(*frames, order_replies.executions_end(request_id))


def _fill_frames(core: Core, session: Session, request_id: int, fill: Fill) -> tuple[bytes, bytes]:
    account = core.book.account.account_id
    return order_replies.execution(session.version, account, request_id, fill), order_replies.commission(fill)


def publish(core: Core, notices: Iterable[Notice]) -> None:
    """Send notices to their owners and to the master client; fills also move everybody's position."""
    for notice in notices:
        match notice:
            case ErrorNotice(client_id, order_id, code, text):
                if owner := core.clients.get(client_id):
                    owner.error(order_id, code, text)
            case OrderNotice(order):
                for session in _listeners(core, order):
                    core.faults.orders.status_frames(session, _order_frames(core, session, order))
            case FillNotice(fill):
                owner = core.clients.get(fill.order.client_id)
                if owner is not None and core.faults.orders.takes("drop_on_fill"):
                    owner.reset()
                repeats = 2 if core.faults.orders.takes("repeat_fills") else 1
                for session in _listeners(core, fill.order):
                    session.send(*_fill_frames(core, session, -1, fill) * repeats)
                for session in list(core.clients.values()):
                    answers_account.after_fill(core, session, fill.order.future)


def _listeners(core: Core, order: Order) -> list[Session]:
    ids = dict.fromkeys((order.client_id, core.master_client))
    return [core.clients[client_id] for client_id in ids if client_id in core.clients]


HANDLERS: Final[Mapping[int, Callable[[Core, Session, Fields], None]]] = {
    3: place_order,
    4: cancel_order,
    5: open_orders,
    7: executions,
    15: nothing,
    16: all_open_orders,
    58: global_cancel,
    99: completed_orders,
}
