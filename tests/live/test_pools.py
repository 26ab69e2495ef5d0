"""Where pools come from: previous day, sessions, pivots, equal levels, rolls; and the book that finds the touched."""

from __future__ import annotations

import datetime as dt
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pj1_scenes import DAY, EVE, MNQ, NEXT, bar

from live.commands import RecordEvent
from live.engine import Engine, Route
from live.events import BarClosed
from live.market import NS_PER_MIN, NS_PER_S, Bar
from live.params import Params
from live.pool_book import PoolBook
from live.pools import FAR, HIGH, PivotSide, Pool, PoolState, SessionBook


def record(bars: list[Bar], **raw: Any) -> list[RecordEvent]:
    engine = Engine(Params.from_dict(raw), MNQ, Route.SIMULATED)
    return [one for item in bars for one in engine.step(BarClosed(item)) if isinstance(one, RecordEvent)]


def rows(bars: list[Bar], **raw: Any) -> list[tuple[str, str, int | None, str]]:
    return [(one.event, one.pool, one.level, one.reason) for one in record(bars, **raw)]


def walk(start: int, prices: list[int], day: dt.date = DAY, contract: str = "M6") -> list[Bar]:
    """Return bars whose high follows ``prices`` while the lows stay far apart and fall."""
    return [bar(start + i, p - 1, p, p - 300 - i, p - 1, day, contract) for i, p in enumerate(prices)]


def test_the_previous_day_needs_its_bars() -> None:
    eve = [bar(100 + i, 10, 20 + i % 7, 5 - i % 3, 10, EVE) for i in range(300)]
    day = [bar(0, 10, 11, 9, 10)]
    assert rows(eve + day, use_kinds=["PD"]) == [("DEFINED", "739721:PDH", 26, ""), ("DEFINED", "739721:PDL", 3, "")]
    assert rows(eve[1:] + day, use_kinds=["PD"]) == []
    assert rows(eve + day, use_kinds=["SW"], swing_n=150) == []


def test_levels_of_a_day_without_bars_come_from_the_last_day_that_has_some() -> None:
    eve = [bar(100 + i, 10, 20, 5, 10, EVE) for i in range(3)]
    friday = [bar(0, 10, 11, 9, 10, dt.date(2026, 4, 17))]
    assert [row[1] for row in rows(eve + friday, use_kinds=["PD"], min_prev_day_bars=3)] == ["739723:PDH", "739723:PDL"]


@pytest.mark.parametrize(("count", "defined"), [(7, 0), (8, 2)])
def test_a_session_needs_half_its_minutes(count: int, defined: int) -> None:
    bars = [bar(930 + i, 10, 20 + i, 5, 10) for i in range(count)] + [bar(950, 10, 10, 10, 10)]
    found = rows(bars, use_kinds=["OR"])
    assert len(found) == defined
    if defined:
        assert found == [("DEFINED", "739721:ORH", 27, ""), ("DEFINED", "739721:ORL", 5, "")]


def test_sessions_close_by_the_clock_in_config_order_before_anything_else_of_the_bar() -> None:
    bars = [bar(930 + i, 10, 20, 5, 10) for i in range(60)] + [bar(1100, 10, 10, 4, 10)]
    found = rows(bars, use_kinds=["OR", "NYAM"])
    assert [row[:2] for row in found] == [
        ("DEFINED", "739721:ORH"),
        ("DEFINED", "739721:ORL"),
        ("DEFINED", "739721:NYAMH"),
        ("DEFINED", "739721:NYAML"),
        ("SWEPT", "739721:ORL"),
        ("SWEPT", "739721:NYAML"),
    ]


def test_the_bar_that_ends_a_window_is_not_in_it() -> None:
    bars = [bar(930 + i, 10, 20, 5, 10) for i in range(15)] + [bar(945, 10, 99, 1, 10)]
    assert rows(bars, use_kinds=["OR"])[:2] == [("DEFINED", "739721:ORH", 20, ""), ("DEFINED", "739721:ORL", 5, "")]


def test_a_roll_kills_pools_and_restarts_the_window_in_progress() -> None:
    before = [bar(930 + i, 10, 500, 5, 10) for i in range(20)]
    after = [bar(950 + i, 10, 20, 6, 10, contract="U6") for i in range(70)] + [bar(1020, 10, 10, 10, 10, contract="U6")]
    found = rows(before + after, use_kinds=["OR", "NYAM"])
    assert found == [
        ("DEFINED", "739721:ORH", 500, ""),
        ("DEFINED", "739721:ORL", 5, ""),
        ("DEAD", "739721:ORH", 500, "ROLL"),
        ("DEAD", "739721:ORL", 5, "ROLL"),
        ("DEFINED", "739721:NYAMH", 20, ""),
        ("DEFINED", "739721:NYAML", 6, ""),
    ]
    short = before + after[26:]
    assert rows(short, use_kinds=["NYAM"]) == [], "44 of 90 minutes since the roll are not half"


