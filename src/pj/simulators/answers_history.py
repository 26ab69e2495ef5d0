"""Answer history requests with complete bars only, up to the run's time."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from live.market import Bar, Instrument
from pj.simulators import replies
from pj.simulators.answers_reference import NO_DEFINITION, nothing, query
from pj.simulators.eastern import CT, ET, MIN_NS, closes, day_minute, is_open, opens, stamp, trade_date
from pj.simulators.gateway_core import Core
from pj.simulators.paths import NS_PER_S
from pj.simulators.tapes import Tape
from pj.simulators.wire import Fields

if TYPE_CHECKING:
    from pj.simulators.gateway_session import Session

_DAY_NS: Final = 24 * 60 * MIN_NS
_MINUTES: Final = {
    **{f"{n} mins": n for n in (2, 3, 5, 10, 15, 20, 30)},
    "1 min": 1,
    "1 hour": 60,
    **{f"{n} hours": 60 * n for n in (2, 3, 4, 8)},
}
_LONG: Final = ("1 day", "1 week", "1W", "1 month", "1M")
_SPANS: Final = {"S": NS_PER_S, "W": 7 * _DAY_NS, "M": 30 * _DAY_NS, "Y": 365 * _DAY_NS}
_RTH: Final = range(930, 1380)
_END: Final = re.compile(r"(\d{8})[ -]{1,2}(\d{2}:\d{2}:\d{2})(?: (\S+))?")


class _Refused(ValueError):
    """Carry the code and text of the error answered."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True, slots=True)
class _Request:
    end_ns: int
    bar_size: str
    duration: str
    regular_only: bool
    epoch: bool


def historical_data(core: Core, session: Session, fields: Fields) -> None:
    """Answer reqHistoricalData for TRADES."""
    request_id = fields.integer()
    found = core.find(query(fields))
    fields.skip(1)
    now = core.clock.now_ns()
    try:
        end = _end_ns(fields.text(), now)
        size, duration, regular = fields.text(), fields.text(), fields.flag()
        what, style = fields.text(), fields.integer(1)
        if fields.flag():
            raise _Refused(321, "Error validating request: keepUpToDate is not served by this gateway")
        if not found:
            raise _Refused(200, NO_DEFINITION)
        if what != "TRADES":
            raise _Refused(162, f"Historical Market Data Service error message:No data of type {what}, only TRADES")
        tape = core.tape_of(core.future if core.future in found else found[0])
        if tape is None:
            raise _Refused(162, "Historical Market Data Service error message:HMDS query returned no data")
        wanted = _Request(min(end, now), size, duration, regular, style == 2)
        bars = _bars(tape, wanted)
        if not bars:
            raise _Refused(162, "Historical Market Data Service error message:HMDS query returned no data")
    except _Refused as refusal:
        session.error(request_id, refusal.code, str(refusal))
        return
    instrument = tape.future.instrument
    rows = [_row(bar, instrument, wanted) for bar in bars]
    first, last = (stamp(at, ET, "%Y%m%d  %H:%M:%S") for at in (bars[0].ts_ns, wanted.end_ns))
    session.send(replies.history(request_id, first, last, rows))


