"""Real servers for the doctor to knock at: time servers, gateways, workbooks, and programs that only look like one."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # doctor_world, which the tests import too

from doctor_world import KEY, ORIGIN_S, Book, TimeServer

from pj.clock import ScaledClock
from pj.simulators.sheets_auth import TokenDesk, make_credentials
from pj.simulators.sheets_book import Workbook
from pj.simulators.sheets_http import SheetsServer, serve_in_thread, stop
from pj.simulators.sheets_service import SheetsService


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder, without the run clock of another test."""
    for name in ("PJ_CLOCK_ORIGIN_NS", "PJ_CLOCK_START_NS", "PJ_CLOCK_SPEED"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def time_server() -> Iterator[Callable[[Callable[[bytes], bytes | None]], TimeServer]]:
    """Return a function that starts a time server with a way of answering."""
    sockets: list[socket.socket] = []

    def start(reply: Callable[[bytes], bytes | None]) -> TimeServer:
        peer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        peer.bind(("127.0.0.1", 0))
        sockets.append(peer)

        def serve() -> None:
            with suppress(OSError):
                while True:
                    request, address = peer.recvfrom(512)
                    if not request:  # the socket is shut down
                        return
                    if (answer := reply(request)) is not None:
                        peer.sendto(answer, address)

        threading.Thread(target=serve, daemon=True).start()
        return TimeServer(int(peer.getsockname()[1]), reply)

    yield start
    for peer in sockets:
        with suppress(OSError):
            peer.shutdown(socket.SHUT_RDWR)
        peer.close()


@pytest.fixture
def tcp_server() -> Iterator[Callable[[bytes | None], int]]:
    """Return a function that starts a TCP server: it says ``words`` to whoever comes (None: closes at once)."""
    listeners: list[socket.socket] = []
    peers: list[socket.socket] = []

    def start(words: bytes | None) -> int:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)

        def serve() -> None:
            with suppress(OSError):
                while True:
                    peer, _ = listener.accept()
                    if words is None:
                        peer.close()
                        continue
                    peers.append(peer)
                    if words:
                        peer.sendall(words)

        threading.Thread(target=serve, daemon=True).start()
        return int(listener.getsockname()[1])

    yield start
    for each in (*listeners, *peers):
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
        each.close()


@pytest.fixture
def run_clock(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Share one run clock between us and the gateway, as the processes of a run do."""
    clock = ScaledClock(ORIGIN_S * 1_000_000_000, time.time_ns(), 1.0).to_env()
    for name, value in clock.items():
        monkeypatch.setenv(name, value)
    return clock


@pytest.fixture
def gateway_port(run_clock: dict[str, str]) -> Iterator[int]:
    """Run the simulated gateway on the run clock and return its port."""
    command = [sys.executable, "-P", "-m", "pj.simulators.gateway", "--port", "0", "--date", "2026-11-18"]
    process = subprocess.Popen(
        [*command, "--from", "09:30"], env=os.environ | run_clock, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    ready = process.stdout.readline().split()
    assert ready[:2] == ["READY", "gateway"], ready
    yield int(ready[2].rpartition(":")[2])
    process.terminate()
    process.wait(10)
    process.stdout.close()


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Book]:
    server = SheetsServer(0)
    base = f"http://127.0.0.1:{server.port}"
    credentials = tmp_path / "key.json"
    desk = TokenDesk(make_credentials(credentials, f"{base}/token"), f"{base}/token")
    service = SheetsService(Workbook(KEY), desk, ScaledClock(ORIGIN_S * 1_000_000_000, time.time_ns(), 1.0))
    server.service = service
    serve_in_thread(server)
    yield Book(base, credentials, service.faults, service)
    stop(server)
