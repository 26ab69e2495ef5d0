"""Prove LAUNCH_PJ_ENGINE.bat: its form always, its behaviour under cmd where wine or Windows is there."""

from __future__ import annotations

import os
import re
import shutil
import struct
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
LAUNCHER = ROOT / "LAUNCH_PJ_ENGINE.bat"
WINE = shutil.which("wine")


def lines() -> list[str]:
    return LAUNCHER.read_bytes().decode("ascii").split("\r\n")


def test_every_line_ends_in_crlf_and_is_ascii() -> None:
    data = LAUNCHER.read_bytes()
    assert data.count(b"\n") == data.count(b"\r\n") > 20
    assert data.isascii()
    assert data.startswith(b"@echo off\r\n")  # a byte-order mark would be run as a command


def test_git_keeps_the_line_ends() -> None:
    assert "*.bat text eol=crlf" in (ROOT / ".gitattributes").read_text().splitlines()


def test_the_folder_is_quoted_wherever_it_is_used() -> None:
    text = "\n".join(lines())
    assert 'set "PJ_ROOT=%~dp0"' in text
    for line in lines():
        for match in re.finditer(r"%PJ_ROOT%", line):
            assert line[: match.start()].count('"') % 2 == 1, line
    assert not re.search(r"[A-Za-z]:\\", text)


def test_every_label_exists_and_every_way_out_gives_the_code() -> None:
    text = lines()
    labels = {line[1:] for line in text if line.startswith(":")}
    assert {word for line in text for word in re.findall(r"goto (\w+)", line)} <= labels
    assert text[text.index(":hold") + 2] == "exit /b %PJ_CODE%"
    assert {word for line in text for word in re.findall(r"call :(\w+)", line)} <= labels
    assert "if not defined PJ_NO_PAUSE pause" in text


def test_it_asks_for_the_versions_that_the_package_needs() -> None:
    assert 'requires-python = ">=3.11,<3.14"' in (ROOT / "pyproject.toml").read_text()
    text = "\n".join(lines())
    assert "(3.13 3.12 3.11)" in text
    assert "(3, 11) <= sys.version_info[:2] < (3, 14)" in text


@pytest.fixture(scope="module")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return a fresh wine prefix; its server is ended with it."""
    if WINE is None:
        pytest.skip("wine is not installed: the launcher's behaviour under cmd is not tried here")
    folder = tmp_path_factory.mktemp("wine")
    yield folder
    subprocess.run(["wineserver", "-k"], env={**os.environ, "WINEPREFIX": str(folder)}, check=False)


def launch(prefix: Path, folder: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run the launcher under wine's cmd to its end, with nobody at the keyboard."""
    process = started(prefix, folder, *arguments, stdin=subprocess.DEVNULL, **env)
    out, err = process.communicate(timeout=120)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def started(prefix: Path, folder: Path, *arguments: str, stdin: int, **env: str) -> subprocess.Popen[str]:
    """Start the launcher under wine's cmd in a folder whose name has blanks and brackets."""
    (folder / "scripts").mkdir(parents=True, exist_ok=True)
    (folder / "scripts" / "pj.py").write_text("")
    (folder / "config.yaml").write_text("profile: sim\n")
    shutil.copy(LAUNCHER, folder)
    wine = {"WINEPREFIX": str(prefix), "WINEDEBUG": "-all", "DISPLAY": "", "PJ_NO_PAUSE": "1"}
    whole = {**os.environ, **wine, **env}
    return subprocess.Popen(
        [str(WINE), "cmd", "/c", LAUNCHER.name, *arguments],
        cwd=folder,
        env={name: value for name, value in whole.items() if value},  # on Windows an empty one does not exist
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    )


@pytest.mark.slow
def test_a_missing_python_is_said_and_ends_with_2(prefix: Path, tmp_path: Path) -> None:
    done = launch(prefix, tmp_path / "PJ (x) & co")
    assert done.returncode == 2
    assert "PJ Engine needs Python 3.11, 3.12 or 3.13, and none was found." in done.stdout


@pytest.mark.slow
def test_verb_folder_and_arguments_reach_python_whole(prefix: Path, tmp_path: Path) -> None:
    """A copy of cmd.exe stands in for python.exe (it ends with 0 at once); wine's trace tells how it was called."""
    found = next(iter(prefix.glob("drive_c/windows/system32/cmd.exe")), None)
    assert found is not None
    programs = tmp_path / "programs"
    programs.mkdir()
    shutil.copy(found, programs / "python.exe")
    trace = {"WINEDEBUG": "trace+process", "WINEPATH": f"Z:{programs}".replace("/", "\\")}
    folder = tmp_path / "PJ (x) & co"
    done = launch(prefix, folder, "up", "--live", "--config", "my file.yaml", **trace)
    assert done.returncode == 0
    script = f"Z:{folder}/scripts/pj.py".replace("/", "\\\\")
    assert f'python \\"{script}\\" up --live --config \\"my file.yaml\\"' in done.stderr
    default = launch(prefix, folder, **trace)
    assert f'python \\"{script}\\" up' in default.stderr  # the stand-in says yes to every question


STAND_IN = r"""@echo off
if "%~1"=="--version" echo Python %STAND_IN_IS%
if "%~1"=="--version" exit /b 0
if "%~1"=="-c" goto asked
echo CALLED %*
exit /b %STAND_IN_ENDS%
:asked
if "%PJ_VERB%"=="up" exit /b %STAND_IN_IS_SIM%
exit /b %STAND_IN_IS_WRONG%
"""


