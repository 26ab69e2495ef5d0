"""A human as the position's source: his word holds until the next order, and resolves only older doubts."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import pytest
from engine_chain import Chain
from engine_world import bars_of_two_days, wall
from test_engine_assumed import KEY, SIGNAL_NS, line, pending_engine

from live.engine import Engine, Route
from live.events import OrderAcked, OrderUnknown
from live.market import INSTRUMENTS, NS_PER_S, Bar
from live.params import Params
from pj.channels.journal import JournalLine
from pj.channels.statement import Statement, write_statement
from pj.processes.engine.manual import ManualPosition
from strategies.mle.phase16_pj_engine import load_bars

MNQ = INSTRUMENTS["MNQ"]


class StandingClock:
    """Tell one time until it is moved."""

    speed = 1.0

    def __init__(self, ns: int) -> None:
        self.ns = ns

    def now_ns(self) -> int:
        return self.ns

    def monotonic_ns(self) -> int:
        return self.ns

    def real_s_until(self, run_ns: int) -> float:
        return max(0, run_ns - self.ns) / 1e9


class Human:
    """State positions to a source whose clock stands ``at_s`` after the signal."""

    def __init__(self, folder: Path, engine: Engine) -> None:
        self.path = folder / "position.json"
        self.clock = StandingClock(SIGNAL_NS)
        self.real_s = 0.0
        self.source = ManualPosition(engine, self.path, self.clock, lambda: self.real_s)

    def at(self, at_s: float) -> None:
        self.clock.ns, self.real_s = SIGNAL_NS + int(at_s * NS_PER_S), self.real_s + 1
        self.source.look()

    def states(self, qty: int, at_s: float, said_s: float | None = None) -> None:
        said_ns = SIGNAL_NS + int((at_s if said_s is None else said_s) * NS_PER_S)
        write_statement(self.path, Statement(qty, said_ns, "ann"))
        self.at(at_s)

    def reported(self) -> int | None:
        self.real_s += 5
        report = self.source.repeat()
        return None if report is None else report.qty


def idle_engine() -> Engine:
    return Engine(Params(), MNQ, Route.BROKER)


def test_nothing_is_known_before_the_first_statement_of_the_day(tmp_path: Path) -> None:
    human = Human(tmp_path, idle_engine())
    assert human.source.unverified and human.source.gauge(SIGNAL_NS) is None
    human.states(0, 10, said_s=-86_400)
    assert human.source.unverified, "yesterday's word is no word"
    human.states(0, 20)
    assert not human.source.unverified
    assert human.source.gauge(human.clock.ns + 3 * NS_PER_S) == {
        "qty": 0, "by": "ann", "age_s": 3.0, "stale": False, "trouble": "",
    }  # fmt: skip
    assert [said.by for said in human.source.news()] == ["ann", "ann"] and human.source.news() == []


def test_a_statement_is_reported_and_ends_with_the_next_order(tmp_path: Path) -> None:
    engine = pending_engine()
    human = Human(tmp_path, engine)
    human.states(0, 30)
    human.states(3, 40)
    assert human.reported() == 3
    human.source.note(OrderAcked(KEY, "b", SIGNAL_NS + 50 * NS_PER_S), engine)
    assert human.source.gauge(human.clock.ns)["stale"] is True  # type: ignore[index]
    assert engine.desk.order is not None
    assert human.reported() == engine.desk.order.qty, "the receipt speaks now"
    human.states(1, 60)
    assert human.reported() == 1


def test_it_resolves_older_doubts_and_no_younger_one(tmp_path: Path) -> None:
    engine = pending_engine()
    human = Human(tmp_path, engine)
    human.states(0, 1)
    human.source.note(OrderUnknown(KEY, "timeout", SIGNAL_NS + 5 * NS_PER_S), engine)
    assert human.source.doubted and human.source.due_exits()
    human.at(6)
    assert human.source.unverified, "what was said before the doubt says nothing of it"
    human.states(0, 7, said_s=4.9)
    assert human.source.unverified and human.source.gauge(human.clock.ns)["stale"] is True  # type: ignore[index]
    human.states(0, 8)
    assert not human.source.unverified and human.reported() == 0
    human.real_s += 60
    assert human.source.due_exits() == [], "a human has looked: nobody asks again to be flat"


def test_what_is_said_in_the_future_or_damaged_is_no_word(tmp_path: Path) -> None:
    human = Human(tmp_path, idle_engine())
    human.states(2, 10, said_s=60)
    assert human.source.holds is False and human.reported() == 0
    human.path.write_bytes(human.path.read_bytes()[:-3])
    human.at(11)
    assert human.source.unverified
    said = human.source.gauge(human.clock.ns)
    assert said is not None and "state it again" in said["trouble"]


def test_a_restart_takes_the_word_over_only_if_it_is_younger_than_every_order(tmp_path: Path) -> None:
    for said_s, doubted in ((4.0, True), (9.0, False)):
        engine = pending_engine()
        human = Human(tmp_path, engine)
        write_statement(human.path, Statement(0, SIGNAL_NS + int(said_s * NS_PER_S), "ann"))
        human.clock.ns = SIGNAL_NS + 20 * NS_PER_S
        lines = [line("INTENT", KEY), line("UNKNOWN", KEY, SIGNAL_NS + 5 * NS_PER_S)]
        human.source.restore(engine, lines)
        assert human.source.doubted is doubted
        assert bool(human.source.due_exits()) is doubted


@pytest.mark.parametrize(("said_s", "doubted"), [(9.0, False), (4.0, True), (500.0, True)])
def test_a_doubt_that_a_human_resolved_does_not_come_back_after_the_next_order(
    tmp_path: Path, said_s: float, doubted: bool
) -> None:
    """He resolved it at 9 s; what he said before the doubt, or of the future, resolved nothing then either."""
    engine = idle_engine()
    human = Human(tmp_path, engine)
    human.clock.ns = SIGNAL_NS + 900 * NS_PER_S
    said_ns = SIGNAL_NS + int(said_s * NS_PER_S)
    stated = JournalLine(0, SIGNAL_NS + 10 * NS_PER_S, "STATED", {"said_ns": said_ns}, "", "")
    later = f"{KEY.removesuffix(':ENTRY')}2:ENTRY"
    lines = [
        line("INTENT", KEY),
        line("UNKNOWN", KEY, SIGNAL_NS + 5 * NS_PER_S),
        stated,
        line("INTENT", later, SIGNAL_NS + 800 * NS_PER_S),
        line("REFUSED", later, SIGNAL_NS + 801 * NS_PER_S),
    ]
    human.source.restore(engine, lines)
    assert human.source.doubted is doubted
    human.source.restore(engine, [*lines, line("UNKNOWN", later, SIGNAL_NS + 802 * NS_PER_S)])
    assert human.source.doubted, "the next one is a doubt of its own"


DAY = date(2026, 4, 24)
FILE = "mnq_1m_2026-03_2026-05.parquet"


@pytest.fixture
def chain(run_dir: Path, market_data: Path) -> Iterator[Chain]:
    bars: list[Bar] = bars_of_two_days(load_bars(market_data / FILE, MNQ, front=True), DAY, "MNQM6")
    settings = {"execution.position_source": "manual"}
    begin, end = wall(DAY, "09:20"), wall(DAY, "09:50")
    one = Chain(run_dir, DAY, bars, begin, end, 120, settings=settings, tape=market_data / FILE)
    one.start_servers()
    one.start_engine()
    yield one
    one.close()


def pj(chain: Chain, *words: str) -> Callable[[], str]:
    command = [sys.executable, "-P", "-m", "pj.cli", "position", *words]
    done = subprocess.run(command, env=chain.env(), capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode in {0, 1}, done.stderr
    return lambda: done.stdout


@pytest.mark.slow
def test_an_entry_waits_for_the_human_and_a_lost_answer_is_resolved_by_him(chain: Chain) -> None:
    chain.wait(lambda stats: stats.phase == "RUNNING" and stats.gauge("entries_blocked", "") == "UNVERIFIED")
    assert "UNVERIFIED: nothing was stated" in pj(chain, "show")()
    chain.plant("drop_after")
    pj(chain, "set", "flat", "--by", "ann", "--reason", "seen in TWS")
    chain.wait(lambda stats: stats.gauge("position_stated", {}).get("by") == "ann")
    chain.wait_until(lambda: ("UNKNOWN", "ENTRY") in chain.outcomes())
    chain.wait(lambda stats: stats.gauge("entries_blocked", "") == "UNVERIFIED")
    assert "an order was sent since" in pj(chain, "show")()
    chain.wait_until(lambda: chain.held() == 0 and ("ACKED", "EXIT0") in chain.outcomes())
    pj(chain, "set", "flat", "--by", "ann")
    chain.wait(lambda stats: stats.gauge("position_stated", {}).get("stale") is False)
    chain.wait(lambda stats: stats.gauge("entries_blocked", "") != "UNVERIFIED")
    assert chain.stop_engine() == 0
    said = [entry.data for entry in chain.journal() if entry.type == "STATED"]
    assert [(row["qty"], row["by"], row["reason"]) for row in said] == [(0, "ann", "seen in TWS"), (0, "ann", "")]
    assert len(chain.calls("buy")) == 1
