"""Keep the webhook's address, which is its own password, out of sight.

Whatever shows the object shows ``https://host/trading/webhook/<first 8 of uuid>.../***``; a log
filter takes the secret parts out of records that HTTP libraries write.
"""

from __future__ import annotations

import logging
from typing import Final
from urllib.parse import urlsplit

from pj.channels.redact import MASK, learn

LIBRARY_LOGGERS: Final = ("urllib3.connectionpool", "urllib3.util.retry", "urllib3.connection", "requests")


class SecretUrl:
    """Hold one secret address; only ``reveal`` returns it."""

    __slots__ = ("_parts", "_text", "shown")

    def __init__(self, text: str) -> None:
        """Take the address; raise ValueError, without quoting it, when it is not a webhook's."""
        self._text = text.strip()
        url = urlsplit(self._text)
        parts = url.path.strip("/").split("/")
        if url.scheme not in {"http", "https"} or not url.hostname or parts[:2] != ["trading", "webhook"]:
            raise ValueError("the webhook URL must look like https://host/trading/webhook/<uuid>/<password>")
        if len(parts) != 4 or not all(parts):
            raise ValueError("the webhook URL must end in /trading/webhook/<uuid>/<password>")
        self._parts = (parts[3], parts[2])
        learn(self._text)
        self.shown = f"{url.scheme}://{url.netloc.rpartition('@')[2]}/trading/webhook/{parts[2][:8]}.../{MASK}"

    def reveal(self) -> str:
        """Return the address itself, for the one call that needs it."""
        return self._text

    @property
    def origin(self) -> str:
        """Return scheme and host, which are no secret."""
        url = urlsplit(self._text)
        return f"{url.scheme}://{url.netloc.rpartition('@')[2]}"

    def redact(self, text: str) -> str:
        """Return ``text`` without the address and without its secret parts."""
        text = text.replace(self._text, self.shown)
        password, uuid = self._parts
        return text.replace(password, MASK).replace(uuid, f"{uuid[:8]}...")

    def guard_logs(self) -> None:
        """Take the secret out of whatever the HTTP libraries log."""
        for name in LIBRARY_LOGGERS:
            logging.getLogger(name).addFilter(_Redactor(self))

    def __repr__(self) -> str:
        """Show the redacted form."""
        return f"SecretUrl({self.shown})"

    __str__ = __repr__

    def __reduce__(self) -> str:
        """Refuse to be pickled: a dump would hold the secret."""
        raise TypeError("a SecretUrl is not pickled")


class _Redactor(logging.Filter):
    def __init__(self, secret: SecretUrl) -> None:
        super().__init__()
        self._secret = secret

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = self._secret.redact(record.getMessage()), ()
        if record.exc_info:
            record.exc_info, record.exc_text = None, None
        return True
