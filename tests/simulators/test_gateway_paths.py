"""A bar's prints aggregate to the bar again, exactly, for every bar there can be and every bar of the real files."""

from __future__ import annotations

from itertools import groupby, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pj.simulators.eastern import MIN_NS
from pj.simulators.paths import MAX_PRINTS, NS_PER_S, Row, corners, minute_prints, sizes, walk

T0 = 1_776_000_000 * NS_PER_S // MIN_NS * MIN_NS


@st.composite
def rows(draw, span_ns, count):
    made = []
    close = draw(st.integers(50, 400))
    seconds = sorted(draw(st.lists(st.integers(0, 59), min_size=count, max_size=count)))
    for second in seconds:
        carried = draw(st.booleans())
        o = close if carried else draw(st.integers(50, 400))
        c = draw(st.integers(50, 400))
        high = max(o, c) + draw(st.integers(0, 30))
        low = min(o, c) - draw(st.integers(0, 30))
        volume = draw(st.one_of(st.integers(0, 5), st.integers(0, 20_000)))
        if draw(st.booleans()) and carried:
            c = high = low = o
        start = T0 if span_ns == MIN_NS else T0 + second * NS_PER_S
        made.append(Row(start, o, high, low, c, volume, span_ns))
        close = c
    return made


def facts(prints):
    prices = [item.price_ticks for item in prints]
    return prices[0], max(prices), min(prices), prices[-1], sum(item.size for item in prints)


def naive(of):
    return (
        of[0].open_ticks,
        max(row.high_ticks for row in of),
        min(row.low_ticks for row in of),
        of[-1].close_ticks,
        sum(row.volume for row in of),
    )


@settings(max_examples=300)
@given(rows(MIN_NS, 1), st.one_of(st.none(), st.integers(50, 400)))
def test_a_minute_row_comes_back_whole(made, before):
    prints = minute_prints(made, before)
    (row,) = made
    if row.volume == 0 and not prints:
        assert row.high_ticks == row.low_ticks, "only a flat minute without volume may be silent"
        return
    assert facts(prints) == naive(made)
    assert len(prints) <= MAX_PRINTS
    if row.volume >= len(corners(row)):
        assert min(item.size for item in prints) >= 1
    assert all(T0 <= a.exch_ns <= b.exch_ns < T0 + MIN_NS for a, b in pairwise([*prints, prints[-1]]))


@settings(max_examples=300)
@given(st.integers(1, 12).flatmap(lambda count: rows(NS_PER_S, count)))
def test_the_seconds_of_a_minute_come_back_whole(made):
    prints = minute_prints(made, made[0].open_ticks)
    if sum(row.volume for row in made) == 0:
        return
    assert facts(prints) == naive(made)
    if sum(row.volume for row in made) >= len(prints):
        assert min(item.size for item in prints) >= 1
    assert all(T0 <= a.exch_ns <= b.exch_ns < T0 + MIN_NS for a, b in pairwise([*prints, prints[-1]]))


@given(st.lists(st.integers(0, 200), min_size=1, max_size=4), st.integers(0, 30))
def test_a_walk_visits_its_corners_in_order_and_never_leaves_them(points, extra):
    merged = [points[0], *(b for a, b in pairwise(points) if a != b)]
    prices = walk(merged, len(merged) + extra)
    assert len(prices) == len(merged) + extra
    assert min(prices) == min(merged)
    assert max(prices) == max(merged)
    left = iter(prices)
    assert all(corner in left for corner in merged)


@given(st.integers(0, 10_000), st.integers(1, 24), st.integers(0, 10**9))
def test_sizes_share_the_volume(volume, count, salt):
    shares = sizes(volume, count, salt)
    assert len(shares) == count
    assert sum(shares) == volume
    assert min(shares) >= (1 if volume >= count else 0)


def test_directions_and_the_carried_open():
    up = Row(T0, 100, 104, 98, 103, 50, NS_PER_S)
    down = Row(T0 + NS_PER_S, 103, 105, 99, 101, 50, NS_PER_S)
    assert corners(up) == [100, 98, 104, 103]
    assert corners(down) == [103, 105, 99, 101]
    assert [item.price_ticks for item in minute_prints([up, down], 100)] == [100, 98, 104, 103, 105, 99, 101]


def test_a_still_second_plays_nothing_and_a_thin_minute_plays_size_zero():
    still = Row(T0, 100, 100, 100, 100, 0, NS_PER_S)
    thin = Row(T0 + NS_PER_S, 100, 103, 98, 101, 1, NS_PER_S)
    assert minute_prints([still], 100) == []
    prints = minute_prints([still, thin], 100)
    assert facts(prints) == naive([still, thin])
    assert [item.size for item in prints] == [1, 0, 0, 0]
    rich = Row(T0 + 2 * NS_PER_S, 101, 101, 101, 101, 50, NS_PER_S)
    prints = minute_prints([still, thin, rich], 100)
    assert facts(prints) == naive([still, thin, rich])
    assert [item.size for item in prints] == [1, 1, 1, 1, 47], "a second with more contracts lends them"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "symbol"),
    [
        ("nq_1m_2025-01_2025-06", "NQ"),
        ("mnq_1m_2026-03_2026-05", "MNQ"),
        ("mes_1m_2026-03_2026-05", "MES"),
        ("mnq_1s_2025-10-08_2025-10-23", "MNQ"),
        ("es_1m_trade_2013_2020", "ES"),
    ],
)
def test_every_fifth_minute_of_the_real_files_comes_back_whole(market_data, name, symbol):
    from pj.simulators.tapes import load

    library = load(market_data / f"{name}.parquet", symbol)
    checked = 0
    for tape in library.tapes.values():
        ts, *prices, volume = tape.columns
        table = zip(ts.tolist(), *(column.tolist() for column in prices), volume.tolist(), strict=True)
        bars = {bar.ts_ns: bar for bar in tape.bars(0, 1 << 62)}
        for number, (minute, group) in enumerate(groupby(table, lambda row: row[0] // MIN_NS * MIN_NS)):
            made = list(group)
            if number % 5 or not sum(row[5] for row in made):
                continue
            want = naive([Row(*row, MIN_NS) for row in made])
            assert facts(tape.prints(minute)) == want, f"{name} minute {minute}"
            bar = bars[minute]
            assert (bar.open_ticks, bar.high_ticks, bar.low_ticks, bar.close_ticks, bar.volume) == want
            checked += 1
    assert checked > 1000


def test_trades_are_played_as_recorded(market_data):
    from pj.simulators.tapes import load

    library = load(market_data / "nq_trades_2025-05-04.parquet", "NQ")
    assert set(library.tapes) == {"NQM5", "NQU5"}
    tape = library.leading(library.days()[0])
    assert tape.future.local_symbol == "NQM5"
    prints = [item for minute in tape.minutes(0, 1 << 62) for item in tape.prints(minute)]
    assert len(prints) == 9846
    assert (prints[0].price_ticks, prints[0].size) == (80726, 16)
