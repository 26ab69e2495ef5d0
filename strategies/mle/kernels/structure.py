"""Follow pools bar by bar as ``live.liquidity`` does, without money: what is defined, swept, reclaimed, dead.

Steps 1, 2, 4, 5 of pj1 S2.1 and the tie-break of step 6. A bar steps pools only when one is swept already, or when it
reaches the nearest level or expiry. DEFINED and SWEPT pools stand in two lists, both in definition order.
"""

from __future__ import annotations

from strategies.mle.kernels import codes as c
from strategies.mle.kernels.jit import kernel, part
from strategies.mle.kernels.pivots import Bytes, Int32s, confirm, flag_bars
from strategies.mle.kernels.pools import Bars, Ints, Work, define, emit, extreme_of, kill_all, step_all, step_few, watch


@part
def _top(values: Int32s, sign: int, begin: int, end: int) -> int:
    """Return the most outward price of bars [begin, end), mirrored by ``sign``."""
    top = sign * values[begin]
    for i in range(begin + 1, end):
        top = max(top, sign * values[i])
    return top  # type: ignore[no-any-return]


@part
def _turn(work: Work, bars: Bars, rules: Ints, i: int) -> None:
    """Step 1: begin a new trade date, a new contract, or both."""
    counts, sessions = work.counts, work.sessions
    ts, key, first = bars.ts[i], i * c.STEPS + c.S_TURN, counts[c.C_FIRST]
    new_day = i == 0 or bars.ordinal[i] != bars.ordinal[i - 1]
    rolled = i > 0 and bars.contract[i] != bars.contract[i - 1]
    kill_all(work, key, ts, c.R_ROLL if rolled else c.R_EXPIRED)
    counts[c.C_FIRST] = i
    work.highs[0, c.HEAD_COUNT] = 0
    work.lows[0, c.HEAD_COUNT] = 0
    if not new_day:
        return
    counts[c.C_EDGE] = 0
    for place in range(len(sessions)):
        sessions[place, c.W_CLOSED] = 0
    counts[c.C_DAY] = bars.ordinal[i]
    counts[c.C_CLOSE_S] = ts - bars.minute[i] * c.MINUTE_S + c.CLOSE_S
    if i > 0 and not rolled and rules[c.N_USE_PD] and i - first >= rules[c.N_MIN_PREV]:
        when = (ts, counts[c.C_CLOSE_S], counts[c.C_DAY])
        watch(work, rules, define(work, key, c.K_PD, -1, _top(bars.high, 1, first, i), when, (0, 0)))
        watch(work, rules, define(work, key, c.K_PD, 1, -_top(bars.low, -1, first, i), when, (0, 0)))


@part
def _close_session(work: Work, bars: Bars, rules: Ints, i: int, place: int) -> None:
    """Define the pools of a session whose end bar ``i`` is the first to pass, H before L, if it was filled enough."""
    counts, sessions = work.counts, work.sessions
    begin = i
    while begin > counts[c.C_FIRST] and bars.minute[begin - 1] >= sessions[place, c.W_START]:
        begin -= 1
    if i - begin < sessions[place, c.W_NEEDED] or not sessions[place, c.W_USED]:
        return
    kind, key = sessions[place, c.W_KIND], i * c.STEPS + c.S_SESSION
    when = (bars.ts[i], counts[c.C_CLOSE_S], counts[c.C_DAY])
    watch(work, rules, define(work, key, kind, -1, _top(bars.high, 1, begin, i), when, (0, 0)))
    watch(work, rules, define(work, key, kind, 1, -_top(bars.low, -1, begin, i), when, (0, 0)))


@part
def _pass_edge(work: Work, bars: Bars, rules: Ints, i: int) -> None:
    """Step 2: close the sessions that ended, in config order."""
    sessions, m, edge = work.sessions, bars.minute[i], 1440
    for place in range(len(sessions)):
        if sessions[place, c.W_END] > m:
            edge = min(edge, sessions[place, c.W_END])
        elif sessions[place, c.W_CLOSED] == 0:
            sessions[place, c.W_CLOSED] = 1
            _close_session(work, bars, rules, i, place)
    work.counts[c.C_EDGE] = edge


