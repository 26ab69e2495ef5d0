"""Answer the structure of many parameter sets at once: sweeps and reclaims pool by pool, and what money asks of them.

What is computed is what ``structure_pass`` computes, from the same scalar rules; what nobody asks of a trial (which
pool won, the rows of events.csv) is left out. Tests hold both equal.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from strategies.mle.kernels import codes as c
from strategies.mle.kernels.jit import kernel, part
from strategies.mle.kernels.scalars import displaces, reaches, refused_by_clock, rest_of_sweep

Ints = npt.NDArray[np.int64]
Int32s = npt.NDArray[np.int32]
Int16s = npt.NDArray[np.int16]
Bytes = npt.NDArray[np.uint8]

MINUTE_S = 60
OPEN, HIGH, LOW, CLOSE = range(4)
TS, DAY = range(2)
(
    A_BAR,
    A_SIDE,
    A_DAY,
    A_REF_M,
    A_WORST_M,
    A_SIGNAL_S,
    A_NM,
    A_GAP_S,
    A_LATE_S,
    A_OPEN_M,
    A_LIMIT,
    A_COLUMNS,
) = range(12)
"""Columns of a reclaim as money sees it; seconds count from the tape's first bar, ``_M`` prices are mirrored."""
NO_BAR, OTHER_DAY = -1, -2
"""What A_LATE_S says when no bar follows the reclaim, or only one of another trade date or contract."""
V_GAP_S, V_FLAT_M, V_HOLD_S, V_WINDOW, V_NEWS_FROM, V_NEWS_TO, V_COLUMNS = range(7)
"""Columns of a view: what the clock's gates and exits depend on; places in the tables of windows and blackouts."""


class Ground(NamedTuple):
    """Hold a tape for batches.

    ``price`` has one row (open, high, low, close) per bar, ``when`` one row (seconds since the first bar, place of the
    trade date); ``last`` is the last bar of the bar's day and contract.
    """

    price: Int32s
    when: Int32s
    minute: Int16s
    last: Int32s


class Lives(NamedTuple):
    """Hold pools and the bars [first, last] in which each may be swept, as long as nothing sweeps it.

    ``expires`` counts seconds from the tape's first bar.
    """

    side: Ints
    level: Ints
    expires: Ints
    first: Ints
    last: Ints


@kernel
def sweep_bars(ground: Ground, lives: Lives, sweep_min: int, out: Int32s) -> None:
    """Write the bar that sweeps each pool (T2), -1 where none does."""
    for pool in range(len(lives.side)):
        side, level_m = lives.side[pool], lives.side[pool] * lives.level[pool]
        column = LOW if side > 0 else HIGH
        out[pool] = -1
        for i in range(lives.first[pool], lives.last[pool] + 1):
            if reaches(side * ground.price[i, column], level_m, sweep_min):
                out[pool] = i
                break


@part
def _reclaim_bar(ground: Ground, lives: Lives, pool: int, begin: int, fsm: Ints) -> tuple[int, int]:
    """Follow one pool from the bar that sweeps it; return the bar that reclaims it (-1: none) and its extreme."""
    side = lives.side[pool]
    level_m, column, ext = side * lives.level[pool], LOW if side > 0 else HIGH, c.FAR
    for j in range(begin, ground.last[begin] + 1):
        if ground.when[j, TS] >= lives.expires[pool]:
            break
        open_, close = ground.price[j, OPEN], ground.price[j, CLOSE]
        ext = min(ext, side * ground.price[j, column])
        rest = rest_of_sweep(
            level_m,
            ext,
            ground.when[j, TS] - ground.when[begin, TS],
            side * close,
            displaces(side, open_, close, ground.price[j, HIGH] - ground.price[j, LOW], fsm[4], fsm[5]),
            fsm[0],
            fsm[1],
            fsm[2],
            fsm[3],
        )
        if rest == c.REST_RECLAIMED:
            return j, ext
        if rest != c.REST_WAITS:
            break
    return -1, 0


