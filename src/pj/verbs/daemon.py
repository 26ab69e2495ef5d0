"""Start, stop and look at the daemon: up, the single processes, stop, status, halt, resume."""

from __future__ import annotations

import importlib
import time
from datetime import UTC, datetime
from typing import Any, Final

from pj.channels.control import ControlAnswer, ControlFile
from pj.channels.files import is_locked, replace_atomic
from pj.channels.rundir import RunDir
from pj.channels.stats import Stats, read_stats
from pj.clock import clock_from_env
from pj.verbs.common import Options, Refusal, Unavailable, hand_down, print_json, run_dir_of, settings_of
from pj.verbs.readiness import problems

PROCESSES: Final = ("sentinel", "bridge", "engine", "scribe", "dashboard")
ANSWER_S: Final = 5.0
STOP_S: Final = 20.0


def up(options: Options) -> int:
    """Check profile and credentials, write the trading schedule, then run the Sentinel until it is stopped."""
    settings = settings_of(options)
    if settings.profile == "sim":
        raise Refusal("profile is sim: 'pj demo' runs the simulators; for a real gateway give --profile paper")
    if settings.profile == "live" and not options["live"]:
        raise Refusal("profile is live: real orders need --live as well ('pj up --profile live --live')")
    if options["live"] and settings.profile != "live":
        raise Refusal(f"--live was given, but profile is {settings.profile}; give --profile live or leave --live out")
    found = problems(settings)
    if found:
        more = f" (and {len(found) - 1} more: 'pj config check' lists them)" if len(found) > 1 else ""
        raise Refusal(found[0] + more)
    from pj.calendar import ensure_sessions

    hand_down(options)
    folder = run_dir_of(settings).create()
    ensure_sessions(folder.session_file, clock_from_env().now_ns(), settings.session_overrides)
    if settings.profile == "live" and not _ruled(folder):
        disarm(folder)
        print(f"live starts disarmed: no entry is sent until 'pj resume' ({folder.kill_switch} stands)")
    return _run_process("pj.processes.sentinel_watchdog", ["--headless"] if options["headless"] else [])


def disarm(folder: RunDir) -> None:
    """Throw the kill switch before anything starts: real money begins by an order of its own, never by a start."""
    if not folder.kill_switch.exists():
        moment = datetime.now(tz=UTC).isoformat(timespec="seconds")
        text = f"live starts disarmed; pj resume arms it (by pj up, {moment})\n"
        replace_atomic(folder.kill_switch, text.encode(), durable=True)


def bridge(options: Options) -> int:
    """Run the bridge in the foreground."""
    return _foreground(options, "pj.processes.ibkr_bridge")


def engine(options: Options) -> int:
    """Run the engine in the foreground."""
    return _foreground(options, "pj.processes.run_live_engine")


def scribe(options: Options) -> int:
    """Run the scribe in the foreground."""
    return _foreground(options, "pj.processes.dashboard_logger")


def dashboard(options: Options) -> int:
    """Run the dashboard in the foreground."""
    return _foreground(options, "pj.processes.live_dashboard", ["--once"] if options["once"] else [])


def _foreground(options: Options, module: str, argv: list[str] | None = None) -> int:
    settings_of(options)
    hand_down(options)
    return _run_process(module, argv)


def _run_process(module: str, argv: list[str] | None = None) -> int:
    code = importlib.import_module(module).main(argv or [])
    if not isinstance(code, int):
        raise TypeError(f"{module}.main returned {code!r} and not an exit code")
    return code


def stop(options: Options) -> int:
    """Ask the Sentinel to stop everything and wait until it has."""
    folder = run_dir_of(settings_of(options))
    if not _ruled(folder):
        print(f"no Sentinel is running in {folder.root}")
        return 0
    answer = _command(folder, "stop")
    deadline = time.monotonic() + STOP_S
    while _ruled(folder):
        if time.monotonic() > deadline:
            words = f" ({answer.text})" if answer else " and has not answered"
            raise Unavailable(
                f"the Sentinel still runs {STOP_S:.0f} s after 'stop'{words}; end it by its pid: 'pj status'"
            )
        time.sleep(0.1)
    print("stopped")
    return 0


