"""Run the embedded demo for real, shortly: every process, every socket, one kill -9 of each child."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

ROOT = Path(__file__).resolve().parents[2]
CHILDREN = ("bridge", "engine", "scribe", "dashboard")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


def _stats(folder: Path, name: str) -> dict[str, Any]:
    try:
        return json.loads((folder / "state" / f"{name}.stats.json").read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError):
        return {}


def _until(what: str, test: Any, limit_s: float) -> None:
    deadline = time.monotonic() + limit_s
    while not test():
        assert time.monotonic() < deadline, f"waited {limit_s} s for {what}"
        time.sleep(0.1)


def test_every_child_killed_once_and_the_books_are_still_equal(tmp_path: Path) -> None:
    folder = tmp_path / "run dir"
    command = [sys.executable, "-P", "-m", "pj.cli", "demo", "--from", "09:29", "--to", "09:59", "--speed", "40"]
    command += ["--run-dir", str(folder), "--headless", "--json"]
    demo = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        _until("the first bars", lambda: _stats(folder, "engine").get("bars", 0) >= 2, 90)
        for name in CHILDREN:
            pid = _stats(folder, name)["pid"]
            os.kill(pid, signal.SIGKILL)
            _until(f"a new {name}", lambda name=name, pid=pid: _stats(folder, name).get("pid", pid) != pid, 15)
            time.sleep(1.0)
        out, err = demo.communicate(timeout=180)
    finally:
        demo.kill()
        demo.wait()
    report = json.loads(out)
    assert demo.returncode == 0, json.dumps(report, indent=1) + err[-2000:]
    assert {name: report["restarts"][name] for name in CHILDREN} == dict.fromkeys(CHILDREN, 1)
    assert report["ticks"]["equal"]
    assert report["orders"]["intents"] == report["orders"]["acked"] + report["orders"]["refused"]
    left = [proc for proc in psutil.process_iter(["cmdline"]) if str(folder) in " ".join(proc.info["cmdline"] or [])]
    assert not left, f"left running: {left}"
