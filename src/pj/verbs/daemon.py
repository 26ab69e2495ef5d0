"""Start, stop, command and look at the daemon: up, the single processes, stop, status, restart, halt, resume, arm."""

from __future__ import annotations

import importlib
import os
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from pj.channels.alerts import mark_seen, open_alerts
from pj.channels.control import ControlAnswer, ControlFile
from pj.channels.files import is_locked, replace_atomic
from pj.channels.rundir import RunDir
from pj.channels.stats import read_stats
from pj.clock import clock_from_env
from pj.config import Settings
from pj.supervision.settings import of_settings
from pj.supervision.spawn import module_command
from pj.verbs.common import (
    Options,
    Refusal,
    Unavailable,
    environment_of,
    hand_down,
    print_json,
    run_dir_of,
    settings_of,
)
from pj.verbs.readiness import problems

CHILDREN: Final = ("bridge", "engine", "scribe", "dashboard")
HALTED: Final = 4
FOLLOW_S: Final = 0.1
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
    found = problems(settings, environment_of(options))
    if found:
        more = f" (and {len(found) - 1} more: 'pj config check' lists them)" if len(found) > 1 else ""
        raise Refusal(found[0] + more)
    hand_down(options)
    folder = _write_schedule(settings)
    if settings.profile == "live" and not _ruled(folder):
        print("live starts disarmed: no entry is sent until 'pj arm'")
    argv = ["--settings", of_settings(settings).to_json()]
    return _become("pj.processes.sentinel_watchdog", [*argv, "--headless"] if options["headless"] else argv)


def _write_schedule(settings: Settings) -> RunDir:
    """Return the run folder with a trading schedule in it: without one a silent feed is never called dead."""
    from pj.calendar import ensure_sessions

    folder = run_dir_of(settings).create()
    ensure_sessions(folder.session_file, clock_from_env().now_ns(), settings.session_overrides)
    return folder


def bridge(options: Options) -> int:
    """Run the bridge in the foreground."""
    return _foreground(options, "pj.processes.ibkr_bridge", schedule=True)


def engine(options: Options) -> int:
    """Run the engine in the foreground."""
    return _foreground(options, "pj.processes.run_live_engine", schedule=True)


def scribe(options: Options) -> int:
    """Run the scribe in the foreground."""
    return _foreground(options, "pj.processes.dashboard_logger")


def dashboard(options: Options) -> int:
    """Run the dashboard in the foreground."""
    return _foreground(options, "pj.processes.live_dashboard", ["--once"] if options["once"] else [])


def _foreground(options: Options, module: str, argv: list[str] | None = None, *, schedule: bool = False) -> int:
    """Run one process here; with ``schedule`` first see that the calendar is there, as 'pj up' does for all."""
    settings = settings_of(options)
    hand_down(options)
    if schedule:
        _write_schedule(settings)
    return _run_process(module, argv)


def _run_process(module: str, argv: list[str] | None = None) -> int:
    code = importlib.import_module(module).main(argv or [])
    if not isinstance(code, int):
        raise TypeError(f"{module}.main returned {code!r} and not an exit code")
    return code


def _become(module: str, argv: list[str]) -> int:
    """Run ``module`` in the place of this process, which lives for weeks and needs nothing of the command line.

    Windows cannot replace a process (its exec starts another one and ends this one): there it runs inside this one.
    """
    if sys.platform != "win32":
        sys.stdout.flush()
        sys.stderr.flush()
        os.execv(sys.executable, module_command(module, *argv))  # noqa: S606 - our own constant list, no shell
    return _run_process(module, argv)


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
    """Take the kill switch away: entries are allowed again, and processes that failed too often are tried at once.

    The alerts that stood when it was asked are marked as seen.
    """
    folder = run_dir_of(settings_of(options))
    alerts = open_alerts(folder.alerts)
    code = _release(folder)
    if code == 0:
        _seen(folder, alerts.count, alerts.upto, "pj resume")
    return code


def _release(folder: RunDir) -> int:
    if not _ruled(folder):
        was = folder.kill_switch.exists()
        folder.kill_switch.unlink(missing_ok=True)
        print(f"resumed: the kill switch {'is removed' if was else 'was not set'}; no Sentinel is running")
        return 0
    return _told(_command(folder, "resume"), "'resume' is sent")


