"""Make up a market: seeded minutes of an index future, shaped like the real files, needing no file.

A slow walk of daily levels runs from a fixed date, so any trade date has the same prices whatever window is
asked for. Inside a day the minutes take their volatility and volume from the real MNQ file of March to May 2026 by
hour of day (ET), volatility clusters, the first minute gaps from the day before (more after a weekend), and the
last two hours lean towards the next day's level. Several times a day, in the hours the strategy trades, price is
driven through a recent high or low and in most cases comes back with a strong bar, then runs or fails: sweeps
and reclaims happen, with no promise that they pay. The same seed gives the same minutes: nothing
but Python's seeded generator decides (another platform's exp and log may differ in a last digit that rounding
to ticks nearly always hides).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import lru_cache
from math import exp, sqrt
from random import Random
from typing import Final

from live.market import INSTRUMENTS, Bar
from pj.simulators.contracts import Future, UnknownContract, front, parse
from pj.simulators.eastern import MIN_NS, opens, trade_date
from pj.simulators.market_days import session_minutes, trading_days
from pj.simulators.paths import Print, Row, minute_prints
from pj.simulators.tapes import Library, TapeError

HISTORY_DAYS: Final = 15
_EPOCH: Final = date(2020, 1, 1)
_LEVELS: Final = {"NQ": 25_000.0, "MNQ": 25_000.0, "ES": 6_700.0, "MES": 6_700.0}
# Mean range (ticks) and volume of a minute by ET hour, from mnq_1m_2026-03_2026-05 after the roll.
_RANGE: Final = (22, 28, 31, 36, 40, 36, 37, 45, 51, 82, 87, 68, 58, 55, 50, 52, 39, 0, 39, 28, 41, 36, 30, 24)
_VOLUME: Final = (
    *(318, 406, 463, 545, 628, 539, 606, 797, 1220, 4458, 5151, 3665),
    *(2713, 2523, 2226, 2506, 913, 0, 616, 470, 804, 680, 509, 361),
)
_STEPS: Final = 7
_SCATTER: Final = 0.45
_RANGE_PER_SIGMA: Final = 2.0
_ATTACK_WINDOWS: Final = ((490, 650), (940, 1045), (1175, 1245))
_LEAN_FROM: Final = 1260


@dataclass(frozen=True, slots=True)
class _Attack:
    """Plan one run on liquidity: when, which side, how far through, and what follows."""

    minute: int
    side: int
    look_back: int
    depth: int
    approach: int
    reclaims: bool
    runs: bool


@lru_cache(maxsize=8)
def _levels(seed: int, symbol: str, until: int) -> tuple[float, ...]:
    rng = Random(f"{seed}/levels/{symbol}")
    value, found = 0.0, []
    for _ in range(until - _EPOCH.toordinal()):
        found.append(value)
        value = 0.998 * value + rng.gauss(0.0, 0.009)
    return tuple(found)


def _level(seed: int, symbol: str, day: date) -> int:
    """Return the price in ticks around which ``day`` opens."""
    offset = day.toordinal() - _EPOCH.toordinal()
    # The walk is drawn to the end of the year, so that every day of a run reads the same one.
    walk = _levels(seed, symbol, date(day.year + 1, 2, 1).toordinal())
    return round(_LEVELS[symbol] * exp(walk[offset]) / float(INSTRUMENTS[symbol].tick))


def _gap(seed: int, symbol: str, day: date) -> int:
    rng = Random(f"{seed}/gap/{symbol}/{day}")
    spread = 180 if day.weekday() == 0 else 24
    return round(rng.gauss(0.0, spread))


def _attacks(rng: Random) -> list[_Attack]:
    planned: list[_Attack] = []
    for start, end in _ATTACK_WINDOWS:
        minute = start + rng.randrange(10)
        while minute < end:
            planned.append(
                _Attack(
                    minute=minute,
                    side=rng.choice((1, -1)),
                    look_back=rng.randrange(20, 90),
                    depth=rng.randrange(3, 40),
                    approach=rng.randrange(3, 8),
                    reclaims=rng.random() < 0.75,
                    runs=rng.random() < 0.5,
                )
            )
            minute += rng.randrange(25, 50)
    return planned


@dataclass(slots=True)
class _Maker:
    """Make one day's minutes, one after the other."""

    rng: Random
    price: int
    target: int
    scale: float
    length: int
    rows: list[tuple[int, int, int, int, int]] = field(default_factory=list)
    push: tuple[int, float] = (0, 0.0)
    heat: float = 0.0

    def make(self) -> list[tuple[int, int, int, int, int]]:
        """Return (open, high, low, close, volume) per minute of the session."""
        script = iter(_attacks(self.rng))
        attack = next(script, None)
        while (minute := len(self.rows)) < self.length:
            if attack and minute >= attack.minute:
                self._attack(attack)
                attack = next(script, None)
            else:
                self._plain(self._drift(minute))
        return self.rows[: self.length]

    def _sigma(self) -> float:
        hour = (len(self.rows) // 60 + 18) % 24
        return _RANGE[hour] / _RANGE_PER_SIGMA * self.scale * exp(self.heat)

    def _drift(self, minute: int) -> float:
        left, slope = self.push
        if left:
            self.push = (left - 1, slope)
            return slope * self._sigma()
        if minute >= min(_LEAN_FROM, self.length - 60):
            return (self.target - self.price) / max(1, self.length - minute)
        return 0.0

    def _plain(self, drift: float) -> None:
        rng = self.rng
        self.heat = 0.93 * self.heat + rng.gauss(0.0, 0.15)
        sigma = self._sigma()
        at = self.price + rng.choice((-2, -1, 0, 0, 1, 1, 2))
        walk = [at]
        exact = float(at)
        for _ in range(_STEPS):
            exact += drift / _STEPS + rng.gauss(0.0, sigma / sqrt(_STEPS))
            # Prints scatter around the walk; the scatter does not add up, as between bid and ask of a thin book.
            walk.append(round(exact + rng.gauss(0.0, _SCATTER * sigma)))
        self._close(walk)

    def _close(self, walk: list[int]) -> None:
        high, low = max(walk), min(walk)
        hour = (len(self.rows) // 60 + 18) % 24
        usual = _RANGE[hour] * self.scale
        busy = 0.4 + 0.6 * (high - low) / usual
        volume = max(1, round(_VOLUME[hour] * busy * exp(self.rng.gauss(-0.06, 0.35))))
        self.rows.append((walk[0], high, low, walk[-1], volume))
        self.price = walk[-1]

    def _attack(self, plan: _Attack) -> None:
        """Drive price through the extreme of the last minutes; come back with a strong bar when the plan says so."""
        recent = self.rows[-plan.look_back :]
        lowest, highest = min(row[2] for row in recent), max(row[1] for row in recent)
        side = plan.side
        if abs(self.price - (lowest if side > 0 else highest)) > (highest - lowest) / 2:
            # The nearer extreme is the believable one.
            side = -side
        level = lowest if side > 0 else highest
        depth = max(2, round(plan.depth * self.scale))
        for left in range(plan.approach, 0, -1):
            self._plain((level - side * depth - self.price) / left)
        if not plan.reclaims:
            self.push = (self.rng.randrange(8, 25), -0.15 * side)
            return
        self._reclaim(level, side)
        self.push = (self.rng.randrange(10, 40), (0.25 if plan.runs else -0.15) * side)

    def _reclaim(self, level: int, side: int) -> None:
        rng = self.rng
        start = self.price
        end = level + side * rng.randrange(3, 26)
        body = max(abs(end - start), 4)
        end = start + side * body if side * (end - start) < body else end
        before, after = (rng.randrange(0, 1 + body // 4) for _ in range(2))
        self._close([start, start - side * before, end + side * after, end])


@lru_cache(maxsize=64)
def _day_rows(seed: int, symbol: str, day: date) -> tuple[tuple[int, int, int, int, int], ...]:
    """Return the minutes of ``day``; empty when the exchange is closed."""
    length = session_minutes(day)
    if not length:
        return ()
    following = day + timedelta(days=1)
    while not session_minutes(following):
        following += timedelta(days=1)
    rng = Random(f"{seed}/day/{symbol}/{day}")
    scale = exp(rng.gauss(-0.03, 0.25)) * _LEVELS[symbol] / _LEVELS["MNQ"]
    target = _level(seed, symbol, following) - _gap(seed, symbol, following)
    maker = _Maker(rng, _level(seed, symbol, day), target, scale, length)
    return tuple(maker.make())


@dataclass(slots=True)
class GeneratedTape:
    """Offer the made-up market of one contract over some trade dates."""

    future: Future
    seed: int
    days: list[date]

    def minutes(self, start_ns: int, end_ns: int) -> list[int]:
        """Return the minutes in [start, end) of the days made up."""
        return [minute for minute, _ in self._rows(start_ns, end_ns)]

    def prints(self, minute_ns: int) -> list[Print]:
        """Return the prints of one minute, along the path of its bar."""
        for _, (o, h, low, c, volume) in self._rows(minute_ns, minute_ns + 1):
            return minute_prints([Row(minute_ns, o, h, low, c, volume, MIN_NS)], None)
        return []

    def bars(self, start_ns: int, end_ns: int) -> list[Bar]:
        """Return the bars of the minutes in [start, end)."""
        local = self.future.local_symbol
        return [Bar(minute, *row, local) for minute, row in self._rows(start_ns, end_ns)]

    def _rows(self, start_ns: int, end_ns: int) -> Iterator[tuple[int, tuple[int, int, int, int, int]]]:
        first = self.days[0] if start_ns < opens(self.days[0]) else trade_date(start_ns)
        for day in self.days[bisect_left(self.days, first) :]:
            begin = opens(day)
            if begin >= end_ns:
                return
            rows = _day_rows(self.seed, self.future.symbol, day)
            low = max(0, -((begin - start_ns) // MIN_NS)) if start_ns > begin else 0
            for at in range(low, len(rows)):
                minute = begin + at * MIN_NS
                if minute >= end_ns:
                    return
                yield minute, rows[at]


def generate(symbol: str, contract: str, day: date, seed: int) -> Library:
    """Return the made-up market of ``day`` and the trade dates before it; raise TapeError for a bad name or day."""
    if symbol not in INSTRUMENTS:
        raise TapeError(f"symbol {symbol!r} is not known; use one of {', '.join(sorted(INSTRUMENTS))}")
    if not session_minutes(day) or day <= _EPOCH + timedelta(days=40):
        raise TapeError(f"the generator has no session on {day}; choose a trading day after {_EPOCH}")
    instrument = INSTRUMENTS[symbol]
    try:
        future = parse(contract, day, symbol) if contract else front(instrument, day)
    except UnknownContract as error:
        raise TapeError(str(error)) from error
    if future.symbol != symbol:
        raise TapeError(f"contract {contract} is not a contract of {symbol}; pass --symbol {future.symbol}")
    days = trading_days(day, HISTORY_DAYS)
    volumes = {each: {future.local_symbol: 1} for each in days}
    return Library(instrument, {future.local_symbol: GeneratedTape(future, seed, days)}, volumes)
