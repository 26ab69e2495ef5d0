"""Bring a run of the engine to the present: recorded days, today's history, the tape's remainder.

What comes out is ready to live on. Nothing is traded on the way: bars nobody was there for are
MISSED (on paper, the first time a day is begun, REHEARSED), and orders cut off by the end of the
last run are settled by what the journal knows of them.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Final

from live.engine import Engine, Route
from live.events import (
    Event,
    KillSwitched,
    Mode,
    OrderAcked,
    OrderRefused,
    OrdersReported,
    OrderUnknown,
    PositionReported,
    TruthChanged,
)
from live.market import NS_PER_MIN, NS_PER_S, Bar, Instrument
from live.trading_day import iso_utc, trade_date
from pj.brokers.dispatcher import Dispatcher
from pj.brokers.limits import SendLimits
from pj.channels.files import replace_atomic
from pj.channels.formats import PriceText
from pj.channels.logs import EventLog
from pj.channels.rundir import DayPaths, RunDir
from pj.channels.switches import DISARMED, entry_forbidden, halts
from pj.channels.tape import BadRow
from pj.clock import Clock
from pj.config import Settings
from pj.processes.engine.assumed import AssumedPosition
from pj.processes.engine.book import DayBook
from pj.processes.engine.broker_feed import BrokerFeed
from pj.processes.engine.core import Core
from pj.processes.engine.feed import TapeFeed
from pj.processes.engine.handed import HandedOver
from pj.processes.engine.manual import ManualPosition
from pj.processes.engine.outbox import OUTCOME_TYPES, Outbox
from pj.processes.engine.recorded import STATE, read_history
from pj.processes.engine.recovery import Recovered, Recovery, await_history, warm_up
from pj.processes.engine.sendings import possibly_sent

REPLAY_MISMATCH: Final = "REPLAY_MISMATCH"


@dataclass(frozen=True, slots=True)
class Context:
    """Hold what every part of the engine process needs."""

    settings: Settings
    run_dir: RunDir
    clock: Clock
    log: EventLog
    route: Route
    instance: str

    @property
    def instrument(self) -> Instrument:
        """Return the instrument that is traded."""
        return self.settings.instrument

    def quarantine(self, row: BadRow) -> None:
        """Keep a tape line that cannot be read, with its reason, in the log."""
        self.log.warning("BAD_ROW", file="live_market_data.csv", reason=row.reason, row=row.text[:500])

    @property
    def warm_mode(self) -> Mode:
        """Return how bars of history are lived through: paper rehearses them, money misses them."""
        return Mode.REHEARSED if self.route is Route.SIMULATED else Mode.MISSED


@dataclass(slots=True)
class Started:
    """Hold what the live loop works with; ``recovering`` forbids entries until one full fresh bar."""

    core: Core
    outbox: Outbox
    feed: TapeFeed
    broker: BrokerFeed | None
    assumed: AssumedPosition | None
    fault: str
    recovering: bool


class Startup:
    """Do the start once. ``breathe`` beats the stats file; ``wait`` sleeps a little and returns False to stop."""

    def __init__(
        self,
        context: Context,
        engine: Engine,
        dispatcher: Dispatcher | None,
        breathe: Callable[[], None],
        wait: Callable[[], bool],
        was_handed: Callable[[str], bool] | None = None,
    ) -> None:
        """Prepare; ``run`` works. ``was_handed`` is there on a route that hands over to the bridge."""
        self._context = context
        self._engine = engine
        self._breathe = breathe
        self._wait = wait
        # Longer than an entry may be old: what the bridge has not taken by then it takes no more.
        patience_s = context.settings.execution.max_signal_age_s + 1.0
        handed = HandedOver(context.clock, patience_s) if was_handed else None
        asked = was_handed or (lambda _key: False)
        self._outbox = Outbox(dispatcher, lambda: self._core.book, context.clock, handed, asked)
        self._core: Core
        self._history: list[Bar] = []
        self._stopped = False

    def run(self, limits: SendLimits) -> Started:
        """Return the run brought to the present (also when stopped on the way: the loop then ends at once).

        ``limits`` are told what was sent, or may have been, before this start.

        Raises RouteChanged, JournalDamaged, RecordDamaged, Locked, WriteFailed, FormatMismatch.
        """
        ctx = self._context
        recovery = Recovery(ctx.run_dir, ctx.instrument, ctx.clock, self._engine, ctx.settings.execution.route)
        found = recovery.run(self._outbox.issue, self._breathe)
        self._core = found.core
        note_start(found.core, ctx, found.faults)
        ctx.log.event("RECOVERED", bars=len(found.taken), lines=len(found.lines), faults=len(found.faults))
        day = found.core.book.day.trade_date
        feed = TapeFeed(ctx.run_dir, ctx.instrument, ctx.settings.engine.bar_grace_s, day, ctx.quarantine)
        check_kill(self._core, ctx)
        for at_ns, entry in possibly_sent(found.lines):
            limits.count(at_ns, entry=entry)
        broker, assumed = self._settle(found)
        self._outbox.resend()
        fresh_paper = found.fresh and ctx.route is Route.SIMULATED
        self._await_history(fresh=found.fresh)
        if found.fresh and not self._stopped:
            last_ns = found.taken[-1].ts_ns if found.taken else -1  # of the day before, where an end cut the turn short
            warm_up(self._core, self._history, ctx.warm_mode, self._breathe)
            found.taken += [bar for bar in self._history if bar.ts_ns > last_ns]
        feed.resume(found.taken, day)
        self._catch_up(feed, Mode.REHEARSED if fresh_paper else Mode.MISSED)
        fault = REPLAY_MISMATCH if found.faults else ""
        return Started(self._core, self._outbox, feed, broker, assumed, fault, recovering=not fresh_paper)

    def _settle(self, found: Recovered) -> tuple[BrokerFeed | None, AssumedPosition | None]:
        """Say what is known of orders cut off by the end of the last run; begin to follow the account."""
        ctx = self._context
        settled_now = self._outbox.go_live(found.lines)
        for event in settled_now:
            self._core.take(event)
        if ctx.route is Route.SIMULATED:
            return None, None
        source = ctx.settings.execution.position_source
        if source in {"none", "manual"}:
            manual = source == "manual"
            assumed = (
                ManualPosition(self._engine, ctx.run_dir.position, ctx.clock) if manual else AssumedPosition(ctx.clock)
            )
            # Lines of the day before as well: a doubt outlives the turn.
            assumed.restore(self._engine, found.lines, settled_now)
            return None, assumed
        broker = BrokerFeed(ctx.run_dir, ctx.instrument, ctx.clock, account_start(ctx.run_dir, self._core.book.day))
        seen = {line.data["exec_id"] for line in found.lines if line.type == "EXECUTION"}
        ours = {line.data["key"] for line in found.lines if line.type == "INTENT"}
        settled = {(line.data["key"], line.type) for line in found.lines if line.type in OUTCOME_TYPES}
        for account_event in broker.begin(ours, seen, settled):
            take_account(self._core, account_event, self._outbox)
        return broker, None

    def _await_history(self, *, fresh: bool) -> None:
        """Wait for today's history.csv when today is begun; an older day is continued with what there is."""
        ctx, book = self._context, self._core.book
        today = trade_date(ctx.clock.now_ns())
        if not fresh and book.day.trade_date == today:
            self._history = read_history(book.day, PriceText(ctx.instrument))
            return
        bars = await_history(ctx.run_dir, ctx.instrument, today, self._wait_or_stop, patient=fresh)
        if bars is None and not self._stopped:
            book.note("ALARM", {"code": "NO_HISTORY", "text": f"the bridge gave no history.csv for {today}"})
        self._history = bars or []

    def _wait_or_stop(self) -> bool:
        self._stopped = not self._wait()
        return not self._stopped

    def _catch_up(self, feed: TapeFeed, mode: Mode) -> None:
        """Take the tape's remainder in ``mode``, holes filled from history; journaled only if there is a bar in it."""
        more = not self._stopped
        gc.disable()  # a million rows make no cycles, and looking for them costs a tenth of the time
        try:
            while more:
                bars, more = feed.poll()
                for bar in bars:
                    self._catch_bar(bar, mode)
                self._breathe()
        finally:
            gc.enable()

    def _catch_bar(self, bar: Bar, mode: Mode) -> None:
        core = self._core
        if trade_date(bar.ts_ns) != core.book.day.trade_date:
            begin_day(core, self._context, bar)
        elif bar.ts_ns - self._engine.last_bar_ns > NS_PER_MIN:
            hole = [past for past in self._history if self._engine.last_bar_ns < past.ts_ns < bar.ts_ns]
            if hole:
                warm_up(core, hole, mode, self._breathe)
        core.set_mode(mode)
        core.book.add_bar(bar)
        core.take_bar(bar)