def halt(options: Options) -> int:
    """Stop entries at once by the kill switch, then tell the Sentinel; exits are never blocked."""
    folder = run_dir_of(settings_of(options)).create()
    reason = options["reason"] or "operator"
    moment = datetime.now(tz=UTC).isoformat(timespec="seconds")
    replace_atomic(folder.kill_switch, f"{reason} (by pj halt, {moment})\n".encode(), durable=True)
    if not _ruled(folder):
        print(f"halted: {folder.kill_switch} stands; no Sentinel is running, the next start begins halted")
        return 0
    return _told(_command(folder, "halt", reason), f"halted: {folder.kill_switch} stands")


def resume(options: Options) -> int:
    """Take the kill switch away: entries are allowed again."""
    folder = run_dir_of(settings_of(options))
    if not _ruled(folder):
        was = folder.kill_switch.exists()
        folder.kill_switch.unlink(missing_ok=True)
        print(f"resumed: the kill switch {'is removed' if was else 'was not set'}; no Sentinel is running")
        return 0
    return _told(_command(folder, "resume"), "'resume' is sent")


def status(options: Options) -> int:
    """Print what each process says of itself; 1 when one that should run does not beat."""
    settings = settings_of(options)
    folder = run_dir_of(settings)
    rows = {name: _row(read_stats(folder.state(name)), settings.supervision.silent_s) for name in PROCESSES}
    expected = [name for name in PROCESSES if name != "dashboard" and (name != "scribe" or settings.sheets.enabled)]
    report = {
        "run_dir": str(folder.root),
        "healthy": all(rows[name]["alive"] for name in expected),
        "kill_switch": folder.kill_switch.exists(),
        "processes": rows,
    }
    if options["json"]:
        print_json(report)
    else:
        _print_status(report)
    return 0 if report["healthy"] else 1


def _print_status(report: dict[str, Any]) -> None:
    print(f"run folder   {report['run_dir']}")
    print(f"kill switch  {'SET: no entries' if report['kill_switch'] else 'not set'}")
    for name, row in report["processes"].items():
        if row["phase"] is None:
            print(f"{name:<11}  never started here")
            continue
        state = "alive" if row["alive"] else "SILENT"
        print(f"{name:<11}  {state:<6} {row['phase']:<11} pid {row['pid']:<8} last beat {row['age_s']:.1f} s ago")
    print("healthy" if report["healthy"] else "NOT healthy")


def _row(stats: Stats | None, silent_s: float) -> dict[str, Any]:
    if stats is None:
        return {"alive": False, "phase": None, "pid": None, "age_s": None, "gauges": {}}
    age_s = round(stats.age_s(), 3)
    alive = age_s <= silent_s and stats.phase != "STOPPED"
    return {"alive": alive, "phase": stats.phase, "pid": stats.pid, "age_s": age_s, "gauges": dict(stats.gauges)}


def _ruled(folder: RunDir) -> bool:
    """Tell whether a Sentinel rules this run folder (it holds the lock as long as it lives)."""
    return is_locked(folder.state_folder / "sentinel.lock")


def _command(folder: RunDir, verb: str, *args: str) -> ControlAnswer | None:
    control = ControlFile(folder.control)
    sent = control.send(verb, args, sender="pj", ts_ns=clock_from_env().now_ns())
    return control.wait_answer(sent, ANSWER_S)


def _told(answer: ControlAnswer | None, done: str) -> int:
    if answer is None:
        raise Unavailable(f"{done}, but the Sentinel has not confirmed it within {ANSWER_S:.0f} s; look at 'pj status'")
    print(answer.text)
    return 0 if answer.ok else 1
