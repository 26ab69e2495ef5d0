"""Run the auditor: ``pj validate --backtest DIR | --search DIR``."""

from __future__ import annotations

import sys
import time
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from pj.verbs.bars_quality import gap_policy, inspector
from pj.verbs.common import Options, print_json
from pj.verbs.schema import UsageError

if TYPE_CHECKING:
    from strategies.mle.phase16a_validation import BarChoice, Plan


def validate(options: Options) -> int:
    """Judge one folder, write verdict.json, report.html and run.json; return 0 for PASS, 1 for FAIL."""
    from strategies.mle.audit.summary import lines_of, tree_of
    from strategies.mle.phase16a_validation import validate_backtest, validate_search, write_audit

    folder = _folder(options)
    out: Path = options["out"] or folder / "validation"
    judge = validate_search if options["search"] is not None else validate_backtest
    audit = judge(folder, _choice(options), _plan(options), _Progress())
    written = write_audit(audit, out)
    if options["json"]:
        print_json(tree_of(audit))
    else:
        for line in lines_of(audit):
            print(line)
        print(f"written: {', '.join(str(path) for path in written)}")
    return 0 if audit.verdict.passed else 1


def _folder(options: Options) -> Path:
    given = [folder for folder in (options["backtest"], options["search"]) if folder is not None]
    if len(given) != 1:
        raise UsageError("pj validate needs one of --backtest DIR and --search DIR; see 'pj validate --help'")
    return Path(given[0])


def _choice(options: Options) -> BarChoice:
    from strategies.mle.phase16a_validation import BarChoice

    start, end = (date.fromisoformat(options[name]) if options[name] else None for name in ("from", "to"))
    symbol, front, snap = options["symbol"], options["front"], options["snap"]
    inspect = inspector(gap_policy(options, "material"))
    return BarChoice(options["bars"], options["params"], symbol, front, snap, start, end, inspect)


def _plan(options: Options) -> Plan:
    from strategies.mle.phase16a_validation import FLOORS_CENTS, Plan, Settings

    for name, least in (("placebos", 1), ("seed", 0)):
        if options[name] < least:
            raise UsageError(f"pj validate: --{name} is {options[name]}; give at least {least}")
    if any(floor <= 0 for floor in options["floor"]):
        raise UsageError("pj validate: --floor is a loss in whole USD, as 450; give one above zero")
    floors = tuple(100 * floor for floor in options["floor"]) or FLOORS_CENTS
    settings = Settings(seed=options["seed"])
    return Plan(settings, options["placebos"], floors_cents=floors, ledger=Path(options["ledger"]))


class _Progress:
    """Tell a person at a terminal what is being done and how long what was done took."""

    def __init__(self) -> None:
        self._last: tuple[str, float] | None = None

    def __call__(self, what: str) -> None:
        if not sys.stderr.isatty():
            return
        now = time.monotonic()
        if self._last is not None:
            sys.stderr.write(f"{now - self._last[1]:6.1f} s  {self._last[0]}\n")
        self._last = (what, now)
