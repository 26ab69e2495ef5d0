"""The made-up market is the same for the same seed, keeps the exchange's hours and looks like the real files."""

from __future__ import annotations

from datetime import date
from hashlib import sha256
from itertools import pairwise
from statistics import mean

import pytest

from pj.simulators.eastern import MIN_NS, day_minute, is_open, opens, trade_date
from pj.simulators.market import HISTORY_DAYS, generate
from pj.simulators.market_days import session_minutes, trading_days

DAY = date(2026, 11, 18)


def bars_of(day=DAY, seed=7, symbol="MNQ", days=1):
    tape = generate(symbol, "", day, seed).leading(day)
    first = trading_days(day, days)[0]
    return tape.bars(opens(first), opens(day) + 1380 * MIN_NS)


def print_of(bars):
    return sha256(repr(bars).encode()).hexdigest()


def test_same_seed_same_minutes_whatever_window_is_asked_for():
    assert print_of(bars_of()) == print_of(bars_of())
    assert print_of(bars_of()) != print_of(bars_of(seed=8))
    later = generate("MNQ", "", date(2026, 11, 20), 7).leading(date(2026, 11, 18))
    assert later.bars(opens(DAY), opens(DAY) + 1380 * MIN_NS) == bars_of()


def test_the_week_of_the_exchange():
    bars = bars_of(days=HISTORY_DAYS)
    assert len(bars) == HISTORY_DAYS * 1380
    assert all(is_open(bar.ts_ns) for bar in bars)
    steps = {(b.ts_ns - a.ts_ns) // MIN_NS for a, b in pairwise(bars)}
    # A halt, a weekend, and the weekend on which the clocks go back.
    assert steps == {1, 61, 49 * 60 + 1, 50 * 60 + 1}
    assert session_minutes(date(2026, 11, 26)) == 1140
    assert session_minutes(date(2026, 11, 27)) == 1155
    assert session_minutes(date(2026, 12, 25)) == 0
    assert session_minutes(date(2027, 3, 26)) == 0
    assert session_minutes(date(2026, 11, 22)) == 0


def test_it_looks_like_the_real_file():
    bars = bars_of(days=HISTORY_DAYS)
    ranges = {hour: [] for hour in range(24)}
    for bar in bars:
        ranges[(day_minute(bar.ts_ns) // 60 + 18) % 24].append(bar.high_ticks - bar.low_ticks)
    # mnq_1m_2026-03_2026-05: 22 ticks at midnight, 87 at ten, 28 at seven in the evening.
    assert 15 < mean(ranges[0]) < 30
    assert 65 < mean(ranges[10]) < 110
    assert 20 < mean(ranges[19]) < 38
    by_day = {}
    for bar in bars:
        by_day.setdefault(trade_date(bar.ts_ns), []).append(bar)
    spans = [max(b.high_ticks for b in day) - min(b.low_ticks for b in day) for day in by_day.values()]
    assert 1200 < mean(spans) < 3500
    gaps = [abs(b.open_ticks - a.close_ticks) for a, b in pairwise(bars) if b.ts_ns - a.ts_ns > MIN_NS]
    assert 5 < mean(gaps) < 400
    assert all(bar.low_ticks <= min(bar.open_ticks, bar.close_ticks) for bar in bars)
    assert all(bar.volume >= 1 for bar in bars)


@pytest.mark.parametrize("symbol", ["NQ", "MES", "ES"])
def test_other_roots(symbol):
    bars = bars_of(symbol=symbol)
    assert bars[0].contract == f"{symbol}Z6"
    assert len(bars) == 1380


def test_prints_are_the_bar():
    tape = generate("MNQ", "", DAY, 7).leading(DAY)
    for bar in bars_of()[::13]:
        prices = [item.price_ticks for item in tape.prints(bar.ts_ns)]
        assert (prices[0], max(prices), min(prices), prices[-1]) == (
            bar.open_ticks,
            bar.high_ticks,
            bar.low_ticks,
            bar.close_ticks,
        )
        assert sum(item.size for item in tape.prints(bar.ts_ns)) == bar.volume
    assert tape.prints(opens(DAY) + 1385 * MIN_NS) == []


def test_minutes_are_cut_at_both_ends():
    tape = generate("MNQ", "", DAY, 7).leading(DAY)
    start = opens(DAY)
    assert tape.minutes(start + 1, start + 3 * MIN_NS) == [start + MIN_NS, start + 2 * MIN_NS]
    assert tape.minutes(start, start + 1) == [start]
    assert tape.minutes(start, start) == []
