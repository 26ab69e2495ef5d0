"""Keep bars for good: GOLDEN_DATA/<symbol>/, one Parquet per trade date, per month once the month is over.

``manifest.json`` names the files that count, with their SHA-256. It is replaced in one step, after every new file is
on disk, and only then do the files go that it no longer names: a crash at any moment leaves the old archive or the new
one. A file's name holds its hash, so a new version never overwrites an old one.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from live.market import INSTRUMENTS, Instrument
from pj.channels.files import lock_file, replace_atomic
from pj.store.minutes import trading_minutes
from pj.store.raw_bars import PRICES, StoreError, read_raw
from pj.store.rows import Rows, united

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
QUARANTINE: Final = "quarantine"
COLUMNS: Final = ("ts", "contract", *PRICES, "volume", "degraded")
_LOCK_WAIT_S: Final = 10.0
_MONTH: Final = len("2026-04")


@dataclass(frozen=True, slots=True)
class Unit:
    """Name the file of one trade date (``2026-04-14``) or of one month (``2026-04``)."""

    file: str
    sha256: str
    rows: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """Hold what belongs to an archive: its files by unit, and what was imported (SHA-256 of source to its facts)."""

    units: Mapping[str, Unit] = field(default_factory=dict)
    sources: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def unit_of(self, day: str) -> str:
        """Return the unit that holds (or will hold) a trade date: its month where that was compacted."""
        month = day[:_MONTH]
        return month if month in self.units else day

    def text(self, symbol: str) -> str:
        """Return the file's JSON."""
        units = {name: {"file": u.file, "sha256": u.sha256, "rows": u.rows} for name, u in self.units.items()}
        tree = {"format": FORMAT, "symbol": symbol, "units": units, "sources": dict(self.sources)}
        return json.dumps(tree, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


@dataclass(frozen=True, slots=True)
class Archive:
    """Read and change the archive of one symbol."""

    root: Path
    instrument: Instrument

    @classmethod
    def of(cls, golden: Path, symbol: str) -> Archive:
        """Return the archive of a symbol below the GOLDEN_DATA folder; nothing is touched."""
        return cls(golden / symbol, INSTRUMENTS[symbol])

    @contextmanager
    def changing(self) -> Iterator[Manifest]:
        """Hold the archive's lock and give its manifest; raises Locked when another import runs."""
        lock = lock_file(self.root / ".lock", _LOCK_WAIT_S)
        try:
            yield self.manifest()
        finally:
            lock.release()

    def manifest(self) -> Manifest:
        """Return the manifest, an empty one where there is none; raise StoreError for one that cannot be read."""
        path = self.root / MANIFEST
        try:
            tree = json.loads(path.read_text("utf-8"))
            units = {name: Unit(one["file"], one["sha256"], int(one["rows"])) for name, one in tree["units"].items()}
            if tree["format"] != FORMAT or tree["symbol"] != self.instrument.symbol:
                raise ValueError(f"format {tree['format']}, symbol {tree['symbol']}")
            return Manifest(units, tree["sources"])
        except FileNotFoundError:
            return Manifest()
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StoreError(f"{path} cannot be used ({error}); restore it from a backup") from error

    def load(self, manifest: Manifest, unit: str) -> Rows:
        """Return the rows of a unit, none for one that is not there; raise StoreError for a file that was changed."""
        known = manifest.units.get(unit)
        if known is None:
            return Rows.none(self.instrument)
        path = self.root / known.file
        if not path.is_file():
            raise StoreError(f"{path} is missing; restore it from a backup, then 'pj data verify'")
        if hashlib.sha256(path.read_bytes()).hexdigest() != known.sha256:
            raise StoreError(f"{path} is not what was written there; restore it from a backup, then 'pj data verify'")
        return Rows.of(read_raw(path, self.instrument), self.instrument)

    def load_days(self, first: date | None = None, last: date | None = None) -> Rows:
        """Return the rows of the trade dates from first to last, both included, in order of time."""
        manifest = self.manifest()
        low, high = (first or date.min).isoformat(), (last or date.max).isoformat()
        wanted = [unit for unit in sorted(manifest.units) if low[: len(unit)] <= unit <= high[: len(unit)]]
        rows = united([self.load(manifest, unit) for unit in wanted], self.instrument).in_order_of_time()
        ordinals, _ = trading_minutes(rows.ts_ns)
        inside = (ordinals >= (first or date.min).toordinal()) & (ordinals <= (last or date.max).toordinal())
        return rows.take(np.flatnonzero(inside))

    def commit(self, manifest: Manifest, changed: Mapping[str, Rows | None], sources: Mapping[str, Any]) -> Manifest:
        """Put new versions of units in place (None = the unit goes) and return the new manifest.

        Call it inside ``changing``. Every new file is read back and compared before the manifest names it.
        """
        units = dict(manifest.units)
        for unit, rows in changed.items():
            units.pop(unit, None)
            if rows is not None:
                units[unit] = self._write(unit, rows)
        new = Manifest(units, {**manifest.sources, **sources})
        if new != manifest:
            replace_atomic(self.root / MANIFEST, new.text(self.instrument.symbol).encode(), durable=True)
        for path in self.orphans(new):
            with suppress(PermissionError):  # Windows: somebody reads it; the next change takes it away
                path.unlink()
        return new

    def orphans(self, manifest: Manifest) -> list[Path]:
        """Return the Parquet files that the manifest does not name: what a crash or an older version left."""
        named = {(self.root / unit.file) for unit in manifest.units.values()}
        return sorted(path for path in self.root.glob("*/*.parquet") if path not in named)

    def _write(self, unit: str, rows: Rows) -> Unit:
        data = _encode(rows)
        sha256 = hashlib.sha256(data).hexdigest()
        path = self.root / unit[:4] / f"{unit}.{sha256[:8]}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_atomic(path, data, durable=True)
        if not Rows.of(read_raw(path, self.instrument), self.instrument).same_as(rows):
            raise StoreError(f"{path} does not read back as it was written; check the disk, nothing was changed")
        return Unit(path.relative_to(self.root).as_posix(), sha256, len(rows))


def parquet_table(rows: Rows) -> pa.Table:
    """Return rows as the table that the backtester reads: ts UTC, prices in points."""
    tick = float(rows.instrument.tick)
    prices = {name: pa.array(rows.values[at] * tick, pa.float64()) for at, name in enumerate(PRICES)}
    ts = pa.array(rows.ts_ns // 1_000_000, pa.int64()).cast(pa.timestamp("ms", tz="UTC"))
    columns = {
        "ts": ts,
        "contract": pa.array(rows.contract.tolist(), pa.string()),
        **prices,
        "volume": pa.array(rows.values[4], pa.int64()),
        "degraded": pa.array(rows.degraded, pa.bool_()),
    }
    return pa.table({name: columns[name] for name in COLUMNS})


def _encode(rows: Rows) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(parquet_table(rows), buffer, compression="zstd")
    return buffer.getvalue()


def export_rows(rows: Rows, path: Path) -> None:
    """Write rows as one Parquet file, whole or not at all; raises WriteFailed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_atomic(path, _encode(rows))
