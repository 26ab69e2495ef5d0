"""Audit the auditor (pj1 S11.10): it must refuse luck and must be able to say yes.

Noise: 500 configurations of 1,500 trades each over 500 days, each worth exactly nothing after costs, the best of the
fitted part picked. Planted: the same, but 25 neighbouring configurations share one tape of trades that earns 0.3 R a
trade after costs. 20 seeds of each run here; ``pytest -m campaign tests/strategies/audit`` runs 100.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from strategies.mle.audit.split import split_days
from strategies.mle.audit.statistics import StatisticsInputError, sharpe, sign_permutation
from strategies.mle.audit.synthetic import SyntheticSearch, synthetic_search
from strategies.mle.audit.verdict import Verdict, judge
from strategies.mle.audit.weigh import Case, Neighbour, Settings, best_trial, weigh

FIRST_DATE = 738_886  # 2024-01-02
SETTINGS = Settings(draws=4_000, reality_draws=1_000)


def trade_dates(count: int) -> np.ndarray:
    """Return Mondays to Fridays from 2024-01-02 on."""
    ordinals = np.arange(FIRST_DATE, FIRST_DATE + 2 * count)
    return ordinals[(ordinals - 1) % 7 < 5][:count].astype(np.int32)


def audit(search: SyntheticSearch, *, frozen: bool = False) -> Verdict:
    """Pick the best of the fitted part and judge it; ``frozen``: judge the middle column as the only one ever tried."""
    split = split_days(trade_dates(search.daily.shape[0]))
    middle = search.family[len(search.family) // 2] if search.family else search.daily.shape[1] // 2
    chosen = middle if frozen else best_trial(search.daily[split.fit])
    trades = search.trades_of(chosen)
    slipped = np.bincount(trades.rows, weights=trades.slipped_cents, minlength=len(split.days)).astype(np.int64)
    nets = search.daily[split.judged].sum(axis=0)
    case = Case(
        split=split,
        daily=search.daily[:, chosen].astype(np.int64),
        trade_rows=trades.rows,
        trade_sides=trades.sides,
        trade_nets=trades.net_cents,
        trials=None if frozen else search.daily[split.fit],
        trial_count=1 if frozen else search.daily.shape[1],
        looks_hold=None,
        slip_ticks=2,
        slip_daily=slipped,
        neighbours=tuple(Neighbour(str(k), int(nets[k])) for k in search.neighbours_of(chosen)),
    )
    return judge(weigh(case, SETTINGS).facts)


def study(edge_r: float, seeds: range, *, frozen: bool = False, columns: int = 500) -> tuple[int, Counter[str]]:
    """Return how many seeds pass, and how often each criterion was met."""
    passed, met = 0, Counter[str]()
    for seed in seeds:
        verdict = audit(synthetic_search(seed, edge_r, columns=columns), frozen=frozen)
        passed += verdict.passed
        met.update({one.id: 0 for one in verdict.criteria})
        met.update(one.id for one in verdict.criteria if one not in verdict.failed)
        if verdict.passed != (edge_r > 0) and edge_r in {0.0, 0.3}:
            print(f"seed {seed}: {verdict.word}", [(one.id, one.reason) for one in verdict.failed])
    print(f"edge {edge_r} R, frozen {frozen}, {len(seeds)} seeds: {passed} PASS; criteria met: {dict(met)}")
    return passed, met


@pytest.mark.slow
def test_noise_fails() -> None:
    passed, met = study(0.0, range(20))
    assert passed == 0
    assert met["dsr"] <= 1 and met["pbo"] <= 4 and met["reality_check"] <= 3


@pytest.mark.slow
def test_a_planted_edge_passes() -> None:
    passed, _ = study(0.3, range(20))
    assert passed >= 19


@pytest.mark.slow
def test_one_frozen_configuration_is_judged_alike() -> None:
    assert study(0.3, range(20), frozen=True, columns=30)[0] >= 19
    assert study(0.0, range(20), frozen=True, columns=30)[0] <= 1


@pytest.mark.campaign
@pytest.mark.timeout(1200)
def test_noise_fails_in_at_least_95_of_100_seeds() -> None:
    assert study(0.0, range(1000, 1100))[0] <= 5


@pytest.mark.campaign
@pytest.mark.timeout(1200)
def test_a_planted_edge_passes_in_at_least_95_of_100_seeds() -> None:
    assert study(0.3, range(1000, 1100))[0] >= 95


@pytest.mark.campaign
@pytest.mark.timeout(1200)
def test_one_frozen_configuration_in_100_seeds_and_smaller_edges() -> None:
    assert study(0.3, range(1000, 1100), frozen=True, columns=30)[0] >= 95
    assert study(0.0, range(1000, 1100), frozen=True, columns=30)[0] <= 5
    shares = [study(edge, range(1000, 1050), frozen=True, columns=30)[0] / 50 for edge in (0.05, 0.1, 0.2)]
    assert shares == sorted(shares)


def test_the_made_up_trades_have_the_edge_they_claim() -> None:
    for edge in (0.0, 0.3):
        search = synthetic_search(7, edge, columns=40)
        r = np.concatenate([search.trades_of(k).r for k in range(40) if bool(edge) == (k in search.family)])
        middle = search.trades_of(search.family.start if edge else 20)
        assert len(middle.r) == 1500 and set(middle.sides.tolist()) == {-1, 1}
        assert (np.diff(middle.rows) >= 0).all()
        allowed = 4 * 1.5 / np.sqrt(1500 if edge else len(r))
        assert r.mean() == pytest.approx(edge, abs=allowed)
        assert (middle.net_cents - middle.slipped_cents == 100).all()


def test_a_family_shares_its_tape_and_noise_shares_nothing() -> None:
    search = synthetic_search(8, 0.3, columns=60)
    likeness = np.corrcoef(search.daily.T)
    kin = np.ix_(search.family, search.family)
    assert likeness[kin].min() > 0.8
    others = [k for k in range(60) if k not in search.family]
    strangers = likeness[np.ix_(others, others)] - np.eye(len(others))
    assert np.abs(strangers).max() < 0.25
    assert search.neighbours_of(search.family.start) == (search.family.start + 1,)
    assert np.array_equal(search.daily, synthetic_search(8, 0.3, columns=60).daily)
    assert not np.array_equal(search.daily, synthetic_search(9, 0.3, columns=60).daily)


def test_flipping_signs_finds_the_planted_edge_and_no_other() -> None:
    planted, noise = synthetic_search(11, 0.3, columns=30), synthetic_search(11, columns=30)
    assert sign_permutation(planted.trades_of(15).r, 2_000) < 0.001
    p = [sign_permutation(noise.trades_of(k).r, 2_000, groups=noise.trades_of(k).rows) for k in range(30)]
    assert 0.2 < np.mean(p) < 0.8 and np.mean(np.array(p) < 0.05) < 0.2


def test_the_best_of_noise_looks_good_until_it_is_judged() -> None:
    """What the auditor is for: in the fitted part the best of 500 worthless rules looks like a business."""
    search = synthetic_search(3)
    split = split_days(trade_dates(500))
    chosen = best_trial(search.daily[split.fit])
    assert sharpe(search.daily[split.fit, chosen]) * np.sqrt(252) > 2.0
    assert not audit(search).passed


@pytest.mark.parametrize("arguments", [{"edge_r": 1.95}, {"columns": 10, "family": 11}, {"days": 1}])
def test_impossible_searches_are_refused(arguments) -> None:
    with pytest.raises(StatisticsInputError):
        synthetic_search(1, **arguments)
