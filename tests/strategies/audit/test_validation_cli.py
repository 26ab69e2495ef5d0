"""``pj validate`` as a person runs it, over the embedded market generator's tapes."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from made_up import write_bars

from pj.cli import main
from strategies.mle.audit.ledger import Ledger

#: The first run after a change of any kernel compiles all of them.
pytestmark = pytest.mark.timeout(400)

DAYS = 60


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder that holds bars.parquet and the backtest of them."""
    folder = tmp_path_factory.mktemp("made")
    write_bars(folder / "bars.parquet", DAYS)
    assert main(["backtest", "--bars", str(folder / "bars.parquet"), "--out", str(folder / "bt")]) == 0
    return folder


@pytest.fixture
def made(ran: Path, tmp_path: Path) -> Path:
    """Return a copy of it that a test may spoil."""
    return Path(shutil.copytree(ran, tmp_path / "made"))


def validate(made: Path, *words: str, ledger: str = "looks.jsonl") -> int:
    return main(
        [
            "validate",
            "--backtest",
            str(made / "bt"),
            "--bars",
            str(made / "bars.parquet"),
            "--ledger",
            str(made / ledger),
            "--placebos",
            "5",
            *words,
        ]
    )


def verdict(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "verdict.json").read_text("utf-8"))
    return found


def test_a_real_run_fails_made_up_prices_in_words_json_and_html(made: Path) -> None:
    command = [sys.executable, "-m", "pj.cli", "validate", "--backtest", "bt", "--placebos", "5", "--out", "judged"]
    words = subprocess.run(command, cwd=made, capture_output=True, text=True, timeout=300, check=False)
    assert words.returncode == 1, words.stderr
    assert words.stdout.startswith("FAIL  backtest, MNQ, one configuration")
    assert "look 1 at this holdout" in words.stdout
    tree = verdict(made / "judged")
    assert tree["verdict"] == "FAIL" and len(tree["criteria"]) == 12
    assert [one["id"] for one in tree["criteria"] if one["status"] == "undecidable"] == ["hold_trades"]
    judged_net = tree["facts"]["fit_net_cents"] + tree["facts"]["hold_net_cents"]
    assert (
        tree["beside"]["placebo"]["real_net_cents"] == judged_net == tree["beside"]["cost_stress"][0]["total_net_cents"]
    )
    for one in tree["criteria"]:
        assert one["id"] in words.stdout and one["reason"] in words.stdout
    page = (made / "judged" / "report.html").read_text("utf-8")
    assert page.count("<svg") >= 6 and '<h1 class="FAIL">' in page
    assert "http" not in page.replace("http-equiv", ""), "the page must need nothing else"
    run = json.loads((made / "judged" / "run.json").read_text("utf-8"))
    assert run["kind"] == "validate" and run["seed"] == 1 and run["results"]["verdict"] == "FAIL"
    assert set(run["outputs"]) == {"verdict.json", "report.html"}
    assert (made / "runs" / "looks.jsonl").exists()


