"""Resampled days, intervals and Monte Carlo paths: exact against a slow walk, covering what they promise."""

from __future__ import annotations

import hashlib
from itertools import permutations

import numpy as np
import pytest
from arch.bootstrap import optimal_block_length
from hypothesis import given, settings
from hypothesis import strategies as st

from strategies.mle.audit import arrays
from strategies.mle.audit.statistics import (
    StatisticsInputError,
    block_length,
    bootstrap_means,
    mean_interval,
    monte_carlo,
    resampled_days,
)

GOLDEN_FIRST = [59, 16, 17, 18, 21, 52, 53, 54, 55, 56, 57, 58]
GOLDEN_STATIONARY = "207c8fec6eafee01"
GOLDEN_CIRCULAR = "ac83857bb7ffa966"


def test_draws_are_the_same_bytes_on_every_machine() -> None:
    """Golden: integers only, so neither platform nor library may change them."""
    days = resampled_days(60, 100, 2026, 4)
    assert days[0, :12].tolist() == GOLDEN_FIRST
    assert hashlib.sha256(days.astype("<i8").tobytes()).hexdigest()[:16] == GOLDEN_STATIONARY
    circular = resampled_days(60, 100, 2026, 4, "circular").astype("<i8").tobytes()
    assert hashlib.sha256(circular).hexdigest()[:16] == GOLDEN_CIRCULAR


def test_a_draw_is_its_own_stream() -> None:
    assert np.array_equal(resampled_days(50, 10, 7, 3), resampled_days(50, 400, 7, 3)[:10])
    assert not np.array_equal(resampled_days(50, 10, 7, 3), resampled_days(50, 10, 8, 3))


@pytest.mark.parametrize("block_days", [1, 2, 5, 20])
def test_stationary_blocks_have_the_mean_length_and_take_every_day_alike(block_days: int) -> None:
    days = resampled_days(100, 4000, 3, block_days)
    follow = (days[:, 1:] == (days[:, :-1] + 1) % 100).mean()
    by_chance = 1 / 100
    assert follow == pytest.approx(1 - (1 - by_chance) / block_days, abs=0.004)
    shares = np.bincount(days.ravel(), minlength=100) / days.size
    assert shares.max() < 0.0125 and shares.min() > 0.0075


def test_circular_blocks_have_exactly_their_length_and_wrap_round() -> None:
    days = resampled_days(23, 500, 4, 5, "circular")
    for place in range(1, 23):
        if place % 5:
            assert ((days[:, place - 1] + 1) % 23 == days[:, place]).all()
    assert ((days[:, :-1] == 22) & (days[:, 1:] == 0)).any()


def test_the_block_length_rule() -> None:
    rng = np.random.default_rng(5)
    noise = rng.normal(size=300)
    slow = noise.copy()
    for day in range(1, 300):
        slow[day] += 0.7 * slow[day - 1]
    for kind in ("stationary", "circular"):
        wanted = float(optimal_block_length(slow)[kind].iloc[0])
        assert block_length(slow, kind) == int(np.ceil(wanted)) > block_length(noise, kind) >= 1
    assert block_length(np.zeros(125)) == 5
    assert block_length(np.repeat([1.0, -1.0], 20)) <= 10
    assert block_length([-1.0, -2.0] * 4) == 2, "eight days: the cube root"
    assert block_length([5.0, -5.0, *[0.0] * 98]) == 25, "days at the mean to the end: never more than T / 4"


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**63 - 1), kind=st.sampled_from(["stationary", "circular"]), block=st.integers(1, 9))
def test_means_are_those_of_the_drawn_days(seed: int, kind, block: int) -> None:
    daily = np.random.default_rng(1).integers(-9000, 9000, size=40)
    rows = resampled_days(40, 30, seed, block, kind)
    assert bootstrap_means(daily, 30, seed, block, kind) == pytest.approx(daily[rows].mean(axis=1))


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    """500 series of 150 days each, independent and with memory (AR 0.3): coverage of the 95 % interval."""
    rng = np.random.default_rng(6)
    for memory in (0.0, 0.3):
        inside = above = 0
        for seed in range(500):
            noise = rng.normal(size=170)
            for day in range(1, 170):
                noise[day] += memory * noise[day - 1]
            lower, upper = mean_interval(noise[20:] + 1.0, 600, seed)
            inside += lower <= 1.0 <= upper
            above += lower > 1.0
        print(f"memory {memory}: coverage {inside / 500:.3f}, lower bound above the truth {above / 500:.3f}")
        assert inside / 500 > 0.90 and above / 500 < 0.06


def test_the_interval_widens_with_its_level_and_keeps_its_seed() -> None:
    daily = np.random.default_rng(7).normal(size=120)
    narrow, wide = mean_interval(daily, level=0.8), mean_interval(daily, level=0.99)
    assert wide[0] < narrow[0] < narrow[1] < wide[1]
    assert mean_interval(daily) == mean_interval(daily) != mean_interval(daily, seed=2)


