"""Read bars as they come, Parquet or CSV, and say of each row what is wrong with it instead of refusing the file."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from live.market import NS_PER_MIN, NS_PER_S, Instrument
from pj.store.minutes import Flags, Ints

PRICES: Final = ("open", "high", "low", "close")
REQUIRED: Final = ("ts", *PRICES, "volume")
#: Columns of the daemon's bars.csv that are kept; every other column is left behind.
OPTIONAL: Final = ("contract", "degraded")
_UNIT_NS: Final = {"s": NS_PER_S, "ms": 1_000_000, "us": 1_000, "ns": 1}
_MOST_TICKS: Final = 1 << 30
_MOST_VOLUME: Final = 1 << 53

Texts = npt.NDArray[Any]


class StoreError(ValueError):
    """Report data or an archive that cannot be used; one sentence says what and what to do (exit code 2)."""


@dataclass(frozen=True, slots=True)
class RawBars:
    """Hold the rows of one file in its order.

    Prices are ticks, ``fault`` is what is wrong with a row (empty = nothing); a faulty row's numbers mean nothing.
    ``contract`` is as the file names it, empty without a column.
    """

    path: Path
    ts_ns: Ints
    ticks: Mapping[str, Ints]
    volume: Ints
    contract: Texts
    degraded: Flags
    fault: Texts
    shown: pa.Table

    def __len__(self) -> int:
        return len(self.ts_ns)

    @property
    def good(self) -> Flags:
        """Tell which rows have no fault."""
        return np.asarray(self.fault == "", dtype=np.bool_)

    def cells(self, row: int) -> dict[str, str]:
        """Return a row as the file has it, for a person."""
        found = {name: self.shown.column(name)[row].as_py() for name in self.shown.column_names}
        return {name: "" if value is None else str(value) for name, value in found.items()}


def read_raw(path: Path, instrument: Instrument, *, torn: bool = False) -> RawBars:
    """Return the rows of a Parquet or CSV file; raise StoreError when it is no table of bars.

    CSV: a header line; ts in ISO 8601 with its zone (``2026-04-14T22:00:00Z``), prices in points. ``torn`` leaves out
    a last line without its end, which somebody is still writing.
    """
    table = _read_csv(path, torn=torn) if path.suffix.lower() == ".csv" else _read_parquet(path)
    missing = [name for name in REQUIRED if name not in table.column_names]
    if missing:
        have = ", ".join(table.column_names) or "none"
        raise StoreError(f"{path} has no column {', '.join(missing)} (it has {have}); bars need {', '.join(REQUIRED)}")
    table = table.select([name for name in (*REQUIRED, *OPTIONAL) if name in table.column_names])
    fault = np.full(table.num_rows, "", dtype=object)
    ts_ns = _times(path, table.column("ts"), fault)
    ticks = {name: _prices(path, table, name, instrument, fault) for name in PRICES}
    low, high = (ticks[name] for name in ("low", "high"))
    shape = (low <= np.minimum(ticks["open"], ticks["close"])) & (high >= np.maximum(ticks["open"], ticks["close"]))
    _mark(fault, ~shape, "breaks low <= open, close <= high")
    volume = _numbers(path, table, "volume")
    whole = np.isfinite(volume) & (volume >= 0) & (volume == np.floor(volume)) & (volume < _MOST_VOLUME)
    _mark(fault, ~whole, "volume is not a whole number of at least 0")
    contract = np.full(table.num_rows, "", dtype=object)
    if "contract" in table.column_names:
        contract = np.asarray([str(name or "") for name in table.column("contract").to_pylist()], dtype=object)
    degraded = np.zeros(table.num_rows, dtype=np.bool_)
    if "degraded" in table.column_names:
        degraded = np.asarray([str(value) in {"1", "True"} for value in table.column("degraded").to_pylist()], np.bool_)
    return RawBars(path, ts_ns, ticks, np.where(whole, volume, 0).astype(np.int64), contract, degraded, fault, table)


def _read_parquet(path: Path) -> pa.Table:
    try:
        with pq.ParquetFile(path) as file:
            table = file.read()
    except FileNotFoundError as error:
        raise StoreError(f"{path} does not exist; correct the path") from error
    except (pa.ArrowException, OSError, ValueError) as error:
        said = (str(error).splitlines() or [type(error).__name__])[0]
        raise StoreError(f"{path} cannot be read as Parquet ({said}); export the bars again") from error
    if len(set(table.column_names)) != table.num_columns:
        raise StoreError(f"{path} has a column more than once; keep one of each name")
    return table


def _read_csv(path: Path, *, torn: bool) -> pa.Table:
    """Return every cell as text: what it means is judged row by row."""
    try:
        text = path.read_text("utf-8-sig")
        whole = text[: text.rfind("\n") + 1] if torn else text
        rows = list(csv.reader(whole.splitlines(), strict=True))
    except FileNotFoundError as error:
        raise StoreError(f"{path} does not exist; correct the path") from error
    except (OSError, ValueError, csv.Error) as error:
        raise StoreError(f"{path} cannot be read as CSV ({error}); export the bars again") from error
    if not rows:
        raise StoreError(f"{path} is empty; it needs a header line")
    names = [name.strip().lower() for name in rows[0]]
    if len(set(names)) != len(names):
        raise StoreError(f"{path} has a column more than once; keep one of each name")
    for number, row in enumerate(rows[1:]):
        if len(row) != len(names):
            raise StoreError(
                f"{path}, row {number} (counted from 0): {len(row)} cells instead of {len(names)}; mend it"
            )
    columns = list(zip(*rows[1:], strict=True)) or [()] * len(names)
    return pa.table({name: pa.array(cells, pa.string()) for name, cells in zip(names, columns, strict=True)})


def _times(path: Path, column: pa.ChunkedArray, fault: Texts) -> Ints:
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        read = [_moment(text) for text in column.to_pylist()]
        known = np.asarray([value is not None for value in read], dtype=np.bool_)
        _mark(fault, ~known, "ts is no ISO time with its zone")
        ts_ns = np.asarray([value or 0 for value in read], dtype=np.int64)
    elif pa.types.is_timestamp(column.type):
        _mark(fault, np.asarray(pc.is_null(column).to_numpy(), dtype=np.bool_), "ts is empty")
        raw = np.asarray(pc.fill_null(column.cast(pa.int64()), 0).to_numpy(), dtype=np.int64)
        factor = _UNIT_NS[column.type.unit]
        far = np.abs(raw) > np.iinfo(np.int64).max // factor
        _mark(fault, far, "ts lies beyond the year 2262")
        ts_ns = np.where(far, 0, raw) * factor
    else:
        raise StoreError(f"{path}: column ts is {column.type}; give UTC timestamps of the bars' open")
    _mark(fault, ts_ns % NS_PER_MIN != 0, "ts is not a whole minute")
    return ts_ns


def _moment(text: str | None) -> int | None:
    """Return ns of an ISO time that names its zone, None for anything else."""
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    if moment.tzinfo is None:
        return None
    whole = moment.astimezone(UTC)
    return int(whole.replace(microsecond=0).timestamp()) * NS_PER_S + whole.microsecond * 1000


def _prices(path: Path, table: pa.Table, name: str, instrument: Instrument, fault: Texts) -> Ints:
    """Return whole ticks, exactly: a double is on the grid when it is the nearest one to a whole number of ticks."""
    prices = _numbers(path, table, name)
    finite = np.isfinite(prices)
    _mark(fault, ~finite, f"{name} is not a number")
    ratio = Fraction(Decimal(instrument.tick))
    nearest = np.rint(np.where(finite, prices, 0) / float(ratio))
    usable = np.abs(nearest) < _MOST_TICKS
    ticks = np.where(usable, nearest, 0).astype(np.int64)
    on_grid = usable & (ticks * ratio.numerator / ratio.denominator == prices)
    _mark(fault, finite & ~on_grid, f"{name} is not a multiple of the tick {instrument.tick}")
    return ticks


def _numbers(path: Path, table: pa.Table, name: str) -> npt.NDArray[np.float64]:
    column = table.column(name)
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return np.asarray([_number(text) for text in column.to_pylist()], dtype=np.float64)
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
        raise StoreError(f"{path}: column {name} is {kind}; give numbers")
    return np.asarray(pc.cast(column, pa.float64(), safe=False).to_numpy(), dtype=np.float64)


def _number(text: str | None) -> float:
    try:
        return float(text or "nan")
    except ValueError:
        return float("nan")


def _mark(fault: Texts, wrong: Flags | Sequence[bool], why: str) -> None:
    """Name the first fault of each row."""
    fault[np.asarray(wrong, dtype=np.bool_) & (fault == "")] = why
