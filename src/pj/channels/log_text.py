r"""Write and read the line of a log: ``TIME LEVEL EVENT key=value ...``, one event, one line, any text.

A word stands bare when it is plain ASCII without space, quote or ``=``, else as a JSON string whose control characters
and line separators are escaped, so that no text whatever can break a line or look like two.
"""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING, Final

from pj.channels.redact import MASK, is_secret_name, redact

if TYPE_CHECKING:
    from collections.abc import Mapping

_BARE: Final = re.compile(r"[A-Za-z0-9\-_.:/+%,#@*]+", re.ASCII)
#: What JSON leaves as it is but editors, terminals or UTF-8 do not: DEL and C1, line separators, lone surrogates.
_UNSAFE: Final = re.compile("[\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_WORD: Final = r'(?:[A-Za-z0-9\-_.:/+%,#@*]+|"(?:[^"\\]|\\.)*")'
_LINE: Final = re.compile(
    rf"(\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{{3}}Z) ([A-Z0-9]+) ({_WORD})((?: {_WORD}={_WORD})*)", re.ASCII
)
_FIELD: Final = re.compile(rf" ({_WORD})=({_WORD})", re.ASCII)


class NotALogLine(ValueError):
    """Report text that is no line of ours."""


def _word(text: str) -> str:
    if _BARE.fullmatch(text):
        return text
    return _UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", json.dumps(text, ensure_ascii=False))


def value_text(value: object) -> str:
    """Return a value as text: three decimals of a float at most, secrets masked."""
    return redact(f"{value:.3f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value))


def field_text(value: object) -> str:
    """Return one value as a word of the log."""
    return _word(value_text(value))


def event_text(event: str, fields: Mapping[str, object]) -> str:
    """Return ``EVENT key=value ...`` as one line without secrets; None values are left out."""
    words = [_word(redact(event))]
    for key, value in fields.items():
        if value is not None:
            shown = MASK if is_secret_name(key) else value_text(value)
            words.append(f"{_word(redact(key))}={_word(shown)}")
    return " ".join(words)


def stamp_text(seconds: float) -> str:
    """Return a moment (s since the UTC epoch) as the log writes it, in milliseconds."""
    whole, ms = divmod(int(seconds * 1000), 1000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(whole))}.{ms:03d}Z"


def parse_line(text: str) -> tuple[str, str, str, dict[str, str]]:
    """Return (time, level, event, fields) of one line, values as text; raise NotALogLine.

    The time is the UTC text as it stands there. The inverse of ``event_text`` for any event and any values.
    """
    found = _LINE.fullmatch(text.removesuffix("\n"))
    if found is None:
        raise NotALogLine(f"{text[:200]!r} is not 'TIME LEVEL EVENT key=value ...'; it was not written by this program")
    return found[1], found[2], _text(found[3]), {_text(key): _text(value) for key, value in _FIELD.findall(found[4])}


def _text(word: str) -> str:
    return str(json.loads(word)) if word.startswith('"') else word
