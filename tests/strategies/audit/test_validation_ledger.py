"""The ledger of looks: durable, chained, one number per look, fair between processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from strategies.mle.audit.ledger import Ledger, Look, Opened, _try_lock, _unlock
from strategies.mle.bar_file import BacktestInputError

LOOK = Look("p1", "tape", "", "MNQ", "2026-04-01", "2026-05-15", {"swing_n": 15})


def test_looks_of_one_tape_are_counted(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "deep" / "looks.jsonl")
    first = ledger.record(LOOK)
    assert (first.look.number, first.repeated, first.earlier, first.total) == (1, False, (), 1)
    second = ledger.record(replace(LOOK, params_sha256="p2"))
    assert (second.look.number, second.total) == (2, 2)
    assert [one.params_sha256 for one in second.earlier] == ["p1"]
    assert [one.number for one in ledger.looks()] == [1, 2]
    assert ledger.looks()[0].params == {"swing_n": 15}


def test_the_same_parameters_again_are_the_recorded_look(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "looks.jsonl")
    ledger.record(LOOK)
    ledger.record(replace(LOOK, params_sha256="p2"))
    before = ledger.path.read_bytes()
    again = ledger.record(LOOK)
    assert (again.look.number, again.repeated, again.earlier, again.total) == (1, True, (), 2)
    assert ledger.path.read_bytes() == before


def test_a_shortened_tape_of_the_same_market_is_the_same_holdout(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "looks.jsonl")
    ledger.record(LOOK)
    shorter = replace(LOOK, params_sha256="p2", tape_sha256="other", hold_from="2026-05-15", hold_to="2026-06-15")
    assert ledger.record(shorter).look.number == 2
    later = replace(shorter, params_sha256="p3", hold_from="2026-06-16", hold_to="2026-07-15", tape_sha256="third")
    assert ledger.record(later).look.number == 1
    elsewhere = replace(LOOK, params_sha256="p4", tape_sha256="es", symbol="MES")
    assert ledger.record(elsewhere).look.number == 1


def test_the_same_parameters_on_another_cut_are_a_look_but_no_new_trial(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "looks.jsonl")
    ledger.record(LOOK)
    cut = ledger.record(replace(LOOK, tape_sha256="cut"))
    assert (cut.repeated, cut.earlier, len(ledger.looks())) == (False, (), 2)


def test_trials_of_an_earlier_search_count_once_and_those_of_the_judged_one_not_again(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "looks.jsonl")
    ledger.record(LOOK)
    for name in ("a1", "a2"):
        ledger.record(replace(LOOK, params_sha256=name, search_sha256="a", trials=1200))
    ledger.record(replace(LOOK, params_sha256="b", search_sha256="b", trials=300))
    assert ledger.record(replace(LOOK, params_sha256="new")).earlier_trials == 1 + 1200 + 300
    inside = ledger.record(replace(LOOK, params_sha256="a3", search_sha256="a", trials=1200))
    assert inside.earlier_trials == 1 + 300 + 1
    assert ledger.record(LOOK).earlier_trials == 0


def test_a_backtest_of_what_a_search_chose_is_the_same_look_and_carries_its_trials(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "looks.jsonl")
    ledger.record(replace(LOOK, params_sha256="other"))
    chosen = replace(LOOK, search_sha256="a", trials=1200)
    assert ledger.record(chosen).look.number == 2
    alone = ledger.record(LOOK)
    assert (alone.look.number, alone.repeated, alone.earlier_trials, alone.total) == (2, True, 1 + 1200, 2)
    assert [one.params_sha256 for one in alone.earlier] == ["other"]
    again = ledger.record(LOOK)
    assert again == alone and len(ledger.looks()) == 3
    assert ledger.record(chosen).earlier_trials == 1, "and the search's own audit stays what it was"
    assert ledger.record(replace(LOOK, search_sha256="b", trials=50)).earlier_trials == 1 + 1200


@pytest.mark.parametrize("kept", [0, 1, 40])
def test_a_torn_last_line_is_no_look_and_harms_nothing(tmp_path: Path, kept: int) -> None:
    ledger = Ledger(tmp_path / "looks.jsonl")
    ledger.record(LOOK)
    whole = ledger.path.read_bytes()
    ledger.record(replace(LOOK, params_sha256="p2"))
    ledger.path.write_bytes(ledger.path.read_bytes()[: len(whole) + kept])
    assert [one.params_sha256 for one in ledger.looks()] == ["p1"]
    assert ledger.record(replace(LOOK, params_sha256="p3")).look.number == 2
    assert [one.params_sha256 for one in ledger.looks()] == ["p1", "p3"]


def test_every_torn_byte_of_a_new_line_is_tolerated(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "looks.jsonl")
    ledger.record(LOOK)
    whole = len(ledger.path.read_bytes())
    ledger.record(replace(LOOK, params_sha256="p2"))
    full = ledger.path.read_bytes()
    for end in range(whole, len(full)):
        ledger.path.write_bytes(full[:end])
        assert len(ledger.looks()) == 1, end


def test_an_altered_or_missing_line_is_named(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "looks.jsonl")
    for name in ("p1", "p2", "p3"):
        ledger.record(replace(LOOK, params_sha256=name))
    lines = ledger.path.read_text("utf-8").splitlines(keepends=True)
    altered = lines[1].replace('"p2"', '"p9"')
    ledger.path.write_text("".join([lines[0], altered, lines[2]]), "utf-8")
    with pytest.raises(BacktestInputError, match="altered before or in line 2"):
        ledger.looks()
    ledger.path.write_text("".join([lines[0], lines[2]]), "utf-8")
    with pytest.raises(BacktestInputError, match="altered before or in line 2"):
        ledger.record(LOOK)
    garbled = "x" + lines[1]
    ledger.path.write_text("".join([lines[0], garbled, lines[2]]), "utf-8")
    with pytest.raises(BacktestInputError, match="altered before or in line 3"):
        ledger.looks()


def test_a_ledger_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", "utf-8")
    with pytest.raises(BacktestInputError, match=r"the ledger .* cannot be written"):
        Ledger(tmp_path / "file" / "looks.jsonl").record(LOOK)


def test_a_writer_waits_for_the_one_before_it(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "looks.jsonl")
    ledger.record(LOOK)
    fd = os.open(ledger.path, os.O_RDWR)
    assert _try_lock(fd)
    done: list[Opened] = []
    writer = threading.Thread(target=lambda: done.append(ledger.record(replace(LOOK, params_sha256="p2"))))
    writer.start()
    writer.join(0.5)
    assert not done, "it must not write while another holds the ledger"
    _unlock(fd)
    os.close(fd)
    writer.join(30)
    assert [one.look.number for one in done] == [2]


def test_a_ledger_that_stays_held_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("strategies.mle.audit.ledger._WAIT_S", 0.05)
    ledger = Ledger(tmp_path / "looks.jsonl")
    ledger.record(LOOK)
    fd = os.open(ledger.path, os.O_RDWR)
    assert _try_lock(fd)
    with pytest.raises(BacktestInputError, match="is held by another writer"):
        ledger.record(replace(LOOK, params_sha256="p2"))
    os.close(fd)
    assert ledger.record(replace(LOOK, params_sha256="p2")).look.number == 2


WRITER = """
import sys
from dataclasses import replace
from pathlib import Path
from strategies.mle.audit.ledger import Ledger, Look
look = Look("", "tape", "", "MNQ", "2026-04-01", "2026-05-15", {})
for place in range(20):
    Ledger(Path(sys.argv[1])).record(replace(look, params_sha256=f"{sys.argv[2]}-{place % 15}"))
"""


def test_writers_of_several_processes_lose_and_double_nothing(tmp_path: Path) -> None:
    path = tmp_path / "looks.jsonl"
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(path), name]) for name in ("a", "b", "c")]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    looks = Ledger(path).looks()
    assert [one.number for one in looks] == list(range(1, 46))
    assert len({one.params_sha256 for one in looks}) == 45
    assert all(json.loads(line) for line in path.read_text("utf-8").splitlines())
