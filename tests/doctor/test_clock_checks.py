"""The machine's clock against time servers of every kind, and time zone data."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from doctor_world import NTP, TimeServer, doctor, look, patient, sntp_answer

from pj.config import Settings
from pj.processes.engine.judge import CLOCK_OFFSET_S
from pj.verbs.doctor import sntp, times
from pj.verbs.doctor.model import Patient, Status

Start = Callable[[Callable[[bytes], bytes | None]], TimeServer]


def test_a_right_clock_is_ok(time_server: Start) -> None:
    server = time_server(sntp_answer)
    found = look("clock", patient(doctor__ntp_servers=server.name))
    assert found.status is Status.OK, found
    assert abs(found.facts["offset_ms"]) < 200
    assert server.name in found.facts["samples"]


@pytest.mark.parametrize(("off_s", "side"), [(3.0, "behind"), (-3.0, "ahead of")])
def test_three_seconds_off_is_a_failure_with_its_remedy(time_server: Start, off_s: float, side: str) -> None:
    server = time_server(lambda request: sntp_answer(request, off_s))
    found = look("clock", patient(doctor__ntp_servers=server.name))
    assert found.status is Status.FAIL, found
    assert abs(found.facts["offset_ms"] - off_s * 1000) < 200
    assert side in found.says
    assert "time synchronisation" in found.remedy


def test_one_second_off_is_a_warning(time_server: Start) -> None:
    server = time_server(lambda request: sntp_answer(request, 1.0))
    assert look("clock", patient(doctor__ntp_servers=server.name)).status is Status.WARN


def test_two_servers_that_disagree_are_not_believed(time_server: Start) -> None:
    right, wrong = time_server(sntp_answer), time_server(lambda request: sntp_answer(request, 60.0))
    found = look("clock", patient(doctor__ntp_servers=f"{right.name}, {wrong.name}"))
    assert found.status is Status.WARN
    assert "disagree" in found.says


def test_one_silent_server_does_not_hide_the_other(time_server: Start) -> None:
    right, mute = time_server(sntp_answer), time_server(lambda _: None)
    found = look("clock", patient(doctor__ntp_servers=f"{mute.name},{right.name}"))
    assert found.status is Status.OK
    assert found.facts["silent"] == {mute.name: "no answer within 1.5 s"}


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (lambda _: None, "no answer within 1.5 s"),
        (lambda _: b"garbage", "7 bytes is no time"),
        (lambda request: os.urandom(24) + request[:24], "no answer within 1.5 s"),
        (lambda request: sntp_answer(request, cookie=1), "no answer within 1.5 s"),
        (lambda request: sntp_answer(request, first=0x23), "mode 3"),
        (lambda request: sntp_answer(request, stratum=0), "stratum 0"),
        (lambda request: sntp_answer(request, first=0xE4), "does not know the time"),
        (lambda request: sntp_answer(request, stratum=16), "does not know the time"),
        (lambda request: NTP.pack(0x24, 2, 6, 0, 0, 0, b"", 0, NTP.unpack(request)[10], 0, 0), "has no time"),
    ],
    ids=["silent", "short", "random", "forged", "client", "kiss of death", "unsynchronised", "stratum 16", "empty"],
)
def test_a_server_without_a_usable_time_leaves_it_unknown(
    time_server: Start, reply: Callable[[bytes], bytes | None], words: str
) -> None:
    begun = time.monotonic()
    found = look("clock", patient(doctor__ntp_servers=time_server(reply).name))
    assert found.status is Status.UNKNOWN, found
    assert words in found.says
    assert found.remedy
    assert time.monotonic() - begun < 3.5


def test_a_late_forgery_does_not_end_the_waiting(time_server: Start) -> None:
    """A datagram that is not the answer is passed over; the answer behind it counts."""
    import socket

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.bind(("127.0.0.1", 0))

        def serve() -> None:
            request, address = peer.recvfrom(512)
            peer.sendto(sntp_answer(request, 900.0, cookie=5), address)
            peer.sendto(sntp_answer(request), address)

        import threading

        thread = threading.Thread(target=serve)
        thread.start()
        sample = sntp.ask(f"127.0.0.1:{peer.getsockname()[1]}", 1.5)
        thread.join(5)
    assert abs(sample.offset_ms) < 200


def test_unresolvable_and_malformed_servers_are_named() -> None:
    found = look("clock", patient(doctor__ntp_servers="nobody.invalid, 127.0.0.1:x"))
    assert found.status is Status.UNKNOWN
    assert "nobody.invalid" in found.says
    assert "is not host or host:port" in found.says
    assert look("clock", patient(doctor__ntp_servers="")).status is Status.SKIPPED


@pytest.mark.parametrize(
    ("text", "split"),
    [
        ("a.example", ("a.example", 123)),
        ("a.example:9", ("a.example", 9)),
        ("[::1]:9", ("::1", 9)),
        ("::1", ("::1", 123)),
        ("[::1]", ("::1", 123)),
    ],
)
def test_servers_are_written_as_people_write_them(text: str, split: tuple[str, int]) -> None:
    assert sntp.split_server(text) == split


def test_the_stamps_turn_over_in_2036() -> None:
    after_ns = 2_085_978_496 * 10**9 + 500  # 2036-02-07 06:28:16 UTC, era 1 begins
    assert abs(sntp._unix_ns(1 << 31, after_ns) - after_ns) < 10**9
    before_ns = after_ns - 10**10
    stamp = ((before_ns // 10**9 + 2_208_988_800) % 2**32) << 32
    assert abs(sntp._unix_ns(stamp, before_ns + 1) - before_ns) < 10**9


def test_the_bounds_are_the_engine_s_own() -> None:
    assert times.ENTRIES_STOP_S == CLOCK_OFFSET_S
    assert Settings().doctor.ntp_servers == times.DEFAULT_SERVERS


def test_time_zones_are_right_here() -> None:
    found = look("time_zones", Patient({}))
    assert found.status is Status.OK, found
    assert "tzdata" in found.says


def test_missing_time_zone_data_is_a_failure_and_no_crash(folder: Path) -> None:
    """Without any data our own modules do not even import: the doctor still runs and says what to do."""
    (folder / "tzdata").mkdir()
    (folder / "tzdata" / "__init__.py").write_text("raise ImportError('hidden')\n", encoding="utf-8")
    path = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])
    done = doctor(env={"PYTHONTZPATH": str(folder / "none"), "PYTHONPATH": path})
    assert done.returncode == 1, (done.stdout, done.stderr)
    assert "no time zone data for America/New_York" in done.stdout
    assert times.TZDATA.split(" (")[0] in " ".join(done.stdout.split())
    assert done.stderr == ""
    assert "OK       Python" in done.stdout or "WARN     Python" in done.stdout


def test_wrong_time_zone_data_is_noticed(folder: Path) -> None:
    from importlib import resources

    other = resources.files("tzdata").joinpath("zoneinfo", "America", "Phoenix").read_bytes()
    for name in ("New_York", "Chicago"):
        (folder / "America").mkdir(exist_ok=True)
        (folder / "America" / name).write_bytes(other)
    code = (
        "from pj.verbs.doctor.times import time_zones; from pj.verbs.doctor.model import Patient;"
        "print(time_zones(Patient({})).says)"
    )
    env = os.environ | {"PYTHONTZPATH": str(folder)}
    command = [sys.executable, "-P", "-c", code]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=30, check=True)
    assert "the time zone data is wrong: America/New_York" in done.stdout
