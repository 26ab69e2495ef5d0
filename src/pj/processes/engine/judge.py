"""Say whether the outside world allows an entry now (pj1 S6: KILL apart, the live part of STALE and its kin).

The answer is one word, the refusal's name; empty allows. Whatever cannot be read forbids: a missing
schedule, a bridge that does not beat, a data type that is not live.
"""

from __future__ import annotations

import time
from typing import Final

from live.trading_day import MINUTES_PER_DAY, minute_of_day, trade_date
from pj.calendar import CalendarError, Sessions
from pj.channels.rundir import RunDir
from pj.channels.stats import Stats, read_stats
from pj.clock import Clock
from pj.config import Settings
from pj.contracts import days_to_roll

BRIDGE_READ_S: Final = 0.5
SESSIONS_READ_S: Final = 30.0
CLOCK_OFFSET_S: Final = 2.0
LIVE_DATA: Final = 1


class EntryJudge:
    """Keep what the judgement rests on; ``reason`` is cheap enough for every bar."""

    def __init__(self, settings: Settings, run_dir: RunDir, clock: Clock) -> None:
        """Start with everything unknown, which forbids."""
        self.last_tick_ns = 0
        self.recovering = True
        self.doubt = ""
        self.contract = ""
        self.windows: tuple[tuple[int, int], ...] = ((0, MINUTES_PER_DAY),)
        self._paper = settings.execution.route == "paper"
        self._settings = settings.engine
        self._run_dir = run_dir
        self._clock = clock
        self._bridge: Stats | None = None
        self._bridge_read_at = 0.0
        self._first_beat: tuple[str, int] | None = None
        self._sessions: Sessions | None = None
        self._sessions_read_at = 0.0
        self.calendar_trouble = ""

    @property
    def bridge(self) -> Stats | None:
        """Return the bridge's stats as last read (at most BRIDGE_READ_S old)."""
        return self._bridge

    @property
    def bridge_lives(self) -> bool:
        """Return whether a bridge that beats says that it has read the account: one beat since we began, none too old.

        The last word of a dead bridge looks as fresh as a living one's for STALE seconds.
        """
        bridge = self._bridge
        if bridge is None or (bridge.instance, bridge.beat_seq) == self._first_beat:
            return False
        return bridge.age_s() <= self._settings.stale_bridge_s and bridge.gauge("connected", default=False)

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
            if self._first_beat is None:
                self._first_beat = ("", 0) if self._bridge is None else (self._bridge.instance, self._bridge.beat_seq)
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
        return self._stale(now_ns) or self._closed(now_ns) or self.roll_refusal(now_ns) or self.doubt

    def _closed(self, now_ns: int) -> str:
        """Return the calendar's refusal where the strategy's own windows would let an entry pass.

        Outside them the gate refuses by SESSION, as it does in a backtest, which knows no calendar.
        """
        minute = minute_of_day(now_ns)
        inside = any(start <= minute < end for start, end in self.windows)
        return self.calendar_refusal(now_ns) if inside else ""

    def roll_refusal(self, now_ns: int) -> str:
        """Return ROLL from the contract's roll date on: nothing new is opened in a dying contract with real money.

        Paper goes on, because its day equals the backtest of the same bars (docs/adr/0001).
        """
        if self._paper or not self.contract:
            return ""
        return "ROLL" if days_to_roll(self.contract, trade_date(now_ns)) <= 0 else ""

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
        # Whole seconds of run time: what the gateway's clock says less what ours says.
        if abs(bridge.gauge("server_offset_s", 0.0)) / self._clock.speed > CLOCK_OFFSET_S:
            return "STALE"
        kind = bridge.gauge("market_data_type", 0)
        if kind == LIVE_DATA:
            return ""
        return "DELAYED_DATA" if kind else "STALE"  # 0: the gateway has not said yet
