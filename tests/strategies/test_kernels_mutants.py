"""Plant bugs in the kernels one at a time: the comparison with the live engine catches each of them."""

from __future__ import annotations

import random
from functools import cache
from typing import Any

import pytest
from any_params import LIVELY
from compiled_pairs import MNQ, columns_of
from hostile_tapes import MAKERS, mirrored
from kernel_mutants import MUTANTS, python_kernels
from pj1_tapes import lively_params, random_params, random_tape

from live.market import Bar
from live.params import Params
from live.records import event_row
from strategies.mle.phase16_pj_engine import Ran, run_bars
from strategies.mle.tape import Tape

TAPES = 240
LONGEST = 700
KINDS = ("oracle", "few_prices", "gapping", "jumps", "oracle", "rolls", "gapping", "trending", "dojis", "window_edges")


@cache
def scene(seed: int) -> tuple[list[Bar], Params, Ran]:
    """Return bars, parameters and what the live engine makes of them."""
    rng = random.Random(seed)
    kind = KINDS[seed % len(KINDS)]
    bars = random_tape(rng, days=3, hours=2) if kind == "oracle" else MAKERS[kind](rng)
    bars = bars[:LONGEST] if rng.random() < 0.5 else mirrored(bars[:LONGEST])
    raw: dict[str, Any] = random_params(rng) if seed % 3 == 0 else lively_params(rng)
    if seed % 3 == 2:
        raw |= LIVELY | {"max_daily_loss_usd": rng.choice((0, 40, 120, 5000)), "max_hold_min": rng.choice((3, 60))}
        raw |= {"cooldown_min": rng.choice((0, 5, 90)), "max_orders_hour": rng.choice((2, 1000)), "flat_at": "16:30"}
        raw |= {"max_trades_day": rng.choice((2, 1000)), "max_consec_losses": rng.choice((1, 2, 1000))}
    if kind == "gapping":
        # One contract fits the day's loss just so: a fill worse than planned can lock the day before the stop.
        slip = rng.choice((0, 1, 2))
        just = (30 + 2 * slip) / 2 + 1.24
        raw |= LIVELY | {"swing_n": 2, "swing_ttl_min": 30, "slip_ticks": slip, "max_qty": 1, "comm_side_usd": "0.62"}
        raw |= {"max_daily_loss_usd": f"{just + rng.choice((0, 0.5, 1, 5000)):.2f}", "tick_usd": "0.50"}
        raw |= {"min_risk_ticks": rng.choice((6, 30, 30)), "max_orders_hour": rng.choice((1, 2, 1000))}
    if kind == "dojis":
        raw |= LIVELY | {"swing_n": rng.choice((1, 2)), "reclaim_max_min": 60, "min_risk_ticks": 1, "eq_tol_ticks": 0}
    if seed % 4 == 0:
        days = ("2026-04-13", "2026-04-14", "2026-04-15", "2025-03-07")
        raw["blackouts"] = [[f"{day}T13:50:00Z", f"{day}T14:41:00Z"] for day in days]
        raw["windows"] = rng.choice(([["18:00", "17:00"]], [["10:10", "10:20"]]))
    params = Params.from_dict(raw)
    return bars, params, run_bars(bars, params, MNQ)


def differs(glue: Any, seed: int) -> bool:
    bars, params, exact = scene(seed)
    try:
        run = glue.run_compiled(Tape.of(columns_of(bars)), params)
        same = run.trades() == exact.trades and [event_row(one) for one in run.events()] == [
            event_row(one) for one in exact.events
        ]
    except (IndexError, KeyError, ValueError):  # a planted bug may leave its tables
        return True
    return not same


def test_unchanged_kernels_in_plain_python_give_the_engines_rows() -> None:
    with python_kernels() as glue:
        assert not [seed for seed in range(60) if differs(glue, seed)]


@pytest.mark.parametrize("name", ["few_prices", "saw", "rolls", "window_edges"])
def test_tables_are_large_enough_with_checked_bounds(name: str) -> None:
    for raw in ({"swing_n": 1}, {"swing_n": 2}, {"swing_n": 1, "sweep_min_ticks": 0, "max_pen_ticks": 0} | LIVELY):
        bars, params = MAKERS[name](random.Random(1))[:1400], Params.from_dict(raw)
        exact = run_bars(bars, params, MNQ)
        with python_kernels() as glue:
            assert glue.run_compiled(Tape.of(columns_of(bars)), params).trades() == exact.trades


@pytest.mark.parametrize("name", MUTANTS)
def test_the_planted_bug_is_caught(name: str) -> None:
    with python_kernels(name) as glue:
        for seed in range(TAPES):
            if differs(glue, seed):
                print(f"{name}: caught by seed {seed}")
                return
    pytest.fail(f"{name} lived through {TAPES} tapes")
