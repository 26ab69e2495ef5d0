"""Run the no-lookahead instrument: ``pj validate lookahead``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from live.market import INSTRUMENTS
from pj.verbs.common import Options, print_json

SHOWN: Final = 10

if TYPE_CHECKING:
    from strategies.mle.lookahead import Report


def validate_lookahead(options: Options) -> int:
    """Cut the tape, try other futures, print what was rewritten; 0 when nothing was."""
    from strategies.mle.bar_file import load_columns
    from strategies.mle.lookahead import ENGINES, REPORT_FILE, examine, write_report
    from strategies.mle.phase16_pj_engine import read_params
    from strategies.mle.registry import RunFolder

    names = ("symbol", "front", "snap", "engine", "cuts")
    bars, out, seed = options["bars"], options["out"], options["seed"]
    params = read_params(options["params"], options["symbol"])
    instrument = params.instrument(INSTRUMENTS[options["symbol"]])
    inputs = {"bars": bars, "check": "lookahead", **{name: options[name] for name in names}}
    run = None if out is None else RunFolder.create(out, "validate", inputs, params.to_dict(), seed)
    tape = load_columns(bars, instrument, front=options["front"], snap=options["snap"])
    engine = ENGINES[options["engine"]](params, instrument)
    report = examine(engine, tape, params, cuts=options["cuts"], seed=seed, told=_told)
    if run is not None:
        write_report(out, report)
        verdict = "PASS" if report.clean else "FAIL"
        run.finish({"rewritten": report.rewritten, "runs": report.runs, "verdict": verdict}, (REPORT_FILE,))
    if options["json"]:
        print_json(report.as_dict())
    else:
        _print(report, options["engine"])
    return 0 if report.clean else 1


def _print(report: Report, engine: str) -> None:
    places = ", ".join(f"{place.replace('_', ' ')} {count}" for place, count in report.cuts.items())
    print(f"engine       {engine}, {report.bars} bars, seed {report.seed}")
    print(f"cuts         {places}")
    print(f"runs         {report.runs}, readings held to their word {report.readings}")
    print(f"rewritten    {report.rewritten}")
    print(f"planted peek {'found' if report.planted_found else 'NOT FOUND: these cuts prove nothing'}")
    for one in report.findings[:SHOWN]:
        print(f"  {one.known_until}, {one.cut} bars known ({one.place}), future {one.future}: {one.fault}")
    if report.clean:
        print("Nothing the engine said about known bars depends on later ones, in any future tried.")


def _told(done: int, cuts: int) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\rcut {done} of {cuts}" + ("\n" if done == cuts else ""))
