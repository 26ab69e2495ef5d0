"""The sending thread: what is sent once, what again, what never."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import requests

from live.commands import CancelOrders, ClosePosition, PlaceBracket
from live.market import INSTRUMENTS, NS_PER_S
from pj.brokers import dispatcher as module
from pj.brokers.dispatcher import FENCED, Dispatcher, QueueFull, Result, SendFence
from pj.brokers.guarded import GuardedBroker
from pj.brokers.limits import SendLimits
from pj.brokers.port import Outcome
from pj.brokers.secret_url import SecretUrl
from pj.brokers.traderspost import TradersPost
from pj.channels.rundir import RunDir
from pj.clock import Clock, ScaledClock, SystemClock
from pj.simulators.traderspost_http import Server
from pj.simulators.traderspost_service import DryRun, Ledger, Secret, Service

UUID, PASSWORD = "6f9619ff-8b86-d011-b42d-00cf4fc964ff", "pw"
MNQ = INSTRUMENTS["MNQ"]


@dataclass
class Desk:
    """Hold a webhook server and a dispatcher on it."""

    server: Server
    dispatcher: Dispatcher
    clock: Clock
    wakes: list[int] = field(default_factory=list)

    def entry(self, key: str = "p@1:ENTRY", age_s: float = 0.0) -> PlaceBracket:
        at_ns = self.clock.now_ns() - int(age_s * self.clock.speed * NS_PER_S)
        return PlaceBracket(key, "MNQZ6", 1, 1, 100_000, 99_900, 100_200, at_ns, "p")

    def exit(self) -> ClosePosition:
        return ClosePosition("p@1:EXIT", "MNQZ6", 1, "TIME", self.clock.now_ns())

    def plant(self, fault: str, count: int = 1) -> None:
        requests.post(f"http://127.0.0.1:{self.server.port}/_fault", json={"fault": fault, "count": count}, timeout=5)

    def seen(self) -> list[str]:
        rows = self.server.service.ledger.rows()
        return [row["body"]["action"] for row in rows if row["kind"] == "REQUEST"]

    def results(self, count: int) -> list[Result]:
        found: list[Result] = []
        deadline = time.monotonic() + 10
        while len(found) < count:
            assert time.monotonic() < deadline, found
            found += self.dispatcher.drain()
            time.sleep(0.005)
        return found


Make = Callable[..., Desk]


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch, run_dir: Path) -> Iterator[Make]:
    monkeypatch.setattr(module, "RESEND_S", (0.02, 0.02))
    ends: list[Callable[[], object]] = []

    def build(
        blocked: Callable[[], str] = lambda: "",
        clock: Clock | None = None,
        fence: SendFence = lambda: nullcontext(True),
    ) -> Desk:
        clock = clock or SystemClock()
        server = Server(0, Service(Secret(UUID, PASSWORD), clock, DryRun(), Ledger(None, clock)))
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        url = SecretUrl(f"http://127.0.0.1:{server.port}/trading/webhook/{UUID}/{PASSWORD}")
        wakes: list[int] = []
        adapter = TradersPost(url, MNQ, SendLimits(), read_timeout_s=0.3)
        broker = GuardedBroker(adapter, RunDir(run_dir, MNQ).create())
        dispatcher = Dispatcher(broker, clock, lambda: wakes.append(1), fence, 5.0, blocked)

        def end() -> None:
            assert dispatcher.close(5)
            server.stopping.set()
            server.shutdown()
            server.server_close()
            thread.join()

        ends.append(end)
        return Desk(server, dispatcher, clock, wakes)

    yield build
    for end in ends:
        end()


def test_orders_leave_in_order_and_wake_the_loop(make: Make) -> None:
    desk = make()
    for order in (desk.entry(), desk.exit(), CancelOrders("p@1:CANCEL", "MNQZ6", "x", 0)):
        desk.dispatcher.submit(order)
    results = desk.results(3)
    assert desk.seen() == ["buy", "exit", "cancel"]
    assert [result.answer.outcome for result in results] == [Outcome.ACKED] * 3
    assert len(desk.wakes) == 3
    assert desk.dispatcher.waiting == 0


@pytest.mark.parametrize("fault", ["timeout_after", "timeout_before", "drop_after", "500html", "429", "404"])
def test_an_entry_is_sent_once_whatever_happens(make: Make, fault: str) -> None:
    desk = make()
    desk.plant(fault)
    desk.dispatcher.submit(desk.entry())
    [result] = desk.results(1)
    assert result.final
    assert result.answer.outcome is not Outcome.ACKED
    assert desk.seen().count("buy") == 1


@pytest.mark.parametrize(("fault", "outcome"), [("drop_after", Outcome.UNKNOWN), ("429", Outcome.RETRY_SAFE)])
def test_an_exit_is_sent_until_the_broker_answers(make: Make, fault: str, outcome: Outcome) -> None:
    desk = make()
    desk.plant(fault, 3)
    desk.dispatcher.submit(desk.exit())
    results = desk.results(4)
    assert [(r.answer.outcome, r.attempt, r.final) for r in results] == [
        (outcome, 1, False),
        (outcome, 2, False),
        (outcome, 3, False),
        (Outcome.ACKED, 4, True),
    ]
    assert desk.seen() == ["exit"] * 4


def test_a_refused_exit_is_an_answer(make: Make) -> None:
    desk = make()
    desk.plant("400:invalid-action")
    desk.dispatcher.submit(desk.exit())
    [result] = desk.results(1)
    assert (result.answer.outcome, result.answer.code, result.final) == (Outcome.REFUSED, "invalid-action", True)


def test_a_stale_or_blocked_entry_never_leaves_and_an_exit_always_does(make: Make) -> None:
    why = "KILL"
    desk = make(lambda: why)
    desk.dispatcher.submit(desk.entry("p@1:ENTRY", age_s=5.5))
    desk.dispatcher.submit(desk.entry("p@2:ENTRY"))
    desk.dispatcher.submit(replace(desk.exit(), ts_ns=0))
    stale, killed, out = desk.results(3)
    assert (stale.answer.outcome, stale.answer.code) == (Outcome.REFUSED, "STALE_SIGNAL")
    assert (killed.answer.outcome, killed.answer.code) == (Outcome.REFUSED, "KILL")
    assert out.answer.outcome is Outcome.ACKED
    assert desk.seen() == ["exit"]


def test_the_age_of_a_signal_is_real_time_under_a_scaled_clock(make: Make) -> None:
    clock = ScaledClock(1_795_183_260 * NS_PER_S, time.time_ns(), 60)
    desk = make(clock=clock)
    desk.dispatcher.submit(desk.entry("p@1:ENTRY", age_s=4))
    desk.dispatcher.submit(desk.entry("p@2:ENTRY", age_s=6))
    young, old = desk.results(2)
    assert (young.answer.outcome, old.answer.code) == (Outcome.ACKED, "STALE_SIGNAL")


def test_a_broker_that_breaks_leaves_the_order_unknown(make: Make) -> None:
    desk = make()
    desk.dispatcher.submit(replace(desk.entry(), contract="no such contract"))
    [result] = desk.results(1)
    assert (result.answer.outcome, result.answer.code) == (Outcome.UNKNOWN, "crash-ContractError")
    desk.dispatcher.submit(desk.exit())
    assert desk.results(1)[0].answer.outcome is Outcome.ACKED, "the thread lives on"


def test_the_queue_has_an_end(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_QUEUE", 2)
    desk = make()
    desk.plant("slow:0.2")
    desk.dispatcher.submit(desk.exit())
    desk.dispatcher.submit(desk.exit())
    with pytest.raises(QueueFull):
        desk.dispatcher.submit(desk.exit())
    desk.results(2)


def test_warming_opens_the_connection_without_a_call(make: Make) -> None:
    desk = make()
    desk.dispatcher.warm()
    desk.dispatcher.submit(desk.entry())
    desk.results(1)
    assert desk.seen() == ["buy"]


def test_closing_does_not_wait_for_an_exit_nobody_answers(make: Make) -> None:
    desk = make()
    desk.plant("drop_after", 50)
    desk.dispatcher.submit(desk.exit())
    desk.results(2)
    before = time.monotonic()
    assert desk.dispatcher.close(2)
    assert time.monotonic() - before < 1


def test_without_a_valid_fence_no_order_of_any_kind_leaves(make: Make) -> None:
    desk = make(fence=lambda: nullcontext(False))
    for order in (desk.entry(), desk.exit(), CancelOrders("p@1:CANCEL", "MNQZ6", "x", 0)):
        desk.dispatcher.submit(order)
    desk.dispatcher.warm()
    results = desk.results(3)
    assert [(r.answer.outcome, r.answer.code, r.final) for r in results] == [(Outcome.REFUSED, FENCED, True)] * 3
    assert [r.answer.sent_mono_ns for r in results] == [0, 0, 0]
    assert desk.seen() == []


def test_every_attempt_of_an_exit_asks_the_fence_again(make: Make) -> None:
    asked: list[bool] = []

    def fence() -> nullcontext[bool]:
        asked.append(len(asked) < 2)
        return nullcontext(asked[-1])

    desk = make(fence=fence)
    desk.plant("drop_after", 9)
    desk.dispatcher.submit(desk.exit())
    results = desk.results(3)
    assert [r.answer.outcome for r in results] == [Outcome.UNKNOWN, Outcome.UNKNOWN, Outcome.REFUSED]
    assert results[-1].answer.code == FENCED
    assert asked == [True, True, False]
    assert desk.seen() == ["exit", "exit"]


def test_two_exits_of_one_trade_are_kept_apart_and_two_trades_are_not(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Both would find the position that the first is still closing, and turn it around.
    monkeypatch.setattr(module, "APART_S", 0.6)
    desk = make()
    began, at_s = time.monotonic(), []
    for key in ("p@1:EXIT", "p@1:EXIT2", "q@2:EXIT"):
        desk.dispatcher.submit(replace(desk.exit(), key=key))
        desk.results(1)
        at_s.append(time.monotonic() - began)
    assert at_s[1] - at_s[0] >= 0.5
    assert at_s[2] - at_s[1] < 0.5
    assert desk.seen() == ["exit"] * 3
