"""Take bars into the archive: good rows once, equal ones not again, faulty ones into quarantine, conflicts refused."""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np

from live.market import NS_PER_MIN, Instrument
from live.trading_day import trade_date
from pj.channels.files import replace_atomic
from pj.contracts import ContractError, FuturesMonth, parse_contract
from pj.store.archive import QUARANTINE, Archive, Manifest
from pj.store.minutes import trading_minutes
from pj.store.raw_bars import RawBars, StoreError, Texts, read_raw
from pj.store.rows import Rows, united

Conflicts = Literal["refuse", "keep", "replace"]
_ENOUGH_STEPS: Final = 30
_YEAR_MONTH: Final = re.compile(r"(\d{4})(\d{2})", re.ASCII)


@dataclass(frozen=True, slots=True)
class ImportReport:
    """Count what became of the rows read.

    ``added`` are new minutes, ``equal`` were there already, ``mended`` replaced (or were) a degraded bar of the same
    minute, ``kept`` and ``replaced`` are conflicts settled as asked, ``quarantined`` rows that are no bars.
    """

    rows: int = 0
    added: int = 0
    equal: int = 0
    mended: int = 0
    kept: int = 0
    replaced: int = 0
    quarantined: int = 0
    units: tuple[str, ...] = ()
    quarantine: tuple[str, ...] = ()
    faults: Mapping[str, int] = field(default_factory=dict)


def import_files(
    archive: Archive, paths: Sequence[Path], contract: str = "", conflicts: Conflicts = "refuse", *, torn: bool = False
) -> ImportReport:
    """Take the bars of files into the archive, all or nothing, and return the counts.

    ``contract`` names the rows of files that name none; ``conflicts`` says what happens to a row that differs from the
    one held for its minute and contract: refuse everything, keep the older, replace it. ``torn`` leaves out a last
    line without its end (a file that is being written). Raises StoreError.
    """
    parts = [read_raw(path, archive.instrument, torn=torn) for path in paths]
    for part in parts:
        _refuse_other_bars(part)
    named = [full_names(part, archive.instrument, contract) for part in parts]
    fresh = united(
        [Rows.of(part, archive.instrument, names) for part, names in zip(parts, named, strict=True)],
        archive.instrument,
    )
    own = fresh.unique()
    _refuse(fresh, own.conflicts, conflicts)
    with archive.changing() as manifest:
        report = ImportReport(rows=sum(len(part) for part in parts), equal=own.duplicates, mended=own.mended)
        report = replace(report, kept=len(own.conflicts))
        changed, report = _merged(archive, manifest, fresh.take(own.keep), conflicts, report)
        texts = {path: text for part in parts if (found := _quarantine(archive, part)) for path, text in [found]}
        for path, text in texts.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            replace_atomic(path, text.encode(), durable=True)
        archive.commit(manifest, changed, _sources(parts))
    faults = [why for part in parts for why in part.fault.tolist() if why]
    return replace(
        report,
        quarantined=len(faults),
        units=tuple(sorted(changed)),
        quarantine=tuple(str(path) for path in texts),
        faults={why: faults.count(why) for why in sorted(set(faults))},
    )


def full_names(raw: RawBars, instrument: Instrument, contract: str) -> Texts:
    """Return each row's contract as ``MNQM2026``: one contract, one name, whoever exported the file.

    Read are MNQM6, MNQM2026, MNQ 06-26 and 202606. Raises StoreError for anything else, for another root, and for
    rows without a name when none is given.
    """
    names = np.where(raw.contract == "", contract, raw.contract).astype(object)
    full: dict[str, str] = {}
    for row, name in enumerate(names.tolist()):
        if name not in full and not raw.fault[row]:
            full[name] = _full_name(raw.path, name, instrument, trade_date(int(raw.ts_ns[row])))
    return np.asarray([full.get(name, "") for name in names.tolist()], dtype=object)


def bars_of_run(folder: Path) -> list[Path]:
    """Return the bars.csv of a day's folder, or of every day of a run folder; raise StoreError when there is none."""
    if (folder / "bars.csv").is_file():
        return [folder / "bars.csv"]
    found = sorted(folder.glob("[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]/bars.csv"))
    if not found:
        raise StoreError(f"{folder} holds no bars.csv and no day folder with one; name a run folder or a day of it")
    return found


