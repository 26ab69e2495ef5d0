"""Start the daemon with the machine: ``pj service show``, ``install``, ``uninstall`` and ``run``.

A service has neither this shell's environment nor its folder. So the settings are looked at as the service will see
them: the settings file, ``.env`` beside it and what this command line says; a setting that only this shell's
environment has is named and not taken along.
"""

from __future__ import annotations

import getpass
import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pj.channels.files import is_locked, replace_atomic
from pj.channels.logs import open_log
from pj.config import (
    ENV_CONFIG,
    ENV_PREFIX,
    PATH_KEYS,
    SECRET_KEYS,
    SECRET_VARIABLES,
    ConfigError,
    Settings,
    load_settings,
    without_settings,
)
from pj.supervision import service as files
from pj.verbs.common import Options, Refusal, Unavailable, overrides_of, print_json, run_dir_of, settings_of
from pj.verbs.readiness import problems

TOOL_S: Final = 60.0
SYSTEMS: Final[dict[files.Kind, str]] = {"systemd": "Linux", "launchd": "macOS", "task": "Windows"}


def show(options: Options) -> int:
    """Print the service file; raise Refusal, ConfigError."""
    kind: files.Kind = options["kind"] or this_kind()
    description, _ = describe(options)
    text = files.render(kind, description).decode("utf-16" if kind == "task" else "utf-8")
    path = file_of(kind, description.name)
    if options["json"]:
        print_json({"kind": kind, "path": str(path), "text": text})
        return 0
    print(text, end="" if text.endswith("\n") else "\n")
    where = str(path) if kind == this_kind() else f"for {SYSTEMS[kind]}; with the paths of this machine"
    where += "; saved by hand it must be UTF-16" if kind == "task" else ""
    sys.stderr.write(f"({where})\n")
    return 0


def install(options: Options) -> int:
    """Write the file and register it; raise Refusal, ConfigError, WriteFailed, Unavailable."""
    kind: files.Kind = options["kind"] or this_kind()
    if kind != this_kind() and not options["dry_run"]:
        raise Refusal(
            f"{kind} is {SYSTEMS[kind]}'s service manager and this machine's is {this_kind()}; run it there,"
            f" or look at the file with 'pj service show --kind {kind}'"
        )
    description, settings = describe(options)
    if kind == "launchd" and not options["dry_run"] and _ruled(settings):
        raise Refusal("the daemon runs, and launchd starts what is installed at once; stop it first: 'pj stop'")
    data = files.render(kind, description)
    act = Act(kind, description.name, dry_run=options["dry_run"])
    act.write(data)
    if kind == "launchd" and not act.dry_run:
        Path(description.log).parent.mkdir(parents=True, exist_ok=True)  # launchd makes the file, not its folder
    for command in act.commands_in():
        act.tell(command)
    report = {
        "kind": kind,
        "path": str(act.path),
        "dry_run": act.dry_run,
        "done": act.done,
        "notes": _notes(kind, settings),
        **act.words(),
    }
    if options["json"]:
        print_json(report)
    else:
        _print(report)
    return 0


def uninstall(options: Options) -> int:
    """Deregister the service and remove its file; raise Refusal while the daemon runs, Unavailable."""
    kind = this_kind()
    settings = settings_of(options)
    act = Act(kind, options["name"])
    installed = act.path.exists()
    if installed:
        if _ruled(settings):
            raise Refusal(f"the daemon runs in {settings.run_dir}; stop it first: 'pj stop'")
        for command in act.commands_out():
            act.tell(command)
        act.path.unlink()
        act.done.append(f"removed {act.path}")
        if kind == "systemd":
            act.tell(("systemctl", "--user", "daemon-reload"))
    report = {"kind": kind, "path": str(act.path), "installed": installed, "done": act.done}
    if options["json"]:
        print_json(report)
    else:
        print("\n".join(act.done) or f"nothing is installed: {act.path} is not there")
    return 0


def run(options: Options) -> int:
    """Keep the Sentinel until it ends for good; with ``settle`` a configuration that cannot run ends with 0 too."""
    from pj.supervision.keeper import Keeper, KeeperLimits, keep

    try:
        settings = settings_of(options)
        choice = choice_of(options["profile"], options, _config_named(options))
        folder = run_dir_of(settings).create()
        limits = KeeperLimits(
            files.RESTART_S, files.WATCHDOG_S, files.START_S, settings.supervision.stop_s + files.STOP_MARGIN_S
        )
        command = (sys.executable, "-P", "-m", "pj.cli", "up", "--headless", *choice)
        log = open_log(folder.root, "keeper")
        try:
            code = keep(Keeper(command, folder, limits, log))
        finally:
            log.close()
    except (ConfigError, Refusal) as error:
        if not options["settle"]:
            raise
        sys.stderr.write(f"{error}\n")
        code = 2
    return 0 if code == 2 and options["settle"] else code


