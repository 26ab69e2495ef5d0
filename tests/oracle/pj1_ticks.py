"""Turn bars into the rows of a tape that hold them, and rows into bars, in chunks of any size (pj1 P3, P11)."""

from __future__ import annotations

import random
from collections.abc import Callable

from live.bar_builder import BarBuilder
from live.market import NS_PER_MIN, Bar, Tick, TickKind


def ticks_of(bars: list[Bar], rng: random.Random) -> list[Tick]:
    """Return rows that hold each bar's open, high, low and close in some order of high and low, and every edge."""
    rows: list[Tick] = []

    def add(at: int, kind: TickKind, price: int | None, contract: str) -> None:
        rows.append(Tick(len(rows) + 1, at, kind, price, 2 if kind is TickKind.TRADE else 0, contract=contract))

    for bar, after in zip(bars, [*bars[1:], None], strict=True):
        inner = rng.sample([bar.high_ticks, bar.low_ticks], 2)
        add(bar.ts_ns, TickKind.HEARTBEAT, None, bar.contract)
        for price in (bar.open_ticks, *inner, bar.close_ticks):
            at = max(rows[-1].recv_ns, bar.ts_ns) + rng.randint(0, NS_PER_MIN // 5)
            add(at, TickKind.TRADE, price, bar.contract)
        until = after.ts_ns if after is not None else bar.ts_ns + NS_PER_MIN
        for edge in range(bar.ts_ns + NS_PER_MIN, until + 1, NS_PER_MIN):
            add(edge, TickKind.HEARTBEAT, bar.close_ticks, bar.contract)
    return rows


def built(ticks: list[Tick], rng: random.Random, make: Callable[[], BarBuilder] = BarBuilder) -> list[Bar]:
    """Return the bars of ``ticks`` fed in chunks of random length."""
    builder, out, at = make(), [], 0
    while at < len(ticks):
        size = rng.choice((1, 2, 7, 100))
        out += builder.on_ticks(ticks[at : at + size])
        at += size
    return [one for one in out if isinstance(one, Bar)]
