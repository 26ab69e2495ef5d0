"""The adapter against a real gateway process: connecting, refusals, hangs, orders."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from pj.ibkr.client import Endpoint, GatewayClient, Hooks
from pj.ibkr.errors import ClientIdInUse, GatewayUnavailable, LibraryUnusable, OrderRefusedByGateway, UnknownContract
from pj.ibkr.library import check_decoder_hook, choose_library
from pj.ibkr.orders import OrderClient

CONTRACT = "MNQM6"


@pytest.fixture
def gateway(rig: Callable[..., Any]) -> Any:
    run = rig(speed=10.0, begin_in_s=1.0)
    run.process = run.gateway()
    return run


def endpoint(run: Any, client_id: int = 21) -> Endpoint:
    return Endpoint("127.0.0.1", run.port, client_id, library="ib_insync", connect_timeout_s=2.0)


def test_closed_port_is_one_sentence_at_once(free_port: int) -> None:
    began = time.monotonic()
    with pytest.raises(GatewayUnavailable, match=rf"no gateway listens at 127.0.0.1:{free_port} as client 3"):
        asyncio.run(GatewayClient.connect(Endpoint("127.0.0.1", free_port, 3, library="ib_insync")))
    assert time.monotonic() - began < 1


def test_client_id_in_use_is_told_at_once(gateway: Any) -> None:
    async def twice() -> float:
        first = await GatewayClient.connect(endpoint(gateway))
        began = time.monotonic()
        try:
            with pytest.raises(ClientIdInUse, match=r"as client 21; stop the other program or set ibkr.client_id"):
                await GatewayClient.connect(endpoint(gateway))
            return time.monotonic() - began
        finally:
            first.close()

    assert asyncio.run(twice()) < 1


def test_unknown_contract_is_one_sentence(gateway: Any) -> None:
    async def ask() -> None:
        client = await GatewayClient.connect(endpoint(gateway))
        try:
            found = await client.find_contract("MNQ", CONTRACT)
            assert (found.local_symbol, found.symbol, found.min_tick, found.multiplier) == (CONTRACT, "MNQ", 0.25, "2")
            with pytest.raises(UnknownContract, match="knows no contract MNQH9 of MNQ on CME"):
                await client.find_contract("MNQ", "MNQH9")
        finally:
            client.close()

    asyncio.run(ask())


def test_failing_tap_ends_the_session_instead_of_losing_data(gateway: Any) -> None:
    def broken(_: list[str]) -> bool:
        raise OSError("disk full")

    async def listen() -> None:
        client = await GatewayClient.connect(endpoint(gateway), Hooks(taps={99: broken}))
        client.subscribe_trades(await client.find_contract("MNQ", CONTRACT))
        await asyncio.wait_for(client.closed.wait(), 10)
        assert repr(client.failure) == "OSError('disk full')"
        client.close()

    asyncio.run(listen())


@pytest.mark.skipif(sys.platform == "win32", reason="a Windows process cannot be stopped and continued")
def test_hung_gateway_fails_the_probe(gateway: Any) -> None:
    async def probe() -> None:
        client = await GatewayClient.connect(endpoint(gateway))
        try:
            assert await client.probe(1.0) > 1_776_000_000
            gateway.process.send_signal(signal.SIGSTOP)
            with pytest.raises(GatewayUnavailable, match=r"did not answer a probe within 0.3 s"):
                await client.probe(0.3)
        finally:
            gateway.process.send_signal(signal.SIGCONT)
            client.close()

    asyncio.run(probe())


@pytest.fixture
def mute_port() -> Iterator[int]:
    """Return a port that accepts and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        held: list[socket.socket] = []
        thread = threading.Thread(target=lambda: held.append(listener.accept()[0]), daemon=True)
        thread.start()
        yield int(listener.getsockname()[1])
        thread.join(1)
        for connection in held:
            connection.close()


def test_mute_gateway_times_out(mute_port: int) -> None:
    mute = Endpoint("127.0.0.1", mute_port, 3, library="ib_insync", connect_timeout_s=0.3)
    with pytest.raises(GatewayUnavailable, match=r"no answer from the gateway .* within 0.3 s"):
        asyncio.run(GatewayClient.connect(mute))


def test_bracket_lives_on_the_account_and_closes(gateway: Any) -> None:
    async def trade() -> None:
        client = await OrderClient.connect("127.0.0.1", gateway.port, 31, library="ib_insync")
        try:
            bracket = await client.place_bracket(CONTRACT, 1, 2, "20000", "30000", "pool-7")
            assert 0 < bracket.parent_id < bracket.target_id < bracket.stop_id
            await until(lambda: client.positions() == {CONTRACT: 2})
            assert sorted(client.working(CONTRACT)) == [bracket.target_id, bracket.stop_id]
            assert await client.close_position(CONTRACT, "pool-7-close") == 2
            await until(lambda: client.positions() == {})
            assert client.working(CONTRACT) == []
            with pytest.raises(OrderRefusedByGateway):
                await client.place_bracket(CONTRACT, 1, 0, None, None, "nothing")
        finally:
            client.close()

    asyncio.run(trade())


async def until(done: Callable[[], bool], timeout_s: float = 10.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not done():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


def test_unknown_library_is_named() -> None:
    with pytest.raises(LibraryUnusable, match=r"ibkr.library is ib_nothing but ib_nothing cannot be imported"):
        choose_library("ib_nothing")


def test_library_without_the_decoder_hook_is_refused() -> None:
    bare = SimpleNamespace(client=SimpleNamespace())
    with pytest.raises(LibraryUnusable, match=r"has no decoder.handlers table"):
        check_decoder_hook(bare, (99,), "ib_new 9")
    deaf = SimpleNamespace(interpret=lambda _fields: None, handlers={58: print, 99: print})
    with pytest.raises(LibraryUnusable, match=r"does not call the decoder table"):
        check_decoder_hook(SimpleNamespace(client=SimpleNamespace(decoder=deaf)), (99,), "ib_new 9")
    with pytest.raises(LibraryUnusable, match=r"no decoder for messages \[61\]"):
        check_decoder_hook(SimpleNamespace(client=SimpleNamespace(decoder=deaf)), (61, 99), "ib_new 9")
