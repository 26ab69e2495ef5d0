"""Write and read tapes: one row per market-data message, in order of arrival, one writer, nothing ever rewritten.

Rules (DESIGN, tape rows): header first; one ``write`` per batch of whole rows; ``seq`` contiguous from 1 per file;
``recv_ns`` never goes backwards; readers ignore a tail without newline; a writer that restarts cuts a torn tail,
continues ``seq`` and writes a GAP row naming the hole.

A GAP row says that nothing is known of (``exch_ns``, ``recv_ns``]: ``exch_ns`` = from, ``recv_ns`` = to, ``source`` =
why. While a hole is open (feed lost, process alive) the writer still writes its 1 Hz HEARTBEAT rows, and puts one GAP
row before each minute edge, so that a minute never closes as whole although the feed was down in it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from live.market import NS_PER_MIN, Instrument, Tick, TickKind
from pj.channels import formats
from pj.channels.appender import DEFAULT_LOCK_WAIT_S, AppendFile, FormatMismatch, read_range
from pj.channels.formats import BadCell, PriceText

MAX_EDGES: Final = 1440
_KINDS: Final = {kind.value: kind for kind in TickKind}
_RESUME_BYTES: Final = 1 << 18


class GapReason(StrEnum):
    """Say why a tape has a hole."""

    DISCONNECT = "DISCONNECT"
    RESTART = "RESTART"
    STALL = "STALL"
    FEED = "FEED"


class TapeDamaged(ValueError):
    """Report a tape whose end cannot be understood, so that its numbering cannot go on."""


@dataclass(frozen=True, slots=True)
class BadRow:
    """Name one tape line that was not understood, for the quarantine file; ``text`` is the line as it stands."""

    text: str
    reason: str

    @property
    def recv_ns(self) -> int | None:
        """Return the row's stamp if that much can be read (for ``BarBuilder.distrust``)."""
        cells = self.text.split(",", 2)
        return int(cells[1]) if len(cells) == 3 and cells[1].isascii() and cells[1].isdigit() else None


