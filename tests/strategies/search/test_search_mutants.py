"""Plant bugs in the search one at a time: the comparison with the live engine catches each of them."""

from __future__ import annotations

import random
from functools import cache
from typing import Any

import numpy as np
import pytest
from hostile_tapes import MAKERS
from search_cases import LIVELY, VALUES, assert_exact, random_case, tape_of
from search_mutants import MUTANTS, python_search

from live.market import Bar
from strategies.mle.search.space import Space, read_space

SCENES = 160
KINDS = ("oracle", "gapping", "jumps", "rolls", "oracle", "trending", "window_edges", "few_prices")


@cache
def scene(seed: int) -> tuple[list[Bar], Space]:
    """Return bars and a small space; some scenes search what the bugs need: holds, news, locks, hours."""
    rng = random.Random(seed)
    bars, space = random_case(rng, axes=4)
    kind = KINDS[seed % len(KINDS)]
    if kind != "oracle":
        bars = MAKERS[kind](rng)[:600]
    if seed % 2:
        names = ("max_hold_min", "max_orders_hour", "max_daily_loss_usd", "sweep_min_ticks", "flat_at", "swing_n")
        raw: dict[str, Any] = {name: rng.sample(VALUES[name], 2) for name in rng.sample(names, 3)}
        raw["fixed"] = {name: value for name, value in LIVELY.items() if name not in raw}
        raw["fixed"] |= {"cooldown_min": rng.choice((0, 5)), "max_consec_losses": rng.choice((2, 3, 100))}
        if seed % 3 == 0:
            raw["fixed"] |= {"comm_side_usd": 0, "slip_ticks": 0}
        if seed % 4 == 1:
            days = ("2026-04-14", "2026-04-15", "2025-03-07")
            late = [[f"{day}T14:41:00Z", f"{day}T15:20:00Z"] for day in days]
            raw["blackouts"] = [[], [[f"{day}T13:50:00Z", f"{day}T14:20:00Z"] for day in days], late]
        space = read_space(raw)
    return bars, space


def differs(batches: Any, seed: int) -> bool:
    bars, space = scene(seed)
    tape, rng = tape_of(bars), random.Random(seed)
    trials = np.flatnonzero(space.allowed(space.places(np.arange(space.total))))
    if not len(tape) or not len(trials):
        return False
    trials = trials[np.sort(np.asarray(rng.sample(range(len(trials)), min(8, len(trials)))))]
    try:
        found = batches.Searcher(space, tape, threads=1).block(trials)
        for row, trial in enumerate(trials.tolist()):
            assert_exact(bars, tape, space.params_of(trial), found, row)
    except (AssertionError, IndexError):  # a planted bug may leave its tables
        return True
    return False


def test_the_unchanged_search_in_plain_python_is_the_live_engine() -> None:
    with python_search() as batches:
        assert not [seed for seed in range(24) if differs(batches, seed)]


@pytest.mark.parametrize("name", MUTANTS)
def test_the_planted_bug_is_caught(name: str) -> None:
    with python_search(name) as batches:
        for seed in range(SCENES):
            if differs(batches, seed):
                print(f"{name}: caught by scene {seed}")
                return
    pytest.fail(f"{name} lived through {SCENES} scenes")
