"""Run batches of trials on this machine's processors: pools once per set of pool parameters, money in threads.

The kernels hold no interpreter lock, so plain threads use every core; a unit is a stretch of rows of one structure.
Results do not depend on the number of threads or the size of a unit: every row is computed by itself.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from strategies.mle.kernels.batch import (
    O_COLUMNS,
    ORDERS_KEPT,
    Scratch,
    Unit,
    describe_reclaims,
    power_sums,
    run_unit,
)
from strategies.mle.kernels.shared import A_COLUMNS, Lives, sweep_bars
from strategies.mle.search.layout import Batch, Layout
from strategies.mle.search.pools import fsm_numbers, ground_of, pool_lives
from strategies.mle.search.space import SearchInputError, Space
from strategies.mle.tape import Tape

Ints = npt.NDArray[np.int64]
Int32s = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float64]

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

UNIT_ROWS: Final = 512
_POOLS_KEPT: Final = 16
_EXACT: Final = 2.0**62


@dataclass(frozen=True, eq=False)
class Block:
    """Hold what a run of trials came to, row for row in ascending trial number.

    ``totals`` has the columns O_ of kernels.batch, ``daily`` the net cents per trade date, ``sums`` the sum and the sum
    of squares of those, ``high_sums`` the sums of their cubes and fourth powers, ``sharpe`` mean over standard
    deviation per trade date (not a number where all days are equal but not zero).
    """

    trials: Ints
    places: Ints
    totals: Ints
    daily: Int32s
    sums: Ints
    high_sums: Floats
    sharpe: Floats


@dataclass(frozen=True, eq=False)
class Structure:
    """Hold what one structure's rows share."""

    lives: Lives
    swept: Int32s
    fsm: Ints


class Kept(Generic[K, V]):
    """Make values once, whichever thread asks first, and remember the latest ``most``."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._held: OrderedDict[K, tuple[threading.Lock, list[V]]] = OrderedDict()

    def get(self, key: K, make: Callable[[], V]) -> V:
        """Return the value of ``key``, made by ``make`` unless it is remembered."""
        with self._lock:
            lock, value = self._held.setdefault(key, (threading.Lock(), []))
            while len(self._held) > self._most:
                self._held.popitem(last=False)
        with lock:
            if not value:
                value.append(make())
            return value[0]


class Searcher:
    """Compute trials of one space over one tape with ``threads`` threads (None: one per processor)."""

    def __init__(self, space: Space, tape: Tape, threads: int | None = None, unit_rows: int = UNIT_ROWS) -> None:
        self.space, self.tape = space, tape
        self.ground = ground_of(tape)
        self.layout = Layout(space, int(tape.ts_s[0]) if len(tape) else 0)
        self.threads = threads or os.cpu_count() or 1
        self.unit_rows = unit_rows
        self._lives: Kept[int, Lives] = Kept(_POOLS_KEPT + self.threads)
        self._swept: Kept[tuple[int, int], Int32s] = Kept(_POOLS_KEPT + self.threads)
        self._local = threading.local()

    def parts_at_once(self, part_rows: int) -> int:
        """Return how many parts of so many rows are best computed together."""
        del part_rows
        return 1

    def block(self, trials: Ints) -> Block:
        """Return what the trials come to; raises SearchInputError for one whose cents do not fit."""
        batch = self.layout.batch(trials)
        daily = np.zeros((len(trials), len(self.tape.days)), np.int64)
        totals = np.zeros((len(trials), O_COLUMNS), np.int64)
        self.trade(batch, daily, totals)
        return self._summed(batch, daily, totals)

    def trade(self, batch: Batch, daily: Ints, totals: Ints) -> None:
        """Fill ``daily`` and ``totals``, which come in zero."""
        units = list(self.units(batch))
        if self.threads == 1 or len(units) == 1:
            for begin, end in units:
                self._run(batch, begin, end, daily, totals)
            return
        with ThreadPoolExecutor(self.threads) as pool:
            for done in [pool.submit(self._run, batch, begin, end, daily, totals) for begin, end in units]:
                done.result()

    def units(self, batch: Batch) -> Iterator[tuple[int, int]]:
        """Yield stretches of sorted rows that share their structure."""
        turns = np.flatnonzero(np.diff(batch.structure)) + 1
        edges = [0, *turns.tolist(), len(batch.structure)]
        for begin, end in pairwise(edges):
            for start in range(begin, end, self.unit_rows):
                yield start, min(start + self.unit_rows, end)

    def structure(self, number: int) -> Structure:
        """Return what the rows of structure ``number`` share; a few sets of pools are remembered."""
        params = self.space.params_of(number * self.layout.per_structure, check=False)
        pools = number * self.layout.per_structure // self.layout.per_pools
        lives = self._lives.get(pools, lambda: pool_lives(self.tape, params))

        def sweep() -> Int32s:
            swept = np.empty(len(lives.side), np.int32)
            sweep_bars(self.ground, lives, params.sweep_min_ticks, swept)
            return swept

        swept = self._swept.get((pools, params.sweep_min_ticks), sweep)
        return Structure(lives, swept, fsm_numbers(params))

    def scratch(self, pools: int) -> Scratch:
        """Return this thread's room for that many pools."""
        scratch: Scratch | None = getattr(self._local, "scratch", None)
        if scratch is None or len(scratch.codes) < pools + 1:
            room = 2 * pools + 1
            scratch = Scratch(
                np.empty(room, np.int32),
                np.empty(room, np.int32),
                np.empty((room, A_COLUMNS), np.int32),
                np.empty((room, A_COLUMNS), np.int32),
                np.empty(ORDERS_KEPT, np.int64),
            )
            self._local.scratch = scratch
        return scratch

    def _run(self, batch: Batch, begin: int, end: int, daily: Ints, totals: Ints) -> None:
        shared = self.structure(int(batch.structure[begin]))
        scratch = self.scratch(len(shared.swept))
        count = describe_reclaims(self.ground, shared.lives, shared.swept, shared.fsm, scratch)
        unit = unit_of(batch, begin, end)
        run_unit(self.ground, count, self.layout.windows, self.layout.news, unit, scratch, daily, totals)

    def _summed(self, batch: Batch, daily: Ints, totals: Ints) -> Block:
        rows, days = daily.shape
        sums, high = np.empty((rows, 2), np.int64), np.empty((rows, 2), np.float64)
        narrow = np.empty((rows, days), np.int32)
        wide = power_sums(daily, sums, high, narrow)
        if wide >= 0:
            raise SearchInputError(
                f"trial {int(batch.trials[wide])} moves more cents in a day than the search holds; lower max_qty or"
                " risk_per_trade_usd"
            )
        return Block(batch.trials, batch.places, totals, narrow, sums, high, sharpe_ratios(days, sums))


