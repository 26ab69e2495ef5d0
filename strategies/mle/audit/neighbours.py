"""Step one beside the chosen parameters: an optimum whose neighbours lose is luck (pj1 S11.10).

A search has its own grid. A single backtest has none, so every numeric parameter moves by one natural step each way.
Prices of trading (tick, tick value, commission, slippage) are not steps of the strategy: the cost stress moves those.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

from live.params import Params, ParamsError
from strategies.mle.audit.market import Market
from strategies.mle.audit.split import Split

STEPS: Final[dict[str, Fraction]] = {
    name: Fraction(step)
    for name, step in {
        "min_prev_day_bars": "30",
        "min_session_fill": "1/10",
        "swing_n": "1",
        "swing_ttl_min": "15",
        "eq_tol_ticks": "1",
        "sweep_min_ticks": "1",
        "reclaim_min_ticks": "1",
        "reclaim_max_min": "1",
        "max_pen_ticks": "10",
        "max_chase_ticks": "10",
        "stop_buffer_ticks": "1",
        "min_risk_ticks": "2",
        "max_risk_ticks": "20",
        "target_r": "1/4",
        "max_hold_min": "5",
        "max_entry_delay_min": "1",
        "risk_per_trade_usd": "10",
        "max_qty": "1",
        "target_through_ticks": "1",
        "max_daily_loss_usd": "50",
        "max_trades_day": "1",
        "max_consec_losses": "1",
        "cooldown_min": "1",
        "max_orders_hour": "5",
        "max_gap_min": "1",
    }.items()
}
"""One natural step of each numeric parameter, in the units of pj1 S13."""
DISPLACEMENT_STEP: Final = Fraction(1, 20)
"""A step of disp_num / disp_den, the share of a bar that its body must exceed."""
FLAT_STEP_MIN: Final = 5
_MINUTES_PER_DAY: Final = 1440

Move = tuple[str, str, str, Params]
"""A parameter, its old and its new value as text, and the whole moved set."""


@dataclass(frozen=True, slots=True)
class Step:
    """Hold one neighbour: the parameter, its old and new value as text, and what it nets, in cents."""

    parameter: str
    old: str
    new: str
    fit_net_cents: int
    hold_net_cents: int
    total_net_cents: int

    @property
    def name(self) -> str:
        """Return the step in words."""
        return f"{self.parameter} {self.new} instead of {self.old}"


def natural_steps(params: Params) -> Iterator[Move]:
    """Yield parameter, old value, new value and the whole set for each natural step that PJ-1 allows."""
    plain = params.to_dict()
    for name, old, values in _moves(plain):
        for new in values:
            try:
                yield name, old, _words(name, new), Params.from_dict({**plain, **new})
            except ParamsError:  # beyond what the parameter may be: there is no neighbour on that side
                continue


def neighbours_of(market: Market, moves: Iterable[Move], split: Split) -> tuple[Step, ...]:
    """Return what each neighbour nets."""
    found = []
    for name, old, new, moved in moves:
        daily = market.daily(moved)
        nets = (int(daily[part].sum()) for part in (split.fit, split.hold, split.judged))
        found.append(Step(name, old, new, *nets))
    return tuple(found)


def _moves(plain: dict[str, object]) -> Iterator[tuple[str, str, list[dict[str, Any]]]]:
    for name, step in STEPS.items():
        old = Fraction(str(plain[name]))
        yield name, str(plain[name]), [{name: str(old - step)}, {name: str(old + step)}]
    share = Fraction(str(plain["disp_num"])) / Fraction(str(plain["disp_den"]))
    moved = [share - DISPLACEMENT_STEP, share + DISPLACEMENT_STEP]
    shares = [{"disp_num": one.numerator, "disp_den": one.denominator} for one in moved]
    yield "disp_num/disp_den", str(share), shares
    flat = str(plain["flat_at"])
    yield "flat_at", flat, [{"flat_at": _wall(flat, -FLAT_STEP_MIN)}, {"flat_at": _wall(flat, FLAT_STEP_MIN)}]


def _wall(text: str, minutes: int) -> str:
    hour, minute = (int(part) for part in text.split(":"))
    at = (hour * 60 + minute + minutes) % _MINUTES_PER_DAY
    return f"{at // 60:02d}:{at % 60:02d}"


def _words(name: str, new: dict[str, Any]) -> str:
    return "/".join(str(value) for value in new.values()) if "/" in name else str(next(iter(new.values())))
