"""Keep one log file: whole lines, rotated by size and at the turn of the trade date, old files removed.

``engine.log`` is the file of today. When it has grown too large, or the first line of another trade date (18:00 ET,
pj1 S1.2) comes, it is renamed to ``engine.2026-11-20.001.log``: one rename, never a chain of them, so that a reader who
holds an old file keeps it, and a night from the open to the close stands in the files of one date.

A line is one write to the end of the file: no reader sees half of one, and none is lost when a rename is forbidden
(Windows, while a reader holds the file): the file then simply grows until the rename succeeds.
"""

from __future__ import annotations

import os
import re
import time
from typing import TYPE_CHECKING, Final

from live.market import NS_PER_S
from live.trading_day import trade_date
from pj.channels.files import open_append_fd, open_shared, write_all

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date
    from pathlib import Path

MAX_BYTES: Final = 10_000_000
KEEP: Final = 20
KEEP_DAYS: Final = 30
#: After a rename that was refused the next one is tried when the file has grown by this much.
RETRY_BYTES: Final = 65_536
_DAY_S: Final = 86_400
_STAMP_BYTES: Final = 20


class LogFile:
    """Append lines to ``path``; ``now_ns`` tells real time (UTC ns). Raises WriteFailed, OSError."""

    def __init__(
        self,
        path: Path,
        *,
        max_bytes: int = MAX_BYTES,
        keep: int = KEEP,
        keep_days: int = KEEP_DAYS,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.path = path
        self._max_bytes = max_bytes
        self._keep = keep
        self._keep_days = keep_days
        self._now_ns = now_ns
        self._fd = -1
        self._size = 0
        self._try_from = 0
        self._torn = False
        path.parent.mkdir(parents=True, exist_ok=True)
        self._day = _day_of(path) or trade_date(now_ns())
        self._open()
        self._remove_old()

    def write(self, line: str) -> None:
        """Append one line, given without its newline, having rotated first if need be."""
        data = line.encode("utf-8", "backslashreplace") + b"\n"
        today = trade_date(self._now_ns())
        full = self._size + len(data) > self._max_bytes
        if self._size and (full or today > self._day) and self._size >= self._try_from:
            self._rotate()
        if not self._size:
            self._day = max(today, self._day)
        if self._fd < 0:
            self._open()
        if self._torn:
            data = b"\n" + data
        self._torn = True
        write_all(self._fd, data)
        self._torn = False
        self._size += len(data)

    def close(self) -> None:
        """Close the file; harmless when repeated."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _open(self) -> None:
        self._fd = open_append_fd(self.path)
        self._size = os.fstat(self._fd).st_size
        # A writer that was killed, or a full disk, may have left half a line: ours must not be glued to it.
        self._torn = self._size > 0 and _last_byte(self.path) != b"\n"

    def _rotate(self) -> None:
        self.close()
        try:
            target = self._reserve()
            try:
                self.path.replace(target)
            except OSError:
                target.unlink()
                raise
        except OSError:  # a reader holds it (Windows), or the folder is shut: write on, lose nothing, try again later
            self._open()
            self._try_from = self._size + RETRY_BYTES
            return
        self._try_from = 0
        self._open()
        self._remove_old()

    def _reserve(self) -> Path:
        """Make the empty file that ours is to become: of two writers each gets a number of its own."""
        day = self._day.isoformat()
        number = max((number for name_day, number, _ in archives(self.path) if name_day == day), default=0)
        while True:
            number += 1
            target = self.path.with_name(f"{self.path.stem}.{day}.{number:03d}{self.path.suffix}")
            try:
                target.touch(exist_ok=False)
            except FileExistsError:
                continue
            return target

    def _remove_old(self) -> None:
        found = archives(self.path)
        oldest_s = self._now_ns() / NS_PER_S - self._keep_days * _DAY_S
        for place, (_, _, path) in enumerate(reversed(found)):
            try:
                if place >= self._keep or path.stat().st_mtime < oldest_s:
                    path.unlink()
            except OSError:  # held by a reader (Windows) or gone already: the next rotation tries again
                continue


def archives(path: Path) -> list[tuple[str, int, Path]]:
    """Return trade date, number and path of the rotated files of log ``path``, oldest first."""
    name = re.compile(rf"{re.escape(path.stem)}\.(\d{{4}}-\d\d-\d\d)\.(\d{{3,}}){re.escape(path.suffix)}", re.ASCII)
    matches = ((name.fullmatch(entry.name), entry) for entry in path.parent.iterdir())
    return sorted((found[1], int(found[2]), entry) for found, entry in matches if found is not None)


def log_paths(path: Path) -> list[Path]:
    """Return all files of log ``path`` in the order in which they were written."""
    return [*(old for _, _, old in archives(path)), *([path] if path.exists() else [])]


def _day_of(path: Path) -> date | None:
    """Return the trade date of the file's first line, or of its last change; None when there is nothing in it."""
    try:
        with open_shared(path) as file:
            stamp = file.read(_STAMP_BYTES)
            changed_ns = os.fstat(file.fileno()).st_mtime_ns
    except FileNotFoundError:
        return None
    if not stamp:
        return None
    try:
        began = time.strptime(stamp[:19].decode(), "%Y-%m-%dT%H:%M:%S")
    except ValueError:
        return trade_date(changed_ns)
    return trade_date(_utc_s(began) * NS_PER_S)


def _utc_s(moment: time.struct_time) -> int:
    import calendar

    return calendar.timegm(moment)


def _last_byte(path: Path) -> bytes:
    with open_shared(path) as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1)
