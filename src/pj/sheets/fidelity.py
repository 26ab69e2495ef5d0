"""Audit the books: what the gateway sent, what was taped, what stands in the sheet, row by row and not only in number.

``audit`` reads the run folder; the sheet's rows come from ``read_sheet`` (the real service) or ``stored_rows`` (the
simulator's files). What cannot be known is None and never counted as equal.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from live.market import NS_PER_S
from pj.channels.appender import read_range
from pj.channels.rundir import RunDir
from pj.sheets.client import SheetsApi
from pj.sheets.opening import grids_in, same
from pj.sheets.rows import RAW_TICKS, Row, cell_text, tabs_for
from pj.sheets.streams import Cursor, RowStream

SheetRows = Mapping[str, Sequence[Sequence[object]]]
PAGE_ROWS: Final = 10_000
#: Price, size, exchange time in whole seconds: the wire carries no more (tws.md 3).
Key = tuple[str, str, int]


@dataclass(frozen=True, slots=True)
class Compared:
    """Tell how ``have`` differs from ``want``: rows missing, rows too many, and whether the order is the same."""

    want: int
    have: int
    missing: int
    doubled: int
    in_order: bool

    @property
    def equal(self) -> bool:
        """Return whether both are the same sequence."""
        return self.missing == 0 and self.doubled == 0 and self.in_order


@dataclass(frozen=True, slots=True)
class Fidelity:
    """Hold the audit of one run folder; None = not known (no ledger: a real gateway keeps none; no sheet given).

    ``sheet_wrong`` = rows that stand in their place with other contents; ``foreign`` = sheet rows of other run folders.
    """

    sent: int | None
    taped_raw: int
    taped: int
    rejected: int
    sheet: int | None
    sent_to_tape: Compared | None
    raw_to_channel: Compared
    tape_to_sheet: Compared | None
    sheet_wrong: int = 0
    foreign: int = 0
    tabs: dict[str, Compared] = field(default_factory=dict)

    @property
    def missing(self) -> int:
        """Return the ticks missing on the tape plus the rows missing in the sheet."""
        return sum(part.missing for part in self._parts())

    @property
    def doubled(self) -> int:
        """Return the ticks and rows that stand twice."""
        return sum(part.doubled for part in self._parts())

    @property
    def loss_pct(self) -> float | None:
        """Return missing rows in percent of the rows that should stand at the end of the known chain."""
        want = self.sent if self.sent is not None else self.taped_raw
        return round(100 * self.missing / want, 6) if want else None

    @property
    def equal(self) -> bool:
        """Return whether every known book equals the one before it."""
        return self.sheet_wrong == 0 and all(part.equal for part in [*self._parts(), *self.tabs.values()])

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON-able values."""
        return asdict(self) | {
            "missing": self.missing,
            "doubled": self.doubled,
            "loss_pct": self.loss_pct,
            "equal": self.equal,
        }

    def _parts(self) -> list[Compared]:
        return [part for part in (self.sent_to_tape, self.raw_to_channel, self.tape_to_sheet) if part is not None]


def audit(run_dir: RunDir, sheet: SheetRows | None = None) -> Fidelity:
    """Return the audit of all trade dates of a run folder."""
    ledger_file = run_dir.simulators / "gateway_ledger.csv"
    ledger = list(_trades(ledger_file)) if ledger_file.exists() else None
    days = [run_dir.day(day) for day in run_dir.days()]
    raw = [key for day in days for key in _trades(day.ticks)]
    taped = [key for day in days for key in _trades(day.market)]
    rejected = [key for day in days for key in _trades(day.rejected_ticks)]
    kept = list((Counter(raw) - Counter(rejected)).elements()) if rejected else raw
    books = _tab_books(run_dir, sheet) if sheet is not None else {}
    ticks = books.get(RAW_TICKS)
    return Fidelity(
        sent=None if ledger is None else len(ledger),
        taped_raw=len(raw),
        taped=len(taped),
        rejected=len(rejected),
        sheet=None if ticks is None else ticks.compared.have,
        sent_to_tape=None if ledger is None else compare(ledger, raw),
        raw_to_channel=compare(kept, taped, ordered=not rejected),
        tape_to_sheet=None if ticks is None else ticks.compared,
        sheet_wrong=sum(book.wrong for book in books.values()),
        foreign=sum(book.foreign for book in books.values()),
        tabs={title: book.compared for title, book in books.items() if title != RAW_TICKS},
    )


