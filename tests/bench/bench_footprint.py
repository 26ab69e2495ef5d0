"""Measure what the daemon costs: imports, time to the first beat, memory in a running demo, the Sentinel's idle CPU.

``python -P tests/bench/bench_footprint.py [--starts N] [--demo-s SECONDS]`` prints figures and asserts none. Memory is
read by the operating system's own count; PSS (shared pages divided among their users) exists on Linux only.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from live.market import INSTRUMENTS
from pj.channels.rundir import RunDir
from pj.channels.stats import Stats, read_stats

MODULES = {
    "sentinel": "pj.processes.sentinel_watchdog",
    "bridge": "pj.processes.ibkr_bridge",
    "engine": "pj.processes.run_live_engine",
    "scribe": "pj.processes.dashboard_logger",
    "dashboard": "pj.processes.live_dashboard",
}
IDLE_S = 20.0
BOOT_LIMIT_S = 120.0


def import_ms(module: str, times: int) -> float:
    """Return the median wall ms of a fresh interpreter that imports ``module``, less an empty interpreter's."""

    def once(code: str) -> float:
        begun = time.perf_counter()
        subprocess.run([sys.executable, "-P", "-c", code], check=True)
        return 1000 * (time.perf_counter() - begun)

    bare = statistics.median(once("pass") for _ in range(times))
    return statistics.median(once(f"import {module}") for _ in range(times)) - bare


def pss_mb(pid: int) -> float | None:
    """Return the process's proportional share of memory in MB; None where the system does not tell."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return None
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:")) * 1024 / 1e6


def first_beats(folder: RunDir) -> dict[str, tuple[Stats, float]]:
    """Return each process's first beat that was seen, and the ms from the birth of the process to that beat."""
    found: dict[str, tuple[Stats, float]] = {}
    deadline = time.monotonic() + BOOT_LIMIT_S
    while len(found) < len(MODULES) and time.monotonic() < deadline:
        for name in MODULES:
            stats = None if name in found else read_stats(folder.state(name))
            if stats is not None:
                born = psutil.Process(stats.pid).create_time()
                # A later beat may be the first one seen: the beats are a second apart.
                first_s = stats.beat_ns / 1e9 - (stats.beat_seq - 1)
                found[name] = stats, 1000 * max(stats.started_ns / 1e9 - born, first_s - born)
        time.sleep(0.01)
    return found


def main() -> None:
    """Run the measurement and print it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--starts", type=int, default=7)
    parser.add_argument("--demo-s", type=float, default=20.0, help="seconds of running demo before memory is read")
    options = parser.parse_args()
    imports = {name: import_ms(module, options.starts) for name, module in MODULES.items()}
    with tempfile.TemporaryDirectory() as temporary:
        folder = RunDir(Path(temporary) / "run", INSTRUMENTS["MNQ"])
        command = [sys.executable, "-P", "-m", "pj.cli", "demo", "--headless", "--from", "10:00", "--to", "10:30"]
        # No ticks of real days: the generator's market at its own pace is what the daemon idles under.
        command += ["--speed", "1", "--route", "traderspost", "--run-dir", str(folder.root)]
        signal.signal(
            signal.SIGINT, signal.default_int_handler
        )  # a shell's background job ignores it, and so would demo
        demo = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        try:
            beats = first_beats(folder)
            time.sleep(options.demo_s)
            processes = {name: psutil.Process(stats.pid) for name, (stats, _) in beats.items()}
            used = {name: sum(process.cpu_times()[:2]) for name, process in processes.items()}
            begun = time.monotonic()
            time.sleep(IDLE_S)
            elapsed = time.monotonic() - begun
            print(f"{'process':<10} {'import ms':>9} {'first beat ms':>13} {'RSS MB':>7} {'PSS MB':>7} {'CPU %':>6}")
            total_rss, total_pss = 0.0, 0.0
            for name, process in processes.items():
                rss, pss = process.memory_info().rss / 1e6, pss_mb(process.pid)
                share = 100 * (sum(process.cpu_times()[:2]) - used[name]) / elapsed
                total_rss, total_pss = total_rss + rss, total_pss + (pss or 0.0)
                shown = "-" if pss is None else f"{pss:.1f}"
                print(f"{name:<10} {imports[name]:>9.0f} {beats[name][1]:>13.0f} {rss:>7.1f} {shown:>7} {share:>6.2f}")
            print(f"{'together':<10} {'':>9} {'':>13} {total_rss:>7.1f} {total_pss:>7.1f}")
            print(f"load {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores, Python {sys.version.split()[0]}")
        finally:
            demo.send_signal(signal.SIGINT)
            demo.wait(60)


if __name__ == "__main__":
    main()
