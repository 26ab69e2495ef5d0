"""Keep the Sentinel where the service manager cannot: start it, watch its heartbeat, start it again (launchd, Windows).

What an exit code asks for is decided here as systemd decides it from our unit (service.py): 0 and 2 end the keeper,
everything else starts the Sentinel again ``restart_s`` later, for ever. A Sentinel whose stats file does not advance
is killed; silence is counted in looks (silence.py), so a machine that slept kills nobody.

The keeper never outlives its usefulness and never leaves a Sentinel behind: on Windows both are in one job, on Linux
the kernel asks the Sentinel to stop when the keeper is gone, on macOS launchd ends the whole process group.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pj.supervision.sentinel import BeatReader
from pj.supervision.silence import SilenceMeter
from pj.supervision.spawn import die_with_parent

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pj.channels.logs import EventLog
    from pj.channels.rundir import RunDir

LOOK_S: Final = 0.25
#: Exit codes after which another start would not help: stopped by the operator, configuration.
SETTLED: Final = frozenset({0, 2})


@dataclass(frozen=True, slots=True)
class KeeperLimits:
    """Hold the keeper's times in real seconds; ``start_s`` is for the first heartbeat, ``stop_s`` for a whole stop."""

    restart_s: float
    watchdog_s: float
    start_s: float
    stop_s: float


@dataclass(slots=True)
class Keeper:
    """Keep one Sentinel; ``run`` returns its last exit code, ``ask_stop`` ends it in order."""

    command: Sequence[str]
    folder: RunDir
    limits: KeeperLimits
    log: EventLog
    env: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    starts: int = 0
    _stopping: str = ""
    _kill_at_s: float | None = None
    _process: subprocess.Popen[bytes] | None = None

    def run(self) -> int:
        """Start the Sentinel and keep it until it ends with a settled code or was asked to stop; return its code."""
        try:
            while True:
                code = self._one_life()
                if self._stopping or code in SETTLED:
                    self.log.event("KEEPER_END", exit=code, reason=self._stopping or "the Sentinel has ended for good")
                    return code if not self._stopping else 0
                self.log.warning("SENTINEL_DIED", exit=code, restart_in_s=self.limits.restart_s, starts=self.starts)
                sys.stderr.write(f"the Sentinel ended with {code}; it starts again in {self.limits.restart_s:g} s\n")
                if self._rest():
                    self.log.event("KEEPER_END", exit=0, reason=self._stopping)
                    return 0
        finally:
            if self._process is not None and self._process.poll() is None:
                self._process.kill()  # only after an exception in here: nothing is left behind even then

    def ask_stop(self, number: int, _frame: object = None) -> None:
        """Take a stop signal: hand it to the Sentinel, which stops its children in order."""
        self._stopping = self._stopping or signal.Signals(number).name
        if self._kill_at_s is None:
            self._kill_at_s = time.monotonic() + self.limits.stop_s
            if self._process is not None and sys.platform != "win32":
                self._process.terminate()  # on Windows the key that told us has told the Sentinel on our console too

    def _one_life(self) -> int:
        """Start the Sentinel and return its exit code (negative: the signal that ended it)."""
        if self._stopping:
            return 0
        instance = uuid.uuid4().hex
        bind = die_with_parent(os.getpid(), signal.SIGTERM) if sys.platform == "linux" else None
        process = subprocess.Popen(self.command, env={**self.env, "PJ_INSTANCE": instance}, preexec_fn=bind)  # noqa: PLW1509 (one thread)
        self._process = process
        self.starts += 1
        self.log.event("SENTINEL_STARTED", pid=process.pid, instance=instance, starts=self.starts)
        if self._stopping and sys.platform != "win32":
            process.terminate()  # the signal came between the fork and the line above
        meter, reader = SilenceMeter(instance, LOOK_S * 2), BeatReader(self.folder)
        looked_s = time.monotonic()
        while process.poll() is None:
            time.sleep(LOOK_S)
            now_s = time.monotonic()
            meter.look(reader.read("sentinel"), now_s - looked_s)
            looked_s = now_s
            limit_s = self.limits.start_s if meter.seq is None else self.limits.watchdog_s
            if self._kill_at_s is not None:
                if now_s >= self._kill_at_s:
                    self.log.warning("SENTINEL_KILLED", pid=process.pid, reason="it did not stop in time")
                    process.kill()
            elif meter.silent_s > limit_s:
                reason = f"no {'first ' if meter.seq is None else ''}heartbeat for {meter.silent_s:.1f} s"
                self.log.warning("SENTINEL_KILLED", pid=process.pid, reason=reason)
                process.kill()
        return process.wait()

    def _rest(self) -> bool:
        """Wait before the next start; return whether a stop was asked meanwhile."""
        until_s = time.monotonic() + self.limits.restart_s
        while not self._stopping and time.monotonic() < until_s:
            time.sleep(LOOK_S)
        return bool(self._stopping)


def keep(keeper: Keeper) -> int:
    """Run ``keeper`` with the process's stop signals and, on Windows, one job around it and the Sentinel."""
    names = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
    usual = {
        number: signal.signal(number, keeper.ask_stop) for name in names if (number := getattr(signal, name, None))
    }
    hold: list[object] = []
    if sys.platform == "win32":
        from pj.supervision.windows import enter_killing_job

        hold.append(enter_killing_job())
    try:
        return keeper.run()
    finally:
        for number, handler in usual.items():
            signal.signal(number, handler)
        hold.clear()
