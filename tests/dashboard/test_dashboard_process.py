"""Prove the dashboard as a real process: once, as a picture, headless, and on a terminal with keys."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from scene import RUN_NS, write_scene

from live.market import INSTRUMENTS
from pj.channels.alerts import Alert, open_alerts, raise_alert
from pj.channels.control import ControlCommand, ControlFile
from pj.channels.rundir import RunDir
from pj.channels.stats import read_stats
from pj.channels.switches import halts
from pj.clock import SystemClock
from pj.config import load_settings
from pj.dashboard.collect import Collector, sentinel_deeds

if TYPE_CHECKING:
    from collections.abc import Callable

COMMAND = [sys.executable, "-P", "-m", "pj.processes.live_dashboard"]


def environment(run_dir: Path) -> dict[str, str]:
    config = run_dir.parent / "config.yaml"
    config.write_text(f"run_dir: {str(run_dir)!r}\n")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PJ_")}
    return {**kept, "PJ_CONFIG": str(config), "PJ_INSTANCE": "token", "TERM": "xterm-256color"}


def wait_for(what: Callable[[], object], limit_s: float = 15.0) -> None:
    deadline = time.monotonic() + limit_s
    while not what():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


@pytest.fixture
def folder(tmp_path: Path) -> RunDir:
    return write_scene(tmp_path / "run dir", INSTRUMENTS["MNQ"])


def test_once_prints_one_frame_and_says_that_the_system_runs(folder: RunDir) -> None:
    done = subprocess.run(
        [*COMMAND, "--once"], env=environment(folder.root), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert len(lines) == 24
    assert max(map(len, lines)) == 80
    assert "25,001.25" in done.stdout
    assert "RESTART name=bridge" in done.stdout
    assert "CHECK" not in done.stdout
    assert "\x1b" not in done.stdout


def test_once_of_a_system_that_is_down_ends_with_1(tmp_path: Path) -> None:
    write_scene(tmp_path / "run", INSTRUMENTS["MNQ"], beat_ns=RUN_NS)
    command = [*COMMAND, "--once", "--size", "160x50"]
    done = subprocess.run(command, env=environment(tmp_path / "run"), capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert len(done.stdout.splitlines()) == 50
    assert "NOT RUNNING (Sentinel STALE" in done.stdout
    empty = subprocess.run(
        [*COMMAND, "--once"], env=environment(tmp_path / "none"), capture_output=True, text=True, check=False
    )
    assert empty.returncode == 1
    assert "NOT RUNNING (Sentinel no data)" in empty.stdout
    assert not (tmp_path / "none").exists()


def test_a_picture_is_written(folder: RunDir, tmp_path: Path) -> None:
    path = tmp_path / "frame.svg"
    done = subprocess.run([*COMMAND, "--export-svg", str(path)], env=environment(folder.root), check=False)
    assert done.returncode == 0
    assert path.read_text().startswith("<svg")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [(["--size", "10x5"], "too small"), (["--size", "wide"], "is not COLUMNSxLINES")],
)
def test_a_bad_size_is_refused(arguments: list[str], told: str, folder: RunDir) -> None:
    done = subprocess.run(
        [*COMMAND, "--once", *arguments], env=environment(folder.root), capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert told in done.stderr


def test_unusable_settings_end_with_2(folder: RunDir) -> None:
    env = environment(folder.root) | {"PJ__SYMBOL": "XYZ"}
    done = subprocess.run([*COMMAND, "--headless"], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "symbol" in done.stderr
    assert done.stderr.count("\n") == 1


def test_headless_draws_into_a_file_and_beats(folder: RunDir) -> None:
    process = subprocess.Popen([*COMMAND, "--headless"], env=environment(folder.root), stdin=subprocess.DEVNULL)
    try:
        frame = folder.state_folder / "dashboard.txt"
        wait_for(lambda: frame.exists() and "25,001.25" in frame.read_text())
        wait_for(lambda: (stats := read_stats(folder.state("dashboard"))) and stats.beat_seq >= 3)
        stats = read_stats(folder.state("dashboard"))
        assert stats is not None
        assert (stats.instance, stats.phase, stats.pid) == ("token", "RUNNING", process.pid)
        assert stats.gauges["frames"] >= 2
        process.send_signal(signal.SIGTERM)
        assert process.wait(5) == 0
    finally:
        process.kill()
        process.wait()


@pytest.mark.skipif(sys.platform == "win32", reason="drives a POSIX terminal")
def test_keys_on_a_terminal(folder: RunDir) -> None:
    import pty
    import termios

    raise_alert(folder.alerts, Alert(1, "NAKED", "engine", "no stop stands"))
    controller, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (24, 80))
    before = termios.tcgetattr(terminal)
    process = subprocess.Popen(
        COMMAND, env=environment(folder.root), stdin=terminal, stdout=terminal, stderr=terminal, start_new_session=True
    )
    shown = bytearray()
    os.set_blocking(controller, False)

    def sees(text: str) -> bool:
        with contextlib.suppress(BlockingIOError):
            shown.extend(os.read(controller, 65536))
        return text.encode() in shown

    def commands() -> list[str]:
        return [row.verb for row in ControlFile(folder.control).rows() if isinstance(row, ControlCommand)]

    try:
        wait_for(lambda: sees("25,001.25"))
        assert sees("\x1b[?1049h")
        wait_for(lambda: sees("1 ALERT: NAKED"))
        os.write(controller, b"h")
        wait_for(lambda: commands() == ["halt"])
        assert halts(folder) == ("halt (by dashboard)",)
        wait_for(lambda: sees("halt sent, waiting for the Sentinel"))
        (sent,) = ControlFile(folder.control).rows()
        ControlFile(folder.control).answer(sent.id, ok=True, text="kill switch thrown", ts_ns=1)
        wait_for(lambda: sees("halt: kill switch thrown"))
        os.write(controller, b"r")
        wait_for(lambda: sees("Press r again"))
        assert commands() == ["halt"]
        os.write(controller, b"r")
        wait_for(lambda: commands() == ["halt", "resume"])
        raise_alert(folder.alerts, Alert(2, "LATE_TICKS", "engine", "raised after the key"))
        assert open_alerts(folder.alerts).count == 2, "it is seen once the Sentinel has resumed, not before"
        (*_, asked) = ControlFile(folder.control).rows()
        ControlFile(folder.control).answer(asked.id, ok=True, text="released", ts_ns=2)
        wait_for(lambda: [alert.code for alert in open_alerts(folder.alerts).alerts] == ["LATE_TICKS"])
        os.write(controller, b"q")
        wait_for(lambda: sees("\x1b[?1049l"))
        assert process.wait(5) == 0
        assert termios.tcgetattr(terminal) == before
    finally:
        process.kill()
        process.wait()
        os.close(controller)
        os.close(terminal)


def test_trades_are_counted_where_they_lie(folder: RunDir) -> None:
    settings = load_settings(environment(folder.root))
    collector = Collector(settings, SystemClock())
    assert collector.look().ticks is None
    day = folder.day_at(SystemClock().now_ns()).create()
    head = "seq,recv_ns,kind,price,size,bid,ask,exch_ns,source,contract"
    trades = "".join(f"{n},1,TRADE,25000,1,,,1,TBT,MNQM6\n" for n in range(1, 1001))
    day.ticks.write_text(f"{head},msg_id,raw\n" + trades.replace("MNQM6\n", "MNQM6,99,99|1|TRADE\n"))
    day.market.write_text(f"{head}\n" + trades + "1001,1,HEARTBEAT,25000,0,,,,,MNQM6\n")
    ticks = collector.look().ticks
    assert ticks is not None
    assert (ticks.delivered, ticks.taped, ticks.quarantined, ticks.missing) == (1000, 1000, 0, 0)
    with day.ticks.open("a") as raw, day.rejected_ticks.open("a") as rejected:
        raw.write("1001,1,TRADE,25000.1,1,,,1,TBT,MNQM6,99,x\n1002,1,TRADE,25000,1,,,1,TBT,MNQM6,99,x\n1003,1,TRA")
        rejected.write("recv_ns,reason,kind\n1,OFF_GRID,TRADE,25000.1\n")
    ticks = collector.look().ticks
    assert ticks is not None
    assert (ticks.delivered, ticks.quarantined) == (1002, 1)
    assert ticks.missing == 0  # a row may be on its way from the one file to the other
    collector.close()


def test_a_loss_that_stays_is_told(folder: RunDir) -> None:
    from pj.dashboard.audit import SETTLE_S, TickAudit

    now = [100.0]
    audit = TickAudit(lambda: now[0])
    day = folder.day_at(RUN_NS).create()
    day.ticks.write_text("head\n1,1,TRADE,\n2,1,TRADE,\n")
    day.market.write_text("head\n1,1,TRADE,\n")
    missing = []
    for _ in range(8):
        count = audit.look(day)
        assert count is not None
        missing.append(count.missing)
        now[0] += SETTLE_S / 4
    assert missing[-1] == 1
    with day.market.open("a") as market:
        market.write("2,1,TRADE,\n")
    found = audit.look(day)
    assert found is not None
    assert found.missing == 0
    audit.close()


def test_deeds_leave_the_health_checks_out(folder: RunDir, tmp_path: Path) -> None:
    deeds = sentinel_deeds(folder.logs / "sentinel.log")
    assert len(deeds) == 3
    assert deeds[0].startswith("13:30:58Z START name=dashboard")
    assert sentinel_deeds(tmp_path / "none.log") == ()
