"""Check the installation: which Python, which pj, which packages."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import platform
import sys
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit
from urllib.request import url2pathname

from pj.verbs.doctor import lockfile
from pj.verbs.doctor.model import Finding, Patient, fail, ok, skipped, warn

OLDEST, TOO_NEW = (3, 11), (3, 14)
START_BY_SCRIPT: Final = "start with 'python3 scripts/pj.py' of the checkout, which makes and uses its own .venv"


def checkout() -> Path | None:
    """Return the root of the checkout that pj is imported from; None when it is an installed package."""
    import pj

    root = Path(pj.__file__ or "").resolve().parents[2]
    return root if (root / "pyproject.toml").is_file() and (root / "src" / "pj").is_dir() else None


def python(_patient: Patient) -> Finding:
    """Name interpreter and version, where pj comes from, and whether they belong together."""
    import pj

    version, executable = platform.python_version(), sys.executable
    root = checkout()
    here = Path(pj.__file__ or "").resolve().parent
    origin = _origin(root)
    facts = {"python": version, "executable": executable, "prefix": sys.prefix, "pj": str(here), "origin": origin}
    said = f"Python {version} ({executable}), pj {pj.__version__} {origin} {root or here}"
    if not OLDEST <= sys.version_info[:2] < TOO_NEW:
        return fail(f"{said}: only 3.11, 3.12 and 3.13 are known to work", "start with one of those", **facts)
    strangers = _strangers(root or here.parent)
    if strangers:
        return fail(
            f"{said}, but {', '.join(strangers)}", f"remove that folder from PYTHONPATH; {START_BY_SCRIPT}", **facts
        )
    if sys.prefix == sys.base_prefix:
        return warn(f"{said}, outside any virtual environment", START_BY_SCRIPT, **facts)
    if root is not None and Path(sys.prefix).resolve() != (root / ".venv").resolve():
        return warn(f"{said}, but the environment is {sys.prefix}", START_BY_SCRIPT, **facts)
    return ok(said, **facts)


def _origin(root: Path | None) -> str:
    """Return how pj came here: an editable installation, the checkout itself (path entry), or a wheel."""
    try:
        direct = importlib.metadata.distribution("pj-engine").read_text("direct_url.json")
    except importlib.metadata.PackageNotFoundError:
        direct = None
    if root is None:
        return "from the wheel in"
    tree = json.loads(direct) if direct else {}
    place = Path(url2pathname(urlsplit(tree.get("url", "")).path)).resolve()
    editable = tree.get("dir_info", {}).get("editable", False) and place == root
    return "editable from the checkout" if editable else "from the checkout"


def _strangers(home: Path) -> list[str]:
    """Return our other packages that come from elsewhere than pj does (a stray folder named live, another checkout)."""
    wrong = []
    for name in ("live", "strategies"):
        spec = importlib.util.find_spec(name)
        places = [Path(place).resolve() for place in (spec.submodule_search_locations or ())] if spec else []
        if places != [(home / name).resolve()]:
            wrong.append(f"{name} comes from {places[0] if places else 'nowhere'}")
    return wrong


def lock(_patient: Patient) -> Finding:
    """Compare the installed packages with the lock, pin by pin."""
    root = checkout()
    if root is None:
        return skipped("installed as a wheel: no lock travels with it")
    text = (root / "requirements" / "runtime.txt").read_text(encoding="utf-8")
    here = lockfile.markers_here()
    pins = lockfile.wanted(text, here)
    astray = lockfile.not_in_lock(pins, (root / "uv.lock").read_text(encoding="utf-8"))
    wrong = lockfile.differences(pins)
    facts = {"locked": len(pins), "differ": wrong}
    if wrong:
        name, words = next(iter(wrong.items()))
        more = f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
        return fail(f"{len(wrong)} of {len(pins)} packages are not as locked: {name} is {words}{more}", "", **facts)
    if astray:
        return warn(
            f"requirements/runtime.txt has {astray[0]}, uv.lock has not", "run python3 scripts/lock.py", **facts
        )
    if lockfile.stamp_is_fresh(root) is False:
        return warn(f"the lock has changed since {root / '.venv'} was installed",
                    "any start of 'python3 scripts/pj.py' installs it", **facts)  # fmt: skip
    return ok(f"{len(pins)} packages, each of the locked version", **facts)
