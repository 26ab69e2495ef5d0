"""Keep what the broker showed last and class it for the table of pj1 S8.

The Watch is frozen and replaced only when something changed that a later judgement can depend on. So a report that
repeats what is known leaves it as it is, and need not be journaled for a replay to come out the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final, cast

from live.broker_order import Order, orders_of, orders_row
from live.events import Leg, OrdersReported, WorkingOrder
from live.market import NS_PER_S
from live.reconciliation import Belief, Held, Verdict, Working

PATIENCE_NS: Final = 10 * NS_PER_S
PATIENCE_S: Final = 10
TRIES: Final = 3
REREADS: Final = 2


@dataclass(frozen=True, slots=True)
class DeskRules:
    """Say what the route can do and how long the desk waits.

    ``patience_ns`` is the 10 s of pj1 S8 in run time (the shell multiplies it by the clock's speed); every other age
    of the table is in proportion. ``places_exits``: the route can place and amend protective orders by themselves.
    ``tells_refs``: executions and orders bear our keys, so that what has none is foreign. ``flatten_unknown``: close a
    position nobody can explain (it may be a human's).
    """

    patience_ns: int = PATIENCE_NS
    places_exits: bool = False
    tells_refs: bool = False
    flatten_unknown: bool = False

    def age_ns(self, seconds: int) -> int:
        """Return ``seconds`` of the table in run time."""
        return seconds * self.patience_ns // PATIENCE_S


@dataclass(frozen=True, slots=True)
class Sighting:
    """Hold one observation that is not as it should be: how often in a row, since when, and what was done about it."""

    verdict: Verdict
    count: int
    since_ns: int
    acts: int = 0
    acted_ns: int = 0


@dataclass(frozen=True, slots=True)
class Watch:
    """Hold what can be seen of the account.

    ``held`` is the signed position (None: not reported since the last fill), ``held_in`` the months it is in where the
    source tells them, ``orders`` the working orders (None: the source tells none), ``told`` whether they were shown
    since the last fill, ``confirmed`` whether the position was reported after them, ``past`` what was believed before
    recent fills, as (time, quantity), ``doubted`` whether a fill belongs to nothing of ours, ``rereads`` how many
    complete re-reads (two at most are counted) were told since a pending entry was answered: the second of them began
    after that.
    """

    connected: bool = True
    held: int | None = None
    orders: tuple[WorkingOrder, ...] | None = None
    told: bool = False
    confirmed: bool = False
    past: tuple[tuple[int, int], ...] = ()
    doubted: bool = False
    sighting: Sighting | None = None
    rereads: int = 0
    held_in: str = ""

    def row(self) -> dict[str, object]:
        """Return the watch as JSON values."""
        sighting = self.sighting
        return {
            "connected": self.connected,
            "held": self.held,
            "held_in": self.held_in,
            "orders": None if self.orders is None else orders_row(OrdersReported(self.orders, 0)),
            "told": self.told,
            "confirmed": self.confirmed,
            "past": [list(one) for one in self.past],
            "doubted": self.doubted,
            "rereads": self.rereads,
            "sighting": None
            if sighting is None
            else [sighting.verdict.value, sighting.count, sighting.since_ns, sighting.acts, sighting.acted_ns],
        }


def watch_of(state: object) -> Watch:
    """Return the watch that ``Watch.row`` wrote."""
    row = cast("dict[str, object]", state)
    seen = cast("tuple[str, int, int, int, int] | None", row["sighting"])
    return Watch(
        connected=cast("bool", row["connected"]),
        held=cast("int | None", row["held"]),
        orders=None if row["orders"] is None else orders_of(row["orders"]).orders,
        told=cast("bool", row["told"]),
        confirmed=cast("bool", row["confirmed"]),
        past=tuple((at_ns, qty) for at_ns, qty in cast("list[tuple[int, int]]", row["past"])),
        doubted=cast("bool", row["doubted"]),
        sighting=None if seen is None else Sighting(Verdict(seen[0]), *seen[1:]),
        rereads=cast("int", row["rereads"]),
        held_in=cast("str", row["held_in"]),
    )


@dataclass(slots=True)
class Watcher:
    """Own the Watch of one account; every change makes a new one."""

    rules: DeskRules
    now: Watch = field(default_factory=Watch)

    def filled(self, at_ns: int, believed: int) -> None:
        """Forget the position after a fill, and remember what was right before it: reports may lag (pj1 S8)."""
        fresh = tuple(one for one in self.now.past if at_ns - one[0] < self.rules.patience_ns)
        past = (*fresh, (at_ns, believed))
        self.now = replace(self.now, held=None, held_in="", told=False, confirmed=False, past=past)

    def ordered(self) -> None:
        """Forget the position: what was reported before an entry says nothing about it."""
        self.now = replace(self.now, held=None, held_in="", sighting=None, rereads=0)

    def answered(self) -> None:
        """Begin to count re-reads: what was read before the route answered for the entry may have missed it."""
        if self.now.rereads:
            self.now = replace(self.now, rereads=0)

    def reread(self) -> None:
        """Count a complete re-read while an entry is pending."""
        if self.now.rereads < REREADS:
            self.now = replace(self.now, rereads=self.now.rereads + 1)

    def adopted(self) -> None:
        """Keep the position that was just believed; the orders shown before it say nothing about it."""
        self.now = replace(self.now, told=False, confirmed=False, sighting=None)

    def see_position(self, qty: int, held_in: str = "") -> None:
        """Take one report of the position; a different one starts a new observation."""
        same = (qty, held_in) == (self.now.held, self.now.held_in)
        if not same or self.now.confirmed != self.now.told:
            sighting = self.now.sighting if same or not self.now.connected else None
            self.now = replace(self.now, held=qty, held_in=held_in, confirmed=self.now.told, sighting=sighting)

    def see_orders(self, orders: tuple[WorkingOrder, ...]) -> None:
        """Take one snapshot of working orders; a different one starts a new observation."""
        if orders != self.now.orders or not self.now.told:
            sighting = None if self.now.connected else self.now.sighting
            self.now = replace(self.now, orders=orders, told=True, confirmed=False, sighting=sighting)

    def change_truth(self, connected: bool) -> None:
        """Forget what was seen: the source was lost, or tells everything anew."""
        if connected != self.now.connected or self.now.held is not None or self.now.orders is not None:
            lost = None if connected or self.now.connected else self.now.sighting
            self.now = Watch(connected=connected, doubted=self.now.doubted, sighting=lost)

    def doubt(self, on: bool) -> None:
        """Note a fill that belongs to nothing of ours, or that the account has explained itself."""
        if on != self.now.doubted:
            self.now = replace(self.now, doubted=on)

    def count(self, verdict: Verdict, at_ns: int, *, fresh: bool) -> Sighting:
        """Return the sighting of ``verdict`` with this observation in it; a repeated look is no new observation."""
        seen = self.now.sighting
        if seen is None or seen.verdict is not verdict:
            seen = Sighting(verdict, 1, at_ns)
        elif fresh and seen.count < 2:  # no ruling needs more, and what does not count need not be journaled
            seen = replace(seen, count=seen.count + 1)
        if seen != self.now.sighting:
            self.now = replace(self.now, sighting=seen)
        return seen

    def acted(self, seen: Sighting, at_ns: int) -> None:
        """Note that the sighting was acted on."""
        self.now = replace(self.now, sighting=replace(seen, acts=seen.acts + 1, acted_ns=at_ns))

    def calm(self) -> None:
        """Forget a sighting: all is as it should be; a lost source is one loss until it is back."""
        if self.now.sighting is not None and self.now.connected:
            self.now = replace(self.now, sighting=None)

    def held_class(self, order: Order | None, belief: Belief, at_ns: int) -> Held:
        """Class the position for the table; ``at_ns`` is the time of the look."""
        held = self.now.held
        if not self.now.connected:
            return Held.DARK
        position = None if order is None or belief is Belief.EXITING else order.position
        if order is not None and position is not None and position.qty > order.qty:
            return Held.OVER  # the executions say so themselves
        if held is None:
            return Held.UNSEEN
        believed = 0 if order is None else order.believed
        if held != believed and any(
            held == qty and at_ns - since_ns < self.rules.patience_ns for since_ns, qty in self.now.past
        ):
            return Held.LAGS
        if order is None:
            return Held.OVER if held else Held.ZERO
        if held and belief is Belief.PENDING and self.now.held_in not in {"", order.signal.contract}:
            return Held.OPPOSITE if " " not in self.now.held_in else Held.OVER  # another month's: nothing of this entry
        return _against(order, belief, held * order.signal.side)

    def working_class(self, order: Order | None) -> Working:
        """Class our working orders for the table."""
        if self.now.orders is None:
            return Working.UNTOLD
        if order is None:
            return Working.DRIFT if self.ours() else Working.NONE
        if not self.now.told:
            return Working.UNTOLD  # shown before the last fill
        legs = self._legs(order)
        if legs is None:
            return Working.UNTOLD
        stops = [one for one in legs if one.leg is Leg.STOP]
        if any(one.leg is Leg.ENTRY for one in legs):
            return Working.ENTRY if stops else Working.ENTRY_BARE
        if not stops:
            return Working.NO_STOP if legs else Working.NONE
        targets = [one for one in legs if one.leg is Leg.TARGET]
        exact = _covers(stops, order, order.signal.stop) and _covers(targets, order, order.signal.target)
        return Working.BRACKET if exact and len(legs) == len(stops) + len(targets) else Working.DRIFT

    def ours(self) -> tuple[WorkingOrder, ...]:
        """Return the working orders that bear our keys."""
        return tuple(one for one in self.now.orders or () if one.key)

    def _legs(self, order: Order) -> list[WorkingOrder] | None:
        """Return the working orders of this trade; None when the source cannot tell which are ours.

        Where orders bear no keys, ours are those on the planned prices; if none is while something else could close the
        position, nobody can tell.
        """
        mine = list(self.ours())
        if self.rules.tells_refs or mine:
            return mine
        closing = [one for one in self.now.orders or () if one.side == -order.signal.side]
        legs = {order.signal.stop: Leg.STOP, order.signal.target: Leg.TARGET}
        found = [WorkingOrder(order.key, legs[one.price_ticks], one.side, one.qty, one.price_ticks, one.order_id)
                 for one in closing if one.price_ticks in legs]  # fmt: skip
        return None if closing and not any(one.leg is Leg.STOP for one in found) else found


def _against(order: Order, belief: Belief, held: int) -> Held:
    """Class a position, seen from the order's side, against what the order should leave."""
    if held <= 0:
        return Held.OPPOSITE if held < 0 else Held.ZERO
    if belief is Belief.PENDING:
        if held < order.qty:
            return Held.PART
        return Held.WHOLE if held == order.qty else Held.OVER
    if held <= order.left:
        return Held.WHOLE if held == order.left else Held.PART
    return Held.GROWN if held <= order.qty - order.gone else Held.OVER


def _covers(legs: list[WorkingOrder], order: Order, price: int) -> bool:
    """Tell whether these exits together cover exactly what is held, all at the planned price and on the right side."""
    right = all(one.price_ticks == price and one.side == -order.signal.side for one in legs)
    return right and sum(one.qty for one in legs) == order.left
