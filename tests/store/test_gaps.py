"""Missing minutes: what the exchange explains, what thinness explains, and what is lost."""

from __future__ import annotations

import random
from collections.abc import Iterable
from datetime import date

import numpy as np
import pytest

from pj.store.exchange_days import TABLE, computed_table, exchange_days
from pj.store.gaps import LEAST_MIN, Coverage, coverage

DAYS = exchange_days()
#: Monday to Friday of an ordinary week, and the week before.
WEEK = [date(2026, 4, 13 + at) for at in range(5)]
TWO_WEEKS = [date(2026, 4, 6 + at) for at in range(5)] + WEEK


def judged(days: Iterable[date], lost: dict[date, range] | None = None, chance: float = 0.0, seed: int = 1) -> Coverage:
    """Judge whole sessions without the minutes of ``lost`` and without a random share of the others."""
    rng = random.Random(seed)
    kept = [
        (day.toordinal(), m)
        for day in days
        for start, end in DAYS.session(day.toordinal())
        for m in range(start, end)
        if m not in (lost or {}).get(day, range(0)) and rng.random() >= chance
    ]
    table = np.asarray(kept, dtype=np.int64)
    return coverage(table[:, 0], table[:, 1], DAYS)


def test_whole_sessions_have_no_gap() -> None:
    found = judged(WEEK)
    assert not found.gaps and found.expected == found.present == 5 * 1380 and not found.material


def test_one_minute_without_a_trade_is_no_gap_and_five_in_a_row_are() -> None:
    assert LEAST_MIN == 5
    short = judged(WEEK, {WEEK[2]: range(600, 604)})
    assert not short.gaps and short.thin_minutes == 4
    (gap,) = judged(WEEK, {WEEK[2]: range(600, 605)}).gaps
    assert (gap.trade_date, gap.start_m, gap.end_m, gap.minutes) == (WEEK[2], 600, 605, 5)
    assert gap.as_dict()["from"] == "2026-04-15T08:00:00Z" and gap.as_dict()["until"] == "2026-04-15T08:05:00Z"


@pytest.mark.parametrize("chance", [0.05, 0.2, 0.5, 0.8])
@pytest.mark.parametrize("seed", range(4))
def test_random_thinness_is_no_gap_and_lost_hours_within_it_are(chance: float, seed: int) -> None:
    print(f"seed {seed}")
    assert not judged(TWO_WEEKS, chance=chance, seed=seed).gaps
    (lost,) = judged(TWO_WEEKS, {WEEK[1]: range(700, 820)}, chance, seed).gaps
    assert lost.trade_date == WEEK[1] and lost.start_m <= 700 and lost.end_m >= 820


def test_a_night_that_is_always_thin_is_no_gap() -> None:
    assert not judged(TWO_WEEKS, {day: range(60, 120) for day in TWO_WEEKS[1:]}).gaps
    assert judged(TWO_WEEKS, {WEEK[2]: range(60, 120)}).gaps


def test_a_date_that_is_thin_all_day_long_has_no_gap() -> None:
    rng = random.Random(5)
    table = np.asarray(
        [(d.toordinal(), m) for d in TWO_WEEKS for m in range(1380) if d != WEEK[2] or rng.random() < 0.4],
        dtype=np.int64,
    )
    assert not coverage(table[:, 0], table[:, 1], DAYS).gaps


def test_day_sessions_alone_lack_no_nights_but_a_lost_hour_is_seen() -> None:
    table = np.asarray([(d.toordinal(), m) for d in TWO_WEEKS for m in range(930, 1320)], dtype=np.int64)
    assert not coverage(table[:, 0], table[:, 1], DAYS).gaps
    lost = (table[:, 0] == WEEK[0].toordinal()) & (table[:, 1] >= 1000) & (table[:, 1] < 1060)
    gaps = coverage(table[~lost, 0], table[~lost, 1], DAYS).gaps
    assert [(gap.start_m, gap.end_m) for gap in gaps] == [(1000, 1060)]


def test_a_session_without_any_bar_is_a_gap_and_a_holiday_is_not() -> None:
    found = judged([day for day in WEEK if day != WEEK[2]])
    assert [(gap.trade_date, gap.day, gap.minutes) for gap in found.gaps] == [(WEEK[2], True, 1380)] and found.material
    shut = judged([date(2025, 4, 17), date(2025, 4, 21)])
    assert not shut.gaps and shut.explained == ((date(2025, 4, 18), "exchange holiday, closed all day"),)


def test_an_early_close_explains_the_afternoon() -> None:
    found = judged([date(2025, 1, 17), date(2025, 1, 20), date(2025, 1, 21)])
    assert not found.gaps and found.expected == 1380 + 1140 + 1380
    assert found.explained == ((date(2025, 1, 20), "early close at 12:00 Chicago"),)


def test_a_holidays_short_session_may_be_left_out_whole_and_that_is_told() -> None:
    found = judged([date(2026, 4, 2), date(2026, 4, 6)])
    assert not found.gaps and found.expected == 2 * 1380
    assert found.explained == ((date(2026, 4, 3), "early close at 08:15 Chicago, left out whole"),)


def test_the_afternoon_halt_until_2021_explains_a_quarter_of_an_hour() -> None:
    assert DAYS.session(date(2019, 6, 4).toordinal()) == ((0, 1335), (1350, 1380))
    assert DAYS.session(date(2021, 6, 28).toordinal()) == ((0, 1380),)
    assert not judged([date(2019, 6, 4), date(2019, 6, 5)]).gaps


def test_before_the_first_and_after_the_last_bar_nothing_is_judged() -> None:
    found = judged(WEEK[:2], {WEEK[0]: range(700), WEEK[1]: range(400, 1380)})
    assert not found.gaps and found.expected == 680 + 400


def test_an_hour_and_a_day_are_material_and_many_small_gaps_together() -> None:
    one = judged(WEEK, {WEEK[2]: range(600, 606)})
    assert one.gaps and not one.material
    long = judged(WEEK, {WEEK[3]: range(600, 661)})
    assert len(long.gaps) == 1 and long.gaps[0].material and long.material
    many = judged(WEEK, {day: range(600 + 90 * at, 606 + 90 * at) for at, day in enumerate(WEEK)})
    assert len(many.gaps) == 5 and not any(gap.material for gap in many.gaps) and many.material


@pytest.mark.parametrize(("minutes", "material"), [(60, False), (61, True)])
def test_a_gap_longer_than_a_position_is_held_is_material(minutes: int, material: bool) -> None:
    (gap,) = judged(WEEK, {WEEK[3]: range(600, 600 + minutes)}).gaps
    assert gap.minutes == minutes and gap.material is material


def test_dates_beyond_the_table_count_as_full_sessions_and_are_said_to() -> None:
    christmas = date(2035, 12, 24)
    assert DAYS.session(christmas.toordinal()) == ((0, 1380),)
    assert judged([christmas]).unknown_dates == 1 and judged(WEEK).unknown_dates == 0


def test_the_table_is_what_library_and_corrections_give() -> None:
    assert computed_table() == TABLE.read_text("utf-8"), "write it anew: python -m pj.store.exchange_days"
