"""Hold the entries against chance: the same trades on a random side, or at random times of the same date (pj1 S11.9).

Stop and target keep their distances, exits follow the same rules bar by bar (`kernels.scalars`), money is booked the
same way. What falls away are the day's limits, for the real trades too, so that like is compared with like: the real
figure here is the real entries walked by the same loop. A drawn entry that the market would have cancelled (it opens at
or through stop or target) earns nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from live.params import Params
from strategies.mle.audit.arrays import share_out
from strategies.mle.audit.chance import below, stream, word
from strategies.mle.compiled import TradeTable, bars_of
from strategies.mle.kernels import codes as c
from strategies.mle.kernels.jit import compiled
from strategies.mle.kernels.pools import Bars
from strategies.mle.kernels.scalars import clock_exit, inside_exit
from strategies.mle.tape import Tape

DRAWS: Final = 1_000

Ints = npt.NDArray[np.int64]

# Columns of what is walked: the row of the entry bar, side, ticks to stop and target from entry_ref, contracts.
N_BAR, N_SIDE, N_RISK, N_REWARD, N_QTY, N_COLUMNS = range(6)
# Places of the rules' numbers.
R_FLAT_M, R_HOLD_S, R_SLIP, R_THROUGH, R_TICK_CENTS, R_COMM, R_COUNT = range(7)


class Room(NamedTuple):
    """Hold the bars an entry may fill on, and per trade where those of its date begin and how many they are."""

    bars: Ints
    begins: Ints
    counts: Ints


@dataclass(frozen=True, slots=True)
class Null:
    """Hold one null: the net of each draw, the real entries' net by the same loop, and the share that reached it.

    Money in cents; ``p`` is (1 + draws with at least the real net) / (1 + draws).
    """

    name: str
    real_net_cents: int
    nets_cents: Ints
    p: float


def permutation_nulls(
    tape: Tape, table: TradeTable, params: Params, draws: int = DRAWS, seed: int = 1
) -> tuple[Null, ...]:
    """Return the random-side and the random-time null of the given trades."""
    real, rules, bars = entries_of(tape, table), _rules(params), bars_of(tape)
    room = _room(tape, params, real)
    here = int(walked_nets(tape, real, params).sum())
    nulls = []
    for name, move_time in (("random side", False), ("random time", True)):
        nets = np.empty(draws, np.int64)

        def work(first: int, last: int, nets: Ints = nets, move_time: bool = move_time) -> None:
            _draw(bars, rules, real, room, seed + move_time, move_time, first, last, nets)

        share_out(work, draws)
        nulls.append(Null(name, here, nets, (1 + int((nets >= here).sum())) / (1 + draws)))
    return tuple(nulls)


def entries_of(tape: Tape, table: TradeTable) -> Ints:
    """Return what is walked (columns N_) for each trade of the table."""
    rows = np.empty((len(table), N_COLUMNS), np.int64)
    rows[:, N_BAR] = np.searchsorted(tape.ts_s, table.column(c.T_ENTRY))
    rows[:, N_SIDE] = table.column(c.T_SIDE)
    rows[:, N_RISK] = table.column(c.T_RISK)
    rows[:, N_REWARD] = np.abs(table.column(c.T_TARGET) - table.column(c.T_ENTRY_REF))
    rows[:, N_QTY] = table.column(c.T_QTY)
    return rows


def walked_nets(tape: Tape, entries: Ints, params: Params) -> Ints:
    """Return the net cents of each entry walked by the loop of this module."""
    nets = np.empty(len(entries), np.int64)
    _walk_all(bars_of(tape), _rules(params), entries, nets)
    return nets


def _rules(params: Params) -> Ints:
    numbers = np.empty(R_COUNT, np.int64)
    numbers[R_FLAT_M] = params.flat_at_m
    numbers[R_HOLD_S] = params.max_hold_min * 60
    numbers[R_SLIP] = params.slip_ticks
    numbers[R_THROUGH] = params.target_through_ticks
    numbers[R_TICK_CENTS] = params.tick_cents
    numbers[R_COMM] = params.comm_side_cents
    return numbers


def _room(tape: Tape, params: Params, real: Ints) -> Room:
    """Return the bars of each trade's date that an entry may fill on.

    An entry may fill on a bar whose bar before, of the same date and contract, decided inside a window, and which is
    not later than an entry may wait.
    """
    usable = np.zeros(len(tape), np.bool_)
    decided = tape.minute[:-1].astype(np.int64) + 1
    inside = np.zeros(len(decided), np.bool_)
    for start, end in params.windows:
        inside |= (decided >= start) & (decided < end)
    same = (tape.ordinal[1:] == tape.ordinal[:-1]) & (tape.contract[1:] == tape.contract[:-1])
    soon = np.diff(tape.ts_s) <= params.max_entry_delay_min * 60
    usable[1:] = inside & (decided < params.flat_at_m) & same & soon
    # A real entry is possible by definition, whatever windows a stranger's parameters would have.
    usable[real[:, N_BAR]] = True
    bars = np.flatnonzero(usable)
    days = tape.ordinal[real[:, N_BAR]]
    begins = np.searchsorted(tape.ordinal[bars], days, side="left")
    ends = np.searchsorted(tape.ordinal[bars], days, side="right")
    return Room(bars.astype(np.int64), begins.astype(np.int64), (ends - begins).astype(np.int64))


@compiled
def _walk(bars: Bars, rules: Ints, first: int, side: int, entry: Ints) -> int:
    """Return the net cents of one entry at the open of bar ``first``; 0 where it is cancelled or never ends."""
    reference: Any = side * np.int64(bars.close[first - 1])
    stop, target = reference - entry[N_RISK], reference + entry[N_REWARD]
    start: Any = side * np.int64(bars.open[first])
    if start <= stop or start >= target:
        return 0
    slip: Any = rules[R_SLIP]
    filled, ticks, done = start + slip, start, False
    for i in range(first, len(bars.ts)):
        opened: Any = side * np.int64(bars.open[i])
        if i > first:
            same = bars.ordinal[i] == bars.ordinal[first] and bars.contract[i] == bars.contract[first]
            held_s = bars.ts[i] - bars.ts[first]
            if clock_exit(same, False, bars.minute[i], rules[R_FLAT_M], held_s, rules[R_HOLD_S]) != c.R_NONE:
                ticks, done = opened - slip - filled, True
                break
        worst: Any = np.int64(bars.low[i]) if side > 0 else -np.int64(bars.high[i])
        best: Any = np.int64(bars.high[i]) if side > 0 else -np.int64(bars.low[i])
        reason = inside_exit(worst, best, stop, target, rules[R_THROUGH])
        if reason == c.R_STOP:
            ticks, done = min(stop, opened) - slip - filled, True
            break
        if reason == c.R_TARGET:
            ticks, done = target - filled, True
            break
    if not done:
        return 0
    return (ticks * rules[R_TICK_CENTS] - 2 * rules[R_COMM]) * entry[N_QTY]  # type: ignore[no-any-return]


@compiled
def _walk_all(bars: Bars, rules: Ints, entries: Ints, nets: Ints) -> None:
    for place in range(entries.shape[0]):
        entry = entries[place]
        nets[place] = _walk(bars, rules, entry[N_BAR], entry[N_SIDE], entry)


@compiled
def _draw(
    bars: Bars, rules: Ints, real: Ints, room: Room, seed: int, move_time: bool, first: int, last: int, nets: Ints
) -> None:
    """Write the net of each draw; draw d is stream d of the seed, its word t decides trade t."""
    for draw in range(first, last):
        start = stream(seed, draw)
        total = 0
        for trade in range(real.shape[0]):
            at, side = real[trade, N_BAR], real[trade, N_SIDE]
            bits = word(start, trade)
            if move_time:
                at = room.bars[room.begins[trade] + below(bits, room.counts[trade])]
            elif below(bits, 2) == 0:
                side = -side
            total += _walk(bars, rules, at, side, real[trade])
        nets[draw] = total
