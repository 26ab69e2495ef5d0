"""The net a demo reports is what was booked and what corrections made of it."""

from __future__ import annotations

from typing import Any

import pytest

from pj.demo.report import net_usd


def trade(net: str, mode: str = "LIVE") -> dict[str, Any]:
    return {"type": "TRADE", "data": {"net_usd": net, "mode": mode}}


def corrected(net: str, *, counts: bool = True) -> dict[str, Any]:
    return {"type": "TRADE_CORRECTED", "data": {"net_usd": net, "counts": counts, "mode": "LIVE"}}


@pytest.mark.parametrize(
    ("journal", "net"),
    [
        ([], "0.00"),
        ([trade("-84.96"), trade("10.00")], "-74.96"),
        ([trade("-84.96"), corrected("12.00")], "-72.96"),
        ([trade("-84.96"), corrected("12.00"), corrected("-0.50")], "-73.46"),
        ([corrected("12.00", counts=False), trade("5.00")], "5.00"),
        ([trade("7.00", "REHEARSED"), trade("1.00", "MISSED")], "1.00"),
    ],
    ids=["nothing", "trades", "corrected", "twice", "of-an-older-day", "rehearsed"],
)
def test_the_net_of_a_day(journal: list[dict[str, Any]], net: str) -> None:
    assert net_usd(journal) == net
