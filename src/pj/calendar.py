"""Tell when CME equity index futures trade: the daily halt, holidays, early closes, DST.

The schedule is computed by pandas_market_calendars ("CME Globex Equity"), corrected by the table
``config/session_overrides.yaml``, and written to a small file, once a day, in a process of its own
(``python -P -m pj.calendar``), so that no daemon process imports pandas. The daemon reads the file.
Beyond the days that the file covers the calendar answers closed, CALENDAR_HORIZON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import zlib
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from datetime import time as time_of_day
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from live.market import NS_PER_S
from live.trading_day import minute_of_day
from pj.settings_text import ConfigError, parse_yaml, read_text

LIBRARY_CALENDAR: Final = "CME Globex Equity"
CHICAGO: Final = ZoneInfo("America/Chicago")
OPEN_CT: Final = time_of_day(17, 0)
CLOSE_CT: Final = time_of_day(16, 0)
DAYS_BEFORE: Final = 14
DAYS_AFTER: Final = 42
#: Rebuild when fewer days than this are left, so that a weekend with holidays never meets the horizon.
DAYS_LEFT: Final = 14
FORMAT: Final = 2
FLAT_BEFORE_MIN: Final = 5


class CalendarError(RuntimeError):
    """Report a session file or override table that cannot be used; the market counts as closed."""


@dataclass(frozen=True, slots=True)
class Session:
    """Describe one trade date: it trades in [open_ns, close_ns); ``early`` = it closes before 16:00 Chicago."""

    trade_date: date
    open_ns: int
    close_ns: int
    early: bool = False


@dataclass(frozen=True, slots=True)
class Sessions:
    """Hold the schedule of some weeks; days in [first, through] without a session are closed days."""

    sessions: tuple[Session, ...]
    first: date
    through: date
    built_at: str = ""
    library: str = ""
    overrides_sha256: str = ""

    @classmethod
    def load(cls, path: Path) -> Sessions:
        """Return the schedule in the file; raise CalendarError naming file and remedy when it cannot be used."""
        try:
            return cls.from_json(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, KeyError, TypeError) as error:
            remedy = "no entry is sent without it; it is written again at the next start of the Sentinel"
            raise CalendarError(
                f"session file {path} cannot be used ({type(error).__name__}: {error}); {remedy}"
            ) from None

    @classmethod
    def from_json(cls, tree: Mapping[str, Any]) -> Sessions:
        """Return the schedule from the file's JSON; raise ValueError, KeyError or TypeError when malformed."""
        if tree["format"] != FORMAT:
            raise ValueError(f"format {tree['format']} is not {FORMAT}")
        if tree["crc32"] != _sum(tree):
            raise ValueError("its checksum does not fit: it was changed since it was written")
        rows = tuple(
            Session(date.fromisoformat(row["date"]), int(row["open_ns"]), int(row["close_ns"]), bool(row["early"]))
            for row in tree["sessions"]
        )
        edges = [edge for row in rows for edge in (row.open_ns, row.close_ns)]
        if not rows or edges != sorted(set(edges)):
            raise ValueError("its sessions are empty or overlap")
        return cls(
            rows,
            date.fromisoformat(tree["first"]),
            date.fromisoformat(tree["through"]),
            tree["built_at"],
            tree["library"],
            tree["overrides_sha256"],
        )

    def to_json(self) -> dict[str, Any]:
        """Return the file's JSON, which carries a checksum: one flipped digit could open a closed market."""
        tree = {
            "format": FORMAT,
            "calendar": LIBRARY_CALENDAR,
            "library": self.library,
            "built_at": self.built_at,
            "overrides_sha256": self.overrides_sha256,
            "first": self.first.isoformat(),
            "through": self.through.isoformat(),
            "sessions": [
                {"date": s.trade_date.isoformat(), "open_ns": s.open_ns, "close_ns": s.close_ns, "early": s.early}
                for s in self.sessions
            ],
        }
        return tree | {"crc32": _sum(tree)}

    def covers(self, ns: int) -> bool:
        """Tell whether the schedule knows about this moment."""
        return _chicago_ns(self.first - timedelta(days=1), OPEN_CT) <= ns < _chicago_ns(self.through, CLOSE_CT)

    def session_at(self, ns: int) -> Session | None:
        """Return the session that trades at ``ns`` (UTC); None when closed or unknown."""
        if not self.covers(ns):
            return None
        at = bisect_right(self.sessions, ns, key=lambda session: session.open_ns) - 1
        return self.sessions[at] if at >= 0 and ns < self.sessions[at].close_ns else None

    def is_open(self, ns: int) -> bool:
        """Tell whether the market trades at ``ns``; False where the schedule knows nothing."""
        return self.session_at(ns) is not None

    def trade_date_of(self, ns: int) -> date | None:
        """Return the trade date whose session trades at ``ns``; None when closed or unknown."""
        session = self.session_at(ns)
        return session.trade_date if session else None

    def seconds_to_close(self, ns: int) -> float:
        """Return the seconds until the running session closes; 0 when closed or unknown."""
        session = self.session_at(ns)
        return (session.close_ns - ns) / NS_PER_S if session else 0.0

    def next_open_ns(self, ns: int) -> int | None:
        """Return when the next session opens after ``ns``; None when the schedule does not reach it."""
        at = bisect_right(self.sessions, ns, key=lambda session: session.open_ns)
        return self.sessions[at].open_ns if self.covers(ns) and at < len(self.sessions) else None

    def early_close(self, trade_date: date) -> int | None:
        """Return when ``trade_date`` closes (ns UTC) if that is before the usual hour, else None."""
        return next((s.close_ns for s in self.sessions if s.trade_date == trade_date and s.early), None)

    def early_flats(self) -> dict[int, int]:
        """Return the minute of the trading day at which each early-closing date (ordinal) must be flat (pj1 S5.6).

        Five minutes before the last full half hour up to the close: 12:55 for closes at 13:00 and 13:15 ET, as
        16:55 is for 17:00.
        """
        half_hour = 30
        return {
            s.trade_date.toordinal(): minute_of_day(s.close_ns) // half_hour * half_hour - FLAT_BEFORE_MIN
            for s in self.sessions
            if s.early
        }

    def entry_refusal(self, ns: int, last_s: float) -> str:
        """Return why no entry may be sent at ``ns``, empty when one may.

        CALENDAR_HORIZON beyond the schedule, CALENDAR when closed or in the last ``last_s`` seconds.
        """
        if not self.covers(ns):
            return "CALENDAR_HORIZON"
        return "CALENDAR" if self.seconds_to_close(ns) <= last_s else ""


