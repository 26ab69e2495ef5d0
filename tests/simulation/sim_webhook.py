"""Be TradersPost: take a signal by webhook, or lose it, or say one thing and do another; trade it on the account.

The request is the product's own JSON body, the answer goes through the product's own classification. Rules of the
service as in services.md 1.3: a buy cancels first, never adds, only closes what is opposite; an exit cancels and
closes.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import requests
from sim_account import Account
from sim_time import S, Scheduler

NORMAL = "ok"
FAULTS = (
    "refused-connection", "timeout-before", "timeout-after", "reset-before", "reset-after", "429", "500", "500-done",
    "html-200", "html-502", "400", "slow", "very-slow", "rejected-later", "no-receipt",
)  # fmt: skip


@dataclass(slots=True)
class Call:
    """Hold one request on its way."""

    body: dict[str, Any]
    fault: str
    instance: str
    done_ns: int = 0
    status: int = 0
    answer: bytes = b""


class Webhook:
    """Receive calls; ``left`` is told of every request whose bytes left, ``arrived`` of every one that got there."""

    def __init__(
        self, scheduler: Scheduler, rng: random.Random, account: Account, symbol: Callable[[str], str]
    ) -> None:
        self._scheduler, self._rng, self._account, self._symbol = scheduler, rng, account, symbol
        self.draw: Callable[[str], str] = lambda _action: NORMAL
        self.left: Callable[[Call], None] = lambda _call: None
        self.arrived: Callable[[Call], None] = lambda _call: None
        self.log: Callable[[str], None] = lambda _text: None
        self.calls: list[Call] = []

    def begin(self, data: bytes, instance: str) -> Call:
        """Take a request whose bytes left; it arrives whether or not its sender still lives."""
        body = json.loads(data)
        call = Call(body, self.draw(body["action"]), instance)
        self.calls.append(call)
        self.left(call)
        arrives, rng = self._scheduler.now + int(self._rng.uniform(0.01, 0.1) * S), self._rng
        waits = {"slow": rng.uniform(0.5, 4.5), "very-slow": rng.uniform(5, 9), "timeout-before": 60.0}
        call.done_ns = arrives + int(waits.get(call.fault, 0.02) * S)
        if call.fault not in {"timeout-before", "reset-before"}:
            self._scheduler.at(arrives, lambda: self.arrived(call))
            self._scheduler.at(call.done_ns, lambda: self._process(call))
        return call

    def _process(self, call: Call) -> None:
        refused = {"429": 429, "500": 500, "html-502": 502, "400": 400}
        if call.fault in refused:
            call.status = refused[call.fault]
            words = {"429": b'{"messageCode":"too-many-requests"}', "400": b'{"messageCode":"invalid-quantity"}'}
            call.answer = words.get(call.fault, b"<html><body>Bad Gateway</body></html>")
        else:
            call.status = 500 if call.fault == "500-done" else 200
            call.answer = json.dumps({"success": True, "id": f"s{len(self.calls)}", "logId": "l"}).encode()
            if call.fault == "html-200":
                call.answer = b"<html>ok</html>"
            elif call.fault == "no-receipt":
                call.answer = b"{}"
            if call.fault not in {"rejected-later", "html-200"}:
                self._scheduler.after(self._rng.uniform(0.05, 1.5), lambda: self._trade(call.body))

    def _trade(self, body: dict[str, Any]) -> None:
        account, contract, key = self._account, self._symbol(body["ticker"]), body["extras"]["key"]
        held = account.positions.get(contract, 0)
        match body["action"]:
            case "cancel":
                account.cancel_all(contract)
            case "exit":
                account.flatten(key, contract)
            case action:
                side = 1 if action == "buy" else -1
                account.cancel_all(contract)
                if held * side > 0:
                    self.log(f"webhook refuses to add {key}")
                elif held * side < 0:
                    account.flatten(key, contract)
                else:
                    stop = round(body["stopLoss"]["stopPrice"] * 4)
                    target = round(body["takeProfit"]["limitPrice"] * 4)
                    account.bracket(key, contract, side, int(body["quantity"]), stop, target)


class Reply:
    """Stand for a ``requests.Response``."""

    def __init__(self, status: int, body: bytes) -> None:
        self.status_code, self._body = status, body

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        return None

    def iter_content(self, _size: int) -> list[bytes]:
        return [self._body]


class Session:
    """Stand for a ``requests.Session`` of one engine process: the wire between the adapter and the service."""

    def __init__(self, webhook: Webhook, scheduler: Scheduler, sleep: Callable[[float], None], instance: str,
                 point: Callable[[str], None], outgoing: Callable[[], Any]) -> None:  # fmt: skip
        self._webhook, self._scheduler, self._sleep = webhook, scheduler, sleep
        self._instance, self._point, self._outgoing = instance, point, outgoing
        self.trust_env = True
        self.headers: dict[str, str] = {}

    def mount(self, _prefix: str, _adapter: object) -> None:
        return None

    def close(self) -> None:
        return None

    def get(self, _url: str, **_more: object) -> Reply:
        return Reply(200, b"")

    def post(self, _url: str, data: bytes, timeout: tuple[float, float], **_more: object) -> Reply:
        """Send the bytes and wait for the answer, at most the read time-out."""
        self._sleep(0.01)
        self._point("send-before")
        if self._webhook.draw("connect") == "refused-connection":
            raise requests.ConnectionError("refused")
        outgoing = self._outgoing()
        outgoing.bytes, outgoing.last_ns = len(data), self._scheduler.now
        call = self._webhook.begin(data, self._instance)
        self._point("send-after")
        deadline = self._scheduler.now + int(timeout[1] * S)
        answered = deadline if call.fault == "timeout-after" else min(deadline, call.done_ns + S // 50)
        self._sleep((answered - self._scheduler.now) / S)
        if call.fault.startswith("reset"):
            raise requests.ConnectionError("reset by peer")
        if answered < deadline:
            self._point("answer")
            return Reply(call.status, call.answer)
        raise requests.ReadTimeout("no answer")
