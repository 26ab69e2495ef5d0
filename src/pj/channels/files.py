"""Hide what operating systems do differently to a file: replace, lock, share, sync.

Every other module of the daemon goes through here, so that a run folder behaves the same on Windows and Linux:

* *Replace*: on Windows ``os.replace`` fails with PermissionError while a reader holds the target open without
  delete sharing. Our readers open with it (``open_shared``); for foreign ones (virus scanner, editor) we retry.
* *Lock*: ``flock`` on POSIX, one byte far beyond the end of the file on Windows, where locks are mandatory and a lock
  on real bytes would shut readers out. The operating system drops both when the holder dies, however it dies.
* *Sync*: folders can be synced on POSIX only; NTFS journals its own metadata.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final, Self

REPLACE_RETRY_S: Final = 1.0
RETRY_STEP_S: Final = 0.01
READ_TRIES: Final = 3
READ_STEP_S: Final = 0.005
_WINDOWS_LOCK_OFFSET: Final = 0x7FFF_FFFF_FFFF_0000
_FILE_MODE: Final = 0o644


class WriteFailed(OSError):
    """Report data that could not be put on disk: the file, the reason, and what to do."""

    def __init__(self, path: Path, error: OSError) -> None:
        reason = error.strerror or str(error)
        super().__init__(f"cannot write {path}: {reason}; free the disk or mend the folder, then start again")
        self.errno = error.errno
        self.path = path


class Locked(RuntimeError):
    """Report a file that another writer holds."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} is held by another writer; stop that process first (pj status names it)")
        self.path = path


class HeldLock:
    """Hold the exclusive lock of one file until ``release`` or the death of the process."""

    __slots__ = ("_fd", "path")

    def __init__(self, path: Path, fd: int) -> None:
        self.path = path
        self._fd: int | None = fd

    @property
    def held(self) -> bool:
        """Return whether the lock is still held by this object."""
        return self._fd is not None

    def release(self) -> None:
        """Give the lock back; harmless when repeated."""
        if self._fd is not None:
            _unlock(self._fd)
            os.close(self._fd)
            self._fd = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.release()


if sys.platform == "win32":
    import ctypes
    import msvcrt
    from ctypes import wintypes

    _GENERIC_READ: Final = 0x8000_0000
    _SHARE_READ_WRITE_DELETE: Final = 0x7
    _OPEN_EXISTING: Final = 3
    _ATTRIBUTE_NORMAL: Final = 0x80
    _kernel32 = ctypes.WinDLL("kernel32", use_last_error=True)
    _kernel32.CreateFileW.restype = wintypes.HANDLE
    _kernel32.CreateFileW.argtypes = (
        wintypes.LPCWSTR,
        wintypes.DWORD,
        wintypes.DWORD,
        wintypes.LPVOID,
        wintypes.DWORD,
        wintypes.DWORD,
        wintypes.HANDLE,
    )

    def _try_lock(fd: int) -> bool:
        os.lseek(fd, _WINDOWS_LOCK_OFFSET, os.SEEK_SET)
        try:
            msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def _unlock(fd: int) -> None:
        os.lseek(fd, _WINDOWS_LOCK_OFFSET, os.SEEK_SET)
        msvcrt.locking(fd, msvcrt.LK_UNLCK, 1)

    def _open_read_fd(path: Path) -> int:
        handle = _kernel32.CreateFileW(
            str(path), _GENERIC_READ, _SHARE_READ_WRITE_DELETE, None, _OPEN_EXISTING, _ATTRIBUTE_NORMAL, None
        )
        if handle is None or handle == wintypes.HANDLE(-1).value:
            raise ctypes.WinError(ctypes.get_last_error())
        return msvcrt.open_osfhandle(handle, os.O_RDONLY | os.O_BINARY | os.O_NOINHERIT)

    def fsync_file(fd: int) -> None:
        """Return when the file's bytes are on the disk; raise OSError if they are not."""
        os.fsync(fd)

    def fsync_dir(_folder: Path) -> None:
        """Do nothing: Windows has no folder sync, NTFS journals names itself."""

