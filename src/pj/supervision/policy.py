"""Decide when a failed process starts again: at once the first time, then ever later, and rarely once it loops.

The n-th failure in a row waits: n = 1 ``min_s`` (0 by default: at once); after that STEP_S * 2^(n-2), at most
``max_s``, drawn from its upper half so that processes that failed together do not start together. A life in which the
heartbeat ran for STABLE_S ends the row. From the second failure on, no setting brings the wait below FLOOR_S: never a
hot loop.

More than ``max_restarts`` failures within ``window_s``, in a row or not, are a crash loop: trading halts, and the
process is tried again only once each ``slow_s``. There is no last try: a permanently dead engine helps nobody.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

STEP_S: Final = 0.5
FLOOR_S: Final = 0.25
STABLE_S: Final = 10.0
#: 2^20 steps are beyond every cap; the bound keeps the power from overflowing after months of failures.
MAX_DOUBLINGS: Final = 20
#: A slow retry comes up to this much later than its period, so that two looping processes drift apart.
SLOW_SPREAD: Final = 0.1


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """Hold the back-off's bounds, real seconds, the source of chance (a number in [0, 1)) and what is a crash loop."""

    min_s: float
    max_s: float
    draw: Callable[[], float]
    max_restarts: int = 5
    window_s: float = 120.0

    def delay_s(self, failures: int) -> float:
        """Return the wait before the next start after ``failures`` (>= 1) failures in a row."""
        if failures < 1:
            raise ValueError(f"a delay follows a failure; failures is {failures}")
        if failures == 1:
            return min(self.min_s, self.max_s)
        full: float = max(self.min_s, STEP_S * 2 ** min(failures - 2, MAX_DOUBLINGS))
        return max(FLOOR_S, min(full, self.max_s) * (0.5 + 0.5 * self.draw()))

    def slow_delay_s(self, slow_s: float) -> float:
        """Return the wait before the next try of a process that loops; ``slow_s`` is the period of the moment."""
        return max(FLOOR_S, slow_s * (1 + SLOW_SPREAD * self.draw()))

    def failures_after(self, failures: int, healthy_s: float) -> int:
        """Return the row's length after one more failure of a life that was healthy for ``healthy_s``."""
        return 1 if healthy_s >= STABLE_S else failures + 1

    def recent(self, failed_at_s: Sequence[float], now_s: float) -> list[float]:
        """Return those of the failures' times that still lie within the window."""
        return [time_s for time_s in failed_at_s if now_s - time_s < self.window_s]

    def loops(self, failed_at_s: Sequence[float], now_s: float) -> bool:
        """Tell whether failures at these times are too many."""
        return len(self.recent(failed_at_s, now_s)) > self.max_restarts