def test_json_on_stdout_is_the_file(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert validate(made, "--json", "--out", str(made / "a")) == 1
    assert json.loads(capsys.readouterr().out) == verdict(made / "a")


def test_the_same_inputs_give_the_same_bytes_and_the_same_look(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a", "b"):
        assert validate(made, "--out", str(made / name)) == 1
    assert "recorded before, not counted again" in capsys.readouterr().out
    for file in ("verdict.json", "report.html", "run.json"):
        assert (made / "a" / file).read_bytes() == (made / "b" / file).read_bytes(), file
    assert len(Ledger(made / "looks.jsonl").looks()) == 1
    assert validate(made, "--out", str(made / "c"), "--seed", "2") == 1
    assert verdict(made / "c")["beside"]["placebo"] != verdict(made / "a")["beside"]["placebo"]


def test_a_second_parameter_set_is_a_second_look_and_a_second_trial(made: Path) -> None:
    (made / "p.json").write_text('{"target_r": "3/2"}', "utf-8")
    assert validate(made, "--out", str(made / "a")) == 1
    bars = ["--bars", str(made / "bars.parquet")]
    assert main(["backtest", *bars, "--params", str(made / "p.json"), "--out", str(made / "bt")]) == 0
    assert validate(made, "--out", str(made / "b")) == 1
    first, second = verdict(made / "a"), verdict(made / "b")
    assert (first["looks"]["number"], second["looks"]["number"]) == (1, 2)
    assert second["looks"]["earlier_params_sha256"] == [first["source"]["params_sha256"]]
    assert (first["facts"]["trials"], second["facts"]["trials"]) == (1, 2)
    assert second["facts"]["looks"] == 2 and second["overfitting"] is not None


def test_the_look_is_recorded_before_the_holdout_is_read(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("strategies.mle.phase16a_validation.weigh", dies)
    assert validate(made, "--out", str(made / "a")) != 1
    assert [one.number for one in Ledger(made / "looks.jsonl").looks()] == [1]
    assert not (made / "a").exists()


@pytest.mark.parametrize("spoil", ["bt/trades.csv", "bt/events.csv"])
def test_changed_outputs_are_refused_in_one_sentence(
    made: Path, capsys: pytest.CaptureFixture[str], spoil: str
) -> None:
    text = (made / spoil).read_text("utf-8")
    (made / spoil).write_text(text.replace("2026", "2027", 1), "utf-8")
    assert validate(made) == 2
    said = capsys.readouterr().err
    assert Path(spoil).name in said and "changed since the run was recorded" in said and said.count("\n") == 1
    assert not (made / "looks.jsonl").exists(), "nothing was looked at"


def test_trades_that_do_not_follow_from_the_bars_are_refused(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (made / "bt" / "run.json").unlink()
    path = made / "bt" / "trades.csv"
    rows = path.read_text("utf-8").splitlines()
    cells = rows[3].split(",")
    cells[21] = str(float(cells[21]) + 100)
    path.write_text("\n".join([*rows[:3], ",".join(cells), *rows[4:], ""]), "utf-8")
    assert validate(made) == 2
    assert "trade 3: net_usd is" in capsys.readouterr().err
    path.write_text("\n".join([*rows[:-1], ""]), "utf-8")
    assert validate(made) == 2
    assert f"holds {len(rows) - 2} trades, bars and parameters give {len(rows) - 1}" in capsys.readouterr().err


def test_other_bars_are_refused(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_bars(made / "bars.parquet", DAYS - 1)
    assert validate(made) == 2
    assert "has other bytes than the bars" in capsys.readouterr().err
    (made / "bars.parquet").unlink()
    assert validate(made) == 2
    assert "give their place with --bars" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--params", "p.json"], "already says how the bars were read; drop --params"),
        (["--front", "--symbol", "MNQ"], "drop --symbol, --front"),
        (["--placebos", "0"], "give at least 1"),
        (["--floor", "-5"], "give one above zero"),
        (["--seed", "-1"], "give at least 0"),
    ],
)
def test_wrong_words_are_refused(made: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str) -> None:
    assert validate(made, *words) == 2
    assert said in capsys.readouterr().err


def test_folders_that_are_no_backtest_are_refused(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", "--backtest", str(made / "nowhere")]) == 2
    assert "is not a folder" in capsys.readouterr().err
    (made / "empty").mkdir()
    assert main(["validate", "--backtest", str(made / "empty")]) == 2
    assert "holds no run.json; give its bars with --bars" in capsys.readouterr().err
    assert validate(made, "--out", str(made / "v")) == 1
    capsys.readouterr()
    assert main(["validate", "--backtest", str(made / "v")]) == 2
    assert "holds a validate, not a backtest" in capsys.readouterr().err
    assert main(["validate"]) == 2


def test_a_folder_without_run_json_is_judged_by_bars_and_parameters(made: Path) -> None:
    assert validate(made, "--out", str(made / "a")) == 1
    (made / "bt" / "run.json").unlink()
    assert validate(made, "--out", str(made / "b")) == 1
    assert verdict(made / "a") == verdict(made / "b")


def test_too_few_days_fail_honestly(made: Path) -> None:
    write_bars(made / "few.parquet", 9)
    bars = ["--bars", str(made / "few.parquet")]
    assert main(["backtest", *bars, "--out", str(made / "few")]) == 0
    assert main(["validate", "--backtest", str(made / "few"), "--ledger", str(made / "looks.jsonl")]) == 1
    tree = verdict(made / "few" / "validation")
    open_ones = {one["id"]: one["reason"] for one in tree["criteria"] if one["status"] == "undecidable"}
    assert {"hold_trades", "hold_lower_bound", "reality_check", "pbo", "months"} <= set(open_ones)
    assert all(open_ones.values())


def test_no_trade_fails_honestly(made: Path) -> None:
    (made / "p.json").write_text('{"windows": []}', "utf-8")
    bars, params = ["--bars", str(made / "bars.parquet")], ["--params", str(made / "p.json")]
    assert main(["backtest", *bars, *params, "--out", str(made / "idle")]) == 0
    assert main(["validate", "--backtest", str(made / "idle"), "--ledger", str(made / "looks.jsonl")]) == 1
    assert verdict(made / "idle" / "validation")["source"]["trades"] == 0


def test_both_verbs_of_the_family_are_found(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", "--help"]) == 0
    assert "pj validate lookahead" in capsys.readouterr().out
    assert main(["validate", "lookahead", "--help"]) == 0
    assert "--cuts" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["nq_1m_2025-01_2025-06", "mnq_1m_2026-03_2026-05"])
def test_the_shipped_defaults_fail_on_the_real_files(tmp_path: Path, name: str) -> None:
    shared = Path(__file__).resolve().parents[4] / "shared" / "market_data"
    bars = shared / f"{name}.parquet"
    if not bars.exists():
        pytest.skip("the shared market data are not here")
    assert main(["backtest", "--bars", str(bars), "--front", "--out", str(tmp_path / "bt")]) == 0
    words = ["--ledger", str(tmp_path / "looks.jsonl"), "--placebos", "5"]
    assert main(["validate", "--backtest", str(tmp_path / "bt"), *words]) == 1
    failed = {one["id"] for one in verdict(tmp_path / "bt" / "validation")["criteria"] if one["status"] != "pass"}
    assert {"hold_trades", "fit_net", "hold_net", "hold_lower_bound", "dsr", "reality_check", "neighbours"} <= failed
