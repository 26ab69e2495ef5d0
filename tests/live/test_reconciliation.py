"""The verdict table of pj1 S8: total, every row reached, every verdict there, shown in the documents as it is."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from live.reconciliation import (
    QUIET,
    RULES,
    TABLE,
    Action,
    Belief,
    Held,
    Ruling,
    Verdict,
    Working,
    judge,
    table_markdown,
)

CELLS = list(itertools.product(Belief, Held, Working))
LEGS = {Working.ENTRY, Working.ENTRY_BARE, Working.BRACKET, Working.NO_STOP, Working.DRIFT}
AT_ONCE = {Verdict.NAKED, Verdict.OVERFILL, Verdict.REVERSED}
UNDOABLE = {Action.CANCEL, Action.EXPLAIN, Action.CONSUME, Action.BOOK, Action.BOOK_PART, Action.CANCEL_FIRST}


def test_every_cell_has_its_ruling() -> None:
    assert set(TABLE) == set(CELLS)
    for cell in CELLS:
        assert judge(*cell) is next(rule.ruling for rule in RULES if rule.covers(*cell))


def test_every_row_rules_a_cell_and_every_verdict_and_action_has_a_row() -> None:
    for rule in RULES:
        assert any(TABLE[cell] is rule.ruling for cell in CELLS), rule
    assert {rule.ruling.verdict for rule in RULES} == set(Verdict)
    assert {rule.ruling.action for rule in RULES} == set(Action)


def test_what_cannot_be_undone_takes_two_observations_except_where_waiting_is_worse() -> None:
    for cell, ruling in TABLE.items():
        assert (ruling.action in UNDOABLE) <= (ruling.needs == 2), cell
        if ruling.verdict in AT_ONCE:
            assert (ruling.needs, ruling.after_s) == (1, 0), cell


def test_quiet_cells_ask_for_nothing_and_the_others_for_something() -> None:
    for ruling in TABLE.values():
        assert (ruling.verdict in QUIET) == (ruling.action is Action.NOTHING)


@pytest.mark.parametrize("cell", [cell for cell in CELLS if cell[2] is Working.UNTOLD])
def test_nothing_is_concluded_from_orders_nobody_tells(cell: tuple[Belief, Held, Working]) -> None:
    silent = {Verdict.NAKED, Verdict.BRACKET_DRIFT, Verdict.ORPHAN_ORDERS, Verdict.PHANTOM_ORPHANS}
    assert judge(*cell).verdict not in silent


@pytest.mark.parametrize(("belief", "working"), list(itertools.product(Belief, Working)))
def test_a_lost_source_freezes_and_touches_nothing(belief: Belief, working: Working) -> None:
    assert judge(belief, Held.DARK, working) == Ruling(Verdict.UNKNOWN, Action.FREEZE)


@pytest.mark.parametrize("working", list(Working))
def test_the_rows_of_the_spec(working: Working) -> None:
    def verdict(belief: Belief, held: Held) -> Verdict:
        return judge(belief, held, working).verdict

    legs = working in LEGS
    assert verdict(Belief.FLAT, Held.ZERO) is (Verdict.ORPHAN_ORDERS if legs else Verdict.OK)
    assert verdict(Belief.FLAT, Held.OVER) is Verdict.UNKNOWN_POSITION
    assert verdict(Belief.PENDING, Held.ZERO) is Verdict.ENTRY_LOST
    assert verdict(Belief.PENDING, Held.PART) is Verdict.PARTIAL
    assert verdict(Belief.PENDING, Held.WHOLE) is Verdict.FILLED
    assert verdict(Belief.PENDING, Held.OVER) is Verdict.OVERFILL
    for belief in (Belief.FILLING, Belief.OPEN):
        assert verdict(belief, Held.ZERO) is (Verdict.PHANTOM_ORPHANS if legs else Verdict.PHANTOM)
        assert verdict(belief, Held.PART) is Verdict.PARTIAL_EXIT
        assert verdict(belief, Held.OVER) is Verdict.OVERFILL
        assert verdict(belief, Held.OPPOSITE) is Verdict.REVERSED
        assert verdict(belief, Held.LAGS) is Verdict.WAIT
    whole = {
        Working.UNTOLD: Verdict.OK,
        Working.BRACKET: Verdict.OK,
        Working.NONE: Verdict.NAKED,
        Working.NO_STOP: Verdict.NAKED,
        Working.ENTRY_BARE: Verdict.NAKED,
        Working.DRIFT: Verdict.BRACKET_DRIFT,
        Working.ENTRY: Verdict.ORPHAN_ORDERS,
    }
    assert verdict(Belief.OPEN, Held.WHOLE) is whole[working]
    bare = whole[working] is Verdict.NAKED
    assert verdict(Belief.FILLING, Held.WHOLE) is (Verdict.NAKED if bare else Verdict.PARTIAL)
    assert verdict(Belief.EXITING, Held.WHOLE) is Verdict.EXIT_STUCK
    assert verdict(Belief.EXITING, Held.OPPOSITE) is Verdict.REVERSED


def test_the_documented_table_is_the_generated_one(root: Path) -> None:
    assert table_markdown().count("\n") == len(RULES) + 2
    assert table_markdown() in (root / "docs" / "ARCHITECTURE.md").read_text("utf-8")
