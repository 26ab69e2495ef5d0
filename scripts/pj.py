"""Run a verb of PJ Engine on a machine that has only Python: make .venv, install the lock, run.

``python3 scripts/pj.py demo`` and ``python3 scripts/pj.py test`` are the two commands of the README.
Only the standard library is used. The second time nothing is installed and the verb starts at once;
an installation that was interrupted is done again. uv installs when it is there, else pip, both from
pinned hashes. ``test`` also installs what the tests need and runs pytest: the whole suite, or what its arguments name.
"""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
STAMP = VENV / "pj-installed.txt"
#: ib_async brings a module folder that ib_insync also needs in another version: it gets a folder of its own.
IB_ASYNC = VENV / "ib_async"
WINDOWS = os.name == "nt"
PYTHON = VENV / ("Scripts/python.exe" if WINDOWS else "bin/python")
OLDEST, TOO_NEW = (3, 11), (3, 14)


def main(argv: list[str]) -> int:
    """Install what is missing, then run the verb; return its exit code."""
    if not OLDEST <= sys.version_info[:2] < TOO_NEW:
        found = ".".join(map(str, sys.version_info[:3]))
        say(f"PJ Engine needs Python 3.11, 3.12 or 3.13, and this is {found}; start it with one of those")
        return 2
    testing = argv[:1] == ["test"]
    wanted = "dev" if testing else "runtime"
    try:
        if not installed(wanted):
            install(wanted)
    except InstallationError as error:
        say(str(error))
        return 3
    except KeyboardInterrupt:
        say("the installation was interrupted; the next start does it again")
        return 3
    if testing:
        os.chdir(ROOT)
        os.environ["PJ_IB_ASYNC_PATH"] = str(IB_ASYNC)
        return run([str(PYTHON), "-P", "-m", "pytest", *(argv[1:] or all_at_once())])
    if not Path("config.yaml").is_file():
        os.environ.setdefault("PJ_CONFIG", str(ROOT / "config.yaml"))
    return run([str(PYTHON), "-P", "-m", "pj.cli", *argv])


def all_at_once() -> list[str]:
    """Return how the whole suite is spread: a file stays whole; with three workers, whole systems starve each other."""
    return ["-n", "2", "--dist", "loadfile"]


class InstallationError(Exception):
    """Report an installation that failed, in one sentence."""


def say(text: str) -> None:
    """Print one line of progress; stdout belongs to the verb."""
    sys.stderr.write(f"pj: {text}\n")
    sys.stderr.flush()


def key() -> str:
    """Return what an installation depends on: the lock and the Python that it was made with."""
    import hashlib

    digest = hashlib.sha256()
    for name in ("uv.lock", "requirements/runtime.txt", "requirements/dev.txt", "requirements/ib_async.txt"):
        digest.update((ROOT / name).read_bytes())
    return f"{digest.hexdigest()[:32]} {sys.version_info[0]}.{sys.version_info[1]} {ROOT}"


def installed(wanted: str) -> bool:
    """Tell whether .venv holds what is wanted (dev includes runtime)."""
    try:
        kind, _, made = STAMP.read_text(encoding="utf-8").strip().partition(" ")
    except OSError:
        return False
    return kind in {wanted, "dev"} and made == key() and PYTHON.exists()


def install(wanted: str) -> None:
    """Bring .venv to the lock; the stamp is written last, so that a broken installation is done again."""
    import time

    begun = time.monotonic()
    with installation_lock():
        if installed(wanted):  # another start has done it while we waited
            return
        STAMP.unlink(missing_ok=True)
        uv = find_uv()
        say(f"installing into {VENV} with {'uv' if uv else 'pip'} (the first time this takes a minute or two)")
        if uv:
            install_with_uv(uv, wanted)
        else:
            install_with_pip(wanted)
        fresh = STAMP.with_suffix(".new")
        fresh.write_text(f"{wanted} {key()}\n", encoding="utf-8")
        fresh.replace(STAMP)
    say(f"installed in {time.monotonic() - begun:.0f} s")


