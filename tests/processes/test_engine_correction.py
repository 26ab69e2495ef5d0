"""A late execution after an ESTIMATED booking changes the day's net wherever somebody reads it."""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from engine_world import MNQ, World

from live.execution_bridge import order_ref
from live.market import Bar
from live.trading_day import at_minute_ns
from pj.channels.csvlog import CsvLog
from pj.channels.formats import BROKER_EVENT_COLUMNS
from pj.channels.orders import ORDERS_FILE
from pj.cli import main
from pj.demo.report import net_usd
from pj.demo.report import read_journal as journal_rows
from pj.sheets.rows import LOG_COLUMNS, TRADE_LOG, tabs_for
from pj.sheets.streams import Cursor, RowStream

DAY = date(2026, 4, 15)
OPEN_M = 928
SPEED = 20.0
CONFIG = """profile: sim
strategy:
  pj: {use_kinds: [PD], min_prev_day_bars: 1, windows: [["18:00", "17:00"]], max_hold_min: 300}
"""


def minutes() -> list[Bar]:
    """Return yesterday with a low of 900, a quiet morning, and the minute that sweeps and reclaims that low."""
    eve = Bar(at_minute_ns(DAY - timedelta(days=1), 100), 950, 1000, 900, 950, 7, "MNQM6")
    quiet = [Bar(at_minute_ns(DAY, minute), 950, 951, 949, 950, 8, "MNQM6") for minute in range(920, OPEN_M + 3)]
    sweep = Bar(at_minute_ns(DAY, OPEN_M + 3), 899, 911, 890, 910, 8, "MNQM6")
    after = [
        Bar(at_minute_ns(DAY, minute), 910, 911, 909, 910, 8, "MNQM6") for minute in range(OPEN_M + 4, OPEN_M + 60)
    ]
    return [eve, *quiet, sweep, *after]


class Books:
    """Write broker_events.csv as the bridge does: what the gateway says of the account."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._log = CsvLog(world.paths.create().broker_events, BROKER_EVENT_COLUMNS)

    def tell(self, kind: str, **cells: object) -> None:
        """Append one row."""
        row = {name: str(value) for name, value in cells.items()}
        self._log.append({"recv_ns": str(self._world.clock.now_ns()), "kind": kind, **row})

    def fill(self, exec_id: str, side: str, qty: int, price: str, key: str) -> None:
        """Tell one execution."""
        cells = {"exec_id": exec_id, "side": side, "qty": qty, "price": price, "order_ref": order_ref(key)}
        self.tell("EXECUTION", contract="MNQM6", **cells)

    def held(self, qty: int) -> None:
        """Tell working orders (none) and position."""
        self.tell("ORDERS_END")
        self.tell("POSITION", contract="MNQM6", position=qty)

    def close(self) -> None:
        """Close the file."""
        self._log.close()


@pytest.fixture
def world(run_dir: Path) -> Iterator[World]:
    bars = minutes()
    begin_ns, end_ns = at_minute_ns(DAY, OPEN_M), at_minute_ns(DAY, OPEN_M + 60)
    (run_dir.parent / "config.yaml").write_text(CONFIG)
    made = World(run_dir, DAY, bars, begin_ns, end_ns, SPEED, settings={"execution.route": "ibkr"})
    yield made
    made.close()


def entry_of(world: World) -> dict[str, Any]:
    """Return the entry that the engine handed over."""
    path = world.paths.folder / ORDERS_FILE
    deadline = time.monotonic() + 40
    while time.monotonic() < deadline:
        rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        entries = [row for row in rows if row["order"] == "ENTRY"]
        if entries:
            return dict(entries[0])
        time.sleep(0.02)
    raise AssertionError(f"no entry; the engine says {world.stats()}")


def frame(world: World) -> str:
    """Return what the dashboard's process prints."""
    command = [sys.executable, "-P", "-m", "pj.processes.live_dashboard", "--once", "--size", "160x50"]
    return subprocess.run(command, env=world.env(), capture_output=True, text=True, check=False).stdout


def shown(cents: int) -> str:
    return f"{'-' if cents < 0 else ''}${abs(cents) / 100:,.2f}"


def day_line(text: str) -> str:
    return next(line for line in text.splitlines() if "Day PnL" in line).partition("Day PnL")[2]


def readings(world: World, trade_id: str) -> dict[str, Decimal]:
    """Return the net that each reader of the journal adds up, in dollars."""
    stream = RowStream(world.run, next(tab for tab in tabs_for(MNQ) if tab.title == TRADE_LOG), lambda *_: None)
    chunk = stream.gather(Cursor())
    assert chunk is not None
    place = LOG_COLUMNS.index("net_usd")
    sheet = sum((Decimal(str(row[place])) for row in chunk.rows if row[place] != "-"), Decimal(0))
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        assert main(["audit", "show", "--trade", trade_id, "--run-dir", str(world.root)]) == 0
    verdict = out.getvalue().splitlines()[1].rpartition(" net ")[2].rstrip(".").replace("$", "").replace(",", "")
    return {"sheet": sheet, "report": Decimal(net_usd(journal_rows(world.paths.journal))), "show": Decimal(verdict)}


@pytest.mark.slow
def test_a_late_execution_shows_in_the_dashboards_day_net(world: World) -> None:
    world.write_history()
    books = Books(world)
    books.held(0)
    books.tell("STATUS", status="connected")
    world.play()
    world.start_engine()
    entry = entry_of(world)
    key, qty = entry["key"], entry["qty"]
    books.tell("ANSWER", order_ref=key, status="TAKEN", order_id="1")
    books.fill("in", "BUY", qty, "227.75", key)
    world.wait(lambda stats: stats.gauge("position", 0) == qty)
    told = threading.Event()
    repeat = threading.Thread(target=lambda: [books.held(0) for _ in iter(lambda: told.wait(2.0), True)], daemon=True)
    repeat.start()
    stats = world.wait(lambda stats: stats.gauge("position", 1) == 0 and not stats.gauge("pending", default=True), 40)
    told.set()
    repeat.join()
    estimated = stats.gauge("day_pnl_cents", 0)
    assert estimated == (-26 * 50 - 124) * qty, "booked at the stop (886) less a tick: 885, bought at 911"
    assert shown(estimated) in day_line(frame(world))
    books.fill("out", "SELL", qty, "230.25", key)
    right = (10 * 50 - 124) * qty
    stats = world.wait(lambda stats: stats.gauge("day_pnl_cents", estimated) != estimated)
    assert stats.gauge("day_pnl_cents", 0) == right, "sold at 921"
    assert shown(right) in day_line(frame(world))
    assert any("TRADE_CORRECTED" in line for line in stats.gauge("last_events", []))
    world.kill_engine()
    world.start_engine()
    assert world.wait(lambda stats: stats.phase == "RUNNING").gauge("day_pnl_cents", 0) == right
    assert world.stop_engine() == 0
    books.close()
    lines = world.journal()
    (trade,) = [line for line in lines if line.type == "TRADE"]
    (corrected,) = [line for line in lines if line.type == "TRADE_CORRECTED"]
    codes = [line.data["code"] for line in lines if line.type == "ALARM"]
    assert codes.count("PHANTOM") == codes.count("LATE_EXECUTION") == 1
    assert corrected.data["trade_id"] == int(trade.data["trade_id"])
    assert readings(world, trade.data["trade_id"]) == dict.fromkeys(("sheet", "report", "show"), Decimal(right) / 100)
