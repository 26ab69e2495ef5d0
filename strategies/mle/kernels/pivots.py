"""Find pivots and their mates, as ``live.pools.PivotSide`` does in outward coordinates (pj1 S3 SW, S3.5)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from strategies.mle.kernels import codes as c
from strategies.mle.kernels.jit import kernel, part
from strategies.mle.kernels.pools import Bars, Work, define, emit, watch

Ints = npt.NDArray[np.int64]
Int32s = npt.NDArray[np.int32]
Bytes = npt.NDArray[np.uint8]


@part
def _window_tops(values: Int32s, sign: int, n: int, tops: Int32s, other: Int32s) -> bool:
    """Write each bar's most outward x of the n bars that end with it; tell whether it stands in ``other``.

    Windows double until they span n: no branch depends on a price, so that eight bars are done at a time.
    """
    for i in range(len(values)):
        tops[i] = sign * values[i]
    width, swapped = 1, False
    while width < n:
        step = min(width, n - width)
        one, two = (other, tops) if swapped else (tops, other)
        for i in range(step):
            two[i] = one[i]
        for i in range(step, len(values)):
            two[i] = max(one[i], one[i - step])
        width += step
        swapped = not swapped
    return swapped


@part
def _flag_side(flags: Bytes, values: Int32s, sign: int, n: int, tops: Int32s, flag: int) -> None:
    """Flag each bar that confirms a pivot n bars ago: above all n bars left, not below any of n right (S3 SW)."""
    for i in range(2 * n, len(values)):
        x = sign * values[i - n]
        flags[i] |= flag if (x > tops[i - n - 1]) & (x >= tops[i]) else 0


@kernel
def flag_bars(bars: Bars, n: int, flags: Bytes, tops: Int32s, other: Int32s) -> None:
    """Flag what can be known of the bars before any pool: turns and confirmed pivots.

    Pivots are flagged across turns too; they count only when all 2n + 1 bars belong to one date and contract.
    """
    many = len(bars.ts)
    for i in range(many):
        flags[i] = 0
    if many > 0:
        flags[0] = c.F_TURN
    for i in range(1, many):
        same = (bars.ordinal[i] == bars.ordinal[i - 1]) & (bars.contract[i] == bars.contract[i - 1])
        flags[i] = 0 if same else c.F_TURN
    if 2 * n >= many:
        return
    for flag in (c.F_HIGH, c.F_LOW):
        values, sign = (bars.high, 1) if flag == c.F_HIGH else (bars.low, -1)
        swapped = _window_tops(values, sign, n, tops, other)
        _flag_side(flags, values, sign, n, other if swapped else tops, flag)


@part
def _mate(table: Ints, new: int, tol: int) -> int:
    """Return the row of the newest earlier pivot that makes equal highs or lows with row ``new``, 0 if none (S3.5)."""
    x, peak = table[new, c.V_X], table[new, c.V_BETWEEN]
    earlier = new - 1
    while earlier > 0:
        other = table[earlier, c.V_X]
        if peak > max(other, x):
            return 0
        if abs(other - x) <= tol:
            return earlier
        peak = max(peak, other, table[earlier, c.V_BETWEEN])
        earlier -= 1
    return 0


@part
def _remember(table: Ints, values: Int32s, sign: int, index: int, first: int) -> int:
    """Remember bar ``index`` as a pivot and return its row; V_BETWEEN is the most outward x since the one before."""
    new = table[0, c.HEAD_COUNT] + 1
    table[0, c.HEAD_COUNT] = new
    begin = table[new - 1, c.V_INDEX] + 1 if new > 1 else first
    peak = -c.FAR
    for j in range(begin, index):
        peak = max(peak, sign * values[j])
    table[new, c.V_INDEX] = index
    table[new, c.V_X] = sign * values[index]
    table[new, c.V_BETWEEN] = peak
    table[new, c.V_LAST_POOL] = -1
    return new  # type: ignore[no-any-return]


@part
def _merge_away(work: Work, key: int, ts: int, pool: int) -> None:
    """Kill the mate's pool as MERGED if it is still DEFINED (T11)."""
    counts, defined = work.counts, work.defined
    place = counts[c.C_DEFINED] - 1
    while place >= 0 and defined[place] != pool:
        place -= 1
    if place < 0:
        return
    for j in range(place, counts[c.C_DEFINED] - 1):
        defined[j] = defined[j + 1]
    counts[c.C_DEFINED] -= 1
    emit(work, key, c.E_DEAD, ts, pool, c.UNSET, c.R_MERGED)


@part
def confirm(work: Work, bars: Bars, rules: Ints, i: int, side: int) -> None:
    """Give a confirmed pivot its pool: EQ with a mate, else SW (pj1 S3.5)."""
    table = work.lows if side > 0 else work.highs
    values = bars.low if side > 0 else bars.high
    ts, key = bars.ts[i] + c.MINUTE_S, i * c.STEPS + c.S_PIVOTS
    new = _remember(table, values, -side, i - rules[c.N_SWING], work.counts[c.C_FIRST])
    mate = _mate(table, new, rules[c.N_EQ_TOL])
    when = (ts, min(ts + rules[c.N_TTL_S], work.counts[c.C_CLOSE_S]), work.counts[c.C_DAY])
    stamp = bars.ts[table[new, c.V_INDEX]]
    if mate > 0 and rules[c.N_USE_EQ]:
        if table[mate, c.V_LAST_POOL] >= 0:
            _merge_away(work, key, ts, table[mate, c.V_LAST_POOL])
        level = -side * max(table[mate, c.V_X], table[new, c.V_X])
        pool = define(work, key, c.K_EQ, side, level, when, (bars.ts[table[mate, c.V_INDEX]], stamp))
    elif rules[c.N_USE_SW]:
        pool = define(work, key, c.K_SW, side, -side * table[new, c.V_X], when, (stamp, 0))
    else:
        return
    table[new, c.V_LAST_POOL] = pool
    watch(work, rules, pool)
