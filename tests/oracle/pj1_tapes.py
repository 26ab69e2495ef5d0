"""Make random tapes that are rich in what PJ-1 must get right: sweeps, plateaus, gaps, rolls, day turns, clock changes.

Everything follows from the seed. Prices move little and come back often, so that levels meet, are touched, swept,
reclaimed and tied far more often than in a real market.
"""

from __future__ import annotations

import datetime as dt
import random
from typing import Any
from zoneinfo import ZoneInfo

from live.market import NS_PER_S, Bar
from live.params import Params

NEW_YORK = ZoneInfo("America/New_York")
STARTS = (
    dt.date(2025, 3, 6),  # Thursday before the US clock change of Sunday 2025-03-09
    dt.date(2025, 10, 30),  # Thursday before the change back of Sunday 2025-11-02
    dt.date(2025, 3, 27),  # Europe changes alone on 2025-03-30
    dt.date(2026, 4, 13),
    dt.date(2024, 12, 30),
)
WIDE_OPEN = [["18:00", "17:00"]]


def random_params(rng: random.Random) -> dict[str, Any]:
    """Return a random parameter object, often small windows so that short tapes reach every rule."""
    raw: dict[str, Any] = {
        "swing_n": rng.choice((1, 2, 3, 5, 15)),
        "swing_ttl_min": rng.choice((5, 30, 240)),
        "eq_tol_ticks": rng.choice((0, 2, 8)),
        "sweep_min_ticks": rng.choice((1, 1, 2, 3)),
        "reclaim_min_ticks": rng.choice((1, 1, 2)),
        "reclaim_max_min": rng.choice((0, 2, 10)),
        "max_pen_ticks": rng.choice((6, 20, 160)),
        "max_chase_ticks": rng.choice((4, 15, 120)),
        "min_prev_day_bars": rng.choice((1, 50, 300)),
        "min_session_fill": rng.choice((0, 0.1, "1/3", 0.5, 1)),
        "min_risk_ticks": rng.choice((2, 8, 20)),
        "max_risk_ticks": rng.choice((20, 30, 200)),
        "target_r": rng.choice(("2", "1", "3/2", 0.7, "2.5")),
        "max_hold_min": rng.choice((3, 15, 60)),
        "max_gap_min": rng.choice((1, 3, 5)),
        "cooldown_min": rng.choice((0, 1, 5)),
        "max_orders_hour": rng.choice((2, 5, 30)),
        "max_trades_day": rng.choice((1, 3, 6, 100)),
        "max_consec_losses": rng.choice((1, 3, 100, 100)),
        "max_daily_loss_usd": rng.choice((0, 6, 15, 60.5, 450, 450)),
        "risk_per_trade_usd": rng.choice((8, 40, 100, 1000)),
        "max_qty": rng.choice((1, 3, 5)),
        "slip_ticks": rng.choice((0, 1, 2)),
        "target_through_ticks": rng.choice((0, 1)),
        "max_entry_delay_min": rng.choice((1, 2, 4)),
        "comm_side_usd": rng.choice((0, 0.62, "1.05")),
        "disp_num": rng.choice((0, 1, 1, 2)),
        "disp_den": rng.choice((2, 3)),
    }
    if rng.random() < 0.7:
        raw["windows"] = WIDE_OPEN
    if rng.random() < 0.2:
        raw["blackouts"] = [
            [f"{start}T14:00:00Z", f"{start + dt.timedelta(days=1)}T14:40:00+00:00"] for start in STARTS
        ]
    if rng.random() < 0.4:
        raw["sessions"] = [["ASIA", "18:10", "18:40"], ["OR", "09:30", "09:45"], ["NYAM", "09:30", "10:30"]]
    if rng.random() < 0.3:
        raw["use_kinds"] = rng.sample(["PD", "ASIA", "LDN", "OR", "NYAM", "NYL", "EQ", "SW"], rng.randint(1, 7))
    return raw


def lively_params(rng: random.Random) -> dict[str, Any]:
    """Return random parameters whose gates let most signals through, for tests that need trades."""
    raw = random_params(rng)
    raw |= {"windows": WIDE_OPEN, "risk_per_trade_usd": 400, "max_risk_ticks": 200, "max_orders_hour": 30}
    raw |= {"max_daily_loss_usd": rng.choice((90.5, 450)), "max_consec_losses": 100, "max_trades_day": 100}
    raw |= {"max_chase_ticks": 120, "max_pen_ticks": 160, "reclaim_max_min": 10, "disp_num": 1, "disp_den": 3}
    raw.pop("blackouts", None)
    raw.pop("use_kinds", None)
    return raw


def random_tape(rng: random.Random, days: int = 4, hours: int = 3) -> list[Bar]:
    """Return a tape of ``days`` trade dates from a start near a clock change, about ``hours`` per date."""
    start = rng.choice(STARTS)
    price = rng.choice((40, 4000, 84_000))
    centre = price
    contract = "Z5"
    bars: list[Bar] = []
    for place in range(days + 2):
        day = start + dt.timedelta(days=place)
        if rng.random() < 0.35 and bars:
            contract, centre = _next(contract), centre + rng.randint(-30, 30)
        for ts in _minutes(rng, day, hours):
            if bars and rng.random() < 0.002:
                contract = _next(contract)
            if rng.random() < 0.01:
                centre += rng.randint(-25, 25)
            bar, price = _bar(rng, ts, price, centre, contract, bars[-1].close_ticks if bars else None)
            bars.append(bar)
    return bars


def _next(contract: str) -> str:
    return f"{chr((ord(contract[0]) - 64) % 26 + 65)}{contract[1]}"


def _minutes(rng: random.Random, day: dt.date, hours: int) -> list[int]:
    """Return UTC seconds of the minutes of one calendar date that have a row: some dense stretches, holes, strays."""
    midnight = dt.datetime(day.year, day.month, day.day, tzinfo=NEW_YORK)
    openings = [rng.choice((0, 60, 115, 540, 565, 570, 720, 985, 1000, 1010, 1080)) for _ in range(hours)]
    found: set[int] = set()
    for opening in openings:
        drop = rng.choice((0.0, 0.05, 0.4))
        for offset in range(rng.randint(20, 90)):
            if rng.random() >= drop:
                wall = midnight + dt.timedelta(minutes=(opening + offset) % 1440)
                found.add(int(wall.timestamp()))
    return sorted(found)


def _bar(
    rng: random.Random, ts: int, price: int, centre: int, contract: str, last_close: int | None
) -> tuple[Bar, int]:
    kind = rng.random()
    if last_close is not None and kind < 0.06:
        flat = last_close if kind < 0.04 else last_close + rng.randint(-3, 3)
        return Bar(ts * NS_PER_S, flat, flat, flat, flat, 0, contract), flat
    pull = (centre - price) // 6
    open_ = price + rng.choice((0, 0, 0, 1, -1, rng.randint(-12, 12)))
    close = open_ + pull + rng.randint(-6, 6)
    reach = rng.choice((0, 1, 2, 5, 14))
    high = max(open_, close) + rng.randint(0, reach)
    low = min(open_, close) - rng.randint(0, reach)
    return Bar(ts * NS_PER_S, open_, high, low, close, rng.randint(1, 500), contract), close


def params_of(raw: dict[str, Any]) -> Params:
    """Return the engine's parameters of a raw object."""
    return Params.from_dict(raw)
