"""Run the engine: recover, catch up, then live from row to row until asked to stop.

One thread does everything that decides. Each turn: the clock, all new rows, the bars they close, the
account, the answers of the broker, the files of state. It sleeps until a file changes, an answer
comes, or something is due.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Final

from live.broker_watch import PATIENCE_NS, DeskRules
from live.engine import Engine
from live.events import ClockPassed, EntriesJudged, Event, Mode, PositionReported
from live.market import NS_PER_MIN, Bar
from live.params import Params
from live.trading_day import trade_date
from pj.brokers.dispatcher import FENCED, Dispatcher
from pj.brokers.limits import SendLimits
from pj.channels.anchors import GAUGE, hold_to, stats_anchor
from pj.channels.fence import Fence, FenceLost
from pj.channels.stats import StatsWriter
from pj.channels.switches import entry_forbidden
from pj.channels.wake import POLL_S, Notifier
from pj.clock import Clock
from pj.config.models import Execution
from pj.processes.engine.feed_alarms import FeedAlarms
from pj.processes.engine.gauges import core_gauges
from pj.processes.engine.judge import EntryJudge
from pj.processes.engine.latency import Latency
from pj.processes.engine.marks import MarkFilter
from pj.processes.engine.startup import Context, Started, Startup, begin_day, check_kill, take_account

STOP_WAIT_S: Final = 3.0
WARM_EVERY_S: Final = 20.0
WARM_CLEAR_S: Final = 3.0
KEEP_EVERY_S: Final = 0.5
UNVERIFIED: Final = "UNVERIFIED"


class Shell:
    """Hold everything of one run of the engine process; ``run`` returns when ``request_stop`` was called."""

    def __init__(self, context: Context, params: Params, stats: StatsWriter) -> None:
        """Prepare; nothing is read or written yet. Raises ParamsError when parameters and instrument disagree."""
        self.context, self.clock, self.stats = context, context.clock, stats
        self.fence: Fence
        self.notifier = Notifier()
        self.wake = self.notifier.wake({"live_market_data.csv", "broker_events.csv", "history.csv"})
        self.judge = EntryJudge(context.settings, context.run_dir, context.clock)
        self.judge.windows = params.windows
        early = self.judge.early_flats()
        execution = context.settings.execution
        rules = desk_rules(execution, context.clock)
        self.engine = Engine(params, context.instrument, context.route, rules, early)
        self.limits = SendLimits(execution.requests_per_min, execution.requests_per_hour, params.max_orders_hour)
        self.dispatcher: Dispatcher | None = None
        self.was_handed: Callable[[str], bool] | None = None
        self.run_parts: Started | None = None
        self.phase = "STARTING"
        self._stop = threading.Event()
        self._marks = MarkFilter()
        self._alarms = FeedAlarms()
        self._edge_to_bar = Latency()
        self._live = False
        self._live_since_ns = 0
        self._warmed_at = self._kept_at = 0.0
        self._anchor, self._anchored_min = stats_anchor(context.run_dir), 0

    def request_stop(self) -> None:
        """Ask ``run`` to end, within POLL_S; safe in a signal handler (it wakes nobody, takes no shared lock)."""
        self._stop.set()

    def run(self, fence: Fence, dispatcher: Dispatcher | None) -> None:
        """Recover and live until stopped, under the fence that ``dispatcher`` asks as well.

        Raises FenceLost within a poll after another instance was granted the fence, and RouteChanged, JournalDamaged,
        RecordDamaged, Locked, WriteFailed, FormatMismatch, TailBroken.
        """
        self.fence, self.dispatcher = fence, dispatcher
        try:
            self._beat("RECOVERING")
            hold_to(self.context.run_dir, self._anchor)
            was_handed = self.was_handed
            startup = Startup(self.context, self.engine, dispatcher, self._breathe, self._wait_a_little, was_handed)
            parts = startup.run(self.limits)
            self.run_parts = parts
            self.judge.recovering = parts.recovering
            while not self._stop.is_set():
                self._turn(parts)
                self.wake.wait(min(POLL_S, self.stats.due_in_s()))
            self._stop_orders(parts)
            parts.core.book.note("STOP", {"reason": "asked to stop"}, durable=True)
            parts.core.book.anchor()
            self._beat("STOPPING")
        except FenceLost as lost:
            self._note_lost(lost)
            raise
        finally:
            self._close()

    # -- a turn of the loop --------------------------------------------------------------------------

    def _turn(self, parts: Started) -> None:
        self.fence.check()
        self._take_rows(parts)
        self._take_account(parts)
        self._take_answers(parts)
        check_kill(parts.core, self.context)
        self._enter("RUNNING" if parts.feed.last_row_ns else "WAITING")
        if time.monotonic() - self._kept_at > KEEP_EVERY_S:
            self._kept_at = time.monotonic()
            self.notifier.watch(self.context.run_dir.day_at(self.clock.now_ns()).folder)
            self._keep_warm()
            self._keep_anchor(parts)
            self._alarms.check(parts.core.book, parts.feed)
        self._breathe()

    def _take_rows(self, parts: Started) -> None:
        """Read until nothing is left, then let the grace of a silent minute run."""
        feed = parts.feed
        position = self.engine.desk.position
        feed.marks_of = "" if position is None else position.signal.contract
        more = True
        while more:
            bars, more = feed.poll(self.clock)
            self._take_bars(parts, bars)
            self._take_marks(parts)
            self._breathe()
        if not self._live:
            self._go_live(parts)
        self._take_bars(parts, feed.run_grace(self.clock.now_ns(), time.monotonic_ns()))

    def _go_live(self, parts: Started) -> None:
        self._live = True
        self._live_since_ns = self.clock.now_ns()
        parts.core.book.bars_first = True
        parts.core.set_mode(Mode.LIVE)
        self.context.log.event("LIVE", bars=parts.core.book.after_bar, recovering=self.judge.recovering)

    def _take_bars(self, parts: Started, bars: list[Bar]) -> None:
        """Write each bar down, judge the world for it, and let the core decide."""
        for bar in bars:
            if self._live:
                since_edge_ns = self.clock.now_ns() - bar.ts_ns - NS_PER_MIN
                self._edge_to_bar.add(since_edge_ns / self.clock.speed / 1e6)
            if trade_date(bar.ts_ns) != parts.core.book.day.trade_date:
                filled = begin_day(parts.core, self.context, bar)
                self.context.log.event("DAY", date=parts.core.book.day.trade_date, filled=filled)
            parts.core.book.add_bar(bar)
            if self._live and bar.ts_ns >= self._live_since_ns:
                self.judge.recovering = False
            self.judge.contract = bar.contract
            self._judge(parts)
            parts.core.take_bar(bar)

    def _judge(self, parts: Started) -> None:
        self.judge.refresh()
        self.judge.last_tick_ns = parts.feed.last_tick_ns
        self.judge.doubt = doubt_of(parts)
        reason = self.judge.reason(self.clock.now_ns())
        if reason != self.engine.outside:
            parts.core.take(EntriesJudged(reason))

    # -- account and orders --------------------------------------------------------------------------

    def _take_marks(self, parts: Started) -> None:
        if parts.feed.marks:
            for mark in self._marks.pick(parts.feed.marks):
                parts.core.take(mark)
            parts.feed.marks.clear()

    def _take_account(self, parts: Started) -> None:
        was_open = self.engine.desk.position is not None
        for event in self._account_events(parts):
            take_account(parts.core, event, parts.outbox)
        if self.engine.desk.busy:
            parts.core.take_if_it_matters(ClockPassed(self.clock.now_ns()))
        if not was_open:
            self._marks.reset()  # the next mark may belong to a position that has just opened

    def _account_events(self, parts: Started) -> list[Event]:
        """Return what the position source says now: the broker's rows and whether its bridge beats, or receipts."""
        if parts.broker is not None:
            self.judge.refresh()
            return [
                *parts.broker.poll(),
                *parts.broker.heartbeat(alive=self.judge.bridge_lives),
                *parts.broker.repeat(),
            ]
        again = _stated(parts)
        return [] if again is None else [again]

    def _take_answers(self, parts: Started) -> None:
        for event in parts.outbox.collect():
            if parts.assumed is not None:
                parts.assumed.note(event, self.engine)
            parts.core.take(event)
        exits = parts.assumed.due_exits() if parts.assumed is not None else []
        if exits:
            parts.outbox.issue([*exits])

    def refuses_entry(self) -> str:
        """Return what forbids an entry at the moment of sending; called by the sender's thread."""
        if entry_forbidden(self.context.run_dir):
            return "KILL"
        return self.judge.calendar_refusal(self.clock.now_ns())

    def price_of(self, contract: str) -> int | None:
        """Return the contract's last traded price in ticks, None when none is known; called by the sender's thread."""
        parts = self.run_parts
        return None if parts is None else parts.feed.price_of(contract)

    def _keep_warm(self) -> None:
        """Keep the broker's connection open, but never be busy with it around a minute's edge."""
        if self.dispatcher is None or time.monotonic() - self._warmed_at < WARM_EVERY_S:
            return
        now_ns = self.clock.now_ns()
        until_edge_s = self.clock.real_s_until((now_ns // NS_PER_MIN + 1) * NS_PER_MIN)
        if until_edge_s > WARM_CLEAR_S or self.clock.speed > 1:
            self._warmed_at = time.monotonic()
            self.dispatcher.warm()

    def _keep_anchor(self, parts: Started) -> None:
        """Anchor the journal once a minute of the run, here and not at the bar: its sync must delay no decision."""
        minute = self.clock.now_ns() // NS_PER_MIN
        if minute != self._anchored_min:
            self._anchored_min = minute
            parts.core.book.anchor()

    def _stop_orders(self, parts: Started) -> None:
        """Let the sending in flight end and journal it; what has no answer is UNKNOWN at the next start."""
        if self.dispatcher is not None:
            self.dispatcher.close(STOP_WAIT_S)
            self._take_answers(parts)

    def _note_lost(self, lost: FenceLost) -> None:
        """Journal what the sender still said and why we end; the journal's lock is ours as long as we live.

        The answers are written and not taken: nothing may be decided any more. The successor's replay takes them.
        """
        parts = self.run_parts
        if parts is None:
            return  # nothing is followed yet and nothing was sent
        if self.dispatcher is not None:
            self.dispatcher.close(STOP_WAIT_S)
        for event in parts.outbox.collect():
            parts.core.book.note_input(event)
        parts.core.book.note("ALARM", {"code": FENCED, "text": str(lost)}, durable=True)

    # -- saying how it goes --------------------------------------------------------------------------

    def _enter(self, phase: str) -> None:
        """Say a new phase at once: who waits for RUNNING after a crash need not wait for the next due beat."""
        if phase != self.phase:
            self._beat(phase)

    def _breathe(self) -> None:
        if self.stats.due():
            self.fence.check()  # also on the way to the present, which can take long
            self._beat(self.phase)

    def _wait_a_little(self) -> bool:
        self.notifier.watch(self.context.run_dir.day_at(self.clock.now_ns()).folder)
        self.phase = "WAITING"
        self._breathe()
        self.wake.wait(min(POLL_S, self.stats.due_in_s()))
        self.phase = "RECOVERING"
        return not self._stop.is_set()

    def _beat(self, phase: str) -> None:
        self.phase = phase
        now_ns = self.clock.now_ns()
        gauges: dict[str, Any] = {"run_ns": now_ns, "route": self.context.settings.execution.route}
        if self.run_parts is not None:
            self._anchor = self.run_parts.core.book.synced or self._anchor
        if self._anchor is not None:
            gauges[GAUGE] = self._anchor.to_gauge()
        if self.run_parts is not None:
            gauges |= self._gauges(self.run_parts, now_ns)
        self.stats.beat(phase, **gauges)

    def _gauges(self, parts: Started, now_ns: int) -> dict[str, Any]:
        book, feed, judge = parts.core.book, parts.feed, self.judge
        judge.refresh()
        judge.last_tick_ns, judge.doubt = feed.last_tick_ns, doubt_of(parts)
        lag_ns = now_ns - feed.last_row_ns if feed.last_row_ns else 0
        return {
            **core_gauges(self.engine, self.context.instrument, feed.last_price, now_ns),
            "bars": book.after_bar,
            "last_bar_ts_ns": max(0, self.engine.last_bar_ns),
            "entries_blocked": judge.reason(now_ns) or judge.calendar_refusal(now_ns) or self.engine.desk.doubt,
            "calendar": judge.calendar_trouble,
            "account_position": parts.broker.position if parts.broker is not None else None,
            "position_stated": parts.assumed.gauge(now_ns) if parts.assumed is not None else None,
            "orders_waiting": parts.outbox.waiting,
            "requests": self.limits.gauges(now_ns),
            "edge_to_bar_ms": self._edge_to_bar.gauge(),
            "edge_to_order_ms": parts.outbox.edge_to_order.gauge(),
            "journal_seq": book.journal.count,
            "journal_head": book.journal.head,
            "late_ticks": feed.late,
            "bad_rows": feed.bad_rows + (parts.broker.bad_rows if parts.broker is not None else 0),
            "future_ticks": feed.builder.future,
            "tape_lag_ms": round(lag_ns / self.clock.speed / 1e6, 1),
            "last_events": list(book.notes),
        }

    def _close(self) -> None:
        if self.dispatcher is not None:
            self.dispatcher.close(0)
        self.wake.close()
        self.notifier.close()
        parts = self.run_parts
        if parts is not None:
            parts.feed.close()
            parts.core.book.close()
            if parts.broker is not None:
                parts.broker.close()


def desk_rules(execution: Execution, clock: Clock) -> DeskRules:
    """Return what the configured route can do: only through the bridge can exits be placed, and are keys told back."""
    ibkr = execution.route == "ibkr"
    patience_ns = int(PATIENCE_NS * clock.speed)
    return DeskRules(patience_ns, places_exits=ibkr, tells_refs=ibkr, flatten_unknown=execution.flatten_unknown)


def doubt_of(parts: Started) -> str:
    """Return why the account or the replay forbids entries, empty when they do not."""
    if parts.fault:
        return parts.fault
    if parts.broker is not None:
        return "" if parts.broker.known else UNVERIFIED
    return UNVERIFIED if parts.assumed is not None and parts.assumed.unverified else ""


def _stated(parts: Started) -> PositionReported | None:
    """Journal what a human stated since, and return the position to be reported now, if any."""
    if parts.assumed is None:
        return None
    parts.assumed.look()
    for said in parts.assumed.news():
        parts.core.book.note("STATED", said.to_dict(), durable=True)
    return parts.assumed.repeat()
