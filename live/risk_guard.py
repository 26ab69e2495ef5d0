"""Judge every entry by the ordered gate chain of pj1 S6 and keep the counters that it needs.

The first failing gate names the rejection; every gate answers all the same, so that the journal can tell the
whole truth about a decision. Exits never come here: nothing may block them.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final, cast

from live.market import NS_PER_MIN, NS_PER_S
from live.params import Params
from live.session_manager import Signal, quantity

HOUR_NS: Final = 3600 * NS_PER_S
GATES: Final = (
    "KILL",
    "OUTSIDE",
    "STALE",
    "SESSION",
    "NEWS",
    "IN_POSITION",
    "DAY_LOCK",
    "DAILY_LOSS",
    "MAX_TRADES",
    "CONSEC_LOSSES",
    "COOLDOWN",
    "ORDER_RATE",
    "RISK_TOO_WIDE",
    "SIZE_ZERO",
)
"""Gate names in their normative order. OUTSIDE (live only) refuses with the reason the shell reported; DAY_LOCK
refuses with the lock's own reason, DAILY_LOSS."""
LOCK_REASON: Final = "DAILY_LOSS"

Gates = tuple[tuple[str, bool], ...]
Figures = tuple[tuple[str, int | str | None], ...]
"""What the gates looked at, as (name, value) pairs: for the journal and for people, never for a decision."""


@dataclass(frozen=True, slots=True)
class Circumstances:
    """Carry what the gate must know beside its own counters.

    ``previous_bar_ns`` is the open of the previous real bar of the same trade date (None for the day's first);
    ``minute`` is nm = m + 1 of the reclaim bar; ``outside`` is why the world forbids entries, empty when it does not.
    """

    minute: int
    previous_bar_ns: int | None
    in_position: bool
    killed: bool = False
    outside: str = ""


@dataclass(frozen=True, slots=True)
class Approved:
    """Allow one entry of ``qty`` contracts; the only thing an order can be made of."""

    signal: Signal
    qty: int
    gates: Gates
    figures: Figures = ()


@dataclass(frozen=True, slots=True)
class Refused:
    """Refuse one entry; ``reason`` is the first failing gate's name."""

    signal: Signal
    reason: str
    gates: Gates
    figures: Figures = ()


