"""Be the broker's account: market, stop and limit orders in a few contracts, their fills, and the truth about both.

Nothing here is the product's. What an order belongs to (``key``) and what it is for (``leg``) is remembered, so that
the checks can ask what the broker really did for which intent. Every fill and every change of position is told to
``tell`` at once; how late and how often the news reaches the engine is the bridge's affair.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sim_time import Scheduler

from live.execution_bridge import order_ref

ENTRY, EXIT, STOP, TARGET, HUMAN = "ENTRY", "EXIT", "STOP", "TARGET", "HUMAN"


@dataclass(slots=True)
class Working:
    """Hold one order at the broker; ``side`` is its own direction, ``qty`` what remains."""

    order_id: int
    key: str
    leg: str
    contract: str
    side: int
    qty: int
    price: int = 0
    filled: int = 0
    ended: str = ""
    parent: int = 0
    oca: str = ""
    armed: bool = True

    @property
    def ref(self) -> str:
        """Return the name of its key at the broker."""
        return order_ref(self.key) if self.key else ""


@dataclass(frozen=True, slots=True)
class Fill:
    """Hold one execution."""

    exec_id: str
    at_ns: int
    order_id: int
    key: str
    leg: str
    contract: str
    side: int
    qty: int
    price: int


@dataclass(slots=True)
class Manners:
    """Say how the broker fills: chance of partial fills, of a fill overtaking a cancel, of both exits filling."""

    partial: float = 0.0
    slow: float = 0.0
    cancel_race: float = 0.0
    both_exits: float = 0.0


class Account:
    """Hold orders, fills and positions; prices in ticks."""

    def __init__(self, scheduler: Scheduler, rng: random.Random, tell: Callable[[str, Any], None]) -> None:
        self._scheduler, self._rng, self._tell = scheduler, rng, tell
        self.manners = Manners()
        self.price = 0
        self.gaps: dict[str, int] = {}
        self.positions: dict[str, int] = {}
        self.orders: dict[int, Working] = {}
        self.fills: list[Fill] = []
        self.ended: list[Working] = []
        self.reopening: Callable[[int], int] = lambda _now_ns: 0
        self._last_id = 0

    def price_of(self, contract: str) -> int:
        """Return the price in a contract: months trade apart from each other."""
        return self.price + self.gaps.get(contract, 0)

    def held(self) -> int:
        """Return the position over all contracts."""
        return sum(self.positions.values())

    def working(self, contract: str = "") -> list[Working]:
        """Return the orders that can still fill."""
        return [one for one in self.orders.values() if not contract or one.contract == contract]

    def place(self, key: str, leg: str, contract: str, side: int, qty: int, price: int = 0, *, parent: int = 0,
              order_id: int = 0, oca: str = "", armed: bool = True) -> Working:  # fmt: skip
        """Take an order; a price of 0 fills at market, in pieces and at moments the seed draws."""
        self._last_id = max(self._last_id + 1, order_id)
        order = Working(order_id or self._last_id, key, leg, contract, side, qty, price, 0, "", parent, oca, armed)
        self.orders[order.order_id] = order
        self._tell("order", order)
        if not price:
            self._fill_at_market(order)
        return order

    def highest_id(self) -> int:
        """Return the highest order id that was ever used."""
        return self._last_id

    def amend(self, order: Working, whole: int, price: int) -> None:
        """Change quantity (what filled included) and price of a working order."""
        order.qty, order.price = max(0, whole - order.filled), price
        self._tell("order", order)

    def cancel_id(self, order_id: int) -> None:
        """Cancel an order by its id, and its children with it when nothing of it filled."""
        order = self.orders.get(order_id)
        if order is not None:
            self.cancel(order)

    def child_of_ended(self, child: Working) -> None:
        """Settle a child that came when its parent had ended already."""
        parent = next((one for one in self.ended if one.order_id == child.parent), None)
        if parent is None or not parent.filled:
            self.end(child, "Cancelled")
        else:
            child.armed, child.qty = True, min(child.qty, parent.filled)

    def _release_children(self, parent: Working) -> None:
        """Arm the attached exits for what filled, or end them with a parent of which nothing did."""
        for child in [one for one in self.orders.values() if one.parent == parent.order_id and not one.armed]:
            if not parent.filled:
                self.end(child, "Cancelled")
            else:
                child.armed, child.qty = True, min(child.qty, parent.filled)
                self._tell("order", child)

    def bracket(self, key: str, contract: str, side: int, qty: int, stop: int, target: int) -> Working:
        """Take an entry at market whose exits grow with its fills and cancel each other."""
        entry = self.place(key, ENTRY, contract, side, qty)
        self._exits[entry.order_id] = (stop, target)
        return entry

    @property
    def _exits(self) -> dict[int, tuple[int, int]]:
        if not hasattr(self, "_exit_prices"):
            self._exit_prices: dict[int, tuple[int, int]] = {}
        return self._exit_prices

    def cancel(self, order: Working, why: str = "Cancelled") -> None:
        """Take a cancel: effective a moment later, and a fill may overtake it."""
        if order.ended:
            return
        race = order.price and self._rng.random() < self.manners.cancel_race
        if race and order.armed:  # an exit whose entry has not filled cannot fill
            self._scheduler.after(0.05, lambda: self._fill(order, order.qty, self.price_of(order.contract)))
        self._scheduler.after(0.1, lambda: self.end(order, why))

    def cancel_all(self, contract: str) -> None:
        """Cancel everything that works in the contract."""
        for order in self.working(contract):
            self.cancel(order)

    def flatten(self, key: str, contract: str) -> int:
        """Cancel all, then close at market what is held when the cancels are through; return what is held now."""
        self.cancel_all(contract)
        self._scheduler.after(0.2, lambda: self._close(key, contract))
        return self.positions.get(contract, 0)

    def human(self, contract: str, qty: int) -> None:
        """Let somebody trade by hand."""
        self.place("", HUMAN, contract, 1 if qty > 0 else -1, abs(qty))

    def mark(self, price: int) -> None:
        """Take one traded price: stops trigger at it, targets fill when it trades through them."""
        self.price = price
        for order in list(self.orders.values()):
            if order.ended or not order.price or not order.armed:
                continue
            here = self.price_of(order.contract)
            beyond = order.side * (here - order.price)
            if order.leg == STOP and beyond >= 0:
                self._exit_hit(order, here)
            elif order.leg == TARGET and beyond < 0:
                self._exit_hit(order, order.price)

    def _exit_hit(self, order: Working, price: int) -> None:
        sibling = self._sibling(order)
        if order.qty > 1 and self._rng.random() < self.manners.partial:
            part = self._rng.randint(1, order.qty - 1)
            self._fill(order, part, price)
            rest = self.price_of
            self._scheduler.after(self._rng.uniform(0.2, 8), lambda: self._fill(order, order.qty, rest(order.contract)))
            return
        both = sibling is not None and self._rng.random() < self.manners.both_exits
        whole = order.qty
        self._fill(order, whole, price)
        if both and sibling is not None:
            sibling.ended, sibling.qty = "", whole
            self.orders[sibling.order_id] = sibling
            self._fill(sibling, whole, self.price_of(sibling.contract))

    def _sibling(self, order: Working) -> Working | None:
        return next(
            (
                one
                for one in self.orders.values()
                if one is not order
                and ((order.parent and one.parent == order.parent) or (order.oca and one.oca == order.oca))
            ),
            None,
        )

    def _close(self, key: str, contract: str) -> None:
        held = self.positions.get(contract, 0)
        if held:
            self.place(key, EXIT, contract, -1 if held > 0 else 1, abs(held))

    def _fill_at_market(self, order: Working) -> None:
        rng, manners = self._rng, self.manners
        delay = rng.uniform(0.02, 0.4) if rng.random() >= manners.slow else rng.uniform(2, 14)
        left = order.qty
        while left > 0:
            part = rng.randint(1, left - 1) if left > 1 and rng.random() < manners.partial else left
            left -= part
            self._scheduler.after(
                delay,
                lambda part=part: self._fill(order, part, self.price_of(order.contract) + order.side),  # type: ignore[misc]
            )
            delay += rng.uniform(0.1, 6)

    def _fill(self, order: Working, qty: int, price: int) -> None:
        qty = min(qty, order.qty)
        if order.ended or qty <= 0:
            return
        opens_ns = self.reopening(self._scheduler.now)
        if opens_ns:  # in the break nothing trades; what waits fills when the market opens again
            at_ns = opens_ns + int(self._rng.uniform(0.05, 3) * 1e9)
            self._scheduler.at(at_ns, lambda: self._fill(order, qty, self.price_of(order.contract) + order.side))
            return
        order.qty -= qty
        order.filled += qty
        before = self.positions.get(order.contract, 0)
        self.positions[order.contract] = before + order.side * qty
        whose = (order.order_id, order.key, order.leg, order.contract)
        fill = Fill(f"x{len(self.fills) + 1}", self._scheduler.now, *whose, order.side, qty, price)
        self.fills.append(fill)
        if order.qty == 0:
            self.end(order, "Filled")
        else:
            self._tell("order", order)
        if order.leg in {STOP, TARGET} and (sibling := self._sibling(order)) is not None:
            sibling.qty -= min(qty, sibling.qty)
            if sibling.qty == 0:
                self.end(sibling, "Cancelled")
        if order.order_id in self._exits:
            self._grow_exits(order, qty)
        self._tell("fill", fill)
        self._tell("position", order.contract)

    def _grow_exits(self, entry: Working, qty: int) -> None:
        stop, target = self._exits[entry.order_id]
        for leg, price in ((STOP, stop), (TARGET, target)):
            found = next((one for one in self.orders.values() if one.parent == entry.order_id and one.leg == leg), None)
            if found is not None:
                found.qty += qty
                self._tell("order", found)
            else:
                self.place(entry.key, leg, entry.contract, -entry.side, qty, price, parent=entry.order_id)

    def end(self, order: Working, why: str) -> None:
        """Let an order be over."""
        if order.ended:
            return
        order.ended = why
        self.orders.pop(order.order_id, None)
        self.ended.append(order)
        self._tell("order", order)
        self._release_children(order)


@dataclass(slots=True)
class Ledger:
    """Sum what the fills of one key brought, in ticks."""

    qty: int = 0
    value: int = 0
    fills: list[Fill] = field(default_factory=list)
