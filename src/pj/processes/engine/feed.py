"""Follow the tape and turn it into bars; quarantine what is in no bar.

After a restart reading begins at the minute of the last recorded bar, found by bisection: rows stand
in order of their stamps, so a day of millions of rows costs twenty reads.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import Final

from live.bar_builder import BarBuilder, ClockJumped, Output, TickRefused
from live.market import NS_PER_S, Bar, Instrument, Tick, TickKind
from pj.channels.appender import read_range
from pj.channels.catchup import CatchUpParser
from pj.channels.csvlog import CsvLog, read_rows
from pj.channels.formats import LATE_COLUMNS, TAPE_COLUMNS, PriceText
from pj.channels.rundir import DayPaths, RunDir
from pj.channels.tailer import DayFollower, Position
from pj.channels.tape import BadRow
from pj.clock import Clock

LINE_BYTES: Final = 4096
SEEN_KINDS: Final = frozenset({TickKind.TRADE, TickKind.QUOTE})


RowKey = tuple[str, ...]


class TapeFeed:
    """Read live_market_data.csv day after day; ``poll`` gives bars in order."""

    def __init__(
        self, run_dir: RunDir, instrument: Instrument, grace_s: float, start: date, on_bad: Callable[[BadRow], None]
    ) -> None:
        """Begin at the first row of ``start``; ``resume`` moves behind the bars that are already known.

        ``on_bad`` gets each tape line that cannot be read, for the quarantine of the log.
        """
        self._on_bad = on_bad
        self.last_tick_ns = 0
        self.last_row_ns = 0
        self.last_trade: Tick | None = None
        self.late = 0
        self.bad_rows = 0
        self.jumps: list[ClockJumped] = []
        self.marks: list[Tick] = []
        self.marks_of = ""
        self._catching_up = False
        self._run_dir = run_dir
        self._prices = PriceText(instrument)
        self._grace_ns = int(grace_s * NS_PER_S)
        self._late_log: tuple[date, CsvLog, Counter[RowKey]] | None = None
        self._builder = BarBuilder(grace_ns=self._grace_ns)
        self._follower = self._follow(start)

    @property
    def builder(self) -> BarBuilder:
        """Return the bar builder, for its counters."""
        return self._builder

    @property
    def last_price(self) -> int | None:
        """Return the last trade's price in ticks, None before the first."""
        trade = self.last_trade
        return None if trade is None else trade.price_ticks

    def price_of(self, contract: str) -> int | None:
        """Return the last trade's price in ticks if it was one of ``contract``; safe in any thread."""
        trade = self.last_trade
        return trade.price_ticks if trade is not None and trade.contract == contract else None

    @property
    def day(self) -> date:
        """Return the trade date whose tape is read now."""
        return self._follower.day

    def resume(self, bars: list[Bar], start: date) -> None:
        """Begin anew behind ``bars`` (history and recorded ones, in order) in the tape of ``start``."""
        self._builder = BarBuilder(grace_ns=self._grace_ns)
        self._builder.resume(bars)
        path = self._run_dir.day(start).market
        offset = offset_of(path, bars[-1].ts_ns) if bars and path.exists() else 0
        self._follower.close()
        self._follower = self._follow(Position(start, offset) if offset else start)

    def poll(self, clock: Clock | None = None) -> tuple[list[Bar], bool]:
        """Return the bars that the next chunk of rows closes, and whether there was a chunk.

        ``clock`` is read after the rows; without one the rows close minutes by themselves (catching up, in a hurry:
        see ``pj.channels.catchup``).
        """
        self._catching_up = clock is None and not self.marks_of
        ticks = self._follower.poll()
        if not ticks:
            return [], False
        self._look(ticks)
        return self._sort(self._builder.on_ticks(ticks, clock.now_ns() if clock is not None else None)), True

    def run_grace(self, now_ns: int, mono_ns: int) -> list[Bar]:
        """Return the bars that silence closes; call it when every row there is has been read."""
        return self._sort(self._builder.on_clock(now_ns, mono_ns))

    def close(self) -> None:
        """Close the files."""
        self._follower.close()
        if self._late_log is not None:
            self._late_log[1].close()
            self._late_log = None

    def _follow(self, start: Position | date) -> DayFollower[Tick]:
        def parser(_day: date, at_start: bool) -> CatchUpParser:
            return CatchUpParser(self._prices, lambda: self._catching_up, at_start=at_start, on_bad=self._bad)

        return DayFollower(self._run_dir, "live_market_data.csv", parser, start)

    def _look(self, ticks: list[Tick]) -> None:
        """Note the newest stamps and, when a position wants them, the trades of its contract that mark it."""
        self.last_row_ns = ticks[-1].recv_ns
        for tick in reversed(ticks):
            if tick.kind in SEEN_KINDS:
                self.last_tick_ns = tick.recv_ns
                break
        for tick in reversed(ticks):
            if tick.kind is TickKind.TRADE:
                self.last_trade = tick
                break
        if self.marks_of:
            mine = {self.marks_of, ""}
            self.marks.extend(tick for tick in ticks if tick.kind is TickKind.TRADE and tick.contract in mine)

    def _sort(self, outputs: list[Output]) -> list[Bar]:
        bars: list[Bar] = []
        for output in outputs:
            if isinstance(output, Bar):
                bars.append(output)
            elif isinstance(output, TickRefused):
                self._quarantine(output)
            else:
                self.jumps.append(output)
        return bars

    def _quarantine(self, refused: TickRefused) -> None:
        """Write the row of a tick that is in no bar, once: a restart meets the same tick again."""
        self.late += 1
        day = self._run_dir.day_at(refused.tick.recv_ns)
        log, written = self._late_file(day)
        tick = refused.tick
        text = self._prices.text
        cells = (
            "",
            str(tick.recv_ns),
            tick.kind.value,
            text(tick.price_ticks),
            str(tick.size),
            text(tick.bid_ticks),
            text(tick.ask_ticks),
            "" if tick.exch_ns is None else str(tick.exch_ns),
            tick.source,
            tick.contract,
        )
        row = dict(zip(TAPE_COLUMNS, cells, strict=True))
        if written[_row_key(row)] > 0:
            written[_row_key(row)] -= 1
        else:
            log.append({**row, "minute": str(refused.minute_ns)})

    def _late_file(self, day: DayPaths) -> tuple[CsvLog, Counter[RowKey]]:
        if self._late_log is None or self._late_log[0] != day.trade_date:
            if self._late_log is not None:
                self._late_log[1].close()
            written = Counter(_row_key(row) for row in read_rows(day.late_ticks, LATE_COLUMNS))
            self._late_log = (day.trade_date, CsvLog(day.create().late_ticks, LATE_COLUMNS), written)
        return self._late_log[1], self._late_log[2]

    def _bad(self, row: BadRow) -> None:
        self.bad_rows += 1
        self._on_bad(row)


