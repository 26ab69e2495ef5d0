"""Read the run folder's files as one endless numbered sequence of sheet rows per tab.

Row i of a tab is always the same line of the same file, whoever reads it and how often: that is what makes a
positional write idempotent. Nothing is kept in memory but one chunk; the files are the buffer.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final

from pj.channels.appender import read_range
from pj.channels.files import open_shared
from pj.channels.rundir import RunDir
from pj.sheets.rows import Row, RowRefused, Tab

CHUNK_BYTES: Final = 1 << 19
MAX_ROWS: Final = 10_000
MAX_CHUNKS: Final = 8


class SourceDamaged(Exception):
    """Report a followed file that lost bytes or begins with another header."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """Say where reading goes on: the trade date's file, the byte in it, and the number of rows before."""

    day: date | None = None
    offset: int = 0
    row: int = 0

    @property
    def place(self) -> tuple[date, int]:
        """Return the position in the files alone, in reading order."""
        return self.day or date.min, self.offset


@dataclass(frozen=True, slots=True)
class Chunk:
    """Hold consecutive rows and the cursors around them."""

    before: Cursor
    after: Cursor
    rows: tuple[Row, ...]

    def joined(self, later: Chunk) -> Chunk:
        """Return this chunk and the one that follows it as one."""
        return Chunk(self.before, later.after, self.rows + later.rows)


class RowStream:
    """Give the rows of one tab from any cursor on; ``on_bad(day, line, reason)`` is told of refused lines."""

    def __init__(self, run_dir: RunDir, tab: Tab, on_bad: Callable[[date, str, str], None]) -> None:
        self.run_dir = run_dir
        self.tab = tab
        self._on_bad = on_bad

    def read(self, cursor: Cursor, stop: Cursor | None = None, max_rows: int = MAX_ROWS) -> Chunk | None:
        """Return the next rows after ``cursor`` and before ``stop``; None when there is nothing new to pass.

        A chunk without rows still moves the cursor on (heartbeats, quotes, the turn of the day).
        Raises SourceDamaged.
        """
        day = cursor.day or self._first_day()
        if day is None:
            return None
        start = cursor.offset if cursor.day else 0
        data = self._bytes(day, start, stop)
        at = Cursor(day, start, cursor.row)
        if not data:
            return self._turn(at, stop)
        return self._chunk(at, day, start, data, max_rows)

    def gather(self, cursor: Cursor, stop: Cursor | None = None, max_rows: int = MAX_ROWS) -> Chunk | None:
        """Return up to ``max_rows`` next rows of several chunks (at most MAX_CHUNKS); None when nothing is new."""
        whole: Chunk | None = None
        for _ in range(MAX_CHUNKS):
            room = max_rows - (len(whole.rows) if whole else 0)
            part = self.read(whole.after if whole else cursor, stop, room) if room else None
            if part is None:
                break
            whole = part if whole is None else whole.joined(part)
        return whole

    def exactly(self, before: Cursor, after: Cursor) -> tuple[Row, ...]:
        """Return the rows between two cursors as they were read before; raises SourceDamaged for another number."""
        rows: list[Row] = []
        at = before
        while at.row < after.row:
            chunk = self.read(at, after, after.row - at.row)
            if chunk is None:
                break
            rows.extend(chunk.rows)
            at = chunk.after
        if len(rows) != after.row - before.row:
            path = self._path(after.day) if after.day else self.run_dir.root
            raise SourceDamaged(
                f"{path}: {after.row - before.row} rows were read once, now {len(rows)}; it was changed"
            )
        return tuple(rows)

    def count_on(self, cursor: Cursor) -> Cursor:
        """Return the cursor moved on by one chunk, its rows counted but not read; the same when nothing is new."""
        day = cursor.day or self._first_day()
        if day is None:
            return cursor
        start = cursor.offset if cursor.day else 0
        data = self._bytes(day, start, None)
        if data:
            return Cursor(day, start + len(data), cursor.row + self.tab.count(data, start == 0))
        turn = self._turn(Cursor(day, start, cursor.row), None)
        return cursor if turn is None else turn.after

    def _chunk(self, cursor: Cursor, day: date, start: int, data: bytes, max_rows: int) -> Chunk:
        rows: list[Row] = []
        end = 0
        try:
            for row, behind in self.tab.parse(day, data, start == 0, lambda line, why: self._on_bad(day, line, why)):
                if len(rows) == max_rows:
                    return Chunk(cursor, Cursor(day, start + end, cursor.row + len(rows)), tuple(rows))
                rows.append(row)
                end = behind
        except RowRefused as error:
            raise SourceDamaged(f"{self._path(day)}: {error}; move the file away and start again") from error
        return Chunk(cursor, Cursor(day, start + len(data), cursor.row + len(rows)), tuple(rows))

    def _path(self, day: date) -> Path:
        return self.run_dir.day(day).folder / self.tab.file_name

    def _bytes(self, day: date, start: int, stop: Cursor | None) -> bytes:
        """Return whole lines from ``start`` on, at most about one chunk and never beyond ``stop``."""
        path = self._path(day)
        try:
            with open_shared(path) as file:
                size = file.seek(0, 2)
        except FileNotFoundError:
            return b""
        if size < start:
            raise SourceDamaged(
                f"{path} shrank to {size} bytes although {start} were read; it was cut or replaced;"
                " remove state/sheets.json to compare the sheet with the files anew"
            )
        end = size if stop is None or stop.day is None or stop.day != day else min(size, stop.offset)
        want = CHUNK_BYTES
        while start < end:
            data = read_range(path, start, min(end, start + want))
            whole = data.rfind(b"\n") + 1
            if whole:
                return data[:whole]
            if len(data) < want:
                break
            want *= 2  # one line longer than the chunk
        return b""

    def _turn(self, cursor: Cursor, stop: Cursor | None) -> Chunk | None:
        """Return the empty step to the next trade date's file, if there is one and this one is read out."""
        if stop is not None and stop.day == cursor.day:
            return None
        later = self._day_after(cursor.day)
        if later is None or cursor.day is None or self._bytes(cursor.day, cursor.offset, stop):
            return None  # rows written just before the turn come first, on the next call
        return Chunk(cursor, Cursor(later, 0, cursor.row), ())

    def days(self) -> list[date]:
        """Return the trade dates that have this tab's file, oldest first."""
        return [day for day in self.run_dir.days() if self._path(day).exists()]

    def _first_day(self) -> date | None:
        return next(iter(self.days()), None)

    def _day_after(self, day: date | None) -> date | None:
        days = self.days()
        at = bisect_right(days, day) if day else 0
        return days[at] if at < len(days) else None
