"""CSCV against a slow reading of pj1 S11.6 that recomputes every row, and against what the spec says it must find."""

from __future__ import annotations

from itertools import combinations
from math import comb, inf, log
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strategies.mle.audit import arrays, overfitting
from strategies.mle.audit.statistics import Pbo, StatisticsInputError, cscv


def slow(daily: np.ndarray, blocks: int) -> tuple[list[int], list[float], list[float]]:
    """Return chosen, out-of-sample Sharpe and logit of each split, row by row."""
    parts = np.array_split(np.arange(daily.shape[0]), blocks)
    chosen, outside, logits = [], [], []
    for picked in combinations(range(blocks), blocks // 2):
        halves = []
        for half in (picked, [b for b in range(blocks) if b not in picked]):
            rows = daily[np.concatenate([parts[b] for b in half])].astype(float)
            mean, sd = rows.mean(axis=0), rows.std(axis=0, ddof=1)
            still = np.select([mean > 0.0, mean < 0.0], [inf, -inf], 0.0)
            halves.append(np.where(sd > 0.0, mean / np.where(sd > 0.0, sd, 1.0), still))
        best = int(np.argmax(halves[0]))
        less, same = (halves[1] < halves[1][best]).sum(), np.isclose(halves[1], halves[1][best], rtol=1e-12).sum()
        share = (less + (same + 1) / 2) / (daily.shape[1] + 1)
        chosen.append(best)
        outside.append(float(halves[1][best]))
        logits.append(log(share / (1 - share)))
    return chosen, outside, logits


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    blocks=st.sampled_from([2, 4, 6, 8]),
    columns=st.integers(2, 7),
    extra=st.integers(0, 20),
)
def test_every_split_equals_the_slow_reading(seed: int, blocks: int, columns: int, extra: int) -> None:
    daily = np.random.default_rng(seed).integers(-9000, 9500, size=(2 * blocks + extra, columns))
    chosen, outside, logits = slow(daily, blocks)
    found = cscv(daily, blocks)
    assert found.chosen.tolist() == chosen
    assert found.oos_sharpe == pytest.approx(outside, rel=1e-9, abs=1e-12)
    assert found.logits == pytest.approx(logits)
    assert found.pbo == pytest.approx(np.mean(np.array(logits) <= 1e-12))
    assert found.splits == comb(blocks, blocks // 2) == len(logits)
    assert found.median_oos_sharpe == pytest.approx(np.median(outside), rel=1e-9, abs=1e-12)
    assert found.probability_of_loss == pytest.approx(np.mean(np.array(outside) < 0))


def test_noise_is_a_coin_toss() -> None:
    """pj1 S11.6: N(0,1) noise with N = 100 gives a PBO of about 0.5."""
    found = [cscv(np.random.default_rng(seed).normal(size=(480, 100))) for seed in range(20)]
    assert found[0].splits == 12_870
    assert np.mean([one.pbo for one in found]) == pytest.approx(0.5, abs=0.08)
    assert abs(np.mean([one.median_oos_sharpe for one in found])) < 0.02


def test_one_true_winner_is_not_overfitted() -> None:
    daily = np.random.default_rng(1).normal(size=(500, 100))
    daily[:, 37] += 0.4
    found = cscv(daily)
    assert found.pbo < 0.001 and found.median_oos_sharpe > 0.3 and found.probability_of_loss < 0.001
    assert (found.chosen == 37).mean() > 0.999


def test_losing_in_the_same_order_fools_pbo_but_not_the_median() -> None:
    """pj1 S11.6: configurations that all lose in the same order give a low PBO."""
    rng = np.random.default_rng(2)
    daily = rng.normal(size=(500, 1)) * 0.5 + rng.normal(size=(500, 20)) * 0.02 - 0.2 - np.arange(20) * 0.02
    found = cscv(daily)
    assert found.pbo < 0.01
    assert found.median_oos_sharpe < 0.0 and found.probability_of_loss == 1.0


def test_identical_configurations_are_the_middle_and_count_as_overfitted() -> None:
    daily = np.repeat(np.random.default_rng(3).integers(-100, 100, size=(64, 1)), 5, axis=1)
    found = cscv(daily)
    assert (found.logits == 0.0).all() and found.pbo == 1.0 and (found.chosen == 0).all()


def test_a_configuration_that_never_trades_has_no_merit_and_no_demerit() -> None:
    daily = np.zeros((64, 3), dtype=np.int32)
    daily[:, 1] = np.random.default_rng(4).integers(-300, 100, size=64)
    found = cscv(daily)
    assert set(found.chosen.tolist()) == {0}
    assert (found.oos_sharpe == 0.0).all()
    assert cscv(np.zeros((64, 3))).pbo == 1.0


def test_a_standing_gain_is_above_everything() -> None:
    daily = np.random.default_rng(5).normal(size=(64, 3))
    daily[:, 2] = 5.0
    found = cscv(daily)
    assert (found.chosen == 2).all() and found.median_oos_sharpe == inf and np.isnan(found.slope)


def equal(one: Pbo, other: Pbo) -> bool:
    arrays_equal = all(
        np.array_equal(getattr(one, name), getattr(other, name))
        for name in ("logits", "chosen", "is_sharpe", "oos_sharpe")
    )
    return arrays_equal and (one.pbo, one.slope) == (other.pbo, other.slope)


def test_threads_types_memory_maps_and_column_batches_change_nothing(tmp_path: Path, monkeypatch) -> None:
    cents = np.random.default_rng(6).integers(-30_000, 30_000, size=(101, 50)).astype(np.int32)
    first = cscv(cents, 8)
    np.save(tmp_path / "daily.npy", cents)
    assert equal(first, cscv(np.load(tmp_path / "daily.npy", mmap_mode="r"), 8))
    assert equal(first, cscv(cents.astype(np.float64), 8)) and equal(first, cscv(np.asfortranarray(cents), 8))
    monkeypatch.setattr(arrays.os, "cpu_count", lambda: 7)
    monkeypatch.setattr(overfitting, "_COLUMNS", 16)
    assert equal(first, cscv(cents, 8))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), factor=st.sampled_from([2.0, 0.25, 1024.0]))
def test_neither_money_unit_nor_order_of_columns_matters(seed: int, factor: float) -> None:
    rng = np.random.default_rng(seed)
    daily = rng.normal(size=(40, 6))
    order = rng.permutation(6)
    found, scaled, shuffled = cscv(daily, 4), cscv(daily * factor, 4), cscv(daily[:, order], 4)
    assert np.array_equal(found.logits, scaled.logits) and np.array_equal(found.logits, shuffled.logits)
    assert np.array_equal(order[shuffled.chosen], found.chosen)


@pytest.mark.parametrize(
    ("daily", "blocks", "words"),
    [
        (np.ones((64, 3)), 7, "even number"),
        (np.ones((64, 3)), 22, "even number"),
        (np.ones((31, 3)), 16, "31 days are too few: at least 32"),
        (np.ones((64, 1)), 16, "configurations are too few"),
        (np.full((64, 3), np.nan), 16, "never empty"),
        (np.ones(64), 16, "dimensions"),
        (np.full((64, 3), "x"), 16, "integer cents"),
    ],
)
def test_what_cannot_be_cut_is_refused_in_a_sentence(daily, blocks, words) -> None:
    with pytest.raises(StatisticsInputError, match=words):
        cscv(daily, blocks)
