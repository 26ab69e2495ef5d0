"""Name the front contract of a quarterly future and the days on which it rolls and expires.

Rules (services.md 5.2): last trade on the third Friday of March, June, September and December,
a day earlier when that is a holiday; the market rolls on the Monday of that week. From the roll
date on nothing new is opened in the old contract.
"""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import Final

MONTH_OF_CODE: Final = {"H": 3, "M": 6, "U": 9, "Z": 12}
_NAME: Final = re.compile(r"([A-Z0-9]{1,4})([HMUZ])(\d)")
_FIRST_YEAR_OF_JUNETEENTH: Final = 2022


class ContractError(ValueError):
    """Report a contract name that cannot be read."""


def front_contract(symbol: str, trade_date: date) -> str:
    """Return the contract to trade on ``trade_date``, as IBKR names it (``MNQZ6``)."""
    for year in (trade_date.year, trade_date.year + 1):
        for code, month in MONTH_OF_CODE.items():
            if trade_date < _roll(year, month):
                return f"{symbol}{code}{year % 10}"
    raise AssertionError(f"no quarterly contract after {trade_date}")


def traderspost_symbol(contract: str, trade_date: date) -> str:
    """Return the contract with a four-digit year (``MNQZ2026``), as TradersPost wants it."""
    symbol, code, year = _parts(contract, trade_date)
    return f"{symbol}{code}{year}"


def expiry_date(contract: str, trade_date: date) -> date:
    """Return the day of the contract's last trade (09:30 ET on that day)."""
    _, code, year = _parts(contract, trade_date)
    return _expiry(year, MONTH_OF_CODE[code])


def roll_date(contract: str, trade_date: date) -> date:
    """Return the Monday from which nothing new is opened in ``contract``."""
    _, code, year = _parts(contract, trade_date)
    return _roll(year, MONTH_OF_CODE[code])


def days_to_roll(contract: str, trade_date: date) -> int:
    """Return the calendar days until the roll; 0 or less = no new entries in this contract."""
    return (roll_date(contract, trade_date) - trade_date).days


def _parts(contract: str, near: date) -> tuple[str, str, int]:
    """Return root, month code and the year closest to ``near`` that ends in the name's digit."""
    match = _NAME.fullmatch(contract)
    if match is None:
        raise ContractError(f"contract {contract!r} is not a quarterly contract; write it like MNQZ6")
    digit = int(match[3])
    year = next(y for y in range(near.year - 4, near.year + 6) if y % 10 == digit)
    return match[1], match[2], year


def _expiry(year: int, month: int) -> date:
    first = date(year, month, 1)
    third_friday = first + timedelta(days=(4 - first.weekday()) % 7 + 14)
    return third_friday - timedelta(days=1) if _holiday(third_friday) else third_friday


def _holiday(third_friday: date) -> bool:
    """Tell whether a third Friday is a market holiday.

    That can only be Juneteenth, kept on the Friday itself or before a Saturday. (Good Friday falls
    on a third Friday of March in 2008 and then in 2160.)
    """
    return third_friday.month == 6 and third_friday.day in (18, 19) and third_friday.year >= _FIRST_YEAR_OF_JUNETEENTH


def _roll(year: int, month: int) -> date:
    expiry = _expiry(year, month)
    return expiry - timedelta(days=expiry.weekday())
