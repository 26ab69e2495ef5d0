"""Decide when a failed process starts again: at once the first time, then ever later up to a cap.

The n-th failure in a row waits: n = 1 ``min_s`` (0 by default: at once); after that STEP_S * 2^(n-2), at most
``max_s``, drawn from its upper half so that processes that failed together do not start together. A life in which the
heartbeat ran for STABLE_S ends the row. There is no last try: a permanently dead order engine helps nobody, and a try
each ``max_s`` costs nothing. From the second failure on, no setting brings the wait below FLOOR_S: never a hot loop.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

STEP_S: Final = 0.5
FLOOR_S: Final = 0.25
STABLE_S: Final = 10.0
#: 2^20 steps are beyond every cap; the bound keeps the power from overflowing after months of failures.
MAX_DOUBLINGS: Final = 20


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """Hold the back-off's bounds, real seconds, and the source of chance (a number in [0, 1))."""

    min_s: float
    max_s: float
    draw: Callable[[], float]

    def delay_s(self, failures: int) -> float:
        """Return the wait before the next start after ``failures`` (>= 1) failures in a row."""
        if failures < 1:
            raise ValueError(f"a delay follows a failure; failures is {failures}")
        if failures == 1:
            return min(self.min_s, self.max_s)
        full: float = max(self.min_s, STEP_S * 2 ** min(failures - 2, MAX_DOUBLINGS))
        return max(FLOOR_S, min(full, self.max_s) * (0.5 + 0.5 * self.draw()))

    def failures_after(self, failures: int, healthy_s: float) -> int:
        """Return the row's length after one more failure of a life that was healthy for ``healthy_s``."""
        return 1 if healthy_s >= STABLE_S else failures + 1
