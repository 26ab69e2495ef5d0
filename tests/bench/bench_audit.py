"""Print seconds of the auditor's heavy statistics; asserts nothing.

Run: python -P tests/bench/bench_audit.py [--days 500] [--columns 1000] [--rounds 7] [--peer]

First: the first call of this process, compiled code on disk or not. Warm: median of the rounds. ``--peer`` also times
``arch.bootstrap.SPA`` over the same matrix and draws: one statistic, where ours are RC, SPA and StepM.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable

import numpy as np

from strategies.mle.audit.statistics import (
    cpcv_paths,
    cscv,
    effective_trials,
    mean_interval,
    monte_carlo,
    reality_check,
    sign_permutation,
)
from strategies.mle.audit.synthetic import synthetic_search

DRAWS = 1_000


def main() -> int:
    """Time each statistic and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=int, default=500)
    parser.add_argument("--columns", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--peer", action="store_true")
    options = parser.parse_args()
    daily = synthetic_search(1, 0.3, days=options.days, columns=options.columns).daily
    middle = options.columns // 2
    r = synthetic_search(1, 0.3, days=options.days, columns=30).trades_of(15).r
    works: dict[str, Callable[[], object]] = {
        "monte_carlo_10000_paths": lambda: monte_carlo(daily[:, middle], 10_000, floors_cents=(45_000, 200_000)),
        "cscv_16_blocks_12870_splits": lambda: cscv(daily, 16),
        f"rc_spa_stepm_{DRAWS}_draws": lambda: reality_check(daily, DRAWS),
        "mean_interval_10000_draws": lambda: mean_interval(daily[:, middle]),
        "effective_trials": lambda: effective_trials(daily),
        "sign_permutation_10000_draws": lambda: sign_permutation(r),
        "cpcv_10_groups_2_judged": lambda: cpcv_paths(options.days, 10, 2),
    }
    figures: dict[str, object] = {"days": options.days, "columns": options.columns, "cores": os.cpu_count()}
    for name, work in works.items():
        first = seconds(work)
        warm = statistics.median(seconds(work) for _ in range(options.rounds))
        figures[name] = {"first_s": round(first, 4), "warm_s": round(warm, 4)}
    if options.peer:
        warm = statistics.median(seconds(lambda: arch_spa(daily)) for _ in range(options.rounds))
        figures["peer_arch_spa"] = {"warm_s": round(warm, 4)}
    print(json.dumps(figures, indent=2))
    return 0


def seconds(work: Callable[[], object]) -> float:
    """Return how long a call takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def arch_spa(daily: np.ndarray) -> None:
    """Compute the same p values with arch (its statistic is not studentised)."""
    from arch.bootstrap import SPA

    SPA(np.zeros(len(daily)), -daily.astype(np.float64), 2, DRAWS, seed=1).compute()


if __name__ == "__main__":
    raise SystemExit(main())
