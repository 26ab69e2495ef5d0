"""Tell the operator what must not be missed: ``state/alerts.jsonl``, one row per alert, on disk before it is acted on.

The Sentinel writes it; the dashboard, ``pj status`` and whoever carries alerts elsewhere read it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from pj.channels.files import open_shared
from pj.channels.jsonl import append_row
from pj.channels.redact import redact

TAIL_BYTES: Final = 65_536


class AlertCode(StrEnum):
    """Name why the operator is called."""

    CRASH_LOOP = "CRASH_LOOP"  # a process failed too often: trading is halted
    MISCONFIGURED = "MISCONFIGURED"  # a process cannot run with its configuration and is not restarted
    LEFT = "LEFT"  # a process ended by itself with exit code 0 and is not restarted
    FLATTENED = "FLATTENED"  # the halt closed the positions, or could not


@dataclass(frozen=True, slots=True)
class Alert:
    """Carry one alert: run time (UTC ns), code, the process it is about, and one sentence."""

    ts_ns: int
    code: str
    name: str
    text: str


def raise_alert(path: Path, alert: Alert) -> None:
    """Append ``alert``; raise Locked, WriteFailed."""
    row = {"ts_ns": alert.ts_ns, "code": str(alert.code), "name": alert.name, "text": redact(alert.text)}
    append_row(path, row)


def read_alerts(path: Path, last: int = 20) -> list[Alert]:
    """Return the newest ``last`` alerts, oldest first; a line that is no alert is passed over."""
    try:
        with open_shared(path) as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - TAIL_BYTES))
            lines = file.read().split(b"\n")[:-1]
    except FileNotFoundError:
        return []
    found = [alert for line in lines if (alert := _parse(line)) is not None]
    return found[-last:]


def _parse(line: bytes) -> Alert | None:
    try:
        row = json.loads(line)
        return Alert(int(row["ts_ns"]), str(row["code"]), str(row["name"]), str(row["text"]))
    except (ValueError, KeyError, TypeError):
        return None
