"""Compile functions with numba and keep the machine code on disk: the one seam to numba's cache.

numba compares a cached function with its own source file only, not with the files of the functions it calls. So the
cache folder is named after all sources with compiled functions: a change in one of them starts a new folder. It lies
in the user's cache folder, not beside the sources, because an installed package may be read-only.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import numba
from numba.core import config

F = TypeVar("F", bound=Callable[..., Any])
_GIVEN: Final = "NUMBA_CACHE_DIR"


def user_cache_folder() -> Path:
    """Return the folder in which this user's programs keep what they can make again."""
    home = Path.home()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    if sys.platform == "darwin":
        return home / "Library" / "Caches"
    return Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")


def sources_hash() -> str:
    """Return a short hash of the kernels and of all other files of the workbench that hold compiled functions."""
    digest = hashlib.sha256()
    here = Path(__file__).parent
    for path in sorted(here.parent.rglob("*.py")):
        text = path.read_bytes()
        if path.parent == here or b"kernels.jit import" in text:
            digest.update(path.name.encode() + b"\0" + text + b"\0")
    return digest.hexdigest()[:16]


def _prepared() -> Path | None:
    """Make the cache folder and return it; None where nothing can be kept."""
    given = os.environ.get(_GIVEN)
    try:
        base = Path(given) if given else user_cache_folder() / "pj-engine" / "numba"
        folder = base / sources_hash()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):  # asking for permission is no answer on Windows or a full disk
            return folder
    except (OSError, RuntimeError):  # RuntimeError: this user has no home folder
        return None


CACHE_FOLDER: Final = _prepared()
"""Where compiled code is kept; None: nowhere, every start compiles anew (``pj backtest`` says so)."""
if CACHE_FOLDER is not None:
    vars(config)["CACHE_DIR"] = str(CACHE_FOLDER)
_COMMON: Final[dict[str, Any]] = {"cache": CACHE_FOLDER is not None, "nogil": True}
_BARE: Final[dict[str, Any]] = {"_nrt": False, "error_model": "numpy"}


def compiled(function: F) -> F:
    """Return ``function`` compiled at its first call, without the interpreter lock, kept on disk where possible."""
    return cast("F", numba.njit(**_COMMON)(function))


def kernel(function: F) -> F:
    """Return ``function`` compiled like ``compiled``, for functions that make no arrays of their own.

    No reference is counted in it (six times faster on many small calls over tuples of arrays) and division by zero
    is not looked for: nothing of Python is left, as in device code.
    """
    return cast("F", numba.njit(**_COMMON, **_BARE)(function))


def part(function: F) -> F:
    """Return ``function`` compiled like ``kernel`` and always laid into its callers.

    A call hands over every field of every array in its tuples, which costs more than most parts do.
    """
    return cast("F", numba.njit(**_COMMON, **_BARE, forceinline=True)(function))
