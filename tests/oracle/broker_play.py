"""Play the broker routes in tests: a stage after the signal; fills, reports and shown orders in seconds from it."""

from __future__ import annotations

from typing import Any

from pj1_scenes import SWEEP_LOW, Stage, close_ns

from live.broker_watch import DeskRules
from live.commands import PlaceExits, RaiseAlarm
from live.engine import Route
from live.events import ExecutionReported, Leg, Mode, OrdersReported, PositionReported, WorkingOrder
from live.market import NS_PER_S

STEM = "739721:PDL@1776259920:"
KEY = f"{STEM}ENTRY"
T0 = close_ns(SWEEP_LOW)


class Play(Stage):
    """Hold the stage after the signal; seconds count from it."""

    def __init__(self, **rules: bool) -> None:
        super().__init__(
            Route.BROKER, Mode.LIVE, rules=DeskRules(**({"places_exits": True, "tells_refs": True} | rules))
        )
        self.out.clear()
        self.play(SWEEP_LOW)

    def fill(self, qty: int, price: int, at_s: int, ref: str = KEY, side: int = 1) -> list[Any]:
        number = sum(isinstance(one, RaiseAlarm) for one in self.out) + at_s * 10 + side
        return self.step(ExecutionReported(f"e{number}-{qty}-{price}", side, qty, price, T0 + at_s * NS_PER_S, ref))

    def held(self, qty: int, at_s: int, where: str = "") -> list[Any]:
        return self.step(PositionReported(qty, T0 + at_s * NS_PER_S, where))

    def shown(self, at_s: int, *orders: WorkingOrder) -> list[Any]:
        return self.step(OrdersReported(orders, T0 + at_s * NS_PER_S))

    def codes(self) -> list[str]:
        return [one.code for one in self.out if isinstance(one, RaiseAlarm)]


def play(**rules: bool) -> Play:
    return Play(**rules)


def opened(**rules: bool) -> Play:
    stage = play(**rules)
    stage.fill(5, 911, 1)
    assert stage.engine.position is not None
    return stage


def leg(kind: Leg, qty: int, key: str = KEY, price: int | None = None) -> WorkingOrder:
    prices = {Leg.STOP: 886, Leg.TARGET: 958}
    side = 1 if kind is Leg.ENTRY else -1
    return WorkingOrder(key, kind, side, qty, prices.get(kind, 0) if price is None else price, f"{kind}{qty}")


def bracket(qty: int) -> tuple[WorkingOrder, WorkingOrder]:
    return leg(Leg.STOP, qty), leg(Leg.TARGET, qty)


def of(said: list[Any], kind: type[Any]) -> list[Any]:
    return [one for one in said if isinstance(one, kind)]


def exits(number: str, qty: int, at_s: int) -> PlaceExits:
    return PlaceExits(f"{STEM}EXITS{number}", "M6", 1, qty, 886, 958, T0 + at_s * NS_PER_S)
