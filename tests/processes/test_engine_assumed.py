"""Without a position source an entry of unknown fate is asked to be flat until the route has surely dealt with it."""

from __future__ import annotations

import datetime as dt
import time
from typing import Any

import pytest

from live.engine import Engine, Route
from live.events import BarClosed, Mode, ModeChanged, OrderAcked, OrderUnknown
from live.market import INSTRUMENTS, NS_PER_S, Bar
from live.params import Params
from live.trading_day import at_minute_ns
from pj.channels.journal import JournalLine
from pj.clock import ScaledClock
from pj.processes.engine.assumed import YOUNG_NS, AssumedPosition

DAY = dt.date(2026, 4, 15)
SIGNAL_NS = at_minute_ns(DAY, 932)
KEY = "739721:PDL@1776259920:ENTRY"
STEM = KEY.removesuffix("ENTRY")


def pending_engine() -> Engine:
    """Return an engine whose entry has been sent: PDL at 900 ticks swept and reclaimed at 09:31."""
    scene: dict[str, Any] = {"use_kinds": ["PD"], "min_prev_day_bars": 1, "windows": [["18:00", "17:00"]]}
    engine = Engine(Params.from_dict(scene), INSTRUMENTS["MNQ"], Route.BROKER)
    eve = Bar(at_minute_ns(DAY - dt.timedelta(days=1), 100), 950, 1000, 900, 950, 7, "MNQM6")
    engine.step(BarClosed(eve))
    engine.step(BarClosed(Bar(at_minute_ns(DAY, 930), 950, 951, 949, 950, 7, "MNQM6")))
    engine.step(ModeChanged(Mode.LIVE))
    engine.step(BarClosed(Bar(at_minute_ns(DAY, 931), 899, 911, 890, 910, 7, "MNQM6")))
    assert engine.desk.order is not None
    return engine


class Time:
    def __init__(self, run_ns: int = SIGNAL_NS) -> None:
        self.now_s = 100.0
        self.assumed = AssumedPosition(ScaledClock(run_ns, time.time_ns() + 3600 * NS_PER_S, 1.0), lambda: self.now_s)

    def due(self, at_s: float) -> list[str]:
        self.now_s = 100.0 + at_s
        return [exit_.key.removeprefix(STEM) for exit_ in self.assumed.due_exits()]


def line(kind: str, key: str, at_ns: int = SIGNAL_NS) -> JournalLine:
    data = {"key": key, "contract": "MNQM6", "qty": 5, "after_bar": 1}
    return JournalLine(1, at_ns, kind, data, "", "")


def test_an_unknown_entry_is_owed_three_exits_each_once() -> None:
    clock, engine = Time(), pending_engine()
    clock.assumed.note(OrderUnknown(KEY, "timeout", SIGNAL_NS), engine)
    assert clock.assumed.doubted
    assert [clock.due(at) for at in (0, 0, 2.9, 3, 14.9, 15, 60)] == [["EXIT0"], [], [], ["EXIT01"], [], ["EXIT02"], []]


@pytest.mark.parametrize(("age_s", "owed"), [(5, ["EXIT0"]), (601, [])])
def test_an_entry_that_the_start_itself_finds_unknown_is_doubted_and_owed_exits_while_young(
    age_s: int, owed: list[str]
) -> None:
    """Hours later the position may be the operator's own: then nothing is closed, and entries stay forbidden."""
    clock, engine = Time(SIGNAL_NS + age_s * NS_PER_S), pending_engine()
    found = [OrderUnknown(KEY, "the engine stopped before the answer came", SIGNAL_NS + age_s * NS_PER_S)]
    clock.assumed.restore(engine, [line("INTENT", KEY)], found)
    assert clock.assumed.doubted
    assert clock.assumed.repeat() is None, "nobody knows the position"
    assert clock.due(0) == owed


def test_a_known_entry_is_owed_none() -> None:
    clock, engine = Time(), pending_engine()
    clock.assumed.note(OrderAcked(KEY, "b1", SIGNAL_NS), engine)
    assert not clock.assumed.doubted
    assert clock.due(60) == []


@pytest.mark.parametrize(
    ("sent", "due"),
    [([], ["EXIT0", "EXIT01", "EXIT02"]), (["EXIT0"], ["EXIT01", "EXIT02"]), (["EXIT0", "EXIT01", "EXIT02"], [])],
)
def test_a_restart_sends_what_is_still_owed(sent: list[str], due: list[str]) -> None:
    clock, engine = Time(), pending_engine()
    lines = [line("INTENT", KEY), line("UNKNOWN", KEY)]
    lines += [line(kind, STEM + leg) for leg in sent for kind in ("INTENT", "ACKED")]
    clock.assumed.restore(engine, lines)
    assert clock.assumed.doubted
    assert clock.due(0) == due[:1]
    assert clock.due(60) == due[1:]


def test_an_exit_that_was_intended_and_perhaps_never_left_is_owed_under_a_new_key() -> None:
    clock, engine = Time(), pending_engine()
    lines = [line("INTENT", KEY), line("UNKNOWN", KEY), line("INTENT", f"{STEM}EXIT0")]
    clock.assumed.restore(engine, lines)
    assert [clock.due(0), clock.due(60)] == [["EXIT01"], ["EXIT02", "EXIT03"]]


def test_an_old_unknown_entry_is_left_to_the_operator() -> None:
    clock, engine = Time(SIGNAL_NS + YOUNG_NS), pending_engine()
    clock.assumed.restore(engine, [line("INTENT", KEY), line("UNKNOWN", KEY)])
    assert clock.assumed.doubted
    assert clock.due(60) == []


@pytest.mark.parametrize(("told", "qty"), [(["INTENT", "ACKED"], 5), (["INTENT"], None)])
def test_a_restart_right_after_the_receipt_assumes_the_entry_filled(told: list[str], qty: int | None) -> None:
    # The position was assumed in memory only: if it stayed unknown, nobody would ever leave the position again.
    clock, engine = Time(), pending_engine()
    clock.assumed.restore(engine, [line(kind, KEY) for kind in told])
    report = clock.assumed.repeat()
    assert (None if report is None else report.qty) == qty
