"""Prove what a crash loop does to the world: the kill switch, the alert, the flattening; with real processes."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sentinel_night import night, wait_for

from live.market import INSTRUMENTS
from pj.calendar import Session, Sessions, write_sessions
from pj.channels.alerts import Alert, AlertCode, raise_alert, read_alerts
from pj.channels.control import ControlFile
from pj.channels.fence import read_fence
from pj.channels.logs import EventLog, open_log
from pj.channels.rundir import RunDir
from pj.clock import SystemClock
from pj.supervision.duties import HaltRules, HouseDuties
from pj.supervision.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

OPEN_NS = 1_767_308_400_000_000_000  # 2026-01-01 18:00 ET
CLOSE_NS = OPEN_NS + 23 * 3_600_000_000_000


@dataclass(frozen=True, slots=True)
class FixedClock(SystemClock):
    """Stand at one moment."""

    ns: int = 0

    def now_ns(self) -> int:
        return self.ns


@pytest.fixture
def folder(tmp_path: Path) -> RunDir:
    return RunDir(tmp_path / "run", INSTRUMENTS["MNQ"]).create()


@pytest.fixture
def log(folder: RunDir) -> Iterator[EventLog]:
    log = open_log(folder.root, "sentinel", libraries=False)
    yield log
    log.close()


def duties(folder: RunDir, log: EventLog, flatten: Sequence[str] = (), now_ns: int = OPEN_NS) -> HouseDuties:
    rules = HaltRules(60, 900, flatten=bool(flatten))
    return HouseDuties(folder, log, Terminal(), FixedClock(ns=now_ns), rules, {}, flatten)


def test_a_halt_is_on_disk_and_keeps_an_older_reason(folder: RunDir, log: EventLog) -> None:
    house = duties(folder, log)
    house.halt_trading(AlertCode.CRASH_LOOP, "engine failed 6 times in 8.0 s, last: exit 1")
    text = folder.kill_switch.read_text()
    assert text.startswith("CRASH_LOOP engine failed 6 times in 8.0 s, last: exit 1 (by the Sentinel, 20")
    house.halt_trading(AlertCode.CRASH_LOOP, "bridge failed")
    assert folder.kill_switch.read_text() == text
    assert (folder.logs / "sentinel.log").read_text().count(" HALTED ") == 2


def test_an_alert_is_a_row_and_a_line_unless_an_operator_closed_his_console(folder: RunDir, log: EventLog) -> None:
    house = duties(folder, log)
    house.alert(AlertCode.LEFT, "dashboard", "the dashboard was closed")
    assert read_alerts(folder.alerts) == []
    house.alert(AlertCode.LEFT, "engine", "engine ended by itself")
    assert read_alerts(folder.alerts) == [Alert(OPEN_NS, "LEFT", "engine", "engine ended by itself")]
    assert " ALERT code=LEFT name=engine " in (folder.logs / "sentinel.log").read_text()


def test_alerts_survive_a_torn_row_and_the_newest_are_returned(folder: RunDir) -> None:
    for number in range(30):
        raise_alert(folder.alerts, Alert(number, AlertCode.CRASH_LOOP, "engine", f"é {number}"))
    with folder.alerts.open("ab") as file:
        file.write(b'{"ts_ns": 7, "code": "CRA')  # its writer died
    raise_alert(folder.alerts, Alert(99, AlertCode.LEFT, "scribe", "last"))
    assert [(alert.ts_ns, alert.code) for alert in read_alerts(folder.alerts, 4)] == [
        (28, "CRASH_LOOP"), (29, "CRASH_LOOP"), (29, "UNREADABLE"), (99, "LEFT"),
    ]  # fmt: skip


def test_an_alert_that_cannot_be_written_is_still_logged(folder: RunDir, log: EventLog) -> None:
    folder.alerts.mkdir()
    duties(folder, log).alert(AlertCode.CRASH_LOOP, "engine", "it fell")
    text = (folder.logs / "sentinel.log").read_text()
    assert " ALERT " in text
    assert " ALERT_UNWRITTEN " in text


def test_slow_tries_follow_the_market(folder: RunDir, log: EventLog) -> None:
    assert duties(folder, log).slow_retry_s() == 60, "without a schedule the market counts as open"
    day = date(2026, 1, 2)
    sessions = Sessions((Session(day, OPEN_NS, CLOSE_NS, early=False),), day, date(2026, 1, 4))
    write_sessions(folder.session_file, sessions)
    assert duties(folder, log, now_ns=OPEN_NS + 1).slow_retry_s() == 60
    assert duties(folder, log, now_ns=CLOSE_NS + 1).slow_retry_s() == 900
    later_ns = CLOSE_NS + 9 * 24 * 3_600_000_000_000
    assert duties(folder, log, now_ns=later_ns).slow_retry_s() == 60, "beyond the schedule nobody knows"


@pytest.mark.parametrize(
    ("code", "words"), [(0, "positions are verified flat"), (1, "NOT verified flat"), (3, "ended with exit code 3")]
)
def test_a_halt_flattens_when_the_settings_say_so(folder: RunDir, log: EventLog, code: int, words: str) -> None:
    program = f"import pathlib, sys; pathlib.Path({str(folder.root / 'ran')!r}).write_text('x'); sys.exit({code})"
    house = duties(folder, log, (sys.executable, "-c", program))
    house.halt_trading(AlertCode.CRASH_LOOP, "engine failed")
    deadline = time.monotonic() + 20
    while not read_alerts(folder.alerts):
        assert time.monotonic() < deadline
        house.step()
        time.sleep(0.02)
    assert (folder.root / "ran").exists()
    assert words in read_alerts(folder.alerts)[0].text
    house.step()
    assert len(read_alerts(folder.alerts)) == 1


def test_a_flattening_that_cannot_start_calls_the_operator(folder: RunDir, log: EventLog) -> None:
    house = duties(folder, log, (str(folder.root / "nowhere"),))
    house.halt_trading(AlertCode.CRASH_LOOP, "engine failed")
    assert "could not be started" in read_alerts(folder.alerts)[0].text


def test_only_the_engine_is_given_a_fence(folder: RunDir, log: EventLog) -> None:
    house = duties(folder, log)
    house.grant("bridge", "b1")
    house.grant("engine", "e1")
    house.grant("engine", "e2")
    assert read_fence(folder, "bridge") is None
    held = read_fence(folder, "engine")
    assert held is not None
    assert (held.instance, held.epoch) == ("e2", 2)


@pytest.mark.skipif(sys.platform == "win32", reason="the tiny child takes POSIX signals")
def test_a_planted_crash_loop_halts_alerts_is_tried_slowly_and_resumes(tmp_path: Path) -> None:
    (tmp_path / "bomb").touch()
    with night(tmp_path, "bridge=healthy", "engine=planted", max_restarts=2, slow_s=1.0) as one:
        kill_switch, alerts = tmp_path / "state" / "KILL_SWITCH", tmp_path / "state" / "alerts.jsonl"
        wait_for(kill_switch.exists)
        wait_for(lambda: read_alerts(alerts))
        assert kill_switch.read_text().startswith("CRASH_LOOP engine failed 3 times in ")
        assert "exit 1: the sky fell" in kill_switch.read_text()
        wait_for(lambda: (stats := one.stats()) and stats.phase == "HALTED")
        assert one.children()["engine"]["looping"] is True
        starts = [ns for name, _, ns in one.birth_rows() if name == "engine"]
        wait_for(lambda: len([name for name, _, _ in one.birth_rows() if name == "engine"]) >= len(starts) + 2)
        later = [ns for name, _, ns in one.birth_rows() if name == "engine"]
        assert later[-1] - later[-2] > 900_000_000, "it is tried each second, not faster"
        assert len(read_alerts(alerts)) == 1
        assert one.children()["bridge"]["restarts"] == 0
        (tmp_path / "bomb").unlink()
        control = ControlFile(tmp_path / "state" / "control.jsonl")
        answer = control.wait_answer(control.send("resume", sender="test", ts_ns=1), 2.0)
        assert answer is not None
        assert answer.ok
        assert "kill switch released" in answer.text
        wait_for(one.all_running)
        assert not kill_switch.exists()
        assert one.children()["engine"]["looping"] is False
        wait_for(lambda: (stats := one.stats()) and stats.phase == "RUNNING")


@pytest.mark.skipif(sys.platform == "win32", reason="the tiny child takes POSIX signals")
def test_arming_waits_until_every_process_is_well(tmp_path: Path) -> None:
    (tmp_path / "bomb").touch()
    with night(tmp_path, "bridge=healthy", "engine=planted", disarmed=1) as one:
        wait_for(lambda: one.children().get("bridge", {}).get("state") == "RUNNING")
        control = ControlFile(tmp_path / "state" / "control.jsonl")
        refused = control.wait_answer(control.send("arm", sender="test", ts_ns=1), 2.0)
        assert refused is not None
        assert not refused.ok
        assert "engine is" in refused.text
        assert (tmp_path / "state" / "DISARMED").exists()
        (tmp_path / "bomb").unlink()
        wait_for(one.all_running)
        armed = control.wait_answer(control.send("arm", sender="test", ts_ns=1), 2.0)
        assert armed is not None
        assert armed.ok
        assert not (tmp_path / "state" / "DISARMED").exists()
        assert [line for line in one.log() if line.endswith(" ARMED")]
