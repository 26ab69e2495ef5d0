"""Compute PJ-1 a second time, straight from the text of the specification and as plainly as it can be said.

Nothing of ``live`` is used and nothing is remembered that could be looked up again: every pool of the run is asked
on every bar, every window and pivot is recomputed from the bars. Slow on purpose. Input rows are
(ts seconds, open, high, low, close in ticks, volume, contract); output is the rows of events.csv and trades.csv
as numbers and words, so that the comparison is by value.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

NEW_YORK = ZoneInfo("America/New_York")
UTC = dt.UTC
DEFAULTS: dict[str, Any] = {
    "tick_usd": "0.50",
    "sessions": [
        ["ASIA", "20:00", "00:00"],
        ["LDN", "02:00", "05:00"],
        ["OR", "09:30", "09:45"],
        ["NYAM", "09:30", "11:00"],
        ["NYL", "12:00", "13:00"],
    ],
    "use_kinds": ["PD", "ASIA", "LDN", "OR", "NYAM", "NYL", "EQ", "SW"],
    "min_prev_day_bars": 300,
    "min_session_fill": "0.5",
    "swing_n": 15,
    "swing_ttl_min": 240,
    "eq_tol_ticks": 8,
    "sweep_min_ticks": 1,
    "reclaim_min_ticks": 1,
    "reclaim_max_min": 10,
    "max_pen_ticks": 160,
    "max_chase_ticks": 120,
    "disp_num": 1,
    "disp_den": 2,
    "stop_buffer_ticks": 4,
    "min_risk_ticks": 20,
    "max_risk_ticks": 200,
    "target_r": "2",
    "max_hold_min": 60,
    "windows": [["02:00", "05:00"], ["09:30", "11:30"], ["13:30", "15:45"]],
    "flat_at": "16:55",
    "max_entry_delay_min": 2,
    "risk_per_trade_usd": "100",
    "max_qty": 5,
    "comm_side_usd": "0.62",
    "slip_ticks": 1,
    "target_through_ticks": 1,
    "max_daily_loss_usd": "450",
    "max_trades_day": 6,
    "max_consec_losses": 3,
    "cooldown_min": 5,
    "max_orders_hour": 30,
    "max_gap_min": 5,
    "blackouts": [],
}
RANK = ["PD", "NYAM", "LDN", "ASIA", "NYL", "OR", "EQ", "SW"]
Row = tuple[int, int, int, int, int, int, str]


@dataclass
class B:
    """One kept bar."""

    ts: int
    o: int
    h: int
    l: int  # noqa: E741
    c: int
    contract: str
    date: dt.date
    m: int


@dataclass
class P:
    """One pool, in raw prices."""

    id: str
    kind: str
    side: int
    level: int
    defined: int
    expires: int
    state: str = "DEFINED"
    sweep_ts: int | None = None
    ext: int | None = None


@dataclass
class Pv:
    """One pivot: its bar, price and the pool in which it is the last pivot."""

    bar: B
    price: int
    pool: P | None = None


@dataclass
class Oracle:
    """The whole naive state: lists of everything that ever was."""

    p: dict[str, Any]
    events: list[dict[str, Any]] = field(default_factory=list)
    trades: list[dict[str, Any]] = field(default_factory=list)
    pools: list[P] = field(default_factory=list)
    bars: list[B] = field(default_factory=list)
    buffer: list[B] = field(default_factory=list)
    pivots: dict[int, list[Pv]] = field(default_factory=lambda: {1: [], -1: []})
    closed: set[str] = field(default_factory=set)
    orders: list[int] = field(default_factory=list)
    exits: list[tuple[dt.date, int, Decimal]] = field(default_factory=list)
    fills: list[dt.date] = field(default_factory=list)
    locked: dt.date | None = None
    pending: dict[str, Any] | None = None
    position: dict[str, Any] | None = None


def minute(text: str) -> int:
    """Return HH:MM as minutes after 18:00 ET."""
    hours, minutes = text.split(":")
    return (int(hours) * 60 + int(minutes) - 18 * 60) % 1440


def window(row: list[str]) -> tuple[int, int]:
    """Return [start, end) in minutes; an end of 18:00 is the day's end."""
    start, end = minute(row[0]), minute(row[1])
    return start, end or 1440


