"""Run the simulated TradersPost: a webhook server whose accepted signals trade on a gateway's account.

``python -P -m pj.simulators.traderspost --port 8990 --gateway 127.0.0.1:4002``. The webhook's secret comes from the
environment (PJ_SIM_WEBHOOK_UUID, PJ_SIM_WEBHOOK_PASSWORD) and never from an argument, which every process of the
machine can read; without one it is made and shown in the READY line.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import signal
import sys
import threading
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any, Final

from pj.channels.files import replace_atomic
from pj.clock import Clock, ClockError, clock_from_env
from pj.simulators.traderspost_account import GatewayAccount, Subscription
from pj.simulators.traderspost_http import Server
from pj.simulators.traderspost_service import LEDGER_NAME, DryRun, Ledger, Secret, Service

STATS_S: Final = 1.0
ENV_UUID: Final = "PJ_SIM_WEBHOOK_UUID"
ENV_PASSWORD: Final = "PJ_SIM_WEBHOOK_PASSWORD"  # noqa: S105 - the variable's name, not a password


def build_parser() -> argparse.ArgumentParser:
    """Return the command line's description."""
    parser = argparse.ArgumentParser(prog="pj simulate traderspost", description=__doc__)
    parser.add_argument("--port", type=int, default=8990, help="port on 127.0.0.1; 0 takes any free one")
    parser.add_argument("--gateway", required=True, help="HOST:PORT of the gateway to trade on, or none for a dry run")
    parser.add_argument("--client-id", type=int, default=900, help="API client id at the gateway")
    parser.add_argument("--run-dir", type=Path, help="run folder for the ledger and the stats file")
    parser.add_argument("--state", type=Path, help="another place for the ledger")
    parser.add_argument("--side-swapping", action="store_true", help="let a buy while short go long after closing")
    parser.add_argument("--allow-add", action="store_true", help="let a buy while long add to the position")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; return 0, or 2 when the port or an argument cannot be used."""
    args = build_parser().parse_args(argv)
    given = os.environ.get(ENV_UUID, ""), os.environ.get(ENV_PASSWORD, "")
    secret = Secret(given[0] or str(uuid.uuid4()), given[1] or secrets.token_hex(16))
    try:
        clock = clock_from_env()
        ledger = Ledger(args.state or (args.run_dir / "simulators" / LEDGER_NAME if args.run_dir else None), clock)
        executor = _executor(args, clock, ledger)
    except (ClockError, ValueError, OSError) as error:
        print(f"traderspost simulator: {error}", file=sys.stderr)
        return 2
    service = Service(secret, clock, executor, ledger)
    try:
        server = Server(args.port, service)
    except OSError as error:
        print(f"traderspost simulator: port {args.port} cannot be used: {error}; choose another", file=sys.stderr)
        executor.close()
        return 2
    made = "" if all(given) else f" path=/trading/webhook/{secret.uuid}/{secret.password}"
    return _serve(server, service, args.run_dir, made)


def _executor(args: argparse.Namespace, clock: Clock, ledger: Ledger) -> GatewayAccount | DryRun:
    if args.gateway == "none":
        return DryRun()
    host, colon, port = args.gateway.rpartition(":")
    if not colon or not port.isdecimal():
        raise ValueError(f"--gateway is {args.gateway!r}; write HOST:PORT, like 127.0.0.1:4002")
    subscription = Subscription(args.side_swapping, args.allow_add)
    return GatewayAccount(host, int(port), clock, ledger.write, args.client_id, subscription)


def _serve(server: Server, service: Service, run_dir: Path | None, made: str) -> int:
    def stop(_signal: int, _frame: FrameType | None) -> None:
        server.stopping.set()

    for name in ("SIGTERM", "SIGINT", "SIGBREAK"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), stop)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
    thread.start()
    print(f"READY traderspost 127.0.0.1:{server.port}{made}", flush=True)
    stats = Stats(service, run_dir)
    while not server.stopping.wait(STATS_S):
        stats.write()
    server.shutdown()
    server.server_close()
    service.executor.close()
    stats.write("STOPPING")
    service.ledger.close()
    return 0


class Stats:
    """Replace ``state/traderspost.stats.json`` once a second."""

    def __init__(self, service: Service, run_dir: Path | None) -> None:
        """Write nothing when there is no run folder."""
        self._service = service
        self._path = run_dir / "state" / "traderspost.stats.json" if run_dir else None
        self._started_ns = time.time_ns()
        self._beat = 0
        if self._path:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self.write()

    def write(self, phase: str = "RUNNING") -> None:
        """Write one beat."""
        if self._path is None:
            return
        self._beat += 1
        executor = self._service.executor
        gauges: dict[str, Any] = {
            "process": "traderspost",
            "pid": os.getpid(),
            "instance": os.environ.get("PJ_INSTANCE", ""),
            "started_ns": self._started_ns,
            "beat_seq": self._beat,
            "beat_ns": time.time_ns(),
            "phase": phase,
            "counts": dict(self._service.ledger.counts),
            "positions": executor.positions(),
            "gateway_connected": getattr(executor, "connected", False),
        }
        replace_atomic(self._path, json.dumps(gauges, sort_keys=True).encode())


if __name__ == "__main__":
    sys.exit(main())
