"""The gateway: the simulated one, another program on its port, nobody at all."""

from __future__ import annotations

import dataclasses
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest
from doctor_world import look, patient

from pj.channels.files import lock_file
from pj.channels.stats import StatsWriter
from pj.ibkr.handshake import Visit
from pj.verbs.doctor.model import Once, Patient, Status
from pj.verbs.doctor.outside import DOCTOR_IDS

ASKED = ("account", "client_id", "market_data", "gateway_clock")
LOGIN = """
import asyncio, sys
from pj.ibkr.client import Endpoint, GatewayClient
async def hold():
    client = await GatewayClient.connect(Endpoint("127.0.0.1", int(sys.argv[1]), int(sys.argv[2])))
    print("in", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    client.close()
asyncio.run(hold())
"""


@pytest.fixture
def log_in(gateway_port: int) -> Iterator[Callable[[int], None]]:
    """Return a function that keeps another program logged in with a client id."""
    programs: list[subprocess.Popen[str]] = []

    def start(client_id: int) -> None:
        program = subprocess.Popen(
            [sys.executable, "-P", "-c", LOGIN, str(gateway_port), str(client_id)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ.copy(),
        )
        programs.append(program)
        assert program.stdout is not None
        assert program.stdout.readline() == "in\n"

    yield start
    for program in programs:
        program.communicate("", timeout=10)


def test_a_gateway_that_works(gateway_port: int) -> None:
    who = patient(ibkr__port=gateway_port)
    found = {name: look(name, who) for name in ("gateway", *ASKED)}
    assert {name: one.status for name, one in found.items()} == dict.fromkeys(found, Status.OK), found
    assert found["gateway"].facts["server_version"] == 178
    assert found["account"].facts["accounts"] == ["DU000001"]
    assert found["account"].facts["client_id"] == DOCTOR_IDS[0]
    assert "comes live" in found["market_data"].says
    assert abs(found["gateway_clock"].facts["offset_s"]) < 2


def test_the_doctor_leaves_and_disturbs_nobody(gateway_port: int, log_in: Callable[[int], None]) -> None:
    """Ids are free again afterwards, and a bridge that is logged in stays so."""
    log_in(11)
    for _ in range(2):
        who = patient(ibkr__port=gateway_port)
        assert look("account", who).facts["client_id"] == DOCTOR_IDS[0]
        assert look("client_id", who).status is Status.FAIL


def test_the_bridge_s_id_in_use_by_a_stranger(gateway_port: int, log_in: Callable[[int], None]) -> None:
    log_in(11)
    found = look("client_id", patient(ibkr__port=gateway_port))
    assert found.status is Status.FAIL
    assert "client id 11 is in use by another program" in found.says
    assert "ibkr.client_id" in found.remedy


def test_our_own_living_bridge_is_no_stranger(gateway_port: int, log_in: Callable[[int], None]) -> None:
    log_in(11)
    who = patient(ibkr__port=gateway_port)
    StatsWriter(who.folder.state("bridge"), "bridge", "test").beat("RUNNING")
    found = look("client_id", who)
    assert found.status is Status.OK
    assert f"pid {os.getpid()}" in found.says


def test_a_bridge_that_is_being_restarted_finds_its_id_free(gateway_port: int, log_in: Callable[[int], None]) -> None:
    """While a Sentinel rules, the id is not tried, not even when the bridge's last beat is old."""
    log_in(11)  # if it were tried, this would be seen
    who = patient(ibkr__port=gateway_port)
    with lock_file(who.folder.create().state_folder / "sentinel.lock"):
        found = look("client_id", who)
    assert found.status is Status.UNKNOWN
    assert "left to it" in found.says


def test_an_account_of_another_login_is_named(gateway_port: int) -> None:
    found = look("account", patient(ibkr__port=gateway_port, ibkr__account="DU999"))
    assert found.status is Status.FAIL
    assert "ibkr.account is DU999, but this login has DU000001" in found.says


def test_another_doctor_s_id_is_stepped_over(gateway_port: int, log_in: Callable[[int], None]) -> None:
    log_in(DOCTOR_IDS[0])
    found = look("account", patient(ibkr__port=gateway_port))
    assert found.status is Status.OK, found
    assert found.facts["client_id"] == DOCTOR_IDS[1]


def test_nobody_listens(free_port: int) -> None:
    who = patient(ibkr__port=free_port)
    found = look("gateway", who)
    assert found.status is Status.FAIL
    assert f"nobody listens at 127.0.0.1:{free_port}" in found.says
    assert "ibkr.port" in found.remedy
    assert {look(name, who).status for name in ASKED} == {Status.UNKNOWN}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (b"", "accepts a connection and says nothing"),
        (None, "closes the connection instead of answering"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n" * 10, "not in the gateway's protocol"),
        (b"\x00\x00\x00\x05hello", "not in the gateway's protocol"),
        (b"\x00\x00\x00", "accepts a connection and says nothing"),
        (b"\x00\x00\x00\x40178\x00", "accepts a connection and says nothing"),
    ],
    ids=["mute", "closes", "http", "no version", "half a length", "half a frame"],
)
def test_an_open_port_is_no_gateway(tcp_server: Callable[[bytes | None], int], words: bytes | None, said: str) -> None:
    who = patient(ibkr__port=tcp_server(words))
    begun = time.monotonic()
    found = look("gateway", who)
    assert time.monotonic() - begun < 4.5
    assert found.status is Status.FAIL, found
    assert said in found.says or "breaks the connection" in found.says
    assert "enable socket clients" in found.remedy
    assert {look(name, who).status for name in ASKED} == {Status.UNKNOWN}


