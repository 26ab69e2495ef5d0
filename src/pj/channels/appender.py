"""Append whole lines to a file that nobody else can write, and mend its torn tail at the start.

A writer that died in mid-write leaves bytes without a final newline. No reader has taken them (readers stop at the
last newline), so the next writer cuts them off and goes on; the bytes are kept in ``torn`` for the caller's record.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final, Self

from pj.channels.files import (
    HeldLock,
    WriteFailed,
    fsync_dir,
    fsync_file,
    lock_file,
    open_append_fd,
    open_read_fd,
    write_all,
)

_BLOCK: Final = 1 << 16
DEFAULT_LOCK_WAIT_S: Final = 1.0


class FormatMismatch(ValueError):
    """Report a file whose first line is not the header of its kind."""


class AppendFile:
    """Hold one append-only file of newline-ended lines open under its exclusive lock.

    ``torn`` = the bytes cut off at the start (usually empty), ``existed`` = the file held lines before.
    Raises Locked, FormatMismatch (the header is another one), WriteFailed.
    """

    def __init__(
        self,
        path: Path,
        header: bytes = b"",
        lock_wait_s: float = DEFAULT_LOCK_WAIT_S,
        check: Callable[[], None] | None = None,
    ) -> None:
        self.path = path
        self._lock: HeldLock = lock_file(path, lock_wait_s)
        self._fd = -1
        try:
            if check is not None:
                check()  # under the lock and before anything is cut; it may refuse the file
            self._fd = open_append_fd(path)
            size = os.fstat(self._fd).st_size
            self.size = _end_of_last_line(path, size)
            self.existed = self.size > len(header)
            self._check_header(header, size)
            self.torn = read_range(path, self.size, size)
            self._unclean = size > self.size
            self._mend()
            if self.size == 0:
                self.append(header)
                fsync_dir(path.parent)
        except BaseException:
            self.close()
            raise

    def append(self, data: bytes) -> None:
        """Write ``data`` (whole lines) with one write; on failure cut what got through and raise WriteFailed."""
        if not data:
            return
        if self._unclean:
            self._mend()
        self._unclean = True
        try:
            write_all(self._fd, data)
        except OSError as error:
            with contextlib.suppress(WriteFailed):  # still unclean then: the next append tries again
                self._mend()
            raise WriteFailed(self.path, error) from error
        self.size += len(data)
        self._unclean = False

    def sync(self) -> None:
        """Return when everything appended is on the disk; raise WriteFailed if it is not."""
        try:
            fsync_file(self._fd)
        except OSError as error:
            raise WriteFailed(self.path, error) from error

    def tail(self, max_bytes: int = _BLOCK) -> list[bytes]:
        """Return the last whole lines (without newline) that lie within ``max_bytes`` of the end, oldest first."""
        start = max(0, self.size - max_bytes)
        lines = read_range(self.path, start, self.size).split(b"\n")[:-1]
        return lines if start == 0 else lines[1:]

    def close(self) -> None:
        """Close the file and give its lock back; harmless when repeated."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def _mend(self) -> None:
        if not self._unclean:
            return
        try:
            os.ftruncate(self._fd, self.size)
        except OSError as error:
            raise WriteFailed(self.path, error) from error
        self._unclean = False

    def _check_header(self, header: bytes, size: int) -> None:
        if not header or size == 0:
            return
        found = read_range(self.path, 0, min(size, len(header)))
        if found != header[: len(found)]:
            line = found.split(b"\n")[0].decode("utf-8", "replace")
            wanted = header.decode().rstrip("\n")
            raise FormatMismatch(f"{self.path} begins with {line!r}, not with {wanted!r}; move the file away")


def read_range(path: Path, start: int, end: int) -> bytes:
    """Return the bytes [start, end) of ``path``, fewer if it is shorter."""
    fd = open_read_fd(path)
    try:
        os.lseek(fd, start, os.SEEK_SET)
        parts: list[bytes] = []
        left = end - start
        while left > 0 and (part := os.read(fd, left)):
            parts.append(part)
            left -= len(part)
        return b"".join(parts)
    finally:
        os.close(fd)


def _end_of_last_line(path: Path, size: int) -> int:
    """Return the offset just behind the last newline before ``size`` (0 when there is none)."""
    end = size
    while end > 0:
        start = max(0, end - _BLOCK)
        at = read_range(path, start, end).rfind(b"\n")
        if at >= 0:
            return start + at + 1
        end = start
    return 0
