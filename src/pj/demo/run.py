"""Run the whole pipeline against the simulators, from start to a table of what happened.

The demo starts three servers on loopback (gateway, TradersPost, Sheets) and the Sentinel, all on one scaled
clock, and waits for the tape to end and for every queue to drain. It is an operator like any other: it reads the
stats files and asks its processes to stop; it reaches into none of them.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from live.market import INSTRUMENTS, NS_PER_MIN, NS_PER_S
from pj.channels.rundir import RunDir
from pj.channels.stats import read_stats
from pj.clock import ScaledClock
from pj.config import overrides_to_env, without_settings
from pj.demo.plan import DemoPlan, check_tape, gateway_arguments, plan_from_options
from pj.demo.report import build_report, print_report, save_report
from pj.demo.servers import Servers, start_server

if TYPE_CHECKING:
    from collections.abc import Mapping

DRAIN_LIMIT_S: Final = 30.0
#: By then every stats file speaks of a moment after the one at which we began to wait.
TWO_BEATS_S: Final = 2.0


def boot_seconds() -> float:
    """Return how long to hold the clock at the start, from this machine's own speed.

    Seven processes import their libraries on however many cores there are; one such import is timed and
    multiplied. A clock that starts too early costs the demo its first minutes, one that starts late only waits:
    it stands at the first minute's open, so history ends with the minute before and nothing lies between.
    """
    import subprocess

    begun = time.monotonic()
    subprocess.run([sys.executable, "-P", "-c", "import ib_insync, pyarrow.parquet"], check=True)
    once = time.monotonic() - begun
    return max(8.0, once * 24 / max(1, os.cpu_count() or 1))


@dataclass(frozen=True, slots=True)
class DemoRun:
    """Hold a started demo: its plan, its clock, its servers and the environment that its Sentinel was started in."""

    plan: DemoPlan
    clock: ScaledClock
    servers: Servers
    folder: RunDir
    env: Mapping[str, str]


def write_config(plan: DemoPlan, ports: Mapping[str, int], contract: str) -> Path:
    """Write the run's config.yaml (no secret in it) and return its path."""
    lines = [
        "# Written by pj demo. Secrets are not here: they travel in the environment.",
        "profile: sim",
        f"run_dir: {_quoted(plan.run_dir)}",
        f"symbol: {plan.symbol}",
        f"contract: {_quoted(contract)}",
        "execution:",
        f"  route: {plan.route}",
        "  position_source: ibkr",
        "ibkr:",
        "  host: 127.0.0.1",
        f"  port: {ports['gateway']}",
        "sheets:",
        f"  enabled: {'true' if plan.sheets else 'false'}",
    ]
    if plan.sheets:
        lines += [
            "  verify_s: 5",
            "  spreadsheet_id: PJDEMO",
            f"  api_base: http://127.0.0.1:{ports['sheets']}",
            f"  service_account_file: {_quoted(plan.run_dir / 'simulators' / 'service_account.json')}",
        ]
    path = plan.run_dir / "config.yaml"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _quoted(value: object) -> str:
    """Return text as a YAML double-quoted string: backslashes and quotes of a path survive."""
    return json.dumps(str(value), ensure_ascii=False)


def start(plan: DemoPlan, settings: Mapping[str, str] | None = None) -> DemoRun:
    """Start the simulators, then the Sentinel; stop whatever was started if one of them fails.

    ``settings`` are the caller's own beside what the demo needs, dotted keys to text as on a command line.
    """
    from pj.calendar import ensure_sessions

    folder = RunDir(plan.run_dir, INSTRUMENTS[plan.symbol])
    folder.simulators.mkdir(parents=True, exist_ok=True)
    ensure_sessions(folder.session_file, plan.from_ns)
    start_ns = time.time_ns() + int(boot_seconds() * NS_PER_S)
    clock = ScaledClock(origin_ns=plan.from_ns, start_ns=start_ns, speed=plan.speed)
    # The operator's own settings and secrets stay out: a demo must never reach a real gateway or webhook.
    env = without_settings(os.environ) | overrides_to_env(settings or {}) | clock.to_env()
    servers = Servers()
    try:
        ports = _start_simulators(plan, servers, env)
        contract = plan.contract or servers.words["gateway"].get("contract", "")
        env["PJ_CONFIG"] = str(write_config(plan, ports, contract))
        servers.start_sentinel(env, folder.logs, headless=plan.headless)
    except BaseException:
        servers.stop_all()
        raise
    return DemoRun(plan, clock, servers, folder, env)


