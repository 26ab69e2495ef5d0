"""Replay histories of a family with a fake clock and fake processes."""

from __future__ import annotations

import itertools

import pytest
from family_world import World
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from pj.supervision.child import Limits, describe_exit
from pj.supervision.child_fsm import ALIVE, Event, State
from pj.supervision.silence import Beat, SilenceMeter


def test_a_first_beat_of_its_own_makes_it_running() -> None:
    world = World()
    assert world.child.state is State.STARTING
    world.beat(instance="token-of-the-predecessor")
    world.step()
    assert world.child.state is State.STARTING
    world.beat()
    world.step()
    assert world.child.state is State.RUNNING
    assert world.record.named("RUNNING")[0]["first_beat_ms"] == 500


def test_a_crash_is_replaced_in_the_same_pass_and_recorded_once() -> None:
    world = World()
    world.run_healthy(20)
    world.die(-9)
    world.step()
    assert world.child.state is State.STARTING
    assert [(name, process.pid) for name, process in world.spawner.born] == [("engine", 100), ("engine", 101)]
    assert world.record.named("RESTART") == [
        {"name": "engine", "reason": "signal SIGKILL", "old_pid": 100, "new_pid": 101, "ms": 0.0, "restarts": 1}
    ]
    assert world.child.last_reason == "signal SIGKILL"


def test_a_crash_loop_backs_off_and_never_gives_up() -> None:
    world = World()
    starts = []
    for _ in range(4000):
        if world.child.state is State.STARTING:
            starts.append(world.now)
            world.die(1)
        world.step()
    gaps = [round(later - sooner, 2) for sooner, later in itertools.pairwise(starts)]
    assert gaps[:7] == [0.25, 0.75, 1.25, 2.25, 4.25, 8.25, 16.25]
    assert set(gaps[7:]) == {30.25}
    assert len(gaps) > 20


def test_a_stable_life_makes_the_next_restart_immediate_again() -> None:
    world = World()
    for _ in range(3):
        world.die(1)
        world.step()
        world.step(60)
    assert world.child.failures == 3
    world.run_healthy(30)
    world.die(1)
    world.step()
    assert world.child.failures == 1
    assert world.child.state is State.STARTING


def test_silence_kills_and_replaces_only_after_the_death() -> None:
    world = World()
    world.run_healthy(30)
    old = world.spawner.living("engine")[0]
    old.kill = lambda: None  # type: ignore[method-assign] # it hangs in the kernel: SIGKILL is pending
    for _ in range(19):
        world.step()
    assert world.child.state is State.RUNNING
    world.step()
    assert world.child.state is State.STOPPING
    world.step(60)
    assert len(world.spawner.born) == 1
    old.code = -9
    world.step()
    assert [row["reason"] for row in world.record.named("RESTART")] == ["no heartbeat for 5.0 s"]
    assert world.record.named("HEARTBEAT_FAIL")[0]["pid"] == 100
    assert world.child.failures == 1


def test_the_sentinels_own_delay_is_not_silence() -> None:
    world = World()
    world.run_healthy(1)
    for _ in range(10):
        world.step(30)  # the machine slept, or the Sentinel got no processor
    assert world.child.state is State.RUNNING
    assert world.child.silent_s == 2.5


def test_a_start_has_its_grace_and_no_more() -> None:
    world = World(limits=Limits(silent_s=1, start_grace_s=4, look_s=0.25))
    for _ in range(15):
        world.step()
    assert world.child.state is State.STARTING
    world.step()
    assert world.record.named("HEARTBEAT_FAIL")[0]["reason"] == "no first heartbeat for 4.0 s"


def test_silence_may_be_set_for_each_child() -> None:
    world = World("engine", "scribe", limits=Limits(silent_by_name={"scribe": 20}))
    world.beat()
    world.beat("scribe")
    for _ in range(22):
        world.step()
    assert [row["name"] for row in world.record.named("HEARTBEAT_FAIL")] == ["engine"]


def test_exit_2_stays_down_and_says_why() -> None:
    world = World()
    world.spawner.words = "ibkr.port is 99999; use 1 to 65535"
    world.die(2)
    for _ in range(500):
        world.step()
    assert world.child.state is State.FATAL
    assert len(world.spawner.born) == 1
    assert world.record.named("FATAL")[0]["reason"] == "exit 2: ibkr.port is 99999; use 1 to 65535"
    world.family.apply(world.child, Event.RESTART_ASKED)
    assert world.child.state is State.STARTING


def test_exit_0_is_the_operators_and_stays_down() -> None:
    world = World()
    world.run_healthy(2)
    world.die(0)
    world.step(100)
    assert world.child.state is State.EXITED
    assert len(world.spawner.born) == 1


def test_restart_on_request_waits_for_the_old_process() -> None:
    world = World()
    world.run_healthy(2)
    world.family.apply(world.child, Event.RESTART_ASKED)
    assert world.spawner.born[0][1].asked
    world.step()
    assert len(world.spawner.born) == 1
    world.die(0)
    world.step()
    assert world.child.state is State.STARTING
    assert world.record.named("RESTART")[0]["reason"] == "asked by the operator"
    assert world.child.failures == 0


