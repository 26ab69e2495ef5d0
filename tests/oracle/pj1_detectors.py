"""Catch what PJ-1 must never do: rewrite the past when the future arrives, or fill at a price it could not have had."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pj1_oracle import Row

Outcome = tuple[list[dict[str, Any]], list[dict[str, Any]]]
Run = Callable[[list[Row]], Outcome]


def rewritten(run: Run, rows: list[Row], cuts: Sequence[int]) -> int:
    """Return how many of ``cuts`` give, over rows[:k], anything but a prefix of what all rows give (pj1 P1)."""
    events, trades = run(rows)
    wrong = 0
    for cut in cuts:
        early_events, early_trades = run(rows[:cut])
        same = early_events == events[: len(early_events)] and early_trades == trades[: len(early_trades)]
        wrong += not same
    return wrong


def impossible_fills(rows: list[Row], trades: list[dict[str, Any]], slip: int) -> int:
    """Return how many trades were not entered at a bar's open plus slippage, at or after the signal (pj1 S5.1)."""
    opens = {row[0]: row[1] for row in rows}
    wrong = 0
    for trade in trades:
        side = 1 if trade["side"] == "LONG" else -1
        ours = opens.get(trade["entry_ts"])
        fair = ours is not None and trade["entry_price"] == ours + side * slip
        wrong += not (fair and trade["entry_ts"] >= trade["signal_ts"])
    return wrong
