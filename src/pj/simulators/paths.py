"""Turn bars into prints whose aggregate is the bar again, deterministically.

The rule, for the rows of one minute in recorded order:

* a bar that closes at or above its open is walked O -> L -> H -> C, else O -> H -> L -> C; between two
  corners further prints lie on the straight line, rounded to the grid, so nothing leaves [L, H];
* a 1-minute row has ``min(24, 4 + isqrt(volume))`` prints (at least its corners, at most its volume when the
  volume covers the corners); a 1-second row has only its corners;
* sizes sum to the row's volume. A row whose volume is smaller than the number of prices it must show borrows
  single contracts from the largest prints of its minute, so that every print has size >= 1 and the minute's
  volume stays exact; only a minute with fewer contracts than prints keeps prints of size 0;
* the recorder of a 1-second file carries the previous close into the next open, so a row's open that equals
  the last print needs no print, except for the first print of a minute, which shows the minute's open;
* a row of volume 0, flat at the price of the row before, plays nothing.

Hence first, max, min, last and sum over a minute's prints equal the naive aggregate of the minute's
rows whenever the minute has volume.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import isqrt
from typing import Final

NS_PER_S: Final = 1_000_000_000
MAX_PRINTS: Final = 24


@dataclass(frozen=True, slots=True)
class Print:
    """Carry one trade of the exchange: its time (ns UTC), price in ticks, contracts."""

    exch_ns: int
    price_ticks: int
    size: int


@dataclass(frozen=True, slots=True)
class Row:
    """Carry one bar of a file: open time (ns UTC), prices in ticks, volume, length (ns)."""

    ts_ns: int
    open_ticks: int
    high_ticks: int
    low_ticks: int
    close_ticks: int
    volume: int
    span_ns: int


def corners(row: Row) -> list[int]:
    """Return the prices a row must show, in order, equal neighbours merged."""
    middle = (row.low_ticks, row.high_ticks) if row.close_ticks >= row.open_ticks else (row.high_ticks, row.low_ticks)
    return _merged([row.open_ticks, *middle, row.close_ticks])


def walk(points: Sequence[int], count: int) -> list[int]:
    """Return ``count`` prices (>= len(points)) from the first to the last point through all of them.

    The extra prices are shared among the legs by length and lie on them; a single point is repeated.
    """
    extra = count - len(points)
    legs = list(pairwise(points))
    if not legs:
        return [points[0]] * count
    length = sum(abs(b - a) for a, b in legs)
    prices = [points[0]]
    done = travelled = 0
    for a, b in legs:
        travelled += abs(b - a)
        due = extra * travelled // length
        steps = due - done + 1
        done = due
        prices += [a + (b - a) * step // steps for step in range(1, steps)]
        prices.append(b)
    return prices


def sizes(volume: int, count: int, salt: int) -> list[int]:
    """Share ``volume`` among ``count`` prints, each >= 1 while the volume lasts; ``salt`` varies the shares."""
    if volume <= count:
        # Zeros go to the middle: a bar's first and last print are trades whenever they can be.
        return [1] * (volume - min(volume // 2, 1)) + [0] * (count - volume) + [1] * min(volume // 2, 1)
    weights = [1 + (salt + 7 * i) % 5 for i in range(count)]
    spare, total = volume - count, sum(weights)
    shares = [1 + spare * weight // total for weight in weights]
    shares[-1] += volume - sum(shares)
    return shares


def minute_prints(rows: Sequence[Row], before_ticks: int | None) -> list[Print]:
    """Return the prints of one minute's ``rows``; ``before_ticks`` is the close of the file's previous row."""
    prints: list[Print] = []
    last = before_ticks
    minute_open: int | None = None
    for row in rows:
        if minute_open is None:
            minute_open = row.open_ticks
        if row.volume == 0 and (last is None or _flat(row, last)) and _flat(row, row.open_ticks):
            last = row.close_ticks
            continue
        points = corners(row)
        if not prints:
            points = _merged([minute_open, *points])
        elif points[0] == last and len(points) > 1:
            points = points[1:]
        elif points[0] == last and row.volume == 0:
            continue
        prints += _row_prints(row, points, prints[-1].exch_ns if prints else 0)
        last = row.close_ticks
    _lend(prints)
    return prints


def _lend(prints: list[Print]) -> None:
    """Give every print of size 0 one contract of the largest print, as long as that has one to spare."""
    for at, item in enumerate(prints):
        if item.size:
            continue
        rich = max(range(len(prints)), key=lambda i: prints[i].size)
        if prints[rich].size < 2:
            return
        prints[rich] = replace(prints[rich], size=prints[rich].size - 1)
        prints[at] = replace(item, size=1)


def _row_prints(row: Row, points: list[int], not_before_ns: int) -> list[Print]:
    count = len(points)
    if row.span_ns > NS_PER_S and row.volume > count:
        count = min(MAX_PRINTS, row.volume, max(count, 4 + isqrt(row.volume)))
    prices = walk(points, count)
    shares = sizes(row.volume, count, row.ts_ns // NS_PER_S)
    # Centred in equal slots; a repeated second continues after the row that was played first.
    stamps = [max(row.ts_ns + row.span_ns * (2 * i + 1) // (2 * count), not_before_ns) for i in range(count)]
    return [Print(*parts) for parts in zip(stamps, prices, shares, strict=True)]


def _flat(row: Row, price: int) -> bool:
    return row.open_ticks == row.high_ticks == row.low_ticks == row.close_ticks == price


def _merged(prices: Sequence[int]) -> list[int]:
    merged = [prices[0]]
    merged += [b for a, b in pairwise(prices) if a != b]
    return merged
