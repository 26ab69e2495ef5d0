"""Run the same parameters at worse costs: commission and slippage x1, x2, x3, and 2 ticks (pj1 S11.9, S11.10)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from live.params import Params
from strategies.mle.audit.market import Ints, Market
from strategies.mle.audit.split import Split
from strategies.mle.compiled import daily_net_cents

FACTORS: Final = (1, 2, 3)
SLIPPAGE_TICKS: Final = 2
"""What a strategy must survive (pj1 S11.10)."""


@dataclass(frozen=True, slots=True)
class Stress:
    """Hold what a run at other costs nets in the fitted, the held-out and both parts, in cents, and its trades."""

    name: str
    comm_side_cents: int
    slip_ticks: int
    trades: int
    fit_net_cents: int
    hold_net_cents: int
    total_net_cents: int


def demanded_slippage(params: Params) -> int:
    """Return the ticks of slippage that must be survived: two, or one more than a run that already assumes two."""
    return max(SLIPPAGE_TICKS, params.slip_ticks + 1)


def slipped(params: Params) -> Params:
    """Return the parameters with the slippage that must be survived."""
    return replace(params, slip_ticks=demanded_slippage(params))


def cost_stress(market: Market, params: Params, split: Split) -> tuple[Stress, ...]:
    """Return runs at 1, 2 and 3 times commission, slippage and both, and at the demanded slippage.

    The rules see the costs too (the size of a trade and the daily loss depend on them, pj1 S5.4, S6.7).
    """
    return tuple(_run(market, split, name, worse) for name, worse in _sets(params))


def _sets(params: Params) -> Iterator[tuple[str, Params]]:
    comm, slip = params.comm_side_cents, params.slip_ticks
    yield "as run", params
    for factor in FACTORS[1:]:
        yield f"commission x{factor}", replace(params, comm_side_cents=comm * factor)
        yield f"slippage x{factor}", replace(params, slip_ticks=slip * factor)
        yield f"both x{factor}", replace(params, comm_side_cents=comm * factor, slip_ticks=slip * factor)
    yield f"slippage {demanded_slippage(params)} ticks", slipped(params)


def _run(market: Market, split: Split, name: str, params: Params) -> Stress:
    table = market.trades(params)
    daily: Ints = daily_net_cents(market.tape, table)
    return Stress(
        name,
        params.comm_side_cents,
        params.slip_ticks,
        len(table),
        int(daily[split.fit].sum()),
        int(daily[split.hold].sum()),
        int(daily[split.judged].sum()),
    )
