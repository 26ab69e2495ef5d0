"""pj up, status, halt, resume and stop on real processes: the Sentinel over the bridge, against a simulated gateway."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

PJ = (sys.executable, "-P", "-m", "pj.cli")
LIMIT_S = 30.0


def pj(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*PJ, *words], cwd=folder, capture_output=True, text=True, timeout=60, check=False)


def status(folder: Path) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(pj(folder, "status", "--json").stdout)
    return report


def bridge(folder: Path) -> dict[str, Any]:
    gauges: dict[str, Any] = status(folder)["processes"]["bridge"]["gauges"]
    return gauges


def until(what: str, true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LIMIT_S
    while not true():
        assert time.monotonic() < deadline, f"{what}: not within {LIMIT_S} s"
        time.sleep(0.2)


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[int]:
    """Return the port of a running simulated gateway."""
    command = [*PJ, "simulate", "gateway", "--port", "0"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline().split()[2].rpartition(":")[2])
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()


@pytest.fixture
def folder(tmp_path: Path, gateway: int) -> Path:
    """Return a folder with the settings of a paper account without a spreadsheet."""
    home = tmp_path / "my trading"
    home.mkdir()
    text = f"profile: paper\nrun_dir: run\nibkr:\n  port: {gateway}\nsheets:\n  enabled: false\n"
    (home / "config.yaml").write_text(text, encoding="utf-8")
    return home


@pytest.mark.slow
def test_up_status_halt_resume_stop(folder: Path) -> None:
    log = (folder / "up.txt").open("w", encoding="utf-8")
    up = subprocess.Popen([*PJ, "up", "--headless"], cwd=folder, stdout=log, stderr=subprocess.STDOUT)
    try:
        until(
            "the bridge is connected", lambda: status(folder)["processes"]["bridge"]["gauges"].get("connected") is True
        )
        assert status(folder)["processes"]["sentinel"]["alive"]
        assert (folder / "run" / "state" / "sessions.json").is_file()

        second = pj(folder, "up", "--headless")
        assert second.returncode == 2, second.stderr
        assert "another Sentinel" in second.stderr

        assert pj(folder, "halt", "--reason", "a test").returncode == 0
        assert status(folder)["kill_switch"] is True
        assert pj(folder, "resume").returncode == 0
        assert status(folder)["kill_switch"] is False

        stopped = pj(folder, "stop")
        assert (stopped.returncode, stopped.stdout) == (0, "stopped\n"), stopped.stderr
        assert up.wait(10) == 0
        assert not [name for name, row in status(folder)["processes"].items() if row["pid"] and runs(row["pid"])]
    finally:
        if up.poll() is None:
            up.terminate()
            up.wait(20)
        log.close()
    assert (folder / "up.txt").read_text(encoding="utf-8").count("Traceback") == 0


@pytest.mark.slow
def test_live_starts_disarmed_until_it_is_armed(folder: Path) -> None:
    config = folder / "config.yaml"
    config.write_text(config.read_text(encoding="utf-8").replace("profile: paper", "profile: live"), encoding="utf-8")
    state = folder / "run" / "state"
    assert pj(folder, "arm").returncode == 3, "there is nobody to arm"
    with (folder / "up.txt").open("w", encoding="utf-8") as log:
        up = subprocess.Popen([*PJ, "up", "--live", "--headless"], cwd=folder, stdout=log, stderr=subprocess.STDOUT)
        try:
            until("all beat", lambda: status(folder)["beating"])
            report = status(folder)
            assert (report["state"], report["disarmed"], report["kill_switch"]) == ("halted", True, False)
            until("the engine knows", lambda: status(folder)["processes"]["engine"]["gauges"].get("killed") is True)
            assert pj(folder, "halt").returncode == 0
            resumed = pj(folder, "resume")
            assert (resumed.returncode, "pj arm" in resumed.stdout) == (0, True), "resume does not arm"
            assert (state / "DISARMED").exists()
            armed = pj(folder, "arm")
            assert (armed.returncode, armed.stdout[:5]) == (0, "armed"), armed.stderr
            assert pj(folder, "arm").stdout == "it was armed already\n"
            until("the engine may", lambda: status(folder)["processes"]["engine"]["gauges"].get("killed") is False)
            assert pj(folder, "up", "--live", "--headless").returncode == 2
            assert status(folder)["state"] == "healthy", "a second start that is refused must not disarm the first"
            assert pj(folder, "stop").returncode == 0
            assert up.wait(10) == 0
        finally:
            if up.poll() is None:
                up.terminate()
                up.wait(20)


@pytest.mark.slow
def test_restart_waits_for_the_replacement_and_says_what_happened(folder: Path) -> None:
    assert pj(folder, "restart", "engine").returncode == 3, "there is nobody to restart it"
    with (folder / "up.txt").open("w", encoding="utf-8") as log:
        up = subprocess.Popen([*PJ, "up", "--headless"], cwd=folder, stdout=log, stderr=subprocess.STDOUT)
        try:
            until("all beat", lambda: status(folder)["state"] == "healthy")
            old = status(folder)["processes"]["engine"]["pid"]
            done = pj(folder, "restart", "engine")
            assert done.returncode == 0, done.stdout + done.stderr
            new = status(folder)["processes"]["engine"]["pid"]
            assert done.stdout.startswith(f"engine restarted: pid {old} -> {new}, beating after ")
            assert not runs(old)
            refused = pj(folder, "restart", "scribe")
            assert (refused.returncode, "there is no process 'scribe'" in refused.stdout) == (1, True), "sheets are off"
            assert pj(folder, "restart", "engin").returncode == 2
            assert pj(folder, "stop").returncode == 0
            assert up.wait(10) == 0
            left = status(folder)
            assert left["state"] == "stopped"
            assert not [name for name, row in left["processes"].items() if row["alive"]]
        finally:
            if up.poll() is None:
                up.terminate()
                up.wait(20)


def runs(pid: int) -> bool:
    if sys.platform == "win32":
        listing = subprocess.run(["tasklist", "/FI", f"PID eq {pid}"], capture_output=True, text=True, check=True)
        return str(pid) in listing.stdout
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
