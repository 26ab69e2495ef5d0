"""The compiled kernels give the live engine's rows, every column of every event and trade."""

from __future__ import annotations

import random

import pytest
from compiled_pairs import assert_equal
from pj1_tapes import lively_params, random_params, random_tape

from live.params import Params


@pytest.mark.parametrize("block", range(8))
def test_random_tapes_and_parameters_give_equal_rows(block: int) -> None:
    events = trades = 0
    for seed in range(block * 25, block * 25 + 25):
        rng = random.Random(seed)
        raw = lively_params(rng) if seed % 2 else random_params(rng)
        print("seed", seed, raw)
        run = assert_equal(random_tape(rng), Params.from_dict(raw))
        events, trades = events + len(run.order), trades + len(run.table)
    assert events > 2000 and trades > 50, "the tapes must not be empty"
