"""Run the bench: ``pj backtest``."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import date

from pj.verbs.bars_quality import gap_policy, inspector
from pj.verbs.common import Options, print_json
from pj.verbs.schema import UsageError

_REFUSED = 2


def backtest(options: Options) -> int:
    """Write the rows, the equity curve and run.json of one Parquet file, or of a folder of them; print the counts."""
    from strategies.mle.backtest_jobs import Choices, backtest_file, backtest_folder
    from strategies.mle.kernels.jit import CACHE_FOLDER
    from strategies.mle.phase16_pj_engine import read_params

    symbol, bars, out, jobs = options["symbol"], options["bars"], options["out"], options["jobs"]
    if jobs is not None and jobs < 1:
        raise UsageError(f"--jobs {jobs} leaves nobody to work; give at least 1")
    params = read_params(options["params"], symbol)
    choices = Choices(
        params,
        symbol,
        _day(options["from"]),
        _day(options["to"]),
        options["front"],
        options["snap"],
        options["engine"],
        inspector(gap_policy(options, "tell")),
    )
    if CACHE_FOLDER is None and options["engine"] == "compiled":
        print("compiled code cannot be kept (no cache folder can be written); every run compiles anew", file=sys.stderr)
    if not bars.is_dir():
        summary = backtest_file(bars, out, choices).as_dict()
        if options["json"]:
            print_json(summary)
        else:
            _print_summary(summary)
        return 0
    many = backtest_folder(bars, out, choices, jobs or 0)
    files = {name: one.as_dict() for name, one in many.files.items()}
    if options["json"]:
        print_json({**many.total().as_dict(), "files": files, "failed": many.failed})
    else:
        for name, one in files.items():
            print(f"{name:<32} {one['bars']:>9} bars {one['trades']:>6} trades {one['net_usd']:>14} USD net")
        _print_summary(many.total().as_dict())
    for sentence in many.failed.values():
        print(sentence, file=sys.stderr)
    return _REFUSED if many.failed else 0


def _print_summary(summary: Mapping[str, object]) -> None:
    """Print the counts, then the figures of the equity curve in a section of their own."""
    figures = summary["figures"]
    _print_table({name: value for name, value in summary.items() if name != "figures"}, 12)
    if isinstance(figures, dict) and figures:
        print("\nfigures")
        _print_table(figures, 22)
    print("No edge is claimed: this is what the rules would have done on these bars.")


def _print_table(table: Mapping[str, object], width: int) -> None:
    for name, value in table.items():
        words = ", ".join(f"{key} {count}" for key, count in value.items()) if isinstance(value, dict) else value
        print(f"{name.replace('_', ' '):<{width}} {words if words != '' else '-'}")


def _day(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None
