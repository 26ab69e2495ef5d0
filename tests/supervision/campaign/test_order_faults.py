"""Kill the engine at every step of an order's life while the webhook loses answers; nothing is doubled or forgotten.

The long form: ``python3 scripts/pj.py test -s -m campaign tests/supervision/campaign/test_order_faults.py``.
``PJ_CAMPAIGN_N`` is here the number of kills (200).
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import order_truth
import pytest
from campaign_checks import check_bars, check_journal, check_orders, rows
from campaign_demo import Demo, pj, started, wait_for
from campaign_plan import EAGER, SEED, chance, needs_signals, settings
from campaign_report import spread, table, tell
from order_checks import check_account, check_exits, check_placed, check_trades, check_unknown
from order_scene import Scene, Victim, state_of
from order_steps import AIMS, RECOVERY, TROUBLES, Aim, Stalk, landing

if TYPE_CHECKING:
    from random import Random

    from pj.channels.stats import Stats

pytestmark = needs_signals

ROUTES: Final = ("traderspost", "ibkr")
KILLS: Final = int(os.environ.get("PJ_CAMPAIGN_N") or 200)
SPEED: Final = 60.0
KILLS_A_DEMO: Final = 50
#: Failures in a row before a kill waits until the engine has been well for long enough to be started again at once.
ROW: Final = 3
STABLE_S: Final = 10.5
#: How long an attempt waits for its step; an order comes about every 5 s.
STALK_S: Final = 60.0
#: What is left of the tape when a demo ends (run time).
REST_NS: Final = 25 * 60 * 10**9
NEVER: Final = {"REVERSED", "OVERFILL"}
#: bracket: the target is a tick away, the gateway closes the trade; timed: it is far, the engine closes after a minute.
VARIANTS: Final[dict[str, dict[str, object]]] = {
    "bracket": {},
    "timed": {"stop_buffer_ticks": 200, "target_r": "2"},
}


@dataclass(frozen=True, slots=True)
class Strike:
    """Hold one kill: what was aimed at, where it landed, the ms until a new engine had the old one's whole state."""

    aim: str
    landed: str
    order: str
    failures: int
    ms: float


@dataclass(slots=True)
class Shooter:
    """Kill the engine of one demo again and again."""

    one: Demo
    scene: Scene
    random: Random
    strikes: list[Strike] = field(default_factory=list)
    healthy_since: float = 0.0
    failures: int = 0

    def attempt(self, aim: Aim) -> bool:
        """Bring a kill to one step; tell whether the step came."""
        if self.failures >= ROW:
            time.sleep(max(0.0, self.healthy_since + STABLE_S - time.monotonic()))
        self._prepare_webhook(aim)
        victim = Victim(self.one.now("engine").pid)
        bridge, run = Victim(self.one.now("bridge").pid), self.one.run
        deadline_s = time.monotonic() + STALK_S
        stalk = Stalk(self.scene, victim, bridge, run.plan.route, run.clock, self.random, deadline_s)
        try:
            while not aim.stalk(stalk):
                victim.go()
                bridge.go()
                if stalk.left_s <= 0:
                    return False
                stalk.begin()
            self._kill(aim, victim, bridge)
        finally:
            for process in (victim, bridge):
                if state_of(process.pid) == "T":
                    os.kill(process.pid, signal.SIGCONT)
        return True

    def _prepare_webhook(self, aim: Aim) -> None:
        if self.one.run.plan.route != "traderspost":
            return
        self.one.plant("none")
        if any(count == 1 for _, count in aim.webhook):  # the one fault is meant for an entry to come
            wait_for("no order on its way", lambda: _at_rest(self.one), 90, step_s=0.05)
        for fault, count in aim.webhook:
            self.one.plant(fault, count)
        if aim.troubled and self.random.random() < 0.3:
            self.one.plant(self.random.choice(TROUBLES))

    def _kill(self, aim: Aim, victim: Victim, bridge: Victim) -> None:
        old, old_bridge = self.one.now("engine"), self.one.now("bridge")
        assert old.pid == victim.pid, "the engine had already been replaced: nobody but this campaign may do that"
        begun = self._strike(victim.pid)
        killed_bridge = state_of(bridge.pid) not in {"T", "R", "S", "D"}
        if not killed_bridge:
            bridge.go()
        landed, dead = self._landed(aim, time.time_ns()), {victim.pid}
        if aim.name == RECOVERY:
            pid = self._newborn(victim.pid)
            time.sleep(self.random.uniform(0.0, 0.8))
            begun = self._strike(pid)
            self.failures += 1
            dead.add(pid)
            landed = f"again {'after' if self._was_live(pid) else 'before'} it was live"
        wait_for("the engine's state", lambda: self._restored(old, dead), 60, step_s=0.004)
        if killed_bridge:
            wait_for("the bridge's state", lambda: self.one.restored("bridge", old_bridge), 60)
        now = time.monotonic()
        self.failures = 1 if begun - self.healthy_since >= STABLE_S - 0.5 else self.failures + 1
        self.healthy_since = now
        life = self.scene.newest
        stem = life.stem if life is not None and landed != "flat" else ""
        self.strikes.append(Strike(aim.name, landed, stem, self.failures, round((now - begun) * 1000, 1)))

    def _restored(self, old: Stats, dead: set[int]) -> bool:
        now = self.one.restored("engine", old)
        return now is not None and now.pid not in dead

    def _strike(self, pid: int) -> float:
        begun = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        wait_for("the engine's death", lambda: state_of(pid) in {"", "Z", "X"}, 5, step_s=0.0005)
        return begun

    def _landed(self, aim: Aim, killed_ns: int) -> str:
        """Read what the dead engine left before another one writes; what it sent may reach the webhook a bit later."""
        self.scene.look()
        time.sleep(0.05 if aim.name != RECOVERY else 0.0)
        self.scene.look()
        return landing(self.scene.newest, killed_ns)

    def _newborn(self, old_pid: int) -> int:
        births = self.one.run.folder.state_folder / "children.json"
        found: list[int] = []

        def born() -> bool:
            rows = json.loads(births.read_bytes())["births"] if births.exists() else []
            found[:] = [row["pid"] for row in rows if row["name"] == "engine" and row["pid"] != old_pid]
            return bool(found)

        wait_for("the next engine's birth", born, 40, step_s=0.001)
        return int(found[0])

    def _was_live(self, pid: int) -> bool:
        stats: Stats = self.one.now("engine")
        return stats.pid == pid and stats.gauges.get("mode") == "LIVE"