def this_kind() -> files.Kind:
    """Return the service manager of this machine."""
    return {"win32": "task", "darwin": "launchd"}.get(sys.platform, "systemd")  # type: ignore[return-value]


def describe(options: Options) -> tuple[files.ServiceDescription, Settings]:
    """Return the description of the service this command line asks for and its settings; raise Refusal, ConfigError."""
    config = _config_named(options)
    env = without_settings(os.environ)
    if config is not None:
        env[ENV_CONFIG] = str(config)
    settings = load_settings(env, overrides_of(options))
    if settings.profile == "sim":
        raise Refusal("profile is sim: a service is for a real gateway; give --profile paper")
    if settings.profile == "live" and not options["live"]:
        raise Refusal("profile is live: real orders need --live as well ('pj service install --profile live --live')")
    if options["live"] and settings.profile != "live":
        raise Refusal(f"--live was given, but profile is {settings.profile}; give --profile live or leave --live out")
    found = problems(settings, env)
    if found:
        only = _only_here()
        more = f" (a service does not see this shell's {', '.join(only)}: put it into .env)" if only else ""
        raise Refusal(found[0] + more)
    folder = config.parent if config is not None else Path.cwd()
    description = files.ServiceDescription(
        name=options["name"],
        what=f"PJ Engine ({settings.profile})",
        program=_program(),
        choice=choice_of(settings.profile, options, config),
        folder=str(folder),
        log=str(settings.run_dir / "logs" / "service.out"),
        user=f"{os.environ.get('USERDOMAIN') or platform.node()}\\{getpass.getuser()}",
        stop_s=settings.supervision.stop_s,
    )
    return description, settings


def choice_of(profile: str | None, options: Options, config: Path | None) -> tuple[str, ...]:
    """Return the settings part of the service's command line, paths absolute; raise Refusal for a secret."""
    words = ["--profile", profile] if profile else []
    words += ["--live"] if options["live"] else []
    words += ["--config", str(config)] if config is not None else []
    for key, value in overrides_of(options).items():
        if key in SECRET_KEYS:
            raise Refusal(f"{key} is a secret and a service file can be read by others; put it into .env")
        text = str(Path(value).expanduser().absolute()) if key in PATH_KEYS else value
        words += ["--run-dir", text] if key == "run_dir" else [] if key == "profile" else ["--set", f"{key}={text}"]
    return tuple(words)


def file_of(kind: files.Kind, name: str) -> Path:
    """Return where the service manager of the user looks for the file (a task's file is only read at /Create)."""
    match kind:
        case "systemd":
            home = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
            return Path(home) / "systemd" / "user" / f"{name}.service"
        case "launchd":
            return Path.home() / "Library" / "LaunchAgents" / f"{files.launchd_label(name)}.plist"
        case "task":
            return Path(os.environ.get("LOCALAPPDATA") or Path.home()) / "pj-engine" / f"{name}.xml"


