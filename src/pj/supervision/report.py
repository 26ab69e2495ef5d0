"""Say how a run's processes are: what the operating system, the Sentinel and they themselves say, put together.

A stats file outlives its process, so a fresh heartbeat alone proves nothing: a process lives when its pid does and,
where the system lets us read it, carries the instance token of that heartbeat. A living process that has not beaten is
``late`` and, beyond the limit that the Sentinel allows, ``silent``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import psutil

from pj.channels.alerts import open_alerts
from pj.channels.files import is_locked
from pj.channels.stats import Stats, read_stats
from pj.channels.switches import halts
from pj.supervision.child_fsm import State

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pj.channels.rundir import RunDir

SENTINEL: Final = "sentinel"
#: Processes beat once a second; half a second of grace covers the write and the look.
FRESH_S: Final = 1.5
LAST_ALERTS: Final = 5
BEATING: Final = frozenset({"beating", "late"})
#: What the Sentinel says of a child that has no process, or none that has beaten yet.
ASIDE: Final[Mapping[str, str]] = {
    State.STARTING: "starting",
    State.BACKOFF: "backoff",
    State.STOPPED: "stopped",
    State.EXITED: "exited",
    State.FATAL: "fatal",
}


@dataclass(frozen=True, slots=True)
class Rule:
    """Say which processes a healthy run has, and after how many seconds a missing heartbeat is silence."""

    expected: Sequence[str]
    silent_s: float


def is_ruled(folder: RunDir) -> bool:
    """Tell whether a Sentinel rules this run folder (it holds the lock as long as it lives)."""
    return is_locked(folder.state_folder / "sentinel.lock")


def system_report(folder: RunDir, names: Sequence[str], rule: Rule) -> dict[str, Any]:
    """Return the state of the whole run: ``state``, ``healthy``, why entries are halted, alerts, one row a process.

    ``alerts`` are the newest that nobody has marked as seen, ``alerts_open`` counts all of them, ``alerts_upto`` is for
    ``mark_seen`` (bytes of the file that were read).

    ``state`` is stopped, starting, healthy, unhealthy, halted or stopping; processes run by hand without a Sentinel
    leave it ``stopped``, and their rows say that they beat. ``names`` are the children in the order to show them.
    """
    ruled = is_ruled(folder)
    chief = read_stats(folder.state(SENTINEL))
    told: Mapping[str, Any] = {}
    rows = {SENTINEL: process_row(chief, None, rule.silent_s)}
    if ruled and chief is not None and rows[SENTINEL]["state"] in BEATING:
        told = chief.gauge("children", {})
    for name in names:
        rows[name] = process_row(read_stats(folder.state(name)), told.get(name), rule.silent_s)
    reasons = halts(folder) if folder.state_folder.is_dir() else ()
    fine = ruled and all(rows[name]["state"] in BEATING for name in (SENTINEL, *rule.expected))
    unseen = open_alerts(folder.alerts, LAST_ALERTS)
    phase = chief.phase if chief is not None and told else ""
    state = _state(rows, ruled=ruled, phase=phase, halted=bool(reasons), fine=fine)
    return {
        "run_dir": str(folder.root),
        "state": state,
        "healthy": fine and state == "healthy",
        "beating": fine,
        "halted_by": list(reasons),
        "kill_switch": folder.kill_switch.exists(),
        "disarmed": folder.disarmed.exists(),
        "looping": [name for name, gauge in told.items() if gauge.get("looping")],
        "alerts": [
            {
                "ts_ns": alert.ts_ns,
                "code": alert.code,
                "severity": alert.severity.value,
                "name": alert.name,
                "text": alert.text,
                "place": alert.place,
            }
            for alert in unseen.alerts
        ],
        "alerts_open": unseen.count,
        "alerts_upto": unseen.upto,
        "processes": rows,
    }


def _state(rows: Mapping[str, Mapping[str, Any]], *, ruled: bool, phase: str, halted: bool, fine: bool) -> str:
    sentinel = rows[SENTINEL]["state"]
    if not ruled:
        return "stopped"
    if phase == "STOPPING":
        return "stopping"
    if sentinel not in BEATING:  # it rules and has not beaten: it begins, or it hangs
        return "starting" if sentinel == "stopped" else "unhealthy"
    if halted:
        return "halted"
    if fine:
        return "healthy"
    begun = [row for row in rows.values() if row["state"] == "starting" and not row["restarts"]]
    unwell = [row for row in rows.values() if row["state"] in {"silent", "backoff", "fatal", "dead"}]
    return "starting" if begun and not unwell else "unhealthy"


def process_row(stats: Stats | None, told: Mapping[str, Any] | None, silent_s: float) -> dict[str, Any]:
    """Return one process's row; ``told`` is what a living Sentinel says of it, None where there is none."""
    told = told or {}
    stats = None if told and stats is not None and stats.instance != told.get("instance") else stats
    lives = stats is not None and process_lives(stats.pid, stats.instance)
    age_s = round(stats.age_s(), 3) if stats is not None and lives else None
    if age_s is not None:
        state = "beating" if age_s <= FRESH_S else "late" if age_s <= silent_s else "silent"
        if told.get("state") == State.STOPPING:
            state = "stopping"
    elif told:
        state = ASIDE.get(str(told.get("state")), "dead")
    else:
        state = "stopped"
    return {
        "state": state,
        "alive": lives or (bool(told.get("pid")) and process_lives(int(told["pid"]), str(told.get("instance", "")))),
        "phase": stats.phase if stats is not None and lives else None,
        "pid": stats.pid if stats is not None and lives else told.get("pid"),
        "beat_age_s": age_s,
        "restarts": told.get("restarts", 0),
        "last_reason": told.get("last_reason", ""),
        "next_try_s": told.get("next_try_s"),
        "gauges": dict(stats.gauges) if stats is not None and lives else {},
    }


def process_lives(pid: int, instance: str) -> bool:
    """Return whether process ``pid`` lives, is no zombie, and carries ``instance`` where its token can be read."""
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
    except psutil.NoSuchProcess:
        return False
    except psutil.Error:
        return True
    try:
        token = process.environ().get("PJ_INSTANCE")
    except (psutil.Error, OSError):
        return True
    return token in {instance, None}
