"""List the verbs of ``pj service``: the daemon as a service of the machine."""

from __future__ import annotations

from typing import Final

from pj.verbs.arguments import JSON, PROFILE, SETTINGS
from pj.verbs.schema import Argument, Verb, object_output

_TEXT: Final = {"type": "string"}
_TRUTH: Final = {"type": "boolean"}
_TEXTS: Final = {"type": "array", "items": _TEXT}
_NAME: Final = Argument("--name", "name of the service, for several on one machine", default="pj-engine")
_SERVICE: Final = (*SETTINGS, *PROFILE, _NAME)
_KIND: Final = Argument(
    "--kind", "service manager; this machine's when left out", choices=("systemd", "launchd", "task")
)

SERVICE_VERBS: Final[tuple[Verb, ...]] = (
    Verb(
        "service show",
        "Print the file by which this machine starts the daemon at logon and starts it again after a failure.",
        "pj.verbs.service:show",
        (*_SERVICE, _KIND, JSON),
        object_output("the service file", kind=_TEXT, path=_TEXT, text=_TEXT),
        codes=(0, 2),
        detail="No secret and no environment stands in it: the daemon reads .env beside its settings file.",
    ),
    Verb(
        "service install",
        "Write the service file and register it with this machine's service manager.",
        "pj.verbs.service:install",
        (*_SERVICE, _KIND, Argument("--dry-run", "say what would be done and do nothing", kind="flag"), JSON),
        object_output(
            "what was done, and how to go on",
            kind=_TEXT,
            path=_TEXT,
            dry_run=_TRUTH,
            done=_TEXTS,
            notes=_TEXTS,
            start=_TEXT,
            stop=_TEXT,
            remove=_TEXT,
        ),
        codes=(0, 2, 3),
        detail="Settings given here are written into it; 'pj up' must be able to run with them.",
    ),
    Verb(
        "service uninstall",
        "Take the service away from the service manager and remove its file.",
        "pj.verbs.service:uninstall",
        (*SETTINGS, _NAME, JSON),
        object_output("what was done", kind=_TEXT, path=_TEXT, installed=_TRUTH, done=_TEXTS),
        codes=(0, 2, 3),
        detail="A running daemon must be stopped first ('pj stop').",
    ),
    Verb(
        "service run",
        "Keep the Sentinel: start it, watch its heartbeat, start it again. For launchd and Windows' Task Scheduler.",
        "pj.verbs.service:run",
        (
            *SETTINGS,
            *PROFILE,
            Argument("--settle", "end with 0 where another start would not help (exit code 2)", kind="flag"),
        ),
        codes=(0, 2, 3),
        detail="It stops on Ctrl-C or 'pj stop'. Its story is in logs/keeper.log.",
        until_stopped=True,
    ),
    Verb(
        "service shortcut",
        "Put a shortcut to the launcher on the desktop.",
        "pj.verbs.shortcut:shortcut",
        (
            Argument("--folder", "another folder than the desktop", kind="path", metavar="DIR"),
            Argument("--dry-run", "print what would be written and do nothing", kind="flag"),
            JSON,
        ),
        object_output("the shortcut", path=_TEXT, target=_TEXT, text=_TEXT, dry_run=_TRUTH),
        codes=(0, 2, 3),
        detail="A .lnk on Windows, a .desktop file on Linux, a .command file on macOS.",
    ),
)
