"""Write each rule of PJ-1 once as integer arithmetic, for CPU loops and CUDA device code alike.

No arrays, objects or exceptions here. Prices ending in ``_m`` are mirrored (side * price, pj1 S3), so that one rule
serves both sides; times are epoch seconds, money whole cents.
"""

from __future__ import annotations

from strategies.mle.kernels import codes as c
from strategies.mle.kernels.jit import part


@part
def displaces(side: int, open_: int, close: int, spread: int, num: int, den: int) -> bool:
    """Tell whether the body points to ``side`` and body / range > num / den, strictly (pj1 S4)."""
    body = side * (close - open_)
    return body > 0 and den * body > num * spread


@part
def reaches(low_m: int, level_m: int, sweep_min: int) -> bool:
    """Tell whether a bar sweeps a DEFINED pool (T2); a touch does not (T0)."""
    return low_m <= level_m - sweep_min


@part
def rest_of_sweep(
    level_m: int,
    ext_m: int,
    age_s: int,
    close_m: int,
    displaced: bool,
    reclaim_min: int,
    reclaim_max_s: int,
    max_pen: int,
    max_chase: int,
) -> int:
    """Return what a SWEPT pool comes to on a bar already counted in ``ext_m`` (T4-T8, first true wins)."""
    if level_m - ext_m > max_pen:
        return c.R_BROKEN
    if age_s > reclaim_max_s:
        return c.R_TIMEOUT
    if close_m - level_m > max_chase:
        return c.R_RAN_AWAY
    if displaced and close_m >= level_m + reclaim_min:
        return c.REST_RECLAIMED
    return c.REST_WAITS


@part
def planned_risk(entry_m: int, worst_m: int, buffer: int, min_risk: int) -> int:
    """Return the ticks from entry_ref to stop, widened to the least (pj1 S5.2)."""
    return max(entry_m - (worst_m - buffer), min_risk)


@part
def reward(risk: int, r_num: int, r_den: int) -> int:
    """Return floor(R * risk) with the exact rational R (pj1 S5.3)."""
    return risk * r_num // r_den


@part
def quantity(
    risk: int, day_net: int, risk_cents: int, day_loss: int, max_qty: int, slip: int, tick_cents: int, comm: int
) -> int:
    """Return the contracts whose planned worst case fits trade and day budget (pj1 S5.4), 0 if none."""
    budget = min(risk_cents, day_loss + day_net)
    if budget <= 0:
        return 0
    return min(max_qty, budget // ((risk + 2 * slip) * tick_cents + 2 * comm))


@part
def refused_by_clock(gap_s: int, max_gap_s: int, minute: int, flat_m: int, in_window: bool, in_news: bool) -> int:
    """Return the first of STALE, SESSION, NEWS that refuses, else c.R_NONE (pj1 S6); ``minute`` is m + 1."""
    if gap_s > max_gap_s:
        return c.R_STALE
    if minute >= flat_m or not in_window:
        return c.R_SESSION
    if in_news:
        return c.R_NEWS
    return c.R_NONE


@part
def refused_by_day(
    busy: bool, locked: bool, day_net: int, day_loss: int, fills: int, max_trades: int, streak: int, max_losses: int
) -> int:
    """Return the first of IN_POSITION, day lock, DAILY_LOSS, MAX_TRADES, CONSEC_LOSSES that refuses, else c.R_NONE."""
    if busy:
        return c.R_IN_POSITION
    if locked or day_loss + day_net <= 0:
        return c.R_DAILY_LOSS
    if fills >= max_trades:
        return c.R_MAX_TRADES
    if streak >= max_losses:
        return c.R_CONSEC_LOSSES
    return c.R_NONE


@part
def refused_by_pace(
    since_exit_s: int, cooldown_s: int, orders: int, max_orders: int, risk: int, max_risk: int, qty: int
) -> int:
    """Return the first of COOLDOWN, ORDER_RATE, RISK_TOO_WIDE, SIZE_ZERO that refuses, else c.R_NONE."""
    if since_exit_s < cooldown_s:
        return c.R_COOLDOWN
    if orders >= max_orders:
        return c.R_ORDER_RATE
    if risk > max_risk:
        return c.R_RISK_TOO_WIDE
    if qty <= 0:
        return c.R_SIZE_ZERO
    return c.R_NONE


@part
def entry_refused(late_s: int, max_late_s: int, same: bool, open_m: int, stop_m: int, target_m: int) -> int:
    """Return STALE or GAP when the next real bar cancels the waiting entry, else c.R_NONE (pj1 S5.5).

    ``same``: the bar belongs to the signal's trade date and contract.
    """
    if late_s > max_late_s or not same:
        return c.R_STALE
    if open_m <= stop_m or open_m >= target_m:
        return c.R_GAP
    return c.R_NONE


@part
def clock_exit(same: bool, locked: bool, minute: int, flat_m: int, held_s: int, hold_s: int) -> int:
    """Return the reason of the clock exit due at a bar's open, which is not the entry bar, else c.R_NONE (S5.6)."""
    if not same:
        return c.R_DAY_ROLL
    if locked:
        return c.R_DAILY_LOSS
    if minute >= flat_m:
        return c.R_FLAT
    if held_s >= hold_s:
        return c.R_TIME
    return c.R_NONE


@part
def inside_exit(low_m: int, high_m: int, stop_m: int, target_m: int, through: int) -> int:
    """Return STOP or TARGET when the bar's range ends the position, stop first (pj1 S5.7), else c.R_NONE."""
    if low_m <= stop_m:
        return c.R_STOP
    if high_m >= target_m + through:
        return c.R_TARGET
    return c.R_NONE


@part
def open_cents(ticks: int, slip: int, tick_cents: int, comm: int, qty: int) -> int:
    """Return what closing now would book, ``ticks`` in favour: slippage and both commissions included (pj1 S6.7)."""
    return ((ticks - slip) * tick_cents - 2 * comm) * qty
