"""Install the supervisors to compare with into a scratch environment outside the repository."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PINS = {"supervisor": "4.3.0", "circus": "0.19.0"}


class InstallFailed(Exception):
    """Report that the peers could not be installed; the text says what to do."""


def frozen(python: Path) -> list[str]:
    """Return ``name==version`` of everything in the environment of ``python``."""
    done = subprocess.run([python, "-m", "pip", "freeze"], capture_output=True, text=True, check=False)
    return done.stdout.split()


def install(scratch: Path) -> tuple[Path, list[str]]:
    """Return the environment's folder of programs and what is in it; make it in ``scratch`` unless it is there.

    pip asks the index that it is configured for. Raises InstallFailed.
    """
    home = scratch / "venv"
    programs = home / "bin"
    python = programs / "python"
    wanted = {f"{name}=={version}" for name, version in PINS.items()}
    have = frozen(python) if python.exists() else []
    if not wanted.issubset(have):
        quiet = ["--quiet", "--disable-pip-version-check"]
        for command in (
            [sys.executable, "-m", "venv", "--clear", str(home)],
            [str(python), "-m", "pip", "install", *quiet, *sorted(wanted)],
        ):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise InstallFailed(
                    f"{' '.join(command)} failed: {(done.stderr or done.stdout).strip()[-400:]};"
                    " see that pip reaches a package index, or measure without peers (--peers none)"
                )
        have = frozen(python)
    return programs, have
