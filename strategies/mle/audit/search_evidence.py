"""Take up a search: freeze its best trial by the fitted dates alone, with all other trials behind it.

The held-out rows of the search's daily matrix are never read: the frozen trial is run again on the bars, and its fitted
days must be those that the search wrote.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from live.params import Params
from strategies.mle.audit.evidence import BarChoice, Evidence, choice_of, make_evidence
from strategies.mle.audit.neighbours import Move
from strategies.mle.audit.split import split_days
from strategies.mle.audit.weigh import Matrix, best_trial
from strategies.mle.bar_file import BacktestInputError
from strategies.mle.run_records import read_run
from strategies.mle.search.result import SearchResult, open_search
from strategies.mle.search.space import Axis, Space


@dataclass(frozen=True, slots=True)
class FrozenSearch:
    """Hold a search's frozen trial as evidence, the fitted rows of all trials, and the steps beside it on the grid."""

    evidence: Evidence
    fit: Matrix
    trial: int
    trials: int
    sha256: str
    steps: tuple[Move, ...]


def search_evidence(folder: Path, choice: BarChoice) -> FrozenSearch:
    """Return a search's folder as evidence; raises BacktestInputError, one sentence, for one that cannot be judged."""
    if choice.named:
        raise BacktestInputError(f"the search in {folder} says how its bars were read; drop {', '.join(choice.named)}")
    found = open_search(folder)
    record = read_run(folder)
    for name, what in record.changed_outputs().items():
        raise BacktestInputError(f"{folder / name} is {what} since the search was recorded; search again")
    daily = found.daily()
    if daily is None:
        cells = len(found) * len(found.days)
        raise BacktestInputError(
            f"the search in {folder} kept no daily results, so no trial can be chosen on fitted dates alone;"
            f" search again with keep_daily_cells: {cells} or more, or fewer combinations"
        )
    fit = daily[split_days(found.days).fit]
    if not fit.size:
        raise BacktestInputError(f"the search in {folder} has {len(found.days)} trade dates, too few to fit on")
    column = best_trial(fit)
    trial = int(found.trials["trial"][column])
    params = found.params_of(trial)
    evidence = make_evidence(folder, params, choice_of(record.tree["inputs"], choice, folder))
    _check(evidence, found, trial, fit[:, column])
    sha256 = str(record.tree["inputs_sha256"])
    return FrozenSearch(evidence, fit, trial, len(found), sha256, tuple(grid_steps(found.space, params)))


def grid_steps(space: Space, params: Params) -> Iterator[Move]:
    """Yield the sets one step beside on the search's grid, along every axis of numbers."""
    for axis in space.axes:
        if len(axis.values) < 2 or not all(isinstance(value, int | Fraction) for value in axis.values):
            continue
        order = sorted(range(len(axis.values)), key=lambda place, axis=axis: axis.values[place])  # type: ignore[misc]
        here = [axis.values[place] for place in order].index(getattr(params, axis.field))
        for near in (here - 1, here + 1):
            if 0 <= near < len(order):
                moved = replace(params, **{axis.field: axis.values[order[near]]})
                if moved.min_risk_ticks <= moved.max_risk_ticks:
                    yield axis.name, _text(axis, order[here]), _text(axis, order[near]), moved


def _text(axis: Axis, place: int) -> str:
    return axis.texts[place].strip('"')


def _check(evidence: Evidence, found: SearchResult, trial: int, fitted: Matrix) -> None:
    """Raise BacktestInputError unless the bars are the search's and give the trial's fitted days again."""
    tape = evidence.market.tape
    if tape.sha256 != found.tape_sha256 or not np.array_equal(tape.days, found.days):
        raise BacktestInputError(f"{evidence.bars} gives another tape than {evidence.folder} was searched on")
    again = evidence.market.daily(evidence.params)[: len(fitted)]
    differs = np.flatnonzero(again != fitted)
    if len(differs):
        row = int(differs[0])
        raise BacktestInputError(
            f"{evidence.folder}: trial {trial} nets {int(fitted[row])} cents on date {row + 1} of the search, bars and"
            f" parameters give {int(again[row])}; search again"
        )
