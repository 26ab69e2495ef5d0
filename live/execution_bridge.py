"""Name orders and follow their life, whatever the broker: idempotency keys and the order's state machine.

An order begins as INTENT: decided, journaled, not yet sent. The route takes it (ACKED), refuses it (REFUSED) or
nobody can say (UNKNOWN). Fills may overtake every answer: an acknowledgement that comes after the fill, a fill of
an order that was thought refused or lost. Whatever happened at the broker is a fact, so the table takes such fills
everywhere; what the table lacks raises and changes nothing. An UNKNOWN order is never sent again (pj1 S8). CANCELLED
ends an order, or what is left of it (PART_CANCELLED: some of it was filled and no more is expected); a fill that was on
its way comes all the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from live.commands import PlaceBracket
from live.market import NS_PER_S
from live.risk_guard import Approved


class OrderState(StrEnum):
    """Name the states of an entry order."""

    INTENT = "INTENT"
    SENT = "SENT"
    ACKED = "ACKED"
    UNKNOWN = "UNKNOWN"
    PART_FILLED = "PART_FILLED"
    FILLED = "FILLED"
    REFUSED = "REFUSED"
    LOST = "LOST"
    CANCELLED = "CANCELLED"
    PART_CANCELLED = "PART_CANCELLED"


class OrderEvent(StrEnum):
    """Name what can happen to an entry order."""

    SENT = "SENT"
    ACKED = "ACKED"
    REFUSED = "REFUSED"
    DOUBTED = "DOUBTED"
    PART_FILLED = "PART_FILLED"
    FILLED = "FILLED"
    LOST = "LOST"
    CANCELLED = "CANCELLED"


class IllegalOrderEvent(RuntimeError):
    """Report an event that is impossible in the order's state; nothing was changed."""


_S, _E = OrderState, OrderEvent
TABLE: Final[dict[tuple[OrderState, OrderEvent], OrderState]] = {
    (_S.INTENT, _E.SENT): _S.SENT,
    (_S.INTENT, _E.ACKED): _S.ACKED,
    (_S.INTENT, _E.REFUSED): _S.REFUSED,
    (_S.INTENT, _E.DOUBTED): _S.UNKNOWN,
    (_S.INTENT, _E.PART_FILLED): _S.PART_FILLED,
    (_S.INTENT, _E.FILLED): _S.FILLED,
    (_S.INTENT, _E.LOST): _S.LOST,
    (_S.SENT, _E.ACKED): _S.ACKED,
    (_S.SENT, _E.REFUSED): _S.REFUSED,
    (_S.SENT, _E.DOUBTED): _S.UNKNOWN,
    (_S.SENT, _E.PART_FILLED): _S.PART_FILLED,
    (_S.SENT, _E.FILLED): _S.FILLED,
    (_S.SENT, _E.LOST): _S.LOST,
    (_S.ACKED, _E.ACKED): _S.ACKED,
    (_S.ACKED, _E.REFUSED): _S.REFUSED,
    (_S.ACKED, _E.DOUBTED): _S.ACKED,
    (_S.ACKED, _E.PART_FILLED): _S.PART_FILLED,
    (_S.ACKED, _E.FILLED): _S.FILLED,
    (_S.ACKED, _E.LOST): _S.LOST,
    (_S.UNKNOWN, _E.DOUBTED): _S.UNKNOWN,
    (_S.UNKNOWN, _E.ACKED): _S.ACKED,
    (_S.UNKNOWN, _E.REFUSED): _S.REFUSED,
    (_S.UNKNOWN, _E.PART_FILLED): _S.PART_FILLED,
    (_S.UNKNOWN, _E.FILLED): _S.FILLED,
    (_S.UNKNOWN, _E.LOST): _S.LOST,
    (_S.PART_FILLED, _E.ACKED): _S.PART_FILLED,
    (_S.PART_FILLED, _E.DOUBTED): _S.PART_FILLED,
    (_S.PART_FILLED, _E.REFUSED): _S.PART_CANCELLED,
    (_S.PART_FILLED, _E.CANCELLED): _S.PART_CANCELLED,
    (_S.PART_FILLED, _E.PART_FILLED): _S.PART_FILLED,
    (_S.PART_FILLED, _E.FILLED): _S.FILLED,
    (_S.FILLED, _E.ACKED): _S.FILLED,
    (_S.FILLED, _E.DOUBTED): _S.FILLED,
    (_S.FILLED, _E.REFUSED): _S.FILLED,
    (_S.FILLED, _E.PART_FILLED): _S.FILLED,
    (_S.FILLED, _E.FILLED): _S.FILLED,
    (_S.REFUSED, _E.ACKED): _S.REFUSED,
    (_S.REFUSED, _E.DOUBTED): _S.REFUSED,
    (_S.REFUSED, _E.REFUSED): _S.REFUSED,
    (_S.REFUSED, _E.PART_FILLED): _S.PART_FILLED,
    (_S.REFUSED, _E.FILLED): _S.FILLED,
    (_S.LOST, _E.ACKED): _S.LOST,
    (_S.LOST, _E.DOUBTED): _S.LOST,
    (_S.LOST, _E.REFUSED): _S.LOST,
    (_S.LOST, _E.PART_FILLED): _S.PART_FILLED,
    (_S.LOST, _E.FILLED): _S.FILLED,
    (_S.INTENT, _E.CANCELLED): _S.CANCELLED,
    (_S.SENT, _E.CANCELLED): _S.CANCELLED,
    (_S.ACKED, _E.CANCELLED): _S.CANCELLED,
    (_S.UNKNOWN, _E.CANCELLED): _S.CANCELLED,
    (_S.FILLED, _E.CANCELLED): _S.FILLED,
    (_S.REFUSED, _E.CANCELLED): _S.REFUSED,
    (_S.LOST, _E.CANCELLED): _S.CANCELLED,
    (_S.CANCELLED, _E.ACKED): _S.CANCELLED,
    (_S.CANCELLED, _E.DOUBTED): _S.CANCELLED,
    (_S.CANCELLED, _E.REFUSED): _S.CANCELLED,
    (_S.CANCELLED, _E.CANCELLED): _S.CANCELLED,
    (_S.CANCELLED, _E.PART_FILLED): _S.PART_CANCELLED,
    (_S.CANCELLED, _E.FILLED): _S.FILLED,
    (_S.PART_CANCELLED, _E.ACKED): _S.PART_CANCELLED,
    (_S.PART_CANCELLED, _E.DOUBTED): _S.PART_CANCELLED,
    (_S.PART_CANCELLED, _E.REFUSED): _S.PART_CANCELLED,
    (_S.PART_CANCELLED, _E.CANCELLED): _S.PART_CANCELLED,
    (_S.PART_CANCELLED, _E.PART_FILLED): _S.PART_CANCELLED,
    (_S.PART_CANCELLED, _E.FILLED): _S.FILLED,
}
CANCELLED_CODE: Final = "CANCELLED"
"""The code of an OrderRefused that reports a cancel at the broker of an order it had taken."""


