"""Talk to one gateway through ib_async or ib_insync, asyncio style only, hiding where they differ.

What must not be lost (ticks, fills, positions) is read by taps at the decoder, before the library
looks at it: both libraries drop or rewrite messages (reference/tws.md sections 1 and 4). A tap
that returns True has consumed the message and the library never sees it; that is how our own
market data subscriptions run at half the cost and without the library's tick-type assertions.
One GatewayClient is one connection: a reconnect makes a new one, so no stale ticker survives.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from pj.ibkr.contracts import Contract
from pj.ibkr.errors import ClientIdInUse, GatewayError, GatewayUnavailable, UnknownContract
from pj.ibkr.library import check_decoder_hook, library_version, load_library

Tap = Callable[[list[str]], bool]
ErrorSink = Callable[[int, int, str], None]

MARKET_MESSAGES: Final = (1, 2, 45, 46, 57, 58, 81, 99)
ACCOUNT_MESSAGES: Final = (3, 5, 6, 11, 59, 61)
ERROR_MESSAGE: Final = 4
TIME_MESSAGE: Final = 49
SLICE_S: Final = 0.25
CLIENT_ID_IN_USE: Final = 326
HISTORY_REFUSED: Final = 162
NO_DATA: Final = "returned no data"
log = logging.getLogger("pj.bridge.client")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Say where the gateway listens and who we are there; times in real seconds."""

    host: str
    port: int
    client_id: int
    account: str = ""
    library: str = "auto"
    connect_timeout_s: float = 4.0

    def __str__(self) -> str:
        """Return ``host:port as client N``."""
        return f"{self.host}:{self.port} as client {self.client_id}"


@dataclass(slots=True)
class Hooks:
    """Gather what a client calls back: taps by message id, the end of each TCP read, gateway errors."""

    taps: Mapping[int, Tap] = field(default_factory=dict)
    on_batch: Callable[[], None] | None = None
    on_error: ErrorSink | None = None


