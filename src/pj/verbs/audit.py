"""Audit a run: ``pj audit verify`` checks the journals' hash chain."""

from __future__ import annotations

import sys
from datetime import date
from typing import Any

from pj.channels.journal import GENESIS, JournalDamaged, head_before, verify
from pj.channels.rundir import RunDir
from pj.verbs.common import Options, Refusal, print_json, run_dir_of, settings_of


def verify_journals(options: Options) -> int:
    """Check every journal of the run folder, or of one date, as one chain; 1 at the first bad line."""
    folder = run_dir_of(settings_of(options))
    days = _days(folder, options["date"])
    head = head_before(folder, folder.day(days[0])) if options["date"] else GENESIS
    found: list[dict[str, Any]] = []
    trouble = ""
    for day in days:
        path = folder.day(day).journal
        try:
            checked = verify(path, head)
        except JournalDamaged as error:
            trouble = str(error)
            break
        head = checked.head
        found.append(
            {"date": day.isoformat(), "lines": checked.count, "head": checked.head, "torn_bytes": len(checked.torn)}
        )
    _report({"ok": not trouble, "journals": found, "trouble": trouble}, as_json=options["json"])
    return 1 if trouble else 0


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
        print(f"{row['date']}  {row['lines']} lines, head {row['head'][:16]}{torn}")
    if report["trouble"]:
        sys.stderr.write(f"{report['trouble']}\n")
    else:
        print("every line is what was written")
