"""The compiled kernels give the live engine's rows, every column of every event and trade."""

from __future__ import annotations

import dataclasses
import random
from pathlib import Path
from typing import Any

import pytest
from any_params import LIVELY, raw_params
from compiled_pairs import MNQ, assert_equal, columns_of
from hostile_tapes import MAKERS, mirrored
from hypothesis import given, settings
from hypothesis import strategies as st
from pj1_tapes import lively_params, random_params, random_tape

from live.engine import Engine, Route
from live.events import BarClosed
from live.market import Bar
from live.params import Params
from strategies.mle.bar_file import BacktestInputError, load_columns
from strategies.mle.compiled import STRUCTURE, daily_net_cents, reclaims, run_compiled, trade_table
from strategies.mle.phase16_pj_engine import run_bars
from strategies.mle.tape import Tape

REAL = (
    ("nq_1m_2025-01_2025-06.parquet", True),
    ("mnq_1m_2026-03_2026-05.parquet", False),
    ("mes_1m_2026-03_2026-05.parquet", False),
    ("es_1m_trade_2013_2020.parquet", True),
    ("btc_perp_1m_2021-12-31_2022-02-01.parquet", False),
)
OPEN = LIVELY | {"swing_n": 3, "cooldown_min": 1, "max_entry_delay_min": 2}


@pytest.mark.parametrize("block", range(10))
def test_random_tapes_and_parameters_give_equal_rows(block: int) -> None:
    events = trades = 0
    for seed in range(block * 30, block * 30 + 30):
        rng = random.Random(seed)
        raw = lively_params(rng) if seed % 2 else random_params(rng)
        print("seed", seed, raw)
        run = assert_equal(random_tape(rng), Params.from_dict(raw))
        events, trades = events + len(run.order), trades + len(run.table)
    assert events > 2000 and trades > 50, "the tapes must not be empty"


@pytest.mark.parametrize("name", sorted(MAKERS))
def test_hostile_tapes_give_equal_rows(name: str) -> None:
    for seed in range(6):
        bars = MAKERS[name](random.Random(seed))
        rng = random.Random(seed + 100)
        for raw in ({}, OPEN, {"swing_n": 1, "eq_tol_ticks": 0, **LIVELY}, lively_params(rng), random_params(rng)):
            print("seed", seed, raw)
            assert_equal(bars, Params.from_dict(raw))
            assert_equal(mirrored(bars), Params.from_dict(raw))


@settings(max_examples=150, deadline=None)
@given(raw_params(), st.integers(0, 2**32), st.sampled_from([*sorted(MAKERS), "oracle"]))
def test_any_parameters_give_equal_rows(raw: dict[str, Any], seed: int, name: str) -> None:
    rng = random.Random(seed)
    bars = MAKERS[name](rng) if name in MAKERS else random_tape(rng, days=3, hours=2)
    assert_equal(bars[:1500], Params.from_dict(raw))


def test_mirrored_tapes_give_the_opposite_trades() -> None:
    trades = 0
    for seed in range(20):
        bars = random_tape(random.Random(seed))
        params = Params.from_dict(OPEN)
        one, other = (
            run_compiled(Tape.of(columns_of(some)), params).trades() for some in (bars, mirrored(bars, 200_000))
        )
        assert [(x.side, x.qty, x.net_cents, x.entry_ts_s, x.exit_ts_s, x.exit_reason) for x in one] == [
            (-x.side, x.qty, x.net_cents, x.entry_ts_s, x.exit_ts_s, x.exit_reason) for x in other
        ]
        trades += len(one)
    assert trades > 50


