"""Find the table that ``values.append`` writes below (services.md 2.3, Google's "append" guide).

A table is a block of cells that hang together by sides or corners; its bounding box is what counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pj.simulators.sheets_ranges import Area

Cell = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Table:
    """Bound a block of values, 0-based and end-exclusive."""

    top: int
    left: int
    bottom: int
    right: int


def find_table(rows: list[list[Cell]], area: Area) -> Table | None:
    """Return the last table that shares a cell with ``area``; None if there is none.

    Last = the one that reaches lowest, of those the rightmost.
    """
    bottom = len(rows) if area.bottom is None else min(area.bottom, len(rows))
    right = area.right
    if area.single:
        return _single(rows, area)
    for row in range(bottom - 1, area.top - 1, -1):
        line = rows[row]
        last = len(line) if right is None else min(right, len(line))
        for column in range(last - 1, area.left - 1, -1):
            if line[column] is not None:
                return _grow(rows, Table(row, column, row + 1, column + 1))
    return None


def _single(rows: list[list[Cell]], area: Area) -> Table | None:
    """Return the table whose bounding box holds one cell, which may itself be blank."""
    if _filled(rows, area.top, area.left, area.left + 1):
        return _grow(rows, Table(area.top, area.left, area.top + 1, area.left + 1))
    for row in range(max(0, area.top - 1), min(len(rows), area.top + 2)):
        for column in range(max(0, area.left - 1), min(len(rows[row]), area.left + 2)):
            if rows[row][column] is not None:
                table = _grow(rows, Table(row, column, row + 1, column + 1))
                if table.top <= area.top < table.bottom and table.left <= area.left < table.right:
                    return table
    return None


def _filled(rows: list[list[Cell]], row: int, left: int, right: int) -> bool:
    """Tell whether a row has a value in columns [left, right)."""
    if not 0 <= row < len(rows):
        return False
    return any(cell is not None for cell in rows[row][max(0, left) : right])


def _column_filled(rows: list[list[Cell]], column: int, top: int, bottom: int) -> bool:
    if column < 0:
        return False
    return any(len(line) > column and line[column] is not None for line in rows[max(0, top) : bottom])


def _grow(rows: list[list[Cell]], table: Table) -> Table:
    """Return the bounding box grown until no value touches it by a side or a corner."""
    top, left, bottom, right = table.top, table.left, table.bottom, table.right
    while True:
        before = (top, left, bottom, right)
        while top > 0 and _filled(rows, top - 1, left - 1, right + 1):
            top -= 1
        while _filled(rows, bottom, left - 1, right + 1):
            bottom += 1
        while _column_filled(rows, left - 1, top - 1, bottom + 1):
            left -= 1
        while _column_filled(rows, right, top - 1, bottom + 1):
            right += 1
        if (top, left, bottom, right) == before:
            return Table(top, left, bottom, right)