@dataclass(frozen=True, slots=True)
class Overrides:
    """Hold the corrections: trade date to time of close in Chicago, None = closed all day."""

    closes: Mapping[date, time_of_day | None]
    verified_through: date
    sha256: str


def read_overrides(path: Path) -> Overrides:
    """Return the override table; raise ConfigError naming file, line's key, value and what to write."""
    text = read_text(path)
    tree = parse_yaml(text, str(path))
    if not isinstance(tree, dict) or set(tree) != {"verified_through", "sessions"}:
        raise ConfigError(f"{path} must hold exactly the keys verified_through and sessions")
    closes = {
        _as_date(key, path): None if value == "closed" else _as_close(key, value, path)
        for key, value in (tree["sessions"] or {}).items()
    }
    import hashlib  # here: it brings OpenSSL, which the Sentinel does without

    sha256 = hashlib.sha256(text.encode()).hexdigest()
    return Overrides(closes, _as_date(tree["verified_through"], path), sha256)


def find_overrides(path: Path | None = None) -> Path:
    """Return the override table to use: ``path``, else the one that came with the program; raise ConfigError."""
    here = Path(__file__).resolve().parent
    shipped = (here / "session_overrides.yaml", here.parents[1] / "config" / "session_overrides.yaml")
    if path is not None and (path.is_file() or path.name != "session_overrides.yaml"):
        return path
    found = next((file for file in shipped if file.is_file()), None)
    if found is None:
        raise ConfigError(f"session_overrides names {path}, which is not there; correct the path in config.yaml")
    return found


def build_sessions(around_ns: int, overrides: Overrides) -> Sessions:
    """Return the schedule of the weeks around ``around_ns``. Imports pandas: never call it in a daemon process."""
    import pandas_market_calendars

    day = datetime.fromtimestamp(around_ns / NS_PER_S, tz=CHICAGO).date()
    through = min(day + timedelta(days=DAYS_AFTER), overrides.verified_through)
    first = min(day, through) - timedelta(days=DAYS_BEFORE)
    closes = library_closes(first, through)
    closes |= {day: close for day, close in overrides.closes.items() if first <= day <= through}
    return Sessions(
        tuple(_session(day, close) for day, close in sorted(closes.items()) if close is not None),
        first,
        through,
        datetime.now(tz=UTC).isoformat(timespec="seconds"),
        f"pandas_market_calendars {pandas_market_calendars.__version__}",
        overrides.sha256,
    )


def library_closes(first: date, through: date) -> dict[date, time_of_day | None]:
    """Return when each trade date of [first, through] closes in Chicago, by the library. Imports pandas."""
    import pandas_market_calendars

    frame = pandas_market_calendars.get_calendar(LIBRARY_CALENDAR).schedule(first.isoformat(), through.isoformat())
    return {stamp.date(): close.tz_convert(CHICAGO).time() for stamp, close in frame["market_close"].items()}


def builder_command(path: Path, around_ns: int, overrides: Path | None = None) -> list[str] | None:
    """Return the command that writes ``path`` anew; None when it already covers the two weeks after ``around_ns``.

    Raises ConfigError.
    """
    table = find_overrides(overrides)
    current = read_overrides(table)
    try:
        have = Sessions.load(path)
    except CalendarError:
        have = None  # absent or unusable: it is to be written anew
    if have is not None and have.overrides_sha256 == current.sha256 and _reaches(have, around_ns, current):
        return None
    return _module_command(path, around_ns, table)


