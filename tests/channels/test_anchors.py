"""Anchors: what the chain cannot show (lines gone from its end, bars changed) is shown by what was said elsewhere."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from live.market import INSTRUMENTS
from pj.channels.anchors import ANCHOR, GAUGE, Anchor, FileSum, anchor_of, first_changed, hold_to, stats_anchor
from pj.channels.csvlog import CsvLog
from pj.channels.formats import BAR_COLUMNS
from pj.channels.journal import Journal, JournalDamaged, open_journal, read_journal
from pj.channels.rundir import RunDir
from pj.channels.stats import StatsWriter

DAY = date(2026, 4, 15)


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    return RunDir(tmp_path, INSTRUMENTS["MNQ"]).create()


def begin(run: RunDir, count: int = 5) -> Journal:
    journal = open_journal(run, run.day(DAY).create())
    for number in range(count):
        journal.append("SIGNAL", {"n": number}, number)
    return journal


def anchored(run: RunDir, journal: Journal) -> Anchor:
    """Return the anchor that a stats file brings back."""
    said = Anchor(DAY, journal.count, journal.head, "").to_gauge()
    StatsWriter(run.state("engine"), "engine", "x").beat("RUNNING", **{GAUGE: said})
    found = stats_anchor(run)
    assert found is not None and found.to_gauge() == said
    return found


def test_a_journal_that_only_grew_holds(run: RunDir) -> None:
    journal = begin(run)
    anchor = anchored(run, journal)
    journal.append("STOP", {}, 9)
    journal.close()
    hold_to(run, anchor)
    assert anchor.trouble(read_journal(journal.path)) == ""


def test_a_journal_cut_at_any_byte_before_the_anchor_is_refused_and_the_line_named(run: RunDir) -> None:
    journal = begin(run)
    journal.close()
    anchor, data = anchored(run, journal), journal.path.read_bytes()
    for cut in range(len(data)):
        journal.path.write_bytes(data[:cut])
        with pytest.raises(JournalDamaged) as caught:
            hold_to(run, anchor)
        assert caught.value.line_no == data[:cut].count(b"\n") + 1
    journal.path.unlink()
    with pytest.raises(JournalDamaged, match="line 1: the journal ends before line 5"):
        hold_to(run, anchor)


def test_a_journal_cut_behind_the_anchor_loses_only_what_was_not_acknowledged(run: RunDir) -> None:
    journal = begin(run)
    anchor, whole = anchored(run, journal), journal.path.read_bytes()
    journal.append("SIGNAL", {"n": 5}, 5)
    journal.close()
    data = journal.path.read_bytes()
    for cut in range(len(whole), len(data)):
        journal.path.write_bytes(data[:cut])
        hold_to(run, anchor)
        again = open_journal(run, run.day(DAY))
        assert again.count == 5
        again.close()


def test_a_chain_written_anew_is_refused_although_it_is_a_whole_chain(run: RunDir) -> None:
    journal = begin(run)
    journal.close()
    anchor = anchored(run, journal)
    journal.path.unlink()
    forged = open_journal(run, run.day(DAY))
    for number in range(7):
        forged.append("SIGNAL", {"n": number * 2}, number)
    forged.close()
    with pytest.raises(JournalDamaged, match="line 5: its hash is not the anchored"):
        hold_to(run, anchor)
    assert "the journal" in anchor.trouble(read_journal(journal.path))


@pytest.mark.parametrize(
    "found", [None, 3, {}, {"date": "2026-04-15", "seq": "5", "head": "x"}, {"date": "x", "seq": 5, "head": "x"}]
)
def test_what_is_no_anchor_binds_nobody(run: RunDir, found: object) -> None:
    assert anchor_of(found, "here") is None
    hold_to(run, None)


def test_no_stats_file_or_a_torn_one_is_no_anchor(run: RunDir) -> None:
    assert stats_anchor(run) is None
    journal = begin(run)
    journal.close()
    anchored(run, journal)
    data = run.state("engine").read_bytes()
    for cut in range(len(data)):
        run.state("engine").write_bytes(data[:cut])
        assert stats_anchor(run) is None


def test_a_bit_flipped_in_any_anchored_bar_is_named(run: RunDir) -> None:
    day = run.day(DAY).create()
    bars, total = CsvLog(day.bars, BAR_COLUMNS), FileSum(day.bars)
    journal = begin(run, 1)
    sizes = []
    for number in range(4):
        bars.append({"ts": f"2026-04-15T14:0{number}:00Z", "open": f"2500{number}.25", "volume": str(number)})
        if number != 1:  # one anchor for two bars
            journal.append(ANCHOR, total.data(bars.seq), number)
            sizes.append(day.bars.stat().st_size)
    bars.append({"ts": "2026-04-15T14:05:00Z"})
    bars.close()
    journal.close()
    lines, data = read_journal(journal.path), day.bars.read_bytes()
    assert first_changed(day.bars, lines) == ""
    spans = ["lines 1 to 2", "lines 3 to 4", "lines 5 to 5"]
    for at in range(sizes[-1]):
        wrong = bytearray(data)
        wrong[at] ^= 1 << (at % 8)
        day.bars.write_bytes(wrong)
        which = next(span for span, size in zip(spans, sizes, strict=True) if at < size)
        assert which in first_changed(day.bars, lines), f"byte {at}"
    for cut in range(sizes[-1]):
        day.bars.write_bytes(data[:cut])
        assert "changed or gone" in first_changed(day.bars, lines)
    day.bars.unlink()
    assert "lines 1 to 2" in first_changed(day.bars, lines)


def test_a_sum_goes_on_where_it_stopped_and_over_a_restart(run: RunDir) -> None:
    day = run.day(DAY).create()
    bars, total = CsvLog(day.bars, BAR_COLUMNS), FileSum(day.bars)
    assert FileSum(run.root / "none").data(0) == {"bars": 0, "bytes": 0, "crc32": 0}
    for number in range(3):
        bars.append({"volume": str(number)})
        assert total.data(bars.seq) == FileSum(day.bars).data(bars.seq)
    bars.close()
