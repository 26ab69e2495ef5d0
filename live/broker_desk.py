"""Follow the one order and position at a broker: pending, open, exiting, closed (pj1 S8).

Executions are the truth about prices and quantities, position reports about whether anything is there at all, order
snapshots about what protects it; each may come first, late or twice. Every event and every passing of the clock puts
belief and sight before the table of ``live.reconciliation``; what it rules, ``live.broker_verdicts`` carries out.
Nothing here sends: the desk answers with commands. Whatever is unexplained is doubt, and doubt stops entries.
"""

from __future__ import annotations

from typing import Final, assert_never, cast

from live.broker_order import UNASKED, Leaving, Order, broker_reason, leaving_of, leaving_row, order_of, order_row
from live.broker_verdicts import Stray, Verdicts
from live.broker_watch import TRIES, DeskRules, Watcher, watch_of
from live.closed_trade import ClosedTrade, closed_of
from live.commands import Command, RaiseAlarm, RecordEvent, RecordTrade
from live.events import (
    BrokerReport,
    ExecutionReported,
    OrderAcked,
    OrderRefused,
    OrdersReported,
    OrderUnknown,
    PositionReported,
    TruthChanged,
)
from live.execution_bridge import CANCELLED_CODE, Intent, OrderEvent, OrderState, is_key, key_of_ref
from live.market import NS_PER_MIN, NS_PER_S
from live.params import Params
from live.position import Position
from live.reconciliation import Belief
from live.risk_guard import RiskGuard

UNVERIFIED: Final = "UNVERIFIED"
LAG_S: Final = 5
KEPT_KEYS: Final = 500


