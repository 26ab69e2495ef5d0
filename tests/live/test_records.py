"""Rows of trades.csv and events.csv to the last digit (pj1 S13)."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from live.commands import RecordEvent, Trade
from live.market import INSTRUMENTS
from live.records import EVENT_COLUMNS, TRADE_COLUMNS, event_row, r_text, trade_row, usd_text

TRADE = Trade(
    trade_id=3, trade_date_ordinal=739_721, pool_id="739721:PDL", kind="PD", side=-1, level_ticks=100_001,
    sweep_ts_s=1_776_261_660, extreme_ticks=100_010, signal_ts_s=1_776_261_720, entry_ref_ticks=99_990,
    stop_ticks=100_014, target_ticks=99_942, qty=5, entry_ts_s=1_776_261_720, entry_price_ticks=99_989,
    exit_ts_s=1_776_262_000, exit_price_ticks=100_015, exit_reason="STOP", risk_ticks=24, gross_cents=-6500,
    cost_cents=620, net_cents=-7120, mae_ticks=26, mfe_ticks=0,
)  # fmt: skip


def test_a_trade_row() -> None:
    row = trade_row(TRADE, INSTRUMENTS["MNQ"])
    assert tuple(row) == TRADE_COLUMNS
    assert list(row.values()) == [
        "3", "2026-04-15", "739721:PDL", "PD", "SHORT", "25000.25", "2026-04-15T14:01:00Z", "25002.5",
        "2026-04-15T14:02:00Z", "24997.5", "25003.5", "24985.5", "5", "2026-04-15T14:02:00Z", "24997.25",
        "2026-04-15T14:06:40Z", "25003.75", "STOP", "24", "-65.00", "6.20", "-71.20", "-1.1867", "26", "0",
    ]  # fmt: skip


def test_event_rows_leave_empty_what_does_not_apply() -> None:
    row = event_row(RecordEvent(60, "DEFINED", "1:PDH", -5))
    assert tuple(row) == EVENT_COLUMNS
    assert list(row.values()) == ["60", "DEFINED", "1:PDH", "-5", "", "", "", "", "", "", ""]
    signal = RecordEvent(60, "SIGNAL", "p", 0, 0, 1, 2, 3, 4, gates=(("KILL", True),))
    assert list(event_row(signal).values()) == ["60", "SIGNAL", "p", "0", "0", "1", "2", "3", "4", "", ""]


@pytest.mark.parametrize(
    ("cents", "text"), [(0, "0.00"), (5, "0.05"), (-5, "-0.05"), (-12_345, "-123.45"), (100, "1.00")]
)
def test_dollars(cents: int, text: str) -> None:
    assert usd_text(cents) == text


@pytest.mark.parametrize(
    ("net", "risk", "text"),
    [
        (1, 20_000, "0.0000"),
        (3, 20_000, "0.0002"),
        (-1, 20_000, "0.0000"),
        (-3, 20_000, "-0.0002"),
        (5, 20_000, "0.0002"),
    ],
)
def test_r_rounds_half_to_even(net: int, risk: int, text: str) -> None:
    assert r_text(net, risk) == text


@given(st.integers(-(10**7), 10**7), st.integers(1, 10**6))
def test_r_is_within_half_a_digit(net: int, risk: int) -> None:
    assert abs(Fraction(r_text(net, risk)) - Fraction(net, risk)) <= Fraction(1, 20_000)
