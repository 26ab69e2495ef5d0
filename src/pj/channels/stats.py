"""Write and read stats files: one JSON object per process, replaced whole once per real second by its main loop.

The object ends in a checksum: entries and restarts rest on what stands in it, so a file with a flipped bit says nothing
at all, as a missing one (the engine then calls its input stale), until the next beat replaces it.

Life is ``beat_seq`` advancing. The main loop itself must call ``beat``: a side thread would beat for a stuck process.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

from pj.channels.files import read_replaced, replace_atomic
from pj.channels.jsonl import seal, unsealed
from pj.channels.redact import redact_tree

BEAT_EVERY_S: Final = 1.0
_OWN: Final = ("process", "pid", "instance", "started_ns", "beat_seq", "beat_ns", "phase")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Stats:
    """Hold what one process last said of itself; ``beat_ns`` is real time (UTC ns), ``gauges`` everything else."""

    process: str
    pid: int
    instance: str
    started_ns: int
    beat_seq: int
    beat_ns: int
    phase: str
    gauges: Mapping[str, Any] = field(default_factory=dict)

    def gauge(self, name: str, default: T) -> T:
        """Return a gauge if it has the type of ``default``, else ``default`` (an int serves as a float)."""
        value = self.gauges.get(name, default)
        if isinstance(value, type(default)) or (isinstance(default, float) and isinstance(value, int)):
            return value  # type: ignore[return-value]
        return default

    def age_s(self, now_ns: int | None = None) -> float:
        """Return the real seconds since the beat."""
        return ((time.time_ns() if now_ns is None else now_ns) - self.beat_ns) / 1e9


class StatsWriter:
    """Replace one process's stats file; ``beat`` always writes, ``due`` says when the next one is due."""

    def __init__(self, path: Path, process: str, instance: str, *, every_s: float = BEAT_EVERY_S) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.process = process
        self.instance = instance
        self.started_ns = time.time_ns()
        self.beat_seq = 0
        self._phase = ""
        self._every_ns = int(every_s * 1e9)
        self._next_mono_ns = 0

    def due(self) -> bool:
        """Return whether a real second has passed since the last beat."""
        return time.monotonic_ns() >= self._next_mono_ns

    def due_in_s(self) -> float:
        """Return the real seconds until the next beat is due (0 when it is)."""
        return max(0, self._next_mono_ns - time.monotonic_ns()) / 1e9

    def beat(self, phase: str, **gauges: Any) -> None:
        """Replace the file; raise WriteFailed, and ValueError for a gauge that JSON cannot hold (NaN too)."""
        clash = [name for name in _OWN if name in gauges]
        if clash:
            raise ValueError(f"gauge {clash[0]!r} is a field of every stats file; name it otherwise")
        self.beat_seq += 1
        own = {
            "process": self.process,
            "pid": os.getpid(),
            "instance": self.instance,
            "started_ns": self.started_ns,
            "beat_seq": self.beat_seq,
            "beat_ns": time.time_ns(),
            "phase": phase,
        }
        try:
            text = json.dumps(own | redact_tree(gauges), allow_nan=False, separators=(",", ":"), ensure_ascii=False)
        except (TypeError, ValueError) as error:
            raise ValueError(f"stats of {self.process}: a gauge is not JSON: {error}") from error
        replace_atomic(self.path, seal(text.encode()))
        self._phase = phase
        self._next_mono_ns = time.monotonic_ns() + self._every_ns

    def beat_if_due(self, phase: str, **gauges: Any) -> bool:
        """Beat when a real second has passed, or at once when the phase is a new one; return whether it did."""
        if not self.due() and phase == self._phase:
            return False
        self.beat(phase, **gauges)
        return True


def read_stats(path: Path) -> Stats | None:
    """Return what the file says; None while it is missing, torn or changed (its checksum does not fit)."""
    data = read_replaced(path)
    return None if data is None else _parse(data)


def _parse(data: bytes) -> Stats | None:
    try:
        found = unsealed(data)
    except ValueError:
        return None
    own = {name: found.pop(name, None) for name in _OWN}
    whole = ("pid", "started_ns", "beat_seq", "beat_ns")
    if not all(isinstance(own[name], int if name in whole else str) for name in _OWN):
        return None
    return Stats(**own, gauges=found)
