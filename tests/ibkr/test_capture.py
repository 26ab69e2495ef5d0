"""Order of rows on the tapes: edges before ticks, holes named, one write per read."""

from __future__ import annotations

import csv
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from live.market import INSTRUMENTS, NS_PER_MIN, NS_PER_S
from pj.channels.files import Locked
from pj.channels.rundir import DayPaths, RunDir
from pj.channels.tape import GapReason
from pj.ibkr.capture import Capture
from pj.ibkr.errors import Misconfigured

EDGE = 1_776_254_400 * NS_PER_S  # 2026-04-15 08:00 ET


@dataclass
class HandClock:
    """A clock moved by hand; real time runs with it."""

    now: int
    mono: int = 10**12
    speed: float = 1.0

    def now_ns(self) -> int:
        return self.now

    def monotonic_ns(self) -> int:
        return self.mono

    def real_s_until(self, run_ns: int) -> float:
        return max(0, run_ns - self.now) / 1e9

    def to(self, run_ns: int) -> None:
        self.mono += run_ns - self.now
        self.now = run_ns


class Rig:
    """A capture on a hand clock, driven as the client and the timer would."""

    def __init__(self, root: Path, start_ns: int) -> None:
        self.run = RunDir(root, INSTRUMENTS["MNQ"])
        self.clock = HandClock(start_ns)
        self.capture = Capture(self.run, INSTRUMENTS["MNQ"], self.clock)

    def subscribe(self) -> None:
        self.capture.subscribed("MNQM6", 4, 5)

    def read(self, *messages: list[str]) -> None:
        for fields in messages:
            self.capture.take(fields)
        self.capture.on_batch()

    def tick_to(self, run_ns: int) -> None:
        """Let the timer fire on time until ``run_ns``."""
        while self.clock.now < run_ns:
            wake = min(run_ns, self.clock.now + int(self.capture.pace.wait_s() * NS_PER_S))
            self.clock.to(wake)
            self.capture.beat()

    def day(self) -> DayPaths:
        return self.run.day_at(self.clock.now)

    def market(self) -> list[dict[str, str]]:
        return rows(self.day().market)

    def raw(self) -> list[dict[str, str]]:
        return rows(self.day().ticks)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def trade(price: str = "25000.25", size: str = "1", req: int = 5) -> list[str]:
    return ["99", str(req), "1", "1776254400", price, size, "0", "CME", ""]


def brief(row: dict[str, str]) -> tuple[int, str, str]:
    return int(row["recv_ns"]) - EDGE, row["kind"], row["price"]


def test_fresh_start_on_an_edge_writes_the_edge_first(tmp_path: Path) -> None:
    rig = Rig(tmp_path, EDGE)
    rig.subscribe()
    rig.clock.to(EDGE + 5)
    rig.read(trade())
    assert [brief(row) for row in rig.market()] == [(5, "HEARTBEAT", ""), (5, "TRADE", "25000.25")]
    rig.capture.close()


def test_clock_standing_at_the_edge_gives_a_whole_first_minute(tmp_path: Path) -> None:
    rig = Rig(tmp_path, EDGE)
    rig.subscribe()
    rig.read(["1", "6", "4", "1", "25000", "3", "0"])
    rig.clock.to(EDGE + 5)
    rig.read(trade())
    kinds = [(at, kind) for at, kind, _ in map(brief, rig.market())]
    assert kinds == [(0, "HEARTBEAT"), (0, "QUOTE"), (5, "TRADE")]
    rig.capture.close()


def test_no_row_before_the_feed_lives(tmp_path: Path) -> None:
    rig = Rig(tmp_path, EDGE + 10 * NS_PER_S)
    rig.tick_to(EDGE + 2 * NS_PER_MIN)
    assert rig.market() == []
    rig.capture.close()


