"""Run the bench: ``pj backtest``."""

from __future__ import annotations

from datetime import date

from pj.verbs.common import Options, print_json


def backtest(options: Options) -> int:
    """Write trades.csv and events.csv of one Parquet file and print the counts."""
    from strategies.mle.phase16_pj_engine import read_params, run_backtest

    symbol = options["symbol"]
    summary = run_backtest(
        options["bars"],
        options["out"],
        read_params(options["params"], symbol),
        _day(options["from"]),
        _day(options["to"]),
        front=options["front"],
        snap=options["snap"],
        symbol=symbol,
    ).as_dict()
    if options["json"]:
        print_json(summary)
        return 0
    for name, value in summary.items():
        words = ", ".join(f"{key} {count}" for key, count in value.items()) if isinstance(value, dict) else value
        print(f"{name.replace('_', ' '):<12} {words if words != '' else '-'}")
    print("No edge is claimed: this is what the rules would have done on these bars.")
    return 0


def _day(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None
