"""Prove the back-off: at once, then ever later, capped, jittered, forgotten after a stable life."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pj.supervision.policy import FLOOR_S, STABLE_S, STEP_S, RestartPolicy


def test_the_first_restart_is_immediate() -> None:
    assert RestartPolicy(0, 30, lambda: 0.99).delay_s(1) == 0


def test_delays_double_up_to_the_cap() -> None:
    policy = RestartPolicy(0, 30, lambda: 1.0)
    assert [policy.delay_s(n) for n in range(1, 10)] == [0, 0.5, 1, 2, 4, 8, 16, 30, 30]


def test_jitter_takes_the_upper_half() -> None:
    assert RestartPolicy(0, 30, lambda: 0.0).delay_s(7) == 8
    assert RestartPolicy(0, 30, lambda: 0.5).delay_s(7) == 12


def test_a_minimum_delays_the_first_restart_too() -> None:
    assert RestartPolicy(3, 30, lambda: 0.0).delay_s(1) == 3


def test_a_delay_follows_a_failure() -> None:
    with pytest.raises(ValueError, match="failures is 0"):
        RestartPolicy(0, 30, lambda: 0.0).delay_s(0)


@given(min_s=st.floats(0, 60), span_s=st.floats(0, 600), failures=st.integers(1, 10**9), chance=st.floats(0, 0.999))
def test_no_setting_makes_a_hot_loop_or_a_wait_beyond_the_cap(
    min_s: float, span_s: float, failures: int, chance: float
) -> None:
    max_s = min_s + span_s
    delay_s = RestartPolicy(min_s, max_s, lambda: chance).delay_s(failures)
    assert 0 <= delay_s <= max(max_s, FLOOR_S)
    if failures > 1:
        assert delay_s >= FLOOR_S
        assert delay_s >= min(max(STEP_S, min_s), max_s) / 2


def test_a_stable_life_ends_the_row() -> None:
    policy = RestartPolicy(0, 30, lambda: 0.0)
    assert policy.failures_after(7, STABLE_S) == 1
    assert policy.failures_after(7, STABLE_S - 0.01) == 8
