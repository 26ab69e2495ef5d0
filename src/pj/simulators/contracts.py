"""List the quarterly index futures the simulated exchange trades, and find them as a client names them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from live.market import INSTRUMENTS, Instrument

MONTH_LETTERS: Final = {3: "H", 6: "M", 9: "U", 12: "Z"}
_LETTER_MONTHS: Final = {letter: month for month, letter in MONTH_LETTERS.items()}
_LONG_NAMES: Final = {
    "NQ": "E-mini NASDAQ 100",
    "MNQ": "Micro E-Mini Nasdaq-100 Index",
    "ES": "E-mini S&P 500",
    "MES": "Micro E-Mini S&P 500 Stock Price Index",
}
_UNDERLYINGS: Final = {
    "NQ": ("NDX", 11004958),
    "MNQ": ("NDX", 11004958),
    "ES": ("SPX", 11004968),
    "MES": ("SPX", 11004968),
}
_LISTED_QUARTERS: Final = 5

_NINJA: Final = re.compile(r"([A-Z]+) (\d{2})-(\d{2})")
_LOCAL: Final = re.compile(r"([A-Z]+)([HMUZ])(\d{1,4})")
_YYYYMM: Final = re.compile(r"(\d{4})(\d{2})")


class UnknownContract(ValueError):
    """Report a contract name that no rule here can read."""


@dataclass(frozen=True, slots=True)
class Future:
    """Describe one listed contract; ``con_id`` is made up, unique and the same in every run."""

    instrument: Instrument
    year: int
    month: int

    @property
    def symbol(self) -> str:
        """Return the root, e.g. ``MNQ``."""
        return self.instrument.symbol

    @property
    def local_symbol(self) -> str:
        """Return the exchange's short name, e.g. ``MNQZ6``."""
        return f"{self.symbol}{MONTH_LETTERS[self.month]}{self.year % 10}"

    @property
    def con_id(self) -> int:
        """Return the contract's number."""
        roots = sorted(INSTRUMENTS)
        return 600_000_000 + (roots.index(self.symbol) + 1) * 100_000 + self.year * 12 + self.month - 24_000

    @property
    def expiry(self) -> date:
        """Return the last trade date (services 5.2)."""
        return expiry(self.year, self.month)

    @property
    def contract_month(self) -> str:
        """Return ``yyyymm``."""
        return f"{self.year}{self.month:02d}"

    @property
    def long_name(self) -> str:
        """Return the product's name."""
        return _LONG_NAMES[self.symbol]

    @property
    def underlying(self) -> tuple[str, int]:
        """Return the underlying index and its number."""
        return _UNDERLYINGS[self.symbol]

    @property
    def multiplier(self) -> int:
        """Return USD per index point."""
        return self.instrument.multiplier


@dataclass(frozen=True, slots=True)
class ContractQuery:
    """Hold a client's contract as sent (the 12 fields that open most requests)."""

    con_id: int = 0
    symbol: str = ""
    sec_type: str = ""
    expiry: str = ""
    strike: str = ""
    right: str = ""
    multiplier: str = ""
    exchange: str = ""
    primary_exchange: str = ""
    currency: str = ""
    local_symbol: str = ""
    trading_class: str = ""


def _easter(year: int) -> date:
    """Return Easter Sunday (anonymous Gregorian computus)."""
    a, (b, c) = year % 19, divmod(year, 100)
    d, e = divmod(b, 4)
    g = (8 * b + 13) // 25
    h = (19 * a + b - d - g + 15) % 30
    i, k = divmod(c, 4)
    weekday = (32 + 2 * e + 2 * i - h - k) % 7
    m = (a + 11 * h + 22 * weekday) // 451
    month, day = divmod(h + weekday - 7 * m + 114, 31)
    return date(year, month, day + 1)


def good_friday(year: int) -> date:
    """Return Good Friday."""
    return _easter(year) - timedelta(days=2)


