"""A feed that dies while socket and probe live: real bridge, real gateway, the ladder's waits made short."""

from __future__ import annotations

import json
import signal
import socket
import sys
import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from pj.calendar import Session, Sessions, write_sessions
from pj.channels.stats import read_stats
from pj.ibkr.bridge import LEAVE_S
from pj.supervision.silence import Beat, SilenceMeter

NS = 1_000_000_000
SHORT = Path(__file__).with_name("short_bridge.py")
PATIENCE = 0.1
OPEN = ("2026-04-14T22:00", "2026-04-15T21:00")
SHUT = ("2026-04-14T22:00", "2026-04-15T11:59")
POSIX = pytest.mark.skipif(sys.platform == "win32", reason="a Windows process cannot be stopped and continued")
pytestmark = pytest.mark.slow


class Scene:
    """Drive one gateway and one bridge; speaks to the gateway's control port."""

    def __init__(self, run: Any, control_port: int) -> None:
        self.run = run
        self._port = control_port
        state = run.run_dir / "state"
        self.step, self.stuck, self.side = run.run_dir / "step", run.run_dir / "stuck", run.run_dir / "side"
        state.mkdir(exist_ok=True)
        self.env = {
            "SHORT_PATIENCE": str(PATIENCE),
            "SHORT_STEP": str(self.step),
            "SHORT_STUCK": str(self.stuck),
            "SHORT_SIDE": str(self.side),
            "PJ__IBKR__BACKOFF_MIN_S": "0.1",
            "PJ__IBKR__PROBE_TIMEOUT_S": "1",
        }

    def calendar(self, opens: str, closes: str) -> None:
        """Write the session file: one trade date that trades from ``opens`` to ``closes`` (UTC)."""
        edge = [int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * NS for text in (opens, closes)]
        day = date(2026, 4, 15)
        written = Sessions((Session(day, edge[0], edge[1]),), day, day)
        write_sessions(self.run.run_dir / "state" / "sessions.json", written)

    def start(self) -> Any:
        self.gateway = self.run.gateway("--control-port", str(self._port))
        return self.bridge()

    def bridge(self) -> Any:
        process = self.run._start([sys.executable, "-P", str(SHORT)], self.env, stderr=-1)
        self.run.wait("ticks", lambda: self.said("pid") == process.pid and self.said("feed_live"))
        return process

    def fault(self, verb: str, **fields: object) -> None:
        with socket.create_connection(("127.0.0.1", self._port), 5) as peer:
            peer.sendall(json.dumps({"verb": verb, **fields}).encode() + b"\n")
            assert json.loads(peer.makefile().readline())["ok"]

    def said(self, name: str) -> Any:
        return self.run.stats().get(name)

    def log(self) -> str:
        return str((self.run.run_dir / "logs" / "bridge.log").read_text())

    def deeds(self) -> list[str]:
        """Return the rungs logged, in order."""
        words = (line.split() for line in self.log().splitlines())
        return [line[3].removeprefix("deed=") for line in words if line[2] == "FEED_RUNG"]

    def gaps(self) -> list[dict[str, str]]:
        return [row for row in self.run.day("live_market_data.csv") if row["kind"] == "GAP"]

    def flowing(self) -> None:
        had = self.said("ticks_taped") or 0
        self.run.wait("ticks", lambda: (self.said("ticks_taped") or 0) > had)

    def untouched(self) -> None:
        """Assert that no rung was climbed."""
        assert self.deeds() == []
        said = self.run.stats()
        assert (said["resubscribed"], said["reconnects"], said["restarts_asked"]) == (0, 0, 0)
        assert said["ladder"] == "FRESH"


@pytest.fixture
def scene(rig: Callable[..., Any], free_ports: Callable[[int], list[int]]) -> Scene:
    made = Scene(rig(speed=10.0, begin_in_s=1.0), free_ports(1)[0])
    made.calendar(*OPEN)
    return made


