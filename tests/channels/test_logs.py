"""Prove the log: one line per event, UTC, readable by machines, rotated, and nothing lost."""

from __future__ import annotations

import logging
import re
import subprocess
import sys
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pj.channels.log_text import NotALogLine, event_text, field_text, parse_line, stamp_text
from pj.channels.logs import open_log
from pj.channels.redact import is_secret_name, redact

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("engine", "engine"), (12, "12"), (1.5, "1.5"), (0.1234, "0.123"), (3.0, "3"), (True, "True"), ("", '""'),
        ("exit 1: boom", '"exit 1: boom"'), ('say "no"', r'"say \"no\""'),
        ("two\nlines", r'"two\nlines"'), ("a=b", '"a=b"'),
    ],
)  # fmt: skip
def test_fields_are_bare_or_quoted(value: object, text: str) -> None:
    assert field_text(value) == text


def test_unknown_fields_are_left_out() -> None:
    assert event_text("START", {"name": "engine", "pid": None, "n": 0}) == "START name=engine n=0"


def test_lines_carry_utc_level_and_event(tmp_path: Path) -> None:
    log = open_log(tmp_path, "one", libraries=False)
    log.event("START", name="engine", pid=7)
    log.warning("DIED", reason="signal SIGKILL")
    log.error("LOST", what="two\nlines")
    log.close()
    lines = (tmp_path / "logs" / "one.log").read_text().splitlines()
    assert len(lines) == 3
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z INFO START name=engine pid=7", lines[0])
    assert lines[1].endswith('Z WARNING DIED reason="signal SIGKILL"')
    assert lines[2].endswith(r'Z ERROR LOST what="two\nlines"')


def test_warnings_of_libraries_go_to_the_same_file(tmp_path: Path) -> None:
    hooks = sys.excepthook, threading.excepthook, sys.unraisablehook
    log = open_log(tmp_path, "four")
    assert sys.excepthook is not hooks[0]
    logging.getLogger("vendor").warning("two\nlines")
    logging.getLogger("vendor").info("chatter")
    log.close()
    assert (sys.excepthook, threading.excepthook, sys.unraisablehook) == hooks
    (line,) = (tmp_path / "logs" / "four.log").read_text().splitlines()
    assert line.endswith(r'Z WARNING LOG logger=vendor text="two\nlines"')


def test_events_of_the_rooms_below_are_events(tmp_path: Path) -> None:
    log = open_log(tmp_path, "six", libraries=False)
    room = logging.getLogger("pj.six.client")
    room.warning("NOTICE code=%d req_id=%d text=%r wait_s=%.2f", 2104, -1, 'it\'s "fine"', 1.5)
    room.info("RECOVERED")
    room.warning("Plain words about %s", "x y")
    room.warning("NOTICE code=%d", "no number")
    log.close()
    lines = [parse_line(line)[1:] for line in (tmp_path / "logs" / "six.log").read_text().splitlines()]
    assert lines[0] == (
        "WARNING",
        "NOTICE",
        {"code": "2104", "req_id": "-1", "text": 'it\'s "fine"', "wait_s": "1.50"},
    )
    assert lines[1] == ("INFO", "RECOVERED", {})
    assert lines[2] == ("WARNING", "LOG", {"logger": "pj.six.client", "text": "Plain words about x y"})
    assert lines[3][1] == "LOG_MALFORMED"


ANY_TEXT = st.text(alphabet=st.characters(codec="utf-8"))
LONE = st.sampled_from(["\ud800", "x\udfff", "\u2028", "\x85", "\x7f", "a\r\nb", 'q"=\\"', "\x00", "k=v", " "])


@settings(max_examples=400)
@given(
    event=ANY_TEXT,
    fields=st.dictionaries(ANY_TEXT, ANY_TEXT | LONE | st.integers() | st.booleans() | st.none()),
    seconds=st.integers(0, 4_000_000_000_000).map(lambda ms: ms / 1000),
)
def test_a_line_says_back_what_was_put_in(event: str, fields: dict[str, object], seconds: float) -> None:
    line = f"{stamp_text(seconds)} INFO {event_text(event, fields)}"
    assert len(line.splitlines()) == 1
    there = (line + "\n").encode("utf-8").decode()
    stamp, level, said, found = parse_line(there)
    assert (level, said) == ("INFO", redact(event))
    moment = datetime.strptime(stamp, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC).timestamp()
    assert seconds - moment == pytest.approx(0, abs=0.0011)
    expected = {
        redact(key): "***" if is_secret_name(key) else redact(str(value))
        for key, value in fields.items()
        if value is not None
    }
    assert found == expected


@pytest.mark.parametrize(
    "text",
    [
        "", "hello", "2026-11-20T14:31:00.123Z INFO", "2026-11-20T14:31:00.123Z INFO E k=",
        '2026-11-20T14:31:00.123Z INFO E k="a', "2026-11-20T14:31:00.123Z INFO E k=a b",
        "2026-11-20T14:31:00Z INFO E", "2026-11-20T14:31:00.123Z INFO E  k=a",
        "2026-11-20T14:31:00.123Z INFO E k=a\n\n", "x2026-11-20T14:31:00.123Z INFO E",
    ],
)  # fmt: skip
def test_what_is_no_line_is_refused(text: str) -> None:
    with pytest.raises(NotALogLine):
        parse_line(text)


def test_an_exception_that_nobody_caught_is_in_the_log(tmp_path: Path) -> None:
    code = "import sys; from pathlib import Path; from pj.channels.logs import open_log\n"
    code += "open_log(Path(sys.argv[1]), 'five')\nraise ValueError('boom')\n"
    command = [sys.executable, "-P", "-c", code, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "ValueError: boom" in done.stderr
    (line,) = (tmp_path / "logs" / "five.log").read_text().splitlines()
    assert "CRITICAL CRASH error=\"ValueError('boom')\" traceback=" in line
