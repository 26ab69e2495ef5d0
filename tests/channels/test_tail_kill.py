"""A writer killed by SIGKILL at random moments while a reader tails: no row torn, doubled or missing."""

from __future__ import annotations

import random
import subprocess
import sys
import textwrap
import time
from datetime import date

import pytest

from live.market import INSTRUMENTS, NS_PER_MIN, Tick, TickKind
from pj.channels.rundir import RunDir
from pj.channels.tailer import DayFollower
from pj.channels.tape import BadRow, TapeParser
from pj.channels.wake import Notifier

MNQ = INSTRUMENTS["MNQ"]
T0 = 29_833_334 * NS_PER_MIN
DAY = date(2026, 4, 13)
KILLS = 40
WRITER = textwrap.dedent(
    """
    import pathlib, random, sys, time
    from live.market import INSTRUMENTS, TickKind
    from pj.channels.tape import open_tape
    path, now, seed = pathlib.Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    rng = random.Random(seed)
    tape = open_tape(path, INSTRUMENTS["MNQ"], now)
    while True:
        for _ in range(rng.choice((1, 1, 5, 200))):
            now += 1
            tape.add(now, TickKind.TRADE, f"{25000 + tape.seq % 400}.25", tape.seq + 1, contract="MNQZ6")
        tape.flush()
        sys.stdout.write(f"{tape.seq}\\n")  # this many are on the tape for certain
        sys.stdout.flush()
        time.sleep(rng.choice((0, 0, 0.0005)))
    """
)


@pytest.mark.slow
def test_a_killed_writer_leaves_no_torn_doubled_or_missing_row(tmp_path):
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    rng = random.Random(seed)
    run = RunDir(tmp_path, MNQ)
    path = run.day(DAY).create().market
    notifier = Notifier()
    assert notifier.watch(path.parent)
    wake = notifier.wake({path.name})
    bad: list[BadRow] = []

    def parser(_day: date, at_start: bool) -> TapeParser:
        return TapeParser(MNQ, at_start=at_start, on_bad=bad.append)

    follower = DayFollower(run, path.name, parser, DAY)
    seen: list[Tick] = []
    promised = 0
    for round_no in range(KILLS):
        log = tmp_path / "out"
        with log.open("wb") as out:
            command = [sys.executable, "-P", "-c", WRITER, str(path), str(T0 + round_no * 10**9), str(seed + round_no)]
            writer = subprocess.Popen(command, stdout=out)
        try:
            while not log.stat().st_size:
                assert writer.poll() is None
                wake.wait(0.05)
                seen += follower.poll()
            deadline = time.monotonic() + rng.uniform(0.0, 0.03)
            while time.monotonic() < deadline:
                seen += follower.poll()
        finally:
            writer.kill()
            writer.wait()
        promised = int(log.read_bytes().rsplit(b"\n", 2)[-2])
    while ticks := follower.poll():
        seen += ticks
    notifier.close()
    follower.close()
    assert bad == []
    assert [tick.seq for tick in seen] == list(range(1, len(seen) + 1))
    assert len(seen) >= promised
    trades = [tick for tick in seen if tick.kind is TickKind.TRADE]
    assert all(tick.size == tick.seq for tick in trades)
    gaps = [tick for tick in seen if tick.kind is TickKind.GAP]
    assert len(gaps) == KILLS - 1
    print(f"{len(seen)} rows, {KILLS} kills")