@contextmanager
def trading(folder: Path, route: str, variant: str, seed: int, speed: float) -> Iterator[Demo]:
    """Run a demo of this variant without a sheet, from its first closed bar."""
    values = {f"strategy.pj.{name}": json.dumps(value) for name, value in (EAGER | VARIANTS[variant]).items()}
    wanted = settings(silent_s=40.0) | values
    with started(folder, wanted, speed=speed, route=route, seed=seed, sheets=False) as one:
        wait_for("the engine", lambda: one.restored("engine", None) and one.restored("bridge", None), 90)
        wait_for("the first bars", lambda: one.gauges("engine").get("bars", 0) >= 1, 90 + 120 / speed)
        yield one


def come_to_rest(one: Demo) -> dict[str, Any]:
    """Take no more entries, wait until engine and gateway are flat and quiet, and ask the account."""
    if one.run.plan.route == "traderspost":
        one.plant("none")
    assert pj(one, "halt", "--reason", "the campaign ends").returncode == 0
    since: list[float] = []

    def quiet() -> bool:
        since[:] = (since or [time.monotonic()]) if _at_rest(one) else []
        return bool(since) and time.monotonic() - since[0] > 3.0

    wait_for("engine and gateway to be flat", quiet, 90, step_s=0.1)
    return order_truth.ask(_port(one), one.run.env)


def _at_rest(one: Demo) -> bool:
    """Tell whether neither the engine nor the gateway holds anything, by their last heartbeats."""
    engine, gateway = one.gauges("engine"), one.gauges("gateway")
    flat = engine.get("position") == 0 and engine.get("pending") is False and engine.get("orders_waiting") == 0
    return flat and not any(gateway.get("positions", {"": 1}).values())


def _port(one: Demo) -> int:
    text = (one.folder / "config.yaml").read_text(encoding="utf-8")
    return int(text.partition("port: ")[2].split()[0])


def judge(one: Demo, truth: dict[str, Any]) -> dict[str, Any]:
    """Check everything a stopped demo left; return the figures."""
    day = one.folder / one.run.plan.trade_date.isoformat()
    journal = [json.loads(line) for line in (day / "journal.jsonl").read_text(encoding="utf-8").splitlines()]
    if one.run.plan.route == "ibkr":
        handed = [json.loads(line) for line in (day / "orders.jsonl").read_text(encoding="utf-8").splitlines()]
        requests = [row["key"] for row in handed]
        orders = check_placed(journal, handed, truth)
    else:
        posted = (one.folder / "simulators" / "traderspost.jsonl").read_text(encoding="utf-8").splitlines()
        answered = [row for row in map(json.loads, posted) if row["kind"] == "REQUEST"]
        requests = [row["body"]["extras"]["key"] for row in answered]
        orders = check_orders(one)
    alarms = Counter(line["data"]["code"] for line in journal if line["type"] == "ALARM")
    found: dict[str, Any] = {
        "alarms": dict(alarms),
        "orders": orders,
        "unknown": check_unknown(journal),
        "account": check_account(journal, truth),
        "trades": check_trades(journal, rows(day / "trades.csv"), truth),
        "exits": check_exits(journal, requests),
        "bars": check_bars(one),
        "journal": check_journal(one),
    }
    wrong = [line["data"] for line in journal if line["type"] == "ALARM" and line["data"]["code"] in NEVER]
    assert not wrong, f"nobody but the engine traded, yet it saw its account turned around: {wrong}"
    assert not alarms["REPLAY_MISMATCH"], [line for line in journal if line["data"].get("code") == "REPLAY_MISMATCH"]
    return found


