"""Placebo levels: the compiled shift equals the live engine with moved pools; the draw keeps its range."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from compiled_pairs import columns_of
from pj1_tapes import lively_params, random_tape

from live.commands import Command, RecordEvent, RecordTrade, Trade
from live.engine import Engine, Route
from live.events import BarClosed
from live.liquidity import Liquidity
from live.market import INSTRUMENTS, Bar
from live.params import Params
from live.pools import Pool
from strategies.mle.audit.market import Market
from strategies.mle.audit.placebo import level_shifts, placebo
from strategies.mle.compiled import reclaims, run_compiled, trade_table
from strategies.mle.kernels import codes as c
from strategies.mle.tape import Tape

#: The first run after a change of any kernel compiles all of them.
pytestmark = pytest.mark.timeout(400)

MNQ = INSTRUMENTS["MNQ"]


class MovedLiquidity(Liquidity):
    """Follow pools as the live engine does, every level moved outward."""

    shifts: Any

    def _define(
        self, kind: str, side: int, level: int, defined_ns: int, expires_ns: int, out: list[Command], tail: str = ""
    ) -> Pool:
        moved = level - side * int(self.shifts[self._seq])
        return super()._define(kind, side, moved, defined_ns, expires_ns, out, tail)


def live_run(bars: list[Bar], params: Params, shifts: Any) -> tuple[list[RecordEvent], list[Trade]]:
    engine = Engine(params, MNQ, Route.SIMULATED)
    engine.liquidity = MovedLiquidity(params)
    engine.liquidity.shifts = shifts
    done = [command for bar in bars for command in engine.step(BarClosed(bar))]
    events = [one for one in done if isinstance(one, RecordEvent)]
    return events, [one.trade for one in done if isinstance(one, RecordTrade)]


def test_moved_levels_equal_the_live_engine_with_moved_pools() -> None:
    trades = 0
    for seed in range(40):
        rng = random.Random(seed)
        params, bars = Params.from_dict(lively_params(rng)), random_tape(rng)
        shifts = np.asarray([rng.randrange(0, 6) for _ in range(5000)], np.int64)
        events, wanted = live_run(bars, params, shifts)
        tape = Tape.of(columns_of(bars))
        found = reclaims(tape, params, shifts)
        levels = [one.level for one in events if one.event == "DEFINED"]
        assert found.pools[:, c.P_LEVEL].tolist() == levels, seed
        table = trade_table(tape, found, params)
        assert table.column(c.T_NET).tolist() == [one.net_cents for one in wanted], seed
        assert table.column(c.T_EXIT).tolist() == [one.exit_ts_s for one in wanted], seed
        trades += len(wanted)
    assert trades > 100


def test_no_shift_moves_nothing() -> None:
    rng = random.Random(7)
    params, tape = Params.from_dict(lively_params(rng)), Tape.of(columns_of(random_tape(rng)))
    plain = run_compiled(tape, params)
    still = reclaims(tape, params, np.zeros(len(plain.found.pools), np.int64))
    assert (still.events == plain.found.events).all() and (still.table == plain.found.table).all()


def test_levels_move_five_to_thirty_points_outward() -> None:
    shifts = level_shifts(1, 0, 20_000, Params())
    assert (shifts.min(), shifts.max()) == (20, 120)
    assert shifts.mean() == pytest.approx(70, abs=1)
    assert (level_shifts(1, 0, 100, Params()) == shifts[:100]).all()
    assert (level_shifts(1, 1, 20_000, Params()) != shifts).mean() > 0.9
    assert (level_shifts(2, 0, 20_000, Params()) != shifts).mean() > 0.9


def test_levels_are_moved_outward_and_only_judged_days_count() -> None:
    rng = random.Random(11)
    params, tape = Params.from_dict(lively_params(rng)), Tape.of(columns_of(random_tape(rng, days=8)))
    market = Market(tape, "MNQ")
    plain = reclaims(tape, params).pools
    moved = reclaims(tape, params, np.full(len(plain), 9, np.int64)).pools
    same = min(len(plain), len(moved), 4)
    outward = -plain[:same, c.P_SIDE] * (moved[:same, c.P_LEVEL] - plain[:same, c.P_LEVEL])
    assert (outward == 9).all()
    rows = np.arange(2)
    found = placebo(market, params, rows, runs=5, seed=3)
    assert found == placebo(Market(tape, "MNQ"), params, rows, runs=5, seed=3)
    assert found.real_net_cents == int(market.daily(params)[:2].sum())
    assert len(found.nets_cents) == 5 and 0 < found.p <= 1


def test_the_market_shares_structure_and_never_mixes_it() -> None:
    rng = random.Random(5)
    tape = Tape.of(columns_of(random_tape(rng, days=6)))
    market = Market(tape, "MNQ")
    sets = [Params.from_dict(lively_params(random.Random(seed))) for seed in range(12)]
    for params in [*sets, *reversed(sets)]:
        assert market.trades(params).rows.tolist() == run_compiled(tape, params).table.rows.tolist()
