"""Tighten the strategy's risk limits for one profile; nothing here can loosen one.

A profile's limit replaces the strategy's own where it is the tighter one and is refused where it is not, so that a
forgotten line cannot raise what real money may lose. Limits beyond those of the specification (pj1 S13), wherever they
come from, run in the profiles paper and live only with ``limits.PROFILE.beyond_spec: true``.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from live.params import Params

#: Parameter -> whether a smaller value is the tighter one.
SMALLER_IS_TIGHTER: Final[Mapping[str, bool]] = {
    "max_daily_loss_usd": True,
    "risk_per_trade_usd": True,
    "max_qty": True,
    "max_trades_day": True,
    "max_consec_losses": True,
    "max_orders_hour": True,
    "max_risk_ticks": True,
    "max_hold_min": True,
    "cooldown_min": False,
}
#: Profiles in which orders reach an account.
WATCHED: Final = frozenset({"paper", "live"})


def tightened(
    strategy: Mapping[str, Any], limits: Mapping[str, Any], profile: str, base: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the strategy's parameters with the profile's limits in their place.

    ``base`` are the strategy's parameters whole, as ``Params.to_dict``. Raises ValueError with one sentence for a limit
    that is looser than the strategy's own.
    """
    for name, value in limits.items():
        if _looser(name, value, base[name]):
            raise ValueError(
                f"limits.{profile}.{name} is {value}, looser than the strategy's own {base[name]}; a profile may only"
                f" tighten: remove the line, or change strategy.pj.{name}"
            )
    return {**strategy, **limits}


def beyond_spec(params: Mapping[str, Any], profile: str) -> str:
    """Return why parameters (``Params.to_dict``) may not run in the profile without leave, empty when they may."""
    if profile not in WATCHED:
        return ""
    spec = Params().to_dict()
    loose = [name for name in SMALLER_IS_TIGHTER if _looser(name, params[name], spec[name])]
    if not loose:
        return ""
    told = ", ".join(f"{name} {params[name]} (spec {spec[name]})" for name in loose)
    return (
        f"looser than the specification in profile {profile}: {told}; tighten it in limits.{profile}, or say that it is"
        f" meant with limits.{profile}.beyond_spec: true"
    )


def _looser(name: str, value: Any, than: Any) -> bool:
    try:
        mine, other = Decimal(str(value)), Decimal(str(than))
    except InvalidOperation:
        return False  # no number: the parameter's own check says so
    return mine > other if SMALLER_IS_TIGHTER[name] else mine < other
