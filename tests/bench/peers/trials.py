"""The trials: each is done to every tool in turn, in an order drawn anew each round, so that noise hits all alike."""

from __future__ import annotations

import math
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from peers.tools import CHILD, NAMES, BenchFailed, Started, await_start, wait_until

NEVER = math.inf
#: Before a child is harmed again it has lived longer than every tool's own measure of a stable life (ours: 10 s).
LIFE_S = 12.0
REPLACED_LIMIT_S = 60.0
SILENT_LIMIT_S = 20.0
COPIES_S = 3.0
SAMPLE_S = 0.05
PLAIN = "plain spawn"


def _let_live(started: Started, name: str) -> int:
    """Wait until a child is healthy and its restarts are forgotten; return its pid."""
    if not wait_until(lambda: started.ready(name), REPLACED_LIMIT_S):
        raise BenchFailed(f"{started.tool.name} did not bring {name} back within {REPLACED_LIMIT_S:.0f} s")
    births = started.births(name)
    if len(births) > 1:
        time.sleep(max(0.0, LIFE_S - (time.monotonic_ns() - births[-1][2]) / 1e9))
    return births[-1][1]


def _first_instruction_ms(started: Started, name: str, old_pid: int, since_ns: int) -> float:
    """Return the ms from ``since_ns`` to the first instruction of the process after ``old_pid``, or NEVER."""
    if not wait_until(lambda: started.births(name)[-1][1] != old_pid, REPLACED_LIMIT_S):
        return NEVER
    return (started.births(name)[-1][2] - since_ns) / 1e6


def kill_trials(tools: Sequence[Started], floor: Path, count: int, chance: random.Random) -> dict[str, list[float]]:
    """Kill -9 one child per tool and round, at a random phase of the tool's own loop; return ms per tool.

    ``floor``: a folder for the plain spawn of the same child, which no supervisor can beat.
    """
    waits: dict[str, list[float]] = {PLAIN: [], **{started.tool.name: [] for started in tools}}
    for trial in range(count):
        name = NAMES[trial % len(NAMES)]
        for started in chance.sample([None, *tools], len(tools) + 1):
            if started is None:
                waits[PLAIN].append(_plain_spawn_ms(floor))
                continue
            pid = _let_live(started, name)
            time.sleep(chance.uniform(0, max(0.25, started.tool.poll_s)))
            killed_ns = time.monotonic_ns()
            os.kill(pid, signal.SIGKILL)
            waits[started.tool.name].append(_first_instruction_ms(started, name, pid, killed_ns))
    return waits


def _plain_spawn_ms(folder: Path) -> float:
    births = folder / "births.txt"
    births.unlink(missing_ok=True)
    began_ns = time.monotonic_ns()
    child = subprocess.Popen([sys.executable, "-P", CHILD, str(folder), "plain", "healthy", "0"])
    wait_until(lambda: births.exists() and births.read_text().endswith("\n"), REPLACED_LIMIT_S)
    child.kill()
    child.wait()
    return (int(births.read_text().split()[2]) - began_ns) / 1e6


@dataclass(slots=True)
class Hang:
    """One SIGSTOP: when it is due, and what the child's last heartbeat was."""

    started: Started
    due_s: float
    pid: int = 0
    beat: tuple[int, int] = (0, 0)
    stopped_s: float = 0.0
    waited_s: float | None = None

    def step(self, name: str) -> None:
        """Stop the child when that is due; look for a fresh heartbeat, until the limit."""
        now_s = time.monotonic()
        if not self.stopped_s:
            if now_s >= self.due_s:
                self.stopped_s = time.monotonic()
                os.kill(self.pid, signal.SIGSTOP)
                self.beat = self.started.beat(name)
        elif self.started.beat(name) != self.beat:
            self.waited_s = now_s - self.stopped_s
        elif now_s - self.stopped_s > SILENT_LIMIT_S:
            self.waited_s = NEVER