def compare(want: Sequence[Key], have: Sequence[Key], *, ordered: bool = True) -> Compared:
    """Return how two sequences differ; ``ordered`` False compares only what they hold."""
    missing = sum((Counter(want) - Counter(have)).values())
    doubled = sum((Counter(have) - Counter(want)).values())
    in_order = not ordered or doubled > 0 or _is_subsequence(have, want)
    return Compared(len(want), len(have), missing, doubled, in_order)


def read_sheet(api: SheetsApi, run_dir: RunDir) -> dict[str, list[list[object]]]:
    """Return all rows below the headers from the service, 10,000 rows a read; raises SheetFailure.

    A full day takes under ten reads; the caller keeps the quota (60 a minute).
    """
    grids = grids_in(api.describe())
    found: dict[str, list[list[object]]] = {}
    for tab in tabs_for(run_dir.instrument):
        rows = found[tab.title] = []
        total = grids[tab.title].rows if tab.title in grids else 0
        for first in range(2, total + 1, PAGE_ROWS):
            count = min(PAGE_ROWS, total - first + 1)
            page = api.read([tab.area(first, count)])[0]
            rows.extend(page)
            if len(page) < count:
                break
    return found


def stored_rows(run_dir: RunDir) -> dict[str, list[list[object]]]:
    """Return the rows below the headers from the simulated service's own files."""
    found: dict[str, list[list[object]]] = {}
    for tab in tabs_for(run_dir.instrument):
        path = run_dir.simulators / f"sheet_{tab.title}.csv"
        rows: list[list[object]] = []
        if path.exists():
            with path.open(encoding="utf-8", newline="") as file:
                rows = [list(row) for row in csv.reader(file)]
        found[tab.title] = rows[1:]
    return found


@dataclass(frozen=True, slots=True)
class _TabBook:
    compared: Compared
    wrong: int
    foreign: int


def _tab_books(run_dir: RunDir, sheet: SheetRows) -> dict[str, _TabBook]:
    return {
        tab.title: _tab_book(RowStream(run_dir, tab, lambda *_: None), sheet.get(tab.title, []))
        for tab in tabs_for(run_dir.instrument)
    }


def _tab_book(stream: RowStream, rows: Sequence[Sequence[object]]) -> _TabBook:
    """Compare a tab's rows with the files': by trade date and seq, cell by cell, and in order."""
    local = {_name(row): row for row in _local_rows(stream)}
    found: Counter[tuple[str, str]] = Counter()
    order: list[tuple[str, str]] = []
    wrong = foreign = 0
    for row in rows:
        name = _name(row)
        if name not in local:
            foreign += 1
            continue
        wrong += not same(list(row), local[name])
        found[name] += 1
        order.append(name)
    doubled = sum(found.values()) - len(found)
    in_order = doubled > 0 or _is_subsequence(order, list(local))
    return _TabBook(Compared(len(local), len(order), len(local) - len(found), doubled, in_order), wrong, foreign)


def _local_rows(stream: RowStream) -> Iterator[Row]:
    cursor = Cursor()
    while (chunk := stream.gather(cursor)) is not None:
        yield from chunk.rows
        cursor = chunk.after


def _name(row: Sequence[object]) -> tuple[str, str]:
    return (cell_text(row[0]), cell_text(row[1])) if len(row) > 1 else ("", "")


def _trades(path: Path) -> Iterator[Key]:
    """Yield the TRADE rows of a tape, ledger or quarantine, without a torn last line."""
    if not path.exists():
        return
    data = read_range(path, 0, path.stat().st_size)
    text = data[: data.rfind(b"\n") + 1].decode("utf-8", "replace")
    for row in csv.DictReader(text.splitlines()):
        if row.get("kind") == "TRADE":
            stamp = row.get("exch_ns") or ""
            exch_s = int(stamp) // NS_PER_S if stamp.isdigit() else -1
            yield str(row.get("price")), str(row.get("size")), exch_s


def _is_subsequence(part: Sequence[object], whole: Sequence[object]) -> bool:
    rest = iter(whole)
    return all(any(item == other for other in rest) for item in part)
