"""The real gateway simulator and the real bridge, and in place of the engine its own adapter behind a granted fence."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flatten_world import MNQ, World, start_world

from live.commands import CancelOrders, ClosePosition, PlaceBracket, PlaceExits
from live.market import INSTRUMENTS
from pj.brokers.guarded import GuardedBroker
from pj.brokers.ibkr_outbox import IbkrOutbox
from pj.brokers.limits import SendLimits
from pj.brokers.port import Order, Outcome
from pj.channels.csvlog import read_rows
from pj.channels.fence import Fence, grant
from pj.channels.formats import BROKER_EVENT_COLUMNS
from pj.channels.rundir import RunDir
from pj.channels.stats import read_stats
from pj.clock import ScaledClock
from pj.ibkr.account_view import AccountClient, AccountView
from pj.ibkr.client import Endpoint

ROOT = Path(__file__).resolve().parents[2]
BRIDGE_ID = 11
SPEED = 1.0
START_NS = 1_795_012_200_000_000_000  # 2026-11-18 09:30 ET


def key(number: int, leg: str = "ENTRY") -> str:
    return f"739573:SWL:1795000{number:03d}@1795012{number:03d}:{leg}"


@dataclass
class Desk:
    """Hold the three: gateway, bridge, and the engine's side of the outbox."""

    root: Path
    library: str = "ib_insync"
    speed: float = SPEED
    gateway_options: tuple[str, ...] = ()
    bridges: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.run = RunDir(self.root, INSTRUMENTS["MNQ"]).create()
        self.clock = ScaledClock(START_NS, time.time_ns(), self.speed)
        self.world: World = start_world(
            *self.gateway_options, speed=f"{self.speed:g}", env={**self.clock.to_env(), **_paths("ib_insync")}
        )
        self.outbox: IbkrOutbox
        self.new_engine("engine-1")

    def new_engine(self, instance: str) -> None:
        """Grant the fence to another engine, whose adapter goes on with the same file."""
        if hasattr(self, "outbox"):
            self.outbox.close()
        grant(self.run, "engine", instance)
        self.outbox = IbkrOutbox(self.run, Fence(self.run, "engine", instance), SendLimits())
        self.broker = GuardedBroker(self.outbox, self.run)

    def env(self, **more: str) -> dict[str, str]:
        plain = {name: value for name, value in os.environ.items() if not name.startswith("PJ_")}
        own = {
            "PJ__IBKR__PORT": str(self.world.port),
            "PJ__IBKR__LIBRARY": self.library,
            "PJ__IBKR__CLIENT_ID": str(BRIDGE_ID),
            "PJ__IBKR__BACKOFF_MIN_S": "0.1",
            "PJ__IBKR__PROBE_S": "0.5",
            "PJ__RUN_DIR": str(self.root),
            "PJ__CONTRACT": MNQ,
            "PJ__EXECUTION__ROUTE": "ibkr",
        }
        return {**plain, **self.clock.to_env(), **own, **_paths(self.library), **more}

    def start_bridge(self, *command: str, ready: bool = True, **env: str) -> subprocess.Popen[bytes]:
        run = [sys.executable, "-P", *(command or ("-m", "pj.processes.ibkr_bridge"))]
        self.bridges.append(subprocess.Popen(run, env=self.env(**env), cwd=self.root, stdout=subprocess.DEVNULL))
        if ready:
            self.wait_ready()
        return self.bridges[-1]

    def wait_ready(self) -> None:
        self.wait("the order desk", lambda: self.gauge("orders_ready") is True)

    def reconnected(self, act: Callable[[], object]) -> None:
        """Do what breaks the connection and return when the desk stands again."""
        before = len(self.rows("STATUS"))
        act()
        self.wait("the break and the next connection", lambda: len(self.rows("STATUS")) >= before + 2)
        assert [row["status"] for row in self.rows("STATUS")][-2:] == ["disconnected", "connected"]

    def reconnected_at_ib(self) -> None:
        """Let the gateway say that it is back at IB, and return when the desk has read everything back."""
        self.world.control("error", code=1102, text="Connectivity restored, data maintained")
        self.wait("the re-read", lambda: [row["status"] for row in self.rows("STATUS")][-1:] == ["connected"])

    def kill_bridge(self) -> None:
        self.bridges[-1].kill()
        self.bridges[-1].wait(5)

    def gauge(self, name: str) -> Any:
        stats = read_stats(self.run.state("bridge"))
        return None if stats is None or stats.pid != self.bridges[-1].pid else stats.gauges.get(name)

    def wait(self, what: str, done: Callable[[], Any], timeout_s: float = 15.0) -> None:
        deadline = time.monotonic() + timeout_s
        while not done():
            assert time.monotonic() < deadline, (
                f"waited {timeout_s} s in vain for {what}; {self.answers()} {self.rows()[-12:]}"
            )
            time.sleep(0.02)

    # -- the engine's side ---------------------------------------------------------------------------

    def ask(self, order: Order) -> None:
        assert self.broker.send(order, self.clock.now_ns()).outcome is Outcome.HANDED

    def enter(
        self, number: int, side: int = 1, qty: int = 1, stop: int = 0, target: int = 0, contract: str = MNQ
    ) -> str:
        """Ask for a bracket far from the market unless prices (ticks) are given; return its key."""
        low, high = 20_000, 240_000
        stop, target = stop or (low if side > 0 else high), target or (high if side > 0 else low)
        now_ns = self.clock.now_ns()
        self.ask(PlaceBracket(key(number), contract, side, qty, 100_000, stop, target, now_ns, "p"))
        return key(number)

    def close(self, number: int, leg: str = "EXIT") -> str:
        self.ask(ClosePosition(key(number, leg), MNQ, 1, "TIME", self.clock.now_ns()))
        return key(number, leg)

    def cancel(self, number: int, leg: str = "CANCEL") -> str:
        self.ask(CancelOrders(key(number, leg), MNQ, "ORPHAN", self.clock.now_ns()))
        return key(number, leg)

    def exits(self, number: int, qty: int, stop: int, target: int, side: int = 1, leg: str = "EXITS") -> str:
        self.ask(PlaceExits(key(number, leg), MNQ, side, qty, stop, target, self.clock.now_ns()))
        return key(number, leg)

    # -- what came of it -----------------------------------------------------------------------------

    def rows(self, *kinds: str) -> list[dict[str, str]]:
        found = [
            row for day in self.run.days() for row in read_rows(self.run.day(day).broker_events, BROKER_EVENT_COLUMNS)
        ]
        return [row for row in found if not kinds or row["kind"] in kinds]

    def answers(self, of: str = "") -> list[str]:
        return [row["status"] for row in self.rows("ANSWER") if not of or row["order_ref"] == of]

    def answered(self, of: str, *words: str) -> str:
        """Return the last answer for the key once it begins with one of the words."""
        self.wait(f"{words} for {of}", lambda: any(a.startswith(words) for a in self.answers(of)))
        return self.answers(of)[-1]

    def held(self) -> int:
        return self.world.held().get(MNQ, 0)

    def view(self) -> AccountView:
        """Return the account as somebody else sees it."""

        async def look() -> AccountView:
            client = await AccountClient.open(Endpoint("127.0.0.1", self.world.port, 555))
            try:
                return await client.observe(5)
            finally:
                client.close()
                await asyncio.sleep(0.05)  # the transport says goodbye before the loop ends

        return asyncio.run(look())

    def orders(self) -> list[tuple[int, str, str]]:
        """Return the working orders as (side, type, remaining quantity asked)."""
        return sorted((one.seen.side, one.seen.order_type, one.seen.qty) for one in self.view().orders)

    def book(self) -> list[list[Any]]:
        """Return every order the gateway ever took."""
        found: list[list[Any]] = self.world.control("orders")["book"]
        return found

    def entries(self, of: str = "") -> list[list[Any]]:
        """Return the market orders ever taken that bear an entry's key (all, or one key's)."""
        return [
            row for row in self.book() if row[2] == "MKT" and row[7].endswith(":ENTRY") and row[7] in (of or row[7])
        ]

    def end(self) -> None:
        self.outbox.close()
        for process in self.bridges:
            if process.poll() is None:
                process.kill()
            process.wait(5)
        self.world.end()


def _paths(library: str) -> dict[str, str]:
    found = [os.environ.get("PYTHONPATH", "")]
    if library == "ib_async":  # its own folder, since it and ib_insync share a module folder
        found.insert(0, os.environ.get("PJ_IB_ASYNC_PATH", "") or str(ROOT / ".venv" / "ib_async"))
    return {"PYTHONPATH": os.pathsep.join(filter(None, found))}
