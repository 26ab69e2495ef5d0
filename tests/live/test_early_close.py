"""A date that the exchange closes early is flat before that close (pj1 S5.6), on both routes; no other date."""

from __future__ import annotations

from typing import Any

import pytest
from pj1_scenes import DAY, NEXT, START_M, SWEEP_LOW, Stage, bar, close_ns, quiet

from live.commands import ClosePosition
from live.engine import Engine, Route
from live.events import ClockPassed, ExecutionReported, Mode, OrderAcked
from live.trading_day import at_minute_ns

FLAT_M = 1135  # 12:55 ET
EARLY = {DAY.toordinal(): FLAT_M}


def in_trade(**more: Any) -> Stage:
    stage = Stage(max_hold_min=600, **more)
    stage.play(SWEEP_LOW, quiet(START_M + 2))
    assert stage.engine.position is not None
    return stage


@pytest.mark.parametrize(("minute", "reasons"), [(FLAT_M - 1, []), (FLAT_M, ["FLAT"])])
def test_paper_is_flat_at_the_open_of_the_flat_minute(minute: int, reasons: list[str]) -> None:
    stage = in_trade(early_flat_m=EARLY)
    stage.play(quiet(minute))
    assert [trade.exit_reason for trade in stage.trades()] == reasons


def test_another_dates_entry_changes_nothing() -> None:
    stage = in_trade(early_flat_m={NEXT.toordinal(): FLAT_M})
    stage.play(quiet(FLAT_M))
    assert stage.trades() == []


def test_no_entry_is_judged_open_after_the_flat_minute() -> None:
    stage = Stage(early_flat_m={DAY.toordinal(): START_M + 2})
    stage.play(SWEEP_LOW)
    assert [row.reason for row in stage.rows("REJECT")] == ["SESSION"]


def test_broker_position_is_closed_by_the_clock() -> None:
    stage = Stage(Route.BROKER, Mode.LIVE, EARLY, max_hold_min=600)
    stage.play(SWEEP_LOW)
    at = close_ns(SWEEP_LOW)
    stage.step(OrderAcked("739721:PDL@1776259920:ENTRY", "b1", at))
    stage.step(ExecutionReported("e1", 1, 5, 911, at))
    assert not stage.step(ClockPassed(at_minute_ns(DAY, FLAT_M) - 1))
    (exit_,) = stage.step(ClockPassed(at_minute_ns(DAY, FLAT_M)))
    assert isinstance(exit_, ClosePosition)
    assert exit_.reason == "FLAT"


def test_a_restored_engine_knows_the_flat_minute() -> None:
    stage = in_trade(early_flat_m=EARLY)
    again = Engine(stage.engine.params, stage.engine.instrument, Route.SIMULATED, early_flat_m=EARLY)
    again.restore(stage.engine.snapshot())
    stage.engine = again
    stage.play(bar(FLAT_M, 910, 910, 910, 910))
    assert [trade.exit_reason for trade in stage.trades()] == ["FLAT"]
