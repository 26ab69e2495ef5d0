"""Dependencies come with their hashes, and the known holes in them are asked for where an index can be reached."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
#: What a user may install; the tools of the tests are not shipped.
SHIPPED = ("runtime", "keyring", "ib_async")
#: Advisories that were read and do not touch us, each with the reason.
ACCEPTED: dict[str, str] = {}
UNREACHABLE = re.compile(
    r"connection|resolve|timed? ?out|unreachable|proxy|certificate|temporary failure",
    re.IGNORECASE,
)


def test_every_locked_file_has_a_hash() -> None:
    tree = tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))
    checked = 0
    for package in tree["package"]:
        files = [*package.get("wheels", ()), *filter(None, [package.get("sdist")])]
        assert files or package["source"].get("editable") or package["source"].get("virtual"), package["name"]
        for file in files:
            assert re.fullmatch(r"sha256:[0-9a-f]{64}", file["hash"]), package["name"]
            checked += 1
    assert checked > 100


def test_the_launcher_installs_nothing_without_its_hash() -> None:
    text = (ROOT / "scripts" / "pj.py").read_text(encoding="utf-8")
    assert "--require-hashes" in text
    assert "--locked" in text or "--frozen" in text


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_no_known_hole_in_what_we_ship(tmp_path: Path) -> None:
    """Ask pip-audit, in an environment of its own; says why it did not where nothing can be asked."""
    venv.create(tmp_path / "audit", with_pip=True)
    python = tmp_path / "audit" / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    got = subprocess.run(
        [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--retries", "0", "--timeout", "10",
         "pip-audit>=2.7"],
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    if got.returncode:
        pytest.skip("pip-audit cannot be installed: no package index can be reached from here")
    words = [
        python,
        "-m",
        "pip_audit",
        "--disable-pip",
        "--require-hashes",
        "--format",
        "json",
        "--progress-spinner=off",
    ]
    for name in SHIPPED:
        words += ["-r", str(ROOT / "requirements" / f"{name}.txt")]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=300)
    try:
        report = json.loads(done.stdout)
    except ValueError:
        if UNREACHABLE.search(done.stderr):
            pytest.skip("pip-audit was installed, but its list of advisories cannot be reached from here")
        raise AssertionError(done.stderr[-2000:]) from None
    holes = {
        f"{one['name']} {one['version']}: {hole['id']}"
        for one in report["dependencies"]
        for hole in one.get("vulns", ())
        if hole["id"] not in ACCEPTED
    }
    asked = {one["name"] for one in report["dependencies"]}
    assert len(asked) > 20 and {"arch", "distributed", "jinja2", "keyring", "ib-async"} <= asked
    assert not holes, f"known holes, raise the versions in the lock or accept them with a reason: {sorted(holes)}"
