"""Watch the feed's four clocks for a living bridge: read the counters and the calendar, say what is to be done.

Called by the session's own loop each ``WATCH_S``; what it decides (``pj.ibkr.liveness``) the session does. It lives as
long as the process, because the ladder climbs over a reconnect.
"""

from __future__ import annotations

import logging
import time
from typing import Any, Final

from pj.calendar import CalendarError, Sessions
from pj.channels.rundir import RunDir
from pj.channels.tape import GapReason
from pj.ibkr import liveness
from pj.ibkr.capture import Capture
from pj.ibkr.client import GatewayClient
from pj.ibkr.liveness import Awake, Counts, Expect, Flow, Ladder, Market, Patience, Pulse, Rung, Verdict

CALENDAR_EVERY_S: Final = 5.0
_AGES: Final = "socket_s=%.1f probe_s=%.1f trades_s=%.1f quotes_s=%.1f flush_s=%.1f"
RUNG_LINE: Final = f"FEED_RUNG deed=%s reason=%s market=%s {_AGES}"
FRESH_LINE: Final = f"FEED_FRESH verdict=%s was=%s seconds=%.1f {_AGES}"
log = logging.getLogger("pj.bridge")


class FeedWatch:
    """Hold clocks, verdict and ladder; ``look`` returns the deed that is due."""

    def __init__(self, capture: Capture, run: RunDir, patience: Patience, restarts_asked: int = 0) -> None:
        """Start on the lowest rung; ``restarts_asked`` = restarts in a row that earlier lives asked for in vain."""
        self.verdict = Verdict.UNSUBSCRIBED
        self.market = Market.UNKNOWN
        self.ladder = Ladder()
        self.resubscribed = 0
        self.restarts_asked = restarts_asked
        self._announced = False
        self._refused = False
        self._capture = capture
        self._patience = patience
        self._calendar = _Calendar(run)
        self._awake = Awake()
        self._pulse = Pulse()
        self._flows = (Flow.LIVE, Flow.LIVE)
        self._began_ns = capture.pace.last_ns
        self._began_flow = (0, 0)
        self._probes_before = 0

    @property
    def due(self) -> bool:
        """Return whether the calendar says that data must come."""
        return liveness.EXPECT[self.market] is Expect.DUE

    @property
    def dead(self) -> tuple[bool, bool]:
        """Return whether (trades, quotes) are what is to be subscribed anew."""
        trades, quotes = (flow is not Flow.LIVE for flow in self._flows)
        return (trades, quotes) if trades or quotes else (True, True)

    def connected(self, client: GatewayClient) -> None:
        """Begin with a new connection: it has just answered and subscribed.

        On a rung of the ladder nothing is excused: only data, or a probe's answer, leads down again.
        """
        self._probes_before = self._pulse.counts.probe
        now_s = self._tick(client)
        self._pulse.touch("socket")
        self._announced = self._refused = False
        self._mark_flow()
        if self.ladder.rung is Rung.FRESH:
            self._pulse.touch("probe")
            self._pulse.excuse()
        self.ladder = self.ladder.begun(now_s)

    def announced(self) -> None:
        """Note that the gateway itself said that data is lost: it is given longer until data comes again."""
        self._announced = True
        self._mark_flow()

    def refused(self) -> None:
        """Note that the gateway refused a subscription: no reconnect mends that."""
        self._refused = True
        self._mark_flow()

    def look(self, client: GatewayClient) -> Rung | None:
        """Judge the clocks; name the hole, log each rung once and return what the session must do."""
        now_s = self._tick(client)
        self.market = liveness.market_at(self._calendar.sessions(), self._capture.pace.last_ns)
        if liveness.EXPECT[self.market] is Expect.NOT_DUE or self._capture.pace.last_ns == self._began_ns:
            self._pulse.excuse()
        self._flows = self._pulse.flows(self.market, self._patience)
        clocks = self._pulse.clocks()
        self.verdict = liveness.judge(self.market, self._flows, clocks, self._patience, refused=self._refused)
        self._name_the_hole()
        proof = self.verdict is not Verdict.TRADES_DEAD or self._pulse.fresh_proof
        before = self.ladder
        self.ladder, deed = before.climb(
            self.verdict,
            now_s,
            self._patience,
            long=self._announced or self.market is Market.RESET,
            proof=proof,
            vain=self.restarts_asked,
        )
        if deed is not None:
            self._note(deed)
        elif before.rung is not Rung.FRESH and self.ladder.rung is Rung.FRESH:
            log.info(
                FRESH_LINE,
                self.verdict,
                before.rung,
                now_s - before.since_s,
                *self._pulse.clocks().gauges().values(),
            )
        return deed

    def left(self) -> None:
        """Note that there is no subscription any more."""
        self.verdict = Verdict.UNSUBSCRIBED

    def why(self) -> str:
        """Return verdict and ages for the operator's sentence."""
        ages = " ".join(f"{name}={age:.1f}" for name, age in self._pulse.clocks().gauges().items())
        return f"{self.verdict} market={self.market} {ages}"

    def gauges(self) -> dict[str, Any]:
        """Return what the stats file says of the feed."""
        return {
            "clocks": self._pulse.clocks().gauges(),
            "feed_verdict": self.verdict.value,
            "market": self.market.value,
            "ladder": self.ladder.rung.value,
            "resubscribed": self.resubscribed,
            "restarts_asked": self.restarts_asked,
        }

    def look_idle(self) -> None:
        """Let the clocks run on while there is no session."""
        self._tick(None)

    def _tick(self, client: GatewayClient | None) -> float:
        now_s = self._awake.look(time.monotonic_ns())
        capture, before = self._capture, self._pulse.counts
        self._pulse.look(
            Counts(
                client.traffic() if client else before.socket,
                self._probes_before + client.probes_heard if client else before.probe,
                capture.heard_trades,
                capture.heard_quotes,
                capture.flushes,
                capture.heard_lasts,
            ),
            now_s,
        )
        came = (capture.heard_trades > self._began_flow[0], capture.heard_quotes > self._began_flow[1])
        self._announced = self._announced and not any(came)
        if all(came):
            self._refused = False
            self.restarts_asked = 0
        return now_s

    def _mark_flow(self) -> None:
        self._began_flow = (self._capture.heard_trades, self._capture.heard_quotes)

    def _name_the_hole(self) -> None:
        """Open the hole from the last data of what is dead; dead quotes beside living trades leave the bars whole."""
        capture = self._capture
        missed = self._flows[0] is Flow.MISSED and self.verdict is not Verdict.MARKET_CLOSED  # proof needs no calendar
        if missed and not capture.awaits_trades:
            capture.suspect(GapReason.FEED, capture.last_trade_ns, until_trades=True)
        elif self.verdict is Verdict.FEED_DEAD and not capture.awaits_trades:
            capture.suspect(GapReason.FEED, capture.last_data_ns, until_trades=True)
        elif self._unsure and self._flows[1] is Flow.SILENT and capture.live and capture.silence_is_a_hole():
            capture.suspect(GapReason.FEED, capture.last_data_ns)

    @property
    def _unsure(self) -> bool:
        return self.verdict in {Verdict.CALENDAR_UNKNOWN, Verdict.REFUSED}

    def _note(self, deed: Rung) -> None:
        self._pulse.fresh_proof = False
        if deed is Rung.RESUBSCRIBE:
            self.resubscribed += 1
        elif deed is Rung.RESTART:
            self.restarts_asked += 1
        ages = self._pulse.clocks().gauges().values()
        log.warning(RUNG_LINE, deed, self.verdict, self.market, *ages)


