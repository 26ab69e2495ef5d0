"""The Sentinel keeps the trading schedule ahead of the clock, in a process of its own."""

from __future__ import annotations

import datetime as dt
import os
import time
from pathlib import Path

import pytest

from live.market import INSTRUMENTS
from live.trading_day import at_minute_ns
from pj.calendar import Sessions, ensure_sessions, find_overrides
from pj.channels.logs import open_log
from pj.channels.rundir import RunDir
from pj.clock import ScaledClock
from pj.supervision.schedule import EVERY_S, ScheduleKeeper

NOON = at_minute_ns(dt.date(2026, 11, 18), 1080)
DAY_NS = 86_400 * 10**9


def keeper_at(folder: RunDir, now_ns: int, times: list[float], overrides: Path | None = None) -> ScheduleKeeper:
    clock = ScaledClock(now_ns, time.time_ns(), 1.0)
    log = open_log(folder.root, "sentinel")
    return ScheduleKeeper(folder.session_file, overrides or find_overrides(), clock, log, lambda: times[0])


def log_words(folder: RunDir) -> list[str]:
    return [line.split()[2] for line in (folder.logs / "sentinel.log").read_text(encoding="utf-8").splitlines()]


def step_until(keeper: ScheduleKeeper, folder: RunDir, word: str) -> None:
    deadline = time.monotonic() + 60
    keeper.step()
    while word not in log_words(folder):
        assert time.monotonic() < deadline
        keeper.step()
        time.sleep(0.05)


@pytest.fixture
def folder(run_dir: Path) -> RunDir:
    return RunDir(run_dir, INSTRUMENTS["MNQ"]).create()


def test_a_short_schedule_is_built_anew_without_waiting(folder: RunDir) -> None:
    ensure_sessions(folder.session_file, NOON - 40 * DAY_NS)
    times = [0.0]
    keeper = keeper_at(folder, NOON, times)
    step_until(keeper, folder, "SCHEDULE_BUILT")
    assert Sessions.load(folder.session_file).covers(NOON + 30 * DAY_NS)
    assert log_words(folder) == ["SCHEDULE_BUILDING", "SCHEDULE_BUILT"]


def test_a_long_schedule_is_left_alone_and_asked_again_each_hour(folder: RunDir) -> None:
    ensure_sessions(folder.session_file, NOON)
    times = [0.0]
    keeper = keeper_at(folder, NOON, times)
    keeper.step()
    folder.session_file.unlink()
    times[0] = EVERY_S - 1
    keeper.step()
    assert log_words(folder) == []
    times[0] = EVERY_S
    keeper.step()
    assert log_words(folder) == ["SCHEDULE_BUILDING"]
    keeper.close()


def test_a_bad_table_is_said_and_tried_again(folder: RunDir) -> None:
    table = folder.root / "session_overrides.yaml"
    table.write_text("verified_through: soon\nsessions: {}\n", encoding="utf-8")
    times = [0.0]
    keeper = keeper_at(folder, NOON, times, table)
    step_until(keeper, folder, "SCHEDULE_FAILED")
    assert "'soon' is not a date" in (folder.logs / "sentinel.log").read_text(encoding="utf-8")
    times[0] = EVERY_S
    keeper.step()
    assert log_words(folder) == ["SCHEDULE_BUILDING", "SCHEDULE_FAILED", "SCHEDULE_BUILDING"]
    keeper.close()


def test_a_table_that_changes_is_looked_at_and_written_when_it_says_something_new(folder: RunDir) -> None:
    table = folder.root / "session_overrides.yaml"
    text = find_overrides().read_text(encoding="utf-8")
    table.write_text(text, encoding="utf-8")
    ensure_sessions(folder.session_file, NOON, table)
    times = [0.0]
    keeper = keeper_at(folder, NOON, times, table)
    os.utime(table)
    step_until(keeper, folder, "SCHEDULE_KEPT")
    table.write_text(f"{text}# another word\n", encoding="utf-8")
    times[0] = EVERY_S
    step_until(keeper, folder, "SCHEDULE_BUILT")
    times[0] = 2 * EVERY_S
    keeper.step()
    assert log_words(folder) == ["SCHEDULE_BUILDING", "SCHEDULE_KEPT", "SCHEDULE_BUILDING", "SCHEDULE_BUILT"]


def test_a_table_newer_than_the_schedule_is_looked_at_first(folder: RunDir) -> None:
    table = folder.root / "session_overrides.yaml"
    table.write_text(find_overrides().read_text(encoding="utf-8"), encoding="utf-8")
    ensure_sessions(folder.session_file, NOON, table)
    os.utime(table, ns=(folder.session_file.stat().st_mtime_ns + 10**9,) * 2)
    step_until(keeper_at(folder, NOON, [0.0], table), folder, "SCHEDULE_KEPT")
