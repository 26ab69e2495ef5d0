"""Run the embedded demo for real, shortly: every process, every socket, one kill -9 of each child."""

from __future__ import annotations

import csv
import datetime as dt
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

ROOT = Path(__file__).resolve().parents[2]
DAY = "2026-11-18"
CHILDREN = ("bridge", "engine", "scribe", "dashboard")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


def _stats(folder: Path, name: str) -> dict[str, Any]:
    try:
        return json.loads((folder / "state" / f"{name}.stats.json").read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError):
        return {}


def _until(what: str, test: Any, limit_s: float) -> None:
    deadline = time.monotonic() + limit_s
    while not test():
        assert time.monotonic() < deadline, f"waited {limit_s} s for {what}"
        time.sleep(0.1)


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def _check_bars(folder: Path) -> None:
    """Whole minutes equal what the gateway sent in them; the bridge's hole has a name, its minutes are degraded."""
    sent: dict[int, list[dict[str, str]]] = {}
    for row in _rows(folder / "simulators" / "gateway_ledger.csv"):
        if row["kind"] == "TRADE":
            sent.setdefault(int(row["sent_ns"]) // 10**9 // 60 * 60, []).append(row)
    bars = _rows(folder / DAY / "bars.csv")
    whole = [bar for bar in bars if bar["degraded"] == "0"]
    assert len(whole) < len(bars)
    for bar in whole:
        ticks = sent.get(int(dt.datetime.fromisoformat(bar["ts"]).timestamp()), [])
        if bar["heartbeat"] == "1":
            assert not ticks, bar
            continue
        prices = [float(tick["price"]) for tick in ticks]
        expected = (prices[0], max(prices), min(prices), prices[-1], sum(int(tick["size"]) for tick in ticks))
        got = tuple(float(bar[key]) for key in ("open", "high", "low", "close"))
        assert (*got, int(bar["volume"])) == expected, bar
    gaps = [row for row in _rows(folder / DAY / "live_market_data.csv") if row["kind"] == "GAP"]
    assert {row["source"] for row in gaps} == {"RESTART"}
    keys = [body["extras"]["key"] for body in _entries(folder)]
    assert len(keys) == len(set(keys)), "an entry was sent twice"


def _check_trade(folder: Path) -> None:
    """The seed's trade of 09:49 is seen whole: signal, webhook, fills at the gateway, trades.csv, TradeLog."""
    journal = (folder / DAY / "journal.jsonl").read_text(encoding="utf-8").splitlines()
    live = [
        row for row in map(json.loads, journal) if row["type"] in {"SIGNAL", "TRADE"} and row["data"]["mode"] == "LIVE"
    ]
    signal_, trade = live[0]["data"], live[-1]["data"]
    assert [row["type"] for row in live] == ["SIGNAL", "TRADE"]
    [entry] = _entries(folder)
    assert entry["extras"]["pool"] == signal_["pool"] == trade["pool_id"]
    fills = [row for row in _rows(folder / DAY / "broker_events.csv") if row["kind"] == "EXECUTION"]
    assert {row["order_ref"] for row in fills} == {entry["extras"]["key"]}
    assert [row["price"] for row in fills] == [trade["entry_price"], trade["exit_price"]]
    assert [row["pool_id"] for row in _rows(folder / DAY / "trades.csv")] == [signal_["pool"]]
    log = [(row["event"], row["pool_id"]) for row in _rows(folder / "simulators" / "sheet_TradeLog.csv")]
    assert ("SIGNAL", signal_["pool"]) in log
    assert ("TRADE", signal_["pool"]) in log


def _pj(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "pj.cli", *words, "--run-dir", str(folder)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=60)


def _check_story(folder: Path) -> None:
    """Explain every decision of the run in words, the trade with its money, and find every anchor holding."""
    listed = json.loads(_pj(folder, "explain", "--json").stdout)["decisions"]
    assert listed
    for row in listed:
        story = json.loads(_pj(folder, "explain", row["pool"], "--json").stdout)
        assert len(story["gates"]) == 14 and not [gate for gate in story["gates"] if "no figures" in gate["text"]]
        assert story["life"][-1]["kind"] == "RECLAIMED"
    told = _pj(folder, "explain", "last")
    trade = _rows(folder / DAY / "trades.csv")[-1]
    assert told.returncode == 0 and told.stderr == ""
    assert f"Taken: {trade['side']} {trade['qty']}, out by its " in told.stdout
    for words in ("decided, and on disk before anything was sent", "accepted; its name there", "filled: bought", "R)"):
        assert words in told.stdout, told.stdout
    assert _pj(folder, "audit", "show", "--trade", trade["trade_id"]).stdout == told.stdout
    audited = json.loads(_pj(folder, "audit", "verify", "--json").stdout)
    assert audited["ok"], audited["trouble"]
    places = audited["journals"][-1]
    assert places["anchors"] >= 3 and places["anchored_to"] == places["lines"], "stats, report and sheet hold it"
    path = folder / DAY / "journal.jsonl"
    data = path.read_bytes()
    path.write_bytes(b"".join(data.splitlines(keepends=True)[:-1]))
    cut = _pj(folder, "audit", "verify")
    path.write_bytes(data)
    assert cut.returncode == 1 and "the journal was cut or written anew" in cut.stderr


def _entries(folder: Path) -> list[dict[str, Any]]:
    """Return the bodies of the entries that came to the webhook."""
    lines = (folder / "simulators" / "traderspost.jsonl").read_text(encoding="utf-8").splitlines()
    bodies = [row["body"] for row in map(json.loads, lines) if row["kind"] == "REQUEST"]
    return [body for body in bodies if body["action"] in {"buy", "sell"}]


def _start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-P", "-m", "pj.cli", "demo", "--run-dir", str(folder), "--headless", "--json"]
    return subprocess.Popen([*command, *arguments], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _left(folder: Path) -> list[int]:
    """Return the processes that still serve the run folder, by its path in command line or settings."""
    found = []
    for process in psutil.process_iter():
        try:
            words = " ".join(process.cmdline()) + process.environ().get("PJ_CONFIG", "")
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue
        if str(folder) in words and process.pid != os.getpid():
            found.append(process.pid)
    return found


def test_every_child_killed_once_and_the_books_are_still_equal(tmp_path: Path) -> None:
    folder = tmp_path / "run dir"
    demo = _start(folder, "--from", "09:29", "--to", "09:59", "--speed", "40")
    try:
        _until("the first bars", lambda: _stats(folder, "engine").get("bars", 0) >= 2, 90)
        for name in CHILDREN:
            pid = _stats(folder, name)["pid"]
            os.kill(pid, signal.SIGKILL)
            _until(f"a new {name}", lambda name=name, pid=pid: _stats(folder, name).get("pid", pid) != pid, 15)
            time.sleep(1.0)
        out, err = demo.communicate(timeout=180)
    finally:
        demo.kill()
        demo.wait()
    report = json.loads(out)
    assert demo.returncode == 0, json.dumps(report, indent=1) + err[-2000:]
    assert {name: report["restarts"][name] for name in CHILDREN} == dict.fromkeys(CHILDREN, 1)
    assert not report["ticks"]["unexplained"]
    _check_bars(folder)
    _check_trade(folder)
    _check_story(folder)
    assert report["orders"]["intents"] == report["orders"]["acked"] + report["orders"]["refused"]
    assert not _left(folder)


def test_ctrl_c_closes_the_books_and_a_killed_demo_leaves_nothing(tmp_path: Path) -> None:
    for number in (signal.SIGINT, signal.SIGKILL):
        folder = tmp_path / number.name
        demo = _start(folder, "--from", "09:30", "--to", "10:30", "--speed", "60")
        try:
            _until("the first bars", lambda folder=folder: _stats(folder, "engine").get("bars", 0) >= 2, 90)
            demo.send_signal(number)
            out, err = demo.communicate(timeout=60)
        finally:
            demo.kill()
            demo.wait()
        if number is signal.SIGINT:
            report = json.loads(out)
            assert demo.returncode == 0, err[-2000:]
            ticks = report["ticks"]
            assert report["stopped_by_operator"]
            # In the middle of the tape: the bridge cancels, reads what is on its way, writes it, and only then leaves.
            assert ticks["sent"] == ticks["taped_raw"] == ticks["taped"] == ticks["sheet"]
        _until("every process to end", lambda folder=folder: not _left(folder), 15)
