"""Fill entries and exits from closed bars by pj1 S5.5-S5.8: the backtest's and the paper route's market.

An approved entry waits for the next real bar. It is cancelled when that bar comes too late or on another day or
contract (STALE), or opens at or through stop or target (GAP); else it fills at the open with adverse slippage. A
position ends by a clock exit at a bar's open (never on the entry bar), or inside a bar: the stop first, then
the target if price traded through it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from live.market import NS_PER_MIN, Bar
from live.params import Params
from live.position import Position, signal_of, signal_row
from live.session_manager import Signal


@dataclass(frozen=True, slots=True)
class Exit:
    """Carry how a position ended: stamped time, raw price, reason, and whether the clock ordered it."""

    at_ns: int
    price: int
    reason: str
    by_clock: bool


class PaperFills:
    """Hold at most one pending entry or open position and walk it through bars."""

    __slots__ = ("_params", "flat_m", "pending", "position")

    def __init__(self, params: Params) -> None:
        self._params = params
        self.flat_m = params.flat_at_m
        self.pending: tuple[Signal, int] | None = None
        self.position: Position | None = None

    @property
    def busy(self) -> bool:
        """Tell whether an entry waits or a position is open."""
        return self.pending is not None or self.position is not None

    def enter(self, signal: Signal, qty: int) -> None:
        """Let an approved entry wait for the next real bar."""
        self.pending = (signal, qty)

    def try_entry(self, waiting: tuple[Signal, int], bar: Bar, ordinal: int) -> Position | str:
        """Fill the waiting entry on ``bar`` and return the position, or the reason of a cancel (STALE, GAP)."""
        signal, qty = waiting
        self.pending = None
        side = signal.side
        late = bar.ts_ns - signal.bar_ts_ns > self._params.max_entry_delay_min * NS_PER_MIN
        if late or ordinal != signal.ordinal or bar.contract != signal.contract:
            return "STALE"
        open_m = side * bar.open_ticks
        if open_m <= side * signal.stop or open_m >= side * signal.target:
            return "GAP"
        entry_m = open_m + self._params.slip_ticks
        self.position = Position(signal, qty, bar.ts_ns, side * entry_m, entry_m, entry_m)
        return self.position

    def clock_exit(self, position: Position, bar: Bar, minute: int, ordinal: int, lock: str) -> Exit | None:
        """Return the clock exit due at the open of ``bar``, which is not the entry bar; precedence of pj1 S5.6."""
        signal = position.signal
        if ordinal != signal.ordinal or bar.contract != signal.contract:
            reason = "DAY_ROLL"
        elif lock:
            reason = lock
        elif minute >= self.flat_m:
            reason = "FLAT"
        elif bar.ts_ns - position.entry_ns >= self._params.max_hold_min * NS_PER_MIN:
            reason = "TIME"
        else:
            return None
        price = bar.open_ticks - signal.side * self._params.slip_ticks
        return Exit(bar.ts_ns, price, reason, by_clock=True)

    def inside_exit(self, position: Position, bar: Bar) -> Exit | None:
        """Return the stop or target exit inside ``bar``, the entry bar included; stop first (pj1 S5.7)."""
        position.see(bar.high_ticks, bar.low_ticks)
        signal = position.signal
        side = signal.side
        if side > 0:
            open_m, high_m, low_m = bar.open_ticks, bar.high_ticks, bar.low_ticks
        else:
            open_m, high_m, low_m = -bar.open_ticks, -bar.low_ticks, -bar.high_ticks
        closed_ns = bar.ts_ns + NS_PER_MIN
        stop_m = side * signal.stop
        if low_m <= stop_m:
            price = side * (min(stop_m, open_m) - self._params.slip_ticks)
            return Exit(closed_ns, price, "STOP", by_clock=False)
        if high_m >= side * signal.target + self._params.target_through_ticks:
            return Exit(closed_ns, signal.target, "TARGET", by_clock=False)
        return None

    def snapshot(self) -> dict[str, object]:
        """Return the waiting entry and the open position."""
        pending = None if self.pending is None else [signal_row(self.pending[0]), self.pending[1]]
        return {"pending": pending, "position": None if self.position is None else self.position.snapshot()}

    def restore(self, state: dict[str, object]) -> None:
        """Take the state of ``snapshot``."""
        pending = cast("list[object] | None", state["pending"])
        position = cast("list[object] | None", state["position"])
        self.pending = None if pending is None else (signal_of(pending[0]), cast("int", pending[1]))
        self.position = None if position is None else Position.restored(position)
