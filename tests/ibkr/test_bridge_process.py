"""The bridge process against the simulated gateway: nothing lost, nothing doubled, every hole named."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from live.bar_builder import BarBuilder
from live.market import INSTRUMENTS, Bar
from pj.channels.formats import iso_utc
from pj.channels.tape import TapeParser

MIN_NS = 60_000_000_000
MNQ = INSTRUMENTS["MNQ"]
Row = dict[str, str]


def tick(row: Row) -> tuple[str, str]:
    return row["price"], row["size"]


def trades(found: list[Row]) -> list[tuple[str, str]]:
    return [tick(row) for row in found if row["kind"] == "TRADE"]


def source(tape: Path) -> dict[str, Row]:
    import pyarrow.parquet as pq

    bars = {}
    for row in pq.read_table(tape).to_pylist():
        prices = {name: f"{row[name]:.2f}".rstrip("0").rstrip(".") for name in ("open", "high", "low", "close")}
        bars[row["ts"].strftime("%Y-%m-%dT%H:%M:%SZ")] = {**prices, "volume": str(row["volume"])}
    return bars


def rebuilt(path: Path) -> list[Bar]:
    """Return the bars that the engine's builder makes of a tape."""
    lines = path.read_bytes()
    ticks = TapeParser(MNQ).feed(lines[: lines.rfind(b"\n") + 1])
    return [item for item in BarBuilder().on_ticks(ticks) if isinstance(item, Bar)]


def cells(bar: Bar) -> Row:
    prices = {
        "open": bar.open_ticks,
        "high": bar.high_ticks,
        "low": bar.low_ticks,
        "close": bar.close_ticks,
    }
    return {**{name: MNQ.to_points(ticks) for name, ticks in prices.items()}, "volume": str(bar.volume)}


def assert_tape_in_order(market: list[Row]) -> None:
    assert [int(row["seq"]) for row in market] == list(range(1, len(market) + 1))
    stamps = [int(row["recv_ns"]) for row in market]
    assert all(a <= b for a, b in itertools.pairwise(stamps))


