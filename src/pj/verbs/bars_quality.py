"""Judge the bars of an experiment before it runs: tell of unexplained gaps, refuse where that is asked."""

from __future__ import annotations

import sys
from datetime import date
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from pj.verbs.arguments import ALLOW_GAPS
from pj.verbs.common import Options
from pj.verbs.schema import UsageError

if TYPE_CHECKING:
    from pj.store.gaps import Coverage
    from strategies.mle.bar_file import BarColumns

Policy = Literal["tell", "material", "any"]
"""What is refused: nothing, material gaps (a session, over an hour, over a thousandth of all), every gap."""
_SHOWN: Final = 10


def gap_policy(options: Options, default: Policy) -> Policy:
    """Return what the command line asks for, else the verb's default; raise UsageError for both switches."""
    if options.get("allow_gaps") and options.get("refuse_gaps"):
        raise UsageError("--allow-gaps and --refuse-gaps exclude each other; give one")
    if options.get("allow_gaps"):
        return "tell"
    return "any" if options.get("refuse_gaps") else default


def judge_bars(source: str, columns: BarColumns, *, policy: Policy) -> dict[str, Any]:
    """Tell of gaps on stderr and return what run.json keeps of the judgement.

    ``columns`` are the bars as they will be used: after --from, --to and --front. Raises BacktestInputError naming the
    gaps where ``policy`` refuses them.
    """
    from pj.store.gaps import RULE
    from pj.store.quality import judge_coverage
    from strategies.mle.bar_file import BacktestInputError

    found = judge_coverage(columns.ts_ns)
    if found.gaps and (policy == "any" or (policy == "material" and found.material)):
        listed = "; ".join(_lines(found))
        remedy = f"bring in what is missing, or go on with {ALLOW_GAPS.name}"
        raise BacktestInputError(f"{_told(source, found)}: {listed}; {remedy}")
    if found.gaps:
        sys.stderr.write("\n  ".join([f"warning: {_told(source, found)}:", *_lines(found)]) + "\n")
    return {
        "coverage_pct": found.pct,
        "session_minutes": found.expected,
        "lost_minutes": found.lost_minutes,
        "gaps": found.gap_lines(),
        "material": found.material,
        "rule": RULE,
    }


def judge_file(
    bars: Path,
    symbol: str,
    policy: Policy,
    *,
    front: bool = False,
    snap: bool = False,
    start: date | None = None,
    end: date | None = None,
) -> dict[str, Any]:
    """Read a file of bars as an experiment would and judge what it will use; raises BacktestInputError."""
    from live.market import INSTRUMENTS
    from strategies.mle.bar_file import load_columns
    from strategies.mle.phase16_pj_engine import columns_between

    columns = columns_between(load_columns(bars, INSTRUMENTS[symbol], front=front, snap=snap), start, end)
    return judge_bars(str(bars), columns, policy=policy)


def inspector(policy: Policy) -> partial[dict[str, Any]]:
    """Return ``judge_bars`` for one policy, as a function that can travel to another process."""
    return partial(judge_bars, policy=policy)


def _told(source: str, found: Coverage) -> str:
    what = "gap" if len(found.gaps) == 1 else "gaps"
    return f"{source} has {len(found.gaps)} unexplained {what} ({found.lost_minutes} session minutes)"


def _lines(found: Coverage) -> list[str]:
    lines = found.gap_lines()
    more = [f"and {len(lines) - _SHOWN} more ('pj data quality' has all)"] if len(lines) > _SHOWN else []
    return lines[:_SHOWN] + more