def head_timestamp(core: Core, session: Session, fields: Fields) -> None:
    """Answer reqHeadTimeStamp with the time of the tape's first minute."""
    request_id = fields.integer()
    found = core.find(query(fields))
    fields.skip(3)
    epoch = fields.integer(1) == 2
    tape = core.tape_of(core.future if core.future in found else found[0]) if found else None
    minutes = tape.minutes(0, core.clock.now_ns()) if tape else []
    if not minutes:
        session.error(request_id, 162, "Historical Market Data Service error message:No head time stamp")
        return
    text = str(minutes[0] // NS_PER_S) if epoch else stamp(minutes[0], ZoneInfo("UTC"), "%Y%m%d-%H:%M:%S")
    session.send(replies.head_timestamp(request_id, text))


def merge(bars: Iterable[Bar], key: Callable[[Bar], int]) -> list[Bar]:
    """Return longer bars of neighbouring ``bars`` with one ``key``; the key is the open time."""
    merged: list[Bar] = []
    for bar in bars:
        at = key(bar)
        if merged and merged[-1].ts_ns == at:
            whole = merged[-1]
            merged[-1] = replace(
                whole,
                high_ticks=max(whole.high_ticks, bar.high_ticks),
                low_ticks=min(whole.low_ticks, bar.low_ticks),
                close_ticks=bar.close_ticks,
                volume=whole.volume + bar.volume,
            )
        else:
            merged.append(replace(bar, ts_ns=at))
    return merged


def _bars(tape: Tape, wanted: _Request) -> list[Bar]:
    start = _start_ns(tape, wanted)
    last_minute = wanted.end_ns // MIN_NS * MIN_NS
    minutes = tape.bars(start, last_minute)
    if wanted.regular_only:
        minutes = [bar for bar in minutes if day_minute(bar.ts_ns) in _RTH]
    if wanted.bar_size in _LONG:
        return _long_bars(minutes, wanted)
    step = _MINUTES.get(wanted.bar_size)
    if step is None:
        raise _Refused(321, f"Error validating request: bar size {wanted.bar_size!r} is not served; from '1 min' up")
    span = step * MIN_NS
    if step == 1:
        return minutes

    def key(bar: Bar) -> int:
        minute = day_minute(bar.ts_ns)
        return bar.ts_ns - minute % step * MIN_NS

    return [bar for bar in merge(minutes, key) if bar.ts_ns + span <= wanted.end_ns]


def _long_bars(minutes: list[Bar], wanted: _Request) -> list[Bar]:
    def first_day(day: date) -> date:
        if wanted.bar_size in ("1 month", "1M"):
            return day.replace(day=1)
        return date.fromordinal(day.toordinal() - day.weekday()) if wanted.bar_size in ("1 week", "1W") else day

    trading = [bar for bar in minutes if is_open(bar.ts_ns) and closes(trade_date(bar.ts_ns)) <= wanted.end_ns]
    return merge(trading, lambda bar: opens(first_day(trade_date(bar.ts_ns))))


def _start_ns(tape: Tape, wanted: _Request) -> int:
    count, _, unit = wanted.duration.partition(" ")
    if not count.isdigit() or int(count) < 1 or unit not in ("D", *_SPANS):
        raise _Refused(321, f"Error validating request: duration {wanted.duration!r} is not <count> S, D, W, M or Y")
    if unit != "D":
        return wanted.end_ns - int(count) * _SPANS[unit]
    # Days are trading days that have data, the running one included.
    days: list[date] = []
    end = wanted.end_ns
    while len(days) < int(count) and (minutes := tape.minutes(0, end)):
        day = trade_date(minutes[-1])
        if day.weekday() < 5:
            days.append(day)
        end = opens(day)
    return opens(days[-1]) if days else wanted.end_ns


def _end_ns(text: str, now_ns: int) -> int:
    if not text:
        return now_ns
    found = _END.fullmatch(text)
    if found is None:
        raise _Refused(10314, f"End Date/Time: the date, time, or time-zone entered is invalid: {text!r}")
    try:
        zone = ZoneInfo(found[3]) if found[3] else ZoneInfo("UTC") if "-" in text else ET
        moment = datetime.strptime(f"{found[1]} {found[2]}", "%Y%m%d %H:%M:%S").replace(tzinfo=zone)
    except (ValueError, ZoneInfoNotFoundError) as error:
        raise _Refused(10314, f"End Date/Time: the date, time, or time-zone entered is invalid: {text!r}") from error
    return int(moment.timestamp()) * NS_PER_S


def _row(bar: Bar, instrument: Instrument, wanted: _Request) -> replies.HistoryBar:
    prices = (bar.open_ticks, bar.high_ticks, bar.low_ticks, bar.close_ticks)
    if wanted.bar_size in _LONG:
        date_text = trade_date(bar.ts_ns).strftime("%Y%m%d")
    elif wanted.epoch:
        date_text = str(bar.ts_ns // NS_PER_S)
    else:
        date_text = stamp(bar.ts_ns, CT, "%Y%m%d %H:%M:%S US/Central")
    wap = Decimal(sum(prices)) * instrument.tick / 4
    texts = [instrument.to_points(price) for price in prices]
    return replies.HistoryBar(date_text, texts[0], texts[1], texts[2], texts[3], bar.volume, f"{wap:f}", bar.ticks or 1)


HANDLERS: Final[Mapping[int, Callable[[Core, Session, Fields], None]]] = {
    20: historical_data,
    25: nothing,
    87: head_timestamp,
    90: nothing,
}
