"""Play real files through the real processes: bars equal the source, the books equal each other."""

from __future__ import annotations

import csv
import datetime as dt
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from strategies.mle.phase16_pj_engine import read_params, run_backtest

pytestmark = [pytest.mark.campaign, pytest.mark.timeout(1200)]

MINUTES = "mnq_1m_2026-03_2026-05.parquet"
SECONDS = "mnq_1s_2025-10-08_2025-10-23.parquet"
TRADES = "nq_trades_2025-05-04.parquet"
CASES = [
    pytest.param(MINUTES, "2026-04-15", "08:00", "11:35", [], id="minutes"),
    pytest.param(SECONDS, "2025-10-08", "09:20", "11:35", [], id="seconds"),
    pytest.param(TRADES, "2025-05-05", "18:00", "19:59", ["--symbol", "NQ"], id="trades"),
]


def check_bars(books: Any, expected: dict[int, Any]) -> None:
    bars = books.bars()
    wrong = {ts: (bars.get(ts), bar) for ts, bar in expected.items() if bars.get(ts) != bar}
    assert not wrong, f"{len(wrong)} of {len(expected)} minutes differ, first: {sorted(wrong.items())[:3]}"


def check_books(books: Any) -> None:
    ledger = books.trades_of("simulators/gateway_ledger.csv")
    assert ledger
    assert books.trades_of("live_ticks.csv") == ledger
    assert books.trades_of("live_market_data.csv") == ledger
    assert books.trades_of("simulators/sheet_RawTicks.csv") == ledger


@pytest.mark.parametrize(("file", "date", "start", "end", "extra"), CASES)
def test_bars_equal_the_source_and_the_books_each_other(
    file: str, date: str, start: str, end: str, extra: list[str], market_data: Path, run_demo: Any, source: Any, at: Any
) -> None:
    tape = market_data / file
    window = ["--from", start, "--to", end, "--speed", "60"]
    report, books = run_demo(date, "--tape", str(tape), *window, *extra)
    check_bars(books, source(tape, at(date, start), at(date, end)))
    check_books(books)
    assert report["ticks"]["equal"]


def _history_and_day(tape: Path, source: Any, at: Any, date: str, end: str, target: Path) -> None:
    """Write the bars of the previous trade date in the file and of the day up to ``end`` as one Parquet file."""
    day = dt.date.fromisoformat(date)
    bars: dict[int, Any] = {}
    for back in range(1, 5):
        previous = (day - dt.timedelta(days=back)).isoformat()
        bars = source(tape, at(previous, "18:00"), at(previous, "17:00")) if back else {}
        if bars:
            break
    bars |= source(tape, at(date, "18:00"), at(date, end))
    columns = list(zip(*[bars[ts] for ts in sorted(bars)], strict=True))
    ts = pa.array([s * 1000 for s in columns[0]], pa.timestamp("ms", tz="UTC"))
    names = ["ts", "open", "high", "low", "close", "volume"]
    pq.write_table(pa.table([ts, *[pa.array(column) for column in columns[1:]]], names=names), target)


@pytest.mark.parametrize(("file", "date", "start", "end", "extra"), CASES)
def test_paper_decisions_equal_the_backtest(
    file: str,
    date: str,
    start: str,
    end: str,
    extra: list[str],
    market_data: Path,
    run_demo: Any,
    source: Any,
    at: Any,
    tmp_path: Path,
) -> None:
    tape = market_data / file
    window = ["--from", start, "--to", end, "--speed", "60"]
    _, books = run_demo(date, "--tape", str(tape), *window, *extra, "--route", "paper", "--no-sheets")
    bars = tmp_path / "bars.parquet"
    _history_and_day(tape, source, at, date, end, bars)
    run_backtest(bars, tmp_path / "out", read_params(None, extra[1] if extra else None))
    with (tmp_path / "out" / "events.csv").open(encoding="utf-8", newline="") as lines:
        expected = list(csv.DictReader(lines))
    words = {row["event"] for row in expected}
    journal = [line for line in books.journal() if line["type"] in words]
    got = [{key: _text(line["data"][key]) for key in expected[0]} for line in journal]
    assert got == expected
    with (tmp_path / "out" / "trades.csv").open(encoding="utf-8", newline="") as lines:
        trades = list(csv.DictReader(lines))
    taken = [line["data"] for line in books.journal() if line["type"] == "TRADE"]
    assert [{key: _text(row[key]) for key in trades[0]} for row in taken] == trades if trades else not taken


def _text(value: Any) -> str:
    return "" if value is None else str(value)
