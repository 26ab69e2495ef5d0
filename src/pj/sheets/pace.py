"""Pace the calls: at most so many in any 60 s of run time, one at a time, back off while it fails (services.md 2.6).

Pure: the caller brings the times.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterable
from typing import Final

WINDOW_NS: Final = 60_000_000_000
#: Reads a minute; Google's limit is 60, and people look at the sheet with the same account's quota seldom.
READS_PER_MIN: Final = 50
FIRST_WAIT_S: Final = 0.5
LONGEST_WAIT_S: Final = 32.0
WINDOW_JITTER_S: Final = 3.0


class Window:
    """Allow ``limit`` calls in any 60 s; ``stamps`` are run-time ns of calls already made."""

    def __init__(self, limit: int, stamps: Iterable[int] = ()) -> None:
        self.limit = limit
        self._stamps = deque(sorted(stamps)[-limit:])

    def wait_ns(self, now_ns: int) -> int:
        """Return the run-time ns until the next call is allowed (0 = now)."""
        self._forget(now_ns)
        if len(self._stamps) < self.limit:
            return 0
        return self._stamps[-self.limit] + WINDOW_NS - now_ns + 1

    def take(self, now_ns: int) -> None:
        """Note a call."""
        self._stamps.append(now_ns)

    def fill(self, now_ns: int) -> None:
        """Behave as if the window were full now: nothing is known of the calls before."""
        self._stamps = deque([now_ns] * self.limit)

    def used(self, now_ns: int) -> int:
        """Return the calls of the last 60 s; may be asked from another thread (it changes nothing)."""
        return sum(stamp >= now_ns - WINDOW_NS for stamp in list(self._stamps))

    def stamps(self) -> list[int]:
        """Return what must be remembered over a restart."""
        return list(self._stamps)

    def _forget(self, now_ns: int) -> None:
        # A stamp of the future (another clock's, before a restart) would block for ever: it counts as just now.
        while self._stamps and self._stamps[-1] > now_ns:
            self._stamps[-1] = now_ns
            self._stamps = deque(min(stamp, now_ns) for stamp in self._stamps)
        while self._stamps and self._stamps[0] < now_ns - WINDOW_NS:  # one of exactly 60 s ago still counts
            self._stamps.popleft()


class BackOff:
    """Say how long to wait after a failure: 0.5 s doubling to 32 s with jitter in real time; after 429 a whole window.

    ``dice`` decides the jitter.
    """

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice
        self._failures = 0
        self._until_real_ns = 0
        self._until_run_ns = 0

    def failed(self, real_ns: int) -> float:
        """Note a failure at monotonic ``real_ns``; return the real seconds to wait."""
        wait_s = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** min(self._failures, 16)) * self._dice.uniform(0.5, 1.0)
        self._failures += 1
        self._until_real_ns = real_ns + int(wait_s * 1e9)
        return wait_s

    def throttled(self, run_ns: int) -> None:
        """Note a 429 at ``run_ns``: nothing may be called before the window is over."""
        self._until_run_ns = run_ns + WINDOW_NS + int(self._dice.uniform(0, WINDOW_JITTER_S) * 1e9)

    def succeeded(self) -> None:
        """Forget the failures."""
        self._failures = 0

    def waiting(self, real_ns: int, run_ns: int) -> bool:
        """Tell whether the next call has to wait."""
        return real_ns < self._until_real_ns or run_ns < self._until_run_ns
