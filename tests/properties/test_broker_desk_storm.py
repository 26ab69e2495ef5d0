"""Tell the desk anything in any order: reports no broker would make, of any order, month and time. It must not fall.

An engine that raises is started again into the same record and raises again (simulation, seed 9918), so whatever is
told must lead to a belief, a doubt or a halt. After the storm the position is told the same for two minutes; then the
desk believes it, or doubts, or has halted. A seed is one play; a failure prints it.
"""

from __future__ import annotations

import json
import random

import pytest
from broker_play import KEY, STEM, T0, Play, leg, play
from pj1_scenes import MNQ, SCENE

from live.broker_watch import DeskRules
from live.commands import PlaceBracket
from live.engine import Engine, Route
from live.events import (
    ClockPassed,
    Event,
    ExecutionReported,
    Leg,
    OrderAcked,
    OrderRefused,
    OrdersReported,
    OrderUnknown,
    PositionReported,
    PriceMarked,
    TruthChanged,
)
from live.execution_bridge import CANCELLED_CODE
from live.market import NS_PER_S
from live.params import Params

PLAYS = 2_500
OTHER = "739721:PDH@1776250000:"
ROUTES = ({}, {"flatten_unknown": True}, {"places_exits": False, "tells_refs": False},
          {"places_exits": False, "tells_refs": False, "flatten_unknown": True})  # fmt: skip
REFS = (KEY, KEY, KEY, "", f"{STEM}EXIT", f"{STEM}EXITS", f"{STEM}EXIT2", f"{OTHER}ENTRY", f"{OTHER}EXIT", "by hand")
LEGS = (Leg.ENTRY, Leg.STOP, Leg.TARGET, Leg.EXIT, Leg.FOREIGN)


def begun(draw: random.Random, **rules: bool) -> tuple[Play, int]:
    """Return a stage whose entry is on its way, lost, open or closed, and the second it stands at."""
    stage = play(**rules)
    match draw.choice(("pending", "lost", "open", "closed")):
        case "lost":
            stage.held(0, 11)
            stage.held(0, 16)
            return stage, 17
        case "open":
            stage.fill(5, 911, 1)
        case "closed":
            stage.fill(5, 911, 1)
            stage.fill(5, 930, 2, side=-1)
        case _:
            pass
    return stage, 3


def report(draw: random.Random, ns: int) -> Event:
    """Return one thing that somebody might say of the account."""
    match draw.randint(0, 13):
        case 0 | 1 | 2 | 3:
            price, side = draw.choice((911, 930, 886, 958, 870)), draw.choice((1, 1, -1))
            where = draw.choice(("M6", "M6", "M6", "", "Z6"))
            name = f"x{draw.randint(0, 60)}"
            return ExecutionReported(name, side, draw.randint(1, 6), price, ns, draw.choice(REFS), where)
        case 4 | 5 | 6:
            return PositionReported(
                draw.choice((0, 0, 5, 5, 2, 3, -1, -5, 6)), ns, draw.choice(("", "M6", "Z6", "M6 Z6"))
            )
        case 7 | 8:
            keys = (KEY, KEY, "", f"{STEM}EXITS", f"{OTHER}ENTRY")
            shown = [leg(draw.choice(LEGS), draw.randint(1, 6), draw.choice(keys)) for _ in range(draw.randint(0, 3))]
            return OrdersReported(tuple(shown), ns, draw.random() < 0.5)
        case 9:
            return OrderAcked(draw.choice((KEY, KEY, f"{STEM}EXIT", f"{OTHER}ENTRY")), "b", ns)
        case 10:
            return OrderRefused(draw.choice((KEY, KEY, f"{STEM}EXIT")), draw.choice((CANCELLED_CODE, "201")), ns)
        case 11:
            return OrderUnknown(draw.choice((KEY, f"{STEM}EXIT")), "why", ns)
        case 12:
            return TruthChanged(draw.random() < 0.6, ns)
        case _:
            return draw.choice((ClockPassed(ns), PriceMarked(ns, draw.choice((900, 880, 960)))))


@pytest.mark.parametrize("rules", ROUTES, ids=lambda rules: "-".join(rules) or "ibkr")
def test_nothing_that_is_told_makes_the_desk_fall(rules: dict[str, bool]) -> None:
    for seed in range(PLAYS):
        draw = random.Random(seed)
        stage, at_s = begun(draw, **rules)
        moments = [at_s := at_s + draw.choice((0, 0, 1, 1, 3, 5, 11, 40)) for _ in range(draw.randint(4, 40))]
        storm = [report(draw, T0 + moment * NS_PER_S) for moment in moments]
        held = draw.choice((0, 0, 5, -2))
        calm = [PositionReported(held, T0 + (at_s + after_s) * NS_PER_S, "M6") for after_s in range(5, 120, 6)]
        for event in (*storm, *calm):
            try:
                said = stage.step(event)
            except Exception as error:
                raise AssertionError(f"seed {seed}: {event} makes the engine fall: {error}") from error
            assert not any(isinstance(one, PlaceBracket) for one in said), seed
        state = json.loads(json.dumps(stage.engine.snapshot()))
        again = Engine(
            Params.from_dict(SCENE),
            MNQ,
            Route.BROKER,
            DeskRules(**({"places_exits": True, "tells_refs": True} | rules)),
        )
        again.restore(state)
        assert json.loads(json.dumps(again.snapshot())) == state, seed
        desk = stage.engine.desk
        believed = 0 if desk.order is None else desk.order.believed
        assert believed == held or desk.doubt or desk.halted or desk.stuck, f"seed {seed}: {believed} against {held}"
