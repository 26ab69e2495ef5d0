"""Say in numbers what a demo did, from its files alone."""

from __future__ import annotations

import csv
import datetime as dt
import json
import sys
from collections import Counter
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from live.market import INSTRUMENTS, NS_PER_S
from pj.channels.files import replace_atomic
from pj.channels.rundir import RunDir
from pj.channels.stats import read_stats
from pj.sheets.fidelity import audit, stored_rows
from pj.sheets.holes import lost_in_gaps

if TYPE_CHECKING:
    from pathlib import Path

    from pj.demo.plan import DemoPlan

EVENT_WORDS = ("DEFINED", "SWEPT", "RECLAIMED", "SIGNAL", "REJECT")


def read_rows(path: Path) -> list[dict[str, str]]:
    """Return a CSV's rows as dicts; an absent file has none."""
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def read_journal(path: Path) -> list[dict[str, Any]]:
    """Return a journal's lines; an absent file has none."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]


IN_FLIGHT_S = 0.05


def books(folder: RunDir, trade_date: dt.date, *, sheets: bool, slack_ns: int = 0) -> dict[str, Any]:
    """Return the tick books: ledger, both tapes and sheet, as counts and as verdicts on their sequences.

    ``equal``: the same ticks in the same order everywhere, and every row of every tab as on disk. ``in_gaps``: sent,
    not taped, inside a hole that the tape names. ``unexplained``: any other difference.
    """
    day = folder.day(trade_date)
    audited = audit(folder, stored_rows(folder) if sheets else None)
    first = audited.sent_to_tape
    in_gaps = 0
    if first is not None and first.missing and day.ticks.exists():
        in_gaps = lost_in_gaps(folder.simulators / "gateway_ledger.csv", day.ticks, slack_ns)
    rest = [audited.raw_to_channel, audited.tape_to_sheet, *audited.tabs.values()]
    copied = audited.sheet_wrong == 0 and all(part.equal for part in rest if part is not None)
    explained = first is not None and first.doubled == 0 and first.in_order and first.missing == in_gaps
    result: dict[str, Any] = {"sent": audited.sent, "taped_raw": audited.taped_raw, "taped": audited.taped}
    if sheets:
        result["sheet"] = audited.sheet
    return result | {
        "in_gaps": in_gaps,
        "rejected": audited.rejected,
        "late": len(read_rows(day.late_ticks)),
        "unexplained": not (copied and explained),
        "equal": audited.sent is not None and audited.equal,
    }


def _decisions(journal: list[dict[str, Any]]) -> dict[str, Any]:
    live = [line for line in journal if line["data"].get("mode", "LIVE") == "LIVE"]
    by_type = Counter(line["type"] for line in live)
    pools = Counter(line["data"]["pool"].split(":")[1][:-1] for line in journal if line["type"] == "DEFINED")
    refusals = Counter(line["data"]["reason"] for line in live if line["type"] == "REJECT")
    return {
        "pools": dict(sorted(pools.items())),
        "sweeps": by_type["SWEPT"],
        "reclaims": by_type["RECLAIMED"],
        "signals": by_type["SIGNAL"],
        "refusals": dict(sorted(refusals.items())),
        "orders": {
            "intents": by_type["INTENT"],
            "acked": by_type["ACKED"],
            "refused": by_type["REFUSED"],
            "unknown": by_type["UNKNOWN"],
        },
        "fills": by_type["EXECUTION"],
    }


def _gauges(folder: RunDir, name: str) -> dict[str, Any]:
    stats = read_stats(folder.state(name))
    return dict(stats.gauges) if stats else {}


def build_report(plan: DemoPlan, trouble: str, *, wall_s: float, stopped: bool = False) -> dict[str, Any]:
    """Return everything a demo can say of itself; ``ok`` is True when its books are equal and nothing went wrong."""
    folder = RunDir(plan.run_dir, INSTRUMENTS[plan.symbol])
    day = folder.day(plan.trade_date)
    bars = read_rows(day.bars)
    journal = read_journal(day.journal)
    trades = [line["data"] for line in journal if line["type"] == "TRADE"]
    live = [trade for trade in trades if trade["mode"] != "REHEARSED"]
    slack_ns = int(IN_FLIGHT_S * plan.speed * NS_PER_S)
    ticks = books(folder, plan.trade_date, sheets=plan.sheets, slack_ns=slack_ns)
    engine = _gauges(folder, "engine")
    children: dict[str, Any] = _gauges(folder, "sentinel").get("children", {})
    report: dict[str, Any] = {
        "ok": not trouble and not ticks["unexplained"] and bool(ticks["sent"]),
        "trouble": trouble,
        "stopped_by_operator": stopped,
        "symbol": plan.symbol,
        "trade_date": plan.trade_date.isoformat(),
        "speed": plan.speed,
        "route": plan.route,
        "ticks": ticks,
        "bars": {
            "closed": len(bars),
            "heartbeat": sum(row["heartbeat"] == "1" for row in bars),
            "degraded": sum(row["degraded"] == "1" for row in bars),
            "by_grace": sum(row["closed_by"] == "grace" for row in bars),
        },
        **_decisions(journal),
        "trades": len(live),
        "trades_rehearsed": len(trades) - len(live),
        "trades_corrected": len(_corrections(journal)),
        "net_usd": net_usd(journal),
        "open_position": engine.get("position"),
        "edge_to_bar_ms": engine.get("edge_to_bar_ms"),
        "edge_to_order_ms": engine.get("edge_to_order_ms"),
        "restarts": {name: child.get("restarts", 0) for name, child in children.items()},
        "journal": _journal_anchor(journal, plan.trade_date),
        "wall_s": round(wall_s, 1),
        "files": _files(plan, folder),
    }
    return report


def _corrections(journal: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the corrections that count in the day's net; one of an older day's trade does not."""
    return [line["data"] for line in journal if line["type"] == "TRADE_CORRECTED" and line["data"]["counts"]]