def test_the_day_after_a_roll_takes_its_levels_from_the_bars_since() -> None:
    eve = [bar(100 + i, 10, 500, 5, 10, EVE) for i in range(5)]
    eve += [bar(200 + i, 10, 30, 8, 10, EVE, "U6") for i in range(4)]
    same = [bar(0, 10, 10, 10, 10, contract="U6")]
    new = [bar(0, 10, 10, 10, 10, contract="Z6")]
    assert [row[2] for row in rows(eve + same, use_kinds=["PD"], min_prev_day_bars=4)] == [30, 8]
    assert rows(eve + same, use_kinds=["PD"], min_prev_day_bars=5) == []
    assert rows(eve + new, use_kinds=["PD"], min_prev_day_bars=1) == []


def test_a_roll_on_a_new_date_says_roll() -> None:
    eve = [bar(930 + i, 10, 20, 5, 10, EVE) for i in range(16)]
    found = rows([*eve, bar(0, 10, 10, 10, 10, contract="U6")], use_kinds=["OR", "PD"], min_prev_day_bars=1)
    assert [row[3] for row in found] == ["", "", "ROLL", "ROLL"]


def pivots_of(xs: list[int], n: int) -> list[int]:
    """Return the pivots of the definition, straight: strictly above n left, at least n right."""
    return [
        i
        for i in range(n, len(xs) - n)
        if all(xs[i] > x for x in xs[i - n : i]) and all(xs[i] >= x for x in xs[i + 1 : i + n + 1])
    ]


@given(st.lists(st.integers(0, 6), max_size=60), st.integers(1, 6))
def test_pivots_are_those_of_the_definition_known_n_bars_later(xs: list[int], n: int) -> None:
    side = PivotSide(HIGH, Params.from_dict({"swing_n": n}))
    stamps = list(range(len(xs)))
    found = []
    for at, x in enumerate(xs):
        if side.add(x):
            pivot, _ = side.confirm(stamps)
            assert at - pivot.index == n
            found.append(pivot.index)
    assert found == pivots_of(xs, n)


def test_a_plateau_gives_its_leftmost_bar() -> None:
    assert pivots_of([0, 5, 5, 0, 0], 1) == [1]
    side = PivotSide(HIGH, Params.from_dict({"swing_n": 1}))
    found = [side.confirm([0, 1, 2, 3, 4])[0].index for x in (0, 5, 5, 0, 0) if side.add(x)]
    assert found == [1]


