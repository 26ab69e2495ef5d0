"""Follow one instrument's liquidity bar by bar: define pools, step them, let them die (pj1 S2.1 steps 1, 2, 4, 5).

The engine calls the four steps in the legal order; every row of events.csv about a pool's own life is made here.
"""

from __future__ import annotations

from typing import cast

from live.commands import Command, RecordEvent
from live.market import NS_PER_MIN, NS_PER_S, Bar
from live.params import Params
from live.pool_book import PoolBook
from live.pool_fsm import MirroredBar, PoolEvent, PoolRules, advance
from live.pools import FAR, HIGH, LOW, PivotSide, Pool, PoolState, SessionBook
from live.trading_day import CLOSE_M


class Liquidity:
    """Hold the day's buffer, sessions, pivots and the living pools of one instrument."""

    __slots__ = (
        "_close_ns",
        "_day_high",
        "_day_low",
        "_eq",
        "_highs",
        "_kinds",
        "_lows",
        "_min_prev",
        "_ordinal",
        "_rules",
        "_seq",
        "_stamps",
        "_sw",
        "_ttl_ns",
        "book",
        "sessions",
    )

    def __init__(self, params: Params) -> None:
        self._rules = PoolRules(params)
        self._kinds = frozenset(params.use_kinds)
        self._eq = "EQ" in self._kinds
        self._sw = "SW" in self._kinds
        self._ttl_ns = params.swing_ttl_min * NS_PER_MIN
        self._min_prev = params.min_prev_day_bars
        self.book = PoolBook(params.sweep_min_ticks)
        self.sessions = SessionBook(params)
        self._highs = PivotSide(HIGH, params)
        self._lows = PivotSide(LOW, params)
        self._seq = 0
        self._ordinal = 0
        self._close_ns = 0
        self._clear_day()

    def _clear_day(self) -> None:
        self._stamps: list[int] = []
        self._day_high = -FAR
        self._day_low = FAR
        self._highs.clear()
        self._lows.clear()

    def turn_day(self, ordinal: int, base_ns: int, ts_ns: int, out: list[Command], *, rolled: bool) -> None:
        """Step 1 on a new trade date that opens at ``base_ns``: kill all pools, clear, define PDH then PDL."""
        self._kill_all(ts_ns, out, rolled=rolled)
        high, low, count = self._day_high, self._day_low, len(self._stamps)
        self._clear_day()
        self.sessions.new_day()
        self._ordinal = ordinal
        self._close_ns = base_ns + CLOSE_M * NS_PER_MIN
        if not rolled and "PD" in self._kinds and count >= self._min_prev:
            self._define("PD", HIGH, high, ts_ns, self._close_ns, out)
            self._define("PD", LOW, low, ts_ns, self._close_ns, out)

    def roll(self, ts_ns: int, out: list[Command]) -> None:
        """Step 1 on a contract change inside a trade date (pj1 S1.6)."""
        self._kill_all(ts_ns, out, rolled=True)
        self._clear_day()
        self.sessions.roll()

    def _kill_all(self, ts_ns: int, out: list[Command], *, rolled: bool) -> None:
        event = PoolEvent.ROLLED if rolled else PoolEvent.DAY_TURNED
        for pool in self.book.take_all():
            self.die(pool, event, ts_ns // NS_PER_S, out)

    def die(self, pool: Pool, event: PoolEvent, stamp_s: int, out: list[Command]) -> None:
        """Kill ``pool`` by a table event and write its DEAD row."""
        reason = advance(pool, event).reason
        self.book.bury(reason)
        out.append(_row(stamp_s, "DEAD", pool, reason))

    def pass_edge(self, minute: int, ts_ns: int, out: list[Command]) -> None:
        """Step 2: close the sessions that ended by ``minute`` and define their pools, in config order, H before L."""
        for session in self.sessions.pass_edge(minute):
            if session.name in self._kinds:
                self._define(session.name, HIGH, session.high, ts_ns, self._close_ns, out)
                self._define(session.name, LOW, session.low, ts_ns, self._close_ns, out)

    def step_pools(self, bar: Bar, out: list[Command]) -> list[Pool]:
        """Step 4: run the FSM on every pool that ``bar`` can change; return those it reclaimed, in definition order."""
        ts_ns = bar.ts_ns
        book, rules = self.book, self._rules
        views: dict[int, MirroredBar] = {}
        prices = (bar.open_ticks, bar.high_ticks, bar.low_ticks, bar.close_ticks)
        close_s = (ts_ns + NS_PER_MIN) // NS_PER_S
        reclaimed = []
        for pool in book.touched(ts_ns, bar.low_ticks, bar.high_ticks):
            view = views.get(pool.side)
            if view is None:
                view = views[pool.side] = rules.mirror(pool.side, ts_ns, prices)
            swept, rest = rules.take_bar(pool, view)
            if swept:
                out.append(_row(close_s, "SWEPT", pool))
            if rest.state is PoolState.SWEPT:
                book.keep_swept(pool)
            elif rest.state is PoolState.RECLAIMED:
                out.append(_row(close_s, "RECLAIMED", pool))
                reclaimed.append(pool)
            else:
                book.bury(rest.reason)
                # An expiry is a matter of the clock: it is stamped with the bar's open (pj1 S13).
                out.append(_row(ts_ns // NS_PER_S if rest.row == "T1" else close_s, "DEAD", pool, rest.reason))
        return reclaimed

    def add_bar(self, ts_ns: int, high: int, low: int, out: list[Command]) -> None:
        """Step 5: add the bar to session ranges and day buffer, confirm pivots, BSL before SSL."""
        for session in self.sessions.active:
            session.count += 1
            if high > session.high:  # noqa: PLR1730 - max() and min() cost more than the whole step
                session.high = high
            if low < session.low:  # noqa: PLR1730 - max() and min() cost more than the whole step
                session.low = low
        self._stamps.append(ts_ns)
        if high > self._day_high:  # noqa: PLR1730 - max() and min() cost more than the whole step
            self._day_high = high
        if low < self._day_low:  # noqa: PLR1730 - max() and min() cost more than the whole step
            self._day_low = low
        if self._highs.add(high):
            self._confirm(self._highs, ts_ns + NS_PER_MIN, out)
        if self._lows.add(-low):
            self._confirm(self._lows, ts_ns + NS_PER_MIN, out)

    def _confirm(self, pivots: PivotSide, defined_ns: int, out: list[Command]) -> None:
        pivot, mate = pivots.confirm(self._stamps)
        expires_ns = min(defined_ns + self._ttl_ns, self._close_ns)
        side = pivots.side
        if mate is not None and self._eq:
            old = mate.pool
            if old is not None and old.state is PoolState.DEFINED:
                self.book.remove_defined(old)
                self.die(old, PoolEvent.MERGED, defined_ns // NS_PER_S, out)
            level = -side * max(mate.x, pivot.x)
            tail = f":{mate.ts_ns // NS_PER_S}:{pivot.ts_ns // NS_PER_S}"
            pivot.pool = self._define("EQ", side, level, defined_ns, expires_ns, out, tail)
        elif self._sw:
            tail = f":{pivot.ts_ns // NS_PER_S}"
            pivot.pool = self._define("SW", side, -side * pivot.x, defined_ns, expires_ns, out, tail)

    def _define(
        self, kind: str, side: int, level: int, defined_ns: int, expires_ns: int, out: list[Command], tail: str = ""
    ) -> Pool:
        self._seq += 1
        pool_id = f"{self._ordinal}:{kind}{'L' if side > 0 else 'H'}{tail}"
        pool = Pool(self._seq, pool_id, kind, side, level, side * level, defined_ns, expires_ns)
        self.book.add(pool)
        out.append(_row(defined_ns // NS_PER_S, "DEFINED", pool))
        return pool

    def snapshot(self) -> dict[str, object]:
        """Return everything a later bar can depend on, as JSON values."""
        return {
            "seq": self._seq,
            "ordinal": self._ordinal,
            "close_ns": self._close_ns,
            "stamps": list(self._stamps),
            "day": [self._day_high, self._day_low],
            "book": self.book.snapshot(),
            "sessions": self.sessions.snapshot(),
            "highs": self._highs.snapshot(),
            "lows": self._lows.snapshot(),
        }

    def restore(self, state: dict[str, object]) -> None:
        """Take the state of ``snapshot``."""
        self._seq = cast("int", state["seq"])
        self._ordinal = cast("int", state["ordinal"])
        self._close_ns = cast("int", state["close_ns"])
        self._stamps = list(cast("list[int]", state["stamps"]))
        self._day_high, self._day_low = cast("list[int]", state["day"])
        living = self.book.restore(cast("dict[str, object]", state["book"]))
        self.sessions.restore(cast("dict[str, object]", state["sessions"]))

        def pool_of(seq: int | None) -> Pool | None:
            return None if seq is None else living.get(seq)

        self._highs.restore(cast("dict[str, object]", state["highs"]), pool_of)
        self._lows.restore(cast("dict[str, object]", state["lows"]), pool_of)


def _row(stamp_s: int, event: str, pool: Pool, reason: str = "") -> RecordEvent:
    return RecordEvent(stamp_s, event, pool.pool_id, pool.level, pool.extreme, reason=reason)
