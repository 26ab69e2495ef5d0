"""The whole verb can also say yes: a made-up market that follows its reclaims, judged as any other (pj1 S11.10)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import made_up
import pytest

import pj.simulators.market as market
from pj.cli import main

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

DAYS = 225
FOLLOWED = 0.4
"""Drift a minute after a reclaim, in standard deviations of the minute; on average the usual market has none."""


@pytest.fixture
def followed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let every reclaim of the made-up market be followed by a run its way."""
    plans, attack = market._attacks, market._Maker._attack

    def kind(rng: Random) -> list[Any]:
        return [replace(one, reclaims=True, runs=True) for one in plans(rng)]

    def pushed(self: Any, plan: Any) -> None:
        attack(self, plan)
        left, slope = self.push
        self.push = (left, FOLLOWED if slope > 0 else -FOLLOWED)

    monkeypatch.setattr(market, "_attacks", kind)
    monkeypatch.setattr(market._Maker, "_attack", pushed)
    market._day_rows.cache_clear()
    made_up.bars_of.cache_clear()
    yield
    market._day_rows.cache_clear()
    made_up.bars_of.cache_clear()


def judged(folder: Path) -> tuple[int, dict[str, Any]]:
    bars = made_up.write_bars(folder / "bars.parquet", DAYS)
    assert main(["backtest", "--bars", str(bars), "--out", str(folder / "bt")]) == 0
    code = main(["validate", "--backtest", str(folder / "bt"), "--ledger", str(folder / "looks.jsonl")])
    return code, json.loads((folder / "bt" / "validation" / "verdict.json").read_text("utf-8"))


def test_a_market_that_follows_reclaims_passes(
    tmp_path: Path, followed: None, capsys: pytest.CaptureFixture[str]
) -> None:
    code, tree = judged(tmp_path)
    assert [one for one in tree["criteria"] if one["status"] != "pass"] == []
    assert (code, tree["verdict"]) == (0, "PASS")
    assert "PASS  backtest, MNQ" in capsys.readouterr().out
    assert all(null["p"] < 0.01 for null in tree["beside"]["permutation"])


def test_the_same_days_of_the_usual_market_fail(tmp_path: Path) -> None:
    code, tree = judged(tmp_path)
    assert (code, tree["verdict"]) == (1, "FAIL")
    assert "undecidable" not in {one["status"] for one in tree["criteria"]}, "decided, not for want of data"
