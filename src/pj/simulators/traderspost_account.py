"""Trade accepted signals on a gateway account, the way TradersPost trades them (services.md 1.3).

One thread with an event loop of its own holds an ordinary API connection and works the signals
off in order. Nothing is retried at this stage: what the account refuses is a REJECTED row.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any, Final

from live.market import INSTRUMENTS, Instrument
from pj.clock import Clock
from pj.contracts import parse_contract
from pj.ibkr.errors import GatewayError
from pj.ibkr.orders import OrderClient
from pj.simulators.traderspost_rules import Signal

RECONNECT_S: Final = 0.5
FILL_WAIT_S: Final = 120.0
Record = Callable[..., None]


class Rejected(Exception):
    """Report why an accepted signal was not traded."""


@dataclass(frozen=True, slots=True)
class Subscription:
    """Hold the switches of the TradersPost subscription; the defaults are those our README asks for."""

    side_swapping: bool = False
    allow_add: bool = False
    default_quantity: int = 1


class GatewayAccount:
    """Execute signals on the account behind ``host:port``; ``record`` receives (kind, **data) rows."""

    def __init__(
        self,
        host: str,
        port: int,
        clock: Clock,
        record: Record,
        client_id: int = 900,
        subscription: Subscription | None = None,
    ) -> None:
        """Start the thread; it connects, and reconnects whenever the gateway is there again."""
        self._address = (host, port, client_id)
        self._clock = clock
        self._record = record
        self._subscription = subscription or Subscription()
        self._loop = asyncio.new_event_loop()
        self._signals: asyncio.Queue[tuple[str, Signal]] = asyncio.Queue()
        self._client: OrderClient | None = None
        self._positions: dict[str, int] = {}
        self._thread = threading.Thread(target=self._run, name="account", daemon=True)
        self._thread.start()

    @property
    def connected(self) -> bool:
        """Return whether the account can be traded now."""
        return self._client is not None and self._client.connected

    def submit(self, request_id: str, signal: Signal) -> None:
        """Queue ``signal``; return at once."""
        self._loop.call_soon_threadsafe(self._signals.put_nowait, (request_id, signal))

    def positions(self) -> dict[str, int]:
        """Return the last known signed positions by local symbol."""
        client = self._client
        if client is not None:
            self._positions = client.positions()
        return dict(self._positions)

    def close(self) -> None:
        """Leave the gateway and end the thread; orders resting there stay."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        tasks = [self._loop.create_task(self._stay_connected()), self._loop.create_task(self._work())]
        try:
            self._loop.run_forever()
        finally:
            for task in tasks:
                task.cancel()
            self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
            if self._client is not None:
                self._client.close()
            self._loop.run_until_complete(asyncio.sleep(0))
            self._loop.close()

    async def _stay_connected(self) -> None:
        host, port, client_id = self._address
        while True:
            try:
                self._client = await OrderClient.connect(host, port, client_id)
            except GatewayError:
                await asyncio.sleep(RECONNECT_S)
                continue
            self._record("CONNECTED", gateway=f"{host}:{port}", client_id=client_id)
            await self._client.wait_closed()
            self._client = None
            self._record("DISCONNECTED", gateway=f"{host}:{port}")

    async def _work(self) -> None:
        while True:
            request_id, signal = await self._signals.get()
            row: dict[str, Any] = {"id": request_id, "signal_id": signal.reference, "action": signal.action}
            try:
                self._record("EXECUTED", **row, **await self._trade(signal))
            except (Rejected, GatewayError) as error:
                self._record("REJECTED", **row, why=str(error))

    async def _trade(self, signal: Signal) -> dict[str, Any]:
        client = self._client
        if client is None or not client.connected:
            raise Rejected("the broker connection is down; TradersPost does not retry")
        contract, instrument = local_symbol(signal.ticker, self._clock.now_ns())
        position = client.positions().get(contract, 0)
        match signal.action:
            case "cancel":
                return {"contract": contract, "cancelled": await client.cancel_all(contract)}
            case "exit":
                return await self._exit(client, contract, signal, position)
            case "add":
                if not position:
                    raise Rejected("add needs an open position")
                return await self._enter(client, contract, instrument, signal, 1 if position > 0 else -1)
        return await self._buy_or_sell(client, contract, instrument, signal, position)

    async def _buy_or_sell(
        self, client: OrderClient, contract: str, instrument: Instrument, signal: Signal, position: int
    ) -> dict[str, Any]:
        side = 1 if signal.action == "buy" else -1
        if signal.cancel is not False:
            await client.cancel_all(contract)
        if position * side > 0 and not self._subscription.allow_add:
            raise Rejected(f"already {'long' if position > 0 else 'short'} and adding is not allowed")
        if position * side < 0:
            closed = await client.close_position(contract, signal.reference, FILL_WAIT_S)
            if not self._subscription.side_swapping:
                return {"contract": contract, "closed": closed}
        return await self._enter(client, contract, instrument, signal, side)

    async def _enter(
        self, client: OrderClient, contract: str, instrument: Instrument, signal: Signal, side: int
    ) -> dict[str, Any]:
        qty = self._subscription.default_quantity if signal.quantity is None else int(signal.quantity)
        if qty < 1:
            raise Rejected(f"quantity {signal.quantity} is less than one contract")
        target, stop = exits(signal, instrument, side)
        bracket = await client.place_bracket(contract, side, qty, stop, target, signal.reference)
        return {"contract": contract, "side": side, "qty": qty, "order_id": bracket.parent_id}

    async def _exit(self, client: OrderClient, contract: str, signal: Signal, position: int) -> dict[str, Any]:
        if signal.cancel is not False:
            await client.cancel_all(contract)
        if not position:
            raise Rejected("nothing to exit: the position is flat")
        part = exit_quantity(signal, position)
        if signal.cancel is not False and part == abs(position):
            closed = await client.close_position(contract, signal.reference, FILL_WAIT_S)
            return {"contract": contract, "closed": closed}
        side = 1 if position > 0 else -1
        bracket = await client.place_bracket(contract, -side, part, None, None, signal.reference)
        return {"contract": contract, "closed": side * part, "order_id": bracket.parent_id}


