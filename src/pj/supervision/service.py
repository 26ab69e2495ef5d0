"""Describe the daemon once and write that description as systemd, launchd and Windows' Task Scheduler read it. Pure.

The service manager watches the Sentinel as the Sentinel watches its children. What it must do with an exit code is
the same everywhere: 0 (the operator stopped it) and 2 (configuration) are not started again, everything else is,
``restart_s`` later and without a last try. A Sentinel that is silent for ``watchdog_s`` is killed and started again.

* systemd does all of it: the Sentinel is its own service (``pj up``) and pings (Type=notify, WatchdogSec).
* launchd knows only "0 or not 0" and no watchdog; Task Scheduler starts a failed task at most 255 times, a minute
  later, and no document of its maker says that an exit code is a failure. There ``pj service run`` (keeper.py) stands
  between, keeps these rules, and is itself started at logon by the manager. It ends with 0 where a start would not
  help (--settle), because the manager would start any other code again.

No environment and no secret stands in any of the files: ``.env`` beside the settings file is read by the daemon
itself. A value that a manager would change on its way (a control character, ``%NAME%`` on Windows) is refused.
"""

from __future__ import annotations

import math
import plistlib
import re
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from pj.settings_text import ConfigError

Kind = Literal["systemd", "launchd", "task"]
KINDS: Final[tuple[Kind, ...]] = ("systemd", "launchd", "task")
DEFAULT_NAME: Final = "pj-engine"
RESTART_S: Final = 5
WATCHDOG_S: Final = 15
#: The calendar library, imported before the first beat, takes seconds on a slow machine; so do leftovers to be ended.
START_S: Final = 120
#: What a manager waits beyond the Sentinel's own stop before it kills what is left.
STOP_MARGIN_S: Final = 10
TASK_NAMESPACE: Final = "http://schemas.microsoft.com/windows/2004/02/mit/task"
#: Task Scheduler's own limits (restartType): at least a minute, at most 255 times.
TASK_RESTART_INTERVAL: Final = "PT1M"
TASK_RESTART_COUNT: Final = "255"
#: Priority 7, the default, is below normal and slows the disk down as well; 4 to 6 are normal.
TASK_PRIORITY: Final = "5"

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", re.ASCII)
#: systemd refuses these in the name of a program (string_is_safe), however they are quoted.
_UNSAFE_PROGRAM: Final = re.compile(r"[\"'\\]")
_ABSOLUTE: Final = re.compile(r"/|[A-Za-z]:[\\/]|\\\\")
_WINDOWS_VARIABLE: Final = re.compile(r"%[^%]+%|\$\(Arg\d+\)")


class ServiceError(ConfigError):
    """Report a value that a service file cannot carry, in one sentence."""


@dataclass(frozen=True, slots=True)
class ServiceDescription:
    r"""Describe the daemon as a service; paths are absolute texts of the system it is for, times real seconds.

    ``choice`` is the part of the command line that names settings (``--profile paper --config FILE``), ``stop_s`` the
    Sentinel's own time to stop its children, ``log`` the file for output where the manager keeps none, ``user`` whom a
    Windows task belongs to (``MACHINE\name``).
    """

    name: str
    what: str
    program: str
    choice: tuple[str, ...]
    folder: str
    log: str
    user: str = ""
    stop_s: float = 5.0
    restart_s: int = RESTART_S
    watchdog_s: int = WATCHDOG_S
    start_s: int = START_S

    def __post_init__(self) -> None:
        """Refuse what no service file can carry; raise ServiceError."""
        if not _NAME.fullmatch(self.name):
            raise ServiceError(f"service name {self.name!r} cannot be used; take letters, digits, '-', '_' and '.'")
        for text in (self.what, self.program, *self.choice, self.folder, self.log, self.user):
            if any(ord(letter) < 32 or 127 <= ord(letter) < 160 or not _in_xml(letter) for letter in text):
                raise ServiceError(f"{text!r} holds a character that no service file can carry; rename that folder")

    @property
    def sentinel_command(self) -> tuple[str, ...]:
        """Return the command line of the Sentinel itself."""
        return (self.program, "-P", "-m", "pj.cli", "up", "--headless", *self.choice)

    @property
    def keeper_command(self) -> tuple[str, ...]:
        """Return the command line of the keeper, which starts and watches the Sentinel."""
        return (self.program, "-P", "-m", "pj.cli", "service", "run", "--settle", *self.choice)

    @property
    def stop_limit_s(self) -> int:
        """Return the whole seconds after which a manager may kill what still lives."""
        return math.ceil(self.stop_s) + STOP_MARGIN_S


def render(kind: Kind, service: ServiceDescription) -> bytes:
    """Return the bytes of the service file for ``kind``; raise ServiceError."""
    match kind:
        case "systemd":
            return systemd_unit(service).encode()
        case "launchd":
            return launchd_plist(service)
        case "task":
            return task_xml(service)


def systemd_unit(service: ServiceDescription) -> str:
    """Return a unit for the user's systemd (244 or later); raise ServiceError.

    KillMode=mixed asks the Sentinel alone to stop, so that its stop order holds, and kills whatever it leaves.
    SIGKILL on a missed ping, because a hung process answers nothing gentler; LimitCORE=0, because a core file would
    hold the webhook's address. StartLimitIntervalSec=0: a Sentinel that fails again and again is tried for ever.
    """
    _absolute(service.program, service.folder)
    return f"""\
# Written by 'pj service install'; what is changed here is lost at the next one.
[Unit]
Description={service.what.replace("%", "%%")}
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
ExecStart={_systemd_command(service.sentinel_command)}
WorkingDirectory={_systemd_path(service.folder)}
Restart=on-failure
RestartSec={service.restart_s}
RestartPreventExitStatus=2
WatchdogSec={service.watchdog_s}
WatchdogSignal=SIGKILL
TimeoutStartSec={service.start_s}
TimeoutStopSec={service.stop_limit_s}
KillMode=mixed
LimitCORE=0
SyslogIdentifier={service.name}

[Install]
WantedBy=default.target
"""


