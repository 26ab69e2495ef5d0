"""Every state file torn at every byte, or with a bit flipped: a start succeeds or refuses with a sentence, never acts.

Journal, orders, placed orders and the human's statement have tests of their own; here are the others, each with what
its reader must do.
"""

from __future__ import annotations

import datetime as dt
import json
import os
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from live.market import INSTRUMENTS
from pj.calendar import CalendarError, Session, Sessions, builder_command, write_sessions
from pj.channels.alerts import Alert, AlertCode, raise_alert, read_alerts
from pj.channels.control import ControlCommand, ControlFile, ControlReader
from pj.channels.fence import Fence, FenceLost, grant, read_fence
from pj.channels.rundir import RunDir
from pj.channels.stats import StatsWriter, read_stats
from pj.channels.switches import DISARMED, KILL_SWITCH, entry_forbidden
from pj.sheets.streams import Cursor
from pj.sheets.watermarks import Marks, Watermarks, load, save
from pj.supervision.fencing import Birth, BirthRecord, OrphanTrouble, read_births


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    return RunDir(tmp_path, INSTRUMENTS["MNQ"]).create()


def torn(path: Path, start: int = 0) -> Iterator[bytes]:
    """Cut the file at every byte from ``start`` on and yield what is left; restore it at the end."""
    data = path.read_bytes()
    for cut in range(start, len(data)):
        path.write_bytes(data[:cut])
        yield data[:cut]
    path.write_bytes(data)


def flipped(path: Path) -> Iterator[int]:
    """Flip one bit of every byte in turn and yield which byte it was; restore the file at the end."""
    data = path.read_bytes()
    for at in range(len(data)):
        wrong = bytearray(data)
        wrong[at] ^= 1 << (at % 8)
        path.write_bytes(wrong)
        yield at
    path.write_bytes(data)


def test_a_torn_fence_is_valid_for_nobody_and_the_next_grant_is_higher(run: RunDir) -> None:
    assert [grant(run, "engine", name) for name in ("one", "two")] == [1, 2]
    path, record = run.state_folder / "engine.fence", run.state_folder / "engine.epochs"
    epochs = record.read_bytes()
    for left in torn(path):
        with pytest.raises(FenceLost):
            Fence(run, "engine", "two")
        assert grant(run, "engine", "three") == 3, left
        record.write_bytes(epochs)


def test_a_torn_record_of_epochs_gives_no_epoch_twice(run: RunDir) -> None:
    for name in ("one", "two"):
        grant(run, "engine", name)
    path, record = run.state_folder / "engine.fence", run.state_folder / "engine.epochs"
    fence, size = path.read_bytes(), record.read_bytes().find(b"\n") + 1
    for _ in torn(record, size):
        assert grant(run, "engine", "three") == 3
        path.write_bytes(fence)
    # A crash between the record and the fence: the record is torn and the fence is still the first one's.
    path.write_text(json.dumps({"epoch": 1, "instance": "one", "pid_of_granter": 1, "granted_ns": 1}))
    first = path.read_bytes()
    for left in torn(record, size):
        given = grant(run, "engine", "three")
        assert given >= 2, left
        assert given > 2 or b"2" not in left[size:], "an epoch that perhaps was granted is not given again"
        path.write_bytes(first)


def test_a_flipped_bit_in_the_fence_never_lets_a_second_holder_in(run: RunDir) -> None:
    grant(run, "engine", "one")
    mine = Fence(run, "engine", "one")
    fence = json.loads((run.state_folder / "engine.fence").read_bytes())
    for _ in flipped(run.state_folder / "engine.fence"):
        found = read_fence(run, "engine")
        told = None if found is None else (found.epoch, found.instance)
        assert mine.valid() is (told == (fence["epoch"], fence["instance"]))
        with pytest.raises(FenceLost):
            Fence(run, "engine", "two")
    assert mine.valid()


def test_a_flipped_bit_in_the_record_of_epochs_is_outvoted_by_the_fence(run: RunDir) -> None:
    for name in ("one", "two"):
        grant(run, "engine", name)
    path, record = run.state_folder / "engine.fence", run.state_folder / "engine.epochs"
    fence, data = path.read_bytes(), record.read_bytes()
    for at in flipped(record):
        wrong = record.read_bytes()
        assert grant(run, "engine", "three") > 2, at
        path.write_bytes(fence)
        record.write_bytes(wrong)
    assert record.read_bytes() == data


@pytest.mark.parametrize(("name", "word"), [("kill_switch", KILL_SWITCH), ("disarmed", DISARMED)])
def test_a_torn_switch_still_stands(run: RunDir, name: str, word: str) -> None:
    path: Path = getattr(run, name)
    path.write_text("halted by ann: looking at the account\n", encoding="utf-8")
    for _ in torn(path):
        assert entry_forbidden(run) == word
    for _ in flipped(path):
        assert entry_forbidden(run) == word


def test_torn_or_flipped_stats_say_nothing(run: RunDir) -> None:
    """Derived: such a file is STALE to the engine and a missed beat to the Sentinel, and the next beat replaces it."""
    path = run.state("bridge")
    writer = StatsWriter(path, "bridge", "x")
    writer.beat("RUNNING", market_data_type=3, server_offset_s=9, position=-1, ratio=0.5)
    for _ in torn(path):
        assert read_stats(path) is None
    for _ in flipped(path):
        assert read_stats(path) is None, "delayed data must not pass for live by one bit"
    writer.beat("RUNNING")
    found = read_stats(path)
    assert found is not None and found.beat_seq == 2 and "crc32" not in found.gauges


