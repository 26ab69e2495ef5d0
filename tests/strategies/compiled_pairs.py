"""Run the same bars through the live engine and the compiled kernels and hold every column against each other."""

from __future__ import annotations

from collections.abc import Sequence

from live.market import INSTRUMENTS, Bar
from live.params import Params
from live.records import event_row, trade_row
from strategies.mle.bar_file import BarColumns
from strategies.mle.compiled import CompiledRun, run_compiled
from strategies.mle.phase16_pj_engine import run_bars
from strategies.mle.run_files import compiled_event_chunks, event_chunks
from strategies.mle.tape import Tape

MNQ = INSTRUMENTS["MNQ"]


def columns_of(bars: Sequence[Bar]) -> BarColumns:
    """Return the bars as the columns that a file gives."""
    return BarColumns.of(bars)


def assert_equal(bars: Sequence[Bar], params: Params) -> CompiledRun:
    """Fail at the first row that differs; return the compiled run."""
    exact = run_bars(bars, params, MNQ)
    run = run_compiled(Tape.of(columns_of(bars)), params)
    wanted, found = [event_row(one) for one in exact.events], [event_row(one) for one in run.events()]
    for place, (want, have) in enumerate(zip(wanted, found, strict=False)):
        assert have == want, f"event {place}, after {wanted[max(0, place - 3) : place]}"
    assert len(found) == len(wanted)
    instrument = params.instrument(MNQ)
    assert [trade_row(one, instrument) for one in run.trades()] == [trade_row(one, instrument) for one in exact.trades]
    assert run.trades() == exact.trades
    assert b"".join(compiled_event_chunks(run)) == b"".join(event_chunks(exact.events))
    return run
