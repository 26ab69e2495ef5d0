"""Keep the living pools and step them: DEFINED and SWEPT ones in two lists, both in definition order (pj1 S4)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from strategies.mle.kernels import codes as c
from strategies.mle.kernels.jit import part
from strategies.mle.kernels.scalars import displaces, reaches, rest_of_sweep

Ints = npt.NDArray[np.int64]


class Bars(NamedTuple):
    """Hold the tape's arrays as kernels take them."""

    ts: npt.NDArray[np.int64]
    open: npt.NDArray[np.int32]
    high: npt.NDArray[np.int32]
    low: npt.NDArray[np.int32]
    close: npt.NDArray[np.int32]
    minute: npt.NDArray[np.int16]
    ordinal: npt.NDArray[np.int32]
    contract: npt.NDArray[np.int16]


class Work(NamedTuple):
    """Hold what the structure pass fills and what it keeps between bars.

    ``shift`` moves levels outward by so many ticks, one entry per pool in order of definition; empty: none is moved.
    """

    pools: Ints
    events: Ints
    reclaims: Ints
    sessions: Ints
    defined: Ints
    swept: Ints
    spare: Ints
    now: Ints
    highs: Ints
    lows: Ints
    counts: Ints
    flags: npt.NDArray[np.uint8]
    tops: npt.NDArray[np.int32]
    other_tops: npt.NDArray[np.int32]
    shift: Ints


@part
def emit(work: Work, key: int, code: int, ts: int, pool: int, extreme: int, reason: int) -> None:
    """Append one row of events.csv."""
    row = work.counts[c.C_EVENTS]
    events = work.events
    events[row, c.V_KEY] = key
    events[row, c.V_CODE] = code
    events[row, c.V_TS] = ts
    events[row, c.V_POOL] = pool
    events[row, c.V_EXTREME] = extreme
    events[row, c.V_REASON] = reason
    work.counts[c.C_EVENTS] = row + 1


@part
def extreme_of(work: Work, pool: int) -> int:
    """Return the raw extreme since the sweep, c.UNSET while DEFINED."""
    if work.pools[pool, c.P_SWEEP] == c.UNSET:
        return c.UNSET
    return work.pools[pool, c.P_SIDE] * work.pools[pool, c.P_EXT]  # type: ignore[no-any-return]


@part
def define(
    work: Work, key: int, kind: int, side: int, level: int, when: tuple[int, int, int], ids: tuple[int, int]
) -> int:
    """Add a DEFINED pool; ``when`` = (defined, expires, trade date), ``ids`` = its pivots' times."""
    counts, pools = work.counts, work.pools
    pool = counts[c.C_POOLS]
    counts[c.C_POOLS] = pool + 1
    if pool < len(work.shift):
        level -= side * work.shift[pool]
    pools[pool, c.P_KIND] = kind
    pools[pool, c.P_SIDE] = side
    pools[pool, c.P_LEVEL] = level
    pools[pool, c.P_DEFINED] = when[0]
    pools[pool, c.P_EXPIRES] = when[1]
    pools[pool, c.P_DAY] = when[2]
    pools[pool, c.P_PIVOT1] = ids[0]
    pools[pool, c.P_PIVOT2] = ids[1]
    pools[pool, c.P_SWEEP] = c.UNSET
    pools[pool, c.P_EXT] = 0
    work.defined[counts[c.C_DEFINED]] = pool
    counts[c.C_DEFINED] += 1
    emit(work, key, c.E_DEFINED, when[0], pool, c.UNSET, c.R_NONE)
    return pool  # type: ignore[no-any-return]


@part
def watch(work: Work, rules: Ints, pool: int) -> None:
    """Let the triggers know a DEFINED pool."""
    counts, pools = work.counts, work.pools
    if pools[pool, c.P_SIDE] > 0:
        counts[c.C_LOW_TRIGGER] = max(counts[c.C_LOW_TRIGGER], pools[pool, c.P_LEVEL] - rules[c.N_SWEEP_MIN])
    else:
        counts[c.C_HIGH_TRIGGER] = min(counts[c.C_HIGH_TRIGGER], pools[pool, c.P_LEVEL] + rules[c.N_SWEEP_MIN])
    if pools[pool, c.P_KIND] >= c.K_EQ:
        counts[c.C_EXPIRY] = min(counts[c.C_EXPIRY], pools[pool, c.P_EXPIRES])


@part
def calm(work: Work) -> None:
    """Set all triggers so that no bar fires them."""
    work.counts[c.C_LOW_TRIGGER] = -c.FAR
    work.counts[c.C_HIGH_TRIGGER] = c.FAR
    work.counts[c.C_EXPIRY] = c.FAR


@part
def kill_all(work: Work, key: int, ts: int, reason: int) -> None:
    """Kill every living pool in definition order (T10)."""
    counts = work.counts
    i, j = 0, 0
    while i < counts[c.C_DEFINED] or j < counts[c.C_SWEPT]:
        if j >= counts[c.C_SWEPT] or (i < counts[c.C_DEFINED] and work.defined[i] < work.swept[j]):
            pool = work.defined[i]
            i += 1
        else:
            pool = work.swept[j]
            j += 1
        emit(work, key, c.E_DEAD, ts, pool, extreme_of(work, pool), reason)
    counts[c.C_DEFINED] = 0
    counts[c.C_SWEPT] = 0
    calm(work)


