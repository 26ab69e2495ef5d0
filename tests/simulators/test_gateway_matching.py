"""Orders are matched by the rules matching.py states: what fills, at which price, and what that does to others."""

from __future__ import annotations

from datetime import date
from fractions import Fraction

import pytest

from live.market import INSTRUMENTS
from pj.simulators.account import Account
from pj.simulators.contracts import front
from pj.simulators.gateway_core import Market
from pj.simulators.matching import Book, ErrorNotice, FillNotice, Order, OrderNotice, Status
from pj.simulators.paths import Print

MNQ = front(INSTRUMENTS["MNQ"], date(2026, 11, 18))
NOW = 1_000


class Desk:
    """Drive a book: ``>>`` orders and prints, ``<<`` notices as short words."""

    def __init__(self, last=1000, cash=100_000):
        self.market = Market()
        self.book = Book(Account(Fraction(cash)))
        self.market.trade(Print(0, last - 1, 1))
        self.market.trade(Print(0, last, 1))
        self.number = 0

    def order(self, side, kind="MKT", price=None, quantity=1, **extra):
        self.number += 1
        limit, stop = (price if kind == "LMT" else None), (price if kind == "STP" else None)
        return Order(1, extra.pop("order_id", self.number), MNQ, side, quantity, kind, limit, stop, **extra)

    def place(self, *orders, is_open=True):
        return [w for order in orders for w in self.words(self.book.place(order, self.market, NOW, is_open=is_open))]

    def trade(self, *prices):
        said = []
        for price in prices:
            item = Print(NOW, price, 1)
            self.market.trade(item)
            said += self.words(self.book.trade(item, self.market, NOW))
        return said

    @staticmethod
    def words(notices):
        said = []
        for notice in notices:
            match notice:
                case OrderNotice(order):
                    said.append(f"{order.order_id} {order.status} {order.filled}/{order.quantity}")
                case FillNotice(fill):
                    said.append(f"{fill.order.order_id} fill {fill.quantity}@{fill.price_ticks}")
                case ErrorNotice(_, order_id, code, _):
                    said.append(f"{order_id} error {code}")
        return said

    @property
    def position(self):
        return self.book.account.position(MNQ).quantity


def test_market_orders_pay_the_spread():
    desk = Desk()
    assert (desk.market.bid, desk.market.ask) == (999, 1000)
    assert desk.place(desk.order(1)) == ["1 PreSubmitted 0/1", "1 Submitted 0/1", "1 Filled 1/1", "1 fill 1@1000"]
    assert desk.place(desk.order(-1))[-1] == "2 fill 1@999"
    assert desk.book.account.cash_usd == 100_000 - Fraction("0.5") - 2 * Fraction("0.62")


def test_a_market_order_waits_while_the_exchange_is_closed():
    desk = Desk()
    assert desk.place(desk.order(1), is_open=False) == ["1 PreSubmitted 0/1", "1 Submitted 0/1"]
    assert desk.trade(1005) == ["1 Filled 1/1", "1 fill 1@1005"]


def test_a_limit_needs_a_trade_through_it():
    desk = Desk()
    desk.place(desk.order(1, "LMT", 990))
    assert desk.trade(995, 991, 990) == []
    assert desk.trade(989) == ["1 Filled 1/1", "1 fill 1@990"]
    assert desk.place(desk.order(-1, "LMT", 900))[-1] == "2 fill 1@989", "marketable: at the quote, not at the limit"


@pytest.mark.parametrize(("path", "price"), [([996, 995], 994), ([996, 980], 979), ([990], 989)])
def test_a_stop_fills_one_tick_worse_than_the_worse_of_stop_and_print(path, price):
    desk = Desk()
    desk.place(desk.order(-1, "STP", 995))
    assert desk.trade(*path) == ["1 Filled 1/1", f"1 fill 1@{price}"]


def bracket(desk, entry=None, quantity=2):
    parent = entry or desk.order(1, quantity=quantity, transmit=False)
    number = parent.order_id
    target = desk.order(-1, "LMT", 1040, quantity, parent_id=number, transmit=False)
    stop = desk.order(-1, "STP", 980, quantity, parent_id=number)
    return parent, target, stop


def test_a_bracket_is_held_until_transmitted_and_one_exit_cancels_the_other():
    desk = Desk()
    parent, target, stop = bracket(desk)
    assert desk.place(parent, target) == []
    assert desk.place(stop) == [
        "1 PreSubmitted 0/2",
        "2 PreSubmitted 0/2",
        "3 PreSubmitted 0/2",
        "1 Submitted 0/2",
        "1 Filled 2/2",
        "1 fill 2@1000",
        "2 Submitted 0/2",
        "3 Submitted 0/2",
    ]
    assert desk.trade(1040, 1041) == ["2 Filled 2/2", "2 fill 2@1040", "3 Cancelled 0/2", "3 error 202"]
    assert desk.position == 0
    assert desk.trade(970) == []


