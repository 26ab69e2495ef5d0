"""`pj backtest`: both engines write the same bytes, a folder runs file by file, what cannot be used is said."""

from __future__ import annotations

import csv
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pj.cli import main

FILES = ("trades.csv", "events.csv", "equity.csv", "equity.svg")
PARAMS: dict[str, Any] = {"swing_n": 2, "windows": [["18:00", "17:00"]], "min_risk_ticks": 8, "cooldown_min": 0}


def write_market(path: Path, seed: int, days: int = 4) -> Path:
    """Write days of a market that swings between two prices, with sweeps and reclaims."""
    rows: dict[str, list[Any]] = {name: [] for name in ("ts", "open", "high", "low", "close", "volume")}
    price, state = 1000, seed
    for day in range(days):
        start = datetime(2026, 4, 13 + day, 13, 30, tzinfo=UTC)
        for minute in range(240):
            state = (1103515245 * state + 12345) % 2**31
            open_ = price
            price += (state >> 16) % 15 - 7 + (1000 - price) // 8
            rows["ts"].append(start + timedelta(minutes=minute))
            rows["open"].append(open_ / 4)
            rows["high"].append((max(open_, price) + (state >> 8) % 5) / 4)
            rows["low"].append((min(open_, price) - (state >> 12) % 5) / 4)
            rows["close"].append(price / 4)
            rows["volume"].append(1 + state % 7)
    pq.write_table(pa.table(rows), path)
    return path


@pytest.fixture
def params(tmp_path: Path) -> Path:
    path = tmp_path / "params.json"
    path.write_text(json.dumps(PARAMS), "utf-8")
    return path


def table(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text("utf-8").splitlines()))


def run(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, Any, str]:
    code = main(["backtest", *map(str, words), "--json"])
    said = capsys.readouterr()
    return code, json.loads(said.out) if said.out else None, said.err