@part
def _take_bar(work: Work, bars: Bars, rules: Ints, i: int, pool: int) -> bool:
    """Run bar ``i`` through a SWEPT pool, expiry apart (T3-T8); tell whether it stays SWEPT."""
    pools, ts, key = work.pools, bars.ts[i], i * c.STEPS + c.S_POOLS
    side = pools[pool, c.P_SIDE]
    low_m = bars.low[i] if side > 0 else -bars.high[i]
    pools[pool, c.P_EXT] = min(pools[pool, c.P_EXT], low_m)
    spread = bars.high[i] - bars.low[i]
    rest = rest_of_sweep(
        side * pools[pool, c.P_LEVEL],
        pools[pool, c.P_EXT],
        ts - pools[pool, c.P_SWEEP],
        side * bars.close[i],
        displaces(side, bars.open[i], bars.close[i], spread, rules[c.N_DISP_NUM], rules[c.N_DISP_DEN]),
        rules[c.N_RECLAIM_MIN],
        rules[c.N_RECLAIM_MAX_S],
        rules[c.N_MAX_PEN],
        rules[c.N_MAX_CHASE],
    )
    if rest == c.REST_WAITS:
        return True
    extreme = side * pools[pool, c.P_EXT]
    if rest == c.REST_RECLAIMED:
        emit(work, key, c.E_RECLAIMED, ts + c.MINUTE_S, pool, extreme, c.R_NONE)
        work.now[work.counts[c.C_NOW]] = pool
        work.counts[c.C_NOW] += 1
    else:
        emit(work, key, c.E_DEAD, ts + c.MINUTE_S, pool, extreme, rest)
    return False


@part
def _step_swept(work: Work, bars: Bars, rules: Ints, i: int, pool: int, kept: int) -> int:
    """Step one SWEPT pool; return how many are kept with it."""
    ts = bars.ts[i]
    if ts >= work.pools[pool, c.P_EXPIRES]:
        emit(work, i * c.STEPS + c.S_POOLS, c.E_DEAD, ts, pool, extreme_of(work, pool), c.R_EXPIRED)
        return kept
    if _take_bar(work, bars, rules, i, pool):
        work.spare[kept] = pool
        return kept + 1
    return kept


@part
def _sweep(work: Work, bars: Bars, i: int, pool: int) -> None:
    """Sweep a DEFINED pool (T2)."""
    pools, ts = work.pools, bars.ts[i]
    pools[pool, c.P_SWEEP] = ts
    pools[pool, c.P_EXT] = bars.low[i] if pools[pool, c.P_SIDE] > 0 else -bars.high[i]
    emit(work, i * c.STEPS + c.S_POOLS, c.E_SWEPT, ts + c.MINUTE_S, pool, extreme_of(work, pool), c.R_NONE)


@part
def _keep(work: Work, kept: int) -> None:
    """Make the kept pools the SWEPT ones."""
    for place in range(kept):
        work.swept[place] = work.spare[place]
    work.counts[c.C_SWEPT] = kept


@part
def step_few(work: Work, bars: Bars, rules: Ints, i: int) -> None:
    """Step the SWEPT pools only: the bar reaches no other."""
    kept = 0
    for place in range(work.counts[c.C_SWEPT]):
        kept = _step_swept(work, bars, rules, i, work.swept[place], kept)
    _keep(work, kept)


@part
def step_all(work: Work, bars: Bars, rules: Ints, i: int) -> None:
    """Step every living pool in definition order and set the triggers anew."""
    counts, pools = work.counts, work.pools
    ts, low, high_m = bars.ts[i], int(bars.low[i]), -int(bars.high[i])
    many, j, kept, left = counts[c.C_DEFINED], 0, 0, 0
    calm(work)
    for place in range(many):
        pool = work.defined[place]
        while j < counts[c.C_SWEPT] and work.swept[j] < pool:
            kept = _step_swept(work, bars, rules, i, work.swept[j], kept)
            j += 1
        side = pools[pool, c.P_SIDE]
        if ts >= pools[pool, c.P_EXPIRES]:
            emit(work, i * c.STEPS + c.S_POOLS, c.E_DEAD, ts, pool, c.UNSET, c.R_EXPIRED)
        elif reaches(low if side > 0 else high_m, side * pools[pool, c.P_LEVEL], rules[c.N_SWEEP_MIN]):
            _sweep(work, bars, i, pool)
            if _take_bar(work, bars, rules, i, pool):
                work.spare[kept] = pool
                kept += 1
        else:
            work.defined[left] = pool
            left += 1
            watch(work, rules, pool)
    while j < counts[c.C_SWEPT]:
        kept = _step_swept(work, bars, rules, i, work.swept[j], kept)
        j += 1
    counts[c.C_DEFINED] = left
    _keep(work, kept)