def sw(minute: int) -> str:
    return str(bar(minute, 1, 1, 1, 1).ts_ns // NS_PER_S)


EQUAL = {"use_kinds": ["SW", "EQ"], "swing_n": 1, "eq_tol_ticks": 2, "sweep_min_ticks": 1, "windows": []}


def high_rows(prices: list[int], **more: Any) -> list[tuple[str, str, int | None, str]]:
    return [row for row in rows(walk(100, prices), **(EQUAL | more)) if ":SWH" in row[1] or ":EQH" in row[1]]


def test_equal_highs_merge_into_one_pool_at_the_more_extreme() -> None:
    found = high_rows([10, 52, 10, 50, 10])
    assert found == [
        ("DEFINED", f"739721:SWH:{sw(101)}", 52, ""),
        ("DEAD", f"739721:SWH:{sw(101)}", 52, "MERGED"),
        ("DEFINED", f"739721:EQH:{sw(101)}:{sw(103)}", 52, ""),
    ]


def test_a_chain_takes_the_level_of_its_two_last_pivots_only() -> None:
    found = high_rows([10, 54, 10, 52, 10, 50, 10])
    assert [row[:3] for row in found if row[0] == "DEFINED"] == [
        ("DEFINED", f"739721:SWH:{sw(101)}", 54),
        ("DEFINED", f"739721:EQH:{sw(101)}:{sw(103)}", 54),
        ("DEFINED", f"739721:EQH:{sw(103)}:{sw(105)}", 52),
    ]
    assert ("DEAD", f"739721:EQH:{sw(101)}:{sw(103)}", 54, "MERGED") in found


def test_a_bar_beyond_both_between_ends_the_search() -> None:
    found = high_rows([10, 50, 10, 60, 10, 51, 10], reclaim_max_min=0)
    assert [row[1].split(":")[1] for row in found if row[0] == "DEFINED"] == ["SWH", "SWH", "SWH"]


def test_a_lower_pivot_between_does_not() -> None:
    found = high_rows([10, 50, 10, 30, 10, 49, 10])
    assert [row[1] for row in found if row[0] == "DEFINED"][-1] == f"739721:EQH:{sw(101)}:{sw(105)}"


def test_without_eq_every_pivot_is_sw_and_without_sw_pivots_still_mate() -> None:
    only_sw = high_rows([10, 52, 10, 50, 10], use_kinds=["SW"])
    assert [row[1].split(":")[1] for row in only_sw] == ["SWH", "SWH"]
    only_eq = high_rows([10, 52, 10, 50, 10], use_kinds=["EQ"])
    assert only_eq == [("DEFINED", f"739721:EQH:{sw(101)}:{sw(103)}", 52, "")]


def test_a_swept_first_pool_lives_on_beside_the_eq() -> None:
    found = high_rows([10, 50, 10, 52, 10])
    assert ("DEAD", f"739721:SWH:{sw(101)}", 50, "MERGED") not in found
    assert ("DEFINED", f"739721:EQH:{sw(101)}:{sw(103)}", 52, "") in found


def test_a_swing_expires_by_the_clock_at_the_open_of_the_next_real_bar() -> None:
    bars = [*walk(100, [10, 50, 10]), bar(343, 8, 9, -900, 8)]
    found = [one for one in record(bars, **(EQUAL | {"swing_ttl_min": 240})) if ":SWH" in one.pool]
    assert [(one.event, one.reason, one.ts_s) for one in found] == [
        ("DEFINED", "", int(sw(103))),
        ("DEAD", "EXPIRED", int(sw(343))),
    ]
    early = [*walk(100, [10, 50, 10]), bar(342, 8, 9, -900, 8)]
    assert [one.event for one in record(early, **EQUAL) if ":SWH" in one.pool] == ["DEFINED"]


def test_the_new_day_buries_all_in_order_of_definition() -> None:
    bars = [*walk(100, [10, 50, 10, 30, 10]), bar(0, 8, 9, 8, 8, NEXT)]
    dead = [row[1] for row in rows(bars, **EQUAL) if row[3] == "EXPIRED"]
    assert dead == [f"739721:SWH:{sw(101)}", f"739721:SWH:{sw(103)}"]


@given(st.randoms(use_true_random=False))
def test_the_book_finds_exactly_the_pools_a_bar_can_change(rng: random.Random) -> None:
    book = PoolBook(1)
    living: list[Pool] = []
    at = 0
    for seq in range(60):
        at += rng.randint(1, 5) * NS_PER_MIN
        side = rng.choice((1, -1))
        level = rng.randint(-20, 20)
        kind = rng.choice(("PD", "SW"))
        expires = at + 20 * NS_PER_MIN if kind == "SW" else FAR
        pool = Pool(seq, f"p{seq}", kind, side, level, side * level, at, expires)
        book.add(pool)
        living.append(pool)
        low = rng.randint(-30, 30)
        high = low + rng.randint(0, 8)
        expected = [one for one in living if touched(one, at, low, high)]
        quick = book.swept or low <= book.low_trigger or high >= book.high_trigger or at >= book.next_expiry_ns
        found = book.touched(at, low, high) if quick else []
        assert found == expected
        for one in found:
            one.state = rng.choice((PoolState.SWEPT, PoolState.DEAD))
            if one.state is PoolState.SWEPT:
                book.keep_swept(one)
            else:
                living.remove(one)
        if living and rng.random() < 0.1 and living[0].state is PoolState.DEFINED:
            living[0].state = PoolState.DEAD
            book.remove_defined(living.pop(0))
        assert book.living() == living


def touched(one: Pool, at: int, low: int, high: int) -> bool:
    if one.state is PoolState.SWEPT or at >= one.expires_ns:
        return True
    return low <= one.level - 1 if one.side > 0 else high >= one.level + 1


def test_the_book_refuses_to_remove_what_it_does_not_hold() -> None:
    book = PoolBook(1)
    with pytest.raises(RuntimeError, match="not among"):
        book.remove_defined(Pool(1, "p", "PD", 1, 5, 5, 0, 9))


def test_windows_of_zero_fill_still_need_a_bar() -> None:
    book = SessionBook(Params.from_dict({"min_session_fill": 0}))
    assert book.pass_edge(1200) == []
    assert all(session.closed for session in book.ranges)
