"""Read 1-minute bars from Parquet and refuse what pj1 S13 refuses, naming the first bad row.

The whole file is checked, also the rows that S1.3 will discard and the contracts that ``front`` leaves out. Prices
become ticks exactly: a double is on the grid when it is the nearest double to a whole number of ticks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, Final, overload

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from live.market import NS_PER_MIN, NS_PER_S, Bar, ClosedBy, Instrument
from live.trading_day import et_offset_s

PRICES: Final = ("open", "high", "low", "close")
REQUIRED: Final = ("ts", *PRICES, "volume")
_HOUR_S: Final = 3600
_DAY_S: Final = 86_400
_SHIFT_S: Final = 6 * _HOUR_S
_EPOCH_ORDINAL: Final = date(1970, 1, 1).toordinal()
_UNIT_NS: Final = {"s": NS_PER_S, "ms": 1_000_000, "us": 1_000, "ns": 1}
_MAX_TICKS: Final = 2**52
"""Doubles hold whole numbers exactly up to here; no price comes near."""

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


class BacktestInputError(ValueError):
    """Report a file that cannot be backtested; the text names the first bad row or column and what to do."""


class Names(Sequence[str]):
    """Hold a column of few different texts as ``codes`` into ``names``, which stand in order of first appearance."""

    __slots__ = ("codes", "names")

    def __init__(self, codes: Ints, names: tuple[str, ...]) -> None:
        self.codes = codes
        self.names = names

    @classmethod
    def of(cls, texts: Iterable[str]) -> Names:
        """Return ``texts`` coded; what is coded already comes back as it is."""
        if isinstance(texts, Names):
            return texts
        found: dict[str, int] = {}
        codes = np.asarray([found.setdefault(text, len(found)) for text in texts], dtype=np.int64)
        return cls(codes, tuple(found))

    def __len__(self) -> int:
        return len(self.codes)

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> Names: ...
    def __getitem__(self, place: int | slice) -> str | Names:
        if isinstance(place, slice):
            return Names(self.codes[place], self.names)
        return self.names[int(self.codes[place])]

    def take(self, rows: Ints) -> Names:
        """Return the texts of ``rows``, in their order."""
        return Names(self.codes[rows], self.names)

    def tolist(self) -> list[str]:
        """Return the texts."""
        return [self.names[code] for code in self.codes.tolist()]


@dataclass(frozen=True, slots=True)
class BarColumns:
    """Hold checked bars as columns: ts in ns, prices in ticks, volume whole, contract names (empty when unnamed)."""

    ts_ns: Ints
    open_: Ints
    high: Ints
    low: Ints
    close: Ints
    volume: Ints
    contract: Sequence[str]

    @classmethod
    def of(cls, bars: Iterable[Bar]) -> BarColumns:
        """Return bars as columns."""
        rows = [(b.ts_ns, b.open_ticks, b.high_ticks, b.low_ticks, b.close_ticks, b.volume, b.contract) for b in bars]
        ts, open_, high, low, close, volume, contract = zip(*rows, strict=True) if rows else ((),) * 7
        ints = [np.asarray(column, np.int64) for column in (ts, open_, high, low, close, volume)]
        return cls(ints[0], ints[1], ints[2], ints[3], ints[4], ints[5], Names.of(contract))

    def take(self, rows: Ints) -> BarColumns:
        """Return the given rows, in the given order."""
        return BarColumns(
            self.ts_ns[rows],
            self.open_[rows],
            self.high[rows],
            self.low[rows],
            self.close[rows],
            self.volume[rows],
            Names.of(self.contract).take(rows),
        )

    def bars(self) -> list[Bar]:
        """Return the rows as bars."""
        columns = (self.ts_ns, self.open_, self.high, self.low, self.close, self.volume)
        lists = [column.tolist() for column in columns]
        return [
            Bar(ts, o, h, lo, c, v, name, closed_by=ClosedBy.HISTORY)
            for ts, o, h, lo, c, v, name in zip(*lists, Names.of(self.contract).tolist(), strict=True)
        ]


def load_bars(path: Path, instrument: Instrument, *, front: bool = False, snap: bool = False) -> list[Bar]:
    """Return the bars of a Parquet file in order of time.

    ``snap`` rounds prices to the grid, half to even, and widens high and low; ``front`` keeps per trade date the
    contract with the larger volume. Raises BacktestInputError (pj1 S13).
    """
    return load_columns(path, instrument, front=front, snap=snap).bars()


def load_columns(path: Path, instrument: Instrument, *, front: bool = False, snap: bool = False) -> BarColumns:
    """Return what ``load_bars`` returns as columns."""
    table = _read(path)
    ts_ns, contract = _times(path, table), _contracts(table)
    named = [name for name in ("ts", "contract") if name in table.column_names]
    checks = [_empty_check(table, name) for name in named]
    numbers = {name: _numbers(path, table, name) for name in (*PRICES, "volume")}
    for name, column in numbers.items():
        checks.append(_number_check(table, name, column))
    checks.append((numbers["volume"] < 0, lambda row: f"volume is {_shown(table, 'volume', row)}, below zero"))
    checks.append((ts_ns % NS_PER_MIN != 0, lambda _: "ts is not a whole minute"))
    checks.append(_order_check(ts_ns, contract, front=front))
    ticks = {name: _ticks(numbers[name], instrument.tick) for name in PRICES}
    if snap:
        ticks = _snapped(numbers, instrument.tick)
    else:
        checks += [_grid_check(table, name, numbers[name], ticks[name], instrument) for name in PRICES]
        checks.append(_shape_check(table, ticks))
    _refuse_first(path, ts_ns, checks)
    volume = np.ceil(numbers["volume"]).astype(np.int64)
    columns = BarColumns(ts_ns, ticks["open"], ticks["high"], ticks["low"], ticks["close"], volume, contract)
    return front_contract(columns) if front else columns


def front_contract(columns: BarColumns) -> BarColumns:
    """Return per trade date only the contract with the larger volume (the first named on a tie), in order of time."""
    days = trade_ordinals(columns.ts_ns // NS_PER_S)
    contract = Names.of(columns.contract)
    many = max(1, len(contract.names))
    pairs, first_row, pair_of = np.unique(days * many + contract.codes, return_index=True, return_inverse=True)
    volume = np.zeros(len(pairs), np.int64)
    np.add.at(volume, pair_of, columns.volume)
    ranked = np.lexsort((first_row, -volume, pairs // many))
    best = np.zeros(len(pairs), np.bool_)
    best[ranked[_first_of_run(pairs[ranked] // many)]] = True
    rows = np.flatnonzero(best[pair_of])
    return columns.take(rows[np.argsort(columns.ts_ns[rows], kind="stable")])


def _first_of_run(values: Ints) -> Flags:
    """Flag each row that differs from the row before."""
    first = np.ones(len(values), np.bool_)
    first[1:] = values[1:] != values[:-1]
    return first


def offsets_s(ts_s: Ints) -> Ints:
    """Return New York's UTC offset of each moment, asking the zone once per UTC hour that occurs."""
    hours = ts_s // _HOUR_S
    starts = np.flatnonzero(_first_of_run(hours))
    seen, place = np.unique(hours[starts], return_inverse=True)
    told = np.asarray([et_offset_s(hour * _HOUR_S * NS_PER_S) for hour in seen.tolist()], dtype=np.int64)
    return np.repeat(told[place], np.diff(np.append(starts, len(hours))))


