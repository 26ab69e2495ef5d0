"""Read account messages from their wire fields: orders, executions, positions, commissions, values.

The libraries lose fills in ways a trading daemon cannot accept (no tz database: the execution is
only logged; unknown order: no event; error 10349: a live order is called cancelled; tws.md
section 1). The wire fields are stable from server version 157 to 178, so we read them ourselves.
Numbers stay text where they only travel to a file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

DONE_STATES: Final = frozenset({"Filled", "Cancelled", "ApiCancelled", "Inactive"})
_UNSET: Final = frozenset(
    {"", "2147483647", "9223372036854775807", "1.7976931348623157E308", "1.7976931348623157e+308"}
)


class MalformedMessage(ValueError):
    """Report an account message whose fields do not fit its kind."""


@dataclass(frozen=True, slots=True)
class PositionSeen:
    """Report the signed position of one contract in one account."""

    account: str
    con_id: int
    contract: str
    qty: int
    avg_cost: str


@dataclass(frozen=True, slots=True)
class OrderStatusSeen:
    """Report an order's state; ``order_id`` counts within ``client_id``, ``perm_id`` within the account."""

    order_id: int
    client_id: int
    perm_id: int
    status: str
    filled: str
    remaining: str
    avg_price: str


@dataclass(frozen=True, slots=True)
class OpenOrderSeen:
    """Report what an order is; ``side`` +1 buy, -1 sell; prices in points, empty when not applicable."""

    order_id: int
    client_id: int
    perm_id: int
    contract: str
    side: int
    qty: str
    order_type: str
    limit_price: str
    stop_price: str
    order_ref: str
    account: str


@dataclass(frozen=True, slots=True)
class ExecutionSeen:
    """Report one fill; ``exec_id`` is unique for ever, ``at`` is the gateway's own time text."""

    req_id: int
    exec_id: str
    order_id: int
    client_id: int
    perm_id: int
    account: str
    con_id: int
    contract: str
    side: int
    qty: str
    price: str
    cum_qty: str
    avg_price: str
    order_ref: str
    at: str


@dataclass(frozen=True, slots=True)
class CommissionSeen:
    """Report what one fill cost."""

    exec_id: str
    commission: str
    currency: str


def _number(text: str) -> str:
    return "" if text in _UNSET else text


def _int(text: str) -> int:
    return 0 if text in _UNSET else int(float(text))


def _whole(text: str) -> int:
    value = float(text)
    if value != int(value):
        raise MalformedMessage(f"{text} is no whole number of contracts")
    return int(value)


def read_position(fields: list[str]) -> PositionSeen:
    """Read message 61; raises MalformedMessage."""
    try:
        return PositionSeen(
            account=fields[2], con_id=_int(fields[3]), contract=fields[12], qty=_whole(fields[14]), avg_cost=fields[15]
        )
    except (IndexError, ValueError) as error:
        raise MalformedMessage(f"position message {'|'.join(fields)} cannot be read: {error}") from error


def read_order_status(fields: list[str]) -> OrderStatusSeen:
    """Read message 3; raises MalformedMessage."""
    try:
        return OrderStatusSeen(
            order_id=_int(fields[1]),
            status=fields[2],
            filled=_number(fields[3]),
            remaining=_number(fields[4]),
            avg_price=_number(fields[5]),
            perm_id=_int(fields[6]),
            client_id=_int(fields[9]),
        )
    except (IndexError, ValueError) as error:
        raise MalformedMessage(f"order status message {'|'.join(fields)} cannot be read: {error}") from error


def read_open_order(fields: list[str]) -> OpenOrderSeen:
    """Read the head of message 5; raises MalformedMessage."""
    try:
        return OpenOrderSeen(
            order_id=_int(fields[1]),
            contract=fields[11],
            side=_side(fields[13]),
            qty=_number(fields[14]),
            order_type=fields[15],
            limit_price=_number(fields[16]),
            stop_price=_number(fields[17]),
            account=fields[20],
            order_ref=fields[23],
            client_id=_int(fields[24]),
            perm_id=_int(fields[25]),
        )
    except (IndexError, ValueError) as error:
        raise MalformedMessage(f"open order message {'|'.join(fields[:30])} cannot be read: {error}") from error


def read_execution(fields: list[str]) -> ExecutionSeen:
    """Read message 11; raises MalformedMessage."""
    try:
        return ExecutionSeen(
            req_id=_int(fields[1]),
            order_id=_int(fields[2]),
            con_id=_int(fields[3]),
            contract=fields[12],
            exec_id=fields[14],
            at=fields[15],
            account=fields[16],
            side=_side(fields[18]),
            qty=_number(fields[19]),
            price=_number(fields[20]),
            perm_id=_int(fields[21]),
            client_id=_int(fields[22]),
            cum_qty=_number(fields[24]),
            avg_price=_number(fields[25]),
            order_ref=fields[26],
        )
    except (IndexError, ValueError) as error:
        raise MalformedMessage(f"execution message {'|'.join(fields)} cannot be read: {error}") from error


def read_commission(fields: list[str]) -> CommissionSeen:
    """Read message 59; raises MalformedMessage."""
    try:
        return CommissionSeen(exec_id=fields[2], commission=_number(fields[3]), currency=fields[4])
    except IndexError as error:
        raise MalformedMessage(f"commission message {'|'.join(fields)} is too short") from error


def _side(text: str) -> int:
    if text in {"BUY", "BOT"}:
        return 1
    if text in {"SELL", "SLD", "SSHORT"}:
        return -1
    raise MalformedMessage(f"side {text!r} is neither buy nor sell")
