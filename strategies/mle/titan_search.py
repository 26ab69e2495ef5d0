"""Try every combination of a space of PJ-1 parameters over one tape and keep what each came to.

Brute force finds the luckiest combination, not an edge: the best of N trials looks good on noise too. That is why every
trial is kept, with its days, so that the auditor can weigh the best against the number of tries.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from live.market import INSTRUMENTS, Instrument
from strategies.mle.bar_file import BarColumns, load_columns
from strategies.mle.phase16_pj_engine import columns_between
from strategies.mle.registry import RunFolder, code_version
from strategies.mle.search.backends import Backend, chosen_backend
from strategies.mle.search.plan import Plan, rows_of_part
from strategies.mle.search.progress import Progress, Stop
from strategies.mle.search.result import SearchResult, open_search, read_search
from strategies.mle.search.space import SearchInputError, Space, read_space
from strategies.mle.search.store import Store
from strategies.mle.tape import Tape

Inspect = Callable[[str, BarColumns], Mapping[str, Any]]
"""Judges bars (the file's name, the bars) and returns what is to be kept of it; raises BacktestInputError to refuse."""

__all__ = ["BarChoice", "SearchInputError", "SearchSummary", "open_search", "read_space", "run_search"]


@dataclass(frozen=True, slots=True)
class BarChoice:
    """Say which bars are searched; ``start`` and ``end`` are trade dates, both included."""

    path: Path
    symbol: str = "MNQ"
    start: date | None = None
    end: date | None = None
    front: bool = False
    snap: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Return the choice as JSON values."""
        days = {"from": self.start and self.start.isoformat(), "to": self.end and self.end.isoformat()}
        return {"path": str(self.path), "symbol": self.symbol, **days, "front": self.front, "snap": self.snap}

    def instrument(self) -> Instrument:
        """Return what is traded; raise SearchInputError for an unknown symbol."""
        found = INSTRUMENTS.get(self.symbol)
        if found is None:
            raise SearchInputError(f"unknown symbol {self.symbol!r}; the known ones are {', '.join(INSTRUMENTS)}")
        return found

    def tape(self, space: Space) -> Tape:
        """Return the chosen bars; raises BacktestInputError."""
        return self.inspected_tape(space)[0]

    def inspected_tape(self, space: Space, inspect: Inspect | None = None) -> tuple[Tape, dict[str, Any]]:
        """Return the chosen bars, and what ``inspect`` says of them; raises BacktestInputError."""
        instrument = space.base.instrument(self.instrument())
        columns = load_columns(self.path, instrument, front=self.front, snap=self.snap)
        used = columns_between(columns, self.start, self.end)
        quality = {} if inspect is None else dict(inspect(str(self.path), used))
        tape = Tape.of(used)
        if not len(tape):
            raise SearchInputError(f"{self.path} holds no bar of the chosen trade dates; widen --from and --to")
        return tape, quality


@dataclass(frozen=True, slots=True)
class SearchSummary:
    """Count what a search did; ``finished`` is False when it was stopped and waits for --resume."""

    finished: bool
    backend: str
    bars: int
    days: int
    combinations: int
    dropped: int
    trials: int
    stored: int
    traded: int = 0
    positive: int = 0
    best_trial: int | None = None
    best_sharpe: float | None = None
    daily_kept: bool = True

    def as_dict(self) -> dict[str, Any]:
        """Return the summary as a JSON object."""
        return asdict(self)


def run_search(
    choice: BarChoice,
    space: Space,
    out: Path,
    *,
    backend: str = "cpu",
    resume: bool = False,
    threads: int | None = None,
    part_rows: int | None = None,
    say: Callable[[str], object] = lambda _: None,
    stop: Stop | None = None,
    progress: Callable[[int, int], Progress] | None = None,
    inspect: Inspect | None = None,
) -> SearchSummary:
    """Search ``space`` and keep every trial in ``out``; ``say`` gets words for the operator.

    ``inspect`` is shown the bars first and may refuse them; what it returns stands in run.json. ``stop`` may become
    true at any time: the search then ends after a part and ``resume`` goes on with it. Raises BacktestInputError for
    bars, space or folder that cannot be used, SearchUnavailable for a cluster that is away.
    """
    tape, quality = choice.inspected_tape(space, inspect)
    plan = Plan(space, part_rows or rows_of_part(len(tape.days)))
    store = Store(out, space, plan, tape.days)
    inputs = {**choice.as_dict(), "bars": choice.path}
    del inputs["path"]
    run = RunFolder.create(out, "search", inputs, space.to_dict(), None if space.sample is None else space.seed)
    facts = {"tape_sha256": tape.sha256, "code": code_version()["sources_sha256"], "bars": choice.as_dict()}
    with chosen_backend(backend, space, tape, threads, say) as worker:
        there = store.open(facts, resume=resume)
        if not store.keeps_daily:
            say(f"{plan.rows * len(tape.days):,} daily cells are more than keep_daily_cells: sums alone are kept")
        shown = progress(plan.rows, len(tape)) if progress else None
        todo = [part for part in range(len(plan)) if part not in there]
        stored = _store_all(worker, plan, store, todo, shown, Stop() if stop is None else stop)
        store.settle()
        summary = _summary(worker.name, tape, plan, stored, store.keeps_daily)
    if summary.finished:
        summary = replace(summary, **_results(read_search(out)))
        run.finish({**summary.as_dict(), "quality": quality}, store.outputs())
    return summary


def _store_all(worker: Backend, plan: Plan, store: Store, todo: list[int], shown: Progress | None, stop: Stop) -> int:
    """Store the parts as they come; return how many trials are stored in all."""
    stored = plan.rows - sum(plan.offset(part + 1) - plan.offset(part) for part in todo)
    if shown:
        shown.begin(stored)
    with closing(worker.blocks(plan, todo)) as blocks:
        for part, block in blocks:
            store.write(part, block)
            stored += len(block.trials)
            if shown:
                shown.add(len(block.trials))
            if stop:
                break
        else:
            if stored != plan.rows:
                raise RuntimeError(f"{worker.name} gave {stored} of {plan.rows} trials and said it was done")
    if shown:
        shown.end()
    return stored


def _results(found: SearchResult) -> dict[str, Any]:
    """Count over all parts, one in memory at a time; of equal ratios the lowest trial number is the best."""
    traded = positive = 0
    best: tuple[float, int] | None = None
    for part in found.each_part("trial", "trades", "net_cents", "sharpe"):
        traded += int((part["trades"] > 0).sum())
        positive += int((part["net_cents"] > 0).sum())
        ratios = part["sharpe"]
        if np.isfinite(ratios).any():
            row = int(np.nanargmax(ratios))
            if best is None or ratios[row] > best[0]:
                best = float(ratios[row]), int(part["trial"][row])
    return {
        "traded": traded,
        "positive": positive,
        "best_trial": None if best is None else best[1],
        "best_sharpe": None if best is None else best[0],
    }


def _summary(name: str, tape: Tape, plan: Plan, stored: int, kept: bool) -> SearchSummary:
    return SearchSummary(
        finished=stored == plan.rows,
        backend=name,
        bars=len(tape),
        days=len(tape.days),
        combinations=plan.space.total,
        dropped=plan.dropped,
        trials=plan.rows,
        stored=stored,
        daily_kept=kept,
    )