def installation_lock() -> io.BufferedRandom:
    """Return an open file whose lock one installation holds at a time; it falls when the file is closed."""
    file = (ROOT / ".venv.lock").open("a+b")
    try:
        if sys.platform == "win32":
            import msvcrt

            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)
        else:
            import fcntl

            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                say("another installation is running; waiting for it")
                fcntl.flock(file, fcntl.LOCK_EX)
    except OSError as error:
        file.close()
        raise InstallationError(f"another installation holds {ROOT / '.venv.lock'}; wait for it ({error})") from None
    return file


def find_uv() -> str | None:
    """Return the path of a uv that runs, None when there is none (a shim that does not run counts as none)."""
    import shutil
    import subprocess

    uv = shutil.which("uv")
    if uv is None:
        return None
    try:
        done = subprocess.run([uv, "--version"], capture_output=True, check=False, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return uv if done.returncode == 0 else None


def install_with_uv(uv: str, wanted: str) -> None:
    """Make .venv equal to the lock, keeping whatever else the user has installed there."""
    only = ["--group", "dev"] if wanted == "dev" else ["--no-dev"]
    step("packages", [uv, "sync", "--frozen", "--inexact", "--python", sys.executable, *only])
    if wanted == "dev":
        pinned = ["--no-deps", "--require-hashes", "-r", str(ROOT / "requirements/ib_async.txt")]
        step("ib_async", [uv, "pip", "install", "--python", str(PYTHON), "--target", str(IB_ASYNC), *pinned])


def install_with_pip(wanted: str) -> None:
    """Make .venv with the standard library's venv and install the hashed requirements."""
    if not venv_is_sound():
        step("environment", [sys.executable, "-m", "venv", "--clear", str(VENV)])
    pip = [str(PYTHON), "-m", "pip", "--disable-pip-version-check", "install", "--no-deps", "--require-hashes"]
    step("packages", [*pip, "-r", str(ROOT / f"requirements/{wanted}.txt")])
    if wanted == "dev":
        target = ["--upgrade", "--target", str(IB_ASYNC)]
        step("ib_async", [*pip, *target, "-r", str(ROOT / "requirements/ib_async.txt")])
    # The packages themselves are read from the checkout, as an editable installation would do it.
    where = "import sysconfig; print(sysconfig.get_path('purelib'))"
    folder = Path(step("own packages", [str(PYTHON), "-c", where], quiet=True).strip())
    (folder / "pj_engine_checkout.pth").write_text(f"{ROOT / 'src'}\n{ROOT}\n", encoding="utf-8")


def venv_is_sound() -> bool:
    """Tell whether .venv has a Python of this version with pip."""
    import subprocess

    if not PYTHON.exists():
        return False
    code = "import pip, sys; sys.exit(tuple(sys.version_info[:2]) != " + str(tuple(sys.version_info[:2])) + ")"
    try:
        return subprocess.run([str(PYTHON), "-c", code], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def step(what: str, command: list[str], *, quiet: bool = False) -> str:
    """Run one step of the installation, its output on stderr; raise InstallationError when it fails."""
    import subprocess

    if not quiet:
        say(f"  {what} ...")
    environment = {name: value for name, value in os.environ.items() if name not in {"VIRTUAL_ENV", "PYTHONPATH"}}
    try:
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=environment,
            check=False,
            text=True,
            stdout=subprocess.PIPE if quiet else sys.stderr,
        )
    except OSError as error:
        raise InstallationError(f"installing the {what} failed: {error}; mend that and start again") from None
    if done.returncode != 0:
        raise InstallationError(
            f"installing the {what} failed with code {done.returncode}; the lines above say why"
            " (a package index must be reachable the first time); mend that and start again"
        )
    return done.stdout or ""


def run(command: list[str]) -> int:
    """Become the command (POSIX), or run it and return its exit code (Windows)."""
    if not WINDOWS:
        os.execv(command[0], command)  # noqa: S606 (our own Python)
    import signal
    import subprocess

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the verb itself; we wait for its exit code
    return subprocess.call(command)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
