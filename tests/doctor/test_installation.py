"""Which Python, which pj, which packages: the lock read as the installers read it, and stale installations."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from doctor_world import look
from packaging.markers import Marker
from packaging.requirements import Requirement

from pj.verbs.doctor import install, lockfile
from pj.verbs.doctor.model import Patient, Status

LINUX = lockfile.markers_here() | {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix"}
HERE = {
    "linux 3.11": LINUX | {"python_version": "3.11", "python_full_version": "3.11.9"},
    "linux 3.12": LINUX | {"python_version": "3.12", "python_full_version": "3.12.0"},
    "windows 3.13": LINUX
    | {"python_version": "3.13", "python_full_version": "3.13.1", "sys_platform": "win32", "os_name": "nt"},
    "pypy": LINUX | {"platform_python_implementation": "PyPy", "implementation_name": "pypy"},
}
ASK = (
    "from pj.verbs.doctor.{module} import {name}; from pj.verbs.doctor.model import Patient;"
    "found = {name}(Patient({{}})); print(found.status); print(found.says)"
)


def ask(module: str, name: str, env: dict[str, str]) -> tuple[str, str]:
    """Run one check in a Python of its own; return status and sentence."""
    command = [sys.executable, "-P", "-c", ASK.format(module=module, name=name)]
    done = subprocess.run(command, env=os.environ | env, capture_output=True, text=True, timeout=30, check=True)
    status, _, says = done.stdout.strip().partition("\n")
    return status, says


@pytest.mark.parametrize("name", ["runtime", "dev", "ib_async"])
@pytest.mark.parametrize("here", HERE.values(), ids=HERE)
def test_the_lock_is_read_as_the_installers_read_it(root: Path, name: str, here: dict[str, str]) -> None:
    text = (root / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
    heads = [line.rstrip("\\ ") for line in text.splitlines() if line[:1].isalnum()]
    expected = {}
    for requirement in map(Requirement, heads):
        if requirement.marker is None or requirement.marker.evaluate(here):
            expected[lockfile.normal(requirement.name)] = str(requirement.specifier).removeprefix("==")
    assert lockfile.wanted(text, here) == expected
    assert expected


@pytest.mark.parametrize(
    "marker",
    [
        "python_full_version < '3.12'",
        "python_version >= '3.12' and sys_platform == 'win32'",
        "(sys_platform == 'win32' or os_name == 'posix') and implementation_name != 'pypy'",
        "'linux' in sys_platform",
        "platform_python_implementation == 'PyPy' or python_full_version >= '3.13'",
    ],
)
@pytest.mark.parametrize("here", HERE.values(), ids=HERE)
def test_markers_mean_what_packaging_says(marker: str, here: dict[str, str]) -> None:
    assert lockfile.holds(marker, here) == Marker(marker).evaluate(here)


@pytest.mark.parametrize(
    "marker", ["nonsense == '1'", "sys_platform ~= '1'", "sys_platform", "print('x') == 'x'", "1 <"]
)
def test_a_marker_that_is_not_understood_is_an_error(marker: str) -> None:
    with pytest.raises(lockfile.LockUnreadable):
        lockfile.holds(marker, LINUX)


def test_the_packages_here_are_as_locked() -> None:
    found = look("lock", Patient({}))
    assert found.status in {Status.OK, Status.WARN}, found
    assert found.facts["differ"] == {}


def test_a_stale_environment_is_noticed(folder: Path) -> None:
    stale = folder / "stale"
    (stale / "requests-0.0.1.dist-info").mkdir(parents=True)
    (stale / "requests-0.0.1.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: requests\nVersion: 0.0.1\n"
    )
    path = os.pathsep.join([str(stale), os.environ.get("PYTHONPATH", "")])
    status, says = ask("install", "lock", {"PYTHONPATH": path})
    assert status == "FAIL"
    assert "1 of " in says
    assert "requests is 0.0.1, " in says


def test_a_missing_package_is_named() -> None:
    wrong = lockfile.differences(
        {"no-such-package-of-ours": "1.0", "requests": lockfile.wanted("requests==1", {})["requests"]}
    )
    assert wrong["no-such-package-of-ours"] == "missing, 1.0 is locked"
    assert wrong["requests"].endswith("1 is locked")


def test_requirements_that_uv_lock_does_not_have() -> None:
    lock = '[[package]]\nname = "a-b"\nversion = "1"\n[[package]]\nname = "c"\nversion = "2"\n'
    assert lockfile.not_in_lock({"a-b": "1", "c": "3", "d": "4"}, lock) == ["c==3", "d==4"]
    with pytest.raises(lockfile.LockUnreadable):
        lockfile.not_in_lock({}, "not toml [")


def test_the_stamp_is_the_one_that_the_bootstrap_writes(root: Path, folder: Path) -> None:
    for name in lockfile.LOCK_FILES:
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copy(root / name, folder / name)
    assert lockfile.stamp_is_fresh(folder) is None
    spec = importlib.util.spec_from_file_location("bootstrap", root / "scripts" / "pj.py")
    assert spec is not None
    assert spec.loader is not None
    bootstrap = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(bootstrap)
    bootstrap.ROOT = folder
    (folder / ".venv").mkdir()
    (folder / ".venv" / "pj-installed.txt").write_text(f"runtime {bootstrap.key()}\n")
    assert lockfile.stamp_is_fresh(folder) is True
    with (folder / "uv.lock").open("a") as file:
        file.write("# changed\n")
    assert lockfile.stamp_is_fresh(folder) is False


def test_python_and_where_pj_comes_from(root: Path) -> None:
    found = look("python", Patient({}))
    assert found.status in {Status.OK, Status.WARN}, found
    assert sys.executable in found.says
    assert install.checkout() == root
    assert str(root) in found.says


def test_a_stray_folder_named_live_is_noticed(folder: Path) -> None:
    """An order-deciding package from anywhere else must never be taken by accident."""
    (folder / "live").mkdir()
    (folder / "live" / "__init__.py").write_text("")
    path = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])
    status, says = ask("install", "python", {"PYTHONPATH": path})
    assert status == "FAIL"
    assert f"live comes from {folder / 'live'}" in says


def test_an_interpreter_outside_any_environment_is_a_warning(root: Path) -> None:
    """The base Python with our folders on its path: it works, but with whatever packages it has."""
    if sys.prefix == sys.base_prefix:
        pytest.skip("this test run itself uses no environment")
    base = getattr(sys, "_base_executable", sys.executable)
    command = [base, "-P", "-S", "-c", ASK.format(module="install", name="python")]
    path = os.pathsep.join([str(root / "src"), str(root)])
    done = subprocess.run(
        command, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout.startswith("WARN\n"), done.stdout
    assert "outside any virtual environment" in done.stdout


def test_an_installed_wheel_has_no_lock_to_compare(root: Path, folder: Path) -> None:
    """As in site-packages: pj, live and strategies side by side, no pyproject.toml above them."""
    site = folder / "site"
    for name, source in (("pj", root / "src" / "pj"), ("live", root / "live"), ("strategies", root / "strategies")):
        shutil.copytree(source, site / name, ignore=shutil.ignore_patterns("__pycache__"))
    env = {"PYTHONPATH": str(site)}
    assert ask("install", "lock", env) == ("SKIPPED", "installed as a wheel: no lock travels with it")
    status, says = ask("install", "python", env)
    assert status in {"OK", "WARN"}, says
    assert f"from the wheel in {site / 'pj'}" in says
