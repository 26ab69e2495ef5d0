"""Plays of a broker route: events in, commands out; nothing is believed filled because it was sent (pj1 S8)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pj1_scenes import DAY, MNQ, NEXT, SCENE, START_M, SWEEP_LOW, Stage, bar, close_ns, quiet

from live.broker_watch import PATIENCE_NS
from live.commands import CancelOrders, ClosePosition, Command, PlaceBracket, RaiseAlarm, RecordEvent, RecordTrade
from live.engine import Engine, EngineError, Route
from live.events import (
    BarClosed,
    ClockPassed,
    EntriesJudged,
    ExecutionReported,
    KillSwitched,
    Mode,
    ModeChanged,
    OrderAcked,
    OrderRefused,
    OrderUnknown,
    PositionReported,
    PriceMarked,
)
from live.market import NS_PER_S
from live.params import Params
from live.stance import Stance
from live.trading_day import at_minute_ns

KEY = "739721:PDL@1776259920:ENTRY"
EXIT = "739721:PDL@1776259920:EXIT"
T0 = close_ns(SWEEP_LOW)


def live_stage(**changed: Any) -> Stage:
    return Stage(Route.BROKER, Mode.LIVE, **changed)


def approved(**changed: Any) -> Stage:
    stage = live_stage(**changed)
    signal, place = stage.play(SWEEP_LOW)[-2:]
    assert isinstance(signal, RecordEvent)
    assert signal.event == "SIGNAL"
    assert place == PlaceBracket(KEY, "M6", 1, 5, 910, 886, 958, T0, "739721:PDL")
    return stage


def fill(qty: int, price: int, at_ns: int = T0 + NS_PER_S, exec_id: str = "e1", side: int = 1) -> ExecutionReported:
    return ExecutionReported(exec_id, side, qty, price, at_ns)


def opened(**changed: Any) -> Stage:
    stage = approved(**changed)
    stage.step(OrderAcked(KEY, "b1", T0))
    stage.step(fill(5, 911))
    assert stage.engine.position is not None
    return stage


def names(said: list[Command]) -> list[str]:
    return [type(one).__name__ for one in said]


def alarms(stage: Stage) -> list[str]:
    return [one.code for one in stage.out if isinstance(one, RaiseAlarm)]


def test_signal_ack_fill_target_trade() -> None:
    stage = approved()
    assert stage.engine.in_position
    assert stage.engine.position is None
    assert stage.step(OrderAcked(KEY, "b1", T0)) == []
    assert stage.step(fill(5, 912)) == []
    assert stage.engine.guard.fills == 1
    assert stage.play(bar(START_M + 2, 912, 930, 905, 920)) == []
    (done,) = stage.step(fill(5, 958, T0 + 90 * NS_PER_S, "e2", -1))
    assert isinstance(done, RecordTrade)
    trade = done.trade
    assert (trade.exit_reason, trade.entry_price_ticks, trade.exit_price_ticks) == ("TARGET", 912, 958)
    assert (trade.gross_cents, trade.cost_cents, trade.net_cents) == (46 * 50 * 5, 620, 46 * 250 - 620)
    assert (trade.mae_ticks, trade.mfe_ticks) == (7, 46)
    assert trade.trade_id == 1
    assert not stage.engine.in_position
    assert stage.engine.guard.net_cents == trade.net_cents


@pytest.mark.parametrize(
    ("price", "reason"),
    [(886, "STOP"), (880, "STOP"), (887, "MANUAL"), (957, "MANUAL"), (958, "TARGET"), (960, "TARGET")],
)
def test_the_exit_price_names_an_exit_we_did_not_order(price: int, reason: str) -> None:
    stage = opened()
    stage.step(fill(5, price, T0 + 90 * NS_PER_S, "e2", -1))
    assert [trade.exit_reason for trade in stage.trades()] == [reason]


def test_a_fill_may_come_before_the_ack_and_twice() -> None:
    stage = approved()
    stage.step(fill(5, 911))
    stage.step(fill(5, 911))
    stage.step(OrderAcked(KEY, "b1", T0 + 2 * NS_PER_S))
    position = stage.engine.position
    assert position is not None
    assert (position.qty, position.entry_price) == (5, 911)


def test_partial_fills_average_against_us_and_the_money_stays_exact() -> None:
    stage = approved()
    stage.step(fill(2, 911, exec_id="a"))
    stage.step(fill(3, 912, exec_id="b"))
    position = stage.engine.position
    assert position is not None
    assert (position.qty, position.entry_price) == (5, 912)
    stage.step(fill(4, 930, T0 + 90 * NS_PER_S, "c", -1))
    assert not stage.trades()
    stage.step(fill(1, 929, T0 + 91 * NS_PER_S, "d", -1))
    (trade,) = stage.trades()
    assert trade.exit_price_ticks == 929
    assert trade.gross_cents == ((4 * 930 + 929) - (2 * 911 + 3 * 912)) * 50
    assert trade.exit_reason == "MANUAL"


def test_a_refusal_consumes_the_signal_and_frees_the_engine() -> None:
    stage = approved()
    (row,) = stage.step(OrderRefused(KEY, "invalid-symbol", T0 + NS_PER_S))
    assert isinstance(row, RecordEvent)
    assert (row.event, row.reason, row.trade) == ("ENTRY_CANCEL", "invalid-symbol", "739721:PDL")
    assert not stage.engine.in_position
    assert stage.engine.guard.fills == 0
    assert len(stage.engine.guard.order_times) == 1


def second_signal(stage: Stage) -> list[Command]:
    """Sweep the other side an hour later: without trouble, a SHORT signal."""
    return stage.play(quiet(START_M + 59, 950), quiet(START_M + 60, 950), bar(START_M + 61, 1001, 1010, 989, 990))


def test_an_unknown_entry_stops_entries_and_is_never_sent_again() -> None:
    stage = approved()
    (alarm,) = stage.step(OrderUnknown(KEY, "read timed out", T0 + NS_PER_S))
    assert isinstance(alarm, RaiseAlarm)
    assert alarm.code == "ORDER_UNKNOWN"
    said = second_signal(stage)
    assert [row.reason for row in stage.rows("REJECT")] == ["UNVERIFIED"]
    stage.step(ClockPassed(T0 + 3600 * NS_PER_S))
    assert "PlaceBracket" not in names(said)


def test_an_unknown_entry_that_was_taken_is_adopted_by_its_execution() -> None:
    stage = approved()
    stage.step(OrderUnknown(KEY, "reset", T0 + NS_PER_S))
    stage.step(fill(5, 911))
    assert stage.engine.desk.doubt == ""
    assert stage.engine.position is not None


def test_an_entry_without_a_position_is_lost_after_two_flat_reports_and_the_patience() -> None:
    stage = approved()
    stage.step(OrderUnknown(KEY, "reset", T0 + NS_PER_S))
    assert stage.step(PositionReported(0, T0 + 5 * NS_PER_S)) == []
    assert stage.engine.in_position
    said = stage.step(PositionReported(0, T0 + PATIENCE_NS))
    assert names(said) == ["RaiseAlarm", "CancelOrders", "RecordEvent"]
    cancel = said[1]
    assert isinstance(cancel, CancelOrders)
    assert cancel.reason == "ENTRY_LOST"
    assert not stage.engine.in_position
    assert stage.engine.desk.doubt == ""
    second_signal(stage)
    assert [one.side for one in stage.out if isinstance(one, PlaceBracket)] == [1, -1]


def test_one_flat_report_loses_nothing_however_late() -> None:
    stage = approved()
    assert stage.step(PositionReported(0, T0 + 60 * NS_PER_S)) == []
    assert stage.engine.in_position


def test_a_position_report_opens_at_the_planned_price_until_the_execution_is_seen() -> None:
    stage = approved()
    stage.step(PositionReported(5, T0 + NS_PER_S))
    position = stage.engine.position
    assert position is not None
    assert (position.qty, position.entry_price) == (5, 911)
    stage.step(fill(5, 913))
    assert stage.engine.position is position
    assert (position.qty, position.entry_price, stage.engine.guard.fills) == (5, 913, 1)
    stage.step(fill(5, 920, T0 + 90 * NS_PER_S, "e2", -1))
    assert stage.trades()[0].gross_cents == 7 * 250


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (BarClosed(bar(1374, 910, 911, 905, 910)), "FLAT"),
        (ClockPassed(at_minute_ns(DAY, 1375)), "FLAT"),
        (ClockPassed(at_minute_ns(DAY, START_M + 62)), "TIME"),
        (BarClosed(bar(START_M + 61, 910, 911, 905, 910)), "TIME"),
        (ClockPassed(at_minute_ns(NEXT, 0)), "DAY_ROLL"),
        (BarClosed(bar(0, 910, 911, 905, 910, NEXT)), "DAY_ROLL"),
        (BarClosed(bar(START_M + 5, 910, 911, 905, 910, contract="U6")), "DAY_ROLL"),
    ],
)
def test_clock_exits_ask_the_broker_to_close(event: Any, reason: str) -> None:
    stage = opened()
    said = [one for one in stage.step(event) if isinstance(one, ClosePosition)]
    assert [(one.key, one.qty, one.reason, one.contract) for one in said] == [(EXIT, 5, reason, "M6")]
    stage.step(fill(5, 905, said[0].ts_ns + 1, "e2", -1))
    assert [trade.exit_reason for trade in stage.trades()] == [reason]


def test_no_clock_exit_before_its_time() -> None:
    stage = opened()
    assert stage.step(ClockPassed(at_minute_ns(DAY, START_M + 62) - 1)) == []


def test_the_open_loss_locks_the_day_and_closes_at_once() -> None:
    stage = opened(max_daily_loss_usd=72)
    assert stage.step(PriceMarked(T0 + 5 * NS_PER_S, 890)) == []
    stage.engine.guard.net_cents = -1000
    lock, close = stage.step(PriceMarked(T0 + 6 * NS_PER_S, 887))
    assert isinstance(lock, RecordEvent)
    assert (lock.event, lock.ts_s) == ("LOCK", T0 // NS_PER_S + 6)
    assert isinstance(close, ClosePosition)
    assert close.reason == "DAILY_LOSS"
    stage.step(fill(5, 887, T0 + 7 * NS_PER_S, "e2", -1))
    second_signal(stage)
    assert [row.reason for row in stage.rows("REJECT")] == ["DAILY_LOSS"]


def test_an_exit_is_asked_for_again_until_flat_then_entries_stop() -> None:
    stage = opened()
    at = at_minute_ns(DAY, 1375)
    keys = []
    for step in range(40):
        said = stage.step(ClockPassed(at + step * NS_PER_S))
        keys += [one.key for one in said if isinstance(one, ClosePosition)]
    assert keys == [EXIT, EXIT + "2", EXIT + "3"]
    assert alarms(stage) == ["EXIT_STUCK"] * 3
    assert stage.engine.desk.stuck
    assert stage.engine.stance[0] is Stance.HALTED
    stage.step(fill(5, 900, at + 50 * NS_PER_S, "e2", -1))
    assert [trade.exit_reason for trade in stage.trades()] == ["FLAT"]
    assert not stage.engine.desk.stuck


def test_a_refused_or_unknown_exit_is_alarmed_and_sent_again() -> None:
    stage = opened()
    at = at_minute_ns(DAY, 1375)
    stage.step(ClockPassed(at))
    stage.step(OrderRefused(EXIT, "busy", at))
    stage.step(OrderUnknown(EXIT, "reset", at))
    assert alarms(stage) == ["EXIT_REFUSED", "EXIT_UNKNOWN"]
    said = stage.step(ClockPassed(at + PATIENCE_NS))
    assert names(said) == ["RaiseAlarm", "ClosePosition"]
    assert stage.engine.position is not None


def test_a_position_that_vanished_is_booked_at_its_stop_and_said_to_be_estimated() -> None:
    stage = opened()
    assert stage.step(PositionReported(0, T0 + 20 * NS_PER_S)) == []
    assert stage.step(PositionReported(0, T0 + 25 * NS_PER_S)) == []
    said = stage.step(PositionReported(0, T0 + 31 * NS_PER_S))
    assert names(said) == ["RaiseAlarm", "RecordTrade", "RaiseAlarm", "CancelOrders"]
    (trade,) = stage.trades()
    assert (trade.exit_reason, trade.exit_price_ticks) == ("PHANTOM", 885)
    assert "ESTIMATED" in getattr(said[0], "text", "")
    # The execution comes after all: it is the one that was guessed; another of that kind would be nobody's.
    late, correction = stage.step(fill(5, 886, T0 + 40 * NS_PER_S, "e2", -1))
    assert getattr(late, "code", "") == "LATE_EXECUTION"
    assert getattr(correction, "net_cents", 0) == 5 * 50
    assert stage.engine.desk.doubt == ""
    stage.step(fill(5, 886, T0 + 41 * NS_PER_S, "e3", -1))
    assert stage.engine.desk.doubt == "UNVERIFIED"
    stage.step(PositionReported(0, T0 + 45 * NS_PER_S))
    assert stage.engine.desk.doubt == ""


@pytest.mark.parametrize(("price", "cancels"), [(890, 1), (886, 0), (958, 0)])
def test_the_legs_of_a_position_closed_by_hand_are_cancelled(price: int, cancels: int) -> None:
    # The service names no orders: a stop or target that stays would open a position of its own when it is reached.
    stage = opened()
    said = stage.step(fill(5, price, T0 + 20 * NS_PER_S, "e2", -1))
    found = [one for one in said if isinstance(one, CancelOrders)]
    assert len(found) == cancels
    assert [one.contract for one in found] == [stage.engine.desk.contract] * cancels


def test_a_report_that_agrees_ends_the_suspicion() -> None:
    stage = opened()
    for second in (20, 25):
        stage.step(PositionReported(0, T0 + second * NS_PER_S))
    stage.step(PositionReported(5, T0 + 30 * NS_PER_S))
    assert stage.step(PositionReported(0, T0 + 41 * NS_PER_S)) == []
    assert stage.engine.position is not None


def test_what_nobody_of_us_did_stops_entries() -> None:
    stage = live_stage()
    stage.step(fill(3, 911, exec_id="human"))
    assert alarms(stage) == ["FOREIGN_EXECUTION"]
    stage.play(SWEEP_LOW)
    assert [row.reason for row in stage.rows("REJECT")] == ["UNVERIFIED"]
    stage.step(PositionReported(0, T0 + 60 * NS_PER_S))
    second_signal(stage)
    assert len(stage.rows("SIGNAL")) == 1


def test_a_position_that_stays_unexplained_stops_entries() -> None:
    stage = live_stage()
    assert stage.step(PositionReported(2, T0 - 30 * NS_PER_S)) == []
    said = stage.step(PositionReported(2, T0 - 20 * NS_PER_S))
    assert names(said) == ["RaiseAlarm", "ThrowKillSwitch"]
    assert alarms(stage) == ["UNKNOWN_POSITION"]
    stage.play(SWEEP_LOW)
    (row,) = stage.rows("REJECT")
    assert (row.reason, dict(row.gates)["KILL"], dict(row.gates)["OUTSIDE"]) == ("KILL", False, False)


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (KillSwitched(True, "operator"), "KILL"),
        (EntriesJudged("CALENDAR"), "CALENDAR"),
        (EntriesJudged("STALE"), "STALE"),
    ],
)
def test_the_world_can_forbid_entries(event: Any, reason: str) -> None:
    stage = live_stage()
    stage.step(event)
    stage.play(SWEEP_LOW)
    (row,) = stage.rows("REJECT")
    assert row.reason == reason
    assert not dict(row.gates)["KILL" if reason == "KILL" else "OUTSIDE"]
    assert "PlaceBracket" not in names(stage.out)


def test_a_degraded_bar_takes_no_entry() -> None:
    stage = live_stage()
    stage.play(bar(START_M + 1, 899, 911, 890, 910, degraded=True))
    assert [row.reason for row in stage.rows("REJECT")] == ["STALE"]


def test_missed_reclaims_die_without_being_judged() -> None:
    stage = Stage(Route.BROKER)
    said = stage.play(SWEEP_LOW)
    assert [(one.event, one.reason) for one in said if isinstance(one, RecordEvent)] == [
        ("SWEPT", ""),
        ("RECLAIMED", ""),
        ("DEAD", "MISSED"),
    ]
    assert stage.engine.liquidity.book.dead["MISSED"] == 1


def test_trading_begins_only_by_a_change_of_mode_and_never_on_rehearsed_money() -> None:
    stage = Stage(Route.BROKER)
    assert stage.engine.mode is Mode.MISSED
    stage.step(ModeChanged(Mode.REHEARSED))
    stage.play(SWEEP_LOW)
    assert "PlaceBracket" not in names(stage.out)
    assert stage.engine.paper.busy
    with pytest.raises(EngineError, match="rehearsed"):
        stage.step(ModeChanged(Mode.LIVE))


def test_a_simulated_route_says_the_same_live_and_rehearsed() -> None:
    rehearsed, live = Stage(), Stage(Route.SIMULATED, Mode.LIVE)
    bars = (SWEEP_LOW, quiet(START_M + 2), bar(START_M + 3, 910, 911, 886, 900))
    assert rehearsed.play(*bars) == live.play(*bars)


@pytest.mark.parametrize("acts", range(7))
def test_a_restart_at_any_act_of_the_play_is_no_restart(acts: int) -> None:
    play: list[Any] = [
        BarClosed(SWEEP_LOW),
        OrderAcked(KEY, "b1", T0),
        fill(2, 911, exec_id="a"),
        fill(3, 912, exec_id="b"),
        ClockPassed(at_minute_ns(DAY, 1375)),
        PositionReported(0, at_minute_ns(DAY, 1375) + NS_PER_S),
        fill(5, 905, at_minute_ns(DAY, 1375) + 2 * NS_PER_S, "c", -1),
    ]
    straight = live_stage()
    expected = [straight.step(event) for event in play]
    first = live_stage()
    got = [first.step(event) for event in play[:acts]]
    second = Engine(Params.from_dict(SCENE), MNQ, Route.BROKER)
    second.restore(json.loads(json.dumps(first.engine.snapshot())))
    got += [second.step(event) for event in play[acts:]]
    assert got == expected
    assert second.snapshot() == straight.engine.snapshot()


def test_a_snapshot_of_other_parameters_is_refused() -> None:
    state = live_stage().engine.snapshot()
    with pytest.raises(EngineError, match="rebuild"):
        Engine(Params(), MNQ, Route.BROKER).restore(state)


def test_the_tick_of_parameters_and_instrument_must_agree() -> None:
    with pytest.raises(ValueError, match="tick"):
        Engine(Params.from_dict({"tick": "0.5"}), MNQ, Route.BROKER)


def test_execution_ids_are_remembered_over_the_turn_of_the_day() -> None:
    stage = opened()
    stage.step(fill(5, 958, T0 + 90 * NS_PER_S, "e2", -1))
    stage.play(bar(0, 910, 911, 905, 910, NEXT))
    assert stage.step(fill(5, 958, T0 + 90 * NS_PER_S, "e2", -1)) == []
    assert alarms(stage) == []
