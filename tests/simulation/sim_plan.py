"""Draw a run from its seed: the market, the parameters, and which faults happen when.

Swarm style: each seed switches most kinds of fault off and the rest on, at strengths of its own, so that rare pairs
meet undisturbed by all the others.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from sim_webhook import FAULTS

from live.market import NS_PER_MIN, NS_PER_S, Bar
from live.trading_day import CLOSE_M, MINUTES_PER_DAY, at_minute_ns, day_start_ns, minute_of_day

DAY, NEXT_DAY = date(2026, 4, 15), date(2026, 4, 16)
CONTRACT, NEXT_CONTRACT = "MNQM6", "MNQU6"
HISTORY_MIN = 45
CALM_MIN = 16
KINDS = (
    "crash", "crash-bridge", "sentinel", "power", "pause", "step", "drift", "full", "webhook", "partial", "slow-fill",
    "cancel-race", "both-exits", "disconnect", "late", "stale", "lost-fill", "twice", "human", "roll", "fence", "kill",
    "torn-tail", "late-wake",
)  # fmt: skip
MORE_KINDS = ("servers", "ride", "usurp", "strip")
"""Kinds that came later: drawn by themselves, so that the seeds of before still tell the same stories."""
TURN = "turn"
TURN_SHARE = 0.08
"""Seeds that live through a turn of the trade date have a day of their own, so they are drawn apart from all others."""
TURN_WAYS = ("through", "asleep", "blind", "restart")
ALL_KINDS = (*KINDS, *MORE_KINDS, TURN)


@dataclass(frozen=True, slots=True)
class Death:
    """End a process at the n-th telling moment of an order's life: before it, after it, or in mid-write."""

    countdown: int
    when: str
    scope: str


@dataclass(slots=True)
class Plan:
    """Hold everything that the seed decides ahead; faults of chance draw from ``rng`` as they come."""

    seed: int
    kinds: frozenset[str]
    params: dict[str, Any]
    start_ns: int
    minutes: int
    bars: list[Bar]
    deaths: list[Death]
    timed: list[tuple[float, str]]
    webhook: dict[str, float] = field(default_factory=dict)
    turn: str = ""

    @property
    def calm_ns(self) -> int:
        """Return when the faults end."""
        return self.start_ns + (self.minutes - CALM_MIN) * NS_PER_MIN


def rng_of(seed: int, name: str) -> random.Random:
    """Return the random numbers of one part of the run."""
    return random.Random(f"{seed}:{name}")


def draw_plan(seed: int, keep: frozenset[str] | None = None) -> Plan:
    """Return the plan of ``seed``; ``keep`` leaves only these kinds of fault, for finding the short story."""
    rng = rng_of(seed, "plan")
    share = rng.choice((0.1, 0.2, 0.35, 0.6))
    drawn = frozenset(kind for kind in KINDS if rng.random() < share)
    more = rng_of(seed, "more kinds")
    drawn |= frozenset(kind for kind in MORE_KINDS if more.random() < share)
    turning = rng_of(seed, TURN)
    drawn |= {TURN} if turning.random() < TURN_SHARE else frozenset()
    kinds = drawn if keep is None else drawn & keep
    params = draw_params(rng)
    minutes = rng.choice((40, 50, 60))
    start_ns = at_minute_ns(DAY, rng.choice((840, 960, 1100)))
    turn = ""
    if TURN in kinds:
        before, after = turning.choice((14, 20, 26)), turning.choice((28, 36))
        start_ns, minutes = at_minute_ns(DAY, CLOSE_M - before), before + MINUTES_PER_DAY - CLOSE_M + after
        turn = turning.choice(TURN_WAYS)
        params |= {"flat_at": turning.choice(("16:55", "17:00")), "max_hold_min": turning.choice((4, 12))}
        params |= {"max_trades_day": turning.choice((2, 4)), "max_daily_loss_usd": turning.choice((35, 60, 200))}
    bars = draw_bars(rng_of(seed, "market"), start_ns, minutes)
    chances = rng_of(seed, "chances")
    webhook = {fault: chances.choice((0.0, 0.0, 0.1, 0.4)) for fault in FAULTS} if "webhook" in kinds else {}
    deaths, timed = draw_deaths(seed, kinds), draw_timed(seed, kinds, minutes)
    return Plan(seed, kinds, params, start_ns, minutes, bars, deaths, timed, webhook, turn)


