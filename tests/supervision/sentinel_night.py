"""Run one real Sentinel over tiny children and read its books."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from pj.channels.stats import Stats, read_stats

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DRIVER = str(Path(__file__).with_name("sentinel_driver.py"))


def wait_for(what: Callable[[], object], limit_s: float = 15.0) -> None:
    deadline = time.monotonic() + limit_s
    while not what():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


class Night:
    """Hold one Sentinel process and read its books."""

    def __init__(self, run_dir: Path, *children: str, **limits: float) -> None:
        self.run_dir = run_dir
        self.arguments = [sys.executable, "-P", DRIVER, str(run_dir), json.dumps(limits), *children]
        self.process = self.launch()

    def launch(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def stats(self) -> Stats | None:
        return read_stats(self.run_dir / "state" / "sentinel.stats.json")

    def children(self) -> dict[str, dict[str, object]]:
        stats = self.stats()
        return dict(stats.gauges["children"]) if stats else {}

    def log(self, event: str = "") -> list[str]:
        path = self.run_dir / "logs" / "sentinel.log"
        lines = path.read_text().splitlines() if path.exists() else []
        return [line for line in lines if f" {event} " in line] if event else lines

    def birth_rows(self) -> list[tuple[str, int, int]]:
        path = self.run_dir / "births.txt"
        rows = [line.split() for line in path.read_text().splitlines()] if path.exists() else []
        return [(name, int(pid), int(ns)) for name, pid, ns in rows]

    def pid(self, name: str) -> int:
        return [pid for owner, pid, _ in self.birth_rows() if owner == name][-1]

    def living(self) -> list[int]:
        alive = []
        for _, pid, _ in self.birth_rows():
            try:
                process = psutil.Process(pid)
                if process.status() != psutil.STATUS_ZOMBIE and "tiny_child.py" in " ".join(process.cmdline()):
                    alive.append(pid)
            except psutil.Error:
                continue
        return alive

    def all_running(self) -> bool:
        children = self.children()
        return bool(children) and all(child["state"] == "RUNNING" for child in children.values())

    def end(self, number: int = signal.SIGTERM) -> tuple[int, float]:
        begun = time.monotonic()
        self.process.send_signal(number)
        code = self.process.wait(15)
        return code, time.monotonic() - begun


@contextmanager
def night(run_dir: Path, *children: str, **limits: float) -> Iterator[Night]:
    one = Night(run_dir, *children, **limits)
    try:
        yield one
    finally:
        one.process.kill()
        one.process.communicate()
        wait_for(lambda: not one.living())