def test_torn_or_flipped_sheet_marks_are_no_marks(run: RunDir) -> None:
    path, at = run.state_folder / "sheets.json", Cursor(None, 120, 7)
    save(path, Watermarks("SHEET", {"RawTicks": Marks(3, at, at, Cursor())}, [1, 2]))
    assert load(path, "SHEET", ["RawTicks"]) is not None
    size = path.stat().st_size
    for left in torn(path):
        found = load(path, "SHEET", ["RawTicks"])
        assert found is None or len(left) == size - 1, "only the newline behind the checksum may be missing"
    for byte in flipped(path):
        found = load(path, "SHEET", ["RawTicks"])
        assert found is None or byte == size - 1


def test_a_torn_or_flipped_record_of_children_is_trusted_only_if_the_machine_was_started_since(run: RunDir) -> None:
    path = run.state_folder / "children.json"
    record = BirthRecord(path)
    record.update([("engine", os.getpid(), "token")])
    whole = read_births(path)
    assert [birth.pid for birth in whole] == [os.getpid()]
    old = psutil.boot_time() - 3600
    for _ in torn(path):
        with pytest.raises(OrphanTrouble, match="then remove the file"):
            read_births(path)
        os.utime(path, (old, old))
        assert read_births(path) == []
    for _ in flipped(path):
        with pytest.raises(OrphanTrouble, match="then remove the file"):
            read_births(path)
    os.utime(path, (old, old))
    assert isinstance(read_births(path)[0], Birth), "a whole record counts whatever its age"


def test_a_torn_control_row_loses_only_itself(run: RunDir) -> None:
    control = ControlFile(run.control)
    control.send("halt", ["a"], sender="ann", ts_ns=1)
    size = run.control.stat().st_size
    control.send("resume", [], sender="bob", ts_ns=2)
    for left in torn(run.control, size):
        control.send("arm", [], sender="cy", ts_ns=3)
        verbs = [row.verb for row in control.rows() if isinstance(row, ControlCommand)]
        # All bytes but the newline are a whole row: closing it by a newline gives it back.
        assert verbs in (["halt", "arm"], ["halt", "resume", "arm"]), left
        assert verbs == ["halt", "arm"] or left.endswith(b"}")


def test_a_flipped_bit_in_the_control_file_makes_no_command(run: RunDir) -> None:
    control = ControlFile(run.control)
    for verb in ("halt", "arm", "resume"):
        control.send(verb, ["a"], sender="ann", ts_ns=1)
    control.answer("7", ok=False, text="no", ts_ns=2)
    written = control.rows()
    data = run.control.read_bytes()
    for at in flipped(run.control):
        reader = ControlReader(run.control, from_end=False)
        found = reader.poll()
        lost = {data[:at].count(10)} | ({data[:at].count(10) + 1} if data[at] == 10 else set())
        assert found == [row for number, row in enumerate(written) if number not in lost], at
        assert reader.bad + (at == len(data) - 1) >= 1
        reader.close()


def test_a_flipped_alert_is_told_as_lost_and_never_as_another(run: RunDir) -> None:
    for number, name in enumerate(("engine", "bridge", "scribe")):
        raise_alert(run.alerts, Alert(number, "LEFT", name, "it ended"))
    whole = read_alerts(run.alerts)
    for at in flipped(run.alerts):
        found = read_alerts(run.alerts)
        kept = [alert for alert in found if alert.code != AlertCode.UNREADABLE]
        assert all(alert in whole for alert in kept) and len(kept) >= 1
        (lost,) = (alert for alert in found if alert.code == AlertCode.UNREADABLE)
        assert "from the end of" in lost.text and "is damaged" in lost.text, at


def test_a_torn_alert_loses_only_itself(run: RunDir) -> None:
    raise_alert(run.alerts, Alert(1, "LEFT", "engine", "it ended"))
    size = run.alerts.stat().st_size
    raise_alert(run.alerts, Alert(2, "LEFT", "bridge", "it ended"))
    for left in torn(run.alerts, size):
        raise_alert(run.alerts, Alert(3, "LEFT", "scribe", "it ended"))
        names = [alert.name or alert.code for alert in read_alerts(run.alerts)]
        if left.endswith(b'"}'):  # all but the newline was there: it is closed by one
            assert names == ["engine", "bridge", "scribe"]
        else:
            assert names == ["engine", *(["UNREADABLE"] if len(left) > size else []), "scribe"]


def test_a_torn_or_flipped_schedule_opens_no_market_and_is_built_anew(run: RunDir) -> None:
    path, open_ns = run.session_file, 1_795_000_000 * 1_000_000_000
    day = Session(dt.date(2026, 11, 18), open_ns, open_ns + 3_600_000_000_000)
    sessions = Sessions((day,), dt.date(2026, 11, 17), dt.date(2026, 11, 19), "now", "library", "sum")
    write_sessions(path, sessions)
    size = path.stat().st_size
    for left in torn(path):
        if len(left) < size - 1:  # the newline at the end is no part of it
            with pytest.raises(CalendarError, match="no entry is sent without it"):
                Sessions.load(path)
            assert builder_command(path, open_ns) is not None
    for at in flipped(path):
        kept = path.read_bytes()[at : at + 1].isspace()  # blanks between the fields say nothing
        if kept and _loads(path):
            assert Sessions.load(path) == sessions
            continue
        with pytest.raises(CalendarError, match=r"sessions\.json cannot be used"):
            Sessions.load(path)
        assert builder_command(path, open_ns) is not None


def _loads(path: Path) -> bool:
    try:
        Sessions.load(path)
    except CalendarError:
        return False
    return True
