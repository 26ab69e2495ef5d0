"""Be a disk in memory: files, locks, descriptors, and what of it outlives a crash or a power cut.

``SimPath`` and ``SimOs`` stand where the product's modules use ``pathlib`` and ``os``, so that its own writers,
tailers, locks and fences run unchanged. Each process of the simulation is an ``owner``: when it dies its descriptors
and locks are gone, and whatever it still tries raises ``Crash`` again, so that no ``finally`` of a dead process acts.

What is modelled of durability: written bytes survive the death of a process; a power cut keeps of every file what was
synced and, of the rest, a part that the seed draws. A name is durable once its file or folder was synced.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import random
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Self


class Crash(BaseException):
    """End a simulated process as SIGKILL would: nothing of the product may catch it."""


@dataclass(slots=True)
class Node:
    """Hold one file: its bytes, how many of them a power cut leaves, and who holds its lock."""

    number: int
    data: bytearray = field(default_factory=bytearray)
    durable: int = 0
    lock: int = 0


@dataclass(slots=True)
class Handle:
    """Hold one open descriptor."""

    node: Node
    path: str
    owner: str
    at: int = 0


class SimDisk:
    """Hold all files by path; ``before`` is called with (owner, operation, path) and may raise."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.names: dict[str, Node] = {}
        self.durable_names: dict[str, Node] = {}
        self.folders: set[str] = {"/sim"}
        self.handles: dict[int, Handle] = {}
        self.owner = "world"
        self.dead: set[str] = set()
        self.full = False
        self.before: Callable[[str, str, str], None] = lambda _owner, _what, _path: None
        self.after: Callable[[str, str, str], None] = lambda _owner, _what, _path: None
        self.torn_write: Callable[[str, str, bytes], int | None] = lambda _owner, _path, _data: None
        self._next = 1000

    @contextlib.contextmanager
    def acting(self, owner: str) -> Iterator[None]:
        """Do what follows as ``owner``."""
        previous, self.owner = self.owner, owner
        try:
            yield
        finally:
            self.owner = previous

    def root(self) -> SimPath:
        """Return the run folder."""
        return SimPath(self, "/sim/run")

    def alive(self) -> None:
        """Raise Crash when the process that acts is dead."""
        if self.owner in self.dead:
            raise Crash(self.owner)

    def act(self, what: str, path: str) -> None:
        """Announce an operation that changes the disk; the seed may end the process here."""
        self.alive()
        self.before(self.owner, what, path)

    def done(self, what: str, path: str) -> None:
        """Announce that the operation is done; the seed may end the process here too."""
        self.after(self.owner, what, path)

    def node(self, path: str) -> Node:
        """Return the file; raise FileNotFoundError."""
        found = self.names.get(path)
        if found is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        return found

    def make(self, path: str) -> Node:
        """Return the file, made if missing; raise OSError when the disk is full or the folder is not there."""
        found = self.names.get(path)
        if found is not None:
            return found
        if path.rpartition("/")[0] not in self.folders:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        self._next += 1
        node = self.names[path] = Node(self._next)
        return node

    def open(self, path: str, *, create: bool) -> int:
        """Return a new descriptor of the owner."""
        self.alive()
        node = self.make(path) if create else self.node(path)
        self._next += 1
        self.handles[self._next] = Handle(node, path, self.owner)
        return self._next

    def write(self, fd: int, data: bytes) -> int:
        """Append ``data``; a full disk takes a part and raises, a planned crash may leave a part."""
        handle = self.handles[fd]
        self.act("write", handle.path)
        cut = self.torn_write(self.owner, handle.path, data)
        if cut is not None:
            handle.node.data += data[:cut]
            self.dead.add(self.owner)
            raise Crash(self.owner)
        if self.full:
            handle.node.data += data[: self.rng.randint(0, len(data) - 1)]
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), handle.path)
        handle.node.data += data
        self.done("write", handle.path)
        return len(data)

    def sync(self, fd: int) -> None:
        """Make the file durable."""
        handle = self.handles[fd]
        self.act("fsync", handle.path)
        handle.node.durable = len(handle.node.data)
        if handle.path in self.names:
            self.durable_names[handle.path] = handle.node
        self.done("fsync", handle.path)

    def sync_folder(self, folder: str) -> None:
        """Make the names in ``folder`` durable."""
        self.act("fsync-dir", folder)
        for path, node in self.names.items():
            if path.rpartition("/")[0] == folder:
                self.durable_names[path] = node

    def replace(self, source: str, target: str) -> None:
        """Put one file in another's place, at once."""
        self.act("replace", target)
        self.names[target] = self.names.pop(source)
        self.done("replace", target)

    def put(self, path: str, data: bytes) -> None:
        """Put a whole durable file there, as the world's own act."""
        folder = path.rpartition("/")[0]
        self.folders.add(folder)
        node = self.make(path)
        node.data = bytearray(data)
        node.durable = len(data)
        self.durable_names[path] = node

    def remove(self, path: str) -> None:
        """Remove a file; raise FileNotFoundError."""
        self.node(path)
        del self.names[path]
        self.durable_names.pop(path, None)

    def durable_bytes(self, path: str) -> bytes:
        """Return what a power cut at this moment would leave of a file."""
        node = self.durable_names.get(path)
        return b"" if node is None else bytes(node.data[: node.durable])

    def kill(self, owner: str) -> None:
        """Let the owner's process be dead: descriptors and locks are gone, written bytes stay."""
        self.dead.add(owner)
        for fd in [fd for fd, handle in self.handles.items() if handle.owner == owner]:
            self.close(fd)

    def power_cut(self) -> None:
        """Lose, of every file, what was not synced: all of it, or all but a part."""
        for path in sorted(self.names):
            node = self.names[path]
            if path not in self.durable_names and self.rng.random() < 0.5:
                del self.names[path]
                continue
            keep = self.rng.randint(node.durable, len(node.data)) if self.rng.random() < 0.7 else node.durable
            del node.data[keep:]
            node.durable = len(node.data)
        for path, node in self.durable_names.items():
            if self.names.get(path) is not node and self.rng.random() < 0.5:
                self.names[path] = node  # a replacement that was not synced
        self.durable_names = dict(self.names)

    def close(self, fd: int) -> None:
        """Close a descriptor and drop the lock it holds."""
        handle = self.handles.pop(fd, None)
        if handle is not None and handle.node.lock == fd:
            handle.node.lock = 0


