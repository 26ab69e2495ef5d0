"""Keep the simulated workbook on disk: one CSV per tab that a person can open, and the grids beside them.

Strings are quoted, numbers and TRUE/FALSE are bare, a blank is nothing: types survive a restart.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

from pj.channels.files import replace_atomic
from pj.simulators.sheets_book import Sheet, Workbook
from pj.simulators.sheets_table import Cell

_FIELD: Final = re.compile(r'(?:"((?:[^"]|"")*)"|([^,"\n]*))(,|\n)')
_FILE_NAME: Final = re.compile(r"[^A-Za-z0-9_.-]+")


class StoreError(ValueError):
    """Report stored files that do not fit together."""


class BookStore:
    """Write what changed since the last call; read everything back at start.

    A tab that only grew is appended to, any other change rewrites its file through a temporary one.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._stored: dict[int, tuple[Path, int]] = {}
        self._grids = ""

    def path(self, title: str) -> Path:
        """Return the CSV of a tab."""
        return self.folder / f"sheet_{_FILE_NAME.sub('_', title)}.csv"

    def load(self, book: Workbook) -> bool:
        """Fill ``book`` from the folder; False when nothing is stored. Raises StoreError."""
        index = self.folder / "sheets_book.json"
        if not index.exists():
            return False
        info = json.loads(index.read_text(encoding="utf-8"))
        if info["spreadsheetId"] != book.spreadsheet_id:
            raise StoreError(
                f"{index} is of spreadsheet {info['spreadsheetId']!r}, not {book.spreadsheet_id!r};"
                " name that id or another run folder"
            )
        book.sheets = []
        for entry in info["sheets"]:
            sheet = Sheet(entry["sheetId"], entry["title"], entry["rowCount"], entry["columnCount"])
            sheet.frozen_rows = entry.get("frozenRowCount", 0)
            path = self.path(sheet.title)
            if path.exists():
                sheet.rows, whole = _parse(path.read_text(encoding="utf-8"))
                sheet.row_count = max(sheet.row_count, len(sheet.rows))
                if not whole:
                    sheet.touch(0)
            book.sheets.append(sheet)
            self._stored[sheet.sheet_id] = (path, len(sheet.rows))
        return True

    def snapshot(self, book: Workbook) -> list[tuple[Path, int, list[list[Cell]]]]:
        """Return (file, first row, rows) to be stored and mark the tabs clean; call under the book's lock."""
        work: list[tuple[Path, int, list[list[Cell]]]] = []
        for sheet in book.sheets:
            path = self.path(sheet.title)
            old_path, stored = self._stored.get(sheet.sheet_id, (path, -1))
            if sheet.dirty_from is None and old_path == path and stored >= 0:
                continue
            grew = old_path == path and sheet.dirty_from is not None and 0 <= stored <= sheet.dirty_from
            first = stored if grew else 0
            work.append((path, first, sheet.rows[first:]))
            self._stored[sheet.sheet_id] = (path, len(sheet.rows))
            sheet.dirty_from = None
        return work

    def write(self, work: list[tuple[Path, int, list[list[Cell]]]], grids: dict[str, Any]) -> None:
        """Put a snapshot and the grids on disk; call from one thread."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for path, first, rows in work:
            text = "".join(_line(row) for row in rows)
            if first > 0:
                with path.open("a", encoding="utf-8", newline="") as out:
                    out.write(text)
            else:
                replace_atomic(path, text.encode())
        text = json.dumps(grids, indent=1)
        if text != self._grids:
            replace_atomic(self.folder / "sheets_book.json", text.encode())
            self._grids = text


def grids_of(book: Workbook) -> dict[str, Any]:
    """Return ids, titles and grid sizes of the tabs for the index file."""
    return {
        "spreadsheetId": book.spreadsheet_id,
        "sheets": [
            {
                "sheetId": sheet.sheet_id,
                "title": sheet.title,
                "rowCount": sheet.row_count,
                "columnCount": sheet.column_count,
                "frozenRowCount": sheet.frozen_rows,
            }
            for sheet in book.sheets
        ],
    }


def _line(row: list[Cell]) -> str:
    return ",".join(_cell(cell) for cell in row) + "\n"


def _cell(cell: Cell) -> str:
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "TRUE" if cell else "FALSE"
    if isinstance(cell, str):
        return '"' + cell.replace('"', '""') + '"'
    return str(int(cell)) if float(cell).is_integer() and abs(cell) < 1e15 else repr(float(cell))


def _parse(text: str) -> tuple[list[list[Cell]], bool]:
    """Return the rows of a CSV and whether it ended whole; a torn last row is left out."""
    rows: list[list[Cell]] = []
    row: list[Cell] = []
    at = 0
    while at < len(text):
        match = _FIELD.match(text, at)
        if match is None:
            return rows, False
        row.append(match[1].replace('""', '"') if match[1] is not None else _bare(match[2]))
        at = match.end()
        if match[3] == "\n":
            while row and row[-1] is None:
                row.pop()
            rows.append(row)
            row = []
    return rows, not row


def _bare(text: str) -> Cell:
    if text == "":
        return None
    if text in {"TRUE", "FALSE"}:
        return text == "TRUE"
    number = float(text)
    return int(number) if number.is_integer() and abs(number) < 1e15 else number
