"""Put the engine in front of a real bridge that places its orders (execution.route ibkr) at the simulated gateway."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine_chain import Chain

from pj.channels.csvlog import read_rows
from pj.channels.formats import BROKER_EVENT_COLUMNS
from pj.channels.stats import read_stats


@dataclass
class IbkrChain(Chain):
    """Hold gateway and bridge; ``env`` of the bridge may be changed for each start."""

    control_port: int = 0
    bridges: list[subprocess.Popen[bytes]] = field(default_factory=list)
    bridge_env: dict[str, str] = field(default_factory=dict)

    def start_servers(self) -> None:
        """Start the gateway, then the bridge."""
        window = ["--date", self.day.isoformat(), "--from", self._et(self.start_ns), "--to", self._et(self.end_ns)]
        shared = ["--port", "0", "--control-port", "0", "--run-dir", str(self.root), "--tape", str(self.tape)]
        words = self._ready("gateway", *shared, *window)
        port = words[2].rpartition(":")[2]
        self.control_port = int(dict(word.split("=") for word in words[3:])["control"])
        self.settings |= {
            "ibkr.port": port,
            "contract": "MNQM6",
            "execution.route": "ibkr",
            "ibkr.backoff_min_s": "0.1",
        }
        self.start_bridge()

    def env(self) -> dict[str, str]:
        return {name: value for name, value in super().env().items() if "WEBHOOK" not in name}

    def start_bridge(self, *command: str, **env: str) -> None:
        """Start a bridge, the product's own or one that dies at a step of its work."""
        line = [sys.executable, "-P", *(command or ("-m", "pj.processes.ibkr_bridge"))]
        process = subprocess.Popen(line, env={**self.env(), **self.bridge_env, **env}, stdout=subprocess.DEVNULL)
        self.bridges.append(process)
        self.servers.append(process)

    def start_mortal(self, program: Path, step: str) -> None:
        """Start an engine that dies at a step of an order's life."""
        env = {**self.env(), "DIE_AT": step, "DIE_FLAG": str(self.root / "died")}
        command = [sys.executable, "-P", str(program)]
        self.engines.append(subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE))

    def kill_bridge(self) -> None:
        """Kill the newest bridge as a crash would."""
        self.bridges[-1].kill()
        self.bridges[-1].wait(10)

    def bridge_ready(self) -> bool:
        """Tell whether the newest bridge takes orders."""
        stats = read_stats(self.run.state("bridge"))
        return stats is not None and stats.pid == self.bridges[-1].pid and bool(stats.gauge("orders_ready", False))

    def control(self, verb: str, **more: object) -> dict[str, Any]:
        """Ask the gateway's control port."""
        with socket.create_connection(("127.0.0.1", self.control_port), timeout=5) as peer:
            peer.sendall(json.dumps({"verb": verb, **more}).encode() + b"\n")
            answer: dict[str, Any] = json.loads(peer.makefile().readline())
        assert answer["ok"], answer
        return answer

    def held(self) -> int:
        """Return the position at the gateway."""
        return int(self.control("status")["positions"].get("MNQM6", 0))

    def entries(self) -> list[list[Any]]:
        """Return the entry orders that the gateway ever took."""
        return [row for row in self.book("MKT") if row[7].endswith(":ENTRY")]

    def book(self, kind: str) -> list[list[Any]]:
        """Return the orders of one type that the gateway ever took."""
        return [row for row in self.control("orders")["book"] if row[2] == kind]

    def order_ids(self) -> list[int]:
        """Return every order id that the gateway ever took from us."""
        return [row[1] for row in self.control("orders")["book"]]

    def account(self, *kinds: str) -> list[dict[str, str]]:
        """Return the rows of broker_events.csv of these kinds."""
        return [row for row in read_rows(self.paths.broker_events, BROKER_EVENT_COLUMNS) if row["kind"] in kinds]

    def wait_until(self, done: Callable[[], Any], limit_s: float = 20.0) -> None:
        """Return once ``done()`` holds."""
        deadline = time.monotonic() + limit_s
        while not done():
            assert time.monotonic() < deadline, f"waited {limit_s} s in vain; {self.stats()} {self.outcomes()[-8:]}"
            time.sleep(0.02)

    def _ready(self, name: str, *arguments: str) -> list[str]:
        import os

        env = {name_: value for name_, value in os.environ.items() if not name_.startswith("PJ_")}
        command = [sys.executable, "-P", "-m", f"pj.simulators.{name}", *arguments]
        process = subprocess.Popen(command, env={**env, **self.clock.to_env()}, stdout=subprocess.PIPE)
        self.servers.append(process)
        assert process.stdout is not None
        words = process.stdout.readline().decode().split()
        assert words[:2] == ["READY", name], words
        return words
