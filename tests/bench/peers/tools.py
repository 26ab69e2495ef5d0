"""Start each supervisor over the same four children, and read what became of them.

Every peer runs twice: with its defaults, and tuned as far as its own documentation allows.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from pj.calendar import ensure_sessions
from pj.channels.rundir import RunDir
from pj.channels.stats import read_stats
from pj.config import Settings, overrides_to_env, without_settings

HERE = Path(__file__).parent
CHILD = str(HERE / "child.py")
ENTRY = str(HERE / "sentinel_entry.py")
NAMES = ("bridge", "engine", "scribe", "dashboard")
START_LIMIT_S = 60.0


class BenchFailed(Exception):
    """Report that the benchmark cannot go on."""


@dataclass(frozen=True, slots=True)
class Place:
    """Say where one tool runs (``folder``), which mode each child has, and where the peers' programs lie."""

    folder: Path
    modes: Mapping[str, str]
    programs: Path
    #: The Sentinel halts a child that fails too often; the trials that kill it on purpose lift that limit.
    lift_limits: bool = False

    def child(self, name: str, udp_port: int = 0) -> str:
        """Return a child's command line for a configuration file."""
        words = [sys.executable, "-P", CHILD, str(self.folder), name, self.modes[name], str(udp_port)]
        return shlex.join(words).replace("%", "%%")


Launch = tuple[list[str], dict[str, str]]


@dataclass(frozen=True, slots=True)
class Tool:
    """Describe one supervisor in one configuration; ``poll_s`` is the longest period of its own loop."""

    name: str
    note: str
    poll_s: float
    configure: Callable[[Place], Launch]
    #: What its log says when it sees a crash loop.
    gave_up: str


def sentinel(place: Place) -> Launch:
    """Return the launch of the product's Sentinel with its default settings."""
    keys = {"run_dir": str(place.folder), "profile": "sim"}
    if place.lift_limits:
        keys["supervision.max_restarts"] = "100000"
    run_folder = RunDir(place.folder, Settings().instrument)
    run_folder.create()
    sessions = place.folder.parent / "sessions.json"
    ensure_sessions(sessions, time.time_ns())  # as `pj up` does before it starts the Sentinel
    shutil.copy(sessions, run_folder.session_file)
    pairs = [f"{name}={mode}" for name, mode in place.modes.items()]
    command = [sys.executable, "-P", ENTRY, str(place.folder), *pairs]
    return command, {**without_settings(os.environ), **overrides_to_env(keys)}


def supervisord(place: Place, program: str = "") -> Launch:
    """Return the launch of supervisord; ``program`` are further lines of each program's section."""
    lines = ["[supervisord]", "nodaemon=true", f"logfile={place.folder}/supervisord.log"]
    lines += [f"pidfile={place.folder}/supervisord.pid", f"childlogdir={place.folder}"]
    for name in place.modes:
        lines += [f"[program:{name}]", f"command={place.child(name)}", program]
    return _with_file(place, "supervisord.conf", lines, "supervisord", "-c")


def supervisord_tuned(place: Place) -> Launch:
    """Return supervisord with restarts that wait for nothing and never give up."""
    return supervisord(place, "autorestart=true\nstartsecs=0")


def circus(place: Place) -> Launch:
    """Return the launch of circus with its defaults."""
    return _circus(place, [], [], 0)


def circus_tuned(place: Place) -> Launch:
    """Return circus checking 10 times a second, with its watchdog (our silence limit, 5 s) and flapping plugins."""
    port = free_port(socket.SOCK_DGRAM)
    watchdog = ["[plugin:watchdog]", "use=circus.plugins.watchdog.WatchDog", "loop_rate=1", "max_count=5"]
    # By default it would watch, and kill, the plugins too: they send no heartbeat.
    watchdog += [f"watchers_regex=^({'|'.join(place.modes)})$", f"port={port}"]
    watchdog += ["watchers_stop_signal=SIGKILL", "watchers_graceful_timeout=1"]
    flapping = ["[plugin:flapping]", "use=circus.plugins.flapping.Flapping", "max_retry=-1"]
    return _circus(place, ["check_delay=0.1"], [*watchdog, *flapping], port)


def _circus(place: Place, general: list[str], plugins: list[str], udp_port: int) -> Launch:
    lines = ["[circus]", *general, f"endpoint=tcp://127.0.0.1:{free_port()}"]
    lines += [f"pubsub_endpoint=tcp://127.0.0.1:{free_port()}", *plugins]
    for name in place.modes:
        lines += [f"[watcher:{name}]", f"cmd={place.child(name, udp_port)}", "copy_env=True", "warmup_delay=0"]
    return _with_file(place, "circus.ini", lines, "circusd")


def _with_file(place: Place, name: str, lines: list[str], program: str, *options: str) -> Launch:
    (place.folder / "state").mkdir(parents=True)
    path = place.folder / name
    path.write_text("\n".join(lines) + "\n")
    return [str(place.programs / program), *options, str(path)], dict(os.environ)


def free_port(kind: int = socket.SOCK_STREAM) -> int:
    """Return a port that was free a moment ago."""
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


