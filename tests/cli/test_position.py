"""``pj position``: what is said, what is refused, what is shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from live.market import INSTRUMENTS
from pj.channels.rundir import RunDir
from pj.channels.stats import StatsWriter
from pj.cli import main

SOURCE = "--set=execution.position_source="


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunDir:
    monkeypatch.chdir(tmp_path)
    return RunDir(tmp_path / "run", INSTRUMENTS["MNQ"]).create()


def pj(capsys: pytest.CaptureFixture[str], *words: str, source: str = "manual") -> tuple[int, str, str]:
    code = main(["position", *words, "--run-dir", "run", SOURCE + source])
    said = capsys.readouterr()
    return code, said.out, said.err


def engine_says(run: RunDir, **gauges: Any) -> None:
    StatsWriter(run.state("engine"), "engine", "x").beat("RUNNING", **gauges)


def test_set_and_show(run: RunDir, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = pj(capsys, "show")
    assert code == 1 and "UNVERIFIED: nothing was stated" in out
    code, out, _ = pj(capsys, "set", "short", "2", "--by", "ann", "--reason", "seen")
    assert code == 0 and "stated short 2 by ann at" in out and "no living engine has taken it" in out
    assert oct(run.position.stat().st_mode)[-3:] in {"644", "666"}
    stated = {"qty": -2, "by": "ann", "age_s": 1.0, "stale": False, "trouble": ""}
    engine_says(run, position=-2, account_position=None, position_stated=stated)
    code, out, _ = pj(capsys, "show", "--json")
    report = json.loads(out)
    assert code == 0 and (report["verified"], report["believed"], report["account"]) == (True, -2, None)
    assert report["stated"]["reason"] == "seen"


@pytest.mark.parametrize(
    ("gauges", "verified", "words"),
    [
        ({"position": 0, "position_stated": {"qty": 0, "stale": False}}, True, "stated flat by ann"),
        ({"position": 1, "position_stated": {"qty": 0, "stale": False}}, False, "stated flat by ann"),
        ({"position": 0, "position_stated": {"qty": 0, "stale": True}}, False, "an order was sent since"),
        ({"position": 0, "position_stated": {"qty": 3, "stale": False}}, False, "takes it within a second"),
    ],
)
def test_only_a_statement_that_holds_and_agrees_verifies(
    run: RunDir, capsys: pytest.CaptureFixture[str], gauges: dict[str, Any], verified: bool, words: str
) -> None:
    pj(capsys, "set", "flat", "--by", "ann")
    engine_says(run, **gauges)
    code, out, _ = pj(capsys, "show", "--json")
    report = json.loads(out)
    assert (code, report["verified"]) == (0 if verified else 1, verified) and words in report["says"]


def test_machines_sources_are_shown_and_none_never_verifies(run: RunDir, capsys: pytest.CaptureFixture[str]) -> None:
    engine_says(run, position=1, account_position=1)
    for source, code in (("ibkr", 0), ("simulated", 0), ("none", 1)):
        assert pj(capsys, "show", source=source)[0] == code
    assert "UNVERIFIED: nobody tells it" in pj(capsys, "show", source="none")[1]
    engine_says(run, position=1, account_position=None)
    assert pj(capsys, "show", source="ibkr")[0] == 1


@pytest.mark.parametrize(
    ("words", "source", "sentence"),
    [
        (["set", "flat"], "ibkr", "position_source is ibkr, so nobody reads a statement"),
        (["set", "flat", "2"], "manual", "flat has no quantity"),
        (["set", "long"], "manual", "long needs a number of contracts above 0"),
        (["set", "short", "-1"], "manual", "short needs a number of contracts above 0"),
        (["set", "long", "0"], "manual", "long needs a number of contracts above 0"),
        (["set", "up", "1"], "manual", "up"),
        (["set"], "manual", "side"),
        (["set", "flat", "--by", "x" * 101], "manual", "--by has 101 characters"),
    ],
)
def test_what_is_no_statement_is_refused(
    run: RunDir, capsys: pytest.CaptureFixture[str], words: list[str], source: str, sentence: str
) -> None:
    code, out, err = pj(capsys, *words, source=source)
    assert (code, out) == (2, "") and sentence in err
    assert not run.position.exists()


def test_a_damaged_statement_is_named(run: RunDir, capsys: pytest.CaptureFixture[str]) -> None:
    run.position.write_text("{")
    code, out, _ = pj(capsys, "show")
    assert code == 1 and "states nothing; state it again" in out


def test_no_run_folder_no_statement(run: RunDir, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["position", "set", "flat", "--run-dir", "elsewhere", SOURCE + "manual"])
    assert code == 2 and "there is no run in" in capsys.readouterr().err
