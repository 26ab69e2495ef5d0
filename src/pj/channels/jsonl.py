"""Append JSON rows to a file that several writers share: one write per row, under the file's lock, on disk on return.

A tail torn by a writer that died is closed with a newline, so that it becomes one unreadable line instead of spoiling
the next row.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from pj.channels.appender import read_range
from pj.channels.files import WriteFailed, fsync_file, lock_file, open_append_fd, write_all

LOCK_WAIT_S: Final = 2.0
_SEAL: Final = b',"crc32":"'
_SEAL_BYTES: Final = len(_SEAL) + 10


def sealed(row: dict[str, Any]) -> bytes:
    """Return ``row`` as one line that ends in a CRC-32 over the rest, so that no flipped bit passes for an order."""
    return seal(json.dumps(row, separators=(",", ":"), ensure_ascii=False).encode()) + b"\n"


def seal(body: bytes) -> bytes:
    """Return a JSON object's text with a CRC-32 over it as its last field; ``unsealed`` reads it back."""
    return body[:-1] + _SEAL + f"{zlib.crc32(body):08x}".encode() + b'"}'


def unsealed(line: bytes) -> dict[str, Any]:
    """Return the row of one line (with or without its newline) that ``sealed`` made; raise ValueError."""
    text = line.removesuffix(b"\n")
    body, seal = text[:-_SEAL_BYTES] + b"}", text[-_SEAL_BYTES:]
    if seal != _SEAL + f"{zlib.crc32(body):08x}".encode() + b'"}':
        raise ValueError("its checksum does not fit")
    found: dict[str, Any] = json.loads(body)
    return found


def sealed_lines(data: bytes) -> list[bytes]:
    """Return the lines of a file of sealed rows; an unfinished last one is left out, as its writer will cut it.

    A whole last row whose newline alone is wrong was written and is damaged: it is returned, and ``unsealed`` refuses.
    """
    *lines, torn = data.split(b"\n")
    try:
        unsealed(torn[:-1])
    except ValueError:
        return lines
    return [*lines, torn]


def append_row(path: Path, row: dict[str, Any]) -> None:
    """Append ``row`` as one sealed line and return when it is on disk; raise Locked, WriteFailed."""
    append_rows(path, [row])


def append_rows(path: Path, rows: Iterable[dict[str, Any]], lock_wait_s: float = LOCK_WAIT_S) -> None:
    """Append rows as sealed lines in one write and return when they are on disk; raise Locked, WriteFailed.

    After a failure none, some or all of them may stand in the file, the last one perhaps torn.
    """
    data = b"".join(map(sealed, rows))
    with lock_file(path, lock_wait_s):
        fd = open_append_fd(path)
        try:
            size = os.fstat(fd).st_size
            torn = size > 0 and read_range(path, size - 1, size) != b"\n"
            write_all(fd, b"\n" + data if torn else data)
            fsync_file(fd)
        except OSError as error:
            raise WriteFailed(path, error) from error
        finally:
            os.close(fd)
