"""Let one Sentinel rule a run folder, and end what a dead predecessor left running.

The rule is an operating-system lock on ``state/sentinel.lock``: it falls with the process that holds it, so no stale
file can ever forbid a start. ``state/children.json`` names the children of the Sentinel that holds the lock; it is
replaced at every birth. A successor ends every process in it that is still the same one: same pid, same start time and,
where the system lets us read it, the same instance token in its environment. A pid alone proves nothing: it is reused.
The record ends in a checksum: with a flipped digit a living engine would be looked for under another's pid.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Final

import psutil

from pj.channels.files import HeldLock, Locked, lock_file, replace_atomic
from pj.channels.jsonl import seal, unsealed

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

START_TIME_TOLERANCE_S: Final = 1.0
ORPHAN_LIMIT_S: Final = 10.0
#: A status command that looks whether the lock is free holds it for an instant; that is no second Sentinel.
PROBE_S: Final = 0.3


class SecondSentinel(Exception):
    """Report that another Sentinel rules the run folder."""


class OrphanTrouble(Exception):
    """Report that it is not certain that every child of a dead Sentinel has ended."""


@dataclass(frozen=True, slots=True)
class Birth:
    """Identify one process beyond its pid; ``created_s`` is the system's start time, s since the UTC epoch."""

    name: str
    pid: int
    created_s: float
    instance: str


def take_rule(state_folder: Path, sentinel_pid: int | None) -> HeldLock:
    """Take the run folder's one Sentinel lock; raise SecondSentinel naming the holder's pid where it is known."""
    try:
        return lock_file(state_folder / "sentinel.lock", PROBE_S)
    except Locked:
        who = f" (pid {sentinel_pid})" if sentinel_pid else ""
        raise SecondSentinel(
            f"another Sentinel{who} already rules {state_folder.parent}; stop it with 'pj stop' or use another run_dir"
        ) from None


@dataclass(slots=True)
class BirthRecord:
    """Keep ``children.json`` equal to the children that live."""

    path: Path
    births: dict[str, Birth] = field(default_factory=dict)

    def update(self, living_now: Iterable[tuple[str, int, str]]) -> None:
        """Record (name, pid, instance) of every living child if that has changed; raise WriteFailed."""
        births: dict[str, Birth] = {}
        for name, pid, instance in living_now:
            known = self.births.get(name)
            if known is not None and (known.pid, known.instance) == (pid, instance):
                births[name] = known
                continue
            try:
                births[name] = Birth(name, pid, psutil.Process(pid).create_time(), instance)
            except psutil.Error:
                continue  # it has ended already
        if births != self.births:
            told = {"births": [asdict(birth) for birth in births.values()]}
            replace_atomic(self.path, seal(json.dumps(told).encode()))
            self.births = births


def read_births(path: Path) -> list[Birth]:
    """Return the recorded children; raise OrphanTrouble when the record cannot be read.

    A record older than this machine's start, as a power cut may tear it, names nobody who could still live.
    """
    try:
        rows = unsealed(path.read_bytes())["births"]
        return [Birth(str(r["name"]), int(r["pid"]), float(r["created_s"]), str(r["instance"])) for r in rows]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError) as error:
        if _is_of_an_earlier_boot(path):
            return []
        raise OrphanTrouble(
            f"{path} cannot be read ({error}); see that no PJ process of the last run lives, then remove the file"
        ) from error


def _is_of_an_earlier_boot(path: Path) -> bool:
    try:
        return path.stat().st_mtime < psutil.boot_time() - START_TIME_TOLERANCE_S
    except (OSError, psutil.Error):
        return False


def living(birth: Birth) -> psutil.Process | None:
    """Return the process of ``birth`` if it is still the same one and not just a zombie, else None."""
    try:
        process = psutil.Process(birth.pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        if abs(process.create_time() - birth.created_s) > START_TIME_TOLERANCE_S:
            return None
    except psutil.NoSuchProcess:
        return None
    try:
        token = process.environ().get("PJ_INSTANCE")
    except (psutil.Error, OSError):
        return process  # its environment is not ours to read: pid and start time have to do
    return process if token in {birth.instance, None} else None


def end_orphans(births: Iterable[Birth], limit_s: float = ORPHAN_LIMIT_S) -> list[Birth]:
    """Kill the processes of ``births`` that live, wait until they are gone, and return which they were.

    Raises OrphanTrouble when one is still there after ``limit_s``.
    """
    found = [(birth, process) for birth in births if (process := living(birth)) is not None]
    for _, process in found:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    deadline_s = time.monotonic() + limit_s
    for birth, _ in found:
        while living(birth) is not None:
            if time.monotonic() > deadline_s:
                raise OrphanTrouble(
                    f"{birth.name} (pid {birth.pid}) of the last run cannot be ended;"
                    " end it by hand or restart the machine, then start again"
                )
            time.sleep(0.01)
    return [birth for birth, _ in found]
