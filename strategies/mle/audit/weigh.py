"""Turn what a configuration earned, day by day, into the numbers that the verdict is made of (pj1 S11.2-S11.7, S11.10).

The fitted dates serve everything that compares configurations: deflated Sharpe ratio, PBO, reality check. The held-out
dates of a configuration that was not chosen are never read here, so a search cannot profit from them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt

from strategies.mle.audit.split import Split
from strategies.mle.audit.statistics import (
    Luck,
    Pbo,
    RealityCheck,
    StatisticsInputError,
    cscv,
    dsr,
    mean_interval,
    min_btl,
    min_trl,
    moments,
    reality_check,
)
from strategies.mle.audit.statistics import (
    luck as measured_luck,
)
from strategies.mle.audit.verdict import MIN_HOLD_TRADES, Facts

SEED: Final = 1
BLOCKS: Final = 16
DAYS_PER_YEAR: Final = 252
COMPARED: Final = 20_000
"""Trials that are held against each other; more add hours and nothing to see."""

Cents = npt.NDArray[np.int64]
Matrix = npt.NDArray[Any]
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Neighbour:
    """Name a configuration one step beside the chosen one and what it nets on all judged dates, in cents."""

    name: str
    net_cents: int


@dataclass(frozen=True, slots=True)
class Case:
    """Hold what is judged.

    ``daily`` (all dates, cents) and the three trade columns (row of the trade date, side +-1, net in cents) are the
    chosen configuration's. ``trials`` are the fitted rows of every configuration that was tried, as T x N (None when
    it was the only one), ``trial_count`` is how many there were, those included whose days are not at hand.
    ``looks_hold`` are the held-out rows of the configurations that looked at this holdout before. ``slip_daily`` is
    ``daily`` with ``slip_ticks`` of slippage.
    """

    split: Split
    daily: Cents
    trade_rows: Cents
    trade_sides: Cents
    trade_nets: Cents
    trials: Matrix | None
    trial_count: int
    looks_hold: Matrix | None
    slip_ticks: int
    slip_daily: Cents | None
    neighbours: tuple[Neighbour, ...] = ()


@dataclass(frozen=True, slots=True)
class Settings:
    """Hold the choices of the audit; ``draws`` serve the bootstraps."""

    seed: int = SEED
    draws: int = 10_000
    reality_draws: int = 2_000
    luck_draws: int = 1_000
    blocks: int = BLOCKS


@dataclass(frozen=True, slots=True)
class Needed:
    """Hold what would be needed: days for the Sharpe ratio found and for the demanded trades, years for the trials."""

    min_trl_days: float | None
    hold_days_for_trades: int | None
    total_days_for_trades: int | None
    min_btl_years: float | None


@dataclass(frozen=True, slots=True)
class Weighed:
    """Hold the facts for the verdict and what they came from."""

    facts: Facts
    moments_fit: tuple[float, float, float, float] | None
    moments_hold: tuple[float, float, float, float] | None
    hold_interval: tuple[float, float] | None
    pbo: Pbo | None
    reality: RealityCheck | None
    sr_variance: float | None
    needed: Needed


@dataclass(slots=True)
class _Reasons:
    """Collect why a number could not be had."""

    why: dict[str, str] = field(default_factory=dict)

    def attempt(self, name: str, work: Callable[[], _T]) -> _T | None:
        """Return what ``work`` returns; None, and its words kept under ``name``, when the numbers do not allow it."""
        try:
            return work()
        except StatisticsInputError as error:
            self.why[name] = str(error)
            return None


def weigh(case: Case, settings: Settings) -> Weighed:
    """Return the facts of a case."""
    reasons = _Reasons()
    split = case.split
    fit, hold = case.daily[split.fit], case.daily[split.hold]
    trials = _moving(case)
    luck = _luck(case, trials, settings, reasons)
    interval = reasons.attempt("lower_day_cents", lambda: mean_interval(hold, settings.draws, settings.seed))
    compared = _compared(trials, fit)
    pbo, pbo_sharpe = _overfitting(case, compared, settings, reasons)
    reality = reasons.attempt("rc_p", lambda: reality_check(compared, settings.reality_draws, settings.seed))
    facts = Facts(
        fit_net_cents=int(fit.sum()),
        hold_net_cents=int(hold.sum()),
        lower_day_cents=None if interval is None else interval[0],
        trials=case.trial_count,
        pbo=None if pbo is None else pbo.pbo,
        pbo_oos_sharpe=pbo_sharpe,
        rc_p=None if reality is None else reality.rc_p,
        spa_p=None if reality is None else reality.spa_p,
        survivors=0 if reality is None else len(reality.survivors),
        survives=reality is not None and _is_among(fit, compared[:, reality.survivors]),
        day_share=_day_share(case),
        neighbours=len(case.neighbours),
        neighbours_positive=sum(one.net_cents > 0 for one in case.neighbours),
        worst_neighbour=_worst(case.neighbours),
        why=reasons.why,
        **_deflations(case, luck, reasons),
        **_counts(case),
        **_slipped(case, reasons),
    )
    moments_fit = reasons.attempt("dsr_fit", lambda: moments(fit))
    moments_hold = reasons.attempt("dsr_hold", lambda: moments(hold))
    needed = _needed(case, facts, moments_hold, moments_fit)
    return Weighed(facts, moments_fit, moments_hold, interval, pbo, reality, luck.variance, needed)


def _luck(case: Case, trials: Matrix, settings: Settings, reasons: _Reasons) -> Luck:
    """Return what luck alone could do; where it cannot be drawn, every trial counts as one of its own: stricter."""
    drawn = reasons.attempt("effective_trials", lambda: measured_luck(trials, settings.luck_draws, settings.seed))
    if drawn is None:
        return Luck(float(case.trial_count), _sharpe_variance(trials, len(trials)), trials.shape[1])
    # Trials of earlier searches, whose days are not at hand, count as if they held as many bets as those that are.
    known = 1 if case.trials is None else case.trials.shape[1]
    return replace(drawn, effective=drawn.effective * max(1.0, case.trial_count / known))


def _deflations(case: Case, luck: Luck, reasons: _Reasons) -> dict[str, Any]:
    """Return the deflated Sharpe ratios of both parts: for all trials, and for all looks at this holdout."""
    fit, hold = case.daily[case.split.fit], case.daily[case.split.hold]
    looks = 1 if case.looks_hold is None else 1 + case.looks_hold.shape[1]
    return {
        "effective_trials": luck.effective,
        "dsr_fit": reasons.attempt("dsr_fit", lambda: _deflated(fit, luck.variance, luck.effective)),
        "looks": looks,
        "dsr_hold": reasons.attempt("dsr_hold", lambda: _deflated(hold, _looks_variance(case), float(looks))),
    }


def _counts(case: Case) -> dict[str, Any]:
    """Return trades and dates of the held-out part, its net by direction, and months of both parts."""
    held = case.trade_rows >= case.split.hold_start
    longs, shorts = (case.trade_nets[held & (case.trade_sides == side)] for side in (1, -1))
    months, positive = _months(case)
    return {
        "hold_trades": int(held.sum()),
        "hold_days": case.split.hold_days,
        "long_net_cents": int(longs.sum()),
        "short_net_cents": int(shorts.sum()),
        "months": months,
        "months_positive": positive,
    }


def best_trial(fit_rows: Matrix) -> int:
    """Return the column with the largest Sharpe ratio over the fitted rows, the first of equals."""
    return int(np.argmax(sharpes(fit_rows)))


def sharpes(rows: Matrix, columns: int = 4096) -> npt.NDArray[np.float64]:
    """Return every column's Sharpe ratio per day (ddof 1); 0 for a column that never moves."""
    found = np.zeros(rows.shape[1])
    for left in range(0, rows.shape[1], columns):
        part = np.asarray(rows[:, left : left + columns], dtype=np.float64)
        if len(part) < 2:
            break
        mean, sd = part.mean(axis=0), part.std(axis=0, ddof=1)
        np.divide(mean, sd, out=found[left : left + columns], where=sd > 1e-9)
    return found


