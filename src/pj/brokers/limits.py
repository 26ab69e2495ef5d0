"""Count what was sent in rolling windows, on the run's clock.

The core's gate judges 30 entry orders per hour; these counters are the last line before the
wire, and keep us under the webhook's own 60 per minute and 500 per hour (services.md 1.2).
Only entries are held back: exits, cancels and flattening are never blocked (pj1 S6).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final

NS_PER_MIN: Final = 60_000_000_000
NS_PER_HOUR: Final = 60 * NS_PER_MIN


@dataclass(slots=True)
class RollingCount:
    """Count the times inside the last ``window_ns``, at most ``limit`` of them."""

    name: str
    limit: int
    window_ns: int
    times: deque[int] = field(default_factory=deque)

    def used(self, now_ns: int) -> int:
        """Return how many lie inside the window that ends at ``now_ns``."""
        while self.times and self.times[0] <= now_ns - self.window_ns:
            self.times.popleft()
        return len(self.times)

    def full(self, now_ns: int) -> bool:
        """Return whether one more would exceed the limit."""
        return self.used(now_ns) >= self.limit

    def add(self, now_ns: int) -> None:
        """Count one at ``now_ns``; the oldest is forgotten first when far over the limit."""
        self.times.append(now_ns)
        while len(self.times) > 4 * self.limit + 64:
            self.times.popleft()


class SendLimits:
    """Keep the three windows of one route."""

    def __init__(self, per_min: int = 60, per_hour: int = 500, entries_per_hour: int = 30) -> None:
        """Start empty; the engine counts what the journal remembers at its start (``Startup``)."""
        self._minute = RollingCount("requests-per-min", per_min, NS_PER_MIN)
        self._hour = RollingCount("requests-per-hour", per_hour, NS_PER_HOUR)
        self._entries = RollingCount("entries-per-hour", entries_per_hour, NS_PER_HOUR)

    def refuses_entry(self, now_ns: int) -> str:
        """Return the name of the first full window, empty when an entry may go out."""
        for window in (self._entries, self._minute, self._hour):
            if window.full(now_ns):
                return window.name
        return ""

    def count(self, now_ns: int, *, entry: bool) -> None:
        """Count one request that is about to be sent."""
        self._minute.add(now_ns)
        self._hour.add(now_ns)
        if entry:
            self._entries.add(now_ns)

    def gauges(self, now_ns: int) -> dict[str, int]:
        """Return used and allowed per window, for the stats file."""
        rows: dict[str, int] = {}
        for window in (self._minute, self._hour, self._entries):
            rows[window.name] = window.used(now_ns)
            rows[f"{window.name}-max"] = window.limit
        return rows
