"""The kill switch inside the adapters: every route of pj.brokers refuses entries and passes exits."""

from __future__ import annotations

import importlib
import inspect
import os
import pkgutil
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import pytest

import pj.brokers
from live.commands import CancelOrders, ClosePosition, PlaceBracket
from live.market import INSTRUMENTS
from pj.brokers.dispatcher import Dispatcher
from pj.brokers.guarded import GuardedBroker
from pj.brokers.ibkr_outbox import IbkrOutbox
from pj.brokers.limits import SendLimits
from pj.brokers.port import Broker, Order, Outcome
from pj.brokers.secret_url import SecretUrl
from pj.brokers.traderspost import TradersPost
from pj.channels.fence import Fence, grant
from pj.channels.orders import Asked, read_order_row
from pj.channels.rundir import RunDir
from pj.channels.switches import DISARMED, KILL_SWITCH, UNREADABLE, entry_forbidden
from pj.clock import SystemClock
from pj.simulators.traderspost_http import Server
from pj.simulators.traderspost_service import DryRun, Ledger, Secret, Service

MNQ = INSTRUMENTS["MNQ"]
NOW = 1_795_183_260_250_118_000
ENTRY = PlaceBracket("p@1:ENTRY", "MNQZ6", 1, 1, 100_000, 99_900, 100_200, NOW, "p")
EXITS = (ClosePosition("p@1:EXIT", "MNQZ6", 1, "TIME", NOW), CancelOrders("p@1:CANCEL", "MNQZ6", "ORPHAN", NOW))
PORT_CALLS = {name for name in vars(Broker) if not name.startswith("_") and callable(getattr(Broker, name))}


@dataclass
class Route:
    """Hold one adapter at a live broker, and what that broker has seen."""

    adapter: Broker
    seen: Callable[[], list[str]]
    taken: Outcome = Outcome.ACKED


def traderspost(_folder: Path) -> Iterator[Route]:
    clock = SystemClock()
    server = Server(0, Service(Secret("6f9619ff", "pw"), clock, DryRun(), Ledger(None, clock)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    adapter = TradersPost(SecretUrl(f"http://127.0.0.1:{server.port}/trading/webhook/6f9619ff/pw"), MNQ, SendLimits())

    def seen() -> list[str]:
        return [row["body"]["action"] for row in server.service.ledger.rows() if row["kind"] == "REQUEST"]

    yield Route(adapter, seen)
    adapter.close()
    server.stopping.set()
    server.shutdown()
    server.server_close()
    thread.join()


def ibkr(folder: Path) -> Iterator[Route]:
    """The bridge's side is a file: what stands there has left."""
    run = RunDir(folder / "handed over", MNQ).create()
    grant(run, "engine", "engine-1")
    adapter = IbkrOutbox(run, Fence(run, "engine", "engine-1"), SendLimits())
    words = {Asked.ENTRY: "buy", Asked.EXIT: "exit", Asked.CANCEL: "cancel", Asked.EXITS: "exits"}

    def seen() -> list[str]:
        data = run.day_at(NOW).orders.read_bytes() if run.day_at(NOW).orders.exists() else b""
        return [words[read_order_row(line).order] for line in data.splitlines()]

    yield Route(adapter, seen, Outcome.HANDED)
    adapter.close()


#: How to stand up each adapter of pj.brokers; a new adapter fails the test below until it has a line here.
ROUTES: dict[str, Callable[[Path], Iterator[Route]]] = {"TradersPost": traderspost, "IbkrOutbox": ibkr}


def adapters() -> dict[str, type]:
    """Return every class of pj.brokers that offers what the port asks for, except port and guard themselves."""
    found: dict[str, type] = {}
    for module in pkgutil.walk_packages(pj.brokers.__path__, "pj.brokers."):
        for name, kind in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
            ours = kind.__module__.startswith("pj.brokers") and kind not in (Broker, GuardedBroker)
            if ours and all(callable(getattr(kind, call, None)) for call in PORT_CALLS):
                found[name] = kind
    return found


@pytest.fixture(params=sorted(ROUTES))
def route(request: pytest.FixtureRequest, run_dir: Path) -> Iterator[Route]:
    yield from ROUTES[request.param](run_dir)


@pytest.fixture
def folder(run_dir: Path) -> RunDir:
    return RunDir(run_dir, MNQ).create()


def test_every_adapter_is_proven_below() -> None:
    assert {"send", "warm", "close"} <= PORT_CALLS
    assert adapters().keys() == ROUTES.keys()


@pytest.mark.parametrize("switch", [KILL_SWITCH, DISARMED])
def test_a_switch_keeps_entries_in_and_lets_exits_out(route: Route, folder: RunDir, switch: str) -> None:
    broker = GuardedBroker(route.adapter, folder)
    path = folder.kill_switch if switch == KILL_SWITCH else folder.disarmed
    path.write_text("by hand\n")
    answer = broker.send(ENTRY, NOW)
    assert (answer.outcome, answer.code, answer.sent_mono_ns) == (Outcome.REFUSED, switch, 0)
    assert [broker.send(order, NOW).outcome for order in EXITS] == [route.taken] * 2
    assert route.seen() == ["exit", "cancel"]
    path.unlink()
    assert broker.send(ENTRY, NOW).outcome is route.taken, "read again for each entry"


def test_what_cannot_be_read_counts_as_thrown(route: Route, folder: RunDir) -> None:
    broker = GuardedBroker(route.adapter, folder)
    folder.state_folder.rename(folder.root / "elsewhere")
    assert broker.send(ENTRY, NOW).code == UNREADABLE
    assert broker.send(EXITS[0], NOW).outcome is route.taken
    assert route.seen() == ["exit"]


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="folder permissions do not bind here")
def test_a_locked_folder_counts_as_thrown(folder: RunDir) -> None:
    folder.state_folder.chmod(0)
    try:
        assert entry_forbidden(folder) == UNREADABLE
    finally:
        folder.state_folder.chmod(0o755)


@pytest.mark.skipif(sys.platform == "win32", reason="making links needs a privilege there")
def test_a_dangling_link_is_a_thrown_switch(folder: RunDir) -> None:
    folder.kill_switch.symlink_to("nowhere")
    assert entry_forbidden(folder) == KILL_SWITCH


def held() -> nullcontext[bool]:
    return nullcontext(True)


def test_the_dispatcher_takes_nothing_unguarded(route: Route, folder: RunDir) -> None:
    def wake() -> None:
        raise AssertionError("nothing is sent here")

    with pytest.raises(TypeError, match="has no guard"):
        Dispatcher(route.adapter, SystemClock(), wake, held)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="guarded already"):
        GuardedBroker(GuardedBroker(route.adapter, folder), folder)


def test_the_switch_thrown_while_an_order_waits_is_seen(route: Route, folder: RunDir) -> None:
    """The dispatcher's own question is answered before the switch falls; the guard is the last look."""

    def too_early() -> str:
        folder.kill_switch.write_text("thrown between the gate and the wire\n")
        return ""

    answered = threading.Event()
    dispatcher = Dispatcher(GuardedBroker(route.adapter, folder), SystemClock(), answered.set, held, 1e9, too_early)
    order: Order = ENTRY
    dispatcher.submit(order)
    assert answered.wait(5)
    [result] = dispatcher.drain()
    assert (result.answer.outcome, result.answer.code) == (Outcome.REFUSED, KILL_SWITCH)
    assert dispatcher.close(5)
    assert route.seen() == []
