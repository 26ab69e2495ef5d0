"""The tape: what the writer promises, what the parser refuses, torn and restarted at every byte."""

from __future__ import annotations

import itertools
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from live.market import INSTRUMENTS, NS_PER_MIN, NS_PER_S, Tick, TickKind
from pj.channels.appender import FormatMismatch
from pj.channels.daytape import DayTape, next_turn
from pj.channels.files import Locked, WriteFailed
from pj.channels.formats import RAW_TAPE_COLUMNS, TAPE_COLUMNS, split_row
from pj.channels.rundir import RunDir
from pj.channels.tape import BadRow, TapeDamaged, TapeParser, TapeWriter, last_stamp, open_tape

MNQ = INSTRUMENTS["MNQ"]
T0 = 29_833_334 * NS_PER_MIN
HEADER = "seq,recv_ns,kind,price,size,bid,ask,exch_ns,source,contract\n"


def parse(path, **more) -> tuple[list[Tick], list[BadRow]]:
    bad: list[BadRow] = []
    data = path.read_bytes()
    ticks = TapeParser(MNQ, on_bad=bad.append, **more).feed(data[: data.rfind(b"\n") + 1])
    return ticks, bad


def test_the_columns_are_the_documented_ones():
    assert ",".join(TAPE_COLUMNS) + "\n" == HEADER
    assert ",".join(RAW_TAPE_COLUMNS) + "\n" == HEADER[:-1] + ",msg_id,raw\n"


def test_rows_stand_as_documented(tmp_path):
    writer = TapeWriter(tmp_path / "t.csv", MNQ)
    writer.add(T0 + 5, TickKind.TRADE, "25000.25", 2, exch_ns=T0, source="TBT", contract="MNQZ6")
    writer.add_tick(Tick(0, T0 + 6, TickKind.QUOTE, None, 3, 100_000, 100_001, None, "MKT", "MNQZ6"))
    writer.heartbeat(T0 + 7)
    writer.gap(T0 + 7, T0 + 9, "FEED")
    assert (writer.flush(), writer.flush()) == (4, 0)
    writer.close()
    assert (tmp_path / "t.csv").read_text() == HEADER + (
        f"1,{T0 + 5},TRADE,25000.25,2,,,{T0},TBT,MNQZ6\n"
        f"2,{T0 + 6},QUOTE,,3,25000,25000.25,,MKT,MNQZ6\n"
        f"3,{T0 + 7},HEARTBEAT,25000.25,0,25000,25000.25,,,MNQZ6\n"
        f"4,{T0 + 9},GAP,,,,,{T0 + 7},FEED,\n"
    )


def test_the_raw_tape_keeps_the_message_whatever_it_holds(tmp_path):
    path = tmp_path / "t.csv"
    raws = ["99|1|25000.25", 'a,b "c"', "line\nbreak\0", ""]
    with_raw = TapeWriter(path, MNQ, raw=True)
    for raw in raws:
        with_raw.add(T0, TickKind.STATUS, msg_id=45, raw=raw)
    with_raw.close()
    ticks, bad = parse(path, raw=True)
    assert ([tick.seq for tick in ticks], bad) == ([1, 2, 3, 4], [])
    cells = [split_row(line) for line in path.read_text().splitlines()[1:]]
    assert [row[11] for row in cells] == ["99|1|25000.25", 'a,b "c"', "line\\nbreak\\0", ""]


def test_stamps_never_go_backwards(tmp_path):
    writer = TapeWriter(tmp_path / "t.csv", MNQ)
    for stamp in (T0 + 5, T0 + 3, T0 + 6):
        writer.add(stamp, TickKind.STATUS)
    writer.close()
    assert writer.clamped == 1
    assert [tick.recv_ns - T0 for tick in parse(tmp_path / "t.csv")[0]] == [5, 5, 6]


def test_edges_stand_exactly_before_what_comes_past_them(tmp_path):
    writer = TapeWriter(tmp_path / "t.csv", MNQ)
    assert writer.cross_edges(T0 + 1) == 0
    writer.add(T0 + 1, TickKind.TRADE, "25000", 1)
    assert writer.cross_edges(T0 + NS_PER_MIN - 1) == 0
    assert writer.cross_edges(T0 + 2 * NS_PER_MIN) == 2
    assert writer.cross_edges(T0 + 2 * NS_PER_MIN) == 0
    writer.close()
    ticks, _bad = parse(tmp_path / "t.csv")
    assert [(tick.recv_ns - T0, tick.kind.value) for tick in ticks] == [
        (1, "TRADE"),
        (NS_PER_MIN, "HEARTBEAT"),
        (2 * NS_PER_MIN, "HEARTBEAT"),
    ]


