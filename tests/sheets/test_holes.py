"""Ticks that a named gap took are explained; nothing else is."""

from __future__ import annotations

from pathlib import Path

import pytest

from pj.sheets.holes import lost_in_gaps

TICKS = [(100, "25000.25", 1), (200, "25000.5", 2), (300, "25000.5", 2), (400, "25000", 0)]
HEADER = "seq,recv_ns,kind,price,size,bid,ask,exch_ns,source,contract"
Ticks = list[tuple[int, str, int]]
Gap = tuple[int, int]


def write(folder: Path, taped: Ticks, gaps: list[Gap]) -> tuple[Path, Path]:
    ledger = "\n".join(f"1,{at},TRADE,{price},{size}" for at, price, size in TICKS)
    (folder / "ledger.csv").write_text(f"seq,sent_ns,kind,price,size\n0,50,QUOTE,,\n{ledger}\n")
    rows = [(at, f"1,{at},TRADE,{price},{size},,,0,TBT,MNQZ6") for at, price, size in taped]
    rows += [(end, f"2,{end},GAP,,,,,{start},RESTART,MNQZ6") for start, end in gaps]
    text = "\n".join([HEADER, *(row for _, row in sorted(rows, key=lambda pair: pair[0]))])
    (folder / "tape.csv").write_text(text + "\n")
    return folder / "ledger.csv", folder / "tape.csv"


@pytest.mark.parametrize(
    ("taped", "gaps", "lost"),
    [
        (TICKS, [], 0),
        (TICKS, [(150, 250)], 0),
        (TICKS[:1] + TICKS[2:], [(150, 250)], 1),
        (TICKS[:1] + TICKS[3:], [(150, 350)], 2),
        ([TICKS[0], TICKS[2]], [(150, 250), (350, 450)], 2),
        (TICKS[:1] + TICKS[2:], [], 0),
        (TICKS[:3], [(100, 200)], 0),
        (TICKS[:1] + TICKS[2:], [(210, 250)], 0),
        ([*TICKS, (500, "25000", 0)], [(150, 250)], 0),
        ([TICKS[0], (300, *TICKS[3][1:]), (400, *TICKS[2][1:])], [(150, 250)], 0),
        (TICKS[:1] + TICKS[3:], [(150, 220), (220, 350)], 2),
    ],
)
def test_only_a_fitting_hole_explains(tmp_path: Path, taped: Ticks, gaps: list[Gap], lost: int) -> None:
    assert lost_in_gaps(*write(tmp_path, taped, gaps)) == lost


def test_a_tick_on_its_way_when_the_hole_began_needs_the_slack(tmp_path: Path) -> None:
    files = write(tmp_path, TICKS[:1] + TICKS[2:], [(205, 250)])
    assert lost_in_gaps(*files) == 0
    assert lost_in_gaps(*files, slack_ns=10) == 1
