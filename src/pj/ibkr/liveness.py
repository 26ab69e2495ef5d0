"""Judge whether the feed lives, on four clocks, and say what to do about it: resubscribe, reconnect, restart.

Pure: counters and times in, verdict and deed out. The clocks are ages in real seconds of the bridge's own waking time
(``Awake``): a machine that slept or a process that was stopped finds its clocks where it left them.

* socket: bytes of any kind arrived (account updates keep it young: it proves the wire, never the feed);
* probe: the gateway answered a question;
* trades, quotes: data of that one subscription, judged by the exchange calendar;
* flush: the tape had nothing left to write.

Thresholds, from what the market does when it is well. Longest time between two seconds with a trade, MNQ, six days of
October 2025: 35 s by day (three above 10 s among 133,406), 31 s by night (one above 30 s among 125,301); NQ on a
Sunday evening 26 s. Longest time without a change at the top of the book, ES, on Christmas evening 2023, the thinnest
session there is: 10 s. So quotes silent for 15 s by day (also the pause that IB wants between two tick-by-tick
requests) or 30 s by night are dead. Trades silent beside living quotes prove nothing for 60 s by day and 120 s by
night, and little after (a trading halt looks the same): one is subscribed anew, no more. A trade subscription is known
to be dead when the quotes tell of trades (LAST changes) that it did not bring. An early-closing day is a night. From
00:15 to 01:45 ET the gateway's own servers are reset and feeds stop for minutes (reference/tws.md section 1): there,
and after a loss that the gateway itself announced, the ladder waits longer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from live.market import NS_PER_S
from live.trading_day import minute_of_day
from pj.calendar import Sessions

#: One look adds at most this much to the waking time, however long ago the last one was.
LOOK_MAX_S: Final = 1.0
#: LAST follows its trade by one snapshot; within this time of a trade it tells nothing new.
LAST_SLACK_S: Final = 2.0
MISSED_MIN: Final = 3
DAY_FROM_M, DAY_TO_M = 930, 1320  # 09:30 to 16:00 ET
RESET_FROM_M, RESET_TO_M = 375, 465  # 00:15 to 01:45 ET


class Market(StrEnum):
    """Name the phase of the trading day, by the calendar."""

    DAY = "DAY"
    NIGHT = "NIGHT"
    RESET = "RESET"
    CLOSED = "CLOSED"
    UNKNOWN = "UNKNOWN"


class Expect(StrEnum):
    """Say whether data must come."""

    DUE = "DUE"
    NOT_DUE = "NOT_DUE"
    UNKNOWN = "UNKNOWN"


class Flow(StrEnum):
    """Say how one subscription is: data young enough, too old, or (trades) known to be missing."""

    LIVE = "LIVE"
    SILENT = "SILENT"
    MISSED = "MISSED"


class Verdict(StrEnum):
    """Name what is dead."""

    UNSUBSCRIBED = "UNSUBSCRIBED"
    FRESH = "FRESH"
    MARKET_CLOSED = "MARKET_CLOSED"
    CALENDAR_UNKNOWN = "CALENDAR_UNKNOWN"
    TRADES_QUIET = "TRADES_QUIET"
    TRADES_DEAD = "TRADES_DEAD"
    QUOTES_DEAD = "QUOTES_DEAD"
    FEED_DEAD = "FEED_DEAD"
    REFUSED = "REFUSED"
    GATEWAY_DEAF = "GATEWAY_DEAF"
    UNWRITTEN = "UNWRITTEN"


class Rung(StrEnum):
    """Name the steps of the ladder, lowest first."""

    FRESH = "FRESH"
    RESUBSCRIBE = "RESUBSCRIBE"
    RECONNECT = "RECONNECT"
    RESTART = "RESTART"


EXPECT: Final[Mapping[Market, Expect]] = {
    Market.DAY: Expect.DUE,
    Market.NIGHT: Expect.DUE,
    Market.RESET: Expect.DUE,
    Market.CLOSED: Expect.NOT_DUE,
    Market.UNKNOWN: Expect.UNKNOWN,
}

#: (must data come, trades, quotes) to what is dead.
TABLE: Final[Mapping[tuple[Expect, Flow, Flow], Verdict]] = {
    (Expect.DUE, Flow.LIVE, Flow.LIVE): Verdict.FRESH,
    (Expect.DUE, Flow.SILENT, Flow.LIVE): Verdict.TRADES_QUIET,
    (Expect.DUE, Flow.MISSED, Flow.LIVE): Verdict.TRADES_DEAD,
    (Expect.DUE, Flow.LIVE, Flow.SILENT): Verdict.QUOTES_DEAD,
    (Expect.DUE, Flow.SILENT, Flow.SILENT): Verdict.FEED_DEAD,
    (Expect.DUE, Flow.MISSED, Flow.SILENT): Verdict.FEED_DEAD,
    (Expect.NOT_DUE, Flow.LIVE, Flow.LIVE): Verdict.MARKET_CLOSED,
    (Expect.NOT_DUE, Flow.SILENT, Flow.LIVE): Verdict.MARKET_CLOSED,
    (Expect.NOT_DUE, Flow.MISSED, Flow.LIVE): Verdict.MARKET_CLOSED,
    (Expect.NOT_DUE, Flow.LIVE, Flow.SILENT): Verdict.MARKET_CLOSED,
    (Expect.NOT_DUE, Flow.SILENT, Flow.SILENT): Verdict.MARKET_CLOSED,
    (Expect.NOT_DUE, Flow.MISSED, Flow.SILENT): Verdict.MARKET_CLOSED,
    (Expect.UNKNOWN, Flow.LIVE, Flow.LIVE): Verdict.FRESH,
    (Expect.UNKNOWN, Flow.SILENT, Flow.LIVE): Verdict.CALENDAR_UNKNOWN,
    (Expect.UNKNOWN, Flow.MISSED, Flow.LIVE): Verdict.CALENDAR_UNKNOWN,
    (Expect.UNKNOWN, Flow.LIVE, Flow.SILENT): Verdict.CALENDAR_UNKNOWN,
    (Expect.UNKNOWN, Flow.SILENT, Flow.SILENT): Verdict.CALENDAR_UNKNOWN,
    (Expect.UNKNOWN, Flow.MISSED, Flow.SILENT): Verdict.CALENDAR_UNKNOWN,
}

#: How far each verdict may climb. What the gateway refuses, or nobody knows to be due, no restart mends; a gateway
#: that answers no question would not answer a new subscription either, and our own process is not its cure.
CAP: Final[Mapping[Verdict, Rung]] = {
    Verdict.UNSUBSCRIBED: Rung.FRESH,
    Verdict.FRESH: Rung.FRESH,
    Verdict.MARKET_CLOSED: Rung.FRESH,
    Verdict.UNWRITTEN: Rung.FRESH,
    Verdict.CALENDAR_UNKNOWN: Rung.RESUBSCRIBE,
    Verdict.TRADES_QUIET: Rung.RESUBSCRIBE,
    Verdict.REFUSED: Rung.RESUBSCRIBE,
    Verdict.GATEWAY_DEAF: Rung.RECONNECT,
    Verdict.TRADES_DEAD: Rung.RESTART,
    Verdict.QUOTES_DEAD: Rung.RESTART,
    Verdict.FEED_DEAD: Rung.RESTART,
}

#: (where we stand, how far the verdict may climb) to the next rung, once the rung's wait is over.
LADDER: Final[Mapping[tuple[Rung, Rung], Rung]] = {
    (Rung.FRESH, Rung.FRESH): Rung.FRESH,
    (Rung.RESUBSCRIBE, Rung.FRESH): Rung.FRESH,
    (Rung.RECONNECT, Rung.FRESH): Rung.FRESH,
    (Rung.RESTART, Rung.FRESH): Rung.FRESH,
    (Rung.FRESH, Rung.RESUBSCRIBE): Rung.RESUBSCRIBE,
    (Rung.RESUBSCRIBE, Rung.RESUBSCRIBE): Rung.RESUBSCRIBE,
    (Rung.RECONNECT, Rung.RESUBSCRIBE): Rung.RECONNECT,
    (Rung.RESTART, Rung.RESUBSCRIBE): Rung.RESTART,
    (Rung.FRESH, Rung.RECONNECT): Rung.RECONNECT,
    (Rung.RESUBSCRIBE, Rung.RECONNECT): Rung.RECONNECT,
    (Rung.RECONNECT, Rung.RECONNECT): Rung.RECONNECT,
    (Rung.RESTART, Rung.RECONNECT): Rung.RESTART,
    (Rung.FRESH, Rung.RESTART): Rung.RESUBSCRIBE,
    (Rung.RESUBSCRIBE, Rung.RESTART): Rung.RECONNECT,
    (Rung.RECONNECT, Rung.RESTART): Rung.RESTART,
    (Rung.RESTART, Rung.RESTART): Rung.RESTART,
}


@dataclass(frozen=True, slots=True)
class Patience:
    """Hold every wait, real seconds; ``repeat`` widens by doubling up to ``repeat_max_s``."""

    quotes_day_s: float = 15.0
    quotes_night_s: float = 30.0
    trades_day_s: float = 60.0
    trades_night_s: float = 120.0
    missed_s: float = 15.0
    deaf_s: float = 30.0
    flush_s: float = 5.0
    resubscribed_s: float = 20.0
    reconnected_s: float = 30.0
    long_s: float = 240.0
    reconnected_max_s: float = 900.0
    repeat_s: float = 30.0
    repeat_max_s: float = 300.0

    def silent_after_s(self, market: Market) -> tuple[float, float]:
        """Return after how many seconds trades and quotes count as silent."""
        if market is Market.DAY:
            return self.trades_day_s, self.quotes_day_s
        return self.trades_night_s, self.quotes_night_s

    def rung_s(self, rung: Rung, *, long: bool, vain: int) -> float:
        """Return how long to stay on a rung; ``vain`` = restarts in a row that brought no data, each doubles."""
        if rung is Rung.FRESH:
            return 0.0
        usual = self.resubscribed_s if rung is Rung.RESUBSCRIBE else self.reconnected_s
        wait_s = max(usual, self.long_s) if long else usual
        return wait_s if rung is Rung.RESUBSCRIBE else min(self.reconnected_max_s, wait_s * 2 ** min(vain, 16))


SHIPPED: Final = Patience()


def market_at(sessions: Sessions | None, ns: int) -> Market:
    """Return the phase of the trading day at ``ns`` (UTC); UNKNOWN without a schedule or beyond it."""
    if sessions is None or not sessions.covers(ns):
        return Market.UNKNOWN
    session = sessions.session_at(ns)
    if session is None:
        return Market.CLOSED
    minute = minute_of_day(ns)
    if RESET_FROM_M <= minute < RESET_TO_M:
        return Market.RESET
    return Market.DAY if DAY_FROM_M <= minute < DAY_TO_M and not session.early else Market.NIGHT


@dataclass(slots=True)
class Awake:
    """Count the seconds during which this loop came round; sleep of machine or process adds LOOK_MAX_S at most."""

    now_s: float = 0.0
    _last_ns: int | None = None

    def look(self, mono_ns: int) -> float:
        """Take one look at real monotonic ``mono_ns`` and return the waking time so far."""
        if self._last_ns is not None:
            self.now_s += min(LOOK_MAX_S, max(0, mono_ns - self._last_ns) / NS_PER_S)
        self._last_ns = mono_ns
        return self.now_s


@dataclass(frozen=True, slots=True)
class Counts:
    """Carry counters that only move when something lives; ``lasts`` = changes of LAST beside the trades."""

    socket: int = 0
    probe: int = 0
    trades: int = 0
    quotes: int = 0
    flush: int = 0
    lasts: int = 0


@dataclass(frozen=True, slots=True)
class Clocks:
    """Hold the ages, in waking seconds."""

    socket_s: float = 0.0
    probe_s: float = 0.0
    trades_s: float = 0.0
    quotes_s: float = 0.0
    flush_s: float = 0.0

    def gauges(self) -> dict[str, float]:
        """Return the ages for the stats file."""
        names = ("socket_s", "probe_s", "trades_s", "quotes_s", "flush_s")
        return {name: round(getattr(self, name), 2) for name in names}


@dataclass(slots=True)
class Pulse:
    """Turn moving counters into ages, and LAST changes without a trade into proof that trades are missed."""

    counts: Counts = field(default_factory=Counts)
    missed: int = 0
    fresh_proof: bool = False
    _moved_s: dict[str, float] = field(default_factory=dict)
    _judged_from_s: float = 0.0
    _missed_from_s: float = 0.0
    _now_s: float = 0.0

    def look(self, counts: Counts, now_s: float) -> None:
        """Take the counters of this moment."""
        before, self.counts, self._now_s = self.counts, counts, now_s
        for name in ("socket", "probe", "trades", "quotes", "flush"):
            if getattr(counts, name) != getattr(before, name):
                self._moved_s[name] = now_s
        if counts.trades != before.trades:
            self.missed, self.fresh_proof = 0, False
        elif counts.lasts > before.lasts and self._age_s("trades") > LAST_SLACK_S:
            if not self.missed:
                self._missed_from_s = now_s
            self.missed += counts.lasts - before.lasts
            self.fresh_proof = True

    def touch(self, *names: str) -> None:
        """Let the named clocks begin anew (a new connection has answered and carried bytes)."""
        self._moved_s |= dict.fromkeys(names, self._now_s)

    def excuse(self) -> None:
        """Count silence from now: before, no data was due."""
        self._judged_from_s = self._now_s
        self.missed, self.fresh_proof = 0, False

    def clocks(self) -> Clocks:
        """Return the ages."""
        return Clocks(*(self._age_s(name) for name in ("socket", "probe", "trades", "quotes", "flush")))

    def flows(self, market: Market, patience: Patience) -> tuple[Flow, Flow]:
        """Return how trades and quotes are."""
        trades_s, quotes_s = patience.silent_after_s(market)
        quotes = Flow.SILENT if self._silence_s("quotes") >= quotes_s else Flow.LIVE
        if self.missed >= MISSED_MIN and self._now_s - self._missed_from_s >= patience.missed_s:
            return Flow.MISSED, quotes
        # Quotes that fell silent leave no witness: then the trades are judged by the quotes' shorter measure.
        limit_s = quotes_s if quotes is Flow.SILENT else trades_s
        return (Flow.SILENT if self._silence_s("trades") >= limit_s else Flow.LIVE), quotes

    def _age_s(self, name: str) -> float:
        return self._now_s - self._moved_s.get(name, 0.0)

    def _silence_s(self, name: str) -> float:
        return self._now_s - max(self._moved_s.get(name, 0.0), self._judged_from_s)


def judge(
    market: Market, flows: tuple[Flow, Flow], clocks: Clocks, patience: Patience, *, refused: bool = False
) -> Verdict:
    """Return what is dead. ``refused``: the gateway said itself that it will not serve a subscription."""
    verdict = TABLE[EXPECT[market], *flows]
    if clocks.probe_s >= patience.deaf_s:
        return Verdict.GATEWAY_DEAF
    if CAP[verdict] is not Rung.FRESH:
        return Verdict.REFUSED if refused else verdict
    return Verdict.UNWRITTEN if clocks.flush_s >= patience.flush_s else verdict


@dataclass(frozen=True, slots=True)
class Ladder:
    """Say on which rung we stand, since when (waking seconds), and when to ask anew while we wait."""

    rung: Rung = Rung.FRESH
    since_s: float = 0.0
    asked_s: float = 0.0
    repeats: int = 0

    def climb(
        self,
        verdict: Verdict,
        now_s: float,
        patience: Patience,
        *,
        long: bool = False,
        proof: bool = True,
        vain: int = 0,
    ) -> tuple[Ladder, Rung | None]:
        """Return the ladder after this look and the deed it asks for, None = only wait.

        ``long``: wait longer (server reset, announced loss). ``proof``: the verdict has been borne out since the last
        deed; without it nobody climbs. ``vain``: restarts in a row that brought no data.
        """
        cap = CAP[verdict]
        goal = LADDER[self.rung, cap]
        if goal is Rung.FRESH:
            return (self if self.rung is Rung.FRESH else Ladder(since_s=now_s)), None
        if goal is not self.rung:
            over = now_s - self.since_s >= patience.rung_s(self.rung, long=long, vain=vain)
            if self.rung is Rung.FRESH or (proof and over):
                return Ladder(goal, now_s, now_s), goal
        again_s = min(patience.repeat_max_s, patience.repeat_s * 2 ** min(self.repeats, 16))
        if self.rung is Rung.RESTART or cap is Rung.RECONNECT or now_s - self.asked_s < again_s:
            return self, None
        return replace(self, asked_s=now_s, repeats=self.repeats + 1), Rung.RESUBSCRIBE

    def begun(self, now_s: float) -> Ladder:
        """Return the ladder with this rung's wait counted from now: a new connection has subscribed."""
        return replace(self, since_s=now_s, asked_s=now_s, repeats=0)
