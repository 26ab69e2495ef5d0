"""Do what the children's history demands beyond restarting them: halt trading, call the operator, close positions."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from pj.calendar import CalendarError, Sessions
from pj.channels.alerts import Alert, AlertCode, raise_alert
from pj.channels.fence import grant
from pj.channels.files import Locked, WriteFailed, replace_atomic
from pj.supervision.alarms import AlarmWatch
from pj.supervision.spawn import module_command, outliving_options

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pj.channels.logs import EventLog
    from pj.channels.rundir import RunDir
    from pj.clock import Clock
    from pj.supervision.terminal import Terminal

FENCED: Final = "engine"
BELL: Final = "\a"
FLATTEN: Final = module_command("pj.cli", "flatten", "--yes")
#: An operator who closes the console with q wants it so; every other process that leaves by itself is missed.
MAY_LEAVE: Final = frozenset({"dashboard"})


@dataclass(frozen=True, slots=True)
class HaltRules:
    """Hold what the settings say of a halt: real seconds between slow tries, and what becomes of positions."""

    slow_open_s: float = 60.0
    slow_closed_s: float = 900.0
    flatten: bool = False


@dataclass(slots=True)
class HouseDuties:
    """Fulfil the family's Duties in one run folder."""

    folder: RunDir
    log: EventLog
    terminal: Terminal
    clock: Clock
    rules: HaltRules
    env: Mapping[str, str]
    flatten_command: Sequence[str] = FLATTEN
    _flattening: subprocess.Popen[bytes] | None = field(default=None, init=False)
    _alarms: AlarmWatch = field(init=False)

    def __post_init__(self) -> None:
        """Begin to follow the engine's alarms."""
        self._alarms = AlarmWatch(self.folder, self.log, lambda text: self.terminal.say(BELL + text))

    def grant(self, name: str, instance: str) -> None:
        """Give the newborn engine the fence that every sending asks for; the others send nothing."""
        if name == FENCED:
            grant(self.folder, name, instance)

    def slow_retry_s(self) -> float:
        """Return the period of slow tries: short while the market is open or nobody knows whether it is."""
        try:
            sessions, now_ns = Sessions.load(self.folder.session_file), self.clock.now_ns()
            is_open = sessions.is_open(now_ns) or not sessions.covers(now_ns)
        except CalendarError:
            is_open = True
        return self.rules.slow_open_s if is_open else self.rules.slow_closed_s

    def alert(self, code: AlertCode, name: str, text: str) -> None:
        """Put the alert into the log, into alerts.jsonl and onto the terminal; a full disk takes only the file."""
        if code is AlertCode.LEFT and name in MAY_LEAVE:
            return
        self.log.warning("ALERT", code=code, name=name, text=text)
        self.terminal.say(f"{BELL}ALERT {code}: {text}")
        try:
            raise_alert(self.folder.alerts, Alert(self.clock.now_ns(), code, name, text))
        except (Locked, WriteFailed) as error:
            self.log.warning("ALERT_UNWRITTEN", error=str(error))

    def halt_trading(self, code: AlertCode, text: str) -> None:
        """Throw the kill switch, and close the positions if the settings say so; an older reason is kept."""
        moment = datetime.now(tz=UTC).isoformat(timespec="seconds")
        try:
            if not self.folder.kill_switch.exists():
                line = f"{code} {text} (by the Sentinel, {moment})\n"
                replace_atomic(self.folder.kill_switch, line.encode(), durable=True)
            self.log.warning("HALTED", code=code, text=text, positions="flatten" if self.rules.flatten else "hold")
        except WriteFailed as error:
            self.log.error("HALT_UNWRITTEN", error=str(error))  # noqa: TRY400 - one sentence
        if self.rules.flatten and self._flattening is None:
            self._flatten()

    def step(self) -> None:
        """Tell the engine's new alarms, and how the flattening ended, once it has."""
        self._alarms.step()
        process = self._flattening
        code = process.poll() if process is not None else None
        if process is None or code is None:
            return
        self._flattening = None
        words = {0: "positions are verified flat", 1: "positions are NOT verified flat: look at the broker now"}
        text = f"pj flatten: {words.get(code, f'ended with exit code {code}: look at the broker now')}"
        self.alert(AlertCode.FLATTENED, "flatten", text)

    def close(self) -> None:
        """Tell the last alarms, and leave a flattening that still runs to its end: it needs no Sentinel."""
        self._alarms.step()
        if self._flattening is not None:
            self.log.warning("FLATTEN_RUNS_ON", pid=self._flattening.pid)

    def _flatten(self) -> None:
        try:
            with (self.folder.logs / "flatten.out").open("ab") as out:
                self._flattening = subprocess.Popen(
                    list(self.flatten_command),
                    env=dict(self.env),
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=out,
                    **outliving_options(sys.platform),
                )
        except OSError as error:
            self.alert(AlertCode.FLATTENED, "flatten", f"pj flatten could not be started: {error}; do it by hand now")
            return
        self.log.warning("FLATTENING", pid=self._flattening.pid)
