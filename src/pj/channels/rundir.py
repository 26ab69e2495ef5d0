"""Name every path of the run folder, so that no other module builds one.

``data/run/<trade date>/`` holds a day, ``state/`` what is true now, ``logs/`` the logs, ``simulators/`` their ledgers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from live.market import Instrument
from live.trading_day import trade_date

_DAY_NAME = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


@dataclass(frozen=True, slots=True)
class DayPaths:
    """Name the files of one CME trade date; nothing here touches the disk but ``create``."""

    trade_date: date
    folder: Path

    @property
    def ticks(self) -> Path:
        """Return the bridge's raw record."""
        return self.folder / "live_ticks.csv"

    @property
    def market(self) -> Path:
        """Return the causal channel that the engine tails."""
        return self.folder / "live_market_data.csv"

    @property
    def history(self) -> Path:
        """Return the 1-minute bars that the bridge fetched at its start."""
        return self.folder / "history.csv"

    @property
    def bars(self) -> Path:
        """Return the engine's closed bars."""
        return self.folder / "bars.csv"

    @property
    def orders(self) -> Path:
        """Return the engine's outbox to the bridge (ibkr route)."""
        return self.folder / "orders.jsonl"

    @property
    def broker_events(self) -> Path:
        """Return fills, order states and positions as the broker reports them."""
        return self.folder / "broker_events.csv"

    @property
    def journal(self) -> Path:
        """Return the engine's hash-chained journal."""
        return self.folder / "journal.jsonl"

    @property
    def trades(self) -> Path:
        """Return the closed trades."""
        return self.folder / "trades.csv"

    @property
    def late_ticks(self) -> Path:
        """Return the ticks that came after their minute had closed."""
        return self.folder / "late_ticks.csv"

    @property
    def rejected_ticks(self) -> Path:
        """Return the messages that failed a check, with the reason."""
        return self.folder / "rejected_ticks.csv"

    def create(self) -> DayPaths:
        """Make the folder if it is missing and return self."""
        self.folder.mkdir(parents=True, exist_ok=True)
        return self


@dataclass(frozen=True, slots=True)
class RunDir:
    """Name the paths of one run folder of one instrument."""

    root: Path
    instrument: Instrument

    def day(self, day: date) -> DayPaths:
        """Return the paths of one trade date (the folder need not exist)."""
        return DayPaths(day, self.root / day.isoformat())

    def day_at(self, ns: int) -> DayPaths:
        """Return the paths of the trade date that ``ns`` (UTC) belongs to (pj1 S1.2)."""
        return self.day(trade_date(ns))

    def days(self) -> list[date]:
        """Return the trade dates that have a folder, oldest first."""
        if not self.root.is_dir():
            return []
        names = (entry.name for entry in self.root.iterdir() if _DAY_NAME.fullmatch(entry.name))
        return sorted(day for day in map(_date_or_none, names) if day is not None)

    def state(self, name: str) -> Path:
        """Return the stats file of a process (``bridge`` -> ``state/bridge.stats.json``)."""
        return self.state_folder / f"{name}.stats.json"

    @property
    def state_folder(self) -> Path:
        """Return the folder of what is true now."""
        return self.root / "state"

    @property
    def control(self) -> Path:
        """Return the command file."""
        return self.state_folder / "control.jsonl"

    @property
    def kill_switch(self) -> Path:
        """Return the file whose existence stops entries."""
        return self.state_folder / "KILL_SWITCH"

    @property
    def disarmed(self) -> Path:
        """Return the file whose existence keeps a live start from sending entries until ``pj arm``."""
        return self.state_folder / "DISARMED"

    @property
    def position(self) -> Path:
        """Return what a human last stated of the account's position."""
        return self.state_folder / "position.json"

    @property
    def alerts(self) -> Path:
        """Return the alerts for a person, one JSON object per line."""
        return self.state_folder / "alerts.jsonl"

    @property
    def flatten_log(self) -> Path:
        """Return the record of every step that ``pj flatten`` took, one JSON object per line."""
        return self.state_folder / "flatten.jsonl"

    @property
    def report(self) -> Path:
        """Return what a demo said of itself at its end."""
        return self.root / "report.json"

    @property
    def session_file(self) -> Path:
        """Return the trading schedule that the calendar wrote."""
        return self.state_folder / "sessions.json"

    @property
    def logs(self) -> Path:
        """Return the folder of logs."""
        return self.root / "logs"

    @property
    def simulators(self) -> Path:
        """Return the folder of the simulators' ledgers."""
        return self.root / "simulators"

    def create(self) -> RunDir:
        """Make the folders every run has and return self."""
        for folder in (self.root, self.state_folder, self.logs, self.simulators):
            folder.mkdir(parents=True, exist_ok=True)
        return self


def _date_or_none(name: str) -> date | None:
    try:
        return date.fromisoformat(name)
    except ValueError:  # a folder that merely looks like a date is not ours
        return None