def begin_day(core: Core, context: Context, bar: Bar) -> int:
    """Turn to the book of the bar's trade date and take the history between; return how many bars that was."""
    old, mode = core.book, core.mode
    day = context.run_dir.day_at(bar.ts_ns)
    core.book = DayBook(context.run_dir, day, context.instrument, context.clock)
    core.book.notes.extend(old.notes)
    core.book.bars_first = old.bars_first
    core.book.end_replay()
    old.close()
    note_start(core, context, [])
    core.book.note(STATE, {"engine": core.engine.snapshot()})
    history = read_history(day, PriceText(context.instrument))
    between = [past for past in history if core.engine.last_bar_ns < past.ts_ns < bar.ts_ns]
    warm_up(core, between, context.warm_mode if between else mode, lambda: None)
    core.set_mode(mode)
    return len(between)


def note_start(core: Core, context: Context, faults: list[str]) -> None:
    """Journal under which settings the core works from here on, and what the replay could not explain."""
    settings = context.settings
    data = {
        "route": settings.execution.route,
        "symbol": settings.symbol,
        "profile": settings.profile,
        "pid": os.getpid(),
        "instance": context.instance,
        "params": core.engine.params.to_dict(),
        "limits": settings.profile_limits.chosen(),
    }
    core.book.note("START", data, durable=True)
    for fault in faults:
        core.book.note("ALARM", {"code": REPLAY_MISMATCH, "text": fault})
        context.log.error(REPLAY_MISMATCH, text=fault)


