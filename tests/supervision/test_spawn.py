"""Prove the seam between the systems: what each platform is given, and how death and last words are noticed."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from pj.processes import sentinel_watchdog
from pj.supervision import spawn, windows
from pj.supervision.spawn import MODULES, OsProcess, OsSpawner, module_command, popen_options
from pj.supervision.start import default_commands

if TYPE_CHECKING:
    from pathlib import Path

posix = pytest.mark.skipif(sys.platform == "win32", reason="runs POSIX processes")


def test_windows_gives_each_child_its_own_console() -> None:
    options = popen_options("win32", takes_terminal=False, windows_console=True)
    assert options == {"creationflags": 0x00000010}  # CREATE_NEW_CONSOLE; redirected streams would leave it empty
    headless = popen_options("win32", takes_terminal=False, windows_console=False)
    assert headless == {"creationflags": 0x08000000, "stdin": subprocess.DEVNULL}  # CREATE_NO_WINDOW


def test_posix_gives_each_child_its_own_session() -> None:
    options = popen_options("linux", takes_terminal=False, windows_console=True)
    assert options["start_new_session"] is True
    assert options["stdin"] is subprocess.DEVNULL
    assert callable(options["preexec_fn"])
    assert "creationflags" not in options
    assert "preexec_fn" not in popen_options("darwin", takes_terminal=False, windows_console=True)
    assert "stdin" not in popen_options("linux", takes_terminal=True, windows_console=True)


def test_a_windows_child_is_spawned_without_posix_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[dict[str, Any]] = []
    real = subprocess.Popen

    def record(command: list[str], **options: Any) -> subprocess.Popen[bytes]:
        calls.append({"command": command, **options})
        return real([sys.executable, "-c", "pass"])

    monkeypatch.setattr(spawn.subprocess, "Popen", record)
    spawner = OsSpawner({"engine": ["python", "-m", "engine"]}, tmp_path, {"A": "b"}, "engine", platform="win32")
    process = spawner.spawn("engine", "token")
    process.ask_stop()
    spawner.close()
    assert calls[0] == {
        "command": ["python", "-m", "engine"],
        "env": {"A": "b", "PJ_INSTANCE": "token"},
        "creationflags": 0x10,
    }
    assert calls[1] == {
        "command": module_command("pj.supervision.windows", str(process.pid)),
        "creationflags": 0x08000000,
    }
    while process.poll() is None or process._breaker is None or process._breaker.returncode is None:
        time.sleep(0.01)


def test_a_headless_windows_child_has_no_window_and_its_words_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[dict[str, Any]] = []
    real = subprocess.Popen

    def record(command: list[str], **options: Any) -> subprocess.Popen[bytes]:
        calls.append({"flags": options["creationflags"], "stdin": options["stdin"]})
        return real(command, env=options["env"], stdout=options["stdout"], stderr=options["stderr"])

    monkeypatch.setattr(spawn.subprocess, "Popen", record)
    command = [sys.executable, "-c", "print('key x is missing')"]
    spawner = OsSpawner({"engine": command}, tmp_path, dict(os.environ), windows_console=False, platform="win32")
    process = spawner.spawn("engine", "token")
    while process.poll() is None:
        time.sleep(0.01)
    assert calls == [{"flags": 0x08000000, "stdin": subprocess.DEVNULL}]
    assert spawner.last_words("engine") == "key x is missing"
    spawner.close()


@pytest.mark.parametrize("headless", [True, False])
def test_a_headless_sentinel_opens_no_window(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, headless: bool) -> None:
    """What the main passes on; the wiring below it is one argument (``OsSpawner.windows_console``)."""
    passed: list[dict[str, Any]] = []
    monkeypatch.setenv("PJ__RUN_DIR", str(tmp_path))
    monkeypatch.setattr(sentinel_watchdog, "run_sentinel", lambda *_, **named: passed.append(named) or 0)
    assert sentinel_watchdog.main(["--headless"] if headless else []) == 0
    assert passed[0]["windows_console"] is not headless


def test_ctrl_break_is_windows_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert windows.main(["x"]) == 2
    if sys.platform != "win32":
        assert windows.main(["1"]) == 2
    assert "CTRL_BREAK" in capsys.readouterr().err or sys.platform == "win32"


def test_commands_run_our_modules_unshadowed() -> None:
    assert module_command("m", "--x", executable="py") == ("py", "-P", "-m", "m", "--x")
    commands = default_commands(list(MODULES), headless=True)
    assert list(commands) == ["bridge", "engine", "scribe", "dashboard"]
    assert commands["dashboard"][-1] == "--headless"
    assert default_commands(["dashboard"], headless=False)["dashboard"][-1] == "pj.processes.live_dashboard"


@posix
@pytest.mark.parametrize("pidfd", [True, False])
def test_death_ends_the_wait_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, pidfd: bool) -> None:
    """With a pidfd, and by a waiting thread where the system has none."""
    if not pidfd:
        monkeypatch.delattr(os, "pidfd_open", raising=False)
    code = "import os, sys; print('first'); print('last words'); sys.stdout.flush(); os._exit(3)"
    spawner = OsSpawner({"engine": [sys.executable, "-c", code]}, tmp_path, dict(os.environ))
    process = spawner.spawn("engine", "token")
    begun = time.monotonic()
    while process.poll() is None:
        assert time.monotonic() - begun < 20
        spawner.wait(20)
    assert time.monotonic() - begun < 10
    assert process.poll() == 3
    assert spawner.last_words("engine") == "last words"
    assert spawner.last_words("nobody") == ""
    spawner.close()


@posix
def test_a_wait_ends_when_woken_from_another_thread(tmp_path: Path) -> None:
    spawner = OsSpawner({}, tmp_path, {})
    threading.Timer(0.05, spawner.wake).start()
    begun = time.monotonic()
    spawner.wait(20)
    assert time.monotonic() - begun < 10
    for _ in range(100_000):
        spawner.wake()  # a full pipe is woken already
    spawner.wait(0)
    spawner.close()


@posix
def test_a_child_is_a_session_of_its_own_and_gets_its_token(tmp_path: Path) -> None:
    code = "import os; print(os.getsid(0) == os.getpid(), os.environ['PJ_INSTANCE'], os.environ['A'])"
    spawner = OsSpawner({"engine": [sys.executable, "-c", code]}, tmp_path, {**os.environ, "A": "b"})
    process = spawner.spawn("engine", "token-1")
    assert isinstance(process, OsProcess)
    process.popen.wait()
    assert spawner.last_words("engine") == "True token-1 b"
    spawner.close()


@posix
def test_a_long_output_file_is_put_aside(tmp_path: Path) -> None:
    (tmp_path / "engine.out").write_bytes(b"x" * (spawn.MAX_OUT_BYTES + 1))
    spawner = OsSpawner({"engine": [sys.executable, "-c", "print('new')"]}, tmp_path, dict(os.environ))
    spawner.spawn("engine", "t").popen.wait()
    assert (tmp_path / "engine.out").read_text() == "new\n"
    assert (tmp_path / "engine.out.1").stat().st_size > spawn.MAX_OUT_BYTES
    spawner.close()


@posix
def test_a_program_that_is_not_there_is_an_oserror(tmp_path: Path) -> None:
    spawner = OsSpawner({"engine": [str(tmp_path / "nothing")]}, tmp_path, {})
    with pytest.raises(OSError, match="nothing"):
        spawner.spawn("engine", "t")
    spawner.close()
