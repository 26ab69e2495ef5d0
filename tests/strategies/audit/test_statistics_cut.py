"""Properties of the cuts: every path judges every day once, and no fit comes near what it is judged on."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from strategies.mle.audit.statistics import StatisticsInputError, cpcv_paths, walk_forward


@given(
    groups=st.integers(2, 9),
    test_groups=st.integers(1, 8),
    extra=st.integers(0, 60),
    purge=st.integers(0, 2),
    embargo=st.integers(0, 2),
)
def test_each_path_judges_every_day_once_and_fits_stay_away(
    groups: int, test_groups: int, extra: int, purge: int, embargo: int
) -> None:
    assume(test_groups < groups)
    days = groups * 8 + extra
    cut = cpcv_paths(days, groups, test_groups, purge, embargo)
    assert len(cut.splits) == comb(groups, test_groups)
    assert cut.paths.shape == (comb(groups, test_groups) * test_groups // groups, groups)
    sizes = np.diff(cut.edges)
    assert sizes.sum() == days and set(sizes.tolist()) <= {days // groups, days // groups + 1}
    for path in cut.paths:
        judged = []
        for group, number in enumerate(path):
            assert group in cut.splits[number].groups
            rows = np.arange(cut.edges[group], cut.edges[group + 1])
            assert np.isin(rows, cut.splits[number].judged).all()
            judged += rows.tolist()
        assert judged == list(range(days))
    for number in range(groups):
        used = cut.paths[:, number]
        assert len(set(used.tolist())) == len(used), "one judged group of one split belongs to one path"
    for split in cut.splits:
        judged = set(split.judged.tolist())
        expected = [
            day
            for day in range(days)
            if day not in judged
            and not any(day + step in judged for step in range(1, purge + 1))
            and not any(day - step in judged for step in range(1, purge + embargo + 1))
        ]
        assert split.fit.tolist() == expected


def test_six_groups_two_judged_as_in_the_book() -> None:
    """Lopez de Prado 2018, figure 12.1: 15 splits, 5 paths."""
    cut = cpcv_paths(np.arange(738000, 738060), 6, 2, 0, 0)
    assert len(cut.splits) == 15
    assert cut.paths.tolist()[0] == [0, 0, 1, 2, 3, 4] and cut.paths.tolist()[4] == [4, 8, 11, 13, 14, 14]


@given(
    days=st.integers(10, 300),
    fit_days=st.integers(1, 80),
    judge_days=st.integers(1, 40),
    purge=st.integers(0, 3),
    embargo=st.integers(0, 3),
    anchored=st.booleans(),
)
def test_walks_judge_on_without_gap_and_never_fit_the_future(
    days: int, fit_days: int, judge_days: int, purge: int, embargo: int, anchored: bool
) -> None:
    assume(fit_days + purge + embargo < days)
    walks = walk_forward(days, fit_days, judge_days, anchored=anchored, purge=purge, embargo=embargo)
    judged = np.concatenate([walk.judged for walk in walks])
    assert judged.tolist() == list(range(fit_days + purge + embargo, days))
    for walk in walks:
        assert walk.judged[0] - walk.fit[-1] == 1 + purge + embargo
        assert np.array_equal(walk.fit, np.arange(walk.fit[0], walk.fit[-1] + 1))
        assert walk.fit[0] == 0 if anchored else walk.fit.size == fit_days
    assert {walk.judged.size for walk in walks[:-1]} <= {judge_days} and 1 <= walks[-1].judged.size <= judge_days


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: cpcv_paths(100, 1, 1), "give 2 to 100 groups"),
        (lambda: cpcv_paths(100, 5, 5), "judge fewer than all"),
        (lambda: cpcv_paths(3, 5, 1), "give 2 to 3 groups"),
        (lambda: cpcv_paths(10, 5, 4, 5, 5), "nothing to fit"),
        (lambda: cpcv_paths(100, 5, 2, -1, 0), "negative"),
        (lambda: cpcv_paths([3, 2, 5], 2, 1), "ascend"),
        (lambda: cpcv_paths(100, 30, 15), "over a million"),
        (lambda: walk_forward(20, 19, 5), "too few"),
        (lambda: walk_forward(20, 0, 5), "at least 1"),
        (lambda: walk_forward(20, 5, 5, embargo=-1), "negative"),
    ],
)
def test_what_cannot_be_cut_is_refused_in_a_sentence(call, words) -> None:
    with pytest.raises(StatisticsInputError, match=words):
        call()
