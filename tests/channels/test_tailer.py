"""Following files that grow: every way a writer and a reader can meet."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from live.market import INSTRUMENTS, NS_PER_MIN, TickKind
from pj.channels.rundir import RunDir
from pj.channels.tailer import DayFollower, Position, TailBroken, Tailer
from pj.channels.tape import TapeParser, TapeWriter

MNQ = INSTRUMENTS["MNQ"]
T0 = 29_833_334 * NS_PER_MIN
MONDAY, TUESDAY, FRIDAY = date(2026, 4, 13), date(2026, 4, 14), date(2026, 4, 17)


def follow(run: RunDir, start: Position | date) -> DayFollower:
    return DayFollower(run, "live_market_data.csv", lambda _day, at_start: TapeParser(MNQ, at_start=at_start), start)


def write(run: RunDir, day: date, *stamps: int) -> None:
    writer = TapeWriter(run.day(day).market, MNQ)
    for stamp in stamps:
        writer.add(T0 + stamp, TickKind.STATUS)
    writer.close()


def stamps(follower: DayFollower) -> list[int]:
    """Read until nothing more comes."""
    found: list[int] = []
    while ticks := follower.poll():
        found += [tick.recv_ns - T0 for tick in ticks]
    return found


def test_a_reader_may_come_before_the_writer(tmp_path):
    tail = Tailer(tmp_path / "a" / "t")
    assert tail.read() == b""
    (tmp_path / "a").mkdir()
    assert tail.read() == b""
    (tmp_path / "a" / "t").write_bytes(b"")
    assert tail.read() == b""
    (tmp_path / "a" / "t").write_bytes(b"x\n")
    assert tail.read() == b"x\n"


@given(st.lists(st.binary(max_size=12), max_size=8), st.lists(st.integers(0, 100), max_size=20), st.integers(1, 9))
def test_any_way_of_growing_gives_the_same_whole_lines(tmp_path_factory, lines, cuts, chunk):
    path = tmp_path_factory.mktemp("t") / "t"
    data = b"\n".join(lines)
    tail, got = Tailer(path, chunk_bytes=chunk), b""
    for cut in sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)}):
        with path.open("ab") as file:
            file.write(data[file.tell() : cut])
        while part := tail.read():
            assert part.endswith(b"\n")
            got += part
    tail.close()
    assert got == data[: data.rfind(b"\n") + 1]


def test_a_torn_line_is_read_only_when_it_is_whole(tmp_path):
    path = tmp_path / "t"
    tail = Tailer(path)
    whole = b"1,2,3\n"
    for end in range(len(whole)):
        path.write_bytes(whole[:end])
        assert tail.read() == b""
    path.write_bytes(whole)
    assert (tail.read(), tail.offset) == (whole, 6)


def test_a_restarted_writer_may_cut_its_torn_line(tmp_path):
    run = RunDir(tmp_path, MNQ)
    write(run, MONDAY, 1, 2)
    follower = follow(run, MONDAY)
    assert stamps(follower) == [1, 2]
    with run.day(MONDAY).market.open("ab") as file:
        file.write(b"3,17900000400000")
    assert stamps(follower) == []
    write(run, MONDAY, 3, 4)
    assert stamps(follower) == [3, 4]


def test_a_restarted_reader_goes_on_where_it_was(tmp_path):
    run = RunDir(tmp_path, MNQ)
    write(run, MONDAY, 1, 2)
    first = follow(run, MONDAY)
    assert stamps(first) == [1, 2]
    position = first.position
    first.close()
    write(run, MONDAY, 3)
    assert stamps(follow(run, position)) == [3]


def test_the_day_turns_when_the_next_file_is_there_and_this_one_is_read_out(tmp_path):
    run = RunDir(tmp_path, MNQ)
    write(run, MONDAY, 1)
    follower = follow(run, MONDAY)
    assert stamps(follower) == [1]
    run.day(TUESDAY).create()
    assert (stamps(follower), follower.day) == ([], MONDAY)
    write(run, MONDAY, 2)
    write(run, TUESDAY, 3)
    assert (stamps(follower), follower.day) == ([2, 3], TUESDAY)
    assert follower.position.day == TUESDAY


def test_a_torn_last_line_of_the_old_day_does_not_hold_the_reader_back(tmp_path):
    run = RunDir(tmp_path, MNQ)
    write(run, MONDAY, 1)
    with run.day(MONDAY).market.open("ab") as file:
        file.write(b"2,179")
    write(run, FRIDAY, 5)
    assert stamps(follow(run, MONDAY)) == [1, 5]


def test_a_day_without_a_file_is_waited_for_and_left_for_a_later_one(tmp_path):
    run = RunDir(tmp_path, MNQ)
    follower = follow(run, MONDAY)
    assert stamps(follower) == []
    write(run, TUESDAY, 1)
    assert stamps(follower) == [1]


def test_a_file_that_lost_read_bytes_is_an_error_not_a_silence(tmp_path):
    path = tmp_path / "t"
    path.write_bytes(b"1\n2\n")
    tail = Tailer(path)
    tail.read()
    path.write_bytes(b"1\n")
    with pytest.raises(TailBroken, match="shrank to 2 bytes although 4 were read"):
        tail.read()


def test_a_line_longer_than_the_chunk_comes_whole(tmp_path):
    path = tmp_path / "t"
    path.write_bytes(b"x" * 1000 + b"\ny\n")
    tail = Tailer(path, chunk_bytes=16)
    assert tail.read() == b"x" * 1000 + b"\ny\n"


def test_foreign_folders_are_no_days(tmp_path):
    run = RunDir(tmp_path, MNQ)
    for name in ("state", "2026-13-45", "2026-04-13", "2026-4-13"):
        (tmp_path / name).mkdir()
    assert run.days() == [MONDAY]
    assert RunDir(tmp_path / "none", MNQ).days() == []
