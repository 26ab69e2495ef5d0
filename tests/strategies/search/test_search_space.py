"""A space is read strictly, numbers its trials the same whatever the file's order, and names every trial by a hash."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from search_cases import MNQ, random_case

from live.market import INSTRUMENTS
from live.params import Params
from pj.settings_text import parse_yaml
from strategies.mle.search.space import Hasher, SearchInputError, Space, params_sha256, read_space

HUGE = ("swing_n", "max_pen_ticks", "max_chase_ticks", "max_hold_min")


def test_numbers_do_not_depend_on_the_order_in_the_file() -> None:
    raw = {"target_r": ["1", 2], "sweep_min_ticks": [3, 1], "swing_n": [5, 7, 9], "max_hold_min": [60]}
    one, other = read_space(raw), read_space(dict(reversed(raw.items())))
    assert [axis.name for axis in one.axes] == ["swing_n", "sweep_min_ticks", "target_r", "max_hold_min"]
    assert one.to_dict() == other.to_dict() and one.total == 12
    assert one.params_of(0) == Params.from_dict({"swing_n": 5, "sweep_min_ticks": 3, "target_r": 1, "max_hold_min": 60})
    assert one.params_of(1).target_r == 2 and one.params_of(2).sweep_min_ticks == 1 and one.params_of(4).swing_n == 7
    assert one.params_of(11) == Params.from_dict(
        {"swing_n": 9, "sweep_min_ticks": 1, "target_r": 2, "max_hold_min": 60}
    )


def test_ranges_are_exact_and_hold_their_end() -> None:
    space = read_space({"target_r": {"from": 0.5, "to": 2, "step": "1/2"}, "swing_n": {"from": 3, "to": 8, "step": 2}})
    assert space.axes[1].values == tuple(Fraction(n, 2) for n in (1, 2, 3, 4))
    assert space.axes[0].values == (3, 5, 7)


def test_fixed_values_and_the_instrument_fill_the_rest() -> None:
    space = read_space({"swing_n": [3], "fixed": {"max_qty": 2}}, INSTRUMENTS["NQ"])
    assert space.params_of(0) == replace(Params(), swing_n=3, max_qty=2, tick_cents=500)


def test_combinations_that_break_a_bound_are_dropped_and_counted() -> None:
    space = read_space({"min_risk_ticks": [10, 50, 300], "max_risk_ticks": [40, 200], "max_qty": [1, 2]})
    allowed = space.allowed(space.places(np.arange(space.total)))
    assert (space.total, space.valid, int(allowed.sum())) == (12, 6, 6)
    for trial in range(space.total):
        if allowed[trial]:
            assert space.params_of(trial).min_risk_ticks <= space.params_of(trial).max_risk_ticks
        else:
            with pytest.raises(SearchInputError, match="dropped"):
                space.params_of(trial)
    with pytest.raises(SearchInputError, match="trial 12"):
        space.params_of(12)


def test_hashes_of_a_batch_are_those_of_the_parameters() -> None:
    for seed in range(10):
        _, space = random_case(random.Random(seed), axes=6)
        places = space.places(np.arange(space.total))
        told = Hasher(space).hashes(places)
        for trial in np.flatnonzero(space.allowed(places)).tolist():
            assert told[trial] == params_sha256(space.params_of(trial))
        assert len(set(told)) == space.total


def test_a_space_survives_its_file() -> None:
    for seed in range(10):
        _, space = random_case(random.Random(seed), axes=7)
        again = Space.from_dict(json.loads(json.dumps(space.to_dict())))
        assert again.axes == space.axes and again.base == space.base and again.to_dict() == space.to_dict()


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        ([], "must be a table"),
        ({}, "names no parameter"),
        ({"fixed": {"swing_n": 3}}, "names no parameter"),
        ({"swing": [1]}, "unknown parameter 'swing'"),
        ({"swing_n": []}, "swing_n is \\[\\]; give a list"),
        ({"swing_n": 5}, "swing_n is 5; give a list"),
        ({"swing_n": [1.5]}, "swing_n is 1.5; give a whole number"),
        ({"swing_n": [True]}, "swing_n is True"),
        ({"swing_n": [3, 3]}, "swing_n holds 3 twice"),
        ({"target_r": ["2", 2]}, "target_r holds 2 twice"),
        ({"use_kinds": [["PDH"]]}, "use_kinds"),
        ({"swing_n": {"from": 1, "to": 3}}, "from, to and step"),
        ({"swing_n": {"from": 1, "to": "x", "step": 1}}, "must be numbers"),
        ({"swing_n": {"from": 3, "to": 1, "step": 1}}, "holds no value"),
        ({"swing_n": {"from": 1, "to": 3, "step": 0}}, "holds no value"),
        ({"swing_n": {"from": 1, "to": 10**9, "step": 1}}, "more than 10000"),
        ({"swing_n": {"from": 1, "to": 2, "step": "1/2"}}, "3/2"),
        ({"tick": ["0.25", "0.5"]}, "tick is the grid"),
        ({"swing_n": [3], "fixed": {"swing_n": 5}}, "both fixed and searched"),
        ({"swing_n": [3], "fixed": {"x": 5}}, "fixed: unknown parameter"),
        ({"swing_n": [3], "fixed": [5]}, "fixed is \\[5\\]"),
        ({"swing_n": [3], "sample": 0}, "sample is 0"),
        ({"swing_n": [3], "seed": "x"}, "seed is 'x'"),
        ({"swing_n": [3], "keep_daily_cells": -1}, "keep_daily_cells is -1"),
        ({"min_risk_ticks": [300]}, "no combination keeps"),
        ({"swing_n": list(range(1, 10_002))}, "10001 values"),
        ({name: {"from": 1, "to": 2000, "step": 1} for name in HUGE}, "combinations, more than"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_refused_in_one_sentence(raw: Any, says: str) -> None:
    with pytest.raises(SearchInputError, match=says) as refusal:
        read_space(raw, MNQ)
    assert "\n" not in str(refusal.value)


def test_the_runbook_s_space_can_be_read(root: Path) -> None:
    text = (root / "docs/RUNBOOK.md").read_text("utf-8")
    block = text.partition("## Searching parameters")[2].partition("```yaml\n")[2].partition("```")[0]
    space = read_space(parse_yaml(block, "RUNBOOK.md"), MNQ)
    assert (space.total, space.sample, space.base.max_qty) == (30, 100_000, 3)
    assert [str(value) for value in space.axes[1].values] == ["1", "3/2", "2", "5/2", "3"]
