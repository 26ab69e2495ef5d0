"""Run real demos and read their books with code of its own: pyarrow and csv, nothing of the product."""

from __future__ import annotations

import csv
import datetime as dt
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

ROOT = Path(__file__).resolve().parents[2]
EASTERN = ZoneInfo("America/New_York")
BarRow = tuple[int, float, float, float, float, int]


@dataclass
class Books:
    """Read the files of a finished demo."""

    run_dir: Path
    date: str

    def rows(self, name: str) -> list[dict[str, str]]:
        path = self.run_dir / name if "/" in name else self.run_dir / self.date / name
        if not path.exists():
            return []
        with path.open(encoding="utf-8", newline="") as lines:
            return list(csv.DictReader(lines))

    def journal(self) -> list[dict[str, Any]]:
        text = (self.run_dir / self.date / "journal.jsonl").read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines()]

    def trades_of(self, name: str) -> list[tuple[float, int]]:
        rows = self.rows(name)
        return [(float(row["price"]), int(float(row["size"]))) for row in rows if row.get("kind", "TRADE") == "TRADE"]

    def bars(self) -> dict[int, BarRow]:
        found: dict[int, BarRow] = {}
        for row in self.rows("bars.csv"):
            ts = int(dt.datetime.fromisoformat(row["ts"]).timestamp())
            prices = [float(row[key]) for key in ("open", "high", "low", "close")]
            assert ts not in found, f"minute {row['ts']} stands twice in bars.csv"
            found[ts] = (ts, *prices, int(row["volume"]))  # type: ignore[assignment]
        return found

    def state(self, name: str) -> dict[str, Any]:
        return json.loads((self.run_dir / "state" / f"{name}.stats.json").read_text(encoding="utf-8"))


def pj(*arguments: str, timeout: float = 900) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "pj.cli", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=timeout, check=False)


def epoch(date: str, clock: str) -> int:
    day = dt.date.fromisoformat(date)
    hour, minute = map(int, clock.split(":"))
    if hour >= 18:
        day -= dt.timedelta(days=1)
    return int(dt.datetime.combine(day, dt.time(hour, minute), tzinfo=EASTERN).timestamp())


def minute_bars(rows: list[dict[str, Any]]) -> dict[int, BarRow]:
    """Aggregate rows of (s, open, high, low, close, volume) into minutes, naively."""
    minutes: dict[int, list[dict[str, Any]]] = {}
    for row in rows:
        minutes.setdefault(row["s"] // 60 * 60, []).append(row)
    return {
        ts: (
            ts,
            part[0]["open"],
            max(row["high"] for row in part),
            min(row["low"] for row in part),
            part[-1]["close"],
            sum(row["volume"] for row in part),
        )
        for ts, part in minutes.items()
    }


def source_minutes(path: Path, start: int, end: int) -> dict[int, BarRow]:
    """Return the source's own minute bars in [start, end), from bars of any length or from trades."""
    table = pq.read_table(path)
    if "ts_event" in table.column_names:
        symbols = table["symbol"].to_pylist()
        main = max(set(symbols), key=symbols.count)
        seconds = [ns // 10**9 for ns in pc.cast(table["ts_event"], "timestamp[ns]").cast("int64").to_pylist()]
        trades = zip(seconds, symbols, table["price"].to_pylist(), table["size"].to_pylist(), strict=True)
        rows = [
            {"s": s, "open": price, "high": price, "low": price, "close": price, "volume": size}
            for s, symbol, price, size in trades
            if symbol == main and start <= s < end
        ]
        return minute_bars(rows)
    seconds = [ms // 1000 for ms in pc.cast(table["ts"], "timestamp[ms]").cast("int64").to_pylist()]
    columns = [table[key].to_pylist() for key in ("open", "high", "low", "close", "volume")]
    contract = table["contract"].to_pylist() if "contract" in table.column_names else [""] * len(seconds)
    picked = [
        ({"s": s, "open": o, "high": h, "low": low, "close": c, "volume": v}, name)
        for s, o, h, low, c, v, name in zip(seconds, *columns, contract, strict=True)
        if start <= s < end
    ]
    if not picked:
        return {}
    volumes: dict[str, int] = {}
    for row, name in picked:
        volumes[name] = volumes.get(name, 0) + row["volume"]
    front = max(volumes, key=lambda name: volumes[name])
    return minute_bars([row for row, name in picked if name == front])


@pytest.fixture
def run_demo(tmp_path: Path) -> Any:
    """Return a function that runs one demo to its end and gives its report and its books."""

    def play(date: str, *arguments: str, name: str = "run") -> tuple[dict[str, Any], Books]:
        folder = tmp_path / name
        done = pj("demo", "--date", date, *arguments, "--run-dir", str(folder), "--headless", "--json")
        assert done.stdout, f"the demo said nothing (code {done.returncode}): {done.stderr[-2000:]}"
        report = json.loads(done.stdout)
        assert done.returncode == 0, json.dumps(report, indent=1) + done.stderr[-2000:]
        return report, Books(folder, date)

    return play


@pytest.fixture
def source() -> Any:
    """Return the function that aggregates a source file by itself."""
    return source_minutes


@pytest.fixture
def at() -> Any:
    """Return the function that turns a trade date and an ET time into epoch seconds."""
    return epoch
