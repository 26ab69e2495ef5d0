"""Prove LAUNCH_PJ_ENGINE.bat: its form always, its behaviour under cmd where wine or Windows is there."""

from __future__ import annotations

import os
import re
import shutil
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
    """Run the launcher under wine's cmd in a folder whose name has blanks and brackets."""
    (folder / "scripts").mkdir(parents=True, exist_ok=True)
    (folder / "scripts" / "pj.py").write_text("")
    (folder / "config.yaml").write_text("profile: sim\n")
    shutil.copy(LAUNCHER, folder)
    wine = {"WINEPREFIX": str(prefix), "WINEDEBUG": "-all", "DISPLAY": "", "PJ_NO_PAUSE": "1"}
    command = [str(WINE), "cmd", "/c", LAUNCHER.name, *arguments]
    return subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **wine, **env},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=120,
        check=False,
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
