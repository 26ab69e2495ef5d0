"""Run the kernels as plain Python from their own sources, with one line changed or none.

The sources are read, patched and executed under another package name, with a decorator that compiles nothing, so that
a mutant costs no compilation and leaves no trace. Array bounds are checked by numpy in this form.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

MLE = Path(__file__).resolve().parents[2] / "strategies" / "mle"
HOME = "strategies.mle.kernels"
AWAY = "mutant_kernels"
ORDER = ("codes", "scalars", "pools", "pivots", "structure", "money", "merge", "packing")

_SESSION = "    if minute >= flat_m or not in_window:\n        return c.R_SESSION\n"
_NEWS = "    if in_news:\n        return c.R_NEWS\n"
_FLAT = "    if minute >= flat_m:\n        return c.R_FLAT\n"
_TIME = "    if held_s >= hold_s:\n        return c.R_TIME\n"
_STOP = "    if low_m <= stop_m:\n        return c.R_STOP\n"
_TARGET = "    if high_m >= target_m + through:\n        return c.R_TARGET\n"
_HIGHS = "        if flag & c.F_HIGH:\n            confirm(work, bars, rules, i, -1)\n"
_LOWS = "        if flag & c.F_LOW:\n            confirm(work, bars, rules, i, 1)\n"
_EXPIRY = "pools[pool, c.P_EXPIRES]:\n"

#: name: (file, text that stands in it once, what stands there instead)
MUTANTS: dict[str, tuple[str, str, str]] = {
    "a touch is a sweep": ("scalars", "return low_m <= level_m - sweep_min", "return low_m <= level_m"),
    "the sweep must go farther": (
        "scalars",
        "return low_m <= level_m - sweep_min",
        "return low_m < level_m - sweep_min",
    ),
    "half a body displaces": ("scalars", "den * body > num * spread", "den * body >= num * spread"),
    "the wrong side displaces": ("scalars", "body = side * (close - open_)", "body = abs(close - open_)"),
    "broken one tick early": ("scalars", "level_m - ext_m > max_pen", "level_m - ext_m >= max_pen"),
    "timed out a minute early": ("scalars", "age_s > reclaim_max_s", "age_s >= reclaim_max_s"),
    "runs away a tick early": ("scalars", "close_m - level_m > max_chase", "close_m - level_m >= max_chase"),
    "reclaims a tick late": ("scalars", "close_m >= level_m + reclaim_min", "close_m > level_m + reclaim_min"),
    "reclaims without displacement": ("scalars", "if displaced and close_m", "if close_m"),
    "buffer on the wrong side": ("scalars", "(worst_m - buffer)", "(worst_m + buffer)"),
    "risk is not widened": ("scalars", "max(entry_m - (worst_m - buffer), min_risk)", "entry_m - (worst_m - buffer)"),
    "the target is rounded away": ("scalars", "return risk * r_num // r_den", "return -(-risk * r_num // r_den)"),
    "one slip in the size": ("scalars", "risk + 2 * slip", "risk + slip"),
    "no commission in the size": ("scalars", "* tick_cents + 2 * comm))", "* tick_cents))"),
    "the day's loss is not in the size": (
        "scalars",
        "min(risk_cents, day_loss + day_net)",
        "min(risk_cents, day_loss)",
    ),
    "stale a minute early": ("scalars", "if gap_s > max_gap_s", "if gap_s >= max_gap_s"),
    "flat a minute late": ("scalars", "minute >= flat_m or not", "minute > flat_m or not"),
    "news before session": ("scalars", _SESSION + _NEWS, _NEWS + _SESSION),
    "entries while in position": ("scalars", "    if busy:\n        return c.R_IN_POSITION\n", ""),
    "a locked day trades on": ("scalars", "if locked or day_loss", "if day_loss"),
    "one fill too many": ("scalars", "fills >= max_trades", "fills > max_trades"),
    "one loss too many": ("scalars", "streak >= max_losses", "streak > max_losses"),
    "cooldown off by one": ("scalars", "since_exit_s < cooldown_s", "since_exit_s <= cooldown_s"),
    "one order too many": ("scalars", "orders >= max_orders", "orders > max_orders"),
    "the widest risk is too wide": ("scalars", "risk > max_risk", "risk >= max_risk"),
    "a size of zero trades": ("scalars", "qty <= 0", "qty < 0"),
    "late a minute early": ("scalars", "late_s > max_late_s or", "late_s >= max_late_s or"),
    "enters on another contract": ("scalars", "or not same:\n        return c.R_STALE", ":\n        return c.R_STALE"),
    "enters at the stop": ("scalars", "open_m <= stop_m or", "open_m < stop_m or"),
    "enters at the target": ("scalars", "open_m >= target_m:", "open_m > target_m:"),
    "holds over the roll": ("scalars", "    if not same:\n        return c.R_DAY_ROLL\n", ""),
    "holds a locked day": ("scalars", "    if locked:\n        return c.R_DAILY_LOSS\n", ""),
    "time before flat": ("scalars", _FLAT + _TIME, _TIME + _FLAT),
    "held a minute longer": ("scalars", "held_s >= hold_s", "held_s > hold_s"),
    "stop after target": ("scalars", _STOP + _TARGET, _TARGET + _STOP),
    "a touched stop holds": ("scalars", "if low_m <= stop_m", "if low_m < stop_m"),
    "a touched target fills": ("scalars", "high_m >= target_m + through", "high_m >= target_m"),
    "the open loss forgets the slip": ("scalars", "((ticks - slip) *", "(ticks *"),
    "the open loss forgets the cost": ("scalars", "tick_cents - 2 * comm) * qty", "tick_cents) * qty"),
    "a roll is none": ("structure", "rolled = i > 0 and bars.contract[i] != bars.contract[i - 1]", "rolled = False"),
    "a roll goes unseen": ("pivots", " & (bars.contract[i] == bars.contract[i - 1])", ""),
    "a roll names the day": ("structure", "c.R_ROLL if rolled else c.R_EXPIRED", "c.R_EXPIRED"),
    "PD over a roll": ("structure", "i > 0 and not rolled and rules", "i > 0 and rules"),
    "PD of a short day": ("structure", "i - first >= rules[c.N_MIN_PREV]", "i - first > rules[c.N_MIN_PREV]"),
    "PDL for PDH": (
        "structure",
        "c.K_PD, -1, _top(bars.high, 1, first, i)",
        "c.K_PD, 1, -_top(bars.low, -1, first, i)",
    ),
    "the day's last bar is forgotten": (
        "structure",
        "_top(bars.high, 1, first, i)",
        "_top(bars.high, 1, first, i - 1)",
    ),
    "windows stay closed": ("structure", "        sessions[place, c.W_CLOSED] = 0\n", "        pass\n"),
    "ranges live over a roll": ("structure", "while begin > counts[c.C_FIRST]", "while begin > 0"),
    "pivots live over a roll": ("structure", "i - 2 * rules[c.N_SWING] >=", "i - rules[c.N_SWING] >="),
    "mates live over a roll": ("structure", "    work.highs[0, c.HEAD_COUNT] = 0\n", ""),
    "sessions close a minute late": ("structure", "sessions[place, c.W_END] > m", "sessions[place, c.W_END] >= m"),
    "sessions open a minute late": ("structure", ">= sessions[place, c.W_START]", "> sessions[place, c.W_START]"),
    "half full is not full": (
        "structure",
        "begin < sessions[place, c.W_NEEDED]",
        "begin <= sessions[place, c.W_NEEDED]",
    ),
    "the shallow sweep wins": ("structure", "return depth < deep", "return depth > deep"),
    "the young pool wins": ("structure", "P_DEFINED] < pools[other", "P_DEFINED] > pools[other"),
    "the common kind wins": ("structure", "P_KIND] < pools[other", "P_KIND] > pools[other"),
    "the stop forgets the losers": ("structure", "worst = min(worst, pools", "worst = max(worst, pools"),
    "SSL pivots first": ("structure", _HIGHS + _LOWS, _LOWS + _HIGHS),
    "expires a bar late (swept)": ("pools", "    if ts >= work." + _EXPIRY, "    if ts > work." + _EXPIRY),
    "expires a bar late (defined)": ("pools", "        if ts >= " + _EXPIRY, "        if ts > " + _EXPIRY),
    "the extreme stands still": ("pools", "min(pools[pool, c.P_EXT], low_m)", "pools[pool, c.P_EXT]"),
    "swept pools out of order": ("pools", "while j < counts[c.C_SWEPT] and work.swept[j] < pool:", "while False:"),
    "deaths out of order": ("pools", "work.defined[i] < work.swept[j])", "work.defined[i] > work.swept[j])"),
    "the expiry wakes nobody": ("pools", "counts[c.C_EXPIRY] = min(", "counts[c.C_EXPIRY] = max("),
    "the last of a plateau": ("pivots", "x > tops[i - n - 1]", "x >= tops[i - n - 1]"),
    "a plateau ends the pivot": ("pivots", "x >= tops[i]", "x > tops[i]"),
    "confirmed a bar early": ("pivots", "x >= tops[i]", "x >= tops[i - 1]"),
    "a bar too few to the left": ("pivots", "x > tops[i - n - 1]", "x > tops[i - n - 2]"),
    "the window grows too wide": ("pivots", "step = min(width, n - width)", "step = width"),
    "the window in the other table": ("pivots", "other if swapped else tops, flag", "tops, flag"),
    "equal means nearly": ("pivots", "abs(other - x) <= tol", "abs(other - x) < tol"),
    "a bar between does not count": ("pivots", "        peak = max(peak, other, table[earlier, c.V_BETWEEN])\n", ""),
    "a touch between counts": ("pivots", "if peak > max(other, x)", "if peak >= max(other, x)"),
    "the inner level": ("pivots", "-side * max(table[mate", "-side * min(table[mate"),
    "merging leaves the old pool": ("pivots", "        if table[mate, c.V_LAST_POOL] >= 0:\n", "        if False:\n"),
    "EQ takes the pivot's own time": ("pivots", "(bars.ts[table[mate, c.V_INDEX]], stamp)", "(stamp, stamp)"),
    "the day keeps its loss": ("money", "    now[D_NET] = 0\n", "    pass\n"),
    "the day keeps its streak": ("money", "    now[D_STREAK] = 0\n", ""),
    "the day keeps its fills": ("money", "    now[D_FILLS] = 0\n", ""),
    "the day keeps its lock": ("money", "    now[D_LOCKED] = 0\n", ""),
    "m instead of m + 1": ("money", "bars.minute[i] + 1,", "bars.minute[i],"),
    "a gap over night": ("money", "i > 0 and bars.ordinal[i - 1] == bars.ordinal[i]", "i > 0"),
    "news at the bar's open": (
        "money",
        "within(calendar.blackouts, signal_ts)",
        "within(calendar.blackouts, bars.ts[i])",
    ),
    "blackouts end late": ("money", "<= value < rows[place, 1]", "<= value <= rows[place, 1]"),
    "an hour is longer": ("money", "[now[D_FIRST_ORDER]] <= after", "[now[D_FIRST_ORDER]] < after"),
    "clock exits are no orders": ("money", "            _ordered(desk, ts)\n", ""),
    "the winner's own extreme": ("money", "side * reclaim[c.Q_WORST]", "side * reclaim[c.Q_OWN]"),
    "no slip at the entry": ("money", "open_m + money[c.G_SLIP]", "open_m"),
    "no slip at the clock": ("money", "open_m - money[c.G_SLIP], reason", "open_m, reason"),
    "a stop without gaps": ("money", "min(now[D_STOP_M], open_m) - money", "now[D_STOP_M] - money"),
    "stops stamped at the open": ("money", "_close(desk, money, ts + c.MINUTE_S, min(", "_close(desk, money, ts, min("),
    "a flat trade is a loss": ("money", "if gross - cost < 0 else 0", "if gross - cost <= 0 else 0"),
    "one commission": ("money", "cost = 2 * money[c.G_COMM] * qty", "cost = money[c.G_COMM] * qty"),
    "MAE before the entry": ("money", "        now[D_WORST_M] = now[D_ENTRY_M]\n", ""),
    "the lock needs more": ("money", "if loss <= -money", "if loss < -money"),
    "the open loss does not lock": ("money", "    if now[D_STATE] == OPEN:\n", "    if False:\n"),
    "a loss limit of zero is none": ("money", "or money[c.G_DAY_LOSS] <= 0:", "or False:"),
    "money before structure": ("merge", "structure[i, V_KEY] <= money", "structure[i, V_KEY] < money"),
}


@contextmanager
def python_kernels(name: str = "") -> Iterator[types.ModuleType]:
    """Yield ``compiled.py`` over kernels in plain Python, with mutant ``name`` planted (none when empty)."""
    before = {key: module for key, module in sys.modules.items() if key.startswith(AWAY)}
    package = _module(AWAY, "")
    package.__path__ = []
    jit = _module(f"{AWAY}.jit", "")
    vars(jit)["kernel"] = vars(jit)["part"] = lambda function: function
    for file in ORDER:
        _module(f"{AWAY}.{file}", _source(file, name))
        setattr(package, file, sys.modules[f"{AWAY}.{file}"])
    glue = _module(f"{AWAY}.compiled", (MLE / "compiled.py").read_text("utf-8").replace(HOME, AWAY))
    plain = glue.bars_of
    # numba widens every integer to 64 bits; numpy's own scalars would keep 16.
    vars(glue)["bars_of"] = lambda tape: type(plain(tape))(*(array.astype(np.int64) for array in plain(tape)))
    try:
        yield glue
    finally:
        for key in [key for key in sys.modules if key.startswith(AWAY)]:
            del sys.modules[key]
        sys.modules.update(before)


def _source(file: str, name: str) -> str:
    text = (MLE / "kernels" / f"{file}.py").read_text("utf-8")
    if name and MUTANTS[name][0] == file:
        _, old, new = MUTANTS[name]
        assert text.count(old) == 1, f"{name}: {old!r} stands {text.count(old)} times in {file}.py"
        text = text.replace(old, new)
    return text.replace(HOME, AWAY)


def _module(name: str, source: str) -> Any:
    module = types.ModuleType(name)
    sys.modules[name] = module
    exec(compile(source, f"{name}.py", "exec"), vars(module))
    return module
