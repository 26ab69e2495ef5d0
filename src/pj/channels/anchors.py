"""Hold the journal to what was said of it elsewhere: head hash and line count, written outside the journal.

The chain shows a changed line, but not that the last lines are gone: a shorter chain is a whole chain. An anchor names
one line by number and hash in another place (the engine's stats file, a report, the sheet). The engine writes one each
minute, after the journal was synced up to it, so that no power cut can leave an anchor without its line.

The journal's own ANCHOR lines hold bars.csv in the same way: each says how many bytes it had and their CRC-32, so that
bars, which a replay decides from, cannot change unseen either.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final

from pj.channels.appender import read_range
from pj.channels.files import open_shared
from pj.channels.journal import JournalDamaged, JournalLine
from pj.channels.rundir import RunDir
from pj.channels.stats import read_stats

ANCHOR: Final = "ANCHOR"
GAUGE: Final = "journal_anchor"


@dataclass(frozen=True, slots=True)
class Anchor:
    """Name line ``seq`` of one day's journal and its hash; ``place`` = where this was written."""

    trade_date: date
    seq: int
    head: str
    place: str

    def to_gauge(self) -> dict[str, Any]:
        """Return the anchor as a stats file and a report hold it."""
        return {"date": self.trade_date.isoformat(), "seq": self.seq, "head": self.head}

    def trouble(self, lines: Sequence[JournalLine]) -> str:
        """Return what contradicts this anchor in that day's verified lines, empty when nothing does."""
        if self.seq > len(lines):
            return f"{self.place} names line {self.seq}, the journal ends at line {len(lines)}"
        found = lines[self.seq - 1].hash
        if found != self.head:
            return f"{self.place} says hash {self.head[:12]}… of line {self.seq}, the journal {found[:12]}…"
        return ""


def anchor_of(found: object, place: str) -> Anchor | None:
    """Return the anchor that ``to_gauge`` made, None for anything else."""
    if not isinstance(found, Mapping):
        return None
    try:
        seq, head = found["seq"], found["head"]
        if type(seq) is not int or seq < 1 or not isinstance(head, str):
            return None
        return Anchor(date.fromisoformat(found["date"]), seq, head, place)
    except (KeyError, TypeError, ValueError):
        return None


def stats_anchor(run_dir: RunDir) -> Anchor | None:
    """Return the anchor in the engine's stats file, None where there is none."""
    path = run_dir.state("engine")
    stats = read_stats(path)
    return anchor_of(stats.gauges.get(GAUGE), str(path)) if stats is not None else None


def report_anchor(run_dir: RunDir) -> Anchor | None:
    """Return the anchor in the run folder's report, None where there is none."""
    try:
        with open_shared(run_dir.report) as file:
            found = json.loads(file.read())
    except (FileNotFoundError, ValueError):
        return None
    return anchor_of(found.get("journal"), str(run_dir.report)) if isinstance(found, dict) else None


def hold_to(run_dir: RunDir, anchor: Anchor | None) -> None:
    """Raise JournalDamaged unless the journal still holds the anchored line where it was.

    The chain up to it is verified by whoever opens the journal; this asks only for the one line.
    """
    if anchor is None:
        return
    path = run_dir.day(anchor.trade_date).journal
    try:
        with open_shared(path) as file:
            lines = file.read().split(b"\n")[:-1]
    except FileNotFoundError:
        lines = []
    remedy = f"if it was taken away on purpose, move the whole run folder away (the anchor is in {anchor.place})"
    if anchor.seq > len(lines):
        ends = f"the journal ends before line {anchor.seq}, which was on disk"
        raise JournalDamaged(path, len(lines) + 1, f"{ends}; {remedy}")
    try:
        found = json.loads(lines[anchor.seq - 1])["hash"]
    except (ValueError, KeyError, TypeError):
        found = ""
    if found != anchor.head:
        raise JournalDamaged(path, anchor.seq, f"its hash is not the anchored {anchor.head[:12]}…; {remedy}")


class FileSum:
    """Sum the bytes of a file that only grows, reading each byte once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._size = self._crc = 0

    def data(self, rows: int) -> dict[str, int]:
        """Return what an ANCHOR line says of the file, which holds ``rows`` whole rows now."""
        try:
            end = self._path.stat().st_size
            self._crc = zlib.crc32(read_range(self._path, self._size, end), self._crc)
            self._size = end
        except FileNotFoundError:
            pass  # no row was written yet
        return {"bars": rows, "bytes": self._size, "crc32": self._crc}


def first_changed(path: Path, lines: Sequence[JournalLine]) -> str:
    """Return which lines of bars.csv are not those that the journal's ANCHOR lines summed, empty when all are."""
    anchors = [line for line in lines if line.type == ANCHOR and "crc32" in line.data]
    if not anchors:
        return ""
    end = max(int(line.data["bytes"]) for line in anchors)
    data = read_range(path, 0, end) if path.exists() else b""
    size = crc = rows = 0
    for line in anchors:
        told = line.data
        crc = zlib.crc32(data[size : told["bytes"]], crc)
        if len(data) < told["bytes"] or crc != told["crc32"]:
            which = f"{path}, lines {rows + 1} to {told['bars'] + 1}"
            return f"{which}: changed or gone since journal line {line.seq} was written"
        size, rows = told["bytes"], told["bars"] + 1
    return ""