def hole_begins_at_the_last_trade(scene: Scene) -> None:
    market = scene.run.day("live_market_data.csv")
    first = next(index for index, row in enumerate(market) if row["kind"] == "GAP")
    last_trade = [row["recv_ns"] for row in market[:first] if row["kind"] == "TRADE"][-1]
    assert (market[first]["source"], market[first]["exch_ns"]) == ("FEED", last_trade)
    assert any(row["kind"] == "QUOTE" for row in market[:first] if row["recv_ns"] > last_trade), "the quotes lived on"


def test_dead_trade_subscription_beside_living_quotes_is_subscribed_anew(scene: Scene) -> None:
    bridge = scene.start()
    scene.flowing()
    assert set(scene.said("clocks")) == {"socket_s", "probe_s", "trades_s", "quotes_s", "flush_s"}
    scene.fault("forget", what="trades")
    began = time.monotonic()
    scene.run.wait("the new subscription", lambda: scene.said("resubscribed") == 1, 10)
    scene.run.wait("the hole's end", lambda: scene.said("feed_verdict") == "FRESH" and scene.said("feed_live"), 10)
    took_s = time.monotonic() - began
    scene.flowing()
    assert took_s < PATIENCE * 15 + 2 + 4, "missed_s, LAST_SLACK_S, and a beat or two of the stats"
    assert scene.run.stop(bridge) == 0
    assert scene.deeds() == ["RESUBSCRIBE"]
    assert "reason=TRADES_DEAD market=NIGHT" in scene.log()
    assert (scene.said("reconnects"), scene.said("restarts_asked")) == (0, 0)
    hole_begins_at_the_last_trade(scene)


@pytest.mark.parametrize("fault", ["silent_trades", "silent"])
def test_fault_that_stays_climbs_to_the_restart_and_data_lead_down(scene: Scene, fault: str) -> None:
    bridge = scene.start()
    scene.flowing()
    scene.fault(fault, on=True)
    assert bridge.wait(40) == 1
    assert scene.deeds() == ["RESUBSCRIBE", "RECONNECT", "RESTART"]
    sentence = bridge.stderr.read().strip()
    verdict = "TRADES_DEAD" if fault == "silent_trades" else "FEED_DEAD"
    assert sentence.startswith("no new subscription and no new connection brought the feed back (" + verdict)
    assert len(sentence.splitlines()) == 1
    said = scene.run.stats()
    assert (said["phase"], said["ladder"], said["restarts_asked"]) == ("STOPPING", "RESTART", 1)
    scene.fault(fault, on=False)
    again = scene.bridge()
    scene.run.wait("trades and quotes", lambda: scene.said("restarts_asked") == 0 and scene.said("ticks_taped"))
    assert (scene.said("ladder"), scene.said("feed_verdict")) == ("FRESH", "FRESH")
    assert scene.run.stop(again) == 0
    assert scene.deeds() == ["RESUBSCRIBE", "RECONNECT", "RESTART"]
    if fault == "silent_trades":
        hole_begins_at_the_last_trade(scene)
    assert {row["source"] for row in scene.gaps()} == {"FEED", "RESTART"}


def test_dead_quotes_beside_living_trades_leave_the_bars_whole(scene: Scene) -> None:
    bridge = scene.start()
    scene.flowing()
    scene.fault("forget", what="quotes")
    scene.run.wait("the new subscription", lambda: scene.said("resubscribed") == 1, 15)
    scene.run.wait("quotes", lambda: scene.said("feed_verdict") == "FRESH", 10)
    assert scene.run.stop(bridge) == 0
    assert scene.deeds() == ["RESUBSCRIBE"]
    assert "reason=QUOTES_DEAD" in scene.log()
    assert scene.gaps() == [], "no trade was missed"


