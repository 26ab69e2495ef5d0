"""Three engines, one truth: compiled kernels, live engine, and the journal of a lived run stepped again (issue 5)."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest
from lived_journal import MNQ, apart, live_through, rows_apart, rows_of, stepped_again, written
from pj1_files import MINUTE_FILES, real_columns
from pj1_tapes import lively_params, random_tape
from planted_lookaheads import columns_of

from live.market import Bar
from live.params import Params
from live.records import TRADE_COLUMNS
from pj.channels.csvlog import read_rows
from pj.channels.formats import BAR_COLUMNS
from pj.processes.engine.recorded import RecordDamaged
from strategies.mle.compiled import run_compiled
from strategies.mle.phase16_pj_engine import run_bars
from strategies.mle.tape import Tape

pytestmark = pytest.mark.timeout(400)  # a first run compiles the kernels, on a busy machine slowly


def compare(root: Path, bars: list[Bar], params: Params) -> tuple[int, int]:
    """Hold the three against each other, every column of every row; return how many events and trades they agree on."""
    instrument = params.instrument(MNQ)
    run_dir, lived = live_through(root, bars, params)
    journal = written(run_dir)
    said, again = stepped_again(run_dir, params)
    assert rows_of(said, instrument) == journal
    assert again.snapshot() == lived.snapshot()
    exact = run_bars(bars, params, MNQ)
    assert apart(journal) == rows_apart(exact.events, exact.trades, instrument)
    compiled = run_compiled(Tape.of(columns_of(bars)), params)
    assert apart(journal) == rows_apart(compiled.events(), compiled.trades(), instrument)
    kept = [row for day in run_dir.days() for row in read_rows(run_dir.day(day).trades, TRADE_COLUMNS)]
    assert [("TRADE", *(row[name] for name in TRADE_COLUMNS)) for row in kept] == apart(journal)[1]
    return len(exact.events), len(exact.trades)


@pytest.mark.parametrize("seed", range(5))
def test_random_tapes_agree_three_ways(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    params = Params.from_dict(lively_params(rng))
    events, _ = compare(tmp_path, random_tape(rng, days=3, hours=2), params)
    assert events > 20


@pytest.mark.parametrize("name", MINUTE_FILES)
def test_slices_of_real_files_agree_three_ways(market_data: Path, tmp_path: Path, name: str) -> None:
    bars = real_columns(market_data, name).bars()
    at = len(bars) // 3
    events, trades = compare(tmp_path, bars[at : at + 4500], Params())
    print(name, events, "events", trades, "trades")
    assert events > 200 and trades > 2


@pytest.mark.campaign
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", MINUTE_FILES)
def test_whole_real_files_agree_three_ways(market_data: Path, tmp_path: Path, name: str) -> None:
    events, trades = compare(tmp_path, real_columns(market_data, name).bars(), Params())
    print(name, events, "events", trades, "trades")
    assert events > 2000 and trades > 20
    shutil.rmtree(tmp_path)


def with_a_spike(path: Path) -> None:
    """Raise the high of a bar in the middle of bars.csv by a thousand points."""
    rows = path.read_text().splitlines(keepends=True)
    at = len(rows) // 2
    cells = rows[at].split(",")
    high = BAR_COLUMNS.index("high")
    cells[high] = str(float(cells[high]) + 1000)
    rows[at] = ",".join(cells)
    path.write_text("".join(rows))


def test_a_bar_changed_after_the_fact_is_found(tmp_path: Path) -> None:
    bars = random_tape(random.Random(1), days=3, hours=3)
    params = Params.from_dict(lively_params(random.Random(1)))
    run_dir, _ = live_through(tmp_path, bars, params)
    journal, days = written(run_dir), run_dir.days()
    with_a_spike(run_dir.day(days[-1]).bars)  # not anchored yet: its decisions no longer come out again
    said, _ = stepped_again(run_dir, params)
    assert rows_of(said, params.instrument(MNQ)) != journal
    with_a_spike(run_dir.day(days[0]).bars)  # anchored in the journal: refused at once
    with pytest.raises(RecordDamaged, match=r"bars\.csv"):
        stepped_again(run_dir, params)