def launchd_label(name: str) -> str:
    """Return launchd's label of the service."""
    return f"local.{name}"


def launchd_plist(service: ServiceDescription) -> bytes:
    """Return a LaunchAgent's property list; raise ServiceError.

    Interactive, because launchd slows the processor and the disk of a background process down.
    """
    _absolute(service.program, service.folder)
    return plistlib.dumps(
        {
            "Label": launchd_label(service.name),
            "ProgramArguments": list(service.keeper_command),
            "WorkingDirectory": service.folder,
            "RunAtLoad": True,
            "KeepAlive": {"SuccessfulExit": False},
            "ThrottleInterval": 10,
            "ExitTimeOut": service.stop_limit_s + STOP_MARGIN_S,  # the keeper waits stop_limit_s itself
            "ProcessType": "Interactive",
            "StandardOutPath": service.log,
            "StandardErrorPath": service.log,
            "HardResourceLimits": {"Core": 0},
        }
    )


def task_xml(service: ServiceDescription) -> bytes:
    """Return a task for Windows' Task Scheduler, UTF-16 with a byte-order mark; raise ServiceError."""
    _absolute(service.program, service.folder)
    if not service.user:
        raise ServiceError("a Windows task needs the name of the user at whose logon it starts; none was given")
    command = service.keeper_command
    for text in (*command, service.folder):
        if found := _WINDOWS_VARIABLE.search(text):
            raise ServiceError(f"{text!r} holds {found[0]!r}, which Task Scheduler would replace; rename that folder")
    ET.register_namespace("", TASK_NAMESPACE)
    task = ET.Element(f"{{{TASK_NAMESPACE}}}Task", {"version": "1.2"})
    _add(task, {"RegistrationInfo": {"Description": service.what, "URI": f"\\{service.name}"}})
    _add(task, {"Triggers": {"LogonTrigger": {"Enabled": "true", "UserId": service.user}}})
    principal = {"UserId": service.user, "LogonType": "InteractiveToken", "RunLevel": "LeastPrivilege"}
    _add(_add(task, {"Principals": {}}), {"Principal": principal}).set("id", "Author")
    _add(
        task,
        {
            "Settings": {
                "MultipleInstancesPolicy": "IgnoreNew",
                "DisallowStartIfOnBatteries": "false",
                "StopIfGoingOnBatteries": "false",
                "AllowHardTerminate": "true",
                "StartWhenAvailable": "true",
                "RunOnlyIfNetworkAvailable": "false",
                "IdleSettings": {"StopOnIdleEnd": "false", "RestartOnIdle": "false"},
                "AllowStartOnDemand": "true",
                "Enabled": "true",
                "ExecutionTimeLimit": "PT0S",
                "Priority": TASK_PRIORITY,
                "RestartOnFailure": {"Interval": TASK_RESTART_INTERVAL, "Count": TASK_RESTART_COUNT},
            }
        },
    )
    # list2cmdline is the inverse of CommandLineToArgvW, by which Python's start on Windows reads its arguments.
    arguments = subprocess.list2cmdline(command[1:])
    run = {"Exec": {"Command": command[0], "Arguments": arguments, "WorkingDirectory": service.folder}}
    _add(task, {"Actions": run}).set("Context", "Author")
    ET.indent(task)
    return b"\xff\xfe" + ('<?xml version="1.0" encoding="UTF-16"?>\n' + ET.tostring(task, "unicode")).encode(
        "utf-16-le"
    )


_Tree = Mapping[str, "str | _Tree"]


def _add(parent: ET.Element, tree: _Tree) -> ET.Element:
    """Add the elements of ``tree`` and return the last of them."""
    element = parent
    for name, value in tree.items():
        element = ET.SubElement(parent, f"{{{TASK_NAMESPACE}}}{name}")
        if isinstance(value, str):
            element.text = value
        else:
            _add(element, value)
    return element


def _systemd_command(command: tuple[str, ...]) -> str:
    """Return an ExecStart value; the colon (systemd 244) switches the replacing of $VARIABLES off."""
    if _UNSAFE_PROGRAM.search(command[0]):
        command = (
            "/bin/sh",
            "-c",
            'exec "$@"',
            "sh",
            *command,
        )  # exec: the process that systemd watches stays this one
    return " ".join(_systemd_word(word) for word in (":" + command[0], *command[1:]))


def _systemd_word(text: str) -> str:
    """Return one word of a command line by systemd.syntax(7): in quotes, nothing in it special any more."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%") + '"'


def _systemd_path(text: str) -> str:
    """Return a path for a setting that takes the whole line: no quotes there, but specifiers."""
    if text != text.strip() or text.endswith("\\"):
        raise ServiceError(f"folder {text!r} begins or ends with what systemd would not keep; rename it")
    return text.replace("%", "%%")


def _absolute(*paths: str) -> None:
    for path in paths:
        if not _ABSOLUTE.match(path):
            raise ServiceError(f"{path!r} is no absolute path; a service has no folder of its own to start from")


def _in_xml(letter: str) -> bool:
    return not ("\ud800" <= letter <= "\udfff" or letter in "\ufffe\uffff")
