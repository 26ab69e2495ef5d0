"""Carry out what the table of pj1 S8 rules: alarms, commands, and what the desk books.

A ruling acts when it was seen often and long enough (one that needs two observations only on a report, never on the
clock alone), and again after a pause while nothing changes; what three tries did not mend goes to a human (kill switch
and alarm). A route that cannot place exits by themselves gets a market exit where others get a stop.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from live.broker_order import Leaving, Order
from live.broker_watch import REREADS, TRIES, Sighting
from live.commands import CancelOrders, ClosePosition, Command, PlaceExits, RaiseAlarm, ThrowKillSwitch
from live.events import ExecutionReported
from live.execution_bridge import OrderEvent, OrderState
from live.market import NS_PER_S
from live.reconciliation import QUIET, Action, Belief, Held, Ruling, Verdict, judge

if TYPE_CHECKING:
    from live.broker_desk import BrokerDesk

AGAIN_S: Final = 5
SERVICE_BRACKET_S: Final = 10
YOUNG_S: Final = 600
ONCE: Final = frozenset({Action.FREEZE, Action.EXPLAIN})


@dataclass(slots=True)
class Stray:
    """Hold a position being closed that belongs to no living order."""

    stem: str
    contract: str
    leaving: Leaving


class Verdicts:
    """Look, count, and act for one desk."""

    __slots__ = ("_acts", "_desk")

    def __init__(self, desk: BrokerDesk) -> None:
        self._desk = desk
        self._acts: dict[Action, Callable[[Sighting, int, list[Command]], str]] = {
            Action.FREEZE: self._freeze,
            Action.CANCEL: self._cancel_orphans,
            Action.EXPLAIN: self._explain,
            Action.CONSUME: self._lose_entry,
            Action.ADOPT: self._adopt,
            Action.SETTLE: self._settle,
            Action.PROTECT: self._protect,
            Action.AMEND: self._protect,
            Action.BOOK_PART: self._book_part,
            Action.BOOK: self._book,
            Action.CANCEL_FIRST: self._cancel_first,
            Action.FLATTEN: self._flatten,
            Action.CLOSE_AGAIN: self._close_again,
        }

    def look(self, at_ns: int, out: list[Command], *, fresh: bool) -> None:
        """Ask the table and act when the ruling is due; what it changes is looked at again at once."""
        for _ in Belief:
            if not self._look_once(at_ns, out, fresh=fresh):
                return
            fresh = False

    def _look_once(self, at_ns: int, out: list[Command], *, fresh: bool) -> bool:
        """Return whether something was done that changes the belief."""
        desk = self._desk
        watcher, belief, order = desk.watcher, desk.belief, desk.order
        held = watcher.held_class(order, belief, at_ns)
        ruling = judge(belief, held, watcher.working_class(order))
        done = (
            watcher.now.held == 0 if order is None and belief is Belief.EXITING else order is not None and order.emptied
        )
        if ruling.verdict in QUIET or (done and held is not Held.DARK):
            watcher.calm()
            return False
        seen = watcher.count(ruling.verdict, at_ns, fresh=fresh)
        if (ruling.needs > 1 and not fresh) or not self._due(ruling, seen, at_ns):
            return False
        watcher.acted(seen, at_ns)
        said = len(out)
        out.append(RaiseAlarm(ruling.verdict.value, "", at_ns))
        text = self._acts[ruling.action](seen, at_ns, out)
        out[said] = RaiseAlarm(ruling.verdict.value, text, at_ns)
        return desk.belief is not belief

    def _due(self, ruling: Ruling, seen: Sighting, at_ns: int) -> bool:
        """Tell whether the ruling may act: seen often and long enough, and not just now or too often already."""
        rules, watch, leaving = self._desk.rules, self._desk.watcher.now, self._desk.leaving
        if ruling.verdict is Verdict.NAKED and not watch.confirmed:
            return False  # the stop may just have filled: the position must be seen after the orders
        if ruling.verdict is Verdict.ENTRY_LOST and rules.tells_refs and watch.rereads < REREADS:
            return False  # nothing of it was told, but has everything been asked since?
        if ruling.verdict is Verdict.EXIT_STUCK and leaving is not None and leaving.tries > TRIES:
            return False
        since_ns, after_s = self._since(ruling, seen)
        if seen.count < ruling.needs or at_ns - since_ns < rules.age_ns(after_s):
            return False
        if not seen.acts:
            return True
        if ruling.action in ONCE or seen.acts > TRIES:
            return False
        return at_ns - seen.acted_ns >= rules.age_ns(AGAIN_S)

    def _since(self, ruling: Ruling, seen: Sighting) -> tuple[int, int]:
        """Return since when the ruling's age counts, and the age it must reach in seconds of the table."""
        order, leaving = self._desk.order, self._desk.leaving
        match ruling.verdict:
            case Verdict.EXIT_STUCK if leaving is not None:
                return leaving.sent_ns, ruling.after_s
            case Verdict.ENTRY_LOST if order is not None:
                return order.signal.signal_ns, ruling.after_s
            case Verdict.PARTIAL if order is not None:
                return order.part_ns, ruling.after_s
            case Verdict.NAKED if order is not None and not self._desk.rules.tells_refs:
                return order.part_ns, SERVICE_BRACKET_S  # a service places its bracket after the fill
            case _:
                return seen.since_ns, ruling.after_s

    # -- what others ask for -------------------------------------------------------------------------

    def close(self, reason: str, at_ns: int, out: list[Command]) -> None:
        """Ask for the position to be brought to flat, for the first time or again."""
        desk = self._desk
        order = desk.order
        if order is not None:
            leaving = order.leaving = order.leaving or Leaving(str(reason))
            stem, contract, qty = order.stem, order.signal.contract, order.left
        elif desk.stray is not None:
            leaving, stem, contract = desk.stray.leaving, desk.stray.stem, desk.stray.contract
            qty = abs(desk.watcher.now.held or 0)
        else:
            raise RuntimeError(f"asked to close for {reason} while nothing is open")
        leaving.tries += 1
        leaving.sent_ns = at_ns
        desk.guard.ordered(at_ns)
        out.append(ClosePosition(desk.next_key(stem, "EXIT"), contract, qty, leaving.reason, at_ns))

    def trim(self, order: Order, at_ns: int, out: list[Command]) -> None:
        """Cancel what is left of an entry; a route that cannot do that alone cancels all, when nothing is held."""
        order.settle(at_ns)
        alone = self._desk.rules.places_exits
        self._cancel(order.stem, order.signal.contract, Verdict.PARTIAL, at_ns, out, entries_only=alone)

    def clear_legs(self, order: Order, at_ns: int, out: list[Command]) -> None:
        """Cancel what may still rest of a bracket whose position left by another hand; nobody names these orders."""
        text = f"position of {order.key} left by another hand; its stop and target may still work and are cancelled"
        out.append(RaiseAlarm(Verdict.ORPHAN_ORDERS.value, text, at_ns))
        self._cancel(order.stem, order.signal.contract, Verdict.ORPHAN_ORDERS, at_ns, out)

    def reverse(self, stem: str, contract: str, signed: int, at_ns: int, out: list[Command]) -> None:
        """Take an exit fill beyond what was held (both legs of a bracket): flatten at market, KILL (pj1 S8)."""
        text = f"exits of {stem.rstrip(':')} filled {signed:+d} beyond the position; flattened at market"
        out.append(RaiseAlarm(Verdict.REVERSED.value, text, at_ns))
        self._halt(Verdict.REVERSED, text, at_ns, out)
        if self._desk.order is None and self._desk.stray is None:
            self._desk.stray = Stray(stem, contract, Leaving(Verdict.REVERSED.value))
        self.close(Verdict.REVERSED, at_ns, out)

    def second_entry(self, ref: str, order: Order, at_ns: int, out: list[Command]) -> None:
        """Take the fill of an older entry of ours while another lives: two positions nobody wanted, so flat and KILL.

        Of an order still pending nothing is known to close: what the account holds is judged when it is reported.
        """
        text = f"entry {ref} was thought lost and is filled while {order.key} lives; to flat"
        out.append(RaiseAlarm(Verdict.OVERFILL.value, text, at_ns))
        self._halt(Verdict.OVERFILL, text, at_ns, out)
        if order.position is not None and order.left:
            self.close(Verdict.OVERFILL, at_ns, out)

    def revive(self, fill: ExecutionReported, ref: str, out: list[Command]) -> bool:
        """Take back an entry thought to be over when its fill comes after all; return whether the fill is its own."""
        desk = self._desk
        ended = desk.ended
        if ended is None or fill.side != ended.signal.side or desk.is_foreign(fill, ref, ended):
            return False
        if desk.rules.tells_refs:
            ours = ref == ended.key
        else:
            ours = self._unconfirmed(ended, fill.ts_ns) and fill.qty <= ended.qty
        if ours:
            desk.order, desk.ended = ended, None
            text = f"entry {ended.key} was {ended.state} and is filled after all; adopted at the broker's price"
            out.append(RaiseAlarm(Verdict.UNKNOWN_POSITION.value, text, fill.ts_ns))
        return ours

    def _unconfirmed(self, ended: Order, at_ns: int) -> bool:
        """Tell whether an ended entry could still be what the account holds: nobody said for sure that it is not."""
        young = at_ns - ended.signal.signal_ns < self._desk.rules.age_ns(YOUNG_S)
        return young and ended.state in {OrderState.LOST, OrderState.CANCELLED}

    # -- the actions; each returns the alarm's sentence ------------------------------------------------

    def _freeze(self, _seen: Sighting, _at_ns: int, _out: list[Command]) -> str:
        return "position and orders cannot be seen; no entries, what rests at the broker is left alone"

    def _cancel_orphans(self, seen: Sighting, at_ns: int, out: list[Command]) -> str:
        desk = self._desk
        orphans = desk.watcher.ours()
        names = ", ".join(sorted({one.order_id for one in orphans}))
        text = f"flat, and our orders {names} still work; cancelled, no entries until they are gone"
        stem = orphans[0].key.rpartition(":")[0] + ":"
        contract = self._contract_of(stem)
        self._cancel(stem, contract, Verdict.ORPHAN_ORDERS, at_ns, out)
        return self._limit(seen, text, at_ns, out)

    def _explain(self, _seen: Sighting, at_ns: int, out: list[Command]) -> str:
        desk = self._desk
        held, ended, held_in = desk.watcher.now.held or 0, desk.ended, desk.watcher.now.held_in
        there = ended is not None and held_in in {"", ended.signal.contract}
        if desk.order is None and ended is not None and there and self._unconfirmed(ended, at_ns):
            qty = held * ended.signal.side
            if 0 < qty <= ended.qty:
                desk.order, desk.ended = ended, None
                self._take_over(ended, qty, at_ns)
                return f"the account holds {held:+d}, which entry {ended.key} explains after all; adopted ESTIMATED"
        where = f" in {held_in}" if held_in else ""
        text = f"the account holds {held:+d}{where} that no order of ours explains; no entries until a human resumes"
        self._halt(Verdict.UNKNOWN_POSITION, text, at_ns, out)
        if desk.order is None and desk.rules.flatten_unknown:
            contract = held_in or desk.contract
            if not contract or " " in contract:
                return f"{text}; it is not closed: one order cannot close {contract or 'an unnamed contract'}"
            stem = f"STRAY@{at_ns // NS_PER_S}:"
            desk.stray = Stray(stem, contract, Leaving(Verdict.UNKNOWN_POSITION.value))
            self.close(Verdict.UNKNOWN_POSITION, at_ns, out)
        return text

    def _lose_entry(self, _seen: Sighting, at_ns: int, out: list[Command]) -> str:
        desk = self._desk
        order = self._order()
        self._cancel(order.stem, order.signal.contract, Verdict.ENTRY_LOST, at_ns, out)
        order.take(OrderEvent.LOST)
        desk.consume(order, Verdict.ENTRY_LOST.value, at_ns, out)
        waited_s = desk.rules.patience_ns // NS_PER_S
        return f"entry {order.key} left no position after {waited_s} s; cancelled, never resent"

    def _adopt(self, _seen: Sighting, at_ns: int, _out: list[Command]) -> str:
        order = self._order()
        qty = (self._desk.watcher.now.held or 0) * order.signal.side
        self._take_over(order, qty, at_ns)
        return f"the account holds {qty} of entry {order.key}; opened ESTIMATED until its executions are seen"

    def _settle(self, seen: Sighting, at_ns: int, out: list[Command]) -> str:
        desk, order = self._desk, self._order()
        if not desk.rules.places_exits:
            self.close(Verdict.PARTIAL, at_ns, out)
            return (
                f"entry {order.key} was filled in part ({order.left} of {order.qty}); the route cannot trim it: closed"
            )
        self.trim(order, at_ns, out)
        self._place_exits(order, at_ns, out)
        text = f"entry {order.key}: {order.left} of {order.qty} filled; the rest is cancelled, exits cover {order.left}"
        return self._limit(seen, text, at_ns, out)

    def _protect(self, seen: Sighting, at_ns: int, out: list[Command]) -> str:
        desk, order = self._desk, self._order()
        signal = order.signal
        beyond = signal.side * (desk.last_price - signal.stop) <= 0
        if beyond or not desk.rules.places_exits or seen.acts >= TRIES:
            why = "price is beyond its stop" if beyond else "its exits cannot be placed"
            self.close(seen.verdict, at_ns, out)
            return f"position of {order.key} ({order.left}) is not protected as planned and {why}; closed at market"
        self._place_exits(order, at_ns, out)
        return (
            f"exits of {order.key} do not cover {order.left} at stop {signal.stop}; placed again (try {seen.acts + 1})"
        )

    def _book_part(self, _seen: Sighting, at_ns: int, out: list[Command]) -> str:
        desk, order = self._desk, self._order()
        left = (desk.watcher.now.held or 0) * order.signal.side
        lost = order.left - left
        order.guess_exit(lost, self._worst(order), at_ns)
        if desk.rules.places_exits:
            self._place_exits(order, at_ns, out)
        return (
            f"{lost} of {order.key} are gone without an execution; booked ESTIMATED at the stop, the exits cover {left}"
        )

    def _book(self, _seen: Sighting, at_ns: int, out: list[Command]) -> str:
        """Book an exit nobody reported at stop less slippage, the worst plan, and say so."""
        order = self._order()
        order.guess_exit(order.left, self._worst(order), at_ns)
        order.leaving = order.leaving or Leaving(Verdict.PHANTOM.value)
        if order.position is not None:
            self._desk.book(order, order.position, out)
        return f"position of {order.key} is gone without an execution; booked ESTIMATED at its stop"

    def _cancel_first(self, seen: Sighting, at_ns: int, out: list[Command]) -> str:
        order = self._order()
        self._cancel(order.stem, order.signal.contract, Verdict.PHANTOM_ORPHANS, at_ns, out)
        text = f"position of {order.key} is gone and its orders still work; cancelled first, then it is booked"
        return self._limit(seen, text, at_ns, out)

    def _flatten(self, seen: Sighting, at_ns: int, out: list[Command]) -> str:
        desk, order = self._desk, self._order()
        held = desk.watcher.now.held
        if order.position is None:
            self._take_over(order, abs(held or 0), at_ns)
        shown = "more by executions" if held is None else f"{held:+d}"
        text = f"the account holds {shown} where {order.key} ordered {order.signal.side * order.qty:+d}; flattened"
        self._halt(seen.verdict, text, at_ns, out)
        self.close(seen.verdict, at_ns, out)
        return text

    def _close_again(self, _seen: Sighting, at_ns: int, out: list[Command]) -> str:
        desk = self._desk
        leaving, order = desk.leaving, desk.order
        if leaving is None:
            raise RuntimeError("asked to close again while nothing is being closed")
        if leaving.tries < TRIES:
            self.close(leaving.reason, at_ns, out)
            return f"not flat after exit {leaving.tries - 1} ({leaving.reason}); asked again"
        leaving.tries += 1
        if order is not None and desk.rules.places_exits:
            self._place_exits(order, at_ns, out)  # closing does not work: at least a stop must stand
        text = f"not flat after {TRIES} exits ({leaving.reason}); flatten it at the broker"
        self._halt(Verdict.EXIT_STUCK, text, at_ns, out)
        return text

    def _contract_of(self, stem: str) -> str:
        """Return the contract that the orders of ``stem`` rest in: after a roll it is not the one traded now."""
        desk = self._desk
        if desk.ended is not None and desk.ended.stem == stem:
            return desk.ended.signal.contract
        return desk.closed.contract if desk.closed.stem == stem else desk.contract

    # -- small parts ---------------------------------------------------------------------------------

    def _order(self) -> Order:
        order = self._desk.order
        if order is None:
            raise RuntimeError("the table ruled on an order while none lives")
        return order

    def _take_over(self, order: Order, qty: int, at_ns: int) -> None:
        """Believe the account's quantity, at the planned price until an execution tells the real one."""
        price = order.signal.entry_ref + order.signal.side * self._desk.params.slip_ticks
        if order.adopt(qty, price, at_ns):
            self._desk.opened()
        self._desk.watcher.adopted()

    def _worst(self, order: Order) -> int:
        return order.signal.stop - order.signal.side * self._desk.params.slip_ticks

    def _place_exits(self, order: Order, at_ns: int, out: list[Command]) -> None:
        signal = order.signal
        key = self._desk.next_key(order.stem, "EXITS")
        out.append(PlaceExits(key, signal.contract, signal.side, order.left, signal.stop, signal.target, at_ns))

    def _cancel(
        self, stem: str, contract: str, reason: str, at_ns: int, out: list[Command], *, entries_only: bool = False
    ) -> None:
        key = self._desk.next_key(stem, "CANCEL")
        out.append(CancelOrders(key, contract, str(reason), at_ns, entries_only))

    def _limit(self, seen: Sighting, text: str, at_ns: int, out: list[Command]) -> str:
        """Call a human when the third try mended nothing."""
        if seen.acts >= TRIES:
            self._halt(seen.verdict, text, at_ns, out)
        return text

    def _halt(self, verdict: str, text: str, at_ns: int, out: list[Command]) -> None:
        if not self._desk.halted:
            self._desk.halted = f"{verdict}: {text}"
            out.append(ThrowKillSwitch(self._desk.halted, at_ns))