SENTINEL = Tool("sentinel", "default settings", 0.25, sentinel, r" ALERT | HALTED|TRADING_HALT")
#: Its flapping plugin has no log of its own; what it does shows as a stop of the watcher.
LOOP_OF_CIRCUS = r"flapping detected| stopped$"
PEERS = {
    "supervisord": (
        Tool("supervisord", "defaults", 1.0, supervisord, "gave up"),
        Tool("supervisord*", "startsecs=0 autorestart=true", 1.0, supervisord_tuned, "gave up"),
    ),
    "circus": (
        Tool("circus", "defaults", 5.0, circus, LOOP_OF_CIRCUS),
        Tool("circus*", "check_delay=0.1, plugins watchdog (5 s) and flapping", 0.1, circus_tuned, LOOP_OF_CIRCUS),
    ),
}


@dataclass(slots=True)
class Started:
    """Hold one running supervisor and read its children's books."""

    tool: Tool
    place: Place
    command: list[str]
    env: dict[str, str]
    process: subprocess.Popen[bytes] = field(init=False)
    helpers: list[psutil.Process] = field(default_factory=list)

    def launch(self) -> None:
        """Start the supervisor, in a session of its own and with its output in a file."""
        with (self.place.folder / "out.txt").open("ab") as out:
            self.process = subprocess.Popen(
                self.command,
                env=self.env,
                cwd=self.place.folder,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )

    def births(self, name: str = "") -> list[tuple[str, int, int]]:
        """Return (name, pid, born_ns) of each first instruction so far."""
        path = self.place.folder / "births.txt"
        text = path.read_text() if path.exists() else ""
        rows = [line.split() for line in text[: text.rfind("\n") + 1].splitlines()]
        return [(owner, int(pid), int(ns)) for owner, pid, ns in rows if name in {"", owner}]

    def beat(self, name: str) -> tuple[int, int]:
        """Return the pid and number of a child's last heartbeat, (0, 0) before the first."""
        stats = read_stats(self.place.folder / "state" / f"{name}.stats.json")
        return (stats.pid, stats.beat_seq) if stats else (0, 0)

    def ready(self, name: str) -> bool:
        """Tell whether the youngest process of a child has beaten."""
        births = self.births(name)
        return bool(births) and self.beat(name)[0] == births[-1][1]

    def copies(self, name: str) -> int:
        """Return how many processes of one child live."""
        return sum(1 for _, pid, _ in self.births(name) if self._lives(pid))

    def _lives(self, pid: int) -> bool:
        try:
            process = psutil.Process(pid)
            return process.status() != psutil.STATUS_ZOMBIE and str(self.place.folder) in process.cmdline()
        except psutil.Error:
            return False

    def own(self) -> list[psutil.Process]:
        """Return the supervisor's processes: itself and its helpers, not the children that it watches."""
        root = psutil.Process(self.process.pid)
        return [root, *(one for one in root.children(recursive=True) if CHILD not in command_line(one, [CHILD]))]

    def log_lines(self, pattern: str) -> list[str]:
        """Return the lines of its logs that match."""
        paths = [self.place.folder / name for name in ("out.txt", "supervisord.log", "logs/sentinel.log")]
        lines = [line for path in paths if path.exists() for line in path.read_text(errors="replace").splitlines()]
        return [line for line in dict.fromkeys(lines) if re.search(pattern, line)]

    def alerts(self) -> int:
        """Return the rows of the alert file; only the product writes one."""
        path = self.place.folder / "state" / "alerts.jsonl"
        return len(path.read_text().splitlines()) if path.exists() else 0

    def kill(self) -> None:
        """Send SIGKILL to the supervisor alone, and reap it; remember its helpers."""
        if self.process.poll() is None:
            self.helpers += self.own()
            self.process.kill()
        self.process.wait()

    def end(self) -> None:
        """Kill the supervisor, its helpers and every child that is left, and wait until they are gone."""
        self.kill()
        for _ in range(2):  # a child may just have been forked and show itself a moment later
            doomed = [one for one in [*self.helpers, *self._children()] if one.is_running()]
            for one in doomed:
                try:
                    one.kill()
                except psutil.NoSuchProcess:
                    continue
            psutil.wait_procs(doomed, 5)
            time.sleep(0.1)

    def _children(self) -> Iterator[psutil.Process]:
        for one in psutil.process_iter():
            words = command_line(one, [])
            if CHILD in words and str(self.place.folder) in words:
                yield one


def command_line(process: psutil.Process, gone: list[str]) -> list[str]:
    """Return a process's command line, ``gone`` when it has ended or is only a zombie."""
    try:
        return process.cmdline()
    except psutil.Error:
        return gone


def begin(tool: Tool, place: Place) -> Started:
    """Configure and launch ``tool`` and return it; its children may not have started yet."""
    started = Started(tool, place, *tool.configure(place))
    started.launch()
    return started


def wait_until(what: Callable[[], bool], limit_s: float, step_s: float = 0.005) -> bool:
    """Wait until ``what`` is so and return True, or False after ``limit_s``."""
    deadline = time.monotonic() + limit_s
    while not what():
        if time.monotonic() > deadline:
            return False
        time.sleep(step_s)
    return True


def await_start(started: Started) -> None:
    """Wait until every healthy child beats; raise BenchFailed when one does not."""
    names = [name for name, mode in started.place.modes.items() if mode == "healthy"]
    if not wait_until(lambda: all(started.ready(name) for name in names), START_LIMIT_S, 0.02):
        words = (started.place.folder / "out.txt").read_text(errors="replace")[-600:]
        raise BenchFailed(
            f"{started.tool.name} did not bring up {names} within {START_LIMIT_S:.0f} s; it said: {words}"
        )
