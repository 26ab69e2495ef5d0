"""Obey the control file: stop, restart NAME, halt, resume, arm; each command is answered when it has been done."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pj.channels.control import ControlFile, ControlReader
from pj.channels.files import Locked, WriteFailed, replace_atomic
from pj.channels.tailer import TailBroken
from pj.supervision.child_fsm import Event, State

if TYPE_CHECKING:
    from pathlib import Path

    from pj.channels.control import ControlCommand
    from pj.channels.logs import EventLog
    from pj.channels.rundir import RunDir
    from pj.clock import Clock
    from pj.supervision.family import Family

VERBS = "stop, restart NAME, halt, resume or arm"


@dataclass(slots=True)
class Letterbox:
    """Read commands and do them; ``stop_reason`` is not empty once a stop was asked."""

    folder: RunDir
    family: Family
    log: EventLog
    clock: Clock
    stop_reason: str = ""
    _control: ControlReader = field(init=False)

    def __post_init__(self) -> None:
        """Begin to listen: commands that are older than this Sentinel are not for it."""
        self._control = ControlReader(self.folder.control)

    def obey(self) -> None:
        """Do what has been asked since the last call, and answer."""
        try:
            commands = self._control.commands()
        except (TailBroken, OSError) as error:
            self.log.warning("CONTROL_LOST", error=str(error))
            self._control.close()
            self._control = ControlReader(self.folder.control)
            return
        for command in commands:
            ok, text = self._do(command)
            self.log.event(
                "CONTROL", verb=command.verb, args=" ".join(command.args), sender=command.sender, ok=ok, text=text
            )
            try:
                now_ns = self.clock.now_ns()
                ControlFile(self.folder.control).answer(command.id, ok=ok, text=text, ts_ns=now_ns)
            except (Locked, WriteFailed) as error:
                self.log.warning("CONTROL_UNANSWERED", verb=command.verb, error=str(error))

    def _do(self, command: ControlCommand) -> tuple[bool, str]:
        """Do one command; return whether it was done, and one sentence."""
        match command.verb, command.args:
            case "stop", ():
                self.stop_reason = self.stop_reason or f"stop asked by {command.sender or 'the control file'}"
                return True, "stopping all processes"
            case "restart", (name,):
                return self._restart(name)
            case "halt", args:
                return self._halt(command.sender, " ".join(args))
            case "resume", ():
                return self._resume()
            case "arm", ():
                return self._arm()
            case verb, args:
                return False, f"command '{' '.join([verb, *args])}' is unknown; use {VERBS}"

    def _restart(self, name: str) -> tuple[bool, str]:
        child = self.family.children.get(name)
        if child is None:
            return False, f"there is no process {name!r}; use one of {', '.join(self.family.children)}"
        if self.stop_reason:
            return False, f"{name} is not restarted: the Sentinel is stopping"
        self.family.apply(child, Event.RESTART_ASKED)
        return True, f"{name} is {'stopping, then starting' if child.state is State.STOPPING else 'starting'}"

    def _halt(self, sender: str, why: str) -> tuple[bool, str]:
        text = f"{why or 'halt'} (by {sender or 'the control file'})\n"
        try:
            replace_atomic(self.folder.kill_switch, text.encode(), durable=True)
        except WriteFailed as error:
            return False, f"the kill switch could not be thrown: {error}"
        return True, f"kill switch thrown: {self.folder.kill_switch}; no entries until resume"

    def _resume(self) -> tuple[bool, str]:
        """Release the kill switch and let processes that looped try again at once."""
        was, trouble = _remove(self.folder.kill_switch)
        if trouble:
            return False, f"the kill switch could not be released: {trouble}"
        words = ["kill switch released" if was else "the kill switch was not thrown"]
        words += [f"{name} starts again" for name in self._let_loopers_try()]
        words += [
            f"{child.name} stays down ({child.last_reason}): pj restart {child.name}"
            for child in self.family.children.values()
            if child.state is State.FATAL
        ]
        if self.folder.disarmed.exists():
            words.append("entries wait for: pj arm")
        return True, "; ".join(words)

    def _let_loopers_try(self) -> list[str]:
        names = []
        for child in self.family.children.values():
            if child.looping and not self.stop_reason:
                names.append(child.name)
                self.family.apply(child, Event.START_ASKED)
        return names

    def _arm(self) -> tuple[bool, str]:
        """Let a live run send entries, once every process is as it should be."""
        if not self.folder.disarmed.exists():
            return True, "it was armed already"
        ill = [f"{child.name} is {child.state}" for child in self.family.children.values() if not child.healthy]
        if ill:
            return False, f"not armed: {', '.join(ill)}; wait until 'pj status' says that all processes beat"
        _was, trouble = _remove(self.folder.disarmed)
        if trouble:
            return False, f"not armed: {trouble}"
        self.log.warning("ARMED")
        kill = "; the kill switch is thrown: pj resume releases it" if self.folder.kill_switch.exists() else ""
        return True, f"armed: entries may be sent from now on{kill}"


def _remove(path: Path) -> tuple[bool, str]:
    """Remove ``path``; return whether it was there, and what went wrong."""
    try:
        path.unlink()
    except FileNotFoundError:
        return False, ""
    except OSError as error:
        return True, f"{error}; remove {path} by hand"
    return True, ""
