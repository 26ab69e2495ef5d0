"""Plant bugs one at a time: each must be caught within 500 seeds, by an invariant and not by chance."""

from __future__ import annotations

from functools import partial

import pytest
from sim_mutants import IBKR, MUTANTS, NEEDS, ROUTE_OF, planted
from sim_plan import draw_plan
from sim_world import run_seed

LIMIT = 500


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", MUTANTS)
def test_the_planted_bug_is_caught(name: str) -> None:
    for seed in range(LIMIT):
        if name in NEEDS and not NEEDS[name] & draw_plan(seed).kinds:
            continue
        world = run_seed(
            seed, partial(planted, name), route=ROUTE_OF.get(name, "ibkr" if name in IBKR else "traderspost")
        )
        if world.failures:
            print(f"{name}: caught by seed {seed}: {world.failures[0]}")
            return
    pytest.fail(f"{name} lived through {LIMIT} seeds")
