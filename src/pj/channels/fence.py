"""Let one instance of a process act on the outside world, and every older one never again.

``state/<name>.fence`` names the instance that may act and its epoch. Whoever starts a process grants it the fence
first; from the moment ``grant`` returns, every earlier holder is out, also one that was stopped, swapped out or
forgotten and comes back an hour later. Locks already keep two engines apart; the fence holds where a lock would not (a
restored virtual machine, a network share, a run folder copied while in use) and is asked before every single order.

Reading the fence and then sending would leave a gap in which a stopped process sleeps. So the sender holds the same
lock that a grant needs, from the look at the fence until the answer (``Fence.sending``): a grant is made before or
after a sending, never in the middle of one, and refuses (``GrantFailed``) while a living older process is stopped in
one. The Sentinel ends the old process before it grants, and the lock falls with a process, so it never waits.

Epochs only rise. ``state/<name>.epochs`` has one line for each grant, synced before the fence itself is replaced. A
fence that is missing or cannot be read is valid for nobody, and the next grant takes its epoch from that record; where
neither can be read there is no safe number, and the grant is refused. A holder must match epoch and instance, so that
even a folder emptied by hand (epochs begin at 1 again) brings no old holder back.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from pj.channels.appender import AppendFile
from pj.channels.files import Locked, WriteFailed, lock_file, read_replaced, replace_atomic
from pj.channels.rundir import RunDir

GRANT_WAIT_S: Final = 1.0
SEND_WAIT_S: Final = 1.0
_TOKEN: Final = re.compile(r"[A-Za-z0-9_.:-]{1,100}")


class GrantFailed(OSError):
    """Report that no fence could be granted, so that the process must not be started; the older fence stands."""


class FenceLost(RuntimeError):
    """Report that this instance does not hold the fence: it may not act and has to end."""


@dataclass(frozen=True, slots=True)
class Granted:
    """Hold what a fence file says; ``granted_ns`` is real time, UTC ns."""

    epoch: int
    instance: str
    pid_of_granter: int
    granted_ns: int


def fence_path(folder: RunDir, name: str) -> Path:
    """Return the fence file of process ``name``."""
    return folder.state_folder / f"{name}.fence"


def grant(folder: RunDir, name: str, instance: str) -> int:
    """Give ``instance`` the fence of process ``name``, take it from all others, and return its epoch.

    On disk (synced) when it returns. Raises GrantFailed, an OSError, when another grant or a sending of a living older
    process holds the lock, when the disk refuses, or when the last epoch cannot be known; ValueError for a token that
    is empty or holds anything but letters, digits and ``_.:-``.
    """
    if _TOKEN.fullmatch(instance) is None:
        raise ValueError(f"instance {instance!r} is no token; use 1 to 100 letters, digits or _.:-")
    path = fence_path(folder, name)
    try:
        with AppendFile(_record(path), lock_wait_s=GRANT_WAIT_S) as record:
            mine = Granted(_last_epoch(path, record) + 1, instance, os.getpid(), time.time_ns())
            record.append(f"{mine.epoch} {mine.granted_ns} {mine.pid_of_granter} {instance}\n".encode())
            record.sync()
            replace_atomic(path, json.dumps(asdict(mine), separators=(",", ":")).encode(), durable=True)
    except Locked as error:
        raise GrantFailed(
            f"the fence of the {name} cannot be granted: an older {name} is in the middle of sending ({error.path} is"
            " locked); end that process first ('pj status' names it)"
        ) from error
    except WriteFailed as error:
        raise GrantFailed(f"the fence of the {name} cannot be granted: {error}") from error
    return mine.epoch


def read_fence(folder: RunDir, name: str) -> Granted | None:
    """Return who holds the fence of process ``name``; None while it is missing or cannot be read."""
    return _read(fence_path(folder, name))


class Fence:
    """Hold the fence that was granted to ``instance``; usable from any thread.

    Raises FenceLost at once when the file names another instance or nobody.
    """

    def __init__(self, folder: RunDir, name: str, instance: str) -> None:
        self.name, self.instance = name, instance
        self._path = fence_path(folder, name)
        found = _read(self._path)
        if found is None or found.instance != instance:
            raise FenceLost(self._why(found))
        self.epoch = found.epoch

    def valid(self) -> bool:
        """Return whether this instance may act now; the file is read each time (mtimes are too coarse to trust)."""
        return self._is_mine(_read(self._path))

    def check(self) -> None:
        """Raise FenceLost, saying who holds the fence, unless this instance does."""
        found = _read(self._path)
        if not self._is_mine(found):
            raise FenceLost(self._why(found))

    @contextlib.contextmanager
    def sending(self) -> Iterator[bool]:
        """Yield whether one thing may be sent now; until the block ends no one else can be granted the fence.

        False also when the lock cannot be had within SEND_WAIT_S: somebody is granting.
        """
        try:
            lock = lock_file(_record(self._path), SEND_WAIT_S)
        except (Locked, WriteFailed):
            yield False
            return
        with lock:
            yield self.valid()

    def _is_mine(self, found: Granted | None) -> bool:
        return found is not None and (found.epoch, found.instance) == (self.epoch, self.instance)

    def _why(self, found: Granted | None) -> str:
        holder = f"instance {found.instance} holds it (epoch {found.epoch})" if found else "nobody holds it"
        return (
            f"instance {self.instance} of the {self.name} has no valid fence: {holder}, see {self._path}; "
            "this process may send nothing and ends ('pj status' shows the one that runs)"
        )


def _record(path: Path) -> Path:
    return path.with_suffix(".epochs")


def _last_epoch(path: Path, record: AppendFile) -> int:
    """Return the highest epoch that was ever granted, 0 in a new run folder; raise GrantFailed when it is unknown."""
    lines = record.tail()
    epochs = [int(word) for line in lines if (word := line.split(b" ")[0]).isdigit()]
    if record.torn:  # the line that was cut: its epoch was perhaps granted, so it is not given again
        word, whole, _ = record.torn.partition(b" ")
        epochs.append(int(word) if whole and word.isdigit() else max(epochs, default=0) + 1)
    found = _read(path)
    if found is not None:
        epochs.append(found.epoch)
    if not epochs and (lines or path.exists()):
        raise GrantFailed(
            f"neither {path} nor {record.path} can be read, so the last epoch is unknown; see that no {path.stem} of"
            " this run folder lives, then remove both files"
        )
    return max(epochs, default=0)


def _read(path: Path) -> Granted | None:
    data = read_replaced(path)
    return None if data is None else _parse(data)


def _parse(data: bytes) -> Granted | None:
    try:
        found = json.loads(data)
        granted = Granted(found["epoch"], found["instance"], found["pid_of_granter"], found["granted_ns"])
    except (ValueError, KeyError, TypeError):
        return None
    numbers = (granted.epoch, granted.pid_of_granter, granted.granted_ns)
    whole = all(type(number) is int for number in numbers) and granted.epoch > 0
    return granted if whole and isinstance(granted.instance, str) else None
