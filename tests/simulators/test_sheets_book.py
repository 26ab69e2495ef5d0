"""Table search, grids and storage of the simulated workbook."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from pj.simulators.sheets_book import ApiFailure, Sheet, Workbook
from pj.simulators.sheets_ranges import parse_area
from pj.simulators.sheets_requests import apply_requests
from pj.simulators.sheets_store import BookStore, grids_of
from pj.simulators.sheets_table import Table, find_table

# The guide's example: table A1:C2, a blank row, table B4:D6.
GUIDE = [
    ["a", "b", "c"],
    ["d", "e", "f"],
    [],
    [None, "g", "h", "i"],
    [None, "j", "k", "l"],
    [None, "m", "n", "o"],
]
UPPER, LOWER = Table(0, 0, 2, 3), Table(3, 1, 6, 4)


@pytest.mark.parametrize(
    ("text", "table"),
    [
        ("Sheet1", LOWER),
        ("B4", LOWER),
        ("C5:D5", LOWER),
        ("B2:D4", LOWER),
        ("A3:G10", LOWER),
        ("A1", UPPER),
        ("A1:C2", UPPER),
        ("E4", None),
        ("A4", None),
    ],
)
def test_append_finds_the_table_of_the_guide(text: str, table: Table | None) -> None:
    assert find_table(GUIDE, parse_area(text, {"Sheet1"})) == table


def test_append_takes_a_hole_inside_the_bounding_box_as_the_table() -> None:
    rows = [[None, "b"], ["a", "b"]]
    assert find_table(rows, parse_area("A1", set())) == Table(0, 0, 2, 2)


def test_overwrite_reuses_blank_rows_and_insert_adds_them() -> None:
    book = Workbook("K", sheets=[Sheet(0, "T", 4, 2)])
    book.append("T!A1", [["1", "2"]], insert=False)
    book.append("T!A1", [["3", "4"]], insert=False)
    assert book.sheets[0].row_count == 4
    book.append("T!A1", [["5", "6"]], insert=True)
    assert book.sheets[0].row_count == 5
    book.append("T!A1", [["7", "8"]] * 5, insert=False)
    assert (book.sheets[0].row_count, len(book.sheets[0].rows)) == (8, 8)
    with pytest.raises(ApiFailure, match="exceeds grid limits"):
        book.append("T!A1", [["1", "2", "3"]], insert=False)


def test_a_refused_batch_changes_no_grid() -> None:
    book = Workbook("K")
    add = {"addSheet": {"properties": {"title": "T", "gridProperties": {"rowCount": 2, "columnCount": 3}}}}
    with pytest.raises(ApiFailure, match="already exists"):
        apply_requests(book, [add, add])
    assert book.titles() == {"Sheet1"}
    replies = apply_requests(book, [add, {"appendDimension": {"sheetId": 0, "dimension": "ROWS", "length": 5}}])
    assert replies[0]["addSheet"]["properties"]["gridProperties"] == {"rowCount": 2, "columnCount": 3}
    assert book.sheets[0].row_count == 1005
    span = {"sheetId": 0, "dimension": "ROWS", "startIndex": 0, "endIndex": 1005}
    with pytest.raises(ApiFailure, match="can't delete all the rows"):
        apply_requests(book, [{"deleteDimension": {"range": span}}])
    with pytest.raises(ApiFailure, match="No grid with id: 77"):
        apply_requests(book, [{"deleteSheet": {"sheetId": 77}}])


def store(book: Workbook, keeper: BookStore) -> None:
    keeper.write(keeper.snapshot(book), grids_of(book))


def test_the_store_appends_what_grew_rewrites_what_changed_and_keeps_types(tmp_path: Path) -> None:
    book, keeper = Workbook("K"), BookStore(tmp_path)
    book.update([("A1", [["x,y", 'q"z', 1, 25000.25, True]]), ("A2", [["line\nbreak", "", 3]])])
    store(book, keeper)
    path = keeper.path("Sheet1")
    inode = path.stat().st_ino
    assert path.read_text() == '"x,y","q""z",1,25000.25,TRUE\n"line\nbreak",,3\n'
    book.update([("A3", [["more"]])])
    store(book, keeper)
    assert path.stat().st_ino == inode
    book.update([("A3", [["more"]])])
    assert keeper.snapshot(book) == []
    with path.open("a") as out:
        out.write('"torn')
    again, keeper2 = Workbook("K"), BookStore(tmp_path)
    assert keeper2.load(again)
    assert again.sheets[0].rows == book.sheets[0].rows
    store(again, keeper2)
    assert path.read_text().endswith('"more"\n')
    again.update([("B1", [["new"]])])
    store(again, keeper2)
    assert path.read_text().startswith('"x,y","new",1')


@pytest.mark.slow
def test_the_process_keeps_its_tabs_through_sigterm_and_refuses_a_taken_port(tmp_path: Path) -> None:
    def start(port: int) -> tuple[subprocess.Popen[str], int]:
        arguments = ["--port", str(port), "--run-dir", str(tmp_path), "--spreadsheet-id", "K"]
        arguments += ["--make-credentials", str(tmp_path / "sa.json")]
        command = [sys.executable, "-P", "-m", "pj.simulators.sheets", *arguments]
        env = {name: value for name, value in os.environ.items() if not name.startswith("PJ_")}
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)
        assert process.stdout is not None
        line = process.stdout.readline().split()
        return process, int(line[2].rsplit(":", 1)[1]) if line else 0

    process, port = start(0)
    second, _ = start(port)
    _, errors = second.communicate(timeout=10)
    assert second.returncode == 2
    assert f"port {port} cannot be used" in errors
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/_tab/Sheet1", timeout=5) as answer:
        assert json.loads(answer.read())["values"] == []
    process.send_signal(signal.SIGTERM)
    output, errors = process.communicate(timeout=10)
    assert (process.returncode, output, errors) == (0, "", "")
    assert (tmp_path / "simulators" / "sheet_Sheet1.csv").exists()
    assert json.loads((tmp_path / "state" / "sheets.stats.json").read_text())["phase"] == "STOPPING"
    process, again = start(port)
    assert again == port
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=10)
    assert process.returncode == 0
