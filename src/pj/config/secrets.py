"""Know where secrets may stand, and what a secret looks like that stands somewhere else.

A key or an address pasted where a path or a name belongs would be shown by whoever shows settings (``pj config show``,
an error, a log). So it never becomes a setting: it is refused with a sentence that does not hold it.
"""

from __future__ import annotations

import re
import sys
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final

from pj.settings_text import ConfigError

#: Variables with a name of their own: secrets and paths of secrets, which never stand in config.yaml.
SECRET_VARIABLES: Final = {
    "PJ_TRADERSPOST_WEBHOOK_URL": "traderspost.webhook_url",
    "PJ_SHEETS_SERVICE_ACCOUNT": "sheets.service_account_file",
}
SECRET_KEYS: Final = frozenset({"traderspost.webhook_url"})
#: Paths of files that hold secrets: what stands there and is no path is taken for the secret itself.
SECRET_PATHS: Final = frozenset({"sheets.service_account_file"})
KEYRING_SERVICE: Final = "pj-engine"
_LONGEST_PATH: Final = 1_000
_NO_PATH: Final = re.compile(r"[{}\n]|private_key|BEGIN |https?:[\\/]|[\\/]trading[\\/]webhook")
_SECRET: Final = re.compile(r"private_key|BEGIN [A-Z ]*PRIVATE|[\\/]trading[\\/]webhook[\\/]")


def misplaced(key: str, value: Any) -> str:
    """Return why ``value`` may not stand under ``key`` (a secret, or no path where one is meant), empty when it may.

    The sentence never holds any part of the value.
    """
    if key in SECRET_KEYS:
        return ""
    text = str(value)
    block = next((path for path in SECRET_PATHS if key == path or key.startswith(f"{path}.")), "")
    if block and (key != block or is_no_path(text)):
        return (
            f"{block} must be the path of the service account's file; what stands there is no path"
            " (perhaps the key itself, so it is not shown); save the key as a file, name that file,"
            " and if the key stood in a file that others read, make a new one"
        )
    if _SECRET.search(text):
        return f"{key} holds what looks like a secret (it is not shown); take it out and put it where it belongs"
    return ""


def from_keyring(variable: str) -> str:
    """Return what the operating system's keyring holds for ``variable`` (service pj-engine), empty when it has nothing.

    The library is an extra (requirements/keyring.txt), loaded only here. Raises ConfigError when it is missing or
    refuses.
    """
    try:
        keyring: Any = import_module("keyring")
    except ImportError:
        raise ConfigError(
            f"keyring is true, but the library keyring is not installed; run '{_installer()} --no-deps"
            " --require-hashes -r requirements/keyring.txt' in the checkout, or set keyring: false and use .env"
        ) from None
    try:
        return str(keyring.get_password(KEYRING_SERVICE, variable) or "")
    except Exception as error:  # noqa: BLE001 (its backends raise errors of their own kinds)
        kind = type(error).__name__
        raise ConfigError(
            f"the operating system's keyring does not answer ({kind}); unlock it, or set keyring: false and use .env"
        ) from None


def _installer() -> str:
    """Return the command that installs into this environment; one made by uv has no pip."""
    if find_spec("pip") is not None:
        return f"{sys.executable} -m pip install"
    return f"uv pip install --python {sys.executable}"


def is_no_path(text: str) -> bool:
    """Tell whether a value given as the key's path is something else: the key itself, or an address."""
    return len(text) > _LONGEST_PATH or _NO_PATH.search(text) is not None
