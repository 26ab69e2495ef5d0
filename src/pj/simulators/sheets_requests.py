"""Apply ``spreadsheets.batchUpdate`` requests: tabs and grids (services.md 2.2). All of a call or none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from pj.simulators.sheets_book import DEFAULT_COLUMNS, DEFAULT_ROWS, Sheet, Workbook, bad_request


def apply_requests(book: Workbook, requests: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Apply every request in order and return the replies; on a refusal nothing is changed.

    Raises ApiFailure (400) with the service's words.
    """
    if not requests:
        raise bad_request("Must specify at least one request.")
    before = [replace(sheet, rows=list(sheet.rows)) for sheet in book.sheets]
    try:
        return [_apply(book, index, request) for index, request in enumerate(requests)]
    except Exception:
        book.sheets = before
        raise


def _apply(book: Workbook, index: int, request: dict[str, Any]) -> dict[str, Any]:
    if len(request) != 1:
        raise bad_request(f"Invalid requests[{index}]: exactly one kind of request must be set")
    kind, body = next(iter(request.items()))
    handler = _HANDLERS.get(kind)
    if handler is None:
        raise bad_request(f"Invalid JSON payload received. Unknown name \"{kind}\" at 'requests[{index}]'")
    return handler(book, body)


def _add_sheet(book: Workbook, body: dict[str, Any]) -> dict[str, Any]:
    properties = body.get("properties") or {}
    grid = properties.get("gridProperties") or {}
    rows = int(grid.get("rowCount") or DEFAULT_ROWS)
    columns = int(grid.get("columnCount") or DEFAULT_COLUMNS)
    ids = {sheet.sheet_id for sheet in book.sheets}
    sheet_id = properties.get("sheetId")
    if sheet_id is None:
        sheet_id = next(number for number in range(1_000_001, 2_000_000) if number not in ids)
    title = properties.get("title") or f"Sheet{len(book.sheets) + 1}"
    if title in book.titles():
        raise bad_request(
            f'Invalid requests[0].addSheet: A sheet with the name "{title}" already exists. Please enter another name.'
        )
    if sheet_id in ids:
        raise bad_request(f"Invalid requests[0].addSheet: Sheet ID {sheet_id} already exists")
    book.check_cells(rows * columns)
    sheet = Sheet(int(sheet_id), str(title), rows, columns, frozen_rows=int(grid.get("frozenRowCount") or 0))
    sheet.touch(0)
    position = properties.get("index")
    position = len(book.sheets) if position is None else min(int(position), len(book.sheets))
    book.sheets.insert(position, sheet)
    return {"addSheet": {"properties": sheet.properties(position)}}


def _update_properties(book: Workbook, body: dict[str, Any]) -> dict[str, Any]:
    name = "updateSheetProperties"
    properties = body.get("properties") or {}
    sheet = book.by_id(properties.get("sheetId", 0), name)
    grid = properties.get("gridProperties") or {}
    fields = [part.strip().replace("/", ".") for part in str(body.get("fields") or "").split(",") if part.strip()]
    if not fields:
        raise bad_request(f"Invalid requests[0].{name}: At least one field must be listed in 'fields'. (Use '*')")
    for mask in fields:
        if mask == "title":
            _rename(book, sheet, str(properties.get("title") or ""))
        elif mask == "gridProperties.rowCount":
            _resize(book, sheet, int(grid.get("rowCount") or 0), sheet.column_count)
        elif mask == "gridProperties.columnCount":
            _resize(book, sheet, sheet.row_count, int(grid.get("columnCount") or 0))
        elif mask == "gridProperties.frozenRowCount":
            sheet.frozen_rows = int(grid.get("frozenRowCount") or 0)
        elif mask == "gridProperties":
            rows, columns = grid.get("rowCount") or DEFAULT_ROWS, grid.get("columnCount") or DEFAULT_COLUMNS
            _resize(book, sheet, int(rows), int(columns))
        else:
            raise bad_request(f"Invalid requests[0].{name}: the simulator does not know the field {mask}")
    return {}


def _rename(book: Workbook, sheet: Sheet, title: str) -> None:
    if not title or (title != sheet.title and title in book.titles()):
        raise bad_request(
            f'Invalid requests[0].updateSheetProperties: A sheet with the name "{title}" already exists.'
            " Please enter another name."
        )
    sheet.title = title
    sheet.touch(0)


def _resize(book: Workbook, sheet: Sheet, rows: int, columns: int) -> None:
    if rows < 1 or columns < 1:
        raise bad_request("Invalid requests[0].updateSheetProperties: a grid needs at least one row and one column")
    book.check_cells(rows * columns - sheet.row_count * sheet.column_count)
    if columns < sheet.column_count:
        for index, row in enumerate(sheet.rows):
            if len(row) > columns:
                sheet.rows[index] = row[:columns]
                sheet.touch(index)
    if rows < len(sheet.rows):
        del sheet.rows[rows:]
        sheet.touch(rows)
    sheet.row_count, sheet.column_count = rows, columns


def _delete_sheet(book: Workbook, body: dict[str, Any]) -> dict[str, Any]:
    sheet = book.by_id(body.get("sheetId", 0), "deleteSheet")
    if len(book.sheets) == 1:
        raise bad_request("Invalid requests[0].deleteSheet: You can't remove all the sheets in a document.")
    book.sheets.remove(sheet)
    return {}


def _delete_dimension(book: Workbook, body: dict[str, Any]) -> dict[str, Any]:
    name = "deleteDimension"
    span = body.get("range") or {}
    sheet = book.by_id(span.get("sheetId", 0), name)
    rows = span.get("dimension") == "ROWS"
    size = sheet.row_count if rows else sheet.column_count
    start, end = int(span.get("startIndex") or 0), span.get("endIndex")
    end = size if end is None else int(end)
    if not 0 <= start < end <= size:
        raise bad_request(f"Invalid requests[0].{name}: range [{start}, {end}) is not inside the {size} of the grid")
    if end - start == size:
        word = "rows" if rows else "columns"
        raise bad_request(f"Invalid requests[0].{name}: You can't delete all the {word} on the sheet.")
    if rows:
        del sheet.rows[start:end]
        sheet.row_count -= end - start
    else:
        sheet.rows = [row[:start] + row[end:] for row in sheet.rows]
        sheet.column_count -= end - start
    sheet.touch(start if rows else 0)
    return {}


def _append_dimension(book: Workbook, body: dict[str, Any]) -> dict[str, Any]:
    name = "appendDimension"
    sheet = book.by_id(body.get("sheetId", 0), name)
    length = int(body.get("length") or 0)
    if length < 1:
        raise bad_request(f"Invalid requests[0].{name}: length must be above 0")
    rows = body.get("dimension") == "ROWS"
    book.check_cells(length * (sheet.column_count if rows else sheet.row_count))
    if rows:
        sheet.row_count += length
    else:
        sheet.column_count += length
    return {}


_HANDLERS: Final[dict[str, Callable[[Workbook, dict[str, Any]], dict[str, Any]]]] = {
    "addSheet": _add_sheet,
    "updateSheetProperties": _update_properties,
    "deleteSheet": _delete_sheet,
    "deleteDimension": _delete_dimension,
    "appendDimension": _append_dimension,
}
