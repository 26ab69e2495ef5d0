"""Bring an account to flat by a connection of its own, whoever else lives or is dead.

One loop, idempotent, so that it may be cut off anywhere and run again (pj1 S8, reference/tws.md section 1):

1. What we see is the wire's (no error code ends an order); positions are acted on when seen twice the same.
2. Working orders first, at once: an entry among them may be filling. The API lets a client cancel only its own, so we
   connect AS each order's owner (its process is dead, its client id free) and cancel by order id: nothing else of the
   account is touched. Manual TWS orders belong to client 0, which binds them. Where the owner is connected, the only
   way left is the global cancel, which takes every order of every symbol: it is used when nobody else has an order, or
   on ``everything``. A position is never closed while an exit of it still works: that exit would open a new one.
3. Then each position is closed at market by what the account says it holds. Its order must have ended, and the account
   must report what the executions say, before anything more is sent.
4. Flat is what stays flat and without orders for ``settle_s``, while the gateway is connected to IB.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from decimal import Decimal
from itertools import groupby
from typing import Final

from pj.ibkr.account_view import FUTURE, AccountClient, AccountView, ContractKey, HeldPosition, WorkingOrder
from pj.ibkr.account_wire import DONE_STATES
from pj.ibkr.client import Endpoint
from pj.ibkr.errors import ClientIdInUse, GatewayUnavailable

OBSERVE_GAP_S: Final = 0.2
ANSWER_S: Final = 4.0
CANCEL_S: Final = 2.0
BLOCKED_S: Final = 3.0
LAG_S: Final = 5.0
FIRST_CONNECT_S: Final = 3.0
RETRY_S: Final = 0.4
SPARE_IDS: Final = 5
MAX_CLOSES: Final = 6
MAX_REJECTS: Final = 3
ORDER_REF: Final = "pj-flatten"

Say = Callable[..., None]
"""Takes a stable step name, one sentence, and data: what is done is said (and written) before and after doing it."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Say what may be touched: the futures of ``symbol``, or on ``everything`` all futures and all orders."""

    symbol: str
    everything: bool = False

    def positions(self, view: AccountView) -> list[HeldPosition]:
        """Return the positions that are to be closed."""
        futures = (held for held in view.positions if held.sec_type == FUTURE)
        return [held for held in futures if self.everything or held.symbol == self.symbol]

    def orders(self, view: AccountView) -> list[WorkingOrder]:
        """Return the orders that are to be cancelled."""
        return [order for order in view.orders if self.everything or self._ours(order)]

    def others(self, view: AccountView) -> list[HeldPosition | WorkingOrder]:
        """Return what is shown and not touched."""
        held, working = self.positions(view), self.orders(view)
        positions = [position for position in view.positions if position not in held]
        return [*positions, *(order for order in view.orders if order not in working)]

    def _ours(self, order: WorkingOrder) -> bool:
        return order.symbol == self.symbol and order.sec_type == FUTURE


@dataclass(frozen=True, slots=True)
class Patience:
    """Say how long, in real seconds: at most in all, flat must hold, others may flatten before we close."""

    total_s: float = 30.0
    settle_s: float = 0.5
    grace_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """Report the end: whether flat is verified, why not, and the last observation."""

    flat: bool
    why: str
    view: AccountView


class NotFlat(Exception):
    """Report, in one sentence, why we stop before the account is flat."""


@dataclass(slots=True)
class _Closed:
    """Remember a closing order: what the account must report before the next one may leave."""

    before: Decimal
    known: frozenset[str]
    filled: Decimal = Decimal()
    at: float = field(default_factory=time.monotonic)


