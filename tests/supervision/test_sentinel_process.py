"""Prove the Sentinel over real processes: deaths, silence, exit codes, stop, fencing, control."""

from __future__ import annotations

import itertools
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from sentinel_night import DRIVER, night, wait_for

from pj.channels.control import ControlFile
from pj.channels.jsonl import seal
from pj.supervision.fencing import read_births

FAMILY = ("bridge=healthy", "engine=healthy", "scribe=healthy", "dashboard=healthy")

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="sends POSIX signals to real processes")


def test_a_killed_child_is_replaced_and_told_in_one_line(tmp_path: Path) -> None:
    with night(tmp_path, *FAMILY) as one:
        wait_for(one.all_running)
        old = one.pid("engine")
        os.kill(old, signal.SIGKILL)
        killed_ns = time.monotonic_ns()
        wait_for(lambda: one.pid("engine") != old)
        wait_for(one.all_running)
        (line,) = one.log("RESTART")
        new = one.pid("engine")
        told = f'INFO RESTART name=engine reason="signal SIGKILL" old_pid={old} new_pid={new}'
        assert re.fullmatch(rf"20\S+Z {told} ms=\S+ restarts=1", line)
        assert one.children()["engine"]["last_reason"] == "signal SIGKILL"
        reborn_ms = (one.birth_rows()[-1][2] - killed_ns) / 1e6
        sys.stdout.write(f"kill -9 to first instruction of the replacement: {reborn_ms:.0f} ms\n")
        assert sorted(row[0] for row in one.birth_rows()) == ["bridge", "dashboard", "engine", "engine", "scribe"]
        assert one.end()[0] == 0


def test_a_stopped_child_falls_silent_and_is_replaced(tmp_path: Path) -> None:
    with night(tmp_path, "engine=healthy", "bridge=healthy") as one:
        wait_for(one.all_running)
        old = one.pid("engine")
        os.kill(old, signal.SIGSTOP)
        wait_for(lambda: one.log("RESTART"))
        (fail,) = one.log("HEARTBEAT_FAIL")
        assert f"name=engine pid={old}" in fail
        assert 'reason="no heartbeat for 1.0 s"' in one.log("RESTART")[0]
        assert not psutil.pid_exists(old)
        wait_for(one.all_running)


def test_exit_2_is_not_restarted_and_says_why(tmp_path: Path) -> None:
    with night(tmp_path, "engine=config", "bridge=healthy") as one:
        wait_for(lambda: one.children().get("engine", {}).get("state") == "FATAL")
        wait_for(lambda: len(one.log("CHECK")) > 4)
        assert len([row for row in one.birth_rows() if row[0] == "engine"]) == 1
        (line,) = one.log("FATAL")
        assert 'reason="exit 2: ibkr.port is 99999; use 1 to 65535"' in line
        assert any("name=engine health=FAIL state=FATAL" in line for line in one.log("CHECK"))
        assert any("name=bridge health=OK state=RUNNING" in line for line in one.log("CHECK"))


def test_nothing_left_but_configuration_errors_ends_with_2(tmp_path: Path) -> None:
    with night(tmp_path, "engine=config") as one:
        assert one.process.wait(10) == 2
        assert "engine: exit 2: ibkr.port is 99999" in one.process.communicate()[1]


def test_a_crash_loop_backs_off(tmp_path: Path) -> None:
    with night(tmp_path, "engine=crash", "bridge=healthy") as one:
        wait_for(lambda: len([row for row in one.birth_rows() if row[0] == "engine"]) >= 4)
        births = [ns for name, _, ns in one.birth_rows() if name == "engine"]
        gaps = [(later - sooner) / 1e9 for sooner, later in itertools.pairwise(births)]
        assert gaps[1] > 0.2  # half of the first step, and more
        assert gaps[2] > 0.45
        assert 'reason="exit 1: the sky fell"' in one.log("RESTART")[0]
        assert one.end()[0] == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_stop_ends_all_in_order_and_leaves_nothing(tmp_path: Path, number: int) -> None:
    with night(tmp_path, *FAMILY) as one:
        wait_for(one.all_running)
        code, took_s = one.end(number)
        assert code == 0
        assert took_s < 3
        assert not one.living()
        ends = [line.split()[0] for line in (tmp_path / "ends.txt").read_text().splitlines()]
        assert ends == ["dashboard", "engine", "bridge", "scribe"]
        stats = one.stats()
        assert stats is not None
        assert stats.phase == "STOPPING"
        assert {child["state"] for child in one.children().values()} == {"STOPPED"}
        assert read_births(tmp_path / "state" / "children.json") == []


def test_stubborn_and_stopped_children_are_killed_in_time(tmp_path: Path) -> None:
    with night(tmp_path, "engine=stubborn", "bridge=healthy", "scribe=healthy", stop_s=1.0) as one:
        wait_for(one.all_running)
        os.kill(one.pid("scribe"), signal.SIGSTOP)
        code, took_s = one.end()
        assert code == 0
        assert took_s < 2.5
        assert not one.living()
        assert len(one.log("STOP_OVERDUE")) == 2


