"""Turn reclaims into trades as the gate and the paper fills of ``live`` do: steps 3, 6, 7 of pj1 S2.1.

Jumps from reclaim to reclaim; bars in between are walked only while an entry waits or a position is open. Flat bars
can change nothing: the day's loss is tested on the very bar on which a trade ends. One case apart: with a daily loss
limit of 0 the first bar of every trade date locks it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from strategies.mle.kernels import codes as c
from strategies.mle.kernels.jit import kernel, part
from strategies.mle.kernels.pools import Bars
from strategies.mle.kernels.scalars import (
    clock_exit,
    entry_refused,
    inside_exit,
    open_cents,
    planned_risk,
    quantity,
    refused_by_clock,
    refused_by_day,
    refused_by_pace,
    reward,
)

Ints = npt.NDArray[np.int64]
HOUR_S = 3600

# Places of the running numbers: the day's counters, the pace, the waiting or open trade.
(
    D_DAY,
    D_FLAT_M,
    D_NET,
    D_FILLS,
    D_STREAK,
    D_LOCKED,
    D_LAST_EXIT,
    D_ORDERS,
    D_FIRST_ORDER,
    D_STATE,
    D_BAR,
    D_POOL,
    D_SIDE,
    D_STOP_M,
    D_TARGET_M,
    D_QTY,
    D_ENTRY_TS,
    D_ENTRY_M,
    D_WORST_M,
    D_BEST_M,
    D_TRADES,
    D_EVENTS,
    D_COLUMNS,
) = range(23)
FLAT, WAITING, OPEN = 0, 1, 2


class Calendar(NamedTuple):
    """Hold what the gate asks of the clock: windows and blackouts as rows [from, to), early closes as (day, minute)."""

    windows: Ints
    blackouts: Ints
    early: Ints


class Desk(NamedTuple):
    """Hold what the money pass fills and what it keeps between bars."""

    trades: Ints
    events: Ints
    rejects: Ints
    orders: Ints
    now: Ints


@part
def within(rows: Ints, value: int) -> bool:
    """Tell whether ``value`` lies in one of the intervals [from, to)."""
    found = False
    for place in range(len(rows)):
        found |= rows[place, 0] <= value < rows[place, 1]
    return found


@part
def _say(desk: Desk, key: int, code: int, ts: int, pool: int, extreme: int, reason: int) -> int:
    """Write one event without plan and return its row."""
    row = desk.now[D_EVENTS]
    desk.now[D_EVENTS] = row + 1
    event = desk.events[row]
    event[c.V_KEY] = key
    event[c.V_CODE] = code
    event[c.V_TS] = ts
    event[c.V_POOL] = pool
    event[c.V_EXTREME] = extreme
    event[c.V_REASON] = reason
    event[c.M_ENTRY] = c.UNSET
    event[c.M_STOP] = c.UNSET
    event[c.M_TARGET] = c.UNSET
    event[c.M_QTY] = c.UNSET
    return row  # type: ignore[no-any-return]


@part
def _begin_day(desk: Desk, calendar: Calendar, money: Ints, day: int) -> None:
    """Reset the day's counters; the last exit and the order times stay (pj1 S2.1)."""
    now = desk.now
    now[D_DAY] = day
    now[D_NET] = 0
    now[D_FILLS] = 0
    now[D_STREAK] = 0
    now[D_LOCKED] = 0
    flat_m = money[c.G_FLAT_M]
    for place in range(len(calendar.early)):
        if calendar.early[place, 0] == day:
            flat_m = min(flat_m, calendar.early[place, 1])
    now[D_FLAT_M] = flat_m


@part
def _orders_since(desk: Desk, after: int) -> int:
    """Return how many orders are later than ``after``; time never goes back."""
    now = desk.now
    while now[D_FIRST_ORDER] < now[D_ORDERS] and desk.orders[now[D_FIRST_ORDER]] <= after:
        now[D_FIRST_ORDER] += 1
    return now[D_ORDERS] - now[D_FIRST_ORDER]  # type: ignore[no-any-return]


@part
def _ordered(desk: Desk, at: int) -> None:
    desk.orders[desk.now[D_ORDERS]] = at
    desk.now[D_ORDERS] += 1


