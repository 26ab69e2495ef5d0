"""Rebuild the search from its sources over kernels in plain Python, one bug planted, without touching the real one."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from kernel_mutants import AWAY, HOME, MLE, python_kernels

SEARCH = "strategies.mle.search"
#: What is planted: file, what stands there once, what stands there instead.
MUTANTS: dict[str, tuple[str, str, str]] = {
    "a cancelled entry blocks its bar": ("batch", "free = int(row[A_BAR]) + 1", "free = int(row[A_BAR]) + 2"),
    "the day is never locked": ("batch", "locked = how == c.R_DAILY_LOSS", "locked = False"),
    "stops stamped at the open": ("batch", "(MINUTE_S if inside else 0)", "0"),
    "fills are not counted": ("batch", "fills += 1", "fills += 0"),
    "a late exit counts in the old day": ("batch", "if ground.when[free, DAY] != day:", "if False:"),
    "net at the exit's date": ("batch", "daily[now] += gain", "daily[day] += gain"),
    "the open loss alone locks": ("batch", "(-g[c.G_DAY_LOSS] - net) // qty", "-g[c.G_DAY_LOSS] // qty"),
    "an hour is longer": ("batch", "> after_s:", ">= after_s:"),
    "entries over night": ("batch", "late_s != OTHER_DAY", "True"),
    "a gain keeps the streak": ("batch", "streak + 1 if gain < 0 else 0", "streak + 1 if gain < 0 else streak"),
    "clock exits are no orders": ("batch", "            orders[sent & ORDERS_MASK] = last_exit_s\n", ""),
    "no signal on the exit's bar": ("batch", "if row[A_BAR] < free:", "if row[A_BAR] <= free:"),
    "no slip at the entry": ("batch", "entry_m = open_m + g[c.G_SLIP]", "entry_m = open_m"),
    "no slip at the stop": ("batch", "price[j, OPEN])) - slip", "price[j, OPEN]))"),
    "no slip at the clock": ("batch", "side * int(price[limit, OPEN]) - slip", "side * int(price[limit, OPEN])"),
    "wins count flat trades": ("batch", "wins += 1 if gain > 0", "wins += 1 if gain >= 0"),
    "drawdown from the last trade": ("batch", "peak = max(peak, total)", "peak = total"),
    "squares of the wrong sign": ("batch", "two += square", "two += abs(cents)"),
    "TIME a bar late": ("shared", "limit - 1, TS] >= due", "limit - 1, TS] > due"),
    "FLAT a bar late": ("shared", "ground.minute[limit - 1] >= flat_m", "ground.minute[limit - 1] > flat_m"),
    "pools expire late": ("shared", "if ground.when[j, TS] >= lives.expires", "if ground.when[j, TS] > lives.expires"),
    "a gap over night": ("shared", "if i > 0 and ground.when[i - 1, DAY] == now else 0", "if i > 0 else 0"),
    "m instead of m + 1": ("shared", "row[A_NM] = ground.minute[i] + 1", "row[A_NM] = ground.minute[i]"),
    "sweeps outlive their day": ("shared", "range(begin, ground.last[begin] + 1)", "range(begin, len(ground.last))"),
    "news at the bar's open": ("shared", "in_news(row[A_SIGNAL_S],", "in_news(row[A_SIGNAL_S] - MINUTE_S,"),
    "pivots sweep their own bar": ("pools", ">= c.S_PIVOTS)", "> c.S_PIVOTS)"),
    "expired pools live on": ("pools", "- (dead[:, c.V_REASON] != c.R_MERGED)", "- 0"),
    "holds share a view": ("layout", '"max_hold_min", "windows"', '"windows"'),
    "news of another row": ("layout", "self._news_ends[news + 1]", "self._news_ends[-1]"),
    "sweeps shared by all": ("batches", "(pools, params.sweep_min_ticks), sweep", "(pools, 0), sweep"),
    "pools shared by all": ("batches", "self._lives.get(pools, lambda", "self._lives.get(0, lambda"),
}  # fmt: skip


@contextmanager
def python_search(name: str = "") -> Iterator[types.ModuleType]:
    """Yield ``search.batches`` over kernels in plain Python, with mutant ``name`` planted (none when empty)."""
    with python_kernels() as glue:
        sys.modules[f"{AWAY}.compiled"] = glue
        for file in ("shared", "batch"):
            _module(f"{AWAY}.{file}", _source(f"kernels/{file}", file, name))
            setattr(sys.modules[AWAY], file, sys.modules[f"{AWAY}.{file}"])
        for file in ("pools", "layout", "batches"):
            module = _module(f"{AWAY}.search_{file}", _source(f"search/{file}", file, name))
        pools: Any = sys.modules[f"{AWAY}.search_pools"]
        plain = pools.ground_of
        # numba widens every integer to 64 bits.
        vars(module)["ground_of"] = lambda tape: type(plain(tape))(*(array.astype(np.int64) for array in plain(tape)))
        yield module


def _source(path: str, file: str, name: str) -> str:
    text = (MLE / f"{path}.py").read_text("utf-8")
    if name and MUTANTS[name][0] == file:
        _, old, new = MUTANTS[name]
        assert text.count(old) == 1, f"{name}: {old!r} stands {text.count(old)} times in {path}.py"
        text = text.replace(old, new)
    text = text.replace("strategies.mle.compiled", f"{AWAY}.compiled").replace(HOME, AWAY)
    for other in ("pools", "layout", "batches"):
        text = text.replace(f"{SEARCH}.{other} ", f"{AWAY}.search_{other} ")
    return text


def _module(name: str, source: str) -> types.ModuleType:
    module = types.ModuleType(name)
    sys.modules[name] = module
    exec(compile(source, f"{name}.py", "exec"), vars(module))
    return module
