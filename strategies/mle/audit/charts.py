"""Draw the report's charts as inline SVG: lines, a fan, histograms, a heat line. Numbers in, text out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

import numpy as np
import numpy.typing as npt

WIDTH, HEIGHT = 760, 260
_CELLS: Final = 2
"""Neighbours of one parameter: a step each way, one of them missing at an edge."""
_LEFT, _RIGHT, _TOP, _BOTTOM = 74, 14, 14, 34
BLUE: Final = "#2f6fb0"
ORANGE: Final = "#d9822b"
GREEN: Final = "#2e8b57"
RED: Final = "#c0392b"
GREY: Final = "#8a94a0"

Values = Sequence[float] | npt.NDArray[np.float64] | npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Line:
    """Hold one line: its x and y values, colour and name."""

    x: Values
    y: Values
    colour: str
    name: str


@dataclass(frozen=True, slots=True)
class Band:
    """Hold an area between two lines over the same x."""

    x: Values
    low: Values
    high: Values
    colour: str
    name: str


@dataclass(frozen=True, slots=True)
class _Frame:
    """Turn values into places of the picture."""

    x0: float
    x1: float
    y0: float
    y1: float

    def x(self, value: float) -> float:
        return round(_LEFT + (value - self.x0) / (self.x1 - self.x0) * (WIDTH - _LEFT - _RIGHT), 1)

    def y(self, value: float) -> float:
        return round(_TOP + (self.y1 - value) / (self.y1 - self.y0) * (HEIGHT - _TOP - _BOTTOM), 1)


def line_chart(
    lines: Sequence[Line],
    bands: Sequence[Band] = (),
    ticks: Sequence[tuple[float, str]] = (),
    shade: tuple[float, float] | None = None,
) -> str:
    """Return lines (dollars) over bands, with named x ticks and a grey stripe from ``shade[0]`` to ``shade[1]``."""
    xs = [float(value) for one in lines for value in one.x] + [float(value) for one in bands for value in one.x]
    ys = [float(value) for one in lines for value in one.y]
    ys += [float(value) for one in bands for value in (*one.low, *one.high)]
    if not xs:
        return _empty()
    frame = _frame(xs, [*ys, 0.0])
    parts = [_grid(frame), _x_ticks(frame, ticks)]
    if shade is not None:
        left, right = frame.x(shade[0]), frame.x(shade[1])
        height = HEIGHT - _TOP - _BOTTOM
        parts.append(
            f'<rect x="{left}" y="{_TOP}" width="{max(1.0, right - left):.1f}" height="{height}" fill="#e6e9ed"/>'
        )
    for band in bands:
        there = _points(frame, band.x, band.high)
        back = list(reversed(_points(frame, band.x, band.low)))
        parts.append(f'<polygon points="{" ".join([*there, *back])}" fill="{band.colour}" fill-opacity="0.18"/>')
    for line in lines:
        points = " ".join(_points(frame, line.x, line.y))
        parts.append(f'<polyline points="{points}" fill="none" stroke="{line.colour}" stroke-width="1.8"/>')
    names = [(one.colour, one.name) for one in lines] + [(one.colour, one.name) for one in bands]
    return _svg(parts) + _legend(names)


def histogram(values: Values, marks: Sequence[tuple[float, str, str]], bins: int = 40, money: bool = True) -> str:
    """Return a histogram with upright marks (value, colour, name)."""
    if not len(values):
        return _empty()
    spread = [*(float(value) for value in values), *(value for value, _, _ in marks)]
    low, high = min(spread), max(spread)
    if low == high:
        low, high = low - 1.0, high + 1.0
    counts, edges = np.histogram(np.asarray(values, dtype=np.float64), bins=bins, range=(low, high))
    frame = _Frame(low, high, 0.0, max(1.0, float(counts.max()) * 1.08))
    parts = [_grid(frame, money=False)]
    for count, left, right in zip(counts.tolist(), edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        if count:
            x, y = frame.x(left), frame.y(count)
            width, height = frame.x(right) - x - 0.6, HEIGHT - _BOTTOM - y
            parts.append(f'<rect x="{x}" y="{y}" width="{width:.1f}" height="{height:.1f}" fill="#b7c6d8"/>')
    for value, colour, _ in marks:
        x = frame.x(value)
        parts.append(
            f'<line x1="{x}" x2="{x}" y1="{_TOP}" y2="{HEIGHT - _BOTTOM}" stroke="{colour}" stroke-width="2"/>'
        )
    ticks = [(value, _dollars(value) if money else f"{value:.1f}") for value in _nice(low, high)]
    parts.append(_x_ticks(frame, ticks))
    return _svg(parts) + _legend([(colour, name) for _, colour, name in marks])


def heat_line(rows: Iterable[tuple[str, Sequence[tuple[str, float]]]]) -> str:
    """Return one row of coloured cells per name: green earns, red loses, deeper is more; a cell is (text, cents)."""
    listed = list(rows)
    if not listed:
        return _empty()
    most = max((abs(cents) for _, cells in listed for _, cents in cells), default=1.0) or 1.0
    out = ['<table class="heat">']
    for name, cells in listed:
        out.append(f"<tr><th>{escape(name)}</th>")
        for text, cents in cells:
            colour = GREEN if cents > 0 else RED
            alpha = 0.12 + 0.6 * abs(cents) / most
            shade = f"background:{colour}{round(alpha * 255):02x}"
            out.append(f'<td style="{shade}"><span>{escape(text)}</span><b>{_dollars(cents / 100)}</b></td>')
        out.append("<td></td>" * (_CELLS - len(cells)) + "</tr>")
    return "".join([*out, "</table>"])


def _frame(xs: Sequence[float], ys: Sequence[float]) -> _Frame:
    low, high = min(ys), max(ys)
    room = (high - low) * 0.06 or 1.0
    left, right = min(xs), max(xs)
    return _Frame(left, right if right > left else left + 1.0, low - room, high + room)


def _points(frame: _Frame, x: Values, y: Values) -> list[str]:
    return [f"{frame.x(float(a))},{frame.y(float(b))}" for a, b in zip(x, y, strict=True)]


def _grid(frame: _Frame, *, money: bool = True) -> str:
    parts = []
    for value in _nice(frame.y0, frame.y1):
        y = frame.y(value)
        stroke = "#9aa3ad" if value == 0 else "#e3e7eb"
        text = _dollars(value) if money else f"{value:,.0f}"
        parts.append(f'<line x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y}" y2="{y}" stroke="{stroke}"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{y + 4}" text-anchor="end">{text}</text>')
    return "".join(parts)


def _x_ticks(frame: _Frame, ticks: Sequence[tuple[float, str]]) -> str:
    y = HEIGHT - _BOTTOM + 18
    return "".join(
        f'<text x="{frame.x(value)}" y="{y}" text-anchor="{_anchor(frame.x(value))}">{escape(text)}</text>'
        for value, text in ticks
    )


def _anchor(x: float) -> str:
    """Return how a label stands, so that none runs out of the picture."""
    return "end" if x > WIDTH - 60 else "middle"


def _nice(low: float, high: float) -> list[float]:
    """Return four to nine round values between the two."""
    raw = (high - low) / 5
    power = 10.0 ** np.floor(np.log10(raw)) if raw > 0 else 1.0
    step = next(float(power * unit) for unit in (1, 2, 5, 10) if power * unit >= raw)
    first = int(np.ceil(low / step))
    return [round(place * step, 10) for place in range(first, int(np.floor(high / step)) + 1)]


def _dollars(value: float) -> str:
    return f"{'-' if value < 0 else ''}${abs(value):,.0f}"


def _svg(parts: Sequence[str]) -> str:
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img">{"".join(parts)}</svg>'


def _legend(entries: Sequence[tuple[str, str]]) -> str:
    items = "".join(f'<span><i style="background:{colour}"></i>{escape(name)}</span>' for colour, name in entries)
    return f'<p class="legend">{items}</p>'


def _empty() -> str:
    return '<p class="none">nothing to draw</p>'
