"""Let requests tell when, and whether, the bytes of a request left.

Whether a failed call may be repeated hangs on one fact: did a single byte of the request go
out? urllib3 does not say. These connection classes count the bytes handed to the socket and
stamp the last of them, which is also how "edge to order bytes" is measured.

A time-out of the library is one of silence: an answer that drips, byte by byte, would hold the sender for hours, and
the exits behind it. So the whole answer has a limit too, after which the connection is cut.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.util.retry import Retry


class Outgoing:
    """Count the request bytes of one call, and cut it ``whole_s`` seconds after the first; one call at a time."""

    def __init__(self, whole_s: float) -> None:
        """Start at zero."""
        self.bytes = 0
        self.last_ns = 0
        self._whole_s = whole_s
        self._timer: threading.Timer | None = None

    def reset(self) -> None:
        """Forget the call before; it is not cut any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.bytes, self.last_ns = 0, 0

    def begin(self, sock: socket.socket) -> None:
        """Count a byte before it is handed over (a send that fails half-way has sent something)."""
        self.bytes += 1
        if self._timer is None:
            self._timer = threading.Timer(self._whole_s, _cut, [sock])
            self._timer.daemon = True
            self._timer.start()

    def add(self, count: int) -> None:
        """Count bytes that a socket has taken."""
        self.bytes += count
        self.last_ns = time.monotonic_ns()


def _cut(sock: socket.socket) -> None:
    """End the connection under a reader that still waits: it finds the end of the stream."""
    with contextlib.suppress(OSError):  # it has ended by itself
        sock.shutdown(socket.SHUT_RDWR)


def stamped_adapter(outgoing: Outgoing) -> HTTPAdapter:
    """Return a requests adapter that reports to ``outgoing`` and never repeats a call by itself."""

    class Plain(HTTPConnection):
        def send(self, data: Any) -> None:
            if self.sock is None:
                self.connect()  # a failure in here has sent nothing
            outgoing.begin(self.sock)
            super().send(data)
            outgoing.add(len(data) - 1)

    class Secure(HTTPSConnection):
        def send(self, data: Any) -> None:
            if self.sock is None:
                self.connect()
            outgoing.begin(self.sock)
            super().send(data)
            outgoing.add(len(data) - 1)

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = Secure

    class Adapter(HTTPAdapter):
        def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
            super().init_poolmanager(*args, **kwargs)
            self.poolmanager.pool_classes_by_scheme = {"http": PlainPool, "https": SecurePool}

    return Adapter(pool_connections=1, pool_maxsize=1, max_retries=Retry(total=0, read=False, redirect=False))
