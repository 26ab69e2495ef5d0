"""Take secrets out of text before it is written: values this process knows, and whatever looks like one.

Known values are learned (``learn``, ``learn_environment``): the value itself and the ways in which programs quote it
(JSON, Python, URL). Patterns catch what nobody has learned: webhook addresses, bearer and OAuth tokens, private keys,
passwords in addresses, fields with a telling name. Redacting twice changes nothing.
"""

from __future__ import annotations

import io
import json
import re
import sys
import traceback
from typing import TYPE_CHECKING, Any, Final, TextIO
from urllib.parse import quote, quote_plus

from pj.channels.dumps import no_memory_dumps

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

MASK: Final = "***"
#: Shorter values are not masked wherever they stand: 'live' as a password would blank half the log.
SHORTEST: Final = 5
SHOWN_OF_ID: Final = 8
WEBHOOK: Final = re.compile(r"(/trading/webhook/)([^/\s\"'\\<>]+)/([^/\s\"'\\<>?#)\],;]+)")
#: Names of environment variables whose values are secrets.
_SECRET_NAME: Final = re.compile(r"PJ_.*(?:SECRET|PASSW|TOKEN|PRIVATE|API_?KEY|WEBHOOK)", re.IGNORECASE)
_FIELD_NAMES: Final = (
    r"(?:private_?key(?:_id)?|client_?secret|(?:access|refresh|id|auth|bearer|api|session)_?token|api_?key|assertion"
    r"|password|passwd|passphrase|secret|x-goog-api-key)"
)
_SECRET_FIELD: Final = re.compile(_FIELD_NAMES, re.IGNORECASE)
_TRIGGER: Final = re.compile(
    r"webhook/|bearer|authorization|private|secret|passw|passphrase|token|api.?key|assertion|://|ya29|eyj|aiza|1//0",
    re.IGNORECASE,
)


def _webhook(match: re.Match[str]) -> str:
    return f"{match[1]}{shown_id(match[2])}/{MASK}"


def shown_id(text: str) -> str:
    """Return the part of a webhook's id that may be seen: eight characters of a long one, none of a short one."""
    if text == MASK or (text.endswith("...") and len(text) <= SHOWN_OF_ID + 3):
        return text
    return f"{text[:SHOWN_OF_ID]}..." if len(text) >= 2 * SHOWN_OF_ID else MASK


