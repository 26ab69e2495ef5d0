"""Move one pool through DEFINED -> SWEPT -> RECLAIMED -> DEAD(reason): the transition table of pj1 S4.

A pool is DEFINED at a level. A bar that trades beyond the level by ``sweep_min_ticks`` sweeps it (T2); a touch does
not (T0). A swept pool deepens with every bar (T3) and then ends one of five ways, first true wins: price went too
far (T4 BROKEN), stayed too long by the clock (T5 TIMEOUT), came back too far to enter (T6 RAN_AWAY), closed back
inside with displacement (T7 RECLAIMED), or it waits (T8). RECLAIMED lasts one instant: the session manager and the
gate end it on the same bar (T9). DEAD is terminal: liquidity once taken is gone, nothing re-arms (S4.3).

Invariants: a transition outside TABLE raises and changes nothing; the pool knows nothing about money; every price
here is mirrored (s * price), so that one set of rules serves both sides.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from live.market import NS_PER_MIN
from live.params import Params
from live.pools import Pool, PoolState


class PoolEvent(StrEnum):
    """Name what one closed bar, or the decision after it, means for one pool."""

    EXPIRED = "EXPIRED"
    NOT_REACHED = "NOT_REACHED"
    SWEPT = "SWEPT"
    DEEPENED = "DEEPENED"
    BROKEN = "BROKEN"
    TIMED_OUT = "TIMED_OUT"
    RAN_AWAY = "RAN_AWAY"
    RECLAIMED = "RECLAIMED"
    WAITED = "WAITED"
    CONSUMED = "CONSUMED"
    REFUSED = "REFUSED"
    TIED = "TIED"
    MISSED = "MISSED"
    DAY_TURNED = "DAY_TURNED"
    ROLLED = "ROLLED"
    MERGED = "MERGED"


@dataclass(frozen=True, slots=True)
class Transition:
    """Name one row of the table: the state it leads to, the reason when DEAD, and whether the same bar goes on."""

    row: str
    state: PoolState
    reason: str = ""
    goes_on: bool = False


class IllegalTransition(RuntimeError):
    """Report an event that the table does not allow in the pool's state; nothing was changed."""


_D, _S, _R, _X = PoolState.DEFINED, PoolState.SWEPT, PoolState.RECLAIMED, PoolState.DEAD
TABLE: Final[dict[tuple[PoolState, PoolEvent], Transition]] = {
    (_D, PoolEvent.EXPIRED): Transition("T1", _X, "EXPIRED"),
    (_S, PoolEvent.EXPIRED): Transition("T1", _X, "EXPIRED"),
    (_D, PoolEvent.NOT_REACHED): Transition("T0", _D),
    (_D, PoolEvent.SWEPT): Transition("T2", _S, goes_on=True),
    (_S, PoolEvent.DEEPENED): Transition("T3", _S, goes_on=True),
    (_S, PoolEvent.BROKEN): Transition("T4", _X, "BROKEN"),
    (_S, PoolEvent.TIMED_OUT): Transition("T5", _X, "TIMEOUT"),
    (_S, PoolEvent.RAN_AWAY): Transition("T6", _X, "RAN_AWAY"),
    (_S, PoolEvent.RECLAIMED): Transition("T7", _R),
    (_S, PoolEvent.WAITED): Transition("T8", _S),
    (_R, PoolEvent.CONSUMED): Transition("T9", _X, "CONSUMED"),
    (_R, PoolEvent.REFUSED): Transition("T9", _X, "REFUSED"),
    (_R, PoolEvent.TIED): Transition("T9", _X, "TIE"),
    (_R, PoolEvent.MISSED): Transition("T9", _X, "MISSED"),
    (_D, PoolEvent.DAY_TURNED): Transition("T10", _X, "EXPIRED"),
    (_S, PoolEvent.DAY_TURNED): Transition("T10", _X, "EXPIRED"),
    (_D, PoolEvent.ROLLED): Transition("T10", _X, "ROLL"),
    (_S, PoolEvent.ROLLED): Transition("T10", _X, "ROLL"),
    (_D, PoolEvent.MERGED): Transition("T11", _X, "MERGED"),
}


@dataclass(frozen=True, slots=True)
class MirroredBar:
    """Hold what the rules need of one bar, seen from one side: prices times s, and whether it displaces upward."""

    ts_ns: int
    low: int
    close: int
    displaced: bool


