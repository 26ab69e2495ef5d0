"""Say how much a Sharpe ratio is worth: PSR, the luck of many trials, DSR, minimum lengths (pj1 S11.4, S11.5).

Every Sharpe ratio is per day, never annualised; kurtosis is 3 for the normal distribution.
"""

from __future__ import annotations

from math import e, inf, isfinite, log, sqrt
from statistics import NormalDist
from typing import Final

import numpy as np
import numpy.typing as npt

from strategies.mle.audit.arrays import StatisticsInputError, series, stands_still

EULER_GAMMA: Final = 0.5772156649015329
_NORMAL: Final = NormalDist()


def moments(r: npt.ArrayLike) -> tuple[float, float, float, float]:
    """Return mean, standard deviation (ddof 1), skewness g3 and kurtosis g4 (normal = 3; both from central moments).

    Skewness and kurtosis of a constant series are those of the normal distribution, 0 and 3.
    Raises StatisticsInputError for fewer than two values or one that is not finite.
    """
    values = series(r)
    mean = float(values.mean())
    centred = values - mean
    m2 = float(np.mean(centred**2))
    if stands_still(m2, float(np.mean(values**2))):
        return mean, 0.0, 0.0, 3.0
    unit = centred / sqrt(m2)
    return mean, sqrt(m2 * values.size / (values.size - 1)), float(np.mean(unit**3)), float(np.mean(unit**4))


def sharpe(r: npt.ArrayLike) -> float:
    """Return mean over standard deviation (ddof 1) of a series; 0 for one that is all zero.

    Raises StatisticsInputError for a constant series other than zero, whose ratio is not a number.
    """
    mean, sd, _, _ = moments(r)
    if sd > 0.0:
        return mean / sd
    if mean == 0.0:
        return 0.0
    raise StatisticsInputError(f"every value is {mean:g}: a series that never moves has no Sharpe ratio")


def sharpe_spread(sr: float, skew: float, kurt: float) -> float:
    """Return 1 - g3*SR + (g4-1)/4*SR^2, the variance of SR times (T-1) (Bailey & Lopez de Prado 2012).

    Raises StatisticsInputError where the three do not belong to any distribution (the term is not positive).
    """
    spread = 1.0 - skew * sr + (kurt - 1.0) / 4.0 * sr * sr
    if not isfinite(spread) or spread <= 0.0:
        raise StatisticsInputError(
            f"Sharpe {sr:g} with skewness {skew:g} and kurtosis {kurt:g} gives a variance of {spread:g}:"
            " no distribution has such moments (kurtosis is 3 for the normal one)"
        )
    return spread


def psr(sr: float, benchmark: float, t: int, skew: float, kurt: float) -> float:
    """Return the probability that the true Sharpe ratio exceeds the benchmark (pj1 S11.4), t in days.

    Raises StatisticsInputError for fewer than two days or impossible moments.
    """
    if t < 2:
        raise StatisticsInputError(f"{t} days are too few for a Sharpe ratio: at least 2 are needed")
    return _NORMAL.cdf((sr - benchmark) * sqrt(t - 1) / sqrt(sharpe_spread(sr, skew, kurt)))


def expected_max_sharpe(var_sr: float, n: float) -> float:
    """Return SR0, the best Sharpe ratio that n trials without any merit are expected to show (pj1 S11.4).

    ``var_sr`` is the variance of the trials' Sharpe ratios; n may be an effective number (not whole). One trial: 0.
    Raises StatisticsInputError for n < 1 or a negative variance.
    """
    if not var_sr >= 0.0 or not isfinite(var_sr):
        raise StatisticsInputError(
            f"a variance of {var_sr:g} was given: give the variance of the trials' Sharpe ratios"
        )
    return sqrt(var_sr) * expected_max_normal(n)


def expected_max_normal(n: float) -> float:
    """Return about the expected maximum of n standard normal draws: (1-g) Z(1-1/n) + g Z(1-1/(n e)); 0 for one.

    Between one and two the formula falls below zero (Z of less than a half); there it is 0.
    Raises StatisticsInputError for n < 1.
    """
    if not n >= 1.0 or not isfinite(n):
        raise StatisticsInputError(f"{n:g} trials were given: at least one was evaluated")
    if n == 1.0:
        return 0.0
    quantile = _NORMAL.inv_cdf
    return max(0.0, (1.0 - EULER_GAMMA) * quantile(1.0 - 1.0 / n) + EULER_GAMMA * quantile(1.0 - 1.0 / (n * e)))


def dsr(sr: float, t: int, skew: float, kurt: float, var_sr: float, n: float) -> float:
    """Return the deflated Sharpe ratio: PSR against the best that luck alone would show in n trials (pj1 S11.4)."""
    return psr(sr, expected_max_sharpe(var_sr, n), t, skew, kurt)


def min_trl(sr: float, benchmark: float, skew: float, kurt: float, confidence: float = 0.95) -> float:
    """Return the days a track record needs before SR > benchmark is believed (pj1 S11.5); inf where SR <= benchmark.

    Raises StatisticsInputError for impossible moments or a confidence outside (0.5, 1).
    """
    if not 0.5 < confidence < 1.0:
        raise StatisticsInputError(f"a confidence of {confidence:g} was given: give one between 0.5 and 1, as 0.95")
    spread = sharpe_spread(sr, skew, kurt)
    if sr <= benchmark:
        return inf
    return 1.0 + spread * (_NORMAL.inv_cdf(confidence) / (sr - benchmark)) ** 2


def min_btl(n: float, sr_annual_max: float) -> float:
    """Return about the years of data below which n trials show that annual Sharpe ratio by luck: 2 ln n / SR^2 (S11.5).

    Raises StatisticsInputError for n < 1 or a ratio that is not positive.
    """
    if not n >= 1.0 or not sr_annual_max > 0.0:
        raise StatisticsInputError(f"{n:g} trials and a best annual Sharpe of {sr_annual_max:g}: both must be positive")
    return 2.0 * log(n) / sr_annual_max**2
