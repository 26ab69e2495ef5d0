"""Copy ticks, bars and trade events into the audit spreadsheet: nothing lost, nothing doubled, nobody blocked.

The files of the run folder are the truth and the buffer; the sheet is a replica. Every row has its own place (sheet row
= 2 + base + number of the row), all tabs travel in one values.batchUpdate, one call is under way at a time, and a call
that failed in whatever way is repeated to the same places. What the service confirmed is ``acked``; only what was read
back and found equal is ``verified``. services.md 2.3-2.6.

Cells: a workbook holds 10 million, blank grid cells included. RawTicks takes 8 a tick and stops at 9.5 million
(1.18 million ticks); a minute bar takes 14, a trade event 32. All days stand in the same tabs. A tab that cannot grow
is named in the stats (``full``), its rows wait in the files, the other tabs go on.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Final

from pj.channels.logs import EventLog
from pj.channels.rundir import RunDir
from pj.clock import Clock
from pj.config import Sheets
from pj.sheets import opening, watermarks
from pj.sheets.calls import Caller, Stopped
from pj.sheets.client import CellsUsedUp, GridTooSmall, RequestRefused, SheetsApi, TabMissing, Unavailable
from pj.sheets.opening import PAGE_ROWS, Aligner, Grid, same
from pj.sheets.rows import RAW_TICKS, Row, Tab, crc_holds, tabs_for
from pj.sheets.streams import Chunk, Cursor, RowStream
from pj.sheets.watermarks import Marks, Watermarks

#: Rows of one write: about 1 MB of the 2 MB that the service recommends at most.
BATCH_ROWS: Final = 10_000
#: RawTicks stops growing here, so that bars and trades always find room in the 10 million cells of a workbook.
RAW_CELL_BUDGET: Final = 9_500_000
COUNT_CHUNKS: Final = 4


@dataclass(slots=True)
class TabState:
    """Hold what is known of one tab besides its marks."""

    tab: Tab
    stream: RowStream
    produced: Cursor = field(default_factory=Cursor)
    grid: Grid | None = None
    header_due: bool = False
    full: bool = False
    lost: int = 0
    repaired: int = 0
    extra: int = 0
    bad: int = 0


class Scribe:
    """Run the copying in one thread: ``run`` returns when stopped and drained.

    ``stop(within_s)`` may be called from any thread. Raises SheetUnusable, AccessDenied (before the first contact
    only), SourceDamaged, WriteFailed.
    """

    def __init__(self, api: SheetsApi, run_dir: RunDir, settings: Sheets, clock: Clock, log: EventLog) -> None:
        self.api = api
        self.log = log
        self.clock = clock
        self.settings = settings
        self.path: Path = run_dir.state_folder / "sheets.json"
        self.tabs = tabs_for(run_dir.instrument)
        self.states = {tab.title: TabState(tab, RowStream(run_dir, tab, self._refuser(tab.title))) for tab in self.tabs}
        self._stop = threading.Event()
        # Jitter only: no decision about data hangs on it.
        self.caller = Caller(clock, settings.writes_per_min, self._stop, self._count, random.Random())  # noqa: S311
        self.marks = Watermarks(api.spreadsheet_id, {tab.title: Marks() for tab in self.tabs})
        self.opened = False
        self.flushes = 0
        self._flush_every_ns = int(max(settings.min_flush_real_s, settings.flush_s / clock.speed) * 1e9)
        self._verify_every_ns = int(settings.verify_s / clock.speed * 1e9)
        self._next_count_ns = 0

    def stop(self, within_s: float) -> None:
        """Ask to drain and end within real seconds."""
        self.caller.deadline_ns = time.monotonic_ns() + int(within_s * 1e9)
        self._stop.set()

    def run(self) -> None:
        """Open the sheet, then copy and verify until stopped."""
        try:
            self._open()
            next_flush_ns = next_verify_ns = time.monotonic_ns()
            while True:
                now_ns = time.monotonic_ns()
                stopping = self._stop.is_set()
                moved = False
                if stopping or now_ns >= next_flush_ns:
                    next_flush_ns = now_ns + self._flush_every_ns
                    moved = self._flush()
                if stopping or now_ns >= next_verify_ns:
                    if self._verify_page():
                        moved = True
                    else:
                        next_verify_ns = time.monotonic_ns() + self._verify_every_ns
                if stopping and not moved:
                    return
                self.caller.wait_until(min(next_flush_ns, next_verify_ns))
        except Stopped:
            self.log.warning("NOT_DRAINED", lag_rows=self.lag_rows())
        finally:
            self._save()

    # Opening

    def _open(self) -> None:
        """Make tabs and headers ready, take up the stored marks or find them again."""
        stored = watermarks.load(self.path, self.api.spreadsheet_id, [tab.title for tab in self.tabs])
        known = stored is not None or self.opened
        if stored is not None:
            self.marks = stored
            self.caller.writes = type(self.caller.writes)(self.settings.writes_per_min, stored.writes)
        created = self._ready_tabs()
        for tab in self.tabs:
            state = self.states[tab.title]
            if tab.title in created:
                self.marks.tabs[tab.title] = Marks()
                state.header_due = True
                continue
            if not self._check_top(state) or not known:
                self._rebuild(state)
        self._save()
        self.opened = True
        self.log.event("OPENED", **{title: marks.acked.row for title, marks in self.marks.tabs.items()})

    def _ready_tabs(self) -> set[str]:
        """Add missing tabs and read all grids; return the titles that were added."""
        grids = opening.grids_in(self.caller.read(self.api.describe))
        requests = opening.missing_tabs(self.tabs, grids)
        created = {tab.title for tab in self.tabs if tab.title not in grids}
        if requests:
            try:
                self.caller.write(lambda: self.api.change_tabs(requests), self._save)
            except RequestRefused as refused:
                # Applied although the answer was lost: then the repetition is refused and the next look shows the tabs.
                self.log.warning("TABS_REFUSED", why=str(refused))
            grids = opening.grids_in(self.caller.read(self.api.describe))
            if still := [tab.title for tab in self.tabs if tab.title not in grids]:
                raise opening.SheetUnusable(f"the tab {still[0]!r} cannot be added to the spreadsheet; add it by hand")
        for tab in self.tabs:
            self.states[tab.title].grid = grids[tab.title]
        return created

    def _check_top(self, state: TabState) -> bool:
        """Check the header and that the last acknowledged row stands there; False = the marks are not to be trusted."""
        tab, marks = state.tab, self.marks.tabs[state.tab.title]
        last = marks.sheet_row(marks.acked.row) - 1
        ranges = [tab.area(1, 1)]
        if marks.acked.row and last <= self._grid(state).rows:
            ranges.append(tab.area(last, 1))
        found = self.caller.read(lambda: self.api.read(ranges))
        state.header_due = not opening.check_header(tab, found[0])
        if marks.acked.row == 0:
            return True
        return len(found) == 2 and bool(found[1]) and crc_holds(found[1][0])

    def _rebuild(self, state: TabState) -> None:
        """Find lost marks by reading the whole tab."""
        tab, aligner = state.tab, Aligner(state.stream)
        rows = self._grid(state).rows
        for first in range(2, rows + 1, PAGE_ROWS):
            count = min(PAGE_ROWS, rows - first + 1)
            page = self.caller.read(lambda first=first, count=count: self.api.read([tab.area(first, count)]))[0]  # type: ignore[misc]
            aligner.feed(page)
            if len(page) < count:
                break
        self.marks.tabs[tab.title] = aligner.marks()
        if aligner.seen:
            # Unknown calls may have been made just before: start with a full window rather than with a 429.
            self.caller.writes.fill(self.clock.now_ns())
            self.log.event("MARKS_FOUND_AGAIN", tab=tab.title, rows=self.marks.tabs[tab.title].acked.row)

    # Writing

    def _flush(self) -> bool:
        """Write what is new on all tabs with one call; tell whether anything was written."""
        self._count()
        batch: list[tuple[TabState, Chunk]] = []
        for state in self.states.values():
            chunk = None if state.full else self._next_chunk(state)
            if chunk is not None and (chunk.rows or state.header_due):
                batch.append((state, chunk))
        try:
            batch = [(state, chunk) for state, chunk in batch if self._fits(state, chunk)]
            if not batch:
                return False
            for state, chunk in batch:
                self.marks.tabs[state.tab.title].sent = chunk.after
            self._write(batch)
        except (GridTooSmall, TabMissing, RequestRefused) as failure:
            # Never repeat a 400 as it is: look at the sheet again (somebody shrank, renamed or deleted a tab).
            self.log.warning("LOOKING_AGAIN", why=str(failure))
            self._save()
            self._open()
        return True

    def _next_chunk(self, state: TabState) -> Chunk | None:
        """Return the rows to write next: those under way when the process died, else what the files have."""
        marks = self.marks.tabs[state.tab.title]
        if marks.sent.row > marks.acked.row:
            return Chunk(marks.acked, marks.sent, state.stream.exactly(marks.acked, marks.sent))
        chunk = state.stream.gather(marks.acked, max_rows=BATCH_ROWS)
        if chunk is None or chunk.rows:
            return chunk if chunk is not None or not state.header_due else Chunk(marks.acked, marks.acked, ())
        # Only quotes and heartbeats: nothing to send, the marks walk over them.
        if marks.verified.row == marks.acked.row:
            marks.verified = chunk.after
        marks.acked = marks.sent = chunk.after
        self._catch_up(state)
        return chunk

    def _write(self, batch: list[tuple[TabState, Chunk]]) -> None:
        ranges: list[tuple[str, list[Row]]] = []
        for state, chunk in batch:
            tab, marks = state.tab, self.marks.tabs[state.tab.title]
            if state.header_due:
                ranges.append((tab.area(1, 1), [tab.columns]))
            if chunk.rows:
                ranges.append((tab.area(marks.sheet_row(chunk.before.row), len(chunk.rows)), list(chunk.rows)))
        wanted = [(name, len(rows)) for name, rows in ranges]
        self.caller.write(lambda: self._acknowledged(ranges, wanted), self._save)
        for state, chunk in batch:
            self.marks.tabs[state.tab.title].acked = chunk.after
            state.header_due = False
            self._catch_up(state)
        self.flushes += 1
        self._save()

    def _acknowledged(self, ranges: list[tuple[str, list[Row]]], wanted: list[tuple[str, int]]) -> None:
        """Write and raise Unavailable unless the answer confirms exactly the places asked for."""
        answers = self.api.write(ranges)
        found = [(str(part.get("updatedRange")).replace("'", ""), part.get("updatedRows")) for part in answers]
        if found != wanted:
            raise Unavailable(f"asked to write {wanted[:3]}, the answer confirms {found[:3]}")

    def _fits(self, state: TabState, chunk: Chunk) -> bool:
        """Grow the grid in a big step if the rows do not fit; False when the workbook has no more cells."""
        grid, marks = self._grid(state), self.marks.tabs[state.tab.title]
        needed = marks.sheet_row(chunk.after.row) - 1
        if needed <= grid.rows:
            return True
        step, width = state.tab.step, len(state.tab.columns)
        rows = -(-(needed + 1) // step) * step
        try:
            if state.tab.title == RAW_TICKS and rows * width > RAW_CELL_BUDGET:
                raise CellsUsedUp(f"{rows * width} cells of {state.tab.title} are more than {RAW_CELL_BUDGET}")
            request = opening.resize_request(grid, rows, width)
            self.caller.write(lambda: self.api.change_tabs([request]), self._save)
        except CellsUsedUp as used_up:
            state.full = True
            self.caller.counts.last_error = f"{state.tab.title} is full, its rows wait in the files: {used_up}"
            self.log.warning("TAB_FULL", tab=state.tab.title, why=str(used_up))
            return False
        grid.rows, grid.columns = rows, width
        return True

    # Verifying

    def _verify_page(self) -> bool:
        """Read back the next acknowledged rows of every tab with one read; tell whether there were any."""
        pages: list[tuple[TabState, Chunk]] = []
        walked = False
        for state in self.states.values():
            marks = self.marks.tabs[state.tab.title]
            if marks.verified.row < marks.acked.row and marks.sent.row == marks.acked.row:
                chunk = state.stream.gather(marks.verified, marks.acked, PAGE_ROWS)
                if chunk is not None and chunk.rows:
                    pages.append((state, chunk))
                elif chunk is not None:
                    marks.verified, walked = chunk.after, True
        if not pages:
            return walked
        ranges = [self._page_area(state, chunk) for state, chunk in pages]
        try:
            found = self.caller.read(lambda: self.api.read(ranges))
        except (GridTooSmall, TabMissing, RequestRefused) as failure:
            self.log.warning("LOOKING_AGAIN", why=str(failure))
            self._open()
            return True
        for (state, chunk), rows in zip(pages, found, strict=True):
            self._compare(state, chunk, rows)
        self._save()
        return True

    def _page_area(self, state: TabState, chunk: Chunk) -> str:
        """Return the range of a page, with the row below it when it is the last: that one must be empty."""
        marks = self.marks.tabs[state.tab.title]
        first = marks.sheet_row(chunk.before.row)
        more = int(chunk.after.row == marks.acked.row and first + len(chunk.rows) <= self._grid(state).rows)
        return state.tab.area(first, len(chunk.rows) + more)

    def _compare(self, state: TabState, chunk: Chunk, found: list[list[Any]]) -> None:
        """Move the verified mark over equal rows; rows that differ are counted and written again."""
        marks = self.marks.tabs[state.tab.title]
        count = len(chunk.rows)
        padded = found + [[]] * (count - len(found))
        wrong = sum(not same(row, local) for row, local in zip(padded, chunk.rows, strict=False))
        state.extra = len(found) - count if len(found) > count else 0
        if wrong:
            state.lost = wrong
            self.log.error("ROWS_DIFFER", tab=state.tab.title, first=chunk.before.row + 1, rows=wrong)
            marks.acked = marks.sent = marks.verified = chunk.before
            return
        state.repaired += state.lost
        state.lost = 0
        marks.verified = chunk.after

    # Telling

    def lag_rows(self) -> int:
        """Return the rows that the files have and the service has not confirmed."""
        return sum(max(0, s.produced.row - self.marks.tabs[title].acked.row) for title, s in self.states.items())

    def gauges(self) -> dict[str, Any]:
        """Return the stats file's gauges; loss is claimed only from rows that were read back."""
        marks, states = self.marks.tabs, self.states.values()
        verified, lost = sum(m.verified.row for m in marks.values()), sum(state.lost for state in states)
        counts, now_ns = self.caller.counts, self.clock.now_ns()
        return {
            "enabled": True,
            "connected": counts.connected,
            "produced": sum(max(s.produced.row, marks[s.tab.title].sent.row) for s in states),
            "sent": sum(m.sent.row for m in marks.values()),
            "acked": sum(m.acked.row for m in marks.values()),
            "verified": verified,
            "rows": {title: m.acked.row for title, m in marks.items()},
            "rows_verified": {title: m.verified.row for title, m in marks.items()},
            "writes_last_min": self.caller.writes.used(now_ns),
            "reads_last_min": self.caller.reads.used(now_ns),
            "errors": counts.errors,
            "retries": counts.retries,
            "throttled": counts.throttled,
            "last_error": counts.last_error,
            "lag_rows": self.lag_rows(),
            "lost": lost,
            "repaired": sum(state.repaired for state in states),
            "extra": sum(state.extra for state in states),
            "loss_pct": round(100 * lost / (verified + lost), 6) if verified + lost else None,
            "bad_rows": sum(state.bad for state in states),
            "full": [state.tab.title for state in states if state.full],
            "cells": sum(state.grid.cells for state in states if state.grid),
            "flushes": self.flushes,
            "call_ms": round(counts.last_call_ms, 1),
        }

    def _count(self) -> None:
        """Count what the files hold by now, a few chunks at a time."""
        if time.monotonic_ns() < self._next_count_ns:
            return
        for state in self.states.values():
            self._catch_up(state)
            for _ in range(COUNT_CHUNKS):
                counted = state.stream.count_on(state.produced)
                if counted == state.produced:
                    break
                state.produced = counted
        self._next_count_ns = time.monotonic_ns() + min(self._flush_every_ns, 1_000_000_000)

    def _catch_up(self, state: TabState) -> None:
        """Take what was really read for what was only counted (a refused row had been counted)."""
        sent = self.marks.tabs[state.tab.title].sent
        if sent.place >= state.produced.place:
            state.produced = sent

    def _refuser(self, title: str) -> Callable[[date, str, str], None]:
        def refuse(day: date, line: str, why: str) -> None:
            self.states[title].bad += 1
            self.log.warning("BAD_ROW", tab=title, day=day.isoformat(), why=why, row=line[:200])

        return refuse

    def _grid(self, state: TabState) -> Grid:
        if state.grid is None:
            raise opening.SheetUnusable(f"the grid of {state.tab.title} was never read")
        return state.grid

    def _save(self) -> None:
        self.marks.writes = self.caller.writes.stamps()
        watermarks.save(self.path, self.marks)
