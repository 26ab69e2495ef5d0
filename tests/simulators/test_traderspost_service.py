"""The simulated TradersPost as a client meets it: codes, order of checks, limits, faults, ledger."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import requests

from live.market import INSTRUMENTS, NS_PER_S
from pj.clock import SystemClock
from pj.simulators.traderspost_account import Rejected, exit_quantity, exits, local_symbol
from pj.simulators.traderspost_faults import TokenBucket, WebhookLimit, parse_fault
from pj.simulators.traderspost_http import Server
from pj.simulators.traderspost_rules import Refused, Signal, judge
from pj.simulators.traderspost_service import DryRun, Ledger, Secret, Service

UUID, PASSWORD = "6f9619ff-8b86-d011-b42d-00cf4fc964ff", "pw-0123456789"
GOOD: dict[str, Any] = {"ticker": "MNQZ2026", "action": "buy", "quantity": 1}
NOW = 1_795_183_260 * NS_PER_S


@pytest.fixture
def base(tmp_path: Path) -> Iterator[str]:
    clock = SystemClock()
    ledger = Ledger(tmp_path / "traderspost.jsonl", clock)
    with Server(0, Service(Secret(UUID, PASSWORD), clock, DryRun(), ledger)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{server.port}"
        server.stopping.set()
        server.shutdown()
        thread.join()
    ledger.close()


def post(base: str, body: object, path: str = f"/trading/webhook/{UUID}/{PASSWORD}") -> requests.Response:
    data = body if isinstance(body, (str, bytes)) else json.dumps(body)
    return requests.post(base + path, data=data, timeout=5)


def test_receipt_echoes_the_signal(base: str, tmp_path: Path) -> None:
    reply = post(base, GOOD | {"signalPrice": 25000.5, "extras": {"signal_id": "x"}})
    assert reply.status_code == 200
    body = reply.json()
    assert body["success"] is True
    assert body["payload"] == {
        "ticker": "MNQZ2026",
        "action": "buy",
        "orderType": "market",
        "quantity": 1,
        "price": 25000.5,
        "extras": {"signal_id": "x"},
    }
    [row] = [json.loads(line) for line in (tmp_path / "traderspost.jsonl").read_text().splitlines()]
    assert (row["kind"], row["status"], row["id"]) == ("REQUEST", 200, body["id"])
    assert PASSWORD not in json.dumps(row)
    assert requests.get(f"{base}/_log", timeout=5).json()["requests"] == [row]
    assert requests.get(f"{base}/_positions", timeout=5).json() == {"positions": {}}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("", "empty-json"),
        ("{", "malformed-json"),
        ("[1]", "invalid-payload"),
        ({"ticker": "MNQZ2026"}, "invalid-payload"),
        (GOOD | {"ticker": " "}, "empty-ticker-name"),
        (GOOD | {"action": "hold"}, "invalid-action"),
        (GOOD | {"sentiment": "up"}, "invalid-sentiment"),
        (GOOD | {"sentiment": "bearish"}, "invalid-sentiment-action"),
        (GOOD | {"orderType": "iceberg"}, "invalid-order-type"),
        (GOOD | {"orderType": "trailing_stop"}, "invalid-trailing-stop"),
        (GOOD | {"timeInForce": "never"}, "invalid-time-in-force"),
        (GOOD | {"quantityType": "lots"}, "invalid-quantity-type"),
        (GOOD | {"quantityType": "percent_of_equity"}, "invalid-quantity-type-for-asset-class"),
        (GOOD | {"quantityType": "percent_of_position"}, "invalid-percent-of-position-action"),
        (GOOD | {"quantity": 0}, "invalid-quantity"),
        (GOOD | {"quantity": "1"}, "invalid-quantity"),
        (GOOD | {"quantity": True}, "invalid-quantity"),
        (GOOD | {"takeProfit": {}}, "invalid-take-profit-value-required"),
        (GOOD | {"takeProfit": {"amount": -1}}, "invalid-take-profit-amount"),
        (GOOD | {"takeProfit": {"amount": 1, "percent": 1}}, "invalid-take-profit-amount-and-percent"),
        (GOOD | {"takeProfit": {"amount": 1, "limitPrice": 1}}, "invalid-take-profit-relative-and-absolute"),
        (GOOD | {"stopLoss": {"type": "mental", "stopPrice": 1}}, "invalid-stop-loss-type"),
        (GOOD | {"stopLoss": {"type": "stop"}}, "invalid-stop-loss-value-required"),
        (GOOD | {"stopLoss": {"amount": 1, "percent": 1}}, "invalid-stop-loss-amount-and-percent"),
        (GOOD | {"stopLoss": {"type": "trailing_stop"}}, "invalid-stop-loss-trail-value-required"),
        (
            GOOD | {"takeProfit": {"limitPrice": 9}, "stopLoss": {"amount": 1}},
            "invalid-stop-loss-relative-and-absolute",
        ),
        (GOOD | {"takeProfit": {"amount": 9}, "stopLoss": {"stopPrice": 1}}, "invalid-stop-loss-relative-and-absolute"),
    ],
)
def test_each_fault_of_a_body_has_its_code(base: str, body: object, code: str) -> None:
    reply = post(base, body)
    assert reply.status_code == 400
    assert reply.json()["messageCode"] == code
    assert reply.json()["success"] is False
    assert reply.json()["message"]


def test_address_is_judged_before_the_body(base: str) -> None:
    assert post(base, "", "/trading/webhook/other/pw").json()["messageCode"] == "not-found"
    assert post(base, "", "/trading/webhook/other/pw").status_code == 404
    assert post(base, "", f"/trading/webhook/{UUID}/wrong").json()["messageCode"] == "invalid-password"
    assert requests.get(f"{base}/trading/webhook/{UUID}/{PASSWORD}", timeout=5).json()["messageCode"] == "post-required"
    assert requests.get(f"{base}/elsewhere", timeout=5).status_code == 404


def test_connectivity_probe_places_nothing(base: str) -> None:
    assert post(base, {}).json()["messageCode"] == "invalid-payload"


def test_sixty_per_minute_then_429_then_one_per_second() -> None:
    limit = WebhookLimit()
    assert [limit.take(NOW) for _ in range(61)] == [True] * 60 + [False]
    assert not limit.take(NOW + NS_PER_S - 1)
    assert limit.take(NOW + NS_PER_S)
    assert not limit.take(NOW + NS_PER_S)


def test_hourly_bucket_bounds_a_patient_sender() -> None:
    limit = WebhookLimit()
    passed = sum(limit.take(NOW + second * NS_PER_S) for second in range(3600))
    assert passed == 500 + 499, "500 at once and 500 an hour in the long run"


def test_bucket_ignores_a_clock_that_steps_back() -> None:
    bucket = TokenBucket(60, 60 * NS_PER_S)
    bucket.refill(NOW)
    bucket.tokens = 0
    assert not bucket.refill(NOW - 60 * NS_PER_S)
    assert not bucket.refill(NOW)


@pytest.mark.parametrize("text", ["418", "slow:0", "slow:x", "400", "timeout"])
def test_unknown_faults_are_refused(base: str, text: str) -> None:
    with pytest.raises(ValueError):
        parse_fault(text)
    assert requests.post(f"{base}/_fault", data=text, timeout=5).status_code == 400


def test_faults_are_used_up_in_order_and_can_be_cleared(base: str) -> None:
    requests.post(f"{base}/_fault", data="429", timeout=5)
    requests.post(f"{base}/_fault", json={"fault": "500html", "count": 5}, timeout=5)
    assert [post(base, GOOD).status_code for _ in range(2)] == [429, 500]
    requests.post(f"{base}/_fault", data="none", timeout=5)
    assert post(base, GOOD).status_code == 200


def signal(**fields: object) -> Signal:
    verdict = judge(json.dumps(GOOD | fields).encode())
    assert not isinstance(verdict, Refused), verdict
    return verdict


def test_exit_prices_lie_on_the_grid_rounded_the_documented_way() -> None:
    mnq = INSTRUMENTS["MNQ"]
    absolute = signal(takeProfit={"limitPrice": 25040.3}, stopLoss={"type": "stop", "stopPrice": 24980.1})
    assert exits(absolute, mnq, 1) == (Decimal("25040.50"), Decimal("24980.25"))
    assert exits(absolute, mnq, -1) == (Decimal("25040.25"), Decimal("24980.00"))
    relative = signal(signalPrice=25125.25, takeProfit={"amount": 100}, stopLoss={"type": "stop", "amount": 100})
    assert exits(relative, mnq, 1) == (Decimal("25225.25"), Decimal("25025.25"))
    assert exits(relative, mnq, -1) == (Decimal("25025.25"), Decimal("25225.25"))
    assert exits(signal(), mnq, 1) == (None, None)


def test_exit_quantity_never_exceeds_the_position() -> None:
    assert exit_quantity(signal(action="exit"), 1) == 1
    everything = judge(b'{"ticker":"MNQZ2026","action":"exit"}')
    assert isinstance(everything, Signal)
    assert exit_quantity(everything, -3) == 3
    assert exit_quantity(signal(action="exit", quantity=9), 2) == 2
    assert exit_quantity(signal(action="exit", quantity=50, quantityType="percent_of_position"), 4) == 2


def test_tickers() -> None:
    assert local_symbol("MNQZ2026", NOW) == ("MNQZ6", INSTRUMENTS["MNQ"])
    for unknown in ("MNQ1!", "AAPL", "CLZ2026"):
        with pytest.raises(Rejected):
            local_symbol(unknown, NOW)


def test_program_starts_serves_and_stops(run_dir: Path) -> None:
    command = [sys.executable, "-P", "-m", "pj.simulators.traderspost", "--port", "0", "--gateway", "none"]
    with subprocess.Popen([*command, "--run-dir", str(run_dir)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        words = process.stdout.readline().split()
        assert words[:2] == ["READY", "traderspost"]
        base, path = f"http://{words[2]}", words[3].removeprefix("path=")
        assert post(base, GOOD, path).status_code == 200
        process.terminate()
        assert process.wait(5) == 0
    stats = json.loads((run_dir / "state" / "traderspost.stats.json").read_text())
    assert (stats["phase"], stats["counts"]) == ("STOPPING", {"REQUEST": 1})
    assert len((run_dir / "simulators" / "traderspost.jsonl").read_text().splitlines()) == 1


def test_program_names_a_port_in_use_and_a_bad_gateway(taken_port: int) -> None:
    command = [sys.executable, "-P", "-m", "pj.simulators.traderspost"]
    done = subprocess.run(
        [*command, "--port", str(taken_port), "--gateway", "none"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, str(taken_port) in done.stderr) == (2, True)
    done = subprocess.run(
        [*command, "--port", "0", "--gateway", "nowhere"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, "HOST:PORT" in done.stderr) == (2, True)
