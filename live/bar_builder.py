"""Build 1-minute bars from tape rows, closed by the clock and never by a trade (pj1 S7).

A row belongs to the minute of its ``recv_ns``. Minute M = [start, end) closes when the clock has passed ``end`` AND a
row stamped at or past ``end`` has been read: rows have one writer and are in order, so by then every tick of M has been
read, whatever the scheduler did. A silent bridge is given a grace of real time; what comes after it is late.

What a minute becomes:

| in the minute | becomes |
|---|---|
| TRADE rows | a bar; h/l/c from trades only, size 0 moves the price and not the volume |
| rows, none of them a TRADE | a heartbeat bar at the close of the bar before (none before the first bar) |
| no row, no GAP over it (the clock jumped) | the same, and ``ClockJumped`` says so |
| no row, under a GAP or closed by grace | nothing: it is missing, not invented |
| begun before the first row of the tape | nothing: it is partial |

``degraded`` marks a bar that may lack ticks: touched by a GAP, closed by grace, or holding two contracts.

The shell reads rows from the file, then the clock, and hands both in (``on_ticks(rows, now_ns)``): a clock read before
the rows would find rows "in the future" that are not. Only when all rows are read may the grace run (``on_clock`` with
``mono_ns``). A rebuild from the tape alone gives no clock; rows then close minutes by themselves, and bars that were
closed before (bars.csv) are given to ``resume``, so that none is closed twice or differently.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from live.market import NS_PER_MIN, NS_PER_S, Bar, ClosedBy, Tick, TickKind

GRACE_NS: Final = 1 * NS_PER_S
FUTURE_NS: Final = 2 * NS_PER_S
MAX_JUMP_MIN: Final = 1440
_NEVER: Final = 1 << 62


class Refusal(StrEnum):
    """Say why a tick is in no bar."""

    LATE = "LATE"
    FUTURE = "FUTURE"
    NO_PRICE = "NO_PRICE"


@dataclass(frozen=True, slots=True)
class TickRefused:
    """Hand back a row for the quarantine file; ``minute_ns`` is the minute it was stamped in."""

    tick: Tick
    reason: Refusal
    minute_ns: int


@dataclass(frozen=True, slots=True)
class ClockJumped:
    """Report minutes without any row and without a GAP: the stamps jumped over them.

    ``from_ns`` = start of the first such minute, ``to_ns`` = stamp of the row that told. ``minutes`` is how many; up to
    a day of them become heartbeat bars. Entries must wait (STALE).
    """

    from_ns: int
    to_ns: int
    minutes: int


Output = Bar | TickRefused | ClockJumped


class BarBuilder:
    """Turn rows and clock into bars; one builder follows one instrument through any number of tapes.

    Counters: ``trades`` in bars, ``late``, ``future``. ``edge_ns`` is the edge that the open minute waits for (0 before
    the first row).
    """

    __slots__ = (
        "_clock_ns",
        "_close",
        "_closed_ticks",
        "_contract",
        "_covered_ns",
        "_degraded",
        "_edges",
        "_end",
        "_fast_end",
        "_grace_ns",
        "_high",
        "_hurt",
        "_last_close",
        "_last_ts",
        "_low",
        "_mixed",
        "_next_edge",
        "_open",
        "_resumed_from",
        "_seen",
        "_seq",
        "_start",
        "_ticks",
        "_volume",
        "_waiting",
        "future",
        "late",
        "trades",
    )

    def __init__(self, *, grace_ns: int = GRACE_NS) -> None:
        self.trades = 0
        self.late = 0
        self.future = 0
        self._grace_ns = grace_ns
        self._clock_ns: int | None = None
        self._start = self._end = self._fast_end = 0
        self._covered_ns: int | None = None
        self._contract = ""
        self._last_close: int | None = None
        self._last_ts = -1
        self._seq = 0
        self._resumed_from = _NEVER
        self._closed_ticks: dict[int, int] = {}
        self._waiting: deque[Tick] = deque()
        self._edges: deque[tuple[int, int]] = deque()
        self._next_edge = 0
        self._hurt: set[int] = set()
        self._open = self._high = self._low = self._close = self._volume = self._ticks = 0
        self._seen = self._degraded = self._mixed = False

    @property
    def edge_ns(self) -> int:
        """Return the end of the open minute, ns; 0 before the first row."""
        return self._end

    @property
    def late_share(self) -> float:
        """Return late ticks as a share of all trades (alarm above 0.001, pj1 S7)."""
        return self.late / max(1, self.late + self.trades)

    def resume(self, bars: Iterable[Bar]) -> None:
        """Take bars that are already closed and recorded; call it before the first row.

        Their rows are then skipped when the tape is read again, except that a recorded bar's surplus trades were late
        and are handed out as such once more. A HISTORY bar takes all rows of its minute. Raises ValueError when the
        bars are not strictly increasing or rows were already read.
        """
        if self._covered_ns is not None:
            raise ValueError("resume comes before the first row")
        for bar in bars:
            if bar.ts_ns <= self._last_ts:
                raise ValueError(f"bar {bar.seq} of {bar.ts_ns} does not come after the bar of {self._last_ts}")
            self._resumed_from = min(self._resumed_from, bar.ts_ns)
            self._closed_ticks[bar.ts_ns] = _NEVER if bar.closed_by is ClosedBy.HISTORY else bar.ticks
            self._last_ts, self._last_close, self._seq = bar.ts_ns, bar.close_ticks, bar.seq
            self._contract = bar.contract

    def on_tick(self, tick: Tick) -> list[Output]:
        """Take one row and return what it closed or why it was refused."""
        return self.on_ticks((tick,))

    def on_ticks(self, ticks: Iterable[Tick], now_ns: int | None = None) -> list[Output]:
        """Take rows in order and return what they closed and which were refused, in order.

        ``now_ns`` = the run's time, read after the rows were read; None leaves the clock as it is.
        """
        out: list[Output] = [] if now_ns is None else self.on_clock(now_ns)
        count, place = self._count, self._place
        for tick in ticks:
            if self._start <= tick.recv_ns < self._fast_end:
                count(tick, out)
            else:
                place(tick, out)
        return out

    def distrust(self, ns: int) -> None:
        """Mark the minute of ``ns`` as degraded, should it still close: a row of it could not be read."""
        self._hurt.add(_minute(ns))

    def on_clock(self, now_ns: int, mono_ns: int | None = None) -> list[Output]:
        """Take the run's time and, for the grace, real monotonic time; call it after all rows are read.

        The grace of an edge runs from the first call that finds the clock past it.
        """
        self._clock_ns = now_ns
        out: list[Output] = []
        waiting, self._waiting = self._waiting, deque()
        self._limit()
        for tick in waiting:
            self._accept(tick, out)
        if mono_ns is not None and self._end:
            self._run_grace(now_ns, mono_ns, out)
        return out

    def on_grace(self, edge_ns: int) -> list[Output]:
        """Close every minute that ends at or before ``edge_ns`` without waiting for its edge row."""
        out: list[Output] = []
        if self._covered_ns is None:
            return out
        if edge_ns - self._end > MAX_JUMP_MIN * NS_PER_MIN:
            self._close_minute(ClosedBy.GRACE, out)
            self._open_minute(edge_ns)
        while self._end <= edge_ns:
            self._close_minute(ClosedBy.GRACE, out)
            self._open_minute(self._end)
        return out

    def _count(self, tick: Tick, out: list[Output]) -> None:
        """Count a row of the open minute."""
        if tick.kind is TickKind.TRADE:
            price = tick.price_ticks
            if price is None:
                out.append(TickRefused(tick, Refusal.NO_PRICE, self._start))
                return
            if not self._ticks:
                self._open = self._high = self._low = price
            elif price > self._high:
                self._high = price
            elif price < self._low:
                self._low = price
            self._close = price
            self._volume += tick.size
            if tick.contract != self._contract:
                self._mixed = self._ticks > 0
                self._contract = tick.contract
            self._ticks += 1
            self.trades += 1
            self._seen = True
        elif tick.kind is not TickKind.GAP:
            self._seen = True
        elif tick.recv_ns > self._start:  # a hole that ends on the edge touches only the minutes before it
            self._degraded = True

    def _place(self, tick: Tick, out: list[Output]) -> None:
        """Take a row that does not simply belong to the open minute."""
        if self._clock_ns is not None and tick.recv_ns > self._clock_ns + FUTURE_NS:
            self.future += 1
            self.distrust(tick.recv_ns)
            out.append(TickRefused(tick, Refusal.FUTURE, _minute(tick.recv_ns)))
            return
        if self._covered_ns is None:
            self._begin(tick.recv_ns)
        self._accept(tick, out)

    def _accept(self, tick: Tick, out: list[Output]) -> None:
        """Let a row wait for the clock, refuse it as late, or close minutes up to its own and count it there."""
        recv_ns = tick.recv_ns
        if self._waiting or (recv_ns >= self._end and self._clock_ns is not None and self._clock_ns < self._end):
            self._waiting.append(tick)  # the clock has not passed the edge yet: the next buffer
            self._fast_end = 0
            return
        if recv_ns < self._start:
            self._old_row(tick, out)
            return
        if recv_ns >= self._end:
            from_ns = recv_ns
            if tick.kind is TickKind.GAP and tick.exch_ns is not None:
                from_ns = min(tick.exch_ns, recv_ns)
                self._degraded = self._degraded or from_ns < self._end
            self._advance(recv_ns, from_ns, out)
        self._count(tick, out)

    def _begin(self, recv_ns: int) -> None:
        """Open the minute of the very first row, or the one after the recorded bars."""
        self._covered_ns = recv_ns
        after_recorded = self._last_ts + NS_PER_MIN if self._last_ts >= 0 else 0
        self._open_minute(max(_minute(recv_ns), after_recorded))

    def _old_row(self, tick: Tick, out: list[Output]) -> None:
        """Skip a row whose bar is recorded; hand out a late trade."""
        if tick.kind is not TickKind.TRADE:
            return
        minute_ns = _minute(tick.recv_ns)
        left = self._closed_ticks.get(minute_ns, 0)
        if left > 0:
            self._closed_ticks[minute_ns] = left - 1
        elif self._resumed_from == _NEVER or minute_ns >= self._resumed_from:
            self.late += 1
            out.append(TickRefused(tick, Refusal.LATE, minute_ns))

    def _advance(self, recv_ns: int, gap_from_ns: int, out: list[Output]) -> None:
        """Close the open minute and settle the ones without rows up to the minute of ``recv_ns``."""
        self._close_minute(ClosedBy.EDGE, out)
        target = _minute(recv_ns)
        missing_from = min(target, max(self._end, _minute(gap_from_ns)))
        skipped = (missing_from - self._end) // NS_PER_MIN
        if skipped:
            out.append(ClockJumped(self._end, recv_ns, skipped))
            if skipped <= MAX_JUMP_MIN:
                for ts_ns in range(self._end, missing_from, NS_PER_MIN):
                    self._open_minute(ts_ns)
                    self._close_minute(ClosedBy.EDGE, out)
        self._open_minute(target)

    def _open_minute(self, start_ns: int) -> None:
        self._start = start_ns
        self._end = start_ns + NS_PER_MIN
        self._ticks = self._volume = self._open = self._high = self._low = self._close = 0
        self._seen = self._degraded = self._mixed = False
        self._limit()

    def _limit(self) -> None:
        """Set how far rows may go the short way: within the open minute, not in the future, nothing waiting."""
        if self._waiting:
            self._fast_end = 0
        elif self._clock_ns is None:
            self._fast_end = self._end
        else:
            self._fast_end = min(self._end, self._clock_ns + FUTURE_NS + 1)

    def _close_minute(self, closed_by: ClosedBy, out: list[Output]) -> None:
        """Append the bar of the open minute to ``out``, if it becomes one (table at the top)."""
        if self._covered_ns is None or self._start < self._covered_ns or self._start <= self._last_ts:
            return  # nothing read yet, partial, or already recorded
        silent = closed_by is ClosedBy.GRACE
        doubtful = self._degraded or self._mixed or silent or self._start in self._hurt
        if not self._ticks:
            if self._last_close is None or (not self._seen and (silent or self._degraded)):
                return
            self._open = self._high = self._low = self._close = self._last_close
        self._seq += 1
        still = self._volume == 0 and self._open == self._high == self._low == self._close == self._last_close
        bar = Bar(
            ts_ns=self._start,
            open_ticks=self._open,
            high_ticks=self._high,
            low_ticks=self._low,
            close_ticks=self._close,
            volume=self._volume,
            contract=self._contract,
            seq=self._seq,
            ticks=self._ticks,
            heartbeat=still,
            degraded=doubtful,
            closed_by=closed_by,
        )
        self._last_ts, self._last_close = bar.ts_ns, bar.close_ticks
        self._hurt.discard(bar.ts_ns)
        out.append(bar)

    def _run_grace(self, now_ns: int, mono_ns: int, out: list[Output]) -> None:
        """Note when each edge was first found passed, and close by grace what has waited long enough."""
        edges = self._edges
        while edges and (edges[0][0] <= self._start or edges[-1][0] > now_ns):
            if edges[-1][0] > now_ns:  # the clock stepped back before the edge
                self._next_edge = edges.pop()[0]
            else:
                edges.popleft()
        edge_ns = max(self._next_edge, self._end, _minute(now_ns) - MAX_JUMP_MIN * NS_PER_MIN)
        while edge_ns <= now_ns:
            edges.append((edge_ns, mono_ns))
            edge_ns += NS_PER_MIN
        self._next_edge = edge_ns
        while edges and mono_ns - edges[0][1] >= self._grace_ns:
            out.extend(self.on_grace(edges.popleft()[0]))


def _minute(ns: int) -> int:
    """Return the start of the minute that ``ns`` lies in."""
    return ns - ns % NS_PER_MIN