else:
    import fcntl

    def _try_lock(fd: int) -> bool:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _unlock(fd: int) -> None:
        fcntl.flock(fd, fcntl.LOCK_UN)

    def _open_read_fd(path: Path) -> int:
        return os.open(path, os.O_RDONLY)

    def fsync_file(fd: int) -> None:
        """Return when the file's bytes are on the disk; raise OSError if they are not."""
        (os.fdatasync if sys.platform == "linux" else os.fsync)(fd)

    def fsync_dir(folder: Path) -> None:
        """Return when the folder's entries (new names, replaced names) are on the disk."""
        fd = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def open_read_fd(path: Path) -> int:
    """Return a read-only descriptor that hinders neither writer nor replacer; raise FileNotFoundError."""
    return _open_read_fd(path)


def open_shared(path: Path) -> BinaryIO:
    """Open ``path`` for reading without hindering writer, replacer or deleter; raise FileNotFoundError."""
    return os.fdopen(_open_read_fd(path), "rb")


def read_replaced(path: Path) -> bytes | None:
    """Return the whole of a file that ``replace_atomic`` writes; None while it is missing or cannot be read."""
    for _attempt in range(READ_TRIES):
        try:
            with open_shared(path) as file:
                return file.read()
        except FileNotFoundError:
            return None
        except PermissionError:  # Windows, in the instant of the replacement
            time.sleep(READ_STEP_S)
    return None


def open_append_fd(path: Path) -> int:
    """Return a descriptor whose writes go to the end of ``path``, made if missing; raise WriteFailed."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOINHERIT", 0)
    try:
        return os.open(path, flags, _FILE_MODE)
    except OSError as error:
        raise WriteFailed(path, error) from error


def write_all(fd: int, data: bytes) -> None:
    """Write every byte of ``data``; the first ``write`` takes all of it unless the disk is full (then OSError)."""
    done = os.write(fd, data)
    while done < len(data):
        done += os.write(fd, data[done:])


def lock_file(path: Path, wait_s: float = 0.0) -> HeldLock:
    """Take the exclusive lock of ``path`` (made if missing), waiting at most ``wait_s`` real seconds.

    Raises Locked when another writer, in this or any other process, still holds it.
    """
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOINHERIT", 0)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(path, flags, _FILE_MODE)
    except OSError as error:
        raise WriteFailed(path, error) from error
    deadline = time.monotonic() + wait_s
    while not _try_lock(fd):
        if time.monotonic() >= deadline:
            os.close(fd)
            raise Locked(path)
        time.sleep(RETRY_STEP_S)
    return HeldLock(path, fd)


def is_locked(path: Path) -> bool:
    """Return whether some writer holds the lock of ``path`` now (it may change the next instant)."""
    if not path.exists():
        return False
    try:
        lock_file(path).release()
    except Locked:
        return True
    return False


def replace_atomic(path: Path, data: bytes, *, durable: bool = False) -> None:
    """Put ``data`` in place of ``path`` so that a reader sees the old or the new whole, never a part.

    ``durable`` also survives a power cut (file and folder synced). Raises WriteFailed; the old content then stands.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            if durable:
                file.flush()
                fsync_file(file.fileno())
        for _attempt in _retries(REPLACE_RETRY_S):
            try:
                temporary.replace(path)
                break
            except PermissionError:
                continue  # a foreign reader holds it (Windows); the last attempt below raises
        else:
            temporary.replace(path)
        if durable:
            fsync_dir(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise WriteFailed(path, error) from error


def _retries(span_s: float) -> Iterator[None]:
    """Yield now and then every step until ``span_s`` real seconds are over."""
    deadline = time.monotonic() + span_s
    yield
    while time.monotonic() < deadline:
        time.sleep(RETRY_STEP_S)
        yield