@part
def _refusal(desk: Desk, bars: Bars, money: Ints, calendar: Calendar, i: int, risk: int, qty: int) -> int:
    """Return the first gate that refuses the signal of bar ``i``, c.R_NONE if all pass (pj1 S6)."""
    now = desk.now
    minute, signal_ts = bars.minute[i] + 1, bars.ts[i] + c.MINUTE_S
    gap = bars.ts[i] - bars.ts[i - 1] if i > 0 and bars.ordinal[i - 1] == bars.ordinal[i] else 0
    in_window, in_news = within(calendar.windows, minute), within(calendar.blackouts, signal_ts)
    reason = refused_by_clock(gap, money[c.G_GAP_S], minute, now[D_FLAT_M], in_window, in_news)
    if reason != c.R_NONE:
        return reason
    busy, locked = now[D_STATE] != FLAT, now[D_LOCKED] != 0
    limits = money[c.G_DAY_LOSS], money[c.G_MAX_TRADES], money[c.G_MAX_LOSSES]
    reason = refused_by_day(busy, locked, now[D_NET], limits[0], now[D_FILLS], limits[1], now[D_STREAK], limits[2])
    if reason != c.R_NONE:
        return reason
    orders = _orders_since(desk, signal_ts - HOUR_S)
    since = signal_ts - now[D_LAST_EXIT]
    return refused_by_pace(since, money[c.G_COOLDOWN_S], orders, money[c.G_MAX_ORDERS], risk, money[c.G_MAX_RISK], qty)


@part
def _decide(desk: Desk, bars: Bars, money: Ints, calendar: Calendar, reclaim: Ints) -> None:
    """Step 6: judge one reclaim; an approved one waits for the next bar."""
    now, i, side = desk.now, reclaim[c.Q_BAR], reclaim[c.Q_SIDE]
    close, ts = bars.close[i], bars.ts[i] + c.MINUTE_S
    risk = planned_risk(side * close, side * reclaim[c.Q_WORST], money[c.G_BUFFER], money[c.G_MIN_RISK])
    qty = quantity(
        risk,
        now[D_NET],
        money[c.G_RISK_CENTS],
        money[c.G_DAY_LOSS],
        money[c.G_MAX_QTY],
        money[c.G_SLIP],
        money[c.G_TICK_CENTS],
        money[c.G_COMM],
    )
    key = i * c.STEPS + c.S_SIGNAL
    reason = _refusal(desk, bars, money, calendar, i, risk, qty)
    if reason != c.R_NONE:
        desk.rejects[reason] += 1
        _say(desk, key, c.E_REJECT, ts, reclaim[c.Q_POOL], reclaim[c.Q_OWN], reason)
        return
    stop_m = side * close - risk
    target_m = side * close + reward(risk, money[c.G_R_NUM], money[c.G_R_DEN])
    _ordered(desk, ts)
    row = _say(desk, key, c.E_SIGNAL, ts, reclaim[c.Q_POOL], reclaim[c.Q_OWN], c.R_NONE)
    desk.events[row, c.M_ENTRY] = close
    desk.events[row, c.M_STOP] = side * stop_m
    desk.events[row, c.M_TARGET] = side * target_m
    desk.events[row, c.M_QTY] = qty
    now[D_STATE] = WAITING
    now[D_BAR] = i
    now[D_POOL] = reclaim[c.Q_POOL]
    now[D_SIDE] = side
    now[D_STOP_M] = stop_m
    now[D_TARGET_M] = target_m
    now[D_QTY] = qty
    _draft(desk, reclaim, ts, close, risk)


@part
def _draft(desk: Desk, reclaim: Ints, ts: int, close: int, risk: int) -> None:
    """Write what is known of the trade at its signal; the row counts only when the trade closes."""
    now = desk.now
    row = desk.trades[now[D_TRADES]]
    row[c.T_DAY] = now[D_DAY]
    row[c.T_POOL] = reclaim[c.Q_POOL]
    row[c.T_KIND] = reclaim[c.Q_KIND]
    row[c.T_SIDE] = reclaim[c.Q_SIDE]
    row[c.T_LEVEL] = reclaim[c.Q_LEVEL]
    row[c.T_SWEEP] = reclaim[c.Q_SWEEP]
    row[c.T_EXTREME] = reclaim[c.Q_WORST]
    row[c.T_SIGNAL] = ts
    row[c.T_ENTRY_REF] = close
    row[c.T_STOP] = reclaim[c.Q_SIDE] * now[D_STOP_M]
    row[c.T_TARGET] = reclaim[c.Q_SIDE] * now[D_TARGET_M]
    row[c.T_QTY] = now[D_QTY]
    row[c.T_RISK] = risk


@part
def _close(desk: Desk, money: Ints, at: int, exit_m: int, reason: int) -> None:
    """Book the open position as a trade."""
    now = desk.now
    row = desk.trades[now[D_TRADES]]
    side, qty, entry_m = now[D_SIDE], now[D_QTY], now[D_ENTRY_M]
    gross = (exit_m - entry_m) * money[c.G_TICK_CENTS] * qty
    cost = 2 * money[c.G_COMM] * qty
    row[c.T_ENTRY] = now[D_ENTRY_TS]
    row[c.T_ENTRY_PRICE] = side * entry_m
    row[c.T_EXIT] = at
    row[c.T_EXIT_PRICE] = side * exit_m
    row[c.T_REASON] = reason
    row[c.T_GROSS] = gross
    row[c.T_COST] = cost
    row[c.T_NET] = gross - cost
    row[c.T_MAE] = max(0, entry_m - now[D_WORST_M])
    row[c.T_MFE] = max(0, now[D_BEST_M] - entry_m)
    now[D_TRADES] += 1
    now[D_STATE] = FLAT
    now[D_NET] += gross - cost
    now[D_STREAK] = now[D_STREAK] + 1 if gross - cost < 0 else 0
    now[D_LAST_EXIT] = at


