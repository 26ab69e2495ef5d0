"""Make one call at a time, paced and repeated until it is answered, stopped or in need of another decision."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from pj.clock import Clock
from pj.sheets.client import AccessDenied, SheetFailure, Throttled, Unavailable
from pj.sheets.pace import READS_PER_MIN, BackOff, Window

T = TypeVar("T")
SLICE_S: Final = 0.05


class Stopped(Exception):
    """Report that the time to drain is over."""


@dataclass(slots=True)
class CallCounts:
    """Count what the stats file shows."""

    errors: int = 0
    retries: int = 0
    throttled: int = 0
    last_error: str = ""
    last_call_ms: float = 0.0
    connected: bool = False


class Caller:
    """Make calls in the Scribe's thread; ``idle`` is called about every 50 ms of waiting.

    After ``stop`` is set, waiting goes on only until ``deadline_ns`` (monotonic), then Stopped is raised.
    ``turned_ns`` = monotonic time of the last sign of life.
    """

    def __init__(
        self,
        clock: Clock,
        writes_per_min: int,
        stop: threading.Event,
        idle: Callable[[], None],
        dice: random.Random,
    ) -> None:
        self.clock = clock
        self.writes = Window(writes_per_min)
        self.reads = Window(READS_PER_MIN)
        self.counts = CallCounts()
        self.deadline_ns = 0
        self.turned_ns = clock.monotonic_ns()
        self._stop = stop
        self._idle = idle
        self._back_off = BackOff(dice)

    def write(self, work: Callable[[], T], before: Callable[[], None] = lambda: None) -> T:
        """Return the answer of a call that counts as a write; ``before`` runs just before each try."""
        return self._call(self.writes, work, before)

    def read(self, work: Callable[[], T]) -> T:
        """Return the answer of a call that counts as a read."""
        return self._call(self.reads, work, lambda: None)

    def wait_until(self, real_ns: int) -> None:
        """Wait until monotonic ``real_ns``, or until ``stop`` is set; raise Stopped after the deadline."""
        while not self._stop.is_set() and (left := real_ns - time.monotonic_ns()) > 0:
            self._slice(left / 1e9)
        self._check_deadline()

    def _call(self, window: Window, work: Callable[[], T], before: Callable[[], None]) -> T:
        while True:
            self._wait_turn(window)
            window.take(self.clock.now_ns())
            before()
            started = time.monotonic_ns()
            try:
                answer = work()
            except SheetFailure as failure:
                self._failed(failure)
                continue
            finally:
                self.turned_ns = time.monotonic_ns()
                self.counts.last_call_ms = (self.turned_ns - started) / 1e6
            self._back_off.succeeded()
            self.counts.connected = True
            self.counts.last_error = ""
            return answer

    def _failed(self, failure: SheetFailure) -> None:
        """Note a failure and when to try again; raise it when repeating the call cannot help."""
        self.counts.errors += 1
        self.counts.last_error = str(failure)
        if isinstance(failure, Throttled):
            self.counts.throttled += 1
            self._back_off.throttled(self.clock.now_ns())
        elif isinstance(failure, Unavailable) or (isinstance(failure, AccessDenied) and self.counts.connected):
            self._back_off.failed(time.monotonic_ns())
        else:
            self._back_off.failed(time.monotonic_ns())
            raise failure
        self.counts.retries += 1

    def _wait_turn(self, window: Window) -> None:
        self._check_deadline()
        while True:
            now_ns = self.clock.now_ns()
            wait_ns = window.wait_ns(now_ns)
            if wait_ns == 0 and not self._back_off.waiting(time.monotonic_ns(), now_ns):
                return
            self._slice(max(0.001, min(SLICE_S, self.clock.real_s_until(now_ns + wait_ns) if wait_ns else SLICE_S)))
            self._check_deadline()

    def _slice(self, seconds: float) -> None:
        if self._stop.is_set():
            time.sleep(min(SLICE_S, seconds))
        else:
            self._stop.wait(min(SLICE_S, seconds))
        self.turned_ns = time.monotonic_ns()
        self._idle()

    def _check_deadline(self) -> None:
        if self._stop.is_set() and self.deadline_ns and time.monotonic_ns() >= self.deadline_ns:
            raise Stopped
