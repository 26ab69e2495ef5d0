"""The ibkr route through real processes: the signal of 09:32 ET on 2026-04-24, the bridge places, the gateway fills."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import pytest
from engine_world import bars_of_two_days, replayed, wall
from ibkr_chain import IbkrChain

from live.market import INSTRUMENTS, Bar
from strategies.mle.phase16_pj_engine import load_bars

MNQ = INSTRUMENTS["MNQ"]
DAY = date(2026, 4, 24)
FILE = "mnq_1m_2026-03_2026-05.parquet"
Make = Callable[..., IbkrChain]


@pytest.fixture(scope="module")
def bars(market_data: Path) -> list[Bar]:
    return bars_of_two_days(load_bars(market_data / FILE, MNQ, front=True), DAY, "MNQM6")


@pytest.fixture
def make(run_dir: Path, bars: list[Bar], market_data: Path) -> Iterator[Make]:
    chains = []

    def build(begin: str = "09:20", end: str = "09:50", speed: float = 240, **settings: str) -> IbkrChain:
        begin_ns, end_ns = wall(DAY, begin), wall(DAY, end)
        chain = IbkrChain(run_dir, DAY, bars, begin_ns, end_ns, speed, settings=settings, tape=market_data / FILE)
        chains.append(chain)
        chain.start_servers()
        chain.start_engine()
        return chain

    yield build
    for chain in chains:
        chain.close()


@pytest.mark.slow
def test_signal_to_gateway_to_position_to_exit(make: Make) -> None:
    chain = make()
    chain.wait(lambda stats: stats.gauge("position", 0) == 1)
    assert chain.held() == 1
    assert len(chain.entries()) == 1
    chain.wait(lambda stats: stats.gauge("trades_today", 0) >= 1 and stats.gauge("position", 1) == 0, 40)
    chain.wait_until(lambda: chain.held() == 0)
    assert chain.stop_engine() == 0
    assert chain.outcomes()[:2] == [("INTENT", "ENTRY"), ("ACKED", "ENTRY")]
    assert replayed(chain)[0] == []
    lines = chain.journal()
    order = [line.type for line in lines if line.type in {"SIGNAL", "INTENT", "SENT", "ACKED", "EXECUTION", "TRADE"}]
    assert order[:3] == ["SIGNAL", "INTENT", "SENT"] and "ACKED" in order
    alarms = [line.data for line in lines if line.type == "ALARM"]
    assert not alarms, alarms
    assert len(chain.account("COMMISSION")) == len(chain.account("EXECUTION"))
    [sent] = [line.data for line in lines if line.type == "SENT" and line.data["key"].endswith(":ENTRY")]
    print("edge_to_order_ms", sent["edge_to_order_ms"])
    assert sent["outcome"] == "HANDED"