def test_children_wait_for_the_whole_parent():
    desk = Desk()
    desk.book.fill_cap = 1
    parent = desk.order(1, "LMT", 995, 2, transmit=False)
    desk.place(*bracket(desk, parent))
    assert desk.trade(994) == ["1 Submitted 1/2", "1 fill 1@995"]
    assert desk.trade(979) == [
        "1 Filled 2/2",
        "1 fill 1@995",
        "2 Submitted 0/2",
        "3 Submitted 0/2",
        "3 Submitted 1/2",
        "3 fill 1@978",
        "2 Submitted 0/1",
    ], "the stop lies beyond the market when it becomes active"
    assert desk.trade(979) == ["3 Filled 2/2", "3 fill 1@978", "2 Cancelled 0/1", "2 error 202"]
    assert desk.position == 0


def test_a_partial_exit_shrinks_the_other_leg():
    desk = Desk()
    desk.place(*bracket(desk))
    desk.book.fill_cap = 1
    assert desk.trade(1041) == ["2 Submitted 1/2", "2 fill 1@1040", "3 Submitted 0/1"]
    assert desk.trade(979) == ["3 Filled 1/1", "3 fill 1@978", "2 Cancelled 1/2", "2 error 202"]
    assert desk.position == 0


def test_oca_groups():
    for kind, after in ((1, ["2 Cancelled 0/2", "2 error 202"]), (2, ["2 Submitted 0/1"]), (3, ["2 Submitted 0/1"])):
        desk = Desk()
        pair = [desk.order(1, "LMT", price, 2, oca_group="g", oca_type=kind) for price in (990, 980)]
        desk.place(*pair)
        desk.book.fill_cap = 1
        assert desk.trade(989) == ["1 Submitted 1/2", "1 fill 1@990", *after]


def test_cancelling():
    desk = Desk()
    parent = desk.order(1, "LMT", 900, transmit=False)
    desk.place(*bracket(desk, parent, 1))
    assert desk.words(desk.book.cancel(1, 1, NOW)) == [
        "1 Cancelled 0/1",
        "1 error 202",
        "2 Cancelled 0/1",
        "2 error 202",
        "3 Cancelled 0/1",
        "3 error 202",
    ]
    assert desk.words(desk.book.cancel(1, 1, NOW)) == ["1 error 10148"]
    assert desk.words(desk.book.cancel(1, 99, NOW)) == ["99 error 10147"]
    assert desk.words(desk.book.cancel(2, 1, NOW)) == ["1 error 10147"], "ids belong to a client"
    desk.place(desk.order(1, "LMT", 900), desk.order(1, "LMT", 901, tif="GTC"))
    assert desk.words(desk.book.end_day(NOW)) == ["4 Cancelled 0/1", "4 error 202"]
    assert desk.words(desk.book.cancel_all(NOW)) == ["5 Cancelled 0/1", "5 error 202"]


def test_changing_an_order():
    desk = Desk()
    desk.place(desk.order(1, "LMT", 900))
    assert desk.place(desk.order(1, "LMT", 905, 3, order_id=1)) == ["1 Submitted 0/3"]
    assert desk.place(desk.order(-1, "LMT", 905, order_id=1)) == ["1 error 105"]
    assert desk.place(desk.order(1, "LMT", 1001, 3, order_id=1))[-1] == "1 fill 3@1000"
    assert desk.place(desk.order(1, "LMT", 900, order_id=1)) == ["1 error 104"]
    desk.place(desk.order(1, "LMT", 900, order_id=50))
    desk.book.cancel(1, 50, NOW)
    assert desk.place(desk.order(1, "LMT", 900, order_id=50)) == ["50 error 103"]


def test_refusals():
    desk = Desk(cash=5000)
    assert desk.place(desk.order(1, "TRAIL", 5)) == ["1 error 201"]
    assert desk.place(desk.order(1, "LMT")) == ["2 error 201"]
    assert desk.place(desk.order(1, quantity=0)) == ["3 error 201"]
    assert desk.place(desk.order(1, parent_id=77)) == ["4 error 10006"]
    parent, target, stop = bracket(desk, desk.order(1, quantity=2, transmit=False))
    desk.place(parent, target)
    assert desk.place(stop)[3:] == [
        "5 error 201",
        "5 Inactive 0/2",
        "6 Cancelled 0/2",
        "6 error 202",
        "7 Cancelled 0/2",
        "7 error 202",
    ], "two contracts need more margin than there is"
    assert desk.place(desk.order(1))[-1].startswith("8 fill")


def test_money_is_exact_over_reversals():
    desk = Desk()
    desk.place(desk.order(1, quantity=3))
    desk.trade(1011, 1010)
    (fill,) = [n.fill for n in desk.book.place(desk.order(-1, quantity=5), desk.market, NOW, is_open=True) if
               isinstance(n, FillNotice)]  # fmt: skip
    assert fill.realized_usd == Fraction(3 * 10, 2)
    held = desk.book.account.position(MNQ)
    assert (held.quantity, held.average_ticks) == (-2, 1010)
    assert desk.book.account.unrealized_usd(MNQ, 1000) == 10
    assert desk.book.account.cash_usd == 100_000 + 15 - 8 * Fraction("0.62")
    assert desk.book.account.values(MNQ, 1000)["InitMarginReq"] == ("6600.00", "USD")
    assert {order.status for order in desk.book.orders.values()} == {Status.FILLED}
