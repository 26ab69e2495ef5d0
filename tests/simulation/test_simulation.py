"""Let seeds live: the product's engine process in a world of faults, one seed = one whole run (see README.md here)."""

from __future__ import annotations

import pytest
from sim_plan import ALL_KINDS
from sim_world import ROUTES, SIDE_ROUTES, route_of, run_seed

SEEDS = 200
CHUNK = 25


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_every_invariant_holds(first: int) -> None:
    broken = {}
    for seed in range(first, first + CHUNK):
        world = run_seed(seed, route=route_of(seed))
        if world.failures:
            broken[seed] = (world.failures[0], world.story[-30:])
    assert not broken, f"reproduce one with: python -P tests/simulation/run.py --first SEED --seeds 1 --story; {broken}"


@pytest.mark.parametrize(
    ("seed", "route"), [(29, "traderspost"), (239, "traderspost"), (1063, "traderspost"), (20761, "ibkr")]
)
def test_a_seed_that_once_found_a_defect_holds(seed: int, route: str) -> None:
    world = run_seed(seed, route=route)
    assert not world.failures, world.story[-30:]


@pytest.mark.parametrize("route", [*ROUTES, *SIDE_ROUTES])
@pytest.mark.parametrize("seed", [3, 29])
def test_a_seed_is_the_same_run_again(seed: int, route: str) -> None:
    first, second = run_seed(seed, route=route), run_seed(seed, route=route)
    assert first.story == second.story
    assert first.digest == second.digest


def test_the_seeds_meet_what_they_are_for() -> None:
    """Count what happens in some seeds, so that an idle simulation cannot look like a green one."""
    calls, lives, trades, kinds = 0, 0, 0, set()
    for seed in range(SEEDS, SEEDS + 40):
        world = run_seed(seed, route=route_of(seed))
        calls += len(world.webhook.calls) + len(world.judge.numbers)
        lives += world.lives
        trades += sum(line.type == "TRADE" for line in world.judge.lines)
        kinds |= world.plan.kinds
    print(f"{calls} calls, {lives} engines, {trades} trades")
    assert kinds == set(ALL_KINDS)
    assert calls > 60
    assert lives > 100
    assert trades > 20
