"""Measure the bridge under load: ``python -P tests/bench/bench_bridge.py [--rate 5000] [--seconds 30] [--library L]``.

Starts the simulated gateway (flood) and the real bridge as processes, waits until the tape holds what the ledger says
was sent, and prints counts, lags and CPU. Both processes share one clock, so ``sent_ns`` and ``recv_ns`` compare.
Exit code 1 when a tick is missing, doubled or out of order.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

NS = 1_000_000_000
ORIGIN_NS = 1_776_254_400 * NS  # 2026-04-15 08:00 ET
DAY = "2026-04-15"


def main() -> int:
    """Run the flood once and print the figures as one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=5000)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--library", default="ib_insync")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(Path(folder), options.rate, options.seconds, options.library)
    print(json.dumps(figures, indent=2))
    return 0 if figures["lost"] == figures["surplus"] == 0 and figures["in_order"] else 1


def measure(run_dir: Path, rate: float, seconds: float, library: str) -> dict[str, object]:
    """Return the figures of one flood."""
    env = {
        **os.environ,
        "PJ_CLOCK_ORIGIN_NS": str(ORIGIN_NS),
        "PJ_CLOCK_START_NS": str(time.time_ns() + 4 * NS),
        "PJ_CLOCK_SPEED": "1.0",
        "PJ__RUN_DIR": str(run_dir),
        "PJ__IBKR__LIBRARY": library,
    }
    module = [sys.executable, "-P", "-m"]
    flood = ["--rate", str(rate), "--rate-seconds", str(seconds)]
    command = [*module, "pj.simulators.gateway", "--port", "0", "--date", DAY, "--from", "08:00", *flood]
    gateway = subprocess.Popen(
        [*command, "--run-dir", str(run_dir)], env={**env, "PYTHONPATH": ""}, stdout=subprocess.PIPE, text=True
    )
    assert gateway.stdout is not None
    port = gateway.stdout.readline().split()[2].rsplit(":", 1)[-1]
    if library == "ib_async":
        env["PYTHONPATH"] = os.environ.get("PJ_IB_ASYNC_PATH", str(Path(sys.prefix) / "ib_async"))
    bridge = subprocess.Popen([*module, "pj.processes.ibkr_bridge"], env={**env, "PJ__IBKR__PORT": port})
    try:
        return watch(run_dir, bridge, rate, seconds)
    finally:
        bridge.terminate()
        bridge.wait(10)
        gateway.terminate()
        gateway.wait(10)
        gateway.stdout.close()


def watch(run_dir: Path, bridge: subprocess.Popen[bytes], rate: float, seconds: float) -> dict[str, object]:
    """Wait for the flood to begin and to end, then compare ledger and tape."""
    process = psutil.Process(bridge.pid)
    while said(run_dir).get("ticks_taped", 0) == 0:
        assert bridge.poll() is None, "the bridge ended"
        time.sleep(0.1)
    cpu, began = sum(process.cpu_times()[:2]), time.monotonic()
    taped = -1
    while (count := int(said(run_dir).get("ticks_taped", 0))) != taped or time.monotonic() - began < seconds:
        taped = count
        time.sleep(2.0)
    spent, lasted = sum(process.cpu_times()[:2]) - cpu, time.monotonic() - began - 2.0
    return compare(run_dir, rate) | {
        "cpu_percent": round(100 * spent / lasted, 1),
        "cpu_us_per_tick": round(1e6 * spent / max(1, taped), 1),
        "visible_ms_p50": said(run_dir)["lag_ms_p50"],
        "visible_ms_p99": said(run_dir)["lag_ms_p99"],
        "library": said(run_dir)["library"],
        "gaps": said(run_dir)["gaps"],
    }


def compare(run_dir: Path, rate: float) -> dict[str, object]:
    """Return counts, order and the lag from the gateway's stamp to the bridge's."""
    sent = [row for row in rows(run_dir / "simulators" / "gateway_ledger.csv") if row["kind"] == "TRADE"]
    tape = [row for row in rows(run_dir / DAY / "live_market_data.csv") if row["kind"] == "TRADE"]
    raw = [row for row in rows(run_dir / DAY / "live_ticks.csv") if row["kind"] == "TRADE"]
    pairs = list(zip(sent, tape, strict=False))
    lags = sorted((int(b["recv_ns"]) - int(a["sent_ns"])) / 1e6 for a, b in pairs)
    span_s = (int(tape[-1]["recv_ns"]) - int(tape[0]["recv_ns"])) / NS
    return {
        "asked_per_s": rate,
        "sent": len(sent),
        "taped": len(tape),
        "raw": len(raw),
        "lost": max(0, len(sent) - len(tape)),
        "surplus": max(0, len(tape) - len(sent)),
        "in_order": all((a["price"], a["size"]) == (b["price"], b["size"]) for a, b in pairs) and len(raw) == len(tape),
        "ticks_per_s": round(len(tape) / span_s),
        "lag_ms_p50": round(lags[len(lags) // 2], 3),
        "lag_ms_p99": round(lags[len(lags) * 99 // 100], 3),
        "lag_ms_max": round(lags[-1], 3),
    }


def rows(path: Path) -> list[dict[str, str]]:
    """Return the rows of one CSV."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def said(run_dir: Path) -> dict[str, object]:
    """Return what the bridge last said of itself."""
    try:
        return dict(json.loads((run_dir / "state" / "bridge.stats.json").read_text()))
    except FileNotFoundError:
        return {}


if __name__ == "__main__":
    sys.exit(main())
