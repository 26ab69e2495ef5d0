"""The quality report: counts of what is wrong with files of bars, and the real files judged."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest
from store_bars import Write, bars_of, minutes_of

from live.market import INSTRUMENTS
from pj.store.quality import files_below, inspect_files, judge
from pj.store.quality_text import lines_of
from pj.store.raw_bars import StoreError
from strategies.mle.bar_file import load_columns

DAY = date(2026, 4, 14)


def test_a_clean_session(write: Write) -> None:
    report = inspect_files([write("bars.parquet", bars_of(minutes_of(DAY, range(1380))))], "MNQ")
    assert report.clean and report.rows == report.used == 1380 and report.coverage.pct == 100.0
    assert (report.first, report.last) == ("2026-04-13T22:00:00Z", "2026-04-14T20:59:00Z")
    assert "no unexplained gap" in "\n".join(lines_of(report))


def test_what_is_wrong_is_counted_and_named(write: Write) -> None:
    columns = bars_of(minutes_of(DAY, range(100)))
    columns["open"][3] += 0.1
    columns["high"][5] = columns["low"][5] - 1
    columns["close"][7] = float("nan")
    columns["volume"][9] = -1
    for name, values in columns.items():
        values.append(values[20])  # stands twice
        values.append(values[21] if name != "volume" else 999)  # contradicts
    report = inspect_files([write("bars.parquet", columns)], "MNQ")
    assert report.faults == {
        "breaks low <= open, close <= high": 1,
        "close is not a number": 1,
        "open is not a multiple of the tick 0.25": 1,
        "volume is not a whole number of at least 0": 1,
    }
    assert report.duplicates == 1 and report.conflicts == 1 and report.unordered == 1
    assert (
        "row 101" in report.conflict_rows[0]
        and "row 21" in report.conflict_rows[0]
        and "volume 999" in report.conflict_rows[0]
    )
    assert not report.clean and report.faulty_rows[0].startswith("bars.parquet, row 3: open is not a multiple")


@pytest.mark.parametrize(
    ("name", "change"), [("high", -0.5), ("low", 1.0), ("open", 1.0), ("open", -1.0), ("close", 1.0), ("close", -1.0)]
)
def test_every_way_to_break_a_bars_shape_is_seen(write: Write, name: str, change: float) -> None:
    columns = bars_of(minutes_of(DAY, range(20)))
    columns[name][4] += change
    faults = inspect_files([write("bars.parquet", columns)], "MNQ").faults
    assert faults == {"breaks low <= open, close <= high": 1}


def test_csv_and_parquet_are_judged_alike(write: Write) -> None:
    columns = bars_of(minutes_of(DAY, range(0, 300, 2)))
    reports = [inspect_files([write(name, columns)], "MNQ").as_dict() for name in ("a.csv", "a.parquet")]
    assert {**reports[0], "source": ""} == {**reports[1], "source": ""}


def test_strays_heartbeats_and_rolls(write: Write) -> None:
    times = minutes_of(DAY, range(1380)) + minutes_of(DAY, [1400]) + minutes_of(date(2026, 4, 15), range(50))
    columns = bars_of(times)
    for name in ("open", "high", "low", "close"):
        columns[name][11] = columns["close"][10]
    columns["volume"][11] = 0
    columns["contract"][1381:] = ["MNQU2026"] * 50
    report = inspect_files([write("bars.parquet", columns)], "MNQ")
    assert report.strays == 1 and report.heartbeats == 1
    assert report.rolls == ({"trade_date": "2026-04-15", "from": "MNQM2026", "to": "MNQU2026"},)


def test_a_spike_is_shown_and_said_to_return(write: Write) -> None:
    columns = bars_of(minutes_of(DAY, range(600)))
    columns["close"][300] += 100
    columns["high"][300] += 100
    moves = inspect_files([write("bars.parquet", columns)], "MNQ").moves
    assert [move["at"] for move in moves] == ["2026-04-14T03:00:00Z", "2026-04-14T03:01:00Z"]
    assert moves[0]["returned"] and moves[0]["times_usual"] >= 100


def test_a_folder_is_its_parquet_files(write: Write, tmp_path: Path) -> None:
    write("b.parquet", bars_of(minutes_of(DAY, range(10, 20))))
    write("a.parquet", bars_of(minutes_of(DAY, range(10))))
    write("note.csv", bars_of(minutes_of(DAY, range(10))))
    paths = files_below(tmp_path)
    assert [path.name for path in paths] == ["a.parquet", "b.parquet"]
    assert inspect_files(paths, "MNQ").rows == 20
    (tmp_path / "empty").mkdir()
    with pytest.raises(StoreError, match="no Parquet file"):
        files_below(tmp_path / "empty")


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.csv", "", "is empty"),
        ("a.csv", "ts,open\n", "has no column high"),
        ("a.csv", "ts,open,high,low,close,volume\n1,2\n", "row 0"),
        ("a.csv", "ts,ts,open,high,low,close,volume\n", "more than once"),
        ("a.parquet", "no parquet", "cannot be read"),
    ],
)
def test_a_file_that_holds_no_bars_is_refused(tmp_path: Path, name: str, text: str, said: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(StoreError, match=said):
        inspect_files([tmp_path / name], "MNQ")


def test_a_time_without_its_zone_is_faulty(write: Write) -> None:
    columns = bars_of(minutes_of(DAY, range(4)))
    columns["ts"] = ["2026-04-14 10:00:00", "2026-04-14T10:01:00Z", "2026-04-14T10:02:30Z", "then"]
    faults = inspect_files([write("a.csv", columns)], "MNQ").faults
    assert faults == {"ts is no ISO time with its zone": 2, "ts is not a whole minute": 1}


@pytest.mark.parametrize(
    ("name", "symbol", "lost", "dates"),
    [
        ("nq_1m_2025-01_2025-06", "NQ", "2025-01-23: 2025-01-23T09:09:00Z to 2025-01-23T09:24:00Z (15 minutes)", 108),
        ("mes_1m_2026-03_2026-05", "MES", "2026-04-15: 2026-04-15T04:26:00Z to 2026-04-15T04:38:00Z (12 minutes)", 47),
    ],
)
def test_the_real_files_lack_what_their_readme_says(
    market_data: Path, name: str, symbol: str, lost: str, dates: int
) -> None:
    path = market_data / f"{name}.parquet"
    report = inspect_files([path], symbol)
    assert report.coverage.gap_lines() == [lost] and report.coverage.trade_dates == dates
    assert report.coverage.outside == 0, "the calendar says closed where the exchange traded"
    assert report.clean and not report.coverage.material
    columns = load_columns(path, INSTRUMENTS[symbol], front=True)
    assert judge(columns, symbol).coverage == report.coverage
    json.dumps(report.as_dict())


def test_separate_dates_are_material_gaps(market_data: Path) -> None:
    report = inspect_files([market_data / "es_1m_trade_2013_2020.parquet"], "ES")
    assert report.coverage.material and not report.clean
    assert "2013-10-16 to 2013-10-28: no bar of 9 sessions" in report.coverage.gap_lines()
