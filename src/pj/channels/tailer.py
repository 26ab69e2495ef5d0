"""Follow files that grow: whole lines only, by byte offset, from one trade date's folder to the next.

A tail reads what is there and remembers an offset, nothing else; so it survives a file that is not there yet, a torn
last line (it stays unread until its newline comes, or until the restarted writer has cut it), its own restart (give
the offset back) and the turn of the day (the next folder's file exists and this one is read out).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final, Generic, Protocol, TypeVar

from pj.channels.files import open_read_fd
from pj.channels.rundir import RunDir

CHUNK_BYTES: Final = 1 << 20
T = TypeVar("T")


class TailBroken(RuntimeError):
    """Report a followed file that lost bytes which were already read: somebody cut or replaced it."""


class Tailer:
    """Follow one file; ``offset`` is just behind the last line that ``read`` returned."""

    def __init__(self, path: Path, offset: int = 0, *, chunk_bytes: int = CHUNK_BYTES) -> None:
        self.path = path
        self.offset = offset
        self._chunk = chunk_bytes
        self._fd = -1

    def read(self) -> bytes:
        """Return the next whole lines (at most about one chunk), empty when there is none; raise TailBroken."""
        if self._fd < 0 and not self._open():
            return b""
        size = os.fstat(self._fd).st_size
        if size < self.offset:
            raise TailBroken(
                f"{self.path} shrank to {size} bytes although {self.offset} were read; it was cut or replaced: "
                "restart this process to read the day anew"
            )
        want = self._chunk
        while size > self.offset:
            os.lseek(self._fd, self.offset, os.SEEK_SET)
            data = os.read(self._fd, want)
            end = data.rfind(b"\n") + 1
            if end:
                self.offset += end
                return data[:end]
            if len(data) < want:
                break
            want *= 2  # one line longer than the chunk
        return b""

    def close(self) -> None:
        """Close the file; ``read`` would open it again at the offset."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _open(self) -> bool:
        try:
            self._fd = open_read_fd(self.path)
        except FileNotFoundError:
            return False
        return True


class Parser(Protocol[T]):
    """Turn whole lines of one file into values."""

    def feed(self, lines: bytes) -> list[T]:
        """Return the values of ``lines`` in order."""
        ...


@dataclass(frozen=True, slots=True)
class Position:
    """Say how far a follower has read: the trade date's file and the byte behind its last line."""

    day: date
    offset: int


class DayFollower(Generic[T]):
    """Follow the file of one name through the trade dates of a run folder, parsed.

    ``file_name`` as in the day's folder (``live_market_data.csv``). ``parser(day, at_start)`` makes the parser of one
    file; ``at_start`` is False when reading begins behind the header. ``position`` may be stored and given back after a
    restart. A missing day is waited for; a later day that exists is gone to when this one is read out.
    """

    def __init__(
        self, run_dir: RunDir, file_name: str, parser: Callable[[date, bool], Parser[T]], start: Position | date
    ) -> None:
        self.run_dir = run_dir
        self.file_name = file_name
        self._make = parser
        first = start if isinstance(start, Position) else Position(start, 0)
        self._begin(first.day, first.offset)

    @property
    def position(self) -> Position:
        """Return where reading would go on."""
        return Position(self.day, self._tail.offset)

    @property
    def path(self) -> Path:
        """Return the file being followed (it may not exist yet)."""
        return self._tail.path

    def poll(self) -> list[T]:
        """Return what was appended since, at most about one chunk; empty when all is read. Raises TailBroken."""
        lines = self._tail.read()
        if not lines and (later := self._later_day()) is not None:
            lines = self._tail.read()  # its writer ended this file before it began the later one
            if not lines:
                self._tail.close()
                self._begin(later, 0)
                lines = self._tail.read()
        return self._parser.feed(lines) if lines else []

    def close(self) -> None:
        """Close the file."""
        self._tail.close()

    def _begin(self, day: date, offset: int) -> None:
        self.day = day
        self._tail = Tailer(self.run_dir.day(day).folder / self.file_name, offset)
        self._parser = self._make(day, offset == 0)

    def _later_day(self) -> date | None:
        for day in self.run_dir.days():
            if day > self.day and (self.run_dir.day(day).folder / self.file_name).exists():
                return day
        return None
