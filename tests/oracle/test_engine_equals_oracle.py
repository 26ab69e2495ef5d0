"""Hold the engine against an oracle written separately from the text of the specification, column by column."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from pj1_compare import assert_same_events, assert_same_trades, oracle_rows
from pj1_oracle import run as run_oracle
from pj1_tapes import random_params, random_tape

from live.market import INSTRUMENTS, Bar
from live.params import Params
from strategies.mle.phase16_pj_engine import load_bars, run_bars

MNQ = INSTRUMENTS["MNQ"]
REAL = (
    ("nq_1m_2025-01_2025-06.parquet", True),
    ("mnq_1m_2026-03_2026-05.parquet", False),
    ("mes_1m_2026-03_2026-05.parquet", False),
    ("es_1m_trade_2013_2020.parquet", True),
)


def compare(bars: list[Bar], raw: dict[str, Any]) -> int:
    ran = run_bars(bars, Params.from_dict(raw), MNQ)
    text = {name: str(value) if name.endswith("usd") else value for name, value in raw.items()}
    events, trades = run_oracle(oracle_rows(bars), **text)
    assert_same_events(ran.events, events)
    assert_same_trades(ran.trades, trades, ran.instrument)
    return len(events)


@pytest.mark.parametrize("block", range(10))
def test_random_tapes_give_equal_rows(block: int) -> None:
    rows = 0
    for seed in range(block * 40, block * 40 + 40):
        rng = random.Random(seed)
        raw, bars = random_params(rng), random_tape(rng)
        print("seed", seed)
        rows += compare(bars, raw)
    assert rows > 1000, "the tapes must not be empty of events"


@pytest.mark.parametrize(("name", "front"), REAL)
@pytest.mark.parametrize("part", [0, 1])
def test_slices_of_real_files_give_equal_rows(market_data: Path, name: str, front: bool, part: int) -> None:
    bars = load_bars(market_data / name, MNQ, front=front)
    at = part * len(bars) // 2
    assert compare(bars[at : at + 9000], {}) > 300


@pytest.mark.campaign
@pytest.mark.parametrize(("name", "front"), REAL)
def test_whole_real_files_give_equal_rows(market_data: Path, name: str, front: bool) -> None:
    bars = load_bars(market_data / name, MNQ, front=front)
    assert compare(bars, {}) > 1000
    assert compare(bars, {"windows": [["18:00", "17:00"]], "max_trades_day": 1000, "max_consec_losses": 1000}) > 1000


@pytest.mark.campaign
def test_thousands_of_random_tapes_give_equal_rows() -> None:
    for seed in range(100_000, 104_000):
        rng = random.Random(seed)
        raw, bars = random_params(rng), random_tape(rng)
        print("seed", seed)
        compare(bars, raw)
