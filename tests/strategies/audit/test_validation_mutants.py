"""Plant bugs in the auditor, one at a time; its tests must notice each.

The short form holds the table to the sources. ``pytest -m campaign tests/strategies/audit/test_validation_mutants.py``
runs the tests of each mutant over a changed copy of the tree.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
AUDIT = "strategies/mle/audit"
AUDITOR = "strategies/mle/phase16a_validation.py"
COPIED = ("live", "strategies", "src", "tests", "config", "pyproject.toml")

#: File, what stands there, what the bug makes of it, the test files (test_validation_NAME.py) that must notice.
MUTANTS = [
    (f"{AUDIT}/split.py", "border - PURGE_DATES", "border", "split"),
    (f"{AUDIT}/split.py", "border + EMBARGO_DATES", "border", "split"),
    (f"{AUDIT}/split.py", "fit_share // 100", "(fit_share + 5) // 100", "split"),
    (f"{AUDIT}/ledger.py", " or (self.symbol == other.symbol and overlap)", "", "ledger"),
    (f"{AUDIT}/ledger.py", "found.pop(wanted.params_sha256, None)", "pass", "ledger"),
    (f"{AUDIT}/ledger.py", "while not _try_lock(fd):", "while False:", "ledger"),
    (f"{AUDIT}/ledger.py", "_others(looks[: kin[0]] if kin else looks, wanted)", "_others(looks, wanted)", "ledger"),
    (f"{AUDIT}/ledger.py", "_counting(looks[: own[0]], wanted)", "_counting(looks, wanted)", "ledger"),
    (f"{AUDIT}/ledger.py", " - {self.look.params_sha256}", "", "ledger"),
    (f"{AUDIT}/ledger.py", 'row.get("prev") != before or ', "", "ledger"),
    (f"{AUDIT}/ledger.py", ' or row.get("hash") != _digest(body)', "", "ledger"),
    (f"{AUDIT}/ledger.py", '("\\n" if torn else "")', '""', "ledger"),
    (f"{AUDIT}/ledger.py", "searches.pop(self.look.search_sha256, None)", "pass", "ledger"),
    (f"{AUDIT}/weigh.py", "case.trade_rows >= case.split.hold_start", "case.trade_rows >= case.split.fit_end", "weigh"),
    (f"{AUDIT}/weigh.py", "case.slip_daily[part].sum()", "case.daily[part].sum()", "weigh"),
    (f"{AUDIT}/weigh.py", "return max(shares)", "return min(shares)", "weigh"),
    (f"{AUDIT}/weigh.py", "max(1.0, case.trial_count / known)", "1.0", "weigh"),
    (f"{AUDIT}/weigh.py", "_looks_variance(case), float(looks))", "_looks_variance(case), 1.0)", "weigh"),
    (f"{AUDIT}/weigh.py", "else 1 + case.looks_hold.shape[1]", "else 1", "weigh"),
    (f"{AUDIT}/weigh.py", "_is_among(fit, compared[:, reality.survivors])", "len(reality.survivors) > 0", "weigh"),
    (f"{AUDIT}/search_evidence.py", "fit = daily[split_days(found.days).fit]", "fit = daily[:]", "search"),
    (f"{AUDIT}/search_evidence.py", "    _check(evidence, found, trial, fit[:, column])\n", "", "search"),
    (f"{AUDIT}/search_evidence.py", "if moved.min_risk_ticks <= moved.max_risk_ticks:", "if True:", "search"),
    (AUDITOR, "tried.count + opened.earlier_trials", "tried.count", "search"),
    (AUDITOR, "np.hstack([own, earlier[split.fit].astype(own.dtype)])", "own", "cli"),
    (AUDITOR, "placebo(market, params, split.judged,", "placebo(market, params, split.hold,", "cli"),
    (f"{AUDIT}/evidence.py", '    _check_trades(folder / "trades.csv", evidence)\n', "", "cli"),
    (f"{AUDIT}/evidence.py", 'if file_sha256(bars) != recorded["sha256"]:', "if False:", "cli"),
    (f"{AUDIT}/permutation.py", "elif below(bits, 2) == 0:", "elif False:", "beside"),
    (f"{AUDIT}/permutation.py", "min(stop, opened) - slip - filled", "stop - slip - filled", "beside"),
    (f"{AUDIT}/permutation.py", "if start <= stop or start >= target:", "if False:", "beside"),
    (f"{AUDIT}/forward.py", "fitted = trials[step.fit]", "fitted = trials[step.judged]", "beside"),
    (f"{AUDIT}/forward.py", "best_trial(trials[split.fit])", "0", "beside"),
    (f"{AUDIT}/placebo.py", "least + below(word(start, pool), many)", "least", "placebo"),
    (f"{AUDIT}/stress.py", "max(SLIPPAGE_TICKS, params.slip_ticks + 1)", "SLIPPAGE_TICKS", "beside"),
    (f"{AUDIT}/market.py", "key = tuple(getattr(params, name) for name in _FIELDS)", "key = ()", "placebo"),
    (f"{AUDIT}/neighbours.py", "{name: str(old + step)}", "{name: str(old)}", "beside"),
]


@pytest.mark.parametrize(("file", "right", "wrong", "noticed"), MUTANTS)
def test_each_mutant_still_has_its_place(file: str, right: str, wrong: str, noticed: str) -> None:
    assert (ROOT / file).read_text("utf-8").count(right) == 1
    assert (Path(__file__).parent / f"test_validation_{noticed}.py").exists()


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the tree that a mutant may change."""
    folder = tmp_path_factory.mktemp("tree")
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, folder / name)
    return folder


@pytest.mark.campaign
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(("file", "right", "wrong", "noticed"), MUTANTS)
def test_each_mutant_is_noticed(tree: Path, file: str, right: str, wrong: str, noticed: str) -> None:
    path = tree / file
    source = path.read_text("utf-8")
    path.write_text(source.replace(right, wrong, 1), "utf-8")
    env = dict(os.environ, PYTHONPATH=os.pathsep.join([str(tree / "src"), str(tree)]))
    words = ["-m", "pytest", "-q", "-x", "--rootdir", str(tree), f"tests/strategies/audit/test_validation_{noticed}.py"]
    try:
        done = subprocess.run([sys.executable, *words], cwd=tree, env=env, capture_output=True, text=True, check=False)
    finally:
        path.write_text(source, "utf-8")
    assert done.returncode == 1, f"nobody noticed:\n{done.stdout[-2000:]}"
