"""``pj validate --search``: freeze on fitted dates alone, count every trial, refuse what does not follow."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_up import write_bars

from live.params import Params
from pj.cli import main
from strategies.mle.audit.evidence import BarChoice
from strategies.mle.audit.search_evidence import grid_steps, search_evidence
from strategies.mle.audit.split import split_days
from strategies.mle.audit.weigh import best_trial
from strategies.mle.bar_file import BacktestInputError
from strategies.mle.phase16a_validation import Plan, validate_search
from strategies.mle.registry import file_sha256
from strategies.mle.search.result import open_search
from strategies.mle.search.space import read_space

#: The first run after a change of any kernel compiles all of them.
pytestmark = pytest.mark.timeout(400)

SPACE = """
swing_n: [5, 10, 15]
target_r: ["1", "2", "3"]
max_hold_min: [15, 60]
fixed: {eq_tol_ticks: 4}
"""


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with bars.parquet and a search of 18 combinations over them."""
    folder = tmp_path_factory.mktemp("made")
    write_bars(folder / "bars.parquet", 60)
    (folder / "space.yaml").write_text(SPACE, "utf-8")
    words = ["--bars", str(folder / "bars.parquet"), "--space", str(folder / "space.yaml")]
    assert main(["search", *words, "--out", str(folder / "sr")]) == 0
    return folder


@pytest.fixture
def made(ran: Path, tmp_path: Path) -> Path:
    """Return a copy of it that a test may spoil."""
    return Path(shutil.copytree(ran, tmp_path / "made"))


def validate(made: Path, *words: str) -> int:
    places = ["--search", str(made / "sr"), "--bars", str(made / "bars.parquet"), "--out", str(made / "v")]
    return main(["validate", *places, "--ledger", str(made / "looks.jsonl"), "--placebos", "5", *words])


