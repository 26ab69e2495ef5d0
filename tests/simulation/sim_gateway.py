"""Be the gateway as the bridge's order desk meets it: ids, brackets, cancels, complete lists, and its lies.

Stands for ``pj.ibkr.ordering_client.OrderingClient``; everything that decides what to send and what to believe is the
product's OrderDesk. Notices of error 10349 come for orders that live, ids may be rolled back, a cancel may be overtaken
by a fill, a taken order may be rejected later, a listing may go unanswered.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from sim_account import ENTRY, EXIT, STOP, TARGET, Working

from live.execution_bridge import key_of_ref
from pj.ibkr.contracts import Contract

if TYPE_CHECKING:
    from sim_bridge import Bridge

CLIENT, ACCOUNT = 11, "DU1"
LEGS = {"STP": STOP, "LMT": TARGET}


@dataclass(slots=True)
class Lies:
    """Say how often the gateway misleads: chances per order, cancel or question."""

    false_cancel: float = 0.0
    rejected_later: float = 0.0
    unanswered: float = 0.0
    rolled_ids: float = 0.0
    lost_order: float = 0.0


class Connection:
    """Hold one session of the order desk with the gateway."""

    def __init__(self, bridge: Bridge, rng: random.Random) -> None:
        self._bridge, self._rng = bridge, rng
        self.endpoint = SimpleNamespace(client_id=CLIENT)
        self.accounts = [ACCOUNT]
        self.marks: tuple[Callable[[], None], ...] | None = None
        self._session = bridge.sessions
        self._waiting: list[Any] = []

    @property
    def connected(self) -> bool:
        """Return whether this session still stands."""
        return self._bridge.connected and self._bridge.sessions == self._session

    async def refresh_executions(self, timeout_s: float = 4.0) -> bool:
        """Tell executions, all open orders and all positions, or nothing."""
        if self._rng.random() < self._bridge.lies.unanswered:
            await asyncio.sleep(timeout_s)
            return False
        await asyncio.sleep(0.04)
        if not self.connected or self.marks is None or self._bridge.cut is not None:
            return False
        bridge = self._bridge
        for fill in bridge.account.fills:
            bridge.tell_execution(fill, 7)
        began, ended, held_began, held_ended = self.marks
        began()
        for order in bridge.account.working():
            bridge.tell_order(order)
        ended()
        held_began()
        for contract, qty in bridge.account.positions.items():
            bridge.tell_position(contract, qty)
        held_ended()
        bridge.desk.on_batch()
        return True

    def take_ids(self, count: int, above: int) -> list[int]:
        """Return fresh ids above ``above`` and the gateway's own next one, which it may have rolled back."""
        account = self._bridge.account
        following = 1 if self._rng.random() < self._bridge.lies.rolled_ids else account.highest_id() + 1
        first = max(following, above + 1)
        return list(range(first, first + count))

    def order(self, order_id: int, **terms: Any) -> Any:
        """Return an order as the library has it."""
        return SimpleNamespace(orderId=order_id, **{"lmtPrice": 0.0, "auxPrice": 0.0, **terms})

    def put(self, contract: Contract, order: Any) -> None:
        """Send an order; it arrives a moment later unless the connection is gone."""
        bridge = self._bridge
        if not self.connected:
            raise ConnectionError("not connected")
        bridge.judge.placed(order, contract.local_symbol)
        if self._rng.random() < bridge.lies.lost_order:
            bridge.disconnect(self._rng.uniform(1, 20))  # cut off in the middle: it may have arrived or not
            if self._rng.random() < 0.5:
                return
        bridge.scheduler.after(0.03, lambda: self._arrive(contract.local_symbol, order))
        bridge.judge.point("placed")

    def cancel(self, order_id: int) -> None:
        """Ask for a cancel; nothing is said about an order that has ended."""
        bridge = self._bridge
        if not self.connected:
            return
        bridge.scheduler.after(0.03, lambda: bridge.account.cancel_id(order_id))

    async def find_contract(self, _symbol: str, name: str, *_more: str) -> Contract:
        """Describe a contract."""
        return contract_of(name)

    # -- at the gateway ------------------------------------------------------------------------------------

    def _arrive(self, contract: str, order: Any) -> None:
        account, bridge, rng = self._bridge.account, self._bridge, self._rng
        number = order.orderId
        working = account.orders.get(number)
        if working is not None:
            account.amend(working, int(order.totalQuantity), self._price(order))
            return
        if any(one.order_id == number for one in account.ended):
            bridge.error(number, 103)
            return
        self._waiting.append((contract, order))
        if not order.transmit:
            return
        waiting, self._waiting = self._waiting, []
        for where, one in waiting:
            self._place(where, one)
        if rng.random() < bridge.lies.false_cancel:
            doubted = rng.choice(waiting)[1].orderId
            bridge.scheduler.after(rng.uniform(0, 3), lambda: bridge.error(doubted, 10349))

    def _place(self, contract: str, order: Any) -> None:
        account, bridge = self._bridge.account, self._bridge
        key = key_of_ref(order.orderRef)
        leg = LEGS.get(order.orderType) or (ENTRY if key.endswith(":ENTRY") else EXIT)
        side = 1 if order.action == "BUY" else -1
        parent = account.orders.get(order.parentId) if order.parentId else None
        if self._rng.random() < bridge.lies.rejected_later and leg == ENTRY:
            made = account.place(key, leg, contract, side, int(order.totalQuantity), 1, order_id=order.orderId)
            made.armed = False
            bridge.scheduler.after(
                self._rng.uniform(0.1, 6), lambda: (account.end(made, "Cancelled"), bridge.error(made.order_id, 201))
            )
            return
        made = account.place(
            key, leg, contract, side, int(order.totalQuantity), self._price(order), order_id=order.orderId,
            parent=order.parentId, oca=getattr(order, "ocaGroup", ""), armed=parent is None,
        )  # fmt: skip
        if order.parentId and parent is None:
            account.child_of_ended(made)

    def _price(self, order: Any) -> int:
        return round((order.auxPrice or order.lmtPrice) * 4)