def run(rows: list[Row], **changed: Any) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return (events, trades) of PJ-1 over ``rows``."""
    oracle = Oracle({**DEFAULTS, **changed})
    previous_close = None
    for ts, o, h, l, c, volume, contract in rows:  # noqa: E741
        heartbeat = volume == 0 and o == h == l == c and c == previous_close
        previous_close = c
        wall = dt.datetime.fromtimestamp(ts, NEW_YORK).replace(tzinfo=None)
        date = (wall + dt.timedelta(hours=6)).date()
        m = (wall.hour * 60 + wall.minute - 18 * 60) % 1440
        if heartbeat or m >= 1380 or date.weekday() >= 5:
            continue
        bar_step(oracle, B(ts, o, h, l, c, contract, date, m))
    return oracle.events, oracle.trades


def bar_step(x: Oracle, b: B) -> None:
    """Walk the seven steps of S2.1."""
    begin(x, b)
    close_sessions(x, b)
    manage(x, b)
    reclaimed = [pool for pool in x.pools if pool.state != "DEAD" and pool.defined <= b.ts and fsm(x, pool, b)]
    x.buffer.append(b)
    new_pivots(x, b)
    decide(x, b, reclaimed)
    x.bars.append(b)
    mark(x, b)


def emit(x: Oracle, ts: int, event: str, pool: P | None = None, **more: Any) -> None:
    """Write one row of events.csv."""
    row = dict.fromkeys(("pool", "level", "extreme", "entry", "stop", "target", "qty", "reason", "trade"), "")
    row |= {"ts": ts, "event": event}
    if pool is not None:
        row |= {"pool": pool.id, "level": pool.level, "extreme": "" if pool.ext is None else pool.ext}
    x.events.append(row | more)


def begin(x: Oracle, b: B) -> None:
    """Do step 1: new trade date or contract."""
    last = x.bars[-1] if x.bars else None
    rolled = last is not None and last.contract != b.contract
    new_date = last is None or last.date != b.date
    if not (rolled or new_date):
        return
    for pool in x.pools:
        if pool.state != "DEAD":
            pool.state = "DEAD"
            emit(x, b.ts, "DEAD", pool, reason="ROLL" if rolled else "EXPIRED")
    day_before, x.buffer = x.buffer, []
    x.pivots = {1: [], -1: []}
    if new_date:
        x.closed = set()
        if not rolled and "PD" in x.p["use_kinds"] and len(day_before) >= x.p["min_prev_day_bars"]:
            define(x, b.date, "PD", -1, max(one.h for one in day_before), b.ts, five_pm(b.date))
            define(x, b.date, "PD", 1, min(one.l for one in day_before), b.ts, five_pm(b.date))


def five_pm(date: dt.date) -> int:
    """Return 17:00 ET of the trade date in epoch seconds."""
    return int(dt.datetime(date.year, date.month, date.day, 17, tzinfo=NEW_YORK).timestamp())


def define(x: Oracle, date: dt.date, kind: str, side: int, level: int, ts: int, expires: int, tail: str = "") -> P:
    """Define one pool and write its row."""
    pool = P(f"{date.toordinal()}:{kind}{'L' if side == 1 else 'H'}{tail}", kind, side, level, ts, expires)
    x.pools.append(pool)
    emit(x, ts, "DEFINED", pool)
    return pool


def close_sessions(x: Oracle, b: B) -> None:
    """Do step 2."""
    for name, *hours in x.p["sessions"]:
        start, end = window(hours)
        if name in x.closed or end > b.m:
            continue
        x.closed.add(name)
        inside = [one for one in x.buffer if start <= one.m < end]
        if not inside or Fraction(len(inside), end - start) < Fraction(str(x.p["min_session_fill"])):
            continue
        if name in x.p["use_kinds"]:
            define(x, b.date, name, -1, max(one.h for one in inside), b.ts, five_pm(b.date))
            define(x, b.date, name, 1, min(one.l for one in inside), b.ts, five_pm(b.date))


def mirrored(b: B, s: int) -> tuple[int, int, int, int]:
    """Return (o, h, l, c) times s with high and low swapped for s = -1."""
    return (b.o, b.h, b.l, b.c) if s == 1 else (-b.o, -b.l, -b.h, -b.c)


def fsm(x: Oracle, pool: P, b: B) -> bool:
    """Do step 4 for one pool; tell whether it was reclaimed."""
    o, h, lo, c = mirrored(b, pool.side)
    level = pool.side * pool.level
    if b.ts >= pool.expires:
        return die(x, pool, b.ts, "EXPIRED")
    if pool.state == "DEFINED":
        if lo > level - x.p["sweep_min_ticks"]:
            return False
        pool.state, pool.sweep_ts, pool.ext = "SWEPT", b.ts, pool.side * lo
        emit(x, b.ts + 60, "SWEPT", pool)
    assert pool.ext is not None
    assert pool.sweep_ts is not None
    ext = min(pool.side * pool.ext, lo)
    pool.ext = pool.side * ext
    if level - ext > x.p["max_pen_ticks"]:
        return die(x, pool, b.ts + 60, "BROKEN")
    if b.ts - pool.sweep_ts > 60 * x.p["reclaim_max_min"]:
        return die(x, pool, b.ts + 60, "TIMEOUT")
    if c - level > x.p["max_chase_ticks"]:
        return die(x, pool, b.ts + 60, "RAN_AWAY")
    body_share = Fraction(c - o, h - lo) if h > lo else Fraction(0)
    if c >= level + x.p["reclaim_min_ticks"] and c > o and body_share > Fraction(x.p["disp_num"], x.p["disp_den"]):
        pool.state = "RECLAIMED"
        emit(x, b.ts + 60, "RECLAIMED", pool)
        return True
    return False


def die(x: Oracle, pool: P, ts: int, reason: str) -> bool:
    """Kill a pool with a row; return False for the caller's convenience."""
    pool.state = "DEAD"
    emit(x, ts, "DEAD", pool, reason=reason)
    return False


