"""The unit under a real systemd: installed, started, hung, killed, stopped and misconfigured.

A user's systemd is started in namespaces and a control group of its own, which needs root; elsewhere it is skipped.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

PJ = (sys.executable, "-P", "-m", "pj.cli")
SYSTEMD = next((path for path in ("/lib/systemd/systemd", "/usr/lib/systemd/systemd") if Path(path).exists()), None)
GROUPS = [path for path in (Path("/sys/fs/cgroup/unified"), Path("/sys/fs/cgroup/systemd")) if path.is_dir()]
GROUPS = GROUPS or [Path("/sys/fs/cgroup")]

#: Runs as the first process of its own pid namespace: whatever it leaves dies with it.
BOOT = """
mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/system || exit 9
for group in $CONTROL_GROUPS; do echo $$ > "$group/cgroup.procs" || exit 9; done
mkdir -p "$XDG_RUNTIME_DIR" && chmod 700 "$XDG_RUNTIME_DIR" && cd "$HOME" || exit 9
"$SYSTEMD" --user --log-target=null &
for _ in 1 2 3 4 5 6 7 8 9 10; do
    systemctl --user is-system-running >/dev/null 2>&1 && break
    sleep 0.5
done
systemctl --user is-system-running >/dev/null || exit 9
"$PYTHON" -c "$PLAY"
"""
PLAY = r"""
import json, os, signal, subprocess, sys, time
from pathlib import Path

UNIT = "pj-engine.service"
home = Path.cwd()
said = {}

def run(*words):
    return subprocess.run(words, capture_output=True, text=True, timeout=150)

def systemctl(*words):
    return run("systemctl", "--user", *words)

def shown():
    names = "ActiveState,MainPID,NRestarts,Result,ExecMainStatus,StatusText"
    return dict(line.split("=", 1) for line in systemctl("show", UNIT, "-p", names).stdout.splitlines())

def living():
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            found += [word.decode() for word in words if word.startswith(b"pj.processes.")]
    return sorted(found)

def restarted(old, times):
    began_s = time.monotonic()
    while time.monotonic() < began_s + 60:
        now = shown()
        if now["ActiveState"] == "active" and now["MainPID"] not in {"0", old} and now["NRestarts"] == str(times):
            break
        time.sleep(0.1)
    return {**now, "took_s": time.monotonic() - began_s}

def settle(count):
    until_s = time.monotonic() + 20
    while len(living()) != count and time.monotonic() < until_s:
        time.sleep(0.1)
    return living()

install = run(sys.executable, "-P", "-m", "pj.cli", "service", "install", "--config", str(home / "config.yaml"))
said["install"] = [install.returncode, install.stdout, install.stderr]
began_s = time.monotonic()
started = systemctl("start", UNIT)
said["start"] = {**shown(), "rc": started.returncode, "err": started.stderr, "took_s": time.monotonic() - began_s}
said["children"] = settle(4)
time.sleep(17)
said["quiet"] = shown()
old = shown()["MainPID"]
os.kill(int(old), signal.SIGSTOP)
said["hung"] = restarted(old, 1)
said["hung_children"] = settle(4)
old = shown()["MainPID"]
os.kill(int(old), signal.SIGKILL)
said["killed"] = restarted(old, 2)
said["killed_children"] = settle(4)
began_s = time.monotonic()
said["stop"] = {"rc": systemctl("stop", UNIT).returncode, "took_s": time.monotonic() - began_s, **shown()}
said["left"] = living()
config = home / "config.yaml"
config.write_text(config.read_text() + "execution:\n  route: traderspost\n")
systemctl("start", UNIT)
time.sleep(8)
said["misconfigured"] = shown()
uninstall = run(sys.executable, "-P", "-m", "pj.cli", "service", "uninstall", "--config", str(config))
said["uninstall"] = [uninstall.returncode, uninstall.stdout, uninstall.stderr]
print(json.dumps(said))
"""


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
def groups() -> Iterator[list[Path]]:
    """Make a control group of our own in each hierarchy that systemd uses."""
    made = [folder / f"pj-test-{os.getpid()}" for folder in GROUPS]
    try:
        for folder in made:
            folder.mkdir()
        yield made
    except OSError as error:
        pytest.skip(f"no control group can be made here: {error}")
    finally:
        for folder in made:
            for below in sorted(folder.rglob("*/"), reverse=True):
                if below.is_dir():
                    below.rmdir()
            if folder.is_dir():
                folder.rmdir()


@pytest.mark.campaign
@pytest.mark.timeout(300)
@pytest.mark.skipif(sys.platform != "linux", reason="systemd is Linux's")
def test_systemd_keeps_the_sentinel_by_our_unit(tmp_path: Path, gateway: int, groups: list[Path]) -> None:
    if os.getuid() != 0 or SYSTEMD is None or not shutil.which("unshare") or not shutil.which("systemctl"):
        pytest.skip("no root, or no systemd to start here")
    home = tmp_path / "my trading 100%"
    home.mkdir()
    text = f"profile: paper\nrun_dir: run\nibkr:\n  port: {gateway}\nsheets:\n  enabled: false\n"
    (home / "config.yaml").write_text(text, encoding="utf-8")
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PJ_", "XDG_"))}
    env |= {"HOME": str(home), "XDG_CONFIG_HOME": str(tmp_path / "cfg"), "XDG_RUNTIME_DIR": str(tmp_path / "rt")}
    env |= {"SYSTEMD": SYSTEMD, "PYTHON": sys.executable, "PLAY": PLAY, "CONTROL_GROUPS": " ".join(map(str, groups))}
    command = [
        "unshare",
        "-m",
        "-p",
        "--fork",
        "--mount-proc",
        "--kill-child",
        "sh",
        "-c",
        BOOT,
    ]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=280, check=False)
    if done.returncode == 9:
        pytest.skip(f"systemd cannot be started here: {done.stderr[-300:]}")
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    print(json.dumps(said, indent=1))
    judge(said)


def judge(said: dict[str, Any]) -> None:
    family = ["pj.processes.ibkr_bridge", "pj.processes.live_dashboard", "pj.processes.run_live_engine"]
    family.append("pj.processes.sentinel_watchdog")
    assert said["install"][0] == 0, said["install"]
    assert (said["start"]["rc"], said["start"]["ActiveState"]) == (0, "active"), said["start"]
    assert said["start"]["StatusText"]
    assert said["children"] == said["hung_children"] == said["killed_children"] == family
    assert said["quiet"]["NRestarts"] == "0"  # longer than the watchdog's span: the pings arrive
    assert 10 < said["hung"]["took_s"] < 40, said["hung"]
    assert 4 < said["killed"]["took_s"] < 25, said["killed"]
    assert (said["stop"]["rc"], said["stop"]["ActiveState"], said["stop"]["Result"]) == (0, "inactive", "success")
    assert said["stop"]["ExecMainStatus"] == "0" and said["stop"]["took_s"] < 10 and said["left"] == []
    bad = said["misconfigured"]
    assert (bad["ActiveState"], bad["ExecMainStatus"], bad["NRestarts"]) == ("failed", "2", "0"), bad
    assert said["uninstall"][0] == 0, said["uninstall"]
