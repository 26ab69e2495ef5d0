"""Do at the gateway what one row of orders.jsonl asks: place a bracket, make the exits be so, close, cancel.

Every act writes its order ids durably before the first byte leaves, asks for an end state, and concludes from what the
gateway shows (order states, complete lists, executions, positions), never from an error code. All orders carry an
explicit time in force and work outside regular hours, where futures trade most of the day.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from live.events import Leg
from live.execution_bridge import CANCELLED_CODE, order_ref
from live.market import Instrument, OffGrid
from pj.channels.orders import Answered, OrderRow
from pj.ibkr.contracts import Contract
from pj.ibkr.order_book import OrderBook, Working
from pj.ibkr.ordering_client import OrderingClient
from pj.ibkr.orders import ENTRY_TIF, EXIT_TIF
from pj.ibkr.placed import Placed, PlacedLedger, PlacedLeg
from pj.ibkr.position_truth import PositionTruth

TAKEN_S: Final = 2.0
CANCEL_S: Final = 2.0
POSITION_S: Final = 4.0
LOOK_S: Final = 0.2
OCA_REDUCE: Final = 2
Verdict = tuple[Answered, str, int]
"""What the engine is told: the word, why, and the order id at the gateway (0 = none)."""


class Detached(Exception):
    """Report that the connection ended in the middle of an act; what became of it is read back on the next one."""


@dataclass(slots=True)
class OrderActs:
    """Act on one connection; ``reread`` makes the gateway tell everything anew and returns whether it did."""

    client: OrderingClient
    contract: Contract
    account: str
    instrument: Instrument
    ledger: PlacedLedger
    book: OrderBook
    truth: PositionTruth
    reread: Callable[[], Awaitable[bool]]
    changed: Callable[[], asyncio.Event]
    _contracts: dict[str, Contract] = field(default_factory=dict)

    # -- entry -------------------------------------------------------------------------------------------

    def begin_entry(self, row: OrderRow, at: tuple[str, int]) -> Placed:
        """Write down and send parent, target and stop, the last of which transmits all. Raises WriteFailed."""
        parent, target, stop = self.client.take_ids(3, self.ledger.high)
        oca = f"pj-{self.client.endpoint.client_id}-{parent}"
        legs = (
            PlacedLeg(parent, Leg.ENTRY),
            PlacedLeg(target, Leg.TARGET, parent, oca),
            PlacedLeg(stop, Leg.STOP, parent, oca),
        )
        placed = self._record(row, at, self.contract.local_symbol, legs)
        head = self._order(placed, legs[0], row.side, row.qty, 0)
        head.transmit = False
        profit = self._order(placed, legs[1], -row.side, row.qty, row.target)
        profit.transmit = False
        loss = self._order(placed, legs[2], -row.side, row.qty, row.stop)
        with suppress(ConnectionError):  # cut off between them: the next connection reads back what arrived
            for order in (head, profit, loss):
                self.book.sent(placed.contract, order)
                self.client.put(self.contract, order)
        return placed

    async def fate(self, placed: Placed) -> Verdict:
        """Return what became of a market order's first leg; raises Detached."""
        number, ref = placed.legs[0].order_id, order_ref(placed.key)
        book = self.book

        def decided() -> bool:
            return book.taken(number) or book.ended(number) or number in book.refusals or self._asleep(number)

        await self._until(decided, TAKEN_S)
        if not book.taken(number):
            # A refusal, an end without a fill, or silence: only complete lists and executions decide.
            if self._asleep(number) or number not in book.refusals:
                self.client.cancel(number)
            if not await self._looked_twice():
                return Answered.UNKNOWN, "NOT_READ_BACK", number
        if book.taken(number) or book.executed(ref):
            return Answered.TAKEN, "", number
        if number in book.refusals or book.ended(number):
            return Answered.REFUSED, book.refusals.get(number, CANCELLED_CODE), number
        return Answered.UNKNOWN, "NOT_SEEN", number

    def _asleep(self, number: int) -> bool:
        seen = self.book.seen(number)
        return seen is not None and seen.status == "Inactive"

    # -- exits -------------------------------------------------------------------------------------------

    async def place_exits(self, row: OrderRow, at: tuple[str, int]) -> Verdict:
        """Make stop and target be exactly what the row says; an entry still working is over with it.

        More than the account holds is never covered; where report and executions disagree, protection comes first.
        """
        entries = [one for one in self.book.own(row.contract) if one.leg is Leg.ENTRY]
        if entries and not await self._cancel(entries):
            return Answered.UNKNOWN, "ENTRY_WORKS", 0
        if not await self.reread():
            return Answered.UNKNOWN, "NOT_READ_BACK", 0
        held = self.truth.now(row.contract)
        if held is not None and held * row.side < row.qty:
            return Answered.REFUSED, "POSITION", 0  # exits on what is not held would open a position
        contract = await self._find(row.contract)
        wanted = {kind: price for kind, price in ((Leg.STOP, row.stop), (Leg.TARGET, row.target)) if price and row.qty}
        kept, doomed = self._sorted(row, wanted)
        oca = next((self._oca(one) for one in kept.values()), "")
        numbers = await self._settle_legs(row, at, contract, (wanted, kept, oca))
        for one in doomed:
            self.client.cancel(one.name[1])

        def in_place() -> bool:
            gone = not any(one.name in {d.name for d in doomed} for one in self.book.own(row.contract))
            return gone and all(self._stands(numbers[kind], row.qty, price) for kind, price in wanted.items())

        refused = [number for number in numbers.values() if number in self.book.refusals]
        if await self._until(lambda: in_place() or bool(refused), TAKEN_S) and in_place():
            return Answered.TAKEN, "", next(iter(numbers.values()), 0)
        if not await self._looked_twice():
            return Answered.UNKNOWN, "NOT_READ_BACK", 0
        if in_place():
            return Answered.TAKEN, "", next(iter(numbers.values()), 0)
        codes = [self.book.refusals[number] for number in numbers.values() if number in self.book.refusals]
        return (Answered.REFUSED, codes[0], 0) if codes else (Answered.UNKNOWN, "NOT_IN_PLACE", 0)

    def _sorted(self, row: OrderRow, wanted: dict[Leg, int]) -> tuple[dict[Leg, Working], list[Working]]:
        """Return the working leg to keep (or amend) of each kind, and those to cancel."""
        kept: dict[Leg, Working] = {}
        doomed: list[Working] = []
        for one in self.book.own(row.contract):
            if one.leg not in {Leg.STOP, Leg.TARGET}:
                continue
            if one.leg in wanted and one.leg not in kept and one.side == -row.side:
                kept[one.leg] = one
            else:
                doomed.append(one)
        return kept, doomed

    async def _settle_legs(
        self,
        row: OrderRow,
        at: tuple[str, int],
        contract: Contract,
        plan: tuple[dict[Leg, int], dict[Leg, Working], str],
    ) -> dict[Leg, int]:
        """Amend and create legs, the stop first; return their order ids."""
        wanted, kept, oca = plan
        new = [kind for kind in wanted if kind not in kept]
        ids = self.client.take_ids(len(new), self.ledger.high) if new else []
        oca = oca or (f"pj-{self.client.endpoint.client_id}-{ids[0]}" if ids else "")
        made = dict(
            zip(new, (PlacedLeg(number, kind, 0, oca) for number, kind in zip(ids, new, strict=True)), strict=True)
        )
        placed = self._record(row, at, row.contract, tuple(made.values())) if made else None
        numbers: dict[Leg, int] = {}
        for kind, price in wanted.items():
            if placed is not None and kind in made:
                self._put(contract, self._order(placed, made[kind], -row.side, row.qty, price))
                numbers[kind] = made[kind].order_id
                continue
            numbers[kind] = number = kept[kind].name[1]
            before = self.ledger.of(*kept[kind].name)
            if before is not None and not self._stands(number, row.qty, price):
                whole = self.book.filled(number) + row.qty
                self._put(contract, self._order(before[0], before[1], -row.side, whole, price))
        return numbers

    def _oca(self, one: Working) -> str:
        known = self.ledger.of(*one.name)
        return known[1].oca if known else ""

    def _stands(self, number: int, qty: int, price_ticks: int) -> bool:
        """Tell whether that order works with this quantity and price, or has filled already."""
        seen = self.book.seen(number)
        if seen is None or seen.ended:
            return self.book.filled(number) > 0
        if seen.status == "Inactive" or not seen.status or seen.remaining != qty:
            return False
        text = seen.order.limit_price if seen.order.order_type.startswith("LMT") else seen.order.stop_price
        try:
            return self.instrument.to_ticks(text) == price_ticks
        except OffGrid:
            return False

    # -- close and cancel --------------------------------------------------------------------------------

    async def close(self, row: OrderRow, at: tuple[str, int]) -> Verdict:
        """Cancel what is ours in the contract, then trade the position that the account says it holds to flat."""
        own = self.book.own(row.contract)
        closing = next((one for one in own if one.key == row.key and one.leg is Leg.EXIT), None)
        if closing is not None:
            return Answered.TAKEN, "WORKING", closing.name[1]
        if not await self._cancel(own):
            return Answered.UNKNOWN, "CANCEL_UNANSWERED", 0
        qty = await self._position(row.contract)
        if qty is None:
            return Answered.UNKNOWN, "POSITION_LAGS", 0
        if qty == 0:
            return Answered.TAKEN, "FLAT", 0
        contract = await self._find(row.contract)
        leg = PlacedLeg(self.client.take_ids(1, self.ledger.high)[0], Leg.EXIT)
        placed = self._record(row, at, row.contract, (leg,))
        self._put(contract, self._order(placed, leg, -1 if qty > 0 else 1, abs(qty), 0))
        return await self.fate(placed)

    async def cancel(self, row: OrderRow) -> Verdict:
        """Cancel what is ours in the contract; other people's orders are left alone."""
        done = await self._cancel(self.book.own(row.contract))
        return (Answered.TAKEN, "", 0) if done else (Answered.UNKNOWN, "CANCEL_UNANSWERED", 0)

    async def _cancel(self, orders: list[Working]) -> bool:
        """Cancel the orders and return whether all are seen to have ended; parents first, their children follow."""
        names = {one.name for one in orders}
        for one in sorted(orders, key=lambda one: one.leg is not Leg.ENTRY):
            self.client.cancel(one.name[1])

        def gone() -> bool:
            return not any(one.name in names for one in self.book.working())

        if not names or await self._until(gone, CANCEL_S):
            return True
        return await self._looked_twice() and gone()

    async def _position(self, contract: str) -> int | None:
        """Return the position that report and executions agree on after a complete re-read, None in POSITION_S."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + POSITION_S
        while True:
            if not await self.reread():
                return None
            qty = self.truth.now(contract)
            if qty is not None or loop.time() >= deadline:
                return qty
            await asyncio.sleep(LOOK_S)

    # -- parts -------------------------------------------------------------------------------------------

    async def _looked_twice(self) -> bool:
        """Return whether two complete re-reads came: an order that both lack has ended."""
        for _ in range(2):
            await asyncio.sleep(LOOK_S)
            if not await self.reread():
                if not self.client.connected:
                    raise Detached
                return False
        return True

    async def _until(self, done: Callable[[], bool], within_s: float) -> bool:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + within_s
        while not done():
            if not self.client.connected:
                raise Detached
            left_s = deadline - loop.time()
            if left_s <= 0:
                return False
            with suppress(TimeoutError):
                await asyncio.wait_for(self.changed().wait(), min(LOOK_S, left_s))
        return True

    async def _find(self, name: str) -> Contract:
        if name == self.contract.local_symbol:
            return self.contract
        if name not in self._contracts:
            parts = (self.instrument.symbol, name, self.instrument.exchange, self.instrument.currency)
            self._contracts[name] = await self.client.find_contract(*parts)
        return self._contracts[name]

    def _record(self, row: OrderRow, at: tuple[str, int], contract: str, legs: tuple[PlacedLeg, ...]) -> Placed:
        placed = Placed(row.key, row.order, contract, self.client.endpoint.client_id, legs, *at, row.ts_ns)
        self.ledger.record(placed)
        return placed

    def _put(self, contract: Contract, order: Any) -> None:
        self.book.sent(contract.local_symbol, order)
        try:
            self.client.put(contract, order)
        except ConnectionError as error:
            raise Detached from error

    def _order(self, placed: Placed, leg: PlacedLeg, side: int, qty: int, price_ticks: int) -> Any:
        """Return the library's order for one leg; price 0 = at market."""
        price = float(self.instrument.to_points(price_ticks)) if price_ticks else 0.0
        kinds: dict[Leg, dict[str, Any]] = {
            Leg.STOP: {"orderType": "STP", "auxPrice": price, "tif": EXIT_TIF},
            Leg.TARGET: {"orderType": "LMT", "lmtPrice": price, "tif": EXIT_TIF},
        }
        terms = kinds.get(leg.leg, {"orderType": "MKT", "tif": ENTRY_TIF})
        if leg.oca:
            terms |= {"ocaGroup": leg.oca, "ocaType": OCA_REDUCE}
        return self.client.order(
            leg.order_id,
            action="BUY" if side > 0 else "SELL",
            totalQuantity=qty,
            orderRef=order_ref(placed.key),
            parentId=leg.parent_id,
            account=self.account,
            outsideRth=True,
            transmit=True,
            **terms,
        )