def local_symbol(ticker: str, now_ns: int) -> tuple[str, Instrument]:
    """Return the exchange's name of ``ticker`` and its instrument; raise Rejected for one that cannot be traded."""
    try:
        month = parse_contract(ticker, datetime.fromtimestamp(now_ns / 1e9, UTC).date())
    except ValueError as error:
        raise Rejected(str(error)) from None
    if month.root not in INSTRUMENTS:
        raise Rejected(f"ticker {ticker} is not one of {', '.join(INSTRUMENTS)}")
    return month.local_symbol, INSTRUMENTS[month.root]


def exit_quantity(signal: Signal, position: int) -> int:
    """Return how many contracts an exit closes: all of them unless the signal names fewer."""
    held = abs(position)
    if signal.quantity is None:
        return held
    share = signal.quantity_type == "percent_of_position"
    wanted = int(held * signal.quantity / 100) if share else int(signal.quantity)
    return max(1, min(held, wanted))


def exits(signal: Signal, instrument: Instrument, side: int) -> tuple[Decimal | None, Decimal | None]:
    """Return target and stop prices in points; offsets count from the signal's price, all on the tick grid.

    TradersPost rounds prices up for sells and down for buys; the exits of a long are sells.
    """
    target: Decimal | None = _points(signal.target_price)
    stop: Decimal | None = _points(signal.stop_loss_price)
    price = _points(signal.price)
    if signal.target_amount is not None and price is not None:
        target = price + side * Decimal(str(signal.target_amount))
    if signal.stop_loss_amount is not None and price is not None:
        stop = price - side * Decimal(str(signal.stop_loss_amount))
    rounding = ROUND_CEILING if side > 0 else ROUND_FLOOR
    grid = instrument.tick
    snapped = [None if p is None else (p / grid).to_integral_value(rounding) * grid for p in (target, stop)]
    return snapped[0], snapped[1]


def _points(value: float | None) -> Decimal | None:
    return None if value is None else Decimal(str(value))
