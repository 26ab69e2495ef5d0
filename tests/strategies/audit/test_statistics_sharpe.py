"""Formulas of pj1 S11.4, S11.5 and S11.8 against their published example, hand-computed values and brute force."""

from __future__ import annotations

from fractions import Fraction
from itertools import product
from math import e, erf, inf, log, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strategies.mle.audit.chance import stream, word
from strategies.mle.audit.statistics import (
    StatisticsInputError,
    benjamini_hochberg,
    dsr,
    expected_max_sharpe,
    holm,
    min_btl,
    min_trl,
    moments,
    psr,
    sharpe,
    sign_permutation,
    t_statistic,
)


def phi(x: float) -> float:
    return 0.5 * (1.0 + erf(x / sqrt(2.0)))


def test_the_published_dsr_example() -> None:
    """pj1 S11.4: annual SR 2.5, N 100, Var 0.5 per year, T 1250, 250 days a year, skew -3, kurt 10."""
    var_sr = 0.5 / 250
    assert expected_max_sharpe(var_sr, 100) == pytest.approx(0.1132, abs=0.00005)
    assert dsr(2.5 / sqrt(250), 1250, -3.0, 10.0, var_sr, 100) == pytest.approx(0.9004, abs=0.00005)


def test_moments_by_hand() -> None:
    mean, sd, skew, kurt = moments([1.0, 2.0, 3.0, 6.0])
    # mean 3; deviations -2 -1 0 3: m2 = 14/4, m3 = 18/4, m4 = 98/4
    assert mean == 3.0
    assert sd == pytest.approx(sqrt(14 / 3))
    assert skew == pytest.approx(4.5 / 3.5**1.5)
    assert kurt == pytest.approx(24.5 / 3.5**2)


def test_a_series_that_never_moves() -> None:
    assert moments([2.0, 2.0, 2.0]) == (2.0, 0.0, 0.0, 3.0)
    assert sharpe([0.0, 0.0, 0.0]) == 0.0
    with pytest.raises(StatisticsInputError, match="never moves"):
        sharpe([0.1, 0.1, 0.1])


def test_psr_by_hand() -> None:
    # 1 - 0*0.1 + (3-1)/4*0.01 = 1.005
    assert psr(0.1, 0.0, 253, 0.0, 3.0) == pytest.approx(phi(0.1 * sqrt(252) / sqrt(1.005)))
    # Negative skew and fat tails: 1 + 0.3*0.1 + (9-1)/4*0.01 = 1.05
    assert psr(0.1, 0.02, 101, -0.3, 9.0) == pytest.approx(phi(0.08 * 10 / sqrt(1.05)))


@given(
    sr=st.floats(0.01, 0.5),
    skew=st.floats(-2, 2),
    kurt=st.floats(5.1, 20),
    confidence=st.sampled_from([0.9, 0.95, 0.99]),
)
def test_after_the_minimum_length_psr_is_the_confidence(sr: float, skew: float, kurt: float, confidence: float) -> None:
    days = min_trl(sr, 0.0, skew, kurt, confidence)
    spread = 1 - skew * sr + (kurt - 1) / 4 * sr * sr
    assert phi(sr * sqrt(days - 1) / sqrt(spread)) == pytest.approx(confidence)
    assert psr(sr, 0.0, max(2, int(days) + 2), skew, kurt) > confidence


def test_min_trl_by_hand_and_never() -> None:
    # Bailey & Lopez de Prado 2012: normal returns, annual SR 1 (daily 1/sqrt(250)) against 0 at 95 %.
    sr = 1 / sqrt(250)
    assert min_trl(sr, 0.0, 0.0, 3.0) == pytest.approx(1 + (1 + 0.5 * sr * sr) * (1.6448536269514722 / sr) ** 2)
    assert min_trl(0.05, 0.05, 0.0, 3.0) == inf
    assert min_trl(-0.05, 0.0, 0.0, 3.0) == inf


def test_min_btl_by_hand() -> None:
    assert min_btl(45, 1.0) == pytest.approx(2 * log(45))
    assert min_btl(1, 1.0) == 0.0


def test_one_trial_needs_no_deflation_and_more_trials_more() -> None:
    assert expected_max_sharpe(0.002, 1) == 0.0
    rising = [expected_max_sharpe(0.002, n) for n in (1, 1.1, 1.2, 1.5, 2, 5, 10, 100, 1e4, 1e6)]
    assert rising == sorted(rising) and rising[-1] > 4 * sqrt(0.002)


