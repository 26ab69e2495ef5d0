"""Draw measured points as an SVG of line charts from zero, without a plotting library."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

WIDTH, HEIGHT, LEFT, TOP, WIDE, HIGH = 460, 320, 70, 40, 350, 220


@dataclass(frozen=True)
class Panel:
    """Hold one chart: names of both axes, points, and what was held still."""

    across: str
    up: str
    points: list[tuple[int, float]]
    note: str = ""


def write_svg(path: Path, panels: list[Panel]) -> None:
    """Write the panels side by side."""
    width = WIDTH * len(panels)
    body = "".join(_panel(panel, WIDTH * place) for place, panel in enumerate(panels))
    size = f'width="{width}" height="{HEIGHT}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="12">'
    path.write_text(f'{head}<rect width="100%" height="100%" fill="white"/>{body}</svg>\n', "utf-8")


def _panel(panel: Panel, offset: int) -> str:
    most_x, most_y = max(x for x, _ in panel.points), max(y for _, y in panel.points)
    left, bottom = offset + LEFT, TOP + HIGH

    def at(x: float, y: float) -> tuple[float, float]:
        return left + WIDE * x / most_x, bottom - HIGH * y / most_y

    places = [at(x, y) for x, y in panel.points]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="#1a6"/>' for x, y in places)
    straight = at(most_x, panel.points[-1][1])
    parts = [
        f'<path d="M{left} {TOP} V{bottom} H{left + WIDE}" fill="none" stroke="black"/>',
        f'<path d="M{left} {bottom} L{straight[0]:.1f} {straight[1]:.1f}" stroke="#bbb" stroke-dasharray="4"/>',
        f'<polyline points="{line}" fill="none" stroke="#1a6" stroke-width="2"/>',
        dots,
        f'<text x="{left}" y="{TOP - 12}">{panel.up} ({panel.note}; dashed: through zero)</text>',
        f'<text x="{left + WIDE}" y="{bottom + 34}" text-anchor="end">{panel.across}</text>',
        f'<text x="{left - 6}" y="{TOP + 5}" text-anchor="end">{most_y:.2f}</text>',
    ]
    for x, y in panel.points:
        here = at(x, y)
        parts.append(f'<text x="{here[0]:.1f}" y="{bottom + 16}" text-anchor="middle" font-size="10">{x:,}</text>')
    return "".join(parts)
