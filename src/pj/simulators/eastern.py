"""Place UTC instants in the exchange's trading day: the ET wall clock and the date it belongs to.

A trading day runs 18:00-17:00 ET and carries the date of its end (pj1 S1.2). The gateway plays the
exchange, so it keeps its own reading of that rule instead of borrowing the engine's.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

ET: Final = ZoneInfo("America/New_York")
CT: Final = ZoneInfo("America/Chicago")
HOUR_NS: Final = 3_600_000_000_000
MIN_NS: Final = 60_000_000_000
DAY_MINUTES: Final = 1380


@lru_cache(maxsize=65536)
def _offset_ns(hour: int) -> int:
    # US changes of the clock fall on whole UTC hours, so one offset per hour is exact.
    moment = datetime.fromtimestamp(hour * 3600, UTC).astimezone(ET)
    # The wall clock read as UTC, less the instant itself, is the zone's offset.
    return (int(moment.replace(tzinfo=UTC).timestamp()) - hour * 3600) * 1_000_000_000


def eastern_ns(utc_ns: int) -> int:
    """Return the ET wall clock of ``utc_ns`` as ns since the epoch."""
    return utc_ns + _offset_ns(utc_ns // HOUR_NS)


def trade_date(utc_ns: int) -> date:
    """Return the trade date ``utc_ns`` belongs to, weekends not shifted."""
    days = (eastern_ns(utc_ns) + 6 * HOUR_NS) // (24 * HOUR_NS)
    return date.fromordinal(date(1970, 1, 1).toordinal() + days)


def day_minute(utc_ns: int) -> int:
    """Return the minute of the trading day, 0 at 18:00 ET."""
    return (eastern_ns(utc_ns) // MIN_NS - 18 * 60) % 1440


def is_open(utc_ns: int) -> bool:
    """Tell whether the regular week trades at ``utc_ns`` (holidays are not known here)."""
    return day_minute(utc_ns) < DAY_MINUTES and trade_date(utc_ns).weekday() < 5


def at(day: date, clock: time) -> int:
    """Return ns UTC of the ET time ``clock`` in trade date ``day``; 18:00 and later is the evening before."""
    calendar_day = day - timedelta(days=1) if clock >= time(18) else day
    moment = datetime.combine(calendar_day, clock, ET)
    return int(moment.timestamp()) * 1_000_000_000


def opens(day: date) -> int:
    """Return ns UTC of the trading day's start, 18:00 ET the evening before."""
    return at(day, time(18))


def closes(day: date) -> int:
    """Return ns UTC of the trading day's end, 17:00 ET."""
    return at(day, time(17))


def stamp(utc_ns: int, zone: ZoneInfo, layout: str) -> str:
    """Return ``utc_ns`` as text in ``zone``."""
    return datetime.fromtimestamp(utc_ns // 1_000_000_000, UTC).astimezone(zone).strftime(layout)
