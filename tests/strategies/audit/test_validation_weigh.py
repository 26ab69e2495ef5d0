"""From days and trades to facts: by hand where it can be, and never from another trial's holdout."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from strategies.mle.audit.split import split_days
from strategies.mle.audit.verdict import Status, judge
from strategies.mle.audit.weigh import Case, Neighbour, Settings, best_trial, sharpes, weigh

SETTINGS = Settings(draws=500, reality_draws=200)
DAYS = np.array([day for day in range(738000, 738000 + 700) if (day + 6) % 7 < 5])[:400]


def case_of(seed: int = 1, drift: float = 30.0, trials: int = 1) -> Case:
    """Return a case of four trades a date, each N(drift, 100) dollars."""
    rng = np.random.default_rng(seed)
    split = split_days(DAYS)
    rows = np.repeat(np.arange(len(DAYS)), 4)
    nets = np.rint(rng.normal(drift, 100, len(rows)) * 100).astype(np.int64)
    sides = np.where(rng.random(len(rows)) < 0.5, 1, -1)
    daily = np.bincount(rows, weights=nets, minlength=len(DAYS)).astype(np.int64)
    others = np.rint(rng.normal(0, 20_000, (split.fit_end, trials - 1))).astype(np.int64)
    tried = None if trials == 1 else np.hstack([daily[split.fit].reshape(-1, 1), others])
    return Case(split, daily, rows, sides, nets, tried, trials, None, 2, daily - 400, (Neighbour("a", 1),))


def test_sums_are_those_of_the_parts() -> None:
    case = case_of()
    facts = weigh(case, SETTINGS).facts
    assert facts.fit_net_cents == case.daily[:279].sum()
    assert facts.hold_net_cents == case.daily[281:].sum()
    assert facts.hold_trades == 4 * 119 == 4 * facts.hold_days
    held = case.trade_rows >= 281
    assert facts.long_net_cents == case.trade_nets[held & (case.trade_sides > 0)].sum()
    assert facts.long_net_cents + facts.short_net_cents == facts.hold_net_cents
    assert facts.slip_hold_net_cents == facts.hold_net_cents - 400 * 119
    assert facts.slip_total_net_cents == facts.hold_net_cents + facts.fit_net_cents - 400 * (279 + 119)


def test_an_edge_passes_and_its_absence_fails() -> None:
    assert judge(weigh(case_of(), SETTINGS).facts).passed
    assert judge(weigh(case_of(trials=50), SETTINGS).facts).passed
    assert not judge(weigh(case_of(drift=0.0), SETTINGS).facts).passed


def test_months_count_judged_dates_only() -> None:
    case = case_of()
    facts = weigh(case, SETTINGS).facts
    assert facts.months == 20  # July 2021 to February 2023
    lost = case.daily.copy()
    lost[case.split.fit_end : case.split.hold_start] = -(10**9)
    assert weigh(replace(case, daily=lost), SETTINGS).facts == facts


def test_one_huge_day_is_found_in_the_holdout_and_in_the_whole() -> None:
    case = case_of()
    for row in (5, 390):
        daily = case.daily.copy()
        daily[row] = 10 * case.daily.sum()
        facts = weigh(replace(case, daily=daily), SETTINGS).facts
        assert facts.day_share is not None and facts.day_share > 0.9, row


def test_no_other_trials_holdout_is_read() -> None:
    """The matrix that is handed over ends where the fitted dates end; the choice too."""
    case = case_of(trials=20)
    assert case.trials is not None and case.trials.shape == (279, 20)
    whole = np.random.default_rng(3).normal(0, 1, (400, 9))
    chosen = best_trial(whole[case.split.fit])
    whole[case.split.fit_end :] = 99.0
    assert best_trial(whole[case.split.fit]) == chosen


def test_trials_that_never_trade_count_as_trials_and_spoil_nothing() -> None:
    case = case_of(trials=20)
    assert case.trials is not None
    padded = np.hstack([case.trials, np.zeros((279, 5), dtype=np.int64)])
    facts = weigh(replace(case, trials=padded, trial_count=25), SETTINGS).facts
    assert facts.trials == 25
    assert replace(facts, trials=20) == weigh(case, SETTINGS).facts


def test_looks_at_the_holdout_deflate_it() -> None:
    case = case_of(drift=6.0)
    alone = weigh(case, SETTINGS).facts
    looks = np.rint(np.random.default_rng(4).normal(0, 20_000, (119, 30))).astype(np.int64)
    facts = weigh(replace(case, looks_hold=looks), SETTINGS).facts
    assert (alone.looks, facts.looks) == (1, 31)
    assert alone.dsr_hold is not None and facts.dsr_hold is not None
    assert facts.dsr_hold < alone.dsr_hold - 0.05


def test_trials_whose_days_are_gone_deflate_too() -> None:
    case = case_of(drift=6.0, trials=30)
    known, more = weigh(case, SETTINGS).facts, weigh(replace(case, trial_count=3000), SETTINGS).facts
    assert more.effective_trials == pytest.approx(100 * known.effective_trials)
    assert known.dsr_fit is not None and more.dsr_fit is not None and more.dsr_fit < known.dsr_fit


def test_of_very_many_trials_evenly_spaced_ones_and_the_judged_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    case = case_of(trials=200)
    assert case.trials is not None
    last = replace(case, trials=np.roll(case.trials, 7, axis=1))
    whole = weigh(last, SETTINGS)
    monkeypatch.setattr("strategies.mle.audit.weigh.COMPARED", 50)
    part = weigh(last, SETTINGS)
    assert whole.reality is not None and part.reality is not None
    assert (len(whole.reality.studentised), len(part.reality.studentised)) == (200, 51)
    assert part.facts.survives and part.facts.trials == whole.facts.trials == 200
    assert part.facts.dsr_fit == whole.facts.dsr_fit


def test_a_good_trial_beside_it_does_not_vouch_for_the_judged_one() -> None:
    good, judged = case_of(drift=40.0), case_of(seed=2, drift=0.0)
    fit = judged.split.fit
    both = np.stack([judged.daily[fit], good.daily[fit]], axis=1)
    facts = weigh(replace(judged, trials=both, trial_count=2), SETTINGS).facts
    assert facts.rc_p is not None and facts.rc_p < 0.01 and facts.survivors == 1
    assert not facts.survives
    found = {one.id: one for one in judge(facts).criteria}
    assert found["reality_check"].status is Status.MISSED and "survivor" in found["reality_check"].reason
    assert weigh(replace(good, trials=both, trial_count=2), SETTINGS).facts.survives


def test_more_noise_among_the_trials_deflates_the_chosen() -> None:
    few, many = (
        weigh(case_of(drift=6.0, trials=3), SETTINGS).facts,
        weigh(case_of(drift=6.0, trials=300), SETTINGS).facts,
    )
    assert few.dsr_fit is not None and many.dsr_fit is not None
    assert many.dsr_fit < few.dsr_fit
    assert many.effective_trials > 250


@pytest.mark.parametrize("days", [0, 1, 2, 3, 8, 12, 20, 40])
def test_few_days_end_in_an_honest_fail(days: int) -> None:
    case = case_of()
    few = split_days(DAYS[:days])
    kept = case.trade_rows < days
    small = Case(
        few,
        case.daily[:days],
        case.trade_rows[kept],
        case.trade_sides[kept],
        case.trade_nets[kept],
        None,
        1,
        None,
        2,
        case.daily[:days],
    )
    verdict = judge(weigh(small, SETTINGS).facts)
    assert not verdict.passed
    unsure = {one.id: one.reason for one in verdict.failed if one.status is Status.UNDECIDABLE}
    assert "hold_trades" in unsure and all(unsure.values())


def test_no_trade_at_all_fails_in_words() -> None:
    case = case_of()
    none = np.empty(0, dtype=np.int64)
    still = np.zeros(400, dtype=np.int64)
    idle = Case(case.split, still, none, none, none, None, 1, None, 2, still)
    verdict = judge(weigh(idle, SETTINGS).facts)
    found = {one.id: one for one in verdict.criteria}
    assert not verdict.passed
    assert found["dsr"].status is Status.UNDECIDABLE and "never moves" in found["dsr"].reason
    assert found["one_day"].status is Status.MISSED
    assert found["reality_check"].status is Status.MISSED


def test_sharpe_ratios_of_a_matrix() -> None:
    rows = np.array([[1, 0, 3], [3, 0, -1], [2, 0, -5]])
    assert sharpes(rows) == pytest.approx([2.0, 0.0, -0.25])
    assert best_trial(rows) == 0
    assert best_trial(np.hstack([rows, rows])) == 0


def test_what_would_be_needed_is_said() -> None:
    needed = weigh(case_of(), SETTINGS).needed
    assert needed.min_trl_days is not None and 2 < needed.min_trl_days < 119
    assert needed.hold_days_for_trades == 75
    assert needed.total_days_for_trades == 253
    losing = weigh(case_of(drift=-30.0), SETTINGS).needed
    assert losing.min_trl_days == float("inf") and losing.min_btl_years is None


def test_the_same_seed_gives_the_same_facts() -> None:
    assert weigh(case_of(trials=30), SETTINGS).facts == weigh(case_of(trials=30), SETTINGS).facts
