"""scripts/pj.py on a fresh checkout: one command makes everything, the second time costs nothing."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
COPIED = ("src", "live", "strategies", "scripts", "requirements", "config")
FILES = ("pyproject.toml", "uv.lock", "config.yaml", "README.md", "LICENSE")
UNREACHABLE = ("index must be reachable", "Failed to fetch", "No matching distribution", "ConnectionError")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a copy of the checkout, without .venv, under a path with spaces."""
    copy = tmp_path / "a fresh check out"
    copy.mkdir()
    for name in COPIED:
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in FILES:
        shutil.copy(ROOT / name, copy / name)
    return copy


def start(checkout: Path, *words: str, path: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run scripts/pj.py from another folder."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PJ_", "VIRTUAL_ENV"))}
    if path is not None:
        env["PATH"] = path
    base = getattr(sys, "_base_executable", sys.executable)
    command = [base, str(checkout / "scripts" / "pj.py"), *words]
    return subprocess.run(
        command, cwd=checkout.parent, env=env, capture_output=True, text=True, timeout=280, check=False
    )


def skip_without_index(done: subprocess.CompletedProcess[str]) -> None:
    if done.returncode == 3 and any(words in done.stderr for words in UNREACHABLE):
        pytest.skip(f"no package index can be reached: {done.stderr[-300:]}")


def venv_python(checkout: Path) -> Path:
    return checkout / ".venv" / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("tool", ["uv", "pip"])
def test_first_start_installs_and_the_second_is_instant(checkout: Path, tmp_path: Path, tool: str) -> None:
    if tool == "uv" and shutil.which("uv") is None:
        pytest.skip("uv is not here")
    empty = tmp_path / "no tools here"
    empty.mkdir()
    path = str(empty) if tool == "pip" else None

    first = start(checkout, "config", "show", "--json", path=path)
    skip_without_index(first)
    assert first.returncode == 0, first.stderr
    assert f"with {tool} " in first.stderr
    shown = json.loads(first.stdout)
    assert shown["run_dir"]["value"] == str(checkout / "data" / "run"), (
        "from any folder: the checkout's own config.yaml"
    )

    begun = time.monotonic()
    second = start(checkout, "--version", path=path)
    print(f"second start {time.monotonic() - begun:.3f} s")
    assert (second.returncode, second.stdout) == (0, "pj-engine 0.1.0\n")
    assert second.stderr == "", "nothing is installed the second time"
    assert start(checkout, "demmo", path=path).returncode == 2, "the verb's exit code comes through"

    stamp = checkout / ".venv" / "pj-installed.txt"
    stamp.unlink()  # an installation that was interrupted never wrote it
    again = start(checkout, "--version", path=path)
    assert "installing into" in again.stderr
    assert stamp.is_file()

    if tool == "pip":
        return  # a second whole installation by pip takes half a minute and follows the same road
    venv_python(checkout).unlink()
    mended = start(checkout, "--version", path=path)
    assert (mended.returncode, mended.stdout) == (0, "pj-engine 0.1.0\n"), mended.stderr


def test_a_failed_installation_leaves_no_stamp(checkout: Path, tmp_path: Path) -> None:
    (checkout / "requirements" / "runtime.txt").write_text("absent-package==0 --hash=sha256:0\n", encoding="utf-8")
    empty = tmp_path / "no tools here"
    empty.mkdir()
    done = start(checkout, "--version", path=str(empty))
    assert done.returncode == 3
    assert "installing the packages failed with code" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (checkout / ".venv" / "pj-installed.txt").exists()


def test_an_old_python_gets_a_sentence(checkout: Path) -> None:
    script = checkout / "scripts" / "pj.py"
    code = (
        "import runpy, sys; sys.version_info = (3, 8, 18, 'final', 0); sys.argv = ['pj.py', 'demo'];"
        f"runpy.run_path({str(script)!r}, run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2
    assert (
        done.stderr == "pj: PJ Engine needs Python 3.11, 3.12 or 3.13, and this is 3.8.18; start it with one of those\n"
    )


def test_the_ci_runs_the_readme_command() -> None:
    script = ROOT / ".ci" / "run"
    commands = [line for line in script.read_text(encoding="utf-8").splitlines() if "pj.py" in line]
    assert commands == ["exec python3 scripts/pj.py test"]
    assert sys.platform == "win32" or os.access(script, os.X_OK)
