"""Measure the bridge's recovery: ``python -P tests/bench/bench_bridge_recovery.py [--trials 20] [--library L]``.

Kills the real bridge (kill -9) in front of the simulated gateway and starts the next one at once, as the Sentinel does.
Milliseconds from the kill to: the new process's first stats beat, a beat that says connected with a live feed, and a
HEARTBEAT row of the new process on the tape (the engine's proof of life). Prints medians, p95 and worst as one JSON
object. Exit code 1 when a trial takes longer than the bound of 3 s.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

NS = 1_000_000_000
ORIGIN_NS = 1_776_254_400 * NS  # 2026-04-15 08:00 ET
DAY = "2026-04-15"
BOUND_MS = 3000.0
LIMIT_S = 30.0


def main() -> int:
    """Run the trials and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--library", default="ib_insync")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(Path(folder), options.trials, options.library)
    print(json.dumps(figures, indent=2))
    worst = max(row["worst_ms"] for row in figures.values())
    return 0 if worst <= BOUND_MS else 1


def measure(run_dir: Path, trials: int, library: str) -> dict[str, dict[str, float]]:
    """Return median, p95 and worst of each stage over the trials."""
    clock = {"PJ_CLOCK_ORIGIN_NS": str(ORIGIN_NS), "PJ_CLOCK_START_NS": str(time.time_ns()), "PJ_CLOCK_SPEED": "1.0"}
    env = {**os.environ, **clock, "PJ__RUN_DIR": str(run_dir), "PJ__IBKR__LIBRARY": library}
    module = [sys.executable, "-P", "-m"]
    serve = [*module, "pj.simulators.gateway", "--port", "0", "--date", DAY, "--from", "08:00"]
    gateway = subprocess.Popen([*serve, "--run-dir", str(run_dir)], env=env, stdout=subprocess.PIPE, text=True)
    assert gateway.stdout is not None
    env["PJ__IBKR__PORT"] = gateway.stdout.readline().split()[2].rsplit(":", 1)[-1]
    if library == "ib_async":
        here = os.environ.get("PJ_IB_ASYNC_PATH", str(Path(sys.prefix) / "ib_async"))
        env["PYTHONPATH"] = os.pathsep.join(filter(None, (here, os.environ.get("PYTHONPATH"))))
    command = [*module, "pj.processes.ibkr_bridge"]
    bridge = subprocess.Popen(command, env=env)
    stages: dict[str, list[float]] = {"first_beat": [], "connected_and_live": [], "tape_heartbeat": []}
    try:
        until(lambda: alive(run_dir, bridge.pid))
        for _ in range(trials):
            time.sleep(1.0 + time.monotonic() % 0.7)
            began_ns = time.monotonic_ns()
            bridge.kill()
            bridge.wait()
            size = tape(run_dir).stat().st_size
            bridge = subprocess.Popen(command, env=env)
            pid = bridge.pid
            for name, done in (
                ("first_beat", lambda pid=pid: said(run_dir).get("pid") == pid),
                ("connected_and_live", lambda pid=pid: alive(run_dir, pid)),
                ("tape_heartbeat", lambda size=size: heartbeat_after(run_dir, size)),
            ):
                until(done)
                stages[name].append((time.monotonic_ns() - began_ns) / 1e6)
    finally:
        for process in (bridge, gateway):
            process.terminate()
            process.wait(10)
        gateway.stdout.close()
    return {name: row(times) for name, times in stages.items()}


def row(times: list[float]) -> dict[str, float]:
    """Return the figures of one stage."""
    ordered = sorted(times)
    p95 = ordered[min(len(ordered) - 1, len(ordered) * 95 // 100)]
    return {
        "trials": len(ordered),
        "median_ms": round(statistics.median(ordered)),
        "p95_ms": round(p95),
        "worst_ms": round(ordered[-1]),
    }


def until(done: Callable[[], bool]) -> None:
    """Wait, looking every 5 ms."""
    deadline = time.monotonic() + LIMIT_S
    while not done():
        assert time.monotonic() < deadline, f"waited {LIMIT_S:.0f} s in vain"
        time.sleep(0.005)


def alive(run_dir: Path, pid: int) -> bool:
    """Tell whether this process says that it is connected and that data flow."""
    found = said(run_dir)
    return found.get("pid") == pid and bool(found.get("connected")) and bool(found.get("feed_live"))


def heartbeat_after(run_dir: Path, size: int) -> bool:
    """Tell whether a HEARTBEAT row stands behind the first ``size`` bytes of the tape."""
    with tape(run_dir).open(newline="", encoding="utf-8") as file:
        file.seek(size)
        return any(len(cells) > 2 and cells[2] == "HEARTBEAT" for cells in csv.reader(file))


def tape(run_dir: Path) -> Path:
    """Return the causal tape."""
    return run_dir / DAY / "live_market_data.csv"


def said(run_dir: Path) -> dict[str, object]:
    """Return what the bridge last said of itself."""
    try:
        return dict(json.loads((run_dir / "state" / "bridge.stats.json").read_text()))
    except FileNotFoundError:
        return {}


if __name__ == "__main__":
    sys.exit(main())