def test_a_first_row_on_the_edge_is_an_edge_row(tmp_path):
    writer = TapeWriter(tmp_path / "t.csv", MNQ)
    assert writer.cross_edges(T0) == 1
    writer.close()


def test_a_jump_of_days_writes_a_day_of_edges_at_most(tmp_path):
    writer = TapeWriter(tmp_path / "t.csv", MNQ)
    writer.add(T0, TickKind.STATUS)
    assert writer.cross_edges(T0 + 10 * 1440 * NS_PER_MIN) == 1440
    writer.close()


def test_an_open_hole_is_named_before_every_edge_and_at_its_end(tmp_path):
    writer = TapeWriter(tmp_path / "t.csv", MNQ)
    writer.add(T0 + 1, TickKind.TRADE, "25000", 1)
    writer.open_hole(T0 + 1, "DISCONNECT")
    writer.heartbeat(T0 + 50)
    writer.cross_edges(T0 + NS_PER_MIN + 7)
    writer.close_hole(T0 + NS_PER_MIN + 9)
    writer.close_hole(T0 + NS_PER_MIN + 10)
    writer.close()
    ticks, _bad = parse(tmp_path / "t.csv")
    spans = [(tick.exch_ns - T0, tick.recv_ns - T0) for tick in ticks if tick.kind is TickKind.GAP]
    assert spans == [(1, NS_PER_MIN), (NS_PER_MIN, NS_PER_MIN + 9)]
    assert ticks[3].kind is TickKind.HEARTBEAT


@pytest.mark.parametrize("raw", [False, True])
def test_a_writer_killed_at_any_byte_goes_on_without_a_torn_or_missing_number(tmp_path, raw):
    source = TapeWriter(tmp_path / "source.csv", MNQ, raw=raw)
    for index in range(3):
        source.add(T0 + index, TickKind.TRADE, "25000.5", index, contract="MNQZ6", msg_id=99, raw="9|9")
    source.close()
    data = (tmp_path / "source.csv").read_bytes()
    path = tmp_path / "t.csv"
    for cut in range(len(data) + 1):
        path.write_bytes(data[:cut])
        whole = max(0, data[:cut].count(b"\n") - 1)
        writer = open_tape(path, MNQ, T0 + 100, raw=raw)
        assert writer.torn == data[:cut].rsplit(b"\n", 1)[-1]
        writer.add(T0 + 101, TickKind.TRADE, "1", 1)
        writer.close()
        ticks, bad = parse(path, raw=raw)
        gaps = [tick for tick in ticks if tick.kind is TickKind.GAP]
        assert bad == []
        assert [tick.seq for tick in ticks] == list(range(1, whole + 2 + bool(whole)))
        assert [(gap.exch_ns, gap.recv_ns, gap.source) for gap in gaps] == (
            [(T0 + whole - 1, T0 + 100, "RESTART")] if whole else []
        )


def test_a_restarted_writer_repeats_the_last_price_in_its_heartbeats(tmp_path):
    path = tmp_path / "t.csv"
    first = TapeWriter(path, MNQ)
    first.add(T0, TickKind.TRADE, "25000.5", 1, contract="MNQZ6")
    first.add(T0, TickKind.QUOTE, "", 1, "25000.25", "25000.75", contract="MNQZ6")
    first.close()
    second = open_tape(path, MNQ, T0 + 9)
    second.heartbeat(T0 + 10)
    second.close()
    assert path.read_text().splitlines()[-1] == f"4,{T0 + 10},HEARTBEAT,25000.5,0,25000.25,25000.75,,,MNQZ6"


