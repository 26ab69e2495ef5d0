"""What a caller is told when Ctrl-C ends a verb, or when the reader of its output leaves: with real processes."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from pj.verbs.table import VERBS

#: A shell's background job starts with SIGINT ignored, and pytest may be one: our process takes it as in a terminal.
RUN = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from pj.cli import main
sys.exit(main())
"""
LIMIT_S = 60.0
posix_only = pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT for another process, no SIGPIPE there")


def start(folder: Path, *words: str, stdout: int = subprocess.DEVNULL) -> subprocess.Popen[str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PJ_", "PYTHONUNBUFFERED"))}
    return subprocess.Popen(
        [sys.executable, "-P", "-c", RUN, *words], cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=stdout,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def settings(folder: Path, port: int, profile: str = "paper") -> None:
    text = f"profile: {profile}\nrun_dir: run\nibkr:\n  port: {port}\nsheets:\n  enabled: false\n"
    (folder / "config.yaml").write_text(text, encoding="utf-8")


@pytest.fixture
def deaf() -> socket.socket:
    """Return a listener that takes connections and says nothing, as a gateway that hangs."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(LIMIT_S)
    return listener


@posix_only
@pytest.mark.parametrize(("words", "code", "told"), [(("bridge",), 0, ""), (("doctor",), 130, "it is not done")])
def test_ctrl_c_is_done_for_a_server_and_not_done_for_a_question(
    tmp_path: Path, deaf: socket.socket, words: tuple[str, ...], code: int, told: str
) -> None:
    settings(tmp_path, deaf.getsockname()[1])
    process = start(tmp_path, *words)
    with deaf, deaf.accept()[0]:  # it is in the middle of its work
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=LIMIT_S)
    assert (process.returncode, told in err) == (code, True), err
    assert "Traceback" not in err
    if words == ("bridge",):
        assert (tmp_path / "run" / "state" / "sessions.json").is_file(), "a bridge by hand knows the calendar as well"


def test_exactly_the_verbs_that_serve_end_well_by_ctrl_c() -> None:
    served = {verb.name for verb in VERBS if verb.until_stopped}
    processes = {"bridge", "engine", "scribe", "dashboard"}
    simulators = {"simulate gateway", "simulate traderspost", "simulate sheets"}
    assert served == {"demo", "up", "service run"} | processes | simulators


def without_reader(folder: Path, *words: str) -> tuple[int, str]:
    """Run a verb whose output nobody reads any more; return its code and what it said."""
    reader, writer = os.pipe()
    os.close(reader)
    process = start(folder, *words, stdout=writer)
    os.close(writer)
    _, err = process.communicate(timeout=LIMIT_S)
    return process.returncode, err


@posix_only
def test_a_verb_cut_off_by_its_reader_claims_nothing(tmp_path: Path) -> None:
    assert without_reader(tmp_path, "--describe") == (141, "")


@posix_only
@pytest.mark.parametrize(("profile", "code"), [("paper", 0), ("live", 1)])
def test_a_verb_that_was_done_keeps_its_code_though_nobody_reads_it(tmp_path: Path, profile: str, code: int) -> None:
    settings(tmp_path, 4002, profile)
    assert without_reader(tmp_path, "config", "check") == (code, "")
