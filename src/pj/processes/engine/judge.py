"""Say whether the outside world allows an entry now (pj1 S6: KILL apart, the live part of STALE and its kin).

The answer is one word, the refusal's name; empty allows. Whatever cannot be read forbids: a missing
schedule, a bridge that does not beat, a data type that is not live.
"""

from __future__ import annotations

import time
from typing import Final

from pj.calendar import CalendarError, Sessions
from pj.channels.rundir import RunDir
from pj.channels.stats import Stats, read_stats
from pj.clock import Clock
from pj.config import Settings

BRIDGE_READ_S: Final = 0.5
SESSIONS_READ_S: Final = 30.0
CLOCK_OFFSET_MS: Final = 2000.0
LIVE_DATA: Final = 1


class EntryJudge:
    """Keep what the judgement rests on; ``reason`` is cheap enough for every bar."""

    def __init__(self, settings: Settings, run_dir: RunDir, clock: Clock) -> None:
        """Start with everything unknown, which forbids."""
        self.last_tick_ns = 0
        self.recovering = True
        self.doubt = ""
        self._settings = settings.engine
        self._run_dir = run_dir
        self._clock = clock
        self._bridge: Stats | None = None
        self._bridge_read_at = 0.0
        self._sessions: Sessions | None = None
        self._sessions_read_at = 0.0
        self.calendar_trouble = ""

    @property
    def bridge(self) -> Stats | None:
        """Return the bridge's stats as last read (at most BRIDGE_READ_S old)."""
        return self._bridge

    def early_flats(self) -> dict[int, int]:
        """Return when early-closing dates must be flat, as far as the schedule reaches; empty without one."""
        self.refresh()
        return self._sessions.early_flats() if self._sessions else {}

    def refresh(self) -> None:
        """Read the small files again when they are due; called by the main loop, never on a tick's path."""
        now = time.monotonic()
        if now - self._bridge_read_at >= BRIDGE_READ_S:
            self._bridge_read_at = now
            self._bridge = read_stats(self._run_dir.state("bridge"))
        wanted = SESSIONS_READ_S if self._sessions else 1.0
        if now - self._sessions_read_at >= wanted:
            self._sessions_read_at = now
            try:
                self._sessions, self.calendar_trouble = Sessions.load(self._run_dir.session_file), ""
            except CalendarError as error:
                self._sessions, self.calendar_trouble = None, str(error)

    def reason(self, now_ns: int) -> str:
        """Return why no entry may be taken at run time ``now_ns``, empty when one may."""
        if self.recovering:
            return "RECOVERING"
        return self._stale(now_ns) or self.calendar_refusal(now_ns) or self.doubt

    def calendar_refusal(self, now_ns: int) -> str:
        """Return CALENDAR or CALENDAR_HORIZON, empty when the market is open and not about to halt; thread-safe."""
        sessions = self._sessions
        if sessions is None:
            return "CALENDAR"
        return sessions.entry_refusal(now_ns, self._settings.last_minute_s)

    def tick_age_s(self, now_ns: int) -> float:
        """Return the real seconds since the last trade or quote was stamped."""
        return max(0, now_ns - self.last_tick_ns) / 1e9 / self._clock.speed

    def _stale(self, now_ns: int) -> str:
        bridge = self._bridge
        if self.tick_age_s(now_ns) > self._settings.stale_tick_s:
            return "STALE"
        if bridge is None or bridge.age_s() > self._settings.stale_bridge_s:
            return "STALE"
        if abs(bridge.gauge("clock_offset_ms", 0.0)) > CLOCK_OFFSET_MS:
            return "STALE"
        return "" if bridge.gauge("market_data_type", 0) == LIVE_DATA else "DELAYED_DATA"
