"""Prove that the webhook's limits survive a kill: what may have been sent without a SENT line counts as sent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from engine_world import MNQ

from pj.brokers.limits import NS_PER_HOUR, NS_PER_MIN, SendLimits
from pj.channels.journal import JournalLine, open_journal
from pj.channels.rundir import RunDir
from pj.processes.engine.sendings import possibly_sent

E1, E2, X1, C1 = "p/1:ENTRY", "p/2:ENTRY", "p/1:EXIT", "p/1:CANCEL"
Row = tuple[str, dict[str, Any]]


def start() -> Row:
    return "START", {}


def intent(key: str) -> Row:
    return "INTENT", {"key": key}


def sent(key: str, outcome: str = "ACKED", code: str = "", *, left: bool = True) -> Row:
    return "SENT", {"key": key, "outcome": outcome, "code": code, "left": left}


def journal(tmp_path: Path, *rows: Row) -> list[JournalLine]:
    """Return the lines of a real journal, line n at n."""
    run = RunDir(tmp_path / "run", MNQ).create()
    book = open_journal(run, run.day_at(1_776_261_600_000_000_000).create())
    lines = [book.append(kind, data, number) for number, (kind, data) in enumerate(rows, 1)]
    book.close()
    return lines


CASES: dict[str, tuple[list[Row], list[tuple[int, bool]]]] = {
    "answered": ([start(), intent(E1), sent(E1)], [(3, True)]),
    "never left": ([start(), intent(E1), sent(E1, "REFUSED", "STALE_SIGNAL", left=False)], []),
    "killed after the intent": ([start(), intent(E1)], [(2, True)]),
    "unknown is not sent again": ([start(), intent(E1), sent(E1, "UNKNOWN", "time-out")], [(3, True)]),
    "still known after the next start": ([start(), intent(E1), start(), start()], [(2, True)]),
    "two in the queue": ([start(), intent(X1), intent(C1)], [(2, False), (3, False)]),
    "an exit killed while sent again": (
        [start(), intent(X1), sent(X1, "UNKNOWN", "time-out")], [(3, False), (3, False)],
    ),
    "sent again by each successor": (
        [start(), intent(X1), start(), start(), sent(X1)], [(2, False), (3, False), (5, False)],
    ),
    "the fence held it back": (
        [start(), intent(X1), sent(X1, "REFUSED", "FENCED", left=False), start(), sent(X1)], [(3, False), (5, False)],
    ),
    "a later entry stands for an exit": ([start(), intent(X1), intent(E2), sent(E2), start(), start()],
                                         [(2, False), (4, True)]),
    "a later answer stands for an exit": ([start(), intent(X1), intent(C1), sent(C1), start(), start()],
                                          [(2, False), (4, False)]),
    "what came after it goes on": ([start(), intent(C1), intent(X1), sent(C1), start(), start()],
                                   [(3, False), (4, False), (5, False), (6, False)]),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_what_may_have_left_is_counted(tmp_path: Path, name: str) -> None:
    rows, wanted = CASES[name]
    assert possibly_sent(journal(tmp_path, *rows)) == wanted


def test_the_limits_are_as_full_as_the_service_may_see_them(tmp_path: Path) -> None:
    limits = SendLimits(per_min=3, per_hour=5, entries_per_hour=2)
    rows = [start(), intent(X1), sent(X1), intent(C1), sent(C1)]
    for at_ns, entry in possibly_sent(journal(tmp_path / "a", *rows)):
        limits.count(at_ns, entry=entry)
    assert limits.refuses_entry(10) == ""
    for at_ns, entry in possibly_sent(journal(tmp_path / "b", start(), intent(E1))):
        limits.count(at_ns, entry=entry)
    assert limits.refuses_entry(10) == "requests-per-min", "the killed entry is the third request of this minute"
    assert limits.gauges(10)["entries-per-hour"] == 1
    assert limits.refuses_entry(10 + NS_PER_MIN) == ""
    assert limits.gauges(10 + NS_PER_HOUR)["requests-per-hour"] == 0
