"""Send orders to a TradersPost webhook, once, and say what became of the call.

Facts: services.md 1.1 to 1.4. The service takes no idempotency key and has no read API; a second
``buy`` can strip the working bracket. So nothing here repeats a call: the dispatcher decides
that, and only for exits and cancels.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

import requests

from live.commands import CancelOrders, ClosePosition, PlaceBracket, PlaceExits
from live.market import Instrument
from pj.brokers.limits import SendLimits
from pj.brokers.port import Answer, Order, Outcome
from pj.brokers.secret_url import SecretUrl
from pj.brokers.stamped_http import Outgoing, stamped_adapter
from pj.contracts import parse_contract

NEW_YORK: Final = ZoneInfo("America/New_York")
MAX_BODY: Final = 65_536
WHOLE: Final = 2
"""A whole answer may take this many times the read time-out, which is one of silence."""
LastPrice = Callable[[str], int | None]
"""Give a contract's last traded price in ticks, None when none is known; called by the sender's thread."""
CODE: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
BROKER_ID: Final = re.compile(r"[A-Za-z0-9_.:-]{1,80}")


class TradersPost:
    """Post signals to one webhook over one kept connection; used by one thread at a time."""

    name = "traderspost"

    def __init__(
        self,
        url: SecretUrl,
        instrument: Instrument,
        limits: SendLimits,
        connect_timeout_s: float = 2.0,
        read_timeout_s: float = 5.0,
        last_price: LastPrice = lambda _contract: None,
    ) -> None:
        """Prepare the session; nothing is opened before ``warm`` or the first order."""
        self._last_price = last_price
        self._url = url
        self._instrument = instrument
        self._limits = limits
        self._timeouts = (connect_timeout_s, read_timeout_s)
        self._outgoing = Outgoing(WHOLE * read_timeout_s)
        self._session = requests.Session()
        self._session.trust_env = False  # no proxy and no .netrc may see or change what is sent
        self._session.headers.update({"User-Agent": "pj-engine", "Content-Type": "application/json"})
        adapter = stamped_adapter(self._outgoing)
        self._session.mount("http://", adapter)
        self._session.mount("https://", adapter)
        url.guard_logs()

    def __repr__(self) -> str:
        """Show the route with its address redacted."""
        return f"TradersPost({self._url.shown})"

    def send(self, order: Order, now_ns: int) -> Answer:
        """Post ``order`` once; entries only while our limits allow, exits and cancels always."""
        if isinstance(order, PlaceExits):
            return Answer(Outcome.REFUSED, "exits-not-offered")  # no call there protects what is already open
        entry = isinstance(order, PlaceBracket)
        full = self._limits.refuses_entry(now_ns) if entry else ""
        if full:
            return Answer(Outcome.REFUSED, f"limit-{full}")
        last = self._last_price(order.contract) if isinstance(order, ClosePosition) else None
        body = json.dumps(payload(order, self._instrument, now_ns, last), separators=(",", ":")).encode()
        self._limits.count(now_ns, entry=entry)
        return self._post(body)

    def warm(self) -> None:
        """Open (or reopen) the connection by asking the host's front page; the answer does not matter."""
        try:
            with self._session.get(
                f"{self._url.origin}/", timeout=self._timeouts, allow_redirects=False, stream=True
            ) as reply:
                _read(reply, self._timeouts[1])
        except requests.RequestException:
            return  # the order itself will find out and say so
        finally:
            self._outgoing.reset()

    def close(self) -> None:
        """Drop the connection."""
        self._session.close()

    def _post(self, body: bytes) -> Answer:
        outgoing = self._outgoing
        outgoing.reset()
        try:
            with self._session.post(
                self._url.reveal(), data=body, timeout=self._timeouts, allow_redirects=False, stream=True
            ) as reply:
                sent_ns = outgoing.last_ns
                return classify(reply.status_code, _read(reply, self._timeouts[1]), sent_ns)
        except requests.RequestException as error:
            # The library's text names the secret path; its type and whether bytes left is all we keep.
            why = _name(error)
            if outgoing.bytes == 0:
                return Answer(Outcome.RETRY_SAFE, why)
            return Answer(Outcome.UNKNOWN, why, sent_mono_ns=outgoing.last_ns)
        finally:
            outgoing.reset()


