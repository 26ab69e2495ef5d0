"""Say where liquidity pools come from: the previous day, sessions, swings and equal highs or lows (pj1 S3).

Side s = +1 is SSL (sell-side liquidity: stops resting under a low, leads to longs), s = -1 is BSL (over a high,
leads to shorts). Levels are raw ticks; ``mlevel`` = s * level is the mirrored one in which every rule of pj1 is
written once. Every source looks only at bars already closed when its pool becomes usable (pj1 S3 "why no lookahead").
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, cast

from live.params import Params, SessionWindow
from live.trading_day import MINUTES_PER_DAY

LOW: Final = +1
HIGH: Final = -1
UNSET: Final = -1
FAR: Final = 1 << 62
"""Beyond every price and time: an unset extreme, a trigger that never fires."""


class PoolState(StrEnum):
    """Name the states of a pool (pj1 S4)."""

    DEFINED = "DEFINED"
    SWEPT = "SWEPT"
    RECLAIMED = "RECLAIMED"
    DEAD = "DEAD"


@dataclass(slots=True, eq=False)
class Pool:
    """Hold one pool; ``ext`` is the mirrored extreme since the sweep, meaningless while DEFINED.

    ``seq`` counts pools in order of definition over the whole run; times are ns UTC.
    """

    seq: int
    pool_id: str
    kind: str
    side: int
    level: int
    mlevel: int
    defined_ns: int
    expires_ns: int
    state: PoolState = PoolState.DEFINED
    sweep_ns: int = UNSET
    ext: int = 0

    @property
    def extreme(self) -> int | None:
        """Return the raw extreme since the sweep in ticks; None while DEFINED."""
        return None if self.sweep_ns == UNSET else self.side * self.ext

    def snapshot(self) -> list[object]:
        """Return the pool as a JSON array that ``restored`` reads back."""
        return [
            self.seq,
            self.pool_id,
            self.kind,
            self.side,
            self.level,
            self.defined_ns,
            self.expires_ns,
            self.state.value,
            self.sweep_ns,
            self.ext,
        ]

    @classmethod
    def restored(cls, row: list[object]) -> Pool:
        """Return the pool that ``snapshot`` wrote."""
        seq, pool_id, kind, side, level, defined_ns, expires_ns, state, sweep_ns, ext = row
        side, level = cast("int", side), cast("int", level)
        return cls(
            cast("int", seq),
            cast("str", pool_id),
            cast("str", kind),
            side,
            level,
            side * level,
            cast("int", defined_ns),
            cast("int", expires_ns),
            PoolState(cast("str", state)),
            cast("int", sweep_ns),
            cast("int", ext),
        )


@dataclass(slots=True, eq=False)
class Pivot:
    """Hold one confirmed pivot: its place in the day, its outward price x = -s * price, its last pool."""

    index: int
    x: int
    ts_ns: int
    pool: Pool | None = None


class PivotSide:
    """Find pivots of one side in outward coordinates x = -s * price, where a pivot is a maximum (pj1 S3 SW, EQ).

    At most one candidate can be waiting: a bar strictly above its n predecessors excludes every
    earlier candidate in that window, and a lower one is no candidate while it waits.
    """

    __slots__ = ("_candidate", "_candidate_x", "_last_x", "_n", "_tol", "_xs", "pivots", "side")

    def __init__(self, side: int, params: Params) -> None:
        self.side = side
        self._n = params.swing_n
        self._tol = params.eq_tol_ticks
        self._xs: list[int] = []
        self.pivots: list[Pivot] = []
        self._candidate = -1
        self._candidate_x = 0
        self._last_x = -FAR

    def clear(self) -> None:
        """Forget bars and pivots: a new trade date or contract begins."""
        self._xs = []
        self.pivots = []
        self._candidate = -1
        self._last_x = -FAR

    def add(self, x: int) -> bool:
        """Add the outward extreme of the newest bar; tell whether the bar n before it is now a pivot."""
        xs = self._xs
        confirmed = False
        if self._candidate >= 0:
            if x > self._candidate_x:
                self._candidate = -1
            elif len(xs) - self._candidate == self._n:
                confirmed = True
        if x > self._last_x:
            index = len(xs)
            if index >= self._n and x > max(xs[index - self._n :]):
                self._candidate = index
                self._candidate_x = x
        self._last_x = x
        xs.append(x)
        return confirmed

    def confirm(self, stamps: list[int]) -> tuple[Pivot, Pivot | None]:
        """Return the pivot just confirmed and its mate or None, and remember the pivot; ``stamps`` are the bars' ts."""
        pivot = Pivot(self._candidate, self._candidate_x, stamps[self._candidate])
        self._candidate = -1
        mate = self._mate(pivot)
        self.pivots.append(pivot)
        return pivot, mate

    def _mate(self, pivot: Pivot) -> Pivot | None:
        """Return the newest earlier pivot within tolerance with no bar between beyond both (pj1 S3.5)."""
        xs = self._xs
        upto = pivot.index
        peak = -FAR
        for earlier in reversed(self.pivots):
            between = xs[earlier.index + 1 : upto]
            if between:
                peak = max(peak, *between)
            if peak > max(earlier.x, pivot.x):
                return None
            if abs(earlier.x - pivot.x) <= self._tol:
                return earlier
            upto = earlier.index + 1
        return None

    def snapshot(self) -> dict[str, object]:
        """Return bars, pivots (pool by seq) and the waiting candidate."""
        pivots = [[p.index, p.x, p.ts_ns, _seq_if_alive(p.pool)] for p in self.pivots]
        return {"xs": list(self._xs), "pivots": pivots, "candidate": [self._candidate, self._candidate_x]}

    def restore(self, state: dict[str, object], pool_of: Callable[[int | None], Pool | None]) -> None:
        """Take the state of ``snapshot``; ``pool_of`` finds a live pool by seq (None when it is dead)."""
        self._xs = list(cast("list[int]", state["xs"]))
        self._last_x = self._xs[-1] if self._xs else -FAR
        rows = cast("list[tuple[int, int, int, int | None]]", state["pivots"])
        self.pivots = [Pivot(index, x, ts_ns, pool_of(seq)) for index, x, ts_ns, seq in rows]
        self._candidate, self._candidate_x = cast("list[int]", state["candidate"])


