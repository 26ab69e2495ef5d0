"""Measure the Sentinel over tiny real children: its idle cost, and kill -9 to the replacement's first instruction.

``python -P tests/bench/bench_sentinel.py [N]`` prints figures and asserts none.
"""

from __future__ import annotations

import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

DRIVER = Path(__file__).parents[1] / "supervision" / "sentinel_driver.py"
NAMES = ("bridge", "engine", "scribe", "dashboard")
IDLE_S = 20.0
#: Each of the four lives longer than the policy's STABLE_S between two kills, so that no back-off is measured.
PAUSE_S = 3.0


def births(run_dir: Path) -> list[list[str]]:
    """Return the rows that the children wrote at their first instruction."""
    path = run_dir / "births.txt"
    return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


def kill_one(run_dir: Path, name: str) -> float:
    """Kill a child and return the ms until its replacement's first instruction."""
    before = births(run_dir)
    pid = int([row for row in before if row[0] == name][-1][1])
    killed_ns = time.monotonic_ns()
    os.kill(pid, signal.SIGKILL)
    while len(births(run_dir)) == len(before):
        time.sleep(0.002)
    return (int(births(run_dir)[-1][2]) - killed_ns) / 1e6


def main() -> None:
    """Run the measurement and print it."""
    trials = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    with tempfile.TemporaryDirectory() as folder:
        run_dir = Path(folder) / "run"
        command = [sys.executable, "-P", str(DRIVER), str(run_dir), "{}", *(f"{name}=healthy" for name in NAMES)]
        sentinel = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        while len(births(run_dir)) < len(NAMES):
            time.sleep(0.05)
        time.sleep(2)
        process = psutil.Process(sentinel.pid)
        begun, used = time.monotonic(), sum(process.cpu_times()[:2])
        time.sleep(IDLE_S)
        share = 100 * (sum(process.cpu_times()[:2]) - used) / (time.monotonic() - begun)
        print(
            f"idle: {process.memory_info().rss / 1e6:.1f} MB, {share:.2f} % of one core (load {os.getloadavg()[0]:.1f})"
        )
        waits = []
        for trial in range(trials):
            waits.append(kill_one(run_dir, NAMES[trial % len(NAMES)]))
            time.sleep(PAUSE_S)
        waits.sort()
        p95 = waits[max(0, int(0.95 * trials) - 1)]
        print(f"kill -9 to first instruction, n {trials}: median {statistics.median(waits):.1f} ms, p95 {p95:.1f} ms")
        sentinel.terminate()
        sentinel.wait()
        log = (run_dir / "logs" / "sentinel.log").read_text()
        spawned = [float(ms) for ms in re.findall(r" RESTART .* ms=(\S+)", log)]
        print(f"death noticed to spawned: median {statistics.median(spawned):.1f} ms, RESTART lines {len(spawned)}")


if __name__ == "__main__":
    main()
