"""Each verdict of pj1 S8 as a play on a route that places exits and tells our keys: what is asked, said and booked."""

from __future__ import annotations

import itertools
import json

import pytest
from broker_play import KEY, STEM, T0, bracket, exits, leg, of, opened, play
from pj1_scenes import MNQ, SCENE

from live.broker_watch import DeskRules
from live.commands import CancelOrders, ClosePosition, CorrectTrade, PlaceExits, RaiseAlarm, ThrowKillSwitch
from live.engine import Engine, Route
from live.events import (
    ClockPassed,
    Event,
    ExecutionReported,
    KillSwitched,
    Leg,
    OrderRefused,
    OrdersReported,
    PositionReported,
    PriceMarked,
    TruthChanged,
    WorkingOrder,
)
from live.execution_bridge import CANCELLED_CODE, OrderState
from live.market import NS_PER_S
from live.params import Params
from live.stance import Stance


def test_a_covered_position_is_left_alone() -> None:
    stage = opened()
    assert stage.shown(2, *bracket(5)) == stage.held(5, 3) == stage.held(5, 8) == []
    assert stage.engine.stance == (Stance.ACTIVE, "")


def test_naked_gets_its_stop_back_once_the_position_is_seen_after_the_orders() -> None:
    stage = opened()
    assert stage.shown(2, leg(Leg.TARGET, 5)) == []  # the stop may have filled a moment ago
    said = stage.held(5, 3)
    assert of(said, PlaceExits) == [exits("", 5, 3)]
    assert stage.codes() == ["NAKED"]
    assert stage.step(ClockPassed(T0 + 7 * NS_PER_S)) == []
    assert of(stage.step(ClockPassed(T0 + 8 * NS_PER_S)), PlaceExits) == [exits("2", 5, 8)]


@pytest.mark.parametrize("places", [True, False])
def test_naked_beyond_the_stop_or_without_a_way_to_place_one_is_closed(places: bool) -> None:
    stage = opened(places_exits=places)
    if places:
        stage.step(PriceMarked(T0 + 2 * NS_PER_S, 886))
    stage.shown(2)
    (close,) = of(stage.held(5, 3), ClosePosition)
    assert (close.key, close.qty, close.reason) == (f"{STEM}EXIT", 5, "NAKED")


def test_a_service_gets_its_time_to_place_the_bracket() -> None:
    stage = opened(places_exits=False, tells_refs=False)
    stage.shown(2)
    assert stage.held(5, 3) == stage.held(5, 10) == []
    assert of(stage.held(5, 11), ClosePosition)


def test_foreign_orders_on_the_planned_prices_are_the_bracket_of_a_service() -> None:
    stage = opened(places_exits=False, tells_refs=False)
    stage.shown(2, leg(Leg.FOREIGN, 5, "", 886), leg(Leg.FOREIGN, 5, "", 958))
    assert stage.held(5, 30) == []
    stage.shown(31, leg(Leg.FOREIGN, 5, "", 870))  # somebody's, nobody can say whose
    assert stage.held(5, 60) == []


@pytest.mark.parametrize(
    "wrong", [(leg(Leg.STOP, 3), leg(Leg.TARGET, 5)), (leg(Leg.STOP, 5),), (leg(Leg.STOP, 5, price=880), bracket(5)[1])]
)
def test_a_drifted_bracket_is_amended_on_the_second_sight(wrong: tuple[WorkingOrder, ...]) -> None:
    stage = opened()
    stage.shown(2, *wrong)
    stage.engine.desk.watcher.calm()
    assert stage.held(5, 3) == []
    assert of(stage.held(5, 8), PlaceExits) == [exits("", 5, 8)]
    assert stage.codes() == ["BRACKET_DRIFT"]


