"""Take secrets out of whatever the doctor is about to print.

The checks do not show secrets; this is the second fence: an error of a library or a path typed into the wrong
variable may quote one. Known are the webhook's address and its parts, wherever it may stand (environment, ``.env``,
settings), and the keys of the service account's file.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

MASK: Final = "***"
#: Shorter texts would be found inside ordinary words.
SHORTEST: Final = 6
_ADDRESS_NAMES: Final = ("PJ_TRADERSPOST_WEBHOOK_URL", "PJ__TRADERSPOST__WEBHOOK_URL")
_KEY_NAMES: Final = ("private_key", "private_key_id", "refresh_token", "client_secret", "token")
_NO_SECRET: Final = frozenset({"trading", "webhook"})


class Masker:
    """Replace every known secret by ``***``, in texts and in whole reports."""

    def __init__(self, secrets: Iterable[str]) -> None:
        found = {text for secret in secrets for text in _forms(secret) if len(text) >= SHORTEST}
        self._secrets = sorted(found, key=len, reverse=True)

    def text(self, text: str) -> str:
        """Return ``text`` without secrets."""
        for secret in self._secrets:
            text = text.replace(secret, MASK)
        return text

    def tree(self, value: Any) -> Any:
        """Return a JSON value without secrets, keys included."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {self.text(str(key)): self.tree(inner) for key, inner in value.items()}
        if isinstance(value, list | tuple):
            return [self.tree(inner) for inner in value]
        return value


def address_secrets(env: Mapping[str, str], more: Iterable[str] = ()) -> Iterator[str]:
    """Yield the webhook's address as it may stand in variables, and the parts of it that are secret."""
    named = [line for name in _ADDRESS_NAMES for line in env.get(name, "").splitlines()]
    for address in (*named, *more):
        text = address.strip()
        if not text:
            continue
        yield text
        url = _split(text)
        if url is not None:
            yield from (part for part in (url.path, url.query, url.fragment, url.username, url.password) if part)
            yield from (part for part in url.path.split("/") if part not in _NO_SECRET)


def account_secrets(path: Path) -> Iterator[str]:
    """Yield the secret values of a service account's file; nothing when it cannot be read (a check says so)."""
    try:
        info = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return
    if isinstance(info, dict):
        yield from (info[name] for name in _KEY_NAMES if isinstance(info.get(name), str))


def _split(text: str) -> Any:
    try:
        return urlsplit(text)
    except ValueError:  # no address at all: it is masked as a whole
        return None


def _forms(secret: str) -> Iterator[str]:
    """Yield a secret as it may be shown: itself, its lines, escaped, decoded."""
    yield secret
    yield unquote(secret)
    yield json.dumps(secret)[1:-1]
    yield repr(secret)[1:-1]
    yield from (line for line in secret.splitlines() if not line.startswith("-----"))
    # Given where a path belongs it is shown as a path: slashes doubled become one, and on Windows they turn.
    yield str(Path(secret))
