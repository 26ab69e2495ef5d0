"""Backtest one file or all files of a folder, several at a time, and leave run.json beside every result.

Files are independent: each runs in a process of its own and writes its own folder, so the number of processes changes
nothing but the time.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

from live.params import Params
from live.records import usd_text
from strategies.mle.bar_file import BacktestInputError, BarColumns
from strategies.mle.phase16_pj_engine import EngineName, run_backtest
from strategies.mle.progress import Progress
from strategies.mle.registry import RunFolder
from strategies.mle.summary import BacktestSummary

T = TypeVar("T")
OUTPUTS = ("equity.csv", "equity.svg", "events.csv", "trades.csv")


@dataclass(frozen=True, slots=True)
class Choices:
    """Hold what one command asks of every file."""

    params: Params
    symbol: str
    start: date | None = None
    end: date | None = None
    front: bool = False
    snap: bool = False
    engine: EngineName = "compiled"
    inspect: Callable[[str, BarColumns], Mapping[str, Any]] | None = None
    """Judges the bars of a file (its name, the bars) before the run: a picklable function; what it returns is kept."""

    def inputs(self) -> dict[str, Any]:
        """Return what decides the result beside the bars and the parameters."""
        return {
            "symbol": self.symbol,
            "from": self.start,
            "to": self.end,
            "front": self.front,
            "snap": self.snap,
            "engine": self.engine,
        }


@dataclass(slots=True)
class Many:
    """Hold the summaries of the files that ran and the refusals of those that did not, by file name without ending."""

    files: dict[str, BacktestSummary] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    def total(self) -> BacktestSummary:
        """Return the sums over all files; first and last bar are the earliest and the latest."""
        every = [self.files[name] for name in sorted(self.files)]
        counts = ("bars", "sweeps", "reclaims", "signals", "locks", "trades", "wins")
        sums = {name: sum(getattr(one, name) for one in every) for name in counts}
        tables = {name: _added([getattr(one, name) for one in every]) for name in ("pools", "refusals", "cancels")}
        return BacktestSummary(
            first_bar=min((one.first_bar for one in every if one.first_bar), default=""),
            last_bar=max((one.last_bar for one in every), default=""),
            net_usd=usd_text(sum(_cents(one.net_usd) for one in every)),
            engine=every[0].engine if every else "",
            **sums,
            **tables,  # type: ignore[arg-type]
        )


def backtest_file(bars: Path, out: Path, choices: Choices) -> BacktestSummary:
    """Backtest one file into ``out`` and record the run; raises BacktestInputError."""
    quality: dict[str, Any] = {}

    def look(columns: BarColumns) -> None:
        if choices.inspect is not None:
            quality.update(choices.inspect(str(bars), columns))

    run = RunFolder.create(out, "backtest", {"bars": bars, **choices.inputs()}, choices.params.to_dict())
    summary = run_backtest(
        bars,
        out,
        choices.params,
        choices.start,
        choices.end,
        front=choices.front,
        snap=choices.snap,
        symbol=choices.symbol,
        engine=choices.engine,
        inspect=look,
    )
    results = {name: value for name, value in summary.as_dict().items() if not name.endswith("_path")}
    run.finish({**results, "quality": quality}, OUTPUTS)
    return summary


def backtest_folder(bars: Path, out: Path, choices: Choices, jobs: int = 0) -> Many:
    """Backtest every ``*.parquet`` of ``bars`` into ``out``/<file name without ending>, ``jobs`` at a time.

    0 jobs: as many as there are cores. A file that is refused stops no other. Raises BacktestInputError for a folder
    without such a file.
    """
    paths = sorted(path for path in bars.glob("*.parquet") if path.is_file())
    if not paths:
        raise BacktestInputError(f"{bars} holds no *.parquet file; give a file or a folder of 1-minute bars")
    jobs = min(jobs or os.cpu_count() or 1, len(paths))
    found = Many()
    with Progress(len(paths), "files") as progress:
        for done, (name, result) in enumerate(_results(paths, out, choices, jobs), start=1):
            if isinstance(result, BacktestSummary):
                found.files[name] = result
            else:
                found.failed[name] = result
            progress.reach(done)
    return Many(_sorted(found.files), _sorted(found.failed))


def _results(
    paths: Sequence[Path], out: Path, choices: Choices, jobs: int
) -> Iterator[tuple[str, BacktestSummary | str]]:
    """Yield each file's name and its summary, or the sentence that refuses it, as they come."""
    if jobs == 1:
        yield from ((path.stem, _job(path, out / path.stem, choices)) for path in paths)
        return
    # Fresh processes on every system: a forked one would inherit the threads of numba and pyarrow half-alive.
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
        waiting = {pool.submit(_job, path, out / path.stem, choices): path.stem for path in paths}
        for future in as_completed(waiting):
            try:
                yield waiting[future], future.result()
            except BrokenProcessPool:
                yield waiting[future], "a worker process ended before its time (out of memory?); take fewer --jobs"


def _job(path: Path, out: Path, choices: Choices) -> BacktestSummary | str:
    try:
        return backtest_file(path, out, choices)
    except BacktestInputError as error:
        return str(error)


def _added(tables: Sequence[Mapping[str, int]]) -> dict[str, int]:
    sums: dict[str, int] = {}
    for table in tables:
        for name, count in table.items():
            sums[name] = sums.get(name, 0) + count
    return sums


def _cents(usd: str) -> int:
    return int(usd.replace(".", ""))


def _sorted(table: dict[str, T]) -> dict[str, T]:
    return {name: table[name] for name in sorted(table)}
