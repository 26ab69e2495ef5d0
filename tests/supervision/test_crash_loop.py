"""Prove what happens to a process that fails too often: trading halts, once; it is tried on, rarely."""

from __future__ import annotations

from family_world import World

from pj.supervision.child_fsm import Event, State


def test_too_many_failures_halt_trading_once_and_slow_the_tries_down() -> None:
    world = World(max_restarts=3)
    for _ in range(4):
        world.step()
        world.crash(1)
        world.until_born()
    assert world.child.looping
    assert world.duties.halts == ["CRASH_LOOP engine failed 4 times in " + world.duties.halts[0].split(" in ")[1]]
    assert [(code, name) for code, name, _ in world.duties.alerts] == [("CRASH_LOOP", "engine")]
    assert "pj resume" in world.duties.alerts[0][2]
    births = len(world.spawner.born)
    for _ in range(10):
        world.crash(1)
        waited = world.until_born()
        assert 60 <= waited <= 67  # each slow period, a tenth of jitter and a step
    assert len(world.spawner.born) == births + 10
    assert len(world.duties.halts) == len(world.duties.alerts) == 1


def test_failures_far_apart_are_no_loop() -> None:
    world = World(max_restarts=3)
    for _ in range(20):
        world.live(41)  # 3 failures within any 120 s
        world.crash(1)
        world.until_born()
    assert not world.child.looping
    assert not world.duties.halts


def test_a_flapping_process_that_is_healthy_between_failures_is_a_loop_too() -> None:
    world = World(max_restarts=3)
    for _ in range(6):
        world.live(20)  # long enough to end a row of failures: each restart is immediate
        world.crash(1)
        if world.child.looping:
            break
        world.until_born()
    assert world.child.looping
    assert world.child.failures == 1


def test_an_operators_start_ends_the_loop_and_tries_at_once() -> None:
    world = World(max_restarts=1)
    for _ in range(2):
        world.crash(1)
        world.until_born()
    world.crash(1)
    assert world.child.looping
    assert world.child.state is State.BACKOFF
    births = len(world.spawner.born)
    world.family.apply(world.child, Event.START_ASKED)
    assert len(world.spawner.born) == births + 1
    assert not world.child.looping
    world.crash(1)
    world.until_born()
    world.crash(1)
    assert world.child.looping
    assert len(world.duties.halts) == 2, "a second loop is a second halt"


def test_a_loop_is_over_after_a_whole_healthy_window() -> None:
    world = World(max_restarts=1)
    for _ in range(3):
        world.crash(1)
        world.until_born()
    assert world.child.looping
    world.live(119)
    assert world.child.looping
    world.live(3)
    assert not world.child.looping
    assert world.record.named("STEADY")
    world.crash(1)
    assert world.until_born() == 0, "its next failure is a first one again"


def test_nothing_is_born_without_a_grant_and_each_birth_has_its_own() -> None:
    world = World()
    world.crash(1)
    world.until_born()
    assert world.duties.granted == [("engine", process.instance) for _, process in world.spawner.born]
    births = len(world.spawner.born)
    world.duties.refuse = True
    world.crash(1)
    world.step(1)
    assert world.child.state is State.BACKOFF
    assert len(world.spawner.born) == births
    assert "no space left" in world.child.last_reason
    world.duties.refuse = False
    world.until_born()
    assert world.child.state is State.STARTING


def test_an_end_that_stays_is_told_to_the_operator() -> None:
    world = World()
    world.spawner.words = "ibkr.port is 0"
    world.crash(2)
    assert [(code, name) for code, name, _ in world.duties.alerts] == [("MISCONFIGURED", "engine")]
    assert "ibkr.port is 0" in world.duties.alerts[0][2]
    other = World()
    other.crash(0)
    assert [code for code, _, _ in other.duties.alerts] == ["LEFT"]
    asked = World()
    asked.family.stop(["engine"], kill_s=asked.now + 5)
    asked.crash(0)
    assert not asked.duties.alerts
