"""Start, end and watch processes: the one place where POSIX and Windows differ.

Death is told by the operating system. Linux: a pidfd in the selector becomes readable the moment the process ends.
Elsewhere a thread waits on the process (waitpid; on Windows the process handle) and wakes the selector by a byte.

A child never outlives the Sentinel. Linux: PR_SET_PDEATHSIG sends it SIGKILL when the Sentinel is gone; children are
crash-only, so a kill loses nothing, and a signal that it could ignore would leave two order senders. Windows: the
Sentinel puts itself into a Job Object that kills on close (``windows.py``); children are born inside it.

Each child is a session of its own (POSIX) or has a console of its own (Windows; headless one without a window), so that
Ctrl-C reaches the Sentinel alone and the stop order is the Sentinel's to keep.
"""

from __future__ import annotations

import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

from pj.channels.redact import redact

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

CREATE_NEW_CONSOLE: Final = 0x00000010
CREATE_NO_WINDOW: Final = 0x08000000
CREATE_BREAKAWAY_FROM_JOB: Final = 0x01000000
PR_SET_PDEATHSIG: Final = 1
SIGKILL: Final = 9  # signal.SIGKILL has no name on Windows
MAX_OUT_BYTES: Final = 2_000_000
LAST_WORDS_BYTES: Final = 4096

#: The processes, in start order, with the module that each one runs.
#: The scribe and the engine only read what others write, so the bridge starts before them; the dashboard comes last.
MODULES: Final[dict[str, str]] = {
    "bridge": "pj.processes.ibkr_bridge",
    "engine": "pj.processes.run_live_engine",
    "scribe": "pj.processes.dashboard_logger",
    "dashboard": "pj.processes.live_dashboard",
}


class Running(Protocol):
    """Hold one started process."""

    @property
    def pid(self) -> int:
        """Return its process id."""
        ...

    def poll(self) -> int | None:
        """Return the exit code (negative: the signal) once it has ended, else None."""
        ...

    def ask_stop(self) -> None:
        """Ask it to end by itself."""
        ...

    def kill(self) -> None:
        """End it at once."""
        ...


class Spawner(Protocol):
    """Start processes and sleep until something happens to one of them."""

    def spawn(self, name: str, instance: str) -> Running:
        """Start child ``name`` with its instance token; raise OSError when the system refuses."""
        ...

    def wait(self, timeout_s: float) -> None:
        """Sleep until a child dies, a signal comes, or ``timeout_s`` has passed."""
        ...

    def last_words(self, name: str) -> str:
        """Return the last line that child ``name`` printed, or ''."""
        ...


def module_command(module: str, *arguments: str, executable: str = sys.executable) -> tuple[str, ...]:
    """Return the command line that runs ``module``; -P keeps a stray folder from shadowing our packages."""
    return (executable, "-P", "-m", module, *arguments)


def popen_options(platform: str, *, takes_terminal: bool, windows_console: bool) -> dict[str, Any]:
    """Return what Popen needs on ``platform`` besides command and environment.

    ``takes_terminal``: the child keeps our standard streams (POSIX). ``windows_console``: the child gets a window.
    """
    if platform == "win32":
        if windows_console:  # no stream is redirected: that would leave the child's own window empty
            return {"creationflags": CREATE_NEW_CONSOLE}
        return {"creationflags": CREATE_NO_WINDOW, "stdin": subprocess.DEVNULL}
    options: dict[str, Any] = {"start_new_session": True}
    if not takes_terminal:
        options["stdin"] = subprocess.DEVNULL
    if platform == "linux":
        options["preexec_fn"] = die_with_parent(os.getpid())
    return options


def outliving_options(platform: str) -> dict[str, Any]:
    """Return what Popen needs on ``platform`` for a process without a window that goes on when the Sentinel ends."""
    if platform == "win32":
        return {"creationflags": CREATE_NO_WINDOW | CREATE_BREAKAWAY_FROM_JOB}
    return {"start_new_session": True}


