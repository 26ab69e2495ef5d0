"""Run the Sentinel: keep the children alive, obey the control file, tell how everything is, stop everything.

One loop sleeps until a child dies, a signal comes or something is due. Every LOOK_S it looks at the heartbeats and the
control file; every second it beats itself; every ``check_s`` it writes the binary health line of each child.

Stopping goes against the flow of data, so that what has been taken in is still carried to its end: dashboard (frees
the terminal), engine (no new order; its last journal lines are written), bridge (its last fills and ticks are on
disk), scribe last (it drains into the sheet what the others left). Each waits for the one before it, but never so long
that the last has less than two fifths of ``stop_s``; whoever lives after ``stop_s`` is killed.
"""

from __future__ import annotations

import signal
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pj.channels.files import WriteFailed
from pj.channels.stats import StatsWriter, read_stats
from pj.channels.switches import entry_forbidden, halts
from pj.supervision.child import all_resting
from pj.supervision.child_fsm import RESTING, State
from pj.supervision.letterbox import Letterbox
from pj.supervision.silence import Beat

if TYPE_CHECKING:
    from collections.abc import Callable

    from pj.channels.logs import EventLog
    from pj.channels.rundir import RunDir
    from pj.clock import Clock
    from pj.supervision.duties import HouseDuties
    from pj.supervision.family import Family
    from pj.supervision.schedule import ScheduleKeeper
    from pj.supervision.spawn import OsSpawner
    from pj.supervision.systemd import Notifier
    from pj.supervision.terminal import Terminal

LOOK_S: Final = 0.25
STOP_ORDER: Final = ("dashboard", "engine", "bridge", "scribe")
#: Share of ``stop_s`` after which the next in the stop order is asked although the one before it still lives.
STAGE_SHARE: Final = 0.2


@dataclass(slots=True)
class BeatReader:
    """Read heartbeats from stats files, opening a file only when it was replaced since the last look."""

    folder: RunDir
    _seen: dict[str, tuple[tuple[int, int, int], Beat | None]] = field(default_factory=dict)

    def read(self, name: str) -> Beat | None:
        """Return the last heartbeat of child ``name``, or None when there is none to read."""
        path = self.folder.state(name)
        try:
            status = path.stat()
        except OSError:
            return None
        mark = (status.st_mtime_ns, status.st_ino, status.st_size)
        seen = self._seen.get(name)
        if seen is not None and seen[0] == mark:
            return seen[1]
        stats = read_stats(path)
        beat = None if stats is None else Beat(stats.instance, stats.beat_seq, stats.phase)
        self._seen[name] = (mark, beat)
        return beat