def test_expected_maximum_of_normals_by_simulation() -> None:
    rng = np.random.default_rng(11)
    for n in (10, 100, 1000):
        real = rng.normal(size=(4000, n)).max(axis=1).mean()
        assert expected_max_sharpe(1.0, n) == pytest.approx(real, abs=0.05)
    assert expected_max_sharpe(1.0, 10) == pytest.approx(
        (1 - 0.5772156649) * 1.2815515655 + 0.5772156649 * 1.7891554, abs=1e-4
    ), f"Z(0.9) and Z(1 - 1/(10 e)) with e = {e}"


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: psr(0.1, 0.0, 1, 0.0, 3.0), "too few"),
        (lambda: psr(1.0, 0.0, 100, 3.0, 1.0), "no distribution"),
        (lambda: psr(float("nan"), 0.0, 100, 0.0, 3.0), "no distribution"),
        (lambda: expected_max_sharpe(-0.1, 10), "variance"),
        (lambda: expected_max_sharpe(0.1, 0), "at least one"),
        (lambda: min_trl(0.1, 0.0, 0.0, 3.0, 0.4), "confidence"),
        (lambda: min_btl(10, 0.0), "positive"),
        (lambda: moments([1.0]), "too few"),
        (lambda: moments([1.0, float("nan")]), "never empty"),
        (lambda: moments([[1.0, 2.0]]), "dimensions"),
        (lambda: holm([0.1, 1.2]), "outside"),
        (lambda: holm([]), "too few"),
        (lambda: sign_permutation([1.0, 2.0], 0), "draws"),
        (lambda: sign_permutation([1.0, 2.0], 10, groups=[1]), "groups"),
    ],
)
def test_impossible_numbers_are_refused_in_a_sentence(call, words) -> None:
    with pytest.raises(StatisticsInputError, match=words):
        call()


def test_holm_and_benjamini_hochberg_by_hand() -> None:
    p = [0.01, 0.04, 0.03, 0.005]
    assert holm(p).tolist() == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert benjamini_hochberg(p).tolist() == pytest.approx([0.02, 0.04, 0.04, 0.02])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12), st.floats(0.001, 0.5))
def test_adjusted_p_values_decide_as_the_step_rules_do(p: list[float], level: float) -> None:
    """S11.8 word for word: step down while p_(i) <= a/(m-i+1); step up to the largest i with p_(i) <= i*q/m."""
    m, order = len(p), sorted(range(len(p)), key=lambda i: p[i])
    down = [False] * m
    for rank, i in enumerate(order):
        if Fraction(p[i]) * (m - rank) > Fraction(level):
            break
        down[i] = True
    cut = max((rank for rank, i in enumerate(order, 1) if Fraction(p[i]) * m <= Fraction(level) * rank), default=0)
    up = [order.index(i) < cut for i in range(m)]
    for got, want in ((holm(p), down), (benjamini_hochberg(p), up)):
        for value, rejected in zip(got, want, strict=True):
            assert (value <= level) == rejected or value == pytest.approx(level, rel=1e-12)


def test_sign_permutation_equals_every_flip() -> None:
    r = [1.0, 2.0, 3.0, 4.0, 5.0, -1.0]
    reach = sum(
        sum(s * abs(x) for s, x in zip(signs, r, strict=True)) >= sum(r) for signs in product((1, -1), repeat=6)
    )
    p = sign_permutation(r, 100_000, seed=3)
    assert p == pytest.approx(reach / 64, abs=0.003)
    assert p == sign_permutation(r, 100_000, seed=3) != sign_permutation(r, 100_000, seed=4)


def test_the_least_p_counts_the_real_sides_among_the_draws() -> None:
    assert sign_permutation([1.0] * 60, 200) == 1 / 201


def test_flipping_days_together_is_flipping_their_sums() -> None:
    r, days = [1.0, 2.0, -0.5, 3.0, 1.0], [7, 7, 8, 9, 9]
    assert sign_permutation(r, 5000, groups=days) == sign_permutation([3.0, -0.5, 4.0], 5000)


@settings(max_examples=25)
@given(st.lists(st.integers(-300, 300), min_size=1, max_size=60), st.integers(0, 2**32))
def test_a_permutation_never_leaves_its_bounds_and_zero_is_no_evidence(r: list[int], seed: int) -> None:
    assert 1 / 201 <= sign_permutation(r, 200, seed) <= 1.0
    assert sign_permutation([0.0] * len(r), 200, seed) == 1.0


def test_t_statistic_by_hand() -> None:
    assert t_statistic([1.0, 2.0, 3.0, 6.0]) == pytest.approx(2 * 3 / sqrt(14 / 3))


def test_the_counter_gives_the_published_splitmix64_words() -> None:
    """Seed 1234567 of the reference implementation (Vigna, splitmix64.c)."""
    start = np.uint64(1234567)
    assert [int(word(start, i)) for i in range(3)] == [6457827717110365317, 3203168211198807973, 9817491932198370423]
    assert len({int(stream(seed, number)) for seed in range(50) for number in range(50)}) == 2500
