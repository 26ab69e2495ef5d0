"""``pj audit verify`` holds the journals to what stats file, report and sheet say of them."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from live.market import INSTRUMENTS
from pj.channels.anchors import ANCHOR, GAUGE
from pj.channels.journal import GENESIS, Journal, open_journal
from pj.channels.rundir import RunDir
from pj.channels.stats import StatsWriter
from pj.cli import main
from pj.sheets.rows import LOG_COLUMNS, TRADE_LOG, anchors_in, tabs_for
from pj.sheets.streams import Cursor, RowStream

MONDAY, TUESDAY = date(2026, 4, 13), date(2026, 4, 14)


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    """Return a run folder of two days, anchored in all three places."""
    run = RunDir(tmp_path / "run", INSTRUMENTS["MNQ"]).create()
    for day in (MONDAY, TUESDAY):
        journal = open_journal(run, run.day(day).create())
        for number in range(4):
            journal.append("SWEPT", {"n": number}, number)
            journal.append(ANCHOR, {"bars": 0}, number)
        said = {"date": day.isoformat(), "seq": journal.count, "head": journal.head}
        journal.close()
    StatsWriter(run.state("engine"), "engine", "x").beat("STOPPING", **{GAUGE: said})
    run.report.write_text(json.dumps({"journal": said}))
    tab = next(tab for tab in tabs_for(run.instrument) if tab.title == TRADE_LOG)
    with (run.simulators / f"sheet_{TRADE_LOG}.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([LOG_COLUMNS, *rows_of(RowStream(run, tab, lambda *_: None))])
    return run


def rows_of(stream: RowStream) -> Iterator[tuple[Any, ...]]:
    cursor = Cursor()
    while (chunk := stream.gather(cursor)) is not None:
        yield from chunk.rows
        cursor = chunk.after


def verify(run: RunDir, capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, dict[str, Any]]:
    code = main(["audit", "verify", "--run-dir", str(run.root), "--json", *more])
    return code, json.loads(capsys.readouterr().out)


def test_what_was_only_written_holds(run: RunDir, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = verify(run, capsys)
    assert (code, said["ok"], said["trouble"]) == (0, True, "")
    assert [(row["anchors"], row["anchored_to"]) for row in said["journals"]] == [(4, 8), (6, 8)]
    assert verify(run, capsys, "--sheet", "none")[1]["journals"][0]["anchors"] == 0


@pytest.mark.parametrize("place", ["stats", "report", "sheet"])
def test_lines_cut_from_the_end_are_seen_from_any_one_place(
    run: RunDir, capsys: pytest.CaptureFixture[str], place: str
) -> None:
    if place != "stats":
        run.state("engine").unlink()
    if place != "report":
        run.report.unlink()
    if place != "sheet":
        (run.simulators / f"sheet_{TRADE_LOG}.csv").unlink()
    path = run.day(TUESDAY).journal
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    code, said = verify(run, capsys)
    assert code == 1 and "names line 8, the journal ends at line 7" in said["trouble"]


def test_a_day_written_anew_is_seen_by_the_sheet(run: RunDir, capsys: pytest.CaptureFixture[str]) -> None:
    path = run.day(MONDAY).journal
    path.unlink()
    forged = Journal(path, GENESIS)
    for number in range(8):
        forged.append("SWEPT", {"n": -number}, number)
    forged.close()
    code, said = verify(run, capsys, "--date", MONDAY.isoformat())
    assert code == 1 and "the sheet's TradeLog (files) says hash" in said["trouble"]


def test_a_journal_that_is_gone_is_named(run: RunDir, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(run.day(TUESDAY).folder)
    code, said = verify(run, capsys)
    assert code == 1 and "2026-04-14, which has no journal" in said["trouble"]


def test_a_sheet_row_that_is_damaged_or_foreign_binds_nobody() -> None:
    row = ["2026-04-14", 8, "t", "ANCHOR", "-", *["-"] * (len(LOG_COLUMNS) - 7), '{"head":"ab"}', "00000000"]
    assert list(anchors_in([row, row[:-1], ["x"], []], "here")) == []