def _seq_if_alive(pool: Pool | None) -> int | None:
    return None if pool is None or pool.state is PoolState.DEAD else pool.seq


class SessionRange:
    """Hold the running high and low of one session window of the current trade date."""

    __slots__ = ("closed", "count", "end_m", "high", "low", "name", "needed", "start_m")

    def __init__(self, window: SessionWindow, params: Params) -> None:
        self.name = window.name
        self.start_m = window.start_m
        self.end_m = window.end_m
        share = params.min_session_fill
        minutes = window.end_m - window.start_m
        self.needed = max(1, -(-share.numerator * minutes // share.denominator))
        self.closed = False
        self.empty()

    def empty(self) -> None:
        """Forget the bars seen; whether the window has closed stays."""
        self.count = 0
        self.high = -FAR
        self.low = FAR


class SessionBook:
    """Follow all session windows of a trade date; windows are closed by the clock, never by a last bar (pj1 S3)."""

    __slots__ = ("active", "next_edge_m", "ranges")

    def __init__(self, params: Params) -> None:
        self.ranges = [SessionRange(window, params) for window in params.sessions]
        self.active: list[SessionRange] = []
        self.next_edge_m = 0

    def new_day(self) -> None:
        """Open every window anew for a new trade date."""
        for session in self.ranges:
            session.closed = False
        self.roll()

    def roll(self) -> None:
        """Forget the ranges at a contract change; closed windows stay closed (pj1 S1.6)."""
        for session in self.ranges:
            session.empty()
        self.active = []
        self.next_edge_m = 0

    def pass_edge(self, m: int) -> list[SessionRange]:
        """Close the windows that end at or before minute ``m``; return those filled enough for pools, in config order.

        Call when ``m >= next_edge_m``; afterwards ``active`` holds the windows that minute ``m`` belongs to.
        """
        filled = []
        edge = MINUTES_PER_DAY
        self.active = []
        for session in self.ranges:
            if session.end_m <= m:
                if not session.closed:
                    session.closed = True
                    if session.count >= session.needed:
                        filled.append(session)
            elif session.start_m <= m:
                self.active.append(session)
                edge = min(edge, session.end_m)
            else:
                edge = min(edge, session.start_m)
        self.next_edge_m = edge
        return filled

    def snapshot(self) -> dict[str, object]:
        """Return the ranges and the next edge."""
        rows = [[session.closed, session.count, session.high, session.low] for session in self.ranges]
        return {"rows": rows, "edge": self.next_edge_m, "active": [self.ranges.index(one) for one in self.active]}

    def restore(self, state: dict[str, object]) -> None:
        """Take the state of ``snapshot``."""
        for session, row in zip(self.ranges, cast("list[list[int]]", state["rows"]), strict=True):
            session.closed = bool(row[0])
            session.count, session.high, session.low = row[1:]
        self.active = [self.ranges[place] for place in cast("list[int]", state["active"])]
        self.next_edge_m = cast("int", state["edge"])
