"""A search's trial is the live engine's run: trades, wins, net, drawdown and every day, on any tape and space."""

from __future__ import annotations

import random
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from search_cases import KINDS, MNQ, assert_exact, random_case, tape_of

from strategies.mle.bar_file import load_columns
from strategies.mle.compiled import STRUCTURE, daily_net_cents, reclaims, trade_table
from strategies.mle.kernels.batch import describe_reclaims
from strategies.mle.kernels.codes import T_NET
from strategies.mle.kernels.shared import sweep_bars
from strategies.mle.search.batches import Searcher, sharpe_ratios
from strategies.mle.search.pools import fsm_numbers, ground_of, pool_lives
from strategies.mle.search.space import FSM_FIELDS, POOL_FIELDS, read_space
from strategies.mle.tape import Tape


def test_structure_is_pools_and_fsm() -> None:
    assert {*POOL_FIELDS, *FSM_FIELDS} == STRUCTURE
    assert len(POOL_FIELDS) + len(FSM_FIELDS) == len(STRUCTURE)


@pytest.mark.parametrize("block", range(6))
def test_random_tapes_and_spaces_equal_the_live_engine(block: int) -> None:
    trades = rows = 0
    for seed in range(block * 20, block * 20 + 20):
        rng = random.Random(seed)
        bars, space = random_case(rng)
        print("seed", seed, space.to_dict()["axes"])
        tape = tape_of(bars)
        trials = np.flatnonzero(space.allowed(space.places(np.arange(space.total))))
        if not len(trials):
            continue
        found = Searcher(space, tape, threads=1).block(trials)
        for row in rng.sample(range(len(trials)), min(6, len(trials))):
            trades += assert_exact(bars, tape, space.params_of(int(trials[row])), found, row)
            rows += 1
    print(rows, "rows", trades, "trades")
    assert rows > 60 and trades > 150, "the spaces must trade"


