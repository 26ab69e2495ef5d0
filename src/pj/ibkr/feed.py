"""Turn market-data messages, as the wire delivered them, into tape rows; judge each one.

Pure: fields and a stamp in, rows out. Every message gives a raw row (live_ticks.csv). A trade that passes the checks
and a bid or ask that makes sense also give a row of the causal channel (live_market_data.csv); what fails is
quarantined with its reason and the stream goes on.

Checks. NAN, MALFORMED (not a number, fields missing), NON_POSITIVE, OFF_GRID (not a multiple of the instrument's
tick), BAD_SIZE (a trade of negative or broken size), TIME_BACKWARD, CROSSED.

TIME_BACKWARD: the exchange stamps trades in whole seconds that may jitter, so only a step back of more than
``BACKWARD_TOLERANCE_S`` counts. When ``RESYNC_AFTER`` trades in a row agree on the earlier time, the reference itself
was wrong (one bad stamp in the future) and is given up.

CROSSED: bid and ask arrive as separate messages, so a moving market passes through bid > ask between two of them.
A crossing side is held back; the next message of the other side either resolves it (one QUOTE row with both) or
proves it wrong. ``settle`` gives up on a held side that nobody answered. A locked quote (bid = ask) is legal.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Final, NamedTuple

from live.market import NS_PER_S, Instrument, OffGrid, Source, TickKind

TICK_PRICE: Final = "1"
TICK_SIZE: Final = "2"
MARKET_DATA_TYPE: Final = "58"
TICK_BY_TICK: Final = "99"
BID_TYPES: Final = frozenset({"1", "0"})
ASK_TYPES: Final = frozenset({"2", "3"})
TRADE_TYPES: Final = frozenset({"1", "2"})
LAST_TYPE: Final = "4"
VOLUME_TYPE: Final = "8"
NO_PRICE: Final = frozenset({"-1", "-1.0"})
REALTIME: Final = 1
BACKWARD_TOLERANCE_S: Final = 2
RESYNC_AFTER: Final = 3
_MEMO_LIMIT: Final = 1 << 16


class Reason(StrEnum):
    """Name why a message was quarantined."""

    NAN = "NAN"
    MALFORMED = "MALFORMED"
    NON_POSITIVE = "NON_POSITIVE"
    OFF_GRID = "OFF_GRID"
    BAD_SIZE = "BAD_SIZE"
    TIME_BACKWARD = "TIME_BACKWARD"
    CROSSED = "CROSSED"


class Row(NamedTuple):
    """Carry the cells of one tape row, in the order of ``TapeWriter.add``; prices are points text, empty = none."""

    recv_ns: int
    kind: TickKind
    price: str
    size: str
    bid: str
    ask: str
    exch_ns: int | None
    source: str
    contract: str
    msg_id: str
    raw: str


class Seen(NamedTuple):
    """Carry one judged message: its raw row, the row for the causal channel, and what was quarantined."""

    raw: Row
    market: Row | None = None
    rejected: tuple[tuple[Row, Reason], ...] = ()


class Price(NamedTuple):
    """Carry one price text as read: whole ticks and canonical points, or the reason why not."""

    ticks: int
    text: str
    reason: Reason | None


class PriceReader:
    """Read price texts once each; a day has a few thousand distinct ones."""

    def __init__(self, instrument: Instrument) -> None:
        """Read on the grid of ``instrument``."""
        self._instrument = instrument
        self._known: dict[str, Price] = {}

    def read(self, text: str) -> Price:
        """Return the judged price; ``text`` stays as it was when it is refused."""
        price = self._known.get(text)
        if price is None:
            if len(self._known) > _MEMO_LIMIT:
                self._known.clear()
            price = self._known[text] = self._judge(text)
        return price

    def _judge(self, text: str) -> Price:
        try:
            value = Decimal(text)
        except InvalidOperation:
            return Price(0, text, Reason.MALFORMED)
        if not value.is_finite():
            return Price(0, text, Reason.NAN)
        if value <= 0:
            return Price(0, text, Reason.NON_POSITIVE)
        try:
            ticks = self._instrument.to_ticks(value)
        except OffGrid:
            return Price(0, text, Reason.OFF_GRID)
        return Price(ticks, self._instrument.to_points(ticks), None)


def read_size(text: str) -> int | None:
    """Return a whole number of contracts (``3``, ``3.0``); None when it is not one."""
    if text.isascii() and text.isdigit():
        return int(text)
    try:
        value = Decimal(text)
    except InvalidOperation:
        return None
    return int(value) if value.is_finite() and value == value.to_integral_value() else None


@dataclass(slots=True)
class _Side:
    """Hold the last good price of one side of the quote; None = none."""

    ticks: int | None = None
    text: str = ""


@dataclass(slots=True)
class FeedCounts:
    """Count what was delivered since the start of the process."""

    messages: int = 0
    trades: int = 0
    quotes: int = 0
    volume: int = 0
    last_volume: str = ""


class Feed:
    """Judge the messages of one contract's two subscriptions."""

    def __init__(self, instrument: Instrument) -> None:
        """Start with no quote, no time reference and no subscription."""
        self.counts = FeedCounts()
        self.market_data_type = 0
        self.last_trade = ""
        self.contract = ""
        self._prices = PriceReader(instrument)
        self._bid = _Side()
        self._ask = _Side()
        self._held: tuple[bool, Price, Row] | None = None
        self._quotes_id = self._trades_id = ""
        self._last_exch_s = 0
        self._backward: list[int] = []

    @property
    def bid(self) -> str:
        """Return the last good bid in points."""
        return self._bid.text

    @property
    def ask(self) -> str:
        """Return the last good ask in points."""
        return self._ask.text

    def subscribed(self, contract: str, quotes_id: int, trades_id: int) -> None:
        """Take contract and request ids; quote, or time reference, of a subscription that ended are void."""
        self.contract = contract
        if self._quotes_id != str(quotes_id):
            self._bid, self._ask = _Side(), _Side()
            self._held = None
            self.market_data_type = 0
        if self._trades_id != str(trades_id):
            self._last_exch_s = 0
            self._backward.clear()
        self._quotes_id, self._trades_id = str(quotes_id), str(trades_id)

    def owns(self, req_id: str) -> bool:
        """Return whether the request id is one of the current subscriptions."""
        return req_id in (self._quotes_id, self._trades_id)

    def take(self, fields: list[str], recv_ns: int) -> Seen:
        """Judge one message; never raises on what the wire may hold."""
        self.counts.messages += 1
        kind = fields[0]
        try:
            if kind == TICK_BY_TICK and fields[2] in TRADE_TYPES and fields[1] == self._trades_id:
                return self._trade(fields, recv_ns)
            if kind in (TICK_PRICE, TICK_SIZE) and fields[2] == self._quotes_id:
                return self._quote(fields, recv_ns)
            if kind == MARKET_DATA_TYPE and fields[2] == self._quotes_id:
                self.market_data_type = int(fields[3])
        except (IndexError, ValueError):
            row = self._status(recv_ns, fields)
            return Seen(row, None, ((row, Reason.MALFORMED),))
        return Seen(self._status(recv_ns, fields))

    def settle(self) -> tuple[Row, Reason] | None:
        """Give up a crossing side that the other side never answered; return it as quarantined, or None."""
        if self._held is None:
            return None
        row = self._held[2]
        self._held = None
        return row, Reason.CROSSED

    # -- trades ------------------------------------------------------------------------------------

    def _trade(self, fields: list[str], recv_ns: int) -> Seen:
        _, _, _, at, price_text, size_text, _, _, *_ = fields
        price = self._prices.read(price_text)
        size = read_size(size_text)
        exch_s = int(at)
        reason = price.reason
        if reason is None and (size is None or size < 0):
            reason = Reason.BAD_SIZE
        if reason is None and self._runs_backward(exch_s):
            reason = Reason.TIME_BACKWARD
        shown = size_text if size is None else str(size)
        row = Row(
            recv_ns,
            TickKind.TRADE,
            price.text,
            shown,
            self._bid.text,
            self._ask.text,
            exch_s * NS_PER_S,
            Source.TBT,
            self.contract,
            fields[0],
            "|".join(fields),
        )
        if reason is not None:
            return Seen(row, None, ((row, reason),))
        self.counts.trades += 1
        self.counts.volume += size or 0
        self.last_trade = price.text
        return Seen(row, row)

    def _runs_backward(self, exch_s: int) -> bool:
        if exch_s >= self._last_exch_s - BACKWARD_TOLERANCE_S:
            self._last_exch_s = max(exch_s, self._last_exch_s)
            self._backward.clear()
            return False
        agreeing = not self._backward or abs(exch_s - self._backward[-1]) <= BACKWARD_TOLERANCE_S
        self._backward = [*self._backward, exch_s] if agreeing else [exch_s]
        if len(self._backward) > RESYNC_AFTER:
            self._last_exch_s = exch_s
            self._backward.clear()
            return False
        return True

    # -- quotes ------------------------------------------------------------------------------------

    def _quote(self, fields: list[str], recv_ns: int) -> Seen:
        tick_type = fields[3]
        if tick_type not in BID_TYPES and tick_type not in ASK_TYPES:
            if fields[0] == TICK_SIZE and tick_type == VOLUME_TYPE:
                self.counts.last_volume = fields[4]
            return Seen(self._status(recv_ns, fields))
        is_bid = tick_type in BID_TYPES
        self.counts.quotes += 1
        if fields[0] == TICK_SIZE:
            row = self._quote_row(fields, recv_ns, fields[4], self._bid.text, self._ask.text)
            whole = self._bid.ticks is not None or self._ask.ticks is not None
            return Seen(row, row if whole and self._held is None else None)
        _, _, _, _, price_text, size_text, *_ = fields
        if price_text in NO_PRICE:
            self._set(is_bid, _Side())
            return Seen(self._status(recv_ns, fields))
        return self._price_side(is_bid, self._prices.read(price_text), fields, recv_ns, size_text)

    def _price_side(self, is_bid: bool, price: Price, fields: list[str], recv_ns: int, size: str) -> Seen:
        bid, ask = (price.text, self._ask.text) if is_bid else (self._bid.text, price.text)
        row = self._quote_row(fields, recv_ns, size, bid, ask)
        if price.reason is not None:
            return Seen(row, None, ((row, price.reason),))
        held, self._held = self._held, None
        if held is None:
            if self._crosses(is_bid, price, self._ask if is_bid else self._bid):
                self._held = (is_bid, price, row)
                return Seen(row)
            self._set(is_bid, _Side(price.ticks, price.text))
            return Seen(row, row)
        held_is_bid, held_price, held_row = held
        refused = (held_row, Reason.CROSSED)
        if held_is_bid == is_bid:  # the same side again: the held price was superseded before it made sense
            if self._crosses(is_bid, price, self._ask if is_bid else self._bid):
                self._held = (is_bid, price, row)
                return Seen(row, None, (refused,))
            self._set(is_bid, _Side(price.ticks, price.text))
            return Seen(row, row, (refused,))
        if self._crosses(is_bid, price, _Side(held_price.ticks, held_price.text)):
            return Seen(row, None, (refused, (row, Reason.CROSSED)))
        self._set(held_is_bid, _Side(held_price.ticks, held_price.text))
        self._set(is_bid, _Side(price.ticks, price.text))
        row = row._replace(bid=self._bid.text, ask=self._ask.text)
        return Seen(row, row)

    @staticmethod
    def _crosses(is_bid: bool, price: Price, other: _Side) -> bool:
        if other.ticks is None:
            return False
        return price.ticks > other.ticks if is_bid else price.ticks < other.ticks

    def _set(self, is_bid: bool, side: _Side) -> None:
        if is_bid:
            self._bid = side
        else:
            self._ask = side

    def _quote_row(self, fields: list[str], recv_ns: int, size: str, bid: str, ask: str) -> Row:
        whole = read_size(size)
        shown = "" if whole is None else str(whole)
        raw = "|".join(fields)
        return Row(recv_ns, TickKind.QUOTE, "", shown, bid, ask, None, Source.MKT, self.contract, fields[0], raw)

    def _status(self, recv_ns: int, fields: list[str]) -> Row:
        source = Source.TBT if fields[0] == TICK_BY_TICK else Source.MKT
        raw = "|".join(fields)
        return Row(recv_ns, TickKind.STATUS, "", "", "", "", None, source, self.contract, fields[0], raw)