def test_an_unreadable_last_line_still_counts_as_a_row(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(HEADER + f"1,{T0},STATUS,,,,,,,\nrubbish\n")
    writer = TapeWriter(path, MNQ)
    assert writer.add(T0 + 1, TickKind.STATUS) == 3
    writer.close()
    ticks, bad = parse(path)
    assert ([tick.seq for tick in ticks], [row.text for row in bad]) == ([1, 3], ["rubbish"])


def test_a_tape_of_rubbish_is_not_continued(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(HEADER + "rubbish\n")
    with pytest.raises(TapeDamaged, match="move the file away"):
        TapeWriter(path, MNQ)
    path.write_text(HEADER.replace("seq", "sequence") + "1\n")
    with pytest.raises(FormatMismatch):
        TapeWriter(path, MNQ)


def test_there_is_one_writer(tmp_path):
    writer = TapeWriter(tmp_path / "t.csv", MNQ)
    with pytest.raises(Locked):
        TapeWriter(tmp_path / "t.csv", MNQ, lock_wait_s=0)
    writer.close()


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("1,5,TRADE,25000.10,1,,,,TBT,M", "not a multiple"),
        ("1,5,TRADE,nan,1,,,,TBT,M", "not a decimal number"),
        ("1,5,TRADE,1e5,1,,,,TBT,M", "not a decimal number"),
        ("1,5,TRADE,,1,,,,TBT,M", "needs a price"),
        ("1,5,TRADE,25000,,,,,TBT,M", "needs a price"),
        ("1,5,TRADE,25000,-1,,,,TBT,M", "needs a price"),
        ("1,5,TRADE,25000,1.5,,,,TBT,M", "invalid literal"),
        ("1,5,TICK,25000,1,,,,TBT,M", "kind 'TICK'"),
        ("1,5,TRADE,25000,1", "5 cells instead of 10"),
        ("x,5,TRADE,25000,1,,,,TBT,M", "invalid literal"),
        ("1,5,GAP,,,,,6,RESTART,", "a GAP needs"),
        ("1,5,GAP,,,,,,RESTART,", "a GAP needs"),
        ("", "1 cells"),
    ],
)
def test_a_bad_row_is_refused_with_its_reason_and_the_stream_goes_on(row, reason):
    bad: list[BadRow] = []
    parser = TapeParser(MNQ, on_bad=bad.append)
    ticks = parser.feed((HEADER + row + "\n2,6,TRADE,25000,1,,,,TBT,M\n").encode())
    assert ([tick.seq for tick in ticks], parser.bad, parser.holes) == ([2], 1, 0)
    assert bad[0].text == row
    assert reason in bad[0].reason
    assert bad[0].recv_ns == (5 if row else None)


def test_bytes_that_are_no_text_are_one_bad_row():
    parser = TapeParser(MNQ)
    assert [t.seq for t in parser.feed(HEADER.encode() + b"\xff\x00\xfe\n2,6,TRADE,25000,1,,,,TBT,M\n")] == [2]


def test_a_repeated_row_is_never_delivered_twice_and_a_hole_is_named():
    bad: list[BadRow] = []
    parser = TapeParser(MNQ, on_bad=bad.append)
    rows = "".join(f"{seq},6,TRADE,25000,1,,,,TBT,M\n" for seq in (1, 2, 2, 1, 5, 6))
    assert [tick.seq for tick in parser.feed((HEADER + rows).encode())] == [1, 2, 5, 6]
    assert [row.reason.split(":")[0] for row in bad] == ["DUPLICATE", "DUPLICATE", "HOLE"]
    assert (parser.bad, parser.holes) == (2, 1)


def test_a_foreign_header_is_refused():
    with pytest.raises(FormatMismatch):
        TapeParser(MNQ).feed(b"ts,open\n")


prices = st.integers(-4000, 400_000)
ticks_strategy = st.builds(
    Tick,
    seq=st.just(0),
    recv_ns=st.integers(T0, T0 + 10**13),
    kind=st.sampled_from([TickKind.TRADE, TickKind.QUOTE, TickKind.HEARTBEAT]),
    price_ticks=prices,
    size=st.integers(0, 10**6),
    bid_ticks=st.none() | prices,
    ask_ticks=st.none() | prices,
    exch_ns=st.none() | st.integers(0, 10**19),
    source=st.sampled_from(["TBT", "MKT", ""]),
    contract=st.sampled_from(["MNQZ6", ""]),
)


@given(st.lists(ticks_strategy, max_size=30), st.lists(st.integers(0, 4000), max_size=10))
def test_any_rows_come_back_whatever_the_chunks(tmp_path_factory, ticks, cuts):
    path = tmp_path_factory.mktemp("t") / "t.csv"
    ticks = sorted(ticks, key=lambda tick: tick.recv_ns)
    writer = TapeWriter(path, MNQ)
    for tick in ticks:
        writer.add_tick(tick)
    writer.close()
    lines = path.read_bytes().splitlines(keepends=True)
    bounds = sorted({0, len(lines), *(cut % (len(lines) + 1) for cut in cuts)})
    parser = TapeParser(MNQ)
    found = [t for a, b in itertools.pairwise(bounds) for t in parser.feed(b"".join(lines[a:b]))]
    assert parser.bad == 0
    assert [t.seq for t in found] == list(range(1, len(ticks) + 1))
    plain = [tuple(getattr(t, name) for name in Tick.__slots__[1:]) for t in found]
    assert plain == [tuple(getattr(t, name) for name in Tick.__slots__[1:]) for t in ticks]


