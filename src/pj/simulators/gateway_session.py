"""Serve one client's connection: handshake, requests in, messages out."""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, cast

from pj.simulators import answers_account, answers_history, answers_market, answers_orders, answers_reference, replies
from pj.simulators.eastern import ET, stamp
from pj.simulators.gateway_core import Core, Delivery
from pj.simulators.ledger import Entry
from pj.simulators.wire import Fields, Inbox, WireError, negotiate

Handler = Callable[[Core, "Session", Fields], None]

MAX_BACKLOG: Final = 64 * 1024 * 1024
NO_ID: Final = -1
# Linger on for 0 s: closing sends a RST. Two shorts on Windows, two ints elsewhere.
_LINGER_NONE: Final = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
FARM_NOTES: Final = (
    (2104, "Market data farm connection is OK:usfuture"),
    (2106, "HMDS data farm connection is OK:ushmds"),
    (2158, "Sec-def data farm connection is OK:secdefil"),
)

HANDLERS: Final[Mapping[int, Handler]] = {
    **answers_reference.HANDLERS,
    **answers_market.HANDLERS,
    **answers_history.HANDLERS,
    **answers_account.HANDLERS,
    **answers_orders.HANDLERS,
}


@dataclass(slots=True)
class QuoteSubscription:
    """Remember what a reqMktData subscriber was last told."""

    told_turns: int = -1


class Session(asyncio.Protocol):
    """Be one connected client."""

    def __init__(self, core: Core) -> None:
        """Wait for the hello."""
        self.core = core
        self.client_id = NO_ID
        self.version = 0
        self.ready = False
        self.quotes: dict[int, QuoteSubscription] = {}
        self.prints: dict[int, str] = {}
        self.account_updates = False
        self.positions = False
        self.summary_ids: dict[int, frozenset[str]] = {}
        self.pnl_ids: set[int] = set()
        self._inbox = Inbox()
        self._transport: asyncio.Transport | None = None
        self._muted: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)
        if self.core.faults.refuse:
            self.drop()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the client; its orders live on."""
        del exc
        if self.ready and self.core.clients.get(self.client_id) is self:
            del self.core.clients[self.client_id]
            self.core.ledger.write(self.core.clock.now_ns(), self.client_id, [Entry("DISCONNECT")])
        self.ready = False
        self._transport = None

    def data_received(self, data: bytes) -> None:
        """Answer the requests that ``data`` completes."""
        try:
            for values in self._inbox.feed(data):
                self._take(values)
        except WireError as error:
            print(f"gateway: client {self.client_id} is dropped: {error}", file=sys.stderr, flush=True)
            self.drop()

    def send(self, *frames: bytes) -> None:
        """Write frames that are not market data; a mute gateway holds them back in order."""
        if self._transport is None or self._transport.is_closing():
            return
        if self.core.faults.mute:
            self._muted += frames
            return
        self._transport.write(b"".join(frames))

    def unmute(self) -> None:
        """Write what was held back."""
        frames, self._muted = self._muted, []
        if frames:
            self.send(*frames)

    def deliver(self, messages: Delivery) -> None:
        """Write market data, then its ledger rows (order: see ledger.py)."""
        transport = self._transport
        if transport is None or transport.is_closing() or not messages or self.core.faults.mute:
            return
        transport.write(b"".join([payload for payload, _ in messages]))
        self.core.ledger.write(self.core.clock.now_ns(), self.client_id, [entry for _, entry in messages])
        if transport.get_write_buffer_size() > MAX_BACKLOG:
            print(f"gateway: client {self.client_id} does not read and is dropped", file=sys.stderr, flush=True)
            transport.abort()

    def drop(self) -> None:
        """Close the connection after what is written (a clean FIN)."""
        if self._transport is not None:
            self._transport.close()

    def reset(self) -> None:
        """Break the connection with a RST: what was not sent is lost."""
        if self._transport is None:
            return
        connection = self._transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NONE)
        self._transport.abort()

    def error(self, request_id: int, code: int, message: str) -> None:
        """Tell the client an error or, with id -1, a notice."""
        self.send(replies.error(self.version, request_id, code, message))

    def _take(self, values: list[str]) -> None:
        if not self.version:
            self.version = negotiate(values[0])
            self.send(replies.server_hello(self.version, stamp(self.core.clock.now_ns(), ET, "%Y%m%d %H:%M:%S %Z")))
            return
        fields = Fields(values)
        try:
            kind = fields.integer()
            if kind == 71:
                self._start(fields)
            elif not self.ready:
                raise WireError(f"message {kind} came before startApi")
            elif handler := HANDLERS.get(kind):
                handler(self.core, self, fields)
            else:
                self.error(NO_ID, 505, f"Fatal Error: Unknown message id. ({kind} is not served by this gateway)")
        except WireError as error:
            if not self.ready:
                raise
            self.error(NO_ID, 320, f"Error reading request: {error}")

    def _start(self, fields: Fields) -> None:
        fields.skip(1)
        self.client_id = fields.integer()
        core = self.core
        if self.client_id in core.clients:
            self.error(
                NO_ID, 326, "Unable to connect as the client id is already in use. Retry with a unique client id."
            )
            self.drop()
            return
        core.clients[self.client_id] = self
        self.ready = True
        core.ledger.write(core.clock.now_ns(), self.client_id, [Entry("CONNECT")])
        self.send(
            replies.managed_accounts([core.book.account.account_id]),
            replies.next_valid_id(core.next_ids.get(self.client_id, 1)),
            *(replies.error(self.version, NO_ID, code, note) for code, note in FARM_NOTES),
        )