def test_a_part_fill_is_settled_after_five_seconds() -> None:
    stage = play()
    stage.fill(2, 911, 1)
    assert stage.step(ClockPassed(T0 + 5 * NS_PER_S)) == []
    said = stage.step(ClockPassed(T0 + 6 * NS_PER_S))
    (cancel,) = of(said, CancelOrders)
    assert cancel.entries_only
    assert of(said, PlaceExits) == [exits("", 2, 6)]
    assert stage.codes() == ["PARTIAL"]
    assert stage.engine.desk.order is not None
    assert stage.engine.desk.order.state is OrderState.PART_CANCELLED
    # A fill that crossed the cancel is ours, and the exits follow it.
    stage.fill(3, 911, 7)
    stage.shown(8, *bracket(2))
    stage.held(5, 9)
    assert of(stage.held(5, 14), PlaceExits)[0].qty == 5


def test_a_broker_that_cancels_the_rest_leaves_what_is_filled() -> None:
    stage = play()
    stage.fill(2, 911, 1)
    stage.step(OrderRefused(KEY, CANCELLED_CODE, T0 + 2 * NS_PER_S))
    stage.shown(3, *bracket(5))
    stage.held(2, 4)
    assert of(stage.held(2, 9), PlaceExits) == [exits("", 2, 9)]


def test_part_of_the_position_gone_is_booked_and_the_exits_shrink() -> None:
    stage = opened()
    stage.held(3, 20)
    said = stage.held(3, 31)
    assert of(said, PlaceExits) == [exits("", 3, 31)]
    stage.fill(2, 930, 32, f"{STEM}EXITS", -1)  # the execution comes after all, and takes the guess's place
    assert stage.engine.desk.order is not None
    assert stage.engine.desk.order.left == 3
    stage.fill(3, 940, 40, KEY, -1)
    (trade,) = stage.trades()
    assert trade.gross_cents == (2 * 930 + 3 * 940 - 5 * 911) * 50


def test_a_phantom_with_working_legs_cancels_them_first() -> None:
    stage = opened()
    stage.shown(2, *bracket(5))
    stage.held(0, 20)
    said = stage.held(0, 31)
    assert of(said, CancelOrders)
    assert stage.trades() == []
    stage.shown(32)
    stage.held(0, 37)
    stage.held(0, 43)
    (trade,) = stage.trades()
    assert (trade.exit_reason, trade.exit_price_ticks) == ("PHANTOM", 885)
    assert stage.engine.guard.net_cents == trade.net_cents


@pytest.mark.parametrize(("held", "code"), [(9, "OVERFILL"), (-5, "REVERSED")])
def test_too_much_or_the_other_sign_is_flattened_at_once_and_halts(held: int, code: str) -> None:
    stage = opened()
    said = stage.held(held, 12)
    assert stage.codes() == [code]
    assert [one.reason for one in of(said, ClosePosition)] == [code]
    assert of(said, ThrowKillSwitch)
    assert stage.engine.stance[0] is Stance.HALTED
    assert stage.engine.kill_wanted.startswith(code)
    stage.step(KillSwitched(on=True, reason=stage.engine.kill_wanted))
    assert stage.engine.kill_wanted == ""
    stage.step(KillSwitched(on=False, reason="released"))
    assert stage.engine.desk.halted == ""


def test_what_was_right_before_the_last_fill_lags_and_is_no_overfill() -> None:
    stage = opened()
    stage.fill(2, 930, 20, KEY, -1)
    assert stage.held(5, 21) == []
    assert stage.held(3, 22) == []
    assert stage.codes() == []


def test_both_legs_filled_is_reversed_and_brought_to_flat() -> None:
    stage = opened()
    stage.fill(5, 886, 20, KEY, -1)
    assert len(stage.trades()) == 1
    said = stage.fill(5, 958, 21, KEY, -1)
    assert stage.codes() == ["REVERSED"]
    (close,) = of(said, ClosePosition)
    assert close.contract == "M6"
    assert stage.engine.desk.doubt
    stage.held(0, 27)
    assert not stage.engine.desk.doubt


