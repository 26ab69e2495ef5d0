"""Find pivots and their mates, as ``live.pools.PivotSide`` does in outward coordinates (pj1 S3 SW, S3.5)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from strategies.mle.kernels import codes as c
from strategies.mle.kernels.jit import kernel
from strategies.mle.kernels.pools import Bars, Work, define, emit, watch

Ints = npt.NDArray[np.int64]


@kernel
def add_pivot_bar(table: Ints, values: npt.NDArray[np.int32], sign: int, i: int, first: int, n: int) -> bool:
    """Add a bar's outward extreme; tell whether the bar n before it is now a pivot (pj1 S3 SW)."""
    x = sign * values[i]
    confirmed = False
    candidate = table[0, c.HEAD_CANDIDATE]
    if candidate >= 0:
        if x > table[0, c.HEAD_X]:
            table[0, c.HEAD_CANDIDATE] = -1
        elif i - candidate == n:
            confirmed = True
    if i - first >= n and x > sign * values[i - 1]:
        j = i - 2
        while j >= i - n and x > sign * values[j]:
            j -= 1
        if j < i - n:
            table[0, c.HEAD_CANDIDATE] = i
            table[0, c.HEAD_X] = x
    return confirmed


@kernel
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


@kernel
def _remember(table: Ints, values: npt.NDArray[np.int32], sign: int, first: int) -> int:
    """Turn the candidate into a pivot and return its row; c.V_BETWEEN is the most outward x since the pivot before."""
    new = table[0, c.HEAD_COUNT] + 1
    index = table[0, c.HEAD_CANDIDATE]
    table[0, c.HEAD_CANDIDATE] = -1
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


@kernel
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


@kernel
def confirm(work: Work, bars: Bars, rules: Ints, i: int, side: int) -> None:
    """Give a confirmed pivot its pool: EQ with a mate, else SW (pj1 S3.5)."""
    table = work.lows if side > 0 else work.highs
    values = bars.low if side > 0 else bars.high
    ts, key = bars.ts[i] + c.MINUTE_S, i * c.STEPS + c.S_PIVOTS
    new = _remember(table, values, -side, work.counts[c.C_FIRST])
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