def _row_key(row: Mapping[str, str]) -> RowKey:
    """Return what tells a refused row from another; late_ticks.csv numbers its rows by itself."""
    return tuple(row[name] for name in ("recv_ns", "kind", "price", "size", "exch_ns"))


def offset_of(path: Path, recv_ns: int) -> int:
    """Return the byte offset of the first row stamped at or past ``recv_ns``; 0 means the header, the very beginning.

    Lines that cannot be read are stepped over: the caller meets them again and quarantines them.
    """
    low, high = 0, path.stat().st_size
    while high - low > LINE_BYTES:
        middle = (low + high) // 2
        at, stamp = _row_after(path, middle, high)
        if stamp is None or stamp >= recv_ns:
            high = middle
        else:
            low = at
    return low


def _row_after(path: Path, offset: int, end: int) -> tuple[int, int | None]:
    """Return start and stamp of the first readable row that begins behind ``offset``; (end, None) if none does."""
    data = read_range(path, offset, min(end, offset + 2 * LINE_BYTES))
    at = data.find(b"\n") + 1
    while at and (newline := data.find(b"\n", at)) >= 0:
        cells = data[at:newline].split(b",", 2)
        if len(cells) == 3 and cells[1].isdigit():
            return offset + at, int(cells[1])
        at = newline + 1
    return end, None
