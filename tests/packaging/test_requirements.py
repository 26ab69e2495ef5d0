"""requirements/*.txt are what uv.lock says, so that a machine without uv gets the same bytes."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("runtime", "dev", "ib_async", "keyring")
BLOCK = re.compile(
    r"^([a-z0-9][a-z0-9._-]*)==([^\s;\\]+)(?: ; ([^\\]+?))?((?: \\\n    --hash=sha256:[0-9a-f]{64})+)\n", re.MULTILINE
)


@cache
def locked() -> dict[tuple[str, str], set[str]]:
    """Return the hashes of every package and version in uv.lock."""
    tree = tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))
    return {
        (package["name"], package["version"]): {
            file["hash"] for file in [*package.get("wheels", ()), *filter(None, [package.get("sdist")])]
        }
        for package in tree["package"]
        if "version" in package
    }


def blocks(name: str) -> list[tuple[str, str, set[str]]]:
    """Return name, version and hashes of every requirement; every line of the file belongs to one."""
    text = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
    found = list(BLOCK.finditer(text))
    rest = BLOCK.sub("", text).strip()
    assert rest.startswith("# From uv.lock"), rest
    assert rest.count("\n") == 0, rest
    return [(m[1], m[2], set(re.findall(r"sha256:[0-9a-f]{64}", m[4]))) for m in found]


@pytest.mark.parametrize("name", NAMES)
def test_pins_and_hashes_are_those_of_the_lock(name: str) -> None:
    for package, version, hashes in blocks(name):
        assert hashes == locked()[package, version], f"{package}=={version}: run python3 scripts/lock.py"


def test_nothing_of_the_lock_is_left_out() -> None:
    listed = {(package, version) for name in NAMES for package, version, _ in blocks(name)}
    assert listed == set(locked())


def test_every_direct_dependency_is_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    runtime = {package for package, _, _ in blocks("runtime")}
    for requirement in project["project"]["dependencies"]:
        name = re.split(r"[<>=!~\[; ]", requirement)[0].lower().replace("_", "-")
        assert name in runtime, f"{name} is not in requirements/runtime.txt: run python3 scripts/lock.py"
    assert {package for package, _, _ in blocks("ib_async")} == {"ib-async", "aeventkit"}
    extra = {package for package, _, _ in blocks("keyring")}
    assert "keyring" in extra and not extra & runtime, "an extra's file holds only what the runtime has not"


@pytest.mark.slow
def test_uv_agrees() -> None:
    if shutil.which("uv") is None:
        pytest.skip("uv is not here; the comparison by hashes above has been made")
    lock = subprocess.run(["uv", "lock", "--check", "--offline"], cwd=ROOT, capture_output=True, text=True, check=False)
    if "offline" in lock.stderr or "network" in lock.stderr:
        pytest.skip("uv needs its index to check the lock, and none is reachable")
    assert lock.returncode == 0, lock.stderr
    command = [sys.executable, str(ROOT / "scripts" / "lock.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
