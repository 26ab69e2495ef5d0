"""What forbids entries, in words."""

from __future__ import annotations

from pathlib import Path

from live.market import INSTRUMENTS
from pj.channels.rundir import RunDir
from pj.channels.switches import KILL_SWITCH, UNREADABLE, entry_forbidden, halts


def test_every_switch_that_stands_gives_its_reason(tmp_path: Path) -> None:
    folder = RunDir(tmp_path / "run", INSTRUMENTS["MNQ"]).create()
    assert halts(folder) == ()
    folder.kill_switch.write_text("news (by pj halt)\nmore\n")
    folder.disarmed.write_text("")
    assert halts(folder) == ("news (by pj halt)", "DISARMED")
    folder.kill_switch.unlink()
    folder.disarmed.unlink()
    folder.kill_switch.mkdir()  # somebody's mistake forbids as well
    assert entry_forbidden(folder) == KILL_SWITCH
    assert halts(folder) == (KILL_SWITCH,)


def test_a_run_folder_that_is_gone_forbids(tmp_path: Path) -> None:
    assert halts(RunDir(tmp_path / "gone", INSTRUMENTS["MNQ"])) == (UNREADABLE,)
