"""Plant every lookahead of pj1 S10 into the live engine's own parts, each as a function from bars to rows.

A mutant sees the whole list of bars it is given, as a careless backtest sees its whole data frame, and is otherwise
the engine that trades.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from live.commands import Command, RecordEvent, RecordTrade, Trade
from live.engine import Engine, Route
from live.events import BarClosed
from live.liquidity import Liquidity
from live.market import INSTRUMENTS, NS_PER_MIN, NS_PER_S, Bar
from live.paper_fills import Exit, PaperFills
from live.params import Params
from live.pools import FAR, HIGH, LOW, PivotSide
from live.position import Position
from live.session_manager import Signal
from live.trading_day import minute_of_day, trade_ordinal
from strategies.mle.bar_file import BarColumns
from strategies.mle.causality.faults import Outcome
from strategies.mle.lookahead import Run

MNQ = INSTRUMENTS["MNQ"]


def columns_of(bars: list[Bar]) -> BarColumns:
    """Return bars as the columns of a file."""
    return BarColumns.of(bars)


def stepped(make: Callable[[list[Bar]], Engine]) -> Run:
    """Return a run of the engine that ``make`` builds after a look at all bars."""

    def run(tape: BarColumns) -> Outcome:
        bars = tape.bars()
        engine = make(bars)
        events: list[RecordEvent] = []
        trades: list[Trade] = []
        for bar in bars:
            for command in engine.step(BarClosed(bar)):
                if isinstance(command, RecordEvent):
                    events.append(command)
                elif isinstance(command, RecordTrade):
                    trades.append(command.trade)
        return Outcome(events, trades)

    return run


def kept(bars: list[Bar]) -> list[Bar]:
    """Return the bars that are neither stray nor of a weekend (heartbeats repeat a price and do no harm here)."""
    return [bar for bar in bars if minute_of_day(bar.ts_ns) < 1380 and (trade_ordinal(bar.ts_ns) + 6) % 7 < 5]


def honest(params: Params) -> Run:
    return stepped(lambda _bars: Engine(params, MNQ, Route.SIMULATED))


# -- decisions that use the day's end ----------------------------------------------------------------


def final_close_selects(params: Params) -> Run:
    """Take only trades toward the day's final close (go-trader #732)."""

    def make(bars: list[Bar]) -> Engine:
        final = {trade_ordinal(bar.ts_ns): bar.close_ticks for bar in kept(bars)}

        class Selecting(Engine):
            def _outside(self, bar: Bar) -> str:
                side = 1 if bar.close_ticks > bar.open_ticks else -1
                toward = side * (final[trade_ordinal(bar.ts_ns)] - bar.close_ticks) > 0
                return "" if toward else "SELECTED"

        return Selecting(params, MNQ, Route.SIMULATED)

    return stepped(make)


# -- levels ------------------------------------------------------------------------------------------


def with_liquidity(params: Params, make: Callable[[list[Bar]], Liquidity]) -> Run:
    def engine(bars: list[Bar]) -> Engine:
        built = Engine(params, MNQ, Route.SIMULATED)
        built.liquidity = make(bars)
        return built

    return stepped(engine)


class UnshiftedSide(PivotSide):
    """Know a pivot on its own bar: the centred window of a data frame."""

    now = 0
    pivots_at: frozenset[int] = frozenset()

    def add(self, x: int) -> bool:
        self._xs.append(x)
        if self.now not in self.pivots_at:
            return False
        self._candidate, self._candidate_x = len(self._xs) - 1, x
        return True


def pivot_unshifted(params: Params) -> Run:
    """Use a swing n bars before it is confirmed (smart-money-concepts issues 34, 101)."""

    class Unshifted(Liquidity):
        def __init__(self, bars: list[Bar]) -> None:
            super().__init__(params)
            self._highs = self._side(HIGH, bars)
            self._lows = self._side(LOW, bars)

        def _side(self, side: int, bars: list[Bar]) -> UnshiftedSide:
            found, n = UnshiftedSide(side, params), params.swing_n
            centres = set()
            for _, day in itertools.groupby(kept(bars), key=lambda bar: trade_ordinal(bar.ts_ns)):
                rows = list(day)
                xs = [-side * (bar.high_ticks if side == HIGH else bar.low_ticks) for bar in rows]
                for at in range(n, len(rows)):
                    right = xs[at + 1 : at + 1 + n]
                    if xs[at] > max(xs[at - n : at]) and xs[at] >= max(right, default=-FAR):
                        centres.add(rows[at].ts_ns)
            found.pivots_at = frozenset(centres)
            return found

        def add_bar(self, ts_ns: int, high: int, low: int, out: list[Command]) -> None:
            self._highs.now = self._lows.now = ts_ns  # type: ignore[attr-defined]
            super().add_bar(ts_ns, high, low, out)

    return with_liquidity(params, Unshifted)


