"""Start simulated gateways as the processes they are."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest


@dataclass
class Gateway:
    """Hold one running gateway."""

    process: subprocess.Popen[str]
    ready: str
    words: dict[str, str] = field(default_factory=dict)

    @property
    def port(self) -> int:
        """Return the API port."""
        return int(self.ready.split()[2].rpartition(":")[2])

    def control(self, **command: object) -> dict[str, object]:
        """Send one control line and return its answer."""
        with socket.create_connection(("127.0.0.1", int(self.words["control"])), timeout=5) as peer:
            peer.sendall(json.dumps(command).encode() + b"\n")
            answer: dict[str, object] = json.loads(peer.makefile().readline())
        return answer


def _start(*arguments: str, env: dict[str, str] | None = None) -> Gateway:
    command = [sys.executable, "-P", "-m", "pj.simulators.gateway", "--port", "0", "--control-port", "0", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | (env or {}))
    watchdog = threading.Timer(30, process.kill)
    watchdog.start()
    assert process.stdout is not None
    ready = process.stdout.readline().strip()
    watchdog.cancel()
    assert ready.startswith("READY gateway 127.0.0.1:"), ready or f"ended with {process.wait()}"
    return Gateway(process, ready, dict(word.split("=") for word in ready.split()[3:]))


def _stop(gateway: Gateway) -> int:
    gateway.process.terminate()
    code = gateway.process.wait(10)
    assert gateway.process.stdout is not None
    gateway.process.stdout.close()
    return code


@pytest.fixture
def start_gateway() -> Iterator[Callable[..., Gateway]]:
    """Return a function that starts a gateway with the given options; all are stopped at the end."""
    started: list[Gateway] = []

    def start(*arguments: str, env: dict[str, str] | None = None) -> Gateway:
        started.append(_start(*arguments, env=env))
        return started[-1]

    yield start
    for gateway in started:
        _stop(gateway)


@contextmanager
def _morning(folder: Path) -> Iterator[tuple[Gateway, Path]]:
    ledger = folder / "ledger.csv"
    gateway = _start("--date", "2026-11-18", "--from", "09:30", "--speed", "10", "--ledger", str(ledger))
    yield gateway, ledger
    assert _stop(gateway) == 0, "a stopped gateway ends with 0"


@pytest.fixture(scope="session")
def morning_gateway(
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[], AbstractContextManager[tuple[Gateway, Path]]]:
    """Return a function that runs a gateway over a made-up morning; with it comes its ledger."""
    return lambda: _morning(tmp_path_factory.mktemp("gateway"))