_PATTERNS: Final[tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...]] = (
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL), MASK),
    (WEBHOOK, _webhook),
    (re.compile(r"\b([A-Za-z][A-Za-z0-9+.-]*://)[^/\s@\"'<>]+@"), rf"\1{MASK}@"),
    # In an object the name is quoted, however often; a value ends at the quote that began it, or where text was cut.
    (
        re.compile(
            rf"(?<![A-Za-z])({_FIELD_NAMES}\\*[\"']?\s*[:=]\s*)"
            r"(?:\"(?:\\.|[^\"\\])*(?:\"|\Z)|'(?:\\.|[^'\\])*(?:'|\Z)|\\+[\"'].*?(?:\\+[\"']|\Z)|[^\s\"',;&)}\]\\]+)",
            re.IGNORECASE | re.DOTALL,
        ),
        rf"\1{MASK}",
    ),
    (
        re.compile(r"(authorization\\*[\"']?\s*[:=]\s*\\*[\"']?)(?:[A-Za-z]+ )?[^\s\"',\\]+", re.IGNORECASE),
        rf"\1{MASK}",
    ),
    (re.compile(r"\b(bearer)\s+[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE), rf"\1 {MASK}"),
    (re.compile(r"\bya29\.[A-Za-z0-9._-]+"), f"ya29.{MASK}"),
    (re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?"), MASK),
    (re.compile(r"\bAIza[A-Za-z0-9_-]{30,}|\b1//0[A-Za-z0-9_-]{20,}"), MASK),
)


class _Known:
    """Hold the learned values as one search."""

    def __init__(self) -> None:
        self.shown: dict[str, str] = {}
        self.search: re.Pattern[str] | None = None

    def add(self, value: str, shown: str) -> None:
        forms = {value, quote(value, safe=""), quote(value), quote_plus(value), json.dumps(value)[1:-1]}
        forms |= {json.dumps(value, ensure_ascii=False)[1:-1], repr(value)[1:-1]}
        self.shown.update(dict.fromkeys(forms, shown))
        longest_first = sorted(self.shown, key=len, reverse=True)
        self.search = re.compile("|".join(map(re.escape, longest_first)))


_known = _Known()


def learn(value: str) -> None:
    """Mask ``value`` from now on wherever it stands; of a webhook's address its secret parts too."""
    value = value.strip()
    webhook = WEBHOOK.search(value)
    if webhook is not None:
        _add(webhook[2], shown_id(webhook[2]))
        _add(webhook[3], MASK)
    elif "PRIVATE KEY-----" in value:
        for line in value.replace("\\n", "\n").splitlines():
            if not line.startswith("-----"):
                _add(line.strip(), MASK)
    else:
        _add(value, MASK)


def _add(value: str, shown: str) -> None:
    # The id of a webhook may have been learned as a value of its own: its first characters may be seen all the same.
    if len(value) >= SHORTEST and (value not in _known.shown or _known.shown[value] == MASK != shown):
        _known.add(value, shown)


def learn_environment(env: Mapping[str, str]) -> None:
    """Learn the values of all variables of ours whose name says that they are secret."""
    for name, value in env.items():
        if _SECRET_NAME.match(name):
            learn(value)


def learn_service_account(text: str) -> None:
    """Learn the private key and its id from the text of a service-account file; text that is none teaches nothing."""
    try:
        found = json.loads(text)
    except ValueError:
        return  # the scribe refuses the file with a sentence of its own
    if isinstance(found, dict):
        for name in ("private_key", "private_key_id"):
            learn(str(found.get(name, "")))


def is_secret_name(name: str) -> bool:
    """Tell whether a field of this name holds a secret, whatever its value looks like."""
    return _SECRET_FIELD.fullmatch(name) is not None


def redact(text: str) -> str:
    """Return ``text`` without secrets."""
    if _known.search is not None:
        text = _known.search.sub(lambda match: _known.shown[match[0]], text)
    if _TRIGGER.search(text):
        for pattern, shown in _PATTERNS:
            text = pattern.sub(shown, text)
    return text


def redact_tree(value: Any) -> Any:
    """Return a value of JSON kinds with every text in it redacted."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {name: redact_tree(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [redact_tree(inner) for inner in value]
    return value


def exception_text(error: BaseException, trace: TracebackType | None = None) -> str:
    """Return the traceback of ``error`` as text without secrets."""
    return redact("".join(traceback.format_exception(type(error), error, trace or error.__traceback__)))


class RedactedStream(io.TextIOBase):
    """Pass text on to ``stream`` without secrets; what is written in one piece is redacted as one piece."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write ``text`` redacted and return its length."""
        self._stream.write(redact(text))
        return len(text)

    def flush(self) -> None:
        """Pass on what is buffered."""
        self._stream.flush()

    def fileno(self) -> int:
        """Return the descriptor below (faulthandler writes there: code lines only)."""
        return self._stream.fileno()

    def isatty(self) -> bool:
        """Tell whether a person reads along."""
        return self._stream.isatty()

    def writable(self) -> bool:
        """Return True."""
        return True

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """Return the encoding below."""
        return self._stream.encoding


def print_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print the traceback of an uncaught exception without secrets (a ``sys.excepthook``)."""
    if sys.stderr is not None and not issubclass(kind, SystemExit):
        sys.stderr.write(exception_text(error, trace))
        sys.stderr.flush()


def guard_process(env: Mapping[str, str], *, output: bool = False) -> None:
    """Keep secrets out of what this process prints on stderr and leaves on a crash; called once, at its start.

    ``output``: on stdout too, for a process whose stdout is its ``.out`` file and neither a screen nor data.
    """
    no_memory_dumps()
    learn_environment(env)
    if sys.stderr is not None and not isinstance(sys.stderr, RedactedStream):
        sys.stderr = RedactedStream(sys.stderr)
    if output and sys.stdout is not None and not isinstance(sys.stdout, RedactedStream):
        sys.stdout = RedactedStream(sys.stdout)
    sys.excepthook = print_uncaught
