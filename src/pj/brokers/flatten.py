"""Ask a webhook broker for flat: ``exit`` and ``cancel`` for each contract, sent again until they are taken.

Both ask for a state, so a second one does no harm (services.md 1.4); a receipt says that the signal came in, never
that the account is flat.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from live.commands import CancelOrders, ClosePosition
from pj.brokers.guarded import GuardedBroker
from pj.brokers.port import Answer, Order, Outcome
from pj.clock import Clock

RESEND_S: Final = (0.3, 0.6, 1.2, 2.5)
REASON: Final = "FLATTEN"
Say = Callable[..., None]


@dataclass(frozen=True, slots=True)
class Asked:
    """Report what became of the asking: contracts that took it, refusals in words, and whether bytes ever left."""

    taken: tuple[str, ...]
    refused: tuple[str, ...]
    unanswered: tuple[str, ...]
    reached: bool


def ask_for_flat(broker: GuardedBroker, contracts: Sequence[str], clock: Clock, timeout_s: float, say: Say) -> Asked:
    """Send ``exit`` then ``cancel`` for each contract until each is taken or refused, at most ``timeout_s`` (real)."""
    deadline = time.monotonic() + timeout_s
    taken, refused, unanswered = [], [], []
    reached = False
    for contract in contracts:
        key, now_ns = f"flatten@{clock.now_ns()}:{contract}", clock.now_ns()
        answers = [
            _until_known(broker, order, clock, deadline, say)
            for order in (
                ClosePosition(f"{key}:EXIT", contract, 0, REASON, now_ns),
                CancelOrders(f"{key}:CANCEL", contract, REASON, now_ns),
            )
        ]
        reached = reached or any(answer.status or answer.sent_mono_ns for answer in answers)
        if all(answer.outcome is Outcome.ACKED for answer in answers):
            taken.append(contract)
        elif any(answer.outcome is Outcome.REFUSED for answer in answers):
            codes = ", ".join(answer.code for answer in answers if answer.outcome is Outcome.REFUSED)
            refused.append(f"{contract} ({codes})")
        else:
            unanswered.append(contract)
    return Asked(tuple(taken), tuple(refused), tuple(unanswered), reached)


def _until_known(broker: GuardedBroker, order: Order, clock: Clock, deadline: float, say: Say) -> Answer:
    """Send ``order`` until the broker has said something definite or the time is over; at least once."""
    action = "exit" if isinstance(order, ClosePosition) else "cancel"
    attempt = 0
    while True:
        attempt += 1
        say("SEND", f"sending {action} of {order.contract} to {broker.name}, attempt {attempt}", key=order.key)
        answer = broker.send(order, clock.now_ns())
        words = f"{broker.name} says {answer.outcome.value} {answer.code}".strip()
        say("ANSWER", f"{action} of {order.contract}: {words}", key=order.key, status=answer.status)
        wait_s = RESEND_S[min(attempt, len(RESEND_S)) - 1]
        if answer.outcome in {Outcome.ACKED, Outcome.REFUSED} or time.monotonic() + wait_s >= deadline:
            return answer
        time.sleep(wait_s)
