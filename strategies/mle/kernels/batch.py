"""Trade many parameter sets over shared reclaims: what each comes to in money, nothing else.

``money_walk`` says what ``money_pass`` says of a combination's trades, from the same scalar rules, without the rows of
trades.csv and events.csv. It is a plain function of arrays and integers: CUDA device code is made of it too.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from strategies.mle.kernels import codes as c
from strategies.mle.kernels.jit import kernel, part
from strategies.mle.kernels.scalars import (
    entry_refused,
    inside_exit,
    planned_risk,
    quantity,
    refused_by_day,
    refused_by_pace,
    reward,
)
from strategies.mle.kernels.shared import (
    A_BAR,
    A_DAY,
    A_LATE_S,
    A_LIMIT,
    A_OPEN_M,
    A_REF_M,
    A_SIDE,
    A_SIGNAL_S,
    A_WORST_M,
    CLOSE,
    DAY,
    HIGH,
    LOW,
    MINUTE_S,
    NO_BAR,
    OPEN,
    OTHER_DAY,
    TS,
    Bytes,
    Ground,
    Int32s,
    Ints,
    Lives,
    choose,
    describe,
    reclaims_of,
)

O_TRADES, O_WINS, O_NET, O_DRAWDOWN, O_COLUMNS = range(5)
"""Columns of what a trial comes to: counts, and net and largest fall from a peak (closed trades) in cents."""
ORDERS_KEPT, ORDERS_MASK = 128, 127
"""Order times remembered per trial: an hour holds at most 60 signals and 61 clock exits."""
NEVER_S = 1 << 40
DAY_BOUND, SUM_BOUND = 1 << 31, 4e18
"""A day's cents fit 32 bits, the sum of their squares 63."""
HOUR_S = 3600


@part
def loss_mark(entry_m: int, net: int, qty: int, g: Ints) -> int:
    """Return the highest mirrored close at which realised plus open loss reaches the day's limit (pj1 S6.7)."""
    each = (-g[c.G_DAY_LOSS] - net) // qty + 2 * g[c.G_COMM]
    return entry_m + g[c.G_SLIP] + each // g[c.G_TICK_CENTS]  # type: ignore[no-any-return]


@part
def orders_within(orders: Ints, sent: int, after_s: int, most: int) -> int:
    """Return ``most`` when so many of the ``sent`` orders are later than ``after_s``, else 0."""
    if 0 < most <= ORDERS_KEPT and sent >= most and orders[(sent - most) & ORDERS_MASK] > after_s:
        return most
    return 0


@part
def contracts(since_s: int, risk: int, g: Ints, day: tuple[bool, int, int, int], recent: int) -> int:
    """Return the contracts that the gate allows a reclaim which passed the clock's gates, 0 if it refuses (pj1 S6).

    ``since_s`` the last exit; ``day`` = locked, net, fills and losses in a row of the trade date; ``recent`` orders of
    the last hour.
    """
    locked, net, fills, streak = day
    day_loss, max_orders = g[c.G_DAY_LOSS], g[c.G_MAX_ORDERS]
    reason = refused_by_day(False, locked, net, day_loss, fills, g[c.G_MAX_TRADES], streak, g[c.G_MAX_LOSSES])
    if reason != c.R_NONE:
        return 0
    slip, tick_cents, comm = g[c.G_SLIP], g[c.G_TICK_CENTS], g[c.G_COMM]
    qty = quantity(risk, net, g[c.G_RISK_CENTS], day_loss, g[c.G_MAX_QTY], slip, tick_cents, comm)
    reason = refused_by_pace(since_s, g[c.G_COOLDOWN_S], recent, max_orders, risk, g[c.G_MAX_RISK], qty)
    return qty if reason == c.R_NONE else 0


@part
def exit_of(ground: Ground, row: Int32s, prices: tuple[int, int, int], g: Ints) -> tuple[int, int, int]:
    """Return how an entry ends: the bar, the reason, the mirrored price after slippage.

    The reason is STOP or TARGET inside that bar, else the clock's at its open: DAILY_LOSS, or none when it is another
    one. Past the last bar the position stays open. ``prices`` = mirrored stop, target, and the close that locks the
    day.
    """
    stop_m, target_m, mark_m = prices
    side, limit, through, slip = int(row[A_SIDE]), int(row[A_LIMIT]), g[c.G_THROUGH], g[c.G_SLIP]
    low, high = (LOW, HIGH) if side > 0 else (HIGH, LOW)
    price, why = ground.price, c.R_NONE
    for j in range(int(row[A_BAR]) + 1, limit):
        how = inside_exit(side * price[j, low], side * price[j, high], stop_m, target_m, through)
        if how == c.R_STOP:
            return j, how, min(stop_m, side * int(price[j, OPEN])) - slip
        if how == c.R_TARGET:
            return j, how, target_m
        if side * price[j, CLOSE] <= mark_m:
            limit, why = j + 1, c.R_DAILY_LOSS
            break
    if limit >= len(price):
        return limit, why, 0
    return limit, why, side * int(price[limit, OPEN]) - slip


