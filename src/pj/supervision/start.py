"""Start a Sentinel: take the run folder, end what a predecessor left, wire the ports, run, leave nothing behind."""

from __future__ import annotations

import os
import random
import signal
import sys
import time
import traceback
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from pj.channels.files import WriteFailed, replace_atomic
from pj.channels.logs import open_log
from pj.channels.stats import StatsWriter, read_stats
from pj.settings_text import ConfigError
from pj.supervision import fencing
from pj.supervision.child import Child
from pj.supervision.duties import HaltRules, HouseDuties
from pj.supervision.family import Family
from pj.supervision.policy import RestartPolicy
from pj.supervision.schedule import ScheduleKeeper
from pj.supervision.sentinel import Sentinel
from pj.supervision.spawn import MODULES, OsSpawner, module_command
from pj.supervision.systemd import Notifier, without_notify

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from pj.channels.logs import EventLog
    from pj.channels.rundir import RunDir
    from pj.clock import Clock
    from pj.supervision.child import Limits
    from pj.supervision.terminal import Terminal

EXIT_CANNOT_RULE: Final = 1
EXIT_USAGE: Final = 2
DEFAULT_HALT: Final = HaltRules()
#: pydantic looks through every installed package for plugins at each start: 27 ms, and foreign code in the daemon.
NO_PLUGINS: Final = {"PYDANTIC_DISABLE_PLUGINS": "__all__"}


def default_commands(names: Sequence[str], *, headless: bool) -> dict[str, tuple[str, ...]]:
    """Return the command line of each named process; a headless dashboard draws into a file."""
    arguments = {"dashboard": ("--headless",)} if headless else {}
    return {name: module_command(MODULES[name], *arguments.get(name, ())) for name in names}


@dataclass(frozen=True, slots=True)
class Rules:
    """Hold how a Sentinel watches, restarts and halts."""

    limits: Limits
    policy: RestartPolicy
    check_s: float
    halt: HaltRules


@dataclass(frozen=True, slots=True)
class House:
    """Hold what a Sentinel speaks through: the run folder, its log, the clock, the terminal, its own environment."""

    folder: RunDir
    log: EventLog
    clock: Clock
    terminal: Terminal
    env: Mapping[str, str]
    windows_console: bool


def run_sentinel(
    folder: RunDir,
    commands: Mapping[str, Sequence[str]],
    *,
    limits: Limits,
    policy: RestartPolicy,
    check_s: float,
    clock: Clock,
    terminal: Terminal,
    env: Mapping[str, str] = os.environ,
    session_overrides: Path | None = None,
    halt: HaltRules = DEFAULT_HALT,
    disarmed: bool = False,
    windows_console: bool = True,
) -> int:
    """Rule ``folder`` with one child per command until stopped; return the exit code.

    ``session_overrides`` is the calendar's table of corrections; with it the trading schedule is kept ahead.
    ``disarmed`` starts without leave to send entries: ``pj arm`` gives it. ``windows_console`` False opens no window
    for any child (headless on Windows).

    2: another Sentinel rules the folder, or nothing was left because of its configuration. 1: a process of the last
    run cannot be ended. 0: stopped as asked.
    """
    folder.create()
    before = read_stats(folder.state("sentinel"))
    try:
        rule = fencing.take_rule(folder.state_folder, before.pid if before else None)
    except fencing.SecondSentinel as refusal:
        sys.stderr.write(f"{refusal}\n")
        return EXIT_USAGE
    log = open_log(folder.root, "sentinel")
    instance = env.get("PJ_INSTANCE") or uuid.uuid4().hex
    try:
        notifier = Notifier(env)
        log.event("SENTINEL_START", pid=os.getpid(), instance=instance, children=",".join(commands))
        births = fencing.BirthRecord(folder.state_folder / "children.json")
        _end_orphans(births, log)
        if disarmed:
            _disarm(folder, log)
        house = House(folder, log, clock, terminal, env, windows_console)
        rules = Rules(limits, policy, check_s, halt)
        stats = StatsWriter(folder.state("sentinel"), "sentinel", instance)
        sentinel = _wire(house, rules, commands, births, stats, notifier)
        if session_overrides is not None:
            sentinel.schedule = ScheduleKeeper(folder.session_file, session_overrides, clock, log, time.monotonic)
        return _run(sentinel)
    except (ConfigError, fencing.OrphanTrouble) as trouble:
        log.warning("SENTINEL_REFUSED", reason=str(trouble))
        sys.stderr.write(f"{trouble}\n")
        return EXIT_USAGE if isinstance(trouble, ConfigError) else EXIT_CANNOT_RULE
    except Exception as error:
        log.error("CRASH", error=repr(error), traceback=traceback.format_exc())  # noqa: TRY400 - not a stdlib logger
        raise
    finally:
        log.close()
        rule.release()


