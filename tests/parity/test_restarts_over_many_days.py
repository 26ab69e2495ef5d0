"""A run of many days, ended and recovered anywhere, is the run that was never ended: rows, numbers and state."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from lived_journal import MNQ, Life, rows_of, written
from pj1_files import MINUTE_FILES, real_columns
from pj1_tapes import lively_params, random_tape

from live.engine import Engine, Route
from live.events import BarClosed
from live.market import Bar
from live.params import Params


def restarted(root: Path, bars: list[Bar], params: Params, at: set[int]) -> None:
    """Restart before each bar of ``at``; hold state and rows against an engine that was never ended."""
    straight = Engine(params, MNQ, Route.SIMULATED)
    said = []
    life = Life(root, params, MNQ, bars[0].ts_ns)
    try:
        for number, bar in enumerate(bars):
            if number in at:
                assert life.restart() == []
                state = {name: value for name, value in straight.snapshot().items() if name != "mode"}
                again = {name: value for name, value in life.core.engine.snapshot().items() if name != "mode"}
                assert again == state, bar
            life.take(bar)
            said += straight.step(BarClosed(bar))
    finally:
        life.core.book.close()
    assert written(life.run_dir) == rows_of(said, params.instrument(MNQ))


@pytest.mark.parametrize("seed", range(4))
def test_random_tapes_with_restarts_are_as_if_never_ended(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    params = Params.from_dict(lively_params(rng))
    bars = random_tape(rng, days=6, hours=2)
    restarted(tmp_path, bars, params, set(rng.sample(range(1, len(bars)), 12)))


@pytest.mark.parametrize("name", MINUTE_FILES[:2])
def test_a_real_fortnight_with_restarts_is_as_if_never_ended(market_data: Path, tmp_path: Path, name: str) -> None:
    rng = random.Random(name)
    bars = real_columns(market_data, name).bars()[3000:14_000]
    restarted(tmp_path, bars, Params(), set(rng.sample(range(1, len(bars)), 8)))