def _moving(case: Case) -> Matrix:
    """Return the fitted rows of all trials, without columns that never trade: those say nothing about chance."""
    if case.trials is None:
        return case.daily[case.split.fit].reshape(-1, 1)
    moves = np.zeros(case.trials.shape[1], dtype=np.bool_)
    for left in range(0, len(moves), 4096):
        moves[left : left + 4096] = np.asarray(case.trials[:, left : left + 4096]).any(axis=0)
    return case.trials if moves.all() or not moves.any() else case.trials[:, moves]


def _compared(trials: Matrix, chosen: Cents) -> Matrix:
    """Return what CSCV and the reality check compare: all trials, or COMPARED evenly spaced ones and the chosen.

    Trials lie in the order of the grid, so that evenly spaced ones stand for their neighbours.
    """
    if trials.shape[1] <= COMPARED:
        return trials
    picked = np.linspace(0, trials.shape[1] - 1, COMPARED).astype(np.int64)
    return np.hstack([np.asarray(trials[:, picked]), chosen.reshape(-1, 1).astype(trials.dtype)])


def _sharpe_variance(rows: Matrix, days: int) -> float:
    """Return the variance of the trials' Sharpe ratios, at least what chance alone gives one of them: 1 / (T - 1)."""
    least = 1.0 / max(1, days - 1)
    return max(least, float(np.var(sharpes(rows), ddof=1))) if rows.shape[1] > 1 else least


