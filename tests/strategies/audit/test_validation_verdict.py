"""The verdict: PASS needs every criterion, each criterion can refuse alone, the undecidable is no PASS."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from strategies.mle.audit.verdict import Facts, Status, judge

GOOD = Facts(
    hold_trades=300,
    hold_days=120,
    fit_net_cents=1,
    hold_net_cents=1,
    lower_day_cents=0.5,
    dsr_fit=0.95,
    dsr_hold=0.99,
    trials=500,
    effective_trials=420.5,
    looks=1,
    pbo=0.199,
    pbo_oos_sharpe=0.01,
    rc_p=0.049,
    spa_p=0.01,
    survivors=3,
    survives=True,
    months=5,
    months_positive=3,
    long_net_cents=1,
    short_net_cents=1,
    slip_ticks=2,
    slip_hold_net_cents=1,
    slip_total_net_cents=1,
    day_share=0.2,
    neighbours=4,
    neighbours_positive=4,
)


def test_all_met_passes_exactly_at_the_thresholds() -> None:
    verdict = judge(GOOD)
    assert verdict.passed and verdict.word == "PASS" and verdict.failed == ()
    assert len({one.id for one in verdict.criteria}) == len(verdict.criteria) == 12
    assert all(one.words and one.threshold and one.reason for one in verdict.criteria)


@pytest.mark.parametrize(
    ("change", "criterion"),
    [
        ({"fit_net_cents": 0}, "fit_net"),
        ({"hold_net_cents": 0}, "hold_net"),
        ({"lower_day_cents": 0.0}, "hold_lower_bound"),
        ({"dsr_fit": 0.9499}, "dsr"),
        ({"dsr_hold": 0.9499}, "dsr"),
        ({"pbo": 0.2}, "pbo"),
        ({"pbo_oos_sharpe": 0.0}, "pbo"),
        ({"rc_p": 0.05}, "reality_check"),
        ({"spa_p": 0.05}, "reality_check"),
        ({"survives": False}, "reality_check"),
        ({"months_positive": 2}, "months"),
        ({"long_net_cents": 0}, "directions"),
        ({"short_net_cents": 0}, "directions"),
        ({"slip_hold_net_cents": 0}, "slippage"),
        ({"slip_total_net_cents": 0}, "slippage"),
        ({"day_share": 0.2001}, "one_day"),
        ({"day_share": None}, "one_day"),
        ({"neighbours_positive": 3}, "neighbours"),
    ],
)
def test_each_criterion_can_refuse_alone(change: dict[str, Any], criterion: str) -> None:
    verdict = judge(replace(GOOD, **change))
    assert not verdict.passed
    assert [(one.id, one.status) for one in verdict.failed] == [(criterion, Status.MISSED)]


@pytest.mark.parametrize(
    ("change", "criterion", "said"),
    [
        ({"hold_trades": 299}, "hold_trades", "too few"),
        ({"lower_day_cents": None}, "hold_lower_bound", "because"),
        ({"dsr_fit": None}, "dsr", "because"),
        ({"dsr_hold": None}, "dsr", "because"),
        ({"pbo": None}, "pbo", "because"),
        ({"rc_p": None}, "reality_check", "because"),
        ({"months": 2, "months_positive": 2}, "months", "fewer than 3"),
        ({"months": 0, "months_positive": 0}, "months", "fewer than 3"),
        ({"slip_hold_net_cents": None}, "slippage", "because"),
        ({"neighbours": 0, "neighbours_positive": 0}, "neighbours", "no neighbour"),
    ],
)
def test_what_cannot_be_decided_is_no_pass_and_says_why(change: dict[str, Any], criterion: str, said: str) -> None:
    why = dict.fromkeys(("lower_day_cents", "dsr_fit", "dsr_hold", "pbo", "rc_p", "slip_hold_net_cents"), "because")
    verdict = judge(replace(GOOD, why=why, **change))
    assert not verdict.passed
    [failed] = verdict.failed
    assert (failed.id, failed.status) == (criterion, Status.UNDECIDABLE)
    assert said in failed.reason


def test_one_configuration_cannot_be_overfitted_by_choice_but_must_earn_in_the_halves() -> None:
    alone = replace(GOOD, trials=1, pbo=None)
    assert judge(alone).passed
    assert [one.id for one in judge(replace(alone, pbo_oos_sharpe=-0.1)).failed] == ["pbo"]
    assert not judge(replace(alone, pbo_oos_sharpe=None, why={"pbo": "because"})).passed
