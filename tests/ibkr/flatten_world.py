"""A simulated gateway as a process, and the orders that a dead bridge and a human have left on it."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Coroutine
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypeVar

from pj.ibkr.orders import Bracket, OrderClient

BRIDGE = 11
HUMAN = 77
MNQ = "MNQZ6"
MES = "MESZ6"
FAR = (Decimal(5_000), Decimal(60_000))
T = TypeVar("T")


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(asyncio.wait_for(work, 60))


@dataclass
class World:
    """Hold the gateway."""

    process: subprocess.Popen[str]
    port: int
    control_port: int

    def control(self, verb: str, **more: object) -> dict[str, Any]:
        with socket.create_connection(("127.0.0.1", self.control_port), timeout=5) as peer:
            peer.sendall(json.dumps({"verb": verb, **more}).encode() + b"\n")
            answer: dict[str, Any] = json.loads(peer.makefile().readline())
        assert answer["ok"], answer
        return answer

    def held(self) -> dict[str, int]:
        return {name: qty for name, qty in self.control("status")["positions"].items() if qty}

    async def client(self, client_id: int = BRIDGE) -> OrderClient:
        return await OrderClient.connect("127.0.0.1", self.port, client_id)

    async def _leave(self, client_id: int, contract: str, side: int, qty: int, *, legs: bool) -> Bracket:
        client = await self.client(client_id)
        below, above = FAR if legs else (None, None)
        stop, target = (below, above) if side > 0 else (above, below)
        bracket = await client.place_bracket(contract, side, qty, stop, target, "theirs")
        await asyncio.sleep(0.1)
        client.close()
        await asyncio.sleep(0.05)
        return bracket

    def leave(self, side: int, qty: int, *, client_id: int = BRIDGE, contract: str = MNQ, legs: bool = True) -> Bracket:
        """Open a position, with stop and target working unless not ``legs``, and be gone."""
        return run(self._leave(client_id, contract, side, qty, legs=legs))

    async def working(self) -> list[str]:
        """Return the account's working orders as ``client:contract``, seen by somebody else."""
        from pj.ibkr.account_view import AccountClient
        from pj.ibkr.client import Endpoint

        client = await AccountClient.open(Endpoint("127.0.0.1", self.port, 555))
        try:
            view = await client.observe(5)
        finally:
            client.close()
        return sorted(f"{order.seen.client_id}:{order.seen.contract}" for order in view.orders)

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)
        if self.process.stdout is not None:
            self.process.stdout.close()


def start_world(*options: str, speed: str = "1", env: dict[str, str] | None = None) -> World:
    window = ("--date", "2026-11-18", "--from", "09:30", "--to", "16:59", "--contract", MNQ)
    command = [sys.executable, "-P", "-m", "pj.simulators.gateway", "--port", "0", "--control-port", "0", *window]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PJ_")} | (env or {})
    process = subprocess.Popen([*command, "--speed", speed, *options], stdout=subprocess.PIPE, text=True, env=clean)
    watchdog = threading.Timer(30, process.kill)
    watchdog.start()
    assert process.stdout is not None
    words = process.stdout.readline().split()
    watchdog.cancel()
    assert words[:2] == ["READY", "gateway"], words
    named = dict(word.split("=") for word in words[3:])
    return World(process, int(words[2].rpartition(":")[2]), int(named["control"]))
