"""Start an engine on a journal torn or changed anywhere: it goes on without the unfinished record, or ends with 4."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from test_engine_recovery import DAY, MNQ, StandingClock, no_orders, walk

from live.engine import Engine, Route
from live.events import EntriesJudged, Mode, ModeChanged
from live.market import NS_PER_MIN
from live.params import Params
from pj.channels.anchors import GAUGE, hold_to, stats_anchor
from pj.channels.journal import JournalDamaged, read_journal
from pj.channels.rundir import RunDir
from pj.channels.stats import StatsWriter
from pj.clock import ScaledClock
from pj.processes.engine.book import DayBook
from pj.processes.engine.core import Core
from pj.processes.engine.recorded import RecordDamaged
from pj.processes.engine.recovery import Recovered, Recovery

BARS = walk(70, 900)
PARAMS = Params.from_dict({"swing_n": 3, "windows": [["18:00", "17:00"]]}, MNQ)


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    """Return a paper day of seventy bars, anchored every ten, ended in mid-air: no STOP, one last SWEPT or so."""
    run = RunDir(tmp_path / "run", MNQ).create()
    clock = StandingClock(BARS[0].ts_ns)
    core = Core(Engine(PARAMS, MNQ, Route.SIMULATED), DayBook(run, run.day(DAY), MNQ, clock), no_orders)
    core.book.note("START", {"route": "paper", "symbol": "MNQ", "params": PARAMS.to_dict()})
    core.book.note("MODE", {"mode": "REHEARSED", "history": {"bars": 0, "first_ns": 0, "last_ns": -1}})
    core.take(ModeChanged(Mode.LIVE))
    for number, bar in enumerate(BARS, 1):
        clock.ns = bar.ts_ns + NS_PER_MIN
        if number % 7 == 0:
            core.take(EntriesJudged("STALE" if number % 14 else ""))
        core.book.add_bar(bar)
        core.take_bar(bar)
        anchor = core.book.anchor() if number % 10 == 0 and number < 70 else None
        if anchor is not None:
            StatsWriter(run.state("engine"), "engine", "x").beat("RUNNING", **{GAUGE: anchor.to_gauge()})
    core.book.close()
    return run


def start(run: RunDir) -> Recovered:
    """Begin as the engine does: hold the journal to its anchor, then recover."""
    hold_to(run, stats_anchor(run))
    engine = Engine(PARAMS, MNQ, Route.SIMULATED)
    recovery = Recovery(run, MNQ, StandingClock(BARS[-1].ts_ns + NS_PER_MIN), engine, "paper")
    found = recovery.run(no_orders, lambda: None)
    found.core.book.close()
    return found


def test_torn_at_every_byte_of_the_last_record_the_start_loses_only_that_record(run: RunDir) -> None:
    path, stats = run.day(DAY).journal, run.state("engine").read_bytes()
    bars, data = run.day(DAY).bars.read_bytes(), path.read_bytes()
    begin = data[:-1].rfind(b"\n") + 1
    before = read_journal(path)[:-1]
    whole = start(run).core.engine.snapshot()
    for cut in range(begin, len(data)):
        path.write_bytes(data[:cut])
        run.day(DAY).bars.write_bytes(bars)
        run.state("engine").write_bytes(stats)
        found = start(run)
        assert not found.faults
        assert [line.hash for line in read_journal(path)][: len(before)] == [line.hash for line in before]
        assert found.core.engine.snapshot() == whole, "what the lost line told comes out of the bars again"


def test_a_flipped_bit_anywhere_in_the_journal_is_refused_and_its_line_named(run: RunDir) -> None:
    path = run.day(DAY).journal
    data = path.read_bytes()
    assert len(data) > 10_000
    for at in range(0, len(data), 37):
        wrong = bytearray(data)
        wrong[at] ^= 1 << (at % 8)
        path.write_bytes(wrong)
        with pytest.raises(JournalDamaged) as caught:
            start(run)
        assert caught.value.line_no == data[:at].count(b"\n") + 1
        assert path.read_bytes() == wrong, "a damaged journal is left as it is"


def test_a_flipped_bit_in_any_anchored_bar_is_refused_and_its_lines_named(run: RunDir) -> None:
    path = run.day(DAY).bars
    data = path.read_bytes()
    anchored = data.split(b"\n")
    size = sum(len(line) + 1 for line in anchored[:61])
    for at in range(0, size, 29):
        wrong = bytearray(data)
        wrong[at] ^= 1 << (at % 8)
        path.write_bytes(wrong)
        with pytest.raises(RecordDamaged, match=r"bars\.csv, lines \d+ to \d+: changed or gone"):
            start(run)


def test_whole_lines_gone_from_the_end_are_refused(run: RunDir) -> None:
    path = run.day(DAY).journal
    lines = path.read_bytes().splitlines(keepends=True)
    anchor = stats_anchor(run)
    assert anchor is not None
    for keep in range(anchor.seq):
        path.write_bytes(b"".join(lines[:keep]))
        with pytest.raises(JournalDamaged, match=f"line {keep + 1}: the journal ends before line {anchor.seq}"):
            start(run)


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["flip", "cut", "bar"])
def test_the_engine_itself_ends_with_code_4_and_names_the_line(run: RunDir, damage: str) -> None:
    path, bars = run.day(DAY).journal, run.day(DAY).bars
    data = path.read_bytes()
    if damage == "flip":
        path.write_bytes(data.replace(b'"STALE"', b'"STALF"', 1))
    elif damage == "cut":
        path.write_bytes(b"".join(data.splitlines(keepends=True)[:20]))
    else:
        bars.write_bytes(bars.read_bytes().replace(b"MNQM6", b"MNQN6", 1))
    words = {
        "flip": "its hash does not match",
        "cut": "line 21: the journal ends before",
        "bar": "bars.csv, lines 1 to",
    }
    clock = ScaledClock(BARS[-1].ts_ns + NS_PER_MIN, time.time_ns(), 1.0)
    env = {name: value for name, value in os.environ.items() if not name.startswith("PJ_")}
    env |= {**clock.to_env(), "PJ__RUN_DIR": str(run.root), "PJ__STRATEGY__PJ__SWING_N": "3"}
    done = subprocess.run(
        [sys.executable, "-P", "-m", "pj.processes.run_live_engine"],
        cwd=run.root.parent, env=env, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 4, done.stderr
    assert words[damage] in done.stderr
    assert "Traceback" not in done.stderr
