"""Know the exchange's short and closed days well enough for made-up sessions (services 5.3)."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Final

from pj.simulators.contracts import good_friday
from pj.simulators.eastern import DAY_MINUTES

_NOON_CHICAGO: Final = 19 * 60
_QUARTER_PAST: Final = 19 * 60 + 15


def _nth(year: int, month: int, weekday: int, nth: int) -> date:
    first = date(year, month, 1)
    return first + timedelta(days=(weekday - first.weekday()) % 7 + 7 * (nth - 1))


def session_minutes(day: date) -> int:
    """Return how many minutes trade date ``day`` trades from 18:00 ET the evening before; 0 = closed."""
    year = day.year
    memorial = _nth(year, 5, 0, 4)
    if memorial + timedelta(days=7) <= date(year, 5, 31):
        memorial += timedelta(days=7)
    thanksgiving = _nth(year, 11, 3, 4)
    holidays = {_nth(year, 1, 0, 3), _nth(year, 2, 0, 3), memorial, _nth(year, 9, 0, 1), thanksgiving}
    if year >= 2022:
        holidays.add(date(year, 6, 19))
    if day.weekday() >= 5 or day == good_friday(year) or (day.month, day.day) in ((1, 1), (12, 25)):
        return 0
    if day in holidays:
        return _NOON_CHICAGO
    if day == thanksgiving + timedelta(days=1) or (day.month, day.day) == (12, 24):
        return _QUARTER_PAST
    return DAY_MINUTES


def trading_days(last: date, count: int) -> list[date]:
    """Return the ``count`` trade dates up to and including ``last``, oldest first."""
    found: list[date] = []
    day = last
    while len(found) < count:
        if session_minutes(day):
            found.append(day)
        day -= timedelta(days=1)
    return found[::-1]
