"""Prove the Sentinel on a terminal: the dashboard takes it, and it is put right after every end."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pj.channels.stats import read_stats

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="drives a POSIX terminal")
DRIVER = str(Path(__file__).with_name("sentinel_driver.py"))


class Screen:
    """Hold the far side of a terminal on which a Sentinel with a real dashboard runs."""

    def __init__(self, run_dir: Path) -> None:
        import fcntl
        import pty
        import termios

        self.run_dir = run_dir
        self.controller, self.terminal = pty.openpty()
        termios.tcsetwinsize(self.terminal, (24, 80))
        self.settings = termios.tcgetattr(self.terminal)
        os.set_blocking(self.controller, False)
        config = run_dir.parent / "config.yaml"
        config.write_text(f"run_dir: {str(run_dir)!r}\n")

        def take_terminal() -> None:
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        self.process = subprocess.Popen(
            [
                sys.executable,
                "-P",
                DRIVER,
                str(run_dir),
                json.dumps({"silent_s": 5}),
                "bridge=healthy",
                "dashboard=real",
            ],
            env={**os.environ, "PJ_CONFIG": str(config), "TERM": "xterm-256color"},
            stdin=self.terminal,
            stdout=self.terminal,
            stderr=self.terminal,
            preexec_fn=take_terminal,  # noqa: PLW1509 - no thread of ours runs yet
        )
        self.shown = bytearray()

    def sees(self, text: str) -> bool:
        with contextlib.suppress(BlockingIOError):
            self.shown.extend(os.read(self.controller, 65536))
        return text.encode() in self.shown

    def child(self) -> dict[str, Any]:
        stats = read_stats(self.run_dir / "state" / "sentinel.stats.json")
        return dict(stats.gauges["children"]["dashboard"]) if stats else {}

    def is_as_it_was(self) -> bool:
        import termios

        return termios.tcgetattr(self.terminal) == self.settings


def wait_for(what: Callable[[], object], limit_s: float = 15.0) -> None:
    deadline = time.monotonic() + limit_s
    while not what():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


@pytest.fixture
def screen(tmp_path: Path) -> Iterator[Screen]:
    one = Screen(tmp_path / "run")
    try:
        wait_for(lambda: one.sees("PJ Engine") and one.child().get("state") == "RUNNING")
        yield one
    finally:
        one.process.kill()
        one.process.wait()
        os.close(one.controller)
        os.close(one.terminal)


def test_a_killed_dashboard_comes_back_on_the_terminal(screen: Screen) -> None:
    assert not screen.is_as_it_was()  # single keys, no echo
    assert screen.sees("q close")
    old = screen.child()["pid"]
    screen.shown.clear()
    os.kill(old, signal.SIGKILL)
    wait_for(lambda: screen.child()["pid"] not in {old, None} and screen.child()["state"] == "RUNNING")
    wait_for(lambda: screen.sees("PJ Engine"))
    screen.process.send_signal(signal.SIGTERM)
    wait_for(lambda: screen.sees("\x1b[?1049l") and screen.process.poll() is not None)
    assert screen.process.wait(6) == 0
    assert screen.is_as_it_was()


def test_q_closes_the_view_and_trading_goes_on(screen: Screen) -> None:
    os.write(screen.controller, b"q")
    wait_for(lambda: screen.child()["state"] == "EXITED")
    wait_for(lambda: screen.sees("The dashboard is closed; trading goes on."))
    assert screen.is_as_it_was()
    stats = read_stats(screen.run_dir / "state" / "sentinel.stats.json")
    assert stats is not None
    assert stats.gauges["children"]["bridge"]["state"] == "RUNNING"
    assert screen.child()["restarts"] == 0


def test_ctrl_c_stops_everything(screen: Screen) -> None:
    os.write(screen.controller, b"\x03")
    wait_for(lambda: screen.sees("\x1b[?1049l") and screen.process.poll() is not None)
    assert screen.process.returncode == 0
    assert screen.is_as_it_was()
    assert screen.child()["state"] == "STOPPED"


def test_a_closed_terminal_stops_everything(screen: Screen) -> None:
    """Closing the window hangs up the session: SIGHUP."""
    os.kill(screen.process.pid, signal.SIGHUP)
    wait_for(lambda: (screen.sees(""), screen.process.poll() is not None)[1])
    assert screen.process.returncode == 0
