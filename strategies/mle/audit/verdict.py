"""Say PASS or FAIL: every demand of pj1 S11.10 as one criterion with its number and its threshold.

PASS needs all of them. What cannot be decided (too few trades, days, months, configurations) is no PASS: a criterion is
``undecidable`` with its reason, and counts as failed. ``judge`` is pure: numbers in, verdict out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Final

MIN_HOLD_TRADES: Final = 300
MIN_DSR: Final = 0.95
MAX_PBO: Final = 0.2
MAX_P: Final = 0.05
MIN_MONTH_SHARE: Final = 0.6
MIN_MONTHS: Final = 3
MAX_DAY_SHARE: Final = 0.2


class Status(StrEnum):
    """Tell how a criterion ended."""

    MET = "pass"
    MISSED = "fail"
    UNDECIDABLE = "undecidable"


@dataclass(frozen=True, slots=True)
class Facts:
    """Hold the numbers that the verdict needs; money in cents, None where a number could not be had.

    ``why`` gives the reason for each missing number by its field name. ``fit_*`` belong to the fitted part, ``hold_*``
    to the held-out part; ``total_net_cents`` is both. ``lower_day_cents`` is the lower 95 % bound of the mean held-out
    day. ``day_share`` is the largest single day over the profit, the larger one of held-out part and both parts.
    ``survives``: the judged configuration is one of the ``survivors`` that StepM calls better than nothing.
    """

    hold_trades: int
    hold_days: int
    fit_net_cents: int
    hold_net_cents: int
    lower_day_cents: float | None
    dsr_fit: float | None
    dsr_hold: float | None
    trials: int
    effective_trials: float
    looks: int
    pbo: float | None
    pbo_oos_sharpe: float | None
    rc_p: float | None
    spa_p: float | None
    survivors: int
    survives: bool
    months: int
    months_positive: int
    long_net_cents: int
    short_net_cents: int
    slip_ticks: int
    slip_hold_net_cents: int | None
    slip_total_net_cents: int | None
    day_share: float | None
    neighbours: int
    neighbours_positive: int
    worst_neighbour: str = ""
    why: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Criterion:
    """Hold one demand: what it says, the number found, the threshold, how it ended and why."""

    id: str
    words: str
    number: float | None
    threshold: str
    status: Status
    reason: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """Hold the answer and every criterion behind it."""

    passed: bool
    criteria: tuple[Criterion, ...]

    @property
    def word(self) -> str:
        """Return PASS or FAIL."""
        return "PASS" if self.passed else "FAIL"

    @property
    def failed(self) -> tuple[Criterion, ...]:
        """Return the criteria that were not met."""
        return tuple(one for one in self.criteria if one.status is not Status.MET)

    def as_dict(self) -> dict[str, Any]:
        """Return the verdict as a JSON object."""
        return {"verdict": self.word, "criteria": [asdict(one) for one in self.criteria]}


def judge(facts: Facts) -> Verdict:
    """Return the verdict over all criteria of pj1 S11.10 and the two nets of S11.2."""
    criteria = tuple(rule(facts) for rule in _RULES)
    return Verdict(all(one.status is Status.MET for one in criteria), criteria)


def _ended(name: str, words: str, number: float | None, threshold: str, met: bool, reason: str) -> Criterion:
    return Criterion(name, words, number, threshold, Status.MET if met else Status.MISSED, reason)


def _open(name: str, words: str, threshold: str, reason: str, number: float | None = None) -> Criterion:
    return Criterion(name, words, number, threshold, Status.UNDECIDABLE, reason)


def _usd(cents: float) -> str:
    return f"{'-' if cents < 0 else ''}${abs(cents) / 100:,.2f}"


def _many(count: int, thing: str) -> str:
    return f"{count:,} {thing}{'s' if count != 1 else ''}"


def _trades(facts: Facts) -> Criterion:
    name, words, limit = "hold_trades", "enough held-out trades to judge by", f">= {MIN_HOLD_TRADES}"
    said = f"{facts.hold_trades} trades on {facts.hold_days} held-out dates"
    if facts.hold_trades < MIN_HOLD_TRADES:
        return _open(name, words, limit, f"{said}: too few to tell skill from luck", facts.hold_trades)
    return _ended(name, words, facts.hold_trades, limit, True, said)


def _fit_net(facts: Facts) -> Criterion:
    met = facts.fit_net_cents > 0
    said = f"net {_usd(facts.fit_net_cents)} on the fitted dates"
    return _ended("fit_net", "the fitted part earns", facts.fit_net_cents / 100, "> $0", met, said)


def _hold_net(facts: Facts) -> Criterion:
    met = facts.hold_net_cents > 0
    said = f"net {_usd(facts.hold_net_cents)} on the held-out dates"
    return _ended("hold_net", "the held-out part earns", facts.hold_net_cents / 100, "> $0", met, said)


def _lower(facts: Facts) -> Criterion:
    name, words, limit = "hold_lower_bound", "the held-out mean day is above zero with 95 % confidence", "> $0"
    if facts.lower_day_cents is None:
        return _open(name, words, limit, facts.why["lower_day_cents"])
    said = f"the lower bound of the held-out mean day is {_usd(facts.lower_day_cents)}"
    return _ended(name, words, facts.lower_day_cents / 100, limit, facts.lower_day_cents > 0, said)


def _dsr(facts: Facts) -> Criterion:
    name, limit = "dsr", f">= {MIN_DSR}"
    words = "the Sharpe ratio survives the number of trials (deflated) in both parts"
    if facts.dsr_fit is None or facts.dsr_hold is None:
        field_name = "dsr_fit" if facts.dsr_fit is None else "dsr_hold"
        return _open(name, words, limit, facts.why[field_name])
    number = min(facts.dsr_fit, facts.dsr_hold)
    said = (
        f"fitted {facts.dsr_fit:.4f} for {_many(facts.trials, 'trial')} (effective {facts.effective_trials:.1f}),"
        f" held out {facts.dsr_hold:.4f} for {_many(facts.looks, 'look')}"
    )
    return _ended(name, words, number, limit, number >= MIN_DSR, said)


def _pbo(facts: Facts) -> Criterion:
    name, limit = "pbo", f"< {MAX_PBO}"
    words = "the best of one half of the fitted dates is no coin toss in the other half (CSCV), and earns there"
    if facts.pbo_oos_sharpe is None or (facts.pbo is None and facts.trials > 1):
        return _open(name, words, limit, facts.why["pbo"])
    middle = f"median Sharpe of the chosen in the other half {facts.pbo_oos_sharpe:.4f} a day"
    if facts.pbo is None:
        said = f"one configuration, so nothing was chosen; {middle}"
        return _ended(name, words, None, limit, facts.pbo_oos_sharpe > 0, said)
    met = facts.pbo < MAX_PBO and facts.pbo_oos_sharpe > 0
    return _ended(name, words, facts.pbo, limit, met, f"probability of overfitting {facts.pbo:.3f}; {middle}")


def _reality(facts: Facts) -> Criterion:
    name, words, limit = (
        "reality_check",
        "among all trials it beats doing nothing (White RC, Hansen SPA, StepM)",
        f"< {MAX_P}",
    )
    if facts.rc_p is None or facts.spa_p is None:
        return _open(name, words, limit, facts.why["rc_p"])
    number = max(facts.rc_p, facts.spa_p)
    said = f"p {facts.rc_p:.4f} (reality check), {facts.spa_p:.4f} (SPA), the larger counts"
    if number < MAX_P and not facts.survives:
        said += f"; but it is none of the {_many(facts.survivors, 'survivor')} of StepM"
    return _ended(name, words, number, limit, number < MAX_P and facts.survives, said)


def _months(facts: Facts) -> Criterion:
    name, words, limit = "months", "most months earn", f">= {MIN_MONTH_SHARE:.0%}"
    share = facts.months_positive / facts.months if facts.months else None
    said = f"{facts.months_positive} of {facts.months} months are positive"
    if share is None or facts.months < MIN_MONTHS:
        return _open(name, words, limit, f"{said}: fewer than {MIN_MONTHS} months", share)
    return _ended(name, words, share, limit, share >= MIN_MONTH_SHARE, said)


def _sides(facts: Facts) -> Criterion:
    number = min(facts.long_net_cents, facts.short_net_cents)
    said = f"held-out longs {_usd(facts.long_net_cents)}, shorts {_usd(facts.short_net_cents)}"
    return _ended("directions", "longs and shorts both earn, held out", number / 100, "> $0", number > 0, said)


def _slippage(facts: Facts) -> Criterion:
    name, words = "slippage", f"it survives {facts.slip_ticks} ticks of slippage (held out, and both parts together)"
    if facts.slip_hold_net_cents is None or facts.slip_total_net_cents is None:
        return _open(name, words, "> $0", facts.why["slip_hold_net_cents"])
    number = min(facts.slip_hold_net_cents, facts.slip_total_net_cents)
    said = f"net {_usd(facts.slip_hold_net_cents)} held out, {_usd(facts.slip_total_net_cents)} in both parts"
    return _ended(name, words, number / 100, "> $0", number > 0, said)


def _one_day(facts: Facts) -> Criterion:
    name, words, limit = "one_day", "no single day makes the profit", f"<= {MAX_DAY_SHARE:.0%} of it"
    if facts.day_share is None:
        return _ended(name, words, None, limit, False, "there is no profit to share out")
    said = f"the best day is {facts.day_share:.1%} of the profit"
    return _ended(name, words, facts.day_share, limit, facts.day_share <= MAX_DAY_SHARE, said)


def _neighbours(facts: Facts) -> Criterion:
    name, words, limit = "neighbours", "one step beside the optimum it earns too", "all"
    if not facts.neighbours:
        return _open(name, words, limit, facts.why.get("neighbours", "there is no neighbour to try"))
    share = facts.neighbours_positive / facts.neighbours
    said = f"{facts.neighbours_positive} of {facts.neighbours} neighbours earn in both parts together"
    if facts.worst_neighbour:
        said += f"; the worst is {facts.worst_neighbour}"
    return _ended(name, words, share, limit, facts.neighbours_positive == facts.neighbours, said)


_RULES: Final[tuple[Callable[[Facts], Criterion], ...]] = (
    _trades,
    _fit_net,
    _hold_net,
    _lower,
    _dsr,
    _pbo,
    _reality,
    _months,
    _sides,
    _slippage,
    _one_day,
    _neighbours,
)
