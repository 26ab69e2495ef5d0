"""Pass commands to running processes and answers back through one append-only file, ``state/control.jsonl``.

Any of our processes may append (several writers, see ``jsonl``). Each row ends in a checksum: a line that is no row or
was changed is nobody's command; it is counted and passed over, and who sent it hears no answer.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pj.channels.jsonl import append_row, unsealed
from pj.channels.tailer import Tailer

ANSWER_POLL_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class ControlCommand:
    """Carry one command: ``verb`` with ``args``, who sent it, and the id its answer repeats."""

    id: str
    ts_ns: int
    verb: str
    args: tuple[str, ...]
    sender: str


@dataclass(frozen=True, slots=True)
class ControlAnswer:
    """Carry the answer to command ``id``: whether it was done, and one sentence."""

    id: str
    ts_ns: int
    ok: bool
    text: str


ControlRow = ControlCommand | ControlAnswer


class ControlFile:
    """Send commands and answers, and wait for an answer; holds the file open only while writing."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def send(self, verb: str, args: Sequence[str] = (), *, sender: str, ts_ns: int) -> str:
        """Append a command and return its id; raise Locked, WriteFailed."""
        command_id = uuid.uuid4().hex
        append_row(self.path, {"id": command_id, "ts_ns": ts_ns, "verb": verb, "args": list(args), "from": sender})
        return command_id

    def answer(self, command_id: str, *, ok: bool, text: str, ts_ns: int) -> None:
        """Append the answer to a command; raise Locked, WriteFailed."""
        append_row(self.path, {"id": command_id, "ts_ns": ts_ns, "ack": True, "ok": ok, "text": text})

    def rows(self) -> list[ControlRow]:
        """Return every readable row from the beginning."""
        return ControlReader(self.path, from_end=False).poll()

    def wait_answer(self, command_id: str, timeout_s: float) -> ControlAnswer | None:
        """Return the answer to ``command_id``, waiting at most ``timeout_s`` real seconds; None if there is none."""
        reader = ControlReader(self.path, from_end=False)
        deadline = time.monotonic() + timeout_s
        while True:
            for row in reader.poll():
                if isinstance(row, ControlAnswer) and row.id == command_id:
                    return row
            if time.monotonic() >= deadline:
                return None
            time.sleep(ANSWER_POLL_S)


class ControlReader:
    """Return each row once, as it comes; ``from_end`` skips what stood there before.

    ``bad`` counts lines that are no rows (torn by a writer that died, or edited by hand).
    """

    def __init__(self, path: Path, *, from_end: bool = True) -> None:
        self.bad = 0
        self._tail = Tailer(path)
        if from_end:
            while self._tail.read():
                pass

    def poll(self) -> list[ControlRow]:
        """Return the rows appended since the last call."""
        rows: list[ControlRow] = []
        while lines := self._tail.read():
            rows.extend(self._rows(lines))
        return rows

    def commands(self) -> list[ControlCommand]:
        """Return only the commands appended since the last call (answers are dropped)."""
        return [row for row in self.poll() if isinstance(row, ControlCommand)]

    def close(self) -> None:
        """Close the file."""
        self._tail.close()

    def _rows(self, lines: bytes) -> Iterator[ControlRow]:
        for text in lines.split(b"\n")[:-1]:
            row = _parse(text)
            if row is None:
                self.bad += 1
            else:
                yield row


def _parse(text: bytes) -> ControlRow | None:
    try:
        found = unsealed(text)
        if found.get("ack") is True:
            return ControlAnswer(str(found["id"]), int(found["ts_ns"]), found["ok"] is True, str(found["text"]))
        args = tuple(str(arg) for arg in found["args"])
        return ControlCommand(
            str(found["id"]), int(found["ts_ns"]), str(found["verb"]), args, str(found.get("from", ""))
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