@dataclass(slots=True)
class Sentinel:
    """Hold the family and everything the Sentinel hears and says; times are real seconds."""

    folder: RunDir
    family: Family
    duties: HouseDuties
    spawner: OsSpawner
    stats: StatsWriter
    log: EventLog
    terminal: Terminal
    clock: Clock
    check_s: float
    now_s: Callable[[], float]
    notifier: Notifier
    schedule: ScheduleKeeper | None = None
    interrupts: int = 0
    exit_code: int = 0
    _stop_began_s: float | None = None
    _next_look_s: float = 0.0
    _last_look_s: float = 0.0
    _next_check_s: float = 0.0
    _beats: BeatReader = field(init=False)
    letters: Letterbox = field(init=False)
    _dashboard_pid: int | None = None
    _write_failed: bool = False
    _late_s: float = 0.0
    _shown: tuple[object, ...] = ()

    def __post_init__(self) -> None:
        """Begin to listen."""
        self._beats = BeatReader(self.folder)
        self.letters = Letterbox(self.folder, self.family, self.log, self.clock)

    @property
    def stop_reason(self) -> str:
        """Return why everything is to stop, empty while nothing asked for it."""
        return self.letters.stop_reason

    def ask_stop(self, reason: str) -> None:
        """Stop everything at the next turn; the first reason is kept."""
        self.letters.stop_reason = self.letters.stop_reason or reason

    def run(self) -> int:
        """Start the children, keep them until told to stop, and return the exit code."""
        now_s = self.now_s()
        self._last_look_s, self._next_look_s, self._next_check_s = now_s, now_s + LOOK_S, now_s + self.check_s
        self._beat()
        self.family.start_all()
        self.notifier.ready(self._in_words())
        while not self._done():
            self.spawner.wait(self._timeout_s())
            self.step()
        self._beat()
        return self.exit_code

    def on_signal(self, number: int, _frame: object = None) -> None:
        """Take a stop signal; a second Ctrl-C means: at once."""
        self.interrupts += number == signal.SIGINT
        self.ask_stop(signal.Signals(number).name)

    def step(self) -> None:
        """Do everything that is due now."""
        self.family.check_deaths()
        now_s = self.now_s()
        if now_s >= self._next_look_s:
            elapsed_s, self._last_look_s = now_s - self._last_look_s, now_s
            self._late_s = max(self._late_s, now_s - self._next_look_s)
            self._next_look_s = now_s + LOOK_S
            self.family.look(self._beats.read, elapsed_s)
            self.letters.obey()
            self.duties.step()
            if self.schedule is not None and not self.stop_reason:
                self.schedule.step()
        if self.stop_reason:
            self._stop(now_s)
        self.family.tick()
        self._mind_terminal()
        if now_s >= self._next_check_s:
            self._next_check_s = max(self._next_check_s + self.check_s, now_s)
            self._check()
        shown = tuple((child.state, child.pid) for child in self.family.children.values())
        if shown != self._shown or self.stats.due():
            self._shown = shown
            self._beat()

    def _timeout_s(self) -> float:
        now_s = self.now_s()
        due = [self._next_look_s, self._next_check_s, self.family.next_due_s(), now_s + self.stats.due_in_s()]
        return max(0.0, min(time_s for time_s in due if time_s is not None) - now_s)

    def _done(self) -> bool:
        if not all_resting(self.family.children.values()):
            return False
        if not self.stop_reason:
            fatal = [child for child in self.family.children.values() if child.state is State.FATAL]
            why = "; ".join(f"{child.name}: {child.last_reason}" for child in fatal)
            self.log.warning("NOTHING_LEFT", reason=why or "every child has been ended by the operator")
            self.terminal.restore()
            if fatal:
                sys.stderr.write(f"nothing is left to run: {why}\n")
                self.exit_code = 2
        return True

    def _stop(self, now_s: float) -> None:
        """Advance the stop: ask the next in order, and kill everything on a second Ctrl-C."""
        stop_s = self.family.limits.stop_s
        if self._stop_began_s is None:
            self._stop_began_s = now_s
            self.family.closing = True
            self.notifier.stopping(self.stop_reason)
            self.log.event("SENTINEL_STOP", reason=self.stop_reason)
        if self.interrupts > 1:
            self.family.kill_all()
            return
        last_s = self._stop_began_s + stop_s
        names = sorted(self.family.children, key=lambda name: STOP_ORDER.index(name) if name in STOP_ORDER else -1)
        before_lives = False
        for place, name in enumerate(names):
            child = self.family.children[name]
            if child.state not in RESTING and child.state is not State.STOPPING:
                stage_s = self._stop_began_s + min(place, 3) * STAGE_SHARE * stop_s
                if not before_lives or now_s >= stage_s:
                    self.family.stop([name], kill_s=last_s)
            elif child.state is State.STOPPING and child.wanted:
                self.family.stop([name], kill_s=last_s)  # it was stopping only to start again
            before_lives = before_lives or child.state not in RESTING

    def _check(self) -> None:
        for child in self.family.children.values():
            write = self.log.event if child.healthy else self.log.warning
            write(
                "CHECK",
                name=child.name,
                health="OK" if child.healthy else "FAIL",
                state=child.state,
                pid=child.pid,
                beat_age_s=child.silent_s,
                phase=child.phase or None,
                restarts=child.restarts,
            )

    def _mind_terminal(self) -> None:
        """Put the terminal right when the dashboard that had it is gone."""
        dashboard = self.family.children.get(self.spawner.terminal_child)
        if dashboard is None or dashboard.pid == self._dashboard_pid:
            return
        if self._dashboard_pid is not None:
            self.terminal.restore(left_clean=dashboard.last_code == 0)
            if dashboard.state is State.EXITED:
                self.terminal.say("The dashboard is closed; trading goes on. 'pj dashboard' opens it elsewhere.")
                self.terminal.say("Ctrl-C or 'pj stop' stops everything.")
        self._dashboard_pid = dashboard.pid
        self.terminal.taken = dashboard.pid is not None

    def _in_words(self) -> str:
        """Return one line for the service manager: every child and its state."""
        halted = "; ".join(halts(self.folder))
        words = [f"{child.name} {child.state}" for child in self.family.children.values()]
        return ", ".join(words) + (f" - no entries: {halted}" if halted else "")

    def _beat(self) -> None:
        if self.notifier.watched:
            self.notifier.watchdog(self._in_words())
        phase = "STOPPING" if self.stop_reason else "HALTED" if entry_forbidden(self.folder) else "RUNNING"
        now_s = self.now_s()
        children = {name: child.gauge(now_s) for name, child in self.family.children.items()}
        try:
            self.stats.beat(phase, run_ns=self.clock.now_ns(), late_s=round(self._late_s, 3), children=children)
            self._write_failed = False
        except WriteFailed as error:
            if not self._write_failed:  # a full disk must not end the supervision; once in the log is enough
                self.log.warning("STATS_UNWRITTEN", error=str(error))
            self._write_failed = True