def _end_orphans(births: fencing.BirthRecord, log: EventLog) -> None:
    for orphan in fencing.end_orphans(fencing.read_births(births.path)):
        log.warning("ORPHAN_ENDED", name=orphan.name, pid=orphan.pid, instance=orphan.instance)


def _disarm(folder: RunDir, log: EventLog) -> None:
    """Withhold leave to send entries: real money begins by an order of its own, never by a start."""
    moment = datetime.now(tz=UTC).isoformat(timespec="seconds")
    replace_atomic(folder.disarmed, f"live starts disarmed; pj arm arms it ({moment})\n".encode(), durable=True)
    log.warning("DISARMED")


def _wire(
    house: House,
    rules: Rules,
    commands: Mapping[str, Sequence[str]],
    births: fencing.BirthRecord,
    stats: StatsWriter,
    notifier: Notifier,
) -> Sentinel:
    folder, log = house.folder, house.log
    terminal_child = "dashboard" if house.terminal.lent else ""
    env = without_notify(house.env) | NO_PLUGINS
    spawner = OsSpawner(commands, folder.logs, env, terminal_child, house.windows_console)
    duties = HouseDuties(folder, log, house.terminal, house.clock, rules.halt, spawner.env)
    family: Family

    def note_births() -> None:
        living = [(c.name, c.pid, c.instance) for c in family.alive() if c.pid is not None]
        try:
            births.update(living)
        except WriteFailed as error:  # supervision goes on; only a successor after our own death would miss it
            log.warning("BIRTHS_UNWRITTEN", error=str(error))

    family = Family(
        children={name: Child(name) for name in commands},
        spawner=spawner,
        policy=rules.policy,
        limits=rules.limits,
        record=log,
        duties=duties,
        now_s=time.monotonic,
        new_instance=lambda: uuid.uuid4().hex,
        on_change=note_births,
    )
    return Sentinel(
        folder,
        family,
        duties,
        spawner,
        stats,
        log,
        house.terminal,
        house.clock,
        rules.check_s,
        time.monotonic,
        notifier,
    )


def _run(sentinel: Sentinel) -> int:
    stop_signals = [signal.SIGINT, signal.SIGTERM]
    stop_signals += [getattr(signal, name) for name in ("SIGHUP", "SIGBREAK") if hasattr(signal, name)]
    if signal.SIG_IGN in {signal.getsignal(number) for number in stop_signals[2:]}:
        del stop_signals[2:]  # started by nohup: a closed terminal is not to stop us
    usual = {number: signal.signal(number, sentinel.on_signal) for number in stop_signals}
    hold: list[object] = []
    if sys.platform == "win32":
        hold = _bind_windows(sentinel)
    began_s = time.monotonic()
    try:
        return sentinel.run()
    finally:
        sentinel.family.closing = True
        for child in sentinel.family.alive():  # only after an exception in the loop: nothing is left behind even then
            if child.running is not None:
                child.running.kill()
        if sentinel.schedule is not None:
            sentinel.schedule.close()
        sentinel.duties.close()
        sentinel.notifier.close()
        sentinel.terminal.restore()
        sentinel.log.event("SENTINEL_END", exit=sentinel.exit_code, up_s=time.monotonic() - began_s)
        sentinel.spawner.close()
        for number, handler in usual.items():
            signal.signal(number, handler)
        hold.clear()


if sys.platform == "win32":

    def _bind_windows(sentinel: Sentinel) -> list[object]:
        """Bind the children's lives to ours and stop them when the console window is closed."""
        from pj.supervision.windows import enter_killing_job, on_console_close

        def stop_and_wait() -> None:
            sentinel.ask_stop("console closed")
            sentinel.spawner.wake()
            deadline_s = time.monotonic() + sentinel.family.limits.stop_s
            while sentinel.family.alive() and time.monotonic() < deadline_s:
                time.sleep(0.02)

        return [enter_killing_job(), on_console_close(stop_and_wait)]


def restart_policy(min_s: float, max_s: float, max_restarts: int = 5, window_s: float = 120.0) -> RestartPolicy:
    """Return the policy with the system's chance for its jitter."""
    return RestartPolicy(min_s, max_s, random.SystemRandom().random, max_restarts, window_s)