TURN = int(datetime(2026, 4, 15, 22, tzinfo=UTC).timestamp()) * NS_PER_S


def test_the_day_turns_at_1800_et_with_the_edge_row_in_the_new_file(tmp_path):
    run = RunDir(tmp_path, MNQ)
    tape = DayTape(run, TURN - 90 * NS_PER_S)
    tape.add(TURN - 90 * NS_PER_S, TickKind.TRADE, "25000", 1, contract="MNQZ6")
    tape.cross_edges(TURN + 5)
    tape.add(TURN + 5, TickKind.TRADE, "25001", 1, contract="MNQZ6")
    tape.close()
    assert run.days() == [date(2026, 4, 15), date(2026, 4, 16)]
    old, new = (parse(run.day(day).market)[0] for day in run.days())
    assert [(t.seq, t.recv_ns - TURN) for t in old] == [(1, -90 * NS_PER_S), (2, -60 * NS_PER_S)]
    assert [(t.seq, t.recv_ns - TURN, t.kind.value) for t in new] == [(1, 0, "HEARTBEAT"), (2, 5, "TRADE")]
    assert new[0].price_ticks == 100_000
    assert (tape.rows_total, tape.clamped_total) == (4, 0)


def test_a_bridge_that_starts_on_a_new_day_names_the_hole_since_the_last_tape(tmp_path):
    run = RunDir(tmp_path, MNQ)
    first = DayTape(run, TURN - 90 * NS_PER_S, raw=True)
    first.add(TURN - 90 * NS_PER_S, TickKind.STATUS)
    first.close()
    later = DayTape(run, TURN + 3 * 86_400 * NS_PER_S, raw=True)
    later.close()
    (gap,) = parse(later.day.ticks, raw=True)[0]
    assert (gap.kind, gap.exch_ns, gap.recv_ns) == (TickKind.GAP, TURN - 90 * NS_PER_S, TURN + 3 * 86_400 * NS_PER_S)
    assert last_stamp(later.day.ticks) == gap.recv_ns


def test_a_hole_stays_open_over_the_turn_of_the_day(tmp_path):
    tape = DayTape(RunDir(tmp_path, MNQ), TURN - 10 * NS_PER_S)
    tape.add(TURN - 10 * NS_PER_S, TickKind.STATUS)
    tape.open_hole(TURN - 10 * NS_PER_S, "DISCONNECT")
    tape.cross_edges(TURN + 5)
    tape.close_hole(TURN + 6)
    tape.close()
    ticks, _bad = parse(tape.day.market)
    spans = [(t.exch_ns - TURN, t.recv_ns - TURN) for t in ticks if t.kind is TickKind.GAP]
    assert spans == [(-10 * NS_PER_S, 0), (0, 6)]


def test_a_turn_that_the_disk_refuses_loses_nothing_and_is_told(tmp_path, monkeypatch):
    run = RunDir(tmp_path, MNQ)
    tape = DayTape(run, TURN - 10)
    tape.add(TURN - 10, TickKind.STATUS)
    blocked = run.day(date(2026, 4, 16)).folder
    blocked.write_text("a file where the folder should be")
    tape.cross_edges(TURN + 5)
    tape.add(TURN + 5, TickKind.TRADE, "25001", 1)
    with pytest.raises(WriteFailed, match="2026-04-16"):
        tape.flush()
    assert tape.pending == 0
    blocked.unlink()
    tape.flush()
    tape.add(TURN + 6, TickKind.STATUS)
    tape.close()
    old, new = (parse(run.day(day).market)[0] for day in run.days())
    assert [t.recv_ns - TURN for t in old + new] == [-10, 0, 5, 6]
    assert (len(new), tape.rows_total) == (1, 4)


@pytest.mark.parametrize(
    ("moment", "turn"),
    [
        ("2026-04-15T13:30:00", "2026-04-15T22:00:00"),
        ("2026-04-15T22:00:00", "2026-04-16T22:00:00"),
        ("2026-03-07T23:30:00", "2026-03-08T22:00:00"),
        ("2026-11-01T00:00:00", "2026-11-01T23:00:00"),
    ],
)
def test_the_next_turn_is_1800_et_through_both_clock_changes(moment, turn):
    def ns(text: str) -> int:
        return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * NS_PER_S

    assert next_turn(ns(moment)) == ns(turn)
