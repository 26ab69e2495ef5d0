"""Run the bridge: one loop that beats, keeps the connection, and says how it is once a second.

A closed port, a dropped session or a slow gateway is never the end: the keeper tries again with capped exponential
back-off and jitter, and the stats file says so. The end is a stop request, a configuration nobody can run with, or a
capture that cannot write.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final, NoReturn

from live.market import Instrument
from pj.channels.files import WriteFailed
from pj.channels.rundir import RunDir
from pj.channels.stats import BEAT_EVERY_S, StatsWriter, read_stats
from pj.clock import Clock
from pj.config import Settings
from pj.ibkr.account import AccountRecorder
from pj.ibkr.capture import Capture
from pj.ibkr.errors import GatewayError, Misconfigured, UnknownContract
from pj.ibkr.feed_watch import FeedWatch
from pj.ibkr.liveness import SHIPPED, Patience
from pj.ibkr.order_desk import OrderDesk
from pj.ibkr.session import Session

STEADY_S: Final = 10.0
LEAVE_S: Final = 1.5
DRAIN_S: Final = 1.2
CONTRACT_TRIES: Final = 3
PROCESS: Final = "bridge"
log = logging.getLogger("pj.bridge")


class Bridge:
    """Tie capture, account recorder and sessions together; ``run`` returns when asked to stop."""

    def __init__(
        self,
        settings: Settings,
        run: RunDir,
        instrument: Instrument,
        clock: Clock,
        instance: str,
        patience: Patience = SHIPPED,
    ) -> None:
        """Open today's files; raises Locked when another bridge holds them, WriteFailed, TapeDamaged."""
        self._settings = settings
        self._run = run
        self._instrument = instrument
        self._capture = Capture(run, instrument, clock)
        self._recorder = AccountRecorder(run, instrument, self._capture.pace.stamp, settings.ibkr.account)
        before = read_stats(run.state(PROCESS))
        probing_s = 3 * (settings.ibkr.probe_s + settings.ibkr.probe_timeout_s)
        self._feed_watch = FeedWatch(
            self._capture,
            run,
            replace(patience, deaf_s=max(patience.deaf_s, probing_s)),
            before.gauge("restarts_asked", 0) if before else 0,
        )
        self._desk: OrderDesk | None = None
        if settings.execution.route == "ibkr":
            max_qty = settings.params().max_qty
            self._desk = OrderDesk(settings, run, instrument, clock, self._recorder, max_qty)
        self._stats = StatsWriter(run.state(PROCESS), PROCESS, instance)
        self._session: Session | None = None
        self._stop = asyncio.Event()
        self._news = asyncio.Event()
        self._phase = "STARTING"
        self._problem = ""
        self._contract = ""
        self._sessions = 0

    def stop(self) -> None:
        """Ask the bridge to end gracefully; call it inside its loop."""
        self._stop.set()

    async def run(self) -> None:
        """Live until ``stop``.

        Raises Misconfigured, FeedDead when only a new process can help, or WriteFailed and the like when capturing
        cannot go on.
        """
        tasks = [asyncio.ensure_future(self._keep_connected()), asyncio.ensure_future(self._beat())]
        if self._desk is not None:
            tasks.append(asyncio.ensure_future(self._desk.run()))
        try:
            while not self._stop.is_set():
                self._say(self._phase)
                for task in tasks:
                    if task.done():
                        task.result()
                await self._pause(tasks)
            await self._leave()
        finally:
            self._phase = "STOPPING"
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._close()

    async def _leave(self) -> None:
        """Read and write what is on its way, then go; after LEAVE_S go anyway."""
        self._phase = "STOPPING"
        if self._session is None:
            return
        try:
            async with asyncio.timeout(LEAVE_S):
                drained = await self._session.leave(DRAIN_S)
        except (TimeoutError, ConnectionError) as error:
            log.warning("LEFT_IN_HASTE error=%r", str(error))
            return
        if not drained:
            log.warning("LEFT_IN_HASTE error=%r", "the gateway did not answer; ticks on their way may be lost")

    async def _pause(self, tasks: Sequence[asyncio.Task[NoReturn]]) -> None:
        """Wait for the next beat of the stats, a stop, the end of a task, or a session's first data: that is news."""
        waits = [asyncio.ensure_future(event.wait()) for event in (self._stop, self._news)]
        until: set[asyncio.Task[Any]] = {*waits, *tasks}
        wait_s = self._stats.due_in_s() or BEAT_EVERY_S  # due at once only when the last beat could not be written
        await asyncio.wait(until, timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
        self._news.clear()
        for wait in waits:
            wait.cancel()

    async def _beat(self) -> NoReturn:
        while True:
            await asyncio.sleep(self._capture.pace.wait_s())
            self._capture.beat()
            self._recorder.flush()

    async def _keep_connected(self) -> NoReturn:
        delay_s = self._settings.ibkr.backoff_min_s
        unknown = 0
        while True:
            self._phase = "RECOVERING" if self._sessions else "CONNECTING"
            parts = (self._capture, self._recorder, self._feed_watch, self._news, self._desk)
            session = Session(self._settings, self._run, self._instrument, *parts)
            self._session = session
            began_s = time.monotonic()
            try:
                await session.run()
            except UnknownContract as error:
                unknown += 1
                if not self._sessions and unknown >= CONTRACT_TRIES:
                    raise Misconfigured(str(error)) from error
                self._problem = str(error)
            except GatewayError as error:
                self._problem = str(error)
            if session.established:
                self._sessions += 1
                unknown = 0
                if time.monotonic() - began_s >= STEADY_S:
                    delay_s = self._settings.ibkr.backoff_min_s
            wait_s = delay_s * random.uniform(0.8, 1.2)  # noqa: S311 - jitter is no secret
            delay_s = min(self._settings.ibkr.backoff_max_s, max(0.1, delay_s * 2))
            self._phase = "RECOVERING" if self._sessions else "CONNECTING"
            log.warning("NOT_CONNECTED retry_s=%.2f problem=%r", wait_s, self._problem)
            self._recorder.flush()
            await asyncio.sleep(wait_s)

    def _close(self) -> None:
        try:
            self._recorder.close()
        finally:
            self._capture.close()
            if self._desk is not None:
                self._desk.close()
        self._say("STOPPING")

    # -- gauges --------------------------------------------------------------------------------------

    def _say(self, phase: str) -> None:
        self._feed_watch.look_idle()
        session = self._session
        connected = (
            session is not None and session.established and session.client is not None and session.client.connected
        )
        if connected and phase != "STOPPING":
            phase, self._problem = "RECOVERING" if self._capture.market.hole_open else "RUNNING", ""
        try:
            self._stats.beat(phase, **self._gauges(connected=connected))
        except WriteFailed as error:  # the rows matter more; silence in the stats is the Sentinel's to judge
            log.error("STATS_FAILED error=%r", str(error))  # noqa: TRY400 - one sentence

    def _gauges(self, *, connected: bool) -> dict[str, Any]:
        capture, session = self._capture, self._session
        feed = capture.feed
        if session is not None and session.contract is not None:
            self._contract = session.contract.local_symbol
        contract = self._contract
        client = session.client if session is not None else None
        return {
            "run_ns": capture.pace.last_ns,
            "connected": connected,
            "feed_live": capture.live,
            "library": client.library if client else "",
            "server_version": client.server_version if client and connected else 0,
            "contract": contract,
            "ticks_received": feed.counts.messages,
            "ticks_taped": feed.counts.trades,
            "quotes": feed.counts.quotes,
            "volume": feed.counts.volume,
            "heartbeats": capture.heartbeats,
            "rejected": dict(capture.rejected),
            "gaps": capture.gaps,
            "reconnects": self._sessions if connected else max(0, self._sessions - 1),
            **self._feed_watch.gauges(),
            "last_tick_ns": capture.last_trade_ns,
            "last_data_ns": capture.last_data_ns,
            "last_tick_mono_ns": capture.last_data_mono_ns,
            "last_price": feed.last_trade,
            "bid": feed.bid,
            "ask": feed.ask,
            **self._lag(),
            "bytes": client.traffic() if client and connected else 0,
            "market_data_type": feed.market_data_type,
            "position": self._recorder.positions.get(contract, 0),
            "positions": {name: qty for name, qty in self._recorder.positions.items() if qty},
            "account": dict(self._recorder.values),
            "broker_events": self._recorder.rows,
            "history_bars": session.history_bars if session else 0,
            "server_offset_s": session.server_offset_s if session else 0,
            "clock_backward_ms": capture.pace.backward_ns // 1_000_000,
            "notice": session.last_notice if session else "",
            "problem": self._problem,
            "disk_error": capture.write_error or self._recorder.write_error,
            "mended": capture.mended,
            **(self._desk.gauges() if self._desk is not None else {}),
        }

    def _lag(self) -> dict[str, float]:
        """Return real ms: a read's rows from decoding to the write that shows them; edge rows behind their edge."""
        lags, edges = sorted(self._capture.lags_ns), sorted(self._capture.edges_late_ns)
        return {
            "lag_ms_p50": _quantile_ms(lags, 50),
            "lag_ms_p99": _quantile_ms(lags, 99),
            "edge_ms_p50": _quantile_ms(edges, 50),
            "edge_ms_p95": _quantile_ms(edges, 95),
        }


def _quantile_ms(ordered_ns: list[int], percent: int) -> float:
    if not ordered_ns:
        return 0.0
    return round(ordered_ns[min(len(ordered_ns) - 1, len(ordered_ns) * percent // 100)] / 1e6, 3)