class _Sessions(Liquidity):
    """Define session pools at another time than the window's end."""

    def __init__(self, params: Params, bars: list[Bar], share: float, *, final: bool) -> None:
        super().__init__(params)
        self._bars = kept(bars)
        self._share = share
        self._final = final
        self._done: set[tuple[int, str]] = set()

    def add_bar(self, ts_ns: int, high: int, low: int, out: list[Command]) -> None:
        super().add_bar(ts_ns, high, low, out)
        minute = minute_of_day(ts_ns)
        for session in self.sessions.ranges:
            width = session.end_m - session.start_m
            due = session.start_m + int(self._share * width) <= minute < session.end_m
            if not due or (self._ordinal, session.name) in self._done or session.name not in self._kinds:
                continue
            self._done.add((self._ordinal, session.name))
            inside = [
                bar
                for bar in self._bars
                if trade_ordinal(bar.ts_ns) == self._ordinal
                and session.start_m <= minute_of_day(bar.ts_ns) < session.end_m
                and (self._final or bar.ts_ns <= ts_ns)
            ]
            top, bottom = max(bar.high_ticks for bar in inside), min(bar.low_ticks for bar in inside)
            self._define(session.name, HIGH, top, ts_ns + NS_PER_MIN, self._close_ns, out)
            self._define(session.name, LOW, bottom, ts_ns + NS_PER_MIN, self._close_ns, out)

    def pass_edge(self, minute: int, ts_ns: int, out: list[Command]) -> None:
        self.sessions.pass_edge(minute)


def session_known_at_its_start(params: Params) -> Run:
    """Use the final high and low of a session from its first bar on."""
    return with_liquidity(params, lambda bars: _Sessions(params, bars, 0.0, final=True))


def session_unfinished(params: Params) -> Run:
    """Use the high and low of a session when it is half over: no lookahead, a wrong level."""
    return with_liquidity(params, lambda bars: _Sessions(params, bars, 0.5, final=False))


class _Days(Liquidity):
    """Take PDH and PDL from other bars than those of the trade date before."""

    def __init__(self, params: Params, bars: list[Bar], source: Callable[[list[Bar], int, int], list[Bar]]) -> None:
        super().__init__(params)
        self._bars = kept(bars)
        self._source = source

    def turn_day(self, ordinal: int, base_ns: int, ts_ns: int, out: list[Command], *, rolled: bool) -> None:
        found = self._source(self._bars, ordinal, ts_ns)
        self._day_high = max((bar.high_ticks for bar in found), default=-FAR)
        self._day_low = min((bar.low_ticks for bar in found), default=FAR)
        self._stamps = [bar.ts_ns for bar in found]
        super().turn_day(ordinal, base_ns, ts_ns, out, rolled=rolled)


def resample_labelled_left(params: Params) -> Run:
    """Take PDH and PDL from the day that begins: a daily resample whose label stands at the left edge."""

    def today(bars: list[Bar], ordinal: int, _ts_ns: int) -> list[Bar]:
        return [bar for bar in bars if trade_ordinal(bar.ts_ns) == ordinal]

    return with_liquidity(params, lambda bars: _Days(params, bars, today))


