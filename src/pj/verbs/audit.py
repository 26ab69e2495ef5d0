"""Audit a run: ``audit verify`` checks the journals' chain and its anchors, ``audit fidelity`` the ticks' way."""

from __future__ import annotations

import sys
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pj.channels.anchors import Anchor, first_changed, report_anchor, stats_anchor
from pj.channels.journal import GENESIS, JournalDamaged, JournalLine, Verified, head_before, read_verified
from pj.channels.rundir import RunDir
from pj.config import Settings
from pj.verbs.common import Options, Refusal, print_json, run_dir_of, settings_of

if TYPE_CHECKING:
    from pj.sheets.fidelity import Fidelity, SheetRows


def verify_journals(options: Options) -> int:
    """Check every journal of the run folder, or of one date, as one chain and against its anchors; 1 at a bad line."""
    settings = settings_of(options)
    folder = run_dir_of(settings)
    days = _days(folder, options["date"])
    head = head_before(folder, folder.day(days[0])) if options["date"] else GENESIS
    anchors = _anchors(options, settings, folder)
    found: list[dict[str, Any]] = []
    trouble = ""
    for day in days:
        path = folder.day(day).journal
        try:
            lines, checked = read_verified(path, head)
        except JournalDamaged as error:
            trouble = str(error)
            break
        head = checked.head
        mine = [anchor for anchor in anchors if anchor.trade_date == day]
        trouble = _contradiction(lines, mine, path) or first_changed(folder.day(day).bars, lines)
        found.append(_row(day, checked, mine))
        if trouble:
            break
    gone = [anchor for anchor in anchors if anchor.trade_date not in days and not options["date"]]
    if not trouble and gone:
        trouble = f"{gone[0].place} names line {gone[0].seq} of {gone[0].trade_date}, which has no journal"
    _report({"ok": not trouble, "journals": found, "trouble": trouble}, as_json=options["json"])
    return 1 if trouble else 0


def _anchors(options: Options, settings: Settings, folder: RunDir) -> list[Anchor]:
    """Return what was said of the journals elsewhere: stats file, report, and the sheet's TradeLog."""
    from pj.sheets.rows import TRADE_LOG, anchors_in

    found = [anchor for anchor in (stats_anchor(folder), report_anchor(folder)) if anchor is not None]
    where, rows = _sheet(options["sheet"], settings, folder) if options["sheet"] != "auto" else _stored(folder)
    if rows is not None:
        own = (row for row in anchors_in(rows.get(TRADE_LOG, []), f"the sheet's {TRADE_LOG} ({where})"))
        have = set(folder.days())
        # A workbook may hold other run folders' days as well.
        found += [anchor for anchor in own if anchor.trade_date in have]
    return found


def _stored(folder: RunDir) -> tuple[str, SheetRows | None]:
    from pj.sheets.fidelity import stored_rows

    return "files", stored_rows(folder) if any(folder.simulators.glob("sheet_*.csv")) else None


def _contradiction(lines: list[JournalLine], anchors: list[Anchor], path: Path) -> str:
    told = next((text for anchor in anchors if (text := anchor.trouble(lines))), "")
    return f"{path}: {told}; the journal was cut or written anew: do not trade on it" if told else ""


def _row(day: date, checked: Verified, anchors: list[Anchor]) -> dict[str, Any]:
    return {
        "date": day.isoformat(),
        "lines": checked.count,
        "head": checked.head,
        "torn_bytes": len(checked.torn),
        "anchors": len(anchors),
        "anchored_to": max((anchor.seq for anchor in anchors), default=0),
    }


def _days(folder: RunDir, wanted: str | None) -> list[date]:
    days = [day for day in folder.days() if folder.day(day).journal.exists()]
    if wanted is not None:
        days = [day for day in days if day == date.fromisoformat(wanted)]
    if not days:
        which = f" of {wanted}" if wanted else ""
        raise Refusal(f"there is no journal{which} in {folder.root}; name the run folder with --run-dir")
    return days


def _report(report: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(report)
        return
    for row in report["journals"]:
        torn = f", {row['torn_bytes']} bytes of an unfinished last line" if row["torn_bytes"] else ""
        held = f", {row['anchors']} anchors up to line {row['anchored_to']}" if row["anchors"] else ", no anchor"
        print(f"{row['date']}  {row['lines']} lines, head {row['head'][:16]}{held}{torn}")
    if report["trouble"]:
        sys.stderr.write(f"{report['trouble']}\n")
    else:
        print("every line is what was written, and every anchor found holds")


def fidelity(options: Options) -> int:
    """Compare ledger, tapes and sheet row by row; 1 when a known book does not equal the one before it."""
    from pj.sheets.fidelity import audit

    settings = settings_of(options)
    folder = run_dir_of(settings)
    if not folder.days():
        raise Refusal(f"there is no day's folder in {folder.root}; name the run folder with --run-dir")
    where, rows = _sheet(options["sheet"], settings, folder)
    found = audit(folder, rows)
    if options["json"]:
        print_json(found.to_dict() | {"sheet_read_from": where})
    else:
        _print_fidelity(found, where)
    return 0 if found.equal else 1


def _sheet(source: str, settings: Settings, folder: RunDir) -> tuple[str, SheetRows | None]:
    """Return where the sheet's rows were read and the rows; None when there is no sheet to compare."""
    from pj.sheets.client import SheetsApi
    from pj.sheets.fidelity import read_sheet, stored_rows

    stored = any(folder.simulators.glob("sheet_*.csv"))
    if source == "files" and not stored:
        raise Refusal(f"there are no sheet_*.csv in {folder.simulators}; use --sheet service or --sheet none")
    if source == "files" or (source == "auto" and stored):
        return "files", stored_rows(folder)
    sheets = settings.sheets
    if source == "none" or (source == "auto" and not (sheets.enabled and sheets.spreadsheet_id)):
        return "none", None
    if not sheets.spreadsheet_id:
        raise Refusal("sheets.spreadsheet_id is empty; set it, or use --sheet none")
    api = SheetsApi(sheets.service_account_file, sheets.spreadsheet_id, sheets.api_base)
    try:
        return "service", read_sheet(api, folder)
    finally:
        api.close()


def _print_fidelity(found: Fidelity, where: str) -> None:
    def known(count: int | None) -> str:
        return "not known" if count is None else str(count)

    print(f"sent by the gateway  {known(found.sent)}")
    print(f"taped raw            {found.taped_raw}")
    print(f"taped for the engine {found.taped} ({found.rejected} quarantined)")
    print(f"in the sheet         {known(found.sheet)} (read from: {where})")
    print(f"missing {found.missing}, doubled {found.doubled}, wrong in the sheet {found.sheet_wrong}")
    print("the books are equal" if found.equal else "the books are NOT equal")
