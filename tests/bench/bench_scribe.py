"""Measure the Scribe and the simulated Sheets: ``python -P tests/bench/bench_scribe.py [rows_per_s [seconds]]``.

Both run as processes on a 60x clock with the 0.25 s floor; a tape grows by so many TRADE rows a second. Prints rows,
calls, lag and CPU of each process; asserts that nothing was lost or doubled, never a time.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from live.market import INSTRUMENTS, TickKind
from pj.channels.rundir import RunDir
from pj.channels.stats import read_stats
from pj.channels.tape import TapeWriter
from pj.clock import ScaledClock
from pj.sheets.fidelity import audit, stored_rows

T0 = 1_776_254_400_000_000_000
STEP_S = 0.05


def main() -> None:
    words = [int(word) for word in sys.argv[1:]]
    rate, seconds = words[0] if words else 8000, words[1] if len(words) > 1 else 15
    with tempfile.TemporaryDirectory() as folder:
        run(Path(folder), rate, seconds)


def run(folder: Path, rate: int, seconds: int) -> None:
    clock = ScaledClock(T0, time.time_ns(), 60.0)
    env = {**os.environ, **clock.to_env(), "PJ__RUN_DIR": str(folder), "PJ__SHEETS__SPREADSHEET_ID": "BENCH"}
    env |= {"PJ__SHEETS__SERVICE_ACCOUNT_FILE": str(folder / "sa.json")}
    sim = [sys.executable, "-P", "-m", "pj.simulators.sheets", "--port", "0", "--run-dir", str(folder)]
    sim += ["--make-credentials", str(folder / "sa.json"), "--spreadsheet-id", "BENCH"]
    server = subprocess.Popen(sim, env=env, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    port = server.stdout.readline().split()[2].rsplit(":", 1)[1]
    env["PJ__SHEETS__API_BASE"] = f"http://127.0.0.1:{port}"
    scribe = subprocess.Popen([sys.executable, "-P", "-m", "pj.processes.dashboard_logger"], env=env)
    run_dir = RunDir(folder, INSTRUMENTS["MNQ"]).create()
    watched = [psutil.Process(process.pid) for process in (scribe, server)]
    time.sleep(2)
    before = [process.cpu_times() for process in watched]
    begun = time.monotonic()
    written = feed(run_dir, clock, rate, seconds)
    lag = gauge(run_dir, "lag_rows")
    spent = time.monotonic() - begun
    used = [process.cpu_times() for process in watched]
    while gauge(run_dir, "verified") != written:
        time.sleep(0.05)
    drained = time.monotonic() - begun - spent
    memory = [process.memory_info().rss / 2**20 for process in watched]
    stats = read_stats(run_dir.state("scribe"))
    assert stats is not None
    for process in (scribe, server):
        process.terminate()
        process.wait(10)
    day = run_dir.day_at(T0)
    day.ticks.write_bytes(day.market.read_bytes())
    books = audit(run_dir, stored_rows(run_dir))
    names = ("scribe", "sheets simulator")
    for name, first, last, rss in zip(names, before, used, memory, strict=True):
        cpu = last.user + last.system - first.user - first.system
        print(f"{name:17} CPU {100 * cpu / spent:5.1f} % of one core, {1e6 * cpu / written:5.1f} us/row, {rss:.0f} MiB")
    flushes = stats.gauge("flushes", 0)
    print(f"{written} rows in {spent:.1f} s, {flushes} writes ({written / max(1, flushes):.0f} rows each)")
    print(f"lag at the end {lag} rows, verified {drained:.2f} s later, call {stats.gauge('call_ms', 0.0)} ms")
    print(json.dumps({"missing": books.missing, "doubled": books.doubled, "equal": books.equal}))
    assert books.equal


def feed(run_dir: RunDir, clock: ScaledClock, rate: int, seconds: int) -> int:
    tape = TapeWriter(run_dir.day_at(T0).create().market, run_dir.instrument)
    begun, written = time.monotonic(), 0
    while time.monotonic() < begun + seconds:
        due = int((time.monotonic() - begun) * rate) - written
        for number in range(due):
            price = run_dir.instrument.to_points(100_000 + (written + number) % 97)
            tape.add(clock.now_ns(), TickKind.TRADE, price, 1 + number % 9, price, price, T0, "TBT", "MNQM6")
        tape.flush()
        written += due
        time.sleep(STEP_S)
    tape.close()
    return written


def gauge(run_dir: RunDir, name: str) -> int:
    stats = read_stats(run_dir.state("scribe"))
    return 0 if stats is None else stats.gauge(name, 0)


if __name__ == "__main__":
    main()
