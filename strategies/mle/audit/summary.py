"""Tell an audit as a JSON tree and as lines for a person; the same inputs give the same bytes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from math import isfinite
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from strategies.mle.audit.split import EMBARGO_DATES, PURGE_DATES
from strategies.mle.audit.verdict import Criterion, Status

if TYPE_CHECKING:
    from strategies.mle.phase16a_validation import Audit

DIGITS: Final = 6
"""Significant digits of a number that is not exact."""
_MARKS: Final = {Status.MET: "pass", Status.MISSED: "FAIL", Status.UNDECIDABLE: "FAIL"}
LAST_WORD: Final = {
    True: "PASS means that no check found a reason to refuse, not that the future will be like the past.",
    False: "FAIL: an edge is not shown by these data. Do not trade it.",
}


def tree_of(audit: Audit) -> dict[str, Any]:
    """Return the audit as a JSON object."""
    weighed, split, evidence = audit.weighed, audit.split, audit.evidence
    return _rounded_tree(
        {
            **audit.verdict.as_dict(),
            "last_word": LAST_WORD[audit.verdict.passed],
            "source": {
                "kind": audit.tried.kind,
                "symbol": evidence.symbol,
                "bars_sha256": evidence.bars_sha256,
                "tape_sha256": evidence.market.tape.sha256,
                "search_sha256": audit.tried.search_sha256,
                "trial": audit.tried.trial,
                "params": evidence.params.to_dict(),
                "params_sha256": audit.opened.look.params_sha256,
                "trades": len(audit.table),
            },
            "split": {
                "dates": len(split.days),
                "fit": [*split.span(split.fit), split.fit_end],
                "hold": [*split.span(split.hold), split.hold_days],
                "purged_dates": PURGE_DATES,
                "embargo_dates": EMBARGO_DATES,
            },
            "looks": {
                "number": audit.opened.look.number,
                "by_now": audit.opened.total,
                "earlier_params_sha256": [one.params_sha256 for one in audit.opened.earlier],
                "earlier_trials": audit.opened.earlier_trials,
            },
            "facts": asdict(weighed.facts),
            "moments": {"fit": weighed.moments_fit, "hold": weighed.moments_hold},
            "hold_mean_day_interval_cents": weighed.hold_interval,
            "sharpe_variance_of_trials": weighed.sr_variance,
            "overfitting": _overfitting(audit),
            "reality_check": _reality(audit),
            "needed": asdict(weighed.needed),
            "beside": _beside(audit),
            "settings": {
                **asdict(audit.plan.settings),
                "placebo_runs": audit.plan.placebo_runs,
                "null_draws": audit.plan.null_draws,
                "paths": audit.plan.paths,
                "floors_cents": audit.plan.floors_cents,
            },
        }
    )


def _overfitting(audit: Audit) -> dict[str, Any] | None:
    pbo = audit.weighed.pbo
    if pbo is None:
        return None
    counts, edges = np.histogram(pbo.logits, bins=20)
    return {
        "pbo": pbo.pbo,
        "median_oos_sharpe": pbo.median_oos_sharpe,
        "probability_of_loss": pbo.probability_of_loss,
        "slope": pbo.slope,
        "splits": pbo.splits,
        "logits": {"counts": counts.tolist(), "edges": edges.tolist()},
    }


def _reality(audit: Audit) -> dict[str, Any] | None:
    found = audit.weighed.reality
    if found is None:
        return None
    names = ("rc_p", "spa_p", "spa_p_lower", "spa_p_upper", "draws", "block_days")
    more = {"stepm_survivors": len(found.survivors), "compared": len(found.studentised)}
    return {name: getattr(found, name) for name in names} | more


def _beside(audit: Audit) -> dict[str, Any]:
    ahead = audit.forward
    nets = np.array(audit.placebo.nets_cents, dtype=np.int64)
    return {
        "cost_stress": [asdict(one) for one in audit.stresses],
        "neighbours": [asdict(one) for one in audit.steps],
        "placebo": {
            "runs": len(nets),
            "real_net_cents": audit.placebo.real_net_cents,
            "mean_net_cents": float(nets.mean()) if len(nets) else None,
            "p": audit.placebo.p,
        },
        "permutation": [
            {
                "name": null.name,
                "draws": len(null.nets_cents),
                "real_net_cents": null.real_net_cents,
                "mean_net_cents": float(null.nets_cents.mean()) if len(null.nets_cents) else None,
                "p": null.p,
            }
            for null in audit.nulls
        ],
        "walk_forward": [
            {name: value for name, value in asdict(walk).items() if name != "daily"} | {"days": len(walk.daily)}
            for walk in ahead.walks
        ],
        "factors": [asdict(one) for one in audit.factors],
        "cpcv": None if ahead.cross is None else asdict(ahead.cross),
        "not_possible": ahead.why | ({"monte_carlo": audit.monte_why} if audit.monte is None else {}),
        "monte_carlo": None if audit.monte is None else asdict(audit.monte),
    }


def lines_of(audit: Audit) -> Iterator[str]:
    """Yield the audit for a person, a line at a time."""
    split, look = audit.split, audit.opened.look
    what = f"trial {audit.tried.trial} of {audit.tried.count}" if audit.tried.trial is not None else "one configuration"
    yield f"{audit.verdict.word}  {audit.tried.kind}, {audit.evidence.symbol}, {what}, {len(audit.table)} trades"
    yield (
        f"fitted {' to '.join(split.span(split.fit))} ({split.fit_end} dates),"
        f" held out {' to '.join(split.span(split.hold))} ({split.hold_days} dates)"
    )
    again = " (recorded before, not counted again)" if audit.opened.repeated else ""
    yield f"look {look.number} at this holdout{again}, {audit.opened.total} by now; ledger {audit.plan.ledger}"
    yield ""
    for one in audit.verdict.criteria:
        yield f"  {_MARKS[one.status]:<5}{one.id:<18}{number_of(one):>12}  {one.threshold:<12} {one.reason}"
    yield ""
    yield from beside_lines(audit)
    yield ""
    yield from needed_lines(audit)
    yield LAST_WORD[audit.verdict.passed]


def number_of(one: Criterion) -> str:
    """Return a criterion's number as people read it."""
    if one.number is None:
        return "-"
    if "$" in one.threshold:
        return usd(100 * one.number)
    if "%" in one.threshold or one.threshold == "all":
        return f"{one.number:.0%}"
    return f"{one.number:,.0f}" if float(one.number).is_integer() and abs(one.number) > 1 else f"{one.number:,.4g}"


