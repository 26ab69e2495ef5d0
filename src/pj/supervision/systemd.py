"""Tell the service manager that started us how we are: systemd's notification protocol, without a library.

systemd names a datagram socket in NOTIFY_SOCKET and, with a watchdog, the span after which silence is death in
WATCHDOG_USEC (sd_notify(3), sd_watchdog_enabled(3)). Where nobody asks, and on Windows, nothing is sent.

Children must not inherit the three variables (``without_notify``): a child that names itself ready, or pings in place
of a hung Sentinel, would make the watchdog watch the wrong process.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Final

from pj.settings_text import ConfigError

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping

ENV_SOCKET: Final = "NOTIFY_SOCKET"
ENV_WATCHDOG_USEC: Final = "WATCHDOG_USEC"
ENV_WATCHDOG_PID: Final = "WATCHDOG_PID"
MAX_STATUS: Final = 400


def without_notify(env: Mapping[str, str]) -> dict[str, str]:
    """Return ``env`` without what only the process started by the service manager may use."""
    return {k: v for k, v in env.items() if k not in {ENV_SOCKET, ENV_WATCHDOG_USEC, ENV_WATCHDOG_PID}}


class Notifier:
    """Send our state to the service manager; every call returns whether it was sent.

    Nothing is raised while running: a Sentinel must not die because its own watcher is away. ``error`` keeps the
    last failure's words until a message goes through again. ``watchdog_s`` is half the span that the manager allows
    (real seconds; sd_watchdog_enabled(3) advises half), None where no watchdog watches us.

    Raises ConfigError for an address or a span that cannot be used.
    """

    def __init__(self, env: Mapping[str, str] = os.environ, pid: int | None = None) -> None:
        self.error = ""
        self.watchdog_s = _watchdog_s(env, os.getpid() if pid is None else pid)
        self._address = _address(env)
        self._socket = _open() if self._address else None

    @property
    def watched(self) -> bool:
        """Tell whether a service manager listens."""
        return self._socket is not None

    def ready(self, status: str = "") -> bool:
        """Say that the start is over."""
        return self._send(_lines("READY=1", status))

    def watchdog(self, status: str = "") -> bool:
        """Say that the main loop turns; due each ``watchdog_s`` at the latest."""
        return self._send(_lines("WATCHDOG=1", status))

    def stopping(self, status: str = "") -> bool:
        """Say that the stop has begun."""
        return self._send(_lines("STOPPING=1", status))

    def status(self, text: str) -> bool:
        """Show one line where the operator asks the manager for our state."""
        return self._send(_lines("", text))

    def close(self) -> None:
        """Release the socket; harmless when repeated."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, message: str) -> bool:
        if self._socket is None:
            return False
        try:
            self._socket.sendto(message.encode(), self._address)
        except OSError as error:  # BlockingIOError too: the manager does not read; waiting would make us hang with it
            self.error = f"{ENV_SOCKET} {self._address!r} does not take messages: {error.strerror or error}"
            return False
        self.error = ""
        return True


def _lines(state: str, status: str) -> str:
    text = " ".join(status.split())[:MAX_STATUS]  # a line break would begin another assignment
    return "\n".join(part for part in (state, f"STATUS={text}" if text else "") if part)


def _watchdog_s(env: Mapping[str, str], pid: int) -> float | None:
    span = env.get(ENV_WATCHDOG_USEC, "")
    if not span or env.get(ENV_WATCHDOG_PID, "") not in {"", str(pid)}:
        return None
    if not span.isdecimal() or int(span) == 0:
        raise ConfigError(
            f"{ENV_WATCHDOG_USEC} is {span!r}, not a span in microseconds; unset it, only systemd sets it"
        )
    return int(span) / 2e6


if sys.platform == "win32":

    def _address(_env: Mapping[str, str]) -> str:
        return ""

    def _open() -> socket.socket | None:
        return None

else:

    def _address(env: Mapping[str, str]) -> str:
        """Return the address to send to, empty when nobody listens; raise ConfigError."""
        named = env.get(ENV_SOCKET, "")
        if named.startswith("/"):
            return named
        if named.startswith("@") and len(named) > 1:
            return "\0" + named[1:]  # an abstract socket has a name that is no file
        if not named:
            return ""
        raise ConfigError(f"{ENV_SOCKET} is {named!r}, neither a path nor '@name'; unset it, only systemd sets it")

    def _open() -> socket.socket | None:
        import socket as sockets

        opened = sockets.socket(sockets.AF_UNIX, sockets.SOCK_DGRAM)  # closed at exec: Python's sockets always are
        opened.setblocking(False)
        return opened
