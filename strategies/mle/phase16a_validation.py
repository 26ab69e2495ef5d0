"""Audit a backtest or a search out of sample and say PASS or FAIL (pj1 S11).

The parameters are frozen first: those of the backtest, or the search's best by Sharpe ratio over the fitted 70 % of the
trade dates. Then the look is written into the ledger, and only then the remaining 30 % are opened, for that one
configuration. Everything that compares configurations sees fitted dates only.

What is not part of the verdict stands beside it: cost stress, placebo levels, permuted entries, walk-forward, Monte
Carlo. All of it follows from bars, parameters, seed and ledger; no clock takes part.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from live.params import Params, ParamsError
from live.records import usd_text
from strategies.mle.audit.evidence import BarChoice, Evidence, backtest_evidence, params_sha256
from strategies.mle.audit.factors import Factor, factors
from strategies.mle.audit.forward import Forward, forward
from strategies.mle.audit.ledger import DEFAULT_LEDGER, Ledger, Look, Opened
from strategies.mle.audit.neighbours import Move, Step, natural_steps, neighbours_of
from strategies.mle.audit.permutation import DRAWS as NULL_DRAWS
from strategies.mle.audit.permutation import Null, permutation_nulls
from strategies.mle.audit.placebo import RUNS as PLACEBO_RUNS
from strategies.mle.audit.placebo import Placebo, placebo
from strategies.mle.audit.report import html_of
from strategies.mle.audit.search_evidence import search_evidence
from strategies.mle.audit.split import Split, split_days
from strategies.mle.audit.statistics import MonteCarlo, StatisticsInputError, monte_carlo
from strategies.mle.audit.stress import Stress, cost_stress, demanded_slippage, slipped
from strategies.mle.audit.summary import tree_of
from strategies.mle.audit.verdict import Verdict, judge
from strategies.mle.audit.weigh import Case, Matrix, Neighbour, Settings, Weighed, weigh
from strategies.mle.bar_file import BacktestInputError
from strategies.mle.compiled import TradeTable, daily_net_cents
from strategies.mle.kernels import codes as c
from strategies.mle.registry import RunFolder, canonical
from strategies.mle.run_files import write_whole

__all__ = ["Audit", "BarChoice", "Plan", "Settings", "audit", "validate_backtest", "validate_search", "write_audit"]

PATHS: Final = 10_000
FLOORS_CENTS: Final = (45_000, 100_000, 200_000)
"""Losses whose chance is told; the first is the daily loss limit of PJ-1."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """Hold the auditor's choices."""

    settings: Settings = field(default_factory=Settings)
    placebo_runs: int = PLACEBO_RUNS
    null_draws: int = NULL_DRAWS
    paths: int = PATHS
    floors_cents: tuple[int, ...] = FLOORS_CENTS
    ledger: Path = DEFAULT_LEDGER


@dataclass(frozen=True, slots=True)
class Tried:
    """Hold what was tried before these parameters were frozen.

    ``fit`` are the fitted rows of every trial (None: nothing else was tried), ``count`` how many trials there were, and
    ``steps`` the neighbours on the search's own grid (None: natural steps).
    """

    kind: str = "backtest"
    fit: Matrix | None = None
    count: int = 1
    search_sha256: str = ""
    trial: int | None = None
    steps: tuple[Move, ...] | None = None


@dataclass(frozen=True, slots=True)
class Audit:
    """Hold everything that was found."""

    evidence: Evidence
    tried: Tried
    plan: Plan
    split: Split
    opened: Opened
    table: TradeTable
    daily: npt.NDArray[np.int64]
    weighed: Weighed
    verdict: Verdict
    stresses: tuple[Stress, ...]
    steps: tuple[Step, ...]
    placebo: Placebo
    nulls: tuple[Null, ...]
    forward: Forward
    factors: tuple[Factor, ...]
    monte: MonteCarlo | None
    monte_why: str


def validate_backtest(folder: Path, choice: BarChoice, plan: Plan, say: Say = lambda _: None) -> Audit:
    """Return the audit of a backtest's folder: one configuration, and as many trials as looks at its holdout.

    Raises BacktestInputError, one sentence, for a folder that cannot be judged.
    """
    say("taking up the backtest")
    return audit(backtest_evidence(folder, choice), Tried(), plan, say)


def validate_search(folder: Path, choice: BarChoice, plan: Plan, say: Say = lambda _: None) -> Audit:
    """Return the audit of a search's folder: its best trial over the fitted dates, with all trials counted.

    Raises BacktestInputError, one sentence, for a folder that cannot be judged.
    """
    say("taking up the search")
    found = search_evidence(folder, choice)
    steps = found.steps or tuple(natural_steps(found.evidence.params))
    tried = Tried("search", found.fit, found.trials, found.sha256, found.trial, steps)
    return audit(found.evidence, tried, plan, say)


