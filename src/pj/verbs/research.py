"""Run the bench: ``pj backtest``."""

from __future__ import annotations

from datetime import date

from pj.verbs.common import Options, print_json


def backtest(options: Options) -> int:
    """Write trades.csv, events.csv and run.json of one Parquet file and print the counts."""
    from strategies.mle.phase16_pj_engine import read_params, run_backtest
    from strategies.mle.registry import RunFolder

    symbol, bars, out = options["symbol"], options["bars"], options["out"]
    params = read_params(options["params"], symbol)
    choices = {name: options[name] for name in ("symbol", "from", "to", "front", "snap")}
    run = RunFolder.create(out, "backtest", {"bars": bars, **choices}, params.to_dict())
    summary = run_backtest(
        bars,
        out,
        params,
        _day(options["from"]),
        _day(options["to"]),
        front=options["front"],
        snap=options["snap"],
        symbol=symbol,
    ).as_dict()
    outputs = ("trades.csv", "events.csv")
    run.finish({name: value for name, value in summary.items() if not name.endswith("_path")}, outputs)
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
