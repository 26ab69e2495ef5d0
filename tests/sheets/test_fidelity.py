"""The audit finds what is missing, doubled, altered or out of order, and claims nothing it cannot know."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pj.sheets.fidelity import audit, compare, read_sheet, stored_rows
from pj.simulators.sheets_store import BookStore, grids_of

A, B, C = ("1", "1", 1), ("2", "1", 1), ("3", "1", 2)


def test_compare_counts_missing_doubled_and_order() -> None:
    assert compare([A, B, A, C], [A, B, A, C]).equal
    assert compare([A, B, C], [A, C]).missing == 1
    assert compare([A, B], [A, B, B]).doubled == 1
    swapped = compare([A, B, C], [B, A, C])
    assert (swapped.missing, swapped.doubled, swapped.in_order, swapped.equal) == (0, 0, False, False)


def write_ledger(feed: Any, rows: list[tuple[str, ...]]) -> None:
    lines = ["seq,sent_ns,kind,price,size,bid,ask,exch_ns,contract,client_id,req_id"]
    lines += [f"{n},0,{kind},{price},{size},,,{exch},C,1,1" for n, (kind, price, size, exch) in enumerate(rows, 1)]
    (feed.run_dir.simulators / "gateway_ledger.csv").write_text("\n".join(lines) + "\n")


def test_a_whole_run_is_equal_and_each_damage_is_named(sim: Any, feed: Any, copy: Callable[..., Any]) -> None:
    feed.trades(200)
    feed.bar(4)
    copying = copy()
    copying.wait(lambda: copying.scribe.gauges()["verified"] == 204)
    day = feed.run_dir.day(feed.day)
    rows = [line.split(",") for line in day.market.read_text().splitlines()[1:]]
    day.ticks.write_text(day.market.read_text())
    trades = [("TRADE", row[3], row[4], row[7]) for row in rows if row[2] == "TRADE"]
    write_ledger(feed, [("CONNECT", "", "", ""), *trades])
    sheet = read_sheet(copying.scribe.api, feed.run_dir)
    whole = audit(feed.run_dir, sheet)
    assert whole.equal, whole
    assert (whole.sent, whole.taped_raw, whole.taped, whole.sheet, whole.loss_pct) == (200, 200, 200, 200, 0.0)
    assert whole.tabs["OneMinuteData"].want == 4
    keeper = BookStore(feed.run_dir.simulators)
    keeper.write(keeper.snapshot(sim.service.book), grids_of(sim.service.book))
    assert audit(feed.run_dir, stored_rows(feed.run_dir)) == whole
    ticks = sheet["RawTicks"]
    lost = audit(feed.run_dir, {**sheet, "RawTicks": ticks[:50] + ticks[51:]})
    assert (lost.missing, lost.equal, lost.loss_pct) == (1, False, 0.5)
    assert audit(feed.run_dir, {**sheet, "RawTicks": [*ticks, ticks[7]]}).doubled == 1
    altered = [list(row) for row in ticks]
    altered[3][4] = 99
    assert audit(feed.run_dir, {**sheet, "RawTicks": altered}).sheet_wrong == 1
    assert not audit(feed.run_dir, {**sheet, "RawTicks": ticks[::-1]}).equal
    write_ledger(feed, [*trades, ("TRADE", "1", "1", "1")])
    assert audit(feed.run_dir, sheet).missing == 1


def test_without_ledger_and_sheet_nothing_is_claimed(feed: Any) -> None:
    feed.trades(5)
    found = audit(feed.run_dir)
    assert (found.sent, found.sheet, found.sent_to_tape, found.tape_to_sheet) == (None, None, None, None)
    assert found.taped == 5
    assert not found.equal  # live_ticks.csv is missing: five ticks of the channel have no raw record
