"""Trade dates, minutes and spans of the CME day, exact through clock changes (pj1 S1.2, S1.3, S7)."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from live.market import NS_PER_MIN, NS_PER_S
from live.trading_day import (
    at_minute_ns,
    day_start_ns,
    is_trading_minute,
    iso_utc,
    minute_of_day,
    minute_of_wall,
    span_at,
    trade_date,
)

ET = ZoneInfo("America/New_York")


def ns(text: str) -> int:
    return int(dt.datetime.fromisoformat(text).timestamp()) * NS_PER_S


@pytest.mark.parametrize(
    ("moment", "date", "minute"),
    [
        ("2026-04-14T22:00:00+00:00", "2026-04-15", 0),
        ("2026-04-15T13:30:00+00:00", "2026-04-15", 930),
        ("2026-04-15T20:59:59+00:00", "2026-04-15", 1379),
        ("2026-04-15T21:00:00+00:00", "2026-04-15", 1380),
        ("2026-04-15T21:59:00+00:00", "2026-04-15", 1439),
        ("2025-03-09T22:00:00+00:00", "2025-03-10", 0),  # Sunday open after the spring change: EDT
        ("2025-11-02T23:00:00+00:00", "2025-11-03", 0),  # Sunday open after the autumn change: EST
        ("2025-11-02T22:59:00+00:00", "2025-11-02", 1439),
    ],
)
def test_known_moments(moment: str, date: str, minute: int) -> None:
    assert trade_date(ns(moment)).isoformat() == date
    assert minute_of_day(ns(moment)) == minute


@given(st.integers(0, 2_500_000_000))
def test_every_second_agrees_with_the_wall_clock(second: int) -> None:
    wall = dt.datetime.fromtimestamp(second, ET)
    moment = second * NS_PER_S
    assert trade_date(moment) == (wall.replace(tzinfo=None) + dt.timedelta(hours=6)).date()
    assert minute_of_day(moment) == (wall.hour * 60 + wall.minute - 1080) % 1440


@given(st.integers(0, 2_500_000_000))
def test_spans_say_the_same_as_the_functions(second: int) -> None:
    moment = second * NS_PER_S
    span = span_at(moment)
    assert span.start_ns <= moment < span.end_ns
    for inside in (span.start_ns, moment, span.end_ns - 1):
        assert span.ordinal == trade_date(inside).toordinal()
        assert (inside - span.base_ns) // NS_PER_MIN == minute_of_day(inside)
    assert span.weekend == (trade_date(moment).weekday() >= 5)


@given(st.dates(dt.date(1990, 1, 1), dt.date(2040, 1, 1)), st.integers(0, 1439))
def test_minutes_can_be_asked_back(day: dt.date, minute: int) -> None:
    moment = at_minute_ns(day, minute)
    if day.weekday() < 5:
        assert (trade_date(moment), minute_of_day(moment)) == (day, minute)
    assert day_start_ns(day) == at_minute_ns(day, 0)


def test_strays_are_no_trading_minutes() -> None:
    assert is_trading_minute(ns("2026-04-15T20:59:00+00:00"))
    assert not is_trading_minute(ns("2026-04-15T21:30:00+00:00"))
    assert not is_trading_minute(ns("2026-04-18T15:00:00+00:00"))


def test_texts() -> None:
    assert minute_of_wall("18:00") == 0
    assert minute_of_wall("9:30") == minute_of_wall("09:30") == 930
    assert iso_utc(1_776_204_000) == "2026-04-14T22:00:00Z"
    for bad in ("", "9", "24:00", "09:60", "0930", "09:3", "-1:00", "٠٩:٣٠", "09:30:00"):
        with pytest.raises(ValueError, match="HH:MM"):
            minute_of_wall(bad)
