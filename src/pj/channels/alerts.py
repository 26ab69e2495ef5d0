"""Tell the operator what must not be missed: ``state/alerts.jsonl``, one row per alert, on disk before it is acted on.

The Sentinel writes it; the dashboard, ``pj status`` and whoever carries alerts elsewhere read it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from pj.channels.files import open_shared
from pj.channels.jsonl import append_row, sealed_lines, unsealed
from pj.channels.redact import redact

TAIL_BYTES: Final = 65_536


class AlertCode(StrEnum):
    """Name why the operator is called."""

    CRASH_LOOP = "CRASH_LOOP"  # a process failed too often: trading is halted
    MISCONFIGURED = "MISCONFIGURED"  # a process cannot run with its configuration and is not restarted
    LEFT = "LEFT"  # a process ended by itself with exit code 0 and is not restarted
    FLATTENED = "FLATTENED"  # the halt closed the positions, or could not
    UNREADABLE = "UNREADABLE"  # a row of the file itself was torn or changed: what it told is lost


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
    """Return the newest ``last`` alerts, oldest first.

    A line that was torn or changed is an alert as well (UNREADABLE, with the time of the one before): something was to
    be told and is lost.
    """
    try:
        with open_shared(path) as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - TAIL_BYTES))
            lines = sealed_lines(file.read())
    except FileNotFoundError:
        return []
    if size > TAIL_BYTES:
        del lines[0]  # we began in the middle of it
    found: list[Alert] = []
    for number, line in enumerate(lines):
        alert = _parse(line)
        if alert is None:
            text = f"line {len(lines) - number} from the end of {path} is damaged: what it told is lost"
            alert = Alert(found[-1].ts_ns if found else 0, AlertCode.UNREADABLE.value, "", text)
        found.append(alert)
    return found[-last:]


def _parse(line: bytes) -> Alert | None:
    try:
        row = unsealed(line)
        return Alert(int(row["ts_ns"]), str(row["code"]), str(row["name"]), str(row["text"]))
    except (ValueError, KeyError, TypeError):
        return None
