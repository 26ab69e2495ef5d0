"""Keep and judge market data: ``pj data import|compact|gaps|verify|quality|export``."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pj.verbs.common import Options, print_json
from pj.verbs.schema import UsageError

if TYPE_CHECKING:
    from pj.store.archive import Archive


def import_data(options: Options) -> int:
    """Take bars into the archive; return 1 when rows went into quarantine."""
    from pj.store.importing import bars_of_run, import_files

    files, run = list(options["file"] or []), options["run"]
    if bool(files) == bool(run):
        raise UsageError("pj data import needs files of bars, or a run folder with --run, and not both")
    paths = bars_of_run(run) if run else files
    archive = _archive(options)
    contract = options["contract"] or ""
    report = import_files(archive, paths, contract, options["conflicts"], torn=bool(run))
    if options["json"]:
        print_json({**asdict(report), "archive": str(archive.root)})
        return 1 if report.quarantined else 0
    print(f"{archive.root}: {report.rows} rows read, {report.added} new, {report.equal} already there")
    for count, words in (
        (report.mended, "gave way to (or were) bars that are not degraded"),
        (report.kept, "differ and were left out (--conflicts keep)"),
        (report.replaced, "differ and replaced the older (--conflicts replace)"),
        (report.quarantined, f"are no bars: {', '.join(report.quarantine)}"),
    ):
        if count:
            print(f"{count} rows {words}")
    for why, count in report.faults.items():
        print(f"  {count} x {why}")
    units = report.units
    span = f"{len(units)} files, {units[0]} to {units[-1]}" if len(units) > 1 else ", ".join(units)
    print(f"changed: {span or 'nothing'}")
    return 1 if report.quarantined else 0


def compact_data(options: Options) -> int:
    """Merge the day files of finished months."""
    from pj.store.upkeep import compact

    archive = _archive(options)
    merged = compact(archive)
    if options["json"]:
        print_json({"archive": str(archive.root), "months": merged})
        return 0
    for month, rows in merged.items():
        print(f"{month}: {rows} rows in one file, read back and compared")
    if not merged:
        print(f"{archive.root}: nothing to merge (a month is finished when a later one has begun)")
    return 0


def verify_data(options: Options) -> int:
    """Hold the archive to its manifest and its rows to the rules; return 1 when something is wrong."""
    from pj.store.upkeep import verify

    archive = _archive(options)
    wrong = verify(archive)
    units = archive.manifest().units
    rows = sum(unit.rows for unit in units.values())
    if options["json"]:
        print_json({"archive": str(archive.root), "files": len(units), "rows": rows, "wrong": wrong})
        return 1 if wrong else 0
    for line in wrong:
        print(line)
    print(f"{archive.root}: {len(units)} files, {rows} rows, {len(wrong) or 'nothing'} wrong")
    return 1 if wrong else 0


def gaps_data(options: Options) -> int:
    """Print the missing session minutes of the archive; return 1 when some are unexplained."""
    from pj.store.gaps import RULE
    from pj.store.quality import judge
    from pj.store.raw_bars import StoreError

    archive = _archive(options)
    rows = archive.load_days(_day(options["from"]), _day(options["to"]))
    if not len(rows):
        raise StoreError(f"{archive.root} holds no bars of that span; 'pj data import' brings them in")
    report = judge(rows.columns(), options["symbol"], source=str(archive.root))
    found = report.coverage
    if options["json"]:
        told = report.as_dict()
        names = (
            "gaps",
            "explained",
            "session_minutes",
            "present_minutes",
            "thin_minutes",
            "lost_minutes",
            "coverage_pct",
        )
        print_json({"archive": str(archive.root), **{name: told[name] for name in names}, "rule": RULE})
        return 1 if found.gaps else 0
    for day, why in found.explained:
        print(f"explained    {day}: {why}")
    for line in found.gap_lines():
        print(f"unexplained  {line}")
    print(
        f"{archive.root}, {report.first} to {report.last}: {found.expected} session minutes, {found.present} with a bar"
        f" ({found.pct} %), {found.thin_minutes} without a trade, {found.lost_minutes} lost"
    )
    print(f"({RULE})")
    return 1 if found.gaps else 0


def quality_data(options: Options) -> int:
    """Print a quality report; return 1 for faulty or contradictory rows and for material gaps."""
    from pj.store.quality import files_below, inspect_files
    from pj.store.quality_text import lines_of

    paths = [path for named in options["file"] for path in files_below(named)]
    report = inspect_files(paths, options["symbol"])
    if options["json"]:
        print_json(report.as_dict())
    else:
        print("\n".join(lines_of(report)))
    return 0 if report.clean else 1


def export_data(options: Options) -> int:
    """Write bars of the archive into one Parquet file for a backtest."""
    from pj.store.archive import export_rows
    from pj.store.raw_bars import StoreError

    archive, out = _archive(options), options["out"]
    rows = archive.load_days(_day(options["from"]), _day(options["to"]))
    rows = rows.front() if options["front"] else rows
    if not len(rows):
        raise StoreError(f"{archive.root} holds no bars of that span; 'pj data import' brings them in")
    export_rows(rows, out)
    contracts = sorted(set(rows.contract.tolist()))
    if options["json"]:
        print_json({"out": str(out), "rows": len(rows), "contracts": contracts, "overlapping": rows.overlapping()})
        return 0
    print(f"{out}: {len(rows)} rows of {', '.join(contracts)}")
    if rows.overlapping():
        print("Contracts overlap: 'pj backtest' needs --front for this file.")
    return 0


def _archive(options: Options) -> Archive:
    from pj.store.archive import Archive

    return Archive.of(Path(options["golden"]), options["symbol"])


def _day(text: Any) -> date | None:
    return date.fromisoformat(text) if text else None
