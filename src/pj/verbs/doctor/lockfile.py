"""Read the locked requirements and tell which of them this Python should have, and which it has.

``requirements/*.txt`` are written from ``uv.lock`` by scripts/lock.py: ``name==version ; marker`` and hashes. The
markers are Python expressions over a handful of names (PEP 508); only the names that the lock uses are known here.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
import os
import platform
import re
import sys
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

_PIN: Final = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)==([^\s;\\]+)\s*(?:;\s*(.*?))?\s*\\?")
LOCK_FILES: Final = ("uv.lock", "requirements/runtime.txt", "requirements/dev.txt", "requirements/ib_async.txt")
_COMPARE: Final[Mapping[type[ast.cmpop], Callable[[object, object], bool]]] = {
    ast.Eq: lambda a, b: a == b,
    ast.NotEq: lambda a, b: a != b,
    ast.Lt: lambda a, b: a < b,  # type: ignore[operator]
    ast.LtE: lambda a, b: a <= b,  # type: ignore[operator]
    ast.Gt: lambda a, b: a > b,  # type: ignore[operator]
    ast.GtE: lambda a, b: a >= b,  # type: ignore[operator]
    ast.In: lambda a, b: str(a) in str(b),
    ast.NotIn: lambda a, b: str(a) not in str(b),
}


class LockUnreadable(ValueError):
    """Report a lock that cannot be understood, in one sentence."""


def markers_here() -> dict[str, str]:
    """Return the values of PEP 508's names on this machine."""
    return {
        "python_version": ".".join(map(str, sys.version_info[:2])),
        "python_full_version": platform.python_version(),
        "sys_platform": sys.platform,
        "platform_system": platform.system(),
        "platform_machine": platform.machine(),
        "platform_python_implementation": platform.python_implementation(),
        "implementation_name": sys.implementation.name,
        "os_name": os.name,
        "extra": "",
    }


def wanted(text: str, here: Mapping[str, str]) -> dict[str, str]:
    """Return name to version of every pin in requirements ``text`` that is meant for ``here``; raise LockUnreadable."""
    pins: dict[str, str] = {}
    for line in text.splitlines():
        if not line.strip() or line.startswith((" ", "#")):
            continue
        found = _PIN.fullmatch(line.strip())
        if found is None:
            raise LockUnreadable(f"the line {line[:60]!r} is no pin")
        if holds(found[3] or "", here):
            pins[normal(found[1])] = found[2]
    return pins


def holds(marker: str, here: Mapping[str, str]) -> bool:
    """Tell whether a PEP 508 marker is true ``here``; raise LockUnreadable for one that is not understood."""
    if not marker:
        return True
    try:
        return _truth(ast.parse(marker, mode="eval").body, here)
    except (SyntaxError, KeyError, TypeError) as error:
        raise LockUnreadable(f"the marker {marker!r} is not understood ({type(error).__name__}: {error})") from None


def _truth(node: ast.expr, here: Mapping[str, str]) -> bool:
    match node:
        case ast.BoolOp(op=ast.And(), values=parts):
            return all(_truth(part, here) for part in parts)
        case ast.BoolOp(values=parts):
            return any(_truth(part, here) for part in parts)
        case ast.Compare(left=left, ops=[op], comparators=[right]):
            versions = any(isinstance(side, ast.Name) and "version" in side.id for side in (left, right))
            first, second = (_operand(side, here) for side in (left, right))
            compare = _COMPARE[type(op)]
            return compare(_release(first), _release(second)) if versions else compare(first, second)
    raise TypeError(ast.dump(node))


def _operand(node: ast.expr, here: Mapping[str, str]) -> str:
    match node:
        case ast.Name(id=name):
            return here[name]
        case ast.Constant(value=str(text)):
            return text
    raise TypeError(ast.dump(node))


def _release(text: str) -> tuple[int, ...]:
    """Return the numbers of a version, as long as they matter for comparing Pythons (3.12 = 3.12.0)."""
    numbers = [int(number) for number in re.findall(r"\d+", text)[:3]]
    return tuple(numbers + [0] * (3 - len(numbers)))


def normal(name: str) -> str:
    """Return a package's name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def differences(pins: Mapping[str, str]) -> dict[str, str]:
    """Return the pinned packages that are missing or of another version here, with what is there."""
    wrong = {}
    for name, version in pins.items():
        try:
            there = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            wrong[name] = f"missing, {version} is locked"
            continue
        if there != version:
            wrong[name] = f"{there}, {version} is locked"
    return wrong


def not_in_lock(pins: Mapping[str, str], uv_lock: str) -> list[str]:
    """Return the pins of the requirements that uv.lock does not have; raise LockUnreadable."""
    try:
        packages = tomllib.loads(uv_lock)["package"]
        locked = {(normal(package["name"]), package.get("version")) for package in packages}
    except (tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise LockUnreadable(f"uv.lock cannot be read ({error})") from None
    return [f"{name}=={version}" for name, version in pins.items() if (name, version) not in locked]


def stamp_is_fresh(root: Path) -> bool | None:
    """Tell whether .venv was installed from the lock as it is now; None when scripts/pj.py did not install it."""
    try:
        made = (root / ".venv" / "pj-installed.txt").read_text(encoding="utf-8").split()
    except OSError:
        return None
    digest = hashlib.sha256()
    for name in LOCK_FILES:
        digest.update((root / name).read_bytes())
    return len(made) > 1 and made[1] == digest.hexdigest()[:32]
