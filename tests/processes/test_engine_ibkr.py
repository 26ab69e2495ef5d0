"""The ibkr route through real processes: the signal of 09:32 ET on 2026-04-24, the bridge places, the gateway fills."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import pytest
from engine_world import bars_of_two_days, replayed, wall
from ibkr_chain import IbkrChain

from live.market import INSTRUMENTS, Bar
from pj.channels.stats import Stats
from strategies.mle.phase16_pj_engine import load_bars


def _marks(step: str) -> list[pytest.MarkDecorator]:
    """Two steps stand for all in the everyday run."""
    return [] if step in {"before-row", "handed-over"} else [pytest.mark.campaign]


HERE = Path(__file__).resolve().parent
DYING_BRIDGE = HERE.parent / "ibkr" / "dying_bridge.py"
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

    def build(step: str = "", begin: str = "09:12", end: str = "09:50", speed: float = 240) -> IbkrChain:
        begin_ns, end_ns = wall(DAY, begin), wall(DAY, end)
        chain = IbkrChain(run_dir, DAY, bars, begin_ns, end_ns, speed, tape=market_data / FILE)
        chains.append(chain)
        chain.start_servers()
        if step:
            chain.start_mortal(HERE / "dying_engine.py", step)
        else:
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
    assert [one for one in chain.outcomes() if one[1] != "EXIT"] == [("INTENT", "ENTRY"), ("ACKED", "ENTRY")]
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


def settled(chain: IbkrChain) -> None:
    """Wait until engine and gateway agree and nothing is pending; then nothing was done twice."""

    def agree(stats: Stats) -> bool:
        pending = stats.gauge("pending", default=True)
        return not pending and stats.gauge("position", 99) == stats.gauge("account_position", 98) == chain.held()

    chain.wait(agree)
    assert len(chain.entries()) <= 1
    assert len(chain.order_ids()) == len(set(chain.order_ids()))


#: Step of the engine's death -> whether the entry is at the gateway afterwards.
STEPS = {
    "intent-on-disk": False,
    "before-row": False,
    "row-not-synced": True,
    "handed-over": True,
    "ack-not-journaled": True,
    "ack-journaled": True,
    "fill-not-journaled": True,
    "fill-journaled": True,
}


@pytest.mark.slow
@pytest.mark.parametrize("step", [pytest.param(step, marks=_marks(step)) for step in STEPS])
def test_the_engine_dies_between_intent_and_fill(make: Make, step: str) -> None:
    chain = make(step)
    chain.engines[-1].wait(30)
    assert (chain.root / "died").exists(), "it died where it should"
    chain.start_engine()
    chain.wait_until(lambda: any(kind != "INTENT" for kind, _ in chain.outcomes()) or not STEPS[step])
    settled(chain)
    placed = STEPS[step]
    assert [row[5] for row in chain.entries()] == ([1] if placed else [])
    assert chain.stop_engine() == 0
    expected = ("ACKED", "ENTRY") if placed else ("REFUSED", "ENTRY")
    assert expected in chain.outcomes()
    assert replayed(chain)[0] == []
    entries = [line for line in chain.journal() if line.type == "INTENT" and line.data["order"] == "ENTRY"]
    assert len(entries) == 1


@pytest.mark.slow
@pytest.mark.parametrize("step", ["after-ledger", "before-last-leg", "after-last-leg", "before-answer"])
def test_the_bridge_dies_between_row_and_answer(make: Make, step: str) -> None:
    chain = make()
    chain.kill_bridge()
    died = chain.root / "died"
    chain.start_bridge(str(DYING_BRIDGE), DIE_AT=step, DIE_FLAG=str(died))
    chain.wait_until(died.exists, 30)
    chain.bridges[-1].wait(5)
    chain.start_bridge()
    chain.wait_until(lambda: {("ACKED", "ENTRY"), ("UNKNOWN", "ENTRY")} & set(chain.outcomes()))
    chain.wait_until(chain.bridge_ready)
    settled(chain)
    filled = [row[5] for row in chain.entries() if row[5]]
    if ("UNKNOWN", "ENTRY") in chain.outcomes():
        assert filled == []
        assert "ORDER_UNKNOWN" in {line.data.get("code") for line in chain.journal() if line.type == "ALARM"}
    else:
        assert filled == [1]
    assert chain.stop_engine() == 0
    assert replayed(chain)[0] == []


@pytest.mark.slow
def test_a_bridge_that_hangs_makes_an_entry_unknown_and_never_places_it_late(make: Make) -> None:
    chain = make()
    chain.kill_bridge()
    flag = str(chain.root / "hung")
    chain.start_bridge(str(DYING_BRIDGE), DIE_AT="row-read", DIE_FLAG=flag, HANG_S="9")
    chain.wait_until(lambda: ("UNKNOWN", "ENTRY") in chain.outcomes(), 40)
    chain.wait_until(lambda: ("REFUSED", "ENTRY") in chain.outcomes())
    [refused] = [line.data["code"] for line in chain.journal() if line.type == "REFUSED"]
    assert refused == "STALE_SIGNAL"
    settled(chain)
    assert chain.entries() == [] and chain.held() == 0
    assert "ORDER_UNKNOWN" in {line.data.get("code") for line in chain.journal() if line.type == "ALARM"}
    assert chain.stop_engine() == 0


@pytest.mark.slow
def test_a_position_is_seen_protected_and_closed_over_a_break(make: Make) -> None:
    """Somebody cancels our stop in TWS, then the line breaks: the stop is put back, and the books agree."""
    chain = make()
    chain.wait(lambda stats: stats.gauge("position", 0) == 1)
    [stop] = chain.book("STP")
    chain.control("end_order", client=stop[0], id=stop[1])
    chain.wait_until(
        lambda: [row[6] for row in chain.control("orders")["book"] if row[2] == "STP"][1:] == ["Submitted"]
    )
    chain.control("drop")
    chain.wait_until(chain.bridge_ready)
    settled(chain)
    assert "NAKED" in {line.data.get("code") for line in chain.journal() if line.type == "ALARM"}
    assert chain.stop_engine() == 0
    assert replayed(chain)[0] == []
