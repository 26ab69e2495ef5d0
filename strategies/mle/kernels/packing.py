"""Turn ``Params`` into the integer arrays that kernels read, and say which parameters the arrays cannot hold.

Bounds that are only compared with are clipped to a number beyond every price, time and count, which changes no
answer. Numbers that are multiplied must be small enough that nothing overflows 64 bits; larger ones are refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import numpy.typing as npt

from live.params import Params
from live.pools import SessionRange
from strategies.mle.bar_file import BacktestInputError
from strategies.mle.kernels.codes import KINDS, W_COLUMNS
from strategies.mle.kernels.money import Calendar

Ints = npt.NDArray[np.int64]
_CLIP: Final = 1 << 40
_BOUNDS: Final = {
    "max_risk_ticks": 1 << 31,
    "min_risk_ticks": 1 << 31,
    "stop_buffer_ticks": 1 << 31,
    "slip_ticks": 1 << 29,
    "tick_cents": 1 << 26,
    "comm_side_cents": 1 << 40,
    "disp_num": 1 << 29,
    "disp_den": 1 << 29,
}
"""Multiplied with prices below 2**31 ticks these keep every product below 2**63."""
_R_BOUND: Final = 1 << 31
_BUDGET_BOUND: Final = 1 << 29


def check_fits(params: Params) -> None:
    """Raise BacktestInputError for a parameter beyond what 64-bit arithmetic carries exactly."""
    asked = {name: (getattr(params, name), bound) for name, bound in _BOUNDS.items()}
    asked["target_r"] = (max(params.target_r.numerator, params.target_r.denominator), _R_BOUND)
    budget = min(params.risk_per_trade_cents, params.max_daily_loss_cents)
    asked["risk_per_trade_usd"] = (budget, _BUDGET_BOUND)
    for name, (value, bound) in asked.items():
        if value > bound:
            raise BacktestInputError(
                f"parameter {name} needs the number {value}, the compiled engine holds up to {bound};"
                " take --engine exact"
            )


def structure_rules(params: Params) -> Ints:
    """Return the numbers of the structure pass in the order of the N_ codes."""
    kinds = params.use_kinds
    return _ints(
        params.min_prev_day_bars,
        params.swing_n,
        params.swing_ttl_min * 60,
        params.eq_tol_ticks,
        params.sweep_min_ticks,
        params.reclaim_min_ticks,
        params.reclaim_max_min * 60,
        params.max_pen_ticks,
        params.max_chase_ticks,
        params.disp_num,
        params.disp_den,
        int("PD" in kinds),
        int("EQ" in kinds),
        int("SW" in kinds),
    )


def money_rules(params: Params) -> Ints:
    """Return the numbers of the money pass in the order of the G_ codes."""
    return _ints(
        params.stop_buffer_ticks,
        params.min_risk_ticks,
        params.max_risk_ticks,
        params.target_r.numerator,
        params.target_r.denominator,
        params.max_hold_min * 60,
        params.flat_at_m,
        params.max_entry_delay_min * 60,
        params.risk_per_trade_cents,
        params.max_qty,
        params.comm_side_cents,
        params.slip_ticks,
        params.target_through_ticks,
        params.max_daily_loss_cents,
        params.max_trades_day,
        params.max_consec_losses,
        params.cooldown_min * 60,
        params.max_orders_hour,
        params.max_gap_min * 60,
        params.tick_cents,
    )


def session_table(params: Params) -> Ints:
    """Return one row per session in config order, with the W_ columns."""
    table = np.zeros((len(params.sessions), W_COLUMNS), np.int64)
    for row, window in zip(table, params.sessions, strict=True):
        needed = SessionRange(window, params).needed
        row[:5] = (KINDS.index(window.name), window.start_m, window.end_m, needed, window.name in params.use_kinds)
    return table


def calendar_of(params: Params, early_flat: Mapping[int, int] | None = None) -> Calendar:
    """Return windows, blackouts and early closes (trade date ordinal -> minute) as arrays."""
    return Calendar(
        _pairs(params.windows),
        _pairs(params.blackouts),
        _pairs(tuple(sorted((early_flat or {}).items()))),
    )


def _ints(*numbers: int) -> Ints:
    return np.asarray([min(number, _CLIP) for number in numbers], np.int64)


def _pairs(rows: tuple[tuple[int, int], ...]) -> Ints:
    return np.asarray(rows, np.int64).reshape(len(rows), 2)
