"""Put the engine between a real bridge and a real webhook server, both on the simulated gateway's account."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
from engine_world import World

from live.market import NS_PER_S
from live.trading_day import et_offset_s
from pj.clock import ScaledClock

UUID, PASSWORD = "0b6c6f0e-6d7c-4b8e-9a53-5b7c3fd10a11", "chain-password"
BOOT_S = 3.0


@dataclass
class Chain(World):
    """Hold gateway, webhook server and bridge as processes of their own, under one clock."""

    tape: Path = Path()
    servers: list[subprocess.Popen[bytes]] = field(default_factory=list)
    hook: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.clock = ScaledClock(self.start_ns, time.time_ns() + int(BOOT_S * 1e9), self.speed)

    def start_servers(self) -> None:
        """Start all three and wait until they serve."""
        window = ["--date", self.day.isoformat(), "--from", self._et(self.start_ns), "--to", self._et(self.end_ns)]
        shared = ["--port", "0", "--run-dir", str(self.root)]
        gateway = self._serve("gateway", *shared, "--tape", str(self.tape), *window)
        self.settings |= {"ibkr.port": gateway, "contract": "MNQM6", "execution.route": "traderspost"}
        post = self._serve("traderspost", *shared, "--gateway", f"127.0.0.1:{gateway}")
        self.hook = f"http://127.0.0.1:{post}"
        bridge = [sys.executable, "-P", "-m", "pj.processes.ibkr_bridge"]
        self.servers.append(subprocess.Popen(bridge, env=self.env(), stdout=subprocess.DEVNULL))

    def env(self) -> dict[str, str]:
        url = f"{self.hook}/trading/webhook/{UUID}/{PASSWORD}"
        return {**super().env(), "PJ_TRADERSPOST_WEBHOOK_URL": url, "PJ_SIM_WEBHOOK_PASSWORD": PASSWORD}

    def plant(self, fault: str, count: int = 1) -> None:
        """Make the next webhook calls fail."""
        assert requests.post(f"{self.hook}/_fault", json={"fault": fault, "count": count}, timeout=5).json()["ok"]

    def calls(self, action: str = "") -> list[dict[str, Any]]:
        """Return the webhook calls received, of one action or all."""
        rows = requests.get(f"{self.hook}/_log", timeout=5).json()["requests"]
        seen = [row for row in rows if row["kind"] == "REQUEST"]
        return [row for row in seen if not action or row["body"]["action"] == action]

    def held(self) -> int:
        """Return the position at the gateway."""
        positions = requests.get(f"{self.hook}/_positions", timeout=5).json()["positions"]
        return int(positions.get("MNQM6", 0))

    def wait_until(self, done: Any, limit_s: float = 20.0) -> None:
        """Return once ``done()`` holds."""
        deadline = time.monotonic() + limit_s
        while not done():
            assert time.monotonic() < deadline, f"waited {limit_s} s in vain; the engine says {self.stats()}"
            time.sleep(0.02)

    def outcomes(self) -> list[tuple[str, str]]:
        """Return type and leg of the order lines in the journal, in order."""
        kinds = {"INTENT", "ACKED", "REFUSED", "UNKNOWN"}
        return [(line.type, line.data["key"].rpartition(":")[2]) for line in self.journal() if line.type in kinds]

    def close(self) -> None:
        super().close()
        for process in reversed(self.servers):
            process.terminate()
        for process in self.servers:
            try:
                process.wait(10)
            finally:
                process.kill()
                process.wait()
            if process.stdout is not None:
                process.stdout.close()

    def _serve(self, name: str, *arguments: str) -> str:
        command = [sys.executable, "-P", "-m", f"pj.simulators.{name}", *arguments]
        env = {name: value for name, value in os.environ.items() if not name.startswith("PJ_")}
        env |= {**self.clock.to_env(), "PJ_SIM_WEBHOOK_UUID": UUID, "PJ_SIM_WEBHOOK_PASSWORD": PASSWORD}
        process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE)
        self.servers.append(process)
        assert process.stdout is not None
        words = process.stdout.readline().decode().split()
        assert words[:2] == ["READY", name], words
        return words[2].rpartition(":")[2]

    def _et(self, ns: int) -> str:
        minutes = (ns // NS_PER_S + et_offset_s(ns)) // 60 % 1440
        return f"{minutes // 60:02d}:{minutes % 60:02d}"


def brief(rows: list[dict[str, Any]]) -> str:
    """Return ledger rows as short text for a failing assertion."""
    return json.dumps([[row["kind"], row.get("status"), row.get("body", {}).get("action")] for row in rows])
