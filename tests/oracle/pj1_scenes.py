"""Set small scenes in which the next bar gives a known signal, for tests that read like a play.

The previous day trades 900 to 1000 ticks, so that PDL = 900 and PDH = 1000 of trade date 2026-04-15. ``sweep_low``
takes the low to 890 and closes back at 910 with displacement: a LONG signal with stop 886, risk 24, target 958.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from live.broker_watch import DeskRules
from live.commands import Command, RecordEvent, RecordTrade, Trade
from live.engine import Engine, Route
from live.events import BarClosed, Mode, ModeChanged
from live.market import INSTRUMENTS, NS_PER_MIN, Bar
from live.params import Params
from live.trading_day import at_minute_ns

MNQ = INSTRUMENTS["MNQ"]
EVE = dt.date(2026, 4, 14)
DAY = dt.date(2026, 4, 15)
NEXT = dt.date(2026, 4, 16)
SCENE: dict[str, Any] = {"use_kinds": ["PD"], "min_prev_day_bars": 1, "windows": [["18:00", "17:00"]]}
START_M = 930


def bar(minute: int, o: int, h: int, low: int, c: int, day: dt.date = DAY, contract: str = "M6", **more: Any) -> Bar:
    """Return the bar of ``minute`` of trade date ``day``."""
    return Bar(at_minute_ns(day, minute), o, h, low, c, 7, contract, **more)


def quiet(minute: int, price: int = 910, **more: Any) -> Bar:
    """Return a real bar that stands still at ``price``."""
    return bar(minute, price, price, price, price, **more)


SWEEP_LOW = bar(START_M + 1, 899, 911, 890, 910)
SWEEP_HIGH = bar(START_M + 1, 1001, 1010, 989, 990)


class Stage:
    """Hold an engine warmed up to the morning of DAY, with one real bar at 09:30."""

    def __init__(
        self,
        route: Route = Route.SIMULATED,
        mode: Mode | None = None,
        early_flat_m: dict[int, int] | None = None,
        rules: DeskRules | None = None,
        **changed: Any,
    ) -> None:
        self.engine = Engine(Params.from_dict(SCENE | changed), MNQ, route, rules, early_flat_m)
        self.out: list[Command] = []
        self.play(bar(100, 950, 1000, 900, 950, EVE), bar(START_M, 950, 951, 949, 950))
        if mode is not None:
            self.engine.step(ModeChanged(mode))

    def play(self, *bars: Bar) -> list[Command]:
        """Close the given bars; return the commands of all of them."""
        said = [command for one in bars for command in self.engine.step(BarClosed(one))]
        self.out += said
        return said

    def step(self, event: Any) -> list[Command]:
        """Step any other event."""
        said = self.engine.step(event)
        self.out += said
        return said

    def rows(self, name: str) -> list[RecordEvent]:
        """Return the rows of one event name so far."""
        return [one for one in self.out if isinstance(one, RecordEvent) and one.event == name]

    def trades(self) -> list[Trade]:
        """Return the closed trades so far."""
        return [one.trade for one in self.out if isinstance(one, RecordTrade)]


def close_ns(one: Bar) -> int:
    """Return the moment a bar closes."""
    return one.ts_ns + NS_PER_MIN
