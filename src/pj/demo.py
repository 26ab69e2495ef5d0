"""Run the whole pipeline against the simulators, from start to a table of what happened.

The demo starts three servers on loopback (gateway, TradersPost, Sheets) and the Sentinel, all on one scaled
clock, and waits for the tape to end and for every queue to drain. It is an operator like any other: it reads
stats files and appends to the control file, it reaches into no process.
"""

from __future__ import annotations

import datetime as dt
import os
import secrets
import sys
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

from live.market import INSTRUMENTS, NS_PER_MIN, NS_PER_S
from pj.channels.rundir import RunDir
from pj.channels.stats import read_stats
from pj.clock import ScaledClock
from pj.config import without_settings
from pj.demo_processes import Servers, start_server

if TYPE_CHECKING:
    from collections.abc import Mapping

EASTERN: Final = ZoneInfo("America/New_York")
DEFAULT_DATE: Final = dt.date(2026, 11, 18)
DEFAULT_WINDOW: Final = ("09:25", "11:00")
DRAIN_LIMIT_S: Final = 30.0
TRADE_DATE_TURN_HOUR: Final = 18


class DemoError(Exception):
    """Report a demo that cannot start; the message is one sentence for the user."""


@dataclass(frozen=True, slots=True)
class DemoPlan:
    """Hold what one demo plays: a stretch of one trade date, at a speed, into a fresh run folder."""

    tape: str
    symbol: str
    contract: str
    trade_date: dt.date
    from_ns: int
    to_ns: int
    speed: float
    seed: int
    route: str
    run_dir: Path
    sheets: bool
    headless: bool


def eastern_ns(trade_date: dt.date, text: str) -> int:
    """Return the UTC ns of an ET time ``HH:MM`` within ``trade_date`` (18:00 and later = the evening before)."""
    try:
        clock = dt.time.fromisoformat(text)
    except ValueError as error:
        raise DemoError(f"time {text!r} is not HH:MM (ET); give for instance --from 08:00") from error
    day = trade_date - dt.timedelta(days=1) if clock.hour >= TRADE_DATE_TURN_HOUR else trade_date
    moment = dt.datetime.combine(day, clock, tzinfo=EASTERN)
    return int(moment.timestamp()) * NS_PER_S


def run_base() -> Path:
    """Return where demo folders lie: data/run beside the settings file, as for every other run."""
    named = os.environ.get("PJ_CONFIG")
    return (Path(named).absolute().parent if named else Path.cwd()) / "data" / "run"


def fresh_run_dir(text: str | None, base: Path) -> Path:
    """Return a run folder that holds nothing yet; raise DemoError naming one that does."""
    if text is None:
        stamp = dt.datetime.now(tz=dt.UTC).strftime("%Y%m%d-%H%M%S")
        return base / f"demo-{stamp}"
    path = Path(text).expanduser().absolute()
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise DemoError(f"run folder {path} is not empty; give --run-dir a new or empty folder")
    return path


def plan_from_options(options: Mapping[str, object]) -> DemoPlan:
    """Return the plan that the command line asks for; raise DemoError for a value that cannot be played."""
    symbol = str(options.get("symbol") or "MNQ")
    if symbol not in INSTRUMENTS:
        raise DemoError(f"symbol {symbol!r} is unknown; choose one of {', '.join(sorted(INSTRUMENTS))}")
    tape = str(options.get("tape") or "generator")
    date_text = options.get("date")
    if date_text is None and tape != "generator":
        raise DemoError("--tape needs --date: give the CME trade date to play, for instance --date 2026-04-15")
    try:
        trade_date = dt.date.fromisoformat(str(date_text)) if date_text else DEFAULT_DATE
    except ValueError as error:
        raise DemoError(f"date {date_text!r} is not YYYY-MM-DD") from error
    from_ns = eastern_ns(trade_date, str(options.get("from") or DEFAULT_WINDOW[0]))
    to_ns = eastern_ns(trade_date, str(options.get("to") or DEFAULT_WINDOW[1]))
    if to_ns <= from_ns:
        raise DemoError("--to is not after --from; both are ET, and 18:00 or later is the evening before the date")
    speed = _number(options.get("speed"), 60.0)
    if not 0 < speed <= 600:
        raise DemoError(f"speed {speed:g} is outside 0-600")
    return DemoPlan(
        tape=tape if tape == "generator" else str(Path(tape).expanduser().absolute()),
        symbol=symbol,
        contract=str(options.get("contract") or ""),
        trade_date=trade_date,
        from_ns=from_ns,
        to_ns=to_ns,
        speed=speed,
        seed=int(_number(options.get("seed"), 7)),
        route=str(options.get("route") or "traderspost"),
        run_dir=fresh_run_dir(_text_or_none(options.get("run_dir")), run_base()),
        sheets=bool(options.get("sheets", True)),
        headless=bool(options.get("headless", False)),
    )


def _number(value: object, default: float) -> float:
    return default if value is None else float(str(value))


