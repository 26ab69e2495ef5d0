"""Hold both engines to the laws P1-P14 of pj1 S12 (``pj1_laws`` says each; ``test_pj1_law_mutants`` breaks each)."""

from __future__ import annotations

import dataclasses
import json

import pj1_laws as laws
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pj1_laws import COMPILED, EXACT, MNQ, Subject, made
from pj1_tapes import WIDE_OPEN

from live.commands import RecordTrade, Trade
from live.engine import Engine, Route
from live.events import BarClosed, KillSwitched
from live.market import NS_PER_MIN, NS_PER_S, Bar
from live.params import Params

pytestmark = pytest.mark.timeout(400)  # a first run compiles the kernels, on a busy machine slowly

SEEDS = st.integers(0, 2**32)
FEW = settings(max_examples=20, deadline=None)
BOTH = pytest.mark.parametrize("subject", [EXACT, COMPILED], ids=lambda subject: subject.name)


@BOTH
@FEW
@given(seed=SEEDS)
def test_p01_a_prefix_of_the_bars_gives_a_prefix_of_the_rows(subject: Subject, seed: int) -> None:
    laws.p01_prefix_causality(subject, seed)


@BOTH
@FEW
@given(seed=SEEDS)
def test_p02_an_altered_future_changes_nothing_before(subject: Subject, seed: int) -> None:
    laws.p02_altered_future(subject, seed)


@BOTH
@FEW
@given(seed=SEEDS)
def test_p03_ticks_in_any_chunks_give_the_rows_of_their_bars(subject: Subject, seed: int) -> None:
    laws.p03_ticks_through_the_builder(subject, seed)


@BOTH
@FEW
@given(seed=SEEDS)
def test_p04_heartbeats_change_nothing(subject: Subject, seed: int) -> None:
    laws.p04_heartbeats(subject, seed)


@BOTH
@FEW
@given(seed=SEEDS)
def test_p05_a_mirrored_tape_gives_mirrored_trades(subject: Subject, seed: int) -> None:
    laws.p05_mirror(subject, seed)


@BOTH
@FEW
@given(seed=SEEDS)
def test_p06_pools_make_only_legal_moves_and_at_most_one_signal(subject: Subject, seed: int) -> None:
    laws.p06_legal_transitions(subject, seed)


@BOTH
@FEW
@given(seed=SEEDS)
def test_p07_trades_keep_their_promises(subject: Subject, seed: int) -> None:
    laws.p07_trade_invariants(subject, seed)


@BOTH
@FEW
@given(seed=SEEDS)
def test_p08_a_shift_in_price_shifts_everything(subject: Subject, seed: int) -> None:
    laws.p08_price_shift(subject, seed)


@BOTH
@FEW
@given(seed=SEEDS)
def test_p09_a_shift_by_whole_weeks_shifts_only_the_dates(subject: Subject, seed: int) -> None:
    laws.p09_week_shift(subject, seed)


@BOTH
@FEW
@given(seed=SEEDS)
def test_p10_a_restart_at_any_bar_is_no_restart(subject: Subject, seed: int) -> None:
    laws.p10_restart(subject, seed)


@BOTH
@FEW
@given(seed=SEEDS)
def test_p11_late_and_repeated_ticks_change_no_bar_and_no_row(subject: Subject, seed: int) -> None:
    laws.p11_late_ticks(subject, seed)


@BOTH
@FEW
@given(seed=SEEDS)
def test_p12_tightening_a_limit_never_adds_a_first_trade(subject: Subject, seed: int) -> None:
    laws.p12_tighter_limits(subject, seed)


@BOTH
@FEW
@given(seed=SEEDS)
def test_p13_exits_pass_though_every_entry_is_refused(subject: Subject, seed: int) -> None:
    laws.p13_exits_pass(subject, seed)


@BOTH
@FEW
@given(seed=SEEDS)
def test_p14_higher_costs_never_raise_the_net(subject: Subject, seed: int) -> None:
    laws.p14_higher_costs(subject, seed)


@FEW
@given(SEEDS)
def test_p13_exits_pass_though_the_kill_switch_is_thrown_and_the_order_rate_spent(seed: int) -> None:
    raw, bars, _ = made(seed)
    raw["windows"] = WIDE_OPEN
    params = Params.from_dict(raw)
    free, shut = (Engine(params, MNQ, Route.SIMULATED) for _ in range(2))
    expected: list[Trade] = []
    place = -1
    for bar in bars:
        place += 1
        expected = [one.trade for one in free.step(BarClosed(bar)) if isinstance(one, RecordTrade)]
        shut.step(BarClosed(bar))
        if free.position is not None:
            break
    if free.position is None:
        return
    shut.step(KillSwitched(True, "test"))
    shut.guard.order_times.extend([bars[place].ts_ns] * 1000)
    trade = None
    for bar in bars[place + 1 :]:
        expected += [one.trade for one in free.step(BarClosed(bar)) if isinstance(one, RecordTrade)]
        done = [one.trade for one in shut.step(BarClosed(bar)) if isinstance(one, RecordTrade)]
        trade = done[0] if done else trade
        if expected:
            assert done == expected[:1]
            return


def test_the_tapes_trade_at_all() -> None:
    counts = [len(EXACT.run(made(seed)[1], {**made(seed)[0], "windows": WIDE_OPEN}).trades) for seed in range(30)]
    assert sum(counts) > 60, counts
    assert sum(count > 0 for count in counts) > 10, counts


def test_a_bar_out_of_order_or_shape_is_refused_and_its_minute_missing() -> None:
    engine = Engine(Params.from_dict(), MNQ, Route.SIMULATED)
    good = Bar(600 * NS_PER_S * 1000, 10, 12, 9, 11, 5)
    assert engine.step(BarClosed(good)) == []
    for bad in (
        good,
        dataclasses.replace(good, ts_ns=good.ts_ns - NS_PER_MIN),
        dataclasses.replace(good, ts_ns=good.ts_ns + NS_PER_S),
        dataclasses.replace(good, ts_ns=good.ts_ns + NS_PER_MIN, high_ticks=10),
        dataclasses.replace(good, ts_ns=good.ts_ns + NS_PER_MIN, low_ticks=11),
    ):
        before = engine.snapshot()
        (alarm,) = engine.step(BarClosed(bad))
        assert getattr(alarm, "code", "") == "BAD_BAR"
        assert engine.snapshot() == before


@pytest.mark.slow
def test_restart_at_every_bar_of_one_tape() -> None:
    raw, bars, _ = made(7, days=2)
    raw["windows"] = WIDE_OPEN
    params = Params.from_dict(raw)
    engine = Engine(params, MNQ, Route.SIMULATED)
    for bar in bars:
        twin = Engine(params, MNQ, Route.SIMULATED)
        twin.restore(json.loads(json.dumps(engine.snapshot())))
        assert twin.step(BarClosed(bar)) == engine.step(BarClosed(bar))
        assert twin.snapshot() == engine.snapshot()
