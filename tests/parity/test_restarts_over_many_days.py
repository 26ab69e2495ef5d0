"""A run of many days, ended and recovered anywhere, is the run that was never ended: rows, numbers and state."""

from __future__ import annotations

import dataclasses
import random
from pathlib import Path
from typing import Any

import pytest
from honest_broker import HonestBroker
from lived_journal import MNQ, Life, rows_of, written
from pj1_files import MINUTE_FILES, real_columns
from pj1_tapes import lively_params, random_tape

from live.engine import Engine, Route
from live.events import BarClosed, Leg, OrdersReported, PositionReported, TruthChanged, WorkingOrder
from live.market import Bar
from live.params import Params


def restarted(root: Path, bars: list[Bar], params: Params, at: set[int]) -> None:
    """Restart before each bar of ``at``; hold state and rows against an engine that was never ended."""
    straight = Engine(params, MNQ, Route.SIMULATED)
    said = []
    life = Life(root, params, MNQ, bars[0].ts_ns)
    try:
        for number, bar in enumerate(bars):
            if number in at:
                assert life.restart() == []
                state = {name: value for name, value in straight.snapshot().items() if name != "mode"}
                again = {name: value for name, value in life.core.engine.snapshot().items() if name != "mode"}
                assert again == state, bar
            life.take(bar)
            said += straight.step(BarClosed(bar))
    finally:
        life.core.book.close()
    assert written(life.run_dir) == rows_of(said, params.instrument(MNQ))


@pytest.mark.parametrize("seed", range(4))
def test_random_tapes_with_restarts_are_as_if_never_ended(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    params = Params.from_dict(lively_params(rng))
    bars = random_tape(rng, days=6, hours=2)
    restarted(tmp_path, bars, params, set(rng.sample(range(1, len(bars)), 12)))


@pytest.mark.parametrize("name", MINUTE_FILES[:2])
def test_a_real_fortnight_with_restarts_is_as_if_never_ended(market_data: Path, tmp_path: Path, name: str) -> None:
    rng = random.Random(name)
    bars = real_columns(market_data, name).bars()[3000:14_000]
    restarted(tmp_path, bars, Params(), set(rng.sample(range(1, len(bars)), 8)))


class BrokerLife(Life):
    """Live on a broker's route: an honest broker fills entries at the next open and exits where the bars reach them."""

    route = Route.BROKER
    route_name = "ibkr"

    def __init__(self, root: Path, params: Params, first_ns: int) -> None:
        self.broker = HonestBroker()
        super().__init__(root, params, MNQ, first_ns)
        self.core.take(TruthChanged(connected=True, ts_ns=first_ns))
        self._hear()

    def issue(self, orders: list[Any]) -> None:
        for order in orders:
            self.broker.take(order, "OK", self.clock.at_ns)

    def take(self, bar: Bar) -> None:
        self.broker.fill_entry(10, bar.open_ticks, bar.ts_ns)
        for leg in (Leg.STOP, Leg.TARGET):
            if any(one.leg is leg and bar.low_ticks <= one.price_ticks <= bar.high_ticks for one in self.working()):
                self.broker.fill_exit(leg, 10, bar.ts_ns, both=False)
        self.clock.at_ns = bar.ts_ns
        self._hear()
        super().take(bar)
        self._hear()

    def working(self) -> list[WorkingOrder]:
        return list(self.broker.working.values())

    def _hear(self) -> None:
        """Let the broker carry out what it was asked and the core take what it says, until both are silent."""
        now_ns = self.clock.at_ns
        self.broker.show_position(now_ns)
        self.broker.show_orders(now_ns, reread=True)
        while self.broker.inbox or any(self.broker.channels.values()):
            self.broker.work(now_ns)
            for channel in self.broker.channels.values():
                while channel:
                    event = dataclasses.replace(channel.popleft(), ts_ns=now_ns)
                    if isinstance(event, PositionReported | OrdersReported):
                        self.core.take_if_it_matters(event)
                    else:
                        self.core.take(event)


def test_a_broker_run_of_many_days_comes_back_with_its_orders_and_money(market_data: Path, tmp_path: Path) -> None:
    rng = random.Random(5)
    bars = real_columns(market_data, MINUTE_FILES[1]).bars()[3000:14_000]
    at = set(rng.sample(range(1, len(bars)), 8))
    life = BrokerLife(tmp_path, Params(), bars[0].ts_ns)
    try:
        for number, bar in enumerate(bars):
            if number in at:
                before = life.core.engine.snapshot()
                assert life.restart() == []
                assert life.core.engine.snapshot() == before
            life.take(bar)
        assert life.core.engine.guard.trades > 20 and not life.core.engine.killed
    finally:
        life.core.book.close()
