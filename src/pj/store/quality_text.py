"""Write a quality report for a person."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from pj.store.gaps import RULE
from pj.store.quality import QualityReport

SHOWN: Final = 20


def lines_of(report: QualityReport) -> Iterator[str]:
    """Yield the report's lines."""
    found = report.coverage
    yield f"{report.source}: {report.symbol}, {report.rows} rows, {report.first or '-'} to {report.last or '-'}"
    yield (
        f"trade dates {found.trade_dates}, session minutes {found.expected}, with a bar {found.present}"
        f" ({found.pct} %), without a trade {found.thin_minutes}, lost {found.lost_minutes}"
    )
    yield (
        f"stray rows {report.strays}, bars while the calendar says closed {found.outside},"
        f" heartbeats {report.heartbeats}, degraded {report.degraded}"
    )
    yield f"duplicates {report.duplicates}, conflicts {report.conflicts}, out of order {report.unordered}"
    if found.unknown_dates:
        yield f"{found.unknown_dates} trade dates lie outside the calendar's table: taken for full sessions"
    for one in report.contracts:
        name = one["contract"] or "(no contract named)"
        yield f"contract {name}: {one['rows']} rows, {one['first']} to {one['last']}"
    for roll in report.rolls:
        yield f"roll on {roll['trade_date']}: {roll['from']} to {roll['to']}"
    yield from _some("faulty rows", [f"{count} x {why}" for why, count in report.faults.items()])
    yield from _some("the first of them", report.faulty_rows)
    yield from _some("conflicts", report.conflict_rows)
    yield from _some("shorter by the exchange calendar", [f"{day}: {why}" for day, why in found.explained])
    moves = [f"{one['at']} {one['points']} points, {one['times_usual']} times the usual" for one in report.moves]
    yield from _some("moves to look at", moves)
    yield from _some("unexplained gaps", found.gap_lines())
    if not found.gaps:
        yield "no unexplained gap"
    yield f"({RULE})"


def _some(title: str, lines: Sequence[str]) -> Iterator[str]:
    if lines:
        yield f"{title}:"
        yield from (f"  {line}" for line in lines[:SHOWN])
        if len(lines) > SHOWN:
            yield f"  and {len(lines) - SHOWN} more (--json has all)"
