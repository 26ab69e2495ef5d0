"""Bring the spreadsheet and the marks together at a start: tabs, headers, and lost marks found again by reading."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from pj.sheets.rows import Row, Tab, cell_text
from pj.sheets.streams import Cursor, RowStream
from pj.sheets.watermarks import Marks

PAGE_ROWS: Final = 5_000


class SheetUnusable(Exception):
    """Report a spreadsheet that holds something else where our rows belong, in one sentence for the operator."""


@dataclass(slots=True)
class Grid:
    """Hold a tab's id and the size of its grid as the service last told it; never counted up by guess."""

    sheet_id: int
    rows: int
    columns: int

    @property
    def cells(self) -> int:
        """Return the cells of the grid."""
        return self.rows * self.columns


def grids_in(described: dict[str, Any]) -> dict[str, Grid]:
    """Return the grids of all tabs by title from a Spreadsheet resource."""
    grids = {}
    for sheet in described.get("sheets", []):
        properties = sheet["properties"]
        size = properties.get("gridProperties", {})
        grid = Grid(properties["sheetId"], size.get("rowCount", 0), size.get("columnCount", 0))
        grids[properties["title"]] = grid
    return grids


def missing_tabs(tabs: tuple[Tab, ...], grids: dict[str, Grid]) -> list[dict[str, Any]]:
    """Return the requests that add missing tabs, small and exactly as wide as needed, and widen narrow ones."""
    requests: list[dict[str, Any]] = []
    for tab in tabs:
        grid = grids.get(tab.title)
        if grid is None:
            size = {"rowCount": tab.step, "columnCount": len(tab.columns), "frozenRowCount": 1}
            requests.append({"addSheet": {"properties": {"title": tab.title, "gridProperties": size}}})
        elif grid.columns < len(tab.columns):
            requests.append(resize_request(grid, grid.rows, len(tab.columns)))
    return requests


def resize_request(grid: Grid, rows: int, columns: int) -> dict[str, Any]:
    """Return the request that sets a grid to an absolute size."""
    size = {"rowCount": rows, "columnCount": columns}
    return {
        "updateSheetProperties": {
            "properties": {"sheetId": grid.sheet_id, "gridProperties": size},
            "fields": "gridProperties.rowCount,gridProperties.columnCount",
        }
    }


def check_header(tab: Tab, found: list[list[Any]]) -> bool:
    """Return whether the header stands there; False when row 1 is empty. Raises SheetUnusable for another header."""
    if not found or not any(cell_text(cell) for cell in found[0]):
        return False
    if [cell_text(cell) for cell in found[0]] != list(tab.columns):
        shown = ", ".join(cell_text(cell) for cell in found[0][:4])
        raise SheetUnusable(
            f"the tab {tab.title!r} of the spreadsheet has other columns ({shown} ...); rename that tab"
            " or give another spreadsheet in sheets.spreadsheet_id"
        )
    return True


def same(row: list[Any], local: Row) -> bool:
    """Tell whether a row read back equals the local one, cell by cell as text."""
    return len(row) == len(local) and all(map(_equal, row, local))


def _equal(found: object, local: object) -> bool:
    return found == local or cell_text(found) == cell_text(local)


class Aligner:
    """Find lost marks again: compare the sheet, page by page, with the rows of the files.

    Rows above our first one belong to other run folders or to days whose files are gone: they count as ``base``. From
    there on every row must be ours; a blank or altered one is written anew from there on. Raises SheetUnusable when
    another row stands in between, because then nobody can tell which rows are right.
    """

    def __init__(self, stream: RowStream) -> None:
        self._stream = stream
        self._tab = stream.tab
        self._base = 0
        self._at = Cursor()
        self._aligned = False
        self._repair: Cursor | None = None
        first = stream.gather(Cursor(), max_rows=1)
        self._first = first.rows[0] if first and first.rows else None
        self.seen = 0

    def feed(self, page: list[list[Any]]) -> None:
        """Take the next rows of the sheet in order."""
        self.seen += len(page)
        while page and not self._aligned:
            if self._first is not None and same(page[0], self._first):
                self._aligned = True
            else:
                self._base += 1
                page = page[1:]
        while page:
            chunk = self._stream.gather(self._at, max_rows=len(page))
            if chunk is None:
                raise self._strange(page[0], "stands below our last row")
            for index, (row, local) in enumerate(zip(page, chunk.rows, strict=False)):
                if not same(row, local):
                    self._differs(row, local, index)
            self._at = chunk.after
            page = page[len(chunk.rows) :]

    def marks(self) -> Marks:
        """Return the marks that the sheet proves."""
        at = self._repair or self._at
        return Marks(self._base, at, at, at)

    def _differs(self, row: list[Any], local: Row, index: int) -> None:
        blank = not any(cell_text(cell) for cell in row)
        if not blank and [cell_text(cell) for cell in row[:2]] != [cell_text(cell) for cell in local[:2]]:
            raise self._strange(row, "stands where another row of this run folder belongs")
        if self._repair is None:
            before = self._stream.gather(self._at, max_rows=index) if index else None
            self._repair = before.after if before else self._at

    def _strange(self, row: list[Any], why: str) -> SheetUnusable:
        shown = ", ".join(cell_text(cell) for cell in row[:3])
        return SheetUnusable(
            f"the marks in state/sheets.json are lost and in the tab {self._tab.title!r} a row ({shown}) {why};"
            " rename that tab, a new one will be filled from the files"
        )