def net_usd(journal: list[dict[str, Any]]) -> str:
    """Return the day's net in dollars: what was booked and not rehearsed, and what corrections added to it."""
    booked = [line["data"] for line in journal if line["type"] == "TRADE" and line["data"]["mode"] != "REHEARSED"]
    return str(sum((Decimal(row["net_usd"]) for row in [*booked, *_corrections(journal)]), Decimal("0.00")))


def _journal_anchor(journal: list[dict[str, Any]], day: dt.date) -> dict[str, Any]:
    """Return the journal's head and line count, for ``pj audit verify``; empty when nothing was journaled."""
    return {"date": day.isoformat(), "seq": journal[-1]["seq"], "head": journal[-1]["hash"]} if journal else {}


def save_report(folder: RunDir, report: dict[str, Any]) -> None:
    """Put the report into its run folder; raise WriteFailed."""
    replace_atomic(folder.report, (json.dumps(report, indent=1) + "\n").encode())


def _files(plan: DemoPlan, folder: RunDir) -> dict[str, str]:
    day = folder.day(plan.trade_date)
    files = {
        "run_dir": plan.run_dir,
        "config": plan.run_dir / "config.yaml",
        "ledger": folder.simulators / "gateway_ledger.csv",
        "live_ticks": day.ticks,
        "live_market_data": day.market,
        "bars": day.bars,
        "journal": day.journal,
        "trades": day.trades,
        "logs": folder.logs,
    }
    if plan.sheets:
        files["sheet"] = folder.simulators / "sheet_RawTicks.csv"
    if plan.route == "traderspost":
        files["webhooks"] = folder.simulators / "traderspost.jsonl"
    return {name: str(path) for name, path in files.items()}


def table_lines(report: dict[str, Any]) -> list[str]:
    """Return the report as the lines of a short table, for people."""
    ticks, bars, orders = report["ticks"], report["bars"], report["orders"]
    holes = f"equal but for {ticks['in_gaps']} sent into a named gap"
    equal = "equal" if ticks["equal"] else "NOT EQUAL" if ticks["unexplained"] else holes
    sheet = f" / sheet {ticks['sheet']}" if "sheet" in ticks else ""
    pools = ", ".join(f"{kind} {count}" for kind, count in report["pools"].items()) or "none"
    refusals = ", ".join(f"{why} {count}" for why, count in report["refusals"].items()) or "none"
    restarts = ", ".join(f"{name} {count}" for name, count in report["restarts"].items()) or "none"
    rehearsed = f" (and {report['trades_rehearsed']} rehearsed over history)" if report["trades_rehearsed"] else ""
    corrected = f" ({report['trades_corrected']} corrected later)" if report["trades_corrected"] else ""
    rows = [
        ("played", f"{report['symbol']} {report['trade_date']} at {report['speed']:g}x, route {report['route']}"),
        ("ticks", f"sent {ticks['sent']} / taped {ticks['taped']}{sheet}: {equal}"),
        ("set aside", f"rejected {ticks['rejected']}, late {ticks['late']}"),
        (
            "bars",
            f"{bars['closed']} (heartbeat {bars['heartbeat']}, degraded {bars['degraded']}, grace {bars['by_grace']})",
        ),
        ("pools", pools),
        ("sweeps, reclaims", f"{report['sweeps']}, {report['reclaims']}"),
        ("signals", str(report["signals"])),
        ("refused", refusals),
        (
            "orders",
            ", ".join(f"{word} {count}" for word, count in orders.items()),
        ),
        ("fills, trades", f"{report['fills']}, {report['trades']}{corrected}{rehearsed}"),
        ("net PnL", f"{_usd(report['net_usd'])} (simulated; no edge is claimed)"),
        ("restarts", restarts),
        ("journal", _head(report["journal"])),
        ("took", f"{report['wall_s']} s"),
    ]
    width = max(len(name) for name, _ in rows)
    lines = [f"  {name:<{width}}  {value}" for name, value in rows]
    lines.append(f"  {'files':<{width}}  {report['files']['run_dir']}")
    if report["trouble"]:
        lines.append(f"  {'trouble':<{width}}  {report['trouble']}")
    return lines


def _head(anchor: dict[str, Any]) -> str:
    return f"{anchor['seq']} lines, head {anchor['head'][:16]}" if anchor else "empty"


def _usd(amount: str) -> str:
    return f"-${amount[1:]}" if amount.startswith("-") else f"${amount}"


def print_report(report: dict[str, Any], *, as_json: bool) -> None:
    """Print the report to stdout: one JSON object, or the table."""
    if as_json:
        json.dump(report, sys.stdout, indent=1)
        sys.stdout.write("\n")
        return
    ending = "stopped by the operator" if report["stopped_by_operator"] else "finished"
    verdict = f"demo {ending}: {'the books are equal' if report['ok'] else 'NOT in order'}"
    sys.stdout.write("\n".join([verdict, *table_lines(report)]) + "\n")
