"""Write history.csv: the gateway's 1-minute bars of the previous trade date that has any, and of the current one.

Only complete bars: the minute in progress when the request was made is not one. A bar that is off the grid or not a
bar at all (pj1 S1.5) is left out and named in the log.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from live.market import NS_PER_MIN, NS_PER_S, Bar, ClosedBy, Instrument, OffGrid
from live.trading_day import is_trading_minute, trade_date
from pj.channels.csvlog import write_rows
from pj.channels.formats import HISTORY_COLUMNS, PriceText, history_row
from pj.channels.rundir import DayPaths
from pj.ibkr.client import GatewayClient
from pj.ibkr.contracts import Contract

log = logging.getLogger("pj.bridge")


async def fetch_history(
    client: GatewayClient, contract: Contract, instrument: Instrument, now_ns: int, days: int
) -> list[Bar]:
    """Return the complete bars of the previous trade date with data and of the one of ``now_ns``, oldest first.

    Raises GatewayError when the gateway gives no history.
    """
    delivered = await client.minute_bars(contract, days)
    bars = read_bars(delivered, instrument, contract.local_symbol)
    return select_days([bar for bar in bars if bar.ts_ns + NS_PER_MIN <= now_ns], trade_date(now_ns))


def read_bars(delivered: Iterable[Any], instrument: Instrument, contract: str) -> list[Bar]:
    """Return the library's BarData as bars, strictly increasing; the unusable ones are logged and left out."""
    bars: list[Bar] = []
    refused = 0
    for item in delivered:
        try:
            bar = _bar(item, instrument, contract)
            if bars and bar.ts_ns <= bars[-1].ts_ns:
                raise ValueError("it does not follow the bar before it")
        except (ValueError, OverflowError) as error:
            refused += 1
            if refused == 1:
                log.warning("HISTORY_BAR_REFUSED bar=%r error=%r", str(item), str(error))
        else:
            bars.append(bar)
    if refused:
        log.warning("HISTORY_BARS_REFUSED count=%d", refused)
    return bars


def select_days(bars: list[Bar], today: date) -> list[Bar]:
    """Return the bars of ``today`` and of the latest earlier trade date that has trading minutes."""
    earlier = {trade_date(bar.ts_ns) for bar in bars if is_trading_minute(bar.ts_ns)}
    keep = {today, max((day for day in earlier if day < today), default=today)}
    return [bar for bar in bars if trade_date(bar.ts_ns) in keep]


def write_history(day: DayPaths, bars: list[Bar], instrument: Instrument) -> None:
    """Replace the day's history.csv atomically; raise WriteFailed."""
    prices = PriceText(instrument)
    write_rows(day.create().history, HISTORY_COLUMNS, (history_row(bar, prices) for bar in bars))


def _bar(item: Any, instrument: Instrument, contract: str) -> Bar:
    if not isinstance(item.date, datetime) or item.date.tzinfo is None:
        raise ValueError(f"its time {item.date!r} has no zone")
    ts_ns = int(item.date.timestamp()) * NS_PER_S
    if ts_ns % NS_PER_MIN:
        raise ValueError(f"its time {item.date} is no whole minute")
    o, h, low, c = (_ticks(value, instrument) for value in (item.open, item.high, item.low, item.close))
    if not low <= min(o, c) <= max(o, c) <= h:
        raise ValueError(f"open {item.open}, high {item.high}, low {item.low}, close {item.close} make no bar")
    volume = int(item.volume)
    if volume < 0 or volume != item.volume:
        raise ValueError(f"volume {item.volume} is no number of contracts")
    return Bar(ts_ns, o, h, low, c, volume, contract, closed_by=ClosedBy.HISTORY)


def _ticks(value: Any, instrument: Instrument) -> int:
    ticks = instrument.to_ticks(Decimal(str(value)))
    if ticks <= 0:
        raise OffGrid(f"price {value} is not above 0")
    return ticks
