"""Make random tapes and spaces for the tests of the search, and hold a block to the exact engine's trades."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
from compiled_pairs import columns_of
from pj1_tapes import WIDE_OPEN, random_tape

from live.market import INSTRUMENTS, Bar
from live.params import Params
from strategies.mle.phase16_pj_engine import run_bars
from strategies.mle.search.batches import Block
from strategies.mle.search.space import Space, read_space
from strategies.mle.tape import Tape

MNQ = INSTRUMENTS["MNQ"]
KINDS = ["PD", "ASIA", "LDN", "OR", "NYAM", "NYL", "EQ", "SW"]
VALUES: dict[str, list[Any]] = {
    "sessions": [[["ASIA", "18:10", "18:40"], ["OR", "09:30", "09:45"]], [["NYAM", "09:30", "10:30"]]],
    "use_kinds": [KINDS, ["SW"], ["PD", "EQ", "SW"], ["EQ", "ASIA"]],
    "min_prev_day_bars": [1, 50, 300],
    "min_session_fill": [0, "1/3", 1],
    "swing_n": [1, 2, 3, 5],
    "swing_ttl_min": [0, 5, 30, 240],
    "eq_tol_ticks": [0, 2, 8],
    "sweep_min_ticks": [0, 1, 2, 3],
    "reclaim_min_ticks": [0, 1, 2],
    "reclaim_max_min": [0, 2, 10],
    "max_pen_ticks": [6, 20, 160],
    "max_chase_ticks": [4, 15, 120],
    "disp_num": [0, 1, 2],
    "disp_den": [2, 3],
    "stop_buffer_ticks": [0, 2, 4],
    "min_risk_ticks": [2, 8, 20, 40],
    "max_risk_ticks": [20, 30, 200],
    "target_r": ["2", "1/2", "3/2", 0.7],
    "max_hold_min": [0, 3, 15, 60],
    "windows": [WIDE_OPEN, [["09:30", "11:30"], ["18:00", "19:00"]], []],
    "flat_at": ["16:55", "10:00", "18:30"],
    "max_entry_delay_min": [0, 1, 2, 4],
    "risk_per_trade_usd": [8, 40, 100, 1000],
    "max_qty": [0, 1, 3, 5],
    "comm_side_usd": [0, 0.62, "1.05"],
    "slip_ticks": [0, 1, 2],
    "target_through_ticks": [0, 1],
    "max_daily_loss_usd": [0, 6, 15, 60.5, 450],
    "max_trades_day": [0, 1, 3, 100],
    "max_consec_losses": [0, 1, 3, 100],
    "cooldown_min": [0, 1, 5],
    "max_orders_hour": [0, 1, 2, 5, 30, 1000],
    "max_gap_min": [0, 1, 5],
    "blackouts": [
        [],
        [["2025-03-07T14:00:00Z", "2025-03-10T14:40:00Z"], ["2026-04-14T00:00:00Z", "2026-04-14T15:00Z"]],
    ],
    "tick_usd": [0.5, "1.25"],
}
LIVELY: dict[str, Any] = {
    "windows": WIDE_OPEN,
    "risk_per_trade_usd": 400,
    "max_daily_loss_usd": "90.50",
    "max_consec_losses": 100,
    "max_trades_day": 100,
    "min_risk_ticks": 2,
    "cooldown_min": 0,
    "swing_n": 2,
    "min_prev_day_bars": 1,
    "disp_den": 3,
}


def tape_of(bars: Sequence[Bar]) -> Tape:
    return Tape.of(columns_of(list(bars)))


def random_case(rng: random.Random, axes: int = 5) -> tuple[list[Bar], Space]:
    """Return bars and a space of ``axes`` random parameters, a few values each; the rest lets trades happen."""
    names = rng.sample(sorted(VALUES), axes)
    raw: dict[str, Any] = {name: rng.sample(VALUES[name], rng.randint(1, min(3, len(VALUES[name])))) for name in names}
    if "min_risk_ticks" in raw and "max_risk_ticks" in raw:
        raw["max_risk_ticks"] = [20, 200]
    raw["fixed"] = {name: value for name, value in LIVELY.items() if name not in names}
    return random_tape(rng), read_space(raw)


def assert_exact(bars: Sequence[Bar], tape: Tape, params: Params, block: Block, row: int) -> int:
    """Hold one row to the live engine's trades: net, count, wins, every day; return how many trades there were."""
    trades = run_bars(bars, params, params.instrument(MNQ)).trades
    nets = [trade.net_cents for trade in trades]
    daily = dict.fromkeys(tape.days.tolist(), 0)
    for trade in trades:
        daily[trade.trade_date_ordinal] += trade.net_cents
    path = np.cumsum([0, *nets])
    drawdown = int((np.maximum.accumulate(path) - path).max())
    told = block.totals[row].tolist()
    assert told == [len(trades), sum(net > 0 for net in nets), sum(nets), drawdown]
    assert block.daily[row].tolist() == list(daily.values())
    assert block.sums[row].tolist() == [sum(nets), sum(net * net for net in daily.values())]
    return len(trades)
