"""Read what earlier runs recorded: days with their bars, journal and history, and step a day again.

Replay is the only way back: bars in order, and between them the journaled inputs, each at the bar
count its line names. A MODE line with ``history`` says which bars of history.csv were taken there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Final

from live.commands import Command
from live.engine import Engine
from live.events import BarClosed, Event
from live.market import Bar
from live.trading_day import is_weekend
from pj.channels.anchors import first_changed
from pj.channels.csvlog import read_rows
from pj.channels.formats import BAR_COLUMNS, HISTORY_COLUMNS, PriceText, parse_bar
from pj.channels.journal import JournalLine, read_journal
from pj.channels.rundir import DayPaths, RunDir
from pj.processes.engine.rows import input_event

MAX_DAYS_BACK: Final = 7
STATE: Final = "STATE"
"""Line type of the core's whole state at the begin of a day, from which a replay of that day goes out."""
Sink = Callable[[list[Command], int], None]


class RecordDamaged(ValueError):
    """Report a row of bars.csv or history.csv that cannot be read: nobody may trade on such a record."""


class RouteChanged(ValueError):
    """Report a run folder whose day was begun under other settings; it cannot be continued under these."""


@dataclass(slots=True)
class RecordedDay:
    """Hold one trade date as recorded."""

    paths: DayPaths
    bars: list[Bar]
    lines: list[JournalLine]
    history: list[Bar]
    faults: list[str] = field(default_factory=list)

    @property
    def start(self) -> dict[str, Any]:
        """Return the data of the day's first START line, empty when there is none."""
        return next((dict(line.data) for line in self.lines if line.type == "START"), {})

    @property
    def state(self) -> dict[str, Any] | None:
        """Return the core's snapshot at the begin of the day; None on the first day ever, or in older journals."""
        return next((dict(line.data["engine"]) for line in self.lines if line.type == STATE), None)

    @property
    def warmed(self) -> bool:
        """Return whether history was already taken on this day."""
        return any(line.type == "MODE" and "history" in line.data for line in self.lines)

    def events(self) -> Iterator[tuple[int, Event]]:
        """Yield every event the core took, in order, with the number of own bars taken up to it."""
        waiting = [line for line in self.lines if input_event(line.type, line.data) is not None]
        at = 0
        for count in range(len(self.bars) + 1):
            if count:
                yield count, BarClosed(self.bars[count - 1])
            while at < len(waiting) and int(waiting[at].data["after_bar"]) <= count:
                yield from self._input(count, waiting[at])
                at += 1
        for line in waiting[at:]:
            self.faults.append(f"journal line {line.seq} follows bar {line.data['after_bar']}, bars.csv ends before it")
            yield from self._input(len(self.bars), line)

    def _input(self, count: int, line: JournalLine) -> Iterator[tuple[int, Event]]:
        event = input_event(line.type, line.data)
        if event is not None:
            yield count, event
        if "history" in line.data:
            told = line.data["history"]
            bars = [bar for bar in self.history if told["first_ns"] <= bar.ts_ns <= told["last_ns"]]
            if len(bars) != told["bars"]:
                self.faults.append(f"history.csv has {len(bars)} of the {told['bars']} bars of journal line {line.seq}")
            for bar in bars:
                yield count, BarClosed(bar)

    def bars_taken(self) -> list[Bar]:
        """Return the bars the core took on this day, history included, in order."""
        return [event.bar for _count, event in self.events() if isinstance(event, BarClosed)]


def read_day(run_dir: RunDir, day: date, prices: PriceText) -> RecordedDay:
    """Return one day; raise JournalDamaged, RecordDamaged or FormatMismatch when it cannot be trusted."""
    paths = run_dir.day(day)
    lines = read_journal(paths.journal)
    changed = first_changed(paths.bars, lines)
    if changed:
        raise RecordDamaged(f"{changed}; restore the file or move the run folder away")
    return RecordedDay(paths, _bars(paths.bars, BAR_COLUMNS, prices), lines, read_history(paths, prices))


def read_history(paths: DayPaths, prices: PriceText) -> list[Bar]:
    """Return the bars of history.csv, none when it is not there; raise RecordDamaged naming the row."""
    return _bars(paths.history, HISTORY_COLUMNS, prices)


def _bars(path: Path, columns: Sequence[str], prices: PriceText) -> list[Bar]:
    def refuse(text: str, reason: str) -> None:
        raise RecordDamaged(f"{path}: row {text[:80]!r} has {reason}; restore the file or move the run folder away")

    bars = []
    for number, row in enumerate(read_rows(path, columns, refuse), 1):
        try:
            bars.append(parse_bar(row, prices))
        except ValueError as error:
            raise RecordDamaged(
                f"{path}, row {number}: {error}; restore the file or move the run folder away"
            ) from error
    return bars


def recorded_days(run_dir: RunDir, today: date) -> list[date]:
    """Return the days to replay: the newest with a journal up to ``today``, and back to the trading day before it."""
    near = [day for day in run_dir.days() if 0 <= (today - day).days <= MAX_DAYS_BACK]
    taken: list[date] = []
    for day in reversed([day for day in near if run_dir.day(day).journal.exists()]):
        taken.append(day)
        if len(taken) > 1 and not is_weekend(day.toordinal()):
            break
    return taken[::-1]


def replay(engine: Engine, day: RecordedDay, sink: Sink) -> None:
    """Step ``engine`` through a recorded day; ``sink`` takes the commands with the bar count they follow."""
    for count, event in day.events():
        sink(engine.step(event), count)
