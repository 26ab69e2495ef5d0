"""The shipped time-outs on real sockets: two seconds to connect, five to read, for what never answers."""

from __future__ import annotations

import contextlib
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from live.commands import ClosePosition
from live.engine import Route
from live.market import INSTRUMENTS
from pj.brokers.dispatcher import Dispatcher
from pj.brokers.limits import SendLimits
from pj.brokers.port import Outcome
from pj.brokers.secret_url import SecretUrl
from pj.brokers.traderspost import TradersPost
from pj.channels.fence import Fence, grant
from pj.channels.logs import open_log
from pj.channels.rundir import RunDir
from pj.channels.stats import StatsWriter
from pj.clock import SystemClock
from pj.config import Settings, load_settings
from pj.processes import run_live_engine
from pj.processes.engine.shell import Shell
from pj.processes.engine.startup import Context

CONNECT_S, READ_S = 2.0, 5.0
NOW = 1_795_183_260_250_118_000
SLACK_S = 0.9
HOOK = "/trading/webhook/6f9619ff-8b86-d011-b42d-00cf4fc964ff/s3cr3t-pass-0123456789abcdef"


def settings_for(folder: Path, port: int) -> Settings:
    """Return the shipped settings with nothing changed but route and address."""
    return load_settings(
        {
            "PJ__RUN_DIR": str(folder / "run"),
            "PJ__EXECUTION__ROUTE": "traderspost",
            "PJ_TRADERSPOST_WEBHOOK_URL": f"http://127.0.0.1:{port}{HOOK}",
        }
    )


@contextlib.contextmanager
def shipped(folder: Path, port: int) -> Iterator[Dispatcher]:
    """Yield the sender that the engine process would wire."""
    settings, clock = settings_for(folder, port), SystemClock()
    run_dir = RunDir(settings.run_dir, settings.instrument).create()
    log = open_log(settings.run_dir, "engine", libraries=False)
    context = Context(settings, run_dir, clock, log, Route.BROKER, "a")
    shell = Shell(context, settings.params(), StatsWriter(run_dir.state("engine"), "engine", "a"))
    grant(run_dir, "engine", "a")
    dispatcher = run_live_engine._dispatcher(settings, run_dir, clock, shell, Fence(run_dir, "engine", "a"))
    assert dispatcher is not None
    try:
        yield dispatcher
    finally:
        dispatcher.close(8.0)
        shell.wake.close()
        shell.notifier.close()
        log.close()


def first_answer(dispatcher: Dispatcher) -> tuple[Outcome, str, float]:
    """Send an exit and return what came of its first sending, and after how many seconds."""
    begun_s = time.monotonic()
    dispatcher.submit(ClosePosition("a:EXIT", "MNQZ6", 1, "TEST", SystemClock().now_ns()))
    while True:
        results = dispatcher.drain()
        took_s = time.monotonic() - begun_s
        if results:
            return results[0].answer.outcome, results[0].answer.code, took_s
        assert took_s < 12, "no answer within 12 s"
        time.sleep(0.01)


def test_the_shipped_values_are_two_and_five_seconds(tmp_path: Path) -> None:
    times = settings_for(tmp_path, 9).traderspost
    assert (times.connect_timeout_s, times.read_timeout_s) == (CONNECT_S, READ_S)


@pytest.mark.slow
def test_an_answer_that_never_comes_is_unknown_after_five_seconds(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, shipped(tmp_path, server.getsockname()[1]) as dispatcher:
        outcome, code, took_s = first_answer(dispatcher)
        connection, _ = server.accept()
        connection.close()
    assert (outcome, code) == (Outcome.UNKNOWN, "time-out"), "the order is out: it may live"
    assert READ_S <= took_s < READ_S + SLACK_S


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux leaves a connection in a full queue unanswered")
def test_a_connection_that_is_never_made_is_safe_to_repeat_after_two_seconds(tmp_path: Path) -> None:
    with contextlib.ExitStack() as held:
        server = held.enter_context(socket.socket())
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        for _ in range(4):  # fill the queue of connections that nobody accepts
            filler = held.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(server.getsockname())
        time.sleep(0.1)
        with shipped(tmp_path, server.getsockname()[1]) as dispatcher:
            outcome, code, took_s = first_answer(dispatcher)
    assert (outcome, code) == (Outcome.RETRY_SAFE, "connect-time-out"), "not one byte of the order has left"
    assert CONNECT_S <= took_s < CONNECT_S + SLACK_S


@pytest.mark.parametrize(
    "parts",
    [
        (b"HTTP/1.1 200 OK\r\n", b"X-Slow: 1\r\n"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n", b"{"),
        (b"HTTP/1.1 2", b"0"),
    ],
    ids=["headers", "body", "status"],
)
def test_an_answer_that_drips_holds_nobody_up(parts: tuple[bytes, bytes]) -> None:
    first, drop = parts
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=drip, args=(server, first, drop))
        thread.start()
        url = SecretUrl(f"http://127.0.0.1:{server.getsockname()[1]}{HOOK}")
        adapter = TradersPost(url, INSTRUMENTS["MNQ"], SendLimits(), CONNECT_S, 0.3)
        begun_s = time.monotonic()
        answer = adapter.send(ClosePosition("a:EXIT", "MNQZ6", 1, "TEST", NOW), NOW)
        took_s = time.monotonic() - begun_s
        thread.join()
        adapter.close()
    assert answer.outcome is Outcome.UNKNOWN, answer
    assert answer.sent_mono_ns > 0, "the order is out"
    assert took_s < 2 * 0.3 + SLACK_S


def drip(server: socket.socket, first: bytes, drop: bytes) -> None:
    """Answer one request with ``first``, then a drop each 0.1 s for at most 4 s, until the other side ends it."""
    connection, _ = server.accept()
    with connection:
        connection.recv(65_536)
        connection.sendall(first)
        for _ in range(40):
            time.sleep(0.1)
            try:
                connection.sendall(drop)
            except OSError:
                return
