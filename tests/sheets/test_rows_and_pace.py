"""Rows, cursors, marks and pacing: the pure parts."""

from __future__ import annotations

import json
import random
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from live.market import INSTRUMENTS
from pj.sheets import watermarks
from pj.sheets.client import CredentialsUnusable, check_credentials
from pj.sheets.pace import WINDOW_NS, BackOff, Window
from pj.sheets.rows import LOG_COLUMNS, cell_text, column_letters, crc_holds, crc_of, iso_ns, number, tabs_for
from pj.sheets.streams import Cursor, RowStream, SourceDamaged
from pj.sheets.watermarks import Marks, Watermarks
from pj.simulators import sheets_ranges

DAY = date(2026, 4, 15)
MNQ = INSTRUMENTS["MNQ"]


@given(st.decimals(-(10**9), 10**9, places=2, allow_nan=False))
def test_a_number_shows_the_same_value_after_json(value: Any) -> None:
    text = f"{value:f}"
    back = json.loads(json.dumps(number(text)))
    assert float(cell_text(back)) == float(text)
    assert crc_of([number(text)]) == crc_of([back])


@pytest.mark.parametrize(
    ("text", "cell"),
    [("", "-"), ("25000.25", 25000.25), ("25000", 25000), ("1776254400123456789", "1776254400123456789"),
     ("-0.5", -0.5), ("1e5", "1e5"), ("nan", "nan"), ("MNQM6", "MNQM6"), ("1.2.3", "1.2.3"), ("٣", "٣")],
)  # fmt: skip
def test_only_short_plain_decimals_become_numbers(text: str, cell: object) -> None:
    assert number(text) == cell
    assert type(number(text)) is type(cell)


def test_stamps_keep_every_nanosecond_and_rows_every_bit() -> None:
    assert iso_ns(1_776_254_400_000_000_007) == "2026-04-15T12:00:00.000000007Z"
    assert crc_holds(["a", 1.0, crc_of(["a", 1])])
    assert not crc_holds(["a", 2, crc_of(["a", 1])])
    assert crc_of(["a", "b"]) != crc_of(["ab", ""])
    assert not crc_holds([])


@given(st.integers(1, 18_278))
def test_column_letters_agree_with_the_simulator(count: int) -> None:
    assert sheets_ranges.column_index(column_letters(count)) == count - 1
    assert sheets_ranges.column_letters(count - 1) == column_letters(count)


def stream(feed: Any, title: str = "RawTicks") -> tuple[RowStream, list[str]]:
    bad: list[str] = []
    tab = next(tab for tab in tabs_for(INSTRUMENTS["MNQ"]) if tab.title == title)
    return RowStream(feed.run_dir, tab, lambda _day, _line, why: bad.append(why)), bad


def test_rows_come_out_the_same_however_they_are_cut(feed: Any) -> None:
    feed.trades(300)
    feed.turn(date(2026, 4, 16))
    feed.trades(100)
    rows, _ = stream(feed)
    whole = rows.gather(Cursor())
    assert whole is not None
    assert len(whole.rows) == 400
    dice, at, pieces = random.Random(3), Cursor(), []
    cuts = [at]
    while (chunk := rows.gather(at, max_rows=dice.randrange(1, 40))) is not None:
        pieces.extend(chunk.rows)
        at = chunk.after
        cuts.append(at)
    assert tuple(pieces) == whole.rows
    for first, last in zip(cuts, cuts[5:], strict=False):
        assert rows.exactly(first, last) == whole.rows[first.row : last.row]
    counted = Cursor()
    while (further := rows.count_on(counted)) != counted:
        counted = further
    assert counted.row == 400
    assert rows.read(at) is None


def test_a_torn_line_waits_and_a_cut_file_is_refused(feed: Any) -> None:
    feed.trades(3, quotes=False)
    rows, _ = stream(feed)
    path = feed.run_dir.day(DAY).market
    feed.turn(DAY)
    whole = path.read_bytes()
    path.write_bytes(whole + b"99,1,TRADE,1")
    chunk = rows.gather(Cursor())
    assert chunk is not None
    assert len(chunk.rows) == 3
    assert rows.gather(chunk.after) is None
    path.write_bytes(whole[:40])
    with pytest.raises(SourceDamaged, match="shrank"):
        rows.gather(chunk.after)
    path.write_bytes(b"other,header\n")
    with pytest.raises(SourceDamaged, match="begins with"):
        rows.gather(Cursor())


def test_rehearsed_history_of_other_days_is_no_trade_of_this_day(feed: Any) -> None:
    for day, mode in (("2026-04-14", "REHEARSED"), ("2026-04-15", "REHEARSED"), ("2026-04-14", "LIVE")):
        feed.event("TRADE", trade_id="1", trade_date=day, mode=mode)
    feed.event("SIGNAL", pool="", ts=1_776_254_400 - 86_400, mode="REHEARSED")
    feed.event("DEFINED", pool="x")
    rows, bad = stream(feed, "TradeLog")
    chunk = rows.gather(Cursor())
    assert chunk is not None
    assert [row[1] for row in chunk.rows] == [2, 3]
    assert bad == []