@pytest.mark.parametrize("seed", range(12))
def test_shared_pools_give_the_structure_pass_s_reclaims(seed: int) -> None:
    rng = random.Random(1000 + seed)
    bars, space = random_case(rng, axes=9)
    tape = tape_of(bars)
    searcher = Searcher(space, tape, threads=1)
    for number in rng.sample(range(space.total), min(8, space.total)):
        params = space.params_of(number, check=False)
        full = reclaims(tape, params)
        shared = searcher.structure(number // searcher.layout.per_structure)
        lives = pool_lives(tape, params)
        swept = np.empty(len(lives.side), np.int32)
        sweep_bars(ground_of(tape), lives, params.sweep_min_ticks, swept)
        assert (swept == shared.swept).all() and (fsm_numbers(params) == shared.fsm).all()
        scratch = searcher.scratch(len(swept))
        count = describe_reclaims(searcher.ground, lives, swept, shared.fsm, scratch)
        assert (scratch.codes[:count] == full.bar * 2 + (full.side < 0)).all() and count == len(full)
        assert (scratch.worst[:count] == full.side * full.worst).all()


def test_size_of_units_threads_and_neighbours_do_not_matter() -> None:
    rng = random.Random(77)
    bars, space = random_case(rng, axes=7)
    tape = tape_of(bars)
    trials = np.flatnonzero(space.allowed(space.places(np.arange(space.total))))
    whole = Searcher(space, tape, threads=1).block(trials)
    for threads, unit in ((1, 1), (2, 3), (4, 64)):
        other = Searcher(space, tape, threads, unit).block(trials)
        for name in ("totals", "daily", "sums", "high_sums", "sharpe"):
            assert np.array_equal(getattr(other, name), getattr(whole, name), equal_nan=True), (threads, unit, name)
    alone = Searcher(space, tape, threads=1)
    for row in rng.sample(range(len(trials)), min(40, len(trials))):
        one = alone.block(trials[row : row + 1])
        assert (one.daily[0] == whole.daily[row]).all() and (one.totals[0] == whole.totals[row]).all()


def test_sums_and_sharpe_are_those_of_the_days() -> None:
    rng = random.Random(5)
    bars, space = random_case(rng, axes=6)
    trials = np.flatnonzero(space.allowed(space.places(np.arange(space.total))))
    found = Searcher(space, tape_of(bars), threads=1).block(trials)
    days = found.daily.astype(np.float64)
    assert found.totals[:, 0].max() > 5
    for row, values in enumerate(days):
        powers = [float((values**power).sum()) for power in (1, 2, 3, 4)]
        told = [*found.sums[row].tolist(), *found.high_sums[row].tolist()]
        assert told == pytest.approx(powers, rel=1e-12, abs=1e-6)
        sd = values.std(ddof=1)
        assert found.sharpe[row] == pytest.approx(values.mean() / sd if sd else 0.0, rel=1e-12)


def test_ratios_beyond_64_bits_are_exact_too() -> None:
    days = 200
    small = np.asarray([[1000, 90_000], [-7, 9], [0, 0]], np.int64)
    huge = np.asarray([[3_000_000_000, 3_900_000_000_000_000_000]], np.int64)
    both = sharpe_ratios(days, np.concatenate([small, huge]))
    assert both[:3].tolist() == sharpe_ratios(days, small).tolist()
    for (total, squares), ratio in zip(np.concatenate([small, huge]).tolist(), both.tolist(), strict=True):
        spread = Fraction(days * squares - total * total, days * (days - 1))
        assert ratio == pytest.approx(total / days / float(spread) ** 0.5 if spread else 0.0, rel=1e-14)
    assert np.isnan(sharpe_ratios(200, np.asarray([[400, 800]], np.int64))[0])
    assert np.isnan(sharpe_ratios(2, np.asarray([[10, 50]], np.int64))[0])
    assert np.isnan(sharpe_ratios(1, np.asarray([[0, 0]], np.int64))[0])


def test_an_empty_tape_gives_empty_rows() -> None:
    space = read_space({"max_qty": [1, 2]})
    found = Searcher(space, tape_of([]), threads=1).block(np.arange(2))
    assert found.totals.tolist() == [[0] * 4] * 2 and found.daily.shape == (2, 0)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("name", "front"),
    [("mnq_1m_2026-03_2026-05", False), ("nq_1m_2025-01_2025-06", True), ("mes_1m_2026-03_2026-05", False)],
)
def test_real_files_equal_single_runs(market_data: Path, name: str, front: bool) -> None:
    columns = load_columns(market_data / f"{name}.parquet", MNQ, front=front)
    tape = Tape.of(columns)
    space = read_space(
        {
            "use_kinds": [KINDS, ["PD", "ASIA", "LDN", "NYAM"]],
            "swing_n": [5, 15],
            "sweep_min_ticks": [1, 4],
            "reclaim_max_min": [5, 20],
            "disp_den": [2, 3],
            "stop_buffer_ticks": [2, 8],
            "target_r": ["1", "5/2"],
            "max_hold_min": [20, 60],
            "windows": [[["02:00", "05:00"], ["09:30", "11:30"]], [["18:00", "17:00"]]],
            "max_daily_loss_usd": [150, 450],
        }
    )
    found = Searcher(space, tape).block(np.arange(space.total))
    rng = random.Random(3)
    for trial in rng.sample(range(space.total), 25):
        params = space.params_of(trial)
        table = trade_table(tape, reclaims(tape, params), params)
        net = table.column(T_NET)
        assert found.totals[trial, :3].tolist() == [len(table), int((net > 0).sum()), int(net.sum())]
        assert (found.daily[trial] == daily_net_cents(tape, table)).all()
    assert found.totals[:, 0].min() > 10
    bars = columns.bars()
    for trial in rng.sample(range(space.total), 4):
        assert assert_exact(bars, tape, space.params_of(trial), found, trial) > 10
