"""Trade batches on a CUDA GPU with the very functions that the processor runs, one thread per combination.

Pools, sweeps and reclaims are shared by many rows and stay on the processor; the money of every row goes to the GPU.
All arithmetic is in integers, so that both give the same bits.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from types import FunctionType
from typing import Any, Final

import numba.cuda
import numpy as np
import numpy.typing as npt
from numba.core import config
from numba.core.dispatcher import Dispatcher

from strategies.mle.kernels.batch import ORDERS_KEPT, describe_reclaims, money_walk
from strategies.mle.kernels.shared import A_COLUMNS, Ground, choose
from strategies.mle.search.batches import Searcher, unit_of
from strategies.mle.search.layout import Batch
from strategies.mle.search.space import Space
from strategies.mle.tape import Tape

Ints = npt.NDArray[np.int64]
Int32s = npt.NDArray[np.int32]

cuda: Final[Any] = numba.cuda
_THREADS: Final = 128
_MOST_RECLAIMS: Final = 16_000_000
_MOST_CELLS: Final = 32_000_000


def is_available() -> bool:
    """Tell whether this process can use a CUDA GPU."""
    return bool(cuda.is_available())


def device_name() -> str:
    """Return the GPU's name."""
    if vars(config)["ENABLE_CUDASIM"]:
        return "none; numba's simulator, which is for tests"
    name = cuda.get_current_device().name
    return name.decode() if isinstance(name, bytes) else str(name)


def device_function(function: Any) -> Any:
    """Return a compiled function, and whatever it calls, as CUDA device code of the same Python source."""
    return _twin(function.py_func)


def _larger(one: int, other: int) -> int:
    if one > other:
        return one
    return other


def _smaller(one: int, other: int) -> int:
    if one < other:
        return one
    return other


_BUILT_IN: Final = {"max": _larger, "min": _smaller}


@cache
def _twin(plain: FunctionType) -> Any:
    called = {name: plain.__globals__.get(name) for name in plain.__code__.co_names}
    twins = {name: _twin(one.py_func) for name, one in called.items() if isinstance(one, Dispatcher)}
    # numba's CUDA target does not compile max and min of whole numbers.
    twins |= {name: _twin(one) for name, one in _BUILT_IN.items() if name in plain.__code__.co_names}
    copy = FunctionType(plain.__code__, {**plain.__globals__, **twins}, plain.__name__, plain.__defaults__)
    return cuda.jit(device=True)(copy)


@cache
def walk_kernel() -> Any:
    """Return the kernel that walks one row per thread."""
    walk = device_function(money_walk)

    def walk_rows(
        price: Any,
        when: Any,
        minute: Any,
        last: Any,
        chosen: Any,
        spans: Any,
        money: Any,
        orders: Any,
        daily: Any,
        out: Any,
    ) -> None:
        row = cuda.grid(1)
        if row < len(spans):
            ground = Ground(price, when, minute, last)
            rows = chosen[spans[row, 0] : spans[row, 1]]
            walk(ground, rows, money[row], orders[row], daily[row], out[row])

    return cuda.jit(walk_rows)


class CudaSearcher(Searcher):
    """Compute trials like ``Searcher``, the money of each on the GPU."""

    def __init__(self, space: Space, tape: Tape, threads: int | None = None) -> None:
        super().__init__(space, tape, threads)
        self._there = tuple(cuda.to_device(array) for array in self.ground)

    def parts_at_once(self, part_rows: int) -> int:
        """Return as many parts as keep a GPU busy and still leave its memory and ours bounded."""
        return max(1, _MOST_CELLS // (part_rows * max(1, len(self.tape.days))))

    def trade(self, batch: Batch, daily: Ints, totals: Ints) -> None:
        """Fill ``daily`` and ``totals``, which come in zero."""
        with ThreadPoolExecutor(self.threads) as pool:
            prepared = pool.map(lambda span: self._prepared(batch, *span), list(self.units(batch)))
            for first, chosen, spans in _stacked(prepared):
                self._walk(batch, first, chosen, spans, daily, totals)

    def _prepared(self, batch: Batch, begin: int, end: int) -> tuple[int, Int32s, Ints]:
        """Return a unit's first row, its chosen reclaims view after view, and each row's stretch of them."""
        shared = self.structure(int(batch.structure[begin]))
        scratch = self.scratch(len(shared.swept))
        count = describe_reclaims(self.ground, shared.lives, shared.swept, shared.fsm, scratch)
        unit = unit_of(batch, begin, end)
        parts, spans, at = [], np.empty((end - begin, 2), np.int64), 0
        for view, row in enumerate(unit.views):
            many = choose(
                self.ground, scratch.table[:count], row, self.layout.windows, self.layout.news, scratch.chosen
            )
            parts.append(scratch.chosen[:many].copy())
            spans[unit.begins[view] : unit.begins[view + 1]] = (at, at + many)
            at += many
        return begin, np.concatenate(parts), spans

    def _walk(self, batch: Batch, first: int, chosen: Int32s, spans: Ints, daily: Ints, totals: Ints) -> None:
        rows = len(spans)
        if not rows or not daily.shape[1]:
            return
        there = cuda.to_device(np.zeros((rows, daily.shape[1]), np.int64))
        out = cuda.to_device(np.zeros((rows, totals.shape[1]), np.int64))
        orders = cuda.device_array((rows, ORDERS_KEPT), np.int64)
        money = cuda.to_device(np.ascontiguousarray(batch.money[first : first + rows]))
        # An empty array has no place on the GPU: one row that no span reaches stands in for it.
        kept = cuda.to_device(chosen if len(chosen) else np.zeros((1, A_COLUMNS), np.int32))
        grid = (rows + _THREADS - 1) // _THREADS
        walk_kernel()[grid, _THREADS](*self._there, kept, cuda.to_device(spans), money, orders, there, out)
        places = batch.order[first : first + rows]
        daily[places] = there.copy_to_host()
        totals[places] = out.copy_to_host()


def _stacked(prepared: Iterator[tuple[int, Int32s, Ints]]) -> Iterator[tuple[int, Int32s, Ints]]:
    """Yield consecutive units put together, so that each launch has many rows and bounded reclaims."""
    held: list[tuple[int, Int32s, Ints]] = []
    size = 0
    for unit in prepared:
        if held and size + len(unit[1]) > _MOST_RECLAIMS:
            yield _joined(held)
            held, size = [], 0
        held.append(unit)
        size += len(unit[1])
    if held:
        yield _joined(held)


def _joined(units: list[tuple[int, Int32s, Ints]]) -> tuple[int, Int32s, Ints]:
    starts = np.cumsum([0, *(len(chosen) for _, chosen, _ in units[:-1])])
    spans = [spans + start for (_, _, spans), start in zip(units, starts.tolist(), strict=True)]
    return units[0][0], np.concatenate([chosen for _, chosen, _ in units]), np.concatenate(spans)