def test_closed_market_is_silent_and_nothing_is_done(scene: Scene) -> None:
    scene.calendar(*SHUT)
    bridge = scene.start()
    scene.fault("silent", on=True)
    scene.run.wait("silence", lambda: (scene.said("clocks") or {}).get("quotes_s", 0) > PATIENCE * 30 * 3, 25)
    assert (scene.said("feed_verdict"), scene.said("market")) == ("MARKET_CLOSED", "CLOSED")
    scene.untouched()
    assert scene.run.stop(bridge) == 0


def test_unknown_calendar_only_subscribes_anew_and_says_so(scene: Scene) -> None:
    (scene.run.run_dir / "state" / "sessions.json").unlink()
    bridge = scene.start()
    scene.fault("silent", on=True)
    scene.run.wait("two deeds", lambda: (scene.said("resubscribed") or 0) >= 2, 30)
    assert scene.said("feed_verdict") == "CALENDAR_UNKNOWN"
    time.sleep(PATIENCE * 60)
    assert set(scene.deeds()) == {"RESUBSCRIBE"}
    assert (scene.said("reconnects"), scene.said("connected")) == (0, True)
    assert 'CALENDAR_UNKNOWN problem="sessions.json is not there"' in scene.log()
    assert scene.run.stop(bridge) == 0


def test_missed_trades_are_a_hole_whatever_the_calendar_knows(scene: Scene) -> None:
    (scene.run.run_dir / "state" / "sessions.json").unlink()
    bridge = scene.start()
    scene.flowing()
    scene.fault("forget", what="trades")
    scene.run.wait("the new subscription", lambda: scene.said("resubscribed") == 1, 10)
    scene.flowing()
    assert scene.run.stop(bridge) == 0
    assert "reason=CALENDAR_UNKNOWN" in scene.log()
    hole_begins_at_the_last_trade(scene)


def test_gateway_that_answers_no_probe_is_connected_anew_once(scene: Scene) -> None:
    """Bytes flow on, so the connection's own probe lets it live; a gateway deaf for long is tried anew, once."""
    bridge = scene.start()
    scene.flowing()
    scene.fault("deaf", on=True)
    scene.run.wait("the new connection", lambda: scene.said("reconnects") == 1, 25)
    scene.flowing()
    time.sleep(8)
    assert scene.deeds() == ["RECONNECT"]
    assert scene.said("clocks")["probe_s"] > 8
    assert scene.said("clocks")["trades_s"] < 3
    assert scene.said("feed_verdict") == "GATEWAY_DEAF"
    scene.fault("deaf", on=False)
    scene.run.wait("the verdict", lambda: scene.said("feed_verdict") == "FRESH", 10)
    assert scene.said("ladder") == "FRESH"
    assert scene.run.stop(bridge) == 0


def test_stop_reads_what_is_on_its_way_and_waits_for_nobody(scene: Scene) -> None:
    """A burst that lies in the socket when the stop comes is on the tape; a gateway that hangs is left all the same."""
    bridge = scene.start()
    scene.flowing()
    scene.fault("burst", count=20_000)
    assert scene.run.stop(bridge) == 0
    assert "LEFT drained=true" in scene.log()
    taped = [row for row in scene.run.day("live_market_data.csv") if row["kind"] == "TRADE"]
    assert len(taped) == len(scene.run.ledger("TRADE")) > 20_000
    again = scene.bridge()
    scene.fault("mute", on=True)
    began = time.monotonic()
    assert scene.run.stop(again) == 0
    assert time.monotonic() - began < LEAVE_S + 1.5
    assert "LEFT_IN_HASTE" in scene.log()