@part
def _before(pools: Ints, one: int, other: int) -> bool:
    """Tell whether pool ``one`` ranks before ``other``: kind, depth of the sweep, age (pj1 S4.4).

    Two pools of one kind, side and definition time do not exist, so that the id never decides.
    """
    if pools[one, c.P_KIND] != pools[other, c.P_KIND]:
        return pools[one, c.P_KIND] < pools[other, c.P_KIND]  # type: ignore[no-any-return]
    depth = pools[one, c.P_EXT] - pools[one, c.P_SIDE] * pools[one, c.P_LEVEL]
    deep = pools[other, c.P_EXT] - pools[other, c.P_SIDE] * pools[other, c.P_LEVEL]
    if depth != deep:
        return depth < deep  # type: ignore[no-any-return]
    return pools[one, c.P_DEFINED] < pools[other, c.P_DEFINED]  # type: ignore[no-any-return]


@part
def _settle(work: Work, bars: Bars, i: int) -> None:
    """Step 6 without money: rank the reclaimed pools, let the losers die TIE, write the winner's reclaim row."""
    counts, pools, now = work.counts, work.pools, work.now
    many = counts[c.C_NOW]
    for place in range(1, many):
        pool, j = now[place], place - 1
        while j >= 0 and _before(pools, pool, now[j]):
            now[j + 1] = now[j]
            j -= 1
        now[j + 1] = pool
    ts, winner = bars.ts[i] + c.MINUTE_S, now[0]
    worst = pools[winner, c.P_EXT]
    for place in range(1, many):
        emit(work, i * c.STEPS + c.S_SIGNAL, c.E_DEAD, ts, now[place], extreme_of(work, now[place]), c.R_TIE)
        worst = min(worst, pools[now[place], c.P_EXT])
    row = work.reclaims[counts[c.C_RECLAIMS]]
    counts[c.C_RECLAIMS] += 1
    counts[c.C_NOW] = 0
    row[c.Q_BAR] = i
    row[c.Q_SIDE] = pools[winner, c.P_SIDE]
    row[c.Q_WORST] = pools[winner, c.P_SIDE] * worst
    row[c.Q_KIND] = pools[winner, c.P_KIND]
    row[c.Q_LEVEL] = pools[winner, c.P_LEVEL]
    row[c.Q_OWN] = extreme_of(work, winner)
    row[c.Q_SWEEP] = pools[winner, c.P_SWEEP]
    row[c.Q_POOL] = winner


@part
def _next_busy(bars: Bars, flags: Bytes, counts: Ints, i: int) -> int:
    """Return the first bar from ``i`` on that is flagged, reaches a pool or a time; none is SWEPT before it."""
    lows, highs, stamps, minutes = bars.low, bars.high, bars.ts, bars.minute
    low, high, many = counts[c.C_LOW_TRIGGER], counts[c.C_HIGH_TRIGGER], len(stamps)
    expiry, edge = counts[c.C_EXPIRY], counts[c.C_EDGE]
    while i < many and not (
        (flags[i] != 0) | (lows[i] <= low) | (highs[i] >= high) | (stamps[i] >= expiry) | (minutes[i] >= edge)
    ):
        i += 1
    return i


@part
def _work_bar(work: Work, bars: Bars, rules: Ints, i: int) -> None:
    """Walk one bar through steps 1, 2, 4, 5 and the tie-break of step 6 (pj1 S2.1)."""
    counts, flag = work.counts, work.flags[i]
    if flag & c.F_TURN:
        _turn(work, bars, rules, i)
    if bars.minute[i] >= counts[c.C_EDGE]:
        _pass_edge(work, bars, rules, i)
    reached = (bars.low[i] <= counts[c.C_LOW_TRIGGER]) | (bars.high[i] >= counts[c.C_HIGH_TRIGGER])
    if reached or bars.ts[i] >= counts[c.C_EXPIRY]:
        step_all(work, bars, rules, i)
    elif counts[c.C_SWEPT] > 0:
        step_few(work, bars, rules, i)
    if flag >= c.F_HIGH and i - 2 * rules[c.N_SWING] >= counts[c.C_FIRST]:
        if flag & c.F_HIGH:
            confirm(work, bars, rules, i, -1)
        if flag & c.F_LOW:
            confirm(work, bars, rules, i, 1)
    if counts[c.C_NOW] > 0:
        _settle(work, bars, i)


@kernel
def structure_pass(bars: Bars, rules: Ints, work: Work) -> None:
    """Walk all bars and fill ``work``; quiet bars, on which nothing can happen, are passed over."""
    flag_bars(bars, rules[c.N_SWING], work.flags, work.tops, work.other_tops)
    i, many = 0, len(bars.ts)
    while i < many:
        if work.counts[c.C_SWEPT] == 0:
            i = _next_busy(bars, work.flags, work.counts, i)
        if i < many:
            _work_bar(work, bars, rules, i)
        i += 1
