"""Fixtures for every room: where the real market data lies, free ports, a run folder, a clean environment."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def _no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the operator's own PJ variables out of the tests (the places of test material stay)."""
    for name in list(os.environ):
        if name.startswith("PJ_") and name not in {"PJ_MARKET_DATA", "PJ_IB_ASYNC_PATH"}:
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def root() -> Path:
    """Return the root of the checkout."""
    return ROOT


@pytest.fixture(scope="session")
def market_data() -> Path:
    """Return the folder of real market data: PJ_MARKET_DATA, or shared/market_data beside the checkout."""
    named = os.environ.get("PJ_MARKET_DATA", "")
    folder = Path(named) if named else ROOT.parent / "shared" / "market_data"
    if not folder.is_dir():
        pytest.skip(f"no market data at {folder}: set PJ_MARKET_DATA to the folder of Parquet files")
    return folder


@pytest.fixture
def free_port() -> int:
    """Return a TCP port that was free a moment ago."""
    return _free_port()


@pytest.fixture
def free_ports() -> Callable[[int], list[int]]:
    """Return a function that gives so many different free ports."""

    def take(count: int) -> list[int]:
        ports: set[int] = set()
        while len(ports) < count:
            ports.add(_free_port())
        return sorted(ports)

    return take


@pytest.fixture
def taken_port() -> Iterator[int]:
    """Return a port on which another program listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield int(listener.getsockname()[1])


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    """Return an empty run folder whose path holds a space, as a user's may."""
    folder = tmp_path / "run dir"
    folder.mkdir()
    return folder


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
