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
    independent_bets,
    moments,
    sharpe,
)


def families(rng, days: int, count: int, each: int, likeness: float) -> np.ndarray:
    """Return count x each columns; two of one family correlate by ``likeness``."""
    common = np.repeat(rng.normal(size=(days, count)), each, axis=1)
    return np.sqrt(likeness) * common + np.sqrt(1 - likeness) * rng.normal(size=(days, count * each))


def test_strangers_count_each_and_copies_once() -> None:
    rng = np.random.default_rng(1)
    strangers = rng.normal(size=(250, 700))
    assert effective_trials(strangers) == 700.0
    assert effective_trials(np.hstack([strangers[:, :9]] * 100)) == 9.0
    assert effective_trials(families(rng, 250, 30, 40, 0.9)) == 30.0


def test_a_mirrored_configuration_is_a_bet_of_its_own() -> None:
    one = np.random.default_rng(2).normal(size=(100, 1))
    assert effective_trials(np.hstack((one, -one, 3 * one + 5))) == 2.0


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
    monkeypatch.setattr(trials, "LIMIT", 100)
    bets = independent_bets(daily)
    assert bets.count == effective_trials(daily) == 300.0
    assert bets.leaders.size == 100 and (np.diff(bets.leaders) >= 2).all() and bets.leaders[-1] == 299


@pytest.mark.parametrize(("likeness", "count", "each"), [(0.0, 200, 1), (0.9, 25, 12), (0.5, 1, 200)])
def test_luck_alone_seldom_passes_the_deflated_ratio(likeness: float, count: int, each: int) -> None:
    """The best of many worthless configurations, related or not: DSR >= 0.95 in at most about one search of ten."""
    fooled = 0
    for seed in range(60):
        daily = families(np.random.default_rng(seed), 250, count, each, likeness)
        ratios = daily.mean(axis=0) / daily.std(axis=0, ddof=1)
        best = daily[:, int(ratios.argmax())]
        bets = independent_bets(daily)
        variance = max(1 / 249, float(ratios[bets.leaders].var(ddof=1)) if bets.leaders.size > 1 else 0.0)
        _, _, skew, kurt = moments(best)
        fooled += dsr(sharpe(best), 250, skew, kurt, variance, bets.count) >= 0.95
    print(f"likeness {likeness}: {fooled} of 60 fooled")
    assert fooled <= 6


def test_an_impossible_bound_is_refused() -> None:
    with pytest.raises(StatisticsInputError, match="above 0"):
        clusters(np.ones((10, 2)), 0.0)