def test_a_gateway_that_drips_cannot_hold_us() -> None:
    """One byte now and then keeps a time-out per read alive for ever; the deadline is over the whole."""
    import threading

    with socket.create_server(("127.0.0.1", 0)) as listener:

        def drip() -> None:
            peer, _ = listener.accept()
            with peer:
                try:
                    for byte in b"\x00\x00\x00\x40" + b"x" * 40:
                        peer.sendall(bytes([byte]))
                        time.sleep(0.2)
                except OSError:
                    return

        thread = threading.Thread(target=drip)
        thread.start()
        begun = time.monotonic()
        found = look("gateway", patient(ibkr__port=listener.getsockname()[1]))
        assert time.monotonic() - begun < 4.5
        thread.join(15)
    assert found.status is Status.FAIL


def test_a_handshake_without_a_session(tcp_server: Callable[[bytes | None], int]) -> None:
    """The gateway greets and then waits for somebody to answer its dialog."""
    hello = b"176\x0020261118 09:30:00 EST\x00"
    who = patient(ibkr__port=tcp_server(len(hello).to_bytes(4, "big") + hello), ibkr__connect_timeout_s=1)
    assert look("gateway", who).status is Status.OK
    found = look("account", who)
    assert found.status is Status.FAIL
    assert "opens no session" in found.says
    assert look("market_data", who).status is Status.UNKNOWN


SEEN = Visit(7100, "ib_insync 0.9.86", ("DU1",), 0.2, "MNQZ6", 1)


def visited(**more: object) -> Patient:
    """Return a patient whose gateway showed something that the simulated one never does."""
    settings = {name: more.pop(name) for name in list(more) if name in {"profile", "ibkr__account", "ibkr__port"}}
    who = patient(**settings)
    seen = dataclasses.replace(SEEN, **more)  # type: ignore[arg-type]
    who.visit = Once(lambda: seen)
    return who


@pytest.mark.parametrize(
    ("more", "status", "said"),
    [
        ({}, Status.OK, "paper, as the profile says"),
        ({"accounts": ("U1",)}, Status.FAIL, "a live account, but profile is paper"),
        ({"profile": "live", "ibkr__port": 4001}, Status.FAIL, "a paper account, but profile is live"),
        ({"profile": "live", "ibkr__port": 4001, "accounts": ("U1",)}, Status.OK, "live, as the profile says"),
        ({"accounts": ()}, Status.FAIL, "names no account"),
        ({"accounts": ("DU1", "DU2")}, Status.FAIL, "several accounts (DU1, DU2)"),
        ({"accounts": ("DU1", "DU2"), "ibkr__account": "DU2"}, Status.OK, "account DU1, DU2"),
        ({"ibkr__account": "DU9"}, Status.FAIL, "ibkr.account is DU9, but this login has DU1"),
    ],
)
def test_the_account_must_be_the_one_meant(more: dict[str, object], status: Status, said: str) -> None:
    found = look("account", visited(**more))
    assert (found.status, said in found.says) == (status, True), found
    assert bool(found.remedy) == (status is Status.FAIL)


@pytest.mark.parametrize(
    ("more", "paper", "live"),
    [
        ({"data_type": 1}, Status.OK, Status.OK),
        ({"data_type": 2}, Status.OK, Status.OK),
        ({"data_type": 3}, Status.WARN, Status.FAIL),
        ({"data_type": 0}, Status.UNKNOWN, Status.UNKNOWN),
        ({"contract": "", "data_type": 0}, Status.WARN, Status.FAIL),
        ({"data_type": 0, "notes": ((354, "Requested market data is not subscribed."),)}, Status.WARN, Status.FAIL),
        ({"data_type": 0, "notes": ((2104, "farm is OK"),)}, Status.UNKNOWN, Status.UNKNOWN),
    ],
)
def test_prices_must_be_live(more: dict[str, object], paper: Status, live: Status) -> None:
    assert look("market_data", visited(**more)).status is paper
    assert look("market_data", visited(profile="live", ibkr__port=4001, **more)).status is live


@pytest.mark.parametrize(("offset_s", "status"), [(0.4, Status.OK), (-2.4, Status.OK), (2.6, Status.FAIL)])
def test_the_gateway_s_clock(offset_s: float, status: Status) -> None:
    assert look("gateway_clock", visited(offset_s=offset_s)).status is status
    assert look("gateway_clock", visited(offset_s=None)).status is Status.UNKNOWN


def test_profile_sim_asks_nobody() -> None:
    who = patient(profile="sim")
    assert {look(name, who).status for name in ("gateway", *ASKED, "webhook", "webhook_host", "workbook")} == {
        Status.SKIPPED
    }
