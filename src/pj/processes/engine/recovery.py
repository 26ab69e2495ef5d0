"""Start = recovery: bring the core to where it would be had it never stopped, sending nothing.

Earlier trading day, then the newest recorded day, compared line by line; then history the first time
a day is begun; the tape's remainder follows in the shell. See docs of ``recorded``.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from typing import Final

from live.commands import Command
from live.engine import Engine
from live.events import Mode
from live.market import Bar, Instrument
from live.trading_day import trade_date
from pj.channels.formats import PriceText
from pj.channels.journal import JournalLine
from pj.channels.rundir import RunDir
from pj.clock import Clock
from pj.processes.engine.book import DayBook
from pj.processes.engine.core import Core, Issue
from pj.processes.engine.recorded import (
    RecordedDay,
    RouteChanged,
    read_day,
    read_history,
    recorded_days,
    replay,
)

HISTORY_WAIT_S: Final = 30.0
CALL_EVERY: Final = 200


@dataclass(slots=True)
class Recovered:
    """Hold what a recovery found; ``taken`` are the bars the core has, for the bar builder."""

    core: Core
    fresh: bool
    taken: list[Bar]
    lines: list[JournalLine]
    faults: list[str] = field(default_factory=list)


class Recovery:
    """Rebuild the core from the run folder; ``breathe`` is called often, for the heartbeat of a long replay."""

    def __init__(self, run_dir: RunDir, instrument: Instrument, clock: Clock, engine: Engine, route: str) -> None:
        """Take the engine to be rebuilt, still empty."""
        self._run_dir = run_dir
        self._instrument = instrument
        self._clock = clock
        self._engine = engine
        self._route = route
        self._prices = PriceText(instrument)
        self._steps = 0

    def run(self, issue: Issue, breathe: Callable[[], None]) -> Recovered:
        """Replay what is recorded and return the core, whose book is open at the newest day.

        Raises RouteChanged when today was begun under another route or symbol, JournalDamaged, Locked.
        """
        today = trade_date(self._clock.now_ns())
        days = [read_day(self._run_dir, day, self._prices) for day in recorded_days(self._run_dir, today)]
        days = self._same_settings(days, today)
        taken: list[Bar] = []
        lines: list[JournalLine] = []
        faults: list[str] = []
        self._take_state(days)
        for day in days[:-1]:
            replay(self._engine, day, self._breathing(breathe, lambda _commands, _count: None))
            taken += day.bars_taken()
            lines += day.lines
        active = days[-1].paths if days else self._run_dir.day(today)
        book = DayBook(self._run_dir, active, self._instrument, self._clock)
        core = Core(self._engine, book, issue)
        if days:
            self._replay_active(days[-1], core, breathe)
            taken += days[-1].bars_taken()
            faults += days[-1].faults
        book.end_replay()
        faults += [book.mismatch] if book.mismatch else []
        lines += book.lines
        return Recovered(core, not (days and days[-1].warmed), taken, lines, faults)

    def _take_state(self, days: list[RecordedDay]) -> None:
        """Begin where the oldest day began: its pools, counters and position came from days that are not replayed.

        A state of other parameters, route or form is not taken: the days are then rebuilt from their bars alone, and
        the comparison of the newest one says what came out otherwise.
        """
        state = days[0].state if days else None
        mine = self._engine.snapshot()
        if state is not None and all(state.get(name) == mine[name] for name in ("form", "params", "route")):
            self._engine.restore(state)

    def _replay_active(self, day: RecordedDay, core: Core, breathe: Callable[[], None]) -> None:
        def sink(commands: list[Command], count: int) -> None:
            core.book.after_bar = count
            orders = core.book.record(commands, self._engine.mode)
            if orders:
                core.issue(orders)

        replay(self._engine, day, self._breathing(breathe, sink))

    def _breathing(
        self, breathe: Callable[[], None], sink: Callable[[list[Command], int], None]
    ) -> Callable[[list[Command], int], None]:
        def take(commands: list[Command], count: int) -> None:
            self._steps += 1
            if self._steps % CALL_EVERY == 0:
                breathe()
            sink(commands, count)

        return take

    def _same_settings(self, days: list[RecordedDay], today: date) -> list[RecordedDay]:
        """Drop earlier days of another route or symbol; raise RouteChanged when today itself is such a day."""
        mine = {"route": self._route, "symbol": self._instrument.symbol}
        kept: list[RecordedDay] = []
        for day in days:
            start = day.start
            other = next((name for name, value in mine.items() if start and start.get(name) != value), "")
            if other and day.paths.trade_date == today:
                raise RouteChanged(
                    f"{day.paths.folder} was begun with {other} {start.get(other)!r}, the settings say {mine[other]!r};"
                    " take another run_dir, or wait for the next trade date"
                )
            kept = [] if other else [*kept, day]
        return kept


def warm_up(core: Core, bars: list[Bar], mode: Mode, breathe: Callable[[], None]) -> None:
    """Journal and step bars of history.csv that the core has not seen, in ``mode``."""
    last_ns = core.engine.last_bar_ns
    fresh = [bar for bar in bars if bar.ts_ns > last_ns]
    told = {"bars": len(fresh), "first_ns": fresh[0].ts_ns if fresh else 0, "last_ns": fresh[-1].ts_ns if fresh else -1}
    core.set_mode(mode, history=told)
    for number, bar in enumerate(fresh):
        if number % CALL_EVERY == 0:
            breathe()
        core.rehearse_bar(bar)


def await_history(
    run_dir: RunDir, instrument: Instrument, day: date, breathe: Callable[[], bool], *, patient: bool
) -> list[Bar] | None:
    """Return the bars of the day's history.csv once it is there; None when the bridge gives none or we are to stop.

    Waits HISTORY_WAIT_S real seconds beside a tape; without one, as long as it takes when ``patient``.
    ``breathe`` waits a little and returns False to stop.
    """
    paths = run_dir.day(day)
    since: float | None = None if patient else time.monotonic()
    while not paths.history.exists():
        if not breathe():
            return None
        if since is None and paths.market.exists():
            since = time.monotonic()
        if since is not None and time.monotonic() - since > HISTORY_WAIT_S:
            return None
    return read_history(paths, PriceText(instrument))