class GatewayClient:
    """Hold one live connection; make it with ``await GatewayClient.connect(...)``."""

    def __init__(self, endpoint: Endpoint, hooks: Hooks | None = None) -> None:
        """Prepare the library object and its taps; nothing is sent yet. Needs a running loop.

        Raises LibraryUnusable when the library or its decoder hook is missing.
        """
        self.endpoint = endpoint
        self.closed = asyncio.Event()
        self.failure: BaseException | None = None
        self._hooks = hooks or Hooks()
        self._module = load_library(endpoint.library)
        self.library = library_version(self._module)
        self._ib = self._module.IB()
        self._unanswered: set[str] = set()
        self._history_refusal = ""
        self.probes_heard = 0
        self._probes_sent = 0
        self._probe_heard = asyncio.Event()
        self._in_use: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        check_decoder_hook(self._ib, (*MARKET_MESSAGES, *ACCOUNT_MESSAGES, ERROR_MESSAGE, TIME_MESSAGE), self.library)
        self._install()

    @classmethod
    async def connect(cls, endpoint: Endpoint, hooks: Hooks | None = None) -> GatewayClient:
        """Return a ready session (handshake, accounts, positions, open orders, executions read).

        Raises ClientIdInUse at once on error 326, GatewayUnavailable otherwise, each in one sentence.
        """
        client = cls(endpoint, hooks)
        await client._open()
        return client

    async def _open(self) -> None:
        where = str(self.endpoint)
        attempt = asyncio.ensure_future(
            self._ib.connectAsync(
                self.endpoint.host,
                self.endpoint.port,
                clientId=self.endpoint.client_id,
                timeout=self.endpoint.connect_timeout_s,
                account=self.endpoint.account,
            )
        )
        try:
            await asyncio.wait({attempt, self._in_use}, return_when=asyncio.FIRST_COMPLETED)
            if self._in_use.done():
                raise ClientIdInUse(
                    f"the client id is already in use at {where}; stop the other program or set ibkr.client_id"
                )
            await attempt
        except TimeoutError as error:
            raise GatewayUnavailable(
                f"no answer from the gateway at {where} within {self.endpoint.connect_timeout_s} s"
            ) from error
        except OSError as error:
            raise GatewayUnavailable(f"no gateway listens at {where}: {error}") from error
        finally:
            if not attempt.done():
                attempt.cancel()
                with suppress(asyncio.CancelledError, Exception):
                    await attempt
        if self.failure is not None:
            raise self.failure
        if self.closed.is_set():
            raise GatewayUnavailable(f"the gateway at {where} closed the connection during the handshake")

    def _install(self) -> None:
        handlers: dict[int, Callable[[list[str]], None]] = self._ib.client.decoder.handlers
        for msg_id, tap in self._hooks.taps.items():
            handlers[msg_id] = self._wrapped(tap, handlers[msg_id])
        handlers[TIME_MESSAGE] = self._wrapped(self._on_time, handlers[TIME_MESSAGE])
        self._ib.errorEvent += self._on_error
        self._ib.disconnectedEvent += self._on_disconnected
        if self._hooks.on_batch is not None:
            self._ib.updateEvent += self._guarded_batch

    def _wrapped(self, tap: Tap, original: Callable[[list[str]], None]) -> Callable[[list[str]], None]:
        def handle(fields: list[str]) -> None:
            try:
                if tap(fields):
                    return
            except Exception as error:  # noqa: BLE001 - the library would log it and go on
                self._fail(error)
                return
            original(fields)

        return handle

    def _guarded_batch(self) -> None:
        try:
            if self._hooks.on_batch is not None:
                self._hooks.on_batch()
        except Exception as error:  # noqa: BLE001 - likewise: a full disk must not be a mere log line
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        if self.failure is None:
            self.failure = error
            log.critical("event=capture_failed error=%r", error, exc_info=error)
        self.closed.set()

    def _on_error(self, req_id: int, code: int, text: str, *_: object) -> None:
        if code == HISTORY_REFUSED:
            self._history_refusal = text
        if code == CLIENT_ID_IN_USE and not self._in_use.done():
            self._in_use.set_result(None)
        if self._hooks.on_error is not None:
            try:
                self._hooks.on_error(req_id, code, text)
            except Exception as error:  # noqa: BLE001 - likewise
                self._fail(error)

    def _on_time(self, _fields: list[str]) -> bool:
        self.probes_heard += 1
        self._probe_heard.set()
        return False

    def _on_disconnected(self) -> None:
        self.closed.set()
        self._probe_heard.set()

    # -- session -------------------------------------------------------------------------------------

    @property
    def connected(self) -> bool:
        """Return whether the session stands."""
        return bool(self._ib.isConnected()) and not self.closed.is_set()

    @property
    def server_version(self) -> int:
        """Return the negotiated protocol version."""
        return int(self._ib.client.serverVersion())

    @property
    def accounts(self) -> list[str]:
        """Return the account names under this login."""
        return [str(a) for a in self._ib.client.getAccounts()]

    def traffic(self) -> int:
        """Return bytes received on this connection (0 when closed)."""
        return int(self._ib.client.connectionStats().numBytesRecv) if self._ib.client.isReady() else 0

    def close(self) -> None:
        """Close the connection; safe to call twice."""
        self._ib.disconnect()
        self.closed.set()

    async def probe(self, timeout_s: float) -> int:
        """Ask the gateway's time; return it in epoch seconds.

        A gateway that sends other bytes meanwhile is slow, not dead (0 is returned): only silence raises
        GatewayUnavailable. The time-out counts in slices: sleep of the machine, gateway and all, is not silence.
        """
        before = self.traffic()
        self._probes_sent += 1
        answer = asyncio.ensure_future(self._ib.reqCurrentTimeAsync())
        try:
            for _ in range(max(1, math.ceil(timeout_s / SLICE_S))):
                await asyncio.wait({answer}, timeout=min(SLICE_S, timeout_s))
                if answer.done():
                    moment = await answer
                    return int(moment.timestamp()) if moment else 0
        except ConnectionError as error:
            raise GatewayUnavailable(f"the gateway at {self.endpoint} dropped the connection") from error
        finally:
            answer.cancel()
        if self.traffic() > before:
            return 0
        raise GatewayUnavailable(f"the gateway at {self.endpoint} did not answer a probe within {timeout_s} s")

    async def drain(self, timeout_s: float) -> bool:
        """Return whether everything was read that the gateway sent before this question: its answer comes behind it.

        Answers to earlier probes are told apart by their number. False after ``timeout_s`` or when the wire broke.
        """
        self._probes_sent += 1
        self._ib.client.reqCurrentTime()
        try:
            async with asyncio.timeout(timeout_s):
                while self.probes_heard < self._probes_sent and self.connected:
                    self._probe_heard.clear()
                    await self._probe_heard.wait()
        except TimeoutError:
            return False
        return self.connected

    # -- contracts and data ---------------------------------------------------------------------------

    async def find_contract(
        self, symbol: str, local_symbol: str, exchange: str = "CME", currency: str = "USD", timeout_s: float = 10.0
    ) -> Contract:
        """Return the one futures contract with this local symbol; raises UnknownContract."""
        wanted = self._module.Future(symbol=symbol, localSymbol=local_symbol, exchange=exchange, currency=currency)
        try:
            found = await asyncio.wait_for(self._ib.reqContractDetailsAsync(wanted), timeout_s)
        except TimeoutError as error:
            raise GatewayUnavailable(f"the gateway did not describe {local_symbol} within {timeout_s} s") from error
        for details in found:
            native = details.contract
            if native.localSymbol == local_symbol:
                native.exchange = native.exchange or exchange
                native.lastTradeDateOrContractMonth = native.lastTradeDateOrContractMonth.split()[0]
                return Contract(
                    int(native.conId), native.symbol, native.localSymbol, native.exchange, native.currency,
                    native.lastTradeDateOrContractMonth, str(native.multiplier), float(details.minTick), native,
                )  # fmt: skip
        raise UnknownContract(
            f"the gateway knows no contract {local_symbol} of {symbol} on {exchange};"
            " set contract in config.yaml or check the roll table"
        )

    def subscribe_quotes(self, contract: Contract) -> int:
        """Ask for bid, ask, sizes and last; return the request id. A tap must consume the answers."""
        req_id = int(self._ib.client.getReqId())
        self._ib.client.reqMktData(req_id, contract.native, "", False, False, [])
        return req_id

    def subscribe_trades(self, contract: Contract) -> int:
        """Ask for every trade print (tick-by-tick Last); return the request id. A tap must consume the answers."""
        req_id = int(self._ib.client.getReqId())
        self._ib.client.reqTickByTickData(req_id, contract.native, "Last", 0, False)
        return req_id

    def unsubscribe_quotes(self, req_id: int) -> None:
        """Cancel the quote subscription of that request."""
        self._ib.client.cancelMktData(req_id)

    def unsubscribe_trades(self, req_id: int) -> None:
        """Cancel the trade subscription of that request."""
        self._ib.client.cancelTickByTickData(req_id)

    async def minute_bars(self, contract: Contract, days: int, timeout_s: float = 30.0) -> list[Any]:
        """Return 1-minute TRADES bars of the last ``days`` days, oldest first, as the library's BarData.

        Times are UTC (formatDate 2). Empty when the gateway says that there are none; raises GatewayError when it
        refuses (pacing) or does not answer.
        """
        self._history_refusal = ""
        bars = await self._ib.reqHistoricalDataAsync(
            contract.native, "", f"{days} D", "1 min", "TRADES", useRTH=False, formatDate=2, timeout=timeout_s
        )
        if not bars and NO_DATA not in self._history_refusal:
            why = self._history_refusal or f"no answer within {timeout_s} s"
            raise GatewayError(f"the gateway gave no 1-minute history for {contract.local_symbol}: {why}")
        return list(bars)

    # -- orders ----------------------------------------------------------------------------------------

    def new_order(self, **terms: Any) -> Any:
        """Return a library order with a fresh id; ``tif`` is required (error 10349, tws.md section 1)."""
        if not terms.get("tif"):
            raise ValueError("an order needs an explicit tif")
        return self._module.Order(orderId=int(self._ib.client.getReqId()), **terms)

    def place(self, contract: Contract, order: Any) -> None:
        """Send the order; its fate arrives through the taps."""
        self._ib.placeOrder(contract.native, order)

    def cancel(self, order_id: int) -> None:
        """Ask the gateway to cancel one of this client's orders; its fate arrives through the taps."""
        self._ib.client.cancelOrder(order_id, "")

    # -- account ---------------------------------------------------------------------------------------

    async def refresh_executions(self, timeout_s: float = 5.0) -> bool:
        """Make the gateway repeat the day's executions and all open orders, other clients' too (the taps see them).

        A gateway set to Read-Only API answers neither: that is logged once per connection and not asked again. Whether
        the gateway lives is the probe's question, so silence here does not end the session. Returns whether both came.
        """
        for name, ask in (("executions", self._ib.reqExecutionsAsync), ("open orders", self._ib.reqAllOpenOrdersAsync)):
            if name in self._unanswered:
                continue
            try:
                await asyncio.wait_for(ask(), timeout_s)
            except TimeoutError:
                self._unanswered.add(name)
                log.warning("NO_ANSWER to=%r hint=%r", name, "is the gateway set to Read-Only API?")
        return not self._unanswered