def _merged(
    archive: Archive, manifest: Manifest, fresh: Rows, conflicts: Conflicts, report: ImportReport
) -> tuple[dict[str, Rows | None], ImportReport]:
    """Return the new content of each unit that changes, and the counts."""
    changed: dict[str, Rows | None] = {}
    for unit, rows in _by_unit(manifest, fresh):
        held = archive.load(manifest, unit)
        new_first = conflicts == "replace"
        both = united([rows, held] if new_first else [held, rows], archive.instrument)
        unique = both.unique()
        _refuse(both, unique.conflicts, conflicts)
        merged = both.take(unique.keep).in_order_of_time()
        settled = len(unique.conflicts)
        report = replace(
            report,
            added=report.added + len(merged) - len(held),
            equal=report.equal + unique.duplicates,
            mended=report.mended + unique.mended,
            kept=report.kept + (0 if new_first else settled),
            replaced=report.replaced + (settled if new_first else 0),
        )
        if not merged.same_as(held):
            changed[unit] = merged
    return changed, report


def _by_unit(manifest: Manifest, rows: Rows) -> list[tuple[str, Rows]]:
    ordinals, _ = trading_minutes(rows.ts_ns)
    units: dict[str, list[int]] = {}
    for day in np.unique(ordinals).tolist():
        units.setdefault(manifest.unit_of(date.fromordinal(day).isoformat()), []).append(day)
    return [(unit, rows.take(np.flatnonzero(np.isin(ordinals, days)))) for unit, days in sorted(units.items())]


def _refuse_other_bars(raw: RawBars) -> None:
    """Raise StoreError for a file that holds something else than 1-minute bars: quarantine is for the odd row."""
    good = raw.ts_ns[raw.good]
    if 2 * len(good) < len(raw):
        row = int(np.argmin(raw.good))
        raise StoreError(
            f"{raw.path}: {len(raw) - len(good)} of {len(raw)} rows are no 1-minute bars (row {row}: {raw.fault[row]});"
            " nothing was imported"
        )
    steps = np.diff(np.unique(good))
    if len(steps) >= _ENOUGH_STEPS and int(np.gcd.reduce(steps)) != NS_PER_MIN:
        minutes = int(np.gcd.reduce(steps)) // NS_PER_MIN
        raise StoreError(f"{raw.path}: its bars are {minutes} minutes apart; give 1-minute bars, nothing was imported")


def _refuse(rows: Rows, pairs: Sequence[tuple[int, int]], conflicts: Conflicts) -> None:
    if pairs and conflicts == "refuse":
        more = f" (and {len(pairs) - 1} more)" if len(pairs) > 1 else ""
        raise StoreError(
            f"{rows.conflict_words(pairs[0])}{more}; nothing was imported: correct the file, or settle it with"
            " --conflicts keep (the older row stays) or replace"
        )


def _full_name(path: Path, name: str, instrument: Instrument, near: date) -> str:
    if not name:
        raise StoreError(f"{path} names no contract; say which one with --contract, e.g. {instrument.symbol}M2026")
    try:
        if found := _YEAR_MONTH.fullmatch(name):
            month = FuturesMonth(instrument.symbol, int(found[1]), int(found[2]))
            if not 1 <= month.month <= 12:
                raise ContractError(f"{name!r} is no year and month")
        else:
            month = parse_contract(name, near)
    except ContractError as error:
        raise StoreError(f"{path}: {error}") from error
    if month.root != instrument.symbol:
        raise StoreError(f"{path} holds contract {name}, not {instrument.symbol}; import it with --symbol {month.root}")
    return month.traderspost


def _quarantine(archive: Archive, raw: RawBars) -> tuple[Path, str] | None:
    """Return the quarantine file of a source and its text, None when every row is good."""
    bad = np.flatnonzero(~raw.good).tolist()
    if not bad:
        return None
    names = raw.shown.column_names
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["row", "reason", *names])
    for row in bad:
        cells = raw.cells(row)
        writer.writerow([row, raw.fault[row], *(cells[name] for name in names)])
    return archive.root / QUARANTINE / f"{raw.path.stem}.{_sha256(raw.path)[:8]}.csv", stream.getvalue()


def _sources(parts: Sequence[RawBars]) -> dict[str, Any]:
    return {
        _sha256(part.path): {"name": part.path.name, "rows": len(part), "quarantined": int((~part.good).sum())}
        for part in parts
    }


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
