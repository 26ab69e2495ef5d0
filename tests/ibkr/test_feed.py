"""Judge market-data messages from their raw wire fields."""

from __future__ import annotations

import pytest

from live.market import INSTRUMENTS, TickKind
from pj.ibkr.feed import RESYNC_AFTER, Feed, Reason, Seen, read_size

QUOTES, TRADES = 4, 5
T = 1_776_254_400


def trade(price: str = "25000.25", size: str = "3", at: int | str = T, req: int = TRADES) -> list[str]:
    return ["99", str(req), "1", str(at), price, size, "0", "CME", ""]


def bid(price: str, size: str = "7", req: int = QUOTES) -> list[str]:
    return ["1", "6", str(req), "1", price, size, "0"]


def ask(price: str, size: str = "9", req: int = QUOTES) -> list[str]:
    return ["1", "6", str(req), "2", price, size, "0"]


@pytest.fixture
def feed() -> Feed:
    made = Feed(INSTRUMENTS["MNQ"])
    made.subscribed("MNQZ6", QUOTES, TRADES)
    return made


def reasons(seen: Seen) -> list[Reason]:
    return [reason for _, reason in seen.rejected]


def test_trade_becomes_a_row_of_both_tapes(feed: Feed) -> None:
    seen = feed.take(trade("25000.250", "3.0"), 7)
    assert seen.raw == seen.market
    row = seen.raw
    assert (row.recv_ns, row.kind, row.price, row.size) == (7, TickKind.TRADE, "25000.25", "3")
    assert (row.exch_ns, row.source, row.contract) == (T * 10**9, "TBT", "MNQZ6")
    assert (row.msg_id, row.raw) == ("99", f"99|5|1|{T}|25000.250|3.0|0|CME|")
    assert (feed.counts.trades, feed.counts.volume, feed.last_trade) == (1, 3, "25000.25")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        (trade("nan"), Reason.NAN),
        (trade("Infinity"), Reason.NAN),
        (trade("0"), Reason.NON_POSITIVE),
        (trade("-1"), Reason.NON_POSITIVE),
        (trade("-25000.25"), Reason.NON_POSITIVE),
        (trade("25000.1"), Reason.OFF_GRID),
        (trade("abc"), Reason.MALFORMED),
        (trade(""), Reason.MALFORMED),
        (trade(size="-2"), Reason.BAD_SIZE),
        (trade(size="1.5"), Reason.BAD_SIZE),
        (trade(size="nan"), Reason.BAD_SIZE),
        (trade(size=""), Reason.BAD_SIZE),
        (trade(at="soon"), Reason.MALFORMED),
        (["99", str(TRADES), "1", str(T)], Reason.MALFORMED),
        (bid("nan"), Reason.NAN),
        (bid("0"), Reason.NON_POSITIVE),
        (ask("25000.1"), Reason.OFF_GRID),
        (["1", "6", str(QUOTES), "1"], Reason.MALFORMED),
    ],
)
def test_bad_message_is_quarantined_and_stays_in_the_raw_record(feed: Feed, fields: list[str], reason: Reason) -> None:
    seen = feed.take(fields, 1)
    assert seen.market is None
    assert reasons(seen) == [reason]
    assert seen.raw.raw == "|".join(fields)
    assert feed.counts.trades == 0
    assert feed.take(trade(), 2).market is not None, "the stream goes on"


def test_quote_carries_both_sides_as_they_stand(feed: Feed) -> None:
    first = feed.take(bid("25000"), 1).market
    second = feed.take(ask("25000.25"), 2).market
    sized = feed.take(["2", "6", str(QUOTES), "3", "12"], 3).market
    assert first is not None
    assert second is not None
    assert sized is not None
    assert (first.bid, first.ask, first.size) == ("25000", "", "7")
    assert (second.kind, second.bid, second.ask, second.size) == (TickKind.QUOTE, "25000", "25000.25", "9")
    assert (sized.bid, sized.ask, sized.size) == ("25000", "25000.25", "12")


def test_locked_quote_is_legal(feed: Feed) -> None:
    feed.take(ask("25000"), 1)
    assert feed.take(bid("25000"), 2).market is not None


def test_market_moving_up_passes_through_a_crossing_and_is_believed(feed: Feed) -> None:
    feed.take(bid("25000"), 1)
    feed.take(ask("25000.25"), 2)
    crossing = feed.take(bid("25003"), 3)
    assert (crossing.market, crossing.rejected) == (None, ())
    resolved = feed.take(ask("25003.25"), 4)
    assert resolved.rejected == ()
    assert resolved.market is not None
    assert (resolved.market.bid, resolved.market.ask) == ("25003", "25003.25")


def test_crossed_quote_is_quarantined_both_sides(feed: Feed) -> None:
    feed.take(bid("25000"), 1)
    feed.take(ask("25000.25"), 2)
    feed.take(bid("25010"), 3)
    seen = feed.take(ask("25005"), 4)
    assert seen.market is None
    assert reasons(seen) == [Reason.CROSSED, Reason.CROSSED]
    assert [row.recv_ns for row, _ in seen.rejected] == [3, 4]
    assert (feed.bid, feed.ask) == ("25000", "25000.25")
    assert feed.take(bid("24999.75"), 5).market is not None


