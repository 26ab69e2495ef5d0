"""Hold the bars that PJ-1 really sees as compact arrays: strays and heartbeats are gone (pj1 S1.3, S1.4)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from live.market import NS_PER_MIN, NS_PER_S
from live.trading_day import CLOSE_M, iso_utc
from strategies.mle.bar_file import BacktestInputError, BarColumns, Names, offsets_s

_HOUR_S: Final = 3600
_DAY_S: Final = 86_400
_SHIFT_S: Final = 6 * _HOUR_S
_EPOCH_ORDINAL: Final = date(1970, 1, 1).toordinal()
_SATURDAY: Final = 5
_MOST_TICKS: Final = 1 << 30

Int64s = npt.NDArray[np.int64]
Int32s = npt.NDArray[np.int32]
Int16s = npt.NDArray[np.int16]


@dataclass(frozen=True, eq=False)
class Tape:
    """Hold real kept bars in order of time.

    ``ts_s`` is the bar's open in epoch seconds, prices are ticks, ``minute`` is m of pj1 S1.2, ``ordinal`` the trade
    date, ``contract`` a place in ``names``.
    """

    ts_s: Int64s
    open: Int32s
    high: Int32s
    low: Int32s
    close: Int32s
    minute: Int16s
    ordinal: Int32s
    contract: Int16s
    names: tuple[str, ...]

    @classmethod
    def of(cls, columns: BarColumns) -> Tape:
        """Return the kept bars of ``columns``; a bar the live engine refuses raises its BacktestInputError (S1.5)."""
        _refuse_bad_bar(columns)
        return _tape_of(columns)

    def __len__(self) -> int:
        return len(self.ts_s)

    @cached_property
    def days(self) -> Int32s:
        """Return the trade dates that have bars, ascending."""
        return np.ascontiguousarray(self.ordinal[self.day_start])

    @cached_property
    def day_start(self) -> Int64s:
        """Return the index of each trade date's first bar."""
        turns = np.flatnonzero(self.ordinal[1:] != self.ordinal[:-1]) + 1
        return np.concatenate([np.zeros(min(1, len(self)), np.int64), turns]).astype(np.int64)

    def between(self, first_ordinal: int, last_ordinal: int) -> Tape:
        """Return the bars of the trade dates from first to last, both included, without copying."""
        begin, end = np.searchsorted(self.ordinal, [first_ordinal, last_ordinal + 1]).tolist()
        part = slice(begin, end)
        return Tape(
            self.ts_s[part],
            self.open[part],
            self.high[part],
            self.low[part],
            self.close[part],
            self.minute[part],
            self.ordinal[part],
            self.contract[part],
            self.names,
        )

    @cached_property
    def sha256(self) -> str:
        """Return the hash of all arrays, little-endian, and of the contract names that occur."""
        contract, names = _used(self.contract, self.names)
        digest = hashlib.sha256(repr(names).encode())
        for array in (self.ts_s, self.open, self.high, self.low, self.close, self.minute, self.ordinal, contract):
            digest.update(f"{array.dtype.str}{len(array)}".encode())
            digest.update(np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"), copy=False)).tobytes())
        return digest.hexdigest()


def _refuse_bad_bar(columns: BarColumns) -> None:
    """Raise what the exact path raises for the first bar that the engine refuses."""
    ts, low, high = columns.ts_ns, columns.low, columns.high
    before = np.concatenate([np.asarray([-1], np.int64), ts[:-1]]) if len(ts) else ts
    wrong = (low > columns.open_) | (columns.open_ > high) | (low > columns.close) | (columns.close > high)
    wrong |= (ts <= before) | (ts % NS_PER_MIN != 0)
    if not wrong.any():
        return
    row = int(np.argmax(wrong))
    prices = tuple(int(column[row]) for column in (columns.open_, high, low, columns.close))
    why = f"ohlc {prices} ticks, ts {int(ts[row])} ns after {int(before[row])} ns"
    raise BacktestInputError(
        f"bar refused, its minute counts as missing: {why} (bar {iso_utc(int(ts[row]) // NS_PER_S)})"
    )


def _used(codes: npt.NDArray[np.integer], names: tuple[str, ...]) -> tuple[Int16s, tuple[str, ...]]:
    """Return the codes and names with the names that do not occur left out, in order of first appearance."""
    used, first, place = np.unique(codes, return_index=True, return_inverse=True)
    rank = np.argsort(np.argsort(first))
    kept = tuple(names[int(code)] for code in used[np.argsort(first)])
    return rank[place].astype(np.int16), kept


class _Kept(NamedTuple):
    """Hold which rows PJ-1 sees, and all rows' epoch seconds, trade dates and minutes."""

    rows: npt.NDArray[np.bool_]
    ts_s: Int64s
    ordinal: Int64s
    minute: Int64s


def _kept_rows(columns: BarColumns) -> _Kept:
    ts, close = columns.ts_ns // NS_PER_S, columns.close
    heartbeat = np.zeros(len(ts), np.bool_)
    flat = (columns.volume == 0) & (columns.high == columns.low)
    heartbeat[1:] = flat[1:] & (close[1:] == close[:-1])
    wall = ts + offsets_s(ts) + _SHIFT_S
    ordinal = wall // _DAY_S + _EPOCH_ORDINAL
    minute = wall % _DAY_S // 60
    return _Kept(~heartbeat & (minute < CLOSE_M) & ((ordinal + 6) % 7 < _SATURDAY), ts, ordinal, minute)


def kept_days(columns: BarColumns) -> Int64s:
    """Return the trade dates (ordinals, ascending) that have a bar PJ-1 sees (pj1 S1.3, S1.4)."""
    kept = _kept_rows(columns)
    return np.unique(kept.ordinal[kept.rows])


def tape_if_it_fits(columns: BarColumns) -> Tape | None:
    """Return the tape of bars that the engine has taken, None when a price is beyond what its arrays hold."""
    return None if _largest_ticks(columns) >= _MOST_TICKS else _tape_of(columns)


def _largest_ticks(columns: BarColumns) -> int:
    return max((int(np.abs(column).max()) for column in (columns.high, columns.low) if len(column)), default=0)


def _tape_of(columns: BarColumns) -> Tape:
    if _largest_ticks(columns) >= _MOST_TICKS:
        raise BacktestInputError(
            f"a price of {_largest_ticks(columns)} ticks is more than compiled arrays hold; take --engine exact"
        )
    kept = _kept_rows(columns)
    rows = kept.rows
    named = Names.of(columns.contract)
    contract, names = _used(named.codes[rows], named.names)
    return Tape(
        ts_s=np.ascontiguousarray(kept.ts_s[rows]),
        open=columns.open_[rows].astype(np.int32),
        high=columns.high[rows].astype(np.int32),
        low=columns.low[rows].astype(np.int32),
        close=columns.close[rows].astype(np.int32),
        minute=kept.minute[rows].astype(np.int16),
        ordinal=kept.ordinal[rows].astype(np.int32),
        contract=contract,
        names=names,
    )