@pytest.mark.skipif(sys.platform != "linux", reason="needs the limit on file size of another process")
def test_tape_that_cannot_be_written_shows_in_its_clock(scene: Scene) -> None:
    import resource

    bridge = scene.start()
    scene.flowing()
    ticks = scene.run.run_dir / "2026-04-15" / "live_ticks.csv"
    soft, hard = resource.prlimit(bridge.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(bridge.pid, resource.RLIMIT_FSIZE, (ticks.stat().st_size, hard))
    scene.run.wait_gauge("feed_verdict", "UNWRITTEN", 10)
    assert scene.said("clocks")["flush_s"] >= PATIENCE * 5
    assert scene.said("clocks")["trades_s"] < 3
    assert "live_ticks.csv" in scene.said("disk_error")
    resource.prlimit(bridge.pid, resource.RLIMIT_FSIZE, (soft, hard))
    scene.run.wait_gauge("feed_verdict", "FRESH", 10)
    scene.untouched()
    assert scene.run.stop(bridge) == 0
    taped = [row for row in scene.run.day("live_market_data.csv") if row["kind"] == "TRADE"]
    assert len(taped) == len(scene.run.ledger("TRADE")), "nothing was lost while the disk was full"


def test_stuck_main_loop_is_silent_though_a_side_thread_lives(scene: Scene) -> None:
    bridge = scene.start()
    scene.flowing()
    path = scene.run.run_dir / "state" / "bridge.stats.json"
    scene.stuck.touch()
    time.sleep(1.5)
    stats = read_stats(path)
    assert stats is not None
    side, meter = int(scene.side.read_text() or 0), SilenceMeter(stats.instance, 0.5, stats.beat_seq)
    for _ in range(8):
        time.sleep(0.5)
        now = read_stats(path)
        assert now is not None
        meter.look(Beat(now.instance, now.beat_seq, now.phase), 0.5)
    assert bridge.poll() is None
    assert int(scene.side.read_text() or 0) > side + 20, "the side thread lives"
    assert meter.silent_s == 4.0, "and the process counts as silent all the same"


@POSIX
def test_sleeping_machine_is_no_hang_and_its_hole_has_a_name(scene: Scene) -> None:
    """Gateway first (so that a probe waits), then the bridge: both stand 10 s, the bridge wakes first."""
    bridge = scene.start()
    scene.flowing()
    scene.gateway.send_signal(signal.SIGSTOP)
    time.sleep(0.6)
    bridge.send_signal(signal.SIGSTOP)
    time.sleep(10)
    bridge.send_signal(signal.SIGCONT)
    time.sleep(0.1)
    scene.gateway.send_signal(signal.SIGCONT)
    scene.flowing()
    time.sleep(3)
    scene.untouched()
    assert scene.said("clocks")["quotes_s"] < 3
    assert scene.run.stop(bridge) == 0
    assert [row["source"] for row in scene.gaps()] == ["STALL"]
    slept_ns = int(scene.gaps()[0]["recv_ns"]) - int(scene.gaps()[0]["exch_ns"])
    assert slept_ns > 95 * NS, "10 s at speed 10"


def test_stepped_clock_is_no_hang(scene: Scene) -> None:
    """Forward by ten run minutes (a hole over the edges), then back again: no rung is climbed."""
    bridge = scene.start()
    scene.flowing()
    scene.step.write_text("60")
    scene.run.wait("the hole", lambda: scene.said("gaps") == 1, 10)
    scene.flowing()
    scene.step.write_text("0")
    scene.run.wait("the step back", lambda: scene.said("clock_backward_ms") > 0, 10)
    scene.flowing()
    time.sleep(4)
    scene.untouched()
    assert scene.run.stop(bridge) == 0
    assert [row["source"] for row in scene.gaps()] == ["STALL"]


def test_shipped_waits_repair_a_dead_subscription_in_twenty_seconds(scene: Scene) -> None:
    gateway = scene.run.gateway("--control-port", str(scene._port))
    bridge = scene.run.bridge()
    scene.run.wait_gauge("feed_live", value=True)
    scene.flowing()
    scene.fault("forget", what="trades")
    began = time.monotonic()
    scene.run.wait("the new subscription", lambda: scene.said("resubscribed") == 1, 25)
    took_s = time.monotonic() - began
    scene.run.wait("trades", lambda: scene.said("feed_verdict") == "FRESH", 5)
    assert 15 <= took_s < 20
    assert scene.run.stop(bridge) == 0
    assert gateway.poll() is None
