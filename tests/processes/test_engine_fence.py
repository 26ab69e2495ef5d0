"""A real engine process and its fence: granted by hand or by a Sentinel, lost while it runs or sleeps."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from engine_world import World, wall

from live.commands import CancelOrders, ClosePosition, PlaceBracket
from live.events import OrderRefused
from pj.brokers.dispatcher import FENCED, Result
from pj.brokers.port import Answer, Outcome
from pj.channels.fence import fence_path, grant, read_fence
from pj.channels.files import lock_file
from pj.channels.journal import JournalLine
from pj.channels.stats import Stats
from pj.processes.engine.outbox import outcome_event
from pj.simulators.market import generate

DAY = date(2026, 4, 15)
#: One poll of 0.5 s, then the fence is looked at; the rest is the end of a Python process on a busy machine.
ENDS_WITHIN_S = 3.0


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    (tape,) = generate("MNQ", "", DAY, 1).tapes.values()
    start_ns, end_ns = wall(DAY, "10:00"), wall(DAY, "15:00")
    world = World(tmp_path / "run", DAY, tape.bars(start_ns, end_ns), start_ns, end_ns, 60)
    world.write_history()
    yield world
    world.close()


def end_of(engine: subprocess.Popen[bytes]) -> tuple[int, str]:
    """Return exit code and words of an engine that ends by itself."""
    engine.wait(ENDS_WITHIN_S)
    assert engine.stderr is not None
    return engine.returncode, engine.stderr.read().decode()


def run_until_bars(world: World) -> Stats:
    world.play()
    return world.wait(lambda stats: stats.gauge("bars", 0) >= 2)


def alarms(world: World) -> list[JournalLine]:
    return [line for line in world.journal() if line.type == "ALARM" and line.data["code"] == "FENCED"]


def test_an_engine_started_by_hand_grants_itself(world: World) -> None:
    world.start_engine()
    stats = run_until_bars(world)
    held = read_fence(world.run, "engine")
    assert held is not None
    assert (held.epoch, held.instance, held.pid_of_granter) == (1, stats.instance, stats.pid)
    assert world.stop_engine() == 0
    assert alarms(world) == []
    world.start_engine()
    world.wait(lambda stats: stats.phase == "RUNNING")
    held = read_fence(world.run, "engine")
    assert held is not None
    assert held.epoch == 2


@pytest.mark.parametrize("asleep", [False, True])
def test_a_superseded_engine_ends_within_a_poll_and_says_why(world: World, *, asleep: bool) -> None:
    if asleep and sys.platform == "win32":
        pytest.skip("Windows has no signal that stops a process")
    grant(world.run, "engine", "first")
    engine = world.start_engine(PJ_INSTANCE="first")
    run_until_bars(world)
    if asleep:
        os.kill(engine.pid, signal.SIGSTOP)
    bars = len(world.own_bars())
    grant(world.run, "engine", "second")
    if asleep:
        time.sleep(0.5)
        assert len(world.own_bars()) == bars
        os.kill(engine.pid, signal.SIGCONT)
    code, words = end_of(engine)
    assert code == 1
    assert "instance first of the engine has no valid fence: instance second holds it (epoch 2)" in words
    assert len(words.splitlines()) == 1
    [alarm] = alarms(world)
    assert world.journal()[-1] == alarm
    assert 'ENDED code=1 why="instance first' in (world.run.logs / "engine.log").read_text()
    world.start_engine(PJ_INSTANCE="second")
    world.wait(lambda stats: stats.phase == "RUNNING" and stats.gauge("bars", 0) >= bars)


def test_a_fence_taken_away_ends_the_engine(world: World) -> None:
    grant(world.run, "engine", "only")
    engine = world.start_engine(PJ_INSTANCE="only")
    run_until_bars(world)
    fence_path(world.run, "engine").unlink()
    code, words = end_of(engine)
    assert code == 1
    assert "nobody holds it" in words
    assert len(alarms(world)) == 1


@pytest.mark.parametrize("granted", ["", "another"])
def test_an_instance_without_its_fence_does_not_begin(world: World, granted: str) -> None:
    if granted:
        grant(world.run, "engine", granted)
    code, words = end_of(world.start_engine(PJ_INSTANCE="mine"))
    assert code == 1
    assert "instance mine of the engine has no valid fence" in words
    assert len(words.splitlines()) == 1
    assert not world.paths.journal.exists()
    held = read_fence(world.run, "engine")
    assert (held.instance if held else "") == granted


def test_nobody_starts_an_engine_by_hand_beside_a_sentinel(world: World) -> None:
    grant(world.run, "engine", "the-one-it-started")
    with lock_file(world.run.state_folder / "sentinel.lock"):
        code, words = end_of(world.start_engine())
    assert code == 1
    assert "a Sentinel rules" in words
    assert len(words.splitlines()) == 1
    held = read_fence(world.run, "engine")
    assert held is not None
    assert held.epoch == 1, "the fence of the Sentinel's engine is not touched"


def test_a_second_engine_by_hand_leaves_the_first_its_fence(world: World) -> None:
    world.start_engine()
    first = run_until_bars(world)
    second = world.start_engine()
    second.wait(10)
    assert second.returncode == 1
    assert second.stderr is not None
    assert "engine.lock is held by another writer" in second.stderr.read().decode()
    second.stderr.close()
    world.engines.pop()
    held = read_fence(world.run, "engine")
    assert held is not None
    assert held.instance == first.instance
    bars = first.gauge("bars", 0)
    world.wait(lambda stats: stats.gauge("bars", 0) > bars)


def test_what_the_fence_held_back_is_settled_for_an_entry_and_left_open_for_an_exit() -> None:
    """The successor finds an exit's intent without an outcome and sends it; an entry is known not to have left."""
    held = Answer(Outcome.REFUSED, FENCED)
    entry = PlaceBracket("p@1:ENTRY", "MNQM6", 1, 1, 100_000, 99_900, 100_200, 5, "p")
    assert outcome_event(Result(entry, held, 1, True, 9)) == OrderRefused("p@1:ENTRY", FENCED, 9)
    leave = ClosePosition("p@1:EXIT", "MNQM6", 1, "TIME", 5)
    assert outcome_event(Result(leave, held, 2, True, 9)) is None
    assert outcome_event(Result(CancelOrders("p@1:CANCEL", "MNQM6", "x", 5), held, 1, True, 9)) is None
    assert outcome_event(Result(leave, Answer(Outcome.REFUSED, "invalid-action"), 1, True, 9)) is not None