def stop_trials(
    tools: Sequence[Started], count: int, peer_count: int, chance: random.Random, first: int = 0
) -> dict[str, list[float]]:
    """SIGSTOP one child per tool and round; return the seconds to a fresh heartbeat, NEVER after the limit.

    The first tool does ``count`` rounds, the others ``peer_count`` of them at the same time. Child number ``first``
    comes first.
    """
    waits: dict[str, list[float]] = {started.tool.name: [] for started in tools}
    for trial in range(count):
        name = NAMES[(first + trial) % len(NAMES)]
        group = tools if trial < peer_count else tools[:1]
        pids = {started.tool.name: _let_live(started, name) for started in group}
        began_s = time.monotonic()
        hangs = [Hang(one, began_s + chance.uniform(0, 1), pids[one.tool.name]) for one in group]
        while waiting := [hang for hang in hangs if hang.waited_s is None]:
            for hang in waiting:
                hang.step(name)
            time.sleep(0.005)
        for hang in hangs:
            waits[hang.started.tool.name].append(float(hang.waited_s or 0.0))
            if hang.waited_s == NEVER:
                os.kill(hang.pid, signal.SIGKILL)  # help the tool out of it
                _first_instruction_ms(hang.started, name, hang.pid, 0)
    return waits


def relaunch_trial(started: Started) -> dict[str, int]:
    """SIGKILL the supervisor, relaunch it at once, and count each child's copies for COPIES_S.

    Returns the most copies of one child at any sample, and at the end the most and the fewest.
    """
    await_start(started)
    time.sleep(1)
    started.kill()
    started.launch()
    most, now = 0, dict.fromkeys(NAMES, 0)
    deadline_s = time.monotonic() + COPIES_S
    while time.monotonic() < deadline_s:
        now = {name: started.copies(name) for name in NAMES}
        most = max(most, *now.values())
        time.sleep(SAMPLE_S)
    return {"most": most, "after_most": max(now.values()), "after_fewest": min(now.values())}


def crash_loops(tools: Sequence[Started], name: str, seconds: float) -> dict[str, dict[str, Any]]:
    """Let child ``name`` exit 1 at once for ``seconds`` under every tool; return starts and what the tool told."""
    for started in tools:
        wait_until(lambda started=started: bool(started.births(name)), REPLACED_LIMIT_S)  # type: ignore[misc]
    time.sleep(seconds)
    found = {}
    for started in tools:
        born = [ns for _, _, ns in started.births(name)]
        since = [(ns - born[0]) / 1e9 for ns in born]
        told = started.log_lines(started.tool.gave_up)
        found[started.tool.name] = {
            "starts": sum(1 for at_s in since if at_s <= seconds),
            "starts_in_last_third": sum(1 for at_s in since if seconds * 2 / 3 < at_s <= seconds),
            "alert_rows": started.alerts(),
            "log_lines": len(told),
            "said": told[-1][-200:] if told else "",
            "others_alive": sum(1 for other in NAMES if other != name and started.copies(other) == 1),
        }
    return found


def idle_costs(tools: Sequence[Started], seconds: float) -> dict[str, dict[str, float]]:
    """Return each supervisor's share of one core (%) and resident memory (MB), helpers included, over ``seconds``.

    A helper that ends meanwhile is left out.
    """
    before = {started.tool.name: _cpu_s(started.own()) for started in tools}
    began_s = time.monotonic()
    time.sleep(seconds)
    costs = {}
    for started in tools:
        then, now = before[started.tool.name], _cpu_s(started.own())
        used_s = sum(used for pid, (used, _) in now.items()) - sum(then[pid][0] for pid in then.keys() & now.keys())
        costs[started.tool.name] = {
            "cpu_percent": 100 * used_s / (time.monotonic() - began_s),
            "rss_mb": sum(rss for _, rss in now.values()) / 1e6,
            "processes": len(now),
        }
    return costs


def _cpu_s(processes: Sequence[psutil.Process]) -> dict[int, tuple[float, int]]:
    """Return CPU seconds so far and resident bytes by pid."""
    found = {}
    for one in processes:
        try:
            found[one.pid] = (sum(one.cpu_times()[:2]), one.memory_info().rss)
        except psutil.NoSuchProcess:
            continue
    return found


def summary(values: Sequence[float]) -> dict[str, Any]:
    """Return n, median, p95 (nearest rank) and max; NEVER counts as the largest value and stands as None."""
    ranked = sorted(values)
    middle = (ranked[(len(ranked) - 1) // 2] + ranked[len(ranked) // 2]) / 2
    figures = {"median": middle, "p95": ranked[math.ceil(0.95 * len(ranked)) - 1], "max": ranked[-1]}
    known: dict[str, Any] = {key: None if value == NEVER else round(value, 3) for key, value in figures.items()}
    never = sum(1 for value in values if value == NEVER)
    return {"n": len(values), **known, "never": never, "values": [None if v == NEVER else round(v, 3) for v in values]}