def verdict(made: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((made / "v" / "verdict.json").read_text("utf-8"))
    return found


def test_a_search_is_judged_with_all_its_trials(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert validate(made) == 1
    tree = verdict(made)
    assert tree["facts"]["trials"] == 18 and tree["overfitting"]["splits"] == 12_870
    assert tree["source"]["kind"] == "search" and tree["source"]["trial"] is not None
    assert f"trial {tree['source']['trial']} of 18" in capsys.readouterr().out
    assert len(tree["beside"]["neighbours"]) <= 5
    assert {one["parameter"] for one in tree["beside"]["neighbours"]} <= {"swing_n", "target_r", "max_hold_min"}
    found = open_search(made / "sr")
    daily = found.daily()
    assert daily is not None
    fit = daily[split_days(found.days).fit]
    assert found.params_of(tree["source"]["trial"]).to_dict() == Params.from_dict(tree["source"]["params"]).to_dict()
    assert int(found.trials["trial"][best_trial(fit)]) == tree["source"]["trial"]


def test_the_same_search_gives_the_same_bytes(made: Path) -> None:
    assert validate(made) == 1
    before = {path.name: path.read_bytes() for path in (made / "v").iterdir()}
    assert validate(made) == 1
    assert {path.name: path.read_bytes() for path in (made / "v").iterdir()} == before


def test_no_held_out_row_of_the_search_is_read(made: Path) -> None:
    """Spoil all of them, with the record mended: neither choice nor verdict may change."""
    assert validate(made) == 1
    before = verdict(made)
    daily = np.load(made / "sr" / "daily.npy")
    daily[:, split_days(open_search(made / "sr").days).fit_end :] = 12_345
    np.save(made / "sr" / "daily.npy", daily)
    record = json.loads((made / "sr" / "run.json").read_text("utf-8"))
    record["outputs"]["daily.npy"] = file_sha256(made / "sr" / "daily.npy")
    (made / "sr" / "run.json").write_text(json.dumps(record), "utf-8")
    assert validate(made) == 1
    assert verdict(made) == before


def test_spoiled_fitted_days_are_refused(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    daily = np.load(made / "sr" / "daily.npy")
    daily[3, :5] += 100_000
    np.save(made / "sr" / "daily.npy", daily)
    assert validate(made) == 2
    assert "daily.npy is changed since the search was recorded" in capsys.readouterr().err
    record = json.loads((made / "sr" / "run.json").read_text("utf-8"))
    record["outputs"]["daily.npy"] = file_sha256(made / "sr" / "daily.npy")
    (made / "sr" / "run.json").write_text(json.dumps(record), "utf-8")
    assert validate(made) == 2
    assert "cents on date 1 of the search, bars and parameters give" in capsys.readouterr().err
    assert not (made / "looks.jsonl").exists()


def test_other_bars_are_refused(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_bars(made / "bars.parquet", 59)
    assert validate(made) == 2
    assert "has other bytes than the bars" in capsys.readouterr().err


def test_words_that_a_search_knows_itself_are_refused(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert validate(made, "--front") == 2
    assert "drop --front" in capsys.readouterr().err
    assert validate(made, "--backtest", str(made / "sr")) == 2
    assert "one of --backtest DIR and --search DIR" in capsys.readouterr().err


def test_a_search_without_days_cannot_be_judged(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (made / "space.yaml").write_text(SPACE + "keep_daily_cells: 0\n", "utf-8")
    words = ["--bars", str(made / "bars.parquet"), "--space", str(made / "space.yaml")]
    assert main(["search", *words, "--out", str(made / "thin")]) == 0
    capsys.readouterr()
    assert main(["validate", "--search", str(made / "thin"), "--ledger", str(made / "looks.jsonl")]) == 2
    assert "keep_daily_cells: 1080 or more" in capsys.readouterr().err


def test_no_search_is_said(made: Path) -> None:
    with pytest.raises(BacktestInputError, match="holds no search"):
        search_evidence(made, BarChoice())


def test_a_look_by_hand_before_the_search_is_one_more_trial(made: Path) -> None:
    bars = ["--bars", str(made / "bars.parquet")]
    ledger = ["--ledger", str(made / "looks.jsonl"), "--placebos", "5"]
    assert main(["backtest", *bars, "--out", str(made / "bt")]) == 0
    assert main(["validate", "--backtest", str(made / "bt"), *ledger]) == 1
    assert validate(made) == 1
    tree = verdict(made)
    assert tree["looks"]["number"] == 2 and tree["facts"]["trials"] == 19


def test_a_backtest_after_a_search_carries_the_trials_of_the_search(made: Path) -> None:
    assert validate(made) == 1
    bars = ["--bars", str(made / "bars.parquet")]
    assert main(["backtest", *bars, "--out", str(made / "bt")]) == 0
    words = ["--ledger", str(made / "looks.jsonl"), "--placebos", "5", "--out", str(made / "v")]
    assert main(["validate", "--backtest", str(made / "bt"), *words]) == 1
    tree = verdict(made)
    assert tree["looks"]["earlier_trials"] == 18 and tree["facts"]["trials"] == 19


def test_a_backtest_of_the_chosen_trial_does_not_shake_off_the_others(made: Path) -> None:
    assert validate(made) == 1
    (made / "p.json").write_text(json.dumps(verdict(made)["source"]["params"]), "utf-8")
    words = ["--bars", str(made / "bars.parquet"), "--params", str(made / "p.json")]
    assert main(["backtest", *words, "--out", str(made / "bt")]) == 0
    places = ["--ledger", str(made / "looks.jsonl"), "--placebos", "5", "--out", str(made / "alone")]
    assert main(["validate", "--backtest", str(made / "bt"), *places]) == 1
    tree = json.loads((made / "alone" / "verdict.json").read_text("utf-8"))
    assert tree["looks"]["number"] == 1 and tree["facts"]["trials"] == 19


def test_grid_steps_go_one_place_along_each_axis_of_numbers() -> None:
    raw = {
        "swing_n": [20, 5, 10],
        "target_r": ["3/2", "2"],
        "min_risk_ticks": [20, 60],
        "max_risk_ticks": [40, 200],
        "use_kinds": [["PD"], ["PD", "SW"]],
        "cooldown_min": [5],
    }
    space = read_space(raw)
    here = replace(space.base, swing_n=10, max_risk_ticks=40, use_kinds=("PD",))
    steps = [(name, old, new) for name, old, new, _ in grid_steps(space, here)]
    assert sorted(steps) == [
        ("max_risk_ticks", "40", "200"),
        ("swing_n", "10", "20"),
        ("swing_n", "10", "5"),
        ("target_r", "2", "3/2"),
    ], "min_risk_ticks 60 is above max_risk_ticks 40 here"
    edge = [moved.swing_n for name, _, _, moved in grid_steps(space, replace(here, swing_n=20)) if name == "swing_n"]
    assert edge == [10]


def test_a_grid_without_numbers_falls_back_to_natural_steps(made: Path) -> None:
    (made / "space.yaml").write_text("use_kinds: [[PD, ASIA, LDN, OR, NYAM, NYL], [EQ, SW, PD]]\n", "utf-8")
    words = ["--bars", str(made / "bars.parquet"), "--space", str(made / "space.yaml")]
    assert main(["search", *words, "--out", str(made / "kinds")]) == 0
    plan = Plan(ledger=made / "looks.jsonl", placebo_runs=2, null_draws=10)
    audit = validate_search(made / "kinds", BarChoice(), plan)
    assert len(audit.steps) > 50 and audit.weighed.facts.trials == 2
