"""The pool's table: every pair is in it or raises, every state is reached, DEAD is terminal, guards in their order."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from live.market import NS_PER_MIN
from live.params import Params
from live.pool_fsm import TABLE, IllegalTransition, MirroredBar, PoolEvent, PoolRules, advance, diagram, table_markdown
from live.pools import UNSET, Pool, PoolState

LEVEL = 1000
T = 1_000 * NS_PER_MIN
RULES = PoolRules(Params())


def pool(state: PoolState = PoolState.DEFINED, ext: int = LEVEL - 5, swept_at: int = T) -> Pool:
    fresh = Pool(1, "1:PDL", "PD", 1, LEVEL, LEVEL, T, T + 600 * NS_PER_MIN, state)
    if state is not PoolState.DEFINED:
        fresh.sweep_ns, fresh.ext = swept_at, ext
    return fresh


def seen(low: int, close: int, *, at: int = T + NS_PER_MIN, displaced: bool = False) -> MirroredBar:
    return MirroredBar(at, low, close, displaced)


def test_every_pair_is_in_the_table_or_raises_and_changes_nothing() -> None:
    for state, event in itertools.product(PoolState, PoolEvent):
        one = pool(state)
        before = one.snapshot()
        if (state, event) in TABLE:
            assert advance(one, event, seen(LEVEL - 9, LEVEL)).state is one.state
        else:
            with pytest.raises(IllegalTransition, match=str(event)):
                advance(one, event, seen(LEVEL - 9, LEVEL))
            assert one.snapshot() == before


def test_every_state_is_reached_and_dead_is_terminal() -> None:
    reached = {PoolState.DEFINED}
    while True:
        more = {after.state for (state, _), after in TABLE.items() if state in reached} | reached
        if more == reached:
            break
        reached = more
    assert reached == set(PoolState)
    assert not [pair for pair in TABLE if pair[0] is PoolState.DEAD]


def test_every_row_of_the_spec_is_there_and_only_deaths_have_reasons() -> None:
    assert {transition.row for transition in TABLE.values()} == {f"T{number}" for number in range(12)}
    for transition in TABLE.values():
        assert bool(transition.reason) == (transition.state is PoolState.DEAD)
        assert transition.goes_on == (transition.row in {"T2", "T3"})


def test_a_sweep_without_its_bar_is_illegal() -> None:
    with pytest.raises(IllegalTransition, match="needs the bar"):
        advance(pool(), PoolEvent.SWEPT)


@pytest.mark.parametrize(
    ("one", "bar", "rows", "ext"),
    [
        # A touch is no sweep; one tick beyond is; the same bar goes on to T4-T8.
        (pool(), seen(LEVEL, LEVEL + 5, displaced=True), (False, "T0"), None),
        (pool(), seen(LEVEL - 1, LEVEL), (True, "T8"), LEVEL - 1),
        (pool(), seen(LEVEL - 1, LEVEL + 1, displaced=True), (True, "T7"), LEVEL - 1),
        (pool(), seen(LEVEL - 160, LEVEL + 1, displaced=True), (True, "T7"), LEVEL - 160),
        (pool(), seen(LEVEL - 161, LEVEL + 1, displaced=True), (True, "T4"), LEVEL - 161),
        (pool(), seen(LEVEL - 1, LEVEL + 120, displaced=True), (True, "T7"), LEVEL - 1),
        (pool(), seen(LEVEL - 1, LEVEL + 121, displaced=True), (True, "T6"), LEVEL - 1),
        # T1 comes before the sweep.
        (pool(), seen(LEVEL - 1, LEVEL, at=T + 600 * NS_PER_MIN), (False, "T1"), None),
        (pool(PoolState.SWEPT), seen(LEVEL - 99, LEVEL, at=T + 600 * NS_PER_MIN), (False, "T1"), LEVEL - 5),
        # T3 deepens first, so T4 sees the new extreme; T4 before T5 before T6 before T7.
        (pool(PoolState.SWEPT), seen(LEVEL - 9, LEVEL - 2), (False, "T8"), LEVEL - 9),
        (pool(PoolState.SWEPT), seen(LEVEL - 3, LEVEL - 2), (False, "T8"), LEVEL - 5),
        (pool(PoolState.SWEPT), seen(LEVEL - 200, LEVEL + 300, at=T + 99 * NS_PER_MIN), (False, "T4"), LEVEL - 200),
        (pool(PoolState.SWEPT), seen(LEVEL, LEVEL + 300, at=T + 11 * NS_PER_MIN), (False, "T5"), LEVEL - 5),
        (pool(PoolState.SWEPT), seen(LEVEL, LEVEL + 300, at=T + 10 * NS_PER_MIN, displaced=True), (False, "T6"), 995),
        (pool(PoolState.SWEPT), seen(LEVEL, LEVEL + 3, at=T + 10 * NS_PER_MIN, displaced=True), (False, "T7"), 995),
        (pool(PoolState.SWEPT), seen(LEVEL, LEVEL + 3), (False, "T8"), LEVEL - 5),
        (pool(PoolState.SWEPT), seen(LEVEL, LEVEL, displaced=True), (False, "T8"), LEVEL - 5),
    ],
)
def test_guards_in_their_order(one: Pool, bar: MirroredBar, rows: tuple[bool, str], ext: int | None) -> None:
    swept, rest = RULES.take_bar(one, bar)
    assert (swept, rest.row) == rows
    assert one.extreme == ext
    assert one.state is rest.state


def test_reclaimed_and_dead_pools_take_no_bar() -> None:
    for state in (PoolState.RECLAIMED, PoolState.DEAD):
        with pytest.raises(IllegalTransition, match="takes no bar"):
            RULES.take_bar(pool(state), seen(0, 0))


@pytest.mark.parametrize(
    ("prices", "expected"),
    [
        ((10, 20, 10, 15), False),  # exactly half the range: strict
        ((10, 20, 10, 16), True),
        ((15, 20, 10, 9), False),
        ((10, 10, 10, 10), False),  # a zero-range bar never displaces
        ((10, 11, 10, 11), True),
    ],
)
def test_displacement_is_strict_and_whole(prices: tuple[int, int, int, int], expected: bool) -> None:
    assert RULES.mirror(1, T, prices).displaced is expected
    open_, high, low, close = prices
    assert RULES.mirror(-1, T, (-open_, -low, -high, -close)).displaced is expected


@given(st.lists(st.tuples(st.integers(-40, 40), st.integers(-40, 40), st.booleans(), st.integers(1, 4)), max_size=40))
def test_any_walk_of_bars_is_legal_and_ends_dead_or_alive(steps: list[tuple[int, int, bool, int]]) -> None:
    one, at = pool(), T
    rules = PoolRules(Params.from_dict({"max_pen_ticks": 30, "max_chase_ticks": 20}))
    for low, up, displaced, minutes in steps:
        at += minutes * NS_PER_MIN
        deepest = one.ext if one.sweep_ns != UNSET else None
        _, rest = rules.take_bar(one, seen(LEVEL + low, LEVEL + low + abs(up), at=at, displaced=displaced))
        assert (one.sweep_ns == UNSET) == (one.extreme is None)
        assert deepest is None or one.ext <= deepest
        if rest.state in {PoolState.DEAD, PoolState.RECLAIMED}:
            break


def test_the_documented_diagram_is_the_generated_one(root: Path) -> None:
    page = root / "docs" / "ARCHITECTURE.md"
    drawn = diagram()
    assert drawn.startswith("stateDiagram-v2\n")
    assert drawn.count("-->") == len(TABLE) + 2
    assert table_markdown().count("\n") == len(TABLE) + 2
    if page.exists() and "stateDiagram" in page.read_text("utf-8"):
        assert drawn in page.read_text("utf-8")


def test_snapshots_keep_every_field() -> None:
    for state in PoolState:
        one: Any = pool(state)
        again = Pool.restored(one.snapshot())
        assert again.snapshot() == one.snapshot()
        assert again.mlevel == one.mlevel