def test_orphans_are_cancelled_and_no_entry_is_made_until_they_are_gone() -> None:
    stage = opened()
    stage.fill(5, 886, 20, KEY, -1)
    stage.shown(21, leg(Leg.TARGET, 5))
    assert stage.engine.desk.doubt == "UNVERIFIED"
    stage.held(0, 22)
    (cancel,) = of(stage.held(0, 27), CancelOrders)
    assert cancel.reason == "ORPHAN_ORDERS"
    stage.shown(28)
    assert stage.engine.desk.doubt == ""


def test_a_lost_entry_that_fills_after_all_is_adopted_and_protected() -> None:
    stage = play()
    stage.held(0, 6)
    stage.held(0, 11)
    assert stage.codes() == []
    for second in (11, 12):
        stage.step(OrdersReported((), T0 + second * NS_PER_S, reread=True))
        stage.held(0, second)
    assert stage.codes() == ["ENTRY_LOST"]
    stage.fill(5, 912, 13)
    assert stage.codes() == ["ENTRY_LOST", "UNKNOWN_POSITION"]
    stage.shown(14)
    assert of(stage.held(5, 15), PlaceExits) == [exits("", 5, 15)]


@pytest.mark.parametrize("flatten", [True, False])
def test_a_position_nobody_explains_halts_and_is_closed_only_if_configured(flatten: bool) -> None:
    stage = opened(flatten_unknown=flatten)
    stage.fill(5, 886, 20, KEY, -1)
    stage.held(0, 21)
    stage.held(-3, 40)
    said = stage.held(-3, 51)
    assert bool(of(said, ClosePosition)) is flatten
    assert of(said, ThrowKillSwitch)


def test_without_sight_nothing_is_touched_and_no_entry_is_made() -> None:
    stage = opened()
    assert [type(one) for one in stage.step(TruthChanged(connected=False, ts_ns=T0))] == [RaiseAlarm]
    assert stage.step(ClockPassed(T0 + 60 * NS_PER_S)) == []
    assert stage.engine.stance == (Stance.REDUCING, "UNVERIFIED")
    stage.step(TruthChanged(connected=True, ts_ns=T0))
    assert stage.engine.stance[0] is Stance.ACTIVE


def test_a_loss_that_uses_up_the_day_locks_it_when_it_is_booked() -> None:
    stage = opened()
    stage.engine.guard.net_cents = -40_000
    said = stage.fill(5, 880, 20, KEY, -1)
    assert [getattr(one, "event", "") for one in said][-1] == "LOCK"
    assert stage.engine.stance == (Stance.REDUCING, "DAILY_LOSS")


def test_the_open_loss_counts_what_has_already_left() -> None:
    stage = opened()
    stage.fill(3, 901, 20, KEY, -1)
    order = stage.engine.desk.order
    assert order is not None
    assert order.open_cents(900, stage.engine.params) == (3 * 901 + 2 * 899 - 5 * 911) * 50 - 2 * 62 * 5


def test_a_disarmed_start_reduces_and_a_thrown_switch_halts() -> None:
    stage = play()
    stage.step(KillSwitched(on=True, reason="DISARMED: live starts disarmed"))
    assert stage.engine.stance[0] is Stance.REDUCING
    stage.step(KillSwitched(on=True, reason="by pj halt"))
    assert stage.engine.stance == (Stance.HALTED, "by pj halt")


