"""The emergency stop at the gateway: real sockets, the bridge dead or alive, everything that gets in the way."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))
from flatten_world import BRIDGE, HUMAN, MES, MNQ, World, run, start_world

from pj.ibkr import flatten as module
from pj.ibkr.client import Endpoint
from pj.ibkr.errors import AccountMissing, ClientIdInUse, GatewayError, GatewayUnavailable
from pj.ibkr.flatten import Flattener, Patience, Scope, Verdict

Steps = list[tuple[str, str]]


@pytest.fixture
def world() -> Iterator[World]:
    made = start_world()
    yield made
    made.end()


def flattener(world: World, steps: Steps, *, everything: bool = False, total_s: float = 15.0, **more: Any) -> Flattener:
    def say(step: str, text: str, **_: object) -> None:
        steps.append((step, text))
        print(step, text)

    endpoint = Endpoint("127.0.0.1", world.port, 61, connect_timeout_s=2.0)
    return Flattener(endpoint, Scope("MNQ", everything), say, Patience(total_s, **more))


def flatten(world: World, steps: Steps | None = None, **more: Any) -> Verdict:
    return run(flattener(world, [] if steps is None else steps, **more).run())


def test_a_dead_bridge_s_bracket_and_position_are_closed(world: World) -> None:
    world.leave(1, 3)
    assert world.held() == {MNQ: 3}
    assert run(world.working()) == ["11:MNQZ6"] * 2
    steps: Steps = []
    verdict = flatten(world, steps)
    assert verdict.flat, verdict
    assert world.held() == {}
    assert run(world.working()) == []
    names = [step for step, _ in steps]
    assert names.index("CANCEL_STATUS") < names.index("CLOSE"), "exits end before the position is closed"
    assert names.count("CLOSE") == 1
    assert "GLOBAL_CANCEL" not in names, "cancelled by order, as their owner"


def test_a_short_is_bought_back_and_a_second_run_does_nothing(world: World) -> None:
    world.leave(-1, 2, legs=False)
    assert flatten(world).flat
    assert world.held() == {}
    fills = world.control("status")["fills"]
    assert flatten(world).flat
    assert world.control("status")["fills"] == fills


def test_a_human_s_other_symbol_is_shown_and_left_alone(world: World) -> None:
    world.leave(1, 1)
    world.leave(-1, 2, client_id=HUMAN, contract=MES)
    steps: Steps = []
    view = run(flattener(world, steps).look())
    others = [str(item) for item in Scope("MNQ").others(view)]
    assert sum(MES in text for text in others) == 3, "a position and two exits"
    assert flatten(world, steps).flat
    assert world.held() == {MES: -2}
    assert run(world.working()) == ["77:MESZ6"] * 2


def test_everything_takes_the_other_symbols_too(world: World) -> None:
    world.leave(1, 1)
    world.leave(-1, 2, client_id=HUMAN, contract=MES)
    assert flatten(world, everything=True).flat
    assert world.held() == {}
    assert run(world.working()) == []


def test_a_manual_order_of_client_0_is_cancelled_by_binding_it(world: World) -> None:
    world.leave(1, 1, client_id=0)
    assert flatten(world).flat
    assert run(world.working()) == []


async def _beside_a_living_bridge(world: World, steps: Steps, **more: Any) -> Verdict:
    bridge = await world.client(BRIDGE)
    try:
        await bridge.place_bracket(MNQ, 1, 2, *_far(), "ours")
        return await flattener(world, steps, **more).run()
    finally:
        bridge.close()


def _far() -> tuple[str, str]:
    return "5000", "60000"


def test_a_living_owner_needs_the_global_cancel(world: World) -> None:
    steps: Steps = []
    assert run(_beside_a_living_bridge(world, steps)).flat
    assert "GLOBAL_CANCEL" in [step for step, _ in steps]
    assert world.held() == {}


def test_the_global_cancel_is_not_used_on_a_human_s_orders(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCKED_S", 0.5)
    world.leave(-1, 1, client_id=HUMAN, contract=MES)
    steps: Steps = []
    verdict = run(_beside_a_living_bridge(world, steps))
    assert not verdict.flat
    assert "client 11, which is connected" in verdict.why and "--all" in verdict.why
    assert world.held() == {MNQ: 2, MES: -1}, "a position is not closed while its exits work"
    assert "77:MESZ6" in run(world.working())


async def _filling_while_cancelled(world: World, steps: Steps) -> Verdict:
    """An entry of 200 fills one contract a print while it is cancelled: the position grows under our hands."""
    bridge = await world.client(BRIDGE)
    await bridge.place_bracket(MNQ, 1, 200, *_far(), "ours")
    bridge.close()
    await asyncio.sleep(0.3)
    return await flattener(world, steps, total_s=30).run()


def test_an_entry_that_fills_while_it_is_cancelled() -> None:
    world = start_world("--cash", "10000000", speed="20")
    steps: Steps = []
    try:
        world.control("partial", size=1)
        verdict = run(_filling_while_cancelled(world, steps))
        assert verdict.flat, verdict
        seen = next(text for step, text in steps if step == "SEEN")
        closed = [int(text.split("position +")[1].split()[0]) for step, text in steps if step == "CLOSE"]
        assert "BUY 200" in seen, "the entry was working"
        assert len(closed) == 1 and closed[0] < 200, "cancelled in the middle, and what had filled by then was closed"
        assert world.held() == {}
        assert run(world.working()) == []
    finally:
        world.end()


async def _reversed_under_our_hands(world: World, steps: Steps) -> Verdict:
    """A human sells four at the moment we close two: what is left is short and is bought back."""
    human = await world.client(HUMAN)
    sold = asyncio.Event()

    def say(step: str, text: str, **_: object) -> None:
        steps.append((step, text))
        if step == "CLOSE" and not sold.is_set():
            sold.set()
            tasks.append(asyncio.ensure_future(human.place_bracket(MNQ, -1, 4, None, None, "by hand")))

    tasks: list[asyncio.Future[Any]] = []
    runner = flattener(world, steps)
    runner.say = say
    verdict = await runner.run()
    await asyncio.gather(*tasks)
    human.close()
    return verdict


def test_a_position_reversed_meanwhile_is_brought_to_flat(world: World) -> None:
    world.leave(1, 2, legs=False)
    steps: Steps = []
    verdict = run(_reversed_under_our_hands(world, steps))
    assert verdict.flat, verdict
    assert world.held() == {}
    assert [text.split(":")[1].split()[0] for step, text in steps if step == "CLOSE"] == ["SELL", "BUY"]


def test_a_rejected_close_is_tried_again_and_then_said(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY_S", 0.05)
    world.leave(1, 1, legs=False)
    world.control("reject", count=1)
    assert flatten(world).flat, "one rejection is not the end"
    world.leave(1, 1, legs=False)
    world.control("reject", count=99)
    verdict = flatten(world)
    assert not verdict.flat
    assert "rejected the closing order 3 times" in verdict.why and "201" in verdict.why
    assert world.held() == {MNQ: 1}


def test_a_false_cancel_is_not_believed(world: World) -> None:
    """10349 makes both libraries call a live order cancelled; one that believed it would close a second time."""
    world.leave(1, 3, legs=False)
    world.control("partial", size=1)
    steps: Steps = []
    runner = flattener(world, steps)
    say = runner.say

    def say_false(step: str, text: str, **data: object) -> None:
        say(step, text, **data)
        if step == "CLOSE":
            number = int(text.rpartition(" ")[2])
            world.control("error", client=61, id=number, code=10349, text="Order TIF was set to DAY based on preset")

    runner.say = say_false
    assert run(runner.run()).flat
    assert [step for step, _ in steps].count("CLOSE") == 1
    assert world.held() == {}


def test_a_stale_position_is_never_closed_twice(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LAG_S", 1.5)
    world.leave(1, 2, legs=False)
    world.control("stale", on=True)
    steps: Steps = []
    verdict = flatten(world, steps)
    assert not verdict.flat
    assert "it is not closed twice" in verdict.why
    assert [step for step, _ in steps].count("CLOSE") == 1
    assert world.held() == {}, "closed once; a second close would have made it short"


def test_a_late_report_is_waited_for(world: World) -> None:
    world.leave(1, 2, legs=False)
    world.control("stale", on=True)

    async def late() -> Verdict:
        task = asyncio.ensure_future(flattener(world, []).run())
        await asyncio.sleep(2.0)
        await asyncio.to_thread(world.control, "stale", on=False)
        return await task

    assert run(late()).flat
    assert world.held() == {}


def test_a_gateway_cut_off_from_ib_proves_nothing(world: World) -> None:
    async def cut_off() -> Verdict:
        runner = flattener(world, [], total_s=2.0, settle_s=5.0)
        task = asyncio.ensure_future(runner.run())
        await asyncio.sleep(1.0)
        await asyncio.to_thread(world.control, "error", code=1100, text="Connectivity has been lost")
        return await task

    verdict = run(cut_off())
    assert not verdict.flat
    assert "1100" in verdict.why


def test_a_gateway_that_falls_silent_is_no_flat_account(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ANSWER_S", 0.5)
    runner = flattener(world, [], total_s=3.0, settle_s=2.0)
    say = runner.say

    def then_mute(step: str, text: str, **data: object) -> None:
        say(step, text, **data)
        if step == "SEEN":
            world.control("mute", on=True)

    runner.say = then_mute
    with pytest.raises(GatewayError, match="did not answer for executions"):
        run(runner.run())


def test_a_dropped_connection_is_made_again(world: World) -> None:
    world.leave(1, 2)

    async def dropped(steps: Steps) -> Verdict:
        runner = flattener(world, steps)
        say = runner.say

        def drop_once(step: str, text: str, **data: object) -> None:
            say(step, text, **data)
            if step == "SEEN" and "RECONNECT" not in [known for known, _ in steps]:
                world.control("drop")

        runner.say = drop_once
        return await runner.run()

    steps: Steps = []
    assert run(dropped(steps)).flat
    assert "RECONNECT" in [step for step, _ in steps]
    assert world.held() == {}


def test_no_gateway_is_said_soon(free_port: int) -> None:
    endpoint = Endpoint("127.0.0.1", free_port, 61)
    begun = time.monotonic()
    with pytest.raises(GatewayUnavailable, match="no gateway listens"):
        run(Flattener(endpoint, Scope("MNQ"), lambda *_, **__: None, Patience(1.0)).run())
    assert time.monotonic() - begun < 10


def test_a_taken_client_id_is_passed_over(world: World) -> None:
    async def beside(taken: range) -> Verdict:
        others = [await world.client(number) for number in taken]
        try:
            return await flattener(world, [], total_s=0.5 if len(taken) == 5 else 15).run()
        finally:
            for other in others:
                other.close()

    assert run(beside(range(61, 62))).flat
    with pytest.raises(ClientIdInUse, match="flatten_client_id"):
        run(beside(range(61, 66)))


def test_the_wrong_account_is_no_flat_account(world: World) -> None:
    world.leave(1, 1, legs=False)
    endpoint = Endpoint("127.0.0.1", world.port, 61, account="DU999")
    with pytest.raises(AccountMissing, match="DU999"):
        run(Flattener(endpoint, Scope("MNQ"), lambda *_, **__: None, Patience(2.0)).run())
