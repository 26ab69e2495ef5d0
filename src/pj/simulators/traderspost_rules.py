"""Judge one webhook body the way TradersPost does: a signal, or a message code (services.md 1.1, 1.2).

Pure: no clock, socket or file. The order of the checks is the one of services.md 1.3: empty or
malformed JSON, required fields, then field by field in the order of the specification.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import Any, Final

ACTIONS: Final = ("buy", "sell", "exit", "cancel", "add")
SENTIMENTS: Final = ("bullish", "long", "bearish", "short", "flat")
ORDER_TYPES: Final = ("market", "limit", "stop", "stop_limit", "trailing_stop")
QUANTITY_TYPES: Final = (
    "fixed_quantity",
    "dollar_amount",
    "risk_dollar_amount",
    "percent_of_equity",
    "percent_of_position",
)
FUTURES_QUANTITY_TYPES: Final = ("fixed_quantity", "percent_of_position")
TIMES_IN_FORCE: Final = ("day", "gtc", "opg", "cls", "ioc", "fok")
STOP_TYPES: Final = ("stop", "stop_limit", "trailing_stop")
STOP_CODES: Final = {
    "percent": "percent",
    "amount": "amount",
    "stopPrice": "stop-price",
    "limitPrice": "limit-price",
    "trailAmount": "trail-amount",
    "trailPercent": "trail-percent",
}
AGAINST: Final = {"buy": ("bearish", "short"), "sell": ("bullish", "long")}

MESSAGES: Final = {
    "post-required": "The webhook must be called with POST.",
    "empty-json": "The request body is empty.",
    "malformed-json": "The request body is not valid JSON.",
    "invalid-payload": "The payload must have a ticker and an action.",
    "invalid-password": "The webhook password is wrong.",
    "not-found": "Webhook not found.",
    "too-many-requests": "Too Many Requests",
}


@dataclass(frozen=True, slots=True)
class Refused:
    """Carry the message code of a body that the service answers with 400."""

    code: str

    @property
    def message(self) -> str:
        """Return the sentence that goes with the code."""
        return MESSAGES.get(self.code, f"The payload was refused: {self.code.replace('-', ' ')}.")


@dataclass(frozen=True, slots=True)
class Signal:
    """Carry one accepted webhook signal; prices in points, absolute or relative to the fill."""

    ticker: str
    action: str
    quantity: float | None
    quantity_type: str
    order_type: str
    price: float | None
    limit_price: float | None
    stop_price: float | None
    sentiment: str
    cancel: bool | None
    target_price: float | None
    target_amount: float | None
    stop_loss_price: float | None
    stop_loss_amount: float | None
    extras: dict[str, Any] = field(default_factory=dict)
    body: dict[str, Any] = field(default_factory=dict)

    @property
    def reference(self) -> str:
        """Return the client's own signal id, empty when none was sent."""
        return str(self.extras.get("signal_id", ""))


def judge(raw: bytes) -> Signal | Refused:
    """Return the signal in ``raw`` or the first reason to refuse it."""
    if not raw.strip():
        return Refused("empty-json")
    try:
        body = json.loads(raw)
    except ValueError:
        return Refused("malformed-json")
    if not isinstance(body, dict) or not body.get("action") or "ticker" not in body:
        return Refused("invalid-payload")
    code = _check_words(body) or _check_quantity(body) or _check_target(body) or _check_stop(body)
    return Refused(code) if code else _signal(body)


def _check_words(body: dict[str, Any]) -> str:
    action, sentiment = body["action"], body.get("sentiment")
    if not isinstance(body["ticker"], str) or not body["ticker"].strip():
        return "empty-ticker-name"
    if action not in ACTIONS:
        return "invalid-action"
    if sentiment is not None and sentiment not in SENTIMENTS:
        return "invalid-sentiment"
    if sentiment in AGAINST.get(action, ()):
        return "invalid-sentiment-action"
    if body.get("orderType", "market") not in ORDER_TYPES:
        return "invalid-order-type"
    trails = [name for name in ("trailAmount", "trailPercent") if body.get(name) is not None]
    if body.get("orderType") == "trailing_stop" and len(trails) != 1:
        return "invalid-trailing-stop"
    if body.get("timeInForce", "day") not in TIMES_IN_FORCE:
        return "invalid-time-in-force"
    return ""


