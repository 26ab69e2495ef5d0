"""Stamps, beats and edges by an injected clock."""

from __future__ import annotations

from dataclasses import dataclass

from live.market import NS_PER_MIN, NS_PER_S
from pj.ibkr.beats import STALL_NS, Pacemaker, next_edge_ns

EDGE = 1_776_254_400 * NS_PER_S


@dataclass
class HandClock:
    """A clock moved by hand; real time runs with it at ``speed``."""

    now: int
    mono: int = 10**12
    speed: float = 1.0

    def now_ns(self) -> int:
        return self.now

    def monotonic_ns(self) -> int:
        return self.mono

    def real_s_until(self, run_ns: int) -> float:
        return max(0, run_ns - self.now) / 1e9 / self.speed

    def pass_s(self, seconds: float) -> None:
        self.now += int(seconds * 1e9)
        self.mono += int(seconds * 1e9 / self.speed)


def test_stamp_never_goes_backwards() -> None:
    clock = HandClock(EDGE + 5)
    pace = Pacemaker(clock)
    assert pace.stamp() == EDGE + 5
    clock.now -= 3 * NS_PER_S
    assert pace.stamp() == EDGE + 5
    assert pace.backward_ns == 3 * NS_PER_S
    clock.now = EDGE + 6
    assert pace.stamp() == EDGE + 6


def test_edge_at_the_very_start_is_owed() -> None:
    pace = Pacemaker(HandClock(EDGE))
    assert pace.crossed(EDGE)
    assert pace.edge_ns == EDGE + NS_PER_MIN
    assert not pace.crossed(EDGE + NS_PER_MIN - 1)
    assert pace.crossed(EDGE + 3 * NS_PER_MIN + 1)
    assert pace.edge_ns == EDGE + 4 * NS_PER_MIN


def test_next_edge() -> None:
    assert next_edge_ns(EDGE) == EDGE
    assert next_edge_ns(EDGE + 1) == EDGE + NS_PER_MIN


def test_one_beat_a_second_on_its_grid() -> None:
    clock = HandClock(EDGE)
    pace = Pacemaker(clock)
    assert not pace.beat_owed(pace.stamp())
    beats = 0
    for _ in range(100):
        clock.pass_s(0.1)
        beats += pace.beat_owed(pace.stamp())
    assert beats == 10


def test_sleep_is_bounded_by_ten_real_milliseconds_at_high_speed() -> None:
    clock = HandClock(EDGE + 1, speed=600.0)
    assert Pacemaker(clock).wait_s() == 0.010


def test_sleep_ends_at_the_edge() -> None:
    clock = HandClock(EDGE + NS_PER_MIN - 200_000_000)
    assert abs(Pacemaker(clock).wait_s() - 0.2) < 1e-9


def test_oversleeping_an_edge_is_a_stall() -> None:
    clock = HandClock(EDGE + 59 * NS_PER_S)
    pace = Pacemaker(clock)
    pace.woke()
    asleep_since = clock.now
    clock.pass_s(pace.wait_s() + STALL_NS / 1e9 + 0.1)
    assert pace.woke() == asleep_since


def test_oversleeping_inside_a_minute_is_none() -> None:
    clock = HandClock(EDGE + 10 * NS_PER_S)
    pace = Pacemaker(clock)
    pace.wait_s()
    clock.pass_s(20)
    assert pace.woke() is None


def test_waking_on_time_is_no_stall_even_over_an_edge() -> None:
    clock = HandClock(EDGE + 59 * NS_PER_S)
    pace = Pacemaker(clock)
    clock.pass_s(pace.wait_s() + 0.1)
    assert pace.woke() is None


def test_clock_stepped_over_an_edge_is_a_stall() -> None:
    clock = HandClock(EDGE + 50 * NS_PER_S)
    pace = Pacemaker(clock)
    clock.pass_s(pace.wait_s())
    assert pace.woke() is None
    since = clock.now
    clock.now += 30 * NS_PER_S
    clock.mono += 1000
    assert pace.woke() == since


def test_clock_that_stands_before_the_start_is_none() -> None:
    clock = HandClock(EDGE)
    pace = Pacemaker(clock)
    pace.crossed(EDGE)
    for _ in range(5):
        clock.mono += int(pace.wait_s() * NS_PER_S)
        assert pace.woke() is None
    clock.pass_s(pace.wait_s())
    assert pace.woke() is None
