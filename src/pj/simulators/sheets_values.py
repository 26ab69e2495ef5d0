"""Turn JSON values into what a cell keeps, and cells into what a reader is shown (services.md 2.3)."""

from __future__ import annotations

import re
from itertools import zip_longest
from typing import Any, Final

from pj.simulators.sheets_book import bad_request
from pj.simulators.sheets_table import Cell

MAX_CELL_CHARS: Final = 50_000
_NUMBER: Final = re.compile(r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$")


def body_values(body: dict[str, Any]) -> list[list[Any]]:
    """Return the rows of a ValueRange; raises ApiFailure when it is malformed."""
    values = body.get("values") or []
    if not isinstance(values, list) or not all(isinstance(row, list) for row in values):
        raise bad_request("Invalid value at 'data.values' (type.googleapis.com/google.protobuf.ListValue)")
    dimension = body.get("majorDimension") or "ROWS"
    if dimension == "COLUMNS":
        return [list(row) for row in zip_longest(*values)]
    if dimension != "ROWS":
        raise bad_request(f"Invalid value at 'data.majorDimension': {dimension}")
    return values


def stored_values(rows: list[list[Any]], *, user_entered: bool) -> list[list[Cell]]:
    """Return rows as cells keep them: numbers are doubles, text stays text; None leaves a cell alone."""
    return [[_stored(value, user_entered=user_entered) for value in row] for row in rows]


def render(rows: list[list[Cell]], option: str, dimension: str) -> list[list[Any]]:
    """Return cells as values.get gives them; blanks inside a row are empty text. Raises ApiFailure."""
    if option not in {"FORMATTED_VALUE", "UNFORMATTED_VALUE", "FORMULA"}:
        raise bad_request(f"Invalid value at 'value_render_option': {option}")
    formatted = option == "FORMATTED_VALUE"
    shown: list[list[Any]] = [
        ["" if cell is None else _shown(cell) if formatted else cell for cell in row] for row in rows
    ]
    if dimension == "ROWS":
        return shown
    if dimension != "COLUMNS":
        raise bad_request(f"Invalid value at 'major_dimension': {dimension}")
    columns = [list(column) for column in zip_longest(*shown, fillvalue="")]
    for column in columns:
        while column and column[-1] == "":
            column.pop()
    return columns


def _stored(value: Any, *, user_entered: bool) -> Cell:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if abs(value) <= 2**53 else int(float(value))
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) <= 2**53 else value
    if isinstance(value, str):
        if len(value) > MAX_CELL_CHARS:
            raise bad_request(
                f"Your input contains more than the maximum of {MAX_CELL_CHARS} characters in a single cell."
            )
        return _entered(value) if user_entered else value
    raise bad_request("Invalid values: list_value or struct_value cannot be a cell")


def _entered(text: str) -> Cell:
    """Return typed text as the service would read it (numbers, TRUE/FALSE, a leading ' for text)."""
    if text.startswith("="):
        raise bad_request("the simulator computes no formulas; use valueInputOption=RAW")
    if text.upper() in {"TRUE", "FALSE"}:
        return text.upper() == "TRUE"
    if _NUMBER.match(text.strip()):
        number = float(text)
        return int(number) if number.is_integer() and abs(number) <= 2**53 else number
    return text.removeprefix("'")


def _shown(cell: Cell) -> str:
    """Return a cell as the grid displays it in automatic format."""
    if isinstance(cell, bool):
        return "TRUE" if cell else "FALSE"
    if isinstance(cell, str):
        return cell
    number = float(cell or 0)
    if abs(number) >= 1e15:
        return f"{number:.2E}"
    return f"{number:.10g}" if not number.is_integer() else str(int(number))
