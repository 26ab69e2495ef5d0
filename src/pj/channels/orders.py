"""Carry orders from the engine to the bridge: ``orders.jsonl`` of the day, one JSON object per line (docs/adr/0008).

The engine alone writes it, and a row counts as handed over when it is on the disk itself. A row names who asked (epoch
and instance of the engine's fence), so that the bridge obeys only the engine of the moment. Prices are whole ticks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Final, assert_never

from live.commands import CancelOrders, ClosePosition, PlaceBracket, PlaceExits
from pj.channels.jsonl import sealed, unsealed

ORDERS_FILE: Final = "orders.jsonl"
REREAD: Final = "REREAD"
"""The status of an ORDERS_END row that ends a complete re-read: executions, orders and positions were all asked for."""


class Asked(StrEnum):
    """Name what a row asks for: a bracket, flat by actual position, no orders of ours, exactly these exits."""

    ENTRY = "ENTRY"
    EXIT = "EXIT"
    CANCEL = "CANCEL"
    EXITS = "EXITS"


class Answered(StrEnum):
    """Name the bridge's answers: the gateway took it, it was refused for good, nobody can say."""

    TAKEN = "TAKEN"
    REFUSED = "REFUSED"
    UNKNOWN = "UNKNOWN"


class BadOrderRow(ValueError):
    """Report a line of orders.jsonl that is no order."""


@dataclass(frozen=True, slots=True)
class OrderRow:
    """Hold one row; ``side`` +1 long, -1 short (0 where none is meant), ``stop`` and ``target`` in ticks, 0 = none.

    ``ts_ns`` is run time at the handing over; ``signal_ts_ns`` is 0 but for an entry.
    """

    seq: int
    ts_ns: int
    epoch: int
    instance: str
    key: str
    order: Asked
    contract: str
    side: int = 0
    qty: int = 0
    stop: int = 0
    target: int = 0
    reason: str = ""
    signal_ts_ns: int = 0

    def line(self) -> bytes:
        """Return the row as one line with its newline."""
        return sealed(asdict(self))


def order_row(
    order: PlaceBracket | ClosePosition | CancelOrders | PlaceExits, seq: int, ts_ns: int, epoch: int, instance: str
) -> OrderRow:
    """Return the row that asks for ``order``."""
    head = (seq, ts_ns, epoch, instance, order.key)
    match order:
        case PlaceBracket():
            return OrderRow(
                *head,
                Asked.ENTRY,
                order.contract,
                order.side,
                order.qty,
                order.stop_ticks,
                order.target_ticks,
                signal_ts_ns=order.signal_ts_ns,
            )
        case ClosePosition():
            return OrderRow(*head, Asked.EXIT, order.contract, qty=order.qty, reason=order.reason)
        case CancelOrders():
            return OrderRow(*head, Asked.CANCEL, order.contract, reason=order.reason)
        case PlaceExits():
            return OrderRow(
                *head, Asked.EXITS, order.contract, order.side, order.qty, order.stop_ticks, order.target_ticks
            )
        case _:
            assert_never(order)


def read_order_row(line: bytes) -> OrderRow:
    """Return the row of one line; raise BadOrderRow for anything but a whole row that makes sense."""
    try:
        found = unsealed(line)
        row = OrderRow(**{**found, "order": Asked(found["order"])})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadOrderRow(f"{line[:120]!r} is no order row: {error}") from error
    numbers = (row.seq, row.ts_ns, row.epoch, row.side, row.qty, row.stop, row.target, row.signal_ts_ns)
    texts = (row.instance, row.key, row.contract, row.reason)
    if any(type(number) is not int for number in numbers) or any(type(text) is not str for text in texts):
        raise BadOrderRow(f"{line[:120]!r} has a cell of the wrong kind")
    needs_side = row.order in {Asked.ENTRY, Asked.EXITS}
    if not row.key or not row.contract or row.qty < 0 or (needs_side and row.side not in (1, -1)):
        raise BadOrderRow(f"{line[:120]!r} lacks its key, contract, side or quantity")
    return row


class OrderRows:
    """Parse whole lines for a follower; a line that is no order goes to ``on_bad`` and is passed over."""

    def __init__(self, on_bad: Callable[[str], None]) -> None:
        self._on_bad = on_bad

    def feed(self, lines: bytes) -> list[OrderRow]:
        """Return the rows of ``lines`` in order."""
        rows = []
        for line in lines.splitlines():
            try:
                rows.append(read_order_row(line))
            except BadOrderRow as error:
                self._on_bad(str(error))
        return rows