def account_start(run_dir: RunDir, active: DayPaths) -> date:
    """Return where reading the account begins: the day before, since a connection may be older than today's file."""
    earlier = [day for day in run_dir.days() if day < active.trade_date and run_dir.day(day).broker_events.exists()]
    return earlier[-1] if earlier else active.trade_date


def take_account(core: Core, event: Event, outbox: Outbox) -> None:
    """Hand the core what the account did; a report that only repeats what the core has seen is not journaled."""
    match event:
        case PositionReported() | OrdersReported() | TruthChanged():
            core.take_if_it_matters(event)
        case OrderAcked() | OrderRefused() | OrderUnknown():
            heard = outbox.hear(event)
            if heard is not None:
                core.take(heard)
        case _:
            core.take(event)


def check_kill(core: Core, context: Context) -> None:
    """Make the switch stand that the core wants thrown, then tell the core what the files say.

    A start that is not armed counts as thrown too, with a reason that begins with DISARMED. Raises WriteFailed when the
    switch cannot be written: an engine that cannot stop itself must not go on.
    """
    wanted = core.engine.kill_wanted
    if wanted and not context.run_dir.kill_switch.exists():
        moment = iso_utc(context.clock.now_ns() // NS_PER_S)
        replace_atomic(context.run_dir.kill_switch, f"{wanted} (by the engine, {moment})\n".encode(), durable=True)
    forbidden = entry_forbidden(context.run_dir)
    on, disarmed = bool(forbidden), forbidden == DISARMED
    if on != core.engine.killed or disarmed != core.engine.kill.disarmed:
        words = "; ".join(halts(context.run_dir)) if on else "released"
        reason = f"{DISARMED}: {words}" if disarmed and not words.startswith(DISARMED) else words
        core.take(KillSwitched(on, reason))
        context.log.event("KILL", on=on)
