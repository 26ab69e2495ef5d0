"""What stands beside the verdict: cost stress, neighbours, walk-forward, permutation nulls, on a made-up market."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from statistics import NormalDist

import numpy as np
import pytest
from made_up import tape_of

from live.params import Params
from strategies.mle.audit.factors import factors
from strategies.mle.audit.forward import forward, spans
from strategies.mle.audit.market import Market
from strategies.mle.audit.neighbours import STEPS, natural_steps, neighbours_of
from strategies.mle.audit.permutation import entries_of, permutation_nulls, walked_nets
from strategies.mle.audit.split import split_days
from strategies.mle.audit.stress import cost_stress, demanded_slippage
from strategies.mle.compiled import run_compiled
from strategies.mle.kernels import codes as c

#: The first run after a change of any kernel compiles all of them.
pytestmark = pytest.mark.timeout(400)

TAPE = tape_of(40)
PARAMS = Params()
SPLIT = split_days(TAPE.days)


def test_the_made_up_market_trades() -> None:
    table = Market(TAPE, "MNQ").trades(PARAMS)
    assert len(TAPE.days) == 40 and len(table) > 100


def test_cost_stress_is_a_run_of_its_own_and_never_earns_more() -> None:
    market = Market(TAPE, "MNQ")
    found = {one.name: one for one in cost_stress(market, PARAMS, SPLIT)}
    assert len(found) == 8
    twice = replace(PARAMS, comm_side_cents=124, slip_ticks=2)
    daily = Market(TAPE, "MNQ").daily(twice)
    assert found["both x2"].total_net_cents == daily[SPLIT.judged].sum()
    assert found["both x2"].fit_net_cents + found["both x2"].hold_net_cents == found["both x2"].total_net_cents
    assert found["both x3"].total_net_cents < found["both x2"].total_net_cents < found["as run"].total_net_cents
    assert found["slippage 2 ticks"] == replace(found["slippage x2"], name="slippage 2 ticks")


def test_slippage_to_survive_is_above_what_was_assumed() -> None:
    assert [demanded_slippage(replace(PARAMS, slip_ticks=ticks)) for ticks in (0, 1, 2, 5)] == [2, 2, 3, 6]


def test_each_numeric_parameter_moves_one_step_each_way() -> None:
    moved = list(natural_steps(PARAMS))
    assert len(moved) == 2 * (len(STEPS) + 2)
    plain = PARAMS.to_dict()
    for name, old, new, params in moved:
        changed = {key for key, value in params.to_dict().items() if value != plain[key]}
        assert changed <= set(name.split("/")) and changed, name
        assert old != new
    ratios = {Fraction(one.disp_num, one.disp_den) for name, _, _, one in moved if name == "disp_num/disp_den"}
    assert ratios == {Fraction(9, 20), Fraction(11, 20)}


def test_the_table_of_steps_names_every_numeric_parameter_but_the_prices_of_trading() -> None:
    plain = PARAMS.to_dict()
    numeric = {name for name, value in plain.items() if not isinstance(value, list) and ":" not in str(value)}
    assert numeric - set(STEPS) - {"disp_num", "disp_den"} == {"tick", "tick_usd", "comm_side_usd", "slip_ticks"}


def test_a_parameter_at_its_edge_has_one_neighbour() -> None:
    edge = Params.from_dict({"eq_tol_ticks": 0, "swing_n": 1, "min_session_fill": 1, "disp_num": 0})
    names = [name for name, *_ in natural_steps(edge)]
    for name in ("eq_tol_ticks", "swing_n", "min_session_fill", "disp_num/disp_den"):
        assert names.count(name) == 1, name


def test_neighbours_are_runs_of_their_own() -> None:
    found = neighbours_of(Market(TAPE, "MNQ"), natural_steps(PARAMS), SPLIT)
    one = next(step for step in found if step.name == "swing_n 16 instead of 15")
    daily = Market(TAPE, "MNQ").daily(replace(PARAMS, swing_n=16))
    assert one.fit_net_cents == daily[SPLIT.fit].sum()
    assert one.hold_net_cents == daily[SPLIT.hold].sum()
    assert len({step.total_net_cents for step in found}) > 10


@pytest.mark.parametrize("raw", [{}, {"max_hold_min": 7, "flat_at": "11:00", "target_r": "3/4"}, {"slip_ticks": 3}])
def test_the_null_walks_real_entries_to_their_real_net(raw: dict[str, object]) -> None:
    params = Params.from_dict(raw)
    table = run_compiled(TAPE, params).table
    walked = walked_nets(TAPE, entries_of(TAPE, table), params)
    own = table.column(c.T_REASON) != c.R_DAILY_LOSS
    assert own.sum() > 100
    assert (walked == table.column(c.T_NET))[own].all()


def test_a_drawn_entry_that_opens_at_its_stop_or_target_is_no_trade() -> None:
    gaps = TAPE.open[1:].astype(np.int64) - TAPE.close[:-1]
    same = TAPE.ordinal[1:] == TAPE.ordinal[:-1]
    bar = int(np.flatnonzero((gaps <= -2) & same)[0]) + 1
    gap = -int(gaps[bar - 1])
    # Columns N_: bar, side, ticks to stop and to target, contracts.
    longs = [[bar, 1, gap, 400, 1], [bar, 1, gap + 1, 400, 1]]
    shorts = [[bar, -1, 400, gap, 1], [bar, -1, 400, gap + 1, 1]]
    nets = walked_nets(TAPE, np.array(longs + shorts, np.int64), PARAMS)
    assert [net == 0 for net in nets.tolist()] == [True, False, True, False]


def test_nulls_keep_distances_and_say_how_often_chance_did_as_well() -> None:
    table = run_compiled(TAPE, PARAMS).table
    side, time = permutation_nulls(TAPE, table, PARAMS, draws=200, seed=4)
    assert (side.name, time.name) == ("random side", "random time")
    for null in (side, time):
        assert null.p == (1 + (null.nets_cents >= null.real_net_cents).sum()) / 201
        assert null.nets_cents.std() > 0
    again = permutation_nulls(TAPE, table, PARAMS, draws=200, seed=4)
    assert [one.nets_cents.tolist() for one in again] == [one.nets_cents.tolist() for one in (side, time)]
    assert permutation_nulls(TAPE, table, PARAMS, draws=200, seed=5)[0].nets_cents.tolist() != side.nets_cents.tolist()


def test_foresight_beats_the_nulls() -> None:
    table = run_compiled(TAPE, PARAMS).table
    entries = entries_of(TAPE, table)
    other = entries.copy()
    other[:, 1] *= -1
    better = walked_nets(TAPE, entries, PARAMS) >= walked_nets(TAPE, other, PARAMS)
    seer = replace(table, rows=table.rows.copy())
    seer.rows[~better, c.T_SIDE] *= -1
    for null in permutation_nulls(TAPE, seer, PARAMS, draws=200):
        assert null.p < 0.01, null.name


def test_no_trades_leave_nulls_that_say_nothing() -> None:
    params = Params.from_dict({"windows": []})
    table = run_compiled(TAPE, params).table
    assert len(table) == 0
    assert [one.p for one in permutation_nulls(TAPE, table, params, draws=10)] == [1.0, 1.0]


def test_factors_are_parts_of_the_whole_and_held_to_their_number() -> None:
    table = run_compiled(TAPE, PARAMS).table
    found = {one.name: one for one in factors(table, SPLIT)}
    daily = Market(TAPE, "MNQ").daily(PARAMS)
    total = int(daily[SPLIT.judged].sum())
    kinds = [one for name, one in found.items() if name in c.KINDS]
    assert sum(one.net_cents for one in kinds) == total == found["longs"].net_cents + found["shorts"].net_cents
    assert len(kinds) > 4
    shorts = np.zeros(len(daily))
    mine = table.rows[table.column(c.T_SIDE) < 0]
    np.add.at(shorts, SPLIT.rows_of(mine[:, c.T_DAY]), mine[:, c.T_NET])
    judged = shorts[SPLIT.judged]
    assert found["shorts"].t == pytest.approx(np.sqrt(len(judged)) * judged.mean() / judged.std(ddof=1))
    assert found["shorts"].p == pytest.approx(NormalDist().cdf(-found["shorts"].t))
    smallest = min(found.values(), key=lambda one: one.p)
    assert smallest.holm == pytest.approx(min(1.0, smallest.p * len(found)))
    assert all(one.p <= one.bh <= one.holm <= 1 for one in found.values())
    assert factors(run_compiled(TAPE, Params.from_dict({"windows": []})).table, SPLIT) == ()


def test_walk_forward_chooses_on_the_past_only() -> None:
    rng = np.random.default_rng(1)
    trials = np.rint(rng.normal(0, 100, (300, 20))).astype(np.int64)
    trials[:, 3] += 60
    found = forward(trials)
    rolling, anchored = found.walks
    assert (rolling.fit_days, rolling.judge_days) == spans(300) == (126, 21)
    assert set(rolling.chosen) == set(anchored.chosen) == {3}
    assert rolling.daily == tuple(trials[rolling.first_row :, 3].tolist())
    assert rolling.efficiency == pytest.approx(rolling.mean_cents / rolling.fit_mean_cents)
    assert found.cross is not None and set(found.cross.path_nets_cents) == {int(trials[:, 3].sum())}
    changed = trials.copy()
    changed[rolling.first_row + 21 :] = rng.permuted(changed[rolling.first_row + 21 :], axis=1)
    assert forward(changed).walks[0].chosen[:1] == rolling.chosen[:1]
    assert forward(changed).walks[0].daily[:21] == rolling.daily[:21]


def test_cross_validation_puts_whole_paths_together() -> None:
    trials = np.rint(np.random.default_rng(2).normal(5, 100, (120, 1))).astype(np.int64)
    found = forward(trials).cross
    assert found is not None
    assert (found.splits, len(found.path_sharpes)) == (15, 5)
    assert set(found.path_nets_cents) == {int(trials.sum())}


@pytest.mark.parametrize("days", [0, 1, 3, 5, 7])
def test_too_few_days_are_said(days: int) -> None:
    found = forward(np.zeros((days, 3), dtype=np.int64))
    assert found.walks == () and {"rolling", "anchored"} <= set(found.why)