def die_with_parent(parent: int, number: int = SIGKILL) -> Callable[[], None]:
    """Return what the forked child runs before exec: bind its life to ours, or end if we are gone already (Linux).

    ``number`` is the signal that the kernel sends it when ``parent`` is gone.
    """
    import ctypes  # before the fork, never in it; unused on Windows

    prctl = ctypes.CDLL(None, use_errno=True).prctl

    def bind() -> None:
        prctl(PR_SET_PDEATHSIG, number, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return bind


@dataclass(slots=True)
class OsProcess:
    """Wrap a Popen as the Running that the Sentinel knows."""

    popen: subprocess.Popen[bytes]
    platform: str = sys.platform
    _breaker: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Return its process id."""
        return self.popen.pid

    def poll(self) -> int | None:
        """Return its exit code once it has ended."""
        if self._breaker is not None:
            self._breaker.poll()
        return self.popen.poll()

    def ask_stop(self) -> None:
        """Send SIGTERM; on Windows press CTRL_BREAK in its console."""
        if self.platform == "win32":
            # Only a process attached to that console can press the key there: a short-lived one does.
            command = module_command("pj.supervision.windows", str(self.popen.pid))
            self._breaker = subprocess.Popen(command, creationflags=CREATE_NO_WINDOW)
        else:
            self.popen.terminate()

    def kill(self) -> None:
        """Send SIGKILL (Windows: TerminateProcess)."""
        self.popen.kill()


@dataclass(slots=True)
class OsSpawner:
    """Start real processes whose output goes to ``logs/<name>.out``; see Spawner for the methods."""

    commands: Mapping[str, Sequence[str]]
    logs: Path
    env: Mapping[str, str]
    terminal_child: str = ""
    windows_console: bool = True
    platform: str = sys.platform
    _selector: selectors.BaseSelector = field(default_factory=selectors.DefaultSelector)
    _wake: tuple[socket.socket, socket.socket] = field(default_factory=socket.socketpair)

    def __post_init__(self) -> None:
        """Prepare the wake-up byte: for signals always, for deaths where there is no pidfd."""
        self.logs.mkdir(parents=True, exist_ok=True)
        for end in self._wake:
            end.setblocking(False)
        self._selector.register(self._wake[0], selectors.EVENT_READ, None)
        if threading.current_thread() is threading.main_thread():
            signal.set_wakeup_fd(self._wake[1].fileno(), warn_on_full_buffer=False)

    def spawn(self, name: str, instance: str) -> OsProcess:
        """Start child ``name``; raise OSError when the system refuses."""
        takes_terminal = name == self.terminal_child and self.platform != "win32"
        options = popen_options(self.platform, takes_terminal=takes_terminal, windows_console=self.windows_console)
        command = list(self.commands[name])
        env = {**self.env, "PJ_INSTANCE": instance}
        if self.platform == "win32" and self.windows_console:
            popen = subprocess.Popen(command, env=env, **options)
        else:
            with self._out_file(name) as out:
                streams = {"stderr": out} if takes_terminal else {"stdout": out, "stderr": out}
                popen = subprocess.Popen(command, env=env, **streams, **options)
        self._notice_death(popen)
        return OsProcess(popen, self.platform)

    def wait(self, timeout_s: float) -> None:
        """Sleep until a death, a signal or the time-out."""
        for key, _ in self._selector.select(max(0.0, timeout_s)):
            if key.data is None:
                self._drain()
            else:
                self._selector.unregister(key.fd)
                os.close(key.fd)

    def wake(self) -> None:
        """End a wait from another thread."""
        try:
            self._wake[1].send(b"\0")
        except BlockingIOError:
            return  # full of wake-ups already

    def last_words(self, name: str) -> str:
        """Return the last line that the child printed, without secrets, or ''."""
        try:
            with (self.logs / f"{name}.out").open("rb") as out:
                out.seek(max(0, out.seek(0, os.SEEK_END) - LAST_WORDS_BYTES))
                lines = out.read().decode(errors="replace").split("\n")
        except OSError:
            return ""
        return redact(next((line.strip() for line in reversed(lines) if line.strip()), ""))

    def close(self) -> None:
        """Release the selector and the wake-up sockets."""
        if threading.current_thread() is threading.main_thread():
            signal.set_wakeup_fd(-1)
        for key in list(self._selector.get_map().values()):
            if key.data is not None:
                os.close(key.fd)
        self._selector.close()
        for end in self._wake:
            end.close()

    def _out_file(self, name: str) -> Any:
        path = self.logs / f"{name}.out"
        if path.exists() and path.stat().st_size > MAX_OUT_BYTES:
            path.replace(path.with_suffix(".out.1"))
        return path.open("ab")

    def _notice_death(self, popen: subprocess.Popen[bytes]) -> None:
        if hasattr(os, "pidfd_open"):
            try:
                self._selector.register(os.pidfd_open(popen.pid), selectors.EVENT_READ, popen.pid)
            except OSError:  # a kernel without pidfd
                pass
            else:
                return
        threading.Thread(target=self._wait_for, args=(popen,), daemon=True, name=f"wait-{popen.pid}").start()

    def _wait_for(self, popen: subprocess.Popen[bytes]) -> None:
        popen.wait()
        self.wake()

    def _drain(self) -> None:
        try:
            while self._wake[0].recv(4096):
                pass
        except BlockingIOError:
            return
