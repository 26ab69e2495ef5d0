"""Define the closed union of commands that ``Engine.step`` returns (imperative, frozen)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class PlaceBracket:
    """Send a market entry with its stop and target; ``key`` is the idempotency key (pool id, signal time, leg)."""

    key: str
    contract: str
    side: int
    qty: int
    entry_ref_ticks: int
    stop_ticks: int
    target_ticks: int
    signal_ts_ns: int
    pool_id: str


@dataclass(frozen=True, slots=True)
class ClosePosition:
    """Bring the position to flat at market and cancel all our orders in the contract; never blocked by any gate.

    Idempotent by target position: whoever carries it out closes what the account holds then, not ``qty``.
    """

    key: str
    contract: str
    qty: int
    reason: str
    ts_ns: int


@dataclass(frozen=True, slots=True)
class CancelOrders:
    """Cancel our working orders of the contract; with ``entries_only`` what is left of the entry, not the exits."""

    key: str
    contract: str
    reason: str
    ts_ns: int
    entries_only: bool = False


@dataclass(frozen=True, slots=True)
class PlaceExits:
    """Make the position's protective orders be exactly this, creating or amending them (pj1 S8).

    ``side`` is the position's (+1 long: the exits sell); ``qty`` what they cover; a price of 0 means that leg is not
    wanted. Idempotent by target state: asking twice changes nothing. Never blocked by any gate. Whoever carries it out
    covers at most what the account holds on that side then: the position may have left since it was asked.
    """

    key: str
    contract: str
    side: int
    qty: int
    stop_ticks: int
    target_ticks: int
    ts_ns: int


@dataclass(frozen=True, slots=True)
class ThrowKillSwitch:
    """Stop all entries until a human resumes: the shell makes ``state/KILL_SWITCH`` stand durably."""

    reason: str
    ts_ns: int


@dataclass(frozen=True, slots=True)
class RecordEvent:
    """Write one row of events.csv (pj1 S13); None = empty field; ``ts_s`` epoch seconds, prices raw ticks.

    ``gates`` carries every gate's own answer for SIGNAL and REJECT rows, as (name, passed) pairs, ``figures`` what the
    gates looked at, as (name, value) pairs.
    """

    ts_s: int
    event: str
    pool: str = ""
    level: int | None = None
    extreme: int | None = None
    entry: int | None = None
    stop: int | None = None
    target: int | None = None
    qty: int | None = None
    reason: str = ""
    trade: str = ""
    gates: tuple[tuple[str, bool], ...] = ()
    figures: tuple[tuple[str, int | str | None], ...] = ()


@dataclass(frozen=True, slots=True)
class Trade:
    """Hold one closed trade; the columns of trades.csv (pj1 S13) follow from it without rounding.

    Prices in ticks, times in epoch seconds, money in cents.
    """

    trade_id: int
    trade_date_ordinal: int
    pool_id: str
    kind: str
    side: int
    level_ticks: int
    sweep_ts_s: int
    extreme_ticks: int
    signal_ts_s: int
    entry_ref_ticks: int
    stop_ticks: int
    target_ticks: int
    qty: int
    entry_ts_s: int
    entry_price_ticks: int
    exit_ts_s: int
    exit_price_ticks: int
    exit_reason: str
    risk_ticks: int
    gross_cents: int
    cost_cents: int
    net_cents: int
    mae_ticks: int
    mfe_ticks: int


@dataclass(frozen=True, slots=True)
class RecordTrade:
    """Write one closed trade."""

    trade: Trade


@dataclass(frozen=True, slots=True)
class CorrectTrade:
    """Record that ``qty`` contracts of a trade booked ESTIMATED were entered or left at another price after all.

    Prices are the average of the whole trade's ``leg`` in ticks; ``net_cents`` is what the correction adds to the
    trade. It enters the net of the running day when ``today`` says that the trade was booked on it.
    """

    trade_id: int
    pool_id: str
    leg: Literal["ENTRY", "EXIT"]
    qty: int
    old_ticks: int
    new_ticks: int
    net_cents: int
    today: bool
    ts_ns: int


@dataclass(frozen=True, slots=True)
class RaiseAlarm:
    """Tell the operator; ``code`` is a stable name, ``text`` one clear sentence."""

    code: str
    text: str
    ts_ns: int


Command = (
    PlaceBracket
    | ClosePosition
    | CancelOrders
    | PlaceExits
    | ThrowKillSwitch
    | RecordEvent
    | RecordTrade
    | CorrectTrade
    | RaiseAlarm
)