def test_a_snapshot_anywhere_in_a_stormy_play_changes_nothing() -> None:
    storm: list[Event] = [
        ExecutionReported("a", 1, 2, 911, T0 + NS_PER_S, KEY),
        OrdersReported((leg(Leg.ENTRY, 3), *bracket(2)), T0 + 2 * NS_PER_S),
        PositionReported(2, T0 + 3 * NS_PER_S),
        ClockPassed(T0 + 7 * NS_PER_S),
        ExecutionReported("b", 1, 3, 911, T0 + 8 * NS_PER_S, KEY),
        OrdersReported((), T0 + 9 * NS_PER_S),
        PositionReported(5, T0 + 10 * NS_PER_S),
        TruthChanged(connected=False, ts_ns=T0 + 11 * NS_PER_S),
        TruthChanged(connected=True, ts_ns=T0 + 12 * NS_PER_S),
        PositionReported(3, T0 + 13 * NS_PER_S),
        PositionReported(3, T0 + 30 * NS_PER_S),
        PositionReported(-1, T0 + 31 * NS_PER_S),
        ExecutionReported("c", -1, 9, 880, T0 + 32 * NS_PER_S, KEY),
        PositionReported(0, T0 + 60 * NS_PER_S),
    ]
    straight, broken = play(), play()
    for event in storm:
        again = Engine(Params.from_dict(SCENE), MNQ, Route.BROKER, DeskRules(places_exits=True, tells_refs=True))
        again.restore(json.loads(json.dumps(broken.engine.snapshot())))
        broken.engine = again
        assert broken.step(event) == straight.step(event)
        assert broken.engine.snapshot() == straight.engine.snapshot()
    assert straight.trades()


@pytest.mark.parametrize(("rules", "ref"), [({}, KEY), ({"places_exits": False, "tells_refs": False}, "")])
def test_the_late_execution_of_an_exit_booked_by_guess_is_no_reversal(rules: dict[str, bool], ref: str) -> None:
    stage = opened(**rules)
    stage.held(0, 20)
    stage.held(0, 31)
    (trade,) = stage.trades()
    assert trade.exit_reason == "PHANTOM"
    said = stage.fill(3, 930, 60, ref, -1)
    assert [one.code for one in of(said, RaiseAlarm)] == ["LATE_EXECUTION"]
    assert of(said, ClosePosition) == of(said, ThrowKillSwitch) == []
    state = json.loads(json.dumps(stage.engine.snapshot()))
    stage.engine.restore(state)
    said = stage.fill(2, 931, 61, ref, -1)
    assert [one.code for one in of(said, RaiseAlarm)] == ["LATE_EXECUTION"]
    assert stage.engine.stance[0] is Stance.ACTIVE
    assert stage.trades() == [trade]
    # Booked at 885; 3 left at 930 and 2 at 931: the line stays, the day's net is the truth.
    corrections = of(stage.out, CorrectTrade)
    assert [(one.qty, one.old_ticks, one.new_ticks, one.net_cents) for one in corrections] == [
        (3, 885, 912, 3 * 45 * 50),
        (2, 912, 930, 2 * 46 * 50),
    ]
    assert stage.engine.guard.net_cents == (3 * 930 + 2 * 931 - 5 * 911) * 50 - trade.cost_cents


def test_a_correction_below_the_estimate_may_use_up_the_day_and_yesterdays_enters_no_net() -> None:
    stage = opened()
    stage.held(0, 20)
    stage.held(0, 31)
    before = stage.engine.guard.net_cents
    stage.fill(3, 785, 60, KEY, -1)
    assert stage.engine.guard.net_cents == before - 3 * 100 * 50
    assert stage.engine.guard.locked == ""
    stage.fill(1, 285, 61, KEY, -1)
    assert stage.engine.guard.locked == "DAILY_LOSS"
    stage.engine.guard.new_day()
    stage.engine.desk.new_day()
    said = stage.fill(1, 930, 62, KEY, -1)
    (correction,) = of(said, CorrectTrade)
    assert not correction.today
    assert stage.engine.guard.net_cents == 0


