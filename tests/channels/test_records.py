"""Stats files, the control file, plain CSVs: written by one, read by many, torn by none."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from live.market import INSTRUMENTS, NS_PER_MIN, Bar, ClosedBy
from live.records import TRADE_COLUMNS
from pj.channels import formats
from pj.channels.appender import FormatMismatch
from pj.channels.control import ControlAnswer, ControlCommand, ControlFile, ControlReader
from pj.channels.csvlog import CsvLog, CsvParser, read_rows, write_rows
from pj.channels.formats import BadCell, PriceText
from pj.channels.jsonl import unsealed
from pj.channels.stats import StatsWriter, read_stats

MNQ = INSTRUMENTS["MNQ"]
PRICES = PriceText(MNQ)


def test_a_beat_advances_and_says_who_lives(tmp_path):
    writer = StatsWriter(tmp_path / "state" / "bridge.stats.json", "bridge", "abc")
    assert writer.due()
    writer.beat("CONNECTING", ticks=1)
    assert not writer.due()
    assert 0 < writer.due_in_s() <= 1
    writer.beat("RUNNING", ticks=2, lag={"p50": 0.5})
    stats = read_stats(writer.path)
    assert stats is not None
    assert (stats.process, stats.pid, stats.instance, stats.phase) == ("bridge", os.getpid(), "abc", "RUNNING")
    assert (stats.beat_seq, stats.gauge("ticks", 0), stats.gauge("lag", {})) == (2, 2, {"p50": 0.5})
    assert (stats.gauge("none", 7), stats.gauge("ticks", "text"), stats.gauge("ticks", 0.0)) == (7, "text", 2)
    assert stats.started_ns <= stats.beat_ns
    assert stats.age_s(stats.beat_ns + 2_000_000_000) == 2
    found = json.loads(writer.path.read_bytes())
    assert list(found)[:7] == ["process", "pid", "instance", "started_ns", "beat_seq", "beat_ns", "phase"]


def test_beats_come_once_a_second(tmp_path):
    writer = StatsWriter(tmp_path / "s.json", "x", "i", every_s=1000)
    assert [writer.beat_if_due("RUNNING") for _ in range(3)] == [True, False, False]


@pytest.mark.parametrize("gauges", [{"x": float("nan")}, {"x": object()}, {"pid": 3}])
def test_a_gauge_that_cannot_stand_there_is_refused(tmp_path, gauges):
    with pytest.raises(ValueError, match="gauge"):
        StatsWriter(tmp_path / "s.json", "x", "i").beat("RUNNING", **gauges)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b'{"process":"x","pid":"1"}', b"\xff"])
def test_a_stats_file_that_cannot_be_read_reads_as_none(tmp_path, content):
    assert read_stats(tmp_path / "none.json") is None
    (tmp_path / "s.json").write_bytes(content)
    assert read_stats(tmp_path / "s.json") is None


def test_a_reader_always_sees_a_whole_beat(tmp_path):
    path = tmp_path / "s.json"
    writer = StatsWriter(path, "x", "i")
    writer.beat("RUNNING", filler="y" * 5000)
    stop = threading.Event()

    def beat() -> None:
        while not stop.is_set():
            writer.beat("RUNNING", filler="y" * 5000)

    thread = threading.Thread(target=beat)
    thread.start()
    seen = [read_stats(path) for _ in range(300)]
    stop.set()
    thread.join()
    assert None not in seen
    seqs = [stats.beat_seq for stats in seen if stats is not None]
    assert seqs == sorted(seqs)


def test_a_command_is_read_once_and_its_answer_comes_back(tmp_path):
    file = ControlFile(tmp_path / "state" / "control.jsonl")
    reader = ControlReader(file.path)
    command_id = file.send("restart", ["bridge"], sender="cli", ts_ns=5)
    assert reader.poll() == [ControlCommand(command_id, 5, "restart", ("bridge",), "cli")]
    assert reader.poll() == []
    assert file.wait_answer(command_id, 0.0) is None
    file.answer(command_id, ok=True, text="bridge restarted", ts_ns=6)
    assert file.wait_answer(command_id, 1.0) == ControlAnswer(command_id, 6, ok=True, text="bridge restarted")
    assert unsealed(file.path.read_bytes().splitlines()[0]) == {
        "id": command_id, "ts_ns": 5, "verb": "restart", "args": ["bridge"], "from": "cli",
    }  # fmt: skip
    reader.close()


def test_a_reader_that_starts_at_the_end_obeys_no_old_command(tmp_path):
    file = ControlFile(tmp_path / "c.jsonl")
    file.send("stop", sender="cli", ts_ns=1)
    late, all_of_it = ControlReader(file.path), ControlReader(file.path, from_end=False)
    file.send("halt", sender="cli", ts_ns=2)
    assert [row.verb for row in late.commands()] == ["halt"]
    assert [row.verb for row in all_of_it.commands()] == ["stop", "halt"]
    assert len(file.rows()) == 2


def test_a_row_torn_by_a_dead_writer_spoils_no_other(tmp_path):
    file = ControlFile(tmp_path / "c.jsonl")
    reader = ControlReader(file.path, from_end=False)
    file.send("halt", sender="a", ts_ns=1)
    whole = file.path.read_bytes()
    for cut in range(1, len(whole)):
        file.path.write_bytes(whole + whole[:cut])
        file.send("stop", sender="b", ts_ns=2)
        again = ControlReader(file.path, from_end=False)
        assert [row.verb for row in again.commands()] == ["halt", "stop"] or cut == len(whole) - 1
        assert again.bad <= 1
    reader.close()


def test_many_writers_lose_nothing(tmp_path):
    path = tmp_path / "c.jsonl"
    code = """
        import pathlib, sys
        from pj.channels.control import ControlFile
        file = ControlFile(pathlib.Path(sys.argv[1]))
        for n in range(25):
            file.send("halt", [sys.argv[2], str(n)], sender=sys.argv[2], ts_ns=n)
    """
    command = [sys.executable, "-P", "-c", textwrap.dedent(code), str(path)]
    writers = [subprocess.Popen([*command, name]) for name in "abc"]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    rows = ControlReader(path, from_end=False).commands()
    for name in "abc":
        assert [row.args for row in rows if row.sender == name] == [(name, str(n)) for n in range(25)]
    assert len({row.id for row in rows}) == 75


BAR = Bar(
    ts_ns=29_833_334 * NS_PER_MIN,
    open_ticks=100_000,
    high_ticks=100_003,
    low_ticks=99_999,
    close_ticks=100_002,
    volume=12,
    contract="MNQZ6",
    seq=1,
    ticks=4,
    heartbeat=False,
    degraded=True,
    closed_by=ClosedBy.GRACE,
)


def test_bars_stand_as_documented_and_come_back(tmp_path):
    path = tmp_path / "bars.csv"
    with CsvLog(path, formats.BAR_COLUMNS) as log:
        log.append(formats.bar_row(BAR, PRICES), sync=True)
    assert path.read_text() == (
        "seq,ts,open,high,low,close,volume,ticks,heartbeat,degraded,closed_by,contract\n"
        f"1,{formats.iso_utc(BAR.ts_ns)},25000,25000.75,24999.75,25000.5,12,4,0,1,grace,MNQZ6\n"
    )
    assert [formats.parse_bar(row, PRICES) for row in read_rows(path, formats.BAR_COLUMNS)] == [BAR]


def test_history_is_replaced_whole_and_comes_back(tmp_path):
    path = tmp_path / "day" / "history.csv"
    for _ in range(2):
        write_rows(path, formats.HISTORY_COLUMNS, [formats.history_row(BAR, PRICES)])
    (bar,) = [formats.parse_bar(row, PRICES) for row in read_rows(path, formats.HISTORY_COLUMNS)]
    assert (bar.close_ticks, bar.closed_by, bar.seq) == (100_002, ClosedBy.HISTORY, 0)


@pytest.mark.parametrize(
    ("column", "text"),
    [("ts", "yesterday"), ("open", ""), ("high", "1.1"), ("volume", "-3"), ("closed_by", "me"), ("ticks", "x")],
)
def test_a_bad_cell_of_a_bar_is_named(column, text):
    row = {**formats.bar_row(BAR, PRICES), "seq": "1", column: text}
    with pytest.raises(BadCell):
        formats.parse_bar(row, PRICES)


def test_a_log_killed_at_any_byte_goes_on(tmp_path):
    path = tmp_path / "t.csv"
    with CsvLog(path, formats.BROKER_EVENT_COLUMNS) as log:
        assert log.append({"kind": "STATUS", "status": 'a,"b"'}, {"kind": "ORDER", "order_ref": "x\ny"}) == 2
    data = path.read_bytes()
    for cut in range(len(data)):
        path.write_bytes(data[:cut])
        with CsvLog(path, formats.BROKER_EVENT_COLUMNS) as log:
            log.append({"kind": "POSITION"})
        rows = read_rows(path, formats.BROKER_EVENT_COLUMNS)
        assert [row["seq"] for row in rows] == [str(n + 1) for n in range(len(rows))]
        assert rows[-1]["kind"] == "POSITION"
    path.write_bytes(data)
    rows = read_rows(path, formats.BROKER_EVENT_COLUMNS)
    assert (rows[0]["status"], rows[1]["order_ref"]) == ('a,"b"', "x\\ny")


def test_a_log_refuses_unknown_columns_and_foreign_files(tmp_path):
    with CsvLog(tmp_path / "t.csv", TRADE_COLUMNS) as log:
        assert log.append() == 0
        with pytest.raises(ValueError, match="has no column 'profit'"):
            log.append({"profit": "1"})
    with pytest.raises(FormatMismatch):
        CsvLog(tmp_path / "t.csv", formats.BAR_COLUMNS)
    with pytest.raises(FormatMismatch):
        read_rows(tmp_path / "t.csv", formats.BAR_COLUMNS)
    assert read_rows(tmp_path / "none.csv", TRADE_COLUMNS) == []


def test_rows_of_another_width_are_refused_and_the_rest_read():
    bad: list[tuple[str, str]] = []
    parser = CsvParser(("a", "b"), on_bad=lambda text, why: bad.append((text, why)))
    assert parser.feed(b'a,b\n1\n2,3\n"x\n4,5,6\n') == [{"a": "2", "b": "3"}]
    assert (parser.bad, [text for text, _why in bad]) == (3, ["1", '"x', "4,5,6"])


@given(st.integers(-(10**7), 10**7))
def test_prices_come_back_exactly(ticks):
    for instrument in INSTRUMENTS.values():
        prices = PriceText(instrument)
        assert prices.ticks(prices.text(ticks)) == ticks
        assert prices.text(ticks) == instrument.to_points(ticks)


@given(st.lists(st.text(), min_size=2, max_size=5))
def test_any_cells_stay_on_one_line_and_in_their_columns(cells):
    text = formats.line(cells)
    assert text.count("\n") == 1
    assert len(formats.split_row(text[:-1])) == len(cells)


def test_times_come_back():
    assert formats.parse_iso_utc(formats.iso_utc(BAR.ts_ns)) == BAR.ts_ns
    odd = ["2026-W15-3T10:00:00Z", "2026-04-15 10:00:00Z", "2026-04-15T10:00:00+00:00", "2026-04-15T10:00:61Z", ""]
    for text in ["2026-04-13", "2026-4-5T1:2:3Z", "2026-04-15T10:00:00", "٢026-04-15T10:00:00Z", *odd]:
        with pytest.raises(BadCell, match="YYYY"):
            formats.parse_iso_utc(text)


def test_a_new_phase_is_told_at_once(tmp_path):
    writer = StatsWriter(tmp_path / "x.stats.json", "x", "token")
    assert writer.beat_if_due("STARTING")
    assert not writer.beat_if_due("STARTING")
    assert writer.beat_if_due("RUNNING")
    assert not writer.beat_if_due("RUNNING")
    stats = read_stats(tmp_path / "x.stats.json")
    assert stats is not None
    assert (stats.phase, stats.beat_seq) == ("RUNNING", 2)
