"""Follow pools bar by bar as ``live.liquidity`` does, without money: what is defined, swept, reclaimed, dead.

Steps 1, 2, 4, 5 of pj1 S2.1 and the tie-break of step 6. A bar steps pools only when one is swept already, or when it
reaches the nearest level or expiry. DEFINED and SWEPT pools stand in two lists, both in definition order.
"""

from __future__ import annotations

from strategies.mle.kernels import codes as c
from strategies.mle.kernels.jit import kernel
from strategies.mle.kernels.pivots import add_pivot_bar, confirm
from strategies.mle.kernels.pools import Bars, Ints, Work, define, emit, extreme_of, kill_all, step_all, step_few, watch


@kernel
def _turn(work: Work, bars: Bars, rules: Ints, i: int, new_day: bool, rolled: bool) -> None:
    """Step 1: begin a new trade date, a new contract, or both."""
    counts, sessions = work.counts, work.sessions
    ts, key = bars.ts[i], i * c.STEPS + c.S_TURN
    kill_all(work, key, ts, c.R_ROLL if rolled else c.R_EXPIRED)
    seen = i - counts[c.C_FIRST]
    high, low = counts[c.C_DAY_HIGH], counts[c.C_DAY_LOW]
    counts[c.C_FIRST] = i
    counts[c.C_DAY_HIGH] = -c.FAR
    counts[c.C_DAY_LOW] = c.FAR
    counts[c.C_EDGE] = 0
    counts[c.C_ACTIVE] = 0
    for head in (work.highs, work.lows):
        head[0, c.HEAD_CANDIDATE] = -1
        head[0, c.HEAD_COUNT] = 0
    for place in range(len(sessions)):
        sessions[place, c.W_COUNT] = 0
        sessions[place, c.W_HIGH] = -c.FAR
        sessions[place, c.W_LOW] = c.FAR
        if new_day:
            sessions[place, c.W_CLOSED] = 0
    if not new_day:
        return
    counts[c.C_DAY] = bars.ordinal[i]
    counts[c.C_CLOSE_S] = ts - bars.minute[i] * c.MINUTE_S + c.CLOSE_S
    if i > 0 and not rolled and rules[c.N_USE_PD] and seen >= rules[c.N_MIN_PREV]:
        when = (ts, counts[c.C_CLOSE_S], counts[c.C_DAY])
        watch(work, rules, define(work, key, c.K_PD, -1, high, when, (0, 0)))
        watch(work, rules, define(work, key, c.K_PD, 1, low, when, (0, 0)))


@kernel
def _pass_edge(work: Work, bars: Bars, rules: Ints, i: int) -> None:
    """Step 2: close the sessions that ended, define their pools in config order, H before L."""
    counts, sessions = work.counts, work.sessions
    m, edge = bars.minute[i], 1440
    counts[c.C_ACTIVE] = 0
    for place in range(len(sessions)):
        row = sessions[place]
        if row[c.W_END] <= m:
            if row[c.W_CLOSED] == 0:
                row[c.W_CLOSED] = 1
                if row[c.W_COUNT] >= row[c.W_NEEDED] and row[c.W_USED]:
                    key = i * c.STEPS + c.S_SESSION
                    when = (bars.ts[i], counts[c.C_CLOSE_S], counts[c.C_DAY])
                    watch(work, rules, define(work, key, row[c.W_KIND], -1, row[c.W_HIGH], when, (0, 0)))
                    watch(work, rules, define(work, key, row[c.W_KIND], 1, row[c.W_LOW], when, (0, 0)))
        elif row[c.W_START] <= m:
            work.active[counts[c.C_ACTIVE]] = place
            counts[c.C_ACTIVE] += 1
            edge = min(edge, row[c.W_END])
        else:
            edge = min(edge, row[c.W_START])
    counts[c.C_EDGE] = edge


@kernel
def _add_to_sessions(sessions: Ints, active: Ints, many: int, high: int, low: int) -> None:
    """Step 5: add the bar to the sessions whose window it lies in."""
    for place in range(many):
        session = active[place]
        sessions[session, c.W_COUNT] += 1
        sessions[session, c.W_HIGH] = max(sessions[session, c.W_HIGH], high)
        sessions[session, c.W_LOW] = min(sessions[session, c.W_LOW], low)


@kernel
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


@kernel
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


@kernel
def structure_pass(bars: Bars, rules: Ints, work: Work) -> None:
    """Walk all bars and fill ``work``."""
    counts, sessions, active = work.counts, work.sessions, work.active
    ts, highs, lows, minutes = bars.ts, bars.high, bars.low, bars.minute
    ordinals, contracts = bars.ordinal, bars.contract
    n = rules[c.N_SWING]
    day, contract = -1, -1
    for i in range(len(ts)):
        high, low = highs[i], lows[i]
        if ordinals[i] != day or contracts[i] != contract:
            rolled = i > 0 and contracts[i] != contract
            _turn(work, bars, rules, i, ordinals[i] != day, rolled)
            day, contract = ordinals[i], contracts[i]
        if minutes[i] >= counts[c.C_EDGE]:
            _pass_edge(work, bars, rules, i)
        if low <= counts[c.C_LOW_TRIGGER] or high >= counts[c.C_HIGH_TRIGGER] or ts[i] >= counts[c.C_EXPIRY]:
            step_all(work, bars, rules, i)
        elif counts[c.C_SWEPT] > 0:
            step_few(work, bars, rules, i)
        _add_to_sessions(sessions, active, counts[c.C_ACTIVE], high, low)
        counts[c.C_DAY_HIGH] = max(counts[c.C_DAY_HIGH], high)
        counts[c.C_DAY_LOW] = min(counts[c.C_DAY_LOW], low)
        first = counts[c.C_FIRST]
        if add_pivot_bar(work.highs, highs, 1, i, first, n):
            confirm(work, bars, rules, i, -1)
        if add_pivot_bar(work.lows, lows, -1, i, first, n):
            confirm(work, bars, rules, i, 1)
        if counts[c.C_NOW] > 0:
            _settle(work, bars, i)
