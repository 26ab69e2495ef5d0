"""Build run folders that look like a real one, for the dashboard's tests."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pj.channels.jsonl import seal
from pj.channels.rundir import RunDir
from pj.channels.stats import Stats
from pj.dashboard.audit import TickCount
from pj.dashboard.state import DashboardState, View

if TYPE_CHECKING:
    from pathlib import Path

    from live.market import Instrument

RUN_NS = 1_776_259_865_400_000_000  # 2026-04-15 09:31:05.4 ET
CHILDREN = {
    "bridge": {"state": "RUNNING", "pid": 812, "restarts": 1, "last_reason": "signal SIGKILL", "last_restart_ms": 61.2},
    "engine": {"state": "RUNNING", "pid": 813, "restarts": 0, "last_reason": "", "last_restart_ms": None},
    "scribe": {"state": "RUNNING", "pid": 814, "restarts": 0, "last_reason": "", "last_restart_ms": None},
    "dashboard": {"state": "RUNNING", "pid": 815, "restarts": 0, "last_reason": "", "last_restart_ms": None},
}
POOLS = [
    {"id": "a", "kind": "PDH", "level": "25040.25", "state": "DEFINED", "distance": "39"},
    {"id": "b", "kind": "ASIAH", "level": "25010.5", "state": "SWEPT", "distance": "9.25"},
    {"id": "c", "kind": "LDNL", "level": "24985", "state": "DEFINED", "distance": "-16.25"},
    {"id": "d", "kind": "EQL", "level": "24970.75", "state": "RECLAIMED", "distance": "-30.5"},
    {"id": "e", "kind": "PDL", "level": "24800", "state": "DEAD", "distance": "-201.25"},
]
BRIDGE = {
    "connected": True, "server_version": 176, "library": "ib_insync", "contract": "MNQM6", "ticks_received": 20500,
    "ticks_taped": 12340, "quotes": 8000, "heartbeats": 95, "rejected": {"OFF_GRID": 2}, "gaps": 1, "reconnects": 2,
    "last_tick_ns": RUN_NS - 400_000_000, "run_ns": RUN_NS, "last_price": "25001.25", "bid": "25001", "ask": "25001.5",
    "lag_ms_p50": 0.8, "lag_ms_p99": 3.4, "market_data_type": 1, "position": 2,
    "account": {"NetLiquidation": "100250.50"},
}  # fmt: skip
ENGINE = {
    "mode": "LIVE", "bars": 91, "last_bar_ts_ns": RUN_NS - 65_400_000_000, "journal_seq": 412,
    "journal_head": "9f3ac0d1e2b4",
    "pools": {"DEFINED": 12, "SWEPT": 1, "RECLAIMED": 1, "DEAD": 4}, "pools_near": POOLS,
    "signals": 3, "refusals": {"WINDOW": 1, "RISK": 1}, "position": 2, "entry_price": "24990.5",
    "stop": "24970.25", "target": "25031", "open_pnl_cents": 4300,
    "day_pnl_cents": -12000, "trades_today": 2, "losses_streak": 1, "orders_hour": 3, "locked": False, "killed": False,
    "limits": {"max_daily_loss_cents": 45000, "max_trades_day": 6, "max_orders_hour": 30,
    "max_consec_losses": 3}, "entries_blocked": "",
    "edge_to_bar_ms": {"p50": 4.0, "p95": 9.0, "max": 12.0, "n": 91}, "edge_to_order_ms": {"p50": 18.0, "p95": 31.0,
    "max": 31.0, "n": 3}, "late_ticks": 0, "tape_lag_ms": 2.5,
    "last_events": ["09:12 SWEPT ASIAH 25014.25", "09:14 SIGNAL ASIAH short 25009.75", "09:15 TRADE +2 at 24990.5"],
}  # fmt: skip
SCRIBE = {
    "produced": 12500, "sent": 12480, "acked": 12480, "verified": 12400, "lost": 0, "errors": 0, "last_error": "",
    "rows": {"RawTicks": 12340, "OneMinuteData": 91, "TradeLog": 2}, "lag_rows": 20,
}  # fmt: skip
GAUGES: dict[str, dict[str, Any]] = {
    "sentinel": {"children": CHILDREN}, "bridge": BRIDGE, "engine": ENGINE, "scribe": SCRIBE, "dashboard": {},
    "gateway": {"ticks_sent": 12342},
}  # fmt: skip
DEEDS = (
    "13:30:58Z START name=dashboard pid=815",
    '13:31:01Z WARNING DIED name=bridge pid=790 reason="signal SIGKILL" failures=1',
    '13:31:01Z RESTART name=bridge reason="signal SIGKILL" old_pid=790 new_pid=812 ms=1.4 restarts=1',
)


def view(name: str, *, age_s: float = 0.4, phase: str = "RUNNING", **gauges: Any) -> View:
    """Return a view of one process, its usual gauges overridden; a None removes a gauge."""
    told = {key: value for key, value in {**GAUGES[name], **gauges}.items() if value is not None}
    stats = Stats(name, 800, "token", 1, 77, RUN_NS, phase, told)
    return View(name, stats, age_s, 5.0)


def scene(**changes: Any) -> DashboardState:
    """Return a healthy state in the middle of a session, changed as asked; ``views`` are merged."""
    views = {name: view(name) for name in GAUGES} | changes.pop("views", {})
    state = DashboardState(
        profile="sim",
        route="traderspost",
        position_source="ibkr",
        symbol="MNQ",
        run_dir="data/run",
        speed=60.0,
        now_ns=RUN_NS,
        run_ns=RUN_NS,
        views=views,
        sentinel_lines=DEEDS,
        keys=True,
        ticks=TickCount(delivered=12342, taped=12340, quarantined=2, missing=0),
    )
    return replace(state, **changes)


def write_scene(root: Path, instrument: Instrument, *, beat_ns: int | None = None) -> RunDir:
    """Write the scene's stats files, log and tape into a run folder."""
    folder = RunDir(root, instrument).create()
    for name, gauges in GAUGES.items():
        own = {"process": name, "pid": 800, "instance": "token", "started_ns": 1, "beat_seq": 77, "phase": "RUNNING"}
        row = own | {"beat_ns": time.time_ns() if beat_ns is None else beat_ns} | gauges
        folder.state(name).write_bytes(seal(json.dumps(row).encode()))
    lines = [f"2026-04-15T{deed[:8]}.000Z INFO {deed[10:]}" for deed in DEEDS]
    folder.logs.joinpath("sentinel.log").write_text("\n".join([*lines, "2026-04-15T13:31:02.000Z INFO CHECK x=1", ""]))
    return folder
