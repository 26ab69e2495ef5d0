"""Prove the frames: golden text at both sizes, every fact in its place, unknown never shown as zero.

``python -P tests/dashboard/refresh_golden.py`` writes the golden files anew; read the difference before committing it.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from rich.text import Text

sys.path.insert(0, str(Path(__file__).parent))
from scene import ENGINE, RUN_NS, scene, view

from pj.channels.alerts import Alert, OpenAlerts
from pj.dashboard import words
from pj.dashboard.app import picture, text
from pj.dashboard.audit import TickCount
from pj.dashboard.frame import frame_lines
from pj.dashboard.sections import entries_words, position_words
from pj.dashboard.state import DashboardState, View

GOLDEN = Path(__file__).parent / "golden"
NOTHING = {
    name: View(name, None, None, 5.0) for name in ("sentinel", "bridge", "engine", "scribe", "dashboard", "gateway")
}
SCENES = {
    "healthy": scene(),
    "nothing": scene(views=NOTHING, ticks=None, sentinel_lines=(), keys=False),
    "trouble": scene(
        killed="news (by test)",
        views={
            "bridge": view("bridge", age_s=42, phase="CONNECTING", connected=False, position=None, last_price=None),
            "engine": view("engine", day_pnl_cents=-45000, entries_blocked="STALE"),
            "scribe": NOTHING["scribe"],
        },
        ticks=TickCount(delivered=10_000, taped=9_999, quarantined=0, missing=1),
    ),
}


@pytest.mark.parametrize("size", [(80, 24), (160, 50)])
@pytest.mark.parametrize("name", SCENES)
def test_frames_equal_the_golden_text(name: str, size: tuple[int, int]) -> None:
    golden = GOLDEN / f"{name}_{size[0]}x{size[1]}.txt"
    assert text(SCENES[name], size) == golden.read_text(encoding="utf-8")


@pytest.mark.parametrize("size", [(80, 24), (160, 50), (40, 10), (79, 23), (120, 36), (119, 35), (250, 70), (81, 25)])
@pytest.mark.parametrize("name", SCENES)
def test_every_line_has_the_width_and_no_frame_is_too_tall(name: str, size: tuple[int, int]) -> None:
    lines = frame_lines(SCENES[name], *size)
    assert {len(line) for line in lines} == {size[0]}
    assert len(lines) <= size[1]
    assert all("\n" not in line.plain for line in lines)


@pytest.mark.parametrize("size", [(80, 24), (160, 50)])
def test_every_fact_is_present_at_both_sizes(size: tuple[int, int]) -> None:
    shown = text(scene(), size)
    for fact in [
        "MNQM6", "profile sim", "route traderspost", "2026-04-15 09:31:05 ET", "25,001.25", "25,001.00 / 25,001.50",
        "0.4 s old",
        "connected, data real-time", "ASIAH", "25,010.50", "SWEPT", "+9.25", "-16.25", "RECLAIMED",
        "+2 at 24,990.50  confirmed", "+$43.00", "-$120.00", "2, losses in a row 1", "24,970.25 / 25,031.00",
        "$120.00 of $450.00", "2 of 6",
        "3 of 30",
        "3, refused 2", "allowed", "sentinel", "bridge", "engine", "scribe", "dashboard", "RUNNING", "12,340",
        "12,342 arrived of 12,342",
        "quarantined 2", "0.000 % (0)", "12,400 verified of 12,480", "100 unverified", "TRADE +2 at 24990.5",
        "RESTART name=bridge",
        "h halt  r resume  q close",
    ]:  # fmt: skip
        assert fact in shown, fact


def test_nothing_known_shows_no_number_and_no_zero() -> None:
    shown = text(SCENES["nothing"], (160, 50)).replace("2026-04-15 09:31:05 ET x60", "")
    assert not re.search(r"\d", shown.replace("p50", "").replace("p99", ""))
    assert shown.count("unknown") > 20
    assert "NOT RUNNING (Sentinel no data)" in shown


STATED = {"qty": 2, "by": "ann", "age_s": 190.0, "stale": False, "trouble": ""}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, "+2 at 24,990.50  confirmed"),
        ({"route": "paper"}, "+2 at 24,990.50  simulated"),
        ({"position_source": "none"}, "+2 at 24,990.50  UNVERIFIED (no source)"),
        ({"position_source": "manual"}, "+2 at 24,990.50  UNVERIFIED (nothing stated)"),
        (
            {"position_source": "manual", "views": {"engine": view("engine", position_stated=STATED)}},
            "+2 at 24,990.50  stated by ann 3 min ago",
        ),
        (
            {
                "position_source": "manual",
                "views": {"engine": view("engine", position_stated=STATED | {"stale": True})},
            },
            "+2 at 24,990.50  UNVERIFIED (stated by ann 3 min ago, before the last order)",
        ),
        ({"views": {"bridge": view("bridge", position=1)}}, "+2 at 24,990.50  MISMATCH: broker +1"),
        ({"views": {"bridge": view("bridge", position=None)}}, "+2 at 24,990.50  UNVERIFIED"),
        ({"views": {"bridge": view("bridge", connected=False)}}, "+2 at 24,990.50  UNVERIFIED"),
        ({"views": {"bridge": view("bridge", age_s=6)}}, "+2 at 24,990.50  UNVERIFIED"),
        ({"views": {"engine": view("engine", age_s=6)}}, "+2 at 24,990.50  UNVERIFIED (STALE 6 s)"),
        ({"views": {"engine": view("engine", position=None)}}, "unknown  UNVERIFIED"),
        ({"views": {"engine": view("engine", position=0, pending=True)}}, "PENDING: an entry was sent"),
        ({"views": {"engine": view("engine", position=0), "bridge": view("bridge", position=0)}}, "flat  confirmed"),
        ({"views": {"bridge": view("bridge", position=0)}}, "+2 at 24,990.50  MISMATCH: broker flat"),
    ],
)
def test_a_position_says_how_it_is_known(changes: dict[str, object], told: str) -> None:
    assert position_words(scene(**changes)).plain == told


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, "allowed"),
        ({"killed": "news"}, "HALTED: news"),
        ({"views": {"engine": view("engine", killed=True)}}, "HALTED: kill switch"),
        ({"views": {"engine": view("engine", locked=True)}}, "LOCKED for the day"),
        ({"views": {"engine": view("engine", locked="DAILY_LOSS")}}, "LOCKED: DAILY_LOSS"),
        ({"views": {"engine": view("engine", entries_blocked="CALENDAR")}}, "BLOCKED: CALENDAR"),
        ({"views": {"engine": view("engine", entries_blocked=None)}}, "unknown"),
        ({"views": {"engine": view("engine", age_s=9)}}, "UNKNOWN: engine STALE 9 s"),
        ({"views": NOTHING}, "UNKNOWN: engine no data"),
    ],
)
def test_entries_say_why_not(changes: dict[str, object], told: str) -> None:
    assert entries_words(scene(**changes)).plain == told


def banner(state: DashboardState) -> str:
    return frame_lines(state, 80, 24)[1].plain.split("  ")[0]


def test_the_banner_tells_the_whole_system_in_one_line() -> None:
    assert banner(scene()) == "RUNNING"
    assert banner(scene(killed="news")) == "HALTED: news"
    assert banner(scene(views={"scribe": view("scribe", age_s=9)})) == "DEGRADED; not beating: scribe"
    assert banner(scene(views={"scribe": view("scribe", age_s=9)}, sheets_enabled=False)) == "RUNNING"
    assert banner(scene(views={"sentinel": view("sentinel", age_s=9)})) == "NOT RUNNING (Sentinel STALE 9 s)"
    assert banner(scene(views={"sentinel": view("sentinel", phase="STOPPING")})) == "NOT RUNNING (Sentinel stopping)"
    assert banner(scene(message="halt sent")) == "halt sent"


@pytest.mark.parametrize(
    ("ticks", "told"),
    [
        (None, "not measured yet"),
        (TickCount(0, 0, 0, 0), "not measured yet"),
        (TickCount(500, 100, 0, 400, counting=True), "counting the day's rows"),
        (TickCount(10_000, 9_999, 0, 1), "0.010 % (1)"),
        (TickCount(10_000_000, 9_999_999, 0, 1), "1.0e-05 % (1)"),
        (TickCount(10, 12, 0, -2), "2 rows more than were sent"),
    ],
)
def test_tape_loss_is_never_rounded_to_zero(ticks: TickCount | None, told: str) -> None:
    assert f"Tape loss   {told}" in text(scene(ticks=ticks), (80, 24))


@pytest.mark.parametrize(
    ("gauges", "told"),
    [
        ({"verified": 0}, "not verified yet"),
        ({"verified": None}, "not verified yet"),
        ({"verified": 12500, "acked": 12500}, "0.000 % (all verified)"),
        ({"lost": 3}, "0.024 % (3 found missing)"),
        ({}, "0 lost; 100 unverified, 20 unsent"),
    ],
)
def test_sheet_loss_is_claimed_only_when_verified(gauges: dict[str, object], told: str) -> None:
    assert f"Sheet loss  {told}" in text(scene(views={"scribe": view("scribe", **gauges)}), (160, 50))


def test_process_states_do_not_depend_on_colour() -> None:
    children = {**view("sentinel").stats.gauges["children"]}  # type: ignore[union-attr]
    children["engine"] = {
        "state": "BACKOFF",
        "pid": None,
        "restarts": 4,
        "last_reason": "exit 1: boom",
        "last_restart_ms": 3.0,
    }
    children["scribe"] = {
        "state": "FATAL",
        "pid": None,
        "restarts": 0,
        "last_reason": "exit 2: no key",
        "last_restart_ms": None,
    }
    state = scene(views={"sentinel": view("sentinel", children=children), "bridge": view("bridge", age_s=9)})
    shown = text(state, (160, 50))
    assert re.search(r"engine +BACKOFF +0.4 s +4 .*pid none +last: exit 1: boom \(3 ms\)", shown)
    assert re.search(r"scribe +FATAL .*last: exit 2: no key", shown)
    assert re.search(r"bridge +SILENT +9.0 s", shown)


def test_a_dead_sentinels_word_is_not_believed() -> None:
    state = scene(views={"sentinel": view("sentinel", age_s=60), "engine": view("engine", age_s=60)})
    assert re.search(r"engine +SILENT +60.0 s", text(state, (80, 24)))


def test_malformed_gauges_are_shown_as_unknown_and_do_not_break_the_frame() -> None:
    pools_near = [3, {"kind": None, "level": "x", "distance": True}]
    odd = view("engine", pools="many", pools_near=pools_near, limits=[], refusals={"A": "b"}, position="two",
               day_pnl_cents=1.5, edge_to_bar_ms="fast", last_events="none")  # fmt: skip
    state = scene(views={"engine": odd, "bridge": view("bridge", last_price="nan?", account="rich", rejected=7)})
    shown = text(state, (160, 50))
    assert "unknown  UNVERIFIED" in shown
    assert "3, refused unknown" in shown


def test_the_picture_holds_the_facts_and_fetches_nothing() -> None:
    svg = picture(scene(), (80, 24))
    assert svg.startswith("<svg")
    assert "25,001.25" in svg
    assert "http" not in svg.replace("http://www.w3.org/", "").replace("https://www.textualize.io", "")


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(None, "unknown"), (-3.0, "ahead"), (0.44, "0.4 s"), (120, "2 min"), (7200, "2 h")],
)
def test_ages(seconds: float | None, told: str) -> None:
    assert words.age(seconds) == told


def test_money_and_limits() -> None:
    assert words.dollars(-123456).plain == "-$1,234.56"
    assert words.dollars(0).plain == "$0.00"
    assert words.dollars(None).plain == "unknown"
    assert words.used(6, 6).plain == "REACHED: 6 of 6"
    assert words.used(1, None).plain == "1 of unknown"
    assert isinstance(words.price("25000"), Text)
    assert words.price("25000").plain == "25,000.00"
    assert words.price("25000.125").plain == "25,000.125"
    assert RUN_NS
    assert ENGINE["mode"] == "LIVE"


@pytest.mark.parametrize("size", [(80, 24), (160, 50)])
def test_open_alerts_stand_before_everything_else(size: tuple[int, int]) -> None:
    told = tuple(Alert(RUN_NS + n, code, "engine", f"number {n}") for n, code in enumerate(("LATE_TICKS", "NAKED")))
    lines = text(scene(alerts=OpenAlerts(told, 3, 1000)), size).split("\n")
    assert lines[1].startswith("3 ALERTS: NAKED; RUNNING")
    events = lines[next(n for n, line in enumerate(lines) if line.startswith("-- Last events")) + 1 :]
    assert events[0].startswith("alert     04-15 09:31 ET NAKED: number 1"), "the newest first"
    assert any(line.startswith("engine    ") for line in events), "alerts do not push out what happens now"
    assert any(line.startswith("sentinel  ") for line in events) or size == (80, 24)
    one = text(scene(alerts=OpenAlerts(told[:1], 1, 1000), killed="news"), size)
    assert "1 ALERT: LATE_TICKS; HALTED: news" in one


def test_an_alert_that_asks_for_nothing_at_once_is_no_alarm_colour() -> None:
    look, act = (OpenAlerts((Alert(1, code, "engine", ""),), 1, 1) for code in ("LATE_TICKS", "NAKED"))
    styles = [str(frame_lines(scene(alerts=alerts), 80, 24)[1].spans[0].style) for alerts in (look, act)]
    assert styles == [words.DOUBT, words.BAD]
