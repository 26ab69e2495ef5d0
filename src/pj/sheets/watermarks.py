"""Keep how far the sheet is: produced >= sent >= acked >= verified, per tab, in ``state/sheets.json``.

``acked`` = the service confirmed these positions; ``verified`` = they were read back and equal the files. ``sent``
lies beyond ``acked`` only while a batch is under way; it is stored before the batch leaves, so that a restart repeats
exactly that batch to exactly those rows. The file ends in a checksum: marks that were torn or changed are no marks, and
the whole tab is read to find them again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Final

from pj.channels.files import open_shared, replace_atomic
from pj.channels.jsonl import sealed, unsealed
from pj.sheets.streams import Cursor

VERSION: Final = 1


@dataclass(slots=True)
class Marks:
    """Hold one tab's cursors; ``base`` = rows of other run folders that stand above ours."""

    base: int = 0
    sent: Cursor = field(default_factory=Cursor)
    acked: Cursor = field(default_factory=Cursor)
    verified: Cursor = field(default_factory=Cursor)

    def sheet_row(self, row: int) -> int:
        """Return the 1-based sheet row of our row number ``row`` (row 1 is the header)."""
        return 2 + self.base + row


@dataclass(slots=True)
class Watermarks:
    """Hold all tabs' marks and the run-time stamps of the last minute's writes."""

    spreadsheet_id: str
    tabs: dict[str, Marks]
    writes: list[int] = field(default_factory=list)


def load(path: Path, spreadsheet_id: str, titles: list[str]) -> Watermarks | None:
    """Return the stored marks; None when there are none for this spreadsheet that can be used."""
    try:
        with open_shared(path) as file:
            found = unsealed(file.read())
        if found["version"] != VERSION or found["spreadsheet_id"] != spreadsheet_id:
            return None
        tabs = {title: _marks(found["tabs"][title]) for title in titles}
        return Watermarks(spreadsheet_id, tabs, [int(stamp) for stamp in found["writes"]])
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def save(path: Path, marks: Watermarks) -> None:
    """Replace the file; raises WriteFailed."""
    body = {
        "version": VERSION,
        "spreadsheet_id": marks.spreadsheet_id,
        "tabs": {
            title: {
                "base": tab.base,
                "sent": _cursor_out(tab.sent),
                "acked": _cursor_out(tab.acked),
                "verified": _cursor_out(tab.verified),
            }
            for title, tab in marks.tabs.items()
        },
        "writes": marks.writes,
    }
    replace_atomic(path, sealed(body))


def _marks(found: Mapping[str, Any]) -> Marks:
    sent, acked, verified = (_cursor_in(found[name]) for name in ("sent", "acked", "verified"))
    if not sent.row >= acked.row >= verified.row >= 0 or int(found["base"]) < 0:
        raise ValueError("the marks are out of order")
    return Marks(int(found["base"]), sent, acked, verified)


def _cursor_out(cursor: Cursor) -> dict[str, Any]:
    return {"day": cursor.day.isoformat() if cursor.day else None, "offset": cursor.offset, "row": cursor.row}


def _cursor_in(found: Mapping[str, Any]) -> Cursor:
    day = date.fromisoformat(found["day"]) if found["day"] is not None else None
    return Cursor(day, int(found["offset"]), int(found["row"]))
