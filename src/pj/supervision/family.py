"""Keep a family of children alive: apply the state machine to each of them through injected ports.

Nothing here reads a clock, a file or a process by itself: time, spawning, the policy's chance, the record and the
instance tokens come in, so any history can be replayed in a test. The Sentinel's loop calls, in this order and as
often as it likes: ``check_deaths``, ``look`` (once per look period), ``tick``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from pj.channels.alerts import AlertCode
from pj.supervision.child import Child, Fault, Limits, describe_exit
from pj.supervision.child_fsm import ALIVE, RESTING, Action, Event, State, advance, classify, wants
from pj.supervision.silence import Beat, SilenceMeter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pj.supervision.policy import RestartPolicy
    from pj.supervision.spawn import Spawner


class Record(Protocol):
    """Take one event of the family's history as a line of the log."""

    def event(self, event: str, /, **fields: object) -> None:
        """Record what is as it should be."""
        ...

    def warning(self, event: str, /, **fields: object) -> None:
        """Record a fault."""
        ...


class Duties(Protocol):
    """Do what a family's history demands of the world beyond its processes."""

    def grant(self, name: str, instance: str) -> None:
        """Let the process that is about to be born, and no older one, act for ``name``; raise OSError if it cannot."""
        ...

    def slow_retry_s(self) -> float:
        """Return how often a process that loops is tried again at this hour."""
        ...

    def alert(self, code: AlertCode, name: str, text: str) -> None:
        """Call the operator."""
        ...

    def halt_trading(self, code: AlertCode, text: str) -> None:
        """Stop entries until the operator resumes."""
        ...


