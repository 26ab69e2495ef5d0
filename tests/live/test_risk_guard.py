"""The gate chain: its order, each gate's border, every gate's answer, counters that reset when they must (pj1 S6)."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from typing import Any

import pytest
from pj1_scenes import DAY

from live.market import NS_PER_MIN, NS_PER_S
from live.params import Params
from live.risk_guard import GATES, HOUR_NS, Approved, Circumstances, Refused, RiskGuard
from live.session_manager import Signal
from live.trading_day import at_minute_ns

MINUTE = 940
BAR_NS = at_minute_ns(DAY, MINUTE)
SIGNAL_NS = BAR_NS + NS_PER_MIN
SIGNAL = Signal(
    pool_id="p", kind="PD", level=900, sweep_ns=BAR_NS, own_extreme=890, bar_ts_ns=BAR_NS, signal_ns=SIGNAL_NS,
    ordinal=DAY.toordinal(), contract="M6", side=1, entry_ref=910, stop=886, target=958, extreme=890, risk_ticks=24,
)  # fmt: skip
AROUND = Circumstances(minute=MINUTE + 1, previous_bar_ns=BAR_NS - NS_PER_MIN, in_position=False)


@dataclasses.dataclass
class Case:
    """Hold what one judgement sees; a fault changes it so that its own gate fails."""

    guard: RiskGuard
    signal: Signal = SIGNAL
    around: Circumstances = AROUND

    def see(self, **more: Any) -> None:
        self.around = dataclasses.replace(self.around, **more)


def locked(case: Case) -> None:
    case.guard.lock("DAILY_LOSS")


def lost(case: Case) -> None:
    case.guard.net_cents = -45_000


def losing(case: Case) -> None:
    case.guard.losses_streak = 3


def filled(case: Case) -> None:
    case.guard.fills = 6


def left(case: Case) -> None:
    case.guard.last_exit_ns = SIGNAL_NS - 300 * NS_PER_S + 1


def ordered(case: Case) -> None:
    case.guard.order_times.extend([SIGNAL_NS - HOUR_NS + 1] * 30)


def wide(case: Case) -> None:
    case.signal = dataclasses.replace(case.signal, risk_ticks=201)


def large(case: Case) -> None:
    case.signal = dataclasses.replace(case.signal, risk_ticks=max(case.signal.risk_ticks, 197))


FAULTS: list[tuple[str, str, Callable[[Case], None]]] = [
    ("KILL", "KILL", lambda case: case.see(killed=True)),
    ("OUTSIDE", "CALENDAR", lambda case: case.see(outside="CALENDAR")),
    ("STALE", "STALE", lambda case: case.see(previous_bar_ns=BAR_NS - 300 * NS_PER_S - 1)),
    ("SESSION", "SESSION", lambda case: case.see(minute=1050)),
    ("NEWS", "NEWS", lambda case: None),
    ("IN_POSITION", "IN_POSITION", lambda case: case.see(in_position=True)),
    ("DAY_LOCK", "DAILY_LOSS", locked),
    ("DAILY_LOSS", "DAILY_LOSS", lost),
    ("MAX_TRADES", "MAX_TRADES", filled),
    ("CONSEC_LOSSES", "CONSEC_LOSSES", losing),
    ("COOLDOWN", "COOLDOWN", left),
    ("ORDER_RATE", "ORDER_RATE", ordered),
    ("RISK_TOO_WIDE", "RISK_TOO_WIDE", wide),
    ("SIZE_ZERO", "SIZE_ZERO", large),
]
NEWS = {"blackouts": [["2026-04-15T13:41:00Z", "2026-04-15T13:42:00Z"]]}


def case_of(names: set[str]) -> Case:
    case = Case(RiskGuard(Params.from_dict(NEWS if "NEWS" in names else {})))
    for gate, _, fault in FAULTS:
        if gate in names:
            fault(case)
    return case


def judge(case: Case) -> Approved | Refused:
    return case.guard.judge(case.signal, case.around)


def test_the_faults_stand_in_the_order_of_the_gates() -> None:
    assert tuple(gate for gate, _, _ in FAULTS) == GATES


def test_with_no_fault_every_gate_says_yes() -> None:
    verdict = judge(case_of(set()))
    assert isinstance(verdict, Approved)
    assert verdict.qty == 5
    assert verdict.gates == tuple((gate, True) for gate in GATES)


@pytest.mark.parametrize(("first", "second"), list(itertools.combinations(range(len(FAULTS)), 2)))
def test_of_two_faults_the_earlier_gate_names_the_refusal(first: int, second: int) -> None:
    verdict = judge(case_of({FAULTS[first][0], FAULTS[second][0]}))
    assert isinstance(verdict, Refused)
    assert verdict.reason == FAULTS[first][1]
    said = dict(verdict.gates)
    assert not said[FAULTS[first][0]]
    assert not said[FAULTS[second][0]]


@pytest.mark.parametrize(("gate", "reason", "fault"), FAULTS, ids=GATES)
def test_each_fault_fails_its_own_gate(gate: str, reason: str, fault: Callable[[Case], None]) -> None:
    verdict = judge(case_of({gate}))
    assert isinstance(verdict, Refused)
    assert verdict.reason == reason
    failed = {name for name, passed in verdict.gates if not passed}
    assert gate in failed
    # A lost budget and a risk too wide leave no size either; nothing else may fail along.
    assert failed - {gate} <= {"SIZE_ZERO"}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"previous_bar_ns": BAR_NS - 300 * NS_PER_S}, ""),
        ({"previous_bar_ns": None}, ""),
        ({"minute": 930}, ""),
        ({"minute": 929}, "SESSION"),
        ({"minute": 1049}, ""),
        ({"minute": 1050}, "SESSION"),
        ({"minute": 480}, ""),
        ({"minute": 660}, "SESSION"),
        ({"minute": 1304}, ""),
        ({"minute": 1375}, "SESSION"),
    ],
)
def test_borders_of_stale_and_session(change: dict[str, Any], reason: str) -> None:
    case = case_of(set())
    case.see(**change)
    verdict = judge(case)
    assert (verdict.reason if isinstance(verdict, Refused) else "") == reason


def test_no_entry_at_or_after_the_flat_time_even_in_a_window() -> None:
    case = Case(RiskGuard(Params.from_dict({"windows": [["18:00", "17:00"]]})))
    case.see(minute=1374)
    assert isinstance(judge(case), Approved)
    case.see(minute=1375)
    verdict = judge(case)
    assert isinstance(verdict, Refused)
    assert verdict.reason == "SESSION"


@pytest.mark.parametrize(("second", "refused"), [(-1, False), (0, True), (59, True), (60, False)])
def test_a_blackout_holds_from_its_start_until_before_its_end(second: int, refused: bool) -> None:
    case = case_of({"NEWS"})
    case.signal = dataclasses.replace(case.signal, signal_ns=SIGNAL_NS + second * NS_PER_S)
    assert isinstance(judge(case), Refused) is refused


def test_cooldown_and_order_rate_end_on_the_second() -> None:
    case = case_of(set())
    case.guard.last_exit_ns = SIGNAL_NS - 300 * NS_PER_S
    case.guard.order_times.extend([SIGNAL_NS - HOUR_NS] * 30 + [SIGNAL_NS - HOUR_NS + 1] * 29)
    assert isinstance(judge(case), Approved)
    assert len(case.guard.order_times) == 29


def test_a_new_day_resets_counters_but_not_cooldown_and_order_times() -> None:
    guard = RiskGuard(Params())
    guard.filled()
    guard.ordered(5)
    guard.exited(-100, 7)
    guard.lock("DAILY_LOSS")
    guard.new_day()
    assert (guard.net_cents, guard.fills, guard.losses_streak, guard.locked) == (0, 0, 0, "")
    assert (guard.last_exit_ns, list(guard.order_times), guard.trades) == (7, [5], 1)


def test_the_streak_counts_losses_and_ends_at_zero_or_better() -> None:
    guard = RiskGuard(Params())
    streaks = []
    for net in (-1, -1, 0, -5, 3, -2):
        guard.exited(net, 0)
        streaks.append(guard.losses_streak)
    assert streaks == [1, 2, 0, 1, 0, 1]


def test_the_daily_loss_is_breached_at_the_cent_and_once() -> None:
    guard = RiskGuard(Params())
    guard.exited(-20_000, 0)
    assert not guard.breaches(-24_999)
    assert guard.breaches(-25_000)
    guard.lock("DAILY_LOSS")
    assert not guard.breaches(-25_000)


def test_a_snapshot_restores_every_counter() -> None:
    guard = RiskGuard(Params())
    guard.filled()
    guard.ordered(5)
    guard.exited(-100, 7)
    guard.lock("DAILY_LOSS")
    again = RiskGuard(Params())
    again.restore(guard.snapshot())
    assert again.snapshot() == guard.snapshot()
