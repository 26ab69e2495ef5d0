"""Ask ``pj status --json`` in every state of a real system, and compare with what the operating system knows."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from campaign_demo import Demo, pj, started, status, wait_for
from campaign_plan import CHILDREN, needs_signals, settings

from pj.config import without_settings
from pj.supervision.spawn import MODULES

if TYPE_CHECKING:
    from collections.abc import Sequence

pytestmark = [needs_signals, pytest.mark.slow, pytest.mark.timeout(240)]

SILENT_S = 8.0
NAMES = ("sentinel", *CHILDREN)


def pids(one: Demo) -> dict[str, int]:
    """Return the pids of the processes that really serve the run folder, by name."""
    modules = {**MODULES, "sentinel": "pj.processes.sentinel_watchdog"}
    found = {name: pid for pid, words in one.left() for name, module in modules.items() if module in words.split()}
    return {name: found[name] for name in NAMES if name in found}


def alive(report: Mapping[str, Any]) -> dict[str, int]:
    """Return the pids of the processes that a report calls alive, by name."""
    return {name: row["pid"] for name, row in report["processes"].items() if row["alive"]}


def check_stopped(env: Mapping[str, str]) -> None:
    """The report says that the system is stopped and that nothing of it lives."""
    code, report = status(env)
    assert (code, report["state"]) == (1, "stopped"), report
    assert alive(report) == {}
    assert set(report["processes"]) >= set(NAMES)


def newborn(one: Demo, name: str) -> int:
    """Freeze a child between its birth and its first heartbeat and return its pid; start anew where that was missed."""
    births = one.run.folder.state_folder / "children.json"
    for _ in range(5):
        instances: Sequence[Mapping[str, Any]] = []
        seen = one.stats(name)
        while not any(birth["name"] == name for birth in instances):
            instances = json.loads(births.read_bytes())["births"] if births.exists() else []
            time.sleep(0.001)
        (birth,) = (birth for birth in instances if birth["name"] == name)
        os.kill(birth["pid"], signal.SIGSTOP)
        stats = one.stats(name)
        if stats is None or stats == seen or stats.instance != birth["instance"]:
            return int(birth["pid"])
        sentinel = one.run.servers.sentinel
        assert sentinel is not None
        sentinel.kill()
        sentinel.wait()
        births.unlink()  # the dead Sentinel's children die with it; only births of the next are to be seen
        one.launch_sentinel()
    raise AssertionError(f"{name} was never caught before its first heartbeat")


def check_starting(one: Demo) -> None:
    """Until every process has beaten the system is starting."""
    pid = newborn(one, "bridge")
    wait_for("the other processes", lambda: all(one.stats(name) for name in ("engine", "dashboard", "sentinel")), 30)
    code, report = status(one.run.env)
    assert (code, report["state"]) == (1, "starting"), report
    row = report["processes"]["bridge"]
    assert (row["state"], row["alive"], row["pid"], row["beat_age_s"]) == ("starting", True, pid, None), row
    os.kill(pid, signal.SIGCONT)


def check_healthy(one: Demo) -> None:
    """All processes beat; their pids are the real ones."""
    wait_for("a healthy system", lambda: status(one.run.env)[0] == 0, 40)
    code, report = status(one.run.env)
    assert (code, report["state"], report["halted_by"]) == (0, "healthy", []), report
    assert alive(report) == pids(one)
    assert set(alive(report)) == set(NAMES)
    assert all(row["beat_age_s"] < SILENT_S for row in report["processes"].values())


def check_silent(one: Demo) -> None:
    """A frozen engine is late, then silent, with its true age; a frozen Sentinel does not hide it, nor kill for it."""
    engine, sentinel = one.now("engine"), one.now("sentinel")
    os.kill(engine.pid, signal.SIGSTOP)
    wait_for("a late heartbeat", lambda: one.now("engine").age_s() > 2.0, 10)
    os.kill(sentinel.pid, signal.SIGSTOP)  # or it would end the engine before a status command could look
    check_age(one, {"late"})
    wait_for("silence", lambda: one.now("engine").age_s() > SILENT_S + 0.5, 20)
    code, report = check_age(one, {"silent"})
    assert (code, report["state"]) == (1, "unhealthy"), report
    os.kill(engine.pid, signal.SIGCONT)
    os.kill(sentinel.pid, signal.SIGCONT)
    check_healthy(one)
    assert one.now("engine").pid == engine.pid, "the Sentinel killed for a silence that it slept through itself"
    assert not one.log("RESTART", "HEARTBEAT_FAIL")


def check_age(one: Demo, states: set[str]) -> tuple[int, dict[str, Any]]:
    """The frozen engine's row says how old its heartbeat is, to the time that the command itself took."""
    stats = one.now("engine")
    before_s = stats.age_s()
    code, report = status(one.run.env)
    row = report["processes"]["engine"]
    assert row["state"] in states and row["alive"] and row["pid"] == stats.pid, row
    assert before_s - 0.01 <= row["beat_age_s"] <= stats.age_s(), row
    return code, report


def check_halted(one: Demo) -> None:
    """With the kill switch thrown everything beats and the exit code is 4; resume ends that."""
    assert pj(one, "halt", "--reason", "news").returncode == 0
    code, report = status(one.run.env)
    assert (code, report["state"]) == (4, "halted"), report
    assert any("news" in reason for reason in report["halted_by"]), report
    assert alive(report) == pids(one)
    assert pj(one, "resume").returncode == 0
    check_healthy(one)


def test_status_tells_the_truth_in_every_state(folder: Path) -> None:
    folder.mkdir()
    config = folder.with_name("config.yaml")
    config.write_text(f"run_dir: {json.dumps(str(folder))}\n", encoding="utf-8")
    check_stopped(without_settings(os.environ) | {"PJ_CONFIG": str(config)})
    with started(folder, settings(silent_s=SILENT_S, start_grace_s=60), speed=20) as one:
        check_starting(one)
        check_healthy(one)
        check_silent(one)
        check_halted(one)
        done = pj(one, "stop")
        assert done.returncode == 0, done.stderr
        check_stopped(one.run.env)
        assert pids(one) == {}
