"""Effective trials: copies count once, strangers count each, and luck alone does not pass."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strategies.mle.audit import trials
from strategies.mle.audit.statistics import (
    StatisticsInputError,
    clusters,
    dsr,
    effective_trials,
    expected_max_sharpe,
    luck,
    moments,
    sharpe,
)


def families(rng, days: int, count: int, each: int, likeness: float) -> np.ndarray:
    """Return count x each columns; two of one family correlate by ``likeness``."""
    common = np.repeat(rng.normal(size=(days, count)), each, axis=1)
    return np.sqrt(likeness) * common + np.sqrt(1 - likeness) * rng.normal(size=(days, count * each))


def test_strangers_count_each_and_copies_once() -> None:
    rng = np.random.default_rng(1)
    strangers = rng.normal(size=(350, 400))
    assert 280 < effective_trials(strangers) <= 400
    assert effective_trials(np.hstack([strangers[:, :9]] * 100)) == pytest.approx(9.0, abs=2.0)
    assert effective_trials(strangers[:, :1]) == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize(("likeness", "count", "each"), [(0.5, 1, 300), (0.8, 1, 300), (0.9, 20, 15)])
def test_relatives_count_for_the_luck_they_add(likeness: float, count: int, each: int) -> None:
    """The definition, by another road: the best of relatives drawn as normals is the best of so many strangers."""
    rng = np.random.default_rng(5)
    real = float(np.mean([families(rng, 1, count, each, likeness).max() for _ in range(4_000)]))
    effective = effective_trials(families(rng, 350, count, each, likeness))
    assert expected_max_sharpe(1.0, effective) == pytest.approx(real, abs=0.15)
    assert effective < count * each / 2


def test_a_mirrored_configuration_is_a_bet_of_its_own() -> None:
    one = np.random.default_rng(2).normal(size=(100, 1))
    assert clusters(np.hstack((one, -one, 3 * one + 5))).labels.tolist() == [0, 1, 0]


def test_what_never_moves_is_no_trial() -> None:
    one = np.random.default_rng(3).normal(size=(100, 2))
    held = clusters(np.hstack((np.zeros((100, 1)), one, np.full((100, 1), 7.0))))
    assert held.labels.tolist() == [-1, 0, 1, -1] and held.leaders.tolist() == [1, 2]
    assert effective_trials(np.zeros((10, 4))) == 1.0


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000), batch=st.integers(1, 9), bound=st.sampled_from([0.3, 0.7, 0.95]))
def test_clusters_are_the_first_leader_rule_word_for_word(seed: int, batch: int, bound: float) -> None:
    rng = np.random.default_rng(seed)
    daily = families(rng, 40, 4, 5, 0.8)[:, rng.permutation(20)]
    daily[:, 6] = 0.0
    matrix = np.corrcoef(daily[:, [k for k in range(20) if k != 6]].T)
    full = np.zeros((20, 20))
    full[np.ix_([k for k in range(20) if k != 6], [k for k in range(20) if k != 6])] = matrix
    leaders: list[int] = []
    labels = []
    for k in range(20):
        if k == 6:
            labels.append(-1)
            continue
        near = [place for place, leader in enumerate(leaders) if full[k, leader] >= bound]
        if not near:
            leaders.append(k)
        labels.append(near[0] if near else len(leaders) - 1)
    before = trials._BATCH
    trials._BATCH = batch
    try:
        found = clusters(daily, bound)
    finally:
        trials._BATCH = before
    assert found.leaders.tolist() == leaders and found.labels.tolist() == labels


def test_more_than_the_limit_is_sampled_and_scaled(monkeypatch) -> None:
    daily = np.random.default_rng(4).normal(size=(60, 300))
    sampled = effective_trials(daily[:, np.linspace(0, 299, 100).astype(int)])
    monkeypatch.setattr(trials, "LIMIT", 100)
    assert effective_trials(daily) == pytest.approx(3 * sampled)
    assert luck(daily).clusters == 100


def test_the_spread_is_that_of_the_leaders_and_never_below_chance() -> None:
    daily = families(np.random.default_rng(6), 200, 5, 30, 0.9) + np.repeat([0.0, 0.2, -0.2, 0.1, -0.3], 30)
    leaders = clusters(daily).leaders
    ratios = daily.mean(axis=0) / daily.std(axis=0, ddof=1)
    found = luck(daily)
    assert found.clusters == leaders.size == 5
    assert found.variance == pytest.approx(ratios[leaders].var(ddof=1)) and found.variance > 2 / 199
    assert luck(np.hstack([daily[:, :1]] * 4)).variance == 1 / 199
    nothing = luck(np.zeros((20, 3)))
    assert (nothing.effective, nothing.variance, nothing.clusters) == (1.0, 1 / 19, 0)
    assert luck(daily) == luck(daily) != luck(daily, seed=2)


def test_neither_money_unit_nor_merit_of_a_configuration_matters() -> None:
    """Luck is drawn from studentised, recentred results."""
    daily = families(np.random.default_rng(7), 100, 6, 5, 0.6)
    scaled = daily * 2.0 ** np.arange(-15, 15)
    assert effective_trials(scaled, 200) == pytest.approx(effective_trials(daily, 200))
    assert effective_trials(daily + 0.3, 200) == pytest.approx(effective_trials(daily, 200))


def test_there_are_never_more_trials_than_configurations() -> None:
    """Two trades in 300 days each: their luck has fatter tails than normal draws, and still counts for one apiece."""
    daily = np.zeros((300, 24), dtype=np.int32)
    daily[np.arange(24) * 9, np.arange(24)] = 500
    daily[np.arange(24) * 9 + 60, np.arange(24)] = -400
    assert effective_trials(daily[:, :20]) == pytest.approx(20.0)


def fooled(daily: np.ndarray) -> bool:
    """Return whether the best of worthless configurations passes the deflated Sharpe ratio."""
    ratios = daily.mean(axis=0) / daily.std(axis=0, ddof=1)
    best = daily[:, int(ratios.argmax())]
    found = luck(daily, 300)
    _, _, skew, kurt = moments(best)
    return dsr(sharpe(best), len(best), skew, kurt, found.variance, found.effective) >= 0.95


@pytest.mark.slow
@pytest.mark.parametrize(("likeness", "count", "each"), [(0.0, 200, 1), (0.9, 25, 8), (0.5, 1, 200), (0.8, 1, 200)])
def test_luck_alone_seldom_passes_the_deflated_ratio(likeness: float, count: int, each: int) -> None:
    """The best of many worthless configurations, related or not, in about one search of twenty at most."""
    many = sum(fooled(families(np.random.default_rng(seed), 250, count, each, likeness)) for seed in range(60))
    print(f"likeness {likeness}: {many} of 60 fooled")
    assert many <= 7


def test_copies_do_not_hide_the_strangers_among_them() -> None:
    many = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        many += fooled(np.hstack((families(rng, 250, 1, 200, 0.98), rng.normal(size=(250, 20)))))
    assert many <= 5


def test_an_impossible_bound_is_refused() -> None:
    with pytest.raises(StatisticsInputError, match="above 0"):
        clusters(np.ones((10, 2)), 0.0)