def draw_params(rng: random.Random) -> dict[str, Any]:
    """Return strategy parameters that trade often and whose limits are met."""
    return {
        "windows": [["18:00", "17:00"]],
        "use_kinds": ["EQ", "SW"],
        "swing_n": rng.choice((1, 1, 2, 3)),
        "swing_ttl_min": rng.choice((30, 240)),
        "disp_num": 1,
        "disp_den": 4,
        "reclaim_max_min": 10,
        "max_gap_min": 5,
        "min_risk_ticks": 20,
        "max_risk_ticks": 200,
        "target_r": rng.choice(("1", "3/2", "2")),
        "risk_per_trade_usd": rng.choice((60, 150, 400)),
        "max_qty": rng.choice((1, 3, 5)),
        "cooldown_min": rng.choice((0, 1, 3)),
        "max_trades_day": rng.choice((2, 4, 100)),
        "max_orders_hour": rng.choice((4, 10, 30)),
        "max_consec_losses": rng.choice((3, 100)),
        "max_daily_loss_usd": rng.choice((90, 200, 450)),
        "max_hold_min": rng.choice((2, 4, 8)),
    }


def draw_bars(rng: random.Random, start_ns: int, minutes: int) -> list[Bar]:
    """Return the market's minutes, history first: swings that are swept and reclaimed often, then calm."""
    price = centre = 100_000
    bars = []
    scale = rng.choice((6, 10, 16))
    for minute in range(-HISTORY_MIN, minutes):
        ts_ns = start_ns + minute * NS_PER_MIN
        if minute_of_day(ts_ns) >= CLOSE_M:
            continue  # the break
        if minute >= minutes - CALM_MIN:
            bars.append(Bar(ts_ns, price, price, price, price, 4, CONTRACT))
            continue
        if rng.random() < 0.06:
            centre += rng.randint(-60, 60)
        open_ = price + rng.choice((0, 0, 1, -1, rng.randint(-scale, scale)))
        close = open_ + (centre - price) // 3 + rng.randint(-scale, scale)
        reach = rng.choice((1, scale // 2, scale, 2 * scale))
        high, low = max(open_, close) + rng.randint(0, reach), min(open_, close) - rng.randint(0, reach)
        bars.append(Bar(ts_ns, open_, high, low, close, rng.randint(4, 90), CONTRACT))
        price = close
    return bars


def draw_deaths(seed: int, kinds: frozenset[str]) -> list[Death]:
    """Return the deaths that come at a moment of an order's life."""
    rng = rng_of(seed, "deaths")
    scopes = [scope for scope in ("crash", "sentinel", "power") if scope in kinds]
    drawn = []
    for _ in range(rng.randint(1, 4)):
        death = Death(rng.randint(1, 30), rng.choice(("before", "after", "torn")), rng.choice(scopes or ["crash"]))
        if scopes:
            drawn.append(death)
    return drawn


def draw_timed(seed: int, kinds: frozenset[str], minutes: int) -> list[tuple[float, str]]:
    """Return what happens at a time of its own, in seconds since the start."""
    timed = []
    for kind in ALL_KINDS:
        rng = rng_of(seed, kind)
        often = {"pause": 3, "step": 2, "disconnect": 3, "torn-tail": 2, "human": 2, "crash": 2, "crash-bridge": 2,
                 "servers": 3}  # fmt: skip
        for _ in range(rng.randint(1, often.get(kind, 1))):
            at = rng.uniform(60, (minutes - CALM_MIN) * 60 - 90)
            if kind in kinds:
                timed.append((at, kind))
    return sorted(timed)


def path_of(bar: Bar) -> list[tuple[float, int]]:
    """Return (second of the minute, price) of the trades that make this bar."""
    far, near = (bar.low_ticks, bar.high_ticks) if bar.close_ticks > bar.open_ticks else (bar.high_ticks, bar.low_ticks)
    return [(2.0, bar.open_ticks), (14.0, far), (26.0, near), (38.0, bar.close_ticks)]


def reopening_ns(now_ns: int) -> int:
    """Return when the market opens again while it is in the daily break, else 0."""
    turn_ns = day_start_ns(NEXT_DAY)
    return turn_ns if turn_ns - (MINUTES_PER_DAY - CLOSE_M) * NS_PER_MIN <= now_ns < turn_ns else 0


def seconds(ns: int) -> float:
    """Return ns as seconds."""
    return ns / NS_PER_S