def test_an_unanswered_stop_is_followed_by_a_kill() -> None:
    world = World()
    world.family.stop(["engine"], kill_s=world.now + 2)
    world.step(1.9)
    assert world.spawner.living("engine")
    world.step(0.2)
    assert not world.spawner.living("engine")
    world.step()
    assert world.child.state is State.STOPPED
    assert not world.record.named("RESTART")


def test_nothing_is_started_while_closing() -> None:
    world = World()
    world.die(1)
    world.step()
    world.die(1)
    world.step()
    assert world.child.state is State.BACKOFF
    world.family.closing = True
    world.step(100)
    assert world.child.state is State.STOPPED
    assert len(world.spawner.born) == 2


def test_a_crash_while_closing_is_not_replaced() -> None:
    world = World()
    world.run_healthy(30)
    world.family.closing = True
    world.die(1)
    world.step()
    assert world.child.state is State.STOPPED
    assert len(world.spawner.born) == 1


def test_a_system_without_processes_is_retried_slowly() -> None:
    world = World()
    world.die(1)
    world.spawner.refuse = True
    for _ in range(40):
        world.step()
    assert world.child.state is State.BACKOFF
    assert 3 <= len(world.record.named("SPAWN_FAILED")) <= 6
    world.spawner.refuse = False
    world.step(31)
    assert world.child.state is State.STARTING


@pytest.mark.parametrize(
    ("code", "words", "text"),
    [(-9, "", "signal SIGKILL"), (-99, "", "signal 99"), (3, "", "exit 3"), (1, "boom", "exit 1: boom")],
)
def test_an_exit_is_described(code: int, words: str, text: str) -> None:
    assert describe_exit(code, words) == text


def test_a_sequence_that_starts_again_is_movement() -> None:
    meter = SilenceMeter("me", 0.25)
    assert meter.look(Beat("me", 7), 0.25)
    assert not meter.look(Beat("me", 7), 0.25)
    assert meter.look(Beat("me", 1), 0.25)
    assert meter.silent_s == 0


class Histories(RuleBasedStateMachine):
    """Drive one child through random histories; whatever happens, at most one process of it lives."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.stubborn = False

    @rule(seconds=st.sampled_from([0.0, 0.25, 1.0, 5.0, 40.0]))
    def pass_time(self, seconds: float) -> None:
        self.world.step(seconds)

    @rule()
    def beat(self) -> None:
        if self.world.spawner.living("engine"):
            self.world.beat()

    @precondition(lambda self: self.world.spawner.living("engine"))
    @rule(code=st.sampled_from([0, 1, 2, 3, 4, -9, -11, -15]))
    def die(self, code: int) -> None:
        self.world.die(code)

    @rule(event=st.sampled_from([Event.START_ASKED, Event.STOP_ASKED, Event.RESTART_ASKED]))
    def ask(self, event: Event) -> None:
        self.world.family.apply(self.world.child, event)

    @rule(refuse=st.booleans())
    def system_refuses(self, *, refuse: bool) -> None:
        self.world.spawner.refuse = refuse

    @rule()
    def hang(self) -> None:
        for _ in range(int(15 / 0.25) + 1):
            self.world.step(0.25)

    @invariant()
    def at_most_one_lives(self) -> None:
        living = self.world.spawner.living("engine")
        assert len(living) <= 1
        if living:
            assert self.world.child.state in ALIVE
            assert self.world.child.running is living[0]

    @invariant()
    def every_birth_after_the_first_found_the_last_one_dead(self) -> None:
        for _, process in self.world.spawner.born[:-1]:
            assert process.reaped

    @invariant()
    def the_wish_and_the_state_agree(self) -> None:
        child = self.world.child
        if child.state in {State.STOPPED, State.EXITED, State.FATAL}:
            assert not child.wanted
        if child.state in {State.STARTING, State.RUNNING, State.BACKOFF}:
            assert child.wanted

    @invariant()
    def restarts_are_recorded_one_by_one(self) -> None:
        assert len(self.world.record.named("RESTART")) == self.world.child.restarts

    def teardown(self) -> None:
        """From any history, an explicit start and a healthy life lead to RUNNING."""
        self.world.spawner.refuse = False
        self.world.step()
        self.world.family.apply(self.world.child, Event.START_ASKED)
        for _ in range(400):
            self.world.step()
            if self.world.spawner.living("engine"):
                self.world.beat()
        assert self.world.child.state is State.RUNNING


Histories.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestHistories = Histories.TestCase


def test_a_stop_that_was_asked_for_is_no_illness() -> None:
    world = World()
    world.run_healthy(2)
    world.family.stop(["engine"], kill_s=world.now + 5)
    assert world.child.state is State.STOPPING
    assert world.child.healthy
    silent = World()
    silent.run_healthy(2)
    for _ in range(24):
        silent.now += 0.25
        silent.family.look(silent.beats.get, 0.25)
    assert silent.child.state is State.STOPPING
    assert not silent.child.healthy
