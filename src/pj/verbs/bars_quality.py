"""Judge the bars of an experiment before it runs: tell of unexplained gaps, refuse where that is asked."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final, Literal

from pj.verbs.common import Options, Refusal
from pj.verbs.schema import Argument, UsageError

if TYPE_CHECKING:
    from pj.store.quality import QualityReport
    from strategies.mle.bar_file import BarColumns

Policy = Literal["warn", "material", "any"]
"""What is refused: nothing, material gaps (a session, over an hour, over a thousandth of all), every gap."""
GAP_SWITCHES: Final = (
    Argument("--allow-gaps", "go on whatever minutes are missing from the bars; they are listed and recorded", "flag"),
    Argument("--refuse-gaps", "refuse bars with any unexplained gap, however small", "flag"),
)
_SHOWN: Final = 10


def gap_policy(options: Options, default: Policy) -> Policy:
    """Return what the command line asks for, else the verb's default; raise UsageError for both switches."""
    if options.get("allow_gaps") and options.get("refuse_gaps"):
        raise UsageError("--allow-gaps and --refuse-gaps exclude each other; give one")
    if options.get("allow_gaps"):
        return "warn"
    return "any" if options.get("refuse_gaps") else default


def judge_bars(columns: BarColumns, symbol: str, policy: Policy, source: str) -> dict[str, Any]:
    """Tell of gaps on stderr, raise Refusal where ``policy`` says so, and return what run.json keeps of the judgement.

    ``columns`` are the bars as they will be used: after --from, --to and --front.
    """
    from pj.store.quality import RULE, judge

    report = judge(columns, symbol, source=source)
    gaps = report.coverage.gaps
    if gaps:
        refused = policy == "any" or (policy == "material" and report.coverage.material)
        if refused:
            raise Refusal(f"{_told(report)}: {_list(report)}; import what is missing, or go on with --allow-gaps")
        sys.stderr.write(f"warning: {_told(report)}:\n")
        for line in _lines(report):
            sys.stderr.write(f"  {line}\n")
    return {
        "coverage_pct": report.coverage_pct,
        "session_minutes": report.coverage.expected,
        "lost_minutes": report.coverage.lost_minutes,
        "gaps": report.gap_lines(),
        "material": report.coverage.material,
        "rule": RULE,
    }


def _told(report: QualityReport) -> str:
    found = report.coverage
    what = "gap" if len(found.gaps) == 1 else "gaps"
    return f"{report.source} has {len(found.gaps)} unexplained {what} ({found.lost_minutes} session minutes)"


def _lines(report: QualityReport) -> list[str]:
    lines = report.gap_lines()
    more = [f"and {len(lines) - _SHOWN} more ('pj data quality' has all)"] if len(lines) > _SHOWN else []
    return lines[:_SHOWN] + more


def _list(report: QualityReport) -> str:
    return "; ".join(_lines(report))
