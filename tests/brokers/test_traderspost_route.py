"""The webhook route against the simulated TradersPost, over real HTTP."""

from __future__ import annotations

import json
import logging
import pickle
import socket
import threading
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from live.commands import CancelOrders, ClosePosition, PlaceBracket
from live.market import INSTRUMENTS, NS_PER_MIN, NS_PER_S
from pj.brokers.limits import SendLimits
from pj.brokers.port import Outcome
from pj.brokers.secret_url import SecretUrl
from pj.brokers.traderspost import LastPrice, TradersPost, classify, payload, ticker
from pj.clock import SystemClock
from pj.simulators.traderspost_http import Server
from pj.simulators.traderspost_service import DryRun, Ledger, Secret, Service

UUID, PASSWORD = "6f9619ff-8b86-d011-b42d-00cf4fc964ff", "s3cr3t-pass-0123456789abcdef"
MNQ = INSTRUMENTS["MNQ"]
NOW = 1_795_183_260_250_118_000  # 2026-11-20 14:01:00.250118 UTC
ENTRY = PlaceBracket(
    "740305:SWL:1795182000/1795183260/ENTRY", "MNQZ6", 1, 2, 100_002, 99_922, 100_162, NOW, "740305:SWL:1"
)
EXIT = ClosePosition("740305:SWL:1795182000/1795183260/EXIT", "MNQZ6", 2, "DAILY_LOSS", NOW)
CANCEL = CancelOrders("740305:SWL:1795182000/1795183260/CANCEL", "MNQZ6", "ORPHAN", NOW)


@pytest.fixture
def server() -> Iterator[Server]:
    clock = SystemClock()
    service = Service(Secret(UUID, PASSWORD), clock, DryRun(), Ledger(None, clock))
    with Server(0, service) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield running
        running.stopping.set()
        running.shutdown()
        thread.join()


def route(
    server: Server,
    path: str = f"/trading/webhook/{UUID}/{PASSWORD}",
    read_s: float = 0.4,
    last_price: LastPrice = lambda _contract: None,
) -> TradersPost:
    url = SecretUrl(f"http://127.0.0.1:{server.port}{path}\n")
    return TradersPost(url, MNQ, SendLimits(), 2.0, read_s, last_price)


def plant(server: Server, fault: str, count: int = 1) -> None:
    body = json.dumps({"fault": fault, "count": count}).encode()
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/_fault", data=body) as reply:
        assert json.load(reply) == {"ok": True}


def requests_seen(server: Server) -> list[dict[str, Any]]:
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/_log") as reply:
        return [row for row in json.load(reply)["requests"] if row["kind"] == "REQUEST"]


def test_entry_is_taken_and_reads_like_the_documented_payload(server: Server) -> None:
    broker = route(server)
    broker.warm()
    before = time.monotonic_ns()
    answer = broker.send(ENTRY, NOW)
    assert answer.outcome is Outcome.ACKED
    assert answer.broker_id
    assert answer.log_id
    assert before < answer.sent_mono_ns < time.monotonic_ns()
    [seen] = requests_seen(server)
    assert seen["path"] == "/trading/webhook/6f9619ff.../***"
    assert seen["body"] == {
        "ticker": "MNQZ2026",
        "action": "buy",
        "sentiment": "bullish",
        "orderType": "market",
        "quantity": 2,
        "quantityType": "fixed_quantity",
        "timeInForce": "day",
        "signalPrice": 25000.5,
        "takeProfit": {"limitPrice": 25040.5},
        "stopLoss": {"type": "stop", "stopPrice": 24980.5},
        "time": "2026-11-20T09:01:00.250118-05:00",
        "interval": "1",
        "extras": {"signal_id": ENTRY.key, "pool": ENTRY.pool_id, "key": ENTRY.key},
    }
    broker.close()


