"""Tell what runs or once ran in a run folder, and on which kind of file system it lies; nothing is changed."""

from __future__ import annotations

from pathlib import Path

import psutil

from pj.supervision import fencing


def living_children(state_folder: Path) -> list[tuple[str, int]]:
    """Return name and pid of every recorded child that lives; raise OrphanTrouble when the record is unreadable."""
    births = fencing.read_births(state_folder / "children.json")
    return [(birth.name, birth.pid) for birth in births if fencing.living(birth) is not None]


def filesystem_of(path: Path) -> str:
    """Return the kind of file system that holds ``path`` (``ext4``, ``NTFS``, ``nfs4``); empty when it is not told."""
    place = path.resolve()
    best, kind = -1, ""
    for part in psutil.disk_partitions(all=True):
        mount = Path(part.mountpoint)
        if (mount == place or mount in place.parents) and len(mount.parts) >= best:
            best, kind = len(mount.parts), part.fstype
    return kind