def slow_path(cents: list[int]) -> tuple[int, int, int, int, int]:
    """Return worst drop, longest stretch under water, net, lowest net, worst day."""
    net, peak, drop, lowest, water, longest = 0, 0, 0, 0, 0, 0
    for day in cents:
        net += day
        peak = max(peak, net)
        drop, lowest = max(drop, peak - net), min(lowest, net)
        water = water + 1 if net < peak else 0
        longest = max(longest, water)
    return drop, longest, net, lowest, min(0, *cents)


@settings(max_examples=25, deadline=None)
@given(
    cents=st.lists(st.integers(-60_000, 60_000), min_size=2, max_size=40),
    seed=st.integers(0, 2**40),
    kind=st.sampled_from(["stationary", "circular"]),
)
def test_paths_equal_the_slow_walk(cents: list[int], seed: int, kind) -> None:
    block = max(1, len(cents) // 5)
    rows = resampled_days(len(cents), 64, seed, block, kind)
    walks = [slow_path([cents[day] for day in row]) for row in rows]
    found = monte_carlo(cents, 64, seed, block, (45_000, 100_000), kind)
    for column, told in enumerate((found.drawdown_cents, found.days_under_water, found.net_cents)):
        values = sorted(walk[column] for walk in walks)
        assert told == {level: values[int(np.ceil(level * 64)) - 1] for level in told}
    for floor in found.floors:
        assert floor.hit == sum(-walk[3] >= floor.loss_cents for walk in walks) / 64
        assert floor.drawdown == sum(walk[0] >= floor.loss_cents for walk in walks) / 64
        assert floor.in_a_day == sum(-walk[4] >= floor.loss_cents for walk in walks) / 64
        assert floor.in_a_day <= floor.drawdown and floor.hit <= floor.drawdown


@settings(max_examples=25, deadline=None)
@given(cents=st.lists(st.integers(-60_000, 60_000), min_size=2, max_size=30), seed=st.integers(0, 2**40))
def test_shuffling_changes_paths_only_never_the_sum(cents: list[int], seed: int) -> None:
    found = monte_carlo(cents, 200, seed, kind="shuffle")
    assert set(found.net_cents.values()) == {sum(cents)}
    assert found.floors[0].in_a_day in {0.0, 1.0}


def test_a_shuffle_deals_every_order_alike() -> None:
    cents = [-1, -10, -100, 1000]
    drops = sorted(slow_path(list(order))[0] for order in permutations(cents))
    found = monte_carlo(cents, 20_000, 3, kind="shuffle", floors_cents=tuple(sorted(set(drops))))
    for floor in found.floors:
        assert floor.drawdown == pytest.approx(sum(drop >= floor.loss_cents for drop in drops) / 24, abs=0.015)


def test_paths_are_the_same_in_any_number_of_threads(monkeypatch) -> None:
    cents = np.random.default_rng(8).integers(-40_000, 45_000, size=250)
    first = monte_carlo(cents, 2000)
    for cores in (1, 3, 16):
        monkeypatch.setattr(arrays.os, "cpu_count", lambda cores=cores: cores)
        assert monte_carlo(cents, 2000) == first
    assert monte_carlo(cents, 2000, seed=2) != first


def test_a_random_walk_hits_a_floor_as_theory_says() -> None:
    """Reflection principle: P(min of a fair +-1 walk of 100 steps <= -10) = P(S <= -10) + P(S < -10)."""
    from math import comb

    def at_most(level: int) -> float:
        return sum(comb(100, up) for up in range(101) if 2 * up - 100 <= level) / 2**100

    cents = np.tile([1, -1], 50)
    found = monte_carlo(cents, 50_000, 9, 1, (10,))
    assert found.floors[0].hit == pytest.approx(at_most(-10) + at_most(-11), abs=0.01)


def test_days_of_loss_only_are_all_under_water() -> None:
    found = monte_carlo([-100, -200, -100, -200, -100, -200, -100, -200], 50)
    assert set(found.days_under_water.values()) == {8}
    assert all(found.drawdown_cents[level] == -found.net_cents[rest] for level, rest in ((0.95, 0.05), (0.75, 0.25)))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: monte_carlo([1.5, 2.5]), "integer cents"),
        (lambda: monte_carlo([1]), "at least two days"),
        (lambda: monte_carlo([1, 2], 10, 1, 1, (-450,)), "positive number"),
        (lambda: monte_carlo([1, 2], 0, 1, 1), "draws"),
        (lambda: monte_carlo([1, 2], 10, 1, 3), "blocks of 3 days"),
        (lambda: mean_interval(np.ones(20), level=1.0), "level"),
        (lambda: mean_interval(np.ones(5)), "too few"),
        (lambda: resampled_days(10, 5, 1, 0), "blocks of 0 days"),
    ],
)
def test_what_cannot_be_resampled_is_refused_in_a_sentence(call, words) -> None:
    with pytest.raises(StatisticsInputError, match=words):
        call()
