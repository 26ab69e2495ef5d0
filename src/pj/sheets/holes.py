"""Explain ticks that were sent and never taped by the holes that the tape itself names.

A tick that lay in a killed bridge's socket was sent and never read: it is missing, but its hole has a name (a GAP row).
A hole takes ticks that follow each other, all sent inside it. Anything else that is missing stays unexplained.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Key = tuple[Decimal, int]
Sent = tuple[int, Key]


@dataclass(slots=True)
class _Stretch:
    """Hold the trades of a tape up to the next GAP row; ``hole`` is the gap before them, None for the first."""

    hole: tuple[int, int] | None
    keys: list[Key]


def lost_in_gaps(ledger: Path, tape: Path, slack_ns: int = 0) -> int:
    """Return how many of the ledger's trades the tape's GAP rows explain as lost; 0 when they do not fit.

    ``slack_ns`` is how long before a hole's first instant a tick may have been sent and still not have been read.
    """
    with ledger.open(encoding="utf-8", newline="") as lines:
        sent = [(int(row["sent_ns"]), _key(row)) for row in csv.DictReader(lines) if row["kind"] == "TRADE"]
    return _fit(sent, 0, _stretches(tape, slack_ns)) or 0


def _fit(sent: list[Sent], at: int, stretches: list[_Stretch]) -> int | None:
    """Return how many of ``sent`` from ``at`` on lie in holes between the stretches; None when they do not fit."""
    stretch, rest = stretches[0], stretches[1:]
    length = len(stretch.keys)
    for begin in _places(sent, at, stretch, last=not rest):
        after = _fit(sent, begin + length, rest) if rest else (0 if begin + length == len(sent) else None)
        if after is not None:
            return begin - at + after
    return None


def _stretches(tape: Path, slack_ns: int) -> list[_Stretch]:
    found = [_Stretch(None, [])]
    with tape.open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            if row["kind"] == "GAP":
                hole = (int(row["exch_ns"] or 0) - slack_ns, int(row["recv_ns"]))
                before = found[-1]
                if before.hole is not None and not before.keys:  # the same hole, named again at a minute's edge
                    before.hole = (min(before.hole[0], hole[0]), hole[1])
                else:
                    found.append(_Stretch(hole, []))
            elif row["kind"] == "TRADE":
                found[-1].keys.append(_key(row))
    return found


def _places(sent: list[Sent], at: int, stretch: _Stretch, *, last: bool) -> Iterator[int]:
    """Yield where in the ledger a stretch of the tape can begin: at once, or after ticks that its hole took."""
    keys = stretch.keys
    end = len(sent) - len(keys)
    for begin in range(at, end + 1):
        if (begin == end or not last) and all(sent[begin + i][1] == key for i, key in enumerate(keys)):
            yield begin
        if stretch.hole is None or begin == len(sent) or not stretch.hole[0] <= sent[begin][0] <= stretch.hole[1]:
            return


def _key(row: dict[str, str]) -> Key:
    return Decimal(row["price"]), int(row["size"])
