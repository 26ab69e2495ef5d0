"""Keep the trading schedule ahead of the clock while the daemon runs for weeks.

The session file reaches six weeks; beyond it the calendar answers closed and no entry is sent. Once an hour, and first
at its start, the Sentinel asks whether the file still reaches far enough and the table of corrections is the one it saw
before; when not, it runs the builder as a process of its own (it reads YAML and imports pandas if it has to write),
without waiting for it.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pj.calendar import check_command, find_overrides, may_be_short
from pj.settings_text import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pj.channels.logs import EventLog
    from pj.clock import Clock

EVERY_S: Final = 3600.0
BUILD_S: Final = 120.0


@dataclass(slots=True)
class ScheduleKeeper:
    """Hold the builder process, if one runs; ``now_s`` is real monotonic time in seconds."""

    session_file: Path
    overrides: Path
    clock: Clock
    log: EventLog
    now_s: Callable[[], float]
    next_s: float = 0.0
    _builder: subprocess.Popen[bytes] | None = None
    _until_s: float = 0.0
    _table_mark: tuple[int, int, int] | None = None
    _file_mark: tuple[int, int, int] | None = None

    def __post_init__(self) -> None:
        """Take the table as seen when the file was written after it: a start is no time for a needless process."""
        try:
            table = find_overrides(self.overrides)
            if table.stat().st_mtime_ns <= self.session_file.stat().st_mtime_ns:
                self._table_mark = _mark(table)
        except (ConfigError, OSError):
            return  # one of them is missing: the first step says so

    def step(self) -> None:
        """Start a builder when the file is short and one is due; tell how the last one ended."""
        now_s = self.now_s()
        if self._builder is not None:
            self._look_after(self._builder, now_s)
        elif now_s >= self.next_s:
            self.next_s = now_s + EVERY_S
            self._start(now_s)

    def close(self) -> None:
        """End a builder that still runs."""
        if self._builder is not None:
            self._builder.kill()
            self._builder.wait()
            if self._builder.stderr is not None:
                self._builder.stderr.close()
            self._builder = None

    def _start(self, now_s: float) -> None:
        try:
            table = find_overrides(self.overrides)
            mark = _mark(table)
            if mark == self._table_mark and not may_be_short(self.session_file, self.clock.now_ns()):
                return
            command = check_command(self.session_file, self.clock.now_ns(), table)
            self._file_mark = _mark(self.session_file)
            quiet = subprocess.DEVNULL
            self._builder = subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=subprocess.PIPE)
        except (ConfigError, OSError) as error:
            self.log.warning("SCHEDULE_FAILED", error=str(error))
            return
        self._table_mark = mark
        self._until_s = now_s + BUILD_S
        self.log.event("SCHEDULE_BUILDING", pid=self._builder.pid)

    def _look_after(self, builder: subprocess.Popen[bytes], now_s: float) -> None:
        code = builder.poll()
        if code is None and now_s < self._until_s:
            return
        # Read only now: it says a sentence or nothing, which a pipe holds; one that said more is killed at its limit.
        words = builder.stderr.read().decode(errors="replace").strip() if code and builder.stderr else ""
        self.close()
        if code == 0:
            changed = _mark(self.session_file) != self._file_mark
            self.log.event("SCHEDULE_BUILT" if changed else "SCHEDULE_KEPT", file=str(self.session_file))
            return
        self._table_mark = None
        why = "it took too long" if code is None else words.splitlines()[-1] if words else f"exit code {code}"
        self.log.warning("SCHEDULE_FAILED", error=f"the session builder failed: {why}; tried again in an hour")


def _mark(path: Path) -> tuple[int, int, int] | None:
    """Return what changes when a file is written; None when there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