class PoolRules:
    """Classify bars for pools by the parameters of pj1 S4; holds no state of its own."""

    __slots__ = ("_chase", "_den", "_num", "_pen", "_reclaim_max_ns", "_reclaim_min", "sweep_min")

    def __init__(self, params: Params) -> None:
        self.sweep_min = params.sweep_min_ticks
        self._reclaim_min = params.reclaim_min_ticks
        self._reclaim_max_ns = params.reclaim_max_min * NS_PER_MIN
        self._pen = params.max_pen_ticks
        self._chase = params.max_chase_ticks
        self._num = params.disp_num
        self._den = params.disp_den

    def mirror(self, side: int, ts_ns: int, prices: tuple[int, int, int, int]) -> MirroredBar:
        """Return the bar seen from ``side``; displacement is body/range > num/den, strict, in integers (pj1 S4)."""
        open_, high, low, close = prices
        body = side * (close - open_)
        displaced = body > 0 and self._den * body > self._num * (high - low)
        return MirroredBar(ts_ns, low if side > 0 else -high, side * close, displaced)

    def classify(self, pool: Pool, bar: MirroredBar, *, counted: bool) -> PoolEvent:
        """Return what ``bar`` means for a DEFINED or SWEPT pool; ``counted`` once its low is in the extreme.

        Raises IllegalTransition for a pool in any other state.
        """
        if pool.state is PoolState.DEFINED:
            if bar.ts_ns >= pool.expires_ns:
                return PoolEvent.EXPIRED
            return PoolEvent.NOT_REACHED if bar.low > pool.mlevel - self.sweep_min else PoolEvent.SWEPT
        if pool.state is not PoolState.SWEPT:
            raise IllegalTransition(f"pool {pool.pool_id} is {pool.state} and takes no bar")
        if not counted:
            return PoolEvent.EXPIRED if bar.ts_ns >= pool.expires_ns else PoolEvent.DEEPENED
        level = pool.mlevel
        if level - pool.ext > self._pen:
            return PoolEvent.BROKEN
        if bar.ts_ns - pool.sweep_ns > self._reclaim_max_ns:
            return PoolEvent.TIMED_OUT
        if bar.close - level > self._chase:
            return PoolEvent.RAN_AWAY
        if bar.displaced and bar.close >= level + self._reclaim_min:
            return PoolEvent.RECLAIMED
        return PoolEvent.WAITED

    def take_bar(self, pool: Pool, bar: MirroredBar) -> tuple[bool, Transition]:
        """Run one bar through ``pool``; return whether this bar swept it, and the transition it came to rest on."""
        first = advance(pool, self.classify(pool, bar, counted=False), bar)
        if not first.goes_on:
            return False, first
        return first.row == "T2", advance(pool, self.classify(pool, bar, counted=True), bar)


def advance(pool: Pool, event: PoolEvent, bar: MirroredBar | None = None) -> Transition:
    """Apply one event to ``pool`` and return the table's transition, or raise IllegalTransition and change nothing."""
    transition = TABLE.get((pool.state, event))
    if transition is None:
        raise IllegalTransition(f"pool {pool.pool_id}: {event} is not possible in state {pool.state}")
    if transition.goes_on:
        if bar is None:
            raise IllegalTransition(f"pool {pool.pool_id}: {event} needs the bar that did it")
        if event is PoolEvent.SWEPT:
            pool.sweep_ns = bar.ts_ns
            pool.ext = bar.low
        elif bar.low < pool.ext:
            pool.ext = bar.low
    pool.state = transition.state
    return transition


def diagram() -> str:
    """Return the table as a mermaid state diagram, the one shown in docs/."""
    lines = ["stateDiagram-v2", "    [*] --> DEFINED"]
    for (state, event), transition in TABLE.items():
        target = f"{transition.state}"
        label = f"{transition.row} {event}" + (f" ({transition.reason})" if transition.reason else "")
        lines.append(f"    {state} --> {target}: {label}")
    return "\n".join([*lines, "    DEAD --> [*]", ""])


def table_markdown() -> str:
    """Return the table as a Markdown table: row, state, event, next state, reason, same bar goes on."""
    lines = ["| # | state | event | next | reason | goes on |", "|---|---|---|---|---|---|"]
    for (state, event), transition in TABLE.items():
        goes_on = "yes" if transition.goes_on else ""
        lines.append(f"| {transition.row} | {state} | {event} | {transition.state} | {transition.reason} | {goes_on} |")
    return "\n".join([*lines, ""])
