"""Backtest PJ-1 over Parquet bars with the very engine that trades: ``Engine.step``, bar by bar (pj1 S13).

No edge is claimed: the default parameters are choices, not findings. What comes out is two files, trades.csv and
events.csv, whose every digit follows from the bars and the parameters.
"""

from __future__ import annotations

import csv
import json
import os
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Final

from live.commands import RaiseAlarm, RecordEvent, RecordTrade, Trade
from live.engine import Engine, Route
from live.events import BarClosed
from live.market import INSTRUMENTS, Bar, Instrument
from live.params import Params, ParamsError
from live.records import EVENT_COLUMNS, TRADE_COLUMNS, event_row, trade_row, usd_text
from live.trading_day import iso_utc, trade_date
from strategies.mle.bar_file import BacktestInputError, load_bars

__all__ = ["BacktestInputError", "BacktestSummary", "Ran", "load_bars", "read_params", "run_backtest", "run_bars"]

DEFAULT_SYMBOL: Final = "MNQ"


@dataclass(frozen=True, slots=True)
class Ran:
    """Hold what the engine recorded over a list of bars."""

    events: list[RecordEvent]
    trades: list[Trade]
    instrument: Instrument


@dataclass(frozen=True, slots=True)
class BacktestSummary:
    """Count what a backtest did; ``net_usd`` is text with two decimals."""

    bars: int
    first_bar: str
    last_bar: str
    pools: dict[str, int] = field(default_factory=dict)
    sweeps: int = 0
    reclaims: int = 0
    signals: int = 0
    refusals: dict[str, int] = field(default_factory=dict)
    cancels: dict[str, int] = field(default_factory=dict)
    locks: int = 0
    trades: int = 0
    wins: int = 0
    net_usd: str = "0.00"
    trades_path: str = ""
    events_path: str = ""

    def as_dict(self) -> dict[str, object]:
        """Return the summary as a JSON object."""
        return asdict(self)


def read_params(path: Path | None, symbol: str | None = None) -> Params:
    """Return the parameters of a JSON file, the spec's defaults without one.

    A ``symbol`` of the instrument table supplies ``tick`` and ``tick_usd`` where the file does not; without it
    they are the spec's (0.25, 0.50: MNQ). Raises BacktestInputError with one sentence.
    """
    instrument = _instrument(symbol) if symbol is not None else None
    raw: object = {}
    if path is not None:
        try:
            raw = json.loads(path.read_text("utf-8"), parse_float=Decimal, object_pairs_hook=_unique)
        except OSError as error:
            raise BacktestInputError(f"parameter file {path} cannot be read ({error.strerror})") from error
        except ValueError as error:
            raise BacktestInputError(f"parameter file {path} is not a JSON object ({error})") from error
    if not isinstance(raw, dict):
        raise BacktestInputError(f"parameter file {path} must hold one JSON object of parameter names and values")
    try:
        return Params.from_dict(raw, instrument)
    except ParamsError as error:
        where = f" (in {path})" if path is not None else ""
        raise BacktestInputError(f"{error}{where}") from error


def run_backtest(
    bars_path: Path,
    out_dir: Path,
    params: Params,
    start: date | None = None,
    end: date | None = None,
    *,
    front: bool = False,
    snap: bool = False,
    symbol: str | None = None,
) -> BacktestSummary:
    """Run PJ-1 over a Parquet file and write trades.csv and events.csv into ``out_dir`` (pj1 S13).

    Only bars of trade dates ``start`` to ``end`` (both included) are used, levels of earlier days included in that.
    Both files appear whole or not at all. Raises BacktestInputError for a file, folder or symbol that cannot be used.
    """
    instrument = params.instrument(_instrument(symbol or DEFAULT_SYMBOL))
    bars = load_bars(Path(bars_path), instrument, front=front, snap=snap)
    if start is not None or end is not None:
        first, last = start or date.min, end or date.max
        bars = [bar for bar in bars if first <= trade_date(bar.ts_ns) <= last]
    ran = run_bars(bars, params, instrument)
    trades_path, events_path = Path(out_dir) / "trades.csv", Path(out_dir) / "events.csv"
    _write_both(
        (trades_path, TRADE_COLUMNS, (trade_row(trade, ran.instrument) for trade in ran.trades)),
        (events_path, EVENT_COLUMNS, map(event_row, ran.events)),
    )
    return _summary(bars, ran, trades_path, events_path)


