"""Time ``pj flatten --yes`` from process start to exit, on both routes, with nothing of ours alive.

Each trial leaves a position with stop and target at the simulated gateway and then runs the verb as a process; it must
end with 0 and a flat account. ``python tests/bench/bench_flatten.py --trials 20``
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "ibkr"))
from flatten_world import MNQ, World, start_world

HOOK = "/trading/webhook/6f9619ff/pw"


def flatten(folder: Path, route: str, world: World, webhook: str) -> float:
    env = {name: value for name, value in os.environ.items() if not name.startswith("PJ_")}
    words = {"execution.route": route, "ibkr.port": world.port, "contract": MNQ, "run_dir": folder / "run"}
    command = [sys.executable, "-P", "-m", "pj.cli", "flatten", "--yes"]
    command += [word for key, value in words.items() for word in ("--set", f"{key}={value}")]
    begun = time.monotonic()
    done = subprocess.run(
        command, cwd=folder, env=env | {"PJ_TRADERSPOST_WEBHOOK_URL": webhook}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    took_s = time.monotonic() - begun
    assert done.returncode == 0, done.stdout + done.stderr
    assert world.held() == {}, world.held()
    return took_s


def webhook_of(world: World) -> tuple[subprocess.Popen[str], str]:
    command = [sys.executable, "-P", "-m", "pj.simulators.traderspost", "--port", "0"]
    command += ["--gateway", f"127.0.0.1:{world.port}"]
    env = {**os.environ, "PJ_SIM_WEBHOOK_UUID": "6f9619ff", "PJ_SIM_WEBHOOK_PASSWORD": "pw"}
    process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    address = process.stdout.readline().split()[2]
    time.sleep(1.0)  # it connects to the gateway
    return process, f"http://{address}{HOOK}"


def buy(world: World, webhook: str) -> None:
    """Open the position as TradersPost does: its client stays connected and owns the exits."""
    body = {"ticker": "MNQZ2026", "action": "buy", "quantity": 2, "takeProfit": {"limitPrice": 60_000}}
    body["stopLoss"] = {"type": "stop", "stopPrice": 5_000}
    request = urllib.request.Request(webhook, json.dumps(body).encode(), {"Content-Type": "application/json"})
    urllib.request.urlopen(request, timeout=5).close()
    while world.held() != {MNQ: 2}:
        time.sleep(0.05)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=20)
    trials = parser.parse_args().trials
    world = start_world()
    post, webhook = webhook_of(world)
    try:
        with tempfile.TemporaryDirectory() as folder:
            for route in ("ibkr", "traderspost"):
                times = []
                for _ in range(trials):
                    if route == "ibkr":
                        world.leave(1, 2)
                    else:
                        buy(world, webhook)
                    times.append(flatten(Path(folder), route, world, webhook))
                ranked = sorted(times)
                p95 = ranked[min(len(ranked) - 1, round(0.95 * len(ranked)))]
                words = f"median {statistics.median(times):.2f} s, p95 {p95:.2f} s, max {ranked[-1]:.2f} s"
                print(f"{route:<12} n={trials} {words}; flat each time")
    finally:
        post.terminate()
        post.wait(10)
        world.end()
    return 0


if __name__ == "__main__":
    sys.exit(main())
