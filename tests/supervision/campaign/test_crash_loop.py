"""Damage the journal under a running engine: it ends at once, every time. Trading halts, tries go on slowly, it heals.

The long form, with the shipped limits: ``python3 scripts/pj.py test -s -m campaign
tests/supervision/campaign/test_crash_loop.py``.
"""

from __future__ import annotations

import datetime as dt
import itertools
import json
import os
import signal
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from campaign_checks import check_bars, check_books, check_journal, check_orders
from campaign_demo import Demo, LogLine, demo, pj, status, wait_for
from campaign_plan import needs_signals, settings

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = needs_signals


@contextmanager
def damaged(journal: Path) -> Iterator[None]:
    """Change one letter in the journal's first line, and change it back."""
    with journal.open("r+b") as file:
        file.seek(12)
        right = file.read(1)
        file.seek(12)
        file.write(bytes([right[0] ^ 1]))
        file.flush()
        try:
            yield
        finally:
            file.seek(12)
            file.write(right)


def moment(line: LogLine) -> float:
    """Return a log line's time in seconds."""
    return dt.datetime.fromisoformat(line.ts).timestamp()


def restarts(one: Demo) -> list[LogLine]:
    """Return the engine's RESTART lines."""
    return [line for line in one.log("RESTART") if line.fields["name"] == "engine"]


def check_halted(one: Demo, max_restarts: int) -> None:
    """Everything says that trading is halted, and why."""
    (loop,) = one.log("CRASH_LOOP")
    assert loop.fields["name"] == "engine"
    before = [line for line in restarts(one) if moment(line) <= moment(loop)]
    assert len(before) == max_restarts, f"{len(before)} restarts before the halt"
    rows = [json.loads(text) for text in one.run.folder.alerts.read_text(encoding="utf-8").splitlines()]
    (row,) = (row for row in rows if row["code"] == "CRASH_LOOP")
    assert set(row) == {"ts_ns", "code", "name", "text", "crc32"}
    assert row["name"] == "engine" and row["ts_ns"] > 0
    (line,) = (line for line in one.log("ALERT") if line.fields["code"] == "CRASH_LOOP")
    assert line.fields["text"] == row["text"]
    assert one.run.folder.kill_switch.read_text(encoding="utf-8").startswith("CRASH_LOOP")
    assert one.now("sentinel").phase == "HALTED"
    code, report = status(one.run.env)
    assert (code, report["state"]) == (1, "halted"), report
    assert any("CRASH_LOOP" in reason for reason in report["halted_by"]), report
    assert report["processes"]["engine"]["alive"] is False, report


def play(one: Demo, *, max_restarts: int, slow_s: float, tries: int) -> None:
    """Let the engine loop until trading halts, watch ``tries`` slow tries, heal it, resume."""
    journal = one.folder / one.run.plan.trade_date.isoformat() / "journal.jsonl"
    old = one.now("engine")
    with damaged(journal):
        os.kill(old.pid, signal.SIGKILL)
        wait_for("the halt", one.run.folder.kill_switch.exists, 120)
        wait_for("the Sentinel to say so", lambda: one.now("sentinel").phase == "HALTED", 10)
        sent = check_orders(one)["entries_sent"]
        check_halted(one, max_restarts)
        wait_for("slow tries", lambda: len(restarts(one)) >= max_restarts + tries, (tries + 1) * slow_s * 1.2 + 20)
        assert "exit 4" in restarts(one)[-1].fields["reason"]
        slow = [moment(line) for line in restarts(one)[max_restarts:]]
        gaps = [later - sooner for sooner, later in itertools.pairwise(slow)]
        assert all(gap >= slow_s for gap in gaps), f"the slow tries came {gaps} s apart"
        died = len(one.log("DIED"))
        wait_for("the last try to fail", lambda: len(one.log("DIED")) > died or _resting(one), 20)
        assert check_orders(one)["entries_sent"] == sent, "an entry was sent while trading was halted"
    begun = time.monotonic()
    done = pj(one, "resume")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "engine starts again" in done.stdout, done.stdout
    assert not one.run.folder.kill_switch.exists()
    wait_for("the engine", lambda: one.restored("engine", old), slow_s * 0.95)
    print(f"resume to the engine's state restored: {time.monotonic() - begun:.1f} s (the next slow try: {slow_s:g} s)")
    wait_for("a healthy system", lambda: status(one.run.env)[0] == 0, 20)
    assert status(one.run.env)[1]["state"] == "healthy"
    assert len(one.log("CRASH_LOOP")) == 1


def _resting(one: Demo) -> bool:
    return bool(one.gauges("sentinel")["children"]["engine"]["state"] == "BACKOFF")


def campaign(folder: Path, *, max_restarts: int, window_s: float, slow_s: float, tries: int) -> None:
    """Play a crash loop and check the books of the day around it."""
    begun = time.monotonic()
    limits = {"max_restarts": max_restarts, "window_s": window_s, "slow_retry_s": slow_s}
    with demo(folder, settings(**limits), speed=20) as one:
        play(one, max_restarts=max_restarts, slow_s=slow_s, tries=tries)
        one.drain()
    checks = (check_orders, check_bars, check_journal)
    print({check.__name__: check(one) for check in checks}, check_books(one, time.monotonic() - begun))


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_crash_loop_halts_trading_and_heals(folder: Path) -> None:
    campaign(folder, max_restarts=2, window_s=60, slow_s=8, tries=1)


@pytest.mark.campaign
@pytest.mark.timeout(1800)
def test_a_crash_loop_under_the_shipped_limits(folder: Path) -> None:
    campaign(folder, max_restarts=5, window_s=120, slow_s=60, tries=4)
