"""Kill the Sentinel of a running demo and start the next one at once: never two of a kind, nothing lost.

The long form: ``python3 scripts/pj.py test -s -m campaign tests/supervision/campaign/test_sentinel_killed.py``.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest
from campaign_checks import check_bars, check_books, check_journal, check_orders
from campaign_demo import Demo, demo, wait_for
from campaign_plan import CHILDREN, SEED, TRIALS, chance, needs_signals, settings
from campaign_report import spread, table, tell
from campaign_sampler import read_samples, sampling

if TYPE_CHECKING:
    import subprocess
    from random import Random

pytestmark = needs_signals

#: after: the next one is started the moment the old one is killed; waiting: it already waits for the lock when the old
#: one is killed; two: two are started at once; frozen: as after, with an engine that is stopped and can obey nobody.
WAYS = ("after", "waiting", "two", "frozen")
REFUSAL = "another Sentinel"
#: How long a trial of the long form waits for an order to be under way; orders come about every 25 s at speed 10.
ORDER_WAIT_S = 30.0
SPEED = 10.0


@dataclass(frozen=True, slots=True)
class Relaunch:
    """Hold one trial; ``ms`` from the kill to four new children with their state restored."""

    way: str
    ms: float
    refused: int
    at_order: bool


def refused(one: Demo, process: subprocess.Popen[bytes]) -> int:
    """See that a Sentinel that may not rule says so in one sentence and exits 2; return 1."""
    assert process.wait(20) == 2
    last = (one.run.folder.logs / "sentinel.out").read_text(encoding="utf-8").splitlines()[-1]
    assert last.startswith(REFUSAL) and str(one.folder) in last, last
    return 1


def holds_open(process: subprocess.Popen[bytes], name: str) -> bool:
    """Tell whether a process has opened file ``name``, or has ended."""
    try:
        return any(Path(file.path).name == name for file in psutil.Process(process.pid).open_files())
    except psutil.Error:
        return True


def relaunch(one: Demo, way: str) -> int:
    """Kill the ruling Sentinel and start the next in this ``way``; return how many Sentinels were refused."""
    old = one.run.servers.sentinel
    assert old is not None and old.poll() is None
    if way == "waiting":
        new = one.launch_sentinel()
        while new.poll() is None and not holds_open(new, "sentinel.lock"):
            time.sleep(0)
        old.kill()
        time.sleep(1.0)
        if new.poll() is None:
            return 0
        count = refused(one, new)  # it had waited in vain before the kill came
        one.launch_sentinel()
        return count
    if way == "frozen":
        os.kill(one.now("engine").pid, signal.SIGSTOP)
    old.kill()
    first = one.launch_sentinel()
    if way != "two":
        return 0
    second = one.launch_sentinel()
    wait_for("one of two Sentinels to give way", lambda: (first.poll(), second.poll()) != (None, None), 20)
    loser, winner = (first, second) if first.poll() is not None else (second, first)
    assert winner.poll() is None
    one.run.servers.sentinel = winner
    return refused(one, loser)


def campaign(
    folder: Path, ways: Sequence[str], random: Random, *, speed: float, limit_s: float, at_order: float = 0.0
) -> list[Relaunch]:
    """Kill the Sentinel once per entry of ``ways``, check everything, and tell what was measured."""
    samples = folder.with_name("samples.txt")
    begun, trials = time.monotonic(), []
    with demo(folder, settings(), speed=speed) as one, sampling(folder, samples):
        one.slow_webhook(0.05)
        for way in ways:
            time.sleep(random.uniform(0.3, 2.5))
            ordered = random.random() < at_order and one.wait_for_order(random, ORDER_WAIT_S)
            old = {name: one.stats(name) for name in CHILDREN}
            killed_s = time.monotonic()
            count = relaunch(one, way)
            wait_for("four new children", lambda old=old: one.all_restored(old), limit_s)
            trials.append(Relaunch(way, round((time.monotonic() - killed_s) * 1000, 1), count, ordered))
            one.forget_dead_sentinels()
        one.drain()
    sampled = read_samples(samples)
    found = {way: spread([t.ms for t in trials if t.way == way]) for way in WAYS if way in ways}
    everything = {"seed": SEED, "speed": speed, "recovery_ms": found, "sampled": sampled.report()}
    everything["trials"] = [asdict(trial) for trial in trials]
    text = table(
        ("relaunch", "n", "median ms", "p95 ms", "max ms"), [(way, *row.values()) for way, row in found.items()]
    )
    tell(folder, "sentinel", everything, f"{text}\nprocesses alive, sampled: {sampled.report()}")
    books = {check.__name__: check(one) for check in (check_orders, check_bars, check_journal)}
    books["check_books"] = check_books(one, time.monotonic() - begun)
    tell(folder, "sentinel", everything | books, str(books))
    assert not sampled.doubled, f"a child lived twice at once: {sampled.doubled}"
    assert len(one.log("SENTINEL_START")) == len(ways) + 1, "a Sentinel ruled that should not, or one did not"
    starts = [line.fields["name"] for line in one.log("START")]
    assert {name: starts.count(name) for name in CHILDREN} == dict.fromkeys(CHILDREN, len(ways) + 1)
    assert not one.log("RESTART", "HEARTBEAT_FAIL"), "a child failed although only the Sentinel was killed"
    return trials


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_killed_sentinel_is_followed_by_one_and_only_one(folder: Path) -> None:
    trials = campaign(folder, WAYS, chance("sentinel, short form"), speed=20, limit_s=60)
    assert [trial.refused for trial in trials if trial.way == "two"] == [1]


@pytest.mark.campaign
@pytest.mark.timeout(2 * 3600)
def test_the_sentinel_is_killed_again_and_again(folder: Path) -> None:
    random = chance("sentinel")
    ways = [*WAYS, *random.choices(WAYS, k=max(0, TRIALS - len(WAYS)))]
    speed = min(SPEED, 420 * 60 / ((8 + ORDER_WAIT_S / 2) * len(ways)))
    trials = campaign(folder, ways, random, speed=speed, limit_s=30, at_order=0.5)
    assert len(trials) == len(ways)
