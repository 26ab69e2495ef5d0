"""Put what the decoder delivers on the two tapes, with beats, edges and holes in between, losing nothing.

All of it runs synchronously inside the client's read callback or a timer of the same loop, so rows stand in the
order of arrival. One TCP read becomes one write per file: quarantine first, then the raw record, then the causal
channel, so that nothing an engine has seen is missing from the record (``mend`` finishes a batch cut short).
"""

from __future__ import annotations

import logging
import time
from collections import Counter, deque
from typing import Final

from live.market import NS_PER_S, Instrument, TickKind
from live.trading_day import is_trading_minute
from pj.channels.csvlog import CsvLog
from pj.channels.daytape import DayTape
from pj.channels.files import WriteFailed
from pj.channels.formats import REJECTED_COLUMNS
from pj.channels.rundir import DayPaths, RunDir
from pj.channels.tape import GapReason, last_stamp
from pj.clock import Clock
from pj.ibkr.beats import Pacemaker
from pj.ibkr.errors import Misconfigured
from pj.ibkr.feed import LAST_TYPE, TICK_BY_TICK, TICK_PRICE, Feed, Reason, Row
from pj.ibkr.mend import mend

DATA_MESSAGES: Final = frozenset({"1", "2", "99"})
ERROR_MESSAGE: Final = "4"
MAX_PENDING: Final = 1_000_000
SAMPLES: Final = 4096
CLOCK_SLACK_S: Final = 60.0
log = logging.getLogger("pj.bridge")


