"""Make at most one signal of the pools that one bar reclaimed: tie-break and trade construction (pj1 S4.4, S5.1-S5.4).

Displacement fixes the direction, so all pools reclaimed by one bar have the same side. The best ranked carries the
signal, the others die TIE, the stop respects the worst extreme of all of them. There is no second choice when the
gate rejects the winner.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from live.params import Params
from live.pools import Pool

RANK: Final = {kind: place for place, kind in enumerate(("PD", "NYAM", "LDN", "ASIA", "NYL", "OR", "EQ", "SW"))}


@dataclass(frozen=True, slots=True)
class Signal:
    """Carry one planned trade at the close of its reclaim bar, before the gate; prices in raw ticks.

    ``own_extreme`` is the winning pool's, ``extreme`` the worst of all tied pools (the one the stop uses),
    ``risk_ticks`` the planned distance from ``entry_ref`` to ``stop`` after widening (pj1 S5.2).
    """

    pool_id: str
    kind: str
    level: int
    sweep_ns: int
    own_extreme: int
    bar_ts_ns: int
    signal_ns: int
    ordinal: int
    contract: str
    side: int
    entry_ref: int
    stop: int
    target: int
    extreme: int
    risk_ticks: int


def ranked(reclaimed: Sequence[Pool]) -> list[Pool]:
    """Return pools reclaimed by one bar, the winner first (pj1 S4.4)."""
    return sorted(
        reclaimed,
        key=lambda pool: (RANK[pool.kind], pool.ext - pool.mlevel, pool.defined_ns, pool.pool_id),
    )


class TradePlanner:
    """Plan a trade from closed bars only (pj1 S5.1-S5.3)."""

    __slots__ = ("_buffer", "_min_risk", "_r_den", "_r_num")

    def __init__(self, params: Params) -> None:
        self._buffer = params.stop_buffer_ticks
        self._min_risk = params.min_risk_ticks
        self._r_num = params.target_r.numerator
        self._r_den = params.target_r.denominator

    def plan(self, order: Sequence[Pool], close: int, when: tuple[int, int, int], contract: str) -> Signal:
        """Return the signal of ``order`` (winner first) at raw ``close``; ``when`` = (bar ts, its close ns, ordinal).

        The target is floored toward the entry with the exact rational R (pj1 S5.3).
        """
        winner = order[0]
        side = winner.side
        entry = side * close
        worst = min(pool.ext for pool in order)
        risk = max(entry - (worst - self._buffer), self._min_risk)
        target = entry + risk * self._r_num // self._r_den
        bar_ts_ns, signal_ns, ordinal = when
        return Signal(
            pool_id=winner.pool_id,
            kind=winner.kind,
            level=winner.level,
            sweep_ns=winner.sweep_ns,
            own_extreme=side * winner.ext,
            bar_ts_ns=bar_ts_ns,
            signal_ns=signal_ns,
            ordinal=ordinal,
            contract=contract,
            side=side,
            entry_ref=close,
            stop=side * (entry - risk),
            target=side * target,
            extreme=side * worst,
            risk_ticks=risk,
        )


def quantity(params: Params, risk_ticks: int, day_net_cents: int) -> int:
    """Return the contracts whose planned worst case fits the trade's and the day's budget (pj1 S5.4), 0 if none."""
    budget = min(params.risk_per_trade_cents, params.max_daily_loss_cents + day_net_cents)
    each = (risk_ticks + 2 * params.slip_ticks) * params.tick_cents + 2 * params.comm_side_cents
    return max(0, min(params.max_qty, budget // each))
