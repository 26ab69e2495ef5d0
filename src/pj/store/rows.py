"""Hold good bars of several files together: one row per contract and minute, and what to do when two disagree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from live.market import NS_PER_S, Instrument
from live.trading_day import iso_utc
from pj.store.minutes import Flags, Ints
from pj.store.raw_bars import PRICES, RawBars, Texts
from strategies.mle.bar_file import BarColumns, Names, front_contract

VALUES: Final = (*PRICES, "volume")


@dataclass(frozen=True, slots=True)
class Unique:
    """Say which rows stay.

    ``keep`` is sorted by contract and time; ``conflicts`` are pairs of rows (staying, other) that disagree; of the rows
    that do not stay ``duplicates`` were equal and ``mended`` were degraded where the staying one is not.
    """

    keep: Ints
    conflicts: tuple[tuple[int, int], ...]
    duplicates: int
    mended: int


@dataclass(frozen=True, slots=True)
class Rows:
    """Hold bars as columns.

    ``values`` has one line per open, high, low, close (ticks) and volume; ``source`` is a place in ``names``, ``line``
    the row of that file (from 0).
    """

    instrument: Instrument
    ts_ns: Ints
    contract: Texts
    values: Ints
    degraded: Flags
    source: Ints
    line: Ints
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.ts_ns)

    @classmethod
    def none(cls, instrument: Instrument) -> Rows:
        """Return no row."""
        ints = np.zeros(0, dtype=np.int64)
        values = np.zeros((len(VALUES), 0), dtype=np.int64)
        return cls(instrument, ints, np.zeros(0, dtype=object), values, np.zeros(0, dtype=np.bool_), ints, ints, ())

    @classmethod
    def of(cls, raw: RawBars, instrument: Instrument, contract: Texts | None = None) -> Rows:
        """Return the good rows of one file, with these contract names or its own."""
        rows = np.flatnonzero(raw.good)
        names = raw.contract if contract is None else contract
        values = np.stack([raw.ticks[name] for name in PRICES] + [raw.volume])[:, rows]
        source = np.zeros(len(rows), dtype=np.int64)
        return cls(instrument, raw.ts_ns[rows], names[rows], values, raw.degraded[rows], source, rows, (str(raw.path),))

    def take(self, rows: Ints) -> Rows:
        """Return the given rows in the given order."""
        return Rows(
            self.instrument,
            self.ts_ns[rows],
            self.contract[rows],
            self.values[:, rows],
            self.degraded[rows],
            self.source[rows],
            self.line[rows],
            self.names,
        )

    def in_order_of_time(self) -> Rows:
        """Return the rows sorted by time, then contract."""
        return self.take(np.lexsort((_codes(self.contract), self.ts_ns)))

    def columns(self) -> BarColumns:
        """Return the rows as the backtester holds them."""
        open_, high, low, close, volume = self.values
        return BarColumns(self.ts_ns, open_, high, low, close, volume, Names.of(self.contract.tolist()))

    def overlapping(self) -> bool:
        """Tell whether a minute has bars of more than one contract."""
        return bool((np.diff(np.sort(self.ts_ns)) == 0).any())

    def front(self) -> Rows:
        """Return per trade date only the contract with the larger volume, in order of time (pj1 S13, --front)."""
        columns = self.columns()
        # The choice asks for time, contract and volume; the close carries each row's number through it.
        numbered = BarColumns(
            columns.ts_ns,
            columns.open_,
            columns.high,
            columns.low,
            np.arange(len(self)),
            columns.volume,
            columns.contract,
        )
        return self.take(front_contract(numbered).close)

    def same_as(self, other: Rows) -> bool:
        """Tell whether the other holds equal bars in equal order, wherever they came from."""
        return (
            np.array_equal(self.ts_ns, other.ts_ns)
            and np.array_equal(self.values, other.values)
            and np.array_equal(self.degraded, other.degraded)
            and self.contract.tolist() == other.contract.tolist()
        )

    def unique(self) -> Unique:
        """Return what stays of rows for the same contract and minute: not degraded before degraded, then the first."""
        order = np.lexsort((np.arange(len(self)), self.degraded, self.ts_ns, _codes(self.contract)))
        ts_ns, names = self.ts_ns[order], _codes(self.contract)[order]
        fresh = np.ones(len(order), dtype=np.bool_)
        fresh[1:] = (ts_ns[1:] != ts_ns[:-1]) | (names[1:] != names[:-1])
        leader = np.maximum.accumulate(np.where(fresh, np.arange(len(order)), 0))
        again = np.flatnonzero(~fresh)
        mine, staying = order[again], order[leader[again]]
        equal = (self.values[:, mine] == self.values[:, staying]).all(axis=0)
        mended = ~equal & self.degraded[mine] & ~self.degraded[staying]
        disagree = ~equal & ~mended
        pairs = tuple(zip(staying[disagree].tolist(), mine[disagree].tolist(), strict=True))
        return Unique(order[fresh], pairs, int(equal.sum()), int(mended.sum()))

    def words(self, row: int) -> str:
        """Return where a row came from and what it says."""
        points = [self.instrument.to_points(int(value)) for value in self.values[:4, row]]
        told = f"open {points[0]} high {points[1]} low {points[2]} close {points[3]} volume {self.values[4, row]}"
        place = f"{Path(self.names[self.source[row]]).name}, row {self.line[row]}"
        return f"{place} ({iso_utc(int(self.ts_ns[row]) // NS_PER_S)} {self.contract[row] or 'no contract'}): {told}"

    def conflict_words(self, pair: tuple[int, int]) -> str:
        """Return both sides of a disagreement."""
        return f"{self.words(pair[1])}; but {self.words(pair[0])}"


def united(parts: Sequence[Rows], instrument: Instrument) -> Rows:
    """Return the rows of all parts, one part after the other."""
    everything = [Rows.none(instrument), *parts]
    shifts = np.cumsum([0, *(len(part.names) for part in everything[:-1])]).tolist()
    return Rows(
        instrument,
        np.concatenate([part.ts_ns for part in everything]),
        np.concatenate([part.contract for part in everything]),
        np.concatenate([part.values for part in everything], axis=1),
        np.concatenate([part.degraded for part in everything]),
        np.concatenate([part.source + shift for part, shift in zip(everything, shifts, strict=True)]),
        np.concatenate([part.line for part in everything]),
        tuple(name for part in everything for name in part.names),
    )


def _codes(names: Texts) -> Ints:
    """Return each name's place in the sorted list of names."""
    place = {name: at for at, name in enumerate(sorted(set(names.tolist())))}
    return np.asarray([place[name] for name in names.tolist()], dtype=np.int64)