def expiry(year: int, month: int) -> date:
    """Return the last trade date: the 3rd Friday, the day before when it is Good Friday or Juneteenth."""
    first = date(year, month, 1)
    third_friday = first + timedelta(days=(4 - first.weekday()) % 7 + 14)
    juneteenth = {date(year, 6, 19)} if year >= 2022 else set()
    # Juneteenth on a Saturday is kept on the Friday before, 18 June.
    if date(year, 6, 19).weekday() == 5 and year >= 2022:
        juneteenth.add(date(year, 6, 18))
    while third_friday in juneteenth or third_friday == good_friday(year):
        third_friday -= timedelta(days=1)
    return third_friday


def roll_date(year: int, month: int) -> date:
    """Return the Monday of expiry week, from which the next contract is the front (services 5.2)."""
    last = expiry(year, month)
    return last - timedelta(days=last.weekday())


def _next_quarter(year: int, month: int) -> tuple[int, int]:
    return (year + 1, 3) if month == 12 else (year, month + 3)


def front(instrument: Instrument, day: date) -> Future:
    """Return the front contract of ``day`` by the roll table."""
    year, month = day.year, (day.month - 1) // 3 * 3 + 3
    if day >= roll_date(year, month):
        year, month = _next_quarter(year, month)
    return Future(instrument, year, month)


def listed(instrument: Instrument, day: date) -> list[Future]:
    """Return the quarterly contracts listed on ``day``, nearest first, unexpired."""
    year, month = day.year, (day.month - 1) // 3 * 3 + 3
    found: list[Future] = []
    while len(found) < _LISTED_QUARTERS:
        if expiry(year, month) >= day:
            found.append(Future(instrument, year, month))
        year, month = _next_quarter(year, month)
    return found


def parse(name: str, day: date, symbol: str = "") -> Future:
    """Return the contract a file or a user calls ``name``.

    Reads ``MNQ 06-26``, ``MNQM6``, ``MNQM2026`` and ``202606`` (root from ``symbol``). A one-digit year is
    the one nearest to ``day``. Raises UnknownContract with what was expected.
    """
    root, year, month = symbol, 0, 0
    if found := _NINJA.fullmatch(name):
        root, month, year = found[1], int(found[2]), 2000 + int(found[3])
    elif found := _LOCAL.fullmatch(name):
        root, month, digits = found[1], _LETTER_MONTHS[found[2]], found[3]
        span = 10 ** len(digits)
        year = int(digits) if len(digits) == 4 else day.year - (day.year - int(digits) + span // 2) % span + span // 2
    elif found := _YYYYMM.fullmatch(name):
        year, month = int(found[1]), int(found[2])
    if root not in INSTRUMENTS or month not in MONTH_LETTERS:
        raise UnknownContract(
            f"contract {name!r} is not known; use e.g. MNQZ6 with a root of {', '.join(sorted(INSTRUMENTS))}"
        )
    return Future(INSTRUMENTS[root], year, month)


def find(query: ContractQuery, day: date, *, expired: tuple[Future, ...] = ()) -> list[Future]:
    """Return the listed contracts that match ``query`` on ``day``, nearest first; empty = no definition.

    ``expired`` adds contracts that a replay file plays although ``day`` no longer lists them.
    """
    if query.sec_type not in ("FUT", "CONTFUT", "") or (query.sec_type == "" and not query.con_id):
        return []
    candidates = [future for instrument in INSTRUMENTS.values() for future in listed(instrument, day)]
    candidates += [future for future in expired if future not in candidates]
    matching = [future for future in candidates if _matches(query, future)]
    if query.sec_type == "CONTFUT":
        return [future for future in matching if future == front(future.instrument, day)]
    return matching


def _matches(query: ContractQuery, future: Future) -> bool:
    wanted = query.expiry.split(" ")[0]
    if query.con_id:
        return query.con_id == future.con_id and query.exchange in ("", "CME", "GLOBEX", "SMART")
    return (
        query.symbol in ("", future.symbol)
        and bool(query.symbol or query.local_symbol)
        and query.exchange in ("", "CME")
        and query.currency in ("", "USD")
        and query.local_symbol in ("", future.local_symbol)
        and query.trading_class in ("", future.symbol)
        and query.multiplier in ("", str(future.multiplier))
        and wanted in ("", future.contract_month, future.expiry.strftime("%Y%m%d"))
    )
