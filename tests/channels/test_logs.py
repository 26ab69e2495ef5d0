"""Prove the log: one line per event, UTC, readable by machines, rotated, and nothing lost."""

from __future__ import annotations

import logging
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from pj.channels.logs import event_text, field_text, open_log

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


def test_a_log_is_continued_and_rotated(tmp_path: Path) -> None:
    for _ in range(2):
        log = open_log(tmp_path, "two", libraries=False, max_bytes=200)
        for n in range(6):
            log.event("LINE", n=n)
        log.close()
    texts = [path.read_text() for path in sorted((tmp_path / "logs").glob("two.log*"))]
    assert len(texts) > 2
    assert sum(text.count(" LINE ") for text in texts) == 12


def test_a_rename_that_fails_loses_no_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = open_log(tmp_path, "three", libraries=False, max_bytes=200)

    def refuse(*_: object) -> None:
        raise PermissionError(32, "a reader holds it")

    monkeypatch.setattr("os.rename", refuse)
    for n in range(20):
        log.event("LINE", n=n)
    log.close()
    assert (tmp_path / "logs" / "three.log").read_text().count(" LINE ") == 20


def test_warnings_of_libraries_go_to_the_same_file(tmp_path: Path) -> None:
    log = open_log(tmp_path, "four")
    hook = sys.excepthook
    try:
        logging.getLogger("vendor").warning("two\nlines")
        logging.getLogger("vendor").info("chatter")
    finally:
        sys.excepthook = sys.__excepthook__
        logging.captureWarnings(capture=False)
        log.close()
    assert hook is not sys.__excepthook__
    (line,) = (tmp_path / "logs" / "four.log").read_text().splitlines()
    assert line.endswith(r"Z WARNING two\nlines")


def test_an_exception_that_nobody_caught_is_in_the_log(tmp_path: Path) -> None:
    code = "import sys; from pathlib import Path; from pj.channels.logs import open_log\n"
    code += "open_log(Path(sys.argv[1]), 'five')\nraise ValueError('boom')\n"
    command = [sys.executable, "-P", "-c", code, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "ValueError: boom" in done.stderr
    (line,) = (tmp_path / "logs" / "five.log").read_text().splitlines()
    assert "CRITICAL CRASH error=\"ValueError('boom')\" traceback=" in line