def trade_ordinals(ts_s: Ints) -> Ints:
    """Return the trade date of each moment as a proleptic ordinal (pj1 S1.2)."""
    return (ts_s + offsets_s(ts_s) + _SHIFT_S) // _DAY_S + _EPOCH_ORDINAL


def _read(path: Path) -> pa.Table:
    try:
        with pq.ParquetFile(path) as file:
            table = file.read()
    except FileNotFoundError as error:
        raise BacktestInputError(f"{path} does not exist; give a Parquet file of 1-minute bars") from error
    except (pa.ArrowException, OSError, ValueError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BacktestInputError(f"{path} cannot be read as Parquet ({first}); export the bars again") from error
    twice = [name for name in (*REQUIRED, "contract") if table.column_names.count(name) > 1]
    if twice:
        raise BacktestInputError(f"{path} has column {twice[0]} more than once; keep one")
    missing = [name for name in REQUIRED if name not in table.column_names]
    if missing:
        have = ", ".join(table.column_names) or "none"
        raise BacktestInputError(
            f"{path} has no column {', '.join(missing)} (it has {have}); the columns are {', '.join(REQUIRED)}"
            " and optionally contract"
        )
    return table


def _times(path: Path, table: pa.Table) -> Ints:
    column = table.column("ts")
    if not pa.types.is_timestamp(column.type):
        raise BacktestInputError(f"{path}: column ts is {column.type}; give UTC timestamps of the bars' open")
    whole = column.cast(pa.int64())
    if whole.null_count:
        # An empty time takes the one before it, so that only its own row is found bad.
        whole = pc.fill_null(pc.fill_null_forward(whole), 0)
    raw = _array(whole)
    factor = _UNIT_NS[column.type.unit]
    if len(raw) and max(abs(int(raw.min())), abs(int(raw.max()))) > np.iinfo(np.int64).max // factor:
        raise BacktestInputError(f"{path}: column ts holds times beyond the year 2262; check its unit")
    return raw * factor


def _array(column: pa.ChunkedArray | pa.Array) -> npt.NDArray[Any]:
    """Return a column of numbers; without arrow's to_numpy where it can be, as that imports pandas (0.2 s)."""
    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if whole.null_count:
        return np.asarray(whole.to_numpy(zero_copy_only=False))
    return np.from_dlpack(whole)


def _contracts(table: pa.Table) -> Names:
    if "contract" not in table.column_names:
        return Names(np.zeros(table.num_rows, np.int64), ("",) if table.num_rows else ())
    column = table.column("contract")
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    coded = column.combine_chunks().dictionary_encode(null_encoding="encode")
    if isinstance(coded, pa.ChunkedArray):
        coded = coded.combine_chunks()
    texts = Names.of(map(str, coded.dictionary.to_pylist()))
    codes = _array(coded.indices).astype(np.int64)
    return Names(texts.codes[codes] if len(codes) else codes, texts.names)


def _numbers(path: Path, table: pa.Table, name: str) -> Floats:
    column = table.column(name)
    kind = column.type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
        raise BacktestInputError(f"{path}: column {name} is {kind}; give numbers")
    return _array(pc.cast(column, pa.float64(), safe=False))


def _ticks(prices: Floats, tick: Decimal) -> Ints:
    """Return the nearest whole ticks; rows that are not numbers come out 0 and are refused elsewhere."""
    nearest = np.rint(prices / float(tick))
    usable = np.isfinite(nearest) & (np.abs(nearest) < _MAX_TICKS)
    return np.where(usable, nearest, 0).astype(np.int64)


def _snapped(numbers: dict[str, Floats], tick: Decimal) -> dict[str, Ints]:
    rounded = {name: _half_even(numbers[name], tick) for name in PRICES}
    stacked = np.stack([rounded[name] for name in PRICES])
    return {**rounded, "high": stacked.max(axis=0), "low": stacked.min(axis=0)}


def _half_even(prices: Floats, tick: Decimal) -> Ints:
    """Return price / tick rounded half to even; exact by doubles for 1/2^n ticks, else by decimals."""
    ratio = Fraction(tick)
    if ratio.numerator == 1 and ratio.denominator & (ratio.denominator - 1) == 0:
        return _ticks(prices, tick)
    whole = [
        int((Decimal(str(price)) / tick).to_integral_value(ROUND_HALF_EVEN)) if np.isfinite(price) else 0
        for price in prices.tolist()
    ]
    return np.asarray(whole, dtype=np.int64)


def _empty_check(table: pa.Table, name: str) -> tuple[Flags, Callable[[int], str]]:
    column = table.column(name)
    empty = np.zeros(len(column), np.bool_)
    if column.null_count:
        empty = np.asarray(pc.is_null(column).to_numpy(), dtype=np.bool_)
    return empty, lambda _: f"{name} is empty; fill or drop the row"


def _number_check(table: pa.Table, name: str, column: Floats) -> tuple[Flags, Callable[[int], str]]:
    return ~np.isfinite(column), lambda row: f"{name} is {_shown(table, name, row)}, not a number; drop the row"


def _grid_check(
    table: pa.Table, name: str, prices: Floats, ticks: Ints, instrument: Instrument
) -> tuple[Flags, Callable[[int], str]]:
    ratio = Fraction(instrument.tick)
    on_grid = ticks * ratio.numerator / ratio.denominator == prices
    wrong = np.isfinite(prices) & ~on_grid
    return (
        wrong,
        lambda row: (
            f"{name} {_shown(table, name, row)} is not a multiple of the tick {instrument.tick}"
            " (--snap rounds to the grid)"
        ),
    )


def _shape_check(table: pa.Table, ticks: dict[str, Ints]) -> tuple[Flags, Callable[[int], str]]:
    open_, high, low, close = (ticks[name] for name in PRICES)
    wrong = (low > np.minimum(open_, close)) | (high < np.maximum(open_, close))

    def say(row: int) -> str:
        shown = ", ".join(f"{name} {_shown(table, name, row)}" for name in PRICES)
        return f"{shown} break low <= open, close <= high"

    return wrong, say


def _order_check(ts_ns: Ints, contract: Names, *, front: bool) -> tuple[Flags, Callable[[int], str]]:
    """Flag rows whose ts is not after the row before; with ``front``, after the row before of the same contract."""
    wrong = np.zeros(len(ts_ns), dtype=np.bool_)
    if front:
        rows = np.argsort(contract.codes, kind="stable")
        same = ~_first_of_run(contract.codes[rows])
        same[1:] &= ts_ns[rows[1:]] <= ts_ns[rows[:-1]]
        wrong[rows] = same
        return wrong, lambda _: "ts is not after that of the row before of the same contract; sort the file"
    wrong[1:] = ts_ns[1:] <= ts_ns[:-1]
    hint = (
        "; --front keeps one contract per trade date" if len(contract.names) > 1 else "; sort and deduplicate the file"
    )
    return wrong, lambda _: f"ts is not after that of the row before{hint}"


def _refuse_first(path: Path, ts_ns: Ints, checks: list[tuple[Flags, Callable[[int], str]]]) -> None:
    """Raise for the earliest bad row; of several faults in that row the first check names it."""
    worst: tuple[int, str] | None = None
    for wrong, say in checks:
        if wrong.any():
            row = int(np.argmax(wrong))
            if worst is None or row < worst[0]:
                worst = (row, say(row))
    if worst is not None:
        row, text = worst
        raise BacktestInputError(f"{path}, row {row} (counted from 0, {_when(int(ts_ns[row]))}): {text}")


def _when(ns: int) -> str:
    return datetime.fromtimestamp(ns // NS_PER_S, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _shown(table: pa.Table, name: str, row: int) -> str:
    value = table.column(name)[row].as_py()
    return "empty" if value is None else str(value)