class _Calendar:
    """Keep the session file read; one that cannot be read is said once and makes the market UNKNOWN."""

    def __init__(self, run: RunDir) -> None:
        """Read it at the first question."""
        self._path = run.session_file
        self._sessions: Sessions | None = None
        self._stamp: tuple[int, int] | None = None
        self._next_ns = 0
        self._problem = ""

    def sessions(self) -> Sessions | None:
        """Return the schedule, read again when the file has changed; None when there is none to trust."""
        now_ns = time.monotonic_ns()
        if now_ns >= self._next_ns:
            self._next_ns = now_ns + int(CALENDAR_EVERY_S * 1e9)
            self._refresh()
        return self._sessions

    def _refresh(self) -> None:
        try:
            found = self._path.stat()
            stamp = (found.st_mtime_ns, found.st_size)
            if stamp == self._stamp:
                return
            self._sessions, self._stamp, problem = Sessions.load(self._path), stamp, ""
        except FileNotFoundError:
            self._sessions, self._stamp = None, None
            problem = f"{self._path.name} is not there"
        except (OSError, CalendarError) as error:
            self._sessions, self._stamp, problem = None, None, str(error)
        if problem and problem != self._problem:
            log.warning("CALENDAR_UNKNOWN problem=%r effect=%r", problem, "a silent feed is only subscribed anew")
        self._problem = problem
