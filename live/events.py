"""Define the closed union of events that enter ``Engine.step`` (past tense, frozen)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from live.market import Bar


class Mode(StrEnum):
    """Say what the core does with a reclaim.

    LIVE: judge it and act. MISSED: it happened while nobody was watching, the pool dies MISSED.
    REHEARSED: judge it and fill it inside the core by pj1 S5 (backtest, paper warm-up), send nothing.
    """

    LIVE = "LIVE"
    MISSED = "MISSED"
    REHEARSED = "REHEARSED"


@dataclass(frozen=True, slots=True)
class ModeChanged:
    """Tell the core what to do with reclaims from here on."""

    mode: Mode


@dataclass(frozen=True, slots=True)
class BarClosed:
    """Deliver one closed bar, exactly once, in order of ``bar.ts_ns``."""

    bar: Bar


@dataclass(frozen=True, slots=True)
class PriceMarked:
    """Deliver one trade price for the open loss between bar closes (broker routes; pj1 S6.7)."""

    ts_ns: int
    price_ticks: int


@dataclass(frozen=True, slots=True)
class ClockPassed:
    """Deliver the time, so that broker time-outs and flat times act without a bar."""

    now_ns: int


@dataclass(frozen=True, slots=True)
class KillSwitched:
    """Report the kill switch thrown or released, with who or why."""

    on: bool
    reason: str


@dataclass(frozen=True, slots=True)
class EntriesJudged:
    """Report whether the outside world allows an entry (feed age, calendar, clock, position doubt).

    ``reason`` is empty when entries are allowed, else the refusal's name (``STALE``, ``CALENDAR``, ...).
    """

    reason: str


@dataclass(frozen=True, slots=True)
class OrderAcked:
    """Report that the route took order ``key``; ``broker_id`` is its name there."""

    key: str
    broker_id: str
    ts_ns: int


@dataclass(frozen=True, slots=True)
class OrderRefused:
    """Report that the route refused order ``key`` for good, with its code."""

    key: str
    code: str
    ts_ns: int


@dataclass(frozen=True, slots=True)
class OrderUnknown:
    """Report that nobody can say whether order ``key`` was taken (time-out, reset, 5xx)."""

    key: str
    why: str
    ts_ns: int


@dataclass(frozen=True, slots=True)
class ExecutionReported:
    """Report one fill of the account: ``side`` +1 bought, -1 sold; price in ticks.

    An average price may lie off the grid; it is rounded to the adverse side. ``contract`` is the local symbol, empty
    where the source does not say.
    """

    exec_id: str
    side: int
    qty: int
    price_ticks: int
    ts_ns: int
    order_ref: str = ""
    contract: str = ""


@dataclass(frozen=True, slots=True)
class PositionReported:
    """Report the account's signed position over all months of the traded root.

    ``contract`` is the local symbol it is held in, several with a space between; empty when flat or not told.
    """

    qty: int
    ts_ns: int
    contract: str = ""


class Leg(StrEnum):
    """Name what a working order at the broker is for; FOREIGN: not ours, or nobody can say."""

    ENTRY = "ENTRY"
    STOP = "STOP"
    TARGET = "TARGET"
    EXIT = "EXIT"
    FOREIGN = "FOREIGN"


@dataclass(frozen=True, slots=True)
class WorkingOrder:
    """Show one working order of the traded contract at the broker.

    ``key`` is our idempotency key, empty when the order is not ours (the exits of a bracket bear the key of the order
    that asked for them). ``side`` +1 buys, -1 sells; ``qty`` is what remains; ``price_ticks`` is the stop's trigger or
    the limit, 0 for a market order.
    """

    key: str
    leg: Leg
    side: int
    qty: int
    price_ticks: int
    order_id: str


@dataclass(frozen=True, slots=True)
class OrdersReported:
    """Report all working orders of the traded contract, ours and foreign, as one complete snapshot.

    ``reread``: it ends a complete re-read, so that all executions, orders and positions there were have been told.
    """

    orders: tuple[WorkingOrder, ...]
    ts_ns: int
    reread: bool = False


@dataclass(frozen=True, slots=True)
class TruthChanged:
    """Report that the source of positions and orders was lost, or is back after a complete re-read."""

    connected: bool
    ts_ns: int


BrokerReport = (
    OrderAcked | OrderRefused | OrderUnknown | ExecutionReported | PositionReported | OrdersReported | TruthChanged
)
Event = ModeChanged | BarClosed | PriceMarked | ClockPassed | KillSwitched | EntriesJudged | BrokerReport