def test_same_side_again_supersedes_a_crossing(feed: Feed) -> None:
    feed.take(ask("25000"), 1)
    feed.take(bid("25010"), 2)
    seen = feed.take(bid("24999"), 3)
    assert reasons(seen) == [Reason.CROSSED]
    assert seen.market is not None
    assert seen.market.bid == "24999"


def test_crossing_that_nobody_answers_is_given_up(feed: Feed) -> None:
    feed.take(ask("25000"), 1)
    feed.take(bid("25010"), 2)
    settled = feed.settle()
    assert settled is not None
    assert (settled[0].recv_ns, settled[1]) == (2, Reason.CROSSED)
    assert feed.settle() is None


def test_no_price_clears_a_side(feed: Feed) -> None:
    feed.take(bid("25000"), 1)
    seen = feed.take(bid("-1", "0"), 2)
    assert (seen.raw.kind, seen.market, seen.rejected, feed.bid) == (TickKind.STATUS, None, (), "")


def test_exchange_time_may_jitter_but_not_run_backward(feed: Feed) -> None:
    assert feed.take(trade(at=T), 1).market is not None
    assert feed.take(trade(at=T - 2), 2).market is not None
    assert reasons(feed.take(trade(at=T - 3), 3)) == [Reason.TIME_BACKWARD]
    assert feed.take(trade(at=T), 4).market is not None


def test_one_stamp_from_the_future_does_not_stop_the_feed(feed: Feed) -> None:
    feed.take(trade(at=T), 1)
    assert feed.take(trade(at=T + 3600), 2).market is not None
    refused = [reasons(feed.take(trade(at=T + 1), 3 + n)) for n in range(RESYNC_AFTER)]
    assert refused == [[Reason.TIME_BACKWARD]] * RESYNC_AFTER
    assert feed.take(trade(at=T + 2), 9).market is not None


def test_new_subscription_forgets_time_and_quote(feed: Feed) -> None:
    feed.take(trade(at=T + 100), 1)
    feed.take(bid("25000"), 2)
    feed.subscribed("MNQH7", 8, 9)
    seen = feed.take(trade(at=T, req=9), 3)
    assert seen.market is not None
    assert (seen.market.bid, seen.market.contract) == ("", "MNQH7")


def test_trade_of_a_cancelled_subscription_is_recorded_but_no_trade(feed: Feed) -> None:
    seen = feed.take(trade(req=99), 1)
    assert (seen.raw.kind, seen.market, seen.rejected) == (TickKind.STATUS, None, ())


@pytest.mark.parametrize(
    "fields",
    [
        ["1", "6", "4", "4", "25000.25", "3", "0"],
        ["2", "6", "4", "8", "1200"],
        ["2", "6", "4", "5", "3"],
        ["45", "6", "4", "49", "0.0"],
        ["46", "6", "4", "45", "1776254400"],
        ["81", "4", "0.25", "", "3"],
        ["1", "6", "4", "66", "25000.25", "3", "0"],
        ["4", "2", "-1", "2104", "Market data farm connection is OK:usfuture", ""],
    ],
)
def test_other_messages_are_status_rows_of_the_raw_record_only(feed: Feed, fields: list[str]) -> None:
    seen = feed.take(fields, 1)
    assert (seen.raw.kind, seen.market, seen.rejected) == (TickKind.STATUS, None, ())


def test_market_data_type_and_volume_are_noted(feed: Feed) -> None:
    feed.take(["58", "1", str(QUOTES), "3"], 1)
    feed.take(["2", "6", str(QUOTES), "8", "1200"], 2)
    assert (feed.market_data_type, feed.counts.last_volume) == (3, "1200")


@pytest.mark.parametrize(
    ("text", "size"), [("3", 3), ("3.0000", 3), ("1e2", 100), ("2.5", None), ("x", None), ("", None)]
)
def test_read_size(text: str, size: int | None) -> None:
    assert read_size(text) == size


def test_trades_asked_for_anew_leave_the_quote_alone_and_the_other_way_round(feed: Feed) -> None:
    feed.take(bid("25000"), 1)
    feed.take(ask("25000.25"), 2)
    feed.take(trade(at=T), 3)
    feed.subscribed("MNQZ6", QUOTES, 6)
    assert (feed.bid, feed.ask) == ("25000", "25000.25")
    assert not feed.owns(str(TRADES))
    assert reasons(feed.take(trade(at=T - 60, req=6), 4)) == [], "the new subscription has its own time reference"
    feed.subscribed("MNQZ6", 7, 6)
    assert (feed.bid, feed.ask) == ("", "")
    assert reasons(feed.take(trade(at=T - 120, req=6), 5)) == [Reason.TIME_BACKWARD]
