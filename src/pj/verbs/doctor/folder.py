"""Check the run folder: can it be written, do locks work there, is there room."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pj.verbs.doctor.model import Finding, Patient, fail, ok, warn

#: A busy hour of MNQ: 100 messages a second, each a row in both tapes, 250 bytes together.
TAPE_BYTES_PER_HOUR: Final = 100 * 250 * 3600
FAIL_HOURS, WARN_HOURS = 24, 5 * 24
LOCK_TRY_S: Final = 6.0
OTHER_FOLDER: Final = "name another run_dir, on a disk of this machine"
_TRY: Final = (
    "import sys; from pathlib import Path; from pj.channels.files import is_locked;"
    " sys.exit(3 if is_locked(Path(sys.argv[1])) else 4)"
)


def writable(patient: Patient) -> Finding:
    """Write, sync, replace and lock for real in ``state/``, then take every trace away again."""
    from pj.channels.files import Locked, WriteFailed, lock_file, replace_atomic
    from pj.supervision.traces import filesystem_of

    folder = patient.folder.state_folder
    file = folder / f".doctor.{os.getpid()}"
    try:
        with _folder(folder), contextlib.ExitStack() as traces:
            traces.callback(file.unlink, missing_ok=True)
            for text in (b"first\n", b"second\n"):
                replace_atomic(file, text, durable=True)
            if file.read_bytes() != b"second\n":
                return fail(f"{folder} does not give back what was written", OTHER_FOLDER)
            kind = filesystem_of(folder) or "unknown"
            with lock_file(file):
                answer = _other_process(file)
            facts = {"filesystem": kind, "folder": str(folder)}
            if answer == 4:
                return fail(f"locks do not hold in {folder} (file system {kind})", OTHER_FOLDER, **facts)
            if answer != 3:
                return fail(f"whether locks hold in {folder} could not be tried (exit code {answer})", **facts)
            return ok(f"{patient.folder.root}: written, synced, replaced, locked (file system {kind})", **facts)
    except (WriteFailed, Locked, OSError) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or str(error)
        return fail(f"{folder} cannot be used: {why}", OTHER_FOLDER)


@contextlib.contextmanager
def _folder(folder: Path) -> Iterator[None]:
    """Make ``folder`` for a moment; the parts that were not there are taken away again."""
    missing = [part for part in (folder, *folder.parents) if not part.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    finally:
        for part in missing:
            with contextlib.suppress(OSError):  # a start in this very moment may have put something into it
                part.rmdir()


def _other_process(file: Path) -> int:
    """Return 3 when another process finds ``file`` locked, 4 when it does not."""
    command = [sys.executable, "-P", "-c", _TRY, str(file)]
    quiet = subprocess.DEVNULL
    return subprocess.run(command, stdin=quiet, stdout=quiet, stderr=quiet, timeout=LOCK_TRY_S, check=False).returncode


def space(patient: Patient) -> Finding:
    """Compare the free space with what the tapes of a busy market need."""
    root = patient.folder.root
    place = next(part for part in (root, *root.parents) if part.exists())
    free = shutil.disk_usage(place).free
    hours = free / TAPE_BYTES_PER_HOUR
    facts = {"free_bytes": free, "hours": round(hours, 1), "bytes_per_hour": TAPE_BYTES_PER_HOUR}
    said = f"{free / 1e9:.1f} GB free, {hours:,.0f} h of tape at {TAPE_BYTES_PER_HOUR // 1_000_000} MB an hour"
    if hours < FAIL_HOURS:
        return fail(f"{said}: less than a day", "", **facts)
    if hours < WARN_HOURS:
        return warn(f"{said}: less than a week of trading", "", **facts)
    return ok(said, **facts)
