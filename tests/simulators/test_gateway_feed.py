"""A tape is played minute by minute, whole and in order, to whoever is subscribed; faults come when asked for."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from itertools import pairwise

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pj.simulators.eastern import MIN_NS
from pj.simulators.gateway_feed import due, guard_ns
from pj.simulators.tapes import load
from pj.simulators.wire import frame

CONTRACT = (0, "MNQ", "FUT", "202606", 0, "", "", "CME", "", "USD", "", "")
ORIGIN = 1_776_259_800 * 10**9
WINDOW = ("--date", "2026-04-15", "--from", "09:30", "--to", "09:40")


class Raw:
    """Be a client that keeps every frame as it came."""

    def __init__(self, port, client_id=1):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.buffer = b""
        self.frames = self._read()
        hello = b"v100..178"
        self.socket.sendall(b"API\0" + len(hello).to_bytes(4, "big") + hello + frame(71, 2, client_id, ""))
        assert next(self.frames)[0] == "178"
        self.until(lambda fields: fields[0] == "9")

    def send(self, *fields):
        self.socket.sendall(frame(*fields))

    def _read(self) -> Iterator[list[str]]:
        while True:
            while len(self.buffer) >= 4 and len(self.buffer) >= 4 + int.from_bytes(self.buffer[:4], "big"):
                end = 4 + int.from_bytes(self.buffer[:4], "big")
                payload, self.buffer = self.buffer[4:end], self.buffer[end:]
                yield payload[:-1].decode().split("\0")
            data = self.socket.recv(65536)
            if not data:
                return
            self.buffer += data

    def until(self, wanted):
        for fields in self.frames:
            if wanted(fields):
                return fields
        raise AssertionError("the gateway closed the connection")

    def prints(self, count):
        found = []
        while len(found) < count:
            found.append(self.until(lambda fields: fields[0] == "99"))
        return found


@contextmanager
def client(gateway, client_id=1):
    peer = Raw(gateway.port, client_id)
    try:
        yield peer
    finally:
        peer.socket.close()


@given(st.integers(0, MIN_NS - 1), st.integers(0, MIN_NS - 1), st.floats(0.1, 2000))
def test_the_minute_keeps_its_order_and_its_end_stays_free(one, other, speed):
    guard = guard_ns(speed)
    early, late = sorted((due(MIN_NS, MIN_NS + one, guard), due(MIN_NS, MIN_NS + other, guard)))
    assert (one <= other) == (due(MIN_NS, MIN_NS + one, guard) <= due(MIN_NS, MIN_NS + other, guard)) or early == late
    assert MIN_NS <= early <= late <= 2 * MIN_NS - guard
    assert guard == min(30 * 10**9, int(0.4 * speed * 10**9))


@pytest.mark.slow
def test_a_subscriber_gets_every_print_of_the_window_and_the_ledger_says_so(start_gateway, market_data, run_dir):
    tape = market_data / "mnq_1m_2026-03_2026-05.parquet"
    played = load(tape, "MNQ").leading(date(2026, 4, 15))
    gateway = start_gateway("--tape", str(tape), *WINDOW, "--speed", "300", "--run-dir", str(run_dir), env=_clock(300))
    assert gateway.words["contract"] == "MNQM6"
    with client(gateway) as peer:
        peer.send(97, 5, *CONTRACT, "AllLast", 0, False)
        bars, seen = {}, sum(len(played.prints(minute)) for minute in played.minutes(ORIGIN, ORIGIN + 10 * MIN_NS))
        for fields in peer.prints(seen):
            minute = int(fields[3]) // 60
            price, size = float(fields[4]), int(fields[5])
            o, high, low, _, volume = bars.setdefault(minute, (price, price, price, price, 0))
            bars[minute] = (o, max(high, price), min(low, price), price, volume + size)
    # The window's last minute still has to pass before the tape counts as played.
    while not (status := gateway.control(verb="status"))["finished"]:
        time.sleep(0.02)
    assert status["late_prints"] == 0
    assert status["ticks_sent"] == seen == status["prints_played"]
    source = {
        int(row["ts"].timestamp()) // 60: (row["open"], row["high"], row["low"], row["close"], row["volume"])
        for row in pq.read_table(tape).to_pylist()
    }
    assert len(bars) == 10
    assert bars == {minute: source[minute] for minute in bars}
    ledger = (run_dir / "simulators" / "gateway_ledger.csv").read_text(encoding="utf-8").splitlines()[1:]
    trades = [line.split(",") for line in ledger if ",TRADE," in line]
    assert len(trades) == seen
    # Sent inside the minute it belongs to, by the run's clock, with the source's time in the message.
    assert all(int(row[1]) // MIN_NS == int(row[7]) // MIN_NS for row in trades)
    assert all(int(a[1]) <= int(b[1]) for a, b in pairwise(trades))
    stats = json.loads((run_dir / "state" / "gateway.stats.json").read_text(encoding="utf-8"))
    assert stats["process"] == "gateway"
    assert stats["contract"] == "MNQM6"


def _clock(speed):
    """Return clock variables that hold the market at 09:30 ET for two real seconds, as the demo does."""
    start = time.time_ns() + 2 * 10**9
    return {"PJ_CLOCK_ORIGIN_NS": str(ORIGIN), "PJ_CLOCK_START_NS": str(start), "PJ_CLOCK_SPEED": str(speed)}


def test_faults_on_demand(start_gateway):
    gateway = start_gateway("--from", "09:30", "--speed", "30")
    generated = (0, "MNQ", "FUT", "", 0, "", "", "CME", "", "USD", "MNQZ6", "")
    with client(gateway) as peer:
        peer.send(97, 5, *generated, "Last", 0, False)
        peer.prints(3)
        assert gateway.control(verb="silent", on=True)["faults"]["silent"] is True
        peer.send(49, 1)
        before = gateway.control(verb="status")["ticks_sent"]
        peer.until(lambda fields: fields[0] == "49")
        assert gateway.control(verb="burst", count=10)["ticks_sent"] == before
        gateway.control(verb="silent", on=False)
        answer = gateway.control(verb="burst", count=50)
        assert answer["ticks_sent"] >= before + 50
        peer.prints(50)
        gateway.control(verb="error", code=1100, text="Connectivity between IB and TWS has been lost")
        assert peer.until(lambda fields: fields[0] == "4" and fields[3] == "1100")[2] == "-1"
        gateway.control(verb="mute", on=True)
        peer.send(49, 1)
        peer.socket.settimeout(0.4)
        with pytest.raises(TimeoutError):
            peer.until(lambda fields: fields[0] == "49")
        peer.socket.settimeout(10)
        gateway.control(verb="mute", on=False)
        peer.frames = peer._read()
        peer.until(lambda fields: fields[0] == "49")
        gateway.control(verb="drop")
        with pytest.raises(AssertionError, match="closed the connection"):
            peer.until(lambda _: False)
    with client(gateway, 2) as peer:
        gateway.control(verb="reset", client=2)
        with pytest.raises(ConnectionResetError):
            peer.until(lambda _: False)
    gateway.control(verb="refuse", on=True)
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=5) as refused:
        assert refused.recv(10) == b""
    for bad in (
        {"verb": "explode"},
        {"verb": "burst", "count": 0},
        {"verb": "silent", "on": 1},
        {"verb": "reset", "client": 9},
    ):
        assert gateway.control(**bad)["ok"] is False


def test_the_flood_keeps_its_rate(start_gateway):
    gateway = start_gateway("--rate", "2000", "--rate-seconds", "1")
    with client(gateway) as peer:
        peer.send(97, 5, 0, "MNQ", "FUT", "", 0, "", "", "CME", "", "USD", "MNQZ6", "", "AllLast", 0, False)
        begun = time.monotonic()
        peer.prints(2000)
        assert 0.9 < time.monotonic() - begun < 5
    status = gateway.control(verb="status")
    assert (status["ticks_sent"], status["finished"]) == (2000, True)


def test_a_second_life_goes_on_with_the_ledger(start_gateway, run_dir):
    options = ("--from", "09:30", "--run-dir", str(run_dir))
    first = start_gateway(*options)
    with client(first):
        pass
    first.process.terminate()
    first.process.wait(10)
    ledger = run_dir / "simulators" / "gateway_ledger.csv"
    with ledger.open("a", encoding="utf-8") as file:
        file.write("99,17")
    with client(start_gateway(*options)):
        pass
    rows = [line.split(",") for line in ledger.read_text(encoding="utf-8").splitlines()[1:] if line]
    assert [int(row[0]) for row in rows] == list(range(1, len(rows) + 1))
    assert [row[2] for row in rows].count("CONNECT") == 2


def test_a_stranger_and_a_client_before_start_are_dropped(start_gateway):
    gateway = start_gateway()
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=5) as peer:
        peer.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert peer.recv(10) == b""
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=5) as peer:
        peer.sendall(b"API\0\0\0\0\tv157..176" + frame(61, 1))
        assert peer.makefile("rb").read().count(b"176\0") == 1
