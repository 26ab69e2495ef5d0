"""Rolls, lost entries and lost sight at the desk: two contracts, two entries, a source that is gone."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from broker_play import KEY, STEM, T0, Play, bracket, leg, of, opened, play
from pj1_scenes import START_M, SWEEP_LOW, bar, close_ns

from live.broker_order import Order
from live.commands import CancelOrders, ClosePosition, PlaceBracket, PlaceExits, RaiseAlarm, RecordEvent
from live.events import (
    BarClosed,
    ExecutionReported,
    Leg,
    Mode,
    ModeChanged,
    OrderAcked,
    OrdersReported,
    OrderUnknown,
    PositionReported,
    PriceMarked,
    TruthChanged,
    WorkingOrder,
)
from live.market import NS_PER_MIN, NS_PER_S
from live.stance import Stance

ROLLED = replace(bar(START_M + 2, 1500, 1510, 1490, 1505), contract="U6")
AFTER_ROLL_S = (close_ns(ROLLED) - T0) // NS_PER_S
BOTH = [{}, {"places_exits": False, "tells_refs": False}]


def rolled(**rules: bool) -> Play:
    """Return a stage whose position is open in M6 while U6, 600 ticks higher, has just closed its first bar."""
    stage = opened(**rules)
    assert ROLLED.ts_ns >= SWEEP_LOW.ts_ns + NS_PER_MIN
    stage.out += stage.engine.step(BarClosed(ROLLED))
    return stage


@pytest.mark.parametrize("rules", BOTH)
def test_a_roll_closes_the_position_in_its_own_contract(rules: dict[str, bool]) -> None:
    stage = rolled(**rules)
    (close,) = of(stage.out, ClosePosition)
    assert (close.contract, close.reason, close.qty) == ("M6", "DAY_ROLL", 5)
    again = [one for at_s in (11, 22) for one in stage.held(5, AFTER_ROLL_S + at_s) if isinstance(one, ClosePosition)]
    assert [one.contract for one in again] == ["M6", "M6"]


def test_the_new_contracts_prices_are_no_loss_no_lock_and_no_excursion_of_the_old_one() -> None:
    stage = opened()
    stage.out += stage.engine.step(BarClosed(replace(ROLLED, open_ticks=300, high_ticks=310, low_ticks=290,
                                                     close_ticks=300)))  # fmt: skip
    stage.step(PriceMarked(close_ns(ROLLED) + NS_PER_S, 295))
    assert stage.engine.guard.locked == ""
    assert stage.engine.desk.last_price != 300
    stage.fill(5, 915, AFTER_ROLL_S + 2, KEY, -1)
    (trade,) = stage.trades()
    assert trade.exit_reason == "DAY_ROLL"
    assert trade.mae_ticks < 50


def test_the_exits_of_a_rolled_position_are_asked_for_in_its_own_contract() -> None:
    stage = rolled()
    for at_s in (11, 22, 33, 44):
        stage.held(5, AFTER_ROLL_S + at_s)
    (last,) = of(stage.out, PlaceExits)  # closing does not work: at least a stop must stand, where the position is
    assert (last.contract, last.qty) == ("M6", 5)
    assert stage.engine.stance[0] is Stance.HALTED


@pytest.mark.parametrize("rules", BOTH)
def test_an_execution_in_the_other_contract_is_never_the_positions_exit(rules: dict[str, bool]) -> None:
    stage = rolled(**rules)
    at_ns = T0 + (AFTER_ROLL_S + 1) * NS_PER_S
    stage.step(ExecutionReported("human", -1, 5, 1505, at_ns, "", "U6"))
    assert "FOREIGN_EXECUTION" in stage.codes()
    assert stage.engine.position is not None
    assert stage.trades() == []


def test_orders_left_of_a_lost_entry_are_cancelled_in_its_own_contract_after_a_roll() -> None:
    stage = lost()
    stage.out += stage.engine.step(BarClosed(ROLLED))
    late = OrdersReported((leg(Leg.ENTRY, 5),), T0 + AFTER_ROLL_S * NS_PER_S)
    stage.out.clear()
    stage.step(late)
    for at_s in (5, 11):
        stage.held(0, AFTER_ROLL_S + at_s)
    cancels = of(stage.out, CancelOrders)
    assert cancels
    assert {one.contract for one in cancels} == {"M6"}


def reread(stage: Play, at_s: int) -> list[Any]:
    """End a complete re-read: the position first, then the orders."""
    said = stage.held(0, at_s)
    return said + stage.step(OrdersReported((), T0 + at_s * NS_PER_S, reread=True))


def lost() -> Play:
    stage = play()
    stage.step(OrderAcked(KEY, "1", T0))
    for at_s in (5, 10, 15, 20):
        reread(stage, at_s)
    assert stage.codes() == ["ENTRY_LOST"]
    return stage


def test_an_entry_is_lost_only_when_everything_was_reread_after_its_answer() -> None:
    stage = play()
    for at_s in (4, 8):
        reread(stage, at_s)  # not answered yet: these may have begun before it was handed over
    stage.step(OrderUnknown(KEY, "silence", T0 + 9 * NS_PER_S))
    for at_s in range(10, 120, 5):
        stage.held(0, at_s)  # old news told again is no reading
    reread(stage, 121)
    assert "ENTRY_LOST" not in stage.codes()
    reread(stage, 126)
    assert stage.codes()[-1] == "ENTRY_LOST"
    (cancel,) = of(stage.out, CancelOrders)
    assert cancel.reason == "ENTRY_LOST"
    assert stage.engine.desk.order is None
    assert not [one for one in stage.out if isinstance(one, PlaceBracket) and one.key != KEY]


def test_a_reread_is_journaled_only_while_an_entry_is_pending() -> None:
    stage = play()
    before = stage.engine.desk.material
    reread(stage, 4)
    assert stage.engine.desk.material != before
    idle = opened()
    idle.shown(2, *bracket(5))
    idle.held(5, 3)
    before = idle.engine.desk.material
    idle.step(OrdersReported(bracket(5), T0 + 8 * NS_PER_S, reread=True))
    assert idle.engine.desk.material == before


@pytest.mark.parametrize("filled", [True, False], ids=["open", "pending"])
def test_a_lost_entry_that_fills_beside_a_second_one_halts_and_ends_flat(filled: bool) -> None:
    stage = lost()
    other = replace_entry(stage)
    if filled:
        stage.fill(5, 911, 40, other)
    stage.out.clear()
    stage.fill(5, 912, 41, KEY)
    assert stage.codes() == ["FOREIGN_EXECUTION", "OVERFILL"]
    assert stage.engine.stance[0] is Stance.HALTED
    if not filled:
        stage.fill(5, 911, 42, other)
    stage.held(10, 50)
    closes = of(stage.out, ClosePosition)
    assert closes
    assert closes[0].contract == "M6"
    stage.fill(10, 910, 51, closes[-1].key, -1)
    for at_s in (62, 68, 74):
        stage.held(0, at_s)
    assert stage.engine.desk.order is None
    assert stage.engine.stance[0] is Stance.HALTED
    assert not other.startswith(STEM)


def replace_entry(stage: Play) -> str:
    """Let a second entry begin, as the gate would let it after the first one was lost."""
    first = stage.engine.desk.ended
    assert first is not None
    key = "739721:PDL@1776260400:ENTRY"
    desk = stage.engine.desk
    desk.order = Order(key, first.signal, 5)
    desk.watcher.ordered()
    return key


def test_one_loss_of_truth_is_one_alarm_whatever_is_told_in_the_dark() -> None:
    stage = opened()
    stage.step(TruthChanged(connected=False, ts_ns=T0 + 5 * NS_PER_S))
    stage.held(5, 6)
    stage.shown(7, *bracket(5))
    stage.held(0, 8)
    stage.step(TruthChanged(connected=False, ts_ns=T0 + 9 * NS_PER_S))
    stage.fill(5, 887, 10, KEY, -1)
    stage.held(0, 12)
    assert stage.codes() == ["UNKNOWN"]
    stage.step(TruthChanged(connected=True, ts_ns=T0 + 20 * NS_PER_S))
    stage.step(PositionReported(0, T0 + 21 * NS_PER_S))
    stage.step(TruthChanged(connected=False, ts_ns=T0 + 60 * NS_PER_S))
    assert stage.codes() == ["UNKNOWN", "UNKNOWN"]


def test_locks_and_rejects_are_untouched_by_orders_of_two_contracts() -> None:
    stage = rolled()
    foreign = WorkingOrder("", Leg.FOREIGN, 1, 1, 1500, "h1")
    stage.shown(int(AFTER_ROLL_S) + 1, *bracket(5), foreign)
    assert not [one for one in stage.out if isinstance(one, RecordEvent) and one.event == "LOCK"]
    assert "NAKED" not in [one.code for one in stage.out if isinstance(one, RaiseAlarm)]


def flat_after_roll(**rules: bool) -> Play:
    """Return a stage that is flat and trades U6: what it held in M6 was closed at the roll."""
    stage = rolled(**rules)
    stage.fill(5, 915, AFTER_ROLL_S + 1, KEY, -1)
    stage.held(0, AFTER_ROLL_S + 20)
    stage.out.clear()
    assert stage.engine.desk.belief.value == "FLAT"
    assert stage.engine.desk.contract == "U6"
    return stage


@pytest.mark.parametrize(("where", "closed_in"), [("M6", ["M6"]), ("U6", ["U6"]), ("", ["U6"]), ("M6 U6", [])])
def test_a_strangers_position_is_closed_in_its_own_month_or_left_with_an_alarm(
    where: str, closed_in: list[str]
) -> None:
    stage = flat_after_roll(flatten_unknown=True)
    for at_s in (40, 51, 62):
        stage.held(-3, AFTER_ROLL_S + at_s, where)
    closes = of(stage.out, ClosePosition)
    assert [one.contract for one in closes[:1]] == closed_in
    assert {one.contract for one in closes} == set(closed_in)
    assert stage.engine.stance[0] is Stance.HALTED
    (text,) = [one.text for one in stage.out if isinstance(one, RaiseAlarm) and one.code == "UNKNOWN_POSITION"]
    assert f"in {where}" in text or not where
    assert ("not closed" in text) is (not closed_in)
    stage.engine.restore(json.loads(json.dumps(stage.engine.snapshot())))
    said = stage.held(-3, AFTER_ROLL_S + 80, where)
    assert {one.contract for one in of(said, ClosePosition)} <= set(closed_in)


def test_a_position_that_moves_to_another_month_is_a_new_observation() -> None:
    stage = flat_after_roll(flatten_unknown=True)
    stage.held(-3, AFTER_ROLL_S + 40, "M6")
    stage.held(-3, AFTER_ROLL_S + 51, "U6")
    assert of(stage.out, ClosePosition) == []
    stage.held(-3, AFTER_ROLL_S + 62, "U6")
    assert [one.contract for one in of(stage.out, ClosePosition)] == ["U6"]


@pytest.mark.parametrize(("where", "adopted"), [("M6", True), ("", True), ("U6", False), ("M6 U6", False)])
def test_an_entry_is_not_filled_by_what_is_held_in_another_month(where: str, adopted: bool) -> None:
    stage = play()
    stage.held(5, 12, where)
    stage.held(5, 24, where)
    order = stage.engine.desk.order
    assert order is not None
    if adopted:
        assert stage.codes() == ["FILLED"]
    else:
        assert stage.engine.stance[0] is Stance.HALTED


def test_a_lost_entry_is_not_explained_by_another_month() -> None:
    stage = lost()
    stage.held(5, 60, "U6")
    stage.held(5, 71, "U6")
    assert stage.engine.desk.order is None
    assert "explains" in [one.text for one in stage.out if isinstance(one, RaiseAlarm)][-1]
    assert stage.engine.stance[0] is Stance.HALTED


def test_minutes_that_went_by_unseen_use_up_no_try_of_an_exit() -> None:
    stage = rolled()
    assert len(of(stage.out, ClosePosition)) == 1
    stage.engine.step(ModeChanged(Mode.MISSED))
    for number in range(1, 30):
        stage.out += stage.engine.step(BarClosed(replace(ROLLED, ts_ns=ROLLED.ts_ns + number * NS_PER_MIN)))
    assert len(of(stage.out, ClosePosition)) == 1
    assert "EXIT_STUCK" not in stage.codes()
    stage.engine.step(ModeChanged(Mode.LIVE))
    said = stage.held(5, AFTER_ROLL_S + 30 * 60)
    assert [one.reason for one in of(said, ClosePosition)] == ["DAY_ROLL"]
    assert stage.engine.stance[0] is not Stance.HALTED