def test_the_money_columns_of_the_trade_log_add_up_with_corrections(feed: Any) -> None:
    feed.event("TRADE", trade_id="1", trade_date=DAY.isoformat(), mode="LIVE", gross_usd="-80.00", cost_usd="4.96",
               net_usd="-84.96", exit_price="24558.50", pool_id="739721:ORL")  # fmt: skip
    late = {"trade_id": 1, "pool_id": "739721:ORL", "qty": 4, "old_exit": "24558.50", "new_exit": "24560.00",
            "net_usd": "12.00", "counts": True, "at_ns": 5}  # fmt: skip
    feed.event("TRADE_CORRECTED", **late, mode="LIVE")
    feed.event("TRADE_CORRECTED", **late | {"net_usd": "-0.50", "counts": False}, mode="MISSED")
    entered = {"trade_id": 1, "pool_id": "739721:ORL", "qty": 2, "old_entry": "24560.00", "new_entry": "24561.25",
               "net_usd": "-5.00", "counts": True, "at_ns": 6}  # fmt: skip
    feed.event("TRADE_CORRECTED", **entered, mode="LIVE")
    feed.event("ANCHOR", bars=0)
    stream_, bad = stream(feed, "TradeLog")
    chunk = stream_.gather(Cursor())
    assert chunk is not None and bad == []
    log = [dict(zip(LOG_COLUMNS, row, strict=True)) for row in chunk.rows]
    assert [row["event"] for row in log] == ["TRADE", *["TRADE_CORRECTED"] * 3, "ANCHOR"]
    assert [row["seq"] for row in log] == [1, 2, 3, 4, 5], "row i is line i of the same file, whoever copies it"
    assert all(crc_holds(row) and len(row) == len(LOG_COLUMNS) and "" not in row for row in chunk.rows)
    for column, wanted in (("gross_usd", -73.5), ("cost_usd", 4.96), ("net_usd", -78.46)):
        found = [row[column] for row in log if row[column] != "-"]
        assert sum(float(cell) for cell in found) == pytest.approx(wanted)
    corrected = log[1]
    assert (corrected["trade_id"], corrected["pool_id"], corrected["qty"]) == (1, "739721:ORL", 4)
    assert (corrected["exit_price"], corrected["time"][-1]) == (24560, "Z")
    assert (log[3]["entry_price"], log[3]["exit_price"]) == (24561.25, "-")
    assert json.loads(str(corrected["detail"]))["old_exit"] == "24558.50"
    data = feed.run_dir.day(DAY).journal.read_bytes()
    counts = {tab.title: tab.count(data, True) for tab in tabs_for(MNQ)}
    assert counts["TradeLog"] == len(chunk.rows)


def test_marks_survive_and_damaged_ones_are_no_marks(tmp_path: Path) -> None:
    path = tmp_path / "sheets.json"
    marks = Watermarks("K", {"T": Marks(3, Cursor(DAY, 90, 9), Cursor(DAY, 80, 8), Cursor(None, 0, 0))}, [1, 2])
    watermarks.save(path, marks)
    assert watermarks.load(path, "K", ["T"]) == marks
    assert watermarks.load(path, "OTHER", ["T"]) is None
    assert watermarks.load(path, "K", ["T", "U"]) is None
    text = path.read_text()
    for broken in (text[:-5], text.replace('"row":8', '"row":99'), "[]", text.replace('"version":1', '"version":2')):
        path.write_text(broken)
        assert watermarks.load(path, "K", ["T"]) is None
    path.unlink()
    assert watermarks.load(path, "K", ["T"]) is None


@given(st.lists(st.integers(0, 3_000_000_000), min_size=200, max_size=200))
def test_the_window_never_lets_more_than_its_limit_through(gaps: list[int]) -> None:
    window, now_ns, made = Window(55), 0, []
    for gap in gaps:
        now_ns += gap
        now_ns += window.wait_ns(now_ns)
        window.take(now_ns)
        made.append(now_ns)
    for index, stamp in enumerate(made[55:]):
        assert stamp - made[index] > WINDOW_NS


def test_a_call_of_exactly_sixty_seconds_ago_still_counts() -> None:
    window = Window(1, [0])
    assert window.wait_ns(WINDOW_NS) == 1
    assert window.used(WINDOW_NS) == 1
    assert window.wait_ns(WINDOW_NS + 1) == 0


def test_the_window_remembers_forgets_and_takes_no_stamp_of_the_future() -> None:
    window = Window(2, [10, 20, 30])
    assert window.stamps() == [20, 30]
    assert window.wait_ns(40) == 20 + WINDOW_NS - 40 + 1
    assert Window(1, [10**18]).wait_ns(5) == WINDOW_NS + 1
    window.fill(100)
    assert window.used(100) == 2


def test_the_back_off_doubles_to_its_limit_and_waits_a_window_after_429() -> None:
    back_off = BackOff(random.Random(1))
    waits = [back_off.failed(0) for _ in range(12)]
    assert all(0.25 <= waits[0] <= 0.5 for _ in waits)
    assert 16 <= waits[-1] <= 32
    assert back_off.waiting(int(1e9), 0)
    assert not back_off.waiting(int(40e9), 0)
    back_off.throttled(0)
    assert back_off.waiting(int(40e9), WINDOW_NS - 1)
    assert not back_off.waiting(int(40e9), WINDOW_NS + 4_000_000_000)
    back_off.succeeded()
    assert back_off.failed(0) <= 0.5


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "is missing"),
        ("{", "is not JSON"),
        ("[]", "must be service_account"),
        ('{"type":"authorized_user"}', "must be service_account"),
        ('{"type":"service_account","client_email":"a@b"}', "has no 'private_key'"),
    ],
)
def test_unusable_credentials_are_named_without_their_content(tmp_path: Path, content: str | None, words: str) -> None:
    path = tmp_path / "key.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(CredentialsUnusable, match=r"key\.json") as refused:
        check_credentials(path)
    assert words in str(refused.value)
