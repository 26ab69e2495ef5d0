"""Take fault commands on the control port: one JSON object per line in, one per line out.

``{"verb": "drop"}`` closes every connection with a FIN (``"client": N`` only that one), ``reset`` with a RST.
``{"verb": "silent", "on": true}`` keeps subscriptions and sends no market data; ``silent_trades`` and ``silent_quotes``
send none of that kind; ``deaf`` does not tell the time; ``mute`` sends nothing at all until ``"on": false``; ``refuse``
closes new connections at once. ``{"verb": "forget", "what": "trades"}`` (or quotes, all) loses the subscriptions that
stand, without a word; new ones are served. ``{"verb": "error", "code": 1100, "text": "..."}`` sends an
error or notice (``"id"``, default -1). ``{"verb": "burst", "count": N}`` sends N extra prints at the last price in one
write. ``{"verb": "partial", "size": N}`` fills at most N contracts at a time (0 = no limit).
``{"verb": "reject", "count": N}`` answers the next N orders with error 201.
``{"verb": "stale", "on": true}`` goes on reporting the positions of this moment. ``status`` only reports,
``orders`` lists every order ever taken besides.
``{"verb": "end_order", "client": N, "id": N}`` cancels one order as a human would in TWS.
What befalls single orders is told in ``order_faults``.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any, Final, cast

from pj.simulators import replies
from pj.simulators.answers_orders import publish
from pj.simulators.gateway_core import Core
from pj.simulators.gateway_feed import Feed
from pj.simulators.gateway_session import Session
from pj.simulators.order_faults import COUNTED
from pj.simulators.paths import Print

MAX_BURST: Final = 100_000
SWITCHES: Final = ("silent", "silent_trades", "silent_quotes", "deaf", "mute", "refuse")


class BadCommand(ValueError):
    """Report a control line that cannot be obeyed."""


def gauges(core: Core) -> dict[str, Any]:
    """Return what the stats file and the status answer say of the gateway."""
    return {
        "run_ns": core.clock.now_ns(),
        "contract": core.future.local_symbol,
        "clients": sorted(core.clients),
        "finished": core.finished,
        "ticks_sent": core.ledger.counts.get("TRADE", 0),
        "rows": dict(core.ledger.counts),
        "prints_played": core.prints_played,
        "late_prints": core.late_prints,
        "last_price": core.points(core.market.last) if core.market.last else "",
        "orders": len(core.book.orders),
        "fills": len(core.book.fills),
        "positions": {future.local_symbol: held.quantity for future, held in core.book.account.positions.items()},
        "faults": {name: getattr(core.faults, name) for name in SWITCHES},
    }


def _book(core: Core) -> list[list[Any]]:
    """Return every order ever taken: client, id, type, side, quantity, filled, status, reference."""
    return [
        [one.client_id, one.order_id, one.kind, one.side, one.quantity, one.filled, str(one.status), one.order_ref]
        for one in core.book.orders.values()
    ]


class Control:
    """Obey control lines."""

    def __init__(self, core: Core, feed: Feed) -> None:
        """Work on a running gateway."""
        self._core = core
        self._feed = feed
        self._verbs: Mapping[str, Callable[[dict[str, Any]], None]] = {
            "status": lambda _: None,
            "orders": lambda _: None,
            "drop": self._drop,
            "disconnect": self._drop,
            "reset": self._reset,
            **dict.fromkeys(SWITCHES, self._switch),
            "forget": self._forget,
            "error": self._error,
            "burst": self._burst,
            "partial": self._partial,
            "reject": self._reject,
            "stale": self._stale,
            **dict.fromkeys(COUNTED, self._plant),
            "slow_status": self._slow_status,
            "roll_ids": self._roll_ids,
            "end_order": self._end_order,
        }

    def obey(self, line: bytes | str) -> dict[str, Any]:
        """Carry out one line and return the answer: ``ok`` with the gauges, or the error."""
        try:
            command = json.loads(line)
            if not isinstance(command, dict) or command.get("verb") not in self._verbs:
                raise BadCommand(f"use an object with a verb of {', '.join(self._verbs)}")
            self._verbs[command["verb"]](command)
        except ValueError as error:
            return {"ok": False, "error": str(error)}
        listing = {"book": _book(self._core)} if command["verb"] == "orders" else {}
        return {"ok": True} | gauges(self._core) | listing

    def _sessions(self, command: dict[str, Any]) -> list[Session]:
        if "client" not in command:
            return list(self._core.clients.values())
        session = self._core.clients.get(_whole(command, "client", -1))
        if session is None:
            raise BadCommand(f"client {command['client']} is not connected")
        return [session]

    def _drop(self, command: dict[str, Any]) -> None:
        for session in self._sessions(command):
            session.drop()

    def _reset(self, command: dict[str, Any]) -> None:
        for session in self._sessions(command):
            session.reset()

    def _switch(self, command: dict[str, Any]) -> None:
        on = command.get("on", True)
        if not isinstance(on, bool):
            raise BadCommand(f"on is {on!r}; use true or false")
        setattr(self._core.faults, command["verb"], on)
        if not self._core.faults.mute:
            for session in self._core.clients.values():
                session.unmute()

    def _forget(self, command: dict[str, Any]) -> None:
        what = command.get("what", "all")
        if what not in {"trades", "quotes", "all"}:
            raise BadCommand(f"what is {what!r}; use trades, quotes or all")
        for session in self._sessions(command):
            if what != "quotes":
                session.prints.clear()
            if what != "trades":
                session.quotes.clear()

    def _error(self, command: dict[str, Any]) -> None:
        code, request_id = _whole(command, "code", None), _whole(command, "id", -1)
        for session in self._sessions(command):
            session.send(replies.error(session.version, request_id, code, str(command.get("text", ""))))

    def _burst(self, command: dict[str, Any]) -> None:
        count = _whole(command, "count", None)
        if not 0 < count <= MAX_BURST:
            raise BadCommand(f"count {count} is not within 1 to {MAX_BURST}")
        # An exchange's time never runs backward, and the tape's own prints are not stamped with our clock.
        exch_ns = self._feed.last_exch_ns or self._core.clock.now_ns()
        item = Print(exch_ns, self._core.market.last, 1)
        self._feed.play([item] * count)

    def _partial(self, command: dict[str, Any]) -> None:
        self._core.book.fill_cap = max(0, _whole(command, "size", None))

    def _reject(self, command: dict[str, Any]) -> None:
        self._core.faults.reject = max(0, _whole(command, "count", 1))

    def _plant(self, command: dict[str, Any]) -> None:
        setattr(self._core.faults.orders, command["verb"], max(0, _whole(command, "count", 1)))

    def _slow_status(self, command: dict[str, Any]) -> None:
        self._core.faults.orders.slow_status_ms = max(0, _whole(command, "ms", None))

    def _roll_ids(self, command: dict[str, Any]) -> None:
        to = max(1, _whole(command, "to", 1))
        self._core.next_ids.update(dict.fromkeys({*self._core.next_ids, *self._core.clients}, to))

    def _end_order(self, command: dict[str, Any]) -> None:
        client, number = _whole(command, "client", None), _whole(command, "id", None)
        publish(self._core, self._core.book.cancel(client, number, self._core.clock.now_ns()))

    def _stale(self, command: dict[str, Any]) -> None:
        held = self._core.book.account.positions
        frozen = {future: position.quantity for future, position in held.items()}
        self._core.faults.stale = frozen if command.get("on", True) is True else None


class ControlPort(asyncio.Protocol):
    """Carry one control connection: lines in, answers out."""

    def __init__(self, control: Control) -> None:
        """Start with an empty line."""
        self._control = control
        self._pending = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Obey the lines that ``data`` completes."""
        *lines, self._pending = (self._pending + data).split(b"\n")
        for line in lines:
            if self._transport is not None:
                self._transport.write(json.dumps(self._control.obey(line)).encode() + b"\n")


def _whole(command: dict[str, Any], name: str, default: int | None) -> int:
    value = command.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool):
        raise BadCommand(f"{name} is {value!r}; a whole number is needed")
    return value