def with_stand_in(prefix: Path, tmp_path: Path, *arguments: str, **answers: str) -> subprocess.CompletedProcess[str]:
    """Launch where ``python`` is a batch file, as pyenv-win has it, that answers as told."""
    programs = tmp_path / "programs"
    programs.mkdir(exist_ok=True)
    (programs / "python.bat").write_bytes(STAND_IN.replace("\n", "\r\n").encode())
    told = {"STAND_IN_IS": "3.12.1", "STAND_IN_ENDS": "0", "STAND_IN_IS_SIM": "0", "STAND_IN_IS_WRONG": "0", **answers}
    path = {"WINEPATH": f"Z:{programs}".replace("/", "\\")}
    return launch(prefix, tmp_path / "PJ (x) & co", *arguments, **path, **told)


@pytest.mark.slow
def test_a_python_that_is_too_old_is_named(prefix: Path, tmp_path: Path) -> None:
    done = with_stand_in(prefix, tmp_path, STAND_IN_IS_WRONG="1", STAND_IN_IS="3.9.7")
    assert done.returncode == 2
    assert "PJ Engine needs Python 3.11, 3.12 or 3.13, and the one found is 3.9.7." in done.stdout
    assert "python.org" in done.stdout and "none was found" not in done.stdout and "CALLED" not in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(("sim", "verb"), [("1", "demo"), ("0", "up")])
def test_a_double_click_runs_the_demo_or_the_daemon(prefix: Path, tmp_path: Path, sim: str, verb: str) -> None:
    done = with_stand_in(prefix, tmp_path, STAND_IN_IS_SIM=sim)
    assert done.returncode == 0
    called = re.search(r'CALLED "(.*)" (\w+)', done.stdout)
    assert called is not None and called[2] == verb
    assert called[1].endswith(r"PJ (x) & co\scripts\pj.py")
    # The demo's report stays readable; a daemon that was stopped leaves no window behind.
    assert ("ended with exit code 0" in done.stdout) == (verb == "demo")


#: x86-64: the last letter of this process's own command line is its exit code if it is a digit, else 0 is.
LAST_DIGIT = bytes.fromhex(
    "65488b042560000000"  # mov rax, gs:[0x60]           the process environment block
    "488b4020"  # mov rax, [rax+0x20]                    its parameters
    "0fb74870"  # movzx ecx, word [rax+0x70]             bytes of the command line
    "488b4078"  # mov rax, [rax+0x78]                    the command line, UTF-16
    "0fb74408fe83e83083f809760231c0c3"  # its last letter - "0"; above 9: 0; return it
)


def program(code: bytes) -> bytes:
    """Return a Windows program of one section without imports."""
    coff = struct.pack("<4sHHIIIHH", b"PE", 0x8664, 1, 0, 0, 0, 240, 0x22)
    optional = struct.pack("<HBBIIIII", 0x20B, 0, 0, 0x200, 0, 0, 0x1000, 0x1000)
    optional += struct.pack("<QIIHHHHHHIIIIHH", 0x140000000, 0x1000, 0x200, 6, 0, 0, 0, 6, 0, 0, 0x2000, 0x200, 0, 3, 0)
    optional += struct.pack("<QQQQII", 0x100000, 0x1000, 0x100000, 0x1000, 0, 16) + bytes(16 * 8)
    section = struct.pack("<8sIIIIIIHHI", b".text", len(code), 0x1000, 0x200, 0x200, 0, 0, 0, 0, 0x60000020)
    headers = b"MZ" + bytes(58) + struct.pack("<I", 64) + coff + optional + section
    return headers.ljust(0x200, b"\0") + code.ljust(0x200, b"\0")


def ending(tmp_path: Path) -> dict[str, str]:
    """Return the environment in which ``python`` ends with the last digit of its arguments."""
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "python.exe").write_bytes(program(LAST_DIGIT))
    return {"WINEPATH": f"Z:{programs}".replace("/", "\\")}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("code", "words"),
    [("1", "A check failed"), ("2", "settings or the arguments"), ("3", "outside"), ("4", "guard"), ("7", "code 7")],
)
def test_the_exit_code_is_shown_and_handed_on(prefix: Path, tmp_path: Path, code: str, words: str) -> None:
    done = launch(prefix, tmp_path / "PJ (x) & co", "status", code, **ending(tmp_path))
    assert done.returncode == int(code)
    assert f"PJ Engine ended with exit code {code}." in done.stdout and words in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(("code", "open_s"), [("1", 2.0), ("0", 0.0)])
def test_the_window_stays_open_on_failure_and_only_then(prefix: Path, tmp_path: Path, code: str, open_s: float) -> None:
    keys, person = os.pipe()  # nobody presses a key yet
    env = {**ending(tmp_path), "PJ_NO_PAUSE": ""}
    process = started(prefix, tmp_path / "PJ (x) & co", "status", code, stdin=keys, **env)
    os.close(keys)
    said = ""
    try:
        if open_s:
            assert process.stdout is not None
            while "Press" not in said:  # cmd's own "Press any key"
                letter = process.stdout.read(1)
                assert letter, said
                said += letter
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(open_s)
            os.write(person, b"\n")
        out = said + process.communicate(timeout=60)[0]
    finally:
        process.kill()
        process.communicate()
        os.close(person)
    assert process.returncode == int(code)
    assert ("ended with exit code" in out) == bool(open_s)
