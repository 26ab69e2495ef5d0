"""Limits of a profile: they tighten, they never loosen, and they are shown and journaled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from live.params import Params
from pj.config import ConfigError, load_settings, settings_with_origin
from pj.config.limits import SMALLER_IS_TIGHTER, beyond_spec, tightened

SPEC = Params().to_dict()


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_profile_that_runs_is_tightened_and_no_other(folder: Path) -> None:
    (folder / "config.yaml").write_text(
        "limits:\n  live: {max_qty: 1, max_daily_loss_usd: 100.50, cooldown_min: 30}\n  paper: {max_qty: 2}\n  sim:\n",
        encoding="utf-8",
    )
    live = load_settings({}, {"profile": "live"}).params()
    assert (live.max_qty, live.max_daily_loss_cents, live.cooldown_min) == (1, 10_050, 30)
    assert (live.max_trades_day, live.risk_per_trade_cents) == (6, 10_000), "what is left out stays the strategy's"
    assert load_settings({}, {"profile": "paper"}).params().max_qty == 2
    assert load_settings({}).params() == Params()


def test_what_is_in_force_is_shown_with_its_origin(folder: Path) -> None:
    env = {"PJ__PROFILE": "live", "PJ__LIMITS__LIVE__MAX_QTY": "1"}
    rows = {row.key: (row.value, row.origin) for row in settings_with_origin(env)[1]}
    assert rows["strategy.pj.max_qty"] == (1, "limits.live")
    assert rows["limits.live.max_qty"] == (1, "environment")
    assert rows["strategy.pj.max_trades_day"] == (6, "default")
    assert "limits.paper.max_qty" not in rows, "a limit that is not set is not shown"
    assert load_settings(env).profile_limits.chosen() == {"max_qty": 1}


def test_only_the_profile_that_runs_must_fit_the_strategy() -> None:
    env = {"PJ__STRATEGY__PJ__MAX_QTY": "2", "PJ__LIMITS__LIVE__MAX_QTY": "3"}
    assert load_settings(env).params().max_qty == 2
    with pytest.raises(ConfigError, match=r"limits\.live\.max_qty is 3, looser than the strategy's own 2"):
        load_settings(env, {"profile": "live"})


@pytest.mark.parametrize("profile", ["paper", "live"])
def test_beyond_the_specification_needs_a_word(profile: str) -> None:
    env = {"PJ__PROFILE": profile, "PJ__STRATEGY__PJ__MAX_DAILY_LOSS_USD": "900", "PJ__STRATEGY__PJ__MAX_QTY": "9"}
    sentence = rf"profile {profile}: max_daily_loss_usd 900\.00 \(spec 450\.00\), max_qty 9 \(spec 5\); tighten it"
    with pytest.raises(ConfigError, match=sentence) as caught:
        load_settings(env)
    assert "\n" not in str(caught.value)
    assert load_settings({**env, f"PJ__LIMITS__{profile.upper()}__BEYOND_SPEC": "true"}).params().max_qty == 9
    assert load_settings({**env, "PJ__PROFILE": "sim"}).params().max_qty == 9
    cut = {f"PJ__LIMITS__{profile.upper()}__{name}": "4" for name in ("MAX_QTY", "MAX_DAILY_LOSS_USD")}
    assert load_settings({**env, **cut}).params().max_daily_loss_cents == 400


values = st.fixed_dictionaries(
    {},
    optional={
        name: st.integers(1, 2000).map(lambda n: f"{n}.50") if name.endswith("_usd") else st.integers(1, 2000)
        for name in SMALLER_IS_TIGHTER
    },
)


@given(strategy=values, limits=values)
def test_no_limit_ever_loosens(strategy: dict[str, Any], limits: dict[str, Any]) -> None:
    base = Params.from_dict({**strategy, "min_risk_ticks": 1})
    own_values = base.to_dict()
    loose = [
        name for name, value in limits.items()
        if (float(value) > float(str(own_values[name]))) == SMALLER_IS_TIGHTER[name]
        and float(value) != float(str(own_values[name]))
    ]  # fmt: skip
    if loose:
        with pytest.raises(ValueError, match=f"limits.live.{loose[0]} is .* only tighten"):
            tightened({**strategy, "min_risk_ticks": 1}, limits, "live", own_values)
        return
    chosen = tightened({**strategy, "min_risk_ticks": 1}, limits, "live", own_values)
    after = Params.from_dict(chosen).to_dict()
    for name, smaller in SMALLER_IS_TIGHTER.items():
        mine, own = float(str(after[name])), float(str(base.to_dict()[name]))
        assert mine <= own if smaller else mine >= own
        if name in limits:
            assert mine == float(limits[name])


def test_every_limit_is_a_parameter_and_the_specification_is_not_beyond_itself() -> None:
    assert set(SMALLER_IS_TIGHTER) <= set(SPEC)
    assert beyond_spec(SPEC, "live") == ""
    for name, smaller in SMALLER_IS_TIGHTER.items():
        loose = SPEC | {name: float(str(SPEC[name])) + (1 if smaller else -1)}
        assert name in beyond_spec(loose, "live") and name in beyond_spec(loose, "paper")
        assert beyond_spec(loose, "sim") == ""
