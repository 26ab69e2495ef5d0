"""Tell which minutes of a trade date the exchange traded, without a calendar library.

``exchange_days.csv`` beside this file lists the dates that differ from the usual 17:00 to 16:00 Chicago: closed, or an
earlier close. It is written by ``python -m pj.store.exchange_days`` from pandas_market_calendars and the table of
corrections (config/session_overrides.yaml); a test holds it to both. So a judgement about data costs no calendar
library at its start and does not change with that library's version.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, time, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Final

from live.trading_day import CLOSE_M

TABLE: Final = Path(__file__).with_name("exchange_days.csv")
COLUMNS: Final = ("trade_date", "close")
#: Before this trade date the session had other hours (it ended at 15:15 Chicago).
FIRST: Final = date(2012, 11, 19)
CLOSED: Final = "closed"
_ET_OF_CHICAGO_MIN: Final = 60
_OPEN_WALL_MIN: Final = 18 * 60
#: Until 2021-06-25 equity index futures paused from 15:15 to 15:30 Chicago.
HALT_M: Final = (1335, 1350)
LAST_HALT: Final = date(2021, 6, 25)

Intervals = tuple[tuple[int, int], ...]
"""Minutes [start, end) of the trading day (pj1 S1.2)."""


@dataclass(frozen=True, slots=True)
class ExchangeDays:
    """Hold the exceptional trade dates of [first, through]: minute of the close, None = closed all day."""

    first: date
    through: date
    exceptions: Mapping[int, int | None]

    def knows(self, ordinal: int) -> bool:
        """Tell whether the table covers the trade date; beyond it every weekday is taken for a full session."""
        return self.first.toordinal() <= ordinal <= self.through.toordinal()

    def session(self, ordinal: int) -> Intervals:
        """Return the minutes in which the trade date (proleptic ordinal) trades, empty when it does not."""
        day = date.fromordinal(ordinal)
        close = None if day.weekday() >= 5 else self.exceptions.get(ordinal, CLOSE_M)
        if close is None:
            return ()
        halt_from, halt_to = HALT_M
        if day > LAST_HALT or close <= halt_from:
            return ((0, close),)
        return ((0, halt_from), (halt_to, close))

    def explanation(self, ordinal: int) -> str:
        """Return why the trade date is shorter than usual in the exchange's own time, empty for a usual one."""
        if ordinal not in self.exceptions:
            return ""
        close = self.exceptions[ordinal]
        if close is None:
            return "exchange holiday, closed all day"
        wall = (close + _OPEN_WALL_MIN - _ET_OF_CHICAGO_MIN) % 1440
        return f"early close at {wall // 60:02}:{wall % 60:02} Chicago"


@lru_cache(maxsize=1)
def exchange_days() -> ExchangeDays:
    """Return the table that came with the program."""
    with TABLE.open(encoding="utf-8", newline="") as stream:
        rows = {row["trade_date"]: row["close"] for row in csv.DictReader(stream)}
    through = date.fromisoformat(rows.pop("through"))
    exceptions = {date.fromisoformat(day).toordinal(): _minute(close) for day, close in rows.items()}
    return ExchangeDays(FIRST, through, exceptions)


def _minute(close: str) -> int | None:
    if close == CLOSED:
        return None
    at = time.fromisoformat(close)
    return (at.hour * 60 + at.minute + _ET_OF_CHICAGO_MIN - _OPEN_WALL_MIN) % 1440


def computed_table() -> str:
    """Return the text of the table as library and corrections give it. Imports pandas: no daemon calls it."""
    from pj.calendar import CLOSE_CT, find_overrides, library_closes, read_overrides

    overrides = read_overrides(find_overrides())
    through = overrides.verified_through
    closes = {**library_closes(FIRST, through), **overrides.closes}
    lines = [",".join(COLUMNS), f"through,{through.isoformat()}"]
    for offset in range((through - FIRST).days + 1):
        day = FIRST + timedelta(days=offset)
        close = closes.get(day)
        if day.weekday() < 5 and close != CLOSE_CT:
            lines.append(f"{day.isoformat()},{CLOSED if close is None else close.strftime('%H:%M')}")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    TABLE.write_text(computed_table(), encoding="utf-8", newline="\n")
    sys.stdout.write(f"{TABLE} written\n")
