"""Flood the tick-by-tick subscribers with synthetic prints at a fixed real rate, for benchmarks."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from pj.simulators.gateway_core import Core
from pj.simulators.gateway_feed import Feed
from pj.simulators.paths import NS_PER_S, Print

# Steps of the synthetic walk in ticks; they sum to 0, so that price stays where it was however long it runs.
_STEPS: Final = (1, 1, -2, 3, -1, -3, 2, -1)


async def flood(core: Core, feed: Feed, rate: float, seconds: float, batch: int) -> None:
    """Send ``rate`` prints per real second, at most ``batch`` per write, from the first subscriber on.

    Ends after ``seconds`` real seconds (0 = never) with ``core.finished`` set. A flood that falls behind sends
    its arrears in further writes, so that the count is always rate times time.
    """
    await core.subscribed.wait()
    feed.quote()
    begun, sent = time.monotonic_ns(), 0
    while True:
        elapsed = (time.monotonic_ns() - begun) / NS_PER_S
        over = bool(seconds) and elapsed >= seconds
        owed = int(rate * (seconds if over else elapsed)) - sent
        while owed > 0:
            count = min(owed, batch)
            feed.play([_print(core, sent + i) for i in range(count)])
            sent, owed = sent + count, owed - count
            await asyncio.sleep(0)
        if over:
            break
        await asyncio.sleep(max(0.0, (sent + batch) / rate - (time.monotonic_ns() - begun) / NS_PER_S))
    core.finished = True


def _print(core: Core, number: int) -> Print:
    price = core.market.last + _STEPS[number % len(_STEPS)]
    return Print(core.clock.now_ns(), price, 1 + number % 9)
