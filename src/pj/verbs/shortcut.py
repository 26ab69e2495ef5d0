"""Put a shortcut on the desktop: ``pj service shortcut``.

The shortcut points to the launcher in the checkout (``LAUNCH_PJ_ENGINE.bat``, on POSIX ``launch_pj_engine.sh``), so
what a double click does is decided in one place and follows the settings file.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final, Literal

import pj
from pj.channels.files import replace_atomic
from pj.verbs.common import Options, Refusal, Unavailable, print_json

System = Literal["windows", "linux", "macos"]
NAMES: Final[dict[System, str]] = {
    "windows": "PJ Engine.lnk",
    "linux": "pj-engine.desktop",
    "macos": "PJ Engine.command",
}
LAUNCHERS: Final[dict[System, str]] = {
    "windows": "LAUNCH_PJ_ENGINE.bat",
    "linux": "launch_pj_engine.sh",
    "macos": "launch_pj_engine.sh",
}
WHAT: Final = "PJ Engine: the demo, or the daemon once config.yaml names a gateway"
TOOL_S: Final = 60.0
#: Makes a link; the texts come as arguments (link, launcher, what), so that no code page can spoil an umlaut in them.
SCRIPT: Final = """\
Set link = CreateObject("WScript.Shell").CreateShortcut(WScript.Arguments(0))
link.TargetPath = WScript.Arguments(1)
link.WorkingDirectory = CreateObject("Scripting.FileSystemObject").GetParentFolderName(WScript.Arguments(1))
link.Description = WScript.Arguments(2)
link.Save
""".replace("\n", "\r\n")


def shortcut(options: Options) -> int:
    """Write the shortcut; raise Refusal, WriteFailed, Unavailable."""
    system = this_system()
    launcher = Path(pj.__file__).resolve().parents[2] / LAUNCHERS[system]
    if not launcher.is_file():
        raise Refusal(f"{launcher} is not there: only a checkout has a launcher to point to; 'pj up' needs none")
    folder = options["folder"].absolute() if options["folder"] else desktop(system)
    if not folder.is_dir():
        raise Refusal(f"the folder {str(folder)!r} is not there; name one with --folder")
    path = folder / NAMES[system]
    text = render(system, str(launcher), str(path))
    if not options["dry_run"]:
        if system == "windows":
            run_script(str(path), str(launcher))
        else:
            replace_atomic(path, text.encode())
            path.chmod(0o755)
    if options["json"]:
        report = {"path": str(path), "target": str(launcher), "text": text, "dry_run": options["dry_run"]}
        print_json(report)
    elif options["dry_run"]:
        print(text, end="")
        sys.stderr.write(f"(would make {path})\n")
    else:
        print(f"made {path}, which starts {launcher}; to remove it delete it")
    return 0


def this_system() -> System:
    """Return the system whose kind of shortcut is made here."""
    return {"win32": "windows", "darwin": "macos"}.get(sys.platform, "linux")  # type: ignore[return-value]


def desktop(system: System) -> Path:
    """Return the desktop's folder as the user has named it."""
    if system == "linux" and (tool := shutil.which("xdg-user-dir")):
        told = subprocess.run((tool, "DESKTOP"), capture_output=True, text=True, timeout=TOOL_S, check=False)
        if told.returncode == 0 and told.stdout.strip():
            return Path(told.stdout.strip())
    if system == "windows":
        return Path(_windows_desktop())
    return Path.home() / "Desktop"


def render(system: System, launcher: str, path: str) -> str:
    """Return the shortcut's text; on Windows the script that makes it. Raise Refusal for a path it cannot hold."""
    if re.search(r"[\x00-\x1f\x7f]", launcher + path):
        raise Refusal(f"{launcher!r} holds a control character, which a shortcut cannot; rename that folder")
    match system:
        case "windows":
            return SCRIPT
        case "linux":
            return _desktop_entry(launcher)
        case "macos":
            return f"#!/bin/sh\nexec {shlex.quote(launcher)}\n"


def _desktop_entry(launcher: str) -> str:
    """Return a Desktop Entry; its Exec is quoted for the command line first, then as a string of the file."""
    if "=" in launcher:
        raise Refusal(f"{launcher!r} holds '=', which a desktop entry's Exec may not; rename that folder")
    quoted = '"' + re.sub(r'(["`$\\])', r"\\\1", launcher.replace("%", "%%")) + '"'
    folder = launcher.rpartition("/")[0]
    return f"""\
[Desktop Entry]
Type=Application
Version=1.0
Name=PJ Engine
Comment={WHAT}
Exec={_entry_string(quoted)}
Path={_entry_string(folder)}
Terminal=true
Categories=Office;Finance;
"""


def _entry_string(text: str) -> str:
    return text.replace("\\", "\\\\")


def run_script(path: str, launcher: str) -> None:
    """Make the link by Windows' script host; raise Unavailable with the host's own words."""
    tool = shutil.which("cscript")
    by_hand = "make it by hand: right-click the launcher, Send to, Desktop (create shortcut)"
    if tool is None:
        raise Unavailable(f"cscript is not on this machine; {by_hand}")
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "shortcut.vbs"
        script.write_text(SCRIPT, encoding="ascii", newline="")
        done = subprocess.run(
            (tool, "//nologo", str(script), path, launcher, WHAT),
            capture_output=True,
            text=True,
            errors="replace",
            timeout=TOOL_S,
            check=False,
        )
    if done.returncode != 0 or done.stderr.strip():
        said = " ".join((done.stderr or done.stdout).split()) or "without a word"
        raise Unavailable(f"the shortcut was not made ({said}); {by_hand}")


if sys.platform == "win32":
    import winreg

    def _windows_desktop() -> str:
        """Return the desktop's folder: often under OneDrive, so the registry is asked and not guessed."""
        name = r"Software\Microsoft\Windows\CurrentVersion\Explorer\User Shell Folders"
        with winreg.OpenKey(winreg.HKEY_CURRENT_USER, name) as key:
            return winreg.ExpandEnvironmentStrings(str(winreg.QueryValueEx(key, "Desktop")[0]))

else:

    def _windows_desktop() -> str:
        raise AssertionError("only Windows has a registry")
