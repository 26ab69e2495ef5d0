"""Name futures contracts the way each party does, and find ours at the gateway.

Exchange and IBKR say ``MNQZ6``, TradersPost ``MNQZ2026``, NinjaTrader ``MNQ 12-26``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final

MONTH_CODES: Final = "FGHJKMNQUVXZ"
_LOCAL: Final = re.compile(rf"([A-Z0-9]{{1,5}}?)([{MONTH_CODES}])(\d|\d\d|\d{{4}})")
_NINJA: Final = re.compile(r"([A-Z0-9]{1,5}) (\d\d)-(\d\d)")


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

    Raises ValueError naming the text.
    """
    if match := _NINJA.fullmatch(text):
        month = int(match[2])
        if 1 <= month <= len(MONTH_CODES):
            return FuturesMonth(match[1], 2000 + int(match[3]), month)
    if match := _LOCAL.fullmatch(text):
        month = MONTH_CODES.index(match[2]) + 1
        return FuturesMonth(match[1], _year(match[3], near), month)
    raise ValueError(f"{text!r} is no futures contract; write it like MNQZ6, MNQZ2026 or MNQ 12-26")


def root_of(text: str) -> str:
    """Return the root of a contract name (``MNQ`` of ``MNQZ6``); raises ValueError naming the text."""
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


@dataclass(frozen=True, slots=True)
class Contract:
    """Hold one contract as the gateway describes it; ``native`` is the library's own object for requests.

    ``min_tick`` is in points, ``multiplier`` USD per point, both as the gateway wrote them.
    """

    con_id: int
    symbol: str
    local_symbol: str
    exchange: str
    currency: str
    last_trade_date: str
    multiplier: str
    min_tick: float
    native: Any = field(repr=False, compare=False)
