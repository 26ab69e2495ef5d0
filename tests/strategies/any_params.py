"""Draw any parameter object that PJ-1 takes, every field, small numbers and limits of zero among them."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from live.params import KINDS, SESSION_NAMES


def wall(minute: int) -> str:
    """Return the ET wall time of a minute of the trading day."""
    return f"{(minute // 60 + 18) % 24:02d}:{minute % 60:02d}"


@st.composite
def windows(draw: st.DrawFn) -> list[str]:
    start = draw(st.integers(0, 1438))
    end = draw(st.one_of(st.integers(start + 1, min(1440, start + 90)), st.integers(start + 1, 1440)))
    return [wall(start), wall(end % 1440)]


def small(least: int, *more: int) -> st.SearchStrategy[int]:
    return st.one_of(st.integers(least, least + 3), st.sampled_from((least, *more)))


@st.composite
def sessions(draw: st.DrawFn) -> list[list[str]]:
    names = draw(st.lists(st.sampled_from(SESSION_NAMES), unique=True, max_size=5))
    return [[name, *draw(windows())] for name in names]


@st.composite
def blackouts(draw: st.DrawFn) -> list[list[str]]:
    hour = draw(st.integers(8, 20))
    day = draw(st.sampled_from(("2026-04-14", "2026-04-15", "2025-03-07", "2025-10-31")))
    return draw(st.sampled_from(([], [[f"{day}T{hour:02d}:00:00Z", f"{day}T{hour:02d}:50:00Z"]])))


MONEY = st.sampled_from((0, "0.62", 1, "12.34", 50, 100, 450, 5000))
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "tick_usd": st.sampled_from(("0.50", "5", "0.01", "12.50")),
    "sessions": sessions(),
    "use_kinds": st.lists(st.sampled_from(KINDS), unique=True),
    "min_prev_day_bars": small(1, 40, 300),
    "min_session_fill": st.sampled_from((0, "1/3", 0.5, 0.9, 1)),
    "swing_n": small(1, 7, 15, 40),
    "swing_ttl_min": small(0, 12, 60, 240),
    "eq_tol_ticks": small(0, 8, 30),
    "sweep_min_ticks": small(0, 5),
    "reclaim_min_ticks": small(0, 6),
    "reclaim_max_min": small(0, 10, 60),
    "max_pen_ticks": small(0, 12, 160),
    "max_chase_ticks": small(0, 12, 120),
    "disp_num": small(0),
    "disp_den": small(1, 10),
    "stop_buffer_ticks": small(0, 9),
    "min_risk_ticks": small(1, 10, 20),
    "max_risk_ticks": st.sampled_from((20, 21, 30, 60, 200)),
    "target_r": st.sampled_from(("2", "1", "1/3", "0.5", "7/3", "2.5", 3)),
    "max_hold_min": small(0, 10, 60),
    "windows": st.one_of(st.just([["18:00", "17:00"]]), st.lists(windows(), max_size=3)),
    "flat_at": st.integers(0, 1439).map(wall) | st.just("16:55"),
    "max_entry_delay_min": small(0, 5),
    "risk_per_trade_usd": MONEY,
    "max_qty": small(0, 5, 100),
    "comm_side_usd": st.sampled_from((0, "0.62", "2.05")),
    "slip_ticks": small(0),
    "target_through_ticks": small(0),
    "max_daily_loss_usd": MONEY,
    "max_trades_day": small(0, 6, 100),
    "max_consec_losses": small(0, 100),
    "cooldown_min": small(0, 5, 60, 2000),
    "max_orders_hour": small(0, 30),
    "max_gap_min": small(0, 5, 100),
    "blackouts": blackouts(),
}
LIVELY: dict[str, Any] = {
    "windows": [["18:00", "17:00"]],
    "flat_at": "17:00",
    "risk_per_trade_usd": 5000,
    "max_daily_loss_usd": 5000,
    "max_risk_ticks": 200,
    "max_qty": 3,
    "max_trades_day": 1000,
    "max_consec_losses": 1000,
    "max_orders_hour": 1000,
    "cooldown_min": 0,
    "max_gap_min": 100,
    "max_entry_delay_min": 5,
}


@st.composite
def raw_params(draw: st.DrawFn) -> dict[str, Any]:
    """Return a raw parameter object; half of them have gates so wide that trades happen."""
    named = draw(st.lists(st.sampled_from(sorted(FIELDS)), unique=True, min_size=4))
    raw = {name: draw(FIELDS[name]) for name in named}
    return LIVELY | raw if draw(st.booleans()) else raw
