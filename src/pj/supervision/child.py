"""Hold what the Sentinel knows of one supervised process, and say it as a log line or a gauge."""

from __future__ import annotations

import signal
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pj.supervision.child_fsm import RESTING, State

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pj.supervision.silence import SilenceMeter
    from pj.supervision.spawn import Running


@dataclass(frozen=True, slots=True)
class Limits:
    """Hold the family's times, real seconds: silence, start, stop, and the period between two looks."""

    silent_s: float = 5.0
    start_grace_s: float = 15.0
    stop_s: float = 5.0
    look_s: float = 0.25
    silent_by_name: Mapping[str, float] = field(default_factory=dict)

    def allowed_silence_s(self, name: str, state: State) -> float:
        """Return how long child ``name`` may be silent: until its first beat the start grace, then silent_s."""
        usual = self.silent_by_name.get(name, self.silent_s)
        return max(usual, self.start_grace_s) if state is State.STARTING else usual


@dataclass(frozen=True, slots=True)
class Fault:
    """Remember why a child has to be replaced, which process it was, and when that was noticed."""

    reason: str
    old_pid: int | None
    noticed_s: float
    silent: bool = False


@dataclass(slots=True)
class Child:
    """Hold one supervised process and its history; times are real seconds of the family's clock.

    ``failed_at_s`` are the failures within the policy's window, ``looping`` says that they were too many.
    """

    name: str
    state: State = State.STOPPED
    wanted: bool = False
    running: Running | None = None
    meter: SilenceMeter | None = None
    instance: str = ""
    failures: int = 0
    failed_at_s: list[float] = field(default_factory=list)
    looping: bool = False
    restarts: int = 0
    last_code: int | None = None
    last_reason: str = ""
    last_restart_ms: float | None = None
    spawned_s: float = 0.0
    healthy_from_s: float | None = None
    due_s: float | None = None
    kill_s: float | None = None
    fault: Fault | None = None

    @property
    def pid(self) -> int | None:
        """Return the living process's id."""
        return self.running.pid if self.running else None

    @property
    def silent_s(self) -> float | None:
        """Return for how long no heartbeat was seen; None when no process lives."""
        return self.meter.silent_s if self.meter and self.running else None

    @property
    def phase(self) -> str:
        """Return the phase that the process last stated."""
        return self.meter.phase if self.meter and self.running else ""

    @property
    def healthy(self) -> bool:
        """Tell whether it is as it should be: its heart beats, or somebody wants it to rest or to start afresh."""
        if self.state is State.STOPPING:
            return self.fault is None or not self.fault.silent
        return self.state in {State.RUNNING, State.STOPPED, State.EXITED}

    def forget_failures(self) -> None:
        """Begin anew, as when an operator has put right what made it fail."""
        self.failures, self.looping = 0, False
        self.failed_at_s.clear()

    def gauge(self, now_s: float) -> dict[str, Any]:
        """Return what the Sentinel's stats file says about it at ``now_s``."""
        return {
            "state": self.state.value,
            "pid": self.pid,
            "instance": self.instance if self.running else "",
            "restarts": self.restarts,
            "failures": len(self.failed_at_s),
            "looping": self.looping,
            "next_try_s": None if self.due_s is None else round(max(0.0, self.due_s - now_s), 1),
            "last_reason": self.last_reason,
            "last_restart_ms": None if self.last_restart_ms is None else round(self.last_restart_ms, 1),
            "phase": self.phase,
            "beat_age_s": None if self.silent_s is None else round(self.silent_s, 2),
        }


def describe_exit(code: int, last_words: str = "") -> str:
    """Return an exit code as a reason: ``signal SIGKILL``, ``exit 1: its last line``."""
    if code < 0:
        try:
            return f"signal {signal.Signals(-code).name}"
        except ValueError:
            return f"signal {-code}"
    return f"exit {code}: {last_words}" if last_words else f"exit {code}"


def all_resting(children: Iterable[Child]) -> bool:
    """Tell whether no process of ``children`` lives or waits for its start."""
    return all(child.state in RESTING for child in children)
