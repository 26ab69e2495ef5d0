"""Build the gateway's messages that are not about orders (field lists: reference tws 3)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from pj.simulators.contracts import Future
from pj.simulators.wire import Field, frame

BID: Final = 1
ASK: Final = 2
LAST: Final = 4
HIGH: Final = 6
LOW: Final = 7
CLOSE: Final = 9
OPEN: Final = 14
BID_SIZE: Final = 0
ASK_SIZE: Final = 3
LAST_SIZE: Final = 5
VOLUME: Final = 8

ORDER_TYPES: Final = "ACTIVETIM,AD,ADJUST,ALERT,ALGO,DAY,GTC,GTD,LMT,MKT,OCA,STP,WHATIF,"
NO_GROUP: Final = 2147483647


@dataclass(frozen=True, slots=True)
class HistoryBar:
    """Carry one bar of a history answer; ``date`` as the client asked for it, prices as text."""

    date: str
    open: str
    high: str
    low: str
    close: str
    volume: int
    wap: str
    count: int


def server_hello(version: int, time_text: str) -> bytes:
    """Return the answer to the hello: version and connection time, exactly two fields."""
    return frame(version, time_text)


def managed_accounts(accounts: Sequence[str]) -> bytes:
    """Return the account list."""
    return frame(15, 1, ",".join(accounts))


def next_valid_id(order_id: int) -> bytes:
    """Return the next usable order id."""
    return frame(9, 1, order_id)


def error(version: int, request_id: int, code: int, message: str) -> bytes:
    """Return an error or a notice (``request_id`` -1); the reject JSON is a field from version 166 on."""
    tail: tuple[Field, ...] = ("",) if version >= 166 else ()
    return frame(4, 2, request_id, code, message, *tail)


def current_time(epoch_s: int) -> bytes:
    """Return the server's time."""
    return frame(49, 1, epoch_s)


def contract_details(version: int, request_id: int, future: Future, sec_type: str, hours: tuple[str, str]) -> bytes:
    """Return one contract's details; ``hours`` are the trading and the liquid hours texts."""
    new = version >= 164
    day = future.expiry.strftime("%Y%m%d")
    index, index_id = future.underlying
    head: list[Field] = [10] if new else [10, 8]
    head += [request_id, future.symbol, sec_type, f"{day} 08:30 US/Central" if new else day, 0, ""]
    head += [
        "CME",
        "USD",
        future.local_symbol,
        future.symbol,
        future.symbol,
        future.con_id,
        str(future.instrument.tick),
    ]
    if not new:
        head.append(1)
    head += [future.multiplier, ORDER_TYPES, "CME", 1, index_id, future.long_name, "", future.contract_month]
    head += ["", "", "", "US/Central", *hours, "", "", 0]
    head += [NO_GROUP, index, "IND", "67", day, ""]
    if version == 163:
        head.append(1)
    if new:
        head += [1, 1, 1]
    return frame(*head)


def contract_details_end(request_id: int) -> bytes:
    """Return the end of a details answer."""
    return frame(52, 1, request_id)


def tick_price(request_id: int, tick_type: int, price: str, size: int) -> bytes:
    """Return a price tick with its size."""
    return frame(1, 6, request_id, tick_type, price, size, 0)


def tick_size(request_id: int, tick_type: int, size: int) -> bytes:
    """Return a size tick."""
    return frame(2, 6, request_id, tick_type, size)


def tick_req_params(request_id: int, min_tick: str) -> bytes:
    """Return the subscription's parameters."""
    return frame(81, request_id, min_tick, "", 3)


def market_data_type(request_id: int, kind: int) -> bytes:
    """Return whether data is live (1), frozen (2), delayed (3) or delayed frozen (4)."""
    return frame(58, 1, request_id, kind)


def snapshot_end(request_id: int) -> bytes:
    """Return the end of a snapshot."""
    return frame(57, 1, request_id)


def print_tick(request_id: int, kind: int, time_s: int, price: str, size: int) -> bytes:
    """Return a tick-by-tick trade, ``kind`` 1 Last or 2 AllLast."""
    return frame(99, request_id, kind, time_s, price, size, 0, "CME", "")


def quote_tick(request_id: int, time_s: int, bid: str, ask: str, bid_size: int, ask_size: int) -> bytes:
    """Return a tick-by-tick quote."""
    return frame(99, request_id, 3, time_s, bid, ask, bid_size, ask_size, 0)


def mid_tick(request_id: int, time_s: int, mid: str) -> bytes:
    """Return a tick-by-tick midpoint."""
    return frame(99, request_id, 4, time_s, mid)


def history(request_id: int, start: str, end: str, bars: Sequence[HistoryBar]) -> bytes:
    """Return a whole history answer."""
    body: list[Field] = []
    for bar in bars:
        body += [bar.date, bar.open, bar.high, bar.low, bar.close, bar.volume, bar.wap, bar.count]
    return frame(17, request_id, start, end, len(bars), *body)


def head_timestamp(request_id: int, text: str) -> bytes:
    """Return the time of the first data there is."""
    return frame(88, request_id, text)


def market_rule(rule: int, increments: Iterable[tuple[str, str]]) -> bytes:
    """Return a price increment rule as (from price, tick) pairs."""
    pairs = list(increments)
    return frame(93, rule, len(pairs), *[field for pair in pairs for field in pair])


def contract_fields(future: Future, exchange: str) -> list[Field]:
    """Return the 11 contract fields of order, execution and position messages."""
    day = future.expiry.strftime("%Y%m%d")
    return [
        future.con_id,
        future.symbol,
        "FUT",
        day,
        0,
        "",
        future.multiplier,
        exchange,
        "USD",
        future.local_symbol,
        future.symbol,
    ]


def position(account: str, future: Future, quantity: int, average_cost: float) -> bytes:
    """Return one position; ``average_cost`` is price times multiplier; the exchange is empty in real data."""
    return frame(61, 3, account, *contract_fields(future, ""), quantity, average_cost)


def position_end() -> bytes:
    """Return the end of the positions."""
    return frame(62, 1)


def account_value(tag: str, value: str, currency: str, account: str) -> bytes:
    """Return one account value of the account updates."""
    return frame(6, 2, tag, value, currency, account)


def account_time(hour_minute: str) -> bytes:
    """Return the time of the account updates."""
    return frame(8, 1, hour_minute)


def account_download_end(account: str) -> bytes:
    """Return the end of the first batch of account updates."""
    return frame(54, 1, account)


def portfolio(account: str, future: Future, figures: Sequence[Field]) -> bytes:
    """Return one portfolio line; ``figures`` = position, price, value, average cost, unrealized, realized."""
    head = contract_fields(future, "CME")
    return frame(7, 8, *head, *figures, account)


def account_update_multi(request_id: int, account: str, tag: str, value: str, currency: str) -> bytes:
    """Return one account value of a multi request."""
    return frame(73, 1, request_id, account, "", tag, value, currency)


def account_update_multi_end(request_id: int) -> bytes:
    """Return the end of a multi request's values."""
    return frame(74, 1, request_id)


def account_summary(request_id: int, account: str, tag: str, value: str, currency: str) -> bytes:
    """Return one account summary value."""
    return frame(63, 1, request_id, account, tag, value, currency)


def account_summary_end(request_id: int) -> bytes:
    """Return the end of the summary."""
    return frame(64, 1, request_id)


def pnl(request_id: int, daily: float, unrealized: float, realized: float) -> bytes:
    """Return the account's profit and loss."""
    return frame(94, request_id, daily, unrealized, realized)
