r"""Speak the framing of the TWS wire protocol: length-prefixed frames of NUL-ended text fields.

A frame is a 4-byte big-endian payload length and the payload; numbers travel as text, booleans
as ``1``/``0``, unset values as empty fields. A client's first bytes are the raw prefix ``API\0``
followed by one frame ``v<min>..<max>[ options]``.
"""

from __future__ import annotations

import re
import struct
from decimal import Decimal
from typing import Final

from live.market import Instrument

PREFIX: Final = b"API\0"
MIN_VERSION: Final = 100
MAX_VERSION: Final = 178
MAX_FRAME: Final = 0xFFFFFF
UNSET_DOUBLE: Final = "1.7976931348623157E308"
UNSET_INT: Final = "2147483647"

Field = str | int | float | bool | Decimal | None

_HELLO: Final = re.compile(r"v(\d+)(?:\.\.(\d+))?(?: .*)?")
_LENGTH: Final = struct.Struct(">I")


class WireError(ValueError):
    """Report bytes of a peer that are not the protocol."""


def text(value: Field) -> str:
    """Return one field as wire text; a NUL inside a string would shift every later field, so it is refused."""
    match value:
        case None:
            return ""
        case bool():
            return "1" if value else "0"
        case float():
            return repr(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
        case str() if "\0" in value:
            raise WireError(f"field {value!r} holds a NUL")
        case _:
            return str(value)


def frame(*fields: Field) -> bytes:
    """Return one frame holding ``fields``."""
    payload = "".join([f"{text(field)}\0" for field in fields]).encode()
    return _LENGTH.pack(len(payload)) + payload


def points(instrument: Instrument, ticks: int) -> str:
    """Return a price in ticks as wire text in points."""
    return instrument.to_points(ticks)


class Inbox:
    """Cut a client's byte stream into frames; bytes may arrive in any pieces."""

    def __init__(self) -> None:
        """Start before the handshake."""
        self._buffer = bytearray()
        self._greeted = False

    def feed(self, data: bytes) -> list[list[str]]:
        """Return the frames completed by ``data``, each as its fields.

        The first frame is the hello, one field without a closing NUL. Raises WireError when the
        prefix or a length is not the protocol's.
        """
        self._buffer += data
        frames: list[list[str]] = []
        if not self._greeted:
            if not PREFIX.startswith(bytes(self._buffer[: len(PREFIX)])):
                raise WireError(f"a client must begin with API\\0, got {bytes(self._buffer[:8])!r}")
            if len(self._buffer) < len(PREFIX):
                return frames
            del self._buffer[: len(PREFIX)]
            self._greeted = True
        while len(self._buffer) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._buffer)
            if length > MAX_FRAME:
                raise WireError(f"a frame of {length} bytes is longer than {MAX_FRAME}")
            end = _LENGTH.size + length
            if len(self._buffer) < end:
                break
            payload = self._buffer[_LENGTH.size : end].decode(errors="backslashreplace")
            del self._buffer[:end]
            frames.append(payload.removesuffix("\0").split("\0"))
        return frames


def negotiate(hello: str) -> int:
    """Return the server version for a client's hello, the smaller of its maximum and ours.

    Raises WireError when the ranges do not meet.
    """
    found = _HELLO.fullmatch(hello)
    if found is None:
        raise WireError(f"hello {hello!r} is not v<min>..<max>")
    low = int(found[1])
    high = int(found[2] or found[1])
    version = min(high, MAX_VERSION)
    if version < max(low, MIN_VERSION):
        raise WireError(f"client speaks {low}..{high}, this gateway {MIN_VERSION}..{MAX_VERSION}")
    return version


class Fields:
    """Read a request's fields in order; a missing or unset field reads as the default."""

    def __init__(self, values: list[str]) -> None:
        """Start at the first field."""
        self._values = values
        self._at = 0

    def text(self, default: str = "") -> str:
        """Return the next field as text."""
        if self._at >= len(self._values):
            return default
        value = self._values[self._at]
        self._at += 1
        return value or default

    def integer(self, default: int = 0) -> int:
        """Return the next field as a whole number; raise WireError naming a malformed one."""
        value = self.text()
        if value in ("", UNSET_INT):
            return default
        try:
            return int(Decimal(value))
        except (ArithmeticError, ValueError) as error:
            raise WireError(f"field {self._at} is {value!r}, not a whole number") from error

    def flag(self) -> bool:
        """Return the next field as a truth value."""
        return self.text("0").lower() not in ("0", "false")

    def price(self) -> str:
        """Return the next field as a price text, empty when unset."""
        value = self.text()
        return "" if value.upper().startswith("1.7976931348623157E") else value

    def skip(self, count: int) -> None:
        """Pass over ``count`` fields."""
        self._at += count

    def rest(self) -> list[str]:
        """Return the fields not read yet."""
        return self._values[self._at :]
