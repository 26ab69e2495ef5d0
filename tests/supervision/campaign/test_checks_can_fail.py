"""See that the campaigns' own checks fail when there is something to find."""

from __future__ import annotations

import datetime as dt
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from campaign_checks import check_bars, check_orders
from campaign_demo import Demo, wait_for
from campaign_sampler import ENGINE, living, read_samples, sampling

DAY = dt.date(2026, 11, 18)


def world(folder: Path) -> Demo:
    (folder / DAY.isoformat()).mkdir(parents=True)
    (folder / "simulators").mkdir()
    return cast("Demo", SimpleNamespace(folder=folder, run=SimpleNamespace(plan=SimpleNamespace(trade_date=DAY))))


def write_jsonl(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def request(pool: str, minute: int) -> dict[str, Any]:
    key = f"{pool}@{minute}:ENTRY"
    return {"kind": "REQUEST", "body": {"action": "buy", "extras": {"key": key, "signal_id": key, "pool": pool}}}


def intent(pool: str, minute: int) -> dict[str, Any]:
    return {"type": "INTENT", "data": {"key": f"{pool}@{minute}:ENTRY"}}


@pytest.mark.parametrize(
    ("requests", "executed", "words"),
    [
        ([("A", 1), ("A", 1)], [], "sent twice"),
        ([("A", 1), ("A", 2)], [], "two entries"),
        ([("A", 1)], ["A@1:ENTRY", "A@1:ENTRY"], "executed twice"),
        ([("B", 1)], [], "no intent"),
    ],
)
def test_a_doubled_order_is_found(
    folder: Path, requests: list[tuple[str, int]], executed: list[str], words: str
) -> None:
    one = world(folder)
    rows = [request(*each) for each in requests] + [{"kind": "EXECUTED", "signal_id": key} for key in executed]
    write_jsonl(folder / "simulators" / "traderspost.jsonl", rows)
    write_jsonl(folder / DAY.isoformat() / "journal.jsonl", [intent("A", 1), intent("A", 2)])
    with pytest.raises(AssertionError, match=words):
        check_orders(one)


def test_single_orders_are_no_finding(folder: Path) -> None:
    one = world(folder)
    write_jsonl(folder / "simulators" / "traderspost.jsonl", [request("A", 1), request("B", 2)])
    write_jsonl(folder / DAY.isoformat() / "journal.jsonl", [intent("A", 1), intent("B", 2)])
    assert check_orders(one)["entries_sent"] == 2


@pytest.mark.parametrize("change", [("7", "8"), ("10.25,10.25", "10.25,10.0"), ("\n1,", "\n1,2026-11-18T14:25:00Z")])
def test_a_wrong_bar_is_found(folder: Path, change: tuple[str, str]) -> None:
    one = world(folder)
    sent_ns = int(dt.datetime(2026, 11, 18, 14, 25, 30, tzinfo=dt.UTC).timestamp()) * 10**9
    (folder / "simulators" / "gateway_ledger.csv").write_text(f"sent_ns,kind,price,size\n{sent_ns},TRADE,10.25,7\n")
    head = "ts,open,high,low,close,volume,heartbeat,degraded\n"
    right = head + "2026-11-18T14:25:00Z,10.25,10.25,10.25,10.25,7,0,0\n"
    bars = folder / DAY.isoformat() / "bars.csv"
    bars.write_text(right)
    assert check_bars(one) == {"bars": 1, "whole": 1, "degraded": 0}
    wrong = right.replace(*change) if change[0] in right else right + right.removeprefix(head)
    assert wrong != right
    bars.write_text(wrong)
    with pytest.raises(AssertionError):
        check_bars(one)


def test_two_engines_at_once_are_sampled_and_a_dead_one_is_not(folder: Path, tmp_path: Path) -> None:
    samples = tmp_path / "samples.txt"
    command = [sys.executable, "-c", "import time; print(flush=True); time.sleep(60)", ENGINE]
    with ExitStack() as stack, sampling(folder, samples):
        crowd = [
            stack.enter_context(subprocess.Popen(command, env=os.environ | {"PJ_CONFIG": path}, stdout=subprocess.PIPE))
            for path in (f"{folder}/config.yaml", f"{folder}/config.yaml", "elsewhere/config.yaml")
        ]
        for process in crowd:
            stack.callback(process.kill)
            assert process.stdout is not None and process.stdout.readline()
        assert sorted(living(str(folder), {})["engine"]) == sorted(process.pid for process in crowd[:2])
        wait_for("samples of two", lambda: samples.exists() and len(read_samples(samples).doubled) > 1, 20)
        crowd[0].kill()
        wait_for("a zombie", lambda: living(str(folder), {})["engine"] == [crowd[1].pid], 20)
    assert read_samples(samples).report()["most_engines"] == 2
