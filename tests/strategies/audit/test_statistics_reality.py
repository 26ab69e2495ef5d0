"""White's RC, Hansen's SPA and StepM: draw for draw against arch, and against planted truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from arch.bootstrap import SPA, StationaryBootstrap, StepM

from strategies.mle.audit import arrays, reality
from strategies.mle.audit.reality import _means_and_omegas, _runs, from_runs
from strategies.mle.audit.statistics import StatisticsInputError, common_block_length, reality_check

BLOCK = 5


def arch_runs(days: int, draws: int, seed: int):
    """Return the very draws that arch makes with a seed."""
    boot = StationaryBootstrap(BLOCK, np.arange(days), seed=seed)
    return _runs(np.array([data[0] for data, _ in boot.bootstrap(draws)], dtype=np.int64))


def same_spread(seed: int, edge: float, columns: int = 12, days: int = 150) -> np.ndarray:
    """Return columns whose omega is one, where the studentised and the raw figures are the same figure."""
    rng = np.random.default_rng(seed)
    daily = rng.normal(size=(days, columns)) + 0.4 * rng.normal(size=(days, 1))
    daily[:, 3] += edge
    daily[:, 5] -= 0.8
    _, omegas = _means_and_omegas(daily, BLOCK)
    return daily / omegas


@pytest.mark.parametrize(("seed", "edge"), [(1, 0.0), (2, 0.1), (3, 0.2), (4, 0.3), (5, 0.5)])
def test_p_values_equal_arch_draw_for_draw(seed: int, edge: float) -> None:
    daily = same_spread(seed, edge)
    spa = SPA(np.zeros(len(daily)), -daily, BLOCK, 500, seed=seed)
    spa.compute()
    found = from_runs(daily, arch_runs(len(daily), 500, seed), 500, seed, BLOCK, 0.05)
    assert found.rc_p == pytest.approx(spa.pvalues["upper"])
    assert (found.spa_p_lower, found.spa_p, found.spa_p_upper) == pytest.approx(
        (spa.pvalues["lower"], spa.pvalues["consistent"], spa.pvalues["upper"])
    )


@pytest.mark.parametrize(("seed", "edge"), [(1, 0.0), (4, 0.3), (5, 0.6)])
def test_survivors_equal_those_of_arch(seed: int, edge: float) -> None:
    daily = same_spread(seed, edge)
    daily[:, 7] += edge / 2
    _, omegas = _means_and_omegas(daily, BLOCK)
    daily = daily / omegas
    step = StepM(np.zeros(len(daily)), -daily, 0.05, BLOCK, 500, seed=seed)
    step.compute()
    found = from_runs(daily, arch_runs(len(daily), 500, seed), 500, seed, BLOCK, 0.05)
    assert found.survivors.tolist() == step.superior_models


def test_stepping_down_finds_what_a_single_step_leaves() -> None:
    """Removing the clearly superior lowers the bar for the rest: at least one of these seeds needs a second step."""
    second_steps = 0
    for seed in range(30):
        daily = np.random.default_rng(seed).normal(size=(150, 5)) + np.array((0.5, 0.4, 0.19, 0.17, 0.0))
        daily[:, 4] -= daily[:, 4].mean()  # never hopeless: arch steps with SPA's recentring, Romano and Wolf with RC's
        _, omegas = _means_and_omegas(daily, BLOCK)
        daily = daily / omegas
        step = StepM(np.zeros(150), -daily, 0.05, BLOCK, 300, seed=seed)
        step.compute()
        runs = arch_runs(150, 300, seed)
        found = from_runs(daily, runs, 300, seed, BLOCK, 0.05)
        assert found.survivors.tolist() == step.superior_models
        means, ones = daily.mean(axis=0), np.ones(5)
        highest = reality._maxima(daily, means, ones, ones > 0, runs, 300)[:, 3]
        single = sum((highest >= value).mean() <= 0.05 for value in found.studentised)
        second_steps += found.survivors.size > single
    assert second_steps >= 1


def test_omega_equals_the_one_of_arch() -> None:
    daily = np.random.default_rng(8).normal(size=(90, 7)).cumsum(axis=0)
    spa = SPA(np.zeros(90), -daily, BLOCK, 10, seed=1)
    spa.compute()
    means, omegas = _means_and_omegas(daily, BLOCK)
    assert omegas**2 == pytest.approx(spa._loss_diff_var)
    assert means == pytest.approx(daily.mean(axis=0))


def test_the_studentised_figure_by_brute_force() -> None:
    """Hansen 2005, eq. (3)-(6), one draw at a time, for columns of very different spread."""
    rng = np.random.default_rng(9)
    daily = rng.normal(size=(80, 5)) * [1, 10, 100, 1, 1] + [0.1, 0.5, -60.0, 0.2, 0.0]
    days = reality.resampled_days(80, 300, 1, BLOCK)
    means, omegas = _means_and_omegas(daily, BLOCK)
    top = max(0.0, (np.sqrt(80) * means / omegas).max())
    centre = np.where(means >= -omegas * np.sqrt(2 * np.log(np.log(80)) / 80), means, 0.0)
    reach = raw = 0
    for row in days:
        drawn = daily[row].mean(axis=0)
        reach += max(0.0, (np.sqrt(80) * (drawn - centre) / omegas).max()) >= top
        raw += (drawn - means).max() >= means.max()
    found = reality_check(daily, 300, 1, BLOCK)
    assert found.spa_p == reach / 300 and found.rc_p == raw / 300
    assert found.best == 1 and found.studentised == pytest.approx(np.sqrt(80) * means / omegas)


def test_planted_columns_survive_and_only_they() -> None:
    daily = np.random.default_rng(10).normal(size=(500, 200))
    daily[:, [17, 90]] += 0.3
    found = reality_check(daily, 1000)
    assert found.survivors.tolist() == [17, 90]
    assert found.rc_p < 0.01 and found.spa_p < 0.01


def test_noise_is_rejected_about_as_often_as_it_should() -> None:
    found = [reality_check(np.random.default_rng(seed).normal(size=(250, 40)), 400, seed, 2) for seed in range(150)]
    for name in ("rc_p", "spa_p"):
        share = np.mean([getattr(one, name) < 0.05 for one in found])
        assert share <= 0.10, f"{name} calls noise real in {share:.3f} of 150 seeds"
        assert np.mean([getattr(one, name) for one in found]) == pytest.approx(0.5, abs=0.12)
    assert np.mean([one.survivors.size > 0 for one in found]) <= 0.10


def test_hopeless_configurations_weaken_the_reality_check_but_not_spa() -> None:
    """Hansen 2005: RC may be driven to 1 by adding poor models; SPA drops them."""
    rng = np.random.default_rng(12)
    good, poor = rng.normal(size=(300, 1)) + 0.13, rng.normal(size=(300, 400)) * 8 - 4.0
    alone, among = reality_check(good, 1000, 1, 2), reality_check(np.hstack((good, poor)), 1000, 1, 2)
    assert alone.rc_p < 0.05 and among.rc_p > 0.9
    assert among.spa_p < 0.05
    assert among.spa_p_lower <= among.spa_p <= among.spa_p_upper


def test_what_never_moves_takes_no_part() -> None:
    daily = np.random.default_rng(13).integers(-500, 600, size=(120, 4))
    alone = reality_check(daily, 300, 1, 3)
    beside = reality_check(np.hstack((np.zeros((120, 2), dtype=np.int64), daily)), 300, 1, 3)
    assert (alone.rc_p, alone.spa_p) == (beside.rc_p, beside.spa_p) and beside.best == alone.best + 2
    nothing = reality_check(np.zeros((120, 3)), 300)
    assert nothing.rc_p == nothing.spa_p == 1.0 and nothing.survivors.size == 0


def test_threads_types_memory_maps_and_chunks_change_nothing(tmp_path: Path, monkeypatch) -> None:
    cents = np.random.default_rng(14).integers(-30_000, 31_000, size=(101, 50)).astype(np.int32)
    cents[:, 11] += 9_000
    np.save(tmp_path / "daily.npy", cents)
    first = reality_check(cents, 300)

    def told(found):
        return found.rc_p, found.spa_p, found.spa_p_lower, found.spa_p_upper, found.survivors.tolist()

    assert told(first) == told(reality_check(np.load(tmp_path / "daily.npy", mmap_mode="r"), 300))
    monkeypatch.setattr(arrays.os, "cpu_count", lambda: 5)
    monkeypatch.setattr(reality, "_CHUNK", 7)
    assert told(first) == told(reality_check(cents.astype(np.float64), 300))
    assert first.survivors.tolist() == [11]


def test_the_common_block_length() -> None:
    rng = np.random.default_rng(15)
    noise, slow = rng.normal(size=(400, 60)), np.empty((400, 60))
    slow[0] = noise[0]
    for day in range(1, 400):
        slow[day] = 0.8 * slow[day - 1] + noise[day]
    assert common_block_length(noise) < common_block_length(slow)
    assert common_block_length(np.zeros((125, 3))) == 5


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"daily": np.ones((7, 3))}, "7 days are too few"),
        ({"daily": np.ones((50, 3)), "draws": 0}, "draws"),
        ({"daily": np.ones((50, 3)), "block_days": 51}, "blocks of 51 days"),
        ({"daily": np.ones((50, 3)), "size": 1.0}, "family-wise"),
    ],
)
def test_what_cannot_be_drawn_is_refused_in_a_sentence(arguments, words) -> None:
    with pytest.raises(StatisticsInputError, match=words):
        reality_check(**arguments)
