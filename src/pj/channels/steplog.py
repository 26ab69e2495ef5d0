"""Append the steps of an operator's act to a file, each on the disk before the next is taken."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pj.channels.appender import read_range
from pj.channels.files import WriteFailed, fsync_file, open_append_fd, write_all


class StepLog:
    """Write one JSON object per line; a tail torn by an earlier death becomes a line of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, row: Mapping[str, Any]) -> None:
        """Append one row and return when it is on the disk; raise WriteFailed."""
        data = (json.dumps(row, separators=(",", ":"), ensure_ascii=False, default=str) + "\n").encode()
        fd = open_append_fd(self.path)
        try:
            size = os.fstat(fd).st_size
            torn = size > 0 and read_range(self.path, size - 1, size) != b"\n"
            write_all(fd, b"\n" + data if torn else data)
            fsync_file(fd)
        except OSError as error:
            raise WriteFailed(self.path, error) from error
        finally:
            os.close(fd)
