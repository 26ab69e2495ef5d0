"""What a gateway does to a bridge on a bad day, through the simulated gateway's control port."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from typing import Any

import pytest

from live.market import NS_PER_S


class Faults:
    """Speak to the gateway's control port."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), 5)
        self._file = self._socket.makefile("r", encoding="utf-8")

    def __call__(self, verb: str, **fields: object) -> dict[str, Any]:
        self._socket.sendall(json.dumps({"verb": verb, **fields}).encode() + b"\n")
        answer = json.loads(self._file.readline())
        assert answer["ok"], answer
        return dict(answer)

    def close(self) -> None:
        self._file.close()
        self._socket.close()


def trades(rows: list[dict[str, str]]) -> list[tuple[str, str]]:
    return [(row["price"], row["size"]) for row in rows if row["kind"] == "TRADE"]


def gaps(run: Any) -> list[str]:
    return [row["source"] for row in run.day("live_market_data.csv") if row["kind"] == "GAP"]


@pytest.mark.slow
def test_bad_day(rig: Callable[..., Any], free_ports: Callable[[int], list[int]]) -> None:
    """One process lives through a flap, a burst, a reset and a hang; each hole is named, nothing sent is lost."""
    run = rig(speed=10.0, begin_in_s=2.0)
    (control_port,) = free_ports(1)
    run.gateway("--control-port", str(control_port))
    bridge = run.bridge(PJ__IBKR__BACKOFF_MIN_S="0.1", PJ__IBKR__BACKOFF_MAX_S="0.2", PJ__IBKR__CONNECT_TIMEOUT_S="1")
    fault = Faults(control_port)
    flowing(run)
    _flap(run, fault)
    _burst(run, fault)
    fault("reset")
    run.wait("the session after the RST", lambda: run.stats().get("reconnects") == 1 and run.stats()["connected"])
    flowing(run)
    _hang(run, fault)
    fault.close()
    assert run.stop(bridge) == 0
    market = run.day("live_market_data.csv")
    taped, sent = trades(market), trades(run.ledger("TRADE"))
    assert run.stats()["rejected"] == {}, "a refused trade stands in live_ticks.csv alone"
    assert trades(run.day("live_ticks.csv")) == taped
    assert len(taped) <= len(sent)
    assert is_subsequence(taped, sent), "in order, none twice"


def flowing(run: Any) -> None:
    had = run.stats().get("ticks_taped", 0)
    run.wait("ticks", lambda: run.stats().get("ticks_taped", 0) > had)


def _flap(run: Any, fault: Faults) -> None:
    """1100 opens a hole at once; 1102 subscribes anew; data closes it. The socket stays."""
    fault("silent", on=True)
    fault("error", code=1100, text="Connectivity between IB and TWS has been lost.")
    run.wait_gauge("feed_live", value=False)
    assert run.stats()["connected"] is True
    assert run.stats()["notice"].startswith("1100 ")
    fault("silent", on=False)
    fault("error", code=1102, text="Connectivity restored, data maintained.")
    run.wait_gauge("feed_live", value=True)
    flowing(run)
    assert (run.stats()["resubscribed"], run.stats()["reconnects"]) == (1, 0)
    assert set(gaps(run)) == {"FEED"}


def _burst(run: Any, fault: Faults) -> None:
    """Five thousand prints in one write are all taped, also late in a minute: there the tape is ahead of its stamps."""
    run.wait("the second half of a minute", lambda: 40 <= run.stats()["run_ns"] // NS_PER_S % 60 < 50)
    had = run.stats()["ticks_taped"]
    fault("burst", count=5000)
    run.wait("the burst", lambda: run.stats()["ticks_taped"] >= had + 5000)


def _hang(run: Any, fault: Faults) -> None:
    """A gateway that answers nothing fails the probe; the bridge leaves and comes back when it can."""
    fault("mute", on=True)
    run.wait_gauge("connected", value=False)
    run.wait("the reason", lambda: "did not answer a probe" in run.stats()["problem"] or not run.stats()["connected"])
    fault("mute", on=False)
    run.wait("the session after the hang", lambda: run.stats()["connected"] is True)
    flowing(run)
    assert "DISCONNECT" in gaps(run)


def is_subsequence(part: list[tuple[str, str]], whole: list[tuple[str, str]]) -> bool:
    rest = iter(whole)
    return all(item in rest for item in part)
