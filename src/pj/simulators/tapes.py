"""Read Parquet files of 1-minute bars, 1-second bars or trades into tapes the gateway can play."""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np

from live.market import INSTRUMENTS, Bar, Instrument
from pj.simulators.contracts import Future, UnknownContract, front, parse
from pj.simulators.eastern import MIN_NS, trade_date
from pj.simulators.paths import NS_PER_S, Print, Row, minute_prints

if TYPE_CHECKING:
    import pyarrow as pa

_BAR_COLUMNS: Final = ("ts", "open", "high", "low", "close", "volume")
_TRADE_COLUMNS: Final = ("ts_event", "symbol", "price", "size")
_CACHE_MINUTES: Final = 4096

IntArray = np.ndarray[Any, np.dtype[np.int64]]


class TapeError(ValueError):
    """Report a file that cannot be played, in one sentence that says what to do."""


class Tape(Protocol):
    """Offer one contract's market: its minutes, their prints and their bars."""

    future: Future

    def minutes(self, start_ns: int, end_ns: int) -> Sequence[int]:
        """Return the open times of the minutes with prints in [start, end)."""
        ...

    def prints(self, minute_ns: int) -> list[Print]:
        """Return the minute's prints in order."""
        ...

    def bars(self, start_ns: int, end_ns: int) -> list[Bar]:
        """Return the 1-minute bars whose open time lies in [start, end)."""
        ...


def aggregate(minute_ns: int, prints: Sequence[Print], contract: str) -> Bar:
    """Return the bar of one minute's prints: first, max, min, last, sum."""
    prices = [item.price_ticks for item in prints]
    volume = sum(item.size for item in prints)
    return Bar(minute_ns, prices[0], max(prices), min(prices), prices[-1], volume, contract, ticks=len(prints))


@dataclass(slots=True)
class MinuteTape(ABC):
    """Hold one contract's rows by minute; prints and bars are made when asked for."""

    future: Future
    starts: list[int]
    bounds: list[int]
    minute_bars: tuple[IntArray, ...]
    made: dict[int, list[Print]] = field(default_factory=dict)

    def minutes(self, start_ns: int, end_ns: int) -> list[int]:
        """Return the minutes in [start, end) that have prints."""
        return self.starts[bisect_left(self.starts, start_ns) : bisect_left(self.starts, end_ns)]

    def prints(self, minute_ns: int) -> list[Print]:
        """Return the prints of one minute, empty for a minute the file does not have."""
        made = self.made.get(minute_ns)
        if made is None:
            at = bisect_left(self.starts, minute_ns)
            if at == len(self.starts) or self.starts[at] != minute_ns:
                return []
            if len(self.made) >= _CACHE_MINUTES:
                self.made.clear()
            made = self.made[minute_ns] = self._make(self.bounds[at], self.bounds[at + 1])
        return made

    def bars(self, start_ns: int, end_ns: int) -> list[Bar]:
        """Return the bars of the minutes in [start, end), equal to the aggregates of the prints played."""
        local = self.future.local_symbol
        found: list[Bar] = []
        for at in range(bisect_left(self.starts, start_ns), bisect_left(self.starts, end_ns)):
            minute = self.starts[at]
            o, h, low, c, v = (int(column[at]) for column in self.minute_bars)
            if v:
                found.append(Bar(minute, o, h, low, c, v, local))
            elif prints := self.prints(minute):
                # Without volume the rows may be carried prices that nobody traded at: ask the prints.
                found.append(aggregate(minute, prints, local))
        return found

    @abstractmethod
    def _make(self, low: int, high: int) -> list[Print]:
        """Return the prints of the rows in [low, high), which are one minute's."""


@dataclass(slots=True)
class BarTape(MinuteTape):
    """Play bars: one array per column (ns, ticks, contracts), rows in recorded order."""

    columns: tuple[IntArray, ...] = ()
    span_ns: int = MIN_NS

    def _make(self, low: int, high: int) -> list[Print]:
        close = self.columns[4]
        parts = zip(*(column[low:high].tolist() for column in self.columns), strict=True)
        rows = [Row(ts, o, h, lo, c, volume, self.span_ns) for ts, o, h, lo, c, volume in parts]
        return minute_prints(rows, int(close[low - 1]) if low else None)


@dataclass(slots=True)
class TradeTape(MinuteTape):
    """Play trades as recorded."""

    columns: tuple[IntArray, ...] = ()

    def _make(self, low: int, high: int) -> list[Print]:
        ts, price, size = (column[low:high].tolist() for column in self.columns)
        return [Print(*parts) for parts in zip(ts, price, size, strict=True)]