class RiskGuard:
    """Hold the day's counters and judge signals (pj1 S6); money in cents, times in ns UTC."""

    __slots__ = (
        "_params",
        "fills",
        "flat_m",
        "last_exit_ns",
        "locked",
        "losses_streak",
        "net_cents",
        "order_times",
        "trades",
    )

    def __init__(self, params: Params) -> None:
        self._params = params
        self.flat_m = params.flat_at_m
        self.trades = 0
        self.net_cents = 0
        self.fills = 0
        self.losses_streak = 0
        self.locked = ""
        self.last_exit_ns: int | None = None
        self.order_times: deque[int] = deque()

    def new_day(self) -> None:
        """Reset the day's P&L, fills, streak and lock; the last exit and the order times stay (pj1 S2.1)."""
        self.net_cents = 0
        self.fills = 0
        self.losses_streak = 0
        self.locked = ""

    def filled(self) -> None:
        """Count one entry fill of the day."""
        self.fills += 1

    def ordered(self, at_ns: int) -> None:
        """Count one order (entry or clock exit) for the hourly rate."""
        self.order_times.append(at_ns)

    def exited(self, net_cents: int, at_ns: int) -> None:
        """Book one closed trade, stamped ``at_ns``."""
        self.trades += 1
        self.net_cents += net_cents
        self.losses_streak = self.losses_streak + 1 if net_cents < 0 else 0
        self.last_exit_ns = at_ns

    def corrected(self, net_cents: int) -> None:
        """Add what a trade of the day brought beyond its estimate; the streak stays as it was counted."""
        self.net_cents += net_cents

    def breaches(self, open_cents: int) -> bool:
        """Tell whether realised plus open P&L reaches the daily loss (pj1 S6.7) on a day not locked yet."""
        return not self.locked and self.net_cents + open_cents <= -self._params.max_daily_loss_cents

    def lock(self, reason: str) -> None:
        """Refuse entries until the trade date turns."""
        self.locked = reason

    def judge(self, signal: Signal, around: Circumstances) -> Approved | Refused:
        """Return the verdict with every gate's own answer, in the order of pj1 S6."""
        params = self._params
        qty = quantity(params, signal.risk_ticks, self.net_cents)
        answers = (
            not around.killed,
            not around.outside,
            not self._stale(signal, around),
            self._in_session(around.minute),
            not any(start <= signal.signal_ns // NS_PER_S < end for start, end in params.blackouts),
            not around.in_position,
            not self.locked,
            params.max_daily_loss_cents + self.net_cents > 0,
            self.fills < params.max_trades_day,
            self.losses_streak < params.max_consec_losses,
            not self._cooling(signal.signal_ns),
            self.orders_since(signal.signal_ns - HOUR_NS) < params.max_orders_hour,
            signal.risk_ticks <= params.max_risk_ticks,
            qty > 0,
        )
        gates = tuple(zip(GATES, answers, strict=True))
        if all(answers):
            return Approved(signal, qty, gates, self._figures(signal, around, qty))
        name = GATES[answers.index(False)]
        reasons = {"OUTSIDE": around.outside, "DAY_LOCK": self.locked}
        return Refused(signal, reasons.get(name, name), gates, self._figures(signal, around, qty))

    def _figures(self, signal: Signal, around: Circumstances, qty: int) -> Figures:
        """Return what each gate looked at; None where there was nothing to look at."""
        before, last = around.previous_bar_ns, self.last_exit_ns
        return (
            ("side", signal.side),
            ("entry", signal.entry_ref),
            ("stop", signal.stop),
            ("target", signal.target),
            ("outside", around.outside),
            ("gap_min", None if before is None else (signal.bar_ts_ns - before) // NS_PER_MIN),
            ("minute", around.minute),
            ("flat_m", self.flat_m),
            ("locked", self.locked),
            ("net_cents", self.net_cents),
            ("fills", self.fills),
            ("losses_streak", self.losses_streak),
            ("since_exit_s", None if last is None else (signal.signal_ns - last) // NS_PER_S),
            ("orders_hour", self.orders_since(signal.signal_ns - HOUR_NS)),
            ("risk_ticks", signal.risk_ticks),
            ("qty", qty),
        )

    def orders_since(self, after_ns: int) -> int:
        """Return how many orders are later than ``after_ns``; forgets older ones (time never goes back)."""
        times = self.order_times
        while times and times[0] <= after_ns:
            times.popleft()
        return len(times)

    def _stale(self, signal: Signal, around: Circumstances) -> bool:
        before = around.previous_bar_ns
        return before is not None and signal.bar_ts_ns - before > self._params.max_gap_min * NS_PER_MIN

    def _in_session(self, minute: int) -> bool:
        if minute >= self.flat_m:
            return False
        return any(start <= minute < end for start, end in self._params.windows)

    def _cooling(self, signal_ns: int) -> bool:
        last = self.last_exit_ns
        return last is not None and signal_ns - last < self._params.cooldown_min * NS_PER_MIN

    def snapshot(self) -> dict[str, object]:
        """Return all counters."""
        return {
            "trades": self.trades,
            "net_cents": self.net_cents,
            "fills": self.fills,
            "losses_streak": self.losses_streak,
            "locked": self.locked,
            "last_exit_ns": self.last_exit_ns,
            "order_times": list(self.order_times),
        }

    def restore(self, state: dict[str, object]) -> None:
        """Take the state of ``snapshot``."""
        self.trades = cast("int", state["trades"])
        self.net_cents = cast("int", state["net_cents"])
        self.fills = cast("int", state["fills"])
        self.losses_streak = cast("int", state["losses_streak"])
        self.locked = cast("str", state["locked"])
        self.last_exit_ns = cast("int | None", state["last_exit_ns"])
        self.order_times = deque(cast("list[int]", state["order_times"]))
