"""Serve the simulated Sheets over real HTTP on loopback, one thread per connection, keep-alive."""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final

from pj.simulators.sheets_service import Answer, Call

if TYPE_CHECKING:
    from pj.simulators.sheets_service import SheetsService

MAX_BODY: Final = 32 * 1024 * 1024


class SheetsServer(ThreadingHTTPServer):
    """Hold the listening socket and the service behind it."""

    daemon_threads = True
    block_on_close = False
    # On Windows SO_REUSEADDR would let two servers share one port.
    allow_reuse_address = os.name == "posix"

    def __init__(self, port: int) -> None:
        """Bind 127.0.0.1:``port`` (0 = any free one); raises OSError when it is taken.

        The service is set before ``serve_forever``: its token address needs the port.
        """
        self.service: SheetsService | None = None
        self.stopping = threading.Event()
        super().__init__(("127.0.0.1", port), _Handler)

    @property
    def port(self) -> int:
        """Return the port that is listened on."""
        return int(self.server_address[1])

    def server_bind(self) -> None:
        """Bind without the standard server's name look-up, which can take seconds."""
        if self.allow_reuse_address:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = "127.0.0.1", int(self.server_address[1])

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log a connection that broke (a client may leave at any time); show any other error."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)
        if self.service is not None:
            self.service.log.append({"run_ns": self.service.clock.now_ns(), "fault": "connection broke"})


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "pj-sheets"
    sys_version = ""
    # With Nagle each small answer waits for the client's delayed ACK: 44 ms instead of 3 (services.md 2.2).
    disable_nagle_algorithm = True
    wbufsize = -1
    server: SheetsServer

    def do_GET(self) -> None:
        """Answer a GET."""
        self._respond()

    def do_POST(self) -> None:
        """Answer a POST."""
        self._respond()

    def do_PUT(self) -> None:
        """Answer a PUT."""
        self._respond()

    def do_DELETE(self) -> None:
        """Answer a DELETE (nothing of the service has one)."""
        self._respond()

    def _respond(self) -> None:
        service = self.server.service
        if service is None:
            raise RuntimeError("the server has no service yet")
        length = int(self.headers.get("Content-Length") or 0)
        if length > MAX_BODY:
            self._send(Answer(413, b'{"error":{"code":413,"message":"Request payload size exceeds the limit"}}'))
            self.close_connection = True
            return
        body = self.rfile.read(length)
        headers = {name.lower(): value for name, value in self.headers.items()}
        try:
            answer = service.answer(Call(self.command, self.path, headers, body))
        except Exception as error:
            # A defect of the simulator must be seen by the client and in the log, not only on a thread's stderr.
            text = json.dumps({"error": {"code": 500, "message": f"simulator defect: {error!r}", "status": "INTERNAL"}})
            self._send(Answer(500, text.encode()))
            raise
        if answer.delay_s:
            self.server.stopping.wait(answer.delay_s)
        if answer.drop:
            self.close_connection = True
            return
        self._send(answer)

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.code)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)
        self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the base class's name)
        """Write nothing: the service keeps its own log, without secrets."""


def serve_in_thread(server: SheetsServer) -> threading.Thread:
    """Serve until ``server.shutdown()``; return the running thread."""
    thread = threading.Thread(
        target=server.serve_forever, kwargs={"poll_interval": 0.05}, name="sheets-http", daemon=True
    )
    thread.start()
    return thread


def stop(server: SheetsServer) -> None:
    """Stop listening and let delayed answers go."""
    server.stopping.set()
    server.shutdown()
    server.server_close()
