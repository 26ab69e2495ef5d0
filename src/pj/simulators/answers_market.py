"""Answer market data requests and build the messages of prints and quotes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from pj.simulators import replies
from pj.simulators.answers_reference import NO_DEFINITION, nothing, query
from pj.simulators.gateway_core import Core, Delivery
from pj.simulators.ledger import Entry
from pj.simulators.paths import NS_PER_S, Print
from pj.simulators.wire import Fields

if TYPE_CHECKING:
    from pj.simulators.gateway_session import Session

_PRINT_KINDS: Final = {"Last": 1, "AllLast": 2}
_NOT_SUBSCRIBED: Final = "Requested market data is not subscribed. No tape of this contract is played."
_UNSET_PRICE: Final = "-1"


def market_data(core: Core, session: Session, fields: Fields) -> None:
    """Answer reqMktData: parameters, the moment's snapshot, then what changes."""
    from pj.simulators.gateway_session import QuoteSubscription

    fields.skip(1)
    request_id = fields.integer()
    if not _playable(core, session, fields, request_id):
        return
    if fields.flag():
        fields.skip(3)
    fields.skip(1)
    once = fields.flag()
    subscription = QuoteSubscription()
    if not once:
        session.quotes[request_id] = subscription
        _note(core, session, "SUBSCRIBE", request_id)
    if not (core.faults.silent or core.faults.silent_quotes):
        session.deliver(_opening(core, request_id) + quote_messages(core, request_id, subscription.told_turns))
    subscription.told_turns = core.market.turns
    if once:
        session.send(replies.snapshot_end(request_id))


def cancel_market_data(core: Core, session: Session, fields: Fields) -> None:
    """Answer cancelMktData."""
    fields.skip(1)
    request_id = fields.integer()
    if session.quotes.pop(request_id, None) is None:
        session.error(request_id, 300, f"Can't find EId with tickerId:{request_id}")
        return
    _note(core, session, "UNSUBSCRIBE", request_id)


def tick_by_tick(core: Core, session: Session, fields: Fields) -> None:
    """Answer reqTickByTickData for Last, AllLast, BidAsk and MidPoint."""
    request_id = fields.integer()
    if not _playable(core, session, fields, request_id):
        return
    kind = fields.text()
    if kind not in (*_PRINT_KINDS, "BidAsk", "MidPoint"):
        session.error(request_id, 321, f"Error validating request: tick-by-tick type {kind!r} is not known")
        return
    session.prints[request_id] = kind
    core.subscribed.set()
    _note(core, session, "SUBSCRIBE", request_id)


def cancel_tick_by_tick(core: Core, session: Session, fields: Fields) -> None:
    """Answer cancelTickByTickData."""
    request_id = fields.integer()
    if session.prints.pop(request_id, None) is None:
        session.error(request_id, 300, f"Can't find EId with tickerId:{request_id}")
        return
    _note(core, session, "UNSUBSCRIBE", request_id)


def print_messages(core: Core, session: Session, prints: Sequence[Print]) -> Delivery:
    """Return the tick-by-tick messages of ``prints`` for one client, in the order they were traded."""
    wanted = [(rid, _PRINT_KINDS[kind]) for rid, kind in session.prints.items() if kind in _PRINT_KINDS]
    messages: Delivery = []
    for item in prints:
        price, seconds = core.points(item.price_ticks), item.exch_ns // NS_PER_S
        size, exact = str(item.size), str(item.exch_ns)
        for request_id, kind in wanted:
            entry = Entry("TRADE", price, size, exch_ns=exact, req_id=str(request_id))
            messages.append((replies.print_tick(request_id, kind, seconds, price, item.size), entry))
    return messages


