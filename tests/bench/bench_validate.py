"""Print seconds of whole audits, stage by stage; asserts nothing.

Run: python -P tests/bench/bench_validate.py --bars FILE.parquet [--front] [--space SPACE.yaml] [--rounds 3]

Each round judges the shipped parameters in this process as ``pj validate --backtest`` does, with --space a search too.
First: the first round, compiled code on disk or not. Warm: medians of the others. Ledger and folders are temporary.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from itertools import pairwise
from pathlib import Path

from pj.cli import main as pj
from strategies.mle.audit.evidence import BarChoice
from strategies.mle.phase16a_validation import Audit, Plan, validate_backtest, validate_search, write_audit


def main() -> int:
    """Time the audits and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bars", type=Path, required=True)
    parser.add_argument("--front", action="store_true")
    parser.add_argument("--space", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    front = ["--front"] if options.front else []
    figures: dict[str, object] = {"bars": options.bars.name, "cores": os.cpu_count()}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        bars = ["--bars", str(options.bars), *front]
        with_output(lambda: pj(["backtest", *bars, "--out", str(folder / "bt")]))
        figures["backtest"] = stages(
            lambda say: validate_backtest(folder / "bt", BarChoice(), plan(folder), say), options
        )
        if options.space is not None:
            with_output(lambda: pj(["search", *bars, "--space", str(options.space), "--out", str(folder / "sr")]))
            figures["search"] = stages(
                lambda say: validate_search(folder / "sr", BarChoice(), plan(folder), say), options
            )
    print(json.dumps(figures, indent=2))
    return 0


def plan(folder: Path) -> Plan:
    """Return the verb's own choices with a ledger of this run."""
    return Plan(ledger=folder / "looks.jsonl")


def with_output(work: Callable[[], int]) -> None:
    """Run a verb whose words nobody reads; raise SystemExit when it fails."""
    nowhere = io.StringIO()
    with redirect_stdout(nowhere), redirect_stderr(nowhere):
        code = work()
    if code:
        raise SystemExit(f"a verb ended with code {code}")


def stages(work: Callable[[Callable[[str], None]], Audit], options: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Return first and warm seconds of each stage and of the whole."""
    rounds = [once(work) for _ in range(1 + options.rounds)]
    return {
        name: {
            "first_s": round(rounds[0][name], 2),
            "warm_s": round(statistics.median(one[name] for one in rounds[1:]), 2),
        }
        for name in rounds[0]
    }


def once(work: Callable[[Callable[[str], None]], Audit]) -> dict[str, float]:
    """Return the seconds of each stage of one audit."""
    told: list[tuple[str, float]] = []
    began = time.perf_counter()
    audit = work(lambda what: told.append((what, time.perf_counter())))
    told.append(("writing the files", time.perf_counter()))
    with tempfile.TemporaryDirectory() as scratch:
        write_audit(audit, Path(scratch))
    told.append(("", time.perf_counter()))
    found = {what: after - at for (what, at), (_, after) in pairwise(told)}
    return found | {"whole": time.perf_counter() - began}


if __name__ == "__main__":
    raise SystemExit(main())
