"""Hold the simulated gateway's state: the market of the moment, the clients, the ledger, the account."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pj.clock import Clock
from pj.simulators.contracts import ContractQuery, Future, find
from pj.simulators.eastern import trade_date
from pj.simulators.ledger import Entry, Ledger
from pj.simulators.matching import Book
from pj.simulators.order_faults import OrderFaults
from pj.simulators.paths import Print
from pj.simulators.tapes import Tape

if TYPE_CHECKING:
    from pj.simulators.gateway_session import Session

Delivery = list[tuple[bytes, Entry]]


@dataclass(slots=True)
class Market:
    """Hold the traded contract's last print, quote and day figures, in ticks and contracts; 0 = not known yet."""

    last: int = 0
    last_size: int = 0
    bid: int = 0
    ask: int = 0
    open: int = 0
    high: int = 0
    low: int = 0
    close: int = 0
    volume: int = 0
    exch_ns: int = 0
    turns: int = 0
    quotes: int = 0

    def trade(self, item: Print) -> None:
        """Take one print: an uptick lifts the offer to it, a downtick hits the bid; the spread is one tick."""
        price = item.price_ticks
        if price > self.last or not self.bid:
            self.ask, self.bid = price, price - 1
        elif price < self.last:
            self.bid, self.ask = price, price + 1
        self.last, self.last_size, self.exch_ns = price, item.size, item.exch_ns
        if not self.open:
            self.open = self.high = self.low = price
        self.high, self.low = max(self.high, price), min(self.low, price)
        self.volume += item.size
        self.turns += 1

    def sizes(self) -> tuple[int, int]:
        """Return the bid and ask sizes of the moment, a fixed pattern over prints and quotes so far."""
        beat = self.turns + self.quotes
        return 1 + beat * 7 % 23, 1 + beat * 11 % 29

    def turn_day(self) -> None:
        """Begin a new trading day."""
        self.close = self.last
        self.open = self.high = self.low = self.volume = 0


@dataclass(slots=True)
class Faults:
    """Hold the faults switched on through the control port.

    ``silent``: subscriptions stay, no market data is sent; ``silent_trades``, ``silent_quotes``: none of that kind.
    ``deaf``: the time is not told, all else goes on. ``mute``: nothing at all is sent, as by a hung gateway.
    ``refuse``: new connections are closed at once. ``reject``: so many new orders are answered with error 201.
    ``stale``: positions as reported from now on, whatever is filled (they lag fills at a real gateway, too).
    """

    silent: bool = False
    silent_trades: bool = False
    silent_quotes: bool = False
    deaf: bool = False
    mute: bool = False
    refuse: bool = False
    reject: int = 0
    stale: dict[Future, int] | None = None
    orders: OrderFaults = field(default_factory=OrderFaults)


@dataclass(slots=True)
class Core:
    """Tie the parts together; every answer works on this."""

    clock: Clock
    tape: Tape
    others: tuple[Tape, ...]
    book: Book
    ledger: Ledger
    market: Market = field(default_factory=Market)
    faults: Faults = field(default_factory=Faults)
    clients: dict[int, Session] = field(default_factory=dict)
    next_ids: dict[int, int] = field(default_factory=dict)
    master_client: int = 0
    late_prints: int = 0
    prints_played: int = 0
    finished: bool = False
    subscribed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def future(self) -> Future:
        """Return the played contract."""
        return self.tape.future

    def points(self, ticks: int) -> str:
        """Return a price of the played contract as text."""
        return self.future.instrument.to_points(ticks)

    def find(self, query: ContractQuery) -> list[Future]:
        """Return the contracts that match ``query`` now; a file's own contracts count as listed."""
        files = tuple(tape.future for tape in (self.tape, *self.others))
        return find(query, trade_date(self.clock.now_ns()), expired=files)

    def tape_of(self, future: Future) -> Tape | None:
        """Return the tape of ``future``, None when its market is not played."""
        return next((tape for tape in (self.tape, *self.others) if tape.future == future), None)