@dataclass(slots=True)
class Library:
    """Hold a file's contracts and say which one leads a trade date (the larger volume)."""

    instrument: Instrument
    tapes: dict[str, Tape]
    volumes: dict[date, dict[str, int]]

    def days(self) -> list[date]:
        """Return the weekday trade dates with volume, oldest first."""
        return sorted(day for day in self.volumes if day.weekday() < 5)

    def leading(self, day: date) -> Tape:
        """Return the tape of the contract with the larger volume in trade date ``day``."""
        shares = self.volumes.get(day)
        if not shares:
            known = self.days()
            raise TapeError(f"the tape has no rows in trade date {day}; it covers {known[0]} to {known[-1]}")
        return self.tapes[max(shares, key=lambda local: (shares[local], local))]


def load(path: Path, symbol: str, contract: str = "") -> Library:
    """Read ``path`` for root ``symbol``; ``contract`` keeps one contract only.

    Raises TapeError for an unknown symbol, an unreadable file, a missing column, a malformed row
    (named by its number) or a file without rows of the symbol.
    """
    if symbol not in INSTRUMENTS:
        raise TapeError(f"symbol {symbol!r} is not known; use one of {', '.join(sorted(INSTRUMENTS))}")
    table = _read(path)
    names = set(table.column_names)
    trades = "price" in names
    wanted = _TRADE_COLUMNS if trades else _BAR_COLUMNS
    for name in wanted:
        if name not in names:
            kind = "trades" if trades else "bars"
            raise TapeError(f"tape {path.name}: column {name!r} is missing; {kind} need {', '.join(wanted)}")
    if table.num_rows == 0:
        raise TapeError(f"tape {path.name} has no rows")
    reader = _Reader(path.name, table, INSTRUMENTS[symbol])
    return reader.trades(contract) if trades else reader.bars(contract)


def _read(path: Path) -> pa.Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.is_file():
        raise TapeError(f"tape {path} does not exist")
    try:
        return pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise TapeError(f"tape {path.name} cannot be read as Parquet: {str(error).splitlines()[0]}") from error


