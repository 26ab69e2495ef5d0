"""Make columns of bars for the store's tests."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from live.trading_day import at_minute_ns

Write = Callable[..., Path]


def minutes_of(day: date, minutes: Iterable[int]) -> list[datetime]:
    return [datetime.fromtimestamp(at_minute_ns(day, m) // 10**9, UTC) for m in minutes]


def bars_of(times: list[datetime], contract: str = "MNQM2026", price: float = 20000.0) -> dict[str, list[Any]]:
    """Return columns of bars whose close walks up and down with the minute."""
    walk = [price + 0.25 * (int(at.timestamp()) // 60 % 7) for at in times]
    return {
        "ts": list(times),
        "contract": [contract] * len(times),
        "open": walk,
        "high": [value + 0.5 for value in walk],
        "low": [value - 0.5 for value in walk],
        "close": [value + 0.25 for value in walk],
        "volume": [10 + int(at.timestamp()) // 60 % 5 for at in times],
    }
