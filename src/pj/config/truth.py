"""Say whose position is taken for the true one, and refuse to guess it where real money hangs on it.

TradersPost cannot be asked for positions (services.md 0.1, 0.2) and does not route futures to IBKR. What the gateway
shows is then another account's: flat there says nothing about the account that trades.
"""

from __future__ import annotations

from typing import Final

from pj.config.models import Settings

AT_GATEWAY: Final = frozenset({"ibkr", "simulated"})


def whose_position(settings: Settings) -> str:
    """Return one sentence: where the position comes from under these settings."""
    execution, ibkr = settings.execution, settings.ibkr
    account = f"IBKR account {ibkr.account}" if ibkr.account else "the one IBKR account"
    gateway = f"{account} that the gateway at {ibkr.host}:{ibkr.port} shows"
    if execution.route == "paper":
        return "positions are the paper route's own; nothing stands at a broker"
    if execution.position_source == "manual":
        return "positions are what a human states with 'pj position set'"
    if execution.position_source == "none":
        return "positions are told by nobody: shown as UNVERIFIED, entries stop at the first doubt"
    if execution.route == "ibkr":
        return f"positions are those of {gateway}, where the orders go as well"
    return f"positions are those of {gateway}; TradersPost must trade this very account"


def unsaid(settings: Settings) -> str:
    """Return why the position source must be named before live orders leave, empty when it is or need not be."""
    execution = settings.execution
    if settings.profile != "live" or execution.route != "traderspost":
        return ""
    if "position_source" in execution.model_fields_set:
        return ""
    return (
        "execution.position_source is not set, but profile is live and TradersPost cannot be asked for positions;"
        " set it to manual (you state them with 'pj position set'), none (UNVERIFIED, entries stop at the first doubt)"
        " or ibkr (only if TradersPost trades the very IBKR account that the gateway shows)"
    )