def test_a_second_ctrl_c_kills_at_once(tmp_path: Path) -> None:
    with night(tmp_path, "engine=stubborn", "bridge=healthy") as one:
        wait_for(one.all_running)
        one.process.send_signal(signal.SIGINT)
        wait_for(lambda: one.log("SENTINEL_STOP"))
        code, took_s = one.end(signal.SIGINT)
        assert (code, one.living()) == (0, [])
        assert took_s < 1.5


def test_a_second_sentinel_is_refused(tmp_path: Path) -> None:
    with night(tmp_path, "engine=healthy") as one:
        wait_for(one.all_running)
        second = one.launch()
        _, errors = second.communicate(timeout=10)
        assert second.returncode == 2
        assert errors.count("\n") == 1
        assert f"another Sentinel (pid {one.process.pid}) already rules {tmp_path}" in errors
        assert len(one.birth_rows()) == 1


def test_children_die_with_a_killed_sentinel_and_the_next_one_takes_over(tmp_path: Path) -> None:
    with night(tmp_path, *FAMILY) as one:
        wait_for(one.all_running)
        first = set(one.living())
        one.process.kill()
        one.process.communicate()
        one.process = one.launch()
        wait_for(lambda: len(one.birth_rows()) == 8)
        assert not first & set(one.living())
        wait_for(one.all_running)
        assert one.end()[0] == 0


def test_an_orphan_of_a_dead_sentinel_is_ended_first(tmp_path: Path) -> None:
    """Without PR_SET_PDEATHSIG (another system) a child survives; its successor's Sentinel must find and end it."""
    (tmp_path / "state").mkdir()
    command = [sys.executable, "-P", str(Path(DRIVER).with_name("tiny_child.py")), str(tmp_path), "engine", "healthy"]
    orphan = subprocess.Popen(command, env={**os.environ, "PJ_INSTANCE": "orphan"}, start_new_session=True)
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        wait_for((tmp_path / "state" / "engine.stats.json").exists)
        births = [
            {
                "name": "engine",
                "pid": orphan.pid,
                "created_s": psutil.Process(orphan.pid).create_time(),
                "instance": "orphan",
            },
            {"name": "bridge", "pid": stranger.pid, "created_s": 1.0, "instance": "reused pid"},
        ]
        (tmp_path / "state" / "children.json").write_bytes(seal(json.dumps({"births": births}).encode()))
        with night(tmp_path, "engine=healthy") as one:
            wait_for(one.all_running)
            assert orphan.poll() == -signal.SIGKILL
            assert stranger.poll() is None
            (line,) = one.log("ORPHAN_ENDED")
            assert f"name=engine pid={orphan.pid}" in line
    finally:
        orphan.kill()
        stranger.kill()
        orphan.wait()
        stranger.wait()


def test_an_unreadable_record_of_children_is_not_passed_over(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "children.json").write_text("[{")
    with night(tmp_path, "engine=healthy") as one:
        assert one.process.wait(10) == 1
        assert "children.json cannot be read" in one.process.communicate()[1]
        assert not one.birth_rows()


def test_control_verbs_are_done_and_answered_within_a_second(tmp_path: Path) -> None:
    with night(tmp_path, "engine=healthy", "bridge=healthy") as one:
        wait_for(one.all_running)
        control = ControlFile(tmp_path / "state" / "control.jsonl")
        kill_switch = tmp_path / "state" / "KILL_SWITCH"

        def ask(verb: str, *args: str) -> tuple[bool, str]:
            answer = control.wait_answer(control.send(verb, args, sender="test", ts_ns=1), 1.0)
            assert answer is not None
            return answer.ok, answer.text

        assert ask("halt", "news") == (True, f"kill switch thrown: {kill_switch}; no entries until resume")
        assert kill_switch.read_text() == "news (by test)\n"
        wait_for(lambda: (stats := one.stats()) and stats.phase == "HALTED")
        assert ask("resume") == (True, "kill switch released")
        assert not kill_switch.exists()
        assert ask("resume") == (True, "the kill switch was not thrown")
        old = one.pid("engine")
        assert ask("restart", "engine") == (True, "engine is stopping, then starting")
        wait_for(lambda: one.pid("engine") != old)
        assert 'reason="asked by the operator"' in one.log("RESTART")[0]
        assert ask("restart", "engin") == (False, "there is no process 'engin'; use one of engine, bridge")
        assert ask("dance", "now")[1] == "command 'dance now' is unknown; use stop, restart NAME, halt, resume or arm"
        assert ask("stop") == (True, "stopping all processes")
        assert one.process.wait(6) == 0
        assert not one.living()


def test_a_damaged_control_file_does_not_end_the_supervision(tmp_path: Path) -> None:
    with night(tmp_path, "engine=healthy") as one:
        wait_for(one.all_running)
        control = tmp_path / "state" / "control.jsonl"
        control.write_text('not json\n{"verb": "stop"}\n[]\n')
        time.sleep(0.5)
        control.write_text("")
        wait_for(lambda: one.log("CONTROL_LOST"))
        answer = ControlFile(control)
        assert answer.wait_answer(answer.send("stop", sender="test", ts_ns=1), 2.0)
        assert one.process.wait(6) == 0
