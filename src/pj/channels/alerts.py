"""Tell the operator what must not be missed: ``state/alerts.jsonl``, one row per alert, on disk before it is acted on.

The Sentinel alone writes alerts into it: its own, and each alarm of the engine's journal once, with the alarm's place
there (``pj.supervision.alarms``). A person who has read them adds a row SEEN (``pj resume``, ``pj status --seen``, the
dashboard's key r), which says up to which byte of the file he has; alerts behind it are open. The dashboard,
``pj status`` and whoever carries alerts elsewhere read it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from pj.channels.alarm_table import Severity, severity_of
from pj.channels.files import open_shared
from pj.channels.jsonl import LOCK_WAIT_S, append_row, append_rows, sealed_lines, unsealed
from pj.channels.redact import redact

TAIL_BYTES: Final = 65_536
SEEN: Final = "SEEN"


class AlertCode(StrEnum):
    """Name why the Sentinel calls the operator."""

    CRASH_LOOP = "CRASH_LOOP"  # a process failed too often: trading is halted
    MISCONFIGURED = "MISCONFIGURED"  # a process cannot run with its configuration and is not restarted
    LEFT = "LEFT"  # a process ended by itself with exit code 0 and is not restarted
    FLATTENED = "FLATTENED"  # the halt closed the positions, or could not
    UNREADABLE = "UNREADABLE"  # a row of the file or an alarm in a journal was changed: what it told is lost


@dataclass(frozen=True, slots=True)
class Alert:
    """Carry one alert: run time (UTC ns), code, the process it is about, one sentence, the alarm's place if it is one.

    ``place`` = trade date, line's seq and beginning of its hash in the journal; empty for the Sentinel's own alerts.
    """

    ts_ns: int
    code: str
    name: str
    text: str
    place: str = ""

    @property
    def severity(self) -> Severity:
        """Return what is asked of a person."""
        return severity_of(self.code)


@dataclass(frozen=True, slots=True)
class OpenAlerts:
    """Hold the alerts that ask something of a person and that nobody has marked as seen.

    ``alerts`` are the newest, oldest first; ``count`` all of them; ``upto`` = bytes of the file that were read.
    """

    alerts: tuple[Alert, ...]
    count: int
    upto: int


NO_ALERTS: Final = OpenAlerts((), 0, 0)


def raise_alert(path: Path, alert: Alert) -> None:
    """Append ``alert``; raise Locked, WriteFailed."""
    append_row(path, _row(alert))


def raise_alerts(path: Path, alerts: Iterable[Alert], lock_wait_s: float = LOCK_WAIT_S) -> None:
    """Append several in one write; raise Locked, WriteFailed (some of them may then stand there)."""
    append_rows(path, map(_row, alerts), lock_wait_s)


def mark_seen(path: Path, upto: int, by: str, ts_ns: int) -> None:
    """Say that ``by`` has seen every alert that begins before byte ``upto``; raise Locked, WriteFailed."""
    append_row(path, {"ts_ns": ts_ns, "code": SEEN, "name": by, "text": "", "upto": upto})


def read_alerts(path: Path, last: int = 20) -> list[Alert]:
    """Return the newest ``last`` alerts, seen or not, oldest first.

    A line that was torn or changed is an alert as well (UNREADABLE, with the time of the one before): something was to
    be told and is lost.
    """
    return [alert for _at, alert, _upto in _tail(path)[0] if alert.code != SEEN][-last:]


def open_alerts(path: Path, last: int = 20) -> OpenAlerts:
    """Return what is to be seen by a person in the file's last TAIL_BYTES, the newest ``last`` of it."""
    rows, size = _tail(path)
    seen = max((min(upto, at) for at, _alert, upto in rows), default=0)
    found = [alert for at, alert, _upto in rows if at >= seen and alert.code != SEEN]
    asking = [alert for alert in found if alert.severity is not Severity.INFO]
    return OpenAlerts(tuple(asking[-last:]), len(asking), size)


def told_places(path: Path) -> set[str]:
    """Return the places of all alarms that the file tells; damaged rows tell none.

    A last row that lacks its newline alone counts: the next writer's newline makes it whole.
    """
    try:
        with open_shared(path) as file:
            data = file.read()
    except FileNotFoundError:
        return set()
    rows = (_parse(line) for line in data.split(b"\n") if b'"place":' in line)
    return {row[0].place for row in rows if row is not None and row[0].place}


def _row(alert: Alert) -> dict[str, Any]:
    row: dict[str, Any] = {"ts_ns": alert.ts_ns, "code": str(alert.code), "name": alert.name}
    row["text"] = redact(alert.text)
    return row | {"place": alert.place} if alert.place else row


def _tail(path: Path) -> tuple[list[tuple[int, Alert, int]], int]:
    """Return (first byte, alert, seen bytes) of each row of the file's end, and the file's size."""
    try:
        with open_shared(path) as file:
            size = file.seek(0, 2)
            start = file.seek(max(0, size - TAIL_BYTES))
            data = file.read()
    except FileNotFoundError:
        return [], 0
    return list(_rows(path, data, start)), start + len(data)


def _rows(path: Path, data: bytes, start: int) -> Iterator[tuple[int, Alert, int]]:
    lines, at, ts_ns = sealed_lines(data), start, 0
    unended = data.rpartition(b"\n")[2]
    if _parse(unended) is not None:  # whole but for its newline, which the next writer adds
        lines.append(unended)
    for number, line in enumerate(lines):
        found = _parse(line)
        if start and not number:  # we began in the middle of it
            at += len(line) + 1
            continue
        if found is None:
            text = f"line {len(lines) - number} from the end of {path} is damaged: what it told is lost"
            found = Alert(ts_ns, AlertCode.UNREADABLE.value, "", text), 0
        ts_ns = found[0].ts_ns
        yield at, *found
        at += len(line) + 1


def _parse(line: bytes) -> tuple[Alert, int] | None:
    """Return the alert of a row and, of a row SEEN, the bytes that were seen; None for a damaged one."""
    try:
        row = unsealed(line)
        code, upto = str(row["code"]), int(row["upto"]) if row["code"] == SEEN else 0
        return Alert(int(row["ts_ns"]), code, str(row["name"]), str(row["text"]), str(row.get("place", ""))), upto
    except (ValueError, KeyError, TypeError):
        return None
