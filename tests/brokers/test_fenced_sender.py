"""A real sender process, stopped at any instant and superseded, comes back and cannot send a single byte."""

from __future__ import annotations

import random
import signal
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from live.market import INSTRUMENTS
from pj.channels import fence as module
from pj.channels.fence import GrantFailed, grant
from pj.channels.rundir import RunDir

SENDER = Path(__file__).with_name("fenced_sender.py")
TAKEN = b'{"success":true,"id":"1","logId":"2"}'
REPLY = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(TAKEN), TAKEN)
TRIALS = 12

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signal that stops a process")


class Counter(socketserver.ThreadingTCPServer):
    """Take every request and count the bytes and connections that arrive."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.bytes = self.connections = 0


class Handler(socketserver.BaseRequestHandler):
    """Answer each request head (and its body) on a kept connection."""

    server: Counter

    def handle(self) -> None:
        self.server.connections += 1
        data = b""
        while part := self.request.recv(65536):
            self.server.bytes += len(part)
            data += part
            while (end := data.find(b"\r\n\r\n")) >= 0:
                head = data[:end].lower()
                at = head.find(b"content-length:")
                need = end + 4 + (int(head[at + 15 :].split(b"\r\n")[0]) if at >= 0 else 0)
                if len(data) < need:
                    break
                data = data[need:]
                self.request.sendall(REPLY)


@pytest.fixture
def server() -> Iterator[Counter]:
    with Counter() as counter:
        thread = threading.Thread(target=counter.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield counter
        counter.shutdown()
        thread.join()


def words_of(sender: subprocess.Popen[str], count: int) -> list[str]:
    assert sender.stdout is not None
    return [sender.stdout.readline().strip() for _ in range(count)]


def supersede(folder: RunDir, sender: subprocess.Popen[str], dice: random.Random, instance: str) -> int:
    """Stop the sender at any instant and grant its successor; return how often it slept inside a sending."""
    inside = 0
    while True:
        time.sleep(dice.uniform(0.0, 0.02))
        sender.send_signal(signal.SIGSTOP)
        try:
            grant(folder, "engine", instance)
        except GrantFailed:  # it sleeps between the look and the answer: it may still send, so nobody supersedes it
            inside += 1
            sender.send_signal(signal.SIGCONT)
        else:
            return inside


def test_a_superseded_sender_sends_nothing_whenever_it_was_stopped(
    tmp_path: Path, server: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "GRANT_WAIT_S", 0.02)
    folder = RunDir(tmp_path / "run", INSTRUMENTS["MNQ"]).create()
    dice = random.Random(7)
    inside = 0
    for trial in range(TRIALS):
        grant(folder, "engine", f"old{trial}")
        command = [sys.executable, "-P", str(SENDER), str(folder.root), str(server.server_address[1]), f"old{trial}"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as sender:
            try:
                assert all(" ACKED" in line for line in words_of(sender, 6))
                inside += supersede(folder, sender, dice, f"new{trial}")
                time.sleep(0.02)  # what was answered before the grant has arrived by now
                before = (server.bytes, server.connections)
                sender.send_signal(signal.SIGCONT)
                lines: list[str] = []
                while not {"ENTRY", "EXIT", "CANCEL"} <= {line.split()[0] for line in lines if "FENCED" in line}:
                    lines += words_of(sender, 1)
                assert not any(
                    "ACKED" in line for line in lines[next(i for i, x in enumerate(lines) if "FENCED" in x) :]
                )
                time.sleep(0.05)  # more rounds, and more wishes for a warm connection
                assert (server.bytes, server.connections) == before
            finally:
                sender.kill()
    assert server.bytes > 0
    print(f"{TRIALS} trials, the sender slept inside a sending {inside} times")
