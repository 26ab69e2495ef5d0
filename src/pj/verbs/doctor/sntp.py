"""Ask a time server how far this machine's clock is off: an SNTP client (RFC 4330; packet of RFC 5905 section 7.3).

One 48-byte datagram out, one back. The request carries a random transmit timestamp, which a true answer must repeat
as its originate timestamp; our own send and receive times stay here, so a forged or late answer cannot pass.
"""

from __future__ import annotations

import secrets
import socket
import struct
import time
from dataclasses import dataclass
from typing import Final

PORT: Final = 123
_PACKET: Final = struct.Struct(">BBBbII4sQQQQ")
_CLIENT_V4: Final = 0x23  # leap 0, version 4, mode 3 (client)
_SERVER: Final = 4
_UNSYNCHRONISED: Final = 3
_EPOCH_S: Final = 2_208_988_800  # 1900-01-01 to 1970-01-01
_ERA_S: Final = 2**32
NS: Final = 1_000_000_000


class NoTime(Exception):
    """Report a server that gave no usable time, in a few words."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Carry one answer: server minus this machine's clock, and the round trip, both in milliseconds."""

    server: str
    offset_ms: float
    delay_ms: float
    stratum: int


def ask(server: str, timeout_s: float) -> Sample:
    """Return what ``server`` (``host`` or ``host:port``) says; raise NoTime."""
    host, port = split_server(server)
    cookie = secrets.randbits(64) or 1
    request = _PACKET.pack(_CLIENT_V4, 0, 0, 0, 0, 0, b"", 0, 0, 0, cookie)
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind, protocol) as peer:
            peer.connect(address)
            sent_ns, sent_mono_ns = time.time_ns(), time.monotonic_ns()
            peer.send(request)
            answer = _receive(peer, cookie, sent_mono_ns + int(timeout_s * NS))
            # By the monotonic clock, so that a clock stepped meanwhile does not look like a long way.
            back_ns = sent_ns + time.monotonic_ns() - sent_mono_ns
    except TimeoutError:
        raise NoTime(f"no answer within {timeout_s:g} s") from None
    except OSError as error:
        raise NoTime(error.strerror or str(error)) from None
    received_ns, transmitted_ns = (_unix_ns(stamp, sent_ns) for stamp in answer[9:11])
    offset_ns = ((received_ns - sent_ns) + (transmitted_ns - back_ns)) / 2
    delay_ns = (back_ns - sent_ns) - (transmitted_ns - received_ns)
    return Sample(server, offset_ns / 1e6, max(0.0, delay_ns / 1e6), answer[1])


def split_server(server: str) -> tuple[str, int]:
    """Return host and port of ``host``, ``host:port`` or ``[v6]:port``; raise NoTime."""
    host, colon, port = server.rpartition(":")
    if not colon or (":" in host and not host.endswith("]")):
        return server.strip("[]"), PORT
    if not port.isdecimal() or not 0 < int(port) < 65_536:
        raise NoTime(f"{server!r} is not host or host:port")
    return host.strip("[]"), int(port)


def _receive(peer: socket.socket, cookie: int, deadline_ns: int) -> tuple[int, ...]:
    """Return the fields of the first answer to our request; other datagrams are passed over until the deadline."""
    while True:
        left_s = (deadline_ns - time.monotonic_ns()) / NS
        if left_s <= 0:
            raise TimeoutError
        peer.settimeout(left_s)
        data = peer.recv(512)
        if len(data) < _PACKET.size:
            raise NoTime(f"an answer of {len(data)} bytes is no time")
        fields: tuple[int, ...] = _PACKET.unpack(data[: _PACKET.size])
        if fields[8] == cookie:
            return _sound(fields)


def _sound(fields: tuple[int, ...]) -> tuple[int, ...]:
    """Return the fields if RFC 4330 section 5 allows using them; raise NoTime."""
    leap, mode, stratum = fields[0] >> 6, fields[0] & 7, fields[1]
    if mode != _SERVER:
        raise NoTime(f"an answer of mode {mode} is no server's")
    if stratum == 0:
        raise NoTime("the server asks us to go away (stratum 0)")
    if leap == _UNSYNCHRONISED or stratum > 15:
        raise NoTime("the server itself does not know the time")
    if not fields[9] or not fields[10]:
        raise NoTime("the answer has no time")
    return fields


def _unix_ns(stamp: int, near_ns: int) -> int:
    """Return a 64-bit NTP timestamp as ns UTC, in the era nearest to ``near_ns`` (the 32 bits turn over in 2036)."""
    seconds, fraction = stamp >> 32, stamp & 0xFFFF_FFFF
    era = round((near_ns / NS + _EPOCH_S - seconds) / _ERA_S)
    return (seconds + era * _ERA_S - _EPOCH_S) * NS + (fraction * NS >> 32)