@dataclass(slots=True)
class Flattener:
    """Flatten one account through ``endpoint``, whose client id is the first of a few that are tried."""

    endpoint: Endpoint
    scope: Scope
    say: Say
    patience: Patience = field(default_factory=Patience)
    _begun: float = field(default_factory=time.monotonic)
    _view: AccountView | None = None
    _closed: dict[ContractKey, _Closed] = field(default_factory=dict)
    _closes: int = 0
    _rejects: int = 0
    _blocked_at: float = 0.0

    async def look(self) -> AccountView:
        """Return one observation without changing anything; raises GatewayError."""
        client = await self._connect()
        try:
            return await client.observe(ANSWER_S)
        finally:
            client.close()

    async def run(self) -> Verdict:
        """Flatten and verify; a connection that ends is made again. Raises GatewayUnavailable, Misconfigured."""
        while True:
            try:
                client = await self._connect()
                try:
                    return await self._work(client)
                finally:
                    client.close()
            except GatewayUnavailable as error:
                limit_s = self.patience.total_s if self._view else min(FIRST_CONNECT_S, self.patience.total_s)
                if time.monotonic() >= self._begun + limit_s:
                    raise
                self.say("RECONNECT", f"{error}; trying again")
                await asyncio.sleep(RETRY_S)

    @property
    def _left_s(self) -> float:
        return self._begun + self.patience.total_s - time.monotonic()

    async def _connect(self) -> AccountClient:
        """Connect as the first client id that is free; raises ClientIdInUse when none of them is."""
        first = self.endpoint.client_id
        for number in range(first, first + SPARE_IDS):
            endpoint = replace(self.endpoint, client_id=number)
            try:
                client = await AccountClient.open(endpoint)
            except ClientIdInUse:
                continue
            self.say("CONNECTED", f"connected to the gateway at {endpoint}, account {', '.join(client.accounts)}")
            return client
        raise ClientIdInUse(
            f"the client ids {first} to {first + SPARE_IDS - 1} are all in use at {self.endpoint.host}:"
            f"{self.endpoint.port}; set ibkr.flatten_client_id to a free one"
        )

    # -- the loop --------------------------------------------------------------------------------------

    async def _work(self, client: AccountClient) -> Verdict:
        view = await self._observe(client)
        self.say("SEEN", summary(self.scope, view), **as_data(self.scope, view))
        await self._let_others(client)
        try:
            while self._left_s > 0:
                await self._until_connected_to_ib(client)
                view = await self._observe(client)
                if orders := self.scope.orders(view):
                    await self._cancel(client, view, orders)
                elif not (await self._stable(client, view)):
                    continue
                elif positions := self.scope.positions(view):
                    await self._close(client, positions[0])
                elif await self._settled(client):
                    return Verdict(True, "", self._last)
            raise NotFlat(f"not verified flat within {self.patience.total_s:g} s; {summary(self.scope, self._last)}")
        except NotFlat as reason:
            return Verdict(False, str(reason), self._last)

    @property
    def _last(self) -> AccountView:
        return self._view or AccountView((), ())

    async def _observe(self, client: AccountClient) -> AccountView:
        self._view = await client.observe(max(0.5, min(ANSWER_S, self._left_s)))
        return self._view

    async def _stable(self, client: AccountClient, view: AccountView) -> bool:
        """Return whether a second observation shows the same; positions lag fills, so one alone proves nothing."""
        await asyncio.sleep(OBSERVE_GAP_S)
        return (await self._observe(client)).same_as(view)

    async def _let_others(self, client: AccountClient) -> None:
        """Give the party that was asked to flatten (the webhook's) its time before we act ourselves."""
        deadline = time.monotonic() + min(self.patience.grace_s, self._left_s)
        while time.monotonic() < deadline:
            if not self.scope.positions(await self._observe(client)):
                return  # orders that are left are cancelled at once: there is nothing more that others could close
            await client.until(lambda: False, min(OBSERVE_GAP_S, max(0.0, deadline - time.monotonic())))
        if self.patience.grace_s:
            self.say("TAKE_OVER", f"still {summary(self.scope, self._last)}; closing at the gateway now")

    async def _settled(self, client: AccountClient) -> bool:
        """Return whether flat and order-free holds for ``settle_s`` without a break in the gateway's own connection."""
        deadline = time.monotonic() + self.patience.settle_s
        while True:
            await asyncio.sleep(OBSERVE_GAP_S)
            view = await self._observe(client)
            if self.scope.orders(view) or self.scope.positions(view):
                self.say("MOVED", f"not flat any more: {summary(self.scope, view)}")
                return False
            if client.servers_lost:
                return False
            if time.monotonic() >= deadline:
                return True

    async def _until_connected_to_ib(self, client: AccountClient) -> None:
        """Wait while the gateway is cut off from IB: it reports old news then, and our orders would queue up."""
        if not client.servers_lost:
            return
        self.say("CUT_OFF", f"the gateway is cut off from IB ({client.servers_lost}); waiting for it")
        if not await client.until(lambda: not client.servers_lost, self._left_s):
            raise NotFlat(f"the gateway is cut off from IB ({client.servers_lost}); what it reports may be old")

    # -- orders ----------------------------------------------------------------------------------------

    async def _cancel(self, client: AccountClient, view: AccountView, orders: list[WorkingOrder]) -> None:
        """Cancel ``orders``, each as its owner; what did not end is seen again in the next round."""
        busy: list[WorkingOrder] = []
        orders = sorted(orders, key=lambda order: order.seen.client_id)
        for owner, owned in groupby(orders, key=lambda order: order.seen.client_id):
            group = list(owned)
            self.say("CANCEL", f"cancelling {len(group)} orders as client {owner}", orders=[str(o) for o in group])
            busy += await self._cancel_as(client, owner, group)
        if not busy:
            self._blocked_at = 0.0
            return
        strangers = [order for order in view.orders if order not in self.scope.orders(view)]
        if not strangers:
            self.say("GLOBAL_CANCEL", "their owner is connected and no other symbol has an order: cancelling all")
            client.global_cancel()
            await client.until(lambda: all(client.status_of(order.key) in DONE_STATES for order in busy), 0.5)
            return
        self._blocked_at = self._blocked_at or time.monotonic()
        if time.monotonic() - self._blocked_at > BLOCKED_S:
            raise NotFlat(
                f"{len(busy)} orders can be cancelled only by client {busy[0].seen.client_id}, which is connected, and"
                f" cancelling all would take {len(strangers)} orders of other symbols; stop that program ('pj stop') or"
                " cancel them in TWS and run again, or run again with --all"
            )

    async def _cancel_as(self, client: AccountClient, owner: int, group: list[WorkingOrder]) -> list[WorkingOrder]:
        """Cancel by order id as ``owner``; return the orders that this cannot reach."""
        if owner == client.endpoint.client_id:
            return await self._cancel_by_id(client, group)
        try:
            helper = await AccountClient.open(replace(client.endpoint, client_id=owner))
        except ClientIdInUse:
            self.say("OWNER_CONNECTED", f"client {owner} is connected: its orders cannot be cancelled by order")
            return group
        try:
            await helper.bind_own_orders(ANSWER_S)
            return await self._cancel_by_id(helper, group)
        finally:
            helper.close()

    async def _cancel_by_id(self, owner: AccountClient, group: list[WorkingOrder]) -> list[WorkingOrder]:
        unreachable = []
        for order in group:
            order_id = owner.order_id_of(order.key) or order.seen.order_id
            if order_id:
                owner.cancel(order_id)
            else:
                unreachable.append(order)
        reached = [order for order in group if order not in unreachable]
        await owner.until(lambda: all(owner.status_of(order.key) in DONE_STATES for order in reached), CANCEL_S)
        for order in reached:
            self.say("CANCEL_STATUS", f"perm {order.seen.perm_id}: {owner.status_of(order.key) or 'no answer'}")
        return unreachable

    # -- positions -------------------------------------------------------------------------------------

    async def _close(self, client: AccountClient, held: HeldPosition) -> None:
        """Send one market order for what is held and wait for its end; raises NotFlat when that cannot go on."""
        if not self._report_is_current(client, held):
            await asyncio.sleep(OBSERVE_GAP_S)
            return
        if held.qty != held.qty.to_integral_value():
            raise NotFlat(f"{held} is no whole number of contracts; close it in TWS")
        if self._closes >= MAX_CLOSES:
            raise NotFlat(f"closed {self._closes} times and still {held}; something opens positions: stop it first")
        contract = await client.contract_of(held.con_id, max(0.5, min(ANSWER_S, self._left_s)))
        side = "SELL" if held.qty > 0 else "BUY"
        # Without outsideRth a market order for a future waits for the exchange's regular hours.
        order = client.new_order(
            action=side, totalQuantity=int(abs(held.qty)), orderType="MKT", tif="DAY", account=held.account,
            orderRef=ORDER_REF, outsideRth=True, transmit=True,
        )  # fmt: skip
        self._closes += 1
        # Kept before it leaves: should the connection end now, the next one must not close on an old report.
        closed = self._closed[held.key] = _Closed(held.qty, client.execution_ids())
        self.say("CLOSE", f"closing {held}: {side} {int(abs(held.qty))} at market, order {order.orderId}")
        client.place(contract, order)
        status, filled = await self._until_ended(client, int(order.orderId))
        refusal = client.refusals.get(int(order.orderId), "")
        self.say("CLOSE_ENDED", f"order {order.orderId} is {status or 'unknown'}, filled {filled} {refusal}".strip())
        closed.filled, closed.at = filled, time.monotonic()
        if not filled:
            await self._count_reject(refusal or f"order {order.orderId} ended {status or 'without a status'}")

    async def _count_reject(self, why: str) -> None:
        self._rejects += 1
        if self._rejects >= MAX_REJECTS:
            raise NotFlat(f"the gateway rejected the closing order {self._rejects} times ({why}); close it in TWS")
        await asyncio.sleep(RETRY_S)

    async def _until_ended(self, client: AccountClient, order_id: int) -> tuple[str, Decimal]:
        """Return the order's last status and filled quantity once it has ended; at the time-out it is cancelled."""

        def status() -> str:
            seen = client.own_status(order_id)
            return seen.status if seen else ""

        def settled() -> bool:
            # A refusal without any status: the order was never taken. Whether that is so, the next look shows.
            return status() in DONE_STATES or (not status() and order_id in client.refusals)

        if not await client.until(settled, max(0.0, self._left_s)):
            self.say("CLOSE_HANGS", f"order {order_id} is {status() or 'unanswered'} and does not fill; cancelling it")
            client.cancel(order_id)
            await client.until(lambda: status() in DONE_STATES, CANCEL_S)
        seen = client.own_status(order_id)
        return status(), Decimal(seen.filled or 0) if seen else Decimal()

    def _report_is_current(self, client: AccountClient, held: HeldPosition) -> bool:
        """Tell whether the reported position contains our last close; a stale one must not be closed twice."""
        last = self._closed.get(held.key)
        if last is None:
            return True
        traded = client.traded_since(held.key, last.known)
        if abs(traded) >= last.filled and held.qty == last.before + traded:
            return True
        if time.monotonic() - last.at < LAG_S:
            return False
        if held.qty == last.before:
            raise NotFlat(
                f"the account still reports {held}, {LAG_S:g} s after {max(last.filled, abs(traded))} of it were"
                " closed; it is not closed twice: look at TWS"
            )
        return True


def summary(scope: Scope, view: AccountView) -> str:
    """Return one line about what is in scope."""
    mine = [*scope.positions(view), *scope.orders(view)]
    return "; ".join(map(str, mine)) if mine else f"no position and no working order of {scope.symbol}"


def as_data(scope: Scope, view: AccountView) -> dict[str, list[str]]:
    """Return an observation as texts: what is ours, and what is left alone."""
    return {
        "positions": [str(held) for held in scope.positions(view)],
        "orders": [str(order) for order in scope.orders(view)],
        "others": [str(item) for item in scope.others(view)],
    }
