"""Make run folders to explain: a generated paper day with its refusals, and written broker days with their troubles."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from live.engine import Engine, Route
from live.events import EntriesJudged, KillSwitched, Mode, ModeChanged
from live.market import INSTRUMENTS, NS_PER_MIN, NS_PER_S, Bar
from live.params import Params
from live.trading_day import at_minute_ns
from pj.channels.journal import open_journal
from pj.channels.rundir import RunDir
from pj.processes.engine.book import DayBook
from pj.processes.engine.core import Core

MNQ = INSTRUMENTS["MNQ"]
DAY = date(2026, 4, 15)
OPEN_NS = at_minute_ns(DAY, 930)


@dataclass
class StandingClock:
    """Tell one time until it is moved."""

    ns: int
    speed: float = 1.0

    def now_ns(self) -> int:
        return self.ns

    def monotonic_ns(self) -> int:
        return self.ns

    def real_s_until(self, run_ns: int) -> float:
        return max(0, run_ns - self.ns) / 1e9


def walk(count: int, seed: int) -> list[Bar]:
    """Return a nervous random walk from 09:30 on that sweeps and reclaims a lot."""
    dice, bars, price = random.Random(seed), [], 100_000
    for number in range(count):
        close = price + dice.randint(-30, 30)
        high, low = max(price, close) + dice.randint(0, 10), min(price, close) - dice.randint(0, 10)
        bars.append(Bar(at_minute_ns(DAY, 480) + number * NS_PER_MIN, price, high, low, close, 100, "MNQM6"))
        price = close
    return bars


def paper_day(root: Path, seed: int = 0, **params: Any) -> RunDir:
    """Record a paper day in which the world forbids entries now and then."""
    run = RunDir(root, MNQ).create()
    chosen = Params.from_dict({"swing_n": 4, "windows": [["02:00", "16:00"]], **params}, MNQ)
    clock = StandingClock(OPEN_NS)
    core = Core(Engine(chosen, MNQ, Route.SIMULATED), DayBook(run, run.day(DAY), MNQ, clock), lambda _orders: None)
    core.book.note("START", {"route": "paper", "symbol": "MNQ", "params": chosen.to_dict()})
    core.take(ModeChanged(Mode.LIVE))
    for number, bar in enumerate(walk(840, seed), 1):
        clock.ns = bar.ts_ns + NS_PER_MIN
        if number % 90 == 0:
            core.take(EntriesJudged("STALE" if number % 180 else ""))
        if number % 200 == 0:
            core.take(KillSwitched(on=number % 400 != 0, reason="drill by the operator"))
        core.book.add_bar(bar)
        core.take_bar(bar)
    core.book.close()
    return run


POOL, KEY = "739721:ORL", "739721:ORL@1776260760:ENTRY"
SIGNAL_S = 1_776_260_760
FIGURES = {
    "side": 1, "entry": 98273, "stop": 98235, "target": 98349, "outside": "", "gap_min": 1, "minute": 946,
    "flat_m": 1375, "locked": "", "net_cents": -8496, "fills": 1, "losses_streak": 1, "since_exit_s": 1275,
    "orders_hour": 2, "risk_ticks": 38, "qty": 4,
}  # fmt: skip
GATES = (
    "KILL", "OUTSIDE", "STALE", "SESSION", "NEWS", "IN_POSITION", "DAY_LOCK", "DAILY_LOSS", "MAX_TRADES",
    "CONSEC_LOSSES", "COOLDOWN", "ORDER_RATE", "RISK_TOO_WIDE", "SIZE_ZERO",
)  # fmt: skip
INTENT = {
    "key": KEY, "order": "ENTRY", "contract": "MNQM6", "side": 1, "qty": 4, "entry_ref": 98273, "stop": 98235,
    "target": 98349, "signal_ts_ns": SIGNAL_S * NS_PER_S, "pool": POOL,
}  # fmt: skip
TRADE = {
    "trade_id": "1", "trade_date": "2026-04-15", "pool_id": POOL, "kind": "OR", "side": "LONG", "level": "24562.75",
    "sweep_ts": "2026-04-15T13:45:00Z", "extreme": "24559.75", "signal_ts": "2026-04-15T13:46:00Z",
    "entry_ref": "24568.25", "stop": "24558.75", "target": "24587.25", "qty": "4", "entry_ts": "2026-04-15T13:46:01Z",
    "entry_price": "24568.5", "exit_ts": "2026-04-15T13:49:26Z", "exit_price": "24558.5", "exit_reason": "STOP",
    "risk_ticks": "38", "gross_usd": "-80.00", "cost_usd": "4.96", "net_usd": "-84.96", "r": "-1.1179",
    "mae_ticks": "40", "mfe_ticks": "30", "mode": "LIVE",
}  # fmt: skip
Row = tuple[int, str, dict[str, Any]]


def sent(at_s: int, outcome: str, **more: Any) -> Row:
    data = {"key": KEY, "attempt": 1, "code": "", "left": True, "status": 200, "outcome": outcome}
    return at_s, "SENT", {**data, "edge_to_order_ms": 14.2, **more}


def filled(at_s: int, side: int, price: int, ref: str = KEY, qty: int = 4) -> Row:
    data = {"exec_id": f"e{at_s}", "side": side, "qty": qty, "price": price, "order_ref": ref}
    return at_s, "EXECUTION", {**data, "at_ns": (SIGNAL_S + at_s) * NS_PER_S}


ENDINGS: dict[str, Sequence[Row]] = {
    "stopped_out": (
        sent(0, "ACKED"),
        (0, "ACKED", {"key": KEY, "broker_id": "b-17", "at_ns": SIGNAL_S * NS_PER_S}),
        filled(1, 1, 98274),
        (1, "POSITION", {"qty": 4, "at_ns": (SIGNAL_S + 1) * NS_PER_S}),
        (206, "POSITION", {"qty": 0, "at_ns": (SIGNAL_S + 206) * NS_PER_S}),
        filled(206, -1, 98234),
        (207, "TRADE", TRADE),
    ),
    "estimated_then_corrected": (
        sent(0, "ACKED"),
        (0, "ACKED", {"key": KEY, "broker_id": "b-17", "at_ns": SIGNAL_S * NS_PER_S}),
        (1, "NOTED", {"code": "FILLED", "text": f"the account holds 4 of entry {KEY}", "at_ns": 0}),
        filled(1, 1, 98274),
        (200, "POSITION", {"qty": 0, "at_ns": (SIGNAL_S + 200) * NS_PER_S}),
        (207, "TRADE", TRADE | {"exit_reason": "PHANTOM"}),
        filled(900, -1, 98240),
        (900, "TRADE_CORRECTED", {"trade_id": 1, "pool_id": POOL, "qty": 4, "old_exit": "24558.50",
                                  "new_exit": "24560.00", "net_usd": "12.00", "counts": True, "at_ns": 0}),
    ),
    "refused": (
        sent(0, "REFUSED", status=400, code="invalid-ticker"),
        (0, "REFUSED", {"key": KEY, "code": "invalid-ticker", "at_ns": SIGNAL_S * NS_PER_S}),
    ),
    "unknown_then_halted": (
        sent(5, "UNKNOWN", status=0, code="timeout"),
        (5, "UNKNOWN", {"key": KEY, "why": "no answer within 5 s", "at_ns": (SIGNAL_S + 5) * NS_PER_S}),
        (7, "ALARM", {"code": "UNKNOWN_POSITION", "text": "the account holds 4, nobody knows why", "at_ns": 0}),
        (7, "THROWN", {"reason": "UNKNOWN_POSITION", "at_ns": (SIGNAL_S + 7) * NS_PER_S}),
        (8, "KILL", {"on": True, "reason": "UNKNOWN_POSITION (by the engine)"}),
    ),
    "not_sent": (
        sent(6, "REFUSED", left=False, code="STALE_SIGNAL"),
        (6, "REFUSED", {"key": KEY, "code": "STALE_SIGNAL", "at_ns": (SIGNAL_S + 6) * NS_PER_S}),
        (6, "ENTRY_CANCEL", {"ts": SIGNAL_S + 6, "reason": "STALE_SIGNAL", "trade": POOL}),
    ),
    "open_and_protected": (
        sent(0, "ACKED"),
        filled(1, 1, 98274, qty=2),
        (2, "ALARM", {"code": "PARTIAL", "text": "2 of 4 are filled", "at_ns": (SIGNAL_S + 2) * NS_PER_S}),
        (2, "INTENT", {"key": "739721:ORL@1776260760:EXITS1", "order": "EXITS", "contract": "MNQM6", "side": 1,
                       "qty": 2, "stop": 98235, "target": 98349}),
    ),
}  # fmt: skip


def broker_day(root: Path, ending: str) -> RunDir:
    """Write the journal of a TradersPost day whose one entry ended in that way."""
    run = RunDir(root, MNQ).create()
    journal = open_journal(run, run.day(DAY).create())
    start = {"route": "traderspost", "symbol": "MNQ", "params": Params().to_dict()}
    life = {"pool": POOL, "level": 98251, "extreme": 98239, "mode": "LIVE", "reason": ""}
    rows: list[Row] = [
        (-3000, "START", start),
        (-60, "DEFINED", {**life, "extreme": "", "ts": SIGNAL_S - 60}),
        (0, "SWEPT", {**life, "ts": SIGNAL_S}),
        (0, "RECLAIMED", {**life, "ts": SIGNAL_S}),
        (0, "SIGNAL", {**life, "ts": SIGNAL_S, "entry": 98273, "stop": 98235, "target": 98349, "qty": 4,
                       "gates": [[name, True] for name in GATES], "figures": FIGURES}),
        (0, "INTENT", INTENT),
        *ENDINGS[ending],
    ]  # fmt: skip
    for at_s, kind, data in rows:
        journal.append(kind, {**data, "after_bar": 0}, (SIGNAL_S + at_s) * NS_PER_S)
    journal.close()
    return run