def test_both_engines_write_the_same_bytes_and_counts(
    tmp_path: Path, params: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bars = write_market(tmp_path / "bars.parquet", 7)
    found = {}
    for engine in ("compiled", "exact"):
        code, found[engine], _ = run(
            capsys, "--bars", bars, "--out", tmp_path / engine, "--params", params, "--engine", engine
        )
        assert code == 0
    for name in FILES:
        assert (tmp_path / "compiled" / name).read_bytes() == (tmp_path / "exact" / name).read_bytes(), name
    one, other = (
        {key: value for key, value in report.items() if not key.endswith("_path") and key != "engine"}
        for report in found.values()
    )
    assert one == other
    assert json.dumps(one) == json.dumps(other), "the order of kinds and reasons is part of what is printed"
    assert one["trades"] > 5 and found["compiled"]["engine"] == "compiled"


def test_the_compiled_engine_is_the_default(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bars = write_market(tmp_path / "bars.parquet", 3)
    assert run(capsys, "--bars", bars, "--out", tmp_path / "out")[1]["engine"] == "compiled"


def test_the_equity_curve_adds_up(tmp_path: Path, params: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bars = write_market(tmp_path / "bars.parquet", 7)
    _, report, _ = run(capsys, "--bars", bars, "--out", tmp_path / "out", "--params", params)
    rows = table(tmp_path / "out" / "equity.csv")
    trades = table(tmp_path / "out" / "trades.csv")
    assert [row["date"] for row in rows] == ["2026-04-13", "2026-04-14", "2026-04-15", "2026-04-16"]
    assert rows[-1]["cumulative_usd"] == report["net_usd"] and sum(int(row["trades"]) for row in rows) == len(trades)
    peak = total = worst = 0.0
    for row in rows:
        mine = [float(trade["net_usd"]) for trade in trades if trade["trade_date"] == row["date"]]
        assert float(row["net_usd"]) == pytest.approx(sum(mine))
        total += sum(mine)
        peak = max(peak, total)
        worst = min(worst, total - peak)
        assert float(row["drawdown_usd"]) == pytest.approx(total - peak)
    figures = report["figures"]
    nets = [float(trade["net_usd"]) for trade in trades]
    assert float(figures["max_drawdown_daily_usd"]) == pytest.approx(worst)
    assert float(figures["max_drawdown_usd"]) <= float(figures["max_drawdown_daily_usd"])
    won, lost = sum(net for net in nets if net > 0), -sum(net for net in nets if net < 0)
    assert float(figures["profit_factor"]) == pytest.approx(won / lost, abs=0.0001)
    assert figures["long_trades"] + figures["short_trades"] == len(trades) == sum(figures["exits"].values())
    picture = (tmp_path / "out" / "equity.svg").read_text("utf-8")
    assert picture.startswith("<svg ") and "no edge is claimed" in picture


def test_words_for_people_keep_the_figures_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bars = write_market(tmp_path / "bars.parquet", 3)
    assert main(["backtest", "--bars", str(bars), "--out", str(tmp_path / "out")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].startswith("No edge is claimed")
    counts, figures = lines[: lines.index("figures")], lines[lines.index("figures") :]
    assert any(line.startswith("net usd") for line in counts)
    assert any(line.startswith("max drawdown usd") for line in figures)


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_folder_runs_file_by_file(
    tmp_path: Path, params: Path, capsys: pytest.CaptureFixture[str], jobs: str
) -> None:
    (tmp_path / "in").mkdir()
    for name, seed in (("b", 5), ("a", 7)):
        write_market(tmp_path / "in" / f"{name}.parquet", seed)
    more = ("--params", params, "--jobs", jobs)
    code, report, _ = run(capsys, "--bars", tmp_path / "in", "--out", tmp_path / "out", *more)
    assert code == 0 and list(report["files"]) == ["a", "b"] and report["failed"] == {}
    for name in ("a", "b"):
        _, alone, _ = run(
            capsys,
            "--bars",
            tmp_path / "in" / f"{name}.parquet",
            "--out",
            tmp_path / "alone" / name,
            "--params",
            params,
        )
        for file in FILES:
            assert (tmp_path / "out" / name / file).read_bytes() == (tmp_path / "alone" / name / file).read_bytes()
        assert report["files"][name]["net_usd"] == alone["net_usd"]
        assert (tmp_path / "out" / name / "run.json").is_file()
    assert report["trades"] == sum(one["trades"] for one in report["files"].values())
    assert float(report["net_usd"]) == pytest.approx(sum(float(one["net_usd"]) for one in report["files"].values()))


def test_a_bad_file_stops_no_other_and_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in").mkdir()
    write_market(tmp_path / "in" / "good.parquet", 5)
    pq.write_table(pa.table({"ts": [1], "open": [1.0]}), tmp_path / "in" / "bad.parquet")
    code, report, said = run(capsys, "--bars", tmp_path / "in", "--out", tmp_path / "out", "--jobs", "1")
    assert code == 2 and list(report["files"]) == ["good"]
    assert "bad.parquet has no column" in report["failed"]["bad"] and report["failed"]["bad"] in said
    assert not (tmp_path / "out" / "bad").exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--jobs", "0"), "--jobs 0 leaves nobody to work"),
        (("--engine", "swift"), "invalid choice: 'swift'"),
    ],
)
def test_choices_that_make_no_sense_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, str], says: str
) -> None:
    try:
        code = main(["backtest", "--bars", str(tmp_path), "--out", str(tmp_path / "out"), *words])
    except SystemExit as refusal:
        code = int(str(refusal.code))
    assert code == 2 and says in capsys.readouterr().err


def test_a_folder_without_bars_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["backtest", "--bars", str(tmp_path), "--out", str(tmp_path / "out")])
    assert code == 2 and "holds no *.parquet file" in capsys.readouterr().err


def test_a_parameter_too_large_for_the_kernels_names_the_way_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bars = write_market(tmp_path / "bars.parquet", 3, days=1)
    path = tmp_path / "huge.json"
    path.write_text('{"slip_ticks": 1099511627776}', "utf-8")
    words = ["backtest", "--bars", str(bars), "--out", str(tmp_path / "out"), "--params", str(path)]
    assert main(words) == 2
    assert "take --engine exact" in capsys.readouterr().err
    assert main([*words, "--engine", "exact"]) == 0


def test_a_machine_that_keeps_no_compiled_code_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("strategies.mle.kernels.jit.CACHE_FOLDER", None)
    bars = write_market(tmp_path / "bars.parquet", 3, days=1)
    assert "compiled code cannot be kept" in run(capsys, "--bars", bars, "--out", tmp_path / "out")[2]
    assert "kept" not in run(capsys, "--bars", bars, "--out", tmp_path / "out", "--engine", "exact")[2]