@pytest.mark.parametrize(("name", "front"), REAL)
@pytest.mark.parametrize("raw", [{}, {"windows": [["18:00", "17:00"]], "max_consec_losses": 1000, "swing_n": 4}])
@pytest.mark.timeout(300)
def test_real_files_give_equal_rows(market_data: Path, name: str, front: bool, raw: dict[str, Any]) -> None:
    if not (market_data / name).is_file():
        pytest.skip(f"{name} is not there")
    bars = load_columns(market_data / name, MNQ, front=front, snap=name.startswith("btc")).bars()
    if raw:
        bars = bars[len(bars) // 3 : len(bars) // 3 + 30_000]
    run = assert_equal(bars, Params.from_dict(raw))
    assert len(run.order) > 300


def test_early_closes_flatten_as_the_engine_does() -> None:
    ended = 0
    for seed in range(12):
        bars = MAKERS["jumps"](random.Random(seed))
        params = Params.from_dict(OPEN)
        tape = Tape.of(columns_of(bars))
        early = dict(zip(tape.days.tolist()[::2], (1000, 1100, 2000), strict=False))
        engine = Engine(params, MNQ, Route.SIMULATED, early_flat_m=early)
        wanted = [
            one.trade for bar in bars for one in engine.step(BarClosed(bar)) if hasattr(one, "trade") and one.trade
        ]
        trades = [one for one in wanted if not isinstance(one, str)]
        found = run_compiled(tape, params, early).trades()
        assert found == trades
        ended += sum(one.exit_reason == "FLAT" for one in found)
    assert ended > 5


def spoiled(bars: list[Bar], row: int, **changed: int) -> list[Bar]:
    return [*bars[:row], dataclasses.replace(bars[row], **changed), *bars[row + 1 :]]


def test_a_bar_the_engine_refuses_is_refused_with_the_same_sentence() -> None:
    bars = random_tape(random.Random(3))[:200]
    high = bars[50].high_ticks
    cases = [
        spoiled(bars, 50, low_ticks=high + 1),
        spoiled(bars, 50, high_ticks=bars[50].low_ticks - 1),
        spoiled(bars, 50, close_ticks=high + 1),
        spoiled(bars, 50, ts_ns=bars[49].ts_ns),
        spoiled(bars, 50, ts_ns=bars[50].ts_ns + 1),
        spoiled(bars, 0, ts_ns=-60_000_000_000),
        spoiled(spoiled(bars, 60, open_ticks=high + 99), 61, open_ticks=-99),
    ]
    for case in cases:
        with pytest.raises(BacktestInputError) as exact:
            run_bars(case, Params(), MNQ)
        with pytest.raises(BacktestInputError) as compiled:
            Tape.of(columns_of(case))
        assert str(compiled.value) == str(exact.value)


@pytest.mark.parametrize(
    "raw",
    [
        {"max_pen_ticks": 10**30, "max_chase_ticks": 10**30, "reclaim_max_min": 10**25, "swing_ttl_min": 10**25},
        {"swing_n": 10**20},
        {"eq_tol_ticks": 10**30, "sweep_min_ticks": 10**30, "reclaim_min_ticks": 10**30, "min_prev_day_bars": 10**30},
        {"max_hold_min": 10**25, "cooldown_min": 10**25, "max_gap_min": 10**25, "max_entry_delay_min": 10**25},
        {"max_qty": 10**30, "max_trades_day": 10**30, "max_orders_hour": 10**30, "target_through_ticks": 10**30},
        {"max_daily_loss_usd": 10**25, "risk_per_trade_usd": 1000},
        {"max_risk_ticks": 2**31, "stop_buffer_ticks": 2**31, "slip_ticks": 2**29},
    ],
)
def test_immense_bounds_are_the_same_bounds(raw: dict[str, Any]) -> None:
    assert_equal(random_tape(random.Random(5)), Params.from_dict(OPEN | raw))


@pytest.mark.parametrize(
    "raw",
    [
        {"max_risk_ticks": 2**31 + 1},
        {"slip_ticks": 2**40},
        {"disp_num": 2**40},
        {"target_r": "10000000000001/3"},
        {"tick_usd": 10**9},
        {"risk_per_trade_usd": 10**9, "max_daily_loss_usd": 10**9},
    ],
)
def test_numbers_that_would_overflow_are_refused_with_a_way_out(raw: dict[str, Any]) -> None:
    tape = Tape.of(columns_of(random_tape(random.Random(5))))
    with pytest.raises(BacktestInputError, match="--engine exact"):
        run_compiled(tape, Params.from_dict(raw))


def test_prices_beyond_the_arrays_are_refused_with_a_way_out() -> None:
    bars = [Bar(60 * 10**9, 2**40, 2**40, 2**40, 2**40, 1)]
    with pytest.raises(BacktestInputError, match="--engine exact"):
        Tape.of(columns_of(bars))


def test_one_structure_pass_serves_all_parameters_that_agree_on_it() -> None:
    money = {
        "target_r": "3/2",
        "max_hold_min": 9,
        "stop_buffer_ticks": 7,
        "windows": [["03:00", "15:00"]],
        "slip_ticks": 2,
    }
    for seed in range(10):
        bars = random_tape(random.Random(seed))
        tape = Tape.of(columns_of(bars))
        first, second = Params.from_dict(OPEN), Params.from_dict(OPEN | money)
        shared = {name for name in STRUCTURE if getattr(first, name) != getattr(second, name)}
        assert not shared
        found = reclaims(tape, first)
        for params in (first, second):
            table = trade_table(tape, found, params)
            run = run_compiled(tape, params)
            assert (table.rows == run.table.rows).all()
            assert table.refusals == run.table.refusals


def test_only_the_named_fields_touch_the_structure() -> None:
    changed = {
        "tick": "0.5",
        "tick_usd": 3,
        "flat_at": "12:00",
        "blackouts": [["2026-04-15T12:00:00Z", "2026-04-15T13:00:00Z"]],
    }
    money = {name: 3 for name in Params().to_dict() if name not in STRUCTURE | changed.keys() | {"windows", "target_r"}}
    params = Params.from_dict({**money, **changed, "windows": [["03:00", "04:00"]], "target_r": "5/3"})
    assert {name for name in Params.__slots__ if getattr(params, name) == getattr(Params(), name)} <= STRUCTURE | {
        "max_consec_losses"
    }
    tape = Tape.of(columns_of(random_tape(random.Random(1))))
    one, other = reclaims(tape, Params()), reclaims(tape, params)
    assert (one.table == other.table).all() and (one.events == other.events).all()


def test_daily_net_is_the_sum_of_the_trades_of_the_signals_day() -> None:
    for seed in range(10):
        tape = Tape.of(columns_of(random_tape(random.Random(seed))))
        run = run_compiled(tape, Params.from_dict(OPEN))
        daily = daily_net_cents(tape, run.table)
        wanted = dict.fromkeys(tape.days.tolist(), 0)
        for trade in run.trades():
            wanted[trade.trade_date_ordinal] += trade.net_cents
        assert dict(zip(tape.days.tolist(), daily.tolist(), strict=True)) == wanted


@pytest.mark.campaign
@pytest.mark.timeout(3600)
def test_thousands_of_tapes_give_equal_rows() -> None:
    events = trades = 0
    for seed in range(500_000, 504_000):
        rng = random.Random(seed)
        kind = rng.choice(["oracle"] * 4 + sorted(MAKERS))
        bars = random_tape(rng) if kind == "oracle" else MAKERS[kind](rng)
        raw = rng.choice((random_params, lively_params))(rng)
        if rng.random() < 0.3:
            raw |= LIVELY
        print("seed", seed, kind, raw)
        run = assert_equal(mirrored(bars) if rng.random() < 0.3 else bars, Params.from_dict(raw))
        events, trades = events + len(run.order), trades + len(run.table)
    print(events, "events", trades, "trades")
    assert trades > 10_000


@pytest.mark.campaign
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("name", "front"), REAL)
def test_whole_real_files_give_equal_rows_for_many_parameters(market_data: Path, name: str, front: bool) -> None:
    bars = load_columns(market_data / name, MNQ, front=front, snap=name.startswith("btc")).bars()
    for seed in range(12):
        rng = random.Random(seed)
        raw = lively_params(rng) | {"max_risk_ticks": 200} if seed % 2 else random_params(rng)
        print("seed", seed, raw)
        assert_equal(bars, Params.from_dict(raw))