class SimPath:
    """Name a file of a SimDisk, as far as the product asks of a path."""

    __slots__ = ("disk", "text")

    def __init__(self, disk: SimDisk, text: str) -> None:
        self.disk, self.text = disk, text

    def __truediv__(self, other: object) -> SimPath:
        return SimPath(self.disk, f"{self.text}/{other}")

    def __str__(self) -> str:
        return self.text

    __repr__ = __str__
    __fspath__ = __str__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SimPath) and other.text == self.text

    def __hash__(self) -> int:
        return hash(self.text)

    @property
    def name(self) -> str:
        return self.text.rpartition("/")[2]

    @property
    def stem(self) -> str:
        return self.name.rpartition(".")[0] or self.name

    @property
    def suffix(self) -> str:
        return self.name[len(self.stem) :]

    @property
    def parent(self) -> SimPath:
        return SimPath(self.disk, self.text.rpartition("/")[0])

    def with_name(self, name: str) -> SimPath:
        return self.parent / name

    def with_suffix(self, suffix: str) -> SimPath:
        return self.parent / (self.stem + suffix)

    def exists(self) -> bool:
        return self.text in self.disk.names or self.text in self.disk.folders

    def is_file(self) -> bool:
        return self.text in self.disk.names

    def is_dir(self) -> bool:
        return self.text in self.disk.folders

    def mkdir(self, mode: int = 0o777, parents: bool = False, exist_ok: bool = False) -> None:
        self.disk.alive()
        self.disk.folders.add(self.text)

    def iterdir(self) -> Iterator[SimPath]:
        head = self.text + "/"
        inside = {path[len(head) :].partition("/")[0] for path in (*self.disk.names, *self.disk.folders)
                  if path.startswith(head)}  # fmt: skip
        return iter([self / name for name in sorted(inside)])

    def stat(self) -> os.stat_result:
        if self.text in self.disk.folders:
            return os.stat_result((stat.S_IFDIR, 1, 0, 0, 0, 0, 0, 0, 0, 0))
        node = self.disk.node(self.text)
        return os.stat_result((stat.S_IFREG, node.number, 0, 1, 0, 0, len(node.data), 0, 0, 0))

    def open(self, mode: str = "rb", *_args: Any, **_more: Any) -> io.BytesIO | SimFile:
        if "w" not in mode:
            return io.BytesIO(bytes(self.disk.node(self.text).data))
        self.disk.names.pop(self.text, None)
        return SimFile(self.disk, self.disk.open(self.text, create=True))

    def read_bytes(self) -> bytes:
        return bytes(self.disk.node(self.text).data)

    def read_text(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return self.read_bytes().decode(encoding, errors)

    def replace(self, target: SimPath) -> SimPath:
        self.disk.replace(self.text, target.text)
        return target

    def unlink(self, missing_ok: bool = False) -> None:
        self.disk.alive()
        if not (missing_ok and self.text not in self.disk.names):
            self.disk.remove(self.text)


class SimFile:
    """Hold a file opened for writing, as ``Path.open("wb")`` does."""

    def __init__(self, disk: SimDisk, fd: int) -> None:
        self._disk, self._fd = disk, fd

    def write(self, data: bytes) -> int:
        return self._disk.write(self._fd, data)

    def flush(self) -> None:
        return None

    def fileno(self) -> int:
        return self._fd

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._disk.close(self._fd)


class SimOs:
    """Answer for ``os`` in the product's modules; what is not of files is the real module's."""

    def __init__(self, disk: SimDisk, env: dict[str, str]) -> None:
        self._disk = disk
        self.environ = env

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def getpid(self) -> int:
        return 4711

    def open(self, path: object, flags: int, _mode: int = 0o644) -> int:
        return self._disk.open(str(path), create=bool(flags & os.O_CREAT))

    def close(self, fd: int) -> None:
        self._disk.alive()
        self._disk.close(fd)

    def write(self, fd: int, data: bytes) -> int:
        return self._disk.write(fd, data)

    def read(self, fd: int, size: int) -> bytes:
        handle = self._disk.handles[fd]
        data = bytes(handle.node.data[handle.at : handle.at + size])
        handle.at += len(data)
        return data

    def lseek(self, fd: int, at: int, _how: int) -> int:
        self._disk.handles[fd].at = at
        return at

    def fstat(self, fd: int) -> os.stat_result:
        node = self._disk.handles[fd].node
        return os.stat_result((stat.S_IFREG, node.number, 0, 1, 0, 0, len(node.data), 0, 0, 0))

    def ftruncate(self, fd: int, size: int) -> None:
        handle = self._disk.handles[fd]
        self._disk.act("truncate", handle.path)
        del handle.node.data[size:]
        handle.node.durable = min(handle.node.durable, size)

    def fsync(self, fd: int) -> None:
        self._disk.sync(fd)

    fdatasync = fsync

    def lstat(self, path: object) -> os.stat_result:
        self._disk.alive()
        return SimPath(self._disk, str(path)).stat()

    def fdopen(self, fd: int, _mode: str = "rb") -> io.BytesIO:
        data = bytes(self._disk.handles[fd].node.data)
        self._disk.close(fd)
        return io.BytesIO(data)

    def try_lock(self, fd: int) -> bool:
        """Answer for ``files._try_lock``."""
        self._disk.alive()
        node = self._disk.handles[fd].node
        if node.lock and node.lock in self._disk.handles:
            return False
        node.lock = fd
        return True

    def unlock(self, fd: int) -> None:
        """Answer for ``files._unlock``."""
        self._disk.alive()
        handle = self._disk.handles.get(fd)
        if handle is not None and handle.node.lock == fd:
            handle.node.lock = 0
