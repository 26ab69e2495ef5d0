"""Append JSON rows to a file that several writers share: one write per row, under the file's lock, on disk on return.

A tail torn by a writer that died is closed with a newline, so that it becomes one unreadable line instead of spoiling
the next row.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Final

from pj.channels.appender import read_range
from pj.channels.files import WriteFailed, fsync_file, lock_file, open_append_fd, write_all

LOCK_WAIT_S: Final = 2.0


def append_row(path: Path, row: dict[str, Any]) -> None:
    """Append ``row`` as one line and return when it is on disk; raise Locked, WriteFailed."""
    data = (json.dumps(row, separators=(",", ":"), ensure_ascii=False) + "\n").encode()
    with lock_file(path, LOCK_WAIT_S):
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
