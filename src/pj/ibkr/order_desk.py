"""Take the engine's orders from orders.jsonl and answer each in broker_events.csv (route ibkr, docs/adr/0008).

A row is obeyed only from the engine that holds the fence, an entry only while it is young, allowed by the switches and
on a connection whose orders, executions and positions were read back whole. An entry key is placed at most once for
ever. What was cut off by an end (of us, the gateway, the line) is settled by the next complete re-read: found is TAKEN,
not found is UNKNOWN and never placed again; exits are asked for anew by the engine and placed by the actual position.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from time import monotonic
from typing import Any, Final, NoReturn

from live.events import Leg
from live.execution_bridge import CANCELLED_CODE, order_ref
from live.market import NS_PER_S, Instrument
from pj.channels.fence import read_fence
from pj.channels.files import WriteFailed
from pj.channels.orders import Answered, Asked, OrderRow
from pj.channels.rundir import RunDir
from pj.channels.switches import entry_forbidden
from pj.clock import Clock
from pj.config import Settings
from pj.ibkr.account import AccountRecorder
from pj.ibkr.account_view import SERVERS_BACK, SERVERS_LOST
from pj.ibkr.account_wire import read_execution, read_position
from pj.ibkr.client import Tap
from pj.ibkr.contracts import Contract
from pj.ibkr.errors import AccountMissing, GatewayError
from pj.ibkr.order_acts import Detached, OrderActs, Verdict
from pj.ibkr.order_book import OrderBook, Working
from pj.ibkr.order_inbox import OrderInbox, cells, recall, tolerant
from pj.ibkr.ordering_client import OrderingClient
from pj.ibkr.placed import Placed, PlacedLedger
from pj.ibkr.position_truth import PositionTruth

REREAD_S: Final = 5.0
TELL_AGAIN_S: Final = 30.0
YOUNG_S: Final = 120.0
OLD_EXIT_S: Final = 30.0
ENGINE: Final = "engine"
log = logging.getLogger("pj.bridge.orders")


class OrderDesk:
    """Place orders for as long as the bridge lives; a session is attached and detached as connections come and go."""

    def __init__(
        self,
        settings: Settings,
        run: RunDir,
        instrument: Instrument,
        clock: Clock,
        recorder: AccountRecorder,
        max_qty: int,
    ) -> None:
        """Read the ledger and the last picture of the account; raises Locked, WriteFailed."""
        self.ready = False
        self.answers: dict[str, int] = {}
        self._settings = settings
        self._run = run
        self._instrument = instrument
        self._clock = clock
        self._recorder = recorder
        self._max_qty = max_qty
        self._inbox = OrderInbox(run, clock)
        self._ledger = PlacedLedger(run, clock.now_ns())
        self._cursor = self._ledger.cursor
        self._book = OrderBook(self._ledger, instrument.symbol, settings.ibkr.account)
        self._truth = PositionTruth()
        self._client: OrderingClient | None = None
        self._contract: Callable[[], Contract | None] = lambda: None
        self._acts: OrderActs | None = None
        self._changed = asyncio.Event()
        self._look = asyncio.Event()
        self._turn = asyncio.Lock()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._failure: BaseException | None = None
        self._cut_off = False
        self._watched: dict[str, Placed] = {}
        self._told: tuple[Working, ...] | None = None
        self._told_at = self._young_until = 0.0
        recall(run, self._truth)

    # -- the connection ----------------------------------------------------------------------------------

    def taps(self) -> dict[int, Tap]:
        """Return the taps to install on a connection, before the recorder's."""
        readers = {
            3: self._book.on_status,
            5: self._book.on_open_order,
            11: self._on_execution,
            61: self._on_position,
        }
        return {msg_id: tolerant(reader) for msg_id, reader in readers.items()}

    def connecting(self, client_id: int) -> None:
        """Prepare for a new connection: what the last one showed is forgotten."""
        self._book.session_began(client_id)
        self._told = None

    async def attach(self, client: OrderingClient, contract: Callable[[], Contract | None]) -> None:
        """Take a connection and read everything back; without a complete answer orders wait (``live`` tries again).

        Raises AccountMissing when the login has several accounts and none is chosen.
        """
        account = self._settings.ibkr.account
        if not account and len(client.accounts) != 1:
            raise AccountMissing(f"this login has accounts {', '.join(client.accounts)}; set ibkr.account to trade")
        book, truth = self._book, self._truth
        client.marks = (book.listing_began, book.listing_ended, truth.listing_began, truth.listing_ended)
        self._client, self._contract, self._cut_off = client, contract, False
        await self._reread()

    def detach(self) -> None:
        """Let go of the connection; acts in progress end by themselves."""
        self._client = self._acts = None
        self._ready_is(ready=False)
        self._tell_change()

    async def live(self) -> NoReturn:
        """Look at the whole account every REREAD_S and whenever the gateway is back; a task of the session."""
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._look.wait(), REREAD_S)
            self._look.clear()
            await self._reread()

    async def _reread(self) -> bool:
        """Return whether the account was read whole; the first time it makes the desk ready."""
        client, contract = self._client, self._contract()
        if client is None or contract is None or self._cut_off or not await client.refresh_executions():
            if self.ready:
                log.warning("ORDERS_BLIND why=%r", "the gateway does not tell orders, executions and positions")
                self._ready_is(ready=False)
            return False
        if client is not self._client or self._cut_off:
            return False
        if not self.ready or self._acts is None or self._acts.contract is not contract:
            self._acts = self._new_acts(client, contract)
        if not self.ready:
            self._settle_cut_off(client)
            self._recorder.connected(contract.local_symbol)
            self._ready_is(ready=True)
            log.info("ORDERS_READY high=%d working=%d", self._ledger.high, len(self._book.working()))
        self._tell_orders(reread=True)
        self._recorder.flush()
        return True

    def _ready_is(self, *, ready: bool) -> None:
        if self.ready and not ready:
            self._recorder.status("disconnected")
            self._recorder.connecting()  # the reader has forgotten the account: the next re-read is written whole
        self.ready, self._told = ready, None
        self._young_until = monotonic() + YOUNG_S

    def _new_acts(self, client: OrderingClient, contract: Contract) -> OrderActs:
        account = self._settings.ibkr.account or client.accounts[0]
        parts = (self._instrument, self._ledger, self._book, self._truth)
        return OrderActs(client, contract, account, *parts, self._reread, lambda: self._changed)

    def _settle_cut_off(self, client: OrderingClient) -> None:
        """Answer for entries whose placing was cut off, by what the complete re-read shows."""
        for placed in self._ledger.unanswered():
            if placed.key in self._tasks:
                continue
            number = placed.legs[0].order_id
            found = self._book.taken(number) or self._book.executed(order_ref(placed.key))
            if found or any(one.key == placed.key for one in self._book.working()):
                self._watched[placed.key] = placed
                self._answer(placed.key, (Answered.TAKEN, "", number), (placed.day, placed.seq))
            else:
                client.cancel(number)  # should it come to light after all, it is not wanted any more
                self._answer(placed.key, (Answered.UNKNOWN, "NOT_FOUND", number), (placed.day, placed.seq))

    # -- what the gateway says -----------------------------------------------------------------------------

    def on_batch(self) -> None:
        """End of one read from the wire: whoever waits looks again, and changes are told."""
        self._tell_change()
        if self.ready:
            self._watch_entries()
            self._tell_orders()

    def on_error(self, order_id: int, code: int) -> None:
        """Take an error or notice; a gateway cut off from IB tells old news until it is back."""
        if code in SERVERS_LOST:
            self._cut_off = True
            self._ready_is(ready=False)
        elif code in SERVERS_BACK:
            self._cut_off = False
            self._look.set()
        self._book.on_error(order_id, code)

    def _on_execution(self, fields: list[str]) -> None:
        self._book.on_execution(fields)
        seen = read_execution(fields)
        if self._recorder.mine(seen.account):
            self._truth.executed(seen.exec_id, seen.contract, seen.side * int(Decimal(seen.qty)))

    def _on_position(self, fields: list[str]) -> None:
        if self.ready:
            self._tell_orders()  # before the position: what it is protected by must not be told after it
        seen = read_position(fields)
        if self._recorder.mine(seen.account):
            self._truth.reported(seen.contract, seen.qty)

    def _tell_change(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def _watch_entries(self) -> None:
        """Tell the engine when an entry that was taken ends before it is filled whole (201 late, a cancel in TWS)."""
        for key, placed in list(self._watched.items()):
            number = placed.legs[0].order_id
            if not self._book.ended(number) or key in self._tasks:
                continue
            del self._watched[key]
            if not self._book.whole(number):
                why = self._book.refusals.get(number, CANCELLED_CODE)
                self._answer(key, (Answered.REFUSED, why, number), (placed.day, placed.seq))

    def _tell_orders(self, *, reread: bool = False) -> None:
        """Write the working orders when they changed; the end of a re-read always while an entry is young, or rarely.

        Only what was read anew after its answer lets the engine conclude that an entry is lost.
        """
        shown = tuple(self._book.working())
        now_s = monotonic()
        due = reread and (now_s < self._young_until or now_s - self._told_at >= TELL_AGAIN_S)
        if shown == self._told and not due:
            return
        self._told = shown
        if reread:
            self._told_at = now_s
        self._recorder.working_orders([cells(one, self._instrument) for one in shown], reread=reread)

    # -- what the engine asks ------------------------------------------------------------------------------

    async def run(self) -> NoReturn:
        """Follow orders.jsonl; a task of the bridge. A fault of ours ends it."""
        try:
            while True:
                if self._failure is not None:
                    raise self._failure
                for row, at in self._inbox.rows():
                    self._take(row, at)
                await self._inbox.wait()
        finally:
            self._inbox.close()
            for task in self._tasks.values():
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def close(self) -> None:
        """Give the ledger back."""
        self._ledger.close()

    def _take(self, row: OrderRow, at: tuple[str, int]) -> None:
        """Answer a row that may not be obeyed, begin to obey any other; a row is taken once."""
        if at <= self._cursor:
            return
        self._cursor = at
        if row.order is Asked.ENTRY:
            self._young_until = monotonic() + YOUNG_S
        if row.key in self._tasks:
            return  # in progress: its answer will come
        refusal = self._why_not_entry(row) if row.order is Asked.ENTRY else self._why_not(row)
        log.info("ORDER key=%s order=%s seq=%d refusal=%r", row.key, row.order, row.seq, refusal[1] if refusal else "")
        if refusal is not None:
            self._answer(row.key, refusal, at)
            return
        self._tasks[row.key] = asyncio.ensure_future(self._obey(row, at))

    def _fenced(self, row: OrderRow) -> bool:
        holder = read_fence(self._run, ENGINE)
        return holder is None or (holder.epoch, holder.instance) != (row.epoch, row.instance)

    def _age_s(self, since_ns: int) -> float:
        return (self._clock.now_ns() - since_ns) / NS_PER_S / self._clock.speed

    def _why_not(self, row: OrderRow) -> Verdict | None:
        if self._fenced(row):
            return Answered.REFUSED, "FENCED", 0
        if self._age_s(row.ts_ns) > OLD_EXIT_S:
            return Answered.UNKNOWN, "STALE", 0
        return None if self.ready else (Answered.UNKNOWN, "NOT_CONNECTED", 0)

    def _why_not_entry(self, row: OrderRow) -> Verdict | None:
        """Return what stands against an entry; one that was placed before only gets its answer again."""
        before = self._ledger.entry(row.key)
        if before is not None:
            known = self._ledger.answer(row.key) or Answered.UNKNOWN.value
            return Answered(known), "PLACED_BEFORE", before.legs[0].order_id
        contract = self._contract()
        tests = (
            (self._fenced(row), "FENCED"),
            (bool(self._ledger.damaged), "LEDGER_DAMAGED"),
            (self._age_s(row.signal_ts_ns) > self._settings.execution.max_signal_age_s, "STALE_SIGNAL"),
            (not self.ready, "NOT_CONNECTED"),
            (contract is None or contract.local_symbol != row.contract, "CONTRACT"),
            (not 1 <= row.qty <= self._max_qty, "QUANTITY"),
            (row.stop <= 0 or row.target <= 0, "NO_EXITS"),
            (any(one.leg is Leg.ENTRY for one in self._book.own(row.contract)), "BUSY"),
        )
        why = next((name for stands, name in tests if stands), "") or entry_forbidden(self._run)
        return (Answered.REFUSED, why, 0) if why else None

    async def _obey(self, row: OrderRow, at: tuple[str, int]) -> None:
        try:
            self._answer(row.key, await self._act(row, at), at)
        except Detached:
            # An entry is settled by the next complete re-read; the others are asked for again by the engine.
            if row.order is not Asked.ENTRY:
                self._answer(row.key, (Answered.UNKNOWN, "DISCONNECTED", 0), at)
        except GatewayError as error:
            log.warning("ORDER_FAILED key=%s error=%r", row.key, str(error))
            self._answer(row.key, (Answered.UNKNOWN, type(error).__name__, 0), at)
        except Exception as error:  # noqa: BLE001 - a fault of ours ends the bridge; run() raises it
            self._failure = error
        finally:
            del self._tasks[row.key]

    async def _act(self, row: OrderRow, at: tuple[str, int]) -> Verdict:
        acts = self._acts
        if acts is None:
            raise Detached
        if row.order is Asked.ENTRY:
            try:
                placed = acts.begin_entry(row, at)
            except WriteFailed as error:
                log.error("LEDGER_FAILED error=%r", str(error))  # noqa: TRY400 - one sentence
                return Answered.REFUSED, "DISK", 0  # nothing has left
            self._watched[row.key] = placed
            return await acts.fate(placed)
        async with self._turn:
            await self._entries_answered()
            try:
                match row.order:
                    case Asked.EXITS:
                        return await acts.place_exits(row, at)
                    case Asked.EXIT:
                        return await acts.close(row, at)
                    case Asked.CANCEL:
                        return await acts.cancel(row)
            except WriteFailed as error:
                log.error("LEDGER_FAILED error=%r", str(error))  # noqa: TRY400 - one sentence
                return Answered.UNKNOWN, "DISK", 0

    async def _entries_answered(self) -> None:
        """Wait for entries under way, so that what they became is cancelled and closed, too."""
        entries = [task for key, task in self._tasks.items() if self._ledger.entry(key) is not None]
        if entries:
            await asyncio.wait(entries)

    def _answer(self, key: str, verdict: Verdict, at: tuple[str, int]) -> None:
        word, why, number = verdict
        self.answers[word.value] = self.answers.get(word.value, 0) + 1
        log.info("ANSWER key=%s answer=%s why=%s order_id=%d", key, word.value, why, number)
        self._recorder.answer(key, f"{word.value}:{why}" if why else word.value, number)
        self._recorder.flush()
        try:
            self._ledger.note_answer(key, word, at, self._clock.now_ns())
        except WriteFailed as error:
            log.error("LEDGER_FAILED error=%r", str(error))  # noqa: TRY400 - one sentence

    def gauges(self) -> dict[str, Any]:
        """Return what the stats file says of the desk."""
        return {
            "orders_ready": self.ready,
            "orders_working": len(self._book.working()),
            "order_id_high": self._ledger.high,
            "order_answers": dict(self.answers),
            "order_rows_bad": self._inbox.bad_rows,
            "order_trouble": self._ledger.damaged,
        }
