"""Write files so that a kill at any moment leaves the old one or the new one, whole and on disk."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

from strategies.mle.search.space import SearchInputError


def write_whole(path: Path, fill: Callable[[Path], None]) -> None:
    """Let ``fill`` write a hidden file beside ``path``, sync it, then put it in place.

    A power cut may take the new name back until ``sync_folder``, never give half a file. Raises SearchInputError when
    the disk refuses.
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        fill(temporary)
        with temporary.open("rb+") as stream:
            os.fsync(stream.fileno())
        temporary.replace(path)
        temporary = None
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a small text file whole."""

    def fill(temporary: Path) -> None:
        temporary.write_bytes(text.encode())

    write_whole(path, fill)


def sync_folder(folder: Path) -> None:
    """Make the names in ``folder`` last; Windows writes its directories through by itself."""
    if sys.platform == "win32":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def cannot_write(path: Path, error: OSError) -> SearchInputError:
    """Return the error of a disk that refuses ``path``."""
    return SearchInputError(
        f"{path} cannot be written ({error.strerror or error}); choose another folder or free the disk"
    )
