"""Translate between the core's values and journal lines: one place says what a line's data holds.

Outputs are rows the core made (decisions, trades); a replay makes them again and compares. Inputs
are events from outside (answers, fills, positions, switches); a replay feeds them back. Every
line carries ``after_bar``: how many bars of the day's bars.csv the core had taken before it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from live.commands import (
    CancelOrders,
    ClosePosition,
    CorrectTrade,
    PlaceBracket,
    PlaceExits,
    RaiseAlarm,
    RecordEvent,
    RecordTrade,
    ThrowKillSwitch,
)
from live.events import (
    ClockPassed,
    EntriesJudged,
    Event,
    ExecutionReported,
    KillSwitched,
    Leg,
    Mode,
    ModeChanged,
    OrderAcked,
    OrderRefused,
    OrdersReported,
    OrderUnknown,
    PositionReported,
    PriceMarked,
    TruthChanged,
    WorkingOrder,
)
from live.market import Instrument
from live.reconciliation import NOTED
from live.records import EVENT_COLUMNS, TRADE_COLUMNS, event_row, trade_row, usd_text

CORE_TYPES: Final = frozenset({"DEFINED", "SWEPT", "RECLAIMED", "SIGNAL", "REJECT", "DEAD", "ENTRY_CANCEL", "LOCK"})
OUTPUT_TYPES: Final = CORE_TYPES | {"TRADE", "TRADE_CORRECTED"}
DURABLE_TYPES: Final = frozenset({"TRADE", "LOCK", "KILL", "THROWN"})
CORRECTION_COLUMNS: Final = (
    "trade_id", "pool_id", "qty", "old_entry", "new_entry", "old_exit", "new_exit", "net_usd", "counts",
)  # fmt: skip
INPUTS: Final[dict[str, tuple[Any, tuple[tuple[str, str], ...]]]] = {
    "MODE": (ModeChanged, (("mode", "mode"),)),
    "JUDGED": (EntriesJudged, (("reason", "reason"),)),
    "KILL": (KillSwitched, (("on", "on"), ("reason", "reason"))),
    "ACKED": (OrderAcked, (("key", "key"), ("broker_id", "broker_id"), ("ts_ns", "at_ns"))),
    "REFUSED": (OrderRefused, (("key", "key"), ("code", "code"), ("ts_ns", "at_ns"))),
    "UNKNOWN": (OrderUnknown, (("key", "key"), ("why", "why"), ("ts_ns", "at_ns"))),
    "EXECUTION": (
        ExecutionReported,
        (
            ("exec_id", "exec_id"),
            ("side", "side"),
            ("qty", "qty"),
            ("price_ticks", "price"),
            ("order_ref", "order_ref"),
            ("contract", "contract"),
            ("ts_ns", "at_ns"),
        ),
    ),
    "POSITION": (PositionReported, (("qty", "qty"), ("ts_ns", "at_ns"), ("contract", "contract"))),
    "ORDERS": (OrdersReported, (("orders", "orders"), ("ts_ns", "at_ns"), ("reread", "reread"))),
    "TRUTH": (TruthChanged, (("connected", "connected"), ("ts_ns", "at_ns"))),
    "MARK": (PriceMarked, (("price_ticks", "price"), ("ts_ns", "at_ns"))),
    "CLOCK": (ClockPassed, (("now_ns", "at_ns"),)),
}
"""Line type -> event class, and (attribute, name in data) of each field."""
YOUNGER: Final[dict[str, Any]] = {"contract": "", "reread": False}
"""Names that journals of an older release lack, with what they meant then."""
ORDER_FIELDS: Final = ("key", "leg", "side", "qty", "price_ticks", "order_id")
TOLD_TYPES: Final = frozenset({"ALARM", "NOTED", "THROWN"})
"""Output lines that tell what was said or done at the time; a replay neither compares nor repeats them."""
Row = tuple[str, dict[str, Any]]
Order = PlaceBracket | ClosePosition | CancelOrders | PlaceExits
Record = RecordEvent | RecordTrade | CorrectTrade | RaiseAlarm | ThrowKillSwitch


def output_row(command: Record, instrument: Instrument, mode: Mode) -> Row:
    """Return type and data of the line that records ``command``."""
    match command:
        case RecordEvent():
            data: dict[str, Any] = {name: _number(text) for name, text in event_row(command).items()}
            if command.event in {"SIGNAL", "REJECT"}:
                data["gates"] = [[name, passed] for name, passed in command.gates]
                data["figures"] = dict(command.figures)
            return command.event, data | {"mode": mode.value}
        case RecordTrade():
            return "TRADE", {**trade_row(command.trade, instrument), "mode": mode.value}
        case CorrectTrade():
            points, leg = instrument.to_points, command.leg.lower()
            return "TRADE_CORRECTED", {
                "trade_id": command.trade_id,
                "pool_id": command.pool_id,
                "qty": command.qty,
                f"old_{leg}": points(command.old_ticks),
                f"new_{leg}": points(command.new_ticks),
                "net_usd": usd_text(command.net_cents),
                "counts": command.today,
                "at_ns": command.ts_ns,
                "mode": mode.value,
            }
        case RaiseAlarm():
            kind = "NOTED" if command.code in NOTED else "ALARM"
            return kind, {"code": command.code, "text": command.text, "at_ns": command.ts_ns}
        case ThrowKillSwitch():
            return "THROWN", {"reason": command.reason, "at_ns": command.ts_ns}


def same_output(kind: str, data: Mapping[str, Any], line_kind: str, line_data: Mapping[str, Any]) -> bool:
    """Return whether a row made again equals the journal's, in the columns that decide."""
    columns = {"TRADE": TRADE_COLUMNS, "TRADE_CORRECTED": CORRECTION_COLUMNS}.get(kind, EVENT_COLUMNS)
    return kind == line_kind and all(data.get(name) == line_data.get(name) for name in columns)


