"""The Scribe as its own process: kill -9 in mid-run, stop, switched off, unusable credentials, no secret anywhere."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pj.channels.stats import read_stats
from pj.clock import ScaledClock

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(feed: Any, sim: Any, tmp_path: Path) -> Iterator[Start]:
    made: list[subprocess.Popen[str]] = []

    def begin(**settings: str) -> subprocess.Popen[str]:
        clock = sim.service.clock
        assert isinstance(clock, ScaledClock)
        keys = {
            "RUN_DIR": str(feed.run_dir.root),
            "SHEETS__SPREADSHEET_ID": "AUDIT",
            "SHEETS__API_BASE": sim.base,
            "SHEETS__SERVICE_ACCOUNT_FILE": str(sim.credentials),
            "SHEETS__MIN_FLUSH_REAL_S": "0.02",
            **settings,
        }
        env = {**os.environ, **clock.to_env(), **{f"PJ__{name}": value for name, value in keys.items()}}
        command = [sys.executable, "-P", "-m", "pj.processes.dashboard_logger"]
        made.append(
            subprocess.Popen(command, env=env, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        )
        return made[-1]

    yield begin
    for process in made:
        process.kill()
        process.communicate()


def gauge(feed: Any, name: str, default: Any) -> Any:
    stats = read_stats(feed.run_dir.state("scribe"))
    return default if stats is None else stats.gauge(name, default)


def until(what: Callable[[], bool], limit_s: float = 20.0) -> None:
    end = time.monotonic() + limit_s
    while not what():
        assert time.monotonic() < end
        time.sleep(0.02)


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    begun = time.monotonic()
    process.send_signal(signal.SIGTERM)
    output, errors = process.communicate(timeout=10)
    assert time.monotonic() - begun < 5.0
    return process.returncode, output + errors


@pytest.mark.slow
def test_killed_in_mid_run_again_and_again_it_goes_on_exactly(sim: Any, feed: Any, start: Start) -> None:
    seed = int(os.environ.get("PJ_TEST_SEED", "11"))
    print("seed", seed)
    dice = random.Random(seed)
    for number, kind in enumerate(["503_applied", "drop_after_apply", "slow:0.2"]):
        sim.fault(kind, on="write", probability=0.1, seed=number)
    for _ in range(5):
        process = start()
        rows, end = len(sim.tab("RawTicks")), time.monotonic() + 20
        while len(sim.tab("RawTicks")) <= rows and time.monotonic() < end:
            feed.trades(20)
            time.sleep(0.05)
        until_kill = time.monotonic() + dice.uniform(0, 0.4)
        while time.monotonic() < until_kill:
            feed.trades(20)
            time.sleep(0.02)
        process.kill()
        process.communicate()
    sim.fault("none")
    process = start()
    until(lambda: gauge(feed, "verified", 0) == len(feed.ticks) == gauge(feed, "produced", -1))
    feed.trades(100)
    code, words = finish(process)
    assert (code, words) == (0, "")
    assert sim.ticks() == feed.ticks
    assert gauge(feed, "verified", 0) == len(feed.ticks)
    assert sim.service.writes.refused == 0
    stats = read_stats(feed.run_dir.state("scribe"))
    assert stats is not None
    assert (stats.process, stats.phase, stats.gauge("enabled", False)) == ("scribe", "STOPPING", True)
    written = "".join(path.read_text() for path in feed.run_dir.root.rglob("*") if path.is_file()) + words
    key = json.loads(sim.credentials.read_text())
    for secret in (*key["private_key"].splitlines()[1:3], key["private_key_id"], "ya29.", "Bearer"):
        assert secret not in written


@pytest.mark.slow
def test_a_stop_in_an_outage_ends_within_five_seconds_and_loses_nothing(sim: Any, feed: Any, start: Start) -> None:
    process = start()
    feed.trades(30)
    until(lambda: len(sim.ticks()) == 30)
    sim.fault("slow:30", on="write")
    feed.trades(30)
    until(lambda: len(sim.ticks()) == 60)
    assert finish(process) == (0, "")
    sim.fault("none")
    process = start()
    feed.trades(5)
    until(lambda: gauge(feed, "verified", 0) == 65)
    assert finish(process) == (0, "")
    assert sim.ticks() == feed.ticks


def test_switched_off_it_says_so_and_idles(feed: Any, start: Start) -> None:
    process = start(SHEETS__ENABLED="false")
    until(lambda: read_stats(feed.run_dir.state("scribe")) is not None)
    stats = read_stats(feed.run_dir.state("scribe"))
    assert stats is not None
    assert (stats.phase, stats.gauge("enabled", True)) == ("WAITING", False)
    assert finish(process) == (0, "")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"SHEETS__SERVICE_ACCOUNT_FILE": "nothing.json"}, "nothing.json is missing"),
        ({"SHEETS__SPREADSHEET_ID": ""}, "sheets.spreadsheet_id is empty"),
        ({"SHEETS__SPREADSHEET_ID": "WRONG"}, "share the spreadsheet with"),
        ({"SHEETS__FLUSH": "1"}, "unknown key"),
    ],
)
def test_what_the_operator_must_mend_ends_with_two_and_one_sentence(
    start: Start, settings: dict[str, str], words: str
) -> None:
    process = start(**settings)
    output, errors = process.communicate(timeout=15)
    assert process.returncode == 2, errors
    assert output == ""
    assert words in errors
    assert errors.count("\n") == 1
    assert "Traceback" not in errors


def test_a_second_scribe_on_the_same_run_folder_is_refused(sim: Any, feed: Any, start: Start) -> None:
    feed.trades(3)
    first = start()
    until(lambda: len(sim.ticks()) == 3)
    second = start()
    assert second.wait(15) == 1
    assert finish(first) == (0, "")
