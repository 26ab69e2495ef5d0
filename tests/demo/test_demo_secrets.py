"""Crash every process of a real run on an exception that holds the webhook's address, and search the run folder."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from pj.channels.log_files import log_paths
from pj.channels.log_text import parse_line

ROOT = Path(__file__).resolve().parents[2]
PROCESSES = ("bridge", "engine", "scribe", "dashboard")
BOOT_S = 90.0

#: Every child crashes once, some seconds after its start, in the middle of whatever its main loop does then.
PLANT = """
import os, signal, sys
name = {"ibkr_bridge": "bridge", "run_live_engine": "engine", "dashboard_logger": "scribe",
        "live_dashboard": "dashboard"}.get(sys.orig_argv[-1].rpartition(".")[2].split()[0]) or (
        "dashboard" if "pj.processes.live_dashboard" in sys.orig_argv else "")
flag = os.environ["PLANT_FLAGS"] + "/" + name
if name and not os.path.exists(flag):
    def boom(*_):
        open(flag, "w").close()
        hook = os.environ["PJ_TRADERSPOST_WEBHOOK_URL"]
        try:
            raise ValueError(f"posting to {hook} refused, body {{'password': '{hook[-32:]}'}}")
        except ValueError as error:
            raise RuntimeError(f"planted crash of {name} at {hook}") from error
    signal.signal(signal.SIGALRM, boom)
    signal.setitimer(signal.ITIMER_REAL, 6.0)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="plants its crashes by a POSIX timer signal")
def test_no_file_of_a_run_with_crashes_holds_a_secret(tmp_path: Path) -> None:
    (tmp_path / "plant").mkdir()
    (tmp_path / "plant" / "sitecustomize.py").write_text(PLANT)
    (tmp_path / "flags").mkdir()
    folder = tmp_path / "run"
    command = [sys.executable, "-P", "-m", "pj.cli", "demo", "--headless", "--from", "10:00", "--to", "10:40"]
    command += ["--speed", "30", "--route", "traderspost", "--run-dir", str(folder)]
    path = os.pathsep.join([str(tmp_path / "plant"), str(ROOT / "src"), str(ROOT)])
    env = {**os.environ, "PYTHONPATH": path, "PLANT_FLAGS": str(tmp_path / "flags")}
    demo = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        log = folder / "logs" / "sentinel.log"
        deadline = time.monotonic() + BOOT_S
        while not log.exists() or log.read_text().count(" RESTART ") < len(PROCESSES):
            assert demo.poll() is None and time.monotonic() < deadline
            time.sleep(0.2)
        stats = json.loads((folder / "state" / "sentinel.stats.json").read_text())
        address = psutil.Process(stats["pid"]).environ()["PJ_TRADERSPOST_WEBHOOK_URL"]
        time.sleep(3)
        arguments = _arguments_below(psutil.Process(demo.pid))
    finally:
        demo.send_signal(signal.SIGINT)
        demo.wait(60)
    hook, password = address.split("/")[-2:]
    key = json.loads((folder / "simulators" / "service_account.json").read_text())
    secrets = {hook, password, key["private_key_id"], *key["private_key"].split("\n")[1:-2]}
    assert {*PROCESSES, "sentinel", "gateway", "sheets", "traderspost", "cli"} <= set(arguments)
    for name, command in arguments.items():
        assert not [secret for secret in secrets if secret in command], f"{name} has a secret among its arguments"
    # The simulators are the other side: the sheet's key file, and the ledgers of what the servers were sent.
    ours = [file for file in folder.rglob("*") if file.is_file() and "simulators" not in file.parts]
    assert len(ours) > 15
    for file in ours:
        data = file.read_bytes()
        for secret in secrets:
            assert secret.encode() not in data, f"{file.relative_to(folder)} holds {secret[:4]}..."
    _every_crash_is_told(folder, hook)


def _arguments_below(demo: psutil.Process) -> dict[str, str]:
    """Return the whole command line of the demo and of every process below it, by the module's short name."""
    short = {"ibkr_bridge": "bridge", "run_live_engine": "engine", "dashboard_logger": "scribe"}
    short |= {"live_dashboard": "dashboard", "sentinel_watchdog": "sentinel"}
    found = {}
    for process in (demo, *demo.children(recursive=True)):
        words = process.cmdline()
        module = words[words.index("-m") + 1].rpartition(".")[2] if "-m" in words else " ".join(words[:3])
        found[short.get(module, module)] = "\0".join(words)
    return found


def _every_crash_is_told(folder: Path, hook: str) -> None:
    reasons = {}
    for file in log_paths(folder / "logs" / "sentinel.log"):
        for line in file.read_text().splitlines():
            _, _, event, fields = parse_line(line)
            if event == "RESTART":
                reasons[fields["name"]] = fields["reason"]
    for name in PROCESSES:
        assert f"planted crash of {name}" in reasons[name]
        assert hook[:8] in reasons[name]  # which webhook it was may be seen
        out = (folder / "logs" / f"{name}.out").read_text()
        assert f"planted crash of {name}" in out and "Traceback" in out and "body {'password': ***" in out
    for name in ("bridge", "engine", "scribe"):
        lines = [parse_line(line) for line in (folder / "logs" / f"{name}.log").read_text().splitlines()]
        assert any(event == "CRASH" and "planted crash" in fields["error"] for _, _, event, fields in lines)
