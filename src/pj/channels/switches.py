"""Read the two files that forbid entries: KILL_SWITCH (thrown by anyone) and DISARMED (live, until ``pj arm``).

Who is about to send an entry asks here, immediately before the bytes leave, and asks the disk each time: the switch
must work when the process that should have noticed it hangs. What cannot be read counts as thrown.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from pj.channels.files import open_shared
from pj.channels.rundir import RunDir

KILL_SWITCH: Final = "KILL_SWITCH"
DISARMED: Final = "DISARMED"
UNREADABLE: Final = "KILL_SWITCH_UNREADABLE"
READ_BYTES: Final = 500


def entry_forbidden(run_dir: RunDir) -> str:
    """Return why no entry may leave now (KILL_SWITCH, DISARMED, KILL_SWITCH_UNREADABLE), empty when one may."""
    try:
        if not run_dir.state_folder.is_dir():
            return UNREADABLE  # a run folder that is gone cannot hold a switch: nobody could stop us
        if _stands(run_dir.kill_switch):
            return KILL_SWITCH
        return DISARMED if _stands(run_dir.disarmed) else ""
    except OSError:
        return UNREADABLE


def halts(run_dir: RunDir) -> tuple[str, ...]:
    """Return one reason, in words, for each switch that stands, empty when entries are allowed."""
    if not entry_forbidden(run_dir):
        return ()
    found = ((path.name, _first_line(path)) for path in (run_dir.kill_switch, run_dir.disarmed))
    return tuple(words or name for name, words in found if words is not None) or (UNREADABLE,)


def _first_line(path: Path) -> str | None:
    """Return the file's first line, '' when it is empty or unreadable, None when it is not there."""
    try:
        with open_shared(path) as file:
            return " ".join(file.read(READ_BYTES).decode("utf-8", "replace").split("\n")[0].split())
    except FileNotFoundError:
        return None
    except OSError:
        return ""


def _stands(path: Path) -> bool:
    """Return whether something has that name; raise OSError when the folder does not let us know."""
    try:
        os.lstat(path)
    except FileNotFoundError:
        return False
    return True
