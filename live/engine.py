"""Decide: one event in, commands out; the same steps in backtest, replay and live (pj1 S2).

``Engine.step`` walks one closed bar through the only legal order of work (S2.1): day turn, sessions, position, pools,
ranges and pivots, signal and gate, mark to market. On Route.SIMULATED, and in Mode.REHEARSED, fills are made
here from bars (S5). On Route.BROKER a live approval becomes PlaceBracket and fills come back as events; nothing
is ever believed to be filled because it was sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, cast

from live.broker_desk import BrokerDesk
from live.broker_watch import DeskRules
from live.commands import Command, RaiseAlarm, RecordEvent, RecordTrade
from live.events import (
    BarClosed,
    BrokerReport,
    ClockPassed,
    EntriesJudged,
    Event,
    KillSwitched,
    Mode,
    ModeChanged,
    PriceMarked,
)
from live.execution_bridge import Intent
from live.liquidity import Liquidity
from live.market import NS_PER_MIN, NS_PER_S, Bar, Instrument
from live.paper_fills import Exit, PaperFills
from live.params import Params, ParamsError
from live.pool_fsm import PoolEvent, advance
from live.pools import Pool
from live.position import Position
from live.records import reject_event, signal_event
from live.risk_guard import LOCK_REASON, Approved, Circumstances, RiskGuard
from live.session_manager import TradePlanner, ranked
from live.stance import KillSwitch, Stance, stance_of
from live.trading_day import CLOSE_M, Span, minute_of_day, span_at, trade_ordinal

SNAPSHOT_FORM: Final = 3


class Route(StrEnum):
    """Say where approved signals become fills: inside the core from bars, or at a broker."""

    SIMULATED = "SIMULATED"
    BROKER = "BROKER"


class EngineError(RuntimeError):
    """Report a use of the engine that would mix rehearsed with real money, or a snapshot it cannot take."""


class Engine:
    """Hold the whole decision state of one instrument.

    ``rules`` say what the broker route can do and how long the desk waits (``live.broker_watch``). Starts REHEARSED
    on the simulated route and MISSED on a broker route: trading begins only by ModeChanged. ``early_flat_m`` maps trade
    dates (ordinals) that close early to the minute of the day at which they are flat (pj1 S5.6); without an entry
    ``flat_at`` of the parameters holds. Raises ParamsError when ``params`` and ``instrument`` disagree on the tick.
    """

    def __init__(
        self,
        params: Params,
        instrument: Instrument,
        route: Route,
        rules: DeskRules | None = None,
        early_flat_m: Mapping[int, int] | None = None,
    ) -> None:
        if params.tick != instrument.tick:
            raise ParamsError(
                f"parameter tick is {params.tick}, {instrument.symbol} moves in {instrument.tick}; drop it"
            )
        self.params = params
        self.instrument = params.instrument(instrument)
        self.route = route
        self.mode = Mode.REHEARSED if route is Route.SIMULATED else Mode.MISSED
        self.guard = RiskGuard(params)
        self.liquidity = Liquidity(params)
        self.paper = PaperFills(params)
        self.desk = BrokerDesk(params, self.guard, rules or DeskRules())
        self.kill = KillSwitch()
        self.outside = ""
        self.bars = 0
        self.last_bar_ns = -1
        self.signals = 0
        self.refusals: dict[str, int] = {}
        self._planner = TradePlanner(params)
        self._previous_close: int | None = None
        self._real_ns: int | None = None
        self._day = 0
        self._contract: str | None = None
        self._span = Span(0, 0, 0, 0, weekend=True)
        self._loss_floor = -params.max_daily_loss_cents
        self._early_flat_m = dict(early_flat_m or {})

    def step(self, event: Event) -> list[Command]:
        """Take one event and return what to do and to record, in order."""
        out: list[Command] = []
        if type(event) is BarClosed:
            self._take_bar(event.bar, out)
            return out
        match event:
            case BarClosed():
                self._take_bar(event.bar, out)
            case PriceMarked():
                self._mark_price(event, out)
            case ClockPassed():
                self._pass_clock(event.now_ns, out)
            case ModeChanged():
                self._change_mode(event.mode)
            case KillSwitched():
                self._switch(event)
            case EntriesJudged():
                self.outside = event.reason
            case _:
                self._hear_broker(event, out)
        return out

    def _hear_broker(self, event: BrokerReport, out: list[Command]) -> None:
        before = self.guard.trades, self.guard.net_cents
        self.desk.hear(event, out)
        if before != (self.guard.trades, self.guard.net_cents):
            self._mark_money(0, event.ts_ns, out)  # what was booked here may have used up the day (pj1 S6.7)

    def _switch(self, event: KillSwitched) -> None:
        """Take the kill switch as it stands; releasing it also ends what the desk threw it for."""
        self.kill = KillSwitch(event.on, event.reason)
        if not event.on:
            self.desk.halted = ""

    @property
    def killed(self) -> bool:
        """Tell whether the kill switch was last reported as thrown."""
        return self.kill.on

    @property
    def kill_wanted(self) -> str:
        """Return why the switch must be thrown and is not reported as thrown yet; the shell makes it stand."""
        return "" if self.kill.on and not self.kill.disarmed else self.desk.halted

    @property
    def stance(self) -> tuple[Stance, str]:
        """Return ACTIVE, REDUCING (exits only) or HALTED, with the reason."""
        missed = self.mode.value if self.mode is Mode.MISSED else ""
        reducing = self.desk.doubt or self.guard.locked or self.outside or missed
        return stance_of(self.kill, self.desk.halted, reducing)

    @property
    def position(self) -> Position | None:
        """Return the open position of either kind, None while flat or pending."""
        return self.paper.position or self.desk.position

    @property
    def in_position(self) -> bool:
        """Tell whether an entry is on its way or a position is open."""
        return self.paper.busy or self.desk.busy

    @property
    def rehearsing(self) -> bool:
        """Tell whether approvals are filled inside the core."""
        return self.route is Route.SIMULATED or self.mode is Mode.REHEARSED

    def _take_bar(self, bar: Bar, out: list[Command]) -> None:
        """Refuse, skip or discard the bar by pj1 S1.3-S1.5; else begin its day or contract and walk it through S2.1."""
        ts_ns, high, low, close = bar.ts_ns, bar.high_ticks, bar.low_ticks, bar.close_ticks
        open_ = bar.open_ticks
        if not (low <= open_ <= high and low <= close <= high) or ts_ns <= self.last_bar_ns or ts_ns % NS_PER_MIN:
            self._refuse_bar(bar, out)
            return
        before, self._previous_close, self.last_bar_ns = self._previous_close, close, ts_ns
        self.bars += 1
        if bar.volume == 0 and high == low and close == before:
            return
        span = self._span
        if ts_ns >= span.end_ns or ts_ns < span.start_ns:
            span = self._span = span_at(ts_ns)
        minute = (ts_ns - span.base_ns) // NS_PER_MIN
        if minute >= CLOSE_M or span.weekend:
            return
        if span.ordinal != self._day or bar.contract != self._contract:
            self._turn(bar, span, out)
        self._work(bar, minute, out)

    def _work(self, bar: Bar, minute: int, out: list[Command]) -> None:
        """Walk one kept bar through steps 2 to 7 of pj1 S2.1."""
        ts_ns, high, low = bar.ts_ns, bar.high_ticks, bar.low_ticks
        liquidity = self.liquidity
        if minute >= liquidity.sessions.next_edge_m:
            liquidity.pass_edge(minute, ts_ns, out)
        if self.paper.pending is not None or self.paper.position is not None:
            self._walk_paper(bar, minute, out)
        book = liquidity.book
        reclaimed: list[Pool] = []
        if book.swept or low <= book.low_trigger or high >= book.high_trigger or ts_ns >= book.next_expiry_ns:
            reclaimed = liquidity.step_pools(bar, out)
        liquidity.add_bar(ts_ns, high, low, out)
        if reclaimed:
            self._decide(reclaimed, bar, minute, out)
        self._real_ns = ts_ns
        if self.desk.order is not None or self.desk.stray is not None:
            self._walk_desk(bar, out)
        position = self.paper.position
        if position is not None or self.guard.net_cents <= self._loss_floor:
            self._mark(position, bar.close_ticks, ts_ns + NS_PER_MIN, out)

    def _refuse_bar(self, bar: Bar, out: list[Command]) -> None:
        """Treat a malformed bar's minute as missing and raise the data alarm (pj1 S1.5)."""
        prices = (bar.open_ticks, bar.high_ticks, bar.low_ticks, bar.close_ticks)
        why = f"ohlc {prices} ticks, ts {bar.ts_ns} ns after {self.last_bar_ns} ns"
        out.append(RaiseAlarm("BAD_BAR", f"bar refused, its minute counts as missing: {why}", bar.ts_ns))

    def _turn(self, bar: Bar, span: Span, out: list[Command]) -> None:
        """Step 1: begin a new trade date, a new contract, or both."""
        rolled = self._contract is not None and bar.contract != self._contract
        if span.ordinal != self._day:
            self.guard.new_day()
            self.desk.new_day()
            self._real_ns = None
            self.liquidity.turn_day(span.ordinal, span.base_ns, bar.ts_ns, out, rolled=rolled)
        elif rolled:
            self.liquidity.roll(bar.ts_ns, out)
        self._day = span.ordinal
        self._contract = self.desk.contract = bar.contract
        self._set_flat()

    def _set_flat(self) -> None:
        """Tell gate and exits at which minute this trade date is flat."""
        usual = self.params.flat_at_m
        self.guard.flat_m = self.paper.flat_m = min(usual, self._early_flat_m.get(self._day, usual))

    def _walk_paper(self, bar: Bar, minute: int, out: list[Command]) -> None:
        """Step 3: fill the waiting entry, or end the open position, on this bar."""
        paper = self.paper
        position = paper.position
        if paper.pending is not None:
            signal = paper.pending[0]
            entered = paper.try_entry(paper.pending, bar, self._day)
            if isinstance(entered, str):
                stamp_s = bar.ts_ns // NS_PER_S
                out.append(RecordEvent(stamp_s, "ENTRY_CANCEL", reason=entered, trade=signal.pool_id))
                return
            self.guard.filled()
            position = entered
        elif position is not None:
            done = paper.clock_exit(position, bar, minute, self._day, self.guard.locked)
            if done is not None:
                self.guard.ordered(done.at_ns)
                self._book_paper(position, done, out)
                return
        if position is not None:
            done = paper.inside_exit(position, bar)
            if done is not None:
                self._book_paper(position, done, out)

    def _book_paper(self, position: Position, done: Exit, out: list[Command]) -> None:
        trade = position.closed(self.guard.trades + 1, done.at_ns, done.price, done.reason, self.params)
        self.paper.position = None
        self.guard.exited(trade.net_cents, done.at_ns)
        out.append(RecordTrade(trade))

    def _decide(self, reclaimed: list[Pool], bar: Bar, minute: int, out: list[Command]) -> None:
        """Step 6: at most one signal of the pools this bar reclaimed, through the gate (pj1 S4.4, S6)."""
        close_ns = bar.ts_ns + NS_PER_MIN
        stamp_s = close_ns // NS_PER_S
        if self.mode is Mode.MISSED:
            for pool in reclaimed:
                self.liquidity.die(pool, PoolEvent.MISSED, stamp_s, out)
            return
        order = ranked(reclaimed)
        for loser in order[1:]:
            self.liquidity.die(loser, PoolEvent.TIED, stamp_s, out)
        signal = self._planner.plan(order, bar.close_ticks, (bar.ts_ns, close_ns, self._day), bar.contract)
        around = Circumstances(minute + 1, self._real_ns, self.in_position, self._is_killed(), self._outside(bar))
        verdict = self.guard.judge(signal, around)
        if isinstance(verdict, Approved):
            advance(order[0], PoolEvent.CONSUMED)
            self.liquidity.book.bury("CONSUMED")
            self._approve(verdict, stamp_s, out)
            return
        advance(order[0], PoolEvent.REFUSED)
        self.liquidity.book.bury(verdict.reason)
        self.refusals[verdict.reason] = self.refusals.get(verdict.reason, 0) + 1
        out.append(reject_event(verdict, stamp_s))

    def _is_killed(self) -> bool:
        return self.kill.on or bool(self.desk.halted)

    def _outside(self, bar: Bar) -> str:
        """Return why the world forbids an entry now; only live decisions ask (the past had its own world)."""
        if self.mode is not Mode.LIVE:
            return ""
        return self.desk.doubt or self.outside or ("STALE" if bar.degraded else "")

    def _approve(self, verdict: Approved, stamp_s: int, out: list[Command]) -> None:
        signal = verdict.signal
        self.signals += 1
        self.guard.ordered(signal.signal_ns)
        out.append(signal_event(verdict, stamp_s))
        if self.rehearsing:
            self.paper.enter(signal, verdict.qty)
        else:
            self.desk.enter(Intent.of(verdict), out)

    def _mark(self, position: Position | None, price: int, at_ns: int, out: list[Command]) -> None:
        """Step 7: lock the day when realised plus open P&L reaches the daily loss (pj1 S6.7)."""
        self._mark_money(0 if position is None else position.open_cents(price, self.params), at_ns, out)

    def _mark_money(self, open_cents: int, at_ns: int, out: list[Command]) -> None:
        if self.guard.breaches(open_cents):
            self.guard.lock(LOCK_REASON)
            out.append(RecordEvent(at_ns // NS_PER_S, "LOCK", reason=LOCK_REASON))

    def _walk_desk(self, bar: Bar, out: list[Command]) -> None:
        """Let what is at the broker see the closed bar: excursions, daily loss, clock exits, reconciliation."""
        position = self.desk.position
        close_ns = bar.ts_ns + NS_PER_MIN
        order = self.desk.order
        if order is not None and order.signal.contract != bar.contract:
            self._pass_clock(close_ns, out)  # a roll: the new contract's prices say nothing about the old one's
            return
        if position is not None and bar.ts_ns >= position.entry_ns:
            position.see(bar.high_ticks, bar.low_ticks)
        self._mark_desk(bar.close_ticks, close_ns, out)

    def _mark_price(self, event: PriceMarked, out: list[Command]) -> None:
        # Excursions come from bars and fills alone, so that a replay without marks books the same trade.
        order = self.desk.order
        if order is not None and order.signal.contract != self._contract:
            self._pass_clock(event.ts_ns, out)
        elif self.desk.busy:
            self._mark_desk(event.price_ticks, event.ts_ns, out)

    def _mark_desk(self, price: int, at_ns: int, out: list[Command]) -> None:
        """Let the desk see a price: the open loss counts on every one of them (pj1 S6.7)."""
        desk = self.desk
        desk.last_price = price
        if desk.order is not None and desk.order.position is not None:
            self._mark_money(desk.order.open_cents(price, self.params), at_ns, out)
        self._pass_clock(at_ns, out)

    def _pass_clock(self, now_ns: int, out: list[Command]) -> None:
        if self.mode is Mode.MISSED and self.desk.leaving is not None:
            return  # minutes that went by unseen: no exit could be answered in them, so none of its tries is used up
        if self.desk.busy:
            self.desk.manage(now_ns, minute_of_day(now_ns), trade_ordinal(now_ns), self._contract or "", out)
        elif self.desk.watcher.now.sighting is not None:
            self.desk.look(now_ns, out, fresh=False)

    def _change_mode(self, mode: Mode) -> None:
        """Switch what reclaims do; a broker route never goes live on rehearsed money."""
        live_money = self.route is Route.BROKER and mode is Mode.LIVE
        if live_money and (self.paper.busy or (self.mode is Mode.REHEARSED and self.guard.fills)):
            raise EngineError(
                "a rehearsed position or day P&L cannot become real; warm a broker route up in mode MISSED"
            )
        self.mode = mode

    def snapshot(self) -> dict[str, object]:
        """Return the whole state as JSON values; ``restore`` on a new engine continues as if never stopped."""
        return {
            "form": SNAPSHOT_FORM,
            "params": self.params.to_dict(),
            "route": self.route.value,
            "mode": self.mode.value,
            "kill": [self.kill.on, self.kill.reason],
            "outside": self.outside,
            "counts": [self.bars, self.signals],
            "refusals": dict(self.refusals),
            "clock": [self.last_bar_ns, self._previous_close, self._real_ns, self._day, self._contract],
            "guard": self.guard.snapshot(),
            "liquidity": self.liquidity.snapshot(),
            "paper": self.paper.snapshot(),
            "desk": self.desk.snapshot(),
        }

    def restore(self, state: dict[str, object]) -> None:
        """Take the state of ``snapshot``; raises EngineError for another form, route or other parameters."""
        mine = (SNAPSHOT_FORM, self.params.to_dict(), self.route.value)
        if (state.get("form"), state.get("params"), state.get("route")) != mine:
            raise EngineError("the snapshot was made by another form, route or parameter set; rebuild from the tape")
        self.mode = Mode(cast("str", state["mode"]))
        self.kill = KillSwitch(*cast("tuple[bool, str]", state["kill"]))
        self.outside = cast("str", state["outside"])
        self.bars, self.signals = cast("list[int]", state["counts"])
        self.refusals = dict(cast("dict[str, int]", state["refusals"]))
        clock = cast("tuple[int, int | None, int | None, int, str | None]", state["clock"])
        self.last_bar_ns, self._previous_close, self._real_ns, self._day, self._contract = clock
        self._span = Span(0, 0, 0, 0, weekend=True)
        self._set_flat()
        self.guard.restore(cast("dict[str, object]", state["guard"]))
        self.liquidity.restore(cast("dict[str, object]", state["liquidity"]))
        self.paper.restore(cast("dict[str, object]", state["paper"]))
        self.desk.restore(cast("dict[str, object]", state["desk"]))