def _seen(folder: RunDir, count: int, upto: int, by: str) -> None:
    """Mark the alerts that were read up to byte ``upto`` as seen; what was raised since stays open."""
    if count:
        mark_seen(folder.alerts, upto, by, clock_from_env().now_ns())
        print(f"alerts: {count} marked as seen", file=sys.stderr)


def arm(options: Options) -> int:
    """Give a live run leave to send entries; the Sentinel refuses while a process is not as it should be."""
    folder = run_dir_of(settings_of(options))
    if not _ruled(folder):
        raise Unavailable("no Sentinel is running: 'pj up --profile live --live' starts one, disarmed; then 'pj arm'")
    return _told(_command(folder, "arm"), "'arm' is sent")


def restart(options: Options) -> int:
    """Restart one process through the Sentinel and wait until its replacement beats; 1 when it does not."""
    settings, name = settings_of(options), options["name"]
    folder = run_dir_of(settings)
    if not _ruled(folder):
        raise Unavailable(f"no Sentinel is running in {folder.root}: nobody could restart {name}; 'pj up' starts all")
    old = _child(folder, name)
    answer = _command(folder, "restart", name)
    if answer is None or not answer.ok:
        return _told(answer, f"'restart {name}' is sent")
    times = settings.supervision
    begun = time.monotonic()
    while time.monotonic() - begun < times.stop_s + times.start_grace_s:
        child = _child(folder, name)
        if child.get("state") == "RUNNING" and child.get("instance") != old.get("instance"):
            seconds = time.monotonic() - begun
            print(f"{name} restarted: pid {old.get('pid') or 'none'} -> {child['pid']}, beating after {seconds:.1f} s")
            return 0
        if child.get("state") in {"FATAL", "EXITED"}:
            break
        time.sleep(FOLLOW_S)
    child = _child(folder, name)
    print(f"{name} does not beat: it is {child.get('state')} ({child.get('last_reason') or 'no reason known'})")
    return 1


def _child(folder: RunDir, name: str) -> Mapping[str, Any]:
    """Return what the Sentinel says of one child, empty when it says nothing."""
    stats = read_stats(folder.state("sentinel"))
    children: Mapping[str, Mapping[str, Any]] = stats.gauge("children", {}) if stats is not None else {}
    return children.get(name, {})


def status(options: Options) -> int:
    """Print how each process is; 0 healthy, 4 when entries are halted and every process beats, else 1.

    With ``seen`` the alerts are marked as seen once they are printed.
    """
    from pj.supervision.report import Rule, system_report

    settings = settings_of(options)
    expected = [name for name in CHILDREN if name != "dashboard" and (name != "scribe" or settings.sheets.enabled)]
    rule = Rule(expected, settings.supervision.silent_s)
    folder = run_dir_of(settings)
    report = system_report(folder, CHILDREN, rule)
    if options["json"]:
        print_json(report)
    else:
        _print_status(report)
    if options["seen"]:
        _seen(folder, report["alerts_open"], report["alerts_upto"], "pj status")
    if report["healthy"]:
        return 0
    return HALTED if report["state"] == "halted" and report["beating"] else 1


def _print_status(report: dict[str, Any]) -> None:
    print(f"run folder   {report['run_dir']}")
    print(f"state        {report['state'].upper()}")
    for reason in report["halted_by"]:
        print(f"no entries   {reason}")
    for name, row in report["processes"].items():
        words = [f"{name:<11}  {row['state']:<9}"]
        words += [f"pid {row['pid']:<8}"] if row["pid"] else []
        words += [f"{row['phase']:<11}"] if row["phase"] else []
        words += [f"last beat {row['beat_age_s']:.1f} s ago"] if row["beat_age_s"] is not None else []
        words += [f"{row['restarts']} restarts"] if row["restarts"] else []
        words += [f"next try in {row['next_try_s']:.0f} s"] if row["next_try_s"] is not None else []
        words += [f"({row['last_reason']})"] if row["last_reason"] else []
        print("  ".join(words))
    for alert in report["alerts"]:
        moment = datetime.fromtimestamp(alert["ts_ns"] / 1e9, tz=UTC).isoformat(timespec="seconds")
        print(f"alert        {moment} {alert['severity']:<4} {alert['code']}: {alert['text']}")
    older = report["alerts_open"] - len(report["alerts"])
    if report["alerts"]:
        more = f"{older} older in state/alerts.jsonl; " if older else ""
        print(f"             {more}'pj resume', or 'pj status --seen', marks them as seen")


def _ruled(folder: RunDir) -> bool:
    """Tell whether a Sentinel rules this run folder."""
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