def new_pivots(x: Oracle, b: B) -> None:
    """Do the second half of step 5: pivots whose right side ends at b."""
    n = x.p["swing_n"]
    for side in (-1, 1):
        outward = [-side * (one.h if side == -1 else one.l) for one in x.buffer]
        at = len(outward) - 1 - n
        if at < n:
            continue
        left, right = outward[at - n : at], outward[at + 1 :]
        if all(outward[at] > one for one in left) and all(outward[at] >= one for one in right):
            add_pivot(x, Pv(x.buffer[at], -side * outward[at]), side, b)


def add_pivot(x: Oracle, pivot: Pv, side: int, b: B) -> None:
    """Define EQ or SW for a confirmed pivot (S3.5)."""
    mate = find_mate(x, pivot, side)
    now = b.ts + 60
    expires = min(now + 60 * x.p["swing_ttl_min"], five_pm(b.date))
    if mate is not None and "EQ" in x.p["use_kinds"]:
        if mate.pool is not None and mate.pool.state == "DEFINED":
            die(x, mate.pool, now, "MERGED")
        level = max(mate.price, pivot.price) if side == -1 else min(mate.price, pivot.price)
        pivot.pool = define(x, b.date, "EQ", side, level, now, expires, f":{mate.bar.ts}:{pivot.bar.ts}")
    elif "SW" in x.p["use_kinds"]:
        pivot.pool = define(x, b.date, "SW", side, pivot.price, now, expires, f":{pivot.bar.ts}")
    x.pivots[side].append(pivot)


def find_mate(x: Oracle, pivot: Pv, side: int) -> Pv | None:
    """Return the mate of a pivot among the earlier ones, newest first."""
    for earlier in reversed(x.pivots[side]):
        outer = max(-side * earlier.price, -side * pivot.price)
        between = [one for one in x.buffer if earlier.bar.ts < one.ts < pivot.bar.ts]
        if any(-side * (one.h if side == -1 else one.l) > outer for one in between):
            return None
        if abs(earlier.price - pivot.price) <= x.p["eq_tol_ticks"]:
            return earlier
    return None


