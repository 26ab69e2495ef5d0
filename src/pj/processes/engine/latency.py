"""Keep the last latencies of one kind and tell their percentiles, in real milliseconds."""

from __future__ import annotations

from collections import deque
from typing import Final

KEPT: Final = 2000


class Latency:
    """Hold at most KEPT values; ``gauge`` is for the stats file."""

    def __init__(self) -> None:
        """Start empty."""
        self._values: deque[float] = deque(maxlen=KEPT)
        self.count = 0

    def add(self, value_ms: float) -> float:
        """Add one value; return it rounded to microseconds, as it is journaled."""
        value_ms = round(value_ms, 3)
        self._values.append(value_ms)
        self.count += 1
        return value_ms

    def gauge(self) -> dict[str, float | int]:
        """Return p50, p95, max of the kept values and n of all; empty when there is none."""
        if not self._values:
            return {}
        values = sorted(self._values)
        return {
            "p50": values[len(values) // 2],
            "p95": values[min(len(values) - 1, int(len(values) * 0.95))],
            "max": values[-1],
            "n": self.count,
        }
