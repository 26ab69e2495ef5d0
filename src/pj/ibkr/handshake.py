"""Ask a gateway who it is, without being in anybody's way: what ``pj doctor`` wants to know.

``greet`` speaks only the protocol's first words over a plain socket, because the client libraries cannot tell a port
where nobody answers from a gateway that does not let us in. ``visit`` then opens a short session of its own through
the same adapter as the bridge. ``id_in_use`` tries the bridge's client id, for when no bridge of ours runs.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from pj.ibkr.client import CLIENT_ID_IN_USE, MARKET_MESSAGES, Endpoint, GatewayClient, Hooks
from pj.ibkr.errors import ClientIdInUse, GatewayError, GatewayUnavailable

#: What the client libraries themselves offer (ib_insync 0.9.86 and ib_async 2.1.0, ``Client.MinClientVersion``).
HELLO: Final = b"v157..178"
MAX_FRAME: Final = 65_536
NS: Final = 1_000_000_000
#: Codes by which a gateway says that there are no live prices for this login (tws.md section 1); 10168 and 10186, not
#: listed there, are the wordings of later gateways for "not subscribed".
NO_LIVE_DATA: Final = frozenset({354, 10089, 10090, 10167, 10168, 10186, 10197})
_START_API: Final = 71
_NEXT_ID: Final = "9"
_ERROR: Final = "4"


class PortClosed(GatewayUnavailable):
    """Report that nobody listens at the address."""


class NoHandshake(GatewayUnavailable):
    """Report that something listens but does not speak the API's first words."""


@dataclass(frozen=True, slots=True)
class Greeting:
    """Carry a gateway's first answer: its protocol version and its time as it writes it."""

    address: str
    server_version: int
    server_time: str


@dataclass(frozen=True, slots=True)
class Visit:
    """Carry what a short session showed; ``offset_s`` = the gateway's clock minus ours, at 1 s resolution.

    ``data_type`` 1 live, 2 frozen, 3 delayed, 4 delayed and frozen, 0 not told; ``notes`` are (code, text).
    """

    client_id: int
    library: str
    accounts: tuple[str, ...]
    offset_s: float | None
    contract: str = ""
    data_type: int = 0
    notes: tuple[tuple[int, str], ...] = field(default_factory=tuple)


class _Talk:
    """Hold one plain connection with a deadline over everything said on it."""

    def __init__(self, host: str, port: int, timeout_s: float) -> None:
        self.where = f"{host}:{port}"
        self._deadline_s = time.monotonic() + timeout_s
        try:
            self._peer = socket.create_connection((host, port), timeout_s)
        except OSError as error:
            why = "no answer" if isinstance(error, TimeoutError) else error.strerror or str(error)
            raise PortClosed(f"nobody listens at {self.where} ({why})") from None
        self.address = str(self._peer.getpeername()[0])

    def say(self, data: bytes) -> None:
        self._peer.settimeout(self._left_s())
        self._peer.sendall(data)

    def frame(self) -> list[str]:
        """Return the fields of the next frame; raise NoHandshake when it does not come whole."""
        (length,) = struct.unpack(">I", self._exactly(4))
        if not 0 < length <= MAX_FRAME:
            raise NoHandshake(f"{self.where} answers, but not in the gateway's protocol")
        return self._exactly(length).decode(errors="replace").removesuffix("\0").split("\0")

    def close(self) -> None:
        self._peer.close()

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            try:
                self._peer.settimeout(self._left_s())
                piece = self._peer.recv(count - len(data))
            except TimeoutError:
                raise NoHandshake(f"{self.where} accepts a connection and says nothing") from None
            except OSError as error:
                raise NoHandshake(f"{self.where} breaks the connection ({error.strerror or error})") from None
            if not piece:
                raise NoHandshake(f"{self.where} closes the connection instead of answering")
            data += piece
        return data

    def _left_s(self) -> float:
        left_s = self._deadline_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        return left_s


def greet(host: str, port: int, timeout_s: float) -> Greeting:
    """Return the gateway's first answer; raise PortClosed or NoHandshake within ``timeout_s`` (plus name look-up)."""
    talk = _Talk(host, port, timeout_s)
    try:
        return _hello(talk)
    finally:
        talk.close()


