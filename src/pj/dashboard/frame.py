"""Lay the sections out in a frame of a given size; pure: the same state gives the same picture.

From 120 columns and 36 lines on there are three columns and all facts; below, two columns with the facts
that matter most, made for 80 x 24. A line that does not fit ends in an ellipsis; a frame is never taller than asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.console import Group
from rich.text import Text

from pj.dashboard import sections as s
from pj.dashboard import words
from pj.dashboard.words import BAD, DOUBT, FAINT, GOOD

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rich.console import RenderableType

    from pj.dashboard.sections import Section
    from pj.dashboard.state import DashboardState

    Maker = Callable[[DashboardState, int, int], Section]

WIDE_COLUMNS: Final = 120
WIDE_LINES: Final = 36
GAP: Final = 2
HEAD_LINES: Final = 2


def frame(state: DashboardState, width: int, height: int) -> RenderableType:
    """Return the picture of ``state`` as ``height`` lines of ``width`` columns."""
    lines = frame_lines(state, width, height)
    return Group(*lines)


def frame_lines(state: DashboardState, width: int, height: int) -> list[Text]:
    """Return the frame's lines, each exactly ``width`` wide."""
    wide = width >= WIDE_COLUMNS and height >= WIDE_LINES
    lines = [_head(state, width), _banner(state, width)]
    left = height - HEAD_LINES
    near = len(state.view("engine").rows("pools_near"))
    for makers, rows in _plan_wide(left, near) if wide else _plan_narrow(left):
        lines += _row(state, makers, width, rows)
    return [_fit(line, width) for line in lines[:height]]


def _plan_narrow(left: int) -> list[tuple[Sequence[Maker], int]]:
    """Share the lines: five facts for each of three rows, the rest to pools and events."""
    fixed = 3 * 6
    spare = max(0, left - fixed - 4)
    more_pools = min(spare // 2, 10)
    return [
        ((s.price, s.position), 5),
        ((s.pools, s.limits), 5 + more_pools),
        ((s.processes, s.fidelity), 5 + min(2, spare - more_pools)),
        ((s.events,), max(1, left - fixed - 1 - more_pools - min(2, spare - more_pools))),
    ]


def _plan_wide(left: int, near: int) -> list[tuple[Sequence[Maker], int]]:
    """Share the lines: seven facts for each of two rows of three, all processes, the rest to pools and events."""
    spare = max(0, left - 8 - 8 - 6 - 1)
    more_pools = max(0, min(spare // 2, near + 1 - 7))
    return [
        ((s.price, s.position, s.limits), 7),
        ((s.pools, s.fidelity, s.bars), 7 + more_pools),
        ((s.processes,), 5),
        ((s.events,), max(1, spare - more_pools)),
    ]


def _row(state: DashboardState, makers: Sequence[Maker], width: int, rows: int) -> list[Text]:
    each = (width - GAP * (len(makers) - 1)) // len(makers)
    widths = [each] * (len(makers) - 1) + [width - (each + GAP) * (len(makers) - 1)]
    columns = [_column(maker(state, span, rows), span, rows) for maker, span in zip(makers, widths, strict=True)]
    return [Text(" " * GAP).join(parts) for parts in zip(*columns, strict=True)]


def _column(section: Section, width: int, rows: int) -> list[Text]:
    title = Text(f"-- {section.title} ", style="bold cyan")
    title.append("-" * max(0, width - len(title)))
    lines = [title, *section.lines[:rows]]
    lines += [Text()] * (rows + 1 - len(lines))
    return [_fit(line, width) for line in lines]


def _fit(line: Text, width: int) -> Text:
    fitted = line.copy()
    fitted.no_wrap = True
    fitted.truncate(width, overflow="ellipsis", pad=True)
    return fitted


def _head(state: DashboardState, width: int) -> Text:
    contract = state.view("bridge").get("contract") or state.symbol
    clock = words.eastern(state.run_ns) + (f" x{state.speed:g}" if state.speed != 1 else "")
    left = Text.assemble(
        ("PJ Engine ", "bold"), (f"{contract} ", "bold"), f"profile {state.profile}, route {state.route}"
    )
    return _spread(left, Text(clock), width)


def _banner(state: DashboardState, width: int) -> Text:
    if state.message:
        return _spread(Text(state.message, style="bold"), _keys(state), width)
    told, style = "RUNNING", GOOD
    unwell = [name for name in ("bridge", "engine", "scribe") if _unwell(state, name)]
    if not state.running:
        told, style = f"NOT RUNNING (Sentinel {state.view('sentinel').note or 'stopping'})", BAD
    elif state.killed is not None:
        told, style = f"HALTED: {state.killed}", BAD
    elif unwell:
        told, style = "DEGRADED", DOUBT
    if unwell and state.running:
        told += f"; not beating: {', '.join(unwell)}"
    if state.alerts.count:
        newest = state.alerts.alerts[-1]
        told = f"{_alerts(state)}: {newest.code}; {told}"
        style = BAD if words.urgent(state.alerts.alerts) else DOUBT if style == GOOD else style
    return _spread(Text(told, style=style), _keys(state), width)


def _alerts(state: DashboardState) -> str:
    return f"{state.alerts.count} ALERT{'S' if state.alerts.count > 1 else ''}"


def _unwell(state: DashboardState, name: str) -> bool:
    if name == "scribe" and not state.sheets_enabled:
        return False
    return not state.view(name).fresh


def _keys(state: DashboardState) -> Text:
    return Text("h halt  r resume  q close" if state.keys else "", style=FAINT)


def _spread(left: Text, right: Text, width: int) -> Text:
    """Put ``right`` at the right edge; where both do not fit, the left one is shortened."""
    room = width - len(right) - (1 if right.plain else 0)
    return Text.assemble(_fit(left, max(0, room)), " " if right.plain else "", right)
