"""Keep every core four times oversubscribed beside a running demo: nobody may be restarted for being slow.

The long form (30 minutes): ``python3 scripts/pj.py test -s -m campaign tests/supervision/campaign/test_cpu_load.py``.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from campaign_checks import check_bars, check_books, check_journal, check_orders
from campaign_demo import Demo, demo
from campaign_plan import CHILDREN, LOAD_MIN, settings
from campaign_report import table, tell

from pj.channels.stats import BEAT_EVERY_S

if TYPE_CHECKING:
    from collections.abc import Iterator

OVERSUBSCRIBED = 4
NAMES = ("sentinel", *CHILDREN)
#: A shipped Sentinel calls a process silent after this many seconds.
SILENT_S = 5.0


@contextmanager
def busy(processes: int) -> Iterator[None]:
    """Keep so many processes computing, at the usual priority."""
    crowd = [subprocess.Popen([sys.executable, "-S", "-c", "while True: pass"]) for _ in range(processes)]
    try:
        yield
        assert all(process.poll() is None for process in crowd), "the load ended early"
    finally:
        for process in crowd:
            process.kill()
            process.wait()


def watch(one: Demo, seconds: float) -> dict[str, float]:
    """Watch the heartbeats and return the longest time between two, by process; the beats carry their own times."""
    last: dict[str, tuple[int, int]] = {}
    gaps = dict.fromkeys(NAMES, 0.0)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for name in NAMES:
            stats = one.now(name)
            seq, at_ns = last.get(name, (stats.beat_seq, stats.beat_ns))
            beats = max(1, stats.beat_seq - seq)
            gaps[name] = max(gaps[name], (stats.beat_ns - at_ns) / 1e9 / beats)
            last[name] = stats.beat_seq, stats.beat_ns
        time.sleep(0.2)
    for name in NAMES:  # a process that has not beaten since then has no second time: its silence counts all the same
        gaps[name] = max(gaps[name], (time.time_ns() - last[name][1]) / 1e9)
    return gaps


def campaign(folder: Path, seconds: float) -> None:
    """Run a demo at speed 1 under load and see that every process lives and beats as at its start."""
    begun = time.monotonic()
    crowd = OVERSUBSCRIBED * (os.cpu_count() or 1)
    with demo(folder, settings(), speed=1, bars=0) as one:
        born = {name: one.now(name).pid for name in NAMES}
        with busy(crowd):
            gaps = watch(one, seconds)
        assert {name: one.now(name).pid for name in NAMES} == born, "a process was replaced"
        one.drain()
    delay_s = max(0.0, gaps["sentinel"] - BEAT_EVERY_S)
    figures = {"seconds": seconds, "busy": crowd, "longest_beat_gap_s": gaps, "sentinel_delay_s": delay_s}
    checks = (check_orders, check_bars, check_journal)
    figures |= {check.__name__: check(one) for check in checks}
    figures["check_books"] = check_books(one, time.monotonic() - begun)
    body = [(name, round(gap_s, 2)) for name, gap_s in gaps.items()]
    text = table(("process", "longest beat gap s"), body)
    tell(folder, "load", figures, f"{text}\n{crowd} busy processes, {seconds:g} s; Sentinel's delay {delay_s:.2f} s")
    assert not one.log("RESTART", "HEARTBEAT_FAIL", "DIED"), one.log("RESTART", "HEARTBEAT_FAIL", "DIED")
    assert max(gaps.values()) < SILENT_S, gaps
    aside = {"STARTING", "STOPPING"}
    ill = [line for line in one.log("CHECK") if line.fields["health"] != "OK" and line.fields["state"] not in aside]
    assert not ill, ill


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.skipif(sys.platform == "win32", reason="freezes the market by a POSIX signal")
def test_a_busy_machine_is_no_hang(folder: Path) -> None:
    campaign(folder, 20)


@pytest.mark.campaign
@pytest.mark.timeout(3 * 3600)
@pytest.mark.skipif(sys.platform == "win32", reason="freezes the market by a POSIX signal")
def test_half_an_hour_of_load_restarts_nobody(folder: Path) -> None:
    campaign(folder, LOAD_MIN * 60)
