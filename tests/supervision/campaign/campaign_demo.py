"""Run the whole system as ``pj demo`` starts it, hurt it, and read what it says of itself."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import psutil
from campaign_plan import CHILDREN

from pj.channels.stats import Stats, read_stats
from pj.demo.plan import plan_from_options
from pj.demo.run import DemoRun, start

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path
    from random import Random

#: What a gauge of a fresh process must have reached again before its state counts as restored.
RESTORED: Final = {"engine": "journal_seq", "scribe": "acked", "bridge": "", "dashboard": ""}
LOG_LINE: Final = re.compile(r"(\S+) (\w+) (\w+)((?: \w+=(?:\"(?:[^\"\\]|\\.)*\"|\S+))*)")
LOG_FIELD: Final = re.compile(r" (\w+)=(\"(?:[^\"\\]|\\.)*\"|\S+)")


@dataclass(frozen=True, slots=True)
class LogLine:
    """Hold one line of sentinel.log."""

    ts: str
    level: str
    event: str
    fields: Mapping[str, str]


def wait_for(what: str, test: Callable[[], object], limit_s: float, step_s: float = 0.02) -> float:
    """Wait until ``test`` is true and return the seconds it took; fail naming ``what`` after ``limit_s``."""
    begun = time.monotonic()
    while not test():
        assert time.monotonic() - begun < limit_s, f"waited {limit_s:g} s for {what}"
        time.sleep(step_s)
    return time.monotonic() - begun


@dataclass(slots=True)
class Demo:
    """Hold a running demo and everything a campaign asks of it."""

    run: DemoRun
    sentinels: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Know the first Sentinel too."""
        if self.run.servers.sentinel is not None:
            self.sentinels.append(self.run.servers.sentinel)

    @property
    def folder(self) -> Path:
        """Return the run folder."""
        return self.run.plan.run_dir

    def stats(self, name: str) -> Stats | None:
        """Return the last heartbeat of a process."""
        return read_stats(self.run.folder.state(name))

    def now(self, name: str) -> Stats:
        """Return the last heartbeat of a process that has one."""
        found = self.stats(name)
        assert found is not None, f"{name} has no stats file"
        return found

    def gauges(self, name: str) -> dict[str, Any]:
        """Return the gauges of a process, empty while there are none."""
        stats = self.stats(name)
        return dict(stats.gauges) if stats else {}

    def restored(self, name: str, old: Stats | None) -> Stats | None:
        """Return the heartbeat of a newer process than ``old`` that has all of its predecessor's state, else None."""
        now = self.stats(name)
        if now is None or now.phase != "RUNNING" or (old is not None and now.instance == old.instance):
            return None
        gauge = RESTORED[name]
        if gauge and old is not None and now.gauge(gauge, -1) < old.gauge(gauge, 0):
            return None
        if name == "engine" and now.gauges.get("mode") != "LIVE":
            return None
        return None if name == "bridge" and now.gauges.get("connected") is not True else now

    def all_restored(self, old: Mapping[str, Stats | None]) -> bool:
        """Tell whether every process is a newer one with its state restored."""
        return all(self.restored(name, old.get(name)) is not None for name in CHILDREN)

    def launch_sentinel(self) -> subprocess.Popen[bytes]:
        """Start one more Sentinel in the same run folder; only one of them can rule."""
        self.run.servers.start_sentinel(self.run.env, self.run.folder.logs, headless=True)
        process = self.run.servers.sentinel
        assert process is not None
        self.sentinels.append(process)
        return process

    def forget_dead_sentinels(self) -> None:
        """Reap the Sentinels that have ended."""
        self.sentinels = [process for process in self.sentinels if process.poll() is None]

    def log(self, *events: str) -> list[LogLine]:
        """Return the lines of sentinel.log with one of these events (all without), oldest first."""
        logs = self.run.folder.logs
        paths = [*sorted(logs.glob("sentinel.log.*"), key=lambda path: -int(path.suffix[1:])), logs / "sentinel.log"]
        found = []
        for path in paths:
            for text in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
                match = LOG_LINE.fullmatch(text)
                assert match, f"a line of {path.name} cannot be read: {text}"
                ts, level, event, rest = match.groups()
                if not events or event in events:
                    pairs = {key: json.loads(v) if v[0] == '"' else v for key, v in LOG_FIELD.findall(rest)}
                    found.append(LogLine(ts, level, event, pairs))
        return found

    def slow_webhook(self, seconds: float) -> None:
        """Let the webhook's server answer late, so that a fault can fall between an order and its answer."""
        self.plant(f"slow:{seconds}", 5000)

    def plant(self, fault: str, count: int = 1) -> None:
        """Let the webhook's server do ``fault`` to the next requests; ``none`` takes all faults back."""
        url = urlsplit(self.run.env["PJ_TRADERSPOST_WEBHOOK_URL"])
        body = json.dumps({"fault": fault, "count": count}).encode()
        with urllib.request.urlopen(f"http://{url.netloc}/_fault", body, timeout=10) as answer:
            assert answer.status == 200

    def wait_for_order(self, random: Random, limit_s: float) -> bool:
        """Wait until an intent has just been written down, then up to 60 ms more; tell whether there was one."""
        path = self.folder / self.run.plan.trade_date.isoformat() / "journal.jsonl"
        deadline = time.monotonic() + limit_s
        with path.open("rb") as lines:
            lines.seek(0, os.SEEK_END)
            while time.monotonic() < deadline:
                if b'"type":"INTENT"' in lines.read():
                    time.sleep(random.uniform(0, 0.06))
                    return True
                time.sleep(0.001)
        return False

    def drain(self) -> None:
        """Freeze the market where it stands and wait until its last tick stands in the sheet."""
        gateway = self.run.servers.processes["gateway"]
        gateway.send_signal(signal.SIGSTOP)
        time.sleep(2.5)  # two heartbeats: from then on every stats file speaks of the frozen market
        wanted = int(self.gauges("scribe")["produced"])
        wait_for("the sheet to be verified", lambda: self.gauges("scribe").get("verified", -1) >= wanted, 30)

    def stop(self) -> None:
        """Stop the Sentinel, then everything it talks to.

        The gateway is killed: thawed, it would hand the minutes it slept through to a connection that nobody reads any
        more, and its ledger would call them sent. The ledger is on disk up to the last tick.
        """
        self.run.servers.stop_sentinel()
        self.run.servers.processes["gateway"].kill()
        self.run.servers.stop_all()
        for process in self.sentinels:
            process.wait(10)

    def left(self) -> list[tuple[int, str]]:
        """Return the processes that still serve the run folder."""
        return [(process.pid, words) for process, words in serving(self.folder)]