def _looks_variance(case: Case) -> float:
    hold = case.daily[case.split.hold].reshape(-1, 1)
    rows = hold if case.looks_hold is None else np.hstack([hold, case.looks_hold])
    return _sharpe_variance(rows, len(hold))


def _deflated(daily: Cents, variance: float, trials: float) -> float:
    mean, sd, skew, kurt = moments(daily)
    if sd == 0.0:
        raise StatisticsInputError(f"the daily result never moves from {mean / 100:.2f} USD: there is nothing to judge")
    return dsr(mean / sd, len(daily), skew, kurt, variance, trials)


def _overfitting(case: Case, trials: Matrix, settings: Settings, reasons: _Reasons) -> tuple[Pbo | None, float | None]:
    """Return CSCV over the trials; for one trial nothing but the median Sharpe ratio of its halves."""
    if case.trial_count > 1:
        if trials.shape[1] < 2:
            reasons.why["pbo"] = f"of {case.trial_count} configurations {trials.shape[1]} trades at all"
            return None, None
        found = reasons.attempt("pbo", lambda: cscv(trials, settings.blocks))
        return found, None if found is None else found.median_oos_sharpe
    twice = np.hstack([trials, trials])
    halves = reasons.attempt("pbo", lambda: cscv(twice, settings.blocks))
    return None, None if halves is None else halves.median_oos_sharpe


def _is_among(daily: Cents, columns: Matrix) -> bool:
    """Tell whether one of the columns has these very days."""
    return any(np.array_equal(columns[:, place], daily) for place in range(columns.shape[1]))


def _months(case: Case) -> tuple[int, int]:
    """Return how many calendar months of trade dates were judged and how many of them earned."""
    nets: dict[tuple[int, int], int] = {}
    judged = case.split.judged
    for ordinal, cents in zip(case.split.days[judged].tolist(), case.daily[judged].tolist(), strict=True):
        day = date.fromordinal(ordinal)
        nets[day.year, day.month] = nets.get((day.year, day.month), 0) + cents
    return len(nets), sum(net > 0 for net in nets.values())


def _slipped(case: Case, reasons: _Reasons) -> dict[str, Any]:
    names = ("slip_hold_net_cents", "slip_total_net_cents")
    if case.slip_daily is None:
        reasons.why[names[0]] = f"no run with {case.slip_ticks} ticks of slippage was made"
        return {"slip_ticks": case.slip_ticks, **dict.fromkeys(names)}
    hold, total = (int(case.slip_daily[part].sum()) for part in (case.split.hold, case.split.judged))
    return {"slip_ticks": case.slip_ticks, names[0]: hold, names[1]: total}


def _day_share(case: Case) -> float | None:
    """Return the best day over the profit, the larger of held-out part and both parts; None without a profit."""
    shares = []
    for part in (case.daily[case.split.hold], case.daily[case.split.judged]):
        profit = int(part.sum())
        if profit <= 0:
            return None
        shares.append(int(part.max()) / profit)
    return max(shares)


def _worst(neighbours: tuple[Neighbour, ...]) -> str:
    if not neighbours:
        return ""
    worst = min(neighbours, key=lambda one: one.net_cents)
    return f"{worst.name} (net {worst.net_cents / 100:.2f} USD)"


def _needed(
    case: Case,
    facts: Facts,
    hold: tuple[float, float, float, float] | None,
    fit: tuple[float, float, float, float] | None,
) -> Needed:
    days = found = years = None
    if hold is not None and hold[1] > 0.0:
        days = min_trl(hold[0] / hold[1], 0.0, hold[2], hold[3])
    if fit is not None and fit[1] > 0.0 and fit[0] > 0.0:
        years = min_btl(max(1.0, facts.effective_trials), fit[0] / fit[1] * DAYS_PER_YEAR**0.5)
    if facts.hold_trades:
        found = -(-MIN_HOLD_TRADES * facts.hold_days // facts.hold_trades)
    share = facts.hold_days / max(1, len(case.split.days))
    total = None if found is None or not share else -int(-found // share)
    return Needed(days, found, total, years)
