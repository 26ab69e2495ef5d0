"""Check a finished campaign's books: orders, bars, ticks, sheet, journal. Each check asserts and returns figures."""

from __future__ import annotations

import csv
import datetime as dt
import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from pj.channels.journal import verify_run
from pj.demo.report import build_report

if TYPE_CHECKING:
    from pathlib import Path

    from campaign_demo import Demo

NS_PER_S = 10**9


def rows(path: Path) -> list[dict[str, str]]:
    """Return a CSV's rows; an absent file has none."""
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def check_orders(one: Demo) -> dict[str, int]:
    """No order key was sent twice, none was executed twice, no signal has two entries."""
    lines = (one.folder / "simulators" / "traderspost.jsonl").read_text(encoding="utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    bodies = [record["body"] for record in records if record["kind"] == "REQUEST"]
    entries = [body["extras"] for body in bodies if body["action"] in {"buy", "sell"}]
    executed = [record["signal_id"] for record in records if record["kind"] == "EXECUTED"]
    for what, names in {
        "an entry was sent twice": [extras["key"] for extras in entries],
        "a pool's one signal has two entries": [extras["pool"] for extras in entries],
        "an entry was executed twice": [key for key in executed if key.endswith(":ENTRY")],
    }.items():
        twice = [name for name, count in Counter(names).items() if count > 1]
        assert not twice, f"{what}: {twice}"
    journal = _journal(one)
    intents = {line["data"]["key"] for line in journal if line["type"] == "INTENT"}
    sent = {extras["key"] for extras in entries}
    assert sent <= intents, f"entries were sent that no intent on disk announced: {sorted(sent - intents)}"
    kinds = Counter(line["type"] for line in journal)
    return {
        "intents": len(intents),
        "entries_sent": len(entries),
        "executed": len(executed),
        "acked": kinds["ACKED"],
        "unknown": kinds["UNKNOWN"],
        "doubled": 0,
    }


def check_bars(one: Demo) -> dict[str, int]:
    """Whole minutes equal what the gateway sent in them, and no minute stands twice."""
    sent: dict[int, list[dict[str, str]]] = {}
    for row in rows(one.folder / "simulators" / "gateway_ledger.csv"):
        if row["kind"] == "TRADE":
            sent.setdefault(int(row["sent_ns"]) // NS_PER_S // 60 * 60, []).append(row)
    bars = rows(_day(one) / "bars.csv")
    assert len({bar["ts"] for bar in bars}) == len(bars), "a minute stands twice in bars.csv"
    whole = [bar for bar in bars if bar["degraded"] == "0"]
    for bar in whole:
        ticks = sent.get(int(dt.datetime.fromisoformat(bar["ts"]).timestamp()), [])
        if bar["heartbeat"] == "1":
            assert not ticks, bar
            continue
        prices = [float(tick["price"]) for tick in ticks]
        expected = (prices[0], max(prices), min(prices), prices[-1], sum(int(tick["size"]) for tick in ticks))
        got = tuple(float(bar[key]) for key in ("open", "high", "low", "close"))
        assert (*got, int(bar["volume"])) == expected, bar
    return {"bars": len(bars), "whole": len(whole), "degraded": len(bars) - len(whole)}


def check_books(one: Demo, wall_s: float) -> dict[str, Any]:
    """Nothing is doubled, nothing missing but what lies in holes that the tape names; the sheet equals the tape."""
    report = build_report(one.run.plan, "", wall_s=wall_s, stopped=True)
    ticks = report["ticks"]
    assert report["ok"] and not ticks["unexplained"], json.dumps(report, indent=1)
    assert ticks["taped_raw"] == ticks["taped"] == ticks["sheet"], ticks
    assert ticks["sent"] - ticks["taped"] == ticks["in_gaps"], ticks
    gaps = [row for row in rows(_day(one) / "live_market_data.csv") if row["kind"] == "GAP"]
    counts = {key: ticks[key] for key in ("sent", "taped", "sheet", "in_gaps", "rejected", "late")}
    return counts | {"gaps": dict(Counter(row["source"] for row in gaps))}


def check_journal(one: Demo) -> dict[str, int]:
    """The chain of hashes is whole, and so is the last line."""
    found = verify_run(one.run.folder)
    assert found.count > 0
    assert found.torn == b""
    return {"lines": found.count}


def _day(one: Demo) -> Path:
    return one.folder / one.run.plan.trade_date.isoformat()


def _journal(one: Demo) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (_day(one) / "journal.jsonl").read_text(encoding="utf-8").splitlines()]