def _hello(talk: _Talk) -> Greeting:
    try:
        talk.say(b"API\0" + _framed(HELLO))
    except OSError as error:
        raise NoHandshake(f"{talk.where} breaks the connection ({error.strerror or error})") from None
    fields = talk.frame()
    if len(fields) != 2 or not fields[0].isdecimal():
        raise NoHandshake(f"{talk.where} answers, but not in the gateway's protocol")
    return Greeting(talk.address, int(fields[0]), fields[1])


def id_in_use(host: str, port: int, client_id: int, timeout_s: float) -> bool:
    """Tell whether another program holds ``client_id``; raise GatewayUnavailable when the gateway does not say.

    The id is taken for the moment of asking: only to be called while our own bridge does not run.
    """
    talk = _Talk(host, port, timeout_s)
    try:
        _hello(talk)
        talk.say(_framed(b"%d\0002\0%d\0\0" % (_START_API, client_id)))
        while True:
            fields = talk.frame()
            if fields[0] == _NEXT_ID:
                return False
            if fields[0] == _ERROR and str(CLIENT_ID_IN_USE) in fields[1:4]:
                return True
    except OSError as error:
        raise NoHandshake(f"{talk.where} breaks the connection ({error})") from None
    finally:
        talk.close()


def _framed(payload: bytes) -> bytes:
    return struct.pack(">I", len(payload)) + payload


def visit(
    endpoint: Endpoint, symbol: str, contract: str, now_ns: Callable[[], int], *, other_ids: tuple[int, ...] = ()
) -> Visit:
    """Open a session, look around and leave; raise GatewayError or Misconfigured, each in one sentence.

    ``other_ids`` are tried in turn when the endpoint's client id is in use; ``now_ns`` is the run's clock.
    """
    return asyncio.run(_visit(endpoint, symbol, contract, now_ns, other_ids))


async def _visit(
    endpoint: Endpoint, symbol: str, contract: str, now_ns: Callable[[], int], other_ids: tuple[int, ...]
) -> Visit:
    notes: list[tuple[int, str]] = []
    data_type: list[int] = []
    seen = asyncio.Event()

    def tap(fields: list[str]) -> bool:
        if fields[0] == "58" and fields[-1].isdecimal():
            data_type.append(int(fields[-1]))
        seen.set()
        return True

    def on_error(_req_id: int, code: int, text: str) -> None:
        notes.append((code, text))
        if code in NO_LIVE_DATA:
            seen.set()

    hooks = Hooks(taps=dict.fromkeys(MARKET_MESSAGES, tap), on_error=on_error)
    client = await _connect(endpoint, hooks, other_ids)
    try:
        offset_s = await _offset_s(client, now_ns)
        known = ""
        with suppress(GatewayError):
            found = await client.find_contract(symbol, contract, timeout_s=2.0)
            known = found.local_symbol
            client.subscribe_quotes(found)
            with suppress(TimeoutError):
                await asyncio.wait_for(seen.wait(), 2.0)
                await asyncio.sleep(0.05)  # the type may come just behind the first price
        client_id, accounts = client.endpoint.client_id, tuple(client.accounts)
        return Visit(client_id, client.library, accounts, offset_s, known, (data_type or [0])[-1], tuple(notes))
    finally:
        client.close()


async def _connect(endpoint: Endpoint, hooks: Hooks, other_ids: tuple[int, ...]) -> GatewayClient:
    for other in other_ids:
        try:
            return await GatewayClient.connect(endpoint, hooks)
        except ClientIdInUse:
            endpoint = Endpoint(
                endpoint.host, endpoint.port, other, endpoint.account, endpoint.library, endpoint.connect_timeout_s
            )
    return await GatewayClient.connect(endpoint, hooks)


async def _offset_s(client: GatewayClient, now_ns: Callable[[], int]) -> float | None:
    try:
        server_s = await client.probe(2.0)
    except GatewayError:
        return None
    # The gateway cuts to whole seconds: the middle of that second is the best guess.
    return server_s + 0.5 - now_ns() / NS if server_s else None