class Capture:
    """Own the tapes, the feed's judgement and the beat of one bridge process."""

    def __init__(self, run: RunDir, instrument: Instrument, clock: Clock) -> None:
        """Open today's tapes.

        Raises Locked when another bridge writes them, WriteFailed, TapeDamaged, and Misconfigured when the folder
        holds rows from after now.
        """
        self.pace = Pacemaker(clock)
        self.feed = Feed(instrument)
        now_ns = self.pace.stamp()
        _refuse_a_past_clock(run.day_at(now_ns), now_ns)
        self.mended = mend(run.day_at(now_ns), instrument)
        self.raw = DayTape(run, now_ns, raw=True)
        try:
            self.market = DayTape(run, now_ns)
        except BaseException:
            self.raw.close()
            raise
        self.live = False
        self.gaps = 0
        self.heartbeats = 0
        self.rejected: Counter[str] = Counter()
        self.write_error = ""
        self.last_data_ns = 0
        self.last_data_mono_ns = 0
        self.last_trade_ns = 0
        self.heard_trades = 0
        self.heard_quotes = 0
        self.heard_lasts = 0
        self.flushes = 0
        self.awaits_trades = False
        self.lags_ns: deque[int] = deque(maxlen=SAMPLES)
        self.edges_late_ns: deque[int] = deque(maxlen=SAMPLES)
        self._speed = clock.speed
        self._beating = self.market.writer.existed or self.market.last_recv_ns > 0
        self._waiting_since_ns: int | None = None
        self._pending_rejects: list[tuple[Row, Reason]] = []
        self._quarantine: CsvLog | None = None
        self._last_shown: tuple[str, ...] = ()
        self._batch_began_ns = 0
        if self._beating:
            self.gaps += 1
            self._open_hole(now_ns, GapReason.RESTART)

    # -- the feed's life ---------------------------------------------------------------------------

    def subscribed(self, contract: str, quotes_id: int, trades_id: int) -> None:
        """Note a new subscription; the feed counts as live from its first data."""
        self._last_shown = ()
        self.feed.subscribed(contract, quotes_id, trades_id)
        self._waiting_since_ns = time.monotonic_ns()

    def suspect(self, why: GapReason, since_ns: int = 0, *, until_trades: bool = False) -> None:
        """Open a hole from ``since_ns`` (0: the last row) on: nothing is known until data, or a trade, comes again.

        One that began before the last row is told at once: a successor of this process, should it die before the next
        edge, can only tell what is missing since the last row.
        """
        self.awaits_trades = self.awaits_trades or until_trades
        if not self.market.hole_open and self._beating:
            self.gaps += 1
            self._open_hole(since_ns or self.market.last_recv_ns, why)
            if since_ns:
                self._tell_hole()
        self.live = False
        self._waiting_since_ns = None if why is GapReason.DISCONNECT else time.monotonic_ns()

    def go_live(self, stamp_ns: int) -> None:
        """Close the hole, if one is open, and beat from here on."""
        self.live = True
        self.awaits_trades = False
        self._waiting_since_ns = None
        if not self._beating:
            self._beating = True
            self.pace.begin(stamp_ns)
            if not self._cross(stamp_ns):
                self._beat(stamp_ns)
        self.market.close_hole(stamp_ns)
        self.raw.close_hole(stamp_ns)

    @property
    def waited_s(self) -> float:
        """Return the real seconds since the subscription whose first data is still awaited; 0 when live."""
        since_ns = self._waiting_since_ns
        return 0.0 if since_ns is None else (time.monotonic_ns() - since_ns) / NS_PER_S

    @property
    def silent_s(self) -> float:
        """Return the real seconds since the last data of the current subscription (0 before the first)."""
        return (time.monotonic_ns() - self.last_data_mono_ns) / NS_PER_S if self.last_data_mono_ns else 0.0

    def _open_hole(self, from_ns: int, why: GapReason) -> None:
        self.market.open_hole(from_ns, why)
        self.raw.open_hole(from_ns, why)

    def _tell_hole(self) -> None:
        stamp_ns = self.pace.stamp()
        self._cross(stamp_ns)
        self.market.tell_hole(stamp_ns)
        self.raw.tell_hole(stamp_ns)

    # -- what comes in -----------------------------------------------------------------------------

    def on_message(self, fields: list[str]) -> bool:
        """Tap of every market-data message: record and judge it; True = consumed, the library need not see it."""
        self.take(fields)
        return True

    def on_error_message(self, fields: list[str]) -> bool:
        """Tap of error and notice messages: record them, and let the library see them."""
        self.take(fields)
        return False

    def take(self, fields: list[str]) -> None:
        """Stamp one message, write the edges it lies behind, then its rows."""
        if not self._batch_began_ns:
            self._batch_began_ns = time.monotonic_ns()
            self._wake()
        stamp_ns = self.pace.stamp()
        if stamp_ns >= self.pace.edge_ns:
            self._cross(stamp_ns)
        if fields[0] in DATA_MESSAGES:
            self._hear(fields, stamp_ns)
        seen = self.feed.take(fields, stamp_ns)
        self.raw.add(*seen.raw)
        if seen.market is not None:
            self.market.add(*seen.market)
            if seen.market.kind is TickKind.TRADE:
                self.last_trade_ns = stamp_ns
        if seen.rejected:
            self._reject(seen.rejected)

    def _hear(self, fields: list[str], stamp_ns: int) -> None:
        """Count data of our subscriptions apart; the first of it, or the trade that a hole waits for, is life."""
        is_trade = fields[0] == TICK_BY_TICK
        if not self.feed.owns(fields[1 if is_trade else 2]):
            return
        self.last_data_ns, self.last_data_mono_ns = stamp_ns, self._batch_began_ns
        if is_trade:
            self.heard_trades += 1
        else:
            self.heard_quotes += 1
            if fields[0] == TICK_PRICE and fields[3] == LAST_TYPE:
                shown = tuple(fields[4:6])
                self.heard_lasts += bool(self._last_shown) and shown != self._last_shown
                self._last_shown = shown
        if not self.live and (is_trade or not self.awaits_trades):
            self.go_live(stamp_ns)

    def on_batch(self) -> None:
        """Write what one TCP read brought."""
        if self._batch_began_ns:
            self.flush()
            self.lags_ns.append(time.monotonic_ns() - self._batch_began_ns)
            self._batch_began_ns = 0

    def beat(self) -> None:
        """Timer: write the edge and the beat that are owed, and give up a quote that nobody answered."""
        self._wake()
        stamp_ns = self.pace.stamp()
        self._cross(stamp_ns)
        if self.pace.beat_owed(stamp_ns):
            if self._beating:
                self._beat(stamp_ns)
            settled = self.feed.settle()
            if settled is not None:
                self._reject((settled,))
        self.flush()

    # -- rows of our own ---------------------------------------------------------------------------

    def _wake(self) -> None:
        since_ns = self.pace.woke()
        if since_ns is None or not self._beating:
            return
        now_ns = self.pace.stamp()
        log.warning("STALL from_ns=%d to_ns=%d", since_ns, now_ns)
        if not self.market.hole_open:
            self.gaps += 1
            self.pace.crossed(now_ns)
            self.market.gap(since_ns, now_ns, GapReason.STALL)
            self.raw.gap(since_ns, now_ns, GapReason.STALL)

    def _cross(self, stamp_ns: int) -> bool:
        edge_ns = self.pace.edge_ns
        if not self.pace.crossed(stamp_ns) or not self._beating:
            return False
        self.edges_late_ns.append(int((stamp_ns - edge_ns) / self._speed))
        self.heartbeats += self.market.cross_edges(stamp_ns)
        return True

    def _beat(self, stamp_ns: int) -> None:
        self.market.heartbeat(stamp_ns)
        self.heartbeats += 1

    def _reject(self, rows: tuple[tuple[Row, Reason], ...]) -> None:
        self._pending_rejects.extend(rows)
        self.rejected.update(str(reason) for _, reason in rows)

    # -- disk --------------------------------------------------------------------------------------

    def flush(self) -> None:
        """Write pending rows, one write per file; what a full disk refuses stays pending and is tried again.

        Raises WriteFailed when more rows wait than memory should hold.
        """
        try:
            self._flush_rejects()
            self.raw.flush()
            self.market.flush()
        except WriteFailed as error:
            if not self.write_error:
                log.error("WRITE_FAILED error=%r", str(error))  # noqa: TRY400 - one sentence
            self.write_error = str(error)
            if self.raw.pending + self.market.pending > MAX_PENDING:
                raise
            return
        self.flushes += 1
        if self.write_error:
            log.info("WRITE_RECOVERED")
            self.write_error = ""

    def _flush_rejects(self) -> None:
        if not self._pending_rejects:
            return
        path = self.raw.day.rejected_ticks
        if self._quarantine is None or self._quarantine.path != path:
            if self._quarantine is not None:
                self._quarantine.close()
            self._quarantine = CsvLog(path, REJECTED_COLUMNS)
        self._quarantine.append(*(_rejected_row(row, reason) for row, reason in self._pending_rejects))
        self._pending_rejects.clear()

    def close(self) -> None:
        """Write the rest and give the files back."""
        settled = self.feed.settle()
        if settled is not None:
            self._reject((settled,))
        try:
            self._flush_rejects()
        finally:
            self.raw.close()
            self.market.close()
            if self._quarantine is not None:
                self._quarantine.close()

    def silence_is_a_hole(self) -> bool:
        """Tell whether silence since the last data lies inside one trading day, when this market is never silent."""
        now_ns = self.pace.last_ns
        return self.last_data_ns > 0 and is_trading_minute(self.last_data_ns) and is_trading_minute(now_ns)


def _refuse_a_past_clock(day: DayPaths, now_ns: int) -> None:
    """Refuse a folder written under a later clock: every stamp would be clamped to its last row."""
    for path in (day.ticks, day.market):
        ahead_s = (last_stamp(path) - now_ns) / NS_PER_S if path.exists() else 0
        if ahead_s > CLOCK_SLACK_S:
            raise Misconfigured(
                f"{path} ends {ahead_s:.0f} s after the run's clock; set the clock right, or run_dir to another folder"
            )


def _rejected_row(row: Row, reason: Reason) -> dict[str, str]:
    return {
        "recv_ns": str(row.recv_ns),
        "reason": reason.value,
        "kind": row.kind.value,
        "price": row.price,
        "size": row.size,
        "bid": row.bid,
        "ask": row.ask,
        "exch_ns": "" if row.exch_ns is None else str(row.exch_ns),
        "source": row.source,
        "contract": row.contract,
        "raw": row.raw,
    }