@part
def _walk(desk: Desk, bars: Bars, money: Ints, i: int) -> None:
    """Step 3: fill the waiting entry, or end the open position, on bar ``i`` (pj1 S5.5-S5.7)."""
    now, ts = desk.now, bars.ts[i]
    side, signal = now[D_SIDE], now[D_BAR]
    same = bars.ordinal[i] == bars.ordinal[signal] and bars.contract[i] == bars.contract[signal]
    open_m = side * bars.open[i]
    if now[D_STATE] == WAITING:
        late = ts - bars.ts[signal]
        reason = entry_refused(late, money[c.G_DELAY_S], same, open_m, now[D_STOP_M], now[D_TARGET_M])
        if reason != c.R_NONE:
            now[D_STATE] = FLAT
            _say(desk, i * c.STEPS + c.S_POSITION, c.E_CANCEL, ts, now[D_POOL], c.UNSET, reason)
            return
        now[D_STATE] = OPEN
        now[D_FILLS] += 1
        now[D_ENTRY_TS] = ts
        now[D_ENTRY_M] = open_m + money[c.G_SLIP]
        now[D_WORST_M] = now[D_ENTRY_M]
        now[D_BEST_M] = now[D_ENTRY_M]
    else:
        held, minute = ts - now[D_ENTRY_TS], bars.minute[i]
        reason = clock_exit(same, now[D_LOCKED] != 0, minute, now[D_FLAT_M], held, money[c.G_HOLD_S])
        if reason != c.R_NONE:
            _ordered(desk, ts)
            _close(desk, money, ts, open_m - money[c.G_SLIP], reason)
            return
    low_m = bars.low[i] if side > 0 else -bars.high[i]
    high_m = bars.high[i] if side > 0 else -bars.low[i]
    now[D_WORST_M] = min(now[D_WORST_M], low_m)
    now[D_BEST_M] = max(now[D_BEST_M], high_m)
    reason = inside_exit(low_m, high_m, now[D_STOP_M], now[D_TARGET_M], money[c.G_THROUGH])
    if reason == c.R_STOP:
        _close(desk, money, ts + c.MINUTE_S, min(now[D_STOP_M], open_m) - money[c.G_SLIP], reason)
    elif reason != c.R_NONE:
        _close(desk, money, ts + c.MINUTE_S, now[D_TARGET_M], reason)


@part
def _mark(desk: Desk, bars: Bars, money: Ints, i: int) -> None:
    """Step 7: lock the day when realised plus open loss reaches the limit (pj1 S6.7)."""
    now = desk.now
    if now[D_LOCKED]:
        return
    loss = now[D_NET]
    if now[D_STATE] == OPEN:
        ticks = now[D_SIDE] * bars.close[i] - now[D_ENTRY_M]
        loss += open_cents(ticks, money[c.G_SLIP], money[c.G_TICK_CENTS], money[c.G_COMM], now[D_QTY])
    if loss <= -money[c.G_DAY_LOSS]:
        now[D_LOCKED] = 1
        _say(desk, i * c.STEPS + c.S_MARK, c.E_LOCK, bars.ts[i] + c.MINUTE_S, c.UNSET, c.UNSET, c.R_DAILY_LOSS)


@part
def _next_bar(desk: Desk, money: Ints, i: int, next_reclaim: int) -> int:
    """Return the next bar on which money can change: the next one while busy, else the next reclaim's.

    With a daily loss limit of 0 it is the next bar: every trade date locks on its first one.
    """
    if desk.now[D_STATE] != FLAT or money[c.G_DAY_LOSS] <= 0:
        return i + 1
    return next_reclaim


@kernel
def money_pass(bars: Bars, reclaims: Ints, money: Ints, calendar: Calendar, desk: Desk) -> None:
    """Judge all reclaims in order and fill ``desk``."""
    now, many, k = desk.now, len(reclaims), 0
    bar_count = len(bars.ts)
    now[D_DAY] = -1
    now[D_LAST_EXIT] = -c.FAR
    i = _next_bar(desk, money, -1, reclaims[0, c.Q_BAR] if many else bar_count)
    while i < bar_count:
        if bars.ordinal[i] != now[D_DAY]:
            _begin_day(desk, calendar, money, bars.ordinal[i])
        if now[D_STATE] != FLAT:
            _walk(desk, bars, money, i)
        if k < many and reclaims[k, c.Q_BAR] == i:
            _decide(desk, bars, money, calendar, reclaims[k])
            k += 1
        _mark(desk, bars, money, i)
        i = _next_bar(desk, money, i, reclaims[k, c.Q_BAR] if k < many else bar_count)