def serving(folder: Path) -> Iterator[tuple[psutil.Process, str]]:
    """Yield every living process (zombies are dead) whose command line or settings name ``folder``, but this one."""
    for process in psutil.process_iter():
        try:
            words = " ".join(process.cmdline())
            named = str(folder) in words or str(folder) in process.environ().get("PJ_CONFIG", "")
        except (psutil.Error, OSError):
            continue
        if named and process.pid != os.getpid() and "campaign_sampler" not in words:
            yield process, words


@contextmanager
def started(folder: Path, settings: Mapping[str, str], *, speed: float, **more: object) -> Iterator[Demo]:
    """Start a demo over ``folder``, wait for nothing, and leave nothing of it behind; ``more`` are its own options."""
    options = {"run_dir": str(folder), "headless": True, "from": "09:25", "to": "16:40", "speed": speed, **more}
    one = Demo(start(plan_from_options(options), settings))
    try:
        yield one
    finally:
        one.stop()
        wait_for("every process to end", lambda: not one.left(), 20)


@contextmanager
def demo(folder: Path, settings: Mapping[str, str], *, speed: float, bars: int = 1) -> Iterator[Demo]:
    """Start a demo as ``started`` does and wait until all its processes run and ``bars`` bars are closed."""
    with started(folder, settings, speed=speed) as one:
        wait_for("all processes", lambda: one.all_restored({}), 90)
        wait_for("the first bars", lambda: one.gauges("engine").get("bars", 0) >= bars, 90 + 120 / speed)
        yield one


def pj(one: Demo, *arguments: str, limit_s: float = 60) -> subprocess.CompletedProcess[str]:
    """Run a verb of the command line as the operator of this demo would."""
    return pj_in(one.run.env, *arguments, limit_s=limit_s)


def pj_in(env: Mapping[str, str], *arguments: str, limit_s: float = 60) -> subprocess.CompletedProcess[str]:
    """Run a verb of the command line in an environment."""
    command = [sys.executable, "-P", "-m", "pj.cli", *arguments]
    return subprocess.run(command, env=dict(env), capture_output=True, text=True, timeout=limit_s, check=False)


def status(env: Mapping[str, str]) -> tuple[int, dict[str, Any]]:
    """Return the exit code of ``pj status --json`` and what it says."""
    done = pj_in(env, "status", "--json")
    assert not done.stderr, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return done.returncode, report
