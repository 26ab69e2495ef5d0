"""Answer webhook requests: the service behind the simulated TradersPost's socket.

The order of the checks is POST, uuid (404), password, JSON, fields, request limit (429), 200
(services.md 1.3). A 200 says only that the signal was received; the executor trades it later.
"""

from __future__ import annotations

import hmac
import json
import threading
import time
import uuid
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, Protocol

from pj.clock import Clock
from pj.simulators.traderspost_faults import Fault, FaultKind, FaultPlan, WebhookLimit
from pj.simulators.traderspost_rules import MESSAGES, Refused, Signal, judge

LEDGER_NAME: Final = "traderspost.jsonl"
KEPT_ROWS: Final = 20_000
HTML_500: Final = b"<html><head><title>500</title></head><body><h1>Internal Server Error</h1></body></html>"


class Executor(Protocol):
    """Trade accepted signals on an account, later and in order."""

    def submit(self, request_id: str, signal: Signal) -> None:
        """Queue ``signal``; return at once."""
        ...

    def positions(self) -> dict[str, int]:
        """Return the account's signed positions by contract."""
        ...

    def close(self) -> None:
        """Stop trading and leave the account."""
        ...


class DryRun:
    """Accept signals and trade nothing (``--gateway none``): for trying a webhook client alone."""

    def submit(self, request_id: str, signal: Signal) -> None:
        """Let the signal go."""

    def positions(self) -> dict[str, int]:
        """Return no positions."""
        return {}

    def close(self) -> None:
        """Hold nothing to close."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Carry one HTTP answer; ``fault`` says what the socket must do to it."""

    status: int
    body: bytes
    content_type: str = "application/json"
    fault: Fault | None = None


class Ledger:
    """Append one JSON line per request and per execution; thread-safe, password never in it."""

    def __init__(self, path: Path | None, clock: Clock) -> None:
        """Open ``path`` for appending, or keep the rows in memory only when it is None."""
        self._clock = clock
        self._lock = threading.Lock()
        self._rows: deque[dict[str, Any]] = deque(maxlen=KEPT_ROWS)
        self._file: IO[str] | None = None
        self.counts: dict[str, int] = {}
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("a", encoding="utf-8", newline="\n")

    def write(self, kind: str, **data: Any) -> None:
        """Append one row of ``kind`` with the run's and the real time."""
        with self._lock:
            self.counts[kind] = self.counts.get(kind, 0) + 1
            row = {"kind": kind, "run_ns": self._clock.now_ns(), "real_ns": time.time_ns(), **data}
            self._rows.append(row)
            if self._file is not None:
                self._file.write(json.dumps(row, separators=(",", ":"), ensure_ascii=False) + "\n")
                self._file.flush()

    def rows(self) -> list[dict[str, Any]]:
        """Return the newest rows, oldest first."""
        with self._lock:
            return list(self._rows)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None


@dataclass(frozen=True, slots=True)
class Secret:
    """Hold the two secret parts of the webhook's path."""

    uuid: str
    password: str

    @property
    def redacted(self) -> str:
        """Return the path as it may be shown."""
        return f"/trading/webhook/{self.uuid[:8]}.../***"

    def judge(self, path: str) -> str:
        """Return the message code of ``path``: empty, ``not-found`` or ``invalid-password``."""
        parts = path.split("?", 1)[0].strip("/").split("/")
        if len(parts) != 4 or parts[:2] != ["trading", "webhook"] or not _same(parts[2], self.uuid):
            return "not-found"
        return "" if _same(parts[3], self.password) else "invalid-password"


class Service:
    """Judge requests, keep the ledger, hand accepted signals to the executor."""

    def __init__(self, secret: Secret, clock: Clock, executor: Executor, ledger: Ledger) -> None:
        """Start with full request limits and no planted faults."""
        self.faults = FaultPlan()
        self.ledger = ledger
        self.executor = executor
        self._secret = secret
        self._clock = clock
        self._limit = WebhookLimit()

    def webhook(self, path: str, raw: bytes) -> Answer:
        """Return the answer to one POST; an accepted signal is on its way when this returns."""
        fault = self.faults.next()
        kind = fault.kind if fault else None
        if kind is FaultKind.TIMEOUT_BEFORE:
            self._record(raw, 0, "", fault)
            return Answer(0, b"", fault=fault)
        refusal = self._planted(fault) or self._path(path)
        verdict = judge(raw)
        if not refusal and isinstance(verdict, Refused):
            refusal = (400, verdict.code)
        if not refusal and not self._limit.take(self._clock.now_ns()):
            refusal = (429, "too-many-requests")
        if refusal or isinstance(verdict, Refused):
            status, code = refusal or (400, "invalid-payload")
            self._record(raw, status, code, fault)
            return self._refuse(status, code, fault)
        return self._accept(raw, verdict, fault)

    def _accept(self, raw: bytes, signal: Signal, fault: Fault | None) -> Answer:
        request_id = str(uuid.uuid4())
        payload: dict[str, Any] = {"ticker": signal.ticker, "action": signal.action, "orderType": signal.order_type}
        if signal.quantity is not None:
            payload["quantity"] = signal.quantity
        if signal.price is not None:
            payload["price"] = signal.price
        body = {"success": True, "id": request_id, "logId": str(uuid.uuid4())}
        body["payload"] = payload | {"extras": signal.extras}
        self._record(raw, 200, "", fault, request_id)
        if fault is not None and fault.kind is FaultKind.REJECTED_LATER:
            self.ledger.write("REJECTED", id=request_id, signal_id=signal.reference, why="planted: rejected after 200")
        else:
            self.executor.submit(request_id, signal)
        return Answer(200, _json(body), fault=fault)

    def _path(self, path: str) -> tuple[int, str] | None:
        code = self._secret.judge(path)
        return (404 if code == "not-found" else 400, code) if code else None

    def _planted(self, fault: Fault | None) -> tuple[int, str] | None:
        match fault.kind if fault else None:
            case FaultKind.REFUSE:
                return 400, fault.argument if fault else ""
            case FaultKind.NOT_FOUND:
                return 404, "not-found"
            case FaultKind.TOO_MANY:
                return 429, "too-many-requests"
            case FaultKind.SERVER_ERROR:
                return 500, "internal"
            case _:
                return None

    def _refuse(self, status: int, code: str, fault: Fault | None) -> Answer:
        if status == 500:
            return Answer(500, HTML_500, "text/html; charset=utf-8", fault)
        body: dict[str, Any] = {"success": False, "messageCode": code}
        body["message"] = MESSAGES.get(code) or Refused(code).message
        if status == 400:
            body["logId"] = str(uuid.uuid4())
        return Answer(status, _json(body), fault=fault)

    def _record(self, raw: bytes, status: int, code: str, fault: Fault | None, request_id: str = "") -> None:
        try:
            body = json.loads(raw)
        except ValueError:
            body = raw[:2000].decode("utf-8", "replace")
        self.ledger.write(
            "REQUEST",
            path=self._secret.redacted,
            status=status,
            code=code,
            fault=f"{fault.kind}:{fault.argument}".rstrip(":") if fault else "",
            id=request_id,
            body=body,
        )


def _same(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode(), wanted.encode())


def _json(body: dict[str, Any]) -> bytes:
    return json.dumps(body, separators=(",", ":")).encode()