def intent_data(order: Order) -> dict[str, Any]:
    """Return the data of INTENT: everything that will be sent, and the idempotency key."""
    match order:
        case PlaceBracket():
            return {
                "key": order.key,
                "order": "ENTRY",
                "contract": order.contract,
                "side": order.side,
                "qty": order.qty,
                "entry_ref": order.entry_ref_ticks,
                "stop": order.stop_ticks,
                "target": order.target_ticks,
                "signal_ts_ns": order.signal_ts_ns,
                "pool": order.pool_id,
            }
        case ClosePosition():
            base = {"key": order.key, "order": "EXIT", "contract": order.contract}
            return base | {"qty": order.qty, "reason": order.reason}
        case CancelOrders():
            base = {"key": order.key, "order": "CANCEL", "contract": order.contract}
            return base | {"reason": order.reason, "entries_only": order.entries_only}
        case PlaceExits():
            return {
                "key": order.key,
                "order": "EXITS",
                "contract": order.contract,
                "side": order.side,
                "qty": order.qty,
                "stop": order.stop_ticks,
                "target": order.target_ticks,
            }


def input_row(event: Event) -> Row:
    """Return type and data of the line that records an input; raise TypeError for a bar, which bars.csv records."""
    for kind, (cls, names) in INPUTS.items():
        if type(event) is cls:
            return kind, {name: _plain(getattr(event, attribute)) for attribute, name in names}
    raise TypeError(f"{type(event).__name__} has no journal line: bars stand in bars.csv")


def input_event(kind: str, data: Mapping[str, Any]) -> Event | None:
    """Return the input that a line recorded, None for a line that is none; raise KeyError for a malformed one."""
    if kind not in INPUTS:
        return None
    cls, names = INPUTS[kind]
    values = {attribute: YOUNGER[name] if name in YOUNGER and name not in data else data[name]
              for attribute, name in names}  # fmt: skip
    if cls is ModeChanged:
        values["mode"] = Mode(values["mode"])
    if cls is OrdersReported:
        values["orders"] = tuple(WorkingOrder(row[0], Leg(row[1]), *row[2:]) for row in values["orders"])
    event: Event = cls(**values)
    return event


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [[getattr(order, name) for name in ORDER_FIELDS] for order in value]
    return value.value if isinstance(value, Mode) else value


def _number(text: str) -> int | str:
    """Return a whole number as JSON number, everything else (pool ids, reasons, empty) as text."""
    return int(text) if text.lstrip("-").isdecimal() else text