def unit_of(batch: Batch, begin: int, end: int) -> Unit:
    """Return the sorted rows [begin, end) as kernels take them."""
    view = batch.view[begin:end]
    turns = np.flatnonzero(np.diff(view)) + 1
    starts = np.concatenate([np.zeros(1, np.int64), turns])
    begins = np.append(starts, end - begin)
    return Unit(batch.money[begin:end], batch.order[begin:end], batch.views[view[starts]], begins)


def sharpe_ratios(days: int, sums: Ints) -> Floats:
    """Return mean / standard deviation (ddof 1) of ``days`` values per row, from their exact sums and sums of squares.

    0 for values that are all zero; not a number for equal values other than zero, and for fewer than two days. One
    division and one square root of an exact whole number, so that every machine gives the same bits.
    """
    total, squares = sums[:, 0], sums[:, 1]
    exact = len(sums) == 0 or (days * float(squares.max()) < _EXACT and float(np.abs(total).max()) ** 2 < _EXACT)
    wide = (total, squares) if exact else (total.astype(object), squares.astype(object))
    spread = (days * wide[1] - wide[0] * wide[0]).astype(np.float64)
    flat = spread <= 0
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.asarray(total * np.sqrt((days - 1) / (days * spread)), np.float64)
    ratios[flat] = np.where((total[flat] == 0) & (days > 1), 0.0, np.nan)
    return ratios


def rows_of(block: Block, begin: int, end: int) -> Block:
    """Return a stretch of a block's rows."""
    rows = slice(begin, end)
    return Block(
        block.trials[rows],
        block.places[rows],
        block.totals[rows],
        block.daily[rows],
        block.sums[rows],
        block.high_sums[rows],
        block.sharpe[rows],
    )
