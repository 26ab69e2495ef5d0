"""Serve the simulated TradersPost over real HTTP on loopback.

``POST /trading/webhook/<uuid>/<password>`` is the product's door; ``GET /_log``,
``GET /_positions`` and ``POST /_fault`` are for tests and people.
"""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from pj.simulators.traderspost_faults import FaultKind, parse_fault
from pj.simulators.traderspost_service import Answer, Service

MAX_BODY: Final = 65_536
HOLD_S: Final = 60.0
HANGS: Final = (FaultKind.TIMEOUT_BEFORE, FaultKind.TIMEOUT_AFTER)


class Server(ThreadingHTTPServer):
    """Hold the listening socket and the service; one thread per connection."""

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True

    def __init__(self, port: int, service: Service) -> None:
        """Listen on 127.0.0.1:``port`` (0 = any free one); raise OSError when the port is taken."""
        self.service = service
        self.stopping = threading.Event()
        super().__init__(("127.0.0.1", port), Handler)

    @property
    def port(self) -> int:
        """Return the port that is listened on."""
        return int(self.server_address[1])

    def server_bind(self) -> None:
        """Bind without the name look-up of the standard server, which can take seconds."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = "127.0.0.1", self.server_address[1]

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - the base class's signature
        """Record a connection that broke; a client may leave at any time."""
        self.service.ledger.write("BROKEN", client=str(client_address))


class Handler(BaseHTTPRequestHandler):
    """Answer one connection, request by request (keep-alive)."""

    protocol_version = "HTTP/1.1"
    server_version = "pj-traderspost"
    sys_version = ""
    disable_nagle_algorithm = True
    wbufsize = -1  # head and body leave in one segment
    timeout = 300
    server: Server

    def do_POST(self) -> None:
        """Take a webhook call, or plant a fault."""
        raw = self._body()
        if raw is None:
            self._send(Answer(413, b'{"success":false,"messageCode":"invalid-message-length"}'))
        elif self.path == "/_fault":
            self._send(self._plant(raw))
        else:
            self._serve(self.server.service.webhook(self.path, raw))

    def do_GET(self) -> None:
        """Show the ledger or the positions; everything else needs POST."""
        service = self.server.service
        match self.path:
            case "/_log":
                self._send(_answer(200, {"requests": service.ledger.rows()}))
            case "/_positions":
                self._send(_answer(200, {"positions": service.executor.positions()}))
            case path if path.startswith("/trading/webhook/"):
                refusal = {"success": False, "messageCode": "post-required", "message": "Use POST."}
                self._send(_answer(400, refusal))
            case _:
                self._send(_answer(404, {"success": False, "messageCode": "not-found", "message": "Not found."}))

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the base class's
        """Write nothing: the ledger is the log, and the request line holds the secret."""

    def _body(self) -> bytes | None:
        length = int(self.headers.get("Content-Length") or 0)
        return self.rfile.read(length) if 0 <= length <= MAX_BODY else None

    def _plant(self, raw: bytes) -> Answer:
        try:
            wish = json.loads(raw) if raw.lstrip().startswith(b"{") else {"fault": raw.decode()}
            if wish.get("fault") in ("", "none", None):
                self.server.service.faults.clear()
            else:
                self.server.service.faults.plant(parse_fault(wish["fault"]), int(wish.get("count", 1)))
        except (ValueError, AttributeError) as error:
            return _answer(400, {"ok": False, "error": f"unknown fault: {error}"})
        return _answer(200, {"ok": True})

    def _serve(self, answer: Answer) -> None:
        kind = answer.fault.kind if answer.fault else None
        if kind in HANGS:
            self._hang()
        elif kind is FaultKind.DROP_AFTER:
            self._reset()
        else:
            if kind is FaultKind.SLOW and answer.fault:
                self.server.stopping.wait(answer.fault.seconds)
            self._send(answer)

    def _hang(self) -> None:
        """Hold the connection without an answer until the client leaves (or HOLD_S is over)."""
        deadline = time.monotonic() + HOLD_S
        self.connection.settimeout(0.1)
        while time.monotonic() < deadline and not self.server.stopping.is_set():
            try:
                if not self.connection.recv(1):
                    break
            except TimeoutError:
                continue
            except OSError:
                break
        self.close_connection = True

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)
        self.wfile.flush()


def _answer(status: int, body: dict[str, Any]) -> Answer:
    return Answer(status, json.dumps(body).encode())
