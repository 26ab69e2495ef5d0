"""From the bridge's hand to the engine's bars through real files: holes, day turn, restarts on both sides."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime

from live.bar_builder import BarBuilder, ClockJumped, Output
from live.market import INSTRUMENTS, NS_PER_MIN, NS_PER_S, Bar, TickKind
from pj.channels.daytape import DayTape
from pj.channels.rundir import RunDir
from pj.channels.tailer import DayFollower
from pj.channels.tape import TapeParser

MNQ = INSTRUMENTS["MNQ"]
TURN = int(datetime(2026, 4, 15, 22, tzinfo=UTC).timestamp()) * NS_PER_S
START = TURN - 20 * NS_PER_MIN
DAY = date(2026, 4, 15)


def follow(run: RunDir) -> DayFollower:
    return DayFollower(run, "live_market_data.csv", lambda _day, start: TapeParser(MNQ, at_start=start), DAY)


def drain(follower: DayFollower, builder: BarBuilder) -> list[Output]:
    out: list[Output] = []
    while ticks := follower.poll():
        out += builder.on_ticks(ticks)
    return out


def test_bars_of_a_live_reader_equal_those_of_the_tape_alone_through_all_accidents(tmp_path):
    """Forty minutes over 18:00 ET: trades, a disconnection, a killed bridge, a reader polling at random."""
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    rng = random.Random(seed)
    run = RunDir(tmp_path, MNQ)
    tape, now = DayTape(run, START), START
    tape.cross_edges(START)
    follower, builder = follow(run), BarBuilder()
    live: list[Output] = []
    touched: set[int] = set()
    missing: set[int] = set()
    while now < TURN + 20 * NS_PER_MIN:
        now += rng.randrange(1, 4 * NS_PER_S)
        tape.cross_edges(now)
        event = rng.random()
        if event < 0.005:  # the bridge is killed and comes back
            before = tape.last_recv_ns
            tape.close()
            now += rng.randrange(NS_PER_S, 4 * NS_PER_MIN)
            tape = DayTape(run, now)
            inside = range(before // NS_PER_MIN + 1, now // NS_PER_MIN)
            touched |= {before // NS_PER_MIN, now // NS_PER_MIN}
            missing |= set(inside)
        elif event < 0.01 and not tape.hole_open:
            tape.open_hole(tape.last_recv_ns, "DISCONNECT")
        elif event < 0.1 and tape.hole_open:
            tape.close_hole(now)
        if tape.hole_open:
            touched.add(now // NS_PER_MIN)
            tape.heartbeat(now)
        else:
            tape.add(now, TickKind.TRADE, f"{25000 + rng.randrange(40)}.25", rng.randrange(3), contract="MNQZ6")
        if rng.random() < 0.8:
            tape.flush()
        if rng.random() < 0.5:
            live += drain(follower, builder)
    tape.close()
    live += drain(follower, builder)
    bars = [item for item in live if isinstance(item, Bar)]
    assert live == drain(follow(run), BarBuilder())
    assert run.days() == [DAY, date(2026, 4, 16)]
    assert not [item for item in live if isinstance(item, ClockJumped)]
    minutes = {bar.ts_ns // NS_PER_MIN for bar in bars}
    assert not minutes & (missing - touched)
    assert {bar.ts_ns // NS_PER_MIN for bar in bars if bar.degraded} >= touched & minutes
    whole = set(range(START // NS_PER_MIN, now // NS_PER_MIN)) - touched - missing
    assert whole - {START // NS_PER_MIN} <= minutes

    cut = rng.randrange(1, len(bars))
    again = BarBuilder()
    again.resume(bars[:cut])
    assert [item for item in drain(follow(run), again) if isinstance(item, Bar)] == bars[cut:]