def net_of_day(x: Oracle, date: dt.date) -> Decimal:
    """Return the realised net of exits that counted in ``date``."""
    return sum((net for day, _, net in x.exits if day == date), Decimal(0))


def decide(x: Oracle, b: B, reclaimed: list[P]) -> None:
    """Do step 6."""
    if not reclaimed:
        return
    order = sorted(
        reclaimed,
        key=lambda one: (RANK.index(one.kind), one.side * ((one.ext or 0) - one.level), one.defined, one.id),
    )
    winner = order[0]
    for loser in order[1:]:
        die(x, loser, b.ts + 60, "TIE")
    s = winner.side
    worst = min(s * one.ext for one in order if one.ext is not None)
    risk = max(s * b.c - (worst - x.p["stop_buffer_ticks"]), x.p["min_risk_ticks"])
    reward = (Fraction(str(x.p["target_r"])) * risk).__floor__()
    qty = size(x, b, risk)
    winner.state = "DEAD"
    reason = gate(x, b, risk, qty)
    if reason:
        emit(x, b.ts + 60, "REJECT", winner, reason=reason)
        return
    stop, target = b.c - s * risk, b.c + s * reward
    emit(x, b.ts + 60, "SIGNAL", winner, entry=b.c, stop=stop, target=target, qty=qty)
    x.orders.append(b.ts + 60)
    plan = {"pool": winner, "s": s, "ref": b.c, "stop": stop, "target": target, "qty": qty, "risk": risk}
    x.pending = plan | {"bar": b, "extreme": s * worst}


def size(x: Oracle, b: B, risk: int) -> int:
    """Return the quantity of S5.4."""
    budget = min(Decimal(x.p["risk_per_trade_usd"]), Decimal(x.p["max_daily_loss_usd"]) + net_of_day(x, b.date))
    each = (risk + 2 * x.p["slip_ticks"]) * Decimal(x.p["tick_usd"]) + 2 * Decimal(x.p["comm_side_usd"])
    return max(0, min(x.p["max_qty"], (Fraction(budget) / Fraction(each)).__floor__()))


def gate(x: Oracle, b: B, risk: int, qty: int) -> str:
    """Return the name of the first failing check of S6, empty when all pass."""
    now, nm, net = b.ts + 60, b.m + 1, net_of_day(x, b.date)
    before = x.bars[-1] if x.bars and x.bars[-1].date == b.date else None
    streak = 0
    for day, _, result in x.exits:
        if day == b.date:
            streak = streak + 1 if result < 0 else 0
    flat = minute(x.p["flat_at"])
    checks = [
        ("STALE", before is not None and b.ts - before.ts > 60 * x.p["max_gap_min"]),
        ("SESSION", nm >= flat or not any(lo <= nm < hi for lo, hi in map(window, x.p["windows"]))),
        ("NEWS", any(epoch(lo) <= now < epoch(hi) for lo, hi in x.p["blackouts"])),
        ("IN_POSITION", x.pending is not None or x.position is not None),
        ("DAILY_LOSS", x.locked == b.date),
        ("DAILY_LOSS", Decimal(x.p["max_daily_loss_usd"]) + net <= 0),
        ("MAX_TRADES", x.fills.count(b.date) >= x.p["max_trades_day"]),
        ("CONSEC_LOSSES", streak >= x.p["max_consec_losses"]),
        ("COOLDOWN", bool(x.exits) and now - x.exits[-1][1] < 60 * x.p["cooldown_min"]),
        ("ORDER_RATE", sum(one > now - 3600 for one in x.orders) >= x.p["max_orders_hour"]),
        ("RISK_TOO_WIDE", risk > x.p["max_risk_ticks"]),
        ("SIZE_ZERO", qty == 0),
    ]
    return next((name for name, failed in checks if failed), "")


def epoch(text: str) -> int:
    """Return a UTC ISO text in epoch seconds."""
    return int(dt.datetime.fromisoformat(text).timestamp())