def _check_quantity(body: dict[str, Any]) -> str:
    kind = body.get("quantityType", "fixed_quantity")
    if kind not in QUANTITY_TYPES:
        return "invalid-quantity-type"
    if kind not in FUTURES_QUANTITY_TYPES:
        return "invalid-quantity-type-for-asset-class"
    if kind == "percent_of_position" and body["action"] != "exit":
        return "invalid-percent-of-position-action"
    if "quantityType" in body and kind != "fixed_quantity" and body.get("quantity") is None:
        return "quantity-type-requires-quantity"
    if body.get("quantity") is not None and not _positive(body["quantity"]):
        return "invalid-quantity"
    return ""


def _check_target(body: dict[str, Any]) -> str:
    target = body.get("takeProfit")
    if target is None:
        return ""
    if not isinstance(target, dict):
        return "invalid-take-profit-value-required"
    for name, code in (("percent", "percent"), ("amount", "amount"), ("limitPrice", "limit-price")):
        if target.get(name) is not None and not _positive(target[name]):
            return f"invalid-take-profit-{code}"
    given = [name for name in ("percent", "amount", "limitPrice") if target.get(name) is not None]
    if given == ["percent", "amount"]:
        return "invalid-take-profit-amount-and-percent"
    if len(given) > 1:
        return "invalid-take-profit-relative-and-absolute"
    return "" if given else "invalid-take-profit-value-required"


def _check_stop(body: dict[str, Any]) -> str:
    stop = body.get("stopLoss")
    if stop is None:
        return ""
    if not isinstance(stop, dict):
        return "invalid-stop-loss-value-required"
    if stop.get("type", "stop") not in STOP_TYPES:
        return "invalid-stop-loss-type"
    for name, code in STOP_CODES.items():
        if stop.get(name) is not None and not _positive(stop[name]):
            return f"invalid-stop-loss-{code}"
    if stop.get("type") == "trailing_stop":
        trails = [name for name in ("trailAmount", "trailPercent") if stop.get(name) is not None]
        return "" if len(trails) == 1 else "invalid-stop-loss-trail-value-required"
    return _check_stop_distance(stop, body.get("takeProfit") or {})


def _check_stop_distance(stop: dict[str, Any], target: dict[str, Any]) -> str:
    given = [name for name in ("percent", "amount", "stopPrice") if stop.get(name) is not None]
    if not given:
        return "invalid-stop-loss-value-required"
    if given == ["percent", "amount"]:
        return "invalid-stop-loss-amount-and-percent"
    absolute = given == ["stopPrice"]
    if len(given) > 1 or (target and absolute is (target.get("limitPrice") is None)):
        return "invalid-stop-loss-relative-and-absolute"
    return ""


def _signal(body: dict[str, Any]) -> Signal:
    target, stop = body.get("takeProfit") or {}, body.get("stopLoss") or {}
    extras = body.get("extras")
    prices = (body.get(name) for name in ("signalPrice", "price", "limitPrice", "stopPrice"))
    return Signal(
        ticker=body["ticker"].strip(),
        action=body["action"],
        quantity=body.get("quantity"),
        quantity_type=body.get("quantityType", "fixed_quantity"),
        order_type=body.get("orderType", "market"),
        price=next((price for price in prices if price is not None), None),
        limit_price=body.get("limitPrice"),
        stop_price=body.get("stopPrice"),
        sentiment=body.get("sentiment") or "",
        cancel=body.get("cancel"),
        target_price=target.get("limitPrice"),
        target_amount=target.get("amount"),
        stop_loss_price=stop.get("stopPrice"),
        stop_loss_amount=stop.get("amount"),
        extras=extras if isinstance(extras, dict) else {},
        body=body,
    )


def _positive(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value) and value > 0
