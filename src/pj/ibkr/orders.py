"""Place brackets on a gateway account as an ordinary API client.

Used by the TradersPost simulator today and by the ibkr route later. What became of an order is
read from the wire (orderStatus, execDetails, position), never concluded from an error message:
both libraries call a live order cancelled on error 10349 (reference/tws.md section 1). Every order carries
an explicit time in force, since 10349 is the gateway's comment on a missing one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from pj.contracts import root_of
from pj.ibkr.account_wire import DONE_STATES, OrderStatusSeen, read_open_order, read_order_status, read_position
from pj.ibkr.client import Endpoint, GatewayClient, Hooks
from pj.ibkr.contracts import Contract
from pj.ibkr.errors import GatewayUnavailable, OrderRefusedByGateway

REFUSAL_CODES: Final = frozenset({103, 104, 105, 106, 107, 109, 110, 200, 201, 203, 321, 382, 383, 387, 391, 434})
ENTRY_TIF: Final = "DAY"
EXIT_TIF: Final = "GTC"


@dataclass(frozen=True, slots=True)
class Bracket:
    """Name the orders of one bracket by their API ids; 0 = leg not asked for."""

    order_ref: str
    parent_id: int
    stop_id: int
    target_id: int


class OrderClient:
    """Trade on one connection; all calls are coroutines of the loop that made it."""

    def __init__(self) -> None:
        """Prepare an empty client; use ``await OrderClient.connect(...)``."""
        self._client: GatewayClient
        self._contracts: dict[str, Contract] = {}
        self._positions: dict[str, int] = {}
        self._working: dict[int, str] = {}
        self._states: dict[int, OrderStatusSeen] = {}
        self._refusals: dict[int, str] = {}
        self._changed = asyncio.Event()
        self._account = ""
        self._client_id = -1

    @classmethod
    async def connect(
        cls, host: str, port: int, client_id: int, *, account: str = "", library: str = "auto", timeout_s: float = 4.0
    ) -> OrderClient:
        """Return a connected client that knows the account's positions and its own open orders.

        Raises ClientIdInUse, GatewayUnavailable, LibraryUnusable.
        """
        self = cls()
        self._account, self._client_id = account, client_id
        hooks = Hooks(taps={3: self._on_status, 5: self._on_open_order, 61: self._on_position}, on_error=self._on_error)
        self._client = await GatewayClient.connect(Endpoint(host, port, client_id, account, library, timeout_s), hooks)
        return self

    @property
    def connected(self) -> bool:
        """Return whether the session stands."""
        return self._client.connected

    async def wait_closed(self) -> None:
        """Return when the connection has ended."""
        await self._client.closed.wait()

    def close(self) -> None:
        """Leave the gateway; resting orders stay there."""
        self._client.close()

    def positions(self) -> dict[str, int]:
        """Return signed positions by local symbol (``{"MNQZ6": 2}``), zero ones left out."""
        return {name: qty for name, qty in self._positions.items() if qty}

    def working(self, contract: str) -> list[int]:
        """Return the ids of this client's working orders in the contract."""
        return [order_id for order_id, name in self._working.items() if name == contract]

    async def place_bracket(
        self,
        contract: str,
        side: int,
        qty: int,
        stop: Decimal | str | None,
        target: Decimal | str | None,
        order_ref: str,
    ) -> Bracket:
        """Send a market entry with its stop and limit exits, transmitted together; return when the entry is taken.

        ``contract`` is the local symbol (``MNQZ6``), ``side`` +1 buy / -1 sell, prices in points. The exits wait for
        the entry's fill and cancel each other at the gateway. Raises OrderRefusedByGateway, UnknownContract,
        GatewayUnavailable.
        """
        found = await self._find(contract)
        entry, exit_side = ("BUY", "SELL") if side > 0 else ("SELL", "BUY")
        parent = self._order(entry, qty, "MKT", order_ref, ENTRY_TIF)
        legs = []
        if target is not None:
            legs.append(self._order(exit_side, qty, "LMT", order_ref, EXIT_TIF, lmtPrice=float(target)))
        if stop is not None:
            legs.append(self._order(exit_side, qty, "STP", order_ref, EXIT_TIF, auxPrice=float(stop)))
        parent.transmit = not legs
        for leg in legs:
            leg.parentId = parent.orderId
            leg.transmit = leg is legs[-1]
        for order in (parent, *legs):
            self._client.place(found, order)
        await self._taken(parent.orderId)
        by_type = {leg.orderType: int(leg.orderId) for leg in legs}
        return Bracket(order_ref, int(parent.orderId), by_type.get("STP", 0), by_type.get("LMT", 0))

    async def close_position(self, contract: str, order_ref: str, timeout_s: float = 5.0) -> int:
        """Cancel this client's orders in the contract, then flatten it at market; return the signed quantity closed."""
        await self.cancel_all(contract, timeout_s)
        qty = self._positions.get(contract, 0)
        if qty:
            found = await self._find(contract)
            order = self._order("SELL" if qty > 0 else "BUY", abs(qty), "MKT", order_ref, ENTRY_TIF)
            order.transmit = True
            self._client.place(found, order)
            await self._taken(order.orderId)
            await self._until(
                lambda: self._state(order.orderId) in DONE_STATES, timeout_s, f"the closing order of {contract} to fill"
            )
        return qty

    async def cancel_all(self, contract: str, timeout_s: float = 5.0) -> int:
        """Cancel this client's working orders in the contract; return how many, once each is done at the gateway."""
        orders = self.working(contract)
        for order_id in orders:
            self._client.cancel(order_id)
        await self._until(lambda: not self.working(contract), timeout_s, f"{len(orders)} orders of {contract} to end")
        return len(orders)

    async def _find(self, local_symbol: str) -> Contract:
        if local_symbol not in self._contracts:
            self._contracts[local_symbol] = await self._client.find_contract(root_of(local_symbol), local_symbol)
        return self._contracts[local_symbol]

    def _order(self, action: str, qty: int, kind: str, order_ref: str, tif: str, **prices: float) -> Any:
        order = self._client.new_order(
            action=action, totalQuantity=qty, orderType=kind, orderRef=order_ref, tif=tif, **prices
        )
        if self._account:
            order.account = self._account
        return order

    def _state(self, order_id: int) -> str:
        seen = self._states.get(order_id)
        return seen.status if seen else ""

    async def _taken(self, order_id: int, timeout_s: float = 5.0) -> None:
        await self._until(
            lambda: order_id in self._refusals or self._state(order_id) in {"PreSubmitted", "Submitted", *DONE_STATES},
            timeout_s,
            f"order {order_id} to be taken",
        )
        if self._state(order_id) in {"PreSubmitted", "Submitted", "Filled"}:
            return
        raise OrderRefusedByGateway(self._refusals.get(order_id) or f"order {order_id} ended {self._state(order_id)}")

    async def _until(self, done: Callable[[], bool], timeout_s: float, what: str) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        while not done():
            if not self.connected:
                raise GatewayUnavailable(f"the connection ended while waiting for {what}")
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), max(0.0, min(0.5, deadline - loop.time())))
            except TimeoutError as error:
                if loop.time() >= deadline:
                    raise GatewayUnavailable(f"waited {timeout_s} s in vain for {what}") from error

    def _on_status(self, fields: list[str]) -> bool:
        seen = read_order_status(fields)
        if seen.client_id == self._client_id:
            self._states[seen.order_id] = seen
            if seen.status in DONE_STATES:
                self._working.pop(seen.order_id, None)
        self._changed.set()
        return False

    def _on_open_order(self, fields: list[str]) -> bool:
        seen = read_open_order(fields)
        if seen.client_id == self._client_id and self._state(seen.order_id) not in DONE_STATES:
            self._working[seen.order_id] = seen.contract
        self._changed.set()
        return False

    def _on_position(self, fields: list[str]) -> bool:
        seen = read_position(fields)
        if not self._account or seen.account == self._account:
            self._positions[seen.contract] = seen.qty
        self._changed.set()
        return False

    def _on_error(self, req_id: int, code: int, text: str) -> None:
        if code in REFUSAL_CODES:
            self._refusals[req_id] = f"order {req_id} was refused with code {code}: {text}"
        self._changed.set()
