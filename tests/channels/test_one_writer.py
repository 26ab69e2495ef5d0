"""Every file that one process alone may write refuses a second writer, in another process, with a sentence."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Protocol

import pytest

from live.market import INSTRUMENTS
from live.records import TRADE_COLUMNS
from pj.channels.csvlog import CsvLog
from pj.channels.files import Locked, lock_file
from pj.channels.formats import BAR_COLUMNS, BROKER_EVENT_COLUMNS, LATE_COLUMNS, REJECTED_COLUMNS
from pj.channels.journal import open_journal
from pj.channels.rundir import DayPaths, RunDir
from pj.channels.tape import TapeWriter

MNQ = INSTRUMENTS["MNQ"]
DAY = date(2026, 4, 15)
SECOND = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from test_one_writer import MNQ, DAY, WRITERS
from pj.channels.files import Locked
from pj.channels.rundir import RunDir
run = RunDir(Path(sys.argv[1]), MNQ)
try:
    WRITERS[sys.argv[2]](run, run.day(DAY))
except Locked as refusal:
    sys.exit(str(refusal))
"""


class Writer(Protocol):
    """Hold a file."""

    def close(self) -> None:
        """Give it back."""
        ...


WRITERS: dict[str, Callable[[RunDir, DayPaths], Writer]] = {
    "live_ticks.csv": lambda _run, day: TapeWriter(day.ticks, MNQ, raw=True, lock_wait_s=0.1),
    "live_market_data.csv": lambda _run, day: TapeWriter(day.market, MNQ, lock_wait_s=0.1),
    "journal.jsonl": lambda run, day: open_journal(run, day, 0.1),
    "bars.csv": lambda _run, day: CsvLog(day.bars, BAR_COLUMNS, lock_wait_s=0.1),
    "trades.csv": lambda _run, day: CsvLog(day.trades, TRADE_COLUMNS, lock_wait_s=0.1),
    "broker_events.csv": lambda _run, day: CsvLog(day.broker_events, BROKER_EVENT_COLUMNS, lock_wait_s=0.1),
    "late_ticks.csv": lambda _run, day: CsvLog(day.late_ticks, LATE_COLUMNS, lock_wait_s=0.1),
    "rejected_ticks.csv": lambda _run, day: CsvLog(day.rejected_ticks, REJECTED_COLUMNS, lock_wait_s=0.1),
}


def second(run: RunDir, name: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-c", SECOND, str(run.root), name, str(Path(__file__).parent)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("name", WRITERS)
def test_a_second_writer_is_refused_while_the_first_lives(tmp_path: Path, name: str) -> None:
    run = RunDir(tmp_path / "run", MNQ).create()
    day = run.day(DAY).create()
    first = WRITERS[name](run, day)
    try:
        path = day.folder / name
        before = path.read_bytes()
        refused = second(run, name)
        assert refused.returncode == 1
        assert refused.stderr.strip() == (
            f"{path} is held by another writer; stop that process first (pj status names it)"
        )
        assert path.read_bytes() == before
        with pytest.raises(Locked):  # and in the same process too
            WRITERS[name](run, day)
    finally:
        first.close()
    assert second(run, name).returncode == 0


def test_a_second_scribe_is_refused_before_it_touches_marks_or_sheet(tmp_path: Path) -> None:
    run = RunDir(tmp_path / "run", MNQ).create()
    (tmp_path / "config.yaml").write_text("profile: sim\n")
    env = {name: value for name, value in os.environ.items() if not name.startswith("PJ_")}
    env |= {"PJ_CONFIG": str(tmp_path / "config.yaml"), "PJ__RUN_DIR": str(run.root)}
    env |= {"PJ__SHEETS__ENABLED": "true", "PJ__SHEETS__SPREADSHEET_ID": "sheet"}
    env |= {"PJ__SHEETS__SERVICE_ACCOUNT_FILE": str(tmp_path / "no-key.json")}
    command = [sys.executable, "-P", "-m", "pj.processes.dashboard_logger"]
    with lock_file(run.state_folder / "sheets.lock"):
        scribe = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert scribe.returncode == 1
    assert "sheets.lock is held by another writer; stop that process first" in scribe.stderr
    assert not (run.state_folder / "sheets.json").exists()
