"""Look after the archive: merge finished months, hold every file to its hash and its rows to the rules."""

from __future__ import annotations

import hashlib
from datetime import date
from typing import Final

import numpy as np

from pj.store.archive import Archive, Manifest
from pj.store.minutes import trading_minutes
from pj.store.raw_bars import StoreError, read_raw
from pj.store.rows import Rows, united

_MONTH: Final = len("2026-04")


def compact(archive: Archive) -> dict[str, int]:
    """Merge the day files of finished months into one each and return rows per month that was merged.

    A month is finished when the archive holds a trade date of a later one. The new file is read back and its rows are
    compared before the manifest names it; only then do the day files go. Raises StoreError, and then nothing changed.
    """
    _present(archive)
    with archive.changing() as manifest:
        months = {unit[:_MONTH] for unit in manifest.units}
        latest = max(months, default="")
        merged: dict[str, int] = {}
        changed: dict[str, Rows | None] = {}
        for month in sorted(months - {latest}):
            days = [unit for unit in sorted(manifest.units) if unit.startswith(month) and unit != month]
            if not days:
                continue
            parts = [archive.load(manifest, unit) for unit in [month, *days]]
            rows = united(parts, archive.instrument).in_order_of_time()
            unique = rows.unique()
            if unique.conflicts or len(unique.keep) != sum(len(part) for part in parts):
                raise StoreError(f"{month}: a minute stands in two files; 'pj data verify' says which")
            changed |= dict.fromkeys(days)
            changed[month] = rows
            merged[month] = len(rows)
        if changed:
            archive.commit(manifest, changed, {})
    return merged


def verify(archive: Archive) -> list[str]:
    """Return what is wrong with the archive, one sentence each, empty when all of it holds.

    Raises StoreError when there is none.
    """
    manifest = _present(archive)
    found: list[str] = []
    for unit in sorted(manifest.units):
        known = manifest.units[unit]
        path = archive.root / known.file
        if not path.is_file():
            found.append(f"{known.file} is missing")
            continue
        if hashlib.sha256(path.read_bytes()).hexdigest() != known.sha256:
            found.append(f"{known.file} is not what was written there (SHA-256 differs)")
        try:
            raw = read_raw(path, archive.instrument)
        except StoreError as error:
            found.append(str(error))
            continue
        found += [f"{known.file}, row {row}: {raw.fault[row]}" for row in np.flatnonzero(~raw.good)[:1].tolist()]
        if raw.good.all():
            found += _row_faults(known.file, unit, known.rows, Rows.of(raw, archive.instrument))
    return found + [
        f"{path.relative_to(archive.root).as_posix()} is not in the manifest" for path in archive.orphans(manifest)
    ]


def _present(archive: Archive) -> Manifest:
    manifest = archive.manifest()
    if not manifest.units:
        raise StoreError(f"{archive.root} holds no archive; 'pj data import' begins one, --golden names another folder")
    return manifest


def _row_faults(name: str, unit: str, count: int, rows: Rows) -> list[str]:
    found: list[str] = []
    if len(rows) != count:
        found.append(f"{name} holds {len(rows)} rows, the manifest says {count}")
    if not rows.in_order_of_time().same_as(rows):
        found.append(f"{name} is not in order of time")
    if len(rows.unique().keep) != len(rows):
        found.append(f"{name} holds a minute of a contract twice")
    dates = {date.fromordinal(day).isoformat() for day in np.unique(trading_minutes(rows.ts_ns)[0]).tolist()}
    strange = sorted(day for day in dates if not day.startswith(unit))
    if strange:
        found.append(f"{name} holds bars of trade date {strange[0]}")
    return found
