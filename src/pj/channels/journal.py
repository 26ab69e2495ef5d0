"""Keep the journal: one JSON line per decision, each carrying the hash of the one before.

Line: ``{"data","hash","prev","seq","ts_ns","type"}`` as canonical JSON; ``hash`` = sha256 over the canonical JSON of
the line without ``hash``; ``prev`` of a file's first line is the last hash of the latest earlier day's journal, or 64
zeros.
A journal line is on disk before the act that it announces.

A write torn by death leaves a last line without its newline that is a beginning of a record: it was never acknowledged
and is cut. Any other damage raises JournalDamaged naming the line, and nobody may trade on such a journal.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pj.channels.appender import DEFAULT_LOCK_WAIT_S, AppendFile
from pj.channels.files import open_shared
from pj.channels.rundir import DayPaths, RunDir

GENESIS: Final = "0" * 64
_FIELDS: Final = frozenset({"data", "hash", "prev", "seq", "ts_ns", "type"})
_DECODER: Final = json.JSONDecoder()


class JournalDamaged(ValueError):
    """Report the first line of a journal that is not what was written."""

    def __init__(self, path: Path, line_no: int, why: str) -> None:
        super().__init__(
            f"{path}, line {line_no}: {why}; the journal was changed or damaged: do not trade on it, "
            "restore the file or move the run folder away"
        )
        self.path = path
        self.line_no = line_no
        self.why = why


@dataclass(frozen=True, slots=True)
class JournalLine:
    """Hold one verified line."""

    seq: int
    ts_ns: int
    type: str
    data: Mapping[str, Any]
    prev: str
    hash: str


@dataclass(frozen=True, slots=True)
class Verified:
    """Say what a verified journal holds: head hash (of its last line, or ``prev`` of an empty one) and line count.

    ``torn`` = bytes of an unfinished last line that a writer's death left (its next start cuts them).
    """

    head: str
    count: int
    torn: bytes


class Journal:
    """Append to one day's journal under its lock; the whole file is verified on opening.

    ``lines`` = what it held on opening, ``torn`` = the unfinished record cut off, ``head``, ``count`` = the chain now.
    Raises JournalDamaged, Locked, WriteFailed.
    """

    def __init__(self, path: Path, previous_head: str = GENESIS, lock_wait_s: float = DEFAULT_LOCK_WAIT_S) -> None:
        self.path = path
        self.lines: list[JournalLine] = []
        self.head, self.count = previous_head, 0

        def check() -> None:
            self.lines, found = _read(path, previous_head)
            self.head, self.count = found.head, found.count

        self._file = AppendFile(path, lock_wait_s=lock_wait_s, check=check)
        self.torn = self._file.torn

    def append(self, kind: str, data: Mapping[str, Any], ts_ns: int, *, fsync: bool = True) -> JournalLine:
        """Write one line (and with ``fsync`` put it on the disk itself), then return it.

        Raises ValueError for data that JSON cannot hold exactly, WriteFailed when the line is not safely written.
        """
        body: dict[str, Any] = {
            "seq": self.count + 1,
            "ts_ns": ts_ns,
            "type": kind,
            "data": dict(data),
            "prev": self.head,
        }
        try:
            digest = _digest(body)
            line = canonical(body | {"hash": digest}) + "\n"
        except (TypeError, ValueError) as error:
            raise ValueError(f"journal data of {kind} is not JSON: {error}") from error
        self._file.append(line.encode())
        self.count += 1
        self.head = digest
        if fsync:
            self._file.sync()
        return JournalLine(self.count, ts_ns, kind, body["data"], body["prev"], digest)

    def sync(self) -> None:
        """Return when every line is on the disk itself."""
        self._file.sync()

    def close(self) -> None:
        """Give the file back; harmless when repeated."""
        self._file.close()


def canonical(value: object) -> str:
    """Return the one JSON text of ``value``: sorted keys, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def open_journal(run_dir: RunDir, day: DayPaths, lock_wait_s: float = DEFAULT_LOCK_WAIT_S) -> Journal:
    """Open the journal of ``day``, chained to the latest earlier day that has one; raise JournalDamaged for either."""
    return Journal(day.journal, head_before(run_dir, day), lock_wait_s)


