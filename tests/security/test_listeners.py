"""Nothing of ours can be reached from outside: every listener there is binds loopback, and the daemon has none."""

from __future__ import annotations

import ast
import ipaddress
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).resolve().parents[2]
SERVING = {"bind", "listen", "create_server", "start_server", "create_unix_server", "start_unix_server", "socketserver"}
SERVERS = {"HTTPServer", "ThreadingHTTPServer", "TCPServer", "ThreadingTCPServer", "UDPServer"}
#: Where a socket is opened for listening. Calls of these names that open none: demo.servers starts the simulators.
ALLOWED = {"simulators/gateway.py", "simulators/sheets_http.py", "simulators/traderspost_http.py"}
HOMONYMS = {"demo/run.py": {"start_server"}, "dashboard/app.py": {"bind", "listen"}}


def serving_calls(path: Path) -> set[str]:
    """Return the names by which a file opens listeners."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            found |= {name} & (SERVING | SERVERS)
        if isinstance(node, ast.ClassDef):
            found |= {getattr(base, "id", getattr(base, "attr", "")) for base in node.bases} & SERVERS
    return found


def test_only_the_simulators_listen_at_all() -> None:
    room = ROOT / "src" / "pj"
    seen = {}
    for path in sorted([*room.rglob("*.py"), *(ROOT / "live").rglob("*.py"), *(ROOT / "strategies").rglob("*.py")]):
        name = path.relative_to(room).as_posix() if path.is_relative_to(room) else path.relative_to(ROOT).as_posix()
        calls = serving_calls(path) - HOMONYMS.get(name, set())
        if calls:
            seen[name] = calls
    assert set(seen) == ALLOWED, seen


def test_the_search_can_find_a_listener(tmp_path: Path) -> None:
    file = tmp_path / "x.py"
    file.write_text(
        "class S(ThreadingHTTPServer):\n    pass\nloop.create_server(f, '0.0.0.0', 1)\nsock.bind(('', 0))\n"
    )
    assert serving_calls(file) == {"ThreadingHTTPServer", "create_server", "bind"}


def test_no_listener_takes_a_host_from_outside() -> None:
    for name in ALLOWED:
        text = (ROOT / "src" / "pj" / name).read_text(encoding="utf-8")
        assert '"0.0.0.0"' not in text and '"::"' not in text
    from pj.verbs.table import VERBS

    hosts = [(verb.name, one.name) for verb in VERBS for one in verb.arguments if one.name in {"--host", "--bind"}]
    assert hosts == []


SIMULATORS = {
    "gateway": ["--port", "0", "--control-port", "0", "--symbol", "MNQ"],
    "sheets": ["--port", "0"],
    "traderspost": ["--port", "0", "--gateway", "none"],
}


@pytest.fixture(params=sorted(SIMULATORS))
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[psutil.Process]:
    name: str = request.param
    words = [sys.executable, "-P", "-m", f"pj.simulators.{name}", *SIMULATORS[name], "--run-dir", str(tmp_path)]
    env = {**os.environ, "PJ_SIM_WEBHOOK_UUID": "u" * 12, "PJ_SIM_WEBHOOK_PASSWORD": "loopback-only"}
    process = subprocess.Popen(words, env=env, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline().startswith("READY")
    yield psutil.Process(process.pid)
    process.terminate()
    process.wait(20)
    process.stdout.close()


def test_every_listener_of_a_simulator_is_on_loopback(server: psutil.Process) -> None:
    listening = [one.laddr for one in server.net_connections("inet") if one.status == psutil.CONN_LISTEN]
    assert listening, "it serves"
    assert all(ipaddress.ip_address(address.ip).is_loopback for address in listening), listening
    datagrams = [one.laddr for one in server.net_connections("udp") if one.laddr]
    assert datagrams == []
