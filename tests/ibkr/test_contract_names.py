"""Name one contract as each party does."""

from __future__ import annotations

from datetime import date

import pytest

from pj.ibkr.contracts import FuturesMonth, parse_contract, root_of

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
    with pytest.raises(ValueError, match="write it like MNQZ6"):
        parse_contract(text, NEAR)


def test_root() -> None:
    assert (root_of("MNQZ6"), root_of("ESH7"), root_of("MES 03-27")) == ("MNQ", "ES", "MES")