@dataclass(slots=True)
class Act:
    """Do, or with ``dry_run`` only name, the steps of one installation; ``done`` tells them in order."""

    kind: files.Kind
    name: str
    dry_run: bool = False
    done: list[str] = field(default_factory=list)
    path: Path = field(init=False)

    def __post_init__(self) -> None:
        """Find the file."""
        self.path = file_of(self.kind, self.name)

    def commands_in(self) -> list[tuple[str, ...]]:
        """Return the commands that register the written file."""
        match self.kind:
            case "systemd":
                return [("systemctl", "--user", "daemon-reload"), ("systemctl", "--user", "enable", self._unit)]
            case "launchd":
                return [*self.commands_out(), ("launchctl", "bootstrap", _domain(), str(self.path))]
            case "task":
                return [("schtasks", "/Create", "/TN", self.name, "/XML", str(self.path), "/F")]

    def commands_out(self) -> list[tuple[str, ...]]:
        """Return the commands that take the service away while its file is still there."""
        match self.kind:
            case "systemd":
                return [("systemctl", "--user", "disable", "--now", self._unit)]
            case "launchd":
                leave = ("launchctl", "bootout", f"{_domain()}/{files.launchd_label(self.name)}")
                return [leave] if self._loaded() else []
            case "task":
                return [("schtasks", "/Delete", "/TN", self.name, "/F")]

    def write(self, data: bytes) -> None:
        """Put the file in its place whole; raise WriteFailed."""
        if not self.dry_run:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            replace_atomic(self.path, data, durable=True)
        self.done.append(f"{'would write' if self.dry_run else 'wrote'} {self.path}")

    def tell(self, command: tuple[str, ...]) -> None:
        """Run a command of the service manager; raise Unavailable with the manager's own words."""
        line = subprocess.list2cmdline(command)
        if self.dry_run:
            self.done.append(f"would run {line}")
            return
        told = _ask(command)
        if told is None:
            raise Unavailable(self._so_far(f"{command[0]} is not on this machine, so nothing was registered"))
        if told.returncode != 0:
            said = " ".join((told.stderr or told.stdout).split()) or "without a word"
            raise Unavailable(self._so_far(f"'{line}' failed with {told.returncode}: {said}"))
        self.done.append(f"ran {line}")

    def words(self) -> dict[str, str]:
        """Return how to start, stop and remove the service."""
        remove = "pj service uninstall" + ("" if self.name == files.DEFAULT_NAME else f" --name {self.name}")
        match self.kind:
            case "systemd":
                start = f"systemctl --user start {self._unit}"
                return {"start": start, "stop": f"systemctl --user stop {self._unit}", "remove": remove}
            case "launchd":
                label = files.launchd_label(self.name)
                return {"start": f"launchctl kickstart {_domain()}/{label}", "stop": "pj stop", "remove": remove}
            case "task":
                return {"start": f"schtasks /Run /TN {self.name}", "stop": "pj stop", "remove": remove}

    @property
    def _unit(self) -> str:
        return f"{self.name}.service"

    def _loaded(self) -> bool:
        if self.dry_run:
            return False
        told = _ask(("launchctl", "print", f"{_domain()}/{files.launchd_label(self.name)}"))
        return told is not None and told.returncode == 0

    def _so_far(self, trouble: str) -> str:
        return f"{trouble} (done before: {'; '.join(self.done) or 'nothing'}); mend that and do it again"


def _print(report: dict[str, Any]) -> None:
    for line in (*report["done"], *report["notes"]):
        print(line)
    for what in ("start", "stop", "remove"):
        print(f"{what + ':':<8}{report[what]}")


def _notes(kind: files.Kind, settings: Settings) -> list[str]:
    notes = {
        "systemd": "It starts when you log in; with the machine after 'loginctl enable-linger'. It is not started now.",
        "launchd": "It starts when you log in, and has been started now.",
        "task": "It starts when you log in. It is not started now.",
    }
    live = "profile live: each start is disarmed; no entry is sent until 'pj arm'."
    only = _only_here()
    unseen = f"The service does not see this shell's {', '.join(only)}; what it needs of them belongs into .env."
    return [notes[kind], *([live] if settings.profile == "live" else []), *([unseen] if only else [])]


def _config_named(options: Options) -> Path | None:
    """Return the settings file that this command line means, absolute; None when there is none."""
    named = options["config"] or os.environ.get(ENV_CONFIG)
    path = Path(named or "config.yaml").expanduser().absolute()
    if not path.is_file():
        if named:
            raise Refusal(f"the settings file {str(path)!r} is not a file; correct the path")
        return None
    return path


def _only_here() -> list[str]:
    """Return the settings that this shell's environment has, by name; their values may be secret."""
    return sorted(name for name in os.environ if name.startswith(ENV_PREFIX) or name in SECRET_VARIABLES)


def _program() -> str:
    """Return the Python that the service runs; raise Refusal when it cannot run us without this shell."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    command = (sys.executable, "-P", "-m", "pj.cli", "--version")
    done = subprocess.run(command, env=env, capture_output=True, timeout=TOOL_S, check=False)
    if done.returncode != 0:
        raise Refusal(f"{sys.executable} does not know pj without this shell's PYTHONPATH; install it: scripts/pj.py")
    return sys.executable


def _ruled(settings: Settings) -> bool:
    return is_locked(run_dir_of(settings).state_folder / "sentinel.lock")


def _ask(command: tuple[str, ...]) -> subprocess.CompletedProcess[str] | None:
    """Run a tool of the system; None when it is not here. Raise Unavailable when it does not come back."""
    tool = shutil.which(command[0])
    if tool is None:
        return None
    try:
        return subprocess.run(
            (tool, *command[1:]), capture_output=True, text=True, errors="replace", timeout=TOOL_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise Unavailable(f"{command[0]} has not answered within {TOOL_S:.0f} s; try again") from None


if sys.platform == "win32":

    def _domain() -> str:
        return "gui/0"

else:

    def _domain() -> str:
        return f"gui/{os.getuid()}"