def usd(cents: float) -> str:
    """Return cents as dollars for a person."""
    return f"{'-' if cents < 0 else ''}${abs(cents) / 100:,.2f}"


def beside_lines(audit: Audit) -> Iterator[str]:
    """Yield what stands beside the verdict."""
    yield "beside the verdict:"
    for stress in audit.stresses:
        yield f"  costs, {stress.name:<18} fitted {usd(stress.fit_net_cents)}, held out {usd(stress.hold_net_cents)}"
    levels = audit.placebo
    yield (
        f"  placebo levels     real {usd(levels.real_net_cents)}, {len(levels.nets_cents)} placebo runs reach it"
        f" with p {levels.p:.3f}"
    )
    for null in audit.nulls:
        draws = f"{len(null.nets_cents)} draws reach it with p {null.p:.3f}"
        yield f"  {null.name:<18} real {usd(null.real_net_cents)}, {draws}"
    for walk in audit.forward.walks:
        gain = "no fit earned" if walk.efficiency is None else f"efficiency {walk.efficiency:.2f}"
        yield (
            f"  walk-forward, {walk.kind:<9} {len(walk.daily)} judged dates, mean day {usd(walk.mean_cents)},"
            f" Sharpe {walk.sharpe:.3f} a day, {gain}"
        )
    cross = audit.forward.cross
    if cross is not None:
        ratios = ", ".join(f"{one:.3f}" for one in cross.path_sharpes)
        yield f"  CPCV, {cross.splits} splits      Sharpe of the {len(cross.path_sharpes)} paths {ratios} a day"
    for name, why in audit.forward.why.items():
        yield f"  {name:<18} not possible: {why}"
    for one in audit.factors:
        adjusted = f"t {one.t:.2f}, p {one.p:.3f}, by Holm {one.holm:.3f}"
        yield f"  factor {one.name:<11} {one.trades} trades, net {usd(one.net_cents)}, {adjusted}"
    yield from _path_lines(audit)


def _path_lines(audit: Audit) -> Iterator[str]:
    monte = audit.monte
    if monte is None:
        yield f"  Monte Carlo        not possible: {audit.monte_why}"
        return
    half, worst = usd(monte.drawdown_cents[0.5]), usd(monte.drawdown_cents[0.95])
    yield f"  Monte Carlo        {monte.paths} paths: half lose {half} from a peak, one in twenty {worst}"
    told = ", ".join(f"{usd(-one.loss_cents)}: {one.hit:.1%}" for one in monte.floors)
    yield f"  chance of hitting  {told} (since the start)"


def needed_lines(audit: Audit) -> Iterator[str]:
    """Yield what would be needed for a decision."""
    needed, facts = audit.weighed.needed, audit.weighed.facts
    yield "what would be needed:"
    if needed.min_trl_days is None or not isfinite(needed.min_trl_days):
        yield "  minimum track record: none would do, the held-out Sharpe ratio is not above zero"
    else:
        yield f"  minimum track record: {needed.min_trl_days:,.0f} held-out dates (there are {facts.hold_days})"
    if needed.total_days_for_trades is not None:
        yield (
            f"  300 held-out trades: {needed.hold_days_for_trades:,} held-out dates at this rate,"
            f" {needed.total_days_for_trades:,} dates in all"
        )
    if needed.min_btl_years is not None:
        trials = f"{facts.effective_trials:.0f} effective trial{'s' if facts.effective_trials != 1 else ''}"
        yield f"  minimum backtest length for {trials}: {needed.min_btl_years:.2f} years"


def _rounded_tree(tree: dict[str, Any]) -> dict[str, Any]:
    return {name: _rounded(one) for name, one in tree.items()}


def _rounded(value: Any) -> Any:
    """Return the tree with inexact numbers cut to six significant digits; inf and nan as text."""
    if isinstance(value, dict):
        return {str(name): _rounded(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(one) for one in value]
    if isinstance(value, np.ndarray | np.generic):
        return _rounded(value.tolist())
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}") if isfinite(value) else str(value)
    return value