def quotes_of(core: Core, session: Session) -> Delivery:
    """Return the quote messages of the moment for one client."""
    messages: Delivery = []
    for request_id, subscription in session.quotes.items():
        messages += quote_messages(core, request_id, subscription.told_turns)
        subscription.told_turns = core.market.turns
    seconds = core.clock.now_ns() // NS_PER_S
    for request_id, kind in session.prints.items():
        if kind in ("BidAsk", "MidPoint") and core.market.bid:
            messages.append(_tick_quote(core, request_id, kind, seconds))
    return messages


def quote_messages(core: Core, request_id: int, told_turns: int) -> Delivery:
    """Return bid and ask, and last and volume when there were prints since ``told_turns``."""
    market = core.market
    if not market.bid:
        return []
    bid, ask = core.points(market.bid), core.points(market.ask)
    bid_size, ask_size = market.sizes()
    rid = str(request_id)
    messages: Delivery = [
        (
            replies.tick_price(request_id, replies.BID, bid, bid_size),
            Entry("QUOTE", "", str(bid_size), bid, req_id=rid),
        ),
        (
            replies.tick_price(request_id, replies.ASK, ask, ask_size),
            Entry("QUOTE", "", str(ask_size), "", ask, req_id=rid),
        ),
    ]
    if told_turns != market.turns:
        last, volume = core.points(market.last), market.volume
        seen = str(market.exch_ns)
        messages.append(
            (
                replies.tick_price(request_id, replies.LAST, last, market.last_size),
                Entry("LAST", last, str(market.last_size), exch_ns=seen, req_id=rid),
            )
        )
        messages.append(
            (
                replies.tick_size(request_id, replies.VOLUME, volume),
                Entry("VOLUME", "", str(volume), exch_ns=seen, req_id=rid),
            )
        )
    return messages


def _opening(core: Core, request_id: int) -> Delivery:
    """Return what a new subscription is told first: parameters, data type, the day's figures."""
    tick = str(core.future.instrument.tick)
    status = Entry("STATUS", req_id=str(request_id))
    messages: Delivery = [
        (replies.tick_req_params(request_id, tick), status),
        (replies.market_data_type(request_id, 1), status),
    ]
    market = core.market
    day = (
        (replies.HIGH, market.high),
        (replies.LOW, market.low),
        (replies.CLOSE, market.close),
        (replies.OPEN, market.open),
    )
    for kind, ticks in day:
        price = core.points(ticks) if ticks else _UNSET_PRICE
        entry = Entry("STATUS", price, "0", req_id=str(request_id))
        messages.append((replies.tick_price(request_id, kind, price, 0), entry))
    return messages


def _tick_quote(core: Core, request_id: int, kind: str, seconds: int) -> tuple[bytes, Entry]:
    market = core.market
    bid, ask = core.points(market.bid), core.points(market.ask)
    rid = str(request_id)
    if kind == "MidPoint":
        mid = str((market.bid + market.ask) * core.future.instrument.tick / 2)
        return replies.mid_tick(request_id, seconds, mid), Entry("QUOTE", mid, req_id=rid)
    sizes = market.sizes()
    return replies.quote_tick(request_id, seconds, bid, ask, *sizes), Entry("QUOTE", "", "", bid, ask, req_id=rid)


def _playable(core: Core, session: Session, fields: Fields, request_id: int) -> bool:
    """Tell whether the request's contract is the one whose market is played; else answer why not."""
    found = core.find(query(fields))
    if not found:
        session.error(request_id, 200, NO_DEFINITION)
    elif core.future not in found:
        session.error(request_id, 354, _NOT_SUBSCRIBED)
    elif len(found) > 1:
        session.error(request_id, 200, "The contract description specified is ambiguous")
    else:
        return True
    return False


def _note(core: Core, session: Session, kind: str, request_id: int) -> None:
    core.ledger.write(core.clock.now_ns(), session.client_id, [Entry(kind, req_id=str(request_id))])


HANDLERS: Final[Mapping[int, Callable[[Core, Session, Fields], None]]] = {
    1: market_data,
    2: cancel_market_data,
    59: nothing,
    97: tick_by_tick,
    98: cancel_tick_by_tick,
}
