"""Name futures contracts the way each party does, the front one, and the days on which it rolls and expires.

Exchange and IBKR say ``MNQZ6``, TradersPost ``MNQZ2026``, NinjaTrader ``MNQ 12-26``.

Rules (services.md 5.2): last trade on the third Friday of March, June, September and December, a day earlier when
that is a holiday; the market rolls on the Monday of that week. From then on nothing new is opened in the old contract.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

MONTH_CODES: Final = "FGHJKMNQUVXZ"
_LOCAL: Final = re.compile(rf"([A-Z0-9]{{1,5}}?)([{MONTH_CODES}])(\d|\d\d|\d{{4}})")
_NINJA: Final = re.compile(r"([A-Z0-9]{1,5}) (\d\d)-(\d\d)")
QUARTER_MONTHS: Final = (3, 6, 9, 12)
_FIRST_YEAR_OF_JUNETEENTH: Final = 2022


class ContractError(ValueError):
    """Report a contract name that cannot be read."""


@dataclass(frozen=True, slots=True)
class FuturesMonth:
    """Name one delivery month of one root; ``month`` is 1..12, ``year`` has four digits."""

    root: str
    year: int
    month: int

    @property
    def local_symbol(self) -> str:
        """Return the exchange's and IBKR's name (``MNQZ6``)."""
        return f"{self.root}{MONTH_CODES[self.month - 1]}{self.year % 10}"

    @property
    def traderspost(self) -> str:
        """Return TradersPost's explicit name (``MNQZ2026``)."""
        return f"{self.root}{MONTH_CODES[self.month - 1]}{self.year}"

    @property
    def ninja(self) -> str:
        """Return NinjaTrader's name (``MNQ 12-26``)."""
        return f"{self.root} {self.month:02d}-{self.year % 100:02d}"


def parse_contract(text: str, near: date) -> FuturesMonth:
    """Read any of the three names; a one-digit year is the one nearest to ``near`` (later on a tie).

    Raises ContractError naming the text.
    """
    if match := _NINJA.fullmatch(text):
        month = int(match[2])
        if 1 <= month <= len(MONTH_CODES):
            return FuturesMonth(match[1], 2000 + int(match[3]), month)
    if match := _LOCAL.fullmatch(text):
        month = MONTH_CODES.index(match[2]) + 1
        return FuturesMonth(match[1], _year(match[3], near), month)
    raise ContractError(f"{text!r} is no futures contract; write it like MNQZ6, MNQZ2026 or MNQ 12-26")


def root_of(text: str) -> str:
    """Return the root of a contract name (``MNQ`` of ``MNQZ6``); raises ContractError naming the text."""
    return parse_contract(text, date(2000, 1, 1)).root


def _year(digits: str, near: date) -> int:
    if len(digits) == 4:
        return int(digits)
    if len(digits) == 2:
        return 2000 + int(digits)
    return min(
        (y for y in range(near.year - 5, near.year + 6) if y % 10 == int(digits)),
        key=lambda y: (abs(y - near.year), -y),
    )


def front_contract(symbol: str, trade_date: date) -> str:
    """Return the contract to trade on ``trade_date``, as IBKR names it (``MNQZ6``)."""
    quarters = [(year, month) for year in (trade_date.year, trade_date.year + 1) for month in QUARTER_MONTHS]
    year, month = next(quarter for quarter in quarters if trade_date < _roll(*quarter))
    return FuturesMonth(symbol, year, month).local_symbol


def expiry_date(contract: str, trade_date: date) -> date:
    """Return the day of the contract's last trade (09:30 ET on that day)."""
    return _expiry(*_quarter(contract, trade_date))


def roll_date(contract: str, trade_date: date) -> date:
    """Return the Monday from which nothing new is opened in ``contract``."""
    return _roll(*_quarter(contract, trade_date))


def days_to_roll(contract: str, trade_date: date) -> int:
    """Return the calendar days until the roll; 0 or less = no new entries in this contract."""
    return (roll_date(contract, trade_date) - trade_date).days


def _quarter(contract: str, near: date) -> tuple[int, int]:
    named = parse_contract(contract, near)
    if named.month not in QUARTER_MONTHS:
        raise ContractError(f"contract {contract!r} is not a quarterly contract; write it like MNQZ6")
    return named.year, named.month


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
