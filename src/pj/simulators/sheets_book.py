"""Keep one spreadsheet as Google Sheets would: tabs with a grid, values, table search, limits (services.md 2.1-2.3).

Pure: no clock, socket or file. Whatever the service would refuse raises ApiFailure with the
service's own code, status and words. Every call either changes all that it names or nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from pj.simulators.sheets_ranges import Area, BadRange, format_area, parse_area, quote_title
from pj.simulators.sheets_table import Cell, find_table

CELL_LIMIT: Final = 10_000_000
DEFAULT_ROWS: Final = 1000
DEFAULT_COLUMNS: Final = 26


class ApiFailure(Exception):
    """Carry an answer that is not 200: HTTP code, google.rpc status, message, details."""

    def __init__(self, code: int, status: str, message: str, details: list[dict[str, Any]] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.status = status
        self.message = message
        self.details = details

    def body(self) -> dict[str, Any]:
        """Return the error as the service writes it."""
        error: dict[str, Any] = {"code": self.code, "message": self.message, "status": self.status}
        if self.details:
            error["details"] = self.details
        return {"error": error}


def bad_request(message: str) -> ApiFailure:
    """Return the 400 for a request that can never succeed as it is."""
    return ApiFailure(400, "INVALID_ARGUMENT", message)


@dataclass(slots=True)
class Sheet:
    """Hold one tab; rows keep only the cells up to their last value.

    ``dirty_from`` is the first 0-based row changed since it was last stored (None = nothing changed).
    """

    sheet_id: int
    title: str
    row_count: int = DEFAULT_ROWS
    column_count: int = DEFAULT_COLUMNS
    rows: list[list[Cell]] = field(default_factory=list)
    dirty_from: int | None = None
    frozen_rows: int = 0

    def touch(self, row: int) -> None:
        """Note that ``row`` and possibly later rows changed."""
        self.dirty_from = row if self.dirty_from is None else min(self.dirty_from, row)

    def properties(self, index: int) -> dict[str, Any]:
        """Return SheetProperties."""
        grid: dict[str, Any] = {"rowCount": self.row_count, "columnCount": self.column_count}
        if self.frozen_rows:
            grid["frozenRowCount"] = self.frozen_rows
        return {
            "sheetId": self.sheet_id,
            "title": self.title,
            "index": index,
            "sheetType": "GRID",
            "gridProperties": grid,
        }

    def write(self, top: int, left: int, values: list[list[Cell]]) -> tuple[int, int]:
        """Put ``values`` down (None leaves a cell, "" blanks it); return (rows, cells) written."""
        cells = 0
        for offset, line in enumerate(values):
            at = top + offset
            while len(self.rows) <= at:
                self.rows.append([])
            old = self.rows[at]
            new = old + [None] * (left + len(line) - len(old))
            for column, value in enumerate(line, start=left):
                if value is not None:
                    new[column] = None if value == "" else value
                    cells += 1
            while new and new[-1] is None:
                new.pop()
            if new != old or [type(cell) for cell in new] != [type(cell) for cell in old]:
                self.rows[at] = new
                self.touch(at)
        while self.rows and not self.rows[-1]:
            self.rows.pop()
        return len(values), cells


@dataclass(slots=True)
class Workbook:
    """Hold the tabs of one spreadsheet in their order."""

    spreadsheet_id: str
    title: str = "PJ Audit"
    time_zone: str = "America/New_York"
    cell_limit: int = CELL_LIMIT
    sheets: list[Sheet] = field(default_factory=lambda: [Sheet(0, "Sheet1")])

    def titles(self) -> set[str]:
        """Return the titles of all tabs."""
        return {sheet.title for sheet in self.sheets}

    def cells(self) -> int:
        """Return the grid cells of all tabs, blank ones included."""
        return sum(sheet.row_count * sheet.column_count for sheet in self.sheets)

    def describe(self) -> dict[str, Any]:
        """Return the Spreadsheet resource without grid data."""
        return {
            "spreadsheetId": self.spreadsheet_id,
            "properties": {
                "title": self.title,
                "locale": "en_US",
                "timeZone": self.time_zone,
                "autoRecalc": "ON_CHANGE",
            },
            "sheets": [{"properties": sheet.properties(index)} for index, sheet in enumerate(self.sheets)],
            "spreadsheetUrl": f"https://docs.google.com/spreadsheets/d/{self.spreadsheet_id}/edit",
        }

    def by_title(self, title: str) -> Sheet | None:
        """Return the tab with ``title``, None if there is none."""
        return next((sheet for sheet in self.sheets if sheet.title == title), None)

    def by_id(self, sheet_id: object, request: str) -> Sheet:
        """Return the tab with ``sheet_id``; raises ApiFailure naming the request."""
        for sheet in self.sheets:
            if sheet.sheet_id == sheet_id:
                return sheet
        raise bad_request(f"Invalid requests[0].{request}: No grid with id: {sheet_id}")

    def locate(self, text: str) -> tuple[Sheet, Area]:
        """Return the tab and the area that A1 notation names; raises ApiFailure (400)."""
        try:
            area = parse_area(text, self.titles())
        except BadRange:
            raise bad_request(f"Unable to parse range: {text}") from None
        sheet = self.sheets[0] if area.title is None else self.by_title(area.title)
        if sheet is None:
            raise bad_request(f"Unable to parse range: {text}")
        return sheet, area

    def bounded(self, text: str) -> tuple[Sheet, int, int, int, int]:
        """Return tab, top, left, bottom, right of A1 notation cut to the grid; raises ApiFailure beyond it."""
        sheet, area = self.locate(text)
        bottom = sheet.row_count if area.bottom is None else area.bottom
        right = sheet.column_count if area.right is None else area.right
        if area.top >= sheet.row_count or area.left >= sheet.column_count:
            raise self._beyond(sheet, area.top, area.left, max(bottom, area.top + 1), max(right, area.left + 1))
        return sheet, area.top, area.left, min(bottom, sheet.row_count), min(right, sheet.column_count)

    @staticmethod
    def _beyond(sheet: Sheet, top: int, left: int, bottom: int, right: int) -> ApiFailure:
        name = format_area(sheet.title, top, left, bottom, right)
        return bad_request(
            f"Range ({name}) exceeds grid limits. Max rows: {sheet.row_count}, max columns: {sheet.column_count}"
        )

    def check_cells(self, extra: int) -> None:
        """Raise ApiFailure if ``extra`` more cells would pass the limit of the workbook."""
        if extra > 0 and self.cells() + extra > self.cell_limit:
            raise bad_request(
                "This action would increase the number of cells in the workbook above the limit of"
                f" {self.cell_limit} cells."
            )

    def read(self, text: str) -> tuple[str, list[list[Cell]]]:
        """Return the full name of a range and its values, trailing blanks cut."""
        sheet, top, left, bottom, right = self.bounded(text)
        values = [list(row[left:right]) for row in sheet.rows[top:bottom]]
        for row in values:
            while row and row[-1] is None:
                row.pop()
        while values and not values[-1]:
            values.pop()
        return format_area(sheet.title, top, left, bottom, right), values

    def plan_update(self, text: str, values: list[list[Cell]]) -> tuple[Sheet, int, int, int]:
        """Check that ``values`` may be written to a range; return tab, top, left, width. Changes nothing."""
        sheet, area = self.locate(text)
        width = max((len(row) for row in values), default=0)
        bottom, right = area.top + max(len(values), 1), area.left + max(width, 1)
        if not area.single:
            self._inside(sheet, area, bottom, right)
        if bottom > sheet.row_count or right > sheet.column_count:
            raise self._beyond(sheet, area.top, area.left, bottom, right)
        if area.bottom is not None and area.bottom > sheet.row_count:
            raise self._beyond(sheet, area.top, area.left, area.bottom, area.right or sheet.column_count)
        return sheet, area.top, area.left, width

    @staticmethod
    def _inside(sheet: Sheet, area: Area, bottom: int, right: int) -> None:
        row_over = area.bottom is not None and bottom > area.bottom
        column_over = area.right is not None and right > area.right
        if row_over or column_over:
            name = format_area(
                sheet.title, area.top, area.left, area.bottom or sheet.row_count, area.right or sheet.column_count
            )
            what = f"row [{bottom}]" if row_over else f"column [{right}]"
            raise bad_request(f"Requested writing within range [{name}], but tried writing to {what}")

    def update(self, ranges: list[tuple[str, list[list[Cell]]]]) -> list[dict[str, Any]]:
        """Write all ranges or none; return one UpdateValuesResponse each."""
        plans = [(self.plan_update(text, values), values) for text, values in ranges]
        answers = []
        for (sheet, top, left, width), values in plans:
            rows, cells = sheet.write(top, left, values)
            answers.append(self._updated(sheet, top, left, rows, width, cells))
        return answers

    def append(self, text: str, values: list[list[Cell]], *, insert: bool) -> dict[str, Any]:
        """Write below the last table found in a range (services.md 2.3); the grid grows as needed."""
        sheet, area = self.locate(text)
        if area.top >= sheet.row_count or area.left >= sheet.column_count:
            raise self._beyond(sheet, area.top, area.left, area.top + 1, area.left + 1)
        table = find_table(sheet.rows, area)
        top, left = (area.top, area.left) if table is None else (table.bottom, table.left)
        width = max((len(row) for row in values), default=0)
        if left + width > sheet.column_count:
            raise self._beyond(sheet, top, left, top + max(len(values), 1), left + width)
        grow = len(values) if insert and table is not None else max(0, top + len(values) - sheet.row_count)
        self.check_cells(grow * sheet.column_count)
        if insert and table is not None and top < len(sheet.rows):
            sheet.rows[top:top] = [[] for _ in values]
            sheet.touch(top)
        sheet.row_count += grow
        rows, cells = sheet.write(top, left, values)
        answer: dict[str, Any] = {"spreadsheetId": self.spreadsheet_id}
        if table is not None:
            answer["tableRange"] = format_area(sheet.title, table.top, table.left, table.bottom, table.right)
        answer["updates"] = self._updated(sheet, top, left, rows, width, cells)
        return answer

    def clear(self, text: str) -> str:
        """Blank a range; return its full name."""
        sheet, top, left, bottom, right = self.bounded(text)
        last = min(bottom, len(sheet.rows))
        blanks: list[list[Cell]] = [[""] * max(0, min(right, len(row)) - left) for row in sheet.rows[top:last]]
        sheet.write(top, left, blanks)
        return format_area(sheet.title, top, left, bottom, right)

    def _updated(self, sheet: Sheet, top: int, left: int, rows: int, width: int, cells: int) -> dict[str, Any]:
        return {
            "spreadsheetId": self.spreadsheet_id,
            "updatedRange": (
                format_area(sheet.title, top, left, top + rows, left + width)
                if rows and width
                else f"{quote_title(sheet.title)}!A{top + 1}"
            ),
            "updatedRows": rows,
            "updatedColumns": width,
            "updatedCells": cells,
        }