def run_bars(bars: Iterable[Bar], params: Params, instrument: Instrument) -> Ran:
    """Return what a fresh engine records over ``bars``; a bar the engine refuses raises BacktestInputError."""
    engine = Engine(params, instrument, Route.SIMULATED)
    events: list[RecordEvent] = []
    trades: list[Trade] = []
    step: Callable[[BarClosed], Sequence[object]] = engine.step
    for bar in bars:
        for command in step(BarClosed(bar)):
            if isinstance(command, RecordEvent):
                events.append(command)
            elif isinstance(command, RecordTrade):
                trades.append(command.trade)
            elif isinstance(command, RaiseAlarm):
                raise BacktestInputError(f"{command.text} (bar {iso_utc(bar.ts_ns // 10**9)})")
    return Ran(events, trades, engine.instrument)


def _instrument(symbol: str) -> Instrument:
    found = INSTRUMENTS.get(symbol)
    if found is None:
        raise BacktestInputError(f"unknown symbol {symbol!r}; the known ones are {', '.join(INSTRUMENTS)}")
    return found


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twice!r} stands in it twice")
    return found


def _write_both(*files: tuple[Path, Sequence[str], Iterable[dict[str, str]]]) -> None:
    """Write all files beside their places, then move them in, so that a failure leaves nothing half-written."""
    staged: list[tuple[Path, Path]] = []
    try:
        for path, columns, rows in files:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
            staged.append((Path(name), path))
            with os.fdopen(handle, "w", encoding="utf-8", newline="") as stream:
                writer = csv.DictWriter(stream, columns, lineterminator="\n")
                writer.writeheader()
                writer.writerows(rows)
        for temporary, path in staged:
            temporary.replace(path)
    except OSError as error:
        raise BacktestInputError(
            f"{error.filename or files[0][0].parent} cannot be written ({error.strerror})"
        ) from error
    finally:
        for temporary, _ in staged:
            temporary.unlink(missing_ok=True)


def _summary(bars: Sequence[Bar], ran: Ran, trades_path: Path, events_path: Path) -> BacktestSummary:
    pools: dict[str, int] = {}
    refusals: dict[str, int] = {}
    cancels: dict[str, int] = {}
    counts: dict[str, int] = {}
    for event in ran.events:
        counts[event.event] = counts.get(event.event, 0) + 1
        if event.event == "DEFINED":
            kind = event.pool.split(":")[1][:-1]
            pools[kind] = pools.get(kind, 0) + 1
        elif event.event == "REJECT":
            refusals[event.reason] = refusals.get(event.reason, 0) + 1
        elif event.event == "ENTRY_CANCEL":
            cancels[event.reason] = cancels.get(event.reason, 0) + 1
    return BacktestSummary(
        bars=len(bars),
        first_bar=iso_utc(bars[0].ts_ns // 10**9) if bars else "",
        last_bar=iso_utc(bars[-1].ts_ns // 10**9) if bars else "",
        pools=pools,
        sweeps=counts.get("SWEPT", 0),
        reclaims=counts.get("RECLAIMED", 0),
        signals=counts.get("SIGNAL", 0),
        refusals=refusals,
        cancels=cancels,
        locks=counts.get("LOCK", 0),
        trades=len(ran.trades),
        wins=sum(trade.net_cents > 0 for trade in ran.trades),
        net_usd=usd_text(sum(trade.net_cents for trade in ran.trades)),
        trades_path=str(trades_path),
        events_path=str(events_path),
    )
