"""Be the bridge's connection when it may place orders: whole re-reads, own order ids, placing past the library's book.

The library refuses to amend an order that it believes cancelled (its mistake after error 10349), so orders go to the
wire directly and their fate comes back through taps alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

from pj.ibkr.client import Endpoint, GatewayClient, Hooks
from pj.ibkr.contracts import Contract

ANSWER_S: Final = 4.0
Mark = Callable[[], None]


class OrderingClient(GatewayClient):
    """Add orders to a connection; one whole re-read at a time, since the library has one place for each answer."""

    def __init__(self, endpoint: Endpoint, hooks: Hooks | None = None) -> None:
        """Prepare; ``began`` and ``ended`` are called around each complete list of orders, ``held_*`` of positions."""
        super().__init__(endpoint, hooks)
        self.marks: tuple[Mark, Mark, Mark, Mark] | None = None
        self._reading = asyncio.Lock()

    async def refresh_executions(self, timeout_s: float = ANSWER_S) -> bool:
        """Make the gateway repeat executions, all clients' open orders and positions; return whether it told all.

        A question that was not answered is asked again by the next call: nothing may be placed before all three are.
        """
        began, ended, held_began, held_ended = self.marks or (_nothing, _nothing, _nothing, _nothing)
        async with self._reading:
            if not await self._told(self._ib.reqExecutionsAsync, timeout_s):
                return False
            began()
            if not await self._told(self._ib.reqAllOpenOrdersAsync, timeout_s):
                return False
            ended()
            held_began()
            if not await self._told(self._ib.reqPositionsAsync, timeout_s):
                return False
            held_ended()
        return True

    def take_ids(self, count: int, above: int) -> list[int]:
        """Return fresh order ids, higher than ``above`` and than whatever the gateway names as its next one."""
        self._ib.client.updateReqId(above + 1)
        return [int(self._ib.client.getReqId()) for _ in range(count)]

    def order(self, order_id: int, **terms: Any) -> Any:
        """Return a library order of that id; ``tif`` is required (error 10349, tws.md section 1)."""
        if not terms.get("tif"):
            raise ValueError("an order needs an explicit tif")
        return self._module.Order(orderId=order_id, **terms)

    def put(self, contract: Contract, order: Any) -> None:
        """Send the order, new or amended, to the wire; its fate arrives through the taps. Raises ConnectionError."""
        self._ib.client.placeOrder(order.orderId, contract.native, order)

    async def _told(self, question: Callable[[], Awaitable[Any]], timeout_s: float) -> bool:
        if not self.connected:
            return False
        answer = asyncio.ensure_future(question())
        ended = asyncio.ensure_future(self.closed.wait())
        try:
            await asyncio.wait({answer, ended}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
            return answer.done() and answer.exception() is None and self.connected
        finally:
            for part in (answer, ended):
                part.cancel()


def _nothing() -> None:
    """Stand for a mark that nobody wants."""
