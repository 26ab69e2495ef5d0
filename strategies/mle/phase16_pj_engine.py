"""Backtest PJ-1 over Parquet bars (pj1 S13): the live engine bar by bar, or compiled kernels with the same rows.

``exact`` steps ``Engine.step``, the very engine that trades. ``compiled`` gives the same trades.csv and events.csv,
byte for byte, much sooner. No edge is claimed: the default parameters are choices, not findings.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Final, Literal

import numpy as np

from live.commands import RaiseAlarm, RecordEvent, RecordTrade, Trade
from live.engine import Engine, Route
from live.events import BarClosed
from live.market import INSTRUMENTS, NS_PER_S, Bar, Instrument
from live.params import Params, ParamsError
from live.trading_day import iso_utc
from strategies.mle.bar_file import BacktestInputError, BarColumns, load_bars, load_columns, trade_ordinals
from strategies.mle.compiled import run_compiled
from strategies.mle.equity import csv_bytes, curve, figures, svg_bytes
from strategies.mle.progress import Progress
from strategies.mle.run_files import Chunks, compiled_event_chunks, event_chunks, trade_chunks, write_whole
from strategies.mle.summary import BacktestSummary, Counts, counted, counted_tables, summary_of
from strategies.mle.tape import Tape, kept_days, tape_if_it_fits

__all__ = [
    "BacktestInputError",
    "BacktestSummary",
    "EngineName",
    "Ran",
    "load_bars",
    "read_params",
    "run_backtest",
    "run_bars",
]

EngineName = Literal["compiled", "exact"]
DEFAULT_SYMBOL: Final = "MNQ"
_STEP: Final = 4096


@dataclass(frozen=True, slots=True)
class Ran:
    """Hold what the engine recorded over a list of bars."""

    events: list[RecordEvent]
    trades: list[Trade]
    instrument: Instrument


@dataclass(frozen=True, slots=True)
class _Outcome:
    """Hold what either engine gives for the files and the summary."""

    trades: list[Trade]
    counts: Counts
    events: Callable[[], Chunks]
    tape: Tape | None


def read_params(path: Path | None, symbol: str | None = None) -> Params:
    """Return the parameters of a JSON file, the spec's defaults without one.

    A ``symbol`` of the instrument table supplies ``tick`` and ``tick_usd`` where the file does not; without it
    they are the spec's (0.25, 0.50: MNQ). Raises BacktestInputError with one sentence.
    """
    instrument = instrument_of(symbol) if symbol is not None else None
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
    engine: EngineName = "compiled",
    inspect: Callable[[BarColumns], object] | None = None,
) -> BacktestSummary:
    """Run PJ-1 over a Parquet file and write trades.csv, events.csv and the equity curve into ``out_dir`` (pj1 S13).

    Only bars of trade dates ``start`` to ``end`` (both included) are used, levels of earlier days included in that;
    ``inspect`` is shown them before anything else and may raise BacktestInputError.
    All files appear whole or not at all. Raises BacktestInputError for a file, folder or symbol that cannot be used.
    """
    instrument = params.instrument(instrument_of(symbol or DEFAULT_SYMBOL))
    columns = load_columns(Path(bars_path), instrument, front=front, snap=snap)
    columns = columns_between(columns, start, end)
    if inspect is not None:
        inspect(columns)
    outcome = _run_exact(columns, params, instrument) if engine == "exact" else _run_compiled(columns, params)
    days = curve(kept_days(columns).tolist(), outcome.trades)
    found = figures(days, outcome.trades)
    title = f"{Path(bars_path).name}: {len(outcome.trades)} trades, net of cost; no edge is claimed"
    out = Path(out_dir)
    write_whole(
        [
            (out / "trades.csv", lambda: trade_chunks(outcome.trades, instrument)),
            (out / "events.csv", outcome.events),
            (out / "equity.csv", lambda: [csv_bytes(days)]),
            (out / "equity.svg", lambda: [svg_bytes(days, title)]),
        ]
    )
    return summary_of(
        columns,
        outcome.counts,
        outcome.trades,
        trades_path=str(out / "trades.csv"),
        events_path=str(out / "events.csv"),
        equity_path=str(out / "equity.csv"),
        engine=engine,
        tape_sha256=outcome.tape.sha256 if outcome.tape is not None else "",
        figures=found,
    )


def columns_between(columns: BarColumns, start: date | None, end: date | None) -> BarColumns:
    """Return the bars of the trade dates from ``start`` to ``end``, both included; None is no bound."""
    if start is None and end is None:
        return columns
    first, last = (start or date.min).toordinal(), (end or date.max).toordinal()
    days = trade_ordinals(columns.ts_ns // NS_PER_S)
    return columns.take(np.flatnonzero((days >= first) & (days <= last)))


def _run_exact(columns: BarColumns, params: Params, instrument: Instrument) -> _Outcome:
    bars = columns.bars()
    with Progress(len(bars), "bars") as progress:
        ran = run_bars(_reported(bars, progress), params, instrument)
    return _Outcome(ran.trades, counted(ran.events), lambda: event_chunks(ran.events), tape_if_it_fits(columns))


def _reported(bars: Sequence[Bar], progress: Progress) -> Iterator[Bar]:
    for begin in range(0, len(bars), _STEP):
        progress.reach(begin)
        yield from bars[begin : begin + _STEP]


def _run_compiled(columns: BarColumns, params: Params) -> _Outcome:
    tape = Tape.of(columns)
    run = run_compiled(tape, params)
    return _Outcome(run.trades(), counted_tables(run), lambda: compiled_event_chunks(run), tape)


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
                raise BacktestInputError(f"{command.text} (bar {iso_utc(bar.ts_ns // NS_PER_S)})")
    return Ran(events, trades, engine.instrument)


def instrument_of(symbol: str) -> Instrument:
    """Return the instrument of the table; raises BacktestInputError for a symbol that is not in it."""
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
