"""Say what is a lookahead: a reading rewritten by the future, one stamped too early, a fill nobody could have had.

A reading is a row of events.csv or trades.csv. Every check returns sentences; an honest engine gives none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np

from live.commands import RecordEvent, Trade
from live.market import NS_PER_MIN, NS_PER_S
from live.params import Params
from live.trading_day import iso_utc
from strategies.mle.bar_file import BarColumns

Reading = RecordEvent | Trade
_EXIT_AT_CLOSE: Final = frozenset({"STOP", "TARGET"})
_DEAD_AT_OPEN: Final = frozenset({"EXPIRED", "ROLL"})
_PIVOT_KINDS: Final = frozenset({"SW", "EQ"})
_EXIT_FIELDS: Final = frozenset(
    {"exit_ts_s", "exit_price_ticks", "exit_reason", "gross_cents", "cost_cents", "net_cents", "mae_ticks", "mfe_ticks"}
)
_ENTRY_FIELDS: Final = tuple(name for name in Trade.__dataclass_fields__ if name not in _EXIT_FIELDS | {"trade_id"})


class Outcome(NamedTuple):
    """Hold what an engine recorded over a tape."""

    events: Sequence[RecordEvent]
    trades: Sequence[Trade]


def shown(reading: Reading) -> str:
    """Return a reading in a few words."""
    if isinstance(reading, Trade):
        return (
            f"trade {reading.pool_id} {iso_utc(reading.entry_ts_s)} at {reading.entry_price_ticks} to"
            f" {iso_utc(reading.exit_ts_s)} at {reading.exit_price_ticks} {reading.exit_reason}"
        )
    more = "" if reading.level is None else f" level {reading.level}"
    why = f" {reading.reason}" if reading.reason else ""
    return f"{reading.event} {reading.pool or reading.trade}{more}{why} {iso_utc(reading.ts_s)}".replace("  ", " ")


def stamp_s(reading: Reading) -> int:
    """Return the time a reading claims to have been known."""
    return reading.exit_ts_s if isinstance(reading, Trade) else reading.ts_s


def at_open(reading: Reading) -> bool:
    """Tell whether pj1 S13 stamps this reading with the open of the bar that makes it, not with its close."""
    if isinstance(reading, Trade):
        return reading.exit_reason not in _EXIT_AT_CLOSE
    if reading.event == "DEFINED":
        return reading.pool.split(":")[1][:2] not in _PIVOT_KINDS
    return reading.event == "ENTRY_CANCEL" or (reading.event == "DEAD" and reading.reason in _DEAD_AT_OPEN)


def rewritten(known: Outcome, later: Outcome, close_s: int) -> Iterator[str]:
    """Yield every reading known at ``close_s`` that the longer tape changed, and every one it put before that time."""
    yield from _rewritten(known.events, later.events, close_s)
    yield from _rewritten(known.trades, later.trades, close_s)


def _rewritten(known: Sequence[Reading], later: Sequence[Reading], close_s: int) -> Iterator[str]:
    count = len(known)
    if list(later[:count]) == list(known):
        new: Sequence[Reading] = later[count:]
    else:
        lost = Counter(known) - Counter(later)
        new = list((Counter(later) - Counter(known)).elements())
        yield from (f"gone or changed: {shown(one)}" for one in lost)
        if not lost:
            yield "known rows stand in another order"
    for one in new:
        earliest = close_s if at_open(one) else close_s + 60
        if stamp_s(one) < earliest:
            yield f"written into the past: {shown(one)}"


def badly_stamped(known: Outcome, one_more: Outcome, bar_open_s: int) -> Iterator[str]:
    """Yield the readings that one bar made and that are not stamped as pj1 S13 says: its open, or its close."""
    for before, after in ((known.events, one_more.events), (known.trades, one_more.trades)):
        for one in after[len(before) :]:
            due = bar_open_s if at_open(one) else bar_open_s + 60
            if stamp_s(one) != due:
                yield f"stamped {iso_utc(stamp_s(one))}, due {iso_utc(due)}: {shown(one)}"


def peeked_inside(whole_bar: Outcome, open_only: Outcome, count: tuple[int, int]) -> Iterator[str]:
    """Yield what a bar made at its open and would not have made had it never left that open; ``count`` is known."""
    yield from _peeked_inside(whole_bar.events[count[0] :], open_only.events[count[0] :])
    yield from _peeked_inside(whole_bar.trades[count[1] :], open_only.trades[count[1] :])


def _peeked_inside(whole_bar: Sequence[Reading], open_only: Sequence[Reading]) -> Iterator[str]:
    made = Counter(one for one in whole_bar if at_open(one))
    due = Counter(one for one in open_only if at_open(one))
    for one in (made - due) + (due - made):
        yield f"made at the open by what came after it: {shown(one)}"


def stamped_ahead(known: Outcome, close_s: int) -> Iterator[str]:
    """Yield readings that claim a time after the last known bar's close."""
    readings: list[Reading] = [*known.events, *known.trades]
    for one in readings:
        if stamp_s(one) > close_s:
            yield f"stamped after the last known bar: {shown(one)}"