def _start_simulators(plan: DemoPlan, servers: Servers, env: dict[str, str]) -> dict[str, int]:
    logs = plan.run_dir / "logs"
    gateway = [*gateway_arguments(plan), "--run-dir", str(plan.run_dir)]
    ports = {"gateway": start_server(servers, "gateway", gateway, env, logs)}
    if plan.sheets:
        sheets = ["--port", "0", "--run-dir", str(plan.run_dir), "--spreadsheet-id", "PJDEMO"]
        sheets += ["--make-credentials", str(plan.run_dir / "simulators" / "service_account.json")]
        ports["sheets"] = start_server(servers, "sheets", sheets, env, logs)
    if plan.route == "traderspost":
        hook, password = str(uuid.uuid4()), secrets.token_hex(16)
        env["PJ_SIM_WEBHOOK_UUID"], env["PJ_SIM_WEBHOOK_PASSWORD"] = hook, password
        post = ["--port", "0", "--gateway", f"127.0.0.1:{ports['gateway']}", "--run-dir", str(plan.run_dir)]
        ports["traderspost"] = start_server(servers, "traderspost", post, env, logs)
        base = f"http://127.0.0.1:{ports['traderspost']}"
        env["PJ_TRADERSPOST_WEBHOOK_URL"] = f"{base}/trading/webhook/{hook}/{password}"
    return ports


def played(run: DemoRun) -> bool:
    """Tell whether the tape has ended and the engine has closed its last minute."""
    over = run.clock.now_ns() >= run.plan.to_ns + NS_PER_MIN // 4
    gateway = read_stats(run.folder.state("gateway"))
    engine = read_stats(run.folder.state("engine"))
    if not over or gateway is None or not gateway.gauge("finished", default=False) or engine is None:
        return False
    return engine.gauge("last_bar_ts_ns", 0) >= run.plan.to_ns - NS_PER_MIN


def rows_in_sheet(run: DemoRun, name: str) -> int:
    """Return a row count of the scribe (``produced`` or ``verified``), -1 while it says nothing."""
    scribe = read_stats(run.folder.state("scribe"))
    return -1 if scribe is None else scribe.gauge(name, -1)


def wait(run: DemoRun) -> str:
    """Wait until the demo has drained; return '' or, in one sentence, why it ended otherwise.

    The clock goes on after the tape and makes a quiet bar a minute, so the sheet is waited for up to the rows that
    stood on disk when the tape had been played.
    """
    deadline = played_at = 0.0
    wanted = -1
    while True:
        dead = run.servers.first_dead()
        if dead:
            return dead
        if not played_at and played(run):
            if not run.plan.sheets:
                return ""
            played_at = time.monotonic()
        if wanted < 0 and played_at and time.monotonic() > played_at + TWO_BEATS_S:
            wanted = rows_in_sheet(run, "produced")
        if wanted > 0 and rows_in_sheet(run, "verified") >= wanted:
            return ""
        if not deadline and run.clock.now_ns() >= run.plan.to_ns + NS_PER_MIN // 4:
            deadline = time.monotonic() + DRAIN_LIMIT_S
        if deadline and time.monotonic() > deadline:
            return f"the books were not closed {DRAIN_LIMIT_S:.0f} s after the tape's end"
        time.sleep(0.25)


def run(options: Mapping[str, object]) -> int:
    """Run one demo and print its table (or JSON); return the exit code.

    0 when its books are equal or the operator stopped it, 1 when not. Raises DemoError (exit code 2) before anything
    is started when the plan cannot be played.
    """
    plan = plan_from_options(options)
    check_tape(plan)
    begun = time.monotonic()
    started = start(plan)
    trouble, stopped = "", False
    try:
        trouble = wait(started)
    except KeyboardInterrupt:
        stopped = True
    finally:
        started.servers.stop_sentinel()
        started.servers.stop_all()
    report = build_report(plan, trouble, wall_s=time.monotonic() - begun, stopped=stopped)
    save_report(started.folder, report)
    print_report(report, as_json=bool(options.get("json")))
    return 0 if report["ok"] or stopped else 1
