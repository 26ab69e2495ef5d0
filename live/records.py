"""Write trades and events as the exact text of trades.csv and events.csv (pj1 S13).

Pure formatting: the backtester, the journal and the run folder all take their rows from here, so they
cannot differ by a digit.
"""

from __future__ import annotations

from datetime import date
from fractions import Fraction
from typing import Final

from live.commands import RecordEvent, Trade
from live.market import Instrument
from live.risk_guard import Approved, Refused
from live.trading_day import iso_utc

TRADE_COLUMNS: Final = (
    "trade_id",
    "trade_date",
    "pool_id",
    "kind",
    "side",
    "level",
    "sweep_ts",
    "extreme",
    "signal_ts",
    "entry_ref",
    "stop",
    "target",
    "qty",
    "entry_ts",
    "entry_price",
    "exit_ts",
    "exit_price",
    "exit_reason",
    "risk_ticks",
    "gross_usd",
    "cost_usd",
    "net_usd",
    "r",
    "mae_ticks",
    "mfe_ticks",
)
EVENT_COLUMNS: Final = (
    "ts",
    "event",
    "pool",
    "level",
    "extreme",
    "entry",
    "stop",
    "target",
    "qty",
    "reason",
    "trade",
)
_R_PLACES: Final = 4


def usd_text(cents: int) -> str:
    """Return integer cents as dollars with two decimals (``-12.34``)."""
    sign = "-" if cents < 0 else ""
    return f"{sign}{abs(cents) // 100}.{abs(cents) % 100:02d}"


def r_text(net_cents: int, risk_cents: int) -> str:
    """Return net / risk with four decimals, rounded half to even from the exact quotient (pj1 S13)."""
    scaled = round(Fraction(net_cents * 10**_R_PLACES, risk_cents))
    sign = "-" if scaled < 0 else ""
    whole, part = divmod(abs(scaled), 10**_R_PLACES)
    return f"{sign}{whole}.{part:0{_R_PLACES}d}"


def trade_row(trade: Trade, instrument: Instrument) -> dict[str, str]:
    """Return one row of trades.csv; ``instrument.tick_cents`` must be the tick value the trade was booked with."""
    points = instrument.to_points
    return {
        "trade_id": str(trade.trade_id),
        "trade_date": date.fromordinal(trade.trade_date_ordinal).isoformat(),
        "pool_id": trade.pool_id,
        "kind": trade.kind,
        "side": "LONG" if trade.side > 0 else "SHORT",
        "level": points(trade.level_ticks),
        "sweep_ts": iso_utc(trade.sweep_ts_s),
        "extreme": points(trade.extreme_ticks),
        "signal_ts": iso_utc(trade.signal_ts_s),
        "entry_ref": points(trade.entry_ref_ticks),
        "stop": points(trade.stop_ticks),
        "target": points(trade.target_ticks),
        "qty": str(trade.qty),
        "entry_ts": iso_utc(trade.entry_ts_s),
        "entry_price": points(trade.entry_price_ticks),
        "exit_ts": iso_utc(trade.exit_ts_s),
        "exit_price": points(trade.exit_price_ticks),
        "exit_reason": trade.exit_reason,
        "risk_ticks": str(trade.risk_ticks),
        "gross_usd": usd_text(trade.gross_cents),
        "cost_usd": usd_text(trade.cost_cents),
        "net_usd": usd_text(trade.net_cents),
        "r": r_text(trade.net_cents, trade.risk_ticks * instrument.tick_cents * trade.qty),
        "mae_ticks": str(trade.mae_ticks),
        "mfe_ticks": str(trade.mfe_ticks),
    }


def event_row(event: RecordEvent) -> dict[str, str]:
    """Return one row of events.csv: integers as they are, what does not apply empty."""
    return {
        "ts": str(event.ts_s),
        "event": event.event,
        "pool": event.pool,
        "level": _optional(event.level),
        "extreme": _optional(event.extreme),
        "entry": _optional(event.entry),
        "stop": _optional(event.stop),
        "target": _optional(event.target),
        "qty": _optional(event.qty),
        "reason": event.reason,
        "trade": event.trade,
    }


def _optional(number: int | None) -> str:
    return "" if number is None else str(number)


def reject_event(verdict: Refused, stamp_s: int) -> RecordEvent:
    """Return the REJECT row of a refused signal, with every gate's answer."""
    signal = verdict.signal
    return RecordEvent(
        stamp_s,
        "REJECT",
        signal.pool_id,
        signal.level,
        signal.own_extreme,
        reason=verdict.reason,
        gates=verdict.gates,
        figures=verdict.figures,
    )


def signal_event(verdict: Approved, stamp_s: int) -> RecordEvent:
    """Return the SIGNAL row of an approved signal, with every gate's answer."""
    signal = verdict.signal
    return RecordEvent(
        stamp_s,
        "SIGNAL",
        signal.pool_id,
        signal.level,
        signal.own_extreme,
        entry=signal.entry_ref,
        stop=signal.stop,
        target=signal.target,
        qty=verdict.qty,
        gates=verdict.gates,
        figures=verdict.figures,
    )