_CONTRACTS: dict[str, Contract] = {}


def contract_of(name: str) -> Contract:
    """Return the one description of a contract."""
    if name not in _CONTRACTS:
        _CONTRACTS[name] = Contract(1, "MNQ", name, "CME", "USD", "20260619", "2", 0.25, name)
    return _CONTRACTS[name]


def status_fields(order: Working) -> list[str]:
    """Return message 3 of an order."""
    fields = [""] * 12
    state = order.ended or ("Submitted" if order.armed else "PreSubmitted")
    fields[0], fields[1], fields[2] = "3", str(order.order_id), state
    fields[3], fields[4], fields[5] = str(order.filled), str(order.qty), "0"
    fields[6], fields[9] = str(10_000 + order.order_id), str(CLIENT if order.leg != "HUMAN" else 0)
    return fields


def open_fields(order: Working) -> list[str]:
    """Return the head of message 5 of an order."""
    fields = [""] * 30
    kinds = {STOP: "STP", TARGET: "LMT"}
    fields[0], fields[1], fields[11] = "5", str(order.order_id), order.contract
    fields[13], fields[14] = "BUY" if order.side > 0 else "SELL", str(order.qty + order.filled)
    fields[15] = kinds.get(order.leg, "MKT")
    points = f"{order.price / 4:.2f}"
    fields[16] = points if order.leg == TARGET else ""
    fields[17] = points if order.leg == STOP else ""
    fields[20], fields[23] = ACCOUNT, order.ref
    fields[24], fields[25] = str(CLIENT if order.leg != "HUMAN" else 0), str(10_000 + order.order_id)
    return fields
