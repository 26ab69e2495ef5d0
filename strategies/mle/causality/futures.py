"""Replace what follows a cut by another future: an engine that never looks ahead cannot tell the difference (pj1 P2).

A future takes a tape, the number of bars known and a seeded generator, and returns the known bars followed by
something else. Every future is a tape an engine must accept: rising times, whole ticks, low <= open, close <= high.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

import numpy as np

from strategies.mle.bar_file import BarColumns, Ints, Names

Future = Callable[[BarColumns, int, np.random.Generator], BarColumns]
OTHER_CONTRACT: Final = "OTHER"
_PRICES: Final = ("open_", "high", "low", "close")


def part(tape: BarColumns, start: int, stop: int) -> BarColumns:
    """Return rows ``start`` to ``stop`` (not included)."""
    return tape.take(np.arange(start, stop, dtype=np.int64))


def shifted(tape: BarColumns, cut: int, rng: np.random.Generator) -> BarColumns:
    """Move every later price by one amount of 50 to 2,000 ticks, up or down."""
    amount = int(rng.integers(50, 2000)) * (1 if rng.random() < 0.5 else -1)
    return _moved(tape, cut, np.full(len(tape.ts_ns) - cut, amount, dtype=np.int64))


def gapped(tape: BarColumns, cut: int, rng: np.random.Generator) -> BarColumns:
    """Let price leap by up to 3,000 ticks about every twentieth bar, from the first later bar on."""
    count = len(tape.ts_ns) - cut
    leaps = np.where(rng.random(count) < 0.05, rng.integers(-3000, 3001, count), 0)
    leaps[:1] = int(rng.integers(500, 3000)) * (1 if rng.random() < 0.5 else -1)
    return _moved(tape, cut, np.cumsum(leaps))


def spiked(tape: BarColumns, cut: int, rng: np.random.Generator) -> BarColumns:
    """Widen the later bars' highs and lows by up to 300 ticks each."""
    count = len(tape.ts_ns) - cut
    high, low = tape.high.copy(), tape.low.copy()
    high[cut:] += rng.integers(0, 301, count)
    low[cut:] -= rng.integers(0, 301, count)
    return replace(tape, high=high, low=low)


def mirrored(tape: BarColumns, cut: int, _rng: np.random.Generator) -> BarColumns:
    """Reflect the later prices about the last known close."""
    about = 2 * int(tape.close[cut - 1])
    columns = {name: getattr(tape, name).copy() for name in _PRICES}
    for name, source in (("open_", tape.open_), ("high", tape.low), ("low", tape.high), ("close", tape.close)):
        columns[name][cut:] = about - source[cut:]
    return replace(tape, **columns)


def shuffled(tape: BarColumns, cut: int, rng: np.random.Generator) -> BarColumns:
    """Deal the later bars' prices and volumes to the later minutes in random order."""
    order = np.arange(len(tape.ts_ns))
    order[cut:] = rng.permutation(order[cut:])
    columns = {name: getattr(tape, name)[order] for name in _PRICES}
    return replace(tape, **columns, volume=tape.volume[order])


def flat(tape: BarColumns, cut: int, _rng: np.random.Generator) -> BarColumns:
    """Let every later bar trade once, at the last known close."""
    return _still(tape, cut, volume=1)


def silent(tape: BarColumns, cut: int, _rng: np.random.Generator) -> BarColumns:
    """Let nothing trade any more: only heartbeat bars (pj1 S1.4)."""
    return _still(tape, cut, volume=0)


def thinned(tape: BarColumns, cut: int, rng: np.random.Generator) -> BarColumns:
    """Drop three of five later bars at random."""
    count = len(tape.ts_ns) - cut
    kept = cut + np.flatnonzero(rng.random(count) < 0.4)
    return tape.take(np.concatenate([np.arange(cut), kept]).astype(np.int64))


def delayed(tape: BarColumns, cut: int, rng: np.random.Generator) -> BarColumns:
    """Drop the next 1 to 900 bars: the feed was silent."""
    missing = min(len(tape.ts_ns) - cut, int(rng.integers(1, 901)))
    rows = np.concatenate([np.arange(cut), np.arange(cut + missing, len(tape.ts_ns))])
    return tape.take(rows.astype(np.int64))


def other_contract(tape: BarColumns, cut: int, _rng: np.random.Generator) -> BarColumns:
    """Let the later bars belong to another contract: a roll (pj1 S1.6)."""
    known = Names.of(tape.contract)
    codes = known.codes.copy()
    codes[cut:] = len(known.names)
    return replace(tape, contract=Names(codes, (*known.names, OTHER_CONTRACT)))


FUTURES: Final[dict[str, Future]] = {
    "shifted": shifted,
    "gapped": gapped,
    "spiked": spiked,
    "mirrored": mirrored,
    "shuffled": shuffled,
    "flat": flat,
    "silent": silent,
    "thinned": thinned,
    "delayed": delayed,
    "other_contract": other_contract,
}


def open_only(tape: BarColumns) -> BarColumns:
    """Return ``tape`` with its last bar as it stood at its first trade: everything at the open."""
    columns = {name: getattr(tape, name).copy() for name in _PRICES}
    for column in columns.values():
        column[-1] = tape.open_[-1]
    return replace(tape, **columns)


def _moved(tape: BarColumns, cut: int, amounts: Ints) -> BarColumns:
    columns = {name: getattr(tape, name).copy() for name in _PRICES}
    for column in columns.values():
        column[cut:] += amounts
    return replace(tape, **columns)


def _still(tape: BarColumns, cut: int, *, volume: int) -> BarColumns:
    columns = {name: getattr(tape, name).copy() for name in _PRICES}
    for column in columns.values():
        column[cut:] = tape.close[cut - 1]
    volumes = tape.volume.copy()
    volumes[cut:] = volume
    return replace(tape, **columns, volume=volumes)
