"""Live one connection: connect, find the contract, subscribe, fetch history, watch, until it ends.

Four things are watched apart: the socket (closed), the gateway's mind (probe), the data of our subscriptions
(``FeedWatch``, 1100/2103 and their ends), and the account (position changes ask for executions). 21xx notices never
tear the socket down: 2103/1100 open a hole at once, 2104/1101/1102 subscribe anew, data closes the hole
(reference/tws.md section 1).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, Final, NoReturn

from live.market import NS_PER_S, Instrument
from live.trading_day import trade_date
from pj.channels.rundir import RunDir
from pj.channels.tape import GapReason
from pj.config import Settings
from pj.contracts import front_contract
from pj.ibkr.account import AccountRecorder
from pj.ibkr.capture import Capture
from pj.ibkr.client import ERROR_MESSAGE, MARKET_MESSAGES, Endpoint, GatewayClient, Hooks, Tap
from pj.ibkr.contracts import Contract
from pj.ibkr.errors import AccountMissing, FeedDead, GatewayError, GatewayUnavailable
from pj.ibkr.feed_watch import FeedWatch
from pj.ibkr.history import fetch_history, write_history
from pj.ibkr.liveness import Rung
from pj.ibkr.order_desk import OrderDesk
from pj.ibkr.ordering_client import OrderingClient

FEED_LOST: Final = frozenset({1100, 2103, 2110, 10182, 10197})
FEED_BACK: Final = frozenset({1102, 2104})
DATA_LOST: Final = 1101
FEED_REFUSED: Final = frozenset({200, 354, 420, 10089, 10090, 10168, 10186, 10187, 10189, 10190})
QUIET_CODES: Final = frozenset({2104, 2105, 2106, 2107, 2108, 2119, 2158})
FIRST_DATA_S: Final = 1.0
HISTORY_RETRY_S: Final = (15.0, 30.0, 60.0, 120.0, 300.0)
#: Well below the patience after which an entry without a sign of life is given up (live.engine PATIENCE): a round trip
#: between two looks changes no position, and then only this reading tells of its fills.
EXECUTIONS_EVERY_S: Final = 4.0
WATCH_S: Final = 0.25
log = logging.getLogger("pj.bridge")


class Session:
    """Hold what lives as long as one connection."""

    def __init__(
        self,
        settings: Settings,
        run: RunDir,
        instrument: Instrument,
        capture: Capture,
        recorder: AccountRecorder,
        feed_watch: FeedWatch,
        news: asyncio.Event,
        desk: OrderDesk | None = None,
    ) -> None:
        """Prepare; ``run`` connects. ``news`` is set once, when the session stands and its data flow.

        ``desk`` is there where the bridge places orders (route ibkr).
        """
        self._desk = desk
        self.client: GatewayClient | None = None
        self.contract: Contract | None = None
        self.server_offset_s = 0
        self.last_notice = ""
        self.history_bars = 0
        self.established = False  # account and contract are read, subscriptions are asked for
        self._settings = settings
        self._run = run
        self._instrument = instrument
        self._capture = capture
        self._recorder = recorder
        self._feed_watch = feed_watch
        self._news: asyncio.Event | None = news
        self._leaving = False
        self._ids: tuple[int, int] | None = None
        self._wanted = ""
        self._suspected = False
        self._account_moved = asyncio.Event()
        self._history_wanted = asyncio.Event()

    async def run(self) -> NoReturn:
        """Live until the connection ends; always leaves by an exception that says why.

        Raises GatewayError (try again), Misconfigured (do not), FeedDead (end the process), or what capturing raised.
        """
        taps: dict[int, Tap] = dict.fromkeys(MARKET_MESSAGES, self._capture.on_message)
        taps |= {ERROR_MESSAGE: self._capture.on_error_message, **self._recorder.taps()}
        self._recorder.connecting()
        ibkr = self._settings.ibkr
        maker = GatewayClient
        if self._desk is not None:
            self._desk.connecting(ibkr.client_id)
            maker = OrderingClient
            taps.update({msg_id: _both(tap, taps[msg_id]) for msg_id, tap in self._desk.taps().items()})
        endpoint = Endpoint(ibkr.host, ibkr.port, ibkr.client_id, ibkr.account, ibkr.library, ibkr.connect_timeout_s)
        client = await maker.connect(endpoint, Hooks(taps, self._on_batch, self._on_error))
        self.client = client
        try:
            await self._prepare(client)
            await _first_to_end(
                self._closed(client),
                self._probe(client),
                self._watch(client),
                self._history(client),
                self._fills(client),
                *([self._desk.live()] if self._desk is not None else []),
            )
        except (GatewayError, ConnectionError) as error:
            self._capture.suspect(GapReason.DISCONNECT)
            if client.failure is not None:
                raise client.failure from error
            if isinstance(error, ConnectionError):
                raise GatewayUnavailable(f"the connection to {endpoint} broke: {error}") from error
            raise
        finally:
            client.close()
            self._feed_watch.left()
            if self._desk is not None:
                self._desk.detach()
            if self.established:
                self._recorder.status("disconnected")
        raise GatewayUnavailable(f"the connection to {endpoint} ended")

    async def _prepare(self, client: GatewayClient) -> None:
        account = self._settings.ibkr.account
        if account and account not in client.accounts:
            known = ", ".join(client.accounts)
            raise AccountMissing(f"ibkr.account is {account} but this login has {known}; correct the key")
        await self._take_contract(client)
        if self._desk is not None and isinstance(client, OrderingClient):
            await self._desk.attach(client, lambda: self.contract)
        else:
            await client.refresh_executions()
            self._recorder.connected(self._wanted)
        log.info("CONNECTED library=%s server=%d contract=%s", client.library, client.server_version, self._wanted)
        self._recorder.flush()
        self.established = True
        self._tell_ready()

    async def _take_contract(self, client: GatewayClient) -> None:
        self._wanted = self._contract_name()
        self.contract = await client.find_contract(
            self._instrument.symbol, self._wanted, self._instrument.exchange, self._instrument.currency
        )
        self._subscribe(client, self.contract)
        self._history_wanted.set()

    def _contract_name(self) -> str:
        return self._settings.contract or front_contract(
            self._instrument.symbol, trade_date(self._capture.pace.stamp())
        )

    # -- subscriptions -----------------------------------------------------------------------------

    def _subscribe(
        self, client: GatewayClient, contract: Contract, *, trades: bool = True, quotes: bool = True
    ) -> None:
        """Ask for the data, or for one kind of it anew; the other subscription goes on untouched."""
        if self._ids is None:
            quotes_id, trades_id = client.subscribe_quotes(contract), client.subscribe_trades(contract)
        else:
            quotes_id, trades_id = self._ids
            if quotes:
                client.unsubscribe_quotes(quotes_id)
                quotes_id = client.subscribe_quotes(contract)
            if trades:
                client.unsubscribe_trades(trades_id)
                trades_id = client.subscribe_trades(contract)
        self._ids = quotes_id, trades_id
        self._suspected = False
        self._capture.subscribed(contract.local_symbol, *self._ids)
        log.info("SUBSCRIBED contract=%s quotes_id=%d trades_id=%d", contract.local_symbol, *self._ids)

    async def _watch(self, client: GatewayClient) -> NoReturn:
        """Repair a dead feed, go live without data when none is due at the start, roll at the day turn."""
        first = True
        self._feed_watch.connected(client)
        while True:
            await asyncio.sleep(WATCH_S)
            if self._leaving or self.contract is None:
                continue
            deed = self._feed_watch.look(client)
            if first and self._capture.live:
                first = False
            elif first and self._capture.waited_s >= FIRST_DATA_S and not self._feed_watch.due:
                first = False
                self._capture.go_live(self._capture.pace.stamp())
                self._capture.flush()
            if self._contract_name() != self._wanted:
                log.info("ROLL from=%s to=%s", self._wanted, self._contract_name())
                await self._take_contract(client)
            elif deed is not None:
                self._repair(client, self.contract, deed)

    def _repair(self, client: GatewayClient, contract: Contract, deed: Rung) -> None:
        """Do what the ladder asks for; the upper rungs leave by an exception.

        Trades that are only quiet may live: what passes between cancelling and asking anew is a hole then, too.
        """
        why = self._feed_watch.why()
        if deed is Rung.RESTART:
            raise FeedDead(f"no new subscription and no new connection brought the feed back ({why}); restarting")
        if deed is Rung.RECONNECT:
            raise GatewayUnavailable(f"the feed is dead on a living socket ({why}); connecting anew")
        trades, quotes = self._feed_watch.dead
        if trades and not quotes and self._capture.live:
            self._capture.suspect(GapReason.FEED)
        self._subscribe(client, contract, trades=trades, quotes=quotes)

    async def leave(self, within_s: float) -> bool:
        """End the subscriptions and return whether all that was sent before has been read and written.

        The gateway answers in order: what it sent before our cancel lies before its answer to a last question.
        """
        client = self.client
        if client is None or not client.connected or self._ids is None:
            return True
        self._leaving = True
        quotes_id, trades_id = self._ids
        client.unsubscribe_trades(trades_id)
        client.unsubscribe_quotes(quotes_id)
        drained = await client.drain(within_s)
        self._capture.flush()
        log.info("LEFT drained=%s", str(drained).lower())
        return drained

    def _on_error(self, req_id: int, code: int, text: str) -> None:
        if self._desk is not None:
            self._desk.on_error(req_id, code)
        if code not in QUIET_CODES:
            self.last_notice = f"{code} {text}"[:200]
            log.warning("NOTICE code=%d req_id=%d text=%r", code, req_id, text)
        ours = self._ids is not None and req_id in self._ids
        if self._ids is None or self.client is None or self.contract is None:
            return
        if code in FEED_LOST or (ours and code in FEED_REFUSED):
            self._suspected = True
            self._capture.suspect(GapReason.FEED)
            if code in FEED_LOST:
                self._feed_watch.announced()
            else:
                self._feed_watch.refused()
        elif code == DATA_LOST or (code in FEED_BACK and self._suspected and not self._capture.live):
            self._subscribe(self.client, self.contract)
            self._feed_watch.resubscribed += 1

    # -- the rest of the life ------------------------------------------------------------------------

    def _on_batch(self) -> None:
        self._capture.on_batch()
        self._tell_ready()
        if self._desk is not None:
            self._desk.on_batch()
        if self._recorder.position_changes:
            self._recorder.position_changes = 0
            self._account_moved.set()
        self._recorder.flush()

    def _tell_ready(self) -> None:
        if self._news is not None and self.established and self._capture.live:
            self._news.set()
            self._news = None

    async def _closed(self, client: GatewayClient) -> NoReturn:
        await client.closed.wait()
        if client.failure is not None:
            raise client.failure
        raise GatewayUnavailable(f"the gateway at {client.endpoint} closed the connection")

    async def _probe(self, client: GatewayClient) -> NoReturn:
        ibkr = self._settings.ibkr
        while True:
            await asyncio.sleep(ibkr.probe_s)
            server_s = await client.probe(ibkr.probe_timeout_s)
            if server_s:
                self.server_offset_s = server_s - self._capture.pace.stamp() // NS_PER_S

    async def _history(self, client: GatewayClient) -> NoReturn:
        """Fetch at start, after a roll and at each day turn; a refusal is tried again at a widening interval."""
        tries = 0
        while True:
            self._history_wanted.clear()
            day = self._run.day_at(self._capture.pace.stamp())
            try:
                if self.contract is not None:
                    await self._fetch(client, self.contract)
                tries = 0
            except GatewayError as error:
                log.warning("HISTORY_FAILED error=%r", str(error))
                wait_s = HISTORY_RETRY_S[min(tries, len(HISTORY_RETRY_S) - 1)]
                tries += 1
                await asyncio.sleep(wait_s)
                continue
            while not self._history_wanted.is_set() and self._run.day_at(self._capture.pace.stamp()) == day:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._history_wanted.wait(), 0.5)

    async def _fetch(self, client: GatewayClient, contract: Contract) -> None:
        now_ns = self._capture.pace.stamp()
        bars = await fetch_history(client, contract, self._instrument, now_ns, self._settings.ibkr.history_days)
        write_history(self._run.day_at(now_ns), bars, self._instrument)
        self.history_bars = len(bars)
        log.info("HISTORY bars=%d contract=%s", len(bars), contract.local_symbol)

    async def _fills(self, client: GatewayClient) -> NoReturn:
        """Read executions and orders of all clients back after each position change, and now and then anyway."""
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._account_moved.wait(), EXECUTIONS_EVERY_S)
            self._account_moved.clear()
            await client.refresh_executions()


def _both(first: Tap, second: Tap) -> Tap:
    """Return a tap that lets both see a message; it is consumed when either says so."""

    def tap(fields: list[str]) -> bool:
        consumed = first(fields)
        return second(fields) or consumed

    return tap


async def _first_to_end(*coroutines: Coroutine[Any, Any, NoReturn]) -> None:
    """Run all until one ends, cancel the others, and raise what ended it."""
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
