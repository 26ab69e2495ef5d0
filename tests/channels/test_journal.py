"""The journal: chained, torn tails repaired, every other damage named."""

from __future__ import annotations

import hashlib
import json
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from live.market import INSTRUMENTS
from pj.channels.files import Locked
from pj.channels.journal import (
    GENESIS,
    Journal,
    JournalDamaged,
    JournalParser,
    canonical,
    head_before,
    open_journal,
    read_journal,
    verify,
    verify_run,
)
from pj.channels.rundir import RunDir

MONDAY, TUESDAY, FRIDAY = date(2026, 4, 13), date(2026, 4, 14), date(2026, 4, 17)


def fill(path: Path, count: int = 3) -> bytes:
    journal = Journal(path)
    for index in range(count):
        journal.append("SIGNAL", {"pool": f"739252:PDH:{index}", "why": 'é,"J', "n": [index, None, 0.5]}, index)
    journal.close()
    return path.read_bytes()


def test_a_line_is_canonical_and_carries_the_documented_hash(tmp_path):
    first, second = (json.loads(line) for line in fill(tmp_path / "j", 2).splitlines())
    body = {key: value for key, value in first.items() if key != "hash"}
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert first["hash"] == hashlib.sha256(text.encode()).hexdigest()
    assert (first["prev"], second["prev"], second["seq"]) == (GENESIS, first["hash"], 2)
    assert (tmp_path / "j").read_bytes().splitlines()[0] == canonical(first).encode()


def test_it_goes_on_after_a_restart(tmp_path):
    fill(tmp_path / "j", 2)
    journal = Journal(tmp_path / "j")
    assert [line.data["pool"] for line in journal.lines] == ["739252:PDH:0", "739252:PDH:1"]
    line = journal.append("STOP", {}, 9, fsync=False)
    journal.sync()
    journal.close()
    found = verify(tmp_path / "j", GENESIS)
    assert (found.count, found.head, found.torn) == (3, line.hash, b"")
    assert read_journal(tmp_path / "j")[-1] == line


def test_a_record_torn_at_any_byte_is_cut_and_nothing_else_lost(tmp_path):
    path = tmp_path / "j"
    data = fill(path)
    start = data[:-1].rfind(b"\n") + 1
    for cut in range(start, len(data)):
        path.write_bytes(data[:cut])
        assert verify(path, GENESIS).torn == data[start:cut]
        journal = Journal(path)
        assert (journal.count, journal.torn) == (2, data[start:cut])
        journal.append("STOP", {}, 1, fsync=False)
        journal.close()
        assert verify(path, GENESIS).count == 3


@pytest.mark.parametrize("keep", [0, 1, 12, 100])
def test_blocks_that_a_power_cut_left_zero_are_cut(tmp_path, keep):
    path = tmp_path / "j"
    data = fill(path)
    start = data[:-1].rfind(b"\n") + 1
    path.write_bytes(data[: start + keep] + b"\0" * 64)
    journal = Journal(path)
    assert (journal.count, path.stat().st_size) == (2, start)
    journal.close()


def test_a_flipped_bit_anywhere_is_refused_and_its_line_named(tmp_path):
    path = tmp_path / "j"
    data = fill(path)
    for at in range(len(data)):
        wrong = bytearray(data)
        wrong[at] ^= 1 << (at % 8)
        path.write_bytes(wrong)
        line_no = data[:at].count(b"\n") + 1
        with pytest.raises(JournalDamaged) as caught:
            Journal(path)
        assert caught.value.line_no == line_no, f"byte {at}"
        assert path.read_bytes() == wrong, "a damaged journal is left as it is"
        with pytest.raises(JournalDamaged, match=f"line {line_no}"):
            verify(path)


def test_every_bit_of_the_last_line_counts(tmp_path):
    path = tmp_path / "j"
    data = fill(path, 1)
    for at in range(len(data)):
        for bit in range(8):
            wrong = bytearray(data)
            wrong[at] ^= 1 << bit
            path.write_bytes(wrong)
            with pytest.raises(JournalDamaged, match="line 1"):
                verify(path)


@pytest.mark.parametrize("order", [(1, 0, 2), (0, 2), (0, 0, 1, 2), (1, 2)])
def test_lines_moved_dropped_or_doubled_break_the_chain(tmp_path, order):
    path = tmp_path / "j"
    lines = fill(path).splitlines(keepends=True)
    path.write_bytes(b"".join(lines[index] for index in order))
    with pytest.raises(JournalDamaged):
        verify(path, GENESIS)


@pytest.mark.parametrize(
    "text", [b"[]\n", b'{"seq":1}\n', b'{"data":{},"hash":1,"prev":"","seq":1,"ts_ns":1,"type":NaN}\n']
)
def test_what_is_no_journal_line_is_named(tmp_path, text):
    (tmp_path / "j").write_bytes(text)
    with pytest.raises(JournalDamaged, match="line 1"):
        verify(tmp_path / "j")


def test_days_are_one_chain(tmp_path):
    run = RunDir(tmp_path, INSTRUMENTS["MNQ"])
    for day in (MONDAY, TUESDAY, FRIDAY):
        journal = open_journal(run, run.day(day))
        if day != TUESDAY:  # a day on which nothing was decided does not break the chain
            journal.append("START", {"day": day.isoformat()}, 1)
        journal.close()
    assert verify_run(run).count == 2
    assert head_before(run, run.day(FRIDAY)) == read_journal(run.day(MONDAY).journal)[0].hash
    run.day(MONDAY).journal.unlink()
    with pytest.raises(JournalDamaged, match="line 1: prev is"):
        verify_run(run)


def test_there_is_one_writer(tmp_path):
    journal = Journal(tmp_path / "j")
    with pytest.raises(Locked):
        Journal(tmp_path / "j", lock_wait_s=0)
    journal.close()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object(), b"x"])
def test_data_that_json_cannot_hold_is_refused_and_nothing_written(tmp_path, value):
    journal = Journal(tmp_path / "j")
    with pytest.raises(ValueError, match="is not JSON"):
        journal.append("ALARM", {"value": value}, 1)
    journal.append("STOP", {}, 2)
    journal.close()
    assert verify(tmp_path / "j").count == 1


def test_a_follower_checks_the_chain_as_it_reads(tmp_path):
    data = fill(tmp_path / "j").splitlines(keepends=True)
    parser = JournalParser(tmp_path / "j", GENESIS)
    assert [line.seq for line in parser.feed(data[0]) + parser.feed(data[1])] == [1, 2]
    with pytest.raises(JournalDamaged, match="line 3: prev is"):
        parser.feed(data[1])


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(st.dictionaries(st.text(max_size=8), json_values, max_size=4), max_size=5))
def test_any_json_comes_back_as_it_was(tmp_path_factory, entries):
    path = tmp_path_factory.mktemp("j") / "j"
    journal = Journal(path)
    for entry in entries:
        journal.append("ALARM", entry, 1, fsync=False)
    journal.close()
    assert [line.data for line in read_journal(path, GENESIS)] == entries
