"""Entries, stops, targets and clock exits inside the core, bar by bar (pj1 S5.5-S5.8, S6.7)."""

from __future__ import annotations

from typing import Any

import pytest
from pj1_scenes import NEXT, START_M, SWEEP_HIGH, SWEEP_LOW, Stage, bar, quiet

from live.events import KillSwitched
from live.market import NS_PER_S, Bar

ENTRY_M = START_M + 2


def long_signal(**changed: Any) -> Stage:
    stage = Stage(**changed)
    stage.play(SWEEP_LOW)
    (row,) = stage.rows("SIGNAL")
    assert (row.entry, row.stop, row.target, row.qty) == (910, 886, 958, 5)
    return stage


def in_trade(**changed: Any) -> Stage:
    stage = long_signal(**changed)
    stage.play(quiet(ENTRY_M))
    assert stage.engine.position is not None
    assert stage.engine.position.entry_price == 911
    return stage


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (quiet(START_M + 3), ""),
        (quiet(START_M + 4), "STALE"),
        (quiet(ENTRY_M, contract="U6"), "STALE"),
        (bar(0, 910, 910, 910, 910, NEXT), "STALE"),
        (quiet(ENTRY_M, 886), "GAP"),
        (quiet(ENTRY_M, 887), ""),
        (quiet(ENTRY_M, 958), "GAP"),
        (quiet(ENTRY_M, 957), ""),
        (quiet(START_M + 4, 886), "STALE"),  # STALE is tested first
    ],
)
def test_a_waiting_entry_fills_or_is_cancelled(entry: Bar, reason: str) -> None:
    stage = long_signal()
    stage.play(entry)
    cancels = stage.rows("ENTRY_CANCEL")
    assert [row.reason for row in cancels] == ([reason] if reason else [])
    assert stage.engine.guard.fills == (0 if reason else 1)
    assert len(stage.engine.guard.order_times) == 1
    for row in cancels:
        assert (row.ts_s, row.trade) == (entry.ts_ns // NS_PER_S, "739721:PDL")
        assert (row.pool, row.level) == ("", None)


@pytest.mark.parametrize(
    ("last", "exit_price", "reason", "stamp"),
    [
        (bar(ENTRY_M + 1, 910, 911, 886, 900), 885, "STOP", 60),
        (bar(ENTRY_M + 1, 880, 911, 870, 900), 879, "STOP", 60),  # a gap through the stop fills at the open
        (bar(ENTRY_M + 1, 910, 970, 886, 960), 885, "STOP", 60),  # both in one bar is a loss
        (bar(ENTRY_M + 1, 910, 959, 887, 950), 958, "TARGET", 60),
        (bar(ENTRY_M + 1, 990, 999, 980, 990), 958, "TARGET", 60),  # no improvement
        (bar(ENTRY_M + 60, 920, 999, 880, 950), 919, "TIME", 0),  # the clock comes before stop and target
        (bar(1375, 920, 999, 880, 950), 919, "FLAT", 0),
        (bar(1375, 920, 999, 880, 950, contract="U6"), 919, "DAY_ROLL", 0),
        (bar(0, 920, 999, 880, 950, NEXT), 919, "DAY_ROLL", 0),
    ],
)
def test_how_a_position_ends(last: Bar, exit_price: int, reason: str, stamp: int) -> None:
    stage = in_trade()
    stage.play(last)
    (trade,) = stage.trades()
    assert (trade.exit_reason, trade.exit_price_ticks) == (reason, exit_price)
    assert trade.exit_ts_s == last.ts_ns // NS_PER_S + stamp
    assert trade.gross_cents == (exit_price - 911) * 50 * 5
    assert trade.cost_cents == 620
    held = last if stamp else quiet(ENTRY_M)
    assert trade.mae_ticks == max(0, 911 - min(910, held.low_ticks))
    assert trade.mfe_ticks == max(0, max(910, held.high_ticks) - 911)


@pytest.mark.parametrize(
    "last",
    [
        bar(ENTRY_M + 1, 910, 958, 887, 950),  # the target is only touched
        bar(ENTRY_M + 59, 910, 911, 887, 900),
        bar(1374, 910, 911, 887, 900),
    ],
)
def test_what_does_not_end_it(last: Bar) -> None:
    stage = in_trade(max_hold_min=60 if last.ts_ns < SWEEP_LOW.ts_ns + 3700 * NS_PER_S else 1000)
    stage.play(last)
    assert not stage.trades()


def test_the_entry_bar_knows_stop_and_target_but_no_clock() -> None:
    stage = long_signal(max_hold_min=0)
    stage.play(bar(ENTRY_M, 910, 911, 886, 900))
    assert [trade.exit_reason for trade in stage.trades()] == ["STOP"]
    stage = long_signal(max_hold_min=0)
    stage.play(bar(ENTRY_M, 910, 959, 887, 900))
    assert [trade.exit_reason for trade in stage.trades()] == ["TARGET"]
    stage = long_signal(max_hold_min=0)
    stage.play(quiet(ENTRY_M))
    assert not stage.trades()
    stage.play(quiet(ENTRY_M + 1))
    assert [trade.exit_reason for trade in stage.trades()] == ["TIME"]


def test_a_short_is_the_mirror() -> None:
    stage = Stage()
    stage.play(SWEEP_HIGH, quiet(ENTRY_M, 990), bar(ENTRY_M + 1, 990, 1014, 989, 1000))
    (trade,) = stage.trades()
    assert (trade.side, trade.entry_price_ticks, trade.exit_price_ticks) == (-1, 989, 1015)
    assert trade.net_cents == -26 * 50 * 5 - 620


def test_the_open_loss_locks_the_day_and_leaves_at_the_next_open() -> None:
    low = bar(ENTRY_M + 1, 910, 910, 887, 887)
    # Open: (887 - 911 - 1) * 0.50 * 5 - 2 * 0.62 * 5 = -68.70; with 3.29 lost before it is a cent short of 72.
    stage = in_trade(max_daily_loss_usd=72)
    stage.engine.guard.net_cents = -329
    stage.play(low)
    assert not stage.rows("LOCK")
    stage = in_trade(max_daily_loss_usd=72)
    stage.engine.guard.net_cents = -330
    stage.play(low)
    (lock,) = stage.rows("LOCK")
    assert (lock.reason, lock.pool, lock.ts_s) == ("DAILY_LOSS", "", quiet(ENTRY_M + 2).ts_ns // NS_PER_S)
    stage.play(bar(ENTRY_M + 2, 890, 999, 880, 990))
    (trade,) = stage.trades()
    assert (trade.exit_reason, trade.exit_price_ticks) == ("DAILY_LOSS", 889)
    assert len(stage.rows("LOCK")) == 1


def test_a_day_roll_exit_counts_in_the_new_day() -> None:
    stage = in_trade(use_kinds=["PD"])
    stage.play(bar(0, 890, 890, 890, 890, NEXT))
    assert [trade.exit_reason for trade in stage.trades()] == ["DAY_ROLL"]
    guard = stage.engine.guard
    assert (guard.net_cents, guard.losses_streak, guard.fills) == (stage.trades()[0].net_cents, 1, 0)


def test_clock_exits_count_as_orders_and_stops_do_not() -> None:
    stage = in_trade()
    stage.play(quiet(ENTRY_M + 60))
    assert len(stage.engine.guard.order_times) == 2
    stage = in_trade()
    stage.play(bar(ENTRY_M + 1, 910, 911, 886, 900))
    assert len(stage.engine.guard.order_times) == 1


def test_a_kill_does_not_hold_an_exit_back() -> None:
    stage = in_trade()
    stage.step(KillSwitched(True, "operator"))
    stage.play(bar(ENTRY_M + 1, 910, 911, 886, 900))
    assert [trade.exit_reason for trade in stage.trades()] == ["STOP"]


def test_a_heartbeat_or_stray_row_moves_nothing() -> None:
    stage = long_signal()
    flat = Bar(quiet(ENTRY_M).ts_ns, 910, 910, 910, 910, 0, "M6")
    stage.play(flat)
    assert stage.engine.position is None
    stage.play(quiet(START_M + 3))
    assert stage.engine.position is not None
    stage.play(bar(1390, 1, 1, 1, 1))
    assert not stage.trades()


def test_volume_zero_at_another_price_is_a_real_bar() -> None:
    stage = long_signal()
    stage.play(Bar(quiet(ENTRY_M).ts_ns, 909, 909, 909, 909, 0, "M6"))
    assert stage.engine.position is not None
