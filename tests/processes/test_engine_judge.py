"""What the outside world may say against an entry, word by word, from real files."""

from __future__ import annotations

import datetime as dt
import time
from pathlib import Path

import pytest

from live.market import INSTRUMENTS
from live.trading_day import at_minute_ns
from pj.calendar import ensure_sessions
from pj.channels.rundir import RunDir
from pj.channels.stats import StatsWriter
from pj.clock import ScaledClock
from pj.config import load_settings
from pj.processes.engine.judge import EntryJudge

NOON = at_minute_ns(dt.date(2026, 11, 18), 1080)
ROLL_DAY = at_minute_ns(dt.date(2026, 12, 14), 1080)
LAST_SECONDS = at_minute_ns(dt.date(2026, 11, 18), 1380) - 30_000_000_000
HALT = at_minute_ns(dt.date(2026, 11, 18), 1390)
THANKSGIVING_EVENING = at_minute_ns(dt.date(2026, 11, 27), 1160)


def judge_at(folder: Path, now_ns: int, route: str = "traderspost", **bridge: object) -> EntryJudge:
    run_dir = RunDir(folder, INSTRUMENTS["MNQ"]).create()
    ensure_sessions(run_dir.session_file, now_ns)
    gauges: dict[str, object] = {"market_data_type": 1} | bridge
    StatsWriter(run_dir.state("bridge"), "bridge", "x").beat("RUNNING", **gauges)
    overrides = {"execution.route": route, "run_dir": str(folder)}
    judge = EntryJudge(load_settings({}, overrides), run_dir, ScaledClock(now_ns, time.time_ns(), 1.0))
    judge.recovering = False
    judge.last_tick_ns = now_ns
    judge.contract = "MNQZ6"
    judge.refresh()
    return judge


@pytest.mark.parametrize(
    ("now_ns", "word"),
    [
        (NOON, ""),
        (LAST_SECONDS, "CALENDAR"),
        (HALT, "CALENDAR"),
        (ROLL_DAY, "ROLL"),
        (THANKSGIVING_EVENING, "CALENDAR"),
    ],
)
def test_calendar_and_roll(run_dir: Path, now_ns: int, word: str) -> None:
    assert judge_at(run_dir, now_ns).reason(now_ns) == word


def test_paper_goes_on_past_the_roll(run_dir: Path) -> None:
    assert judge_at(run_dir, ROLL_DAY, route="paper").reason(ROLL_DAY) == ""


def test_what_cannot_be_read_forbids(run_dir: Path) -> None:
    judge = judge_at(run_dir, NOON)
    bare = EntryJudge(load_settings({}, {}), RunDir(run_dir / "none", INSTRUMENTS["MNQ"]), judge._clock)
    assert bare.reason(NOON) == "RECOVERING"
    bare.recovering = False
    bare.last_tick_ns = NOON
    bare.refresh()
    assert bare.reason(NOON) == "STALE"
    assert bare.calendar_refusal(NOON) == "CALENDAR"


@pytest.mark.parametrize(
    ("bridge", "word"),
    [({"market_data_type": 3}, "DELAYED_DATA"), ({"server_offset_s": -3}, "STALE"), ({"server_offset_s": 2}, "")],
)
def test_the_bridge_has_a_say(run_dir: Path, bridge: dict[str, object], word: str) -> None:
    assert judge_at(run_dir, NOON, **bridge).reason(NOON) == word


def test_an_old_tick_is_stale_and_doubt_comes_last(run_dir: Path) -> None:
    judge = judge_at(run_dir, NOON)
    judge.doubt = "UNVERIFIED"
    assert judge.reason(NOON) == "UNVERIFIED"
    assert judge.reason(NOON + 6_000_000_000) == "STALE"


def test_early_flats_come_from_the_schedule(run_dir: Path) -> None:
    assert judge_at(run_dir, NOON).early_flats()[dt.date(2026, 11, 27).toordinal()] == 1135
