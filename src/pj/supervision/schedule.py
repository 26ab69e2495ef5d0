"""Keep the trading schedule ahead of the clock while the daemon runs for weeks.

The session file reaches six weeks; beyond it the calendar answers closed and no entry is sent. Once an hour the
Sentinel asks whether the file still reaches far enough and, when it does not, runs the builder as a process of its own
(it imports pandas), without waiting for it.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pj.calendar import builder_command
from pj.config import ConfigError

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
            self._builder = None

    def _start(self, now_s: float) -> None:
        try:
            command = builder_command(self.session_file, self.clock.now_ns(), self.overrides)
            if command is None:
                return
            quiet = subprocess.DEVNULL
            self._builder = subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=quiet)
        except (ConfigError, OSError) as error:
            self.log.warning("SCHEDULE_FAILED", error=str(error))
            return
        self._until_s = now_s + BUILD_S
        self.log.event("SCHEDULE_BUILDING", pid=self._builder.pid)

    def _look_after(self, builder: subprocess.Popen[bytes], now_s: float) -> None:
        code = builder.poll()
        if code is None and now_s < self._until_s:
            return
        self.close()
        if code == 0:
            self.log.event("SCHEDULE_BUILT", file=str(self.session_file))
        else:
            why = "it took too long" if code is None else f"exit code {code}"
            self.log.warning("SCHEDULE_FAILED", error=f"the session builder failed: {why}; tried again in an hour")
