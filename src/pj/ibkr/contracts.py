"""Describe a contract as the gateway does."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Contract:
    """Hold one contract as the gateway describes it; ``native`` is the library's own object for requests.

    ``min_tick`` is in points, ``multiplier`` USD per point, both as the gateway wrote them.
    """

    con_id: int
    symbol: str
    local_symbol: str
    exchange: str
    currency: str
    last_trade_date: str
    multiplier: str
    min_tick: float
    native: Any = field(repr=False, compare=False)
