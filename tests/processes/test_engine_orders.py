"""Orders through real processes: gateway, bridge, webhook server, engine; the signal of 09:32 ET on 2026-04-24."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import pytest
from engine_chain import Chain
from engine_world import bars_of_two_days, replayed, wall

from live.market import INSTRUMENTS, Bar
from strategies.mle.phase16_pj_engine import load_bars

MNQ = INSTRUMENTS["MNQ"]
DAY = date(2026, 4, 24)
FILE = "mnq_1m_2026-03_2026-05.parquet"
Make = Callable[..., Chain]


@pytest.fixture(scope="module")
def bars(market_data: Path) -> list[Bar]:
    return bars_of_two_days(load_bars(market_data / FILE, MNQ, front=True), DAY, "MNQM6")


@pytest.fixture
def make(run_dir: Path, bars: list[Bar], market_data: Path) -> Iterator[Make]:
    chains = []

    def build(begin: str, end: str, speed: float, **settings: str) -> Chain:
        begin_ns, end_ns = wall(DAY, begin), wall(DAY, end)
        chain = Chain(run_dir, DAY, bars, begin_ns, end_ns, speed, settings=settings, tape=market_data / FILE)
        chains.append(chain)
        chain.start_servers()
        chain.start_engine()
        return chain

    yield build
    for chain in chains:
        chain.close()


@pytest.mark.slow
def test_signal_to_webhook_to_position_and_a_kill_in_mid_trade(make: Make) -> None:
    chain = make("09:20", "09:50", 240)
    chain.wait(lambda stats: stats.gauge("position", 0) == 1)
    assert chain.held() == 1
    chain.kill_engine()
    chain.start_engine()
    stats = chain.wait(lambda stats: stats.gauge("position", 0) == 1 and stats.gauge("account_position", 0) == 1)
    assert stats.gauge("trades_today", 0) >= 1
    time.sleep(1.0)
    assert len(chain.calls("buy")) == 1, "the entry is sent once in its life"
    assert chain.stop_engine() == 0
    assert chain.outcomes()[:2] == [("INTENT", "ENTRY"), ("ACKED", "ENTRY")]
    assert replayed(chain)[0] == []
    lines = chain.journal()
    order = [line.type for line in lines if line.type in {"SIGNAL", "INTENT", "SENT", "ACKED", "EXECUTION"}]
    assert order[:4] == ["SIGNAL", "INTENT", "SENT", "ACKED"]
    assert "EXECUTION" in order
    [sent] = [line.data for line in lines if line.type == "SENT"]
    print("edge_to_order_ms", sent["edge_to_order_ms"])
    assert 0 < sent["edge_to_order_ms"] < 1000


@pytest.mark.slow
def test_engine_killed_while_the_answer_is_on_its_way(make: Make) -> None:
    chain = make("09:20", "09:50", 240)
    chain.plant("slow:3")
    chain.wait_until(lambda: len(chain.calls("buy")) == 1)
    chain.kill_engine()
    chain.start_engine()
    chain.wait(lambda stats: stats.gauge("position", 0) == 1)
    time.sleep(0.5)
    assert len(chain.calls("buy")) == 1, "an intent without an outcome is never sent again"
    assert chain.stop_engine() == 0
    assert chain.outcomes()[:2] == [("INTENT", "ENTRY"), ("UNKNOWN", "ENTRY")]
    assert replayed(chain)[0] == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "position"), [("drop_after", 1), pytest.param("500html", 0, marks=pytest.mark.campaign)]
)
def test_an_unknown_entry_is_decided_by_the_position(make: Make, fault: str, position: int) -> None:
    chain = make("09:20", "09:50", 240)
    chain.plant(fault)
    chain.wait_until(lambda: ("UNKNOWN", "ENTRY") in chain.outcomes())
    if position:
        chain.wait(lambda stats: stats.gauge("position", 0) == 1)
    else:
        chain.wait_until(lambda: ("INTENT", "CANCEL") in chain.outcomes())
        chain.wait(lambda stats: stats.gauge("pending", default=True) is False)
        assert "ENTRY_LOST" in {line.data.get("code") for line in chain.journal() if line.type == "ALARM"}
    assert chain.held() == position
    assert len(chain.calls("buy")) == 1
    assert chain.stop_engine() == 0


@pytest.mark.slow
def test_without_a_position_source_a_lost_answer_ends_in_a_known_flat(make: Make) -> None:
    chain = make("09:20", "09:50", 240, **{"execution.position_source": "none"})
    chain.plant("drop_after")
    chain.wait_until(lambda: ("ACKED", "EXIT0") in chain.outcomes())
    chain.wait_until(lambda: chain.held() == 0)
    chain.wait(lambda stats: stats.gauge("entries_blocked", "") == "UNVERIFIED")
    assert len(chain.calls("buy")) == 1
    exits = chain.calls("exit")
    assert exits, "an entry nobody can vouch for is answered with exits"
    assert {row["body"]["signalPrice"] for row in exits} <= chain.traded(), "the last price of the tape when it left"
    assert chain.stop_engine() == 0
