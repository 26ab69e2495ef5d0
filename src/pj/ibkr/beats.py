"""Stamp rows and say when the bridge owes the tape a beat (pj1 S7).

Pure: times in, times out. A stamp never goes backwards. A beat is owed once per second of the run's clock, never more
often than each 10 ms of real time. A stall is a loop that slept through a minute edge: ticks that waited in the socket
meanwhile are stamped after the edge they came before, so the minutes it touched are not whole. A run clock that jumped
forward over an edge (stepped by hand or NTP, a machine that was suspended) is one too.
"""

from __future__ import annotations

from typing import Final

from live.market import NS_PER_MIN, NS_PER_S
from pj.clock import Clock

BEAT_NS: Final = NS_PER_S
REAL_FLOOR_S: Final = 0.010
STALL_NS: Final = 400_000_000
STALL_RUN_NS: Final = 30 * NS_PER_S


def next_edge_ns(now_ns: int) -> int:
    """Return the first minute edge at or after ``now_ns``."""
    return -(-now_ns // NS_PER_MIN) * NS_PER_MIN


class Pacemaker:
    """Keep the stamps, the next beat, the next edge and the watch over our own sleep."""

    def __init__(self, clock: Clock) -> None:
        """Start now: the first beat is owed a second from now, an edge that lies exactly at now is still owed."""
        self._clock = clock
        self._stall_ns = min(STALL_NS, int(STALL_RUN_NS / clock.speed))
        self.last_ns = clock.now_ns()
        self.edge_ns = next_edge_ns(self.last_ns)
        self.backward_ns = 0
        self._beat_ns = self.last_ns + BEAT_NS
        self._awake_run_ns = self.last_ns
        self._awake_ns = clock.monotonic_ns()
        self._due_ns = clock.monotonic_ns() + NS_PER_S

    def begin(self, stamp_ns: int) -> None:
        """Owe the first edge at or after ``stamp_ns`` and the first beat a second later."""
        self.edge_ns = next_edge_ns(stamp_ns)
        self._beat_ns = stamp_ns + BEAT_NS

    def stamp(self) -> int:
        """Return the run's time, or the last stamp when the clock stepped back."""
        now = self._clock.now_ns()
        if now < self.last_ns:
            self.backward_ns = max(self.backward_ns, self.last_ns - now)
            return self.last_ns
        self.last_ns = now
        return now

    def crossed(self, stamp_ns: int) -> bool:
        """Tell whether an edge is owed before a row stamped ``stamp_ns``; the next one is then reckoned."""
        if stamp_ns < self.edge_ns:
            return False
        self.edge_ns = (stamp_ns // NS_PER_MIN + 1) * NS_PER_MIN
        return True

    def beat_owed(self, stamp_ns: int) -> bool:
        """Tell whether a second has passed since the last beat; the next one is then reckoned."""
        if stamp_ns < self._beat_ns:
            return False
        self._beat_ns = max(self._beat_ns + BEAT_NS, stamp_ns + 1)
        return True

    def wait_s(self) -> float:
        """Return the real seconds to sleep until the next beat or edge, and note when we mean to wake."""
        target = min(self._beat_ns, self.edge_ns)
        seconds = min(1.0, max(REAL_FLOOR_S, self._clock.real_s_until(target)))
        self._due_ns = self._clock.monotonic_ns() + int(seconds * NS_PER_S)
        return seconds

    def woke(self) -> int | None:
        """Note that the loop runs; return the stamp since when it slept when it overslept a minute edge, else None.

        Call it at every wake, before anything is stamped.
        """
        now_ns, run_ns = self._clock.monotonic_ns(), self._clock.now_ns()
        late_ns, since_ns = now_ns - self._due_ns, self._awake_run_ns
        jump_ns = (run_ns - since_ns) / self._clock.speed - (now_ns - self._awake_ns)
        self._awake_ns, self._awake_run_ns = now_ns, max(run_ns, self.last_ns)
        return since_ns if max(late_ns, jump_ns) >= self._stall_ns and run_ns >= self.edge_ns else None
