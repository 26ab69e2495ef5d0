"""Bring every alarm of the engine's journal into ``alerts.jsonl``: once each, in order, whoever is killed meanwhile.

The engine writes an alarm only where it writes everything else, into its journal; the Sentinel reads on there and adds
an alert with the alarm's place (trade date, seq, hash). The places in ``alerts.jsonl`` are the memory: what stands
there is never told again, what does not will be. ``alarms.mark.json`` holds only the trade date at which reading has to
begin after a restart; without it that is the newest one.

The Sentinel keeps the others alive, so nothing here may hold it up: what did not grow costs one look at its size, a
look reads at most CHUNK_BYTES, no hash is computed (the engine does that, and ends with code 4), and a line that cannot
be read is passed over, the first of a day with an alert.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any, Final

from pj.channels.alarm_table import Severity
from pj.channels.alerts import Alert, AlertCode, raise_alerts, told_places
from pj.channels.appender import read_range
from pj.channels.files import Locked, read_replaced, replace_atomic
from pj.channels.jsonl import seal, unsealed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pj.channels.logs import EventLog
    from pj.channels.rundir import RunDir

CHUNK_BYTES: Final = 1 << 18
#: Real seconds between two looks for a later trade date, while there is none at all, and after a failed write.
DAYS_EVERY_S: Final = 5.0
FIRST_DAY_EVERY_S: Final = 1.0
RETRY_S: Final = 5.0
MOST_AT_ONCE: Final = 64
MOST_WAITING: Final = 1_000
HASH_CHARS: Final = 12
ENGINE: Final = "engine"
ALARM: Final = b'"type":"ALARM"'


@dataclass(slots=True)
class AlarmWatch:
    """Follow the journals of one run folder; ``step`` is called at each look of the Sentinel.

    ``say`` tells one alert to the people at the terminal. ``now_s`` is real monotonic time.
    """

    folder: RunDir
    log: EventLog
    say: Callable[[str], None]
    now_s: Callable[[], float] = time.monotonic
    _told: set[str] | None = None
    _day: date | None = None
    _offset: int = 0
    _size: int = 0
    _too_long: bool = False
    _waiting: dict[str, Alert] = field(default_factory=dict)
    _days_due_s: float = 0.0
    _write_due_s: float = 0.0
    _trouble: str = ""

    def step(self) -> None:
        """Take what was appended since; a trouble is a line in the log, once, and is tried again."""
        try:
            self._read()
            if self._waiting and self.now_s() >= self._write_due_s:
                self._write()
        except (OSError, Locked) as error:
            self._told = None  # what stands in the file now must be read again before anything more is written
            self._write_due_s = self.now_s() + RETRY_S
            if str(error) != self._trouble:
                self._trouble = str(error)
                self.log.warning("ALARMS_UNTOLD", waiting=len(self._waiting), error=str(error))
        else:
            if self._trouble and not self._waiting:
                self._trouble = ""
                self.log.event("ALARMS_TOLD")

    @property
    def mark(self) -> Path:
        """Return the file that names the trade date at which reading begins."""
        return self.folder.state_folder / "alarms.mark.json"

    def _read(self) -> None:
        if len(self._waiting) >= MOST_WAITING:
            return
        if self._day is None:
            self._find_first_day()
            if self._day is None:
                return
        if self._told is None:
            self._told = told_places(self.folder.alerts)
        if self._take_chunk(self._day):
            return
        if self.now_s() >= self._days_due_s:
            self._days_due_s = self.now_s() + DAYS_EVERY_S
            later = self._days(after=self._day)
            if later and not self._take_chunk(self._day):  # its writer ended this file before it began the later one
                self._begin(later[0])

    def _find_first_day(self) -> None:
        if self.now_s() < self._days_due_s:
            return
        self._days_due_s = self.now_s() + FIRST_DAY_EVERY_S
        days = self._days()
        marked = self._marked()
        kept = [day for day in days if marked is not None and day >= marked] or days[-1:]
        if kept:
            self._begin(kept[0])

    def _days(self, after: date = date.min) -> list[date]:
        return [day for day in self.folder.days() if day > after and self.folder.day(day).journal.exists()]

    def _marked(self) -> date | None:
        data = read_replaced(self.mark)
        try:
            return None if data is None else date.fromisoformat(str(unsealed(data)["day"]))
        except (ValueError, KeyError):
            return None

    def _begin(self, day: date) -> None:
        self._day, self._offset, self._size, self._too_long = day, 0, 0, False
        self._days_due_s = self.now_s() + DAYS_EVERY_S
        if day != self._marked():
            replace_atomic(self.mark, seal(json.dumps({"day": day.isoformat()}).encode()))

    def _take_chunk(self, day: date) -> bool:
        """Read at most one chunk of the day's journal; return whether there may be more."""
        path = self.folder.day(day).journal
        try:
            size = path.stat().st_size
        except FileNotFoundError:
            return False
        if size == self._size:
            return False
        if size < self._offset:  # cut or replaced by hand: what was told is known by its place
            self._offset = 0
        data = read_range(path, self._offset, min(size, self._offset + CHUNK_BYTES))
        end = data.rfind(b"\n") + 1
        at, more = self._offset, self._offset + len(data) < size
        if end:
            skip = data.index(b"\n") + 1 if self._too_long else 0
            self._too_long = False
            self._take(day, data[skip:end], at + skip)
            self._offset += end
        elif len(data) == CHUNK_BYTES:  # no line of ours is that long: the file is damaged
            self._too_long = True
            self._offset += len(data)
        self._size = self._size if more else size
        return more

    def _take(self, day: date, lines: bytes, at: int) -> None:
        if ALARM not in lines:
            return
        told = self._told if self._told is not None else set()
        for alert in _alarms(day, lines, at):
            if alert.place not in told and alert.place not in self._waiting:
                self._waiting[alert.place] = alert
                self.log.warning("ALERT", code=alert.code, name=alert.name, text=alert.text, place=alert.place)
                if alert.severity is not Severity.INFO:
                    self.say(f"ALERT {alert.code}: {alert.text}")

    def _write(self) -> None:
        if self._told is None:
            self._told = told_places(self.folder.alerts)
        for place in self._told & self._waiting.keys():  # a write that failed had brought it there all the same
            del self._waiting[place]
        now = list(self._waiting.values())[:MOST_AT_ONCE]
        if now:
            raise_alerts(self.folder.alerts, now, lock_wait_s=0.0)
        for alert in now:
            self._told.add(alert.place)
            del self._waiting[alert.place]


def _alarms(day: date, lines: bytes, at: int) -> Iterator[Alert]:
    """Return the alarms in whole lines of a journal, the first of which begins at byte ``at``."""
    for line in lines.split(b"\n")[:-1]:
        if ALARM in line:
            yield _alert(day, line) or _unreadable(day, at)
        at += len(line) + 1


def _alert(day: date, line: bytes) -> Alert | None:
    try:
        row: dict[str, Any] = json.loads(line)
        if row["type"] != "ALARM":
            return None
        place = f"{day}/{row['seq']}/{row['hash'][:HASH_CHARS]}"
        return Alert(int(row["ts_ns"]), str(row["data"]["code"]), ENGINE, str(row["data"]["text"]), place)
    except (ValueError, KeyError, TypeError):
        return None


def _unreadable(day: date, at: int) -> Alert:
    text = f"an alarm at byte {at} of the journal of {day} cannot be read: do not trade on it; pj audit verify"
    return Alert(0, AlertCode.UNREADABLE.value, ENGINE, text, f"{day}/@")
