"""The run folder, the calendar, other instances, the switches, the settings."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import NamedTuple

import pytest
from doctor_world import ORIGIN_S, look, patient

from pj.channels.files import lock_file
from pj.channels.stats import StatsWriter
from pj.supervision.fencing import BirthRecord
from pj.supervision.traces import filesystem_of
from pj.verbs.doctor import folder as folder_checks
from pj.verbs.doctor.model import Patient, Status
from pj.verbs.doctor.runner import run_checks
from pj.verbs.doctor.table import CHECKS

NS = 1_000_000_000


class Usage(NamedTuple):
    total: int
    used: int
    free: int


# -- the folder -------------------------------------------------------------------------------------


def test_a_good_folder_is_tried_and_left_as_it_was(folder: Path) -> None:
    who = patient(run_dir=folder / "new" / "run")
    found = look("folder", who)
    assert found.status is Status.OK, found
    assert "written, synced, replaced, locked" in found.says
    assert list(folder.iterdir()) == [], "what was not there before is gone again"
    state = who.folder.create().state_folder
    (state / "kept").write_text("x")
    assert look("folder", who).status is Status.OK
    assert [path.name for path in state.iterdir()] == ["kept"]


def test_a_folder_that_cannot_be_written(folder: Path) -> None:
    """Root may write anywhere but in a file system without files, so it gets one of those."""
    if os.name != "posix":
        pytest.skip("Windows has no read-only folders")
    if os.geteuid() == 0:
        place = Path("/proc/self/fdinfo")
        if not place.is_dir():
            pytest.skip("root may write everywhere here")
    else:
        place = folder / "shut"
        place.mkdir(mode=0o500)
    found = look("folder", patient(run_dir=place / "run"))
    assert found.status is Status.FAIL, found
    assert "cannot be used" in found.says
    assert "run_dir" in found.remedy


def test_a_run_dir_that_is_a_file(folder: Path) -> None:
    (folder / "taken").write_text("x")
    found = look("folder", patient(run_dir=folder / "taken"))
    assert found.status is Status.FAIL
    assert (folder / "taken").read_text() == "x"


def test_a_folder_where_locks_do_not_hold(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on some network drives: the second process gets the lock that the first one holds."""
    without = "import sys; sys.exit(4)"
    monkeypatch.setattr(folder_checks, "_TRY", without)
    found = look("folder", patient(run_dir=folder / "run"))
    assert found.status is Status.FAIL
    assert "locks do not hold" in found.says
    monkeypatch.setattr(folder_checks, "_TRY", "raise SystemExit(9)")
    assert "could not be tried" in look("folder", patient(run_dir=folder / "run")).says


def test_the_other_process_really_tries_the_lock(folder: Path) -> None:
    file = folder / "lock"
    file.write_text("")
    assert folder_checks._other_process(file) == 4
    with lock_file(file):
        assert folder_checks._other_process(file) == 3


@pytest.mark.parametrize(("free", "status"), [(10**9, Status.FAIL), (5 * 10**9, Status.WARN), (10**11, Status.OK)])
def test_space_is_told_in_hours_of_tape(monkeypatch: pytest.MonkeyPatch, free: int, status: Status) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _path: Usage(10**12, 0, free))
    found = look("space", patient())
    assert found.status is status
    assert found.facts["hours"] == round(free / folder_checks.TAPE_BYTES_PER_HOUR, 1)
    assert bool(found.remedy) == (status is not Status.OK)


def test_the_file_system_is_named(folder: Path) -> None:
    if sys.platform == "linux":
        assert filesystem_of(folder)
        assert filesystem_of(Path("/proc/self")) == "proc"


# -- the calendar -----------------------------------------------------------------------------------


def overrides(folder: Path, through: str) -> Path:
    path = folder / "table.yaml"
    path.write_text(f"verified_through: {through}\nsessions: {{}}\n", encoding="utf-8")
    return path


def test_the_calendar_is_built_and_left_to_the_start(folder: Path, run_clock: dict[str, str]) -> None:
    found = look("calendar", patient(session_overrides=overrides(folder, "2027-12-31"), run_dir=folder / "run"))
    assert found.status is Status.OK, found
    assert "open, trade date 2026-11-18" in found.says
    assert found.facts["builder_reaches"] == "2026-12-30"
    assert not (folder / "run").exists()


@pytest.mark.parametrize(("through", "status"), [("2026-11-25", Status.WARN), ("2026-11-10", Status.FAIL)])
def test_the_calendar_s_end_is_seen_coming(
    folder: Path, run_clock: dict[str, str], through: str, status: Status
) -> None:
    found = look("calendar", patient(session_overrides=overrides(folder, through)))
    assert found.status is status, found
    assert through in found.says
    assert "verified_through" in found.remedy


def test_a_broken_table_is_a_failure_with_its_words(folder: Path) -> None:
    path = overrides(folder, "soon")
    found = look("calendar", patient(session_overrides=path))
    assert found.status is Status.FAIL
    assert "'soon' is not a date" in found.says


