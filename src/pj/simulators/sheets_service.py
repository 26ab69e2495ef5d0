"""Answer Sheets v4 calls from one workbook: tokens, quotas, faults, routes (services.md 2.1, 2.2).

No socket here: a call comes in as method, path, headers and body, and leaves as an Answer.
"""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

from pj.simulators.sheets_auth import TokenDesk, TokenRefused
from pj.simulators.sheets_book import ApiFailure, Workbook, bad_request
from pj.simulators.sheets_faults import BadFault, FaultPlan, Quota
from pj.simulators.sheets_requests import apply_requests
from pj.simulators.sheets_values import body_values, render, stored_values

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pj.clock import Clock

LOG_ROWS: Final = 20_000
QUOTA_LIMIT: Final = 60
PREFIX: Final = "/v4/spreadsheets/"


@dataclass(frozen=True, slots=True)
class Answer:
    """Carry what goes back; ``drop`` closes the connection instead, ``delay_s`` (real) waits first."""

    code: int
    body: bytes
    content_type: str = "application/json; charset=UTF-8"
    delay_s: float = 0.0
    drop: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """Carry one HTTP request; header names are lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def path(self) -> str:
        """Return the path, still percent-encoded."""
        return urlsplit(self.target).path

    def query(self) -> dict[str, list[str]]:
        """Return the query's values by name."""
        return parse_qs(urlsplit(self.target).query, keep_blank_values=True)

    def one(self, name: str, default: str) -> str:
        """Return one query value."""
        return self.query().get(name, [default])[-1]

    def json(self) -> dict[str, Any]:
        """Return the body as a JSON object; raises ApiFailure."""
        try:
            value = json.loads(self.body) if self.body else {}
        except ValueError:
            raise bad_request("Invalid JSON payload received.") from None
        if not isinstance(value, dict):
            raise bad_request("Invalid JSON payload received. The root element must be a message.")
        return value


def as_json(code: int, value: Any) -> Answer:
    """Return ``value`` as a JSON answer."""
    return Answer(code, json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode())


