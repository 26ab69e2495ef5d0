"""Search the peers' simple rule with the machinery of ``pj search``: views of candidates, rows of bars, threads.

The rule is that of the peers' program w2.py (previous days' high or low swept, close back inside with a directional
body, stop beyond the extreme, a multiple of it as target); its arrays are handed in, so that both answer for the same.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from strategies.mle.kernels.jit import kernel

Ints = npt.NDArray[np.int64]
Int32s = npt.NDArray[np.int32]
OPEN, HIGH, LOW, CLOSE = range(4)
C_BAR, C_SIDE, C_MINUTE, C_BODY, C_RANGE, C_CLOSE_M, C_RISK, C_COLUMNS = range(8)


def candidates(prices: Int32s, levels: Int32s, minutes: Int32s, days: Int32s, loosest: int) -> Int32s:
    """Return the bars that may signal at the loosest displacement, as rows with the columns C_."""
    open_, high, low, close = (prices[:, column].astype(np.int64) for column in range(4))
    up, down = levels[0][days], levels[1][days]
    short = (high > up) & (close < up) & ((open_ - close) * 1000 > loosest * (high - low))
    long = (low < down) & (close > down) & ((close - open_) * 1000 > loosest * (high - low)) & ~short
    bars = np.flatnonzero(short | long)
    bars = bars[bars + 1 < len(prices)]
    side = np.where(short[bars], -1, 1)
    risk = np.where(short[bars], high[bars] + 1 - close[bars], close[bars] - low[bars] + 1)
    body = side * (close[bars] - open_[bars])
    columns = (bars, side, minutes[bars], body, high[bars] - low[bars], side * close[bars], risk)
    return np.stack(columns, axis=1).astype(np.int32)


@kernel
def choose(table: Int32s, displacement: int, begin: int, end: int, chosen: Int32s) -> int:
    """Copy the candidates that displace enough inside the window; return how many."""
    count = 0
    for place in range(len(table)):
        minute = table[place, C_MINUTE]
        if begin <= minute < end and table[place, C_BODY] * 1000 > displacement * table[place, C_RANGE]:
            for column in range(C_COLUMNS):
                chosen[count, column] = table[place, column]
            count += 1
    return count


@kernel
def walk(prices: Int32s, chosen: Int32s, stop_quarters: int, target_quarters: int, out: Ints) -> None:
    """Trade the chosen candidates, one position at a time, from signal to exit."""
    bars, free, trades, wins, total = len(prices), 0, 0, 0, 0
    for place in range(len(chosen)):
        i = int(chosen[place, C_BAR])
        if i < free:
            continue
        side, close_m = int(chosen[place, C_SIDE]), int(chosen[place, C_CLOSE_M])
        risk = (chosen[place, C_RISK] * stop_quarters + 3) // 4
        stop_m, target_m = close_m - risk, close_m + (risk * target_quarters) // 4
        low, high = (LOW, HIGH) if side > 0 else (HIGH, LOW)
        free = bars
        for j in range(i + 1, bars):
            if side * prices[j, low] <= stop_m:
                total += min(stop_m, side * prices[j, OPEN]) - side * prices[i + 1, OPEN]
                trades, free = trades + 1, j
                break
            if side * prices[j, high] >= target_m:
                total += target_m - side * prices[i + 1, OPEN]
                trades, wins, free = trades + 1, wins + 1, j
                break
    out[0], out[1], out[2] = trades, wins, total


@kernel
def run_view(
    prices: Int32s, table: Int32s, view: tuple[int, int, int], money: Ints, chosen: Int32s, rows: Ints, out: Ints
) -> None:
    """Trade every row of one view (displacement, window)."""
    many = choose(table, view[0], view[1], view[2], chosen)
    for k in range(len(rows)):
        walk(prices, chosen[:many], money[k, 0], money[k, 1], out[rows[k]])


class SimpleSearch:
    """Hold the peers' arrays as the search's tables; ``params`` are their rows of six numbers."""

    def __init__(self, peer: Any, params: Int32s, threads: int) -> None:
        self.prices = np.stack([peer.I[name] for name in "ohlc"], axis=1)
        bars = np.arange(len(self.prices))
        minutes, days = (bars % peer.bp).astype(np.int32), (bars // peer.bp).astype(np.int32)
        loosest = int(params[:, 1].min())
        self.tables = [candidates(self.prices, levels, minutes, days, loosest) for levels in peer.LV]
        keys, place = np.unique(params[:, [0, 1, 4, 5]], axis=0, return_inverse=True)
        self.views = [tuple(key) for key in keys.tolist()]
        self.rows = [np.flatnonzero(place == view) for view in range(len(keys))]
        self.money = [params[rows][:, 2:4].astype(np.int64) for rows in self.rows]
        self.params, self.threads = params, threads

    def run(self) -> Ints:
        """Return trades, wins and ticks per row."""
        out = np.zeros((len(self.params), 3), np.int64)
        many = len(self.views)
        cuts = np.linspace(0, many, min(many, 8 * self.threads) + 1).astype(int).tolist()
        with ThreadPoolExecutor(self.threads) as pool:
            for done in [pool.submit(self._some, *cut, out) for cut in pairwise(cuts)]:
                done.result()
        return out

    def _some(self, begin: int, end: int, out: Ints) -> None:
        chosen = np.empty((max(len(table) for table in self.tables), C_COLUMNS), np.int32)
        for view in range(begin, end):
            lookback, displacement, first, last = self.views[view]
            window = (displacement, first, last)
            table = self.tables[lookback]
            run_view(self.prices, table, window, self.money[view], chosen, self.rows[view], out)