def test_a_schedule_that_is_there_is_told(folder: Path, run_clock: dict[str, str]) -> None:
    from pj.calendar import ensure_sessions

    table = overrides(folder, "2027-12-31")
    who = patient(session_overrides=table, run_dir=folder / "run")
    ensure_sessions(who.folder.create().session_file, ORIGIN_S * NS, table)
    assert "the schedule here reaches through 2026-12-30" in look("calendar", who).says
    ensure_sessions(who.folder.session_file.with_name("old.json"), (ORIGIN_S - 40 * 86_400) * NS, table).to_json()
    who.folder.session_file.with_name("old.json").replace(who.folder.session_file)
    assert "a start writes it on to 2026-12-30" in look("calendar", who).says


# -- other instances --------------------------------------------------------------------------------

HOLD = (
    "import sys; from pathlib import Path; from pj.channels.files import lock_file;"
    "lock = lock_file(Path(sys.argv[1])); print('held', flush=True); sys.stdin.read()"
)


def holder(path: Path) -> subprocess.Popen[str]:
    """Start another program that holds the lock of ``path``."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_nothing_runs(folder: Path) -> None:
    who = patient(run_dir=folder / "run")
    assert "nothing has run" in look("instance", who).says
    who.folder.create()
    assert look("instance", who).status is Status.OK


def test_another_sentinel_is_named_with_its_pid(folder: Path) -> None:
    who = patient(run_dir=folder / "run")
    state = who.folder.create().state_folder
    StatsWriter(who.folder.state("sentinel"), "sentinel", "x").beat("RUNNING")
    other = holder(state / "sentinel.lock")
    found = look("instance", who)
    other.communicate("", timeout=10)
    assert found.status is Status.WARN
    assert f"pid {os.getpid()}" in found.says
    assert "pj stop" in found.remedy
    assert look("instance", who).status is Status.OK, "the lock falls with its holder"


def test_children_of_a_dead_sentinel_are_a_failure(folder: Path) -> None:
    who = patient(run_dir=folder / "run")
    state = who.folder.create().state_folder
    env = os.environ | {"PJ_INSTANCE": "orphan"}
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, env=env)
    BirthRecord(state / "children.json").update([("engine", child.pid, "orphan")])
    found = look("instance", who)
    child.kill()
    child.communicate(timeout=10)
    assert found.status is Status.FAIL
    assert f"engine pid {child.pid}" in found.says
    assert "pj up" in found.remedy
    assert look("instance", who).status is Status.OK, "a pid that is over is no child"
    (state / "children.json").write_text("{")
    assert look("instance", who).status is Status.FAIL


@pytest.mark.parametrize("name", ["engine.lock", "sheets.lock"])
def test_a_process_that_was_started_by_hand(folder: Path, name: str) -> None:
    who = patient(run_dir=folder / "run")
    other = holder(who.folder.create().state_folder / name)
    found = look("instance", who)
    other.communicate("", timeout=10)
    assert found.status is Status.FAIL
    assert f"state/{name} is held" in found.says


def test_a_bridge_that_was_started_by_hand(folder: Path, run_clock: dict[str, str]) -> None:
    who = patient(run_dir=folder / "run")
    day = who.folder.create().day(date(2026, 11, 18)).create()
    other = holder(day.market)
    found = look("instance", who)
    other.communicate("", timeout=10)
    assert found.status is Status.FAIL
    assert "2026-11-18/live_market_data.csv is held" in found.says


def test_switches_are_facts(folder: Path) -> None:
    who = patient(run_dir=folder / "run")
    assert look("switches", who).status is Status.SKIPPED
    who.folder.create()
    assert look("switches", who).says.startswith("entries are allowed")
    who.folder.disarmed.write_text("x")
    assert "pj arm" in look("switches", who).says
    who.folder.kill_switch.write_text("operator (by pj halt)\n")
    found = look("switches", who)
    assert found.status is Status.INFO
    assert "the kill switch stands" in found.says
    assert "operator (by pj halt)" in found.says


# -- settings ---------------------------------------------------------------------------------------


def test_settings_are_judged_as_config_check_does(folder: Path) -> None:
    assert look("settings", patient()).status is Status.OK
    found = look("settings", patient(ibkr__port=4001, execution__route="traderspost"))
    assert found.status is Status.FAIL
    assert "ibkr.port is 4001, a live port, but profile is paper" in found.says
    assert "1 more" in found.says
    assert found.remedy == "use one of 4002 or 7497"
    assert len(found.facts["problems"]) == 2
    assert json.dumps(found.facts)


def test_without_settings_only_the_others_run() -> None:
    results = run_checks(CHECKS, Patient({}, None, "ibkr.port is 'x'"))
    skipped = {r.check.id for r in results if r.finding.status is Status.SKIPPED}
    assert skipped == {check.id for check in CHECKS if check.needs_settings}
    settings = next(r for r in results if r.check.id == "settings")
    assert (settings.finding.status, settings.finding.says) == (Status.FAIL, "ibkr.port is 'x'")
