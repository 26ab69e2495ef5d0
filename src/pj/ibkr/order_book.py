"""Follow every order of the account as the wire shows it: openOrder, orderStatus, execDetails, and refusal codes.

No code ends an order (reference/tws.md section 1: 10349, 202, 10148): an order has ended when its status says so, or
when two complete lists of all open orders lack it. "Inactive" is no end: TWS may wake such an order.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from time import monotonic
from typing import Any, Final

from live.events import Leg
from live.execution_bridge import key_of_ref
from pj.ibkr.account_wire import OpenOrderSeen, OrderStatusSeen, read_execution, read_open_order, read_order_status
from pj.ibkr.orders import REFUSAL_CODES
from pj.ibkr.placed import PlacedLedger

ENDED: Final = frozenset({"Filled", "Cancelled", "ApiCancelled"})
TAKEN: Final = frozenset({"PreSubmitted", "Submitted", "Filled"})
REJECTED: Final = REFUSAL_CODES | {10006, 10147, 10268}
UNLISTED_TWICE: Final = 2
SENT_S: Final = 3.0
_KEY: Final = re.compile(r"\d+:[A-Z]+.*@\d+:[A-Z]+[A-Z0-9]*", re.ASCII)
Name = tuple[int, int]


@dataclass(slots=True)
class Seen:
    """Hold what is known of one order; ``missing`` counts the complete lists that lacked it.

    ``sent_s`` is when we sent it (real monotonic time), until the gateway has told of it; 0 from then on.
    """

    order: OpenOrderSeen
    status: str = ""
    remaining: int = 0
    filled: int = 0
    missing: int = 0
    sent_s: float = 0.0

    @property
    def ended(self) -> bool:
        """Tell whether it was told of and can never fill again."""
        return not self.sent_s and (self.status in ENDED or self.missing >= UNLISTED_TWICE)


@dataclass(frozen=True, slots=True)
class Working:
    """Show one working order as the engine is told of it; ``name`` is (owner, order id or permanent id)."""

    name: Name
    key: str
    leg: Leg
    side: int
    qty: int
    price: str
    contract: str
    ours: bool


class OrderBook:
    """Keep the orders of one account; ``own_client`` is the client id by which we may cancel."""

    def __init__(self, ledger: PlacedLedger, symbol: str, account: str) -> None:
        """Start empty; ``symbol`` is the root whose orders are shown."""
        self.own_client = -1
        self.refusals: dict[int, str] = {}
        self._ledger = ledger
        self._root = re.compile(rf"{re.escape(symbol)}[FGHJKMNQUVXZ]\d")
        self._account = account
        self._orders: dict[Name, Seen] = {}
        self._early: dict[Name, OrderStatusSeen] = {}
        self._listed: set[Name] | None = None
        self._known_before: set[Name] = set()
        self._executed: dict[Name, int] = {}
        self._exec_ids: set[str] = set()
        self._executed_refs: set[str] = set()

    def session_began(self, client_id: int) -> None:
        """Forget the picture of the last connection; what it showed will be shown again."""
        self.own_client = client_id
        self.refusals.clear()
        self._orders.clear()
        self._early.clear()
        self._listed = None

    # -- what the gateway says -------------------------------------------------------------------------

    def on_open_order(self, fields: list[str]) -> None:
        """Take message 5."""
        seen = read_open_order(fields)
        if self._account and seen.account != self._account:
            return
        name = _name(seen)
        if self._listed is not None:
            self._listed.add(name)
        known = self._orders.get(name)
        if known is None:
            known = self._orders[name] = Seen(seen, remaining=_whole(seen.qty))
            if name in self._early:
                self._apply(known, self._early.pop(name))
        known.order, known.missing, known.sent_s = seen, 0, 0.0
        if seen.client_id == self.own_client:
            self._ledger.saw_id(seen.order_id)

    def on_status(self, fields: list[str]) -> None:
        """Take message 3; an end that was seen is final, however late an older status comes."""
        seen = read_order_status(fields)
        name = _name(seen)
        known = self._orders.get(name)
        if known is None:
            self._early[name] = seen
        else:
            self._apply(known, seen)

    def sent(self, contract: str, order: Any) -> None:
        """Count an order that is just leaving as working for SENT_S: a fill may be told before its exits are."""
        name = (self.own_client, int(order.orderId))
        if name not in self._orders:
            side = 1 if order.action == "BUY" else -1
            limit, stop = (str(price) if price else "" for price in (order.lmtPrice, order.auxPrice))
            qty = str(int(order.totalQuantity))
            kind = str(order.orderType)
            head = (name[1], name[0], 0, contract, side, qty, kind, limit, stop, order.orderRef, order.account)
            self._orders[name] = Seen(OpenOrderSeen(*head), remaining=int(qty), sent_s=monotonic())

    @staticmethod
    def _apply(known: Seen, seen: OrderStatusSeen) -> None:
        known.sent_s = 0.0
        known.filled = max(known.filled, _whole(seen.filled))
        if known.status not in ENDED:
            known.status = seen.status
            known.remaining = _whole(seen.remaining)

    def on_execution(self, fields: list[str]) -> None:
        """Take message 11, once per execution."""
        seen = read_execution(fields)
        if seen.exec_id in self._exec_ids or (self._account and seen.account != self._account):
            return
        self._exec_ids.add(seen.exec_id)
        self._executed_refs.add(seen.order_ref)
        name = (seen.client_id, seen.order_id) if seen.order_id > 0 else (0, -seen.perm_id)
        self._executed[name] = self._executed.get(name, 0) + _whole(seen.qty)
        if seen.client_id == self.own_client:
            self._ledger.saw_id(seen.order_id)

    def on_error(self, order_id: int, code: int) -> None:
        """Note a refusal of one of our orders; it concludes nothing by itself."""
        if code in REJECTED and self._ledger.of(self.own_client, order_id) is not None:
            self.refusals.setdefault(order_id, f"{code}")

    def listing_began(self) -> None:
        """Begin to collect a complete list of all open orders."""
        self._listed, self._known_before = set(), set(self._orders)

    def listing_ended(self) -> None:
        """End a complete list: what it lacks though it was there before is counted as missing, foreign orders go."""
        listed, self._listed = self._listed, None
        if listed is None:
            return
        for name in self._known_before - listed:
            known = self._orders.get(name)
            if known is not None and not known.ended:
                known.missing += 1 if name[0] == self.own_client else UNLISTED_TWICE
        for name in [name for name, known in self._orders.items() if known.ended and name[0] != self.own_client]:
            del self._orders[name]

    # -- what we ask -----------------------------------------------------------------------------------

    def seen(self, order_id: int) -> Seen | None:
        """Return one of this client's orders as last seen."""
        return self._orders.get((self.own_client, order_id))

    def filled(self, order_id: int) -> int:
        """Return how many contracts of this client's order have filled, by executions or status."""
        known = self.seen(order_id)
        return max(self._executed.get((self.own_client, order_id), 0), known.filled if known else 0)

    def taken(self, order_id: int) -> bool:
        """Tell whether the gateway has this client's order or has filled any of it."""
        known = self.seen(order_id)
        return self.filled(order_id) > 0 or (known is not None and not known.ended and known.status in TAKEN)

    def whole(self, order_id: int) -> bool:
        """Tell whether all of this client's order has filled."""
        known = self.seen(order_id)
        return known is not None and (known.status == "Filled" or self.filled(order_id) >= _whole(known.order.qty))

    def executed(self, ref: str) -> bool:
        """Tell whether an execution bears this order reference."""
        return ref in self._executed_refs

    def ended(self, order_id: int) -> bool:
        """Tell whether this client's order was seen and can never fill again."""
        known = self.seen(order_id)
        return known is not None and known.ended

    def working(self) -> list[Working]:
        """Return the working orders of the root, ours and foreign, oldest first by name."""
        live = [(name, seen) for name, seen in sorted(self._orders.items()) if self._lives(name, seen)]
        return [self._shown(name, seen) for name, seen in live if self._root.fullmatch(seen.order.contract)]

    def own(self, contract: str) -> list[Working]:
        """Return this client's working orders in one contract: what we may cancel."""
        return [one for one in self.working() if one.ours and one.contract == contract]

    def _lives(self, name: Name, seen: Seen) -> bool:
        if seen.sent_s:
            return monotonic() - seen.sent_s < SENT_S and name[1] not in self.refusals
        return not seen.ended

    def _shown(self, name: Name, seen: Seen) -> Working:
        order = seen.order
        placed = self._ledger.of(*name)
        stated = key_of_ref(order.order_ref)
        key = placed[0].key if placed else stated if _KEY.fullmatch(stated) else ""
        leg = placed[1].leg if placed else _leg_by_type(order, key)
        price = "" if order.order_type == "MKT" else order.limit_price if leg is Leg.TARGET else order.stop_price
        if leg is Leg.FOREIGN:
            price = "" if order.order_type == "MKT" else order.limit_price or order.stop_price
        ours = bool(key) and name[0] == self.own_client
        return Working(name, key, leg, order.side, seen.remaining, price, order.contract, ours)


def _name(seen: OpenOrderSeen | OrderStatusSeen) -> Name:
    """Return what names an order: owner and order id, or its permanent id where a manual one has no order id."""
    return (seen.client_id, seen.order_id) if seen.order_id > 0 else (0, -seen.perm_id)


def _leg_by_type(order: OpenOrderSeen, key: str) -> Leg:
    """Return what one of our orders is for when the ledger that knew was lost."""
    if not key:
        return Leg.FOREIGN
    if order.order_type == "MKT":
        return Leg.ENTRY if key.endswith(":ENTRY") else Leg.EXIT
    return Leg.STOP if order.order_type.startswith("STP") else Leg.TARGET


def _whole(text: str) -> int:
    return int(Decimal(text)) if text else 0