@pytest.mark.parametrize("rules", [{}, {"places_exits": False, "tells_refs": False}])
def test_in_whatever_order_executions_come_the_money_is_theirs(rules: dict[str, bool]) -> None:
    """The position was told first; entry and exit were each filled in two parts, told in any order, some after all."""
    parts = ((2, 911, 1), (3, 913, 1), (4, 930, -1), (1, 925, -1))
    for order in itertools.permutations(parts):
        stage = play(**rules)
        stage.held(5, 1)
        for at, (qty, price, side) in enumerate(order, 2):
            stage.fill(qty, price, at, KEY if not rules else "", side)
            state = json.loads(json.dumps(stage.engine.snapshot()))
            stage.engine.restore(state)
        stage.held(0, 9)
        (trade,) = stage.trades()
        assert set(stage.codes()) <= {"FILLED", "LATE_EXECUTION", "ORPHAN_ORDERS"}, order
        assert of(stage.out, ThrowKillSwitch) == of(stage.out, ClosePosition) == []
        exact = (4 * 930 + 925 - 2 * 911 - 3 * 913) * 50 - trade.cost_cents
        assert stage.engine.guard.net_cents == exact, order
        late = of(stage.out, CorrectTrade)
        assert trade.net_cents + sum(one.net_cents for one in late) == exact
        if late:
            assert (late[-1].leg, late[-1].new_ticks) == ("ENTRY", 913), "the whole entry's average, rounded against us"


def test_an_entry_fill_beyond_what_was_believed_is_no_late_one() -> None:
    stage = play()
    stage.held(5, 1)
    stage.fill(5, 930, 2, KEY, -1)
    said = stage.fill(6, 911, 3, KEY)
    assert [one.code for one in of(said, RaiseAlarm)] == ["LATE_EXECUTION", "REVERSED"]
    assert of(said, CorrectTrade)[0].qty == 5
    assert of(said, ThrowKillSwitch)


@pytest.mark.parametrize(("ref", "contract"), [("", "MNQZ6"), ("739721:PDH@1776250000:ENTRY", "")])
def test_a_fill_of_another_month_or_order_does_not_bring_a_lost_entry_back(ref: str, contract: str) -> None:
    """It once did, halfway: the lost order lived again without a position, was lost again, and the engine fell."""
    stage = play(places_exits=False, tells_refs=False)
    stage.held(0, 11)
    stage.held(0, 16)
    assert stage.codes() == ["ENTRY_LOST"]
    stage.step(ExecutionReported("x1", 1, 2, 911, T0 + 20 * NS_PER_S, ref, contract))
    assert stage.codes() == ["ENTRY_LOST", "FOREIGN_EXECUTION"]
    assert stage.engine.desk.order is None
    for second in range(21, 60, 5):
        stage.held(0, second)
        stage.step(ClockPassed(T0 + second * NS_PER_S))
    assert stage.codes() == ["ENTRY_LOST", "FOREIGN_EXECUTION"]


def test_what_goes_beyond_the_guess_is_a_reversal() -> None:
    stage = opened()
    stage.held(0, 20)
    stage.held(0, 31)
    said = stage.fill(7, 930, 60, KEY, -1)
    assert [one.code for one in of(said, RaiseAlarm)] == ["LATE_EXECUTION", "REVERSED"]
    assert "-2 beyond" in of(said, RaiseAlarm)[1].text
    assert of(said, ThrowKillSwitch)


@pytest.mark.parametrize("rules", [{}, {"places_exits": False, "tells_refs": False}])
def test_fills_of_an_older_order_are_never_booked_on_the_living_one(rules: dict[str, bool]) -> None:
    stage = opened(**rules)
    other = "739721:PDH@1776250000:"
    for number, (leg_name, side) in enumerate((("ENTRY", 1), ("EXIT", -1))):
        said = stage.fill(5, 950, 60 + number, other + leg_name, side)
        assert [one.code for one in of(said, RaiseAlarm)] == ["FOREIGN_EXECUTION"]
        assert of(said, ClosePosition) == of(said, ThrowKillSwitch) == []
    assert stage.engine.position is not None
    assert (stage.engine.position.qty, stage.engine.position.entry_price) == (5, 911)
    assert stage.trades() == []


def test_a_route_that_shows_our_orders_cancels_the_legs_it_sees_after_a_close_by_hand() -> None:
    stage = opened()
    said = stage.fill(5, 890, 20, "", -1)
    assert of(said, CancelOrders) == []
    stage.held(0, 21)
    stage.shown(22, *bracket(5))
    assert len(of(stage.shown(23, *bracket(5)), CancelOrders)) == 1
    assert stage.codes()[-1] == "ORPHAN_ORDERS"
