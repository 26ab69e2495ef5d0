"""Make tapes that PJ-1 meets once in ten years: plateaus, one-bar days, a roll on every bar, clock changes, full days.

Each maker takes a random source and returns bars; ``MAKERS`` names them all.
"""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Callable, Iterator

from live.market import NS_PER_MIN, NS_PER_S, Bar
from live.trading_day import at_minute_ns, is_trading_minute

EDGES = (0, 1, 119, 120, 359, 360, 479, 480, 660, 929, 930, 944, 945, 1019, 1020, 1079, 1140, 1374, 1375, 1376, 1379)
DAYS = tuple(dt.date(2026, 4, day) for day in (13, 14, 15, 16, 17, 20, 21))


def bar(ts_ns: int, rng: random.Random, low: int, high: int, contract: str = "M6", volume: int = 9) -> Bar:
    """Return a bar whose four prices are drawn from [low, high]."""
    prices = sorted(rng.randint(low, high) for _ in range(4))
    open_, close = rng.sample(prices[1:3], 2) if rng.random() < 0.8 else (prices[0], prices[3])
    if rng.random() < 0.5:
        open_, close = close, open_
    return Bar(ts_ns, open_, prices[3], prices[0], close, volume, contract)


def minutes(
    days: tuple[dt.date, ...], rng: random.Random, share: float, first: int = 0, last: int = 1380
) -> Iterator[int]:
    """Yield the opens of a share of the minutes of each day, in order."""
    for day in days:
        yield from (at_minute_ns(day, m) for m in range(first, last) if rng.random() < share)


def few_prices(rng: random.Random) -> list[Bar]:
    """Return bars of five prices only: equal extremes, plateaus, touches, zero ranges, ties everywhere."""
    top = rng.choice((1, 2, 4, 9))
    return [bar(ts, rng, 1000, 1000 + top) for ts in minutes(DAYS[:3], rng, 0.5, 880, 1250)]


