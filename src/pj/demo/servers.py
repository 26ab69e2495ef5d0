"""Start and stop the demo's servers and its Sentinel as real processes.

Windows has no SIGTERM for other processes: there every server runs in its own process group and is asked to stop
by CTRL_BREAK, as the Sentinel's children are.
"""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from pj.supervision.spawn import SIGKILL, die_with_parent

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

READY_LIMIT_S: Final = 60.0
STOP_LIMIT_S: Final = 12.0
CREATE_NEW_PROCESS_GROUP: Final = 0x00000200
#: signal.CTRL_BREAK_EVENT, which has no name elsewhere; Popen.send_signal refuses any other number on Windows.
CTRL_BREAK_EVENT: Final = 1


class ServerFailed(Exception):
    """Report a server that did not come up, with its own last words."""


def apart(platform: str = sys.platform, *, own_session: bool = True, last_signal: int = SIGKILL) -> dict[str, Any]:
    """Return the Popen options of a process that a Ctrl-C in our terminal must not reach, but our end must.

    ``own_session`` False keeps the terminal (the Sentinel whose dashboard draws on it). ``last_signal`` is what the
    kernel sends it should we be killed (Linux). On Windows every process leads a group of its own: only the leader of
    a group can be sent CTRL_BREAK, and the dashboard has a console of its own there anyway.
    """
    if platform == "win32":
        return {"creationflags": CREATE_NEW_PROCESS_GROUP}
    options: dict[str, Any] = {"start_new_session": own_session}
    if platform == "linux":
        options["preexec_fn"] = die_with_parent(os.getpid(), last_signal)
    return options


def ask_to_stop(process: subprocess.Popen[bytes], platform: str = sys.platform) -> None:
    """Ask a process to end by itself: SIGTERM, or CTRL_BREAK on Windows."""
    if process.poll() is None:
        process.send_signal(CTRL_BREAK_EVENT if platform == "win32" else signal.SIGTERM)


@dataclass(slots=True)
class Servers:
    """Hold the running simulators in start order, and the Sentinel above them."""

    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    words: dict[str, dict[str, str]] = field(default_factory=dict)
    sentinel: subprocess.Popen[bytes] | None = None

    def first_dead(self) -> str:
        """Return a sentence naming a server that ended although nobody asked it to; '' while all live."""
        for name, process in self.processes.items():
            if process.poll() is not None:
                return f"the simulated {name} ended with code {process.returncode}; see logs/sim_{name}.log"
        if self.sentinel is not None and self.sentinel.poll() is not None:
            return f"the Sentinel ended with code {self.sentinel.returncode}; see logs/sentinel.log"
        return ""

    def start_sentinel(self, env: Mapping[str, str], logs: Path, *, headless: bool) -> None:
        """Start the Sentinel; on a terminal it keeps the terminal for its dashboard."""
        command = [sys.executable, "-P", "-m", "pj.processes.sentinel_watchdog"]
        if not headless:
            keeps_terminal = apart(own_session=False, last_signal=signal.SIGTERM)
            self.sentinel = subprocess.Popen(command, env=dict(env), **keeps_terminal)
            return
        with (logs / "sentinel.out").open("ab") as out:
            self.sentinel = subprocess.Popen(
                [*command, "--headless"],
                env=dict(env),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                **apart(last_signal=signal.SIGTERM),
            )

    def stop_sentinel(self) -> None:
        """Stop the Sentinel (which stops its children) before the servers that they talk to."""
        if self.sentinel is not None:
            _stop(self.sentinel)

    def stop_all(self) -> None:
        """Stop everything that still runs, last started first."""
        self.stop_sentinel()
        for process in reversed(self.processes.values()):
            _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    ask_to_stop(process)
    try:
        process.wait(STOP_LIMIT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def start_server(servers: Servers, name: str, arguments: list[str], env: Mapping[str, str], logs: Path) -> int:
    """Start one simulator, wait for its ``READY name host:port key=value ...`` line, and return its port.

    Raises ServerFailed with the server's own last line when it ends or stays silent.
    """
    logs.mkdir(parents=True, exist_ok=True)
    log = logs / f"sim_{name}.log"
    with log.open("ab") as errors:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", f"pj.simulators.{name}", *arguments],
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            **apart(),
        )
    servers.processes[name] = process
    line = _ready_line(process, name, log)
    words = line.split()
    servers.words[name] = dict(word.split("=", 1) for word in words[3:] if "=" in word)
    return int(words[2].rsplit(":", 1)[1])


def _ready_line(process: subprocess.Popen[bytes], name: str, log: Path) -> str:
    lines: queue.Queue[str] = queue.Queue()
    stdout = process.stdout
    if stdout is None:
        raise ServerFailed(f"the simulated {name} has no output to read")

    def pump() -> None:
        with stdout:
            for raw in stdout:
                lines.put(raw.decode(errors="replace").strip())

    threading.Thread(target=pump, daemon=True, name=f"ready-{name}").start()
    deadline = time.monotonic() + READY_LIMIT_S
    while time.monotonic() < deadline:
        try:
            line = lines.get(timeout=0.1)
        except queue.Empty:
            if process.poll() is not None:
                raise ServerFailed(_last_words(log) or f"the simulated {name} ended at once") from None
            continue
        if line.startswith("READY "):
            return line
    raise ServerFailed(f"the simulated {name} was not ready after {READY_LIMIT_S:.0f} s; see {log}")


def _last_words(log: Path) -> str:
    text = log.read_text(encoding="utf-8", errors="replace").strip()
    return text.splitlines()[-1] if text else ""