def classify(status: int, body: bytes, sent_mono_ns: int = 0) -> Answer:
    """Return what an HTTP answer means (services.md 1.4); judged by status, the body only adds names."""
    data = _parse(body)
    code = str(data.get("messageCode", ""))
    code = code if CODE.fullmatch(code) else f"http-{status}"
    log_id = _id(data.get("logId"))
    if status == 200:
        if data.get("success") is True:
            return Answer(Outcome.ACKED, "", _id(data.get("id")), log_id, status, sent_mono_ns)
        refused = data.get("success") is False
        outcome, code = (Outcome.REFUSED, code) if refused else (Outcome.UNKNOWN, "no-receipt")
    elif status == 429:
        outcome = Outcome.RETRY_SAFE
    elif 400 <= status < 500 and status != 408:
        outcome = Outcome.REFUSED
    else:
        outcome = Outcome.UNKNOWN
    return Answer(outcome, code, "", log_id, status, sent_mono_ns)


def payload(
    order: PlaceBracket | ClosePosition | CancelOrders,
    instrument: Instrument,
    now_ns: int,
    last_ticks: int | None = None,
) -> dict[str, Any]:
    """Return the webhook body of ``order`` (services.md 1.1), prices in points on the grid.

    An exit carries ``last_ticks`` as its signalPrice: several brokers behind TradersPost have no quotes of their own.
    A price that nobody knows is left out, never made up.
    """
    body: dict[str, Any] = {"ticker": ticker(order.contract, now_ns)}
    match order:
        case PlaceBracket():
            body |= {
                "action": "buy" if order.side > 0 else "sell",
                "sentiment": "bullish" if order.side > 0 else "bearish",
                "orderType": "market",
                "quantity": order.qty,
                "quantityType": "fixed_quantity",
                "timeInForce": "day",
                "signalPrice": _points(instrument, order.entry_ref_ticks),
                "takeProfit": {"limitPrice": _points(instrument, order.target_ticks)},
                "stopLoss": {"type": "stop", "stopPrice": _points(instrument, order.stop_ticks)},
            }
            extras = {"signal_id": order.key, "pool": order.pool_id, "key": order.key}
        case ClosePosition():
            body |= {"action": "exit", "sentiment": "flat", "cancel": True}
            if last_ticks is not None and last_ticks > 0:  # an exit must not be refused for what it need not carry
                body["signalPrice"] = _points(instrument, last_ticks)
            extras = {"signal_id": order.key, "reason": order.reason, "key": order.key}
        case CancelOrders():
            body |= {"action": "cancel"}
            extras = {"signal_id": order.key, "reason": order.reason, "key": order.key}
    return body | {"time": _iso(now_ns), "interval": "1", "extras": extras}


def ticker(contract: str, now_ns: int) -> str:
    """Return ``MNQZ6`` as the explicit ``MNQZ2026`` (services.md 0.5); raise ValueError for a continuous symbol."""
    return parse_contract(contract, datetime.fromtimestamp(now_ns / 1e9, UTC).date()).traderspost


def _points(instrument: Instrument, ticks: int) -> float:
    """Return points as a JSON number; a multiple of 0.25 is exact in binary."""
    return float(instrument.to_points(ticks))


def _iso(now_ns: int) -> str:
    seconds, ns = divmod(now_ns, 1_000_000_000)
    stamp = datetime.fromtimestamp(seconds, NEW_YORK).replace(microsecond=ns // 1000)
    return stamp.isoformat(timespec="microseconds")


def _read(reply: requests.Response, limit_s: float) -> bytes:
    """Return at most MAX_BODY bytes, and give up on a body that drips for longer than ``limit_s``."""
    deadline = time.monotonic() + limit_s
    body = b""
    for chunk in reply.iter_content(8192):
        body += chunk
        if len(body) >= MAX_BODY or time.monotonic() > deadline:
            break
    return body


def _parse(body: bytes) -> dict[str, Any]:
    try:
        data = json.loads(body)
    except ValueError:
        return {}
    return data if isinstance(data, dict) else {}


def _id(value: object) -> str:
    return value if isinstance(value, str) and BROKER_ID.fullmatch(value) else ""


def _name(error: requests.RequestException) -> str:
    if isinstance(error, requests.Timeout):
        return "connect-time-out" if isinstance(error, requests.ConnectTimeout) else "time-out"
    if isinstance(error, requests.exceptions.SSLError):
        return "tls"
    return "connection" if isinstance(error, requests.ConnectionError) else type(error).__name__