@kernel
def reclaims_of(ground: Ground, lives: Lives, swept: Int32s, fsm: Ints, codes: Int32s, worst: Int32s) -> int:
    """Write one code (bar * 2, + 1 for shorts) and the worst mirrored extreme per reclaiming bar; return how many.

    ``fsm`` = reclaim_min, reclaim_max_s, max_pen, max_chase, disp_num, disp_den.
    """
    count = 0
    for pool in range(len(swept)):
        if swept[pool] < 0:
            continue
        bar, ext = _reclaim_bar(ground, lives, pool, swept[pool], fsm)
        if bar < 0:
            continue
        code, place = 2 * bar + (0 if lives.side[pool] > 0 else 1), count
        while place > 0 and codes[place - 1] > code:
            codes[place], worst[place] = codes[place - 1], worst[place - 1]
            place -= 1
        codes[place], worst[place] = code, ext
        count += 1
    kept = 0
    for place in range(count):
        if kept > 0 and codes[kept - 1] == codes[place]:
            worst[kept - 1] = min(worst[kept - 1], worst[place])
        else:
            codes[kept], worst[kept] = codes[place], worst[place]
            kept += 1
    return kept


@kernel
def describe(ground: Ground, codes: Int32s, worst: Int32s, table: Int32s) -> None:
    """Write what money asks of each reclaim (columns A_), so that walking them reads memory in order."""
    bars = len(ground.minute)
    for place in range(len(codes)):
        i, side = codes[place] >> 1, 1 - 2 * (codes[place] & 1)
        row, now = table[place], ground.when[i, DAY]
        row[A_BAR] = i
        row[A_SIDE] = side
        row[A_DAY] = now
        row[A_REF_M] = side * ground.price[i, CLOSE]
        row[A_WORST_M] = worst[place]
        row[A_SIGNAL_S] = ground.when[i, TS] + MINUTE_S
        row[A_NM] = ground.minute[i] + 1
        row[A_GAP_S] = ground.when[i, TS] - ground.when[i - 1, TS] if i > 0 and ground.when[i - 1, DAY] == now else 0
        row[A_LATE_S] = NO_BAR
        row[A_OPEN_M] = 0
        if i + 1 < bars:
            late_s = ground.when[i + 1, TS] - ground.when[i, TS]
            row[A_LATE_S] = late_s if ground.last[i] > i else OTHER_DAY
            row[A_OPEN_M] = side * ground.price[i + 1, OPEN]


@part
def _first_at(values: Int16s, begin: int, end: int, least: int) -> int:
    """Return the first place in [begin, end) of an ascending stretch that holds at least ``least``, else ``end``."""
    while begin < end:
        middle = (begin + end) // 2
        if values[middle] >= least:
            end = middle
        else:
            begin = middle + 1
    return begin


@part
def clock_limit(ground: Ground, entry: int, hold_s: int, flat_m: int) -> int:
    """Return the first bar after the entry bar at whose open a clock exit is due (DAY_ROLL, FLAT, TIME; pj1 S5.6)."""
    limit: int = min(ground.last[entry] + 1, max(entry + 1, entry + hold_s // MINUTE_S))
    due = ground.when[entry, TS] + hold_s
    while limit > entry + 1 and ground.when[limit - 1, TS] >= due:
        limit -= 1
    if ground.minute[limit - 1] >= flat_m:
        limit = _first_at(ground.minute, entry + 1, limit, flat_m)
    return limit


@part
def in_news(at_s: int, news: Ints, begin: int, end: int) -> bool:
    """Tell whether a moment lies in one of the intervals [from, to) at ``news[begin:end]``."""
    found = False
    for place in range(begin, end):
        found |= news[place, 0] <= at_s < news[place, 1]
    return found


@kernel
def choose(ground: Ground, table: Int32s, view: Ints, windows: Bytes, news: Ints, chosen: Int32s) -> int:
    """Copy the reclaims that pass the gate's clock checks, with the bar of their clock exit; return how many.

    ``windows[row, nm]`` is 1 in a trading window. A refused signal leaves no trace, so that the order of the gates does
    not matter here.
    """
    count, bars, flat_m = 0, len(ground.minute), view[V_FLAT_M]
    for place in range(len(table)):
        row = table[place]
        in_window = windows[view[V_WINDOW], row[A_NM]] != 0
        news_now = in_news(row[A_SIGNAL_S], news, view[V_NEWS_FROM], view[V_NEWS_TO])
        if refused_by_clock(row[A_GAP_S], view[V_GAP_S], row[A_NM], flat_m, in_window, news_now) != c.R_NONE:
            continue
        for column in range(A_LIMIT):
            chosen[count, column] = row[column]
        entry = row[A_BAR] + 1
        chosen[count, A_LIMIT] = clock_limit(ground, entry, view[V_HOLD_S], flat_m) if entry < bars else 0
        count += 1
    return count
