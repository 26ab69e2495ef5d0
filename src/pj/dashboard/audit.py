"""Count trades where they lie: in the raw record of what was delivered, on the tape, and in quarantine.

Process counters start again with their process; the files do not. The files are followed by offset, so a refresh costs
only what was appended. The tape is read before the raw record, and the bridge writes them one after the other, so a
difference may be a row on its way: only what was missing throughout SETTLE_S counts as missing.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pj.channels.tailer import TailBroken, Tailer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pj.channels.rundir import DayPaths

SETTLE_S: Final = 3.0
CHUNKS_PER_LOOK: Final = 32
TRADE: Final = b",TRADE,"


@dataclass(frozen=True, slots=True)
class TickCount:
    """Tell the trade date's trades: delivered by the API, on the tape, quarantined, and missing beyond doubt."""

    delivered: int
    taped: int
    quarantined: int
    missing: int
    counting: bool = False


@dataclass(slots=True)
class _Counter:
    """Count the TRADE rows of one growing file."""

    tail: Tailer
    trades: int = 0
    behind: bool = False

    def look(self) -> int:
        """Read what was appended (a bounded part of it) and return the count so far."""
        try:
            for _ in range(CHUNKS_PER_LOOK):
                lines = self.tail.read()
                self.trades += lines.count(TRADE)
                if not lines:
                    self.behind = False
                    return self.trades
        except TailBroken:  # a bridge that starts again cuts a torn row off: count anew
            self.tail.close()
            self.tail, self.trades = Tailer(self.tail.path), 0
        self.behind = True
        return self.trades


@dataclass(slots=True)
class TickAudit:
    """Follow the files of one trade date after the other."""

    now_s: Callable[[], float]
    _folder: Path | None = None
    _counters: dict[str, _Counter] = field(default_factory=dict)
    _differences: deque[tuple[float, int]] = field(default_factory=deque)

    def look(self, day: DayPaths) -> TickCount | None:
        """Return the count of ``day`` as of now; None while the day has no raw record."""
        if day.folder != self._folder:
            self.close()
            self._folder = day.folder
            paths = {"market": day.market, "rejected": day.rejected_ticks, "ticks": day.ticks}
            self._counters = {name: _Counter(Tailer(path)) for name, path in paths.items()}
        taped, quarantined, delivered = (self._counters[name].look() for name in ("market", "rejected", "ticks"))
        if not day.ticks.exists():
            return None
        counting = any(counter.behind for counter in self._counters.values())
        now_s = self.now_s()
        self._differences.append((now_s, delivered - taped - quarantined))
        while len(self._differences) > 1 and self._differences[1][0] <= now_s - SETTLE_S:
            self._differences.popleft()
        differences = [difference for _, difference in self._differences]
        missing = min(differences, key=abs)
        return TickCount(delivered, taped, quarantined, missing, counting)

    def close(self) -> None:
        """Close the files."""
        for counter in self._counters.values():
            counter.tail.close()
        self._counters = {}
        self._differences.clear()
