"""The Scribe against a faulty Sheets over real HTTP: nothing lost, nothing doubled, in order."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest

from live.records import TRADE_COLUMNS
from pj.sheets.opening import SheetUnusable
from pj.sheets.rows import LOG_COLUMNS, MINUTE_COLUMNS, RAW_COLUMNS, crc_holds


def test_ticks_bars_and_trades_stand_in_the_sheet_as_in_the_files(
    sim: Any, feed: Any, copy: Callable[..., Any]
) -> None:
    feed.trades(300)
    feed.bar(3)
    feed.event("START", mode="LIVE")
    feed.event("SIGNAL", ts=1_776_254_400, event="SIGNAL", pool="739252:PDL", level=100_000, extreme=99_990,
               entry=100_004, stop=99_980, target=100_050, qty=2, mode="LIVE")  # fmt: skip
    feed.event("INTENT", key="k1", qty=2, side=1, entry_ref=100_004)
    feed.event("EXECUTION", exec_id="x1", qty=2, side=-1, price=100_050)
    feed.event(
        "TRADE", **dict.fromkeys(TRADE_COLUMNS, "") | {"trade_id": "1", "net_usd": "-12.30", "exit_reason": "STOP"}
    )
    copying = copy()
    copying.wait(lambda: copying.scribe.gauges()["verified"] == 300 + 3 + 4)
    feed.trades(200)
    copying.stop()
    assert sim.ticks() == feed.ticks
    for title, columns in (("RawTicks", RAW_COLUMNS), ("OneMinuteData", MINUTE_COLUMNS), ("TradeLog", LOG_COLUMNS)):
        rows = sim.tab(title)
        assert rows[0] == list(columns)
        assert all(len(row) == len(columns) and None not in row and crc_holds(row) for row in rows[1:])
    log = [dict(zip(LOG_COLUMNS, row, strict=True)) for row in sim.tab("TradeLog")[1:]]
    assert [row["event"] for row in log] == ["SIGNAL", "INTENT", "EXECUTION", "TRADE"]
    assert (log[0]["side"], log[0]["kind"], log[0]["stop"], log[0]["qty"]) == ("LONG", "PD", 24995, 2)
    assert (log[1]["side"], log[1]["entry_ref"], log[2]["side"]) == ("LONG", 25001, "SELL")
    assert (log[3]["trade_id"], log[3]["net_usd"], log[3]["exit_reason"], log[3]["pool_id"]) == (1, -12.3, "STOP", "-")
    gauges = copying.scribe.gauges()
    assert gauges["produced"] == gauges["sent"] == gauges["acked"] == gauges["verified"] == 507
    assert (gauges["loss_pct"], gauges["lost"], gauges["extra"], gauges["lag_rows"]) == (0.0, 0, 0, 0)
    assert sim.service.writes.refused == 0


@pytest.mark.parametrize(
    "kind", ["429", "503_not_applied", "503_applied", "drop_after_apply", "slow:1.5", "html500", "401"]
)
def test_each_fault_loses_and_doubles_nothing(kind: str, sim: Any, feed: Any, copy: Callable[..., Any]) -> None:
    print("seed", feed.seed)
    sim.fault(kind, on="any", probability=0.1 if kind != "slow:1.5" else 0.05, seed=feed.seed)
    copying = copy()
    for round_ in range(20):
        feed.trades(20)
        feed.bar()
        acked = (round_ + 1) * 21
        copying.wait(lambda acked=acked: copying.scribe.gauges()["acked"] >= acked)
    copying.stop()
    assert sim.ticks() == feed.ticks
    assert len(sim.tab("OneMinuteData")) == 21
    assert sim.service.writes.refused == 0
    assert sum(sim.service.faults.struck.values()) > 0
    assert copying.scribe.gauges()["verified"] == 20 * 21


def test_all_faults_at_once_over_a_stop_and_a_start(sim: Any, feed: Any, copy: Callable[..., Any]) -> None:
    for number, kind in enumerate(["429", "503_not_applied", "503_applied", "drop_after_apply", "html500", "401"]):
        sim.fault(kind, on="any", probability=0.02, seed=number)
    for _ in range(6):
        feed.trades(500)
        copying = copy()
        copying.wait(lambda copying=copying: copying.scribe.gauges()["acked"] > 0)
        feed.trades(100)
        copying.abandon()
    copying = copy()
    copying.stop(20)
    assert sim.ticks() == feed.ticks


def test_an_outage_keeps_nothing_in_memory_and_says_how_far_it_lags(
    sim: Any, feed: Any, copy: Callable[..., Any]
) -> None:
    feed.trades(50)
    copying = copy()
    copying.wait(lambda: copying.scribe.gauges()["acked"] == 50)
    sim.fault("503_not_applied", on="any")
    for _ in range(5):
        feed.trades(5_000, quotes=False)
    copying.wait(lambda: copying.scribe.gauges()["lag_rows"] == 25_000)
    gauges = copying.scribe.gauges()
    assert "503" in gauges["last_error"]
    assert gauges["sent"] <= 50 + 10_000
    sim.fault("none")
    copying.wait(lambda: copying.scribe.gauges()["verified"] == 25_050, 60)
    copying.stop()
    assert sim.ticks() == feed.ticks


def test_lost_marks_are_found_again_by_reading_the_sheet(sim: Any, feed: Any, copy: Callable[..., Any]) -> None:
    feed.trades(6_000, quotes=False)
    feed.bar(5)
    copy().stop(20)
    marks = feed.run_dir.state_folder / "sheets.json"
    before = json.loads(marks.read_text())
    writes = sim.service.counts["write"]
    marks.write_text("{ torn")
    copying = copy()
    copying.wait(lambda: copying.scribe.opened)
    copying.stop()
    after = json.loads(marks.read_text())
    assert {t: v["acked"]["row"] for t, v in after["tabs"].items()} == {
        t: v["acked"]["row"] for t, v in before["tabs"].items()
    }
    assert sim.service.counts["write"] == writes
    feed.trades(100)
    copy().stop(20)
    assert sim.ticks() == feed.ticks


def test_rows_of_another_run_stay_above_ours(sim: Any, feed: Any, copy: Callable[..., Any], tmp_path: Any) -> None:
    feed.trades(40)
    copy().stop()
    first = list(feed.ticks)
    feed.turn(feed.day)
    for path in (feed.run_dir.day(feed.day).market, feed.run_dir.state_folder / "sheets.json"):
        path.unlink()
    feed.ticks.clear()
    feed.trades(60)
    copy().stop()
    assert sim.ticks() == first + feed.ticks


def test_a_foreign_row_among_ours_without_marks_is_refused(sim: Any, feed: Any, copy: Callable[..., Any]) -> None:
    feed.trades(40)
    copy().stop()
    rows = sim.service.book.by_title("RawTicks").rows
    rows[20], rows[21] = rows[21], rows[20]
    (feed.run_dir.state_folder / "sheets.json").unlink()
    with pytest.raises(SheetUnusable, match="rename that tab"):
        copy().stop()


def test_altered_and_cleared_rows_are_found_and_written_again(sim: Any, feed: Any, copy: Callable[..., Any]) -> None:
    feed.trades(100)
    copying = copy(writes_per_min=55)
    copying.wait(lambda: copying.scribe.gauges()["verified"] == 100)
    sim.fault("503_not_applied", on="read")
    feed.trades(50)
    copying.wait(lambda: copying.scribe.gauges()["acked"] == 150)
    rows = sim.service.book.by_title("RawTicks").rows
    rows[120] = [*rows[120][:3], 1, *rows[120][4:]]
    rows[130] = []
    sim.fault("none")
    copying.wait(lambda: copying.scribe.gauges()["verified"] == 150)
    assert copying.scribe.gauges()["repaired"] == 2
    assert copying.scribe.gauges()["loss_pct"] == 0.0
    copying.stop()
    assert sim.ticks() == feed.ticks


def test_a_deleted_tab_and_a_shrunk_grid_are_made_good(sim: Any, feed: Any, copy: Callable[..., Any]) -> None:
    feed.trades(100)
    copying = copy()
    copying.wait(lambda: copying.scribe.gauges()["verified"] == 100)
    book = sim.service.book
    with sim.service.lock:
        book.sheets.remove(book.by_title("RawTicks"))
    feed.trades(20)
    copying.wait(lambda: sim.ticks() == feed.ticks)
    with sim.service.lock:
        book.by_title("RawTicks").row_count = len(book.by_title("RawTicks").rows)
    feed.trades(20)
    copying.wait(lambda: sim.ticks() == feed.ticks)
    copying.stop()


def test_the_grid_grows_in_big_steps_and_a_full_workbook_is_said(
    make_sim: Callable[..., Any], feed: Any, copy: Callable[..., Any], sim: Any
) -> None:
    sim.service.book.cell_limit = 26_000 + 20_000 * 8 + 2_000 * len(MINUTE_COLUMNS) + 500 * len(LOG_COLUMNS) + 10
    feed.trades(25_000, quotes=False)
    feed.bar(2)
    copying = copy()
    copying.wait(lambda: copying.scribe.gauges()["full"] == ["RawTicks"])
    copying.wait(lambda: copying.scribe.gauges()["rows"]["OneMinuteData"] == 2)
    gauges = copying.scribe.gauges()
    assert gauges["lag_rows"] == 25_000 - gauges["rows"]["RawTicks"]
    copying.stop()
    sim.service.book.cell_limit = 10_000_000
    copying = copy()
    copying.wait(lambda: copying.scribe.gauges()["verified"] == 25_002, 40)
    copying.stop()
    assert sim.ticks() == feed.ticks
    assert sim.service.book.by_title("RawTicks").row_count == 40_000


def test_the_day_turns_within_the_same_tabs(sim: Any, feed: Any, copy: Callable[..., Any]) -> None:
    copying = copy()
    feed.trades(50)
    feed.bar()
    copying.wait(lambda: copying.scribe.gauges()["acked"] == 51)
    feed.turn(date(2026, 4, 16))
    feed.trades(50)
    feed.bar()
    copying.wait(lambda: copying.scribe.gauges()["acked"] == 102)
    copying.stop()
    assert sim.ticks() == feed.ticks
    assert [row[0] for row in sim.tab("OneMinuteData")[1:]] == ["2026-04-15", "2026-04-16"]


def test_a_bad_row_is_counted_and_the_stream_goes_on(sim: Any, feed: Any, copy: Callable[..., Any]) -> None:
    feed.trades(10)
    feed.turn(feed.day)
    with feed.run_dir.day(feed.day).market.open("a") as out:
        out.write("11,xx,TRADE,1,1,,,,,\n")
    copying = copy()
    copying.wait(lambda: copying.scribe.gauges()["acked"] == 10)
    copying.stop()
    assert copying.scribe.gauges()["bad_rows"] >= 1
    assert copying.scribe.gauges()["produced"] == 10


def test_a_tab_with_other_columns_is_refused(sim: Any, feed: Any, copy: Callable[..., Any]) -> None:
    feed.trades(10)
    sim.service.book.sheets[0].title = "TradeLog"
    sim.service.book.update([("TradeLog!A1", [["my", "own", "list"]])])
    with pytest.raises(SheetUnusable, match="other columns"):
        copy().stop()
    assert sim.tab("TradeLog") == [["my", "own", "list"]]
