"""Tell the CME trading day of a moment: trade date, minute of the day, spans of constant offset (pj1 S1.2).

The day runs from 18:00 ET to 17:00 ET; its date is the ET wall date six hours later, so 18:00 ET opens the
next date. Everything is converted with the IANA zone, never with a fixed offset. The zone is asked once per
UTC hour (New York changes its clocks on whole hours) and remembered, because bars ask it 1,380 times a day.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from live.market import NS_PER_S

ET: Final = ZoneInfo("America/New_York")
MINUTES_PER_DAY: Final = 1440
CLOSE_M: Final = 1380
"""First minute of the daily break (17:00 ET); bars from here on are stray (pj1 S1.3)."""
OPEN_WALL_MIN: Final = 18 * 60
_HOUR_S: Final = 3600
_DAY_S: Final = 86_400
_HOUR_NS: Final = _HOUR_S * NS_PER_S
_SHIFT_S: Final = 6 * _HOUR_S
_EPOCH_ORDINAL: Final = date(1970, 1, 1).toordinal()
_SATURDAY: Final = 5


@lru_cache(maxsize=65_536)
def _offset_of_hour_s(hour: int) -> int:
    """Return New York's UTC offset in seconds during UTC hour ``hour`` (hours since the epoch)."""
    start_s = hour * _HOUR_S
    wall = datetime.fromtimestamp(start_s, ET).replace(tzinfo=UTC)
    return int(wall.timestamp()) - start_s


def et_offset_s(ns: int) -> int:
    """Return New York's UTC offset in seconds at ``ns`` (UTC epoch ns): -14400 in summer, -18000 in winter."""
    return _offset_of_hour_s(ns // _HOUR_NS)


def trade_ordinal(ns: int) -> int:
    """Return the trade date of ``ns`` as a proleptic ordinal: date(ET wall + 6 h) (pj1 S1.2)."""
    return (ns // NS_PER_S + et_offset_s(ns) + _SHIFT_S) // _DAY_S + _EPOCH_ORDINAL


def trade_date(ns: int) -> date:
    """Return the trade date of ``ns`` (UTC epoch ns); Saturdays and Sundays are returned as they fall."""
    return date.fromordinal(trade_ordinal(ns))


def minute_of_day(ns: int) -> int:
    """Return the minute m of the trading day: 18:00 ET = 0, 09:30 = 930, 16:59 = 1379, 17:59 = 1439."""
    return (ns // NS_PER_S + et_offset_s(ns) + _SHIFT_S) % _DAY_S // 60


def is_trading_minute(ns: int) -> bool:
    """Tell whether ``ns`` lies in a trading day: not 17:00-17:59 ET, not a Saturday or Sunday date (pj1 S1.3)."""
    return not is_weekend(trade_ordinal(ns)) and minute_of_day(ns) < CLOSE_M


def is_weekend(ordinal: int) -> bool:
    """Tell whether the proleptic ordinal falls on a Saturday or Sunday."""
    return (ordinal + 6) % 7 >= _SATURDAY


def day_start_ns(day: date) -> int:
    """Return the UTC ns of 18:00 ET on the evening before ``day``, the open of that trade date."""
    return wall_ns(date.fromordinal(day.toordinal() - 1), OPEN_WALL_MIN)


def wall_ns(day: date, minute: int) -> int:
    """Return the UTC ns of ET wall time ``minute`` (minutes after midnight) on calendar date ``day``."""
    moment = datetime(day.year, day.month, day.day, minute // 60, minute % 60, tzinfo=ET)
    return int(moment.timestamp()) * NS_PER_S


def at_minute_ns(day: date, minute: int) -> int:
    """Return the UTC ns at which minute ``minute`` (0..1439) of trade date ``day`` opens."""
    wall = (minute + OPEN_WALL_MIN) % MINUTES_PER_DAY
    evening = minute < MINUTES_PER_DAY - OPEN_WALL_MIN
    return wall_ns(date.fromordinal(day.toordinal() - 1) if evening else day, wall)


def minute_of_wall(text: str) -> int:
    """Return the minute of the trading day of an ET wall time ``HH:MM``; raise ValueError on anything else."""
    hours, colon, minutes = text.partition(":")
    if not (colon and len(minutes) == 2 and hours.isascii() and minutes.isascii()):
        raise ValueError(f"{text!r} is not a time HH:MM")
    if not (hours.isdigit() and minutes.isdigit() and int(hours) < 24 and int(minutes) < 60):
        raise ValueError(f"{text!r} is not a time HH:MM")
    return (int(hours) * 60 + int(minutes) - OPEN_WALL_MIN) % MINUTES_PER_DAY


@dataclass(frozen=True, slots=True)
class Span:
    """Name a stretch of one trade date with one UTC offset: there m = (ts - base_ns) // 60 s.

    Valid for ``start_ns`` <= ts < ``end_ns``. A trade date is one span except the Sunday of a clock change.
    """

    ordinal: int
    base_ns: int
    start_ns: int
    end_ns: int
    weekend: bool


def span_at(ns: int) -> Span:
    """Return the span that holds ``ns``; callers keep it and ask again when a later ts leaves it."""
    offset = et_offset_s(ns)
    ordinal = trade_ordinal(ns)
    base = ((ordinal - _EPOCH_ORDINAL) * _DAY_S - _SHIFT_S - offset) * NS_PER_S
    end = base + _DAY_S * NS_PER_S
    start = base
    if et_offset_s(end - 1) != offset or et_offset_s(base) != offset:
        # A clock change lies inside this date: trust the offset for the current hour only.
        start = max(start, ns // _HOUR_NS * _HOUR_NS)
        end = min(end, start + _HOUR_NS)
    return Span(ordinal, base, start, end, is_weekend(ordinal))


def iso_utc(ts_s: int) -> str:
    """Return epoch seconds as ``YYYY-MM-DDTHH:MM:SSZ``."""
    return datetime.fromtimestamp(ts_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
