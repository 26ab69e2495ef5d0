"""Check what else decides over a start: settings, calendar, another instance, leftovers, kill switch."""

from __future__ import annotations

import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pj.verbs.doctor.model import Finding, Patient, fail, info, ok, skipped, warn

if TYPE_CHECKING:
    from pj.calendar import Sessions

NS: Final = 1_000_000_000
EXTEND: Final = "extend verified_through in config/session_overrides.yaml after checking CME's notices"


def settings(patient: Patient) -> Finding:
    """Say what ``pj config check`` would."""
    from pj.verbs.readiness import problems

    if patient.settings is None:
        wrong, _, remedy = patient.trouble.partition("; ")
        return fail(wrong, remedy or "mend the failed checks above first, then ask again")
    if patient.settings.profile == "sim":
        return ok("profile sim: ready for 'pj demo' (give --profile paper or live to check for a real gateway)")
    found = problems(patient.settings, patient.env)
    if not found:
        return ok(f"complete for profile {patient.settings.profile}")
    # Each of them is "what is wrong; what to do".
    wrong, _, remedy = found[0].partition("; ")
    more = f" (and {len(found) - 1} more: 'pj config check' lists them)" if len(found) > 1 else ""
    return fail(f"{wrong}{more}", remedy, problems=found)


def calendar(patient: Patient) -> Finding:
    """Run the session builder for real, into a temporary file, and see how far the schedule reaches."""
    from pj.calendar import DAYS_LEFT, CalendarError, Sessions, builder_command, ensure_sessions
    from pj.clock import clock_from_env

    now_ns = clock_from_env().now_ns()
    overrides = patient.known.session_overrides
    try:
        there = Sessions.load(patient.folder.session_file)
        short = builder_command(patient.folder.session_file, now_ns, overrides) is not None
    except CalendarError:
        there, short = None, True
    with tempfile.TemporaryDirectory(prefix="pj-doctor-") as scratch:
        built = ensure_sessions(Path(scratch) / "sessions.json", now_ns, overrides)
    facts = {
        "through": (there.through if there else built.through).isoformat(),
        "builder_reaches": built.through.isoformat(),
        "library": built.library,
    }
    if not built.covers(now_ns):
        return fail(f"the calendar ends on {built.through}: today is not known and no entry is sent", EXTEND, **facts)
    said = _today(built, now_ns)
    if not built.covers(now_ns + DAYS_LEFT * 86_400 * NS):
        return warn(f"{said}; the calendar ends on {built.through}, in less than {DAYS_LEFT} days", EXTEND, **facts)
    if there is None:
        return ok(f"{said}; a start writes the schedule through {built.through}", **facts)
    if short:
        return ok(
            f"{said}; the schedule here ends on {there.through}, a start writes it on to {built.through}", **facts
        )
    return ok(f"{said}; the schedule here reaches through {there.through}", **facts)


def _today(sessions: Sessions, now_ns: int) -> str:
    session = sessions.session_at(now_ns)
    if session is not None:
        left = timedelta(seconds=int(sessions.seconds_to_close(now_ns)))
        return f"open, trade date {session.trade_date}{' (early close)' if session.early else ''}, closes in {left}"
    opens_ns = sessions.next_open_ns(now_ns)
    at = datetime.fromtimestamp(opens_ns / NS, tz=UTC) if opens_ns else None
    return f"closed, opens {at:%Y-%m-%d %H:%M} UTC" if at else "closed"


def instance(patient: Patient) -> Finding:
    """Tell whether a Sentinel rules the run folder already, or left children behind."""
    from pj.channels.files import is_locked
    from pj.channels.stats import read_stats
    from pj.supervision.fencing import OrphanTrouble
    from pj.supervision.traces import living_children

    folder = patient.folder
    if not folder.state_folder.is_dir():
        return ok(f"nothing has run in {folder.root} yet")
    try:
        children = living_children(folder.state_folder)
    except OrphanTrouble as error:
        return fail(str(error))
    names = ", ".join(f"{name} pid {pid}" for name, pid in children)
    facts = {"children": dict(children)}
    if _locked_for_long(folder.state_folder / "sentinel.lock"):
        stats = read_stats(folder.state("sentinel"))
        who = f"pid {stats.pid}" if stats else "its pid is not known yet"
        said = f"a Sentinel runs here ({who}){': ' + names if names else ''}"
        return warn(said, "'pj up' will be refused; 'pj status' looks at it, 'pj stop' ends it",
                    sentinel_pid=stats.pid if stats else None, **facts)  # fmt: skip
    if children:
        return fail(f"no Sentinel, but its children live: {names}", "'pj up' ends them before it starts; or end them"
                    " by their pids", **facts)  # fmt: skip
    held = [name for name in _lock_names(patient) if is_locked(folder.root / name)]
    if held:
        remedy = "end the program that was started by hand (pj bridge, pj engine, pj scribe), or look at 'pj status'"
        return fail(f"no Sentinel, but {held[0]} is held by another program", remedy, held=held)
    return ok(f"nothing else runs in {folder.root}", **facts)


def _lock_names(patient: Patient) -> list[str]:
    """Return the lock files of engine and Scribe and of today's tapes, those that are there, from the run folder."""
    from pj.clock import clock_from_env

    folder = patient.folder
    day = folder.day_at(clock_from_env().now_ns())
    state = folder.state_folder
    files = [state / "engine.lock", state / "sheets.lock", day.ticks, day.market, day.journal]
    return [file.relative_to(folder.root).as_posix() for file in files if file.is_file()]


def _locked_for_long(lock: Path) -> bool:
    """Tell whether the lock is held for longer than a status command does."""
    from pj.channels.files import is_locked
    from pj.supervision.fencing import PROBE_S

    until_s = time.monotonic() + PROBE_S
    while is_locked(lock):
        if time.monotonic() > until_s:
            return True
        time.sleep(0.02)
    return False


def switches(patient: Patient) -> Finding:
    """Tell whether the kill switch stands or entries are disarmed: facts, not faults."""
    folder = patient.folder
    if not folder.state_folder.is_dir():
        return skipped(f"nothing has run in {folder.root} yet")
    if folder.kill_switch.exists():
        words = " ".join(folder.kill_switch.read_text(encoding="utf-8", errors="replace").split())[:120]
        return info(f"the kill switch stands, no entry is sent until 'pj resume': {words}", kill_switch=True)
    if folder.disarmed.exists():
        return info("disarmed: no entry is sent until 'pj arm'", disarmed=True)
    return info("entries are allowed: no kill switch, not disarmed", kill_switch=False, disarmed=False)
