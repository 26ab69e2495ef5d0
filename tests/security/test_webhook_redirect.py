"""An answer that sends us elsewhere is not obeyed: the order, and the address with it, goes to one place only."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from live.commands import PlaceBracket
from live.market import INSTRUMENTS
from pj.brokers.limits import SendLimits
from pj.brokers.port import Outcome
from pj.brokers.secret_url import SecretUrl
from pj.brokers.traderspost import TradersPost
from pj.config import ConfigError, load_settings

NOW = 1_795_183_260_250_118_000
ENTRY = PlaceBracket("p@1:ENTRY", "MNQZ6", 1, 1, 100_000, 99_900, 100_200, NOW, "p")
PATH = "/trading/webhook/11111111-2222/never-print-me"


class Host(ThreadingHTTPServer):
    """Answer every request with ``status`` and a Location; remember what was asked."""

    def __init__(self, status: int, location: str) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.status, self.location = status, location
        self.seen: list[str] = []
        self.thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02})
        self.thread.start()

    def end(self) -> None:
        self.shutdown()
        self.thread.join()
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        assert isinstance(self.server, Host)
        self.server.seen.append(f"{self.command} {self.path}")
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(self.server.status)
        self.send_header("Location", self.server.location)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class names it so)
        """Say nothing."""


@pytest.fixture
def elsewhere() -> Iterator[Host]:
    host = Host(200, "")
    yield host
    host.end()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_an_order_is_never_sent_on(elsewhere: Host, status: int) -> None:
    first = Host(status, f"http://127.0.0.1:{elsewhere.server_address[1]}{PATH}")
    try:
        url = SecretUrl(f"http://127.0.0.1:{first.server_address[1]}{PATH}")
        broker = TradersPost(url, INSTRUMENTS["MNQ"], SendLimits(), connect_timeout_s=2.0, read_timeout_s=2.0)
        answer = broker.send(ENTRY, NOW)
        broker.close()
    finally:
        first.end()
    assert first.seen == [f"POST {PATH}"]
    assert elsewhere.seen == []
    assert answer.outcome is not Outcome.ACKED
    assert "never-print-me" not in repr(answer)


@pytest.mark.parametrize("scheme", ["http", "ftp", "ws", "file"])
def test_the_address_must_be_https(scheme: str, tmp_path: object) -> None:
    with pytest.raises(ConfigError, match="must begin with https://"):
        load_settings({"PJ_TRADERSPOST_WEBHOOK_URL": f"{scheme}://webhooks.example{PATH}"})
