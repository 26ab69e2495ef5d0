"""Find the minutes that are missing from bars although the exchange traded, and tell thin from lost.

A minute without a trade has no row, so one missing minute is no gap. A stretch of missing session minutes is a gap when

* it has at least five minutes: from there on the engine itself calls the next bar stale (pj1 S6, max_gap_min), and
* the data's own thinness does not account for it: with p = the share of minutes that the same quarter of an hour of
  the day lacks elsewhere in the data, or that the same trade date lacks elsewhere in its busy hours (the larger of
  both, the stretch itself left out), a stretch that long would be found by chance in fewer than one of a hundred such
  files.

A usual session without any bar is a gap too; the short session of a holiday, which many a vendor leaves out, is told as
explained. Before the first and after the last bar nothing is judged.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from math import log
from typing import Any, Final

import numpy as np

from live.trading_day import iso_utc
from pj.store.exchange_days import ExchangeDays
from pj.store.minutes import MINUTES_PER_DAY, Flags, Ints, minute_ns, runs_of

LEAST_MIN: Final = 5
CHANCE: Final = 0.01
#: A longer gap can hide a whole position (pj1 S5.6: at most 60 minutes).
LONG_MIN: Final = 60
#: More than this share of all session minutes lost is not a detail.
SHARE: Final = 0.001
_BUSY: Final = 0.5
_SATURDAY: Final = 5
_NOTHING: Final = 1e-9
_BIN_MIN: Final = 15
_BINS: Final = MINUTES_PER_DAY // _BIN_MIN
RULE: Final = (
    f"a gap is a whole session without a bar, or at least {LEAST_MIN} missing session minutes in a row that the data's"
    f" own density makes rarer than {CHANCE:g} per file; material: a whole session, more than {LONG_MIN} minutes in a"
    f" row, or more than {SHARE:.1%} of all session minutes together"
)


@dataclass(frozen=True, slots=True)
class Gap:
    """Name missing session minutes of one trade date: [start_m, end_m) of the trading day, ``day`` = all of it."""

    trade_date: date
    start_m: int
    end_m: int
    minutes: int
    day: bool = False

    @property
    def material(self) -> bool:
        """Tell whether the gap alone is reason to refuse: a whole day, or long enough to hide a whole position."""
        return self.day or self.minutes > LONG_MIN

    def as_dict(self) -> dict[str, Any]:
        """Return the gap as a JSON object; ``until`` is the open of the first minute after it."""
        start, until = (minute_ns(self.trade_date.toordinal(), at) for at in (self.start_m, self.end_m))
        return {
            "trade_date": self.trade_date.isoformat(),
            "from": iso_utc(start // 10**9),
            "until": iso_utc(until // 10**9),
            "minutes": self.minutes,
            "whole_day": self.day,
        }

    def words(self) -> str:
        """Return the gap as one line."""
        told = self.as_dict()
        if self.day:
            return f"{told['trade_date']}: no bar of the session ({self.minutes} minutes)"
        return f"{told['trade_date']}: {told['from']} to {told['until']} ({self.minutes} minutes)"


@dataclass(frozen=True, slots=True)
class Coverage:
    """Hold what was expected and what was there. ``outside`` counts bars when the calendar says closed."""

    expected: int
    present: int
    outside: int
    trade_dates: int
    unknown_dates: int
    gaps: tuple[Gap, ...]
    explained: tuple[tuple[date, str], ...]

    @property
    def lost_minutes(self) -> int:
        """Return the session minutes inside unexplained gaps."""
        return sum(gap.minutes for gap in self.gaps)

    @property
    def material(self) -> bool:
        """Tell whether the gaps are reason to refuse: a material one, or many small ones together."""
        return any(gap.material for gap in self.gaps) or self.lost_minutes > SHARE * self.expected

    @property
    def pct(self) -> float:
        """Return the share of session minutes with a bar in percent, three decimals."""
        return round(100 * self.present / self.expected, 3) if self.expected else 0.0

    def gap_lines(self) -> list[str]:
        """Return the unexplained gaps, one line each; neighbouring whole days share one."""
        lines: list[str] = []
        days: list[date] = []
        for gap in self.gaps:
            if gap.day:
                days.append(gap.trade_date)
                continue
            lines += _days_line(days)
            days = []
            lines.append(gap.words())
        return lines + _days_line(days)

    @property
    def thin_minutes(self) -> int:
        """Return the session minutes without a bar that are no gap: nobody traded."""
        return self.expected - self.present - self.lost_minutes


def coverage(ordinals: Ints, minutes: Ints, days: ExchangeDays) -> Coverage:
    """Return what is missing between the first and the last of the given minutes (kept bars, any order).

    ``ordinals`` and ``minutes`` are trade date and minute of the day of each bar, strays left out (pj1 S1.2, S1.3).
    """
    if not len(ordinals):
        return Coverage(0, 0, 0, 0, 0, (), ())
    first, last = int(ordinals.min()), int(ordinals.max())
    seen, row_of = np.unique(ordinals, return_inverse=True)
    present = np.zeros((len(seen), MINUTES_PER_DAY), dtype=np.bool_)
    present[row_of, minutes] = True
    expected = _expected(seen.tolist(), days)
    outside = int((present & ~expected).sum())
    by_time = _by_bin(expected).sum(axis=0), _by_bin(expected & ~present).sum(axis=0)
    expected[0, : int(minutes[ordinals == first].min())] = False
    expected[-1, int(minutes[ordinals == last].max()) + 1 :] = False
    dates = [day for day in range(first, last + 1) if (day + 6) % 7 < _SATURDAY]
    without = sorted(set(dates) - set(seen.tolist()))
    lost = list(_lost_days(without, days))
    gaps = [*lost, *_gaps(seen.tolist(), expected, expected & ~present, by_time)]
    return Coverage(
        expected=int(expected.sum()) + sum(gap.minutes for gap in lost),
        present=int((present & expected).sum()),
        outside=outside,
        trade_dates=len(seen),
        unknown_dates=sum(not days.knows(day) for day in dates),
        gaps=tuple(sorted(gaps, key=lambda gap: (gap.trade_date, gap.start_m))),
        explained=tuple(_explained(dates, frozenset(without), days)),
    )


def _expected(dates: Sequence[int], days: ExchangeDays) -> Flags:
    table = np.zeros((len(dates), MINUTES_PER_DAY), dtype=np.bool_)
    for row, day in enumerate(dates):
        for start, end in days.session(day):
            table[row, start:end] = True
    return table


def _explained(dates: Sequence[int], without: frozenset[int], days: ExchangeDays) -> Iterator[tuple[date, str]]:
    for day in dates:
        if why := days.explanation(day):
            left_out = ", left out whole" if day in without and days.session(day) else ""
            yield date.fromordinal(day), why + left_out


def _lost_days(without: Sequence[int], days: ExchangeDays) -> Iterator[Gap]:
    """Yield the usual sessions without a bar; the short session of a holiday is left out by many a vendor."""
    for day in without:
        if not days.explanation(day) and (session := days.session(day)):
            minutes = sum(end - start for start, end in session)
            yield Gap(date.fromordinal(day), session[0][0], session[-1][1], minutes, day=True)


def _gaps(dates: Sequence[int], wanted: Flags, missing: Flags, by_time: tuple[Ints, Ints]) -> Iterator[Gap]:
    thin = _Thinness(wanted, missing, by_time)
    for row in np.flatnonzero(missing.any(axis=1)).tolist():
        begins, ends = runs_of(missing[row])
        for begin, end in zip(begins.tolist(), ends.tolist(), strict=True):
            if end - begin >= LEAST_MIN and thin.cannot_explain(row, begin, end):
                yield Gap(date.fromordinal(dates[row]), begin, end, end - begin)


class _Thinness:
    """Know how often minutes are missing: by time of the day over all dates, by date over the times that trade.

    ``by_time`` counts wanted and missing minutes of each quarter of an hour over whole sessions, also before the first
    and after the last bar: whether bars begin at 09:30 every day is seen from the second day on.
    """

    def __init__(self, wanted: Flags, missing: Flags, by_time: tuple[Ints, Ints]) -> None:
        """Count the tables (trade date x minute)."""
        self.wanted_of_time, self.missing_of_time = by_time
        self.busy = self.missing_of_time < _BUSY * np.maximum(self.wanted_of_time, 1)
        self.wanted_of_day = (_by_bin(wanted) * self.busy).sum(axis=1)
        self.missing_of_day = (_by_bin(missing) * self.busy).sum(axis=1)
        self.limit = log(CHANCE / max(1, int(wanted.sum())))

    def cannot_explain(self, row: int, begin: int, end: int) -> bool:
        """Tell whether thinness would leave out minutes [begin, end) of date ``row`` in under CHANCE of such files."""
        own = np.bincount(np.arange(begin, end) // _BIN_MIN, minlength=_BINS)
        time = _share(self.missing_of_time - own, self.wanted_of_time - own)
        own_busy = int((own * self.busy).sum())
        day = _share(self.missing_of_day[row] - own_busy, self.wanted_of_day[row] - own_busy)
        return float((own * np.log(np.maximum(time, day))).sum()) <= self.limit


def _by_bin(table: Flags) -> Ints:
    """Return the counts of a table (trade date x minute) by quarter of an hour."""
    return np.asarray(table.reshape(len(table), _BINS, _BIN_MIN).sum(axis=2), dtype=np.int64)


def _share(missing: Any, wanted: Any) -> Any:
    """Return missing / wanted, one more of both so that little proves little; almost 0 where nothing is known."""
    return np.where(wanted > 0, (missing + 1.0) / (wanted + 1.0), _NOTHING)


def _days_line(days: Sequence[date]) -> list[str]:
    if not days:
        return []
    if len(days) == 1:
        return [f"{days[0]}: no bar of the session"]
    return [f"{days[0]} to {days[-1]}: no bar of {len(days)} sessions"]