def test_short_exit_and_cancel_payloads() -> None:
    short = payload(replace(ENTRY, side=-1, stop_ticks=100_082, target_ticks=99_842), MNQ, NOW)
    assert (short["action"], short["sentiment"], short["stopLoss"]["stopPrice"]) == ("sell", "bearish", 25020.5)
    exit_body = payload(EXIT, MNQ, NOW)
    assert (exit_body["action"], exit_body["sentiment"], exit_body["cancel"]) == ("exit", "flat", True)
    assert exit_body["extras"]["reason"] == "DAILY_LOSS"
    assert "quantity" not in exit_body
    assert "signalPrice" not in exit_body, "a price that nobody knows is not made up"
    assert payload(EXIT, MNQ, NOW, 99_963)["signalPrice"] == 24990.75
    assert "signalPrice" not in payload(EXIT, MNQ, NOW, -1), "an exit is not refused for what it need not carry"
    assert payload(CANCEL, MNQ, NOW)["action"] == "cancel"


def test_an_exit_carries_the_last_price_of_the_moment_it_leaves(server: Server) -> None:
    known: dict[str, int] = {}
    broker = route(server, last_price=known.get)
    for price in (None, 99_963, 99_900):
        known |= {"MNQH7": 1, **({} if price is None else {"MNQZ6": price})}
        assert broker.send(EXIT, NOW).outcome is Outcome.ACKED
    assert broker.send(CANCEL, NOW).outcome is Outcome.ACKED
    assert [seen["body"].get("signalPrice") for seen in requests_seen(server)] == [None, 24990.75, 24975.0, None]
    broker.close()


@pytest.mark.parametrize(
    ("fault", "outcome", "code"),
    [
        ("400:invalid-quantity", Outcome.REFUSED, "invalid-quantity"),
        ("404", Outcome.REFUSED, "not-found"),
        ("429", Outcome.RETRY_SAFE, "too-many-requests"),
        ("500html", Outcome.UNKNOWN, "http-500"),
        ("timeout_before", Outcome.UNKNOWN, "time-out"),
        ("timeout_after", Outcome.UNKNOWN, "time-out"),
        ("drop_after", Outcome.UNKNOWN, "connection"),
        ("slow:0.1", Outcome.ACKED, ""),
        ("slow:2", Outcome.UNKNOWN, "time-out"),
        ("accepted_but_rejected_later", Outcome.ACKED, ""),
    ],
)
def test_every_fault_has_its_outcome(server: Server, fault: str, outcome: Outcome, code: str) -> None:
    plant(server, fault)
    broker = route(server)
    answer = broker.send(ENTRY, NOW)
    assert (answer.outcome, answer.code) == (outcome, code)
    assert len(requests_seen(server)) == 1, "one call is one request, whatever happened to it"
    assert broker.send(ENTRY, NOW).outcome is Outcome.ACKED, "the connection recovers"
    broker.close()


def test_refused_connection_and_unknown_host_are_safe_to_retry() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    for host in (f"127.0.0.1:{port}", "no-such-host.invalid"):
        broker = TradersPost(SecretUrl(f"http://{host}/trading/webhook/{UUID}/{PASSWORD}"), MNQ, SendLimits())
        broker.warm()
        answer = broker.send(ENTRY, NOW)
        assert (answer.outcome, answer.sent_mono_ns) == (Outcome.RETRY_SAFE, 0), host
        broker.close()


def test_connection_dropped_while_idle_is_reopened_not_unknown(server: Server) -> None:
    broker = route(server)
    assert broker.send(ENTRY, NOW).outcome is Outcome.ACKED
    for pool in broker._session.adapters["http://"].poolmanager.pools._container.values():
        pool.pool.queue[-1].sock.shutdown(socket.SHUT_RDWR)
    assert broker.send(EXIT, NOW).outcome is Outcome.ACKED
    broker.close()


def test_wrong_password_is_refused(server: Server) -> None:
    answer = route(server, f"/trading/webhook/{UUID}/wrong").send(ENTRY, NOW)
    assert (answer.outcome, answer.code, answer.status) == (Outcome.REFUSED, "invalid-password", 400)