def _text_or_none(value: object) -> str | None:
    return None if value is None else str(value)


def gateway_arguments(plan: DemoPlan) -> list[str]:
    """Return what the simulated gateway is to play."""
    window = ["--date", plan.trade_date.isoformat(), *_et_window(plan)]
    contract = ["--contract", plan.contract] if plan.contract else []
    return ["--port", "0", "--tape", plan.tape, "--symbol", plan.symbol, "--seed", str(plan.seed), *window, *contract]


def check_tape(plan: DemoPlan) -> None:
    """Raise DemoError when the gateway could not play the plan, before a file or a process exists."""
    from pj.simulators.gateway import choose
    from pj.simulators.gateway_options import UsageError, read
    from pj.simulators.tapes import TapeError

    try:
        choose(read(gateway_arguments(plan)))
    except (TapeError, UsageError) as error:
        raise DemoError(str(error)) from None


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
    """Hold a started demo: its plan, its clock and its servers."""

    plan: DemoPlan
    clock: ScaledClock
    servers: Servers
    folder: RunDir


def write_config(plan: DemoPlan, ports: Mapping[str, int], contract: str) -> Path:
    """Write the run's config.yaml (no secret in it) and return its path."""
    lines = [
        "# Written by pj demo. Secrets are not here: they travel in the environment.",
        "profile: sim",
        f"run_dir: {str(plan.run_dir)!r}",
        f"symbol: {plan.symbol}",
        f"contract: {contract!r}",
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
            f"  service_account_file: {str(plan.run_dir / 'simulators' / 'service_account.json')!r}",
        ]
    path = plan.run_dir / "config.yaml"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def start(plan: DemoPlan) -> DemoRun:
    """Start the simulators, then the Sentinel; stop whatever was started if one of them fails."""
    from pj.calendar import ensure_sessions

    folder = RunDir(plan.run_dir, INSTRUMENTS[plan.symbol])
    folder.simulators.mkdir(parents=True, exist_ok=True)
    ensure_sessions(folder.session_file, plan.from_ns)
    start_ns = time.time_ns() + int(boot_seconds() * NS_PER_S)
    clock = ScaledClock(origin_ns=plan.from_ns, start_ns=start_ns, speed=plan.speed)
    # The operator's own settings and secrets stay out: a demo must never reach a real gateway or webhook.
    env = without_settings(os.environ) | clock.to_env()
    servers = Servers()
    try:
        ports = _start_simulators(plan, servers, env)
        contract = plan.contract or servers.words["gateway"].get("contract", "")
        env["PJ_CONFIG"] = str(write_config(plan, ports, contract))
        servers.start_sentinel(env, folder.logs, headless=plan.headless)
    except BaseException:
        servers.stop_all()
        raise
    return DemoRun(plan, clock, servers, folder)


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


def _et_window(plan: DemoPlan) -> list[str]:
    def wall(ns: int) -> str:
        return dt.datetime.fromtimestamp(ns // NS_PER_S, tz=EASTERN).strftime("%H:%M")

    return ["--from", wall(plan.from_ns), "--to", wall(plan.to_ns)]


def drained(run: DemoRun) -> bool:
    """Tell whether the tape has ended and everything that follows from it has arrived."""
    over = run.clock.now_ns() >= run.plan.to_ns + NS_PER_MIN // 4
    gateway = read_stats(run.folder.state("gateway"))
    engine = read_stats(run.folder.state("engine"))
    if not over or gateway is None or not gateway.gauge("finished", default=False) or engine is None:
        return False
    if engine.gauge("last_bar_ts_ns", 0) < run.plan.to_ns - NS_PER_MIN:
        return False
    if not run.plan.sheets:
        return True
    scribe = read_stats(run.folder.state("scribe"))
    if scribe is None:
        return False
    produced = scribe.gauge("produced", 0)
    return produced > 0 and produced == scribe.gauge("acked", -1) == scribe.gauge("verified", -1)


def wait(run: DemoRun) -> str:
    """Wait until the demo has drained; return '' or, in one sentence, why it ended otherwise."""
    deadline: float | None = None
    while True:
        dead = run.servers.first_dead()
        if dead:
            return dead
        if drained(run):
            return ""
        if deadline is None and run.clock.now_ns() >= run.plan.to_ns + NS_PER_MIN // 4:
            deadline = time.monotonic() + DRAIN_LIMIT_S
        if deadline is not None and time.monotonic() > deadline:
            return f"the books were not closed {DRAIN_LIMIT_S:.0f} s after the tape's end"
        time.sleep(0.25)


def run(options: Mapping[str, object]) -> int:
    """Run one demo and print its table (or JSON); return the exit code.

    0 when its books are equal or the operator stopped it, 1 when not. Raises DemoError (exit code 2) before anything
    is started when the plan cannot be played.
    """
    from pj.demo_report import build_report, print_report

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
    print_report(report, as_json=bool(options.get("json")))
    return 0 if report["ok"] or stopped else 1