def _module_command(path: Path, around_ns: int, table: Path) -> list[str]:
    around = datetime.fromtimestamp(around_ns / NS_PER_S, tz=UTC).isoformat()
    module = [sys.executable, "-P", "-m", "pj.calendar"]
    return [*module, "--out", str(path), "--around", around, "--overrides", str(table)]


def may_be_short(path: Path, around_ns: int) -> bool:
    """Tell whether ``path`` is unusable or does not cover the two weeks after ``around_ns``.

    For a caller that may not wait nor read YAML (the Sentinel's loop): ``check_command`` then decides and writes.
    """
    try:
        have = Sessions.load(path)
    except CalendarError:
        return True
    return not (have.covers(around_ns) and have.covers(around_ns + DAYS_LEFT * 86_400 * NS_PER_S))


def check_command(path: Path, around_ns: int, overrides: Path) -> list[str]:
    """Return the command that writes ``path`` anew where table and date ask for it, and leaves it alone otherwise."""
    return [*_module_command(path, around_ns, overrides), "--if-needed"]


def ensure_sessions(path: Path, around_ns: int, overrides: Path | None = None) -> Sessions:
    """Return the schedule in ``path``, having written it first if need be; waits for the builder process.

    Called before the children start. Raises ConfigError for a bad override table, CalendarError when the builder fails.
    """
    command = builder_command(path, around_ns, overrides)
    if command is None:
        return Sessions.load(path)
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=120, check=False, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CalendarError(f"the session builder could not run: {error}; start again") from None
    if done.returncode != 0:
        words = (done.stderr.strip() or "no message").splitlines()[-1]
        raise CalendarError(f"the session builder ended with code {done.returncode}: {words}")
    return Sessions.load(path)


def _sum(tree: Mapping[str, Any]) -> str:
    """Return the CRC-32 of the schedule's JSON without the sum itself."""
    rest = {name: value for name, value in tree.items() if name != "crc32"}
    return f"{zlib.crc32(json.dumps(rest, sort_keys=True).encode()):08x}"


def write_sessions(path: Path, sessions: Sessions) -> None:
    """Write the session file in one replacement."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.write_text(json.dumps(sessions.to_json(), indent=1) + "\n", encoding="utf-8")
    for attempt in range(20):
        try:
            fresh.replace(path)
        except PermissionError:  # Windows: a reader holds the old file for a moment
            if attempt == 19:
                fresh.unlink(missing_ok=True)
                raise
            time.sleep(0.05)
        else:
            return


def main(argv: Sequence[str] | None = None) -> int:
    """Write a session file: the builder process."""
    import argparse

    parser = argparse.ArgumentParser(prog="python -m pj.calendar", description="Write the schedule of some weeks.")
    parser.add_argument("--out", type=Path, required=True, help="the session file to write")
    parser.add_argument("--around", required=True, help="ISO time around which the weeks lie")
    parser.add_argument("--overrides", type=Path, help="the table of corrections")
    parser.add_argument("--if-needed", action="store_true", help="leave a file alone that covers two weeks")
    options = parser.parse_args(argv)
    try:
        around_ns = int(datetime.fromisoformat(options.around).timestamp()) * NS_PER_S
        if options.if_needed and builder_command(options.out, around_ns, options.overrides) is None:
            return 0
        write_sessions(options.out, build_sessions(around_ns, read_overrides(find_overrides(options.overrides))))
    except (ValueError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


def _session(trade_date: date, close: time_of_day) -> Session:
    return Session(
        trade_date,
        _chicago_ns(trade_date - timedelta(days=1), OPEN_CT),
        _chicago_ns(trade_date, close),
        early=close < CLOSE_CT,
    )


def _chicago_ns(day: date, at: time_of_day) -> int:
    return int(datetime.combine(day, at, CHICAGO).timestamp()) * NS_PER_S


def _reaches(have: Sessions, ns: int, overrides: Overrides) -> bool:
    """Tell whether the file needs no rebuilding: two weeks ahead, or as far as the table has been verified."""
    soon = ns + DAYS_LEFT * 86_400 * NS_PER_S
    as_far_as_known = have.through >= overrides.verified_through and ns >= _chicago_ns(have.first, OPEN_CT)
    return as_far_as_known or (have.covers(ns) and have.covers(soon))


def _as_date(value: Any, path: Path) -> date:
    try:
        return date.fromisoformat(str(value))
    except ValueError:
        raise ConfigError(f"{path}: {value!r} is not a date; write it like 2027-03-26") from None


def _as_close(key: Any, value: Any, path: Path) -> time_of_day:
    try:
        close = time_of_day.fromisoformat(str(value))
    except ValueError:
        raise ConfigError(f"{path}: {key} is {value!r}; write closed or the close in Chicago like 12:15") from None
    if close > CLOSE_CT:
        raise ConfigError(f"{path}: {key} closes at {value}, after the usual 16:00 Chicago; correct it")
    return close


if __name__ == "__main__":
    sys.exit(main())