def next_state(state: OrderState, event: OrderEvent) -> OrderState:
    """Return the state after ``event``; raise IllegalOrderEvent for a pair the table lacks."""
    after = TABLE.get((state, event))
    if after is None:
        raise IllegalOrderEvent(f"an order in state {state} cannot take {event}")
    return after


def order_key(pool_id: str, signal_ns: int, leg: str) -> str:
    """Return the idempotency key of one leg: pool id, signal time, leg (pj1 S8)."""
    return f"{pool_id}@{signal_ns // NS_PER_S}:{leg}"


ORDER_REF_LENGTH: Final = 40
LEG_NAMES: Final = frozenset({"ENTRY", "EXIT", "EXITS", "CANCEL"})
_SHORT: Final = "~"
_DIGITS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"


def order_ref(key: str) -> str:
    """Return the name of ``key`` at a broker that allows 40 characters; ``key_of_ref`` undoes it.

    A longer key (equal highs and lows name two pivots) has its whole numbers in base 36 behind a mark no key has, so
    that two keys never share a name. Raises ValueError when even that is too long.
    """
    if len(key) <= ORDER_REF_LENGTH and not key.startswith(_SHORT):
        return key
    stem, _, leg = key.rpartition(":")
    ref = _SHORT + ":".join("@".join(map(_shortened, part.split("@"))) for part in stem.split(":")) + ":" + leg
    if len(ref) > ORDER_REF_LENGTH or key_of_ref(ref) != key:
        raise ValueError(f"order key {key!r} has no name of {ORDER_REF_LENGTH} characters; give it a shorter leg")
    return ref


def key_of_ref(ref: str) -> str:
    """Return the key that ``order_ref`` named ``ref``; any other text comes back as it is."""
    if not ref.startswith(_SHORT):
        return ref
    stem, _, leg = ref.removeprefix(_SHORT).rpartition(":")
    return ":".join("@".join(map(_lengthened, part.split("@"))) for part in stem.split(":")) + ":" + leg


def is_key(ref: str) -> bool:
    """Tell whether ``ref`` (as ``key_of_ref`` returns it) has the form of one of our idempotency keys."""
    stem, colon, leg = ref.rpartition(":")
    return bool(colon) and "@" in stem and leg.rstrip("0123456789") in LEG_NAMES


def _shortened(word: str) -> str:
    """Return a whole number in base 36, anything else (the kind, which has capitals) as it is."""
    if not word.isdecimal() or (word != "0" and word[0] == "0"):
        return word
    number, digits = int(word), ""
    while number:
        number, rest = divmod(number, 36)
        digits = _DIGITS[rest] + digits
    return digits or "0"


def _lengthened(word: str) -> str:
    return str(int(word, 36)) if word and all(one in _DIGITS for one in word) else word


@dataclass(frozen=True, slots=True)
class Intent:
    """Carry one entry order to be; it can only be made of an Approved verdict."""

    key: str
    approved: Approved

    @classmethod
    def of(cls, approved: Approved) -> Intent:
        """Return the intent of an approved signal."""
        return cls(order_key(approved.signal.pool_id, approved.signal.signal_ns, "ENTRY"), approved)

    def command(self) -> PlaceBracket:
        """Return the bracket to send: market entry, stop and target as fixed at signal time."""
        signal = self.approved.signal
        return PlaceBracket(
            key=self.key,
            contract=signal.contract,
            side=signal.side,
            qty=self.approved.qty,
            entry_ref_ticks=signal.entry_ref,
            stop_ticks=signal.stop,
            target_ticks=signal.target,
            signal_ts_ns=signal.signal_ns,
            pool_id=signal.pool_id,
        )