def test_edge_row_stands_before_the_tick_that_lies_behind_it(tmp_path: Path) -> None:
    rig = Rig(tmp_path, EDGE + 10 * NS_PER_S)
    rig.subscribe()
    rig.read(trade())
    rig.tick_to(EDGE + NS_PER_MIN - NS_PER_S // 10)
    rig.clock.to(EDGE + NS_PER_MIN + 1000)
    rig.read(trade("25001"), trade("25002"))
    tail = [brief(row) for row in rig.market()][-3:]
    assert tail == [
        (NS_PER_MIN, "HEARTBEAT", "25000.25"),
        (NS_PER_MIN + 1000, "TRADE", "25001"),
        (NS_PER_MIN + 1000, "TRADE", "25002"),
    ]
    rig.capture.close()


def test_one_beat_a_second_and_every_edge_exactly(tmp_path: Path) -> None:
    rig = Rig(tmp_path, EDGE + NS_PER_S // 2)
    rig.subscribe()
    rig.read(trade())
    rig.tick_to(EDGE + 3 * NS_PER_MIN + NS_PER_S // 4)
    stamps = [int(row["recv_ns"]) - EDGE for row in rig.market() if row["kind"] == "HEARTBEAT"]
    assert [s for s in stamps if s % NS_PER_MIN == 0] == [NS_PER_MIN, 2 * NS_PER_MIN, 3 * NS_PER_MIN]
    assert len([s for s in stamps if s % NS_PER_MIN]) == 180
    assert stamps == sorted(stamps)
    assert all(row["size"] == "0" for row in rig.market() if row["kind"] == "HEARTBEAT")
    rig.capture.close()


def test_raw_record_has_every_message_and_no_heartbeat(tmp_path: Path) -> None:
    rig = Rig(tmp_path, EDGE)
    rig.subscribe()
    rig.read(["58", "1", "4", "1"], trade(), trade("25000.1"), ["4", "2", "-1", "2104", "ok", ""])
    rig.tick_to(EDGE + 5 * NS_PER_S)
    assert [row["kind"] for row in rig.raw()] == ["STATUS", "TRADE", "TRADE", "STATUS"]
    assert [row["price"] for row in rig.market() if row["kind"] == "TRADE"] == ["25000.25"]
    rejected = rows(rig.day().rejected_ticks)
    assert [(row["reason"], row["price"]) for row in rejected] == [("OFF_GRID", "25000.1")]
    assert dict(rig.capture.rejected) == {"OFF_GRID": 1}
    rig.capture.close()


def test_disconnect_opens_a_hole_named_at_edges_and_at_its_end(tmp_path: Path) -> None:
    rig = Rig(tmp_path, EDGE + 30 * NS_PER_S)
    rig.subscribe()
    rig.read(trade())
    rig.tick_to(EDGE + 40 * NS_PER_S)
    last = int(rig.market()[-1]["recv_ns"])
    rig.capture.suspect(GapReason.DISCONNECT)
    rig.tick_to(EDGE + NS_PER_MIN + 10 * NS_PER_S)
    rig.subscribe()
    rig.clock.to(rig.clock.now + 7)
    rig.read(trade("25005"))
    gaps = [(int(r["exch_ns"]), int(r["recv_ns"]), r["source"]) for r in rig.market() if r["kind"] == "GAP"]
    end = EDGE + NS_PER_MIN + 10 * NS_PER_S + 7
    assert gaps == [(last, EDGE + NS_PER_MIN, "DISCONNECT"), (EDGE + NS_PER_MIN, end, "DISCONNECT")]
    kinds = [row["kind"] for row in rig.market()]
    assert kinds[-2:] == ["GAP", "TRADE"]
    raw_gaps = [(int(r["exch_ns"]), int(r["recv_ns"])) for r in rig.raw() if r["kind"] == "GAP"]
    assert raw_gaps == [(last, end)]
    assert rig.capture.gaps == 1
    rig.capture.close()


def test_a_hole_that_began_before_an_edge_is_told_when_it_is_found_not_only_at_the_next_edge(tmp_path: Path) -> None:
    """The trades died at :50, which is found at 1:15; the process ends at 1:20: minute 0 has its hole all the same."""
    rig = Rig(tmp_path, EDGE + 40 * NS_PER_S)
    rig.subscribe()
    rig.tick_to(EDGE + 50 * NS_PER_S)
    rig.read(trade())
    rig.tick_to(EDGE + NS_PER_MIN + 15 * NS_PER_S)
    rig.capture.suspect(GapReason.FEED, rig.capture.last_trade_ns, until_trades=True)
    rig.tick_to(EDGE + NS_PER_MIN + 20 * NS_PER_S)
    rig.capture.close()
    again = Rig(tmp_path, EDGE + NS_PER_MIN + 25 * NS_PER_S)
    for tape in (again.market(), again.raw()):
        gaps = [(int(r["exch_ns"]) - EDGE, int(r["recv_ns"]) - EDGE, r["source"]) for r in tape if r["kind"] == "GAP"]
        assert gaps[0] == (50 * NS_PER_S, NS_PER_MIN + 15 * NS_PER_S, "FEED")
        assert [why for *_, why in gaps] == ["FEED", "RESTART"]
    assert [row["recv_ns"] for row in again.market()] == sorted(row["recv_ns"] for row in again.market())
    again.capture.close()


def test_restart_names_the_hole_and_continues_the_files(tmp_path: Path) -> None:
    rig = Rig(tmp_path, EDGE)
    rig.subscribe()
    rig.read(trade())
    rig.tick_to(EDGE + 3 * NS_PER_S)
    last = int(rig.market()[-1]["recv_ns"])
    rig.capture.close()
    again = Rig(tmp_path, EDGE + 20 * NS_PER_S)
    again.subscribe()
    again.clock.to(EDGE + 21 * NS_PER_S)
    again.read(trade("25001"))
    market = again.market()
    assert [int(row["seq"]) for row in market] == list(range(1, len(market) + 1))
    gaps = [(int(r["exch_ns"]), int(r["recv_ns"]), r["source"]) for r in market if r["kind"] == "GAP"]
    assert gaps == [
        (last, EDGE + 20 * NS_PER_S, "RESTART"),
        (EDGE + 20 * NS_PER_S, EDGE + 21 * NS_PER_S, "RESTART"),
    ]
    assert [row["price"] for row in again.raw() if row["kind"] == "TRADE"] == ["25000.25", "25001"]
    again.capture.close()


def test_stall_over_an_edge_is_a_hole(tmp_path: Path) -> None:
    rig = Rig(tmp_path, EDGE + 50 * NS_PER_S)
    rig.subscribe()
    rig.read(trade())
    rig.tick_to(EDGE + 58 * NS_PER_S)
    rig.capture.pace.wait_s()
    rig.clock.to(EDGE + 63 * NS_PER_S)
    rig.read(trade("25003"))
    tail = [(row["kind"], row["source"]) for row in rig.market()][-2:]
    assert tail == [("GAP", "STALL"), ("TRADE", "TBT")]
    gap = rig.market()[-2]
    assert (int(gap["exch_ns"]), int(gap["recv_ns"])) == (EDGE + 58 * NS_PER_S, EDGE + 63 * NS_PER_S)
    rig.tick_to(EDGE + 2 * NS_PER_MIN)
    assert rig.market()[-1]["recv_ns"] == str(EDGE + 2 * NS_PER_MIN)
    rig.capture.close()


def test_day_turns_at_18_eastern(tmp_path: Path) -> None:
    turn = EDGE + 14 * 3600 * NS_PER_S - 4 * 3600 * NS_PER_S  # 18:00 ET = 22:00 UTC in summer
    rig = Rig(tmp_path, turn - 2 * NS_PER_S)
    rig.subscribe()
    rig.read(trade())
    old = rig.day()
    rig.tick_to(turn + NS_PER_S)
    rig.read(trade("25002"))
    assert (old.trade_date.isoformat(), rig.day().trade_date.isoformat()) == ("2026-04-15", "2026-04-16")
    first = rows(rig.day().market)[0]
    assert (first["seq"], first["recv_ns"], first["kind"]) == ("1", str(turn), "HEARTBEAT")
    assert [row["kind"] for row in rows(rig.day().ticks)] == ["TRADE"]
    assert [row["kind"] for row in rows(old.ticks)] == ["TRADE"]
    rig.capture.close()


def test_second_writer_is_refused(tmp_path: Path) -> None:
    rig = Rig(tmp_path, EDGE)
    with pytest.raises(Locked):
        Rig(tmp_path, EDGE)
    rig.capture.close()


def test_killed_between_two_writes_the_trade_is_not_lost(tmp_path: Path) -> None:
    rig = Rig(tmp_path, EDGE + 50 * NS_PER_S)
    rig.subscribe()
    rig.read(trade("25000.25"))
    rig.capture.flush()
    market = rig.day().market
    whole = market.read_bytes()
    rig.clock.to(EDGE + 61 * NS_PER_S)
    rig.read(trade("25001"), trade("25001.1"), trade("25002"))
    rig.capture.close()
    market.write_bytes(whole)  # as a kill between the record and the channel leaves it
    again = Rig(tmp_path, EDGE + 70 * NS_PER_S)
    assert again.capture.mended == 2
    found = [(int(row["recv_ns"]) - EDGE, row["kind"], row["price"]) for row in again.market()]
    assert found[2:] == [
        (60 * NS_PER_S, "HEARTBEAT", "25000.25"),
        (61 * NS_PER_S, "TRADE", "25001"),
        (61 * NS_PER_S, "TRADE", "25002"),
        (70 * NS_PER_S, "GAP", ""),
    ]
    again.capture.close()
    third = Rig(tmp_path, EDGE + 80 * NS_PER_S)
    assert third.capture.mended == 0
    third.capture.close()


def test_folder_from_a_later_clock_is_refused(tmp_path: Path) -> None:
    rig = Rig(tmp_path, EDGE + 3600 * NS_PER_S)
    rig.subscribe()
    rig.read(trade())
    rig.capture.close()
    with pytest.raises(Misconfigured, match=r"live_ticks.csv ends 3600 s after the run's clock"):
        Rig(tmp_path, EDGE)


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on file size, which Windows does not have")
def test_full_disk_keeps_the_rows_until_there_is_room(tmp_path: Path) -> None:
    import resource

    rig = Rig(tmp_path, EDGE)
    rig.subscribe()
    rig.read(trade("25000"))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (rig.day().market.stat().st_size, hard))
    try:
        rig.read(trade("25001"))
        refused = rig.capture.write_error
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "cannot write" in refused
    rig.read(trade("25002"))
    assert rig.capture.write_error == ""
    assert [row["price"] for row in rig.market() if row["kind"] == "TRADE"] == ["25000", "25001", "25002"]
    assert [row["price"] for row in rig.raw()] == ["25000", "25001", "25002"]
    rig.capture.close()