class TapeWriter:
    """Append rows to one tape of one trade date; rows are buffered until ``flush`` writes them with one write.

    ``raw=True`` is live_ticks.csv (with ``msg_id`` and ``raw``), else live_market_data.csv. Counters: ``rows`` written
    or pending in this file, ``clamped`` stamps that would have gone backwards, ``torn`` bytes cut at the start.
    Raises Locked, FormatMismatch, TapeDamaged on opening and WriteFailed on flushing.
    """

    def __init__(
        self, path: Path, instrument: Instrument, *, raw: bool = False, lock_wait_s: float = DEFAULT_LOCK_WAIT_S
    ) -> None:
        columns = formats.RAW_TAPE_COLUMNS if raw else formats.TAPE_COLUMNS
        self.path = path
        self.prices = PriceText(instrument)
        self.clamped = 0
        self.seq = 0
        self.last_recv_ns = 0
        self._raw = raw
        self._pending: list[str] = []
        self._last = ("", "", "", "")  # price, bid, ask, contract: what a heartbeat repeats
        self._hole: tuple[int, str] | None = None
        self._file = AppendFile(path, formats.header(columns), lock_wait_s)
        self.torn = self._file.torn
        if self._file.existed:
            try:
                self._resume()
            except BaseException:
                self._file.close()
                raise

    @property
    def existed(self) -> bool:
        """Return whether the file held rows when it was opened."""
        return self._file.existed

    @property
    def rows(self) -> int:
        """Return how many rows the file holds, pending ones included."""
        return self.seq

    @property
    def pending(self) -> int:
        """Return how many rows wait for ``flush``."""
        return len(self._pending)

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
        """Buffer one row as text (prices in points) and return its seq; ``msg_id`` and ``raw`` only on a raw tape."""
        recv_ns = self._stamp(recv_ns)
        self.seq += 1
        if kind is TickKind.TRADE:
            self._last = (price, self._last[1], self._last[2], contract)
        elif kind is TickKind.QUOTE:
            self._last = (self._last[0], bid, ask, contract)
        exch = "" if exch_ns is None else exch_ns
        row = f"{self.seq},{recv_ns},{kind},{price},{size},{bid},{ask},{exch},{source},{contract}"
        if self._raw:
            row = f"{row},{msg_id},{formats.cell(raw)}"
        self._pending.append(row)
        return self.seq

    def add_tick(self, tick: Tick, msg_id: str | int = "", raw: str = "") -> int:
        """Buffer one tick (its own ``seq`` is ignored) and return its seq on this tape."""
        text = self.prices.text
        size: str | int = "" if tick.kind in (TickKind.GAP, TickKind.STATUS) else tick.size
        return self.add(
            tick.recv_ns,
            tick.kind,
            text(tick.price_ticks),
            size,
            text(tick.bid_ticks),
            text(tick.ask_ticks),
            tick.exch_ns,
            tick.source,
            tick.contract,
            msg_id,
            raw,
        )

    def heartbeat(self, recv_ns: int, source: str = "") -> int:
        """Buffer a HEARTBEAT repeating the last price, bid and ask with size 0; return its seq."""
        price, bid, ask, contract = self._last
        return self.add(recv_ns, TickKind.HEARTBEAT, price, 0, bid, ask, None, source, contract)

    def cross_edges(self, now_ns: int, source: str = "") -> int:
        """Buffer the HEARTBEAT of every minute edge in (last row, ``now_ns``], stamped exactly; return how many.

        Call it before adding anything stamped ``now_ns`` (pj1 S7). An empty tape gets no edge of the past. After a
        jump of more than a day only the last 1440 edges are written.
        """
        if self.last_recv_ns == 0:
            first = now_ns if now_ns % NS_PER_MIN == 0 else now_ns + 1
        else:
            first = (self.last_recv_ns // NS_PER_MIN + 1) * NS_PER_MIN
        first = max(first, (now_ns // NS_PER_MIN - MAX_EDGES + 1) * NS_PER_MIN)
        edges = range(first, now_ns + 1, NS_PER_MIN)
        for edge_ns in edges:
            if self._hole is not None:
                since_ns, why = self._hole
                self.gap(since_ns, edge_ns, why)
                self._hole = (edge_ns, why)
            self.heartbeat(edge_ns, source)
        return len(edges)

    def gap(self, from_ns: int, to_ns: int, why: str) -> int:
        """Buffer a GAP row: nothing is known of (``from_ns``, ``to_ns``]; return its seq."""
        from_ns = min(from_ns, to_ns)  # a stepped clock; the hole has at least its own instant
        return self.add(to_ns, TickKind.GAP, exch_ns=from_ns, source=why)

    def open_hole(self, from_ns: int, why: str) -> None:
        """Note that nothing is known from ``from_ns`` on; ``cross_edges`` and ``close_hole`` write the GAP rows."""
        if self._hole is None:
            self._hole = (from_ns, why)

    def tell_hole(self, now_ns: int) -> None:
        """Buffer the GAP row of the open hole as far as it has come; it stays open from there."""
        if self._hole is not None:
            since_ns, why = self._hole
            self.gap(since_ns, now_ns, why)
            self._hole = (now_ns, why)

    def close_hole(self, now_ns: int) -> None:
        """Buffer the GAP row that ends the open hole at ``now_ns``; nothing when none is open."""
        if self._hole is not None:
            since_ns, why = self._hole
            self._hole = None
            self.gap(since_ns, now_ns, why)

    @property
    def hole_open(self) -> bool:
        """Return whether a hole is open."""
        return self._hole is not None

    def continue_from(self, before: TapeWriter) -> None:
        """Take over the stamp, last price and open hole of the tape of the day before (day turn without a hole)."""
        self.last_recv_ns = max(self.last_recv_ns, before.last_recv_ns)
        self._last = before._last
        self._hole = before._hole

    def flush(self) -> int:
        """Write all pending rows with one write and return how many; on WriteFailed they stay pending."""
        count = len(self._pending)
        if count:
            self._pending.append("")
            try:
                self._file.append("\n".join(self._pending).encode())
            except BaseException:
                self._pending.pop()
                raise
            self._pending.clear()
        return count

    def sync(self) -> None:
        """Return when all flushed rows are on the disk itself."""
        self._file.sync()

    def close(self) -> None:
        """Flush, sync and give the file back."""
        try:
            self.flush()
            self.sync()
        finally:
            self._file.close()

    def _stamp(self, recv_ns: int) -> int:
        if recv_ns < self.last_recv_ns:
            self.clamped += 1
            return self.last_recv_ns
        self.last_recv_ns = recv_ns
        return recv_ns

    def _resume(self) -> None:
        """Take seq, stamp and last price from the end of the file; lines that cannot be read still count."""
        lines = [line.decode("utf-8", "replace").split(",") for line in self._file.tail(_RESUME_BYTES)]
        for behind, cells in enumerate(reversed(lines)):
            if _numbers(cells):
                self.seq = int(cells[0]) + behind
                self.last_recv_ns = int(cells[1])
                break
        else:
            raise TapeDamaged(f"{self.path}: no row near its end can be read; move the file away and start again")
        for cells in lines:
            if _numbers(cells) and cells[2] in (TickKind.TRADE, TickKind.QUOTE, TickKind.HEARTBEAT):
                was = self._last
                self._last = (cells[3] or was[0], cells[5] or was[1], cells[6] or was[2], cells[9] or was[3])


def open_tape(
    path: Path,
    instrument: Instrument,
    now_ns: int,
    *,
    raw: bool = False,
    previous: Path | None = None,
    lock_wait_s: float = DEFAULT_LOCK_WAIT_S,
) -> TapeWriter:
    """Open a tape at the START of the bridge and write the GAP row for the time nobody was writing.

    The hole runs from the last row of this file, or of ``previous`` (the latest earlier day's tape) when this file is
    new, to ``now_ns``. At a day turn of a living bridge use ``TapeWriter`` itself: there is no hole.
    """
    writer = TapeWriter(path, instrument, raw=raw, lock_wait_s=lock_wait_s)
    since_ns = writer.last_recv_ns
    if not writer.existed and previous is not None and previous.exists():
        since_ns = last_stamp(previous)
    if since_ns:
        writer.gap(since_ns, max(now_ns, since_ns), GapReason.RESTART)
        writer.flush()
    return writer


def last_stamp(path: Path) -> int:
    """Return the ``recv_ns`` of the last readable row near the end of a tape, 0 if there is none."""
    size = path.stat().st_size
    lines = read_range(path, max(0, size - _RESUME_BYTES), size).split(b"\n")[:-1]
    for text in reversed(lines):
        cells = text.decode("utf-8", "replace").split(",")
        if _numbers(cells):
            return int(cells[1])
    return 0


def _numbers(cells: list[str]) -> bool:
    return len(cells) >= len(formats.TAPE_COLUMNS) and cells[0].isdigit() and cells[1].isdigit()


class TapeParser:
    """Turn whole lines of one tape into ticks; a line that cannot be read goes to ``on_bad`` and the stream goes on.

    ``at_start`` = the first line is the header (FormatMismatch when it is another). Rows whose ``seq`` was already
    delivered are refused as DUPLICATE; a jump forward is reported to ``on_bad`` and counted in ``holes``, the row
    itself is delivered. ``bad`` counts the refused lines.
    """

    def __init__(
        self,
        instrument: Instrument | PriceText,
        *,
        raw: bool = False,
        at_start: bool = True,
        on_bad: Callable[[BadRow], None] | None = None,
    ) -> None:
        self.bad = 0
        self.holes = 0
        self.last_seq: int | None = 0 if at_start else None
        self._prices = instrument if isinstance(instrument, PriceText) else PriceText(instrument)
        self._columns = formats.RAW_TAPE_COLUMNS if raw else formats.TAPE_COLUMNS
        self._width = len(self._columns)
        self._header_due = at_start
        self._on_bad = on_bad

    def feed(self, lines: bytes) -> list[Tick]:
        """Return the ticks of ``lines`` (whole lines, each ended by a newline), in order."""
        return self._each(self._rows(lines))

    def _rows(self, lines: bytes) -> list[str]:
        """Return the texts of whole lines without the header, which is checked."""
        rows = lines.decode("utf-8", "replace").split("\n")
        rows.pop()
        if rows and self._header_due:
            self._check_header(rows.pop(0))
        return rows

    def _each(self, rows: list[str]) -> list[Tick]:
        """Return the ticks of rows in order; what cannot be read is refused."""
        parse, expected = self._parse, self.last_seq
        ticks: list[Tick] = []
        for row in rows:
            try:
                tick = parse(row)
            except ValueError as error:
                self._refuse(row, str(error))
                expected = None if expected is None else expected + 1  # it stands for one row
                continue
            if expected is not None and tick.seq != expected + 1:
                if tick.seq <= expected:
                    self._refuse(row, f"DUPLICATE: seq {tick.seq} was delivered before, {expected} is the last")
                    continue
                self.holes += 1
                self._report(row, f"HOLE: seq jumps from {expected} to {tick.seq}")
            expected = tick.seq
            ticks.append(tick)
        self.last_seq = expected
        return ticks

    def _parse(self, row: str) -> Tick:
        cells = row.split(",", self._width - 1)
        if len(cells) != self._width:
            raise BadCell(f"{len(cells)} cells instead of {self._width}")
        seq, recv, kind_text, price, size, bid, ask, exch, source, contract = cells[:10]
        kind = _KINDS.get(kind_text)
        if kind is None:
            raise BadCell(f"kind {kind_text!r} is not one of {sorted(_KINDS)}")
        ticks = self._prices.ticks
        tick = Tick(
            int(seq),
            int(recv),
            kind,
            ticks(price),
            int(size) if size else 0,
            ticks(bid),
            ticks(ask),
            int(exch) if exch else None,
            source,
            contract,
        )
        if kind is TickKind.TRADE and (tick.price_ticks is None or not size or tick.size < 0):
            raise BadCell(f"a TRADE needs a price and a size >= 0, not {price!r} and {size!r}")
        if kind is TickKind.GAP and (tick.exch_ns is None or tick.exch_ns > tick.recv_ns):
            raise BadCell(f"a GAP needs from (exch_ns) <= to (recv_ns), not {exch!r} and {recv!r}")
        return tick

    def _check_header(self, row: str) -> None:
        self._header_due = False
        if row != ",".join(self._columns):
            raise FormatMismatch(f"the tape begins with {row[:120]!r}, not with {','.join(self._columns)!r}")

    def _refuse(self, row: str, reason: str) -> None:
        self.bad += 1
        self._report(row, reason)

    def _report(self, row: str, reason: str) -> None:
        if self._on_bad is not None:
            self._on_bad(BadRow(row, reason))