class BrokerDesk:
    """Turn reports of a broker route into positions and trades, and everything the broker must do into commands.

    ``halted`` is why the desk threw the kill switch, empty when it did not (a human releases it); ``ended`` the last
    entry that ended without a position, whose fill may still come.
    """

    __slots__ = (
        "_exec_ids",
        "_keys",
        "_older_exec_ids",
        "_verdicts",
        "closed",
        "contract",
        "ended",
        "guard",
        "halted",
        "last_price",
        "order",
        "params",
        "rules",
        "stray",
        "watcher",
    )

    def __init__(self, params: Params, guard: RiskGuard, rules: DeskRules) -> None:
        self.params = params
        self.rules = rules
        self.guard = guard
        self.order: Order | None = None
        self.ended: Order | None = None
        self.stray: Stray | None = None
        self.closed = ClosedTrade()
        self.contract = ""
        self.halted = ""
        self.last_price = 0
        self.watcher = Watcher(rules)
        self._verdicts = Verdicts(self)
        self._keys: dict[str, int] = {}
        self._exec_ids: dict[str, None] = {}
        self._older_exec_ids: dict[str, None] = {}

    @property
    def busy(self) -> bool:
        """Tell whether an entry is on its way, a position is open, or something is being closed."""
        return self.order is not None or self.stray is not None

    @property
    def doubt(self) -> str:
        """Return why no entry may be made: UNVERIFIED while anything cannot be explained, else empty."""
        seen = self.watcher.now
        unknown = self.order is not None and self.order.state is OrderState.UNKNOWN
        strange = self.order is None and (bool(seen.held) or bool(self.watcher.ours()) or self.stray is not None)
        return UNVERIFIED if unknown or strange or seen.doubted or not seen.connected else ""

    @property
    def stuck(self) -> bool:
        """Tell whether closing was asked for as often as it may be, in vain so far."""
        leaving = self.leaving
        return leaving is not None and leaving.tries > TRIES

    @property
    def leaving(self) -> Leaving | None:
        """Return the exit under way, of the order's position or of a stray one."""
        if self.order is not None:
            return self.order.leaving
        return None if self.stray is None else self.stray.leaving

    @property
    def material(self) -> tuple[object, ...]:
        """Return what a later judgement can depend on and no command tells: compare it before and after an event."""
        return self.watcher.now, self.stray is None

    @property
    def position(self) -> Position | None:
        """Return the open position, None while flat or pending."""
        return None if self.order is None else self.order.position

    @property
    def belief(self) -> Belief:
        """Return the row of the table the desk stands in."""
        if self.order is not None:
            return self.order.belief
        return Belief.FLAT if self.stray is None else Belief.EXITING

    def new_day(self) -> None:
        """Forget execution ids and keys older than the previous trade date; brokers re-send only the day's."""
        self._older_exec_ids, self._exec_ids = self._exec_ids, {}
        self._keys = dict(list(self._keys.items())[-KEPT_KEYS:])
        self.ended = None
        self.closed.today = False

    def next_key(self, stem: str, leg: str) -> str:
        """Return a key nobody has borne: the leg's name, numbered from its second use on."""
        name = stem + leg
        tries = self._keys[name] = self._keys.get(name, 0) + 1
        return name if tries == 1 else f"{name}{tries}"

    def enter(self, intent: Intent, out: list[Command]) -> None:
        """Begin an order's life and ask for it to be sent."""
        if self.busy:
            raise RuntimeError(f"entry {intent.key} while the desk is busy; the gate lets one order in at a time")
        self.order = Order(intent.key, intent.approved.signal, intent.approved.qty)
        self.last_price = self.order.signal.entry_ref
        self.ended = self.ended if self.rules.tells_refs else None
        self.watcher.ordered()
        out.append(intent.command())

    def hear(self, event: BrokerReport, out: list[Command]) -> None:
        """Take one report of the route or the account."""
        match event:
            case OrderAcked():
                self.acked(event.key)
            case OrderRefused():
                self.refused(event.key, event.code, event.ts_ns, out)
            case OrderUnknown():
                self.unknown(event.key, event.why, event.ts_ns, out)
            case ExecutionReported():
                self.executed(event, out)
            case PositionReported():
                self.reported(event, out)
            case OrdersReported():
                self.saw_orders(event, out)
            case TruthChanged():
                self.truth_changed(event, out)
            case _:
                assert_never(event)

    def acked(self, key: str) -> None:
        """Take the route's acceptance of ``key``."""
        order = self.order
        if order is not None and key == order.key:
            order.take(OrderEvent.ACKED)
            self.watcher.answered()

    def refused(self, key: str, code: str, at_ns: int, out: list[Command]) -> None:
        """Take the route's final refusal, or the broker's cancel: an entry is consumed, the rest is asked again."""
        order = self.order
        if not self._ours(key):
            return
        if order is None or key != order.key:
            text = f"{key} was refused: {code}; it is asked for again while it is needed"
            out.append(RaiseAlarm("EXIT_REFUSED", text, at_ns))
            return
        order.take(OrderEvent.CANCELLED if code == CANCELLED_CODE else OrderEvent.REFUSED)
        if order.position is None:
            self.consume(order, code, at_ns, out)
        self.look(at_ns, out, fresh=False)

    def _ours(self, key: str) -> bool:
        """Tell whether ``key`` belongs to the living order or to what is being closed."""
        stem = self.order.stem if self.order is not None else self.stray.stem if self.stray is not None else ""
        return bool(stem) and key.startswith(stem)

    def unknown(self, key: str, why: str, at_ns: int, out: list[Command]) -> None:
        """Take the news that nobody knows whether ``key`` was taken; an entry is never sent again."""
        order = self.order
        if not self._ours(key):
            return
        if order is None or key != order.key:
            out.append(RaiseAlarm("EXIT_UNKNOWN", f"{key}: {why}; it is asked for again until known", at_ns))
            return
        order.take(OrderEvent.DOUBTED)
        self.watcher.answered()
        if order.state is OrderState.UNKNOWN:
            text = f"entry {key}: {why}; no entries until the position tells whether it was taken"
            out.append(RaiseAlarm("ORDER_UNKNOWN", text, at_ns))

    def executed(self, fill: ExecutionReported, out: list[Command]) -> None:
        """Book one fill, once per exec_id."""
        if fill.exec_id in self._exec_ids or fill.exec_id in self._older_exec_ids:
            return
        self._exec_ids[fill.exec_id] = None
        self.watcher.filled(fill.ts_ns, 0 if self.order is None else self.order.believed)
        ref = key_of_ref(fill.order_ref)
        beyond = self._swallow_late(fill, ref, out)
        if not beyond:
            return
        if self.order is None and not self._verdicts.revive(fill, ref, out):
            self._stray_fill(fill, ref, beyond, out)
            return
        order = self.order
        if order is None or self.is_foreign(fill, ref, order):
            self._foreign(fill, out)
            if order is not None and self.ended is not None and ref == self.ended.key:
                self._verdicts.second_entry(ref, order, fill.ts_ns, out)
        elif fill.side == order.signal.side:
            if order.fill_entry(fill.qty, fill.price_ticks, fill.ts_ns):
                self.opened()
        else:
            self._exit_fill(order, fill, out)
        self.look(fill.ts_ns, out, fresh=False)

    def is_foreign(self, fill: ExecutionReported, ref: str, order: Order) -> bool:
        """Tell whether a fill cannot be the living order's: another contract or key, or none where keys are told.

        What bears no key and takes our position down is an exit all the same, by whatever hand.
        """
        if fill.contract and fill.contract != order.signal.contract:
            return True
        if ref.startswith(order.stem) or is_key(ref):
            return not ref.startswith(order.stem)
        return self.rules.tells_refs and (fill.side == order.signal.side or order.position is None)

    def reported(self, report: PositionReported, out: list[Command]) -> None:
        """Compare the account's position with the desk's belief (pj1 S8)."""
        self.watcher.see_position(report.qty, report.contract)
        if report.qty == (0 if self.order is None else self.order.believed):
            self.watcher.doubt(on=False)
            self._end_stray(report.ts_ns)
        self.look(report.ts_ns, out, fresh=True)

    def _end_stray(self, at_ns: int) -> None:
        """Believe a flat report that is younger than the exit by more than reports lag."""
        stray = self.stray
        if stray is not None and at_ns - stray.leaving.sent_ns >= self.rules.age_ns(LAG_S):
            self.stray = None
            self.watcher.calm()

    def saw_orders(self, report: OrdersReported, out: list[Command]) -> None:
        """Compare the working orders with what should stand there (pj1 S8)."""
        self.watcher.see_orders(report.orders)
        if report.reread and self.order is not None and self.order.position is None:
            self.watcher.reread()
        self.look(report.ts_ns, out, fresh=True)

    def truth_changed(self, event: TruthChanged, out: list[Command]) -> None:
        """Note whether position and orders can be seen; what was seen before is forgotten."""
        self.watcher.change_truth(event.connected)
        self.look(event.ts_ns, out, fresh=True)

    def look(self, at_ns: int, out: list[Command], *, fresh: bool) -> None:
        """Ask the table and do what it rules; ``fresh`` when something was reported just now."""
        self._book_if_over(at_ns, out)
        self._verdicts.look(at_ns, out, fresh=fresh)

    def manage(self, now_ns: int, minute: int, ordinal: int, contract: str, out: list[Command]) -> None:
        """Ask for the clock exit due now (pj1 S5.6), then look what time has made of the rest; no gate is asked."""
        order = self.order
        if order is not None and order.position is not None and order.leaving is None:
            reason = self._due(order.position, (now_ns, minute, ordinal), contract)
            if reason:
                self._verdicts.close(reason, now_ns, out)
        if self.busy:
            self.look(now_ns, out, fresh=False)

    def _due(self, position: Position, when: tuple[int, int, int], contract: str) -> str:
        now_ns, minute, ordinal = when
        if ordinal != position.signal.ordinal or contract != position.signal.contract:
            return "DAY_ROLL"
        if self.guard.locked:
            return self.guard.locked
        if minute >= self.guard.flat_m:
            return "FLAT"
        return "TIME" if now_ns - position.entry_ns >= self.params.max_hold_min * NS_PER_MIN else ""

    def opened(self) -> None:
        """Count a position that has just come to be."""
        self.watcher.calm()
        self.guard.filled()

    def consume(self, order: Order, reason: str, at_ns: int, out: list[Command]) -> None:
        """End an entry that left no position; its pool stays consumed, its late fill is still ours."""
        out.append(RecordEvent(at_ns // NS_PER_S, "ENTRY_CANCEL", reason=reason, trade=order.signal.pool_id))
        self.order = None
        self.ended = order
        self.watcher.doubt(on=False)
        self.watcher.calm()

    def book(self, order: Order, position: Position, out: list[Command]) -> None:
        """Close the trade with the exits it has, all costs counted, at the time of the last."""
        at_ns = order.exit_ns
        exits = order.exit_total()
        price = exits.average(-order.signal.side)
        reason = order.leaving.reason if order.leaving is not None else broker_reason(order.signal, price)
        position.see(price, price)
        money = (order.gross_cents(position, exits, self.params), 2 * self.params.comm_side_cents * position.qty)
        trade = position.booked(self.guard.trades + 1, at_ns, price, reason, money)
        self.guard.exited(trade.net_cents, at_ns)
        out.append(RecordTrade(trade))
        if reason in UNASKED and not self.rules.places_exits:
            self._verdicts.clear_legs(order, at_ns, out)
        self.closed = ClosedTrade.of(order, trade)
        self.order = None
        self.watcher.doubt(on=False)
        self.watcher.calm()

    def _exit_fill(self, order: Order, fill: ExecutionReported, out: list[Command]) -> None:
        beyond = order.fill_exit(fill.qty, fill.price_ticks, fill.ts_ns)
        if beyond:
            self._book_if_over(fill.ts_ns, out)
            self._verdicts.reverse(order.stem, order.signal.contract, fill.side * beyond, fill.ts_ns, out)

    def _book_if_over(self, at_ns: int, out: list[Command]) -> None:
        """Book a trade whose position has left; what is left of its entry is cancelled and waited for first."""
        order = self.order
        if order is None or order.position is None or not order.emptied:
            return
        if not order.settled_ns and order.state is not OrderState.FILLED:
            self._verdicts.trim(order, at_ns, out)
        if order.over(at_ns, self.rules.patience_ns):
            self.book(order, order.position, out)

    def _swallow_late(self, fill: ExecutionReported, ref: str, out: list[Command]) -> int:
        """Take the real execution of what a trade was booked with by guess; return the quantity beyond that.

        The trade's line stays as it was booked; a correction carries the difference, also into the day's net.
        """
        late = self.closed.explains(fill, ref, nameless=self.order is None and not self.rules.tells_refs)
        if late:
            correction = self.closed.correct(late, fill, self.params)
            text = self.closed.words(correction, fill)
            self.guard.corrected(correction.net_cents if correction.today else 0)
            out += [RaiseAlarm("LATE_EXECUTION", text, fill.ts_ns), correction]
        return fill.qty - late

    def _stray_fill(self, fill: ExecutionReported, ref: str, qty: int, out: list[Command]) -> None:
        """Take ``qty`` of a fill while no order lives: the other leg of the trade just closed, or nobody of ours."""
        closed = self.closed
        if closed.stem and ref.startswith(closed.stem):
            self._verdicts.reverse(closed.stem, closed.contract, fill.side * qty, fill.ts_ns, out)
        else:
            self._foreign(fill, out)

    def _foreign(self, fill: ExecutionReported, out: list[Command]) -> None:
        self.watcher.doubt(on=True)
        text = f"execution {fill.exec_id} ({fill.side * fill.qty:+d}) belongs to no order of ours"
        out.append(RaiseAlarm("FOREIGN_EXECUTION", text, fill.ts_ns))

    def snapshot(self) -> dict[str, object]:
        """Return the order, its position and what has been seen, as JSON values."""
        stray = self.stray
        return {
            "order": None if self.order is None else order_row(self.order),
            "ended": None if self.ended is None else order_row(self.ended),
            "stray": None if stray is None else [stray.stem, stray.contract, leaving_row(stray.leaving)],
            "closed": self.closed.row(),
            "contract": self.contract,
            "halted": self.halted,
            "last_price": self.last_price,
            "watch": self.watcher.now.row(),
            "keys": dict(self._keys),
            "exec_ids": [list(self._older_exec_ids), list(self._exec_ids)],
        }

    def restore(self, state: dict[str, object]) -> None:
        """Take the state of ``snapshot``."""
        row, ended = (cast("dict[str, object] | None", state[name]) for name in ("order", "ended"))
        self.order = None if row is None else order_of(row)
        self.ended = None if ended is None else order_of(ended)
        stray = cast("tuple[str, str, object] | None", state["stray"])
        self.stray = None if stray is None else Stray(stray[0], stray[1], leaving_of(stray[2]) or Leaving(""))
        self.closed = closed_of(state["closed"])
        self.contract = cast("str", state["contract"])
        self.halted = cast("str", state["halted"])
        self.last_price = cast("int", state["last_price"])
        self.watcher.now = watch_of(state["watch"])
        self._keys = dict(cast("dict[str, int]", state["keys"]))
        older, newer = cast("list[list[str]]", state["exec_ids"])
        self._older_exec_ids, self._exec_ids = dict.fromkeys(older), dict.fromkeys(newer)
