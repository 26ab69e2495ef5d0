"""Hold what a webhook server can do wrong: planted faults, and its request limits.

Faults are planted over ``POST /_fault`` and used up request by request; the limits are token
buckets on the run's clock (services.md 1.2: 60 per minute, 500 per hour).
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

NS_PER_MIN: Final = 60_000_000_000
NS_PER_HOUR: Final = 3_600_000_000_000
MAX_PLANTED: Final = 10_000


class FaultKind(StrEnum):
    """Name the faults (services.md 1.3)."""

    REFUSE = "400"
    NOT_FOUND = "404"
    TOO_MANY = "429"
    SERVER_ERROR = "500html"
    TIMEOUT_BEFORE = "timeout_before"
    TIMEOUT_AFTER = "timeout_after"
    DROP_AFTER = "drop_after"
    SLOW = "slow"
    REJECTED_LATER = "accepted_but_rejected_later"


@dataclass(frozen=True, slots=True)
class Fault:
    """Carry one planted fault; ``argument`` is the message code of 400 or the seconds of slow."""

    kind: FaultKind
    argument: str = ""

    @property
    def seconds(self) -> float:
        """Return how long a slow answer waits, in real seconds."""
        return float(self.argument or 0)


def parse_fault(text: str) -> Fault:
    """Return the fault that ``text`` names (``400:invalid-quantity``, ``slow:2.5``); raise ValueError otherwise."""
    name, _, argument = text.strip().partition(":")
    fault = Fault(FaultKind(name), argument)
    if fault.kind is FaultKind.SLOW and not 0 < fault.seconds < 600:
        raise ValueError(f"slow:{argument} must be above 0 and below 600 seconds")
    if fault.kind is FaultKind.REFUSE and not argument:
        raise ValueError("400 needs a message code: 400:<code>")
    return fault


class FaultPlan:
    """Hand out planted faults, first planted first used; thread-safe."""

    def __init__(self) -> None:
        """Start without faults."""
        self._queue: deque[Fault] = deque()
        self._lock = threading.Lock()

    def plant(self, fault: Fault, count: int = 1) -> None:
        """Queue ``fault`` for the next ``count`` requests; raise ValueError when the queue would grow without bound."""
        with self._lock:
            if not 1 <= count <= MAX_PLANTED - len(self._queue):
                raise ValueError(f"count {count} is outside 1..{MAX_PLANTED - len(self._queue)}")
            self._queue.extend([fault] * count)

    def clear(self) -> None:
        """Forget the faults not used yet."""
        with self._lock:
            self._queue.clear()

    def next(self) -> Fault | None:
        """Return the fault of this request, None for a healthy one."""
        with self._lock:
            return self._queue.popleft() if self._queue else None


@dataclass(slots=True)
class TokenBucket:
    """Allow ``capacity`` requests at once and ``capacity`` per ``window_ns`` in the long run."""

    capacity: int
    window_ns: int
    tokens: float = field(init=False)
    last_ns: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        """Start full."""
        self.tokens = float(self.capacity)

    def refill(self, now_ns: int) -> bool:
        """Add what time has earned; return whether a request may pass."""
        earned = max(0, now_ns - self.last_ns) * self.capacity / self.window_ns if self.last_ns else 0.0
        self.tokens = min(float(self.capacity), self.tokens + earned)
        self.last_ns = max(self.last_ns, now_ns)
        return self.tokens >= 1


class WebhookLimit:
    """Keep the two limits of one webhook URL; thread-safe."""

    def __init__(self, per_min: int = 60, per_hour: int = 500) -> None:
        """Start with both buckets full."""
        self._buckets = (TokenBucket(per_min, NS_PER_MIN), TokenBucket(per_hour, NS_PER_HOUR))
        self._lock = threading.Lock()

    def take(self, now_ns: int) -> bool:
        """Return whether the request at run time ``now_ns`` passes, and count it when it does."""
        with self._lock:
            full = [bucket for bucket in self._buckets if not bucket.refill(now_ns)]
            for bucket in self._buckets if not full else ():
                bucket.tokens -= 1
            return not full
