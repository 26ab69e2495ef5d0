"""Keep the living pools so that a bar touches only the pools it can change.

DEFINED pools stand sorted by mirrored level, per side, so that one comparison per side tells whether any is
swept. Only SW and EQ pools can expire inside a trade date (pj1 S3: the others live to 17:00 ET, after which no
bar of that date follows), all after the same time to live, so they expire in order of definition. SWEPT pools
are few and see every bar. What comes out is always in definition order (pj1 S2.1 step 4).
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from typing import Final, cast

from live.pools import FAR, HIGH, LOW, Pool, PoolState

_MORTAL: Final = frozenset({"SW", "EQ"})


class PoolBook:
    """Hold all living pools of the run and hand out those that a bar can change.

    ``low_trigger`` and ``high_trigger`` are raw ticks: a bar with low <= the first or high >= the second sweeps
    at least one DEFINED pool. ``next_expiry_ns`` is the earliest time at which a DEFINED pool may expire.
    """

    __slots__ = ("_defined", "_mortal", "_sweep_min", "dead", "high_trigger", "low_trigger", "next_expiry_ns", "swept")

    def __init__(self, sweep_min: int) -> None:
        self._sweep_min = sweep_min
        self._defined: dict[int, list[tuple[int, int, Pool]]] = {LOW: [], HIGH: []}
        self._mortal: deque[Pool] = deque()
        self.swept: list[Pool] = []
        self.dead: dict[str, int] = {}
        self.low_trigger = -FAR
        self.high_trigger = FAR
        self.next_expiry_ns = FAR

    def add(self, pool: Pool) -> None:
        """Take a newly DEFINED pool."""
        insort(self._defined[pool.side], (pool.mlevel, pool.seq, pool))
        if pool.kind in _MORTAL:
            self._mortal.append(pool)
            if self.next_expiry_ns == FAR:
                self.next_expiry_ns = pool.expires_ns
        self._set_trigger(pool.side)

    def touched(self, ts_ns: int, low: int, high: int) -> list[Pool]:
        """Take out and return the pools the bar can change, in definition order: swept, newly reached, expired.

        The caller runs the FSM on each and gives back those that live on through ``keep_swept``.
        """
        found = self.swept
        self.swept = []
        if low <= self.low_trigger:
            found += self._reached(LOW, low)
        if high >= self.high_trigger:
            found += self._reached(HIGH, -high)
        if ts_ns >= self.next_expiry_ns:
            found += self._expired(ts_ns, set(map(id, found)))
        if len(found) > 1:
            found.sort(key=_by_seq)
        return found

    def keep_swept(self, pool: Pool) -> None:
        """Give back a pool that is SWEPT after the bar; call in definition order."""
        self.swept.append(pool)

    def bury(self, reason: str) -> None:
        """Count one death."""
        self.dead[reason] = self.dead.get(reason, 0) + 1

    def remove_defined(self, pool: Pool) -> None:
        """Take out one DEFINED pool (it was merged)."""
        self._drop(pool)
        self._set_trigger(pool.side)

    def take_all(self) -> list[Pool]:
        """Take out and return every living pool in definition order (day turn or roll)."""
        found = self.living()
        self._defined = {LOW: [], HIGH: []}
        self._mortal.clear()
        self.swept = []
        self.low_trigger, self.high_trigger, self.next_expiry_ns = -FAR, FAR, FAR
        return found

    def living(self) -> list[Pool]:
        """Return every living pool in definition order."""
        defined = [entry[2] for side in self._defined.values() for entry in side]
        return sorted([*defined, *self.swept], key=_by_seq)

    def _reached(self, side: int, mirrored_low: int) -> list[Pool]:
        book = self._defined[side]
        reach = mirrored_low + self._sweep_min
        found = []
        while book and book[-1][0] >= reach:
            found.append(book.pop()[2])
        self._set_trigger(side)
        return found

    def _expired(self, ts_ns: int, taken: set[int]) -> list[Pool]:
        found = []
        mortal = self._mortal
        while mortal and (mortal[0].state is not PoolState.DEFINED or mortal[0].expires_ns <= ts_ns):
            pool = mortal.popleft()
            if pool.state is PoolState.DEFINED and id(pool) not in taken:
                self._drop(pool)
                self._set_trigger(pool.side)
                found.append(pool)
        self.next_expiry_ns = mortal[0].expires_ns if mortal else FAR
        return found

    def _drop(self, pool: Pool) -> None:
        book = self._defined[pool.side]
        place = bisect_left(book, (pool.mlevel, pool.seq))
        if place == len(book) or book[place][2] is not pool:
            raise RuntimeError(f"pool {pool.pool_id} is not among the DEFINED pools of the book")
        del book[place]

    def _set_trigger(self, side: int) -> None:
        book = self._defined[side]
        reach = book[-1][0] - self._sweep_min if book else -FAR
        if side > 0:
            self.low_trigger = reach
        else:
            self.high_trigger = -reach

    def snapshot(self) -> dict[str, object]:
        """Return living pools and death counts."""
        return {"pools": [pool.snapshot() for pool in self.living()], "dead": dict(self.dead)}

    def restore(self, state: dict[str, object]) -> dict[int, Pool]:
        """Take the state of ``snapshot``; return the living pools by seq."""
        self.take_all()
        self.dead = dict(cast("dict[str, int]", state["dead"]))
        pools = [Pool.restored(row) for row in cast("list[list[object]]", state["pools"])]
        for pool in pools:
            if pool.state is PoolState.SWEPT:
                self.swept.append(pool)
            else:
                self.add(pool)
        return {pool.seq: pool for pool in pools}


def _by_seq(pool: Pool) -> int:
    return pool.seq
