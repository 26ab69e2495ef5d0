"""Measure the Sentinel beside supervisord and circus: same children, same run, same load.

``python -P tests/bench/bench_supervisors.py --trials 50 [--peers supervisord,circus | none] [--scratch DIR]
[--json FILE]`` takes about 20 minutes. It installs the peers by pip into DIR (a folder outside the repository, kept; by
default a temporary one), runs each with its defaults and, marked *, tuned, and prints one table. No time is asserted.

Exit codes: 0 measured, 1 a tool did not start, 2 usage, 3 the peers could not be installed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import signal
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))  # `python -P` leaves our own folder out

from peers import install, trials  # noqa: E402
from peers.report import table  # noqa: E402
from peers.tools import NAMES, PEERS, SENTINEL, BenchFailed, Place, Started, Tool, await_start, begin  # noqa: E402

ROOT = HERE.parents[1]
SETTLE_S = 2.0
CRASHING = "engine"


class Bench:
    """Hold the tools, where they run, and everything that must be ended."""

    def __init__(self, scratch: Path, programs: Path, tools: Sequence[Tool]) -> None:
        self.work = Path(tempfile.mkdtemp(prefix="run-", dir=scratch))
        self.programs = programs
        self.tools = tools
        self.running: list[Started] = []

    def begin(self, tool: Tool, *, crashing: str = "", lift_limits: bool = False) -> Started:
        """Start ``tool`` in a folder of its own."""
        folder = Path(tempfile.mkdtemp(prefix=tool.name.replace("*", "-tuned-"), dir=self.work))
        modes = {name: "crash" if name == crashing else "healthy" for name in NAMES}
        started = begin(tool, Place(folder, modes, self.programs, lift_limits))
        self.running.append(started)
        return started

    def end_all(self) -> None:
        """End whatever still runs."""
        while self.running:
            self.running.pop().end()

    def measure(self, options: argparse.Namespace) -> dict[str, Any]:
        """Run all phases and return the figures."""
        chance = random.Random(options.seed)
        figures: dict[str, Any] = {}
        tools = [self.begin(tool, lift_limits=True) for tool in self.tools]
        for started in tools:
            await_start(started)
        time.sleep(SETTLE_S)
        say(f"idle for {options.idle_s:.0f} s")
        figures["idle"] = trials.idle_costs(tools, options.idle_s)
        say(f"kill -9: {options.trials} rounds")
        floor = self.work / "plain"
        (floor / "state").mkdir(parents=True)
        kills = trials.kill_trials(tools, floor, options.trials, chance)
        figures["kill_ms"] = {name: trials.summary(values) for name, values in kills.items()}
        say(f"SIGSTOP: {options.stops} rounds, {options.peer_stops} of them for the peers")
        stops = trials.stop_trials(tools, options.stops, options.peer_stops, chance, options.trials)
        figures["stop_s"] = {name: trials.summary(values) for name, values in stops.items() if values}
        self.end_all()
        say(f"SIGKILL of the supervisor and relaunch: {options.relaunches} rounds")
        figures["relaunch"] = {tool.name: [] for tool in self.tools}
        for _ in range(options.relaunches):
            for tool in chance.sample(self.tools, len(self.tools)):
                figures["relaunch"][tool.name].append(trials.relaunch_trial(self.begin(tool)))
                self.end_all()
        say(f"crash loop for {options.crash_s:.0f} s")
        looping = [self.begin(tool, crashing=CRASHING) for tool in self.tools]
        figures["crash_loop"] = trials.crash_loops(looping, CRASHING, options.crash_s)
        return figures


def say(text: str) -> None:
    """Tell the person who waits what is being measured."""
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {text}\n")


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=50, help="rounds of kill -9")
    parser.add_argument("--stops", type=int, help="rounds of SIGSTOP for the Sentinel (default: as --trials)")
    parser.add_argument("--peer-stops", type=int, default=5, help="rounds of SIGSTOP for the peers, 20 s each")
    parser.add_argument("--relaunches", type=int, default=5, help="rounds of SIGKILL of the supervisor itself")
    parser.add_argument("--idle-s", type=float, default=20.0)
    parser.add_argument("--crash-s", type=float, default=30.0)
    parser.add_argument("--peers", default=",".join(PEERS), help=f"{', '.join(PEERS)} or none")
    parser.add_argument("--scratch", type=Path, help="where the peers are installed; outside the repository")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure there")
    options = parser.parse_args(argv)
    options.stops = options.trials if options.stops is None else options.stops
    options.peers = [name for name in options.peers.split(",") if name not in {"", "none"}]
    unknown = [name for name in options.peers if name not in PEERS]
    if unknown:
        parser.error(f"--peers: {unknown[0]!r} is unknown; use {', '.join(PEERS)} or none")
    if min(options.trials, options.stops, options.relaunches) < 1 or options.peer_stops < 0:
        parser.error("--trials, --stops and --relaunches must be at least 1, --peer-stops at least 0")
    if options.scratch and options.scratch.resolve().is_relative_to(ROOT):
        parser.error(f"--scratch {options.scratch} lies inside the repository; name a folder outside it")
    if sys.platform == "win32":
        parser.error("this benchmark sends POSIX signals; run it on Linux or macOS")
    return options


def facts(options: argparse.Namespace, tools: Sequence[Tool], packages: Sequence[str]) -> dict[str, Any]:
    """Return what the figures depend on."""
    return {
        "utc": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "cores": os.cpu_count(),
        "load_before": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "system": platform.system(),
        "peers": list(packages),
        "tools": {tool.name: tool.note for tool in tools},
        "seed": options.seed,
        "sentinel_max_restarts": "lifted for kill -9 and SIGSTOP only, defaults elsewhere",
    }


def run(options: argparse.Namespace, scratch: Path) -> Mapping[str, Any]:
    """Install, measure and return everything."""
    programs, packages = install.install(scratch) if options.peers else (scratch, [])
    tools = [SENTINEL, *(tool for name in options.peers for tool in PEERS[name])]
    result: dict[str, Any] = {"facts": facts(options, tools, packages)}
    bench = Bench(scratch, programs, tools)
    try:
        result |= bench.measure(options)
    finally:
        bench.end_all()
    result["facts"]["load_after"] = round(os.getloadavg()[0], 2)
    return result


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print the table and return the exit code."""
    options = arguments(argv)
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))  # ends what we started, too
    try:
        with tempfile.TemporaryDirectory(prefix="pj-bench-") as folder:
            scratch = (options.scratch or Path(folder)).resolve()
            scratch.mkdir(parents=True, exist_ok=True)
            result = run(options, scratch)
    except install.InstallFailed as error:
        sys.stderr.write(f"{error}\n")
        return 3
    except BenchFailed as error:
        sys.stderr.write(f"{error}\n")
        return 1
    print("\n".join(table(result)))
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
