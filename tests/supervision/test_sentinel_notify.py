"""Prove that the real Sentinel speaks to a service manager: ready, alive each second, stopping; its children do not."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sentinel_night import DRIVER

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="systemd is not on Windows")


def heard(manager: socket.socket, until: str, limit_s: float = 15.0) -> list[str]:
    """Return the messages up to the first that holds ``until``."""
    messages: list[str] = []
    deadline = time.monotonic() + limit_s
    while not any(until in message for message in messages):
        manager.settimeout(max(0.01, deadline - time.monotonic()))
        messages.append(manager.recv(4096).decode())
    return messages


def test_ready_watchdog_and_stopping_reach_the_manager(tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    run_dir.mkdir()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        env = {**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "10000000"}
        command = [sys.executable, "-P", DRIVER, str(run_dir), json.dumps({}), "bridge=healthy", "engine=healthy"]
        sentinel = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL)
        try:
            heard(manager, "READY=1")
            alive = heard(manager, "engine RUNNING")
            assert all("WATCHDOG=1" in message for message in alive)
            begun = time.monotonic()
            heard(manager, "WATCHDOG=1")
            heard(manager, "WATCHDOG=1")
            assert time.monotonic() - begun < 5, "the manager allows ten seconds"
            (run_dir / "state" / "KILL_SWITCH").write_text("news (by test)\n")
            heard(manager, "no entries: news (by test)")
            rows = (run_dir / "births.txt").read_text().split("\n")[:-1]
            for pid in [row.split()[1] for row in rows]:
                if Path(f"/proc/{pid}/environ").exists():
                    assert b"NOTIFY_SOCKET" not in Path(f"/proc/{pid}/environ").read_bytes()
            sentinel.terminate()
            heard(manager, "STOPPING=1")
            assert sentinel.wait(10) == 0
        finally:
            sentinel.kill()
            sentinel.wait()


def test_an_address_that_is_none_is_refused_before_anything_starts(tmp_path: Path) -> None:
    command = [sys.executable, "-P", DRIVER, str(tmp_path), "{}", "engine=healthy"]
    env = {**os.environ, "NOTIFY_SOCKET": "nonsense"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 2
    assert "NOTIFY_SOCKET is 'nonsense'" in done.stderr
    assert not (tmp_path / "births.txt").exists()