def head_before(run_dir: RunDir, day: DayPaths) -> str:
    """Return the last hash of the latest earlier non-empty journal, GENESIS if there is none."""
    for earlier in reversed(run_dir.days()):
        path = run_dir.day(earlier).journal
        if earlier < day.trade_date and path.exists():
            _lines, found = _read(path, None)
            if found.count:
                return found.head
    return GENESIS


def verify(path: Path, previous_head: str | None = None) -> Verified:
    """Check every line of one journal; ``previous_head`` None accepts any ``prev`` in line 1. Raises JournalDamaged."""
    return _read(path, previous_head)[1]


def verify_run(run_dir: RunDir) -> Verified:
    """Check the journals of all days as one chain; the count is over all. Raises JournalDamaged for the first break."""
    head, count, torn = GENESIS, 0, b""
    for day in run_dir.days():
        path = run_dir.day(day).journal
        if path.exists():
            found = verify(path, head)
            head, count, torn = found.head, count + found.count, found.torn
    return Verified(head, count, torn)


def read_journal(path: Path, previous_head: str | None = None) -> list[JournalLine]:
    """Return every verified line; empty when the file is missing. Raises JournalDamaged."""
    return _read(path, previous_head)[0]


def read_verified(path: Path, previous_head: str | None = None) -> tuple[list[JournalLine], Verified]:
    """Return every line and what ``verify`` returns. Raises JournalDamaged."""
    return _read(path, previous_head)


class JournalParser:
    """Parse whole lines of a journal being followed, checking the chain from the first line seen."""

    def __init__(self, path: Path, previous_head: str | None = None, line_no: int = 0) -> None:
        self._path = path
        self._head = previous_head
        self._line_no = line_no
        self._seq: int | None = 0 if line_no == 0 else None

    def feed(self, lines: bytes) -> list[JournalLine]:
        """Return the lines in order; raise JournalDamaged."""
        return list(self._each(lines))

    def _each(self, lines: bytes) -> Iterator[JournalLine]:
        for text in lines.split(b"\n")[:-1]:
            self._line_no += 1
            line = _check(self._path, self._line_no, text)
            if self._head is not None and line.prev != self._head:
                raise JournalDamaged(self._path, self._line_no, f"prev is {line.prev[:12]}…, not {self._head[:12]}…")
            if self._seq is not None and line.seq != self._seq + 1:
                raise JournalDamaged(self._path, self._line_no, f"seq is {line.seq}, not {self._seq + 1}")
            self._head, self._seq = line.hash, line.seq
            yield line


def _read(path: Path, previous_head: str | None) -> tuple[list[JournalLine], Verified]:
    try:
        with open_shared(path) as file:
            data = file.read()
    except FileNotFoundError:
        data = b""
    end = data.rfind(b"\n") + 1
    lines = JournalParser(path, previous_head).feed(data[:end])
    torn = data[end:]
    if torn and not _is_beginning(torn):
        raise JournalDamaged(path, len(lines) + 1, "the last line has no newline and is no unfinished record")
    head = lines[-1].hash if lines else (previous_head or GENESIS)
    return lines, Verified(head, len(lines), torn)


def _is_beginning(torn: bytes) -> bool:
    """Return whether bytes without newline can be a record whose writing was cut short, the newline at least missing.

    A whole record followed by anything is a damaged newline; zeros are blocks that a power cut left unwritten.
    """
    written = torn.rstrip(b"\0")
    if not b'{"data":{'.startswith(written[:9]):
        return False
    try:
        _value, end = _DECODER.raw_decode(written.decode("utf-8", "replace"))
    except ValueError:
        return True
    return end == len(written.decode("utf-8", "replace"))


def _check(path: Path, line_no: int, text: bytes) -> JournalLine:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise JournalDamaged(path, line_no, "it is not JSON") from error
    if not isinstance(found, dict) or set(found) != _FIELDS:
        raise JournalDamaged(path, line_no, f"its fields are not {', '.join(sorted(_FIELDS))}")
    digest = found.pop("hash")
    try:
        right = _digest(found)
    except ValueError as error:
        raise JournalDamaged(path, line_no, f"it holds what was never written: {error}") from error
    if digest != right or canonical(found | {"hash": digest}).encode() != text:
        raise JournalDamaged(path, line_no, "its hash does not match its content")
    return JournalLine(found["seq"], found["ts_ns"], found["type"], found["data"], found["prev"], digest)


def _digest(body: Mapping[str, object]) -> str:
    return hashlib.sha256(canonical(body).encode()).hexdigest()
