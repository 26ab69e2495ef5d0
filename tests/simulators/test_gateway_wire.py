"""Frames, handshake and message layouts, against bytes written down by hand from the protocol's description."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from live.market import INSTRUMENTS
from pj.simulators import order_replies, replies
from pj.simulators.contracts import front
from pj.simulators.matching import Fill, Order, Status
from pj.simulators.wire import Fields, Inbox, WireError, frame, negotiate

MNQ = front(INSTRUMENTS["MNQ"], date(2026, 11, 18))
HELLO = b"API\0\0\0\0\tv157..176"


def split(message):
    assert int.from_bytes(message[:4], "big") == len(message) - 4
    assert message.endswith(b"\0")
    return message[4:-1].decode().split("\0")


def golden(length, fields):
    """Return a frame as written down: its length and its fields, each ended by ``|``."""
    return bytes([0, 0, 0, length]) + fields.replace("|", "\0").encode()


def test_golden_frames():
    assert frame(9, 1, 5) == golden(6, "9|1|5|")
    assert frame(True, False, None, 0.25, 2.0, Decimal("0.62"), "x") == golden(19, "1|0||0.25|2|0.62|x|")
    assert replies.server_hello(176, "20261118 09:30:00 EST") == golden(26, "176|20261118 09:30:00 EST|")
    assert replies.tick_price(3, 1, "25000.25", 7) == golden(21, "1|6|3|1|25000.25|7|0|")
    assert replies.print_tick(4, 1, 1776259800, "25000", 3) == golden(33, "99|4|1|1776259800|25000|3|0|CME||")
    assert replies.next_valid_id(1) == b"\x00\x00\x00\x069\x001\x001\x00"


@pytest.mark.parametrize(
    ("message", "count"),
    [
        (replies.tick_price(1, 1, "1", 1), 7),
        (replies.error(165, -1, 2104, "x"), 5),
        (replies.error(166, -1, 2104, "x"), 6),
        (replies.position("DU1", MNQ, 1, 2.0), 16),
        (replies.portfolio("DU1", MNQ, [1, "2", 3, 4, 5, 6]), 20),
        (replies.pnl(1, 1.0, 2.0, 3.0), 5),
    ],
)
def test_messages_have_exactly_the_fields_the_clients_unpack(message, count):
    assert len(split(message)) == count


@pytest.mark.parametrize(("version", "count"), [(157, 39), (163, 40), (164, 40), (176, 40), (178, 40)])
def test_contract_details_by_version(version, count):
    fields = split(replies.contract_details(version, 7, MNQ, "FUT", ("t", "l")))
    assert len(fields) == count, fields
    assert "MNQZ6" in fields
    assert ("20261218 08:30 US/Central" in fields) == (version >= 164)


def order(**extra):
    return Order(11, 5, MNQ, 1, 2, "LMT", 100_001, None, perm_id=77, status=Status.SUBMITTED, **extra)


@pytest.mark.parametrize(("version", "count"), [(157, 120), (159, 121), (160, 122), (162, 123), (170, 128), (177, 127)])
def test_open_order_by_version(version, count):
    fields = split(order_replies.open_order(version, "DU1", order(order_ref="sig")))
    assert len(fields) == count, len(fields)
    assert fields[13:20] == ["BUY", "2", "LMT", "25000.25", "0.0", "DAY", ""]
    assert fields[23:26] == ["sig", "11", "77"]


def test_execution_gains_a_field_at_178():
    fill = Fill("e.1", order(filled=2, paid_ticks=200_001), 1, 100_000, 1_776_259_800 * 10**9, Decimal("0.62"), None)
    old, new = (split(order_replies.execution(version, "DU1", -1, fill)) for version in (176, 178))
    assert (len(old), len(new)) == (31, 32)
    assert old[15] == "20260415 08:30:00 US/Central"
    assert old[18:22] == ["BOT", "1", "25000", "77"]
    assert old[25] == "25000.125"
    assert split(order_replies.commission(fill))[2:6] == ["e.1", "0.62", "USD", "1.7976931348623157E308"]
    closing = Fill("e.2", fill.order, 1, 100_000, 0, Decimal("0.62"), Fraction(5, 2))
    assert split(order_replies.commission(closing))[5] == "2.5"


@given(st.lists(st.integers(1, 40), max_size=20))
def test_any_cut_of_the_stream_gives_the_same_frames(cuts):
    stream = HELLO + frame(71, 2, 11, "") + frame(61, 1) + frame(1, "x" * 300)
    inbox, found, at = Inbox(), [], 0
    for cut in [*cuts, len(stream)]:
        found += inbox.feed(stream[at : at + cut])
        at += cut
    assert found == [["v157..176"], ["71", "2", "11", ""], ["61", "1"], ["1", "x" * 300]]


def test_strangers_are_refused():
    with pytest.raises(WireError, match="must begin with API"):
        Inbox().feed(b"GET / HTTP/1.1\r\n")
    inbox = Inbox()
    inbox.feed(HELLO)
    with pytest.raises(WireError, match="longer than"):
        inbox.feed(b"\x7f\xff\xff\xff")


def test_negotiation():
    assert negotiate("v157..176") == 176
    assert negotiate("v157..200 +PACEAPI") == 178
    assert negotiate("v100..157") == 157
    for bad in ("v179..200", "v50..99", "hello", ""):
        with pytest.raises(WireError):
            negotiate(bad)


def test_reading_fields():
    fields = Fields(["", "2147483647", "3.0", "1.7976931348623157e+308", "1", "true", "x"])
    assert [fields.integer(7), fields.integer(7), fields.integer()] == [7, 7, 3]
    assert fields.price() == ""
    assert fields.flag()
    assert fields.flag()
    with pytest.raises(WireError, match="'x', not a whole number"):
        fields.integer()
    assert fields.text("gone") == "gone"
    with pytest.raises(WireError, match="holds a NUL"):
        frame("a\0b")
