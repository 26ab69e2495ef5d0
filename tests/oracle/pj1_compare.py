"""Compare what the engine records with the oracle's rows, by value and column by column."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from fractions import Fraction
from typing import Any

from pj1_oracle import Row

from live.commands import RecordEvent, Trade
from live.market import NS_PER_S, Bar, Instrument
from live.records import EVENT_COLUMNS, TRADE_COLUMNS, event_row, trade_row

PRICES = ("level", "extreme", "entry_ref", "stop", "target", "entry_price", "exit_price")
TIMES = ("sweep_ts", "signal_ts", "entry_ts", "exit_ts")
MONEY = ("gross_usd", "cost_usd", "net_usd")


def oracle_rows(bars: list[Bar]) -> list[Row]:
    """Return bars as the oracle's rows."""
    return [
        (b.ts_ns // NS_PER_S, b.open_ticks, b.high_ticks, b.low_ticks, b.close_ticks, b.volume, b.contract)
        for b in bars
    ]


def assert_same_events(mine: list[RecordEvent], theirs: list[dict[str, Any]]) -> None:
    """Fail at the first event that differs in any column."""
    for place, (one, other) in enumerate(zip(mine, theirs, strict=False)):
        row = event_row(one)
        expected = {name: str(other[name]) for name in EVENT_COLUMNS}
        assert row == expected, f"event {place}: engine {row}, oracle {expected}"
    assert len(mine) == len(theirs), (len(mine), len(theirs), theirs[len(mine) :][:1], mine[len(theirs) :][:1])


def assert_same_trades(mine: list[Trade], theirs: list[dict[str, Any]], instrument: Instrument) -> None:
    """Fail at the first trade that differs in any column of the text of trades.csv."""
    for one, other in zip(mine, theirs, strict=False):
        row = trade_row(one, instrument)
        assert tuple(row) == TRADE_COLUMNS
        assert {name: _value(name, row[name]) for name in row} == {
            name: _expected(name, other[name], instrument) for name in row
        }
    assert len(mine) == len(theirs)


def _value(name: str, text: str) -> object:
    if name in (*PRICES, *MONEY, "r"):
        return Decimal(text)
    if name in TIMES:
        return int(dt.datetime.fromisoformat(text).timestamp())
    return text


def _expected(name: str, value: Any, instrument: Instrument) -> object:
    if name in PRICES:
        return instrument.tick * value
    if name in MONEY:
        return value
    if name == "r":
        scaled = Fraction(value) * 10_000
        return Decimal(round(scaled)) / 10_000
    return value if name in TIMES else str(value)
