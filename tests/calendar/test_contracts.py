"""The roll table against the dates of services.md 5.2, typed in."""

from __future__ import annotations

from datetime import date

import pytest

from pj.contracts import (
    MONTH_CODES,
    ContractError,
    FuturesMonth,
    days_to_roll,
    expiry_date,
    front_contract,
    parse_contract,
    roll_date,
    root_of,
)
from pj.simulators import contracts as exchange

GOLDEN = [
    ("MNQM6", "2026-06-18", "2026-06-15"),
    ("MNQZ6", "2026-12-18", "2026-12-14"),
    ("MNQH7", "2027-03-19", "2027-03-15"),
    ("MNQM7", "2027-06-17", "2027-06-14"),
    ("MNQU7", "2027-09-17", "2027-09-13"),
    ("MNQZ7", "2027-12-17", "2027-12-13"),
    ("NQM5", "2025-06-20", "2025-06-16"),
]


@pytest.mark.parametrize(("contract", "expiry", "roll"), GOLDEN)
def test_expiry_and_roll(contract: str, expiry: str, roll: str) -> None:
    near = date.fromisoformat(roll)
    assert expiry_date(contract, near).isoformat() == expiry
    assert roll_date(contract, near).isoformat() == roll


@pytest.mark.parametrize(
    ("symbol", "day", "contract"),
    [
        ("MNQ", "2026-11-20", "MNQZ6"),
        ("MNQ", "2026-12-11", "MNQZ6"),
        ("MNQ", "2026-12-14", "MNQH7"),
        ("MNQ", "2026-12-31", "MNQH7"),
        ("MNQ", "2026-04-15", "MNQM6"),
        ("NQ", "2025-05-05", "NQM5"),
        ("ES", "2026-06-12", "ESM6"),
        ("MES", "2026-06-15", "MESU6"),
    ],
)
def test_front_contract(symbol: str, day: str, contract: str) -> None:
    assert front_contract(symbol, date.fromisoformat(day)) == contract


@pytest.mark.parametrize(
    ("contract", "day", "symbol"),
    [
        ("MNQZ6", "2026-11-20", "MNQZ2026"),
        ("MNQH7", "2026-12-20", "MNQH2027"),
        ("MNQZ9", "2029-12-01", "MNQZ2029"),
        ("MNQH0", "2029-12-20", "MNQH2030"),
        ("NQM5", "2025-05-05", "NQM2025"),
    ],
)
def test_traderspost_symbol(contract: str, day: str, symbol: str) -> None:
    assert parse_contract(contract, date.fromisoformat(day)).traderspost == symbol


def test_days_to_roll_ends_at_the_monday() -> None:
    assert days_to_roll("MNQZ6", date(2026, 12, 11)) == 3
    assert days_to_roll("MNQZ6", date(2026, 12, 14)) == 0
    assert days_to_roll("MNQZ6", date(2026, 12, 16)) == -2


@pytest.mark.parametrize("name", ["MNQ", "MNQ1!", "MNQF6", "", "mnqz6"])
def test_a_name_that_is_no_quarterly_contract_is_refused(name: str) -> None:
    with pytest.raises(ContractError, match="write it like MNQZ6"):
        days_to_roll(name, date(2026, 11, 20))


NEAR = date(2026, 11, 20)


@pytest.mark.parametrize("text", ["MNQZ6", "MNQZ26", "MNQZ2026", "MNQ 12-26"])
def test_every_name_reads_the_same(text: str) -> None:
    month = parse_contract(text, NEAR)
    assert month == FuturesMonth("MNQ", 2026, 12)
    assert (month.local_symbol, month.traderspost, month.ninja) == ("MNQZ6", "MNQZ2026", "MNQ 12-26")


@pytest.mark.parametrize(
    ("text", "near", "year"),
    [("NQM5", date(2025, 5, 4), 2025), ("MNQH0", date(2029, 12, 1), 2030), ("MNQZ9", date(2030, 1, 2), 2029)],
)
def test_one_digit_year_is_the_nearest(text: str, near: date, year: int) -> None:
    assert parse_contract(text, near).year == year


@pytest.mark.parametrize("text", ["", "MNQ", "MNQA6", "mnqz6", "MNQ 13-26", "MNQZ6 ", "Z6"])
def test_nonsense_is_named(text: str) -> None:
    with pytest.raises(ContractError, match="write it like MNQZ6"):
        parse_contract(text, NEAR)


def test_root() -> None:
    assert (root_of("MNQZ6"), root_of("ESH7"), root_of("MES 03-27")) == ("MNQ", "ES", "MES")


def test_the_simulated_exchange_lists_by_the_same_calendar() -> None:
    """The exchange works its dates out by itself: Easter and Juneteenth, where ours knows only the third Friday."""
    for year in range(2012, 2040):
        for month in (3, 6, 9, 12):
            contract = f"MNQ{MONTH_CODES[month - 1]}{year}"
            assert expiry_date(contract, date(year, month, 1)) == exchange.expiry(year, month)
            assert roll_date(contract, date(year, month, 1)) == exchange.roll_date(year, month)
