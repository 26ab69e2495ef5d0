"""Raise the feed's alarms of pj1 S7: late ticks above 0.1 %, rows from the future, minutes nobody wrote."""

from __future__ import annotations

from datetime import date
from typing import Final

from pj.processes.engine.book import DayBook
from pj.processes.engine.feed import TapeFeed

LATE_SHARE: Final = 0.001


class FeedAlarms:
    """Journal each kind of trouble once per trade date; clock jumps each time."""

    def __init__(self) -> None:
        """Start quiet."""
        self._day: date | None = None
        self._said: set[str] = set()
        self._late = self._future = 0

    def check(self, book: DayBook, feed: TapeFeed) -> None:
        """Compare the feed's counters with what has been said."""
        if book.day.trade_date != self._day:
            self._day = book.day.trade_date
            self._said.clear()
        builder = feed.builder
        if builder.late > self._late and builder.late_share > LATE_SHARE:
            self._late = builder.late
            self._say(
                book, "LATE_TICKS", f"{builder.late} ticks came after their minute had closed; see late_ticks.csv"
            )
        if builder.future > self._future:
            self._future = builder.future
            text = f"{builder.future} rows were stamped more than 2 s ahead of the clock; check the clocks"
            self._say(book, "CLOCK_SKEW", text)
        for jump in feed.jumps:
            text = f"{jump.minutes} minutes without any row before {jump.to_ns}"
            book.note("ALARM", {"code": "CLOCK_JUMPED", "text": text})
        feed.jumps.clear()

    def _say(self, book: DayBook, code: str, text: str) -> None:
        if code not in self._said:
            self._said.add(code)
            book.note("ALARM", {"code": code, "text": text})