@dataclass(slots=True)
class SheetsService:
    """Hold the workbook and everything that decides whether a call may touch it."""

    book: Workbook
    tokens: TokenDesk
    clock: Clock
    quota: int = QUOTA_LIMIT
    faults: FaultPlan = field(default_factory=FaultPlan)
    reads: Quota = field(init=False)
    writes: Quota = field(init=False)
    counts: dict[str, int] = field(default_factory=lambda: {"read": 0, "write": 0, "token": 0, "refused": 0})
    lock: threading.Lock = field(default_factory=threading.Lock)
    log: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=LOG_ROWS))

    def __post_init__(self) -> None:
        self.reads = Quota(self.quota)
        self.writes = Quota(self.quota)

    def answer(self, call: Call) -> Answer:
        """Return the answer to any call and log it (never a token, an assertion or values)."""
        if call.path.startswith("/_"):
            return self._control(call)
        started = time.monotonic()
        target, fault = self._target(call), "-"
        rule = self.faults.strike(target)
        if rule is None:
            answer = self._serve(call, target)
        else:
            fault = rule.kind
            answer = self._faulted(call, target, rule.kind, rule.slow_s)
        self.log.append(
            {
                "run_ns": self.clock.now_ns(),
                "method": call.method,
                "path": unquote(call.path),
                "target": target,
                "code": answer.code,
                "fault": fault,
                "bytes_in": len(call.body),
                "ms": round((time.monotonic() - started) * 1000, 2),
            }
        )
        return answer

    @staticmethod
    def _target(call: Call) -> str:
        if call.path == "/token":
            return "token"
        return "read" if call.method == "GET" else "write"

    def _faulted(self, call: Call, target: str, kind: str, slow_s: float) -> Answer:
        if kind == "401":
            self.tokens.revoke_all()
            return self._serve(call, target)
        if kind == "403":  # what a workbook answers that is not shared with the account
            return as_json(403, ApiFailure(403, "PERMISSION_DENIED", "The caller does not have permission").body())
        if kind == "429":
            return as_json(429, _quota_failure("Write" if target == "write" else "Read").body())
        if kind == "html500":
            page = b"<!DOCTYPE html><html><title>Error 500 (Server Error)!!1</title></html>"
            return Answer(500, page, "text/html; charset=UTF-8")
        if kind == "503_not_applied":
            return as_json(503, _unavailable().body())
        done = self._serve(call, target)
        if kind == "503_applied":
            return as_json(503, _unavailable().body())
        return Answer(done.code, done.body, done.content_type, slow_s, drop=kind == "drop_after_apply")

    def _serve(self, call: Call, target: str) -> Answer:
        try:
            if target == "token":
                return self._token(call)
            if not self.tokens.holds(call.headers.get("authorization", ""), time.monotonic()):
                raise ApiFailure(
                    401,
                    "UNAUTHENTICATED",
                    "Request had invalid authentication credentials. Expected OAuth 2 access token.",
                )
            with self.lock:
                quota = self.reads if target == "read" else self.writes
                if not quota.take(self.clock.now_ns()):
                    raise _quota_failure("Read" if target == "read" else "Write")
                answer = as_json(200, self._route(call))
            self.counts[target] += 1
        except ApiFailure as failure:
            self.counts["refused"] += 1
            return as_json(failure.code, failure.body())
        return answer

    def _token(self, call: Call) -> Answer:
        if call.method != "POST":
            raise ApiFailure(405, "INVALID_ARGUMENT", "POST is required")
        form = {name: values[-1] for name, values in parse_qs(call.body.decode("utf-8", "replace")).items()}
        try:
            issued = self.tokens.issue(form, time.time(), time.monotonic())
        except TokenRefused as refused:
            self.counts["refused"] += 1
            return as_json(400, {"error": refused.error, "error_description": refused.description})
        self.counts["token"] += 1
        return as_json(200, issued)

    def _route(self, call: Call) -> dict[str, Any]:
        if not call.path.startswith(PREFIX):
            raise _not_found()
        raw_id, _, raw_rest = call.path.removeprefix(PREFIX).partition("/")
        verb = ""
        if not raw_rest:
            raw_id, _, verb = raw_id.partition(":")
        if unquote(raw_id) != self.book.spreadsheet_id:
            raise _not_found()
        if not raw_rest:
            return self._spreadsheet(call, verb)
        if raw_rest.startswith("values:"):
            return self._many(call, raw_rest.removeprefix("values:"))
        if raw_rest.startswith("values/"):
            raw_range, _, action = raw_rest.removeprefix("values/").partition(":")
            return self._one(call, unquote(raw_range), action)
        raise _not_found()

    def _spreadsheet(self, call: Call, verb: str) -> dict[str, Any]:
        match call.method, verb:
            case "GET", "":
                if call.one("includeGridData", "false") != "false":
                    raise bad_request("the simulator does not give grid data with spreadsheets.get; use values.get")
                return self.book.describe()
            case "POST", "batchUpdate":
                replies = apply_requests(self.book, call.json().get("requests") or [])
                return {"spreadsheetId": self.book.spreadsheet_id, "replies": replies}
            case _:
                raise _not_found()

    def _one(self, call: Call, area: str, action: str) -> dict[str, Any]:
        match call.method, action:
            case "GET", "":
                return self._read(area, call)
            case "PUT", "":
                values = self._input(call.json(), call.one("valueInputOption", ""))
                return self.book.update([(area, values)])[0]
            case "POST", "append":
                values = self._input(call.json(), call.one("valueInputOption", ""))
                option = call.one("insertDataOption", "OVERWRITE")
                if option not in {"OVERWRITE", "INSERT_ROWS"}:
                    raise bad_request(f"Invalid value at 'insert_data_option': {option}")
                return self.book.append(area, values, insert=option == "INSERT_ROWS")
            case "POST", "clear":
                return {"spreadsheetId": self.book.spreadsheet_id, "clearedRange": self.book.clear(area)}
            case _:
                raise _not_found()

    def _many(self, call: Call, action: str) -> dict[str, Any]:
        head = {"spreadsheetId": self.book.spreadsheet_id}
        match call.method, action:
            case "GET", "batchGet":
                return {**head, "valueRanges": [self._read(area, call) for area in call.query().get("ranges", [])]}
            case "POST", "batchUpdate":
                return {**head, **self._batch_update(call.json())}
            case "POST", "batchClear":
                return {**head, "clearedRanges": [self.book.clear(str(a)) for a in call.json().get("ranges") or []]}
            case _:
                raise _not_found()

    def _batch_update(self, body: dict[str, Any]) -> dict[str, Any]:
        option = str(body.get("valueInputOption") or "")
        data = body.get("data") or []
        ranges = [(str(part.get("range", "")), self._input(part, option)) for part in data]
        responses = self.book.update(ranges)
        return {
            "totalUpdatedRows": sum(part["updatedRows"] for part in responses),
            "totalUpdatedColumns": max((part["updatedColumns"] for part in responses), default=0),
            "totalUpdatedCells": sum(part["updatedCells"] for part in responses),
            "totalUpdatedSheets": len({part["updatedRange"].rpartition("!")[0] for part in responses}),
            "responses": responses,
        }

    @staticmethod
    def _input(body: dict[str, Any], option: str) -> list[list[Any]]:
        if option not in {"RAW", "USER_ENTERED"}:
            raise bad_request("'valueInputOption' is required but not specified")
        return stored_values(body_values(body), user_entered=option == "USER_ENTERED")

    def _read(self, area: str, call: Call) -> dict[str, Any]:
        name, values = self.book.read(area)
        dimension = call.one("majorDimension", "ROWS")
        shown = render(values, call.one("valueRenderOption", "FORMATTED_VALUE"), dimension)
        answer: dict[str, Any] = {"range": name, "majorDimension": dimension}
        if shown:
            answer["values"] = shown
        return answer

    def _control(self, call: Call) -> Answer:
        """Answer the test-only doors: POST /_fault, GET /_log, GET /_tab/<title>."""
        path = unquote(call.path)
        if call.method == "POST" and path == "/_fault":
            try:
                self.faults.order(json.loads(call.body or b"{}"))
            except (BadFault, ValueError) as error:
                return as_json(400, {"error": str(error)})
            return as_json(200, {"rules": len(self.faults.rules), "struck": dict(self.faults.struck)})
        if call.method == "GET" and path == "/_log":
            return as_json(200, {"counts": self.gauges(), "calls": list(self.log)})
        if call.method == "GET" and path.startswith("/_tab/"):
            with self.lock:
                sheet = self.book.by_title(path.removeprefix("/_tab/"))
                if sheet is None:
                    return as_json(404, {"error": f"no tab {path.removeprefix('/_tab/')!r}"})
                return as_json(200, {"title": sheet.title, "rowCount": sheet.row_count, "values": sheet.rows})
        return as_json(404, {"error": f"no such door: {call.method} {path}"})

    def gauges(self) -> dict[str, Any]:
        """Return the figures for the stats file."""
        return {
            "reads": self.counts["read"],
            "writes": self.counts["write"],
            "tokens": self.counts["token"],
            "refused": self.counts["refused"],
            "quota_refused_reads": self.reads.refused,
            "quota_refused_writes": self.writes.refused,
            "peak_reads_per_min": self.reads.peak,
            "peak_writes_per_min": self.writes.peak,
            "faults": dict(self.faults.struck),
            "cells": self.book.cells(),
            "rows": {sheet.title: len(sheet.rows) for sheet in list(self.book.sheets)},
        }


def _not_found() -> ApiFailure:
    return ApiFailure(404, "NOT_FOUND", "Requested entity was not found.")


def _unavailable() -> ApiFailure:
    return ApiFailure(503, "UNAVAILABLE", "The service is currently unavailable.")


def _quota_failure(word: str) -> ApiFailure:
    low = word.lower()
    message = (
        f"Quota exceeded for quota metric '{word} requests' and limit '{word} requests per minute per user'"
        " of service 'sheets.googleapis.com' for consumer 'project_number:1'."
    )
    detail = {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": "RATE_LIMIT_EXCEEDED",
        "domain": "googleapis.com",
        "metadata": {
            "service": "sheets.googleapis.com",
            "quota_limit": f"{word}RequestsPerMinutePerUser",
            "quota_limit_value": str(QUOTA_LIMIT),
            "quota_unit": "1/min/{project}/{user}",
            "consumer": "projects/1",
            "quota_metric": f"sheets.googleapis.com/{low}_requests",
        },
    }
    return ApiFailure(429, "RESOURCE_EXHAUSTED", message, [detail])
