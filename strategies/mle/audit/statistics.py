"""Name every statistic of the auditor in one place (pj1 S11); each is explained where it is defined."""

from __future__ import annotations

from strategies.mle.audit.arrays import StatisticsInputError
from strategies.mle.audit.bootstrap import block_length, bootstrap_means, mean_interval, resampled_days
from strategies.mle.audit.cross_validation import Cpcv, Split, cpcv_paths, walk_forward
from strategies.mle.audit.monte_carlo import Floor, MonteCarlo, monte_carlo
from strategies.mle.audit.multiple import HURDLE_T, benjamini_hochberg, holm, sign_permutation, t_statistic
from strategies.mle.audit.overfitting import Pbo, cscv
from strategies.mle.audit.reality import RealityCheck, common_block_length, reality_check
from strategies.mle.audit.sharpe import dsr, expected_max_sharpe, min_btl, min_trl, moments, psr, sharpe
from strategies.mle.audit.trials import Clusters, Luck, clusters, effective_trials, luck

__all__ = [
    "HURDLE_T",
    "Clusters",
    "Cpcv",
    "Floor",
    "Luck",
    "MonteCarlo",
    "Pbo",
    "RealityCheck",
    "Split",
    "StatisticsInputError",
    "benjamini_hochberg",
    "block_length",
    "bootstrap_means",
    "clusters",
    "common_block_length",
    "cpcv_paths",
    "cscv",
    "dsr",
    "effective_trials",
    "expected_max_sharpe",
    "holm",
    "luck",
    "mean_interval",
    "min_btl",
    "min_trl",
    "moments",
    "monte_carlo",
    "psr",
    "reality_check",
    "resampled_days",
    "sharpe",
    "sign_permutation",
    "t_statistic",
    "walk_forward",
]
