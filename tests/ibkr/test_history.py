"""Choose and check the bars of history.csv."""

from __future__ import annotations

import logging
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from live.market import INSTRUMENTS, NS_PER_S, Bar
from pj.channels.rundir import RunDir
from pj.ibkr.history import read_bars, select_days, write_history

MNQ = INSTRUMENTS["MNQ"]


def delivered(
    when: datetime, o: float = 100.0, h: float = 101.0, low: float = 99.5, c: float = 100.5, v: float = 7.0
) -> SimpleNamespace:
    return SimpleNamespace(date=when, open=o, high=h, low=low, close=c, volume=v)


def bar(when: datetime) -> Bar:
    return Bar(int(when.timestamp()) * NS_PER_S, 400, 404, 398, 402, 7, "MNQM6")


def test_bars_are_read_in_ticks() -> None:
    when = datetime(2026, 4, 15, 12, 0, tzinfo=UTC)
    (found,) = read_bars([delivered(when)], MNQ, "MNQM6")
    assert (found.ts_ns, found.open_ticks, found.high_ticks, found.low_ticks, found.close_ticks, found.volume) == (
        int(when.timestamp()) * NS_PER_S, 400, 404, 398, 402, 7,
    )  # fmt: skip


@pytest.mark.parametrize(
    "bad",
    [
        {"o": 100.1},
        {"o": float("nan")},
        {"h": 99.0},
        {"low": -1.0},
        {"v": -1.0},
        {"v": 1.5},
        {"when": datetime(2026, 4, 15, 12, 1, 30, tzinfo=UTC)},
        {"when": datetime(2026, 4, 15, 12, 1)},
        {"when": datetime(2026, 4, 15, 12, 0, tzinfo=UTC)},
    ],
)
def test_unusable_bar_is_left_out_and_logged(bad: dict[str, float], caplog: pytest.LogCaptureFixture) -> None:
    first = datetime(2026, 4, 15, 12, 0, tzinfo=UTC)
    spoiled = {"when": first + timedelta(minutes=1), **bad}
    with caplog.at_level(logging.WARNING):
        found = read_bars([delivered(first), delivered(**spoiled), delivered(first + timedelta(minutes=2))], MNQ, "X")
    assert [b.ts_ns // NS_PER_S - int(first.timestamp()) for b in found] == [0, 120]
    assert "HISTORY_BARS_REFUSED count=1" in caplog.text


def test_previous_trade_date_with_bars_and_the_current_one_are_kept() -> None:
    friday = datetime(2026, 4, 10, 14, 0, tzinfo=UTC)
    thursday = friday - timedelta(days=1)
    stray = datetime(2026, 4, 10, 21, 30, tzinfo=UTC)  # 17:30 ET: no trading minute, but of Friday's date
    sunday = datetime(2026, 4, 12, 22, 30, tzinfo=UTC)  # 18:30 ET Sunday: Monday's trade date
    bars = [bar(when) for when in (thursday, friday, stray, sunday)]
    assert select_days(bars, date(2026, 4, 13)) == bars[1:]


def test_stray_weekend_bars_are_no_previous_day() -> None:
    friday = datetime(2026, 4, 10, 14, 0, tzinfo=UTC)
    saturday = datetime(2026, 4, 11, 14, 0, tzinfo=UTC)
    monday = datetime(2026, 4, 13, 14, 0, tzinfo=UTC)
    bars = [bar(when) for when in (friday, saturday, monday)]
    assert select_days(bars, date(2026, 4, 13)) == [bars[0], bars[2]]


def test_file_is_replaced_whole(tmp_path: Path) -> None:
    day = RunDir(tmp_path, MNQ).day(date(2026, 4, 15))
    write_history(day, [bar(datetime(2026, 4, 15, 12, minute, tzinfo=UTC)) for minute in range(3)], MNQ)
    write_history(day, [bar(datetime(2026, 4, 15, 12, 0, tzinfo=UTC))], MNQ)
    assert day.history.read_text() == (
        "ts,open,high,low,close,volume,contract\n2026-04-15T12:00:00Z,100,101,99.5,100.5,7,MNQM6\n"
    )
