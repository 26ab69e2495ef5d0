"""Say what a check is, what it finds, and what it may look at.

A check is one row of data (``table.CHECKS``): id, title, function, remedy, time limit. It gets the ``Patient`` and
returns one ``Finding``: a status, one sentence (what, value) and, where something is wrong, what to do.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

if TYPE_CHECKING:
    from pj.channels.rundir import RunDir
    from pj.config import Settings
    from pj.ibkr.handshake import Greeting, Visit

T = TypeVar("T")


class Status(StrEnum):
    """Name how a check ended; only FAIL makes the exit code 1."""

    OK = "OK"
    INFO = "INFO"
    WARN = "WARN"
    FAIL = "FAIL"
    UNKNOWN = "UNKNOWN"
    SKIPPED = "SKIPPED"


NEEDS_REMEDY: Final = frozenset({Status.WARN, Status.FAIL})


@dataclass(frozen=True, slots=True)
class Finding:
    """Carry what one check found; ``says`` is one sentence, ``facts`` its numbers for the JSON report."""

    status: Status
    says: str
    remedy: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


def ok(says: str, **facts: Any) -> Finding:
    """Return that all is well."""
    return Finding(Status.OK, says, facts=facts)


def info(says: str, **facts: Any) -> Finding:
    """Return a fact that is neither good nor bad."""
    return Finding(Status.INFO, says, facts=facts)


def warn(says: str, remedy: str, **facts: Any) -> Finding:
    """Return what should be mended, though a start is possible."""
    return Finding(Status.WARN, says, remedy, facts)


def fail(says: str, remedy: str = "", **facts: Any) -> Finding:
    """Return what must be mended; without a remedy of its own the check's remedy is shown."""
    return Finding(Status.FAIL, says, remedy, facts)


def unknown(says: str, remedy: str = "", **facts: Any) -> Finding:
    """Return that it could not be found out."""
    return Finding(Status.UNKNOWN, says, remedy, facts)


def skipped(says: str) -> Finding:
    """Return that there is nothing to check here, and why."""
    return Finding(Status.SKIPPED, says)


class Once(Generic[T]):
    """Run a probe that several checks need only once; the others wait for it and get its result or its error."""

    def __init__(self, probe: Callable[[], T]) -> None:
        self._probe = probe
        self._lock = threading.Lock()
        self._result: tuple[T] | None = None
        self._error: Exception | None = None

    def get(self) -> T:
        """Return the probe's result; raise what it raised."""
        with self._lock:
            if self._result is None and self._error is None:
                try:
                    self._result = (self._probe(),)
                except Exception as error:  # noqa: BLE001 - handed to every check that asks
                    self._error = error
        if self._result is None:
            raise self._error or RuntimeError("the probe gave no result")
        return self._result[0]


@dataclass(slots=True)
class Patient:
    """Hold what the checks look at; ``settings`` is None when they cannot be read (``trouble`` says why)."""

    env: Mapping[str, str]
    settings: Settings | None = None
    trouble: str = ""
    greeting: Once[Greeting] | None = None
    visit: Once[Visit] | None = None

    @property
    def known(self) -> Settings:
        """Return the settings; only checks that need them ask."""
        if self.settings is None:
            raise RuntimeError("a check that needs settings was run without them")
        return self.settings

    @property
    def folder(self) -> RunDir:
        """Return the paths of the run folder."""
        from pj.channels.rundir import RunDir

        return RunDir(self.known.run_dir, self.known.instrument)


@dataclass(frozen=True, slots=True)
class Check:
    """Describe one check; ``overdue`` is its status when it has no answer within ``limit_s`` real seconds."""

    id: str
    title: str
    run: Callable[[Patient], Finding]
    remedy: str
    limit_s: float = 8.0
    needs_settings: bool = True
    overdue: Status = Status.FAIL


@dataclass(frozen=True, slots=True)
class Result:
    """Carry one check's finding and how long it took, in real milliseconds."""

    check: Check
    finding: Finding
    took_ms: int
