"""Say in words what a journal line tells of an order and of the account."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from live.market import Instrument
from pj.channels.journal import JournalLine
from pj.verbs.explain.words import CANCELS, price, side_words

Data = Mapping[str, Any]
OUTCOMES: Final = {
    "ACKED": "the other side took it",
    "REFUSED": "the other side refused it",
    "UNKNOWN": "nobody can say whether it was taken",
    "RETRY_SAFE": "it surely did not arrive and may be sent again",
}


def order_text(line: JournalLine, instrument: Instrument) -> str:
    """Return one sentence for a line, empty for one that tells a trader nothing (our own bookkeeping)."""
    if line.type in _TOLD:
        return _TOLD[line.type](line.data, instrument)
    return f"{line.type}: {line.data.get('text') or line.data.get('reason') or ''}".rstrip(": ")


def _intent(data: Data, instrument: Instrument) -> str:
    order = data["order"]
    if order == "ENTRY":
        what = f"{side_words(data['side'])} {data['qty']} {data['contract']}"
        exits = f"stop {price(data['stop'], instrument)}, target {price(data['target'], instrument)}"
        return f"decided, and on disk before anything was sent: {what}, {exits}; key {data['key']}"
    if order == "EXITS":
        return (
            f"decided: protect {data['qty']} {data['contract']} with stop {price(data['stop'], instrument)}"
            f" and target {price(data['target'], instrument)}"
        )
    asked = {"EXIT": "close the position", "CANCEL": "cancel our orders"}.get(order, order)
    return f"decided: {asked} ({data.get('reason', '')})"


def _sent(data: Data, _instrument: Instrument) -> str:
    took = f" {data['edge_to_order_ms']:.0f} ms after the bar's edge" if "edge_to_order_ms" in data else ""
    status = f", HTTP {data['status']}" if data.get("status") else ""
    code = f" ({data['code']})" if data.get("code") else ""
    if not data.get("left", True):
        return f"not sent{code}: nothing left this machine"
    outcome = OUTCOMES.get(data["outcome"], data["outcome"])
    return f"sent{took}, attempt {data['attempt']}{status}: {outcome}{code}"


def _acked(data: Data, _instrument: Instrument) -> str:
    return f"accepted; its name there is {data['broker_id'] or 'not told'}"


def _refused(data: Data, _instrument: Instrument) -> str:
    return f"refused for good: {data['code']}"


def _unknown(data: Data, _instrument: Instrument) -> str:
    return f"UNKNOWN: {data['why']}; it is never sent again"


def _execution(data: Data, instrument: Instrument) -> str:
    word = "bought" if data["side"] > 0 else "sold"
    whose = "" if data.get("order_ref") else " (under no reference of ours)"
    return f"filled: {word} {data['qty']} at {price(data['price'], instrument)}{whose}"


def _position(data: Data, _instrument: Instrument) -> str:
    return f"the account holds {data['qty']:+d}" if data["qty"] else "the account is flat"


def _orders(data: Data, _instrument: Instrument) -> str:
    return f"{len(data['orders'])} working orders at the broker"


def _truth(data: Data, _instrument: Instrument) -> str:
    return "the source of positions is back" if data["connected"] else "the source of positions was lost"


def _alarm(data: Data, _instrument: Instrument) -> str:
    return f"ALARM {data['code']}: {data['text']}"


def _kill(data: Data, _instrument: Instrument) -> str:
    return f"kill switch {'thrown' if data['on'] else 'released'}: {data['reason']}"


def _thrown(data: Data, _instrument: Instrument) -> str:
    return f"the engine threw the kill switch: {data['reason']}"


def _cancel(data: Data, _instrument: Instrument) -> str:
    return f"the entry was given up ({data['reason']}): {CANCELS.get(data['reason'], 'it left no position')}"


def _lock(data: Data, _instrument: Instrument) -> str:
    return f"the day was locked: {data['reason']}"


def _trade(data: Data, _instrument: Instrument) -> str:
    return f"closed as trade {data['trade_id']} of {data['trade_date']}"


def _corrected(data: Data, _instrument: Instrument) -> str:
    where = "it counts in the day's net" if data["counts"] else "its day is over, no day's net changes"
    leg, what = ("entry", "were entered") if "new_entry" in data else ("exit", "left")
    return (
        f"trade {data['trade_id']} corrected: {data['qty']} {what} at another price than estimated, average {leg}"
        f" {data[f'new_{leg}']} instead of {data[f'old_{leg}']}, net {data['net_usd']} USD more; {where}"
    )


def _noted(data: Data, _instrument: Instrument) -> str:
    return f"{data['code']}: {data['text']}"


_TOLD: Final[dict[str, Callable[[Data, Instrument], str]]] = {
    "INTENT": _intent,
    "SENT": _sent,
    "ACKED": _acked,
    "REFUSED": _refused,
    "UNKNOWN": _unknown,
    "EXECUTION": _execution,
    "POSITION": _position,
    "ORDERS": _orders,
    "TRUTH": _truth,
    "ALARM": _alarm,
    "KILL": _kill,
    "THROWN": _thrown,
    "ENTRY_CANCEL": _cancel,
    "LOCK": _lock,
    "TRADE": _trade,
    "TRADE_CORRECTED": _corrected,
    "NOTED": _noted,
}
