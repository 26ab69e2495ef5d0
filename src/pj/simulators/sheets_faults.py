"""Decide seeded faults for the simulated Sheets server and keep its quotas by the run's clock."""

from __future__ import annotations

import random
import threading
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any, Final

KINDS: Final = ("429", "503_not_applied", "503_applied", "drop_after_apply", "slow", "html500", "401", "403")
TARGETS: Final = ("any", "read", "write", "token")
WINDOW_NS: Final = 60_000_000_000


class BadFault(ValueError):
    """Report a fault order that cannot be understood."""


@dataclass(slots=True)
class Rule:
    """Say which calls go wrong, how, how often; ``left`` None = without end."""

    kind: str
    target: str
    probability: float
    left: int | None
    slow_s: float
    dice: random.Random


@dataclass(slots=True)
class FaultPlan:
    """Hold the rules in force; the first that strikes decides a call."""

    rules: list[Rule] = field(default_factory=list)
    struck: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def order(self, body: dict[str, Any]) -> None:
        """Add a rule ``{"kind", "on", "probability", "count", "seed"}``; kind "none" ends all rules.

        Kind ``slow:<s>`` answers that many real seconds after the change was applied. Raises BadFault.
        """
        kind, _, seconds = str(body.get("kind", "")).partition(":")
        if kind == "none":
            with self._lock:
                self.rules.clear()
            return
        try:
            slow_s = float(seconds) if kind == "slow" else 0.0
            probability = float(body.get("probability", 1.0))
            left = None if body.get("count") is None else int(body["count"])
            seed = int(body.get("seed", 0))
        except (TypeError, ValueError) as error:
            raise BadFault(f"a number of the fault is not one: {error}") from error
        target = str(body.get("on", "write"))
        if kind not in KINDS or target not in TARGETS or not 0 <= probability <= 1:
            raise BadFault(f"kind must be one of {', '.join(KINDS)} or none; on one of {', '.join(TARGETS)}")
        with self._lock:
            self.rules.append(Rule(kind, target, probability, left, slow_s, random.Random(seed)))

    def strike(self, target: str) -> Rule | None:
        """Return the rule that hits this call, None if it may go well."""
        with self._lock:
            for rule in self.rules:
                if rule.target not in {"any", target} or rule.left == 0:
                    continue
                if rule.dice.random() < rule.probability:
                    if rule.left is not None:
                        rule.left -= 1
                    self.struck[rule.kind] += 1
                    return rule
        return None


@dataclass(slots=True)
class Quota:
    """Allow ``limit`` calls in any 60 s of the run's clock; a refused call does not count."""

    limit: int
    refused: int = 0
    peak: int = 0
    _stamps: deque[int] = field(default_factory=deque)

    def take(self, now_ns: int) -> bool:
        """Count one call at ``now_ns``; False when the window is full."""
        while self._stamps and self._stamps[0] <= now_ns - WINDOW_NS:
            self._stamps.popleft()
        if len(self._stamps) >= self.limit:
            self.refused += 1
            return False
        self._stamps.append(now_ns)
        self.peak = max(self.peak, len(self._stamps))
        return True
