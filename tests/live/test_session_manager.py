"""Tie-break, stop, target and size of a signal (pj1 S4.4, S5.1-S5.4)."""

from __future__ import annotations

import random
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from live.params import Params
from live.pools import Pool, PoolState
from live.session_manager import RANK, TradePlanner, quantity, ranked


def pool(
    kind: str = "PD", ext: int = 890, level: int = 900, defined: int = 0, pool_id: str = "p", side: int = 1
) -> Pool:
    mlevel = side * level
    return Pool(1, pool_id, kind, side, level, mlevel, defined, 10**18, PoolState.RECLAIMED, 1, ext)


def test_kinds_rank_as_the_spec_says() -> None:
    assert sorted(RANK, key=lambda kind: RANK[kind]) == ["PD", "NYAM", "LDN", "ASIA", "NYL", "OR", "EQ", "SW"]


@given(st.randoms(use_true_random=False))
def test_rank_then_depth_then_age_then_name(rng: random.Random) -> None:
    order = [
        pool("PD", ext=899),
        pool("LDN", ext=880, pool_id="z"),
        pool("LDN", ext=700, level=720, defined=3, pool_id="y"),  # its own depth of 20, though the price is lower
        pool("LDN", ext=881, defined=1, pool_id="b"),
        pool("LDN", ext=881, defined=2, pool_id="a"),
        pool("LDN", ext=881, defined=2, pool_id="c"),
        pool("SW", ext=100),
    ]
    mixed = rng.sample(order, len(order))
    assert [id(one) for one in ranked(mixed)] == [id(one) for one in order]


def plan(pools: list[Pool], close: int, **changed: Any) -> Any:
    return TradePlanner(Params.from_dict(changed)).plan(pools, close, (60, 120, 739_721), "M6")


def test_a_long_from_the_reclaim_close() -> None:
    signal = plan([pool()], 910)
    assert (signal.entry_ref, signal.stop, signal.risk_ticks, signal.target) == (910, 886, 24, 958)


def test_a_short_is_its_mirror() -> None:
    signal = plan([pool(side=-1, level=1000, ext=-1010)], 990)
    assert (signal.entry_ref, signal.stop, signal.risk_ticks, signal.target) == (990, 1014, 24, 942)
    assert (signal.extreme, signal.own_extreme) == (1010, 1010)


def test_the_stop_uses_the_worst_extreme_of_all_tied_pools() -> None:
    signal = plan([pool(ext=890), pool("SW", ext=880), pool("SW", ext=885)], 910)
    assert (signal.stop, signal.extreme, signal.own_extreme) == (876, 880, 890)


def test_a_narrow_stop_is_widened_and_the_target_follows() -> None:
    signal = plan([pool(ext=899)], 901)
    assert (signal.stop, signal.risk_ticks, signal.target) == (881, 20, 941)


@pytest.mark.parametrize(("ratio", "target"), [("2", 958), ("1/3", 918), (0.7, 926), ("2.99", 981), ("1/100", 910)])
def test_the_target_is_floored_toward_the_entry_exactly(ratio: object, target: int) -> None:
    assert plan([pool()], 910, target_r=ratio).target == target
    assert plan([pool(side=-1, level=1000, ext=-1010)], 990, target_r=ratio).target == 1900 - target


@pytest.mark.parametrize(
    ("risk", "net", "qty"),
    [
        (20, 0, 5),  # 12.24 each: 8 fit, five are allowed
        (38, 0, 4),  # 21.24 each
        (195, 0, 1),  # 99.74 each
        (196, 0, 0),  # 100.24 each: none fits the 100
        (24, -44_000, 0),  # 10 left of the day, 14.24 each
        (24, -43_000, 1),
        (24, -99_000, 0),
        (24, 50_000, 5),
    ],
)
def test_size_fits_the_trade_and_the_rest_of_the_day(risk: int, net: int, qty: int) -> None:
    assert quantity(Params(), risk, net) == qty


@given(st.integers(1, 400), st.integers(-60_000, 60_000), st.integers(1, 60_000), st.integers(1, 50))
def test_the_planned_worst_case_never_exceeds_a_budget(risk: int, net: int, budget: int, cap: int) -> None:
    params = Params.from_dict({"risk_per_trade_usd": Fraction(budget, 100), "max_qty": cap})
    qty = quantity(params, risk, net)
    each = (risk + 2) * 50 + 124
    room = min(budget, 45_000 + net)
    assert 0 <= qty <= cap
    assert qty * each <= max(room, 0)
    assert qty == cap or (qty + 1) * each > room