def play(
    folder: Path, aims: list[Aim], kind: tuple[str, str], random: Random, *, speed: float, seed: int
) -> tuple[list[Strike], dict[str, Any]]:
    """Run one demo and kill its engine at each of ``aims`` (taken from the list as they are hit), then judge it."""
    with trading(folder, *kind, seed, speed) as one:
        shooter = Shooter(one, Scene(folder, one.run.plan.trade_date.isoformat()), random)
        missed, halted = 0, ""
        while aims and missed < 5 and one.run.clock.now_ns() < one.run.plan.to_ns - REST_NS:
            if one.run.folder.kill_switch.exists():
                halted = one.run.folder.kill_switch.read_text(encoding="utf-8").strip()
                print(f"the engine halted itself: {halted}", file=sys.stderr)
                break
            aim = aims.pop(0)
            if not shooter.attempt(aim):
                missed += 1
                aims.append(aim)
                print(f"no chance to kill at: {aim.name}", file=sys.stderr)
                continue
            print(f"{len(shooter.strikes)} {shooter.strikes[-1]}", file=sys.stderr)
        (folder / "strikes.json").write_text(json.dumps([asdict(strike) for strike in shooter.strikes], indent=1))
        truth = come_to_rest(one)
        (folder / "truth.json").write_text(json.dumps(truth, indent=1))
    restarts = [line for line in one.log("RESTART") if line.fields["name"] == "engine"]
    doubled = sum(strike.aim == RECOVERY for strike in shooter.strikes)
    assert len(restarts) == len(shooter.strikes) + doubled, "an engine was restarted that nobody had killed"
    return shooter.strikes, judge(one, truth) | {"missed": missed, "halted": halted}


def campaign(
    folder: Path, route: str, wanted: Sequence[Aim], random: Random, *, speed: float
) -> tuple[list[Strike], dict[str, Any]]:
    """Play demos until every aim has had its kill; tell what was measured."""
    rest, strikes, books, number = list(wanted), [], [], 0
    while rest:
        variant = "timed" if number % 2 else "bracket"
        fitting = [aim for aim in rest if aim.variant in ("", variant)]
        mine = sorted(fitting, key=lambda aim: (not aim.variant, random.random()))[:KILLS_A_DEMO]
        random.shuffle(mine)
        for aim in mine:
            rest.remove(aim)
        number += 1
        assert number <= 4 + len(wanted) // 8, f"the steps do not come: {[aim.name for aim in rest]}"
        more, found = play(
            folder / f"demo{number}", mine, (route, variant), random, speed=speed, seed=random.randrange(10**6)
        )
        rest += mine
        strikes += more
        books.append({"variant": variant} | found)
        tell(
            folder,
            "orders",
            {"seed": SEED, "strikes": [asdict(one) for one in strikes], "demos": books},
            report(strikes),
        )
    return strikes, {"demos": books}


def report(strikes: Sequence[Strike]) -> str:
    """Return two tables: kills by aim with where they landed, and recovery by where they landed."""
    by_aim: dict[str, Counter[str]] = defaultdict(Counter)
    by_landing: dict[str, list[float]] = defaultdict(list)
    for strike in strikes:
        by_aim[strike.aim][strike.landed] += 1
        by_landing[strike.landed].append(strike.ms)
    body = [
        (aim, sum(found.values()), "; ".join(f"{count} {words}" for words, count in found.most_common(4)))
        for aim, found in sorted(by_aim.items())
    ]
    width = max(len(row[2]) for row in body)
    first = table(("aimed at", "kills", "landed"), [(aim, count, words.ljust(width)) for aim, count, words in body])
    head = ("killed when the order was", "n", "median ms", "p95 ms", "max ms")
    second = table(head, [(words, *spread(ms).values()) for words, ms in sorted(by_landing.items())])
    return f"{first}\n\n{second}\nall: {spread([strike.ms for strike in strikes])}"


def aims_of(route: str) -> list[Aim]:
    """Return the steps that an order has on this route."""
    return [aim for aim in AIMS if aim.route in ("", route)]


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize("route", ROUTES)
def test_an_engine_killed_in_the_middle_of_orders_doubles_and_forgets_nothing(folder: Path, route: str) -> None:
    random = chance(f"order faults, short form, {route}")
    filled = "fill at the gateway, unread" if route == "traderspost" else "fill's EXECUTION line"  # the other is rare
    names = {"INTENT line, before sending", "entry sent, answer held", filled}
    strikes, _ = campaign(folder, route, [aim for aim in AIMS if aim.name in names], random, speed=60)
    assert len(strikes) == 3


@pytest.mark.campaign
@pytest.mark.timeout(5 * 3600)
@pytest.mark.parametrize("route", ROUTES)
def test_two_hundred_kills_over_the_steps_of_an_orders_life(folder: Path, route: str) -> None:
    random = chance(f"order faults, {route}")
    aims = aims_of(route)
    strikes, found = campaign(folder, route, [aims[number % len(aims)] for number in range(KILLS)], random, speed=SPEED)
    assert len(strikes) == KILLS
    assert sum(demo["unknown"]["unknown"] for demo in found["demos"]) > 0, "no answer was ever lost"
