"""An alarm of a real engine under a real Sentinel: listed once, whoever is killed, until somebody has seen it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import psutil
import pytest
from sentinel_night import DRIVER, wait_for

sys.path.insert(0, str(Path(__file__).parents[1] / "processes"))
from engine_world import World, wall

from pj.channels.alerts import read_alerts
from pj.channels.fence import grant
from pj.channels.stats import read_stats
from pj.simulators.market import generate

DAY = date(2026, 4, 15)

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="sends POSIX signals to real processes"),
    pytest.mark.slow,
]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    (tape,) = generate("MNQ", "", DAY, 1).tapes.values()
    start_ns, end_ns = wall(DAY, "10:00"), wall(DAY, "15:00")
    world = World(tmp_path / "run", DAY, tape.bars(start_ns, end_ns), start_ns, end_ns, 20)
    world.write_history()
    yield world
    world.close()


@contextmanager
def sentinel(world: World) -> Iterator[subprocess.Popen[bytes]]:
    """Run a Sentinel over the real engine; the bridge's files are written by ``world``."""
    command = [sys.executable, "-P", DRIVER, str(world.root), json.dumps({"silent_s": 10.0}), "engine=real"]
    process = subprocess.Popen(command, env=world.env(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait(10)
        wait_for(lambda: not engine_lives(world))


def engine_pid(world: World) -> int:
    stats = read_stats(world.run.state("engine"))
    return stats.pid if stats is not None and stats.phase == "RUNNING" else 0


def engine_lives(world: World) -> bool:
    pid = engine_pid(world)
    with_pid = psutil.pid_exists(pid) if pid else False
    return with_pid and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def pj(world: World, *words: str) -> str:
    command = [sys.executable, "-P", "-m", "pj.cli", *words]
    done = subprocess.run(command, env=world.env(), capture_output=True, text=True, timeout=60, check=False)
    return done.stdout


def alerts(world: World) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(pj(world, "status", "--json"))["alerts"]
    return found


def fenced(world: World) -> list[str]:
    """Return the places of the alarms FENCED that were told, in the file's order."""
    return [alert.place for alert in read_alerts(world.run.alerts, 1000) if alert.code == "FENCED"]


def fence_out(world: World) -> None:
    """Grant the fence to somebody else: the living engine journals the alarm FENCED and ends."""
    wait_for(lambda: engine_lives(world), 40)
    pid = engine_pid(world)
    grant(world.run, "engine", "somebody-else")
    wait_for(lambda: engine_pid(world) not in {0, pid}, 40)


def kill_engine(world: World) -> None:
    """Kill the engine and wait for its successor."""
    pid = engine_pid(world)
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: engine_pid(world) not in {0, pid}, 40)


def test_an_alarm_is_listed_once_whoever_is_killed(world: World) -> None:
    world.play()
    with sentinel(world) as first:
        fence_out(world)
        wait_for(lambda: len(fenced(world)) == 1)
        (listed,) = (alert for alert in alerts(world) if alert["code"] == "FENCED")
        assert (listed["name"], listed["severity"], listed["place"]) == ("engine", "LOOK", fenced(world)[0])
        kill_engine(world)
        fence_out(world)
        wait_for(lambda: len(fenced(world)) == 2)
        os.kill(first.pid, signal.SIGKILL)
        first.wait(10)
        wait_for(lambda: not engine_lives(world))
    journaled = [line for line in world.journal() if line.type == "ALARM" and line.data["code"] == "FENCED"]
    wanted = [f"{DAY}/{line.seq}/{line.hash[:12]}" for line in journaled]
    with sentinel(world):
        fence_out(world)
        wait_for(lambda: len(fenced(world)) == 3)
        assert fenced(world)[:2] == wanted
        assert len([alert for alert in alerts(world) if alert["code"] == "FENCED"]) == 3
        assert "FENCED" in pj(world, "status", "--seen")
        assert alerts(world) == []
        fence_out(world)
        wait_for(lambda: len(fenced(world)) == 4)
        assert "'pj resume'" in pj(world, "status")
        assert "the kill switch was not thrown" in pj(world, "resume")
        assert alerts(world) == []
    assert len(set(fenced(world))) == 4, "nothing was told twice"