def audit(evidence: Evidence, tried: Tried, plan: Plan, say: Say = lambda _: None) -> Audit:
    """Return the audit of frozen parameters; records the look before the holdout is opened."""
    market, params = evidence.market, evidence.params
    split = split_days(market.tape.days)
    moves = tuple(natural_steps(params)) if tried.steps is None else tried.steps
    opened = Ledger(plan.ledger).record(_look(evidence, tried, split))
    say("running the parameters, the earlier looks and the neighbours")
    table = market.trades(params)
    daily = daily_net_cents(market.tape, table)
    steps = neighbours_of(market, moves, split)
    case = _case(evidence, tried, split, table, opened, steps)
    say("statistics of the trials and the holdout")
    weighed = weigh(case, plan.settings)
    say("cost stress")
    stresses = cost_stress(market, params, split)
    say(f"placebo levels, {plan.placebo_runs} runs")
    seed = plan.settings.seed
    levels = placebo(market, params, split.judged, plan.placebo_runs, seed)
    say("permuted entries, walk-forward, Monte Carlo")
    nulls = permutation_nulls(market.tape, table, params, plan.null_draws, seed)
    ahead = forward(_fit_matrix(case))
    monte, why = _paths(daily[split.judged], plan)
    return Audit(
        evidence,
        tried,
        plan,
        split,
        opened,
        table,
        daily,
        weighed,
        judge(weighed.facts),
        stresses,
        steps,
        levels,
        nulls,
        ahead,
        factors(table, split),
        monte,
        why,
    )


def write_audit(audit: Audit, out: Path) -> tuple[Path, ...]:
    """Write verdict.json, report.html and run.json into ``out`` and return their paths; raises BacktestInputError."""
    evidence, plan = audit.evidence, audit.plan
    inputs = {
        "bars": evidence.bars,
        "symbol": evidence.symbol,
        "check": audit.tried.kind,
        "tape_sha256": evidence.market.tape.sha256,
        "search_sha256": audit.tried.search_sha256,
        "trials": audit.tried.count,
        "looks_before": [look.params_sha256 for look in audit.opened.earlier],
        "placebo_runs": plan.placebo_runs,
        "floors_cents": plan.floors_cents,
    }
    run = RunFolder.create(out, "validate", inputs, evidence.params.to_dict(), plan.settings.seed)
    texts = {"verdict.json": canonical(tree_of(audit)), "report.html": html_of(audit)}
    places = {out / name: text.encode() for name, text in texts.items()}
    write_whole([(path, partial(iter, (data,))) for path, data in places.items()])
    judged = int(audit.daily[audit.split.judged].sum())
    results = {"verdict": audit.verdict.word, "trades": len(audit.table), "net_usd": usd_text(judged)}
    failed = [one.id for one in audit.verdict.failed]
    return (*places, run.finish({**results, "failed": failed, "quality": evidence.quality}, texts))


def _look(evidence: Evidence, tried: Tried, split: Split) -> Look:
    since, until = split.span(split.hold)
    return Look(
        params_sha256(evidence.params),
        evidence.market.tape.sha256,
        tried.search_sha256,
        evidence.symbol,
        since,
        until,
        evidence.params.to_dict(),
        tried.count,
    )


def _columns(evidence: Evidence, opened: Opened) -> Matrix | None:
    """Return the daily nets of the configurations that looked at this holdout before, as dates x looks."""
    columns = []
    for look in opened.earlier:
        try:
            columns.append(evidence.market.daily(Params.from_dict(look.params)))
        except ParamsError as error:
            raise BacktestInputError(
                f"look {look.number} of the ledger has parameters this version does not know ({error})"
            ) from error
    return np.stack(columns, axis=1) if columns else None


def _case(
    evidence: Evidence,
    tried: Tried,
    split: Split,
    table: TradeTable,
    opened: Opened,
    steps: tuple[Step, ...],
) -> Case:
    earlier = _columns(evidence, opened)
    daily = daily_net_cents(evidence.market.tape, table)
    fit = tried.fit
    if earlier is not None:
        own = daily[split.fit].reshape(-1, 1) if fit is None else fit
        fit = np.hstack([own, earlier[split.fit].astype(own.dtype)])
    return Case(
        split,
        daily,
        split.rows_of(table.column(c.T_DAY)),
        table.column(c.T_SIDE),
        table.column(c.T_NET),
        fit,
        tried.count + opened.earlier_trials,
        None if earlier is None else earlier[split.hold],
        demanded_slippage(evidence.params),
        evidence.market.daily(slipped(evidence.params)),
        tuple(Neighbour(one.name, one.total_net_cents) for one in steps),
    )


def _fit_matrix(case: Case) -> Matrix:
    return case.daily[case.split.fit].reshape(-1, 1) if case.trials is None else case.trials


def _paths(daily: npt.NDArray[np.int64], plan: Plan) -> tuple[MonteCarlo | None, str]:
    """Return resampled paths of the judged dates, or why there are none."""
    try:
        return monte_carlo(daily, plan.paths, plan.settings.seed, floors_cents=plan.floors_cents), ""
    except StatisticsInputError as error:
        return None, str(error)
