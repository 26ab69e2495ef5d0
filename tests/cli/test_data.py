"""`pj data`: import, verify, compact, gaps, quality and export from the command line, with their exit codes."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pj.cli import exit_code_of, main
from pj.verbs.bars_quality import judge_file
from strategies.mle.bar_file import BacktestInputError

OPEN = datetime(2026, 4, 13, 22, 0, tzinfo=UTC)


def write_bars(path: Path, minutes: list[int], contract: str = "MNQM6", price: float = 20000.0) -> Path:
    columns = {
        "ts": [OPEN + timedelta(minutes=minute) for minute in minutes],
        "contract": [contract] * len(minutes),
        "open": [price] * len(minutes),
        "high": [price + 1] * len(minutes),
        "low": [price - 1] * len(minutes),
        "close": [price + 0.25 * (minute % 3) for minute in minutes],
        "volume": [5] * len(minutes),
    }
    pq.write_table(pa.table(columns), path)
    return path


def data(golden: Path, verb: str, *words: str | Path) -> int:
    return main(["data", verb, "--golden", str(golden), *map(str, words)])


@pytest.fixture
def golden(tmp_path: Path) -> Path:
    return tmp_path / "gold"


def test_a_session_goes_in_and_comes_out_as_a_backtest_reads_it(
    golden: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bars = write_bars(tmp_path / "bars.parquet", list(range(1380)))
    assert data(golden, "import", bars) == 0
    assert "1380 rows read, 1380 new" in capsys.readouterr().out
    assert data(golden, "import", bars, "--json") == 0
    again: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert (again["added"], again["equal"], again["units"]) == (0, 1380, [])
    assert data(golden, "verify") == 0 and data(golden, "gaps") == 0 and data(golden, "compact") == 0
    out = tmp_path / "out.parquet"
    assert data(golden, "export", "--front", "--out", out) == 0
    assert main(["backtest", "--bars", str(out), "--out", str(tmp_path / "run")]) == 0


def test_a_gap_fails_the_check_and_is_named(golden: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept = [minute for minute in range(1380) if not 600 <= minute < 630]
    assert data(golden, "import", write_bars(tmp_path / "bars.parquet", kept)) == 0
    assert data(golden, "gaps") == 1
    assert "2026-04-14T08:00:00Z to 2026-04-14T08:30:00Z (30 minutes)" in capsys.readouterr().out
    assert data(golden, "gaps", "--json") == 1
    found = json.loads(capsys.readouterr().out)
    assert [gap["minutes"] for gap in found["gaps"]] == [30] and found["lost_minutes"] == 30


def test_quality_says_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = write_bars(tmp_path / "good.parquet", list(range(300)))
    assert main(["data", "quality", str(good)]) == 0
    assert "no unexplained gap" in capsys.readouterr().out
    bad = write_bars(tmp_path / "bad.parquet", list(range(300)), price=20000.1)
    assert main(["data", "quality", str(good), str(bad), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["faults"] == {"open is not a multiple of the tick 0.25": 300}


def test_quarantined_rows_are_told_by_the_exit_code(golden: Path, tmp_path: Path) -> None:
    path = write_bars(tmp_path / "bars.parquet", list(range(50)))
    table = pq.read_table(path).to_pydict()
    table["volume"][3] = -1
    pq.write_table(pa.table(table), path)
    assert data(golden, "import", path) == 1 and data(golden, "verify") == 0


def test_damage_fails_the_check(golden: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data(golden, "import", write_bars(tmp_path / "bars.parquet", list(range(50))))
    (file,) = golden.rglob("*.parquet")
    file.write_bytes(file.read_bytes()[:-1])
    assert data(golden, "verify") == 1
    assert "SHA-256 differs" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["import"], "needs files of bars, or a run folder"),
        (["import", "absent.parquet"], "does not exist"),
        (["import", "--run", "."], "holds no bars.csv"),
        (["verify"], "holds no archive"),
        (["gaps"], "holds no bars of that span"),
        (["export", "--out", "x.parquet"], "holds no bars of that span"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(
    golden: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert data(golden, *words) == 2
    err = capsys.readouterr().err
    assert said in err and len(err.strip().splitlines()) == 1


def test_a_backtest_tells_of_gaps_records_them_and_refuses_when_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = [minute for minute in range(1380) if not 600 <= minute < 630]
    bars = write_bars(tmp_path / "bars.parquet", kept)
    words = ["backtest", "--bars", str(bars), "--out", str(tmp_path / "run")]
    assert main([*words, "--refuse-gaps"]) == 2
    err = capsys.readouterr().err
    assert "2026-04-14T08:00:00Z to 2026-04-14T08:30:00Z (30 minutes)" in err and "--allow-gaps" in err
    assert not (tmp_path / "run").exists() and len(err.strip().splitlines()) == 1
    assert main([*words, "--refuse-gaps", "--allow-gaps"]) == 2
    capsys.readouterr()
    assert main(words) == 0
    assert "warning: " in capsys.readouterr().err
    quality = json.loads((tmp_path / "run" / "run.json").read_text())["results"]["quality"]
    assert quality["lost_minutes"] == 30 and len(quality["gaps"]) == 1 and quality["material"]
    assert main([*words, "--allow-gaps"]) == 0


def test_a_whole_session_is_no_reason_for_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bars = write_bars(tmp_path / "bars.parquet", list(range(1380)))
    assert main(["backtest", "--bars", str(bars), "--out", str(tmp_path / "run"), "--refuse-gaps"]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("policy", "lost", "refused"),
    [("tell", 200, False), ("material", 6, False), ("material", 61, True), ("any", 6, True)],
)
def test_a_policy_refuses_what_it_says(
    tmp_path: Path, policy: Any, lost: int, refused: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    days = [minute + 1440 * day for day in range(12) for minute in range(1380)]
    bars = write_bars(tmp_path / "bars.parquet", [minute for minute in days if not 600 <= minute < 600 + lost])
    if not refused:
        assert judge_file(bars, "MNQ", policy)["lost_minutes"] == lost
        assert "warning: " in capsys.readouterr().err
        return
    with pytest.raises(BacktestInputError, match="--allow-gaps") as caught:
        judge_file(bars, "MNQ", policy)
    assert exit_code_of(caught.value) == 2


def test_a_search_refuses_material_gaps_unless_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    days = [minute + 1440 * day for day in (0, 1, 2) for minute in range(1380)]
    bars = write_bars(tmp_path / "bars.parquet", [minute for minute in days if not 2000 <= minute < 2090])
    (tmp_path / "space.yaml").write_text("swing_n: [3, 5]\n")
    words = ["search", "--bars", str(bars), "--space", str(tmp_path / "space.yaml"), "--out", str(tmp_path / "out")]
    assert main(words) == 2
    err = capsys.readouterr().err
    assert "(90 minutes)" in err and "--allow-gaps" in err and not (tmp_path / "out").exists()
    assert main([*words, "--allow-gaps"]) == 0
    assert "warning: " in capsys.readouterr().err
    quality = json.loads((tmp_path / "out" / "run.json").read_text())["results"]["quality"]
    assert quality["lost_minutes"] == 90 and quality["material"]


def test_the_auditor_refuses_material_gaps_before_it_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    days = [minute + 1440 * day for day in (0, 1, 2) for minute in range(1380)]
    write_bars(tmp_path / "bars.parquet", [minute for minute in days if not 2000 <= minute < 2090])
    assert main(["backtest", "--bars", "bars.parquet", "--out", "run"]) == 0
    capsys.readouterr()
    assert main(["validate", "--backtest", "run"]) == 2
    assert "(90 minutes); bring in what is missing, or go on with --allow-gaps" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists(), "the ledger of looks was touched"
    main(["validate", "--backtest", "run", "--allow-gaps", "--placebos", "1"])
    assert "warning: " in capsys.readouterr().err
