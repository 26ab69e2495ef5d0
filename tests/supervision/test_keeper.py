"""Prove the keeper with real processes: which ends it starts again, a Sentinel that hangs, a stop in order."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from live.market import INSTRUMENTS
from pj.channels.logs import open_log
from pj.channels.rundir import RunDir
from pj.supervision.keeper import Keeper, KeeperLimits

LIMITS = KeeperLimits(restart_s=0.1, watchdog_s=1.0, start_s=10.0, stop_s=5.0)
#: Stands in for the Sentinel: notes each start, then does what the line of its play for that start says.
ACTOR = """
import os, signal, sys, time
from pathlib import Path
from pj.channels.stats import StatsWriter
home = Path(sys.argv[1])
with (home / "starts").open("a") as file:
    file.write(f"{os.getpid()}\\n")
start = len((home / "starts").read_text().split())
act = sys.argv[1 + min(start, len(sys.argv) - 2)]
stopped = []
signal.signal(signal.SIGTERM, lambda *_: stopped.append(1))
if act == "deaf":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if act == "mute":
    time.sleep(60)
if act.lstrip("-").isdigit():
    if int(act) < 0:
        os.kill(os.getpid(), -int(act))
    sys.exit(int(act))
stats = StatsWriter(home / "run" / "state" / "sentinel.stats.json", "sentinel", os.environ["PJ_INSTANCE"])
while not stopped:
    stats.beat("RUNNING")
    if act == "hang":
        os.kill(os.getpid(), signal.SIGSTOP)
    time.sleep(0.1)
(home / "stopped").write_text("in order")
"""
KEEPER = """
import sys
from pathlib import Path
from live.market import INSTRUMENTS
from pj.channels.logs import open_log
from pj.channels.rundir import RunDir
from pj.supervision.keeper import Keeper, KeeperLimits, keep
folder = RunDir(Path(sys.argv[1]) / "run", INSTRUMENTS["MNQ"]).create()
limits = KeeperLimits(0.1, 1.0, 10.0, float(sys.argv[2]))
sys.exit(keep(Keeper(sys.argv[3:], folder, limits, open_log(folder.root, "keeper"))))
"""

posix_only = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")


def actor(home: Path, *acts: str) -> list[str]:
    return [sys.executable, "-c", ACTOR, str(home), *acts]


def kept(home: Path, *acts: str, limits: KeeperLimits = LIMITS) -> tuple[int, Keeper, str]:
    """Keep an actor to its end in this process; return the code, the keeper and its log."""
    folder = RunDir(home / "run", INSTRUMENTS["MNQ"]).create()
    log = open_log(folder.root, "keeper")
    keeper = Keeper(actor(home, *acts), folder, limits, log)
    try:
        code = keeper.run()
    finally:
        log.close()
    return code, keeper, (folder.logs / "keeper.log").read_text()


@pytest.mark.parametrize("code", [0, 2])
def test_an_end_for_good_is_not_started_again(tmp_path: Path, code: int) -> None:
    assert kept(tmp_path, str(code), "0")[:1] == (code,)
    assert len((tmp_path / "starts").read_text().split()) == 1


@pytest.mark.parametrize(
    "act", ["1", "3", "4", pytest.param("-9", marks=posix_only), pytest.param("-11", marks=posix_only)]
)
def test_every_other_end_is_started_again(tmp_path: Path, act: str) -> None:
    code, keeper, log = kept(tmp_path, act, act, "0")
    assert (code, keeper.starts) == (0, 3)
    assert log.count(f"SENTINEL_DIED exit={act} ") == 2


def test_a_crash_loop_is_neither_hot_nor_given_up(tmp_path: Path) -> None:
    began_s = time.monotonic()
    code, keeper, _ = kept(tmp_path, *["1"] * 4, "0", limits=KeeperLimits(0.5, 1.0, 10.0, 5.0))
    assert (code, keeper.starts) == (0, 5)
    assert time.monotonic() - began_s >= 4 * 0.5


@posix_only
def test_a_hung_sentinel_is_killed_and_started_again(tmp_path: Path) -> None:
    code, keeper, log = kept(tmp_path, "hang", "0")
    assert (code, keeper.starts) == (0, 2)
    assert "SENTINEL_KILLED" in log and "no heartbeat for 1." in log


@posix_only
def test_a_sentinel_that_never_beats_is_killed(tmp_path: Path) -> None:
    code, keeper, log = kept(tmp_path, "mute", "0", limits=KeeperLimits(0.1, 60.0, 1.0, 5.0))
    assert (code, keeper.starts) == (0, 2)
    assert "no first heartbeat for 1." in log


def test_the_heartbeat_of_a_predecessor_proves_nothing(tmp_path: Path) -> None:
    state = tmp_path / "run" / "state"
    state.mkdir(parents=True)
    writer = f"""
import time
from pathlib import Path
from pj.channels.stats import StatsWriter
stats = StatsWriter(Path({str(state / "sentinel.stats.json")!r}), "sentinel", "another")
while True:
    stats.beat("RUNNING")
    time.sleep(0.1)
"""
    other = subprocess.Popen([sys.executable, "-c", writer])
    try:
        code, keeper, log = kept(tmp_path, "mute", "0", limits=KeeperLimits(0.1, 60.0, 1.0, 5.0))
    finally:
        other.kill()
        other.wait()
    assert (code, keeper.starts) == (0, 2)
    assert "no first heartbeat" in log


def until(what: str, true: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + 15
    while not true():
        assert time.monotonic() < deadline_s, what
        time.sleep(0.05)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return (
        not Path(f"/proc/{pid}/stat").exists()
        or Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    )


@posix_only
@pytest.mark.parametrize(("act", "stop_s", "word"), [("beat", 10.0, "in order"), ("deaf", 0.5, None)])
def test_a_stop_is_handed_on_and_waited_for(tmp_path: Path, act: str, stop_s: float, word: str | None) -> None:
    keeper = subprocess.Popen([sys.executable, "-c", KEEPER, str(tmp_path), str(stop_s), *actor(tmp_path, act)])
    until("it beats", (tmp_path / "run" / "state" / "sentinel.stats.json").exists)
    keeper.send_signal(signal.SIGTERM)
    assert keeper.wait(15) == 0
    assert not alive(int((tmp_path / "starts").read_text()))
    assert ((tmp_path / "stopped").read_text() if word else None) == word


@posix_only
def test_a_stop_between_two_starts_starts_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-c", KEEPER.replace("0.1, 1.0", "30.0, 1.0"), str(tmp_path), "5", *actor(tmp_path, "1")]
    keeper = subprocess.Popen(command)
    log = tmp_path / "run" / "logs" / "keeper.log"
    until("it has died", lambda: log.exists() and "SENTINEL_DIED" in log.read_text())
    keeper.send_signal(signal.SIGTERM)
    assert keeper.wait(5) == 0
    assert len((tmp_path / "starts").read_text().split()) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux's")
def test_a_killed_keeper_leaves_no_sentinel(tmp_path: Path) -> None:
    keeper = subprocess.Popen([sys.executable, "-c", KEEPER, str(tmp_path), "5", *actor(tmp_path, "beat")])
    until("it beats", (tmp_path / "run" / "state" / "sentinel.stats.json").exists)
    keeper.kill()
    keeper.wait()
    until("it has stopped in order", (tmp_path / "stopped").exists)
    until("it is gone", lambda: not alive(int((tmp_path / "starts").read_text())))
