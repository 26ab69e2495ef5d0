"""Write one kind of tape through the trade dates: the file changes at 18:00 ET, the row order does not.

The edge row of 18:00:00 is the first row of the new day's file; it closes the last minute of the old one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from live.market import NS_PER_MIN, NS_PER_S, TickKind
from live.trading_day import trade_date
from pj.channels.appender import DEFAULT_LOCK_WAIT_S
from pj.channels.files import WriteFailed
from pj.channels.rundir import DayPaths, RunDir
from pj.channels.tape import MAX_EDGES, TapeWriter, open_tape

_HOUR_NS: Final = 3600 * NS_PER_S


class DayTape:
    """Append to today's live_ticks.csv (``raw``) or live_market_data.csv, turning to the next day's by the stamps.

    On opening, the time since the last row of the latest tape is named by a GAP row (RESTART). ``rows_total`` and
    ``clamped_total`` count over all days of this object. Raises what ``TapeWriter`` raises.
    """

    def __init__(
        self, run_dir: RunDir, now_ns: int, *, raw: bool = False, lock_wait_s: float = DEFAULT_LOCK_WAIT_S
    ) -> None:
        self.run_dir = run_dir
        self._raw = raw
        self._wait_s = lock_wait_s
        self._rows_before = 0
        self._clamped_before = 0
        self.day: DayPaths = run_dir.day_at(now_ns)
        self._turn_ns = next_turn(now_ns)
        self._turn_due_ns: int | None = None
        self._turn_error: WriteFailed | None = None
        self.writer = open_tape(
            self._path(self.day),
            run_dir.instrument,
            now_ns,
            raw=raw,
            previous=self._latest_before(self.day),
            lock_wait_s=lock_wait_s,
        )
        self._rows_at_start = self.writer.rows
        self.torn = self.writer.torn

    @property
    def rows_total(self) -> int:
        """Return how many rows this object has added (its opening GAP row not counted)."""
        return self._rows_before + self.writer.rows - self._rows_at_start

    @property
    def clamped_total(self) -> int:
        """Return how many stamps would have gone backwards."""
        return self._clamped_before + self.writer.clamped

    @property
    def last_recv_ns(self) -> int:
        """Return the stamp of the last row."""
        return self.writer.last_recv_ns

    @property
    def pending(self) -> int:
        """Return how many rows wait for ``flush``."""
        return self.writer.pending

    @property
    def hole_open(self) -> bool:
        """Return whether a hole is open."""
        return self.writer.hole_open

    def add(
        self,
        recv_ns: int,
        kind: TickKind,
        price: str = "",
        size: str | int = "",
        bid: str = "",
        ask: str = "",
        exch_ns: int | None = None,
        source: str = "",
        contract: str = "",
        msg_id: str | int = "",
        raw: str = "",
    ) -> int:
        """Buffer one row as ``TapeWriter.add`` does, in the file of its trade date; return its seq there."""
        if recv_ns >= self._turn_ns:
            self._turn(recv_ns)
        return self.writer.add(recv_ns, kind, price, size, bid, ask, exch_ns, source, contract, msg_id, raw)

    def heartbeat(self, recv_ns: int, source: str = "") -> int:
        """Buffer a HEARTBEAT repeating the last price, bid and ask; return its seq."""
        if recv_ns >= self._turn_ns:
            self._turn(recv_ns)
        return self.writer.heartbeat(recv_ns, source)

    def cross_edges(self, now_ns: int, source: str = "") -> int:
        """Buffer the HEARTBEAT of every minute edge up to ``now_ns``; call it before any row stamped ``now_ns``."""
        count = 0
        if now_ns - self._turn_ns < MAX_EDGES * NS_PER_MIN:  # after a longer jump only the last day gets its edges
            while now_ns >= self._turn_ns:
                count += self.writer.cross_edges(self._turn_ns - 1, source)
                self._turn(self._turn_ns)
        elif now_ns >= self._turn_ns:
            self._turn(now_ns)
        return count + self.writer.cross_edges(now_ns, source)

    def gap(self, from_ns: int, to_ns: int, why: str) -> int:
        """Buffer a GAP row: nothing is known of (``from_ns``, ``to_ns``]; return its seq."""
        if to_ns >= self._turn_ns:
            self._turn(to_ns)
        return self.writer.gap(from_ns, to_ns, why)

    def open_hole(self, from_ns: int, why: str) -> None:
        """Note that nothing is known from ``from_ns`` on; GAP rows follow at each minute edge and at ``close_hole``."""
        self.writer.open_hole(from_ns, why)

    def tell_hole(self, now_ns: int) -> None:
        """Buffer the GAP row of the open hole as far as it has come; it stays open from there."""
        if now_ns >= self._turn_ns:
            self._turn(now_ns)
        self.writer.tell_hole(now_ns)

    def close_hole(self, now_ns: int) -> None:
        """Buffer the GAP row that ends the open hole; nothing when none is open."""
        if now_ns >= self._turn_ns:
            self._turn(now_ns)
        self.writer.close_hole(now_ns)

    def flush(self) -> int:
        """Write all pending rows with one write; raise WriteFailed (they then stay pending).

        A turn of the day that the disk refused is tried again and its error raised; until it works rows go on in the
        old day's file, where nothing is lost.
        """
        count = self.writer.flush()
        if self._turn_due_ns is not None:
            self._turn(self._turn_due_ns)
            if self._turn_error is not None:
                raise self._turn_error
        return count

    def sync(self) -> None:
        """Return when all flushed rows are on the disk itself."""
        self.writer.sync()

    def close(self) -> None:
        """Flush, sync and give the file back."""
        self.writer.close()

    def _turn(self, recv_ns: int) -> None:
        """Go on in the file of the day of ``recv_ns``; when the disk refuses, stay and let ``flush`` tell."""
        old = self.writer
        day = self.run_dir.day_at(recv_ns)
        try:
            old.flush()  # a reader leaves the old file as soon as the new one exists
            new = TapeWriter(self._path(day), self.run_dir.instrument, raw=self._raw, lock_wait_s=self._wait_s)
        except WriteFailed as error:
            self._turn_due_ns, self._turn_error = recv_ns, error
            self._turn_ns = next_turn(recv_ns)
            return
        self._turn_due_ns = self._turn_error = None
        new.continue_from(old)
        self._rows_before = self.rows_total
        self._clamped_before = self.clamped_total
        self.writer, self.day = new, day
        self._rows_at_start = new.rows
        self._turn_ns = next_turn(recv_ns)
        old.close()

    def _path(self, day: DayPaths) -> Path:
        return day.ticks if self._raw else day.market

    def _latest_before(self, day: DayPaths) -> Path | None:
        for earlier in reversed(self.run_dir.days()):
            path = self._path(self.run_dir.day(earlier))
            if earlier < day.trade_date and path.exists():
                return path
        return None


def next_turn(ns: int) -> int:
    """Return the first ns of the trade date after that of ``ns``: the next 18:00 ET, a whole UTC hour."""
    day = trade_date(ns)
    hour_ns = (ns // _HOUR_NS + 1) * _HOUR_NS
    while trade_date(hour_ns) == day:
        hour_ns += _HOUR_NS
    return hour_ns