@kernel
def money_walk(ground: Ground, chosen: Int32s, g: Ints, orders: Ints, daily: Ints, out: Ints) -> None:
    """Trade the chosen reclaims of one combination; add each trade's net to ``daily`` at its signal's date.

    ``g`` holds the money pass's numbers (codes G_), ``orders`` is scratch, ``out`` gets the sums (columns O_).
    """
    day, locked, net, fills, streak = -1, False, 0, 0, 0
    free, sent, last_exit_s = 0, 0, -NEVER_S
    trades, wins, total, peak, drawdown = 0, 0, 0, 0, 0
    for place in range(len(chosen)):
        row = chosen[place]
        if row[A_BAR] < free:
            continue
        now = int(row[A_DAY])
        if now != day:
            day, locked, net, fills, streak = now, False, 0, 0, 0
        ref_m, signal_s, open_m = int(row[A_REF_M]), int(row[A_SIGNAL_S]), int(row[A_OPEN_M])
        risk = planned_risk(ref_m, int(row[A_WORST_M]), g[c.G_BUFFER], g[c.G_MIN_RISK])
        recent = orders_within(orders, sent, signal_s - HOUR_S, g[c.G_MAX_ORDERS])
        qty = contracts(signal_s - last_exit_s, risk, g, (locked, net, fills, streak), recent)
        if qty == 0:
            continue
        orders[sent & ORDERS_MASK] = signal_s
        sent += 1
        stop_m, target_m, late_s = ref_m - risk, ref_m + reward(risk, g[c.G_R_NUM], g[c.G_R_DEN]), int(row[A_LATE_S])
        if late_s == NO_BAR:
            break
        if entry_refused(late_s, g[c.G_DELAY_S], late_s != OTHER_DAY, open_m, stop_m, target_m) != c.R_NONE:
            free = int(row[A_BAR]) + 1
            continue
        fills += 1
        entry_m = open_m + g[c.G_SLIP]
        free, how, exit_m = exit_of(ground, row, (stop_m, target_m, loss_mark(entry_m, net, qty, g)), g)
        if free >= len(ground.minute):
            break
        inside = how in (c.R_STOP, c.R_TARGET)
        last_exit_s = int(ground.when[free, TS]) + (MINUTE_S if inside else 0)
        if not inside:
            orders[sent & ORDERS_MASK] = last_exit_s
            sent += 1
            locked = how == c.R_DAILY_LOSS
            if ground.when[free, DAY] != day:
                day, locked, net, fills, streak = int(ground.when[free, DAY]), False, 0, 0, 0
        gain = ((exit_m - entry_m) * g[c.G_TICK_CENTS] - 2 * g[c.G_COMM]) * qty
        daily[now] += gain
        net += gain
        streak = streak + 1 if gain < 0 else 0
        trades += 1
        wins += 1 if gain > 0 else 0
        total += gain
        peak = max(peak, total)
        drawdown = max(drawdown, peak - total)
    out[O_TRADES], out[O_WINS], out[O_NET], out[O_DRAWDOWN] = trades, wins, total, drawdown


class Unit(NamedTuple):
    """Hold the rows of one structure: money numbers per row, sorted by view; where each view's rows begin.

    ``rows[k]`` is the place of the k-th row's results in ``daily`` and ``out``; ``begins`` has one entry more than
    ``views`` (columns V_ of kernels.shared).
    """

    money: Ints
    rows: Ints
    views: Ints
    begins: Ints


class Scratch(NamedTuple):
    """Hold room for one unit at a time: reclaims, their descriptions, one view's choice, order times."""

    codes: Int32s
    worst: Int32s
    table: Int32s
    chosen: Int32s
    orders: Ints


@kernel
def describe_reclaims(ground: Ground, lives: Lives, swept: Int32s, fsm: Ints, scratch: Scratch) -> int:
    """Fill ``scratch.table`` with the reclaims of one structure and return how many."""
    count = reclaims_of(ground, lives, swept, fsm, scratch.codes, scratch.worst)
    describe(ground, scratch.codes[:count], scratch.worst[:count], scratch.table)
    return count


@kernel
def run_unit(
    ground: Ground, count: int, windows: Bytes, news: Ints, unit: Unit, scratch: Scratch, daily: Ints, out: Ints
) -> None:
    """Trade every row of a unit over ``count`` reclaims in ``scratch.table``; ``daily`` and ``out`` come in zero."""
    for view in range(len(unit.views)):
        many = choose(ground, scratch.table[:count], unit.views[view], windows, news, scratch.chosen)
        for k in range(unit.begins[view], unit.begins[view + 1]):
            row = unit.rows[k]
            money_walk(ground, scratch.chosen[:many], unit.money[k], scratch.orders, daily[row], out[row])


@kernel
def power_sums(daily: Ints, whole: Ints, high: npt.NDArray[np.float64], narrow: Int32s) -> int:
    """Write each row's sum and sum of squares (exact), and its sums of cubes and fourth powers in order of the days.

    ``narrow`` gets the days in 32 bits; returns the first row too large for its sums, -1 when all fit.
    """
    for row in range(len(daily)):
        one, two, size, three, four = 0, 0, 0.0, 0.0, 0.0
        for day in range(daily.shape[1]):
            cents = daily[row, day]
            square = cents * cents
            size += float(square)
            if not -DAY_BOUND < cents < DAY_BOUND or size > SUM_BOUND:
                return row
            narrow[row, day] = cents
            one += cents
            two += square
            three += float(square) * float(cents)
            four += float(square) * float(square)
        whole[row, 0], whole[row, 1], high[row, 0], high[row, 1] = one, two, three, four
    return -1
