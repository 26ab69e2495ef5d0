"""Prove the notification client against a real datagram socket, as systemd holds one."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pj.settings_text import ConfigError
from pj.supervision.systemd import MAX_STATUS, Notifier, without_notify

if sys.platform == "win32":
    pytest.skip("systemd is Linux's", allow_module_level=True)


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """Return a listening manager and the text of NOTIFY_SOCKET."""
    if request.param == "abstract" and sys.platform != "linux":
        pytest.skip("abstract addresses are Linux's")
    name = f"@pj-test-{os.getpid()}" if request.param == "abstract" else str(tmp_path / "notify ü")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind("\0" + name[1:] if name.startswith("@") else name)
        listener.settimeout(5)
        yield listener, name


def test_each_message_arrives_whole(manager: tuple[socket.socket, str]) -> None:
    listener, name = manager
    notifier = Notifier({"NOTIFY_SOCKET": name})
    assert notifier.watched
    assert notifier.ready("4 processes") and listener.recv(4096) == b"READY=1\nSTATUS=4 processes"
    assert notifier.watchdog() and listener.recv(4096) == b"WATCHDOG=1"
    assert notifier.status("bridge CONNECTING ü") and listener.recv(4096) == "STATUS=bridge CONNECTING ü".encode()
    assert notifier.stopping() and listener.recv(4096) == b"STOPPING=1"
    notifier.close()
    assert not notifier.watchdog()


def test_a_line_break_in_a_status_begins_no_other_assignment(manager: tuple[socket.socket, str]) -> None:
    listener, name = manager
    notifier = Notifier({"NOTIFY_SOCKET": name})
    assert notifier.status("a\nREADY=1\r\n" + "x" * 1000)
    said = listener.recv(4096)
    assert said.startswith(b"STATUS=a READY=1 xx") and b"\n" not in said and len(said) == 7 + MAX_STATUS
    notifier.close()


def test_without_a_manager_nothing_is_sent() -> None:
    notifier = Notifier({})
    assert not notifier.watched and notifier.watchdog_s is None
    assert not any((notifier.ready(), notifier.watchdog(), notifier.stopping(), notifier.status("x")))
    assert notifier.error == ""


def test_a_manager_that_is_gone_is_told_and_kills_nobody(tmp_path: Path) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")})
    assert not notifier.ready()
    assert "No such file" in notifier.error
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "gone"))
        assert notifier.ready() and notifier.error == ""
    notifier.close()


def test_a_manager_that_does_not_read_never_blocks_us(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "full"))
        notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "full")})
        sent = [notifier.watchdog() for _ in range(5000)]
        assert sent[0] and not sent[-1]
        assert notifier.error
        notifier.close()


@pytest.mark.parametrize(
    ("env", "half_s"),
    [
        ({"WATCHDOG_USEC": "15000000", "WATCHDOG_PID": "77"}, 7.5),
        ({"WATCHDOG_USEC": "15000000"}, 7.5),
        ({"WATCHDOG_USEC": "15000000", "WATCHDOG_PID": "78"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_is_ours_or_none(env: dict[str, str], half_s: float | None) -> None:
    assert Notifier(env, pid=77).watchdog_s == half_s


@pytest.mark.parametrize(
    "env", [{"NOTIFY_SOCKET": "vsock:2:1"}, {"NOTIFY_SOCKET": "@"}, {"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "soon"}]
)
def test_what_cannot_be_used_is_said(env: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="only systemd sets it"):
        Notifier(env)


def test_a_child_inherits_neither_the_variables_nor_the_socket(manager: tuple[socket.socket, str]) -> None:
    listener, name = manager
    env = {**os.environ, "NOTIFY_SOCKET": name, "WATCHDOG_USEC": "1000000", "WATCHDOG_PID": str(os.getpid())}
    notifier = Notifier(env)
    code = (
        "import os\n"
        "from pj.supervision.systemd import Notifier\n"
        "n = Notifier()\n"
        "print(n.watched, n.watchdog_s, n.ready(), len(os.listdir('/dev/fd')))\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", code], env=without_notify(env), capture_output=True, text=True, check=True
    )
    assert told.stdout.split()[:3] == ["False", "None", "False"]
    assert int(told.stdout.split()[3]) <= 4  # three standard streams and the listing itself
    listener.setblocking(False)
    with pytest.raises(BlockingIOError):
        listener.recv(4096)
    notifier.close()