def entries(trades: Iterable[Trade], close_s: int) -> dict[tuple[str, int], tuple[object, ...]]:
    """Return how the positions open at ``close_s`` were entered, by pool and signal time."""
    held = (trade for trade in trades if trade.entry_ts_s < close_s <= trade.exit_ts_s)
    return {(trade.pool_id, trade.signal_ts_s): tuple(getattr(trade, name) for name in _ENTRY_FIELDS) for trade in held}


def impossible_fills(tape: BarColumns, trades: Iterable[Trade], params: Params) -> Iterator[str]:
    """Yield the trades whose entry or exit is no price that its bar offered after the decision (pj1 S5.1, S5.6-7)."""
    for trade in trades:
        why = _entry_fault(tape, trade, params) or _exit_fault(tape, trade, params)
        if why:
            yield f"{why}: {shown(trade)}"


def _bar(tape: BarColumns, open_s: int, side: int) -> tuple[int, int, int] | None:
    """Return (open, high, low) seen from ``side`` of the bar that opens then, None when there is none."""
    at = int(np.searchsorted(tape.ts_ns, open_s * NS_PER_S))
    if at == len(tape.ts_ns) or tape.ts_ns[at] != open_s * NS_PER_S:
        return None
    open_, high, low = int(tape.open_[at]), int(tape.high[at]), int(tape.low[at])
    return (open_, high, low) if side > 0 else (-open_, -low, -high)


def _entry_fault(tape: BarColumns, trade: Trade, params: Params) -> str:
    bar = _bar(tape, trade.entry_ts_s, trade.side)
    if bar is None or trade.entry_ts_s < trade.signal_ts_s:
        return "entered at no bar's open after the signal"
    fair = bar[0] + params.slip_ticks
    return "" if trade.side * trade.entry_price_ticks == fair else "entered at another price than the bar's open"


def _exit_fault(tape: BarColumns, trade: Trade, params: Params) -> str:
    inside = trade.exit_reason in _EXIT_AT_CLOSE
    open_s = trade.exit_ts_s - NS_PER_MIN // NS_PER_S if inside else trade.exit_ts_s
    bar = _bar(tape, open_s, trade.side)
    if bar is None or open_s < trade.entry_ts_s:
        return "left at no bar held"
    open_, high, low = bar
    stop, target, price = (trade.side * one for one in (trade.stop_ticks, trade.target_ticks, trade.exit_price_ticks))
    if trade.exit_reason == "STOP":
        fair = min(stop, open_) - params.slip_ticks
        return "" if low <= stop and price == fair else "stopped at a price the bar did not give"
    if trade.exit_reason == "TARGET":
        reached = low > stop and high >= target + params.target_through_ticks
        return "" if reached and price == target else "took a target the bar did not give, or before its stop"
    return "" if price == open_ - params.slip_ticks else "left by the clock at another price than the bar's open"
