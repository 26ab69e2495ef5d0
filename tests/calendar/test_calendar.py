"""The calendar against facts typed in from CME notices and press reports; none is computed here."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import date, datetime
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from pj.calendar import (
    CalendarError,
    Sessions,
    build_sessions,
    builder_command,
    ensure_sessions,
    find_overrides,
    main,
    read_overrides,
)
from pj.config import ConfigError

ET = ZoneInfo("America/New_York")
OVERRIDES = read_overrides(find_overrides())


def ns(text: str) -> int:
    """Return the UTC ns of an ET wall time."""
    return int(datetime.fromisoformat(text).replace(tzinfo=ET).timestamp()) * 1_000_000_000


@cache
def around(text: str) -> Sessions:
    return build_sessions(ns(f"{text} 12:00"), OVERRIDES)


@pytest.mark.parametrize(
    ("moment", "trade_date"),
    [
        # Thanksgiving week 2026: 12:00 and 12:15 Chicago.
        ("2026-11-25 16:59", "2026-11-25"),
        ("2026-11-25 17:00", None),
        ("2026-11-26 12:30", "2026-11-26"),
        ("2026-11-26 13:00", None),
        ("2026-11-26 18:30", "2026-11-27"),
        ("2026-11-27 13:10", "2026-11-27"),
        ("2026-11-27 13:20", None),
        # The daily halt and the weekend.
        ("2026-11-20 16:59", "2026-11-20"),
        ("2026-11-20 17:30", None),
        ("2026-11-21 12:00", None),
        ("2026-11-22 17:59", None),
        ("2026-11-22 18:00", "2026-11-23"),
        # Christmas: early close on the eve, closed on the day, open again in the evening.
        ("2026-12-24 13:14", "2026-12-24"),
        ("2026-12-24 13:15", None),
        ("2026-12-24 18:30", None),
        ("2026-12-25 12:00", None),
        ("2026-12-27 18:00", "2026-12-28"),
        ("2026-12-31 18:30", None),
        ("2027-01-03 18:00", "2027-01-04"),
        # Good Friday: 08:15 Chicago with the jobs report, closed without it; the day before is whole.
        ("2026-04-03 09:14", "2026-04-03"),
        ("2026-04-03 09:15", None),
        ("2025-04-17 16:59", "2025-04-17"),
        ("2025-04-17 18:30", None),
        ("2025-04-18 08:00", None),
        ("2025-04-20 18:00", "2025-04-21"),
        ("2027-03-26 08:00", None),
        # Day of mourning: 08:30 Chicago; the next trade date opens as ever.
        ("2025-01-09 09:29", "2025-01-09"),
        ("2025-01-09 09:30", None),
        ("2025-01-09 18:00", "2025-01-10"),
        # Holidays that close at 12:00 Chicago and open again for the next trade date.
        ("2026-01-19 12:59", "2026-01-19"),
        ("2026-01-19 13:00", None),
        ("2026-01-19 18:00", "2026-01-20"),
        ("2026-06-19 13:00", None),
        ("2026-07-03 12:59", "2026-07-03"),
        ("2026-07-03 13:00", None),
    ],
)
def test_golden_moments(moment: str, trade_date: str | None) -> None:
    sessions = around(moment[:10])
    found = sessions.trade_date_of(ns(moment))
    assert (found.isoformat() if found else None) == trade_date
    assert sessions.is_open(ns(moment)) is (trade_date is not None)


@pytest.mark.parametrize(
    ("day", "open_utc"),
    [
        ("2026-03-06", "2026-03-05T23:00:00+00:00"),
        ("2026-03-09", "2026-03-08T22:00:00+00:00"),
        ("2026-10-30", "2026-10-29T22:00:00+00:00"),
        ("2026-11-02", "2026-11-01T23:00:00+00:00"),
    ],
)
def test_opens_follow_daylight_saving(day: str, open_utc: str) -> None:
    session = next(s for s in around(day).sessions if s.trade_date.isoformat() == day)
    assert session.open_ns == int(datetime.fromisoformat(open_utc).timestamp()) * 1_000_000_000


def test_2026_has_259_sessions() -> None:
    days: set[date] = set()
    for month in range(1, 13):
        days |= {s.trade_date for s in around(f"2026-{month:02}-15").sessions if s.trade_date.year == 2026}
    assert len(days) == 259
    assert not days & {date(2026, 1, 1), date(2026, 12, 25)}


def test_questions_about_a_running_session() -> None:
    sessions = around("2026-11-26")
    assert sessions.seconds_to_close(ns("2026-11-26 12:59:30")) == 30
    assert sessions.seconds_to_close(ns("2026-11-26 13:30")) == 0
    assert sessions.next_open_ns(ns("2026-11-26 13:30")) == ns("2026-11-26 18:00")
    assert sessions.early_close(date(2026, 11, 26)) == ns("2026-11-26 13:00")
    assert sessions.early_close(date(2026, 11, 25)) is None
    assert sessions.entry_refusal(ns("2026-11-26 12:58:59"), 60) == ""
    assert sessions.entry_refusal(ns("2026-11-26 12:59"), 60) == "CALENDAR"
    assert sessions.entry_refusal(ns("2026-11-26 13:30"), 0) == "CALENDAR"


@pytest.mark.parametrize("moment", ["2026-10-01 12:00", "2027-03-01 12:00"])
def test_beyond_the_file_it_is_closed(moment: str) -> None:
    sessions = around("2026-11-26")
    assert not sessions.is_open(ns(moment))
    assert sessions.next_open_ns(ns(moment)) is None
    assert sessions.entry_refusal(ns(moment), 60) == "CALENDAR_HORIZON"


def test_beyond_what_was_verified_it_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "sessions.json"
    late = ns("2031-05-05 12:00")
    sessions = ensure_sessions(path, late)
    assert sessions.entry_refusal(late, 60) == "CALENDAR_HORIZON"
    assert sessions.through == date(2027, 12, 31)
    stamp = path.stat().st_mtime_ns
    ensure_sessions(path, late)
    assert path.stat().st_mtime_ns == stamp, "a date beyond all knowledge does not rebuild each time"


def test_the_file_is_built_once_and_again_when_needed(tmp_path: Path) -> None:
    path = tmp_path / "a state" / "sessions.json"
    table = tmp_path / "session_overrides.yaml"
    table.write_text("verified_through: 2027-12-31\nsessions:\n", encoding="utf-8")
    first = ensure_sessions(path, ns("2026-11-20 12:00"), table)
    assert Sessions.load(path) == first
    stamp = path.stat().st_mtime_ns
    ensure_sessions(path, ns("2026-12-02 12:00"), table)
    assert path.stat().st_mtime_ns == stamp
    table.write_text('verified_through: 2027-12-31\nsessions:\n  2026-11-24: "10:00"\n', encoding="utf-8")
    corrected = ensure_sessions(path, ns("2026-11-20 12:00"), table)
    assert corrected.early_close(date(2026, 11, 24)) == ns("2026-11-24 11:00")
    assert builder_command(path, ns("2026-11-20 12:00"), table) is None
    path.write_text('{"format": 1, "sessions"', encoding="utf-8")
    assert ensure_sessions(path, ns("2026-11-20 12:00"), table).sessions == corrected.sessions


def test_reading_the_file_needs_no_pandas(tmp_path: Path) -> None:
    path = tmp_path / "sessions.json"
    assert main(["--out", str(path), "--around", "2026-11-20T12:00:00+00:00"]) == 0
    code = (
        "import sys; from pathlib import Path; from pj.calendar import Sessions;"
        "assert Sessions.load(Path(sys.argv[1])).sessions; assert not {'pandas', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-P", "-c", code, str(path)], check=True, timeout=60)


@pytest.mark.parametrize("damage", ["empty", "format", "overlap", "none"])
def test_a_damaged_file_is_refused(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "sessions.json"
    tree = around("2026-11-20").to_json()
    if damage == "empty":
        tree["sessions"] = []
    elif damage == "format":
        tree["format"] = 7
    elif damage == "overlap":
        tree["sessions"][3]["close_ns"] = tree["sessions"][4]["open_ns"] + 1
    path.write_text("" if damage == "none" else json.dumps(tree), encoding="utf-8")
    with pytest.raises(CalendarError, match=r"sessions\.json cannot be used"):
        Sessions.load(path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("sessions: {}", "verified_through"),
        ("verified_through: soon\nsessions: {}", "'soon' is not a date"),
        ("verified_through: 2027-12-31\nsessions:\n  2026-13-01: closed", "'2026-13-01' is not a date"),
        ("verified_through: 2027-12-31\nsessions:\n  2026-11-24: early", "2026-11-24 is 'early'"),
        ('verified_through: 2027-12-31\nsessions:\n  2026-11-24: "17:30"', "after the usual 16:00"),
        ("verified_through: 2027-12-31\nsessions:\n  2026-11-24: closed\n  2026-11-24: closed", "stands twice"),
    ],
)
def test_a_bad_override_table_is_refused(tmp_path: Path, text: str, words: str) -> None:
    table = tmp_path / "table.yaml"
    table.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=words):
        ensure_sessions(tmp_path / "sessions.json", ns("2026-11-20 12:00"), table)
    assert not (tmp_path / "sessions.json").exists()


def test_a_missing_table_that_was_named_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"mine\.yaml cannot be read"):
        ensure_sessions(tmp_path / "sessions.json", ns("2026-11-20 12:00"), tmp_path / "mine.yaml")
    assert find_overrides(tmp_path / "session_overrides.yaml").is_file(), (
        "the default name falls back to the shipped table"
    )


@pytest.mark.parametrize(
    ("file", "day", "last_bar"),
    [
        ("nq_1m_2025-01_2025-06.parquet", "2025-01-09", "2025-01-09 09:29"),
        ("nq_1m_2025-01_2025-06.parquet", "2025-04-17", "2025-04-17 16:59"),
        ("mnq_1m_2026-03_2026-05.parquet", "2026-04-03", "2026-04-03 09:14"),
        ("nq_1m_2025-01_2025-06.parquet", "2025-05-26", "2025-05-26 12:59"),
    ],
)
def test_real_prices_end_where_the_calendar_says(market_data: Path, file: str, day: str, last_bar: str) -> None:
    import pyarrow.parquet as pq

    stamps = pq.read_table(market_data / file, columns=["ts"]).column("ts").to_pylist()
    real = [int(ts.timestamp()) * 1_000_000_000 for ts in stamps]
    evening, noon_after = ns(f"{day} 00:00") - 6 * 3600 * 10**9, ns(f"{day} 17:30")
    inside = [ts for ts in real if evening <= ts < noon_after]
    assert max(inside) == ns(last_bar), "the fact that the calendar is held against"
    session = next(s for s in around(day).sessions if s.trade_date.isoformat() == day)
    assert session.close_ns == ns(last_bar) + 60 * 10**9


@pytest.mark.parametrize(
    ("day", "flat"),
    [("2026-11-27", "12:55"), ("2026-01-19", "12:55"), ("2026-04-03", "08:55"), ("2025-01-09", "09:25")],
)
def test_early_dates_are_flat_before_the_close(day: str, flat: str) -> None:
    hours, minutes = map(int, flat.split(":"))
    minute = (hours * 60 + minutes - 18 * 60) % 1440
    assert around(day).early_flats()[date.fromisoformat(day).toordinal()] == minute


def test_whole_dates_have_no_early_flat() -> None:
    assert date(2026, 11, 25).toordinal() not in around("2026-11-27").early_flats()
