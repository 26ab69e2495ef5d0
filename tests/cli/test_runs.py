"""`pj runs`: what backtests leave behind is listed, shown and compared."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pj.cli import main


def write_bars(path: Path, price: float = 100.0, minutes: int = 30) -> Path:
    """Write minutes of a quiet evening whose closes rise and fall by a tick."""
    start = datetime(2026, 4, 14, 22, 0, tzinfo=UTC)
    closes = [price + 0.25 * (minute % 2) for minute in range(minutes)]
    columns = {
        "ts": [start + timedelta(minutes=minute) for minute in range(minutes)],
        "open": [price] * minutes,
        "high": [price + 0.25] * minutes,
        "low": [price - 0.25] * minutes,
        "close": closes,
        "volume": [1] * minutes,
    }
    pq.write_table(pa.table(columns), path)
    return path


@pytest.fixture
def runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """Return a root with two equal backtests and one with another parameter."""
    bars = write_bars(tmp_path / "bars.parquet")
    (tmp_path / "p.json").write_text('{"target_r": "3"}')
    for name, more in (("a", []), ("b", []), ("c", ["--params", str(tmp_path / "p.json")])):
        out = tmp_path / "runs" / name
        assert main(["backtest", "--bars", str(bars), "--out", str(out), *more]) == 0
    capsys.readouterr()
    return tmp_path / "runs"


def report(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_two_backtests_of_the_same_bars_leave_equal_folders(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = sorted(path.name for path in (runs / "a").iterdir())
    assert {"events.csv", "run.json", "trades.csv"} <= set(names)
    assert names == sorted(path.name for path in (runs / "b").iterdir())
    assert all((runs / "a" / name).read_bytes() == (runs / "b" / name).read_bytes() for name in names)
    assert main(["runs", "compare", "a", "b", "--root", str(runs)]) == 0
    words = capsys.readouterr().out
    assert "Everything that decides the result is the same." in words and "byte for byte" in words


def test_compare_names_the_parameter_that_differs(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", "compare", str(runs / "a"), str(runs / "c"), "--json"]) == 0
    found = report(capsys)
    assert found["params"] == {"target_r": ["2", "3"]} and not found["same_inputs"] and not found["broken"]


def test_a_changed_output_fails_the_check(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with (runs / "b" / "events.csv").open("a") as stream:
        stream.write("x\n")
    assert main(["runs", "compare", "a", "b", "--root", str(runs)]) == 1
    assert "events.csv is changed" in capsys.readouterr().out
    assert main(["runs", "show", "b", "--root", str(runs)]) == 1
    assert main(["runs", "show", "a", "--root", str(runs)]) == 0


def test_list_shows_every_run_and_says_what_it_cannot_read(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", "list", "--root", str(runs), "--json"]) == 0
    found = report(capsys)
    assert [(run["run"], run["kind"], run["params"]) for run in found["runs"]] == [
        ("a", "backtest", {}),
        ("b", "backtest", {}),
        ("c", "backtest", {"target_r": "3"}),
    ]
    (runs / "b" / "run.json").write_text("{")
    assert main(["runs", "list", "--root", str(runs)]) == 1
    words = capsys.readouterr()
    assert "target_r=3" in words.out and "run.json cannot be read" in words.err


def test_a_refused_backtest_leaves_the_older_run_whole(runs: Path, tmp_path: Path) -> None:
    before = {path.name: path.read_bytes() for path in (runs / "a").iterdir()}
    bad = write_bars(tmp_path / "bad.parquet", price=100.1)
    assert main(["backtest", "--bars", str(bad), "--out", str(runs / "a")]) == 2
    assert {path.name: path.read_bytes() for path in (runs / "a").iterdir()} == before
    assert main(["runs", "show", str(runs / "a")]) == 0


@pytest.mark.parametrize("words", [["compare", "a"], ["show", "nothing"], ["list"]])
def test_what_is_not_there_is_a_usage_error(
    runs: Path, words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(runs.parent)
    if words == ["list"]:
        shutil.rmtree(runs)
    assert main(["runs", *words]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
