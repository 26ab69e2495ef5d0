"""Read an account whole, on a connection of its own: positions, working orders of all clients, executions.

What the operator is shown and what the emergency stop concludes from comes from the wire (orderStatus, openOrder,
position, execDetails), read by taps before the library: an error code never ends an order (reference/tws.md section 1).
Contracts that are not ours may be anything: their quantities are decimals here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from pj.ibkr.account_wire import (
    MalformedMessage,
    OpenOrderSeen,
    OrderStatusSeen,
    read_execution,
    read_open_order,
    read_order_status,
)
from pj.ibkr.client import Endpoint, GatewayClient, Hooks
from pj.ibkr.contracts import Contract
from pj.ibkr.errors import AccountMissing, GatewayError, GatewayUnavailable, UnknownContract
from pj.ibkr.orders import REFUSAL_CODES

#: What ends an order for good. "Inactive" is not among them: TWS may still list such an order and wake it.
ENDED: Final = frozenset({"Filled", "Cancelled", "ApiCancelled"})
FUTURE: Final = "FUT"
#: The gateway says that it lost IB's servers: what it reports from then on is old. The others say it is back.
SERVERS_LOST: Final = frozenset({1100, 2110})
SERVERS_BACK: Final = frozenset({1101, 1102})
ContractKey = tuple[str, int]
OrderKey = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class HeldPosition:
    """Report one contract held in one account; ``qty`` signed, ``contract`` the local symbol."""

    account: str
    con_id: int
    symbol: str
    sec_type: str
    contract: str
    qty: Decimal

    @property
    def key(self) -> ContractKey:
        """Return what names the position."""
        return (self.account, self.con_id)

    def __str__(self) -> str:
        """Return a line for a person."""
        return f"position {self.qty:+f} {self.contract} ({self.sec_type}, account {self.account})"


@dataclass(frozen=True, slots=True)
class WorkingOrder:
    """Report one order that has not ended; ``client_id`` is its owner, who alone may cancel it by ``order_id``."""

    con_id: int
    symbol: str
    sec_type: str
    seen: OpenOrderSeen
    status: str

    @property
    def key(self) -> OrderKey:
        """Return what names the order: its permanent id, or owner and order id while it has none."""
        return _key(self.seen)

    @property
    def contract_key(self) -> ContractKey:
        """Return account and contract."""
        return (self.seen.account, self.con_id)

    def __str__(self) -> str:
        """Return a line for a person."""
        seen = self.seen
        side = "BUY" if seen.side > 0 else "SELL"
        price = seen.limit_price if seen.order_type.startswith("LMT") else seen.stop_price
        at = "" if seen.order_type == "MKT" or price in {"", "0", "0.0"} else f" at {price}"
        ids = f"client {seen.client_id}, order {seen.order_id}, perm {seen.perm_id}"
        return f"order {side} {seen.qty} {seen.contract} {seen.order_type}{at} {self.status or 'no status'} ({ids})"


@dataclass(frozen=True, slots=True)
class AccountView:
    """Hold one observation; zero positions and ended orders are left out."""

    positions: tuple[HeldPosition, ...]
    orders: tuple[WorkingOrder, ...]

    def same_as(self, other: AccountView) -> bool:
        """Tell whether both show the same quantities and the same orders (states may differ)."""
        orders = {order.key for order in self.orders} == {order.key for order in other.orders}
        return orders and set(self.positions) == set(other.positions)


class AccountClient(GatewayClient):
    """Be an ordinary API client that observes an account and may cancel and close; make it with ``open``."""

    def __init__(self, endpoint: Endpoint) -> None:
        """Install the taps; nothing is sent yet."""
        self.refusals: dict[int, str] = {}
        self.servers_lost = ""
        self._positions: dict[ContractKey, HeldPosition] = {}
        self._orders: dict[OrderKey, WorkingOrder] = {}
        self._statuses: dict[OrderKey, OrderStatusSeen] = {}
        self._own: dict[int, OrderStatusSeen] = {}
        self._executions: dict[str, tuple[ContractKey, Decimal]] = {}
        self._held: set[ContractKey] = set()
        self._listed: set[OrderKey] = set()
        self._changed = asyncio.Event()
        taps = {3: self._on_status, 5: self._on_order, 11: self._on_execution, 61: self._on_position}
        super().__init__(endpoint, Hooks(taps=taps, on_error=self._on_notice))

    @classmethod
    async def open(cls, endpoint: Endpoint) -> AccountClient:
        """Return a connected client.

        Raises ClientIdInUse, GatewayUnavailable, LibraryUnusable, and AccountMissing when the login does not have the
        endpoint's account: an empty view of the wrong account must never look flat.
        """
        client = cls(endpoint)
        try:
            await client._open()
            if endpoint.account and endpoint.account not in client.accounts:
                known = ", ".join(client.accounts)
                raise AccountMissing(f"ibkr.account is {endpoint.account} but this login has {known}; correct the key")
        except BaseException:
            client.close()
            raise
        return client

    async def observe(self, timeout_s: float) -> AccountView:
        """Ask for executions, all clients' open orders and positions anew and return what they say.

        Raises GatewayUnavailable when the connection ends, GatewayError when a question is not answered in time.
        """
        await self._ask("executions", self._ib.reqExecutionsAsync, timeout_s)
        self._listed = set()
        await self._ask("open orders", self._ib.reqAllOpenOrdersAsync, timeout_s)
        self._held = set()
        await self._ask("positions", self._ib.reqPositionsAsync, timeout_s)
        positions = (held for key, held in sorted(self._positions.items()) if key in self._held and held.qty)
        named = {(order.seen.client_id, order.seen.order_id) for key, order in self._orders.items() if key[2]}
        # An order is first reported without its permanent id, then with it: that is one order.
        listed = (key for key in sorted(self._listed) if key[2] or key[:2] not in named)
        orders = (self._orders[key] for key in listed)
        working = (replace(order, status=self.status_of(order.key)) for order in orders)
        return AccountView(tuple(positions), tuple(order for order in working if order.status not in ENDED))

    async def bind_own_orders(self, timeout_s: float) -> None:
        """Ask for this client's own open orders; as client 0 that gives manual TWS orders an order id."""
        await self._ask("own open orders", self._ib.reqOpenOrdersAsync, timeout_s)

    def order_id_of(self, key: OrderKey) -> int:
        """Return the order id by which this client may cancel the order, 0 when it has none."""
        order = self._orders.get(key)
        return order.seen.order_id if order and order.seen.client_id == self.endpoint.client_id else 0

    def status_of(self, key: OrderKey) -> str:
        """Return the last status on the wire, empty before the first."""
        seen = self._statuses.get(key)
        return seen.status if seen else ""

    def own_status(self, order_id: int) -> OrderStatusSeen | None:
        """Return the last status of an order that this connection placed."""
        return self._own.get(order_id)

    def execution_ids(self) -> frozenset[str]:
        """Return the executions seen so far."""
        return frozenset(self._executions)

    def traded_since(self, key: ContractKey, known: frozenset[str]) -> Decimal:
        """Return the signed quantity that executed in a contract, ``known`` executions left out."""
        return sum(
            (qty for ident, (of, qty) in self._executions.items() if of == key and ident not in known), Decimal()
        )

    async def contract_of(self, con_id: int, timeout_s: float) -> Contract:
        """Return the contract with this number; raises UnknownContract, GatewayError, GatewayUnavailable."""
        wanted = self._module.Contract(conId=con_id)
        found = await self._ask(f"contract {con_id}", lambda: self._ib.reqContractDetailsAsync(wanted), timeout_s)
        if not found:
            raise UnknownContract(f"the gateway does not describe contract {con_id}; close it in TWS")
        native = found[0].contract
        native.lastTradeDateOrContractMonth = native.lastTradeDateOrContractMonth.partition(" ")[0]
        return Contract(
            int(native.conId), native.symbol, native.localSymbol, native.exchange, native.currency,
            native.lastTradeDateOrContractMonth, str(native.multiplier), float(found[0].minTick), native,
        )  # fmt: skip

    def global_cancel(self) -> None:
        """Ask the gateway to cancel every order of the login: all clients', all symbols', manual ones too."""
        self._ib.client.reqGlobalCancel()

    async def until(self, done: Callable[[], bool], timeout_s: float) -> bool:
        """Wait for messages until ``done``; return whether it came true. Raises GatewayUnavailable."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        while not done():
            if not self.connected:
                raise GatewayUnavailable(f"the gateway at {self.endpoint} closed the connection")
            left = deadline - loop.time()
            if left <= 0:
                return False
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), min(0.2, left))
            except TimeoutError:
                continue
        return True

    async def _ask(self, what: str, question: Callable[[], Awaitable[Any]], timeout_s: float) -> Any:
        if not self.connected:
            raise GatewayUnavailable(f"the gateway at {self.endpoint} closed the connection")
        answer = asyncio.ensure_future(question())
        ended = asyncio.ensure_future(self.closed.wait())
        try:
            await asyncio.wait({answer, ended}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
            if self.failure is not None:
                raise GatewayError(f"a message of the gateway cannot be read: {self.failure}") from self.failure
            if answer.done() and not answer.cancelled() and answer.exception() is None:
                return answer.result()
            if ended.done() or answer.done():
                raise GatewayUnavailable(f"the gateway at {self.endpoint} closed the connection")
            raise GatewayError(
                f"the gateway at {self.endpoint} did not answer for {what} within {timeout_s:.1f} s;"
                " is its API set to read-only?"
            )
        finally:
            ended.cancel()
            answer.cancel()

    # -- taps ------------------------------------------------------------------------------------------

    def _mine(self, account: str) -> bool:
        return not self.endpoint.account or account == self.endpoint.account

    def _on_position(self, fields: list[str]) -> bool:
        try:
            qty = Decimal(fields[14])
            held = HeldPosition(fields[2], int(fields[3]), fields[4], fields[5], fields[12] or fields[4], qty)
        except (IndexError, ValueError, InvalidOperation) as error:
            raise MalformedMessage(f"position message {'|'.join(fields)} cannot be read: {error}") from error
        if self._mine(held.account):
            self._positions[held.key] = held
            self._held.add(held.key)
        self._changed.set()
        return False

    def _on_order(self, fields: list[str]) -> bool:
        seen = read_open_order(fields)
        if self._mine(seen.account):
            order = WorkingOrder(int(fields[2] or 0), fields[3], fields[4], seen, "")
            self._orders[order.key] = order
            self._listed.add(order.key)
        self._changed.set()
        return False

    def _on_status(self, fields: list[str]) -> bool:
        seen = read_order_status(fields)
        self._statuses[_key(seen)] = seen
        if seen.client_id == self.endpoint.client_id:
            self._own[seen.order_id] = seen
        self._changed.set()
        return False

    def _on_execution(self, fields: list[str]) -> bool:
        seen = read_execution(fields)
        self._executions[seen.exec_id] = ((seen.account, seen.con_id), seen.side * Decimal(seen.qty))
        self._changed.set()
        return False

    def _on_notice(self, req_id: int, code: int, text: str) -> None:
        if code in SERVERS_LOST:
            self.servers_lost = f"{code} {text}"
        elif code in SERVERS_BACK:
            self.servers_lost = ""
        if code in REFUSAL_CODES:
            self.refusals[req_id] = f"{code} {text}"
        self._changed.set()


def _key(seen: OpenOrderSeen | OrderStatusSeen) -> OrderKey:
    return (0, 0, seen.perm_id) if seen.perm_id else (seen.client_id, seen.order_id, 0)
