"""Keep the one clock port: system time, or scaled time shared by all processes of a run.

Everything that stamps, labels or waits for a market minute asks a Clock. Supervision and
time-outs use ``monotonic_ns``, which is real time under every clock.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

ENV_ORIGIN: Final = "PJ_CLOCK_ORIGIN_NS"
ENV_START: Final = "PJ_CLOCK_START_NS"
ENV_SPEED: Final = "PJ_CLOCK_SPEED"


class Clock(Protocol):
    """Tell run time (UTC ns), real monotonic time (ns), and how long a run-time span takes for real."""

    @property
    def speed(self) -> float:
        """Return how many run seconds pass in a real second."""
        ...

    def now_ns(self) -> int:
        """Return the run's time, ns since the UTC epoch."""
        ...

    def monotonic_ns(self) -> int:
        """Return real monotonic time, ns from an arbitrary start."""
        ...

    def real_s_until(self, run_ns: int) -> float:
        """Return the real seconds until the run's time reaches ``run_ns`` (0 when passed)."""
        ...


class ClockError(ValueError):
    """Report clock settings of the environment that cannot be used."""


@dataclass(frozen=True, slots=True)
class SystemClock:
    """Tell the machine's own time."""

    speed: float = 1.0

    def now_ns(self) -> int:
        """Return the wall clock, ns UTC."""
        return time.time_ns()

    def monotonic_ns(self) -> int:
        """Return real monotonic ns."""
        return time.monotonic_ns()

    def real_s_until(self, run_ns: int) -> float:
        """Return the real seconds until ``run_ns``."""
        return max(0, run_ns - time.time_ns()) / 1e9


@dataclass(frozen=True, slots=True)
class ScaledClock:
    """Tell virtual time = origin + (wall - start) * speed, the same in every process of the run."""

    origin_ns: int
    start_ns: int
    speed: float

    def now_ns(self) -> int:
        """Return virtual ns UTC; before the start it stands at the origin."""
        return self.origin_ns + int(max(0, time.time_ns() - self.start_ns) * self.speed)

    def monotonic_ns(self) -> int:
        """Return real monotonic ns."""
        return time.monotonic_ns()

    def real_s_until(self, run_ns: int) -> float:
        """Return the real seconds until virtual time reaches ``run_ns``."""
        wall = self.start_ns + (run_ns - self.origin_ns) / self.speed
        return max(0.0, wall - time.time_ns()) / 1e9

    def to_env(self) -> dict[str, str]:
        """Return the variables by which child processes share this clock."""
        return {ENV_ORIGIN: str(self.origin_ns), ENV_START: str(self.start_ns), ENV_SPEED: repr(self.speed)}


def clock_from_env(env: Mapping[str, str] = os.environ) -> Clock:
    """Return the run's clock: scaled if the environment says so, else the system's.

    Raises ClockError naming the variable when only some are set or one is malformed.
    """
    names = (ENV_ORIGIN, ENV_START, ENV_SPEED)
    present = [name for name in names if env.get(name)]
    if not present:
        return SystemClock()
    missing = [name for name in names if name not in present]
    if missing:
        raise ClockError(f"{missing[0]} is not set although {present[0]} is; set all three clock variables or none")
    try:
        clock = ScaledClock(int(env[ENV_ORIGIN]), int(env[ENV_START]), float(env[ENV_SPEED]))
    except ValueError as error:
        raise ClockError(f"clock variables are not numbers: {error}") from error
    if not clock.speed > 0:
        raise ClockError(f"{ENV_SPEED} is {clock.speed}; it must be above 0")
    return clock