def saw(rng: random.Random) -> list[Bar]:
    """Return whole days that turn every few bars: as many pivots as a day can hold."""
    period = rng.choice((1, 2, 3))
    bars = []
    for place, ts in enumerate(minutes(DAYS[:2], rng, 1.0)):
        price = 5000 + (place // period % 2) * 40 + rng.choice((0, 0, 0, 1, -1)) + place // 400
        bars.append(Bar(ts, price, price + 2, price - 2, price + rng.choice((-2, 2)), 5, "M6"))
    return bars


def one_bar_days(rng: random.Random) -> list[Bar]:
    """Return days of one or two bars, months long."""
    bars: list[Bar] = []
    for place in range(120):
        day = dt.date(2026, 1, 5) + dt.timedelta(days=place)
        chosen = sorted(rng.sample(EDGES, rng.choice((1, 1, 2))))
        bars += [bar(at_minute_ns(day, m), rng, 980, 1020) for m in chosen]
    return bars


def window_edges(rng: random.Random) -> list[Bar]:
    """Return bars only at the minutes where something begins or ends."""
    bars = []
    for day in DAYS:
        chosen = sorted({m for edge in EDGES for m in (edge, edge + 1) if m < 1380 and rng.random() < 0.9})
        bars += [bar(at_minute_ns(day, m), rng, 970, 1030) for m in chosen]
    return bars


def rolls(rng: random.Random) -> list[Bar]:
    """Return bars whose contract changes often, in mid-day and at day turns, back and forth."""
    often = rng.choice((0.02, 0.3, 1.0))
    contract, bars = 0, []
    for ts in minutes(DAYS[:3], rng, 0.4, 900, 1200):
        if rng.random() < often:
            contract = rng.randint(0, 3)
        bars.append(bar(ts, rng, 950 + 20 * contract, 1050 + 20 * contract, f"C{contract}"))
    return bars


def jumps(rng: random.Random) -> list[Bar]:
    """Return a market that opens far from its last close again and again, with holes of minutes and hours."""
    centre, bars = 4000, []
    for ts in minutes(DAYS[:4], rng, rng.choice((0.3, 0.9)), 860, 1379):
        if rng.random() < 0.05:
            centre += rng.choice((-1, 1)) * rng.choice((10, 60, 300))
        bars.append(bar(ts, rng, centre - 15, centre + 15))
    return bars


def clock_change_weeks(rng: random.Random) -> list[Bar]:
    """Return bars around the changes of US and European clocks, strays and weekends among them."""
    day = rng.choice((dt.date(2025, 3, 6), dt.date(2025, 10, 30), dt.date(2026, 3, 26), dt.date(2025, 10, 23)))
    first = int(dt.datetime(day.year, day.month, day.day, tzinfo=dt.UTC).timestamp()) * NS_PER_S
    bars = []
    for place in range(5 * 1440):
        ts = first + place * NS_PER_MIN
        if rng.random() < (0.3 if is_trading_minute(ts) else 0.02):
            bars.append(bar(ts, rng, 980, 1020, volume=rng.choice((0, 3))))
    return bars


def heartbeats_and_strays(rng: random.Random) -> list[Bar]:
    """Return a tape half of heartbeats, with false ones (volume 0 at another price) and rows of the daily break."""
    bars: list[Bar] = []
    for day in DAYS[:3]:
        for m in (*range(915, 1240), *range(1370, 1440)):
            ts, roll = at_minute_ns(day, m), rng.random()
            if bars and roll < 0.5:
                close = bars[-1].close_ticks + (0 if roll < 0.45 else rng.randint(-3, 3))
                bars.append(Bar(ts, close, close, close, close, 0, "M6"))
            elif roll < 0.9:
                bars.append(bar(ts, rng, 985, 1015, volume=rng.choice((0, 1, 7))))
    return bars


def trending(rng: random.Random) -> list[Bar]:
    """Return runs up and down in which old pools are swept in rows and pools expire unswept."""
    price, slope, bars = 8000, 1, []
    for ts in minutes(DAYS[:2], rng, 0.97, 300, 1380):
        if rng.random() < 0.01:
            slope = rng.choice((-3, -1, 0, 1, 3))
        open_ = price
        price += slope + rng.randint(-4, 4)
        high, low = max(open_, price) + rng.randint(0, 3), min(open_, price) - rng.randint(0, 3)
        bars.append(Bar(ts, open_, high, low, price, 4, "M6"))
    return bars


def gapping(rng: random.Random) -> list[Bar]:
    """Return a market whose every bar opens some ticks from the last close, so that fills differ from plans."""
    price, bars = 3000, []
    for ts in minutes(DAYS[:3], rng, 0.95, 900, 1100):
        open_ = price + rng.randint(-14, 14)
        price = open_ + (3000 - open_) // 5 + rng.randint(-9, 9)
        high, low = max(open_, price) + rng.randint(0, 2), min(open_, price) - rng.randint(0, 2)
        bars.append(Bar(ts, open_, high, low, price, 6, "M6"))
    return bars


def dojis(rng: random.Random) -> list[Bar]:
    """Return bars that seldom displace: swept pools wait, others are swept beside them, one bar takes them all."""
    price, bars = 3000, []
    for ts in minutes(DAYS[:3], rng, 0.98, 900, 1100):
        close = price + (rng.choice((-12, 12)) if rng.random() < 0.08 else 0)
        high, low = max(price, close) + rng.randint(0, 9), min(price, close) - rng.randint(0, 9)
        if abs(close - price) > 9:
            high, low = max(price, close) + 1, min(price, close) - 1
        bars.append(Bar(ts, price, high, low, close, 6, "M6"))
        price = close + (3000 - close) // 6 + rng.randint(-6, 6)
    return bars


def nothing(_rng: random.Random) -> list[Bar]:
    """Return no bar."""
    return []


def lone(rng: random.Random) -> list[Bar]:
    """Return one bar, which may be a stray."""
    return [bar(at_minute_ns(DAYS[0], rng.choice((0, 930, 1379, 1400))), rng, 10, 20)]


MAKERS: dict[str, Callable[[random.Random], list[Bar]]] = {
    maker.__name__: maker
    for maker in (
        few_prices,
        saw,
        one_bar_days,
        window_edges,
        rolls,
        jumps,
        clock_change_weeks,
        heartbeats_and_strays,
        trending,
        gapping,
        dojis,
        nothing,
        lone,
    )
}


def mirrored(bars: list[Bar], centre: int = 20_000) -> list[Bar]:
    """Return the tape with every price p as centre - p."""
    return [
        Bar(
            one.ts_ns,
            centre - one.open_ticks,
            centre - one.low_ticks,
            centre - one.high_ticks,
            centre - one.close_ticks,
            one.volume,
            one.contract,
        )
        for one in bars
    ]