@pytest.mark.parametrize(
    ("status", "body", "outcome", "code"),
    [
        (200, b"<html>hello</html>", Outcome.UNKNOWN, "no-receipt"),
        (200, b'{"success":false,"messageCode":"invalid-action"}', Outcome.REFUSED, "invalid-action"),
        (200, b'{"success":true,"id":7}', Outcome.ACKED, ""),
        (302, b"", Outcome.UNKNOWN, "http-302"),
        (401, b'{"messageCode":"<script>"}', Outcome.REFUSED, "http-401"),
        (408, b"", Outcome.UNKNOWN, "http-408"),
        (503, b"[]", Outcome.UNKNOWN, "http-503"),
    ],
)
def test_classify_judges_by_status(status: int, body: bytes, outcome: Outcome, code: str) -> None:
    answer = classify(status, body)
    assert (answer.outcome, answer.code) == (outcome, code)


def test_our_limit_holds_entries_back_and_never_exits(server: Server) -> None:
    broker = TradersPost(
        SecretUrl(f"http://127.0.0.1:{server.port}/trading/webhook/{UUID}/{PASSWORD}"),
        MNQ,
        SendLimits(entries_per_hour=30),
    )
    outcomes = [broker.send(ENTRY, NOW + index * 30 * NS_PER_S) for index in range(31)]
    assert [answer.outcome for answer in outcomes[:30]] == [Outcome.ACKED] * 30
    assert (outcomes[30].outcome, outcomes[30].code) == (Outcome.REFUSED, "limit-entries-per-hour")
    assert broker.send(EXIT, NOW + 31 * 30 * NS_PER_S).outcome is Outcome.ACKED
    assert len(requests_seen(server)) == 31
    later = NOW + 60 * NS_PER_MIN + 1
    assert broker.send(ENTRY, later).outcome is Outcome.ACKED, "the window rolls"
    broker.close()


def test_their_limit_answers_429_which_is_safe(server: Server) -> None:
    broker = TradersPost(
        SecretUrl(f"http://127.0.0.1:{server.port}/trading/webhook/{UUID}/{PASSWORD}"), MNQ, SendLimits(500, 500, 500)
    )
    answers = [broker.send(EXIT, NOW) for _ in range(64)]
    assert [answer.outcome for answer in answers[:60]] == [Outcome.ACKED] * 60
    assert answers[-1].outcome is Outcome.RETRY_SAFE
    broker.close()


def test_secret_shows_nowhere(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    broker = route(server)
    for fault in ("", "drop_after", "timeout_before", "500html", "429"):
        if fault:
            plant(server, fault)
        broker.send(ENTRY, NOW)
    shown = [caplog.text, repr(broker), str(broker._url), repr(vars(broker)), json.dumps(requests_seen(server))]
    assert any("webhook" in text for text in shown[:1]), "urllib3 did log the call"
    for text in shown:
        assert PASSWORD not in text
        assert UUID not in text
    with pytest.raises(TypeError):
        pickle.dumps(broker._url)
    with pytest.raises(ValueError) as error:
        SecretUrl(f"http://127.0.0.1/trading/{UUID}/{PASSWORD}")
    assert PASSWORD not in str(error.value)
    broker.close()


@pytest.mark.parametrize(
    ("contract", "date_ns", "expected"),
    [
        ("MNQZ6", 1_795_183_260 * NS_PER_S, "MNQZ2026"),
        ("MNQH7", 1_795_183_260 * NS_PER_S, "MNQH2027"),
        ("MNQM5", 1_746_400_000 * NS_PER_S, "MNQM2025"),
        ("ESH0", 1_890_000_000 * NS_PER_S, "ESH2030"),
        ("NQZ9", 1_890_000_000 * NS_PER_S, "NQZ2029"),
    ],
)
def test_ticker_has_four_digit_year(contract: str, date_ns: int, expected: str) -> None:
    assert ticker(contract, date_ns) == expected


def test_ticker_refuses_continuous_symbols() -> None:
    with pytest.raises(ValueError, match="MNQ1!"):
        ticker("MNQ1!", NOW)