@dataclass(slots=True)
class _Reader:
    """Check one table and cut it into tapes."""

    name: str
    table: pa.Table
    instrument: Instrument

    def bars(self, contract: str) -> Library:
        ts = self._times("ts")
        prices = [self._ticks(name) for name in ("open", "high", "low", "close")]
        volume = self._volumes("volume")
        o, h, low, c = prices
        self._refuse((h < np.maximum(o, c)) | (low > np.minimum(o, c)), "its high or low does not bound open and close")
        steps = np.diff(np.unique(ts))
        span = MIN_NS if steps.size == 0 or int(np.median(steps)) >= MIN_NS else NS_PER_S
        if steps.size and int(np.median(steps)) > MIN_NS:
            raise TapeError(
                f"tape {self.name} holds bars of {int(np.median(steps)) // NS_PER_S} s; 60 s or 1 s are played"
            )
        groups = self._groups("contract", ts, contract)
        tapes: dict[str, Tape] = {}
        for future, rows in groups.items():
            order = rows[np.argsort(ts[rows], kind="stable")]
            stamps = ts[order]
            repeated = np.flatnonzero(np.diff(stamps) == 0)
            if span == MIN_NS and repeated.size:
                raise TapeError(
                    f"tape {self.name}: row {order[repeated[0] + 1] + 1} repeats a minute of {future.local_symbol}"
                )
            starts, bounds = _cut(stamps)
            columns = (stamps, *(price[order] for price in prices), volume[order])
            minutes = _minute_bars(bounds, columns[1:])
            tapes[future.local_symbol] = BarTape(future, starts, bounds, minutes, columns=columns, span_ns=span)
        return self._library(tapes, groups, ts, volume)

    def trades(self, contract: str) -> Library:
        ts, price, size = self._times("ts_event"), self._ticks("price"), self._volumes("size")
        groups = self._groups("symbol", ts, contract)
        tapes: dict[str, Tape] = {}
        for future, rows in groups.items():
            order = rows[np.argsort(ts[rows], kind="stable")]
            starts, bounds = _cut(ts[order])
            columns = (ts[order], price[order], size[order])
            minutes = _minute_bars(bounds, (columns[1],) * 4 + (columns[2],))
            tapes[future.local_symbol] = TradeTape(future, starts, bounds, minutes, columns=columns)
        return self._library(tapes, groups, ts, size)

    def _library(
        self, tapes: dict[str, Tape], groups: dict[Future, IntArray], ts: IntArray, volume: IntArray
    ) -> Library:
        volumes: dict[date, dict[str, int]] = {}
        for future, rows in groups.items():
            hours, where = np.unique(ts[rows] // (60 * MIN_NS), return_inverse=True)
            sums = np.bincount(where, weights=volume[rows])
            for hour, traded in zip(hours.tolist(), sums.tolist(), strict=True):
                shares = volumes.setdefault(trade_date(hour * 60 * MIN_NS), {})
                shares[future.local_symbol] = shares.get(future.local_symbol, 0) + int(traded)
        return Library(self.instrument, tapes, volumes)

    def _groups(self, column: str, ts: IntArray, contract: str) -> dict[Future, IntArray]:
        day = trade_date(int(ts[-1]))
        symbol = self.instrument.symbol
        wanted = _named(contract, day, symbol) if contract else None
        if column not in self.table.column_names:
            return {wanted or front(self.instrument, day): np.arange(ts.size)}
        names = np.asarray(self.table.column(column).to_pylist(), dtype=object)
        groups: dict[Future, IntArray] = {}
        found: list[str] = sorted({str(name) for name in names})
        for name in found:
            try:
                future = parse(name, day, symbol)
            except UnknownContract:
                continue
            if future.symbol == symbol and wanted in (None, future):
                groups[future] = np.flatnonzero(names == name)
        if not groups:
            raise TapeError(f"tape {self.name} has no rows of {contract or symbol}; it holds {', '.join(found[:5])}")
        return groups

    def _times(self, name: str) -> IntArray:
        values = self._column(name)
        if values.dtype.kind != "M":
            raise TapeError(f"tape {self.name}: column {name!r} holds {values.dtype}, not timestamps")
        self._refuse(np.isnat(values), f"its {name} is empty")
        return values.astype("datetime64[ns]").astype(np.int64)

    def _ticks(self, name: str) -> IntArray:
        values = self._numbers(name)
        self._refuse(~np.isfinite(values) | (values <= 0), f"its {name} is not a price")
        # A quarter is exact in binary, so this division and comparison are exact too.
        ticks = values / float(self.instrument.tick)
        self._refuse(ticks != np.rint(ticks), f"its {name} is off the {self.instrument.tick} grid")
        return ticks.astype(np.int64)

    def _volumes(self, name: str) -> IntArray:
        values = self._numbers(name)
        self._refuse(~np.isfinite(values) | (values < 0) | (values != np.rint(values)), f"its {name} is not a count")
        return values.astype(np.int64)

    def _numbers(self, name: str) -> np.ndarray[Any, np.dtype[np.float64]]:
        values = self._column(name)
        if values.dtype.kind not in "iuf":
            raise TapeError(f"tape {self.name}: column {name!r} holds {values.dtype}, not numbers")
        return values.astype(np.float64)

    def _column(self, name: str) -> np.ndarray[Any, np.dtype[Any]]:
        column = self.table.column(name)
        return np.asarray(column.to_numpy())

    def _refuse(self, bad: np.ndarray[Any, np.dtype[np.bool_]], why: str) -> None:
        if bad.any():
            row = int(np.argmax(bad))
            raise TapeError(f"tape {self.name}: row {row + 1} cannot be played, {why}; repair or drop it")


def _named(contract: str, day: date, symbol: str) -> Future:
    try:
        return parse(contract, day, symbol)
    except UnknownContract as error:
        raise TapeError(str(error)) from error


def _cut(stamps: IntArray) -> tuple[list[int], list[int]]:
    """Return the minutes of sorted ``stamps`` and the row bounds of each (one more than minutes)."""
    starts, first = np.unique(stamps // MIN_NS * MIN_NS, return_index=True)
    return starts.tolist(), [*first.tolist(), stamps.size]


def _minute_bars(bounds: list[int], columns: tuple[IntArray, ...]) -> tuple[IntArray, ...]:
    """Return open, high, low, close and volume per minute of row columns in that order."""
    o, h, low, c, v = columns
    first, last = np.asarray(bounds[:-1]), np.asarray(bounds[1:]) - 1
    high, floor = np.maximum.reduceat(h, first), np.minimum.reduceat(low, first)
    return (o[first], high, floor, c[last], np.add.reduceat(v, first))
