"""Say what each gate of pj1 S6 looked at and why it answered as it did."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from live.params import Params
from pj.verbs.explain.words import OUTSIDE, count, dollars, span, wall

NO_FIGURES: Final = "(no figures: the journal was written by an older version)"


@dataclass(frozen=True, slots=True)
class GateSaid:
    """Hold one gate's answer in words."""

    name: str
    passed: bool
    text: str


@dataclass(frozen=True, slots=True)
class Looked:
    """Hold what all gates looked at: the journal's figures, the parameters then, and why the switch stood."""

    figures: Mapping[str, Any]
    params: Params
    kill_reason: str


def gates_said(data: Mapping[str, Any], params: Params, kill_reason: str) -> list[GateSaid]:
    """Return every gate of a SIGNAL or REJECT line in its order."""
    figures = data.get("figures")
    said: list[GateSaid] = []
    for name, passed in data.get("gates", ()):
        words = _WORDS.get(name)
        if words is None or not isinstance(figures, Mapping):
            said.append(GateSaid(name, bool(passed), NO_FIGURES if words else "a gate this version does not know"))
        else:
            said.append(GateSaid(name, bool(passed), words(Looked(figures, params, kill_reason), bool(passed))))
    return said


def _kill(look: Looked, passed: bool) -> str:
    return "the kill switch was not thrown" if passed else f"the kill switch stood: {look.kill_reason or 'no reason'}"


def _outside(look: Looked, passed: bool) -> str:
    if passed:
        return "feed, calendar, clock and account allowed an entry"
    reason = str(look.figures["outside"])
    return f"{reason}: {OUTSIDE.get(reason, 'the outside world forbade it')}"


def _stale(look: Looked, _passed: bool) -> str:
    gap = look.figures["gap_min"]
    if gap is None:
        return "the day's first bar, nothing before it"
    return f"{count(gap, 'minute')} since the bar before; at most {look.params.max_gap_min}"


def _session(look: Looked, _passed: bool) -> str:
    windows = ", ".join(f"{wall(start)}-{wall(end)}" for start, end in look.params.windows)
    return (
        f"the next bar begins {wall(look.figures['minute'])} ET; windows {windows}, flat {wall(look.figures['flat_m'])}"
    )


def _news(look: Looked, passed: bool) -> str:
    known = count(len(look.params.blackouts), "blackout")
    return f"in none of {known}" if passed else f"inside one of {known} around news"


def _in_position(_look: Looked, passed: bool) -> str:
    return "no entry under way, no position open" if passed else "an entry was under way or a position open"


def _day_lock(look: Looked, passed: bool) -> str:
    return "the day is not locked" if passed else f"the day was locked: {look.figures['locked']}"


def _daily_loss(look: Looked, _passed: bool) -> str:
    return f"the day so far {dollars(look.figures['net_cents'])}; limit {dollars(-look.params.max_daily_loss_cents)}"


def _max_trades(look: Looked, _passed: bool) -> str:
    return f"{count(look.figures['fills'], 'trade')} today; at most {look.params.max_trades_day}"


def _consec_losses(look: Looked, _passed: bool) -> str:
    return f"{count(look.figures['losses_streak'], 'loss')} in a row; {look.params.max_consec_losses} stop the day"


def _cooldown(look: Looked, _passed: bool) -> str:
    since = look.figures["since_exit_s"]
    if since is None:
        return "no exit before it"
    return f"{span(since)} since the last exit; at least {span(look.params.cooldown_min * 60)}"


def _order_rate(look: Looked, _passed: bool) -> str:
    return f"{count(look.figures['orders_hour'], 'order')} in the last hour; fewer than {look.params.max_orders_hour}"


def _too_wide(look: Looked, _passed: bool) -> str:
    return f"{look.figures['risk_ticks']} ticks from entry to stop; at most {look.params.max_risk_ticks}"


def _size_zero(look: Looked, _passed: bool) -> str:
    params, risk = look.params, look.figures["risk_ticks"]
    each = (risk + 2 * params.slip_ticks) * params.tick_cents + 2 * params.comm_side_cents
    left = params.max_daily_loss_cents + look.figures["net_cents"]
    budget = min(params.risk_per_trade_cents, left)
    return (
        f"{count(look.figures['qty'], 'contract')}: one may lose {dollars(each)}, the budget is {dollars(budget)}"
        f" (a trade {dollars(params.risk_per_trade_cents)}, left of the day {dollars(left)}), at most {params.max_qty}"
    )


_WORDS: Final[dict[str, Callable[[Looked, bool], str]]] = {
    "KILL": _kill,
    "OUTSIDE": _outside,
    "STALE": _stale,
    "SESSION": _session,
    "NEWS": _news,
    "IN_POSITION": _in_position,
    "DAY_LOCK": _day_lock,
    "DAILY_LOSS": _daily_loss,
    "MAX_TRADES": _max_trades,
    "CONSEC_LOSSES": _consec_losses,
    "COOLDOWN": _cooldown,
    "ORDER_RATE": _order_rate,
    "RISK_TOO_WIDE": _too_wide,
    "SIZE_ZERO": _size_zero,
}