def manage(x: Oracle, b: B) -> None:
    """Do step 3: pending entry or open position."""
    if x.pending is not None:
        plan, x.pending = x.pending, None
        s, signal_bar = plan["s"], plan["bar"]
        late = b.ts - signal_bar.ts > 60 * x.p["max_entry_delay_min"]
        if late or b.date != signal_bar.date or b.contract != signal_bar.contract:
            emit(x, b.ts, "ENTRY_CANCEL", reason="STALE", trade=plan["pool"].id)
        elif s * b.o <= s * plan["stop"] or s * b.o >= s * plan["target"]:
            emit(x, b.ts, "ENTRY_CANCEL", reason="GAP", trade=plan["pool"].id)
        else:
            x.fills.append(b.date)
            x.position = plan | {"entry": b.o + s * x.p["slip_ticks"], "entry_bar": b, "held": [b]}
            touch(x, b)
        return
    if x.position is None:
        return
    now = x.position
    first = now["entry_bar"]
    if b.date != first.date or b.contract != first.contract:
        reason = "DAY_ROLL"
    elif x.locked == b.date:
        reason = "DAILY_LOSS"
    elif b.m >= minute(x.p["flat_at"]):
        reason = "FLAT"
    elif b.ts - first.ts >= 60 * x.p["max_hold_min"]:
        reason = "TIME"
    else:
        now["held"].append(b)
        touch(x, b)
        return
    x.orders.append(b.ts)
    leave(x, b, b.ts, b.o - now["s"] * x.p["slip_ticks"], reason)


def touch(x: Oracle, b: B) -> None:
    """Test stop, then target, inside bar b."""
    now = x.position
    assert now is not None
    s = now["s"]
    o, h, lo, _ = mirrored(b, s)
    if lo <= s * now["stop"]:
        leave(x, b, b.ts + 60, s * (min(s * now["stop"], o) - x.p["slip_ticks"]), "STOP")
    elif h >= s * now["target"] + x.p["target_through_ticks"]:
        leave(x, b, b.ts + 60, now["target"], "TARGET")


def leave(x: Oracle, b: B, ts: int, price: int, reason: str) -> None:
    """Book the exit of the open position."""
    now, x.position = x.position, None
    assert now is not None
    s, qty, pool = now["s"], now["qty"], now["pool"]
    gross = s * (price - now["entry"]) * Decimal(x.p["tick_usd"]) * qty
    cost = 2 * Decimal(x.p["comm_side_usd"]) * qty
    x.exits.append((b.date, ts, gross - cost))
    worst = min(mirrored(one, s)[2] for one in now["held"])
    best = max(mirrored(one, s)[1] for one in now["held"])
    x.trades.append(
        {
            "trade_id": len(x.trades) + 1,
            "trade_date": now["bar"].date.isoformat(),
            "pool_id": pool.id,
            "kind": pool.kind,
            "side": "LONG" if s == 1 else "SHORT",
            "level": pool.level,
            "sweep_ts": pool.sweep_ts,
            "extreme": now["extreme"],
            "signal_ts": now["bar"].ts + 60,
            "entry_ref": now["ref"],
            "stop": now["stop"],
            "target": now["target"],
            "qty": qty,
            "entry_ts": now["entry_bar"].ts,
            "entry_price": now["entry"],
            "exit_ts": ts,
            "exit_price": price,
            "exit_reason": reason,
            "risk_ticks": now["risk"],
            "gross_usd": gross,
            "cost_usd": cost,
            "net_usd": gross - cost,
            "r": Fraction(gross - cost) / Fraction(now["risk"] * Decimal(x.p["tick_usd"]) * qty),
            "mae_ticks": max(0, s * now["entry"] - worst),
            "mfe_ticks": max(0, best - s * now["entry"]),
        }
    )


def mark(x: Oracle, b: B) -> None:
    """Do step 7."""
    total = net_of_day(x, b.date)
    if x.position is not None:
        ticks = x.position["s"] * (b.c - x.position["entry"]) - x.p["slip_ticks"]
        total += (ticks * Decimal(x.p["tick_usd"]) - 2 * Decimal(x.p["comm_side_usd"])) * x.position["qty"]
    if x.locked != b.date and total <= -Decimal(x.p["max_daily_loss_usd"]):
        x.locked = b.date
        emit(x, b.ts + 60, "LOCK", reason="DAILY_LOSS")
