"""Check what the statistics are given, and share their loops out among threads.

Every loop that may run in several threads writes only its own rows and draws its chance from a counter
(`strategies.mle.audit.chance`), so the number of threads never changes a result.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from strategies.mle.kernels.jit import compiled

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Matrix = npt.NDArray[Any]
"""T x N: one row a trade date, one column a configuration; integer cents or float64, also a memory map."""


class StatisticsInputError(ValueError):
    """Report numbers that a statistic cannot be computed from; the text says which and what to do."""


@compiled
def stands_still(spread: Any, square: Any) -> Any:
    """Tell whether squared deviations are mere rounding beside the squares: a series that never moves."""
    return spread <= 1e-12 * square


def share_out(work: Callable[[int, int], object], total: int, threads: int | None = None) -> None:
    """Call ``work(first, after_last)`` over 0..total in contiguous shares, one thread each.

    ``threads`` defaults to the machine's cores; results do not depend on it. The first piece is done by the caller
    alone, because two threads must not compile one function at the same time.
    """
    work(0, min(1, total))
    count = max(1, min(total - 1, threads or os.cpu_count() or 1))
    edges = [1 + (total - 1) * share // count for share in range(count + 1)]
    if count == 1:
        work(1, max(1, total))
        return
    with ThreadPoolExecutor(count) as pool:
        for done in [pool.submit(work, first, last) for first, last in pairwise(edges)]:
            done.result()


def series(values: npt.ArrayLike, at_least: int = 2) -> Floats:
    """Return a finite float64 series of at least so many values.

    Raises StatisticsInputError for another shape, fewer values, or one that is not a finite number.
    """
    array = np.ascontiguousarray(values, dtype=np.float64)
    if array.ndim != 1:
        raise StatisticsInputError(f"a series of {array.ndim} dimensions was given: give one number per day")
    if array.size < at_least:
        raise StatisticsInputError(f"{array.size} values are too few: at least {at_least} are needed")
    _refuse_holes(array)
    return array


def matrix(values: Matrix, days_at_least: int = 2, columns_at_least: int = 1) -> Matrix:
    """Return a T x N matrix as it is, checked.

    Raises StatisticsInputError for another shape, too few days or columns, or a value that is not finite.
    """
    if values.ndim != 2:
        raise StatisticsInputError(f"{values.ndim} dimensions were given: give days as rows, configurations as columns")
    days, columns = values.shape
    if days < days_at_least:
        raise StatisticsInputError(f"{days} days are too few: at least {days_at_least} are needed")
    if columns < columns_at_least:
        raise StatisticsInputError(f"{columns} configurations are too few: at least {columns_at_least} are needed")
    if values.dtype.kind == "f":
        for first in range(0, columns, 4096):
            _refuse_holes(values[:, first : first + 4096])
    elif values.dtype.kind not in "iu":
        raise StatisticsInputError(f"values of type {values.dtype} were given: give integer cents or float64")
    return values


def _refuse_holes(array: Matrix) -> None:
    if not np.isfinite(array).all():
        raise StatisticsInputError("a value is not a finite number: a day without a trade is 0, never empty")
