"""``state/placed.jsonl`` torn or flipped: an unfinished last line is lost, anything else forbids entries."""

from __future__ import annotations

from pathlib import Path

import pytest

from live.events import Leg
from live.market import INSTRUMENTS
from pj.channels.orders import Answered, Asked
from pj.channels.rundir import RunDir
from pj.ibkr.placed import Placed, PlacedLedger, PlacedLeg

NOW = 1_776_260_760_000_000_000
FIRST, SECOND = "p@1:ENTRY", "p@2:ENTRY"


def placing(key: str, first_id: int, seq: int) -> Placed:
    legs = (PlacedLeg(first_id, Leg.ENTRY), PlacedLeg(first_id + 1, Leg.STOP, first_id, "oca"))
    return Placed(key, Asked.ENTRY, "MNQM6", 11, legs, "2026-04-15", seq, NOW)


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    run = RunDir(tmp_path, INSTRUMENTS["MNQ"]).create()
    ledger = PlacedLedger(run, NOW)
    ledger.record(placing(FIRST, 700, 1))
    ledger.note_answer(FIRST, Answered.TAKEN, ("2026-04-15", 1), NOW)
    ledger.record(placing(SECOND, 710, 2))
    ledger.close()
    return run


def test_torn_at_any_byte_of_the_last_record_only_that_one_is_lost(run: RunDir) -> None:
    path = run.state_folder / "placed.jsonl"
    data = path.read_bytes()
    start = data[:-1].rfind(b"\n") + 1
    for cut in range(start, len(data)):
        path.write_bytes(data[:cut])
        ledger = PlacedLedger(run, NOW)
        assert ledger.damaged == ""
        assert ledger.entry(FIRST) is not None and ledger.entry(SECOND) is None
        assert (ledger.high, ledger.answer(FIRST)) == (701, "TAKEN")
        ledger.record(placing(SECOND, 710, 2))
        ledger.close()
        assert path.read_bytes() == data


def test_a_bit_flipped_anywhere_forbids_entries_and_names_the_line(run: RunDir) -> None:
    path = run.state_folder / "placed.jsonl"
    data = path.read_bytes()
    for at in range(len(data)):
        wrong = bytearray(data)
        wrong[at] ^= 1 << (at % 8)
        path.write_bytes(wrong)
        for _start in range(2):
            ledger = PlacedLedger(run, NOW)
            ledger.close()
            assert f"line {data[:at].count(10) + 1}:" in ledger.damaged, at
