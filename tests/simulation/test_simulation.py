"""Let seeds live: the product's engine process in a world of faults, one seed = one whole run (see README.md here)."""

from __future__ import annotations

from collections import Counter

import pytest
from sim_plan import ALL_KINDS, TURN, TURN_WAYS
from sim_world import ROUTES, SIDE_ROUTES, route_of, run_seed

SEEDS = 200
CHUNK = 25
TURNS = (9, 12, 63, 110, 246, 402, 453, 723)
"""Seeds that live through a turn of the trade date; 9 was cut off between the new day's START and its history."""


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_every_invariant_holds(first: int) -> None:
    broken = {}
    for seed in range(first, first + CHUNK):
        world = run_seed(seed, route=route_of(seed))
        if world.failures:
            broken[seed] = (world.failures[0], world.story[-30:])
    assert not broken, f"reproduce one with: python -P tests/simulation/run.py --first SEED --seeds 1 --story; {broken}"


@pytest.mark.parametrize(
    ("seed", "route"),
    [
        *((seed, "traderspost") for seed in (29, 239, 1063, 1606, 9918)),
        *((seed, "traderspost:none") for seed in (4, 15, 3414, 3669, 8994, 9504)),
        (10904, "traderspost:manual"),
        *((seed, "ibkr") for seed in (4277, 20761)),
    ],
)
def test_a_seed_that_once_found_a_defect_holds(seed: int, route: str) -> None:
    world = run_seed(seed, route=route)
    assert not world.failures, world.story[-30:]


def test_a_turn_of_the_trade_date_is_met_in_all_its_ways() -> None:
    """Count what the seeds of the turn do, so that one that sleeps through it cannot look like a green one."""
    ways, reasons, locked, days, again = set(), Counter[str](), 0, set(), 0
    for seed in TURNS:
        world = run_seed(seed, route=route_of(seed))
        assert not world.failures, (seed, world.story[-30:])
        ways.add(world.plan.turn)
        folders = world.judge.lines_by_day
        days.add(len(folders))
        reasons.update(str(line.data["exit_reason"]) for line in world.judge.lines if line.type == "TRADE")
        locked += any(line.type == "LOCK" for line in folders[min(folders)])
        again += sum(line.type == "START" for line in folders[max(folders)]) > 1
    assert ways == set(TURN_WAYS)
    assert days == {2}
    assert reasons["DAY_ROLL"] >= 2, reasons
    assert locked
    assert again


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
    assert kinds | {TURN} == set(ALL_KINDS)  # the turn has a test of its own
    assert calls > 60
    assert lives > 100
    assert trades > 20