def utc_days(params: Params) -> Run:
    """Take PDH and PDL from the UTC day so far: no lookahead, a wrong level."""

    def utc(bars: list[Bar], _ordinal: int, ts_ns: int) -> list[Bar]:
        day = NS_PER_S * 86_400
        return [bar for bar in bars if bar.ts_ns // day == ts_ns // day - 1]

    return with_liquidity(params, lambda bars: _Days(params, bars, utc))


def whole_sample_scaling(params: Params) -> Run:
    """Scale the tolerance of equal levels by the range of the whole sample."""

    def make(bars: list[Bar]) -> Engine:
        spread = max(bar.high_ticks for bar in bars) - min(bar.low_ticks for bar in bars)
        return Engine(dataclasses.replace(params, eq_tol_ticks=spread // 20), MNQ, Route.SIMULATED)

    return stepped(make)


def future_roll_adjusted(params: Params) -> Run:
    """Shift the past by the gaps of rolls that had not happened yet."""

    def run(tape: BarColumns) -> Outcome:
        names = tape.contract
        gaps = np.zeros(len(names), dtype=np.int64)
        for at in range(1, len(names)):
            if names[at] != names[at - 1]:
                gaps[at] = tape.open_[at] - tape.close[at - 1]
        later = gaps.sum() - np.cumsum(gaps)
        moved = {name: getattr(tape, name) + later for name in ("open_", "high", "low", "close")}
        return honest(params)(dataclasses.replace(tape, **moved))

    return run


# -- fills -------------------------------------------------------------------------------------------


def with_fills(params: Params, make: Callable[[Params, list[Bar]], PaperFills]) -> Run:
    def engine(bars: list[Bar]) -> Engine:
        built = Engine(params, MNQ, Route.SIMULATED)
        built.paper = make(params, bars)
        return built

    return stepped(engine)


class _Priced(PaperFills):
    """Enter at a price of its own making."""

    def __init__(self, params: Params, price: Callable[[Signal, Bar], int], *, own_bar: bool = False) -> None:
        super().__init__(params)
        self._price = price
        self._own_bar = own_bar

    def try_entry(self, waiting: tuple[Signal, int], bar: Bar, ordinal: int) -> Position | str:
        found = super().try_entry(waiting, bar, ordinal)
        if isinstance(found, str):
            return found
        found.entry_price = self._price(waiting[0], bar)
        found.worst_m = found.best_m = waiting[0].side * found.entry_price
        if self._own_bar:
            found.entry_ns = waiting[0].bar_ts_ns
        return found


def fills_at_own_close(params: Params) -> Run:
    """Fill a signal at the close of its own bar, with the next bar's stamp."""
    return with_fills(params, lambda p, _bars: _Priced(p, lambda signal, _bar: signal.entry_ref))


def fills_on_own_bar(params: Params) -> Run:
    """Fill a signal at the close of its own bar, with that bar's stamp."""
    return with_fills(params, lambda p, _bars: _Priced(p, lambda signal, _bar: signal.entry_ref, own_bar=True))


def fills_at_extreme(params: Params) -> Run:
    """Fill a signal at the extreme of the sweep that made it."""
    return with_fills(params, lambda p, _bars: _Priced(p, lambda signal, _bar: signal.extreme))


def fills_at_best_of_bar(params: Params) -> Run:
    """Fill a signal at the best price of its entry bar."""

    def best(signal: Signal, bar: Bar) -> int:
        return bar.low_ticks if signal.side > 0 else bar.high_ticks

    return with_fills(params, lambda p, _bars: _Priced(p, best))


def fills_at_best_to_come(params: Params) -> Run:
    """Fill a signal at the best open of all bars to come."""

    def make(p: Params, bars: list[Bar]) -> PaperFills:
        def best(signal: Signal, bar: Bar) -> int:
            opens = [one.open_ticks for one in bars if one.ts_ns >= bar.ts_ns]
            return signal.side * min(signal.side * one for one in opens) + signal.side * p.slip_ticks

        return _Priced(p, best)

    return with_fills(params, make)


class _TargetFirst(PaperFills):
    def inside_exit(self, position: Position, bar: Bar) -> Exit | None:
        signal = position.signal
        best = bar.high_ticks if signal.side > 0 else -bar.low_ticks
        if best >= signal.side * signal.target + 1:
            position.see(bar.high_ticks, bar.low_ticks)
            return Exit(bar.ts_ns + NS_PER_MIN, signal.target, "TARGET", by_clock=False)
        return super().inside_exit(position, bar)


def target_before_stop(params: Params) -> Run:
    """Call a bar that held stop and target a win."""
    return with_fills(params, lambda p, _bars: _TargetFirst(p))


class _Dodging(PaperFills):
    def clock_exit(self, position: Position, bar: Bar, minute: int, ordinal: int, lock: str) -> Exit | None:
        due = super().clock_exit(position, bar, minute, ordinal, lock)
        signal = position.signal
        worst = bar.low_ticks if signal.side > 0 else -bar.high_ticks
        if due is None and worst <= signal.side * signal.stop:
            return Exit(bar.ts_ns, bar.open_ticks - signal.side * self._params.slip_ticks, "TIME", by_clock=True)
        return due


def dodges_the_stop(params: Params) -> Run:
    """Leave at the open of the very bar that would have stopped the trade."""
    return with_fills(params, lambda p, _bars: _Dodging(p))


# -- stamps ------------------------------------------------------------------------------------------


def restamped(params: Params, change: Callable[[RecordEvent], RecordEvent]) -> Run:
    def run(tape: BarColumns) -> Outcome:
        events, trades = honest(params)(tape)
        return Outcome([change(one) for one in events], trades)

    return run


def pivot_stamped_at_its_bar(params: Params) -> Run:
    """Decide rightly and say that the swing was known when it formed."""

    def change(one: RecordEvent) -> RecordEvent:
        swing = one.event == "DEFINED" and one.pool.split(":")[1][:2] == "SW"
        return dataclasses.replace(one, ts_s=int(one.pool.split(":")[2])) if swing else one

    return restamped(params, change)


def sweep_stamped_at_the_open(params: Params) -> Run:
    """Decide rightly and stamp a sweep with its bar's open."""
    return restamped(params, lambda one: dataclasses.replace(one, ts_s=one.ts_s - 60) if one.event == "SWEPT" else one)


Mutant = Callable[[Params], Run]
SETTINGS: dict[str, Any] = {
    "windows": [["18:00", "17:00"]],
    "swing_n": 3,
    "min_prev_day_bars": 1,
    "min_session_fill": 0,
    "min_risk_ticks": 4,
    "max_consec_losses": 100,
    "max_trades_day": 100,
    "cooldown_min": 0,
    "sessions": [["ASIA", "18:00", "18:45"], ["LDN", "02:00", "03:00"], ["NYAM", "09:30", "10:30"]],
}
