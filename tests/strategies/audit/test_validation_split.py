"""The 70/30 cut: by trade date, purged and embargoed, never by trade."""

from __future__ import annotations

import numpy as np
import pytest

from strategies.mle.audit.split import split_days


def test_the_cut_is_seventy_to_thirty_with_two_dates_in_no_part() -> None:
    split = split_days(np.arange(1000, 1100))
    assert (split.fit, split.hold) == (slice(0, 69), slice(71, 100))
    assert split.judged.sum() == 98
    assert not split.judged[69:71].any()
    assert split.hold_days == 29


def test_parts_never_share_or_touch_a_date() -> None:
    for count in range(60):
        split = split_days(np.arange(count) * 3 + 5)
        fitted, held = split.days[split.fit], split.days[split.hold]
        assert not set(fitted.tolist()) & set(held.tolist())
        if len(fitted) and len(held):
            assert list(split.days).index(held[0]) - list(split.days).index(fitted[-1]) == 3


def test_few_days_leave_empty_parts_and_no_error() -> None:
    assert split_days(np.array([], dtype=np.int32)).hold_days == 0
    one = split_days(np.array([5]))
    assert one.span(one.fit) == ("", "")


def test_dates_must_rise() -> None:
    with pytest.raises(ValueError, match="must rise"):
        split_days(np.array([5, 5]))


def test_a_trade_date_finds_its_row_and_a_stranger_is_named() -> None:
    split = split_days(np.array([738000, 738002, 738005]))
    assert split.rows_of(np.array([738005, 738000])).tolist() == [2, 0]
    with pytest.raises(ValueError, match="2021-07-30 is not a trade date"):
        split.rows_of(np.array([738000, 738001, 738002]))
    with pytest.raises(ValueError, match="is not a trade date"):
        split.rows_of(np.array([738009]))
