"""The built wheel holds the three packages, and they work from it alone."""

from __future__ import annotations

import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the wheel, built without a network by the hatchling of the dev group."""
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return next(out.glob("*.whl"))


def test_the_wheel_holds_the_packages_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"pj", "strategies", "live"}
    assert {"pj/py.typed", "live/py.typed", "strategies/py.typed", "pj/session_overrides.yaml"} <= set(names)
    source = {path.relative_to(ROOT / "src").as_posix() for path in (ROOT / "src").rglob("*.py")}
    source |= {
        path.relative_to(ROOT).as_posix() for top in ("live", "strategies") for path in (ROOT / top).rglob("*.py")
    }
    assert source == {name for name in names if name.endswith(".py")}


@pytest.mark.slow
def test_the_wheel_works_outside_the_checkout(wheel: Path, tmp_path: Path) -> None:
    home = tmp_path / "a venv"
    venv.create(home, with_pip=False)
    python = home / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    where = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = Path(subprocess.run([python, "-c", where], capture_output=True, text=True, check=True).stdout.strip())
    zipfile.ZipFile(wheel).extractall(site)
    # The libraries are this environment's; its own checkout entry must not come along.
    libraries = next(path for path in sys.path if path.endswith("site-packages"))
    code = (
        "import sys; sys.path.append(sys.argv[1]);"
        "import live, strategies, pj, pj.cli, pj.config, pj.calendar, live.engine;"
        "assert all(str(sys.prefix) in m.__file__ for m in (live, strategies, pj)), pj.__file__;"
        "assert pj.calendar.find_overrides(None).parent.name == 'pj';"
        "raise SystemExit(pj.cli.main(['config', 'check']))"
    )
    done = subprocess.run(
        [python, "-P", "-c", code, libraries], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