def assert_edge_before_later_rows(market: list[Row]) -> None:
    """Each minute that has rows before and after its edge has the edge row between them, unless a GAP covers it."""
    for before, after in itertools.pairwise(market):
        edge = (int(before["recv_ns"]) // MIN_NS + 1) * MIN_NS
        if int(after["recv_ns"]) >= edge:
            assert after["kind"] in {"HEARTBEAT", "GAP"}, (before, after)
            if after["kind"] == "HEARTBEAT":
                assert int(after["recv_ns"]) == edge


@pytest.mark.slow
def test_every_tick_sent_is_on_both_tapes_once_and_in_order(rig: Callable[..., Any], library: str, tape: Path) -> None:
    run = rig(library=library)
    gateway = run.gateway()
    bridge = run.bridge()
    run.wait_gauge("connected", value=True)
    run.wait_virtual(max(0.0, run_minutes(run)) + 5.1)
    said = run.stats()
    assert run.stop(bridge) == 0, bridge.stderr.read()
    assert run.stop(gateway) == 0
    sent = [tick(row) for row in run.ledger("TRADE")]
    market, raw = run.day("live_market_data.csv"), run.day("live_ticks.csv")
    taped = trades(market)
    assert len(taped) > 100
    assert trades(raw) == taped
    assert taped == sent, "also what was on its way when the bridge was stopped"
    assert len([row for row in raw if row["kind"] == "QUOTE"]) >= 0.9 * len(run.ledger("QUOTE"))
    assert_tape_in_order(market)
    assert_edge_before_later_rows(market)
    assert library in said["library"]
    assert said["phase"] == "RUNNING"
    assert (said["contract"], said["market_data_type"], said["rejected"], said["gaps"]) == ("MNQM6", 1, {}, 0)
    assert said["account"]["NetLiquidation"] == "100000.00"
    assert_history_and_bars_equal(run, source(tape))


def assert_history_and_bars_equal(run: Any, wanted: dict[str, Row]) -> None:
    """On a busy machine the bridge may connect after the start: history then reaches further, and bars begin later."""
    history = run.day("history.csv")
    stamps = sorted(wanted)
    assert [row["ts"] for row in history] == stamps[: len(history)]
    assert len(history) >= len([ts for ts in stamps if ts < "2026-04-15T12:00:00Z"])
    assert {row["contract"] for row in history} == {"MNQM6"}
    for row in history:
        assert {name: row[name] for name in wanted[row["ts"]]} == wanted[row["ts"]]
    bars = rebuilt(run.run_dir / "2026-04-15" / "live_market_data.csv")
    begun = stamps.index(iso_utc(bars[0].ts_ns))
    assert len(bars) >= 4
    assert [iso_utc(bar.ts_ns) for bar in bars] == stamps[begun : begun + len(bars)]
    assert begun - len(history) in {0, 1}, "nothing between history and tape but a minute in progress"
    for bar in bars:
        assert cells(bar) == wanted[iso_utc(bar.ts_ns)]
        assert not bar.degraded


@pytest.mark.slow
def test_killed_bridge_comes_back_with_a_named_hole_and_no_double(rig: Callable[..., Any], tape: Path) -> None:
    run = rig()
    run.gateway()
    first = run.bridge()
    run.wait_gauge("connected", value=True)
    run.wait_virtual(max(0.0, run_minutes(run)) + 2.3)
    first.kill()
    first.wait(5)
    before = run.day("live_market_data.csv")
    pid = run.stats()["pid"]
    second = run.bridge()
    run.wait("the second bridge", lambda: run.stats().get("pid") != pid and run.stats().get("connected") is True)
    run.wait_virtual(run_minutes(run) + 3.2)
    assert run.stop(second) == 0
    market, raw = run.day("live_market_data.csv"), run.day("live_ticks.csv")
    assert market[: len(before)] == before, "what was written stays"
    assert_tape_in_order(market)
    gaps = [row for row in market if row["kind"] == "GAP"]
    assert gaps[0]["source"] == "RESTART"
    assert int(gaps[0]["exch_ns"]) == int(before[-1]["recv_ns"])
    connects = [int(row["sent_ns"]) for row in run.ledger("CONNECT")]
    leaves = [int(row["sent_ns"]) for row in run.ledger("DISCONNECT")]
    sent = [row for row in run.ledger("TRADE") if not leaves[0] - MIN_NS // 60 <= int(row["sent_ns"]) <= connects[1]]
    taped = trades(market)
    assert trades(raw) == taped
    in_flight = len([row for row in run.ledger("TRADE") if int(row["sent_ns"]) <= connects[1]])
    first_run = len(trades(before))
    assert in_flight - first_run <= 60, "only what lay in the dead client's socket"
    assert taped[:first_run] == [tick(row) for row in run.ledger("TRADE")][:first_run]
    later = [tick(row) for row in sent if int(row["sent_ns"]) > connects[1]]
    assert taped[first_run:] == later[: len(taped) - first_run]
    wanted = source(tape)
    whole = [bar for bar in rebuilt(run.run_dir / "2026-04-15" / "live_market_data.csv") if not bar.degraded]
    assert len(whole) >= 4
    for bar in whole:
        assert cells(bar) == wanted[iso_utc(bar.ts_ns)]


@pytest.mark.slow
def test_gateway_that_dies_is_found_again(rig: Callable[..., Any]) -> None:
    run = rig(speed=20.0)
    gateway = run.gateway()
    bridge = run.bridge(PJ__IBKR__BACKOFF_MIN_S="0.1", PJ__IBKR__BACKOFF_MAX_S="0.3")
    run.wait_gauge("connected", value=True)
    run.wait_virtual(0.5)
    gateway.kill()
    gateway.wait(5)
    run.wait_gauge("connected", value=False)
    run.wait_gauge("phase", "RECOVERING")
    assert "127.0.0.1" in run.stats()["problem"]
    run.gateway()
    run.wait_gauge("connected", value=True)
    run.wait_gauge("reconnects", 1)
    ticks = run.stats()["ticks_taped"]
    run.wait("ticks after the reconnect", lambda: run.stats().get("ticks_taped", 0) > ticks)
    assert run.stop(bridge) == 0
    market = run.day("live_market_data.csv")
    assert_tape_in_order(market)
    gaps = [row for row in market if row["kind"] == "GAP"]
    assert {row["source"] for row in gaps} == {"DISCONNECT"}
    assert all(a["recv_ns"] == b["exch_ns"] for a, b in itertools.pairwise(gaps)), "the rows of one hole join up"
    said = [row["status"] for row in run.day("broker_events.csv") if row["kind"] == "STATUS"]
    assert said == ["connected", "disconnected", "connected", "disconnected"]
    taped = trades(market)
    assert trades(run.day("live_ticks.csv")) == taped
    assert taped == [tick(row) for row in run.ledger("TRADE")][: len(taped)]


def run_minutes(run: Any) -> float:
    """Return the minutes of run time since the start that the bridge last said."""
    return (int(run.stats()["run_ns"]) - int(run.env["PJ_CLOCK_ORIGIN_NS"])) / MIN_NS