@dataclass(slots=True)
class Family:
    """Hold the children in start order and the ports by which they are kept alive."""

    children: dict[str, Child]
    spawner: Spawner
    policy: RestartPolicy
    limits: Limits
    record: Record
    duties: Duties
    now_s: Callable[[], float]
    new_instance: Callable[[], str]
    on_change: Callable[[], None]
    closing: bool = False

    def alive(self) -> list[Child]:
        """Return the children whose process may live."""
        return [child for child in self.children.values() if child.state in ALIVE]

    def start_all(self) -> None:
        """Start every child in order."""
        for child in self.children.values():
            self.apply(child, Event.START_ASKED)

    def check_deaths(self) -> None:
        """Ask the operating system who has died, and act on it."""
        for child in self.alive():
            code = child.running.poll() if child.running else None
            if code is not None:
                self._died(child, code)

    def look(self, read_beat: Callable[[str], Beat | None], elapsed_s: float) -> None:
        """Take one look at every heartbeat, ``elapsed_s`` after the last look."""
        for child in self.alive():
            if child.meter is None:
                continue
            if child.meter.look(read_beat(child.name), elapsed_s):
                self.apply(child, Event.BEAT_SEEN)
                self._note_steady(child)
            elif child.state is not State.STOPPING:
                allowed_s = self.limits.allowed_silence_s(child.name, child.state)
                if child.meter.silent_s >= allowed_s:
                    self._fell_silent(child)

    def tick(self) -> None:
        """Do what is due by the time: starts after a back-off, kills after an unanswered stop."""
        now_s = self.now_s()
        for child in self.children.values():
            if child.state is State.BACKOFF and self.closing:
                self.apply(child, Event.STOP_ASKED)
            elif child.state is State.BACKOFF and child.due_s is not None and now_s >= child.due_s:
                self.apply(child, Event.START_DUE)
            elif child.state is State.STOPPING and child.kill_s is not None and now_s >= child.kill_s:
                self.record.warning("STOP_OVERDUE", name=child.name, pid=child.pid)
                self.apply(child, Event.STOP_OVERDUE)

    def next_due_s(self) -> float | None:
        """Return when ``tick`` has to be called next, or None."""
        times = [child.due_s for child in self.children.values() if child.state is State.BACKOFF]
        times += [child.kill_s for child in self.children.values() if child.state is State.STOPPING]
        return min((time_s for time_s in times if time_s is not None), default=None)

    def stop(self, names: Iterable[str], kill_s: float) -> None:
        """Ask children to stop; those that still live at ``kill_s`` are killed."""
        for name in names:
            child = self.children[name]
            self.apply(child, Event.STOP_ASKED)
            if child.state is State.STOPPING:
                child.kill_s = kill_s if child.kill_s is None else min(child.kill_s, kill_s)

    def kill_all(self) -> None:
        """End every process at once."""
        for child in self.alive():
            self.apply(child, Event.STOP_ASKED)
            self.apply(child, Event.STOP_OVERDUE)

    def apply(self, child: Child, event: Event) -> None:
        """Advance one child by one event and do what the table says."""
        before = child.state
        state, action = advance(before, event)
        child.wanted = wants(event, wanted=child.wanted)
        child.state = state
        self._note_request(child, event, before)
        if state is State.RUNNING and before is not State.RUNNING:
            self._became_healthy(child)
        if state in RESTING and before not in RESTING:
            child.fault = child.due_s = child.kill_s = None
        match action:
            case Action.SPAWN:
                self._spawn(child)
            case Action.ASK_STOP:
                child.kill_s = self.now_s() + self.limits.stop_s
                self.record.event("STOP", name=child.name, pid=child.pid)
                self._signal(child, ask=True)
            case Action.KILL:
                child.kill_s = None
                self._signal(child, ask=False)
            case Action.DELAY:
                self._delay(child)
            case Action.NONE:
                pass
        if state is not before or action is not Action.NONE:
            self.on_change()

    def _note_request(self, child: Child, event: Event, before: State) -> None:
        """Take an operator's wish to start: whatever failed before has been looked at by somebody."""
        if event in {Event.START_ASKED, Event.RESTART_ASKED}:
            child.forget_failures()
        if event is Event.RESTART_ASKED and before in ALIVE:
            child.fault = Fault("asked by the operator", child.pid, self.now_s())

    def _spawn(self, child: Child) -> None:
        child.due_s = child.kill_s = child.healthy_from_s = None
        child.instance = self.new_instance()
        try:
            self.duties.grant(child.name, child.instance)
            child.running = self.spawner.spawn(child.name, child.instance)
        except OSError as error:
            self.record.warning("SPAWN_FAILED", name=child.name, error=str(error))
            child.last_reason = f"could not be started: {error}"
            self._failed(child, child.failures + 1)
            self.apply(child, Event.SPAWN_FAILED)
            return
        child.spawned_s = self.now_s()
        child.meter = SilenceMeter(child.instance, self.limits.look_s)
        fault, child.fault = child.fault, None
        if fault is None:
            self.record.event("START", name=child.name, pid=child.pid)
            return
        child.restarts += 1
        child.last_restart_ms = (child.spawned_s - fault.noticed_s) * 1000
        self.record.event(
            "RESTART",
            name=child.name,
            reason=fault.reason,
            old_pid=fault.old_pid,
            new_pid=child.pid,
            ms=child.last_restart_ms,
            restarts=child.restarts,
        )

    def _became_healthy(self, child: Child) -> None:
        child.healthy_from_s = self.now_s()
        self.record.event(
            "RUNNING", name=child.name, pid=child.pid, first_beat_ms=(child.healthy_from_s - child.spawned_s) * 1000
        )

    def _fell_silent(self, child: Child) -> None:
        silent_s = child.meter.silent_s if child.meter else 0.0
        what = "no first heartbeat for" if child.state is State.STARTING else "no heartbeat for"
        reason = f"{what} {silent_s:.1f} s"
        self.record.warning("HEARTBEAT_FAIL", name=child.name, pid=child.pid, reason=reason)
        child.fault = Fault(reason, child.pid, self.now_s(), silent=True)
        self.apply(child, Event.FELL_SILENT)

    def _died(self, child: Child, code: int) -> None:
        now_s, old_pid, was = self.now_s(), child.pid, child.state
        silent = child.fault is not None and child.fault.silent
        event = classify(was, code, wanted=child.wanted, silent=silent)
        spoke = code > 0 or event is Event.MISCONFIGURED
        reason = describe_exit(code, self.spawner.last_words(child.name) if spoke else "")
        silent_s = child.silent_s or 0.0
        healthy_s = now_s - child.healthy_from_s - silent_s if child.healthy_from_s is not None else 0.0
        child.running = child.meter = None
        child.last_code = code
        match event:
            case Event.CRASHED:
                if not silent:
                    child.fault = Fault(reason, old_pid, now_s)
                child.last_reason = child.fault.reason if child.fault else reason
                failures = self.policy.failures_after(child.failures, healthy_s)
                self.record.warning("DIED", name=child.name, pid=old_pid, reason=reason, failures=failures)
                self._failed(child, failures)
            case Event.MISCONFIGURED:
                child.last_reason = reason
                self.record.warning("FATAL", name=child.name, pid=old_pid, reason=reason, restart="no: configuration")
                remedy = f"correct it, then: pj restart {child.name}"
                self.duties.alert(AlertCode.MISCONFIGURED, child.name, f"{child.name} cannot run ({reason}); {remedy}")
            case Event.CYCLED:
                child.last_reason = "asked by the operator"
                self.record.event("STOPPED", name=child.name, pid=old_pid, reason=reason)
            case _:
                self._rested(child, event, old_pid, reason)
        self.apply(child, event)

    def _rested(self, child: Child, event: Event, old_pid: int | None, reason: str) -> None:
        """Note an end that nobody has to mend: the child stays down."""
        child.forget_failures()
        if event is not Event.LEFT:
            child.last_reason = "stopped by the operator"
            self.record.event("STOPPED", name=child.name, pid=old_pid, reason=reason)
            return
        child.last_reason = reason
        self.record.event("EXITED", name=child.name, pid=old_pid, reason=reason)
        text = f"{child.name} ended by itself ({reason}) and stays down; pj restart {child.name} starts it"
        self.duties.alert(AlertCode.LEFT, child.name, text)

    def _failed(self, child: Child, failures: int) -> None:
        """Count a failure; the one that makes too many within the window halts trading, once."""
        now_s = self.now_s()
        child.failures = failures
        child.failed_at_s = [*self.policy.recent(child.failed_at_s, now_s), now_s]
        if child.looping or self.closing or not self.policy.loops(child.failed_at_s, now_s):
            return
        child.looping = True
        count, span_s = len(child.failed_at_s), child.failed_at_s[-1] - child.failed_at_s[0]
        text = f"{child.name} failed {count} times in {span_s:.1f} s, last: {child.last_reason}"
        self.record.warning("CRASH_LOOP", name=child.name, failures=count, span_s=span_s, reason=child.last_reason)
        self.duties.halt_trading(AlertCode.CRASH_LOOP, text)
        remedy = "trading is halted; mend the cause, then: pj resume"
        self.duties.alert(AlertCode.CRASH_LOOP, child.name, f"{text}; {remedy}")

    def _note_steady(self, child: Child) -> None:
        """End a crash loop when the process has lived through a whole window: its next fault is a first one again."""
        if child.looping and child.healthy_from_s is not None:
            healthy_s = self.now_s() - child.healthy_from_s
            if healthy_s >= self.policy.window_s:
                child.forget_failures()
                self.record.event("STEADY", name=child.name, pid=child.pid, healthy_s=healthy_s)

    def _delay(self, child: Child) -> None:
        if child.looping:
            delay_s = self.policy.slow_delay_s(self.duties.slow_retry_s())
        else:
            delay_s = self.policy.delay_s(max(1, child.failures))
        child.due_s = self.now_s() + delay_s
        if delay_s > 0:
            slow = "slow" if child.looping else None
            self.record.event("BACKOFF", name=child.name, wait_s=delay_s, failures=child.failures, tries=slow)
        elif not self.closing:
            self.apply(child, Event.START_DUE)

    def _signal(self, child: Child, *, ask: bool) -> None:
        if child.running is None:
            return
        try:
            if ask:
                child.running.ask_stop()
            else:
                child.running.kill()
        except OSError as error:  # it died in this moment: its death is noticed in the next pass
            self.record.warning("SIGNAL_FAILED", name=child.name, pid=child.pid, error=str(error))
