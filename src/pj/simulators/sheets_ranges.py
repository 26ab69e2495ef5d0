"""Read and write A1 notation (services.md 2.2): ``'Tab'!A2:H9``, ``Tab!A:C``, ``Tab!2:5``, ``Tab``, ``B3``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_CELL: Final = re.compile(r"^\$?([A-Za-z]{0,3})\$?([1-9][0-9]{0,7})?$")
_PLAIN_TITLE: Final = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*$")


class BadRange(ValueError):
    """Report text that is not A1 notation."""


@dataclass(frozen=True, slots=True)
class Area:
    """Name cells of one tab, 0-based and end-exclusive; an end of None reaches the border of the grid.

    ``title`` is None where the text names no tab; ``single`` is True where it names one cell only.
    """

    title: str | None
    top: int
    left: int
    bottom: int | None
    right: int | None
    single: bool = False


def column_index(letters: str) -> int:
    """Return the 0-based column of ``A``, ``Z``, ``AA``."""
    index = 0
    for letter in letters.upper():
        index = index * 26 + ord(letter) - 64
    return index - 1


def column_letters(index: int) -> str:
    """Return the letters of a 0-based column."""
    letters = ""
    index += 1
    while index:
        index, rest = divmod(index - 1, 26)
        letters = chr(65 + rest) + letters
    return letters


def quote_title(title: str) -> str:
    """Return a tab's title as the service writes it in answers: quoted only where needed."""
    if _PLAIN_TITLE.match(title) and not _looks_like_cells(title):
        return title
    return "'" + title.replace("'", "''") + "'"


def parse_area(text: str, titles: frozenset[str] | set[str]) -> Area:
    """Return the area that ``text`` names; a text that is a tab's title means the whole tab.

    Raises BadRange.
    """
    title, cells = _split_title(text)
    if title is None and text in titles:
        return Area(text, 0, 0, None, None)
    if cells is None:
        if title is not None:
            return Area(title, 0, 0, None, None)
        raise BadRange(text)
    first, colon, last = cells.partition(":")
    top, left = _corner(first, text)
    if not colon:
        if top is None or left is None:
            raise BadRange(text)
        return Area(title, top, left, top + 1, left + 1, single=True)
    bottom, right = _corner(last, text)
    if (top is None and left is None) or (bottom is None and right is None):
        raise BadRange(text)
    area = Area(
        title,
        top or 0,
        left or 0,
        None if bottom is None else bottom + 1,
        None if right is None else right + 1,
    )
    if (area.bottom is not None and area.bottom <= area.top) or (area.right is not None and area.right <= area.left):
        raise BadRange(text)
    return area


def format_area(title: str, top: int, left: int, bottom: int, right: int) -> str:
    """Return A1 notation of a bounded area (0-based, end-exclusive) as the service writes it."""
    start = f"{column_letters(left)}{top + 1}"
    end = f"{column_letters(right - 1)}{bottom}"
    return f"{quote_title(title)}!{start}" if start == end else f"{quote_title(title)}!{start}:{end}"


def _split_title(text: str) -> tuple[str | None, str | None]:
    """Return (title, cells) of ``text``; None for a part that is not there."""
    if text.startswith("'"):
        match = re.match(r"^'((?:[^']|'')*)'(?:!(.+))?$", text)
        if match is None:
            raise BadRange(text)
        return match[1].replace("''", "'"), match[2]
    title, bang, cells = text.rpartition("!")
    if bang:
        if not title or not cells:
            raise BadRange(text)
        return title, cells
    return None, text


def _corner(text: str, whole: str) -> tuple[int | None, int | None]:
    match = _CELL.match(text)
    if match is None or not text:
        raise BadRange(whole)
    letters, digits = match[1], match[2]
    return (int(digits) - 1 if digits else None), (column_index(letters) if letters else None)


def _looks_like_cells(title: str) -> bool:
    match = _CELL.match(title)
    return match is not None and bool(match[1]) and bool(match[2])
