"""Choose where to cut a tape: at random, and where rules change their mind (pj1 S7 "causal proof").

A cut is the number of bars known. The hard places are the edges of sessions, the day's turn, a roll, the bars that
confirm pivots, signal bars and bars with an open position: a rule that peeks by one bar shows itself there first.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np

from live.commands import RecordEvent, Trade
from live.market import NS_PER_S
from live.params import Params
from live.trading_day import et_offset_s, trade_ordinal
from strategies.mle.bar_file import BarColumns, Ints, Names

_HOUR_NS: Final = 3600 * NS_PER_S
_DAY_S: Final = 86_400
_SHIFT_S: Final = 6 * 3600
RANDOM_SHARE: Final = 0.4
"""Share of the cuts that falls anywhere; the rest goes in turn to the hard places."""


def places_in_day(ts_ns: Ints) -> tuple[Ints, Ints]:
    """Return each bar's trade date (ordinal) and minute of the trading day (pj1 S1.2)."""
    hours, place = np.unique(ts_ns // _HOUR_NS, return_inverse=True)
    offsets = np.asarray([et_offset_s(hour * _HOUR_NS) for hour in hours.tolist()], dtype=np.int64)
    shifted = ts_ns // NS_PER_S + (offsets[place] if len(hours) else 0) + _SHIFT_S
    epoch = trade_ordinal(0) - (et_offset_s(0) + _SHIFT_S) // _DAY_S
    return shifted // _DAY_S + epoch, shifted % _DAY_S // 60


def hard_places(
    tape: BarColumns, params: Params, events: Iterable[RecordEvent], trades: Iterable[Trade]
) -> dict[str, list[int]]:
    """Return the cuts at each kind of hard place, without those that leave nothing known or nothing to come."""
    days, minutes = places_in_day(tape.ts_ns)
    turns = np.flatnonzero(np.diff(days)) + 1
    rolls = np.flatnonzero(np.diff(Names.of(tape.contract).codes)) + 1
    edges: list[int] = []
    for window in params.sessions:
        for minute in (window.start_m, window.end_m):
            edges += np.flatnonzero(minutes == minute % 1440).tolist()
    found = {
        "session_edge": _around(edges),
        "day_turn": _around(turns.tolist()),
        "roll": _around(rolls.tolist()),
        **_of_events(tape, events),
        "open_position": _of_trades(tape, trades),
    }
    last = len(tape.ts_ns)
    return {kind: sorted({cut for cut in cuts if 0 < cut < last}) for kind, cuts in found.items()}


def _around(bars: Iterable[int]) -> list[int]:
    """Return the cuts before and after each bar."""
    return [cut for bar in bars for cut in (bar, bar + 1)]


def _of_events(tape: BarColumns, events: Iterable[RecordEvent]) -> dict[str, list[int]]:
    """Return the cuts around bars that confirmed a pivot or made a signal; both are stamped at their close."""
    stamps: dict[str, list[int]] = {"pivot": [], "signal": []}
    for event in events:
        if event.event == "DEFINED" and event.pool.split(":")[1][:2] in {"SW", "EQ"}:
            stamps["pivot"].append(event.ts_s)
        elif event.event in {"SIGNAL", "REJECT"}:
            stamps["signal"].append(event.ts_s)
    return {kind: _around(_bars_at(tape, [stamp - 60 for stamp in found])) for kind, found in stamps.items()}


def _of_trades(tape: BarColumns, trades: Iterable[Trade]) -> list[int]:
    """Return the cuts at which a position is open: after its entry bar, halfway, before and after its last bar."""
    found: list[int] = []
    for trade in trades:
        first, last = _bars_at(tape, [trade.entry_ts_s, trade.exit_ts_s])
        found += [first + 1, (first + last) // 2 + 1, last, last + 1]
    return found


def _bars_at(tape: BarColumns, opens_s: list[int]) -> list[int]:
    """Return the first bar at or after each time."""
    at = np.searchsorted(tape.ts_ns, np.asarray(opens_s, dtype=np.int64) * NS_PER_S)
    return [int(one) for one in at]


def choose(hard: dict[str, list[int]], bars: int, count: int, rng: np.random.Generator) -> dict[int, str]:
    """Return up to ``count`` cuts in order, each with the kind of place it is; ``bars`` is the tape's length."""
    chosen: dict[int, str] = {}
    pools = {kind: rng.permutation(cuts).tolist() for kind, cuts in hard.items() if cuts}
    wanted = count - int(count * RANDOM_SHARE)
    while pools and len(chosen) < wanted:
        for kind in list(pools):
            chosen.setdefault(int(pools[kind].pop()), kind)
            if not pools[kind]:
                del pools[kind]
            if len(chosen) >= wanted:
                break
    anywhere = rng.permutation(np.arange(1, bars)).tolist()
    while anywhere and len(chosen) < count:
        chosen.setdefault(int(anywhere.pop()), "random")
    return dict(sorted(chosen.items()))
