"""Name the steps of an order's life at which an engine is to die, and bring a kill to each of them.

What is aimed at and where the kill really landed are two things: ``landing`` says the second from the files that the
dead engine left, and the campaign counts both.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from order_scene import SLICE_S, Life, Scene, Victim

from live.market import NS_PER_MIN

if TYPE_CHECKING:
    from random import Random

    from pj.clock import ScaledClock

HELD_S: Final = 0.2
#: How long before a minute's edge the slices begin, and how long after it they last (real seconds).
BEFORE_EDGE_S: Final = 0.004
AFTER_EDGE_S: Final = 0.3
POLL_S: Final = 0.0003
MANY: Final = 5000
JUST_NS: Final = 100_000_000
#: What the webhook's server does now and then to a request that no aim asks anything of.
TROUBLES: Final = ("timeout_after", "drop_after", "timeout_after", "timeout_before", "500html", "429", "slow:1.5")

Reached = Callable[[Life], object]


@dataclass(slots=True)
class Stalk:
    """Hold one attempt to kill at a step; orders older than the attempt do not count."""

    scene: Scene
    victim: Victim
    bridge: Victim
    route: str
    clock: ScaledClock
    random: Random
    deadline_s: float
    older: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        """Take what is there for old."""
        self.begin()

    def begin(self) -> None:
        """Wait for an order that is not there yet."""
        self.scene.look()
        self.older = frozenset(self.scene.lives)

    @property
    def left_s(self) -> float:
        """Return the real seconds left."""
        return self.deadline_s - time.monotonic()

    def order(self) -> Life | None:
        """Return the newest order of this attempt."""
        life = self.scene.newest
        return None if life is None or life.stem in self.older else life

    def orders(self) -> list[Life]:
        """Return the orders of this attempt."""
        return [life for stem, life in self.scene.lives.items() if stem not in self.older]

    def now(self, reached: Reached) -> bool:
        """Tell whether the newest order of this attempt is there."""
        life = self.order()
        return life is not None and bool(reached(life))

    def wait(self, reached: Reached, limit_s: float = 1e9) -> bool:
        """Look until the newest order is there, while the engine runs (or stands still) as it does."""
        deadline = min(self.deadline_s, time.monotonic() + limit_s)
        while time.monotonic() < deadline:
            self.scene.look()
            if self.now(reached):
                return True
            time.sleep(POLL_S)
        return False

    def wait_for_request(self, leg: str) -> bool:
        """Wait until an order is asked for and nobody has answered: the webhook is slow, or the bridge held still."""
        if self.route == "ibkr":
            if not self.wait(lambda life: life.has(f"INTENT {leg}")):
                return False
            self.bridge.stop()
        return self.wait(lambda life: life.has(f"REQUEST {leg}"))

    def creep(self, reached: Reached, slice_s: float = SLICE_S) -> bool:
        """Let the engine run in slices until the newest order is there."""
        return self.victim.creep(self.scene, lambda: self.now(reached), max(0.0, min(20.0, self.left_s)), slice_s)

    def creep_over_edges(self, reached: Callable[[], object], slice_s: float = SLICE_S) -> bool:
        """Let the engine run in slices around the edge of every minute until ``reached`` is true."""
        while self.left_s > 0:
            until_s = self.clock.real_s_until((self.clock.now_ns() // NS_PER_MIN + 1) * NS_PER_MIN)
            time.sleep(max(0.0, until_s - BEFORE_EDGE_S))
            if self.victim.creep(self.scene, reached, BEFORE_EDGE_S + AFTER_EDGE_S, slice_s):
                return True
        return False


@dataclass(frozen=True, slots=True)
class Aim:
    """Name a step, what the webhook does meanwhile, the demo it needs and how to get there."""

    name: str
    stalk: Callable[[Stalk], bool]
    webhook: tuple[tuple[str, int], ...] = ()
    variant: str = ""
    troubled: bool = False
    route: str = ""


def _at_bar(at: Stalk) -> bool:
    bars = at.scene.bars
    return at.creep_over_edges(lambda: at.scene.bars > bars)


def _at_signal(at: Stalk) -> bool:
    """Take the shortest slices: the two lines are a tenth of a millisecond apart."""
    return at.creep_over_edges(lambda: at.now(lambda life: life.has("SIGNAL") and life.lacks("INTENT ENTRY")), 0.0)


def _at_intent(at: Stalk) -> bool:
    return at.creep_over_edges(lambda: at.now(lambda life: life.has("INTENT ENTRY") and life.lacks("REQUEST ENTRY")))


def _held(leg: str) -> Callable[[Stalk], bool]:
    def stalk(at: Stalk) -> bool:
        found = at.wait_for_request(leg)
        time.sleep(at.random.uniform(0, HELD_S / 2) if found else 0)
        return found

    return stalk


def _answered(leg: str) -> Callable[[Stalk], bool]:
    """Hold the engine still until the answer lies in its socket, unread."""

    def stalk(at: Stalk) -> bool:
        if not at.wait(lambda life: life.has(f"REQUEST {leg}")):
            return False
        at.victim.stop()
        return at.wait(lambda life: time.time_ns() > life.facts.get(f"ANSWER {leg}", 1 << 63) + 20_000_000, 3)

    return stalk


def _line(fact: str, after: str) -> Callable[[Stalk], bool]:
    """Creep from ``after`` to the moment in which ``fact`` is a line on disk."""

    def stalk(at: Stalk) -> bool:
        return at.wait(lambda life: life.has(after)) and at.creep(lambda life: life.has(fact), 0.0)

    return stalk


def _fill_unread(at: Stalk) -> bool:
    if not (at.wait(lambda life: life.has("INTENT ENTRY")) and at.creep(lambda life: life.has("ACKED ENTRY"))):
        return False
    return at.wait(lambda life: life.has("ACCOUNT ENTRY FILL") and life.lacks("JOURNAL ENTRY FILL"), 3)


def _exit_unread(at: Stalk) -> bool:
    if not at.wait(lambda life: life.has("JOURNAL ENTRY FILL") and life.lacks("JOURNAL EXIT FILL")):
        return False
    at.victim.stop()
    return at.wait(lambda life: life.has("ACCOUNT EXIT FILL") and life.lacks("JOURNAL EXIT FILL"), 8)


def _exit_intent(at: Stalk) -> bool:
    if not at.wait(lambda life: life.has("JOURNAL ENTRY FILL")):
        return False
    return at.creep_over_edges(lambda: at.now(lambda life: life.has("INTENT EXIT") and life.lacks("REQUEST EXIT")))


def _doubting(at: Stalk) -> bool:
    found = at.wait_for_request("ENTRY")
    time.sleep(at.random.uniform(0.05, 2.0) if found else 0)
    return found


def _doubted(at: Stalk) -> bool:
    """The time-out takes minutes of the run's time, so that the order in doubt need not be the newest any more."""
    if at.route == "ibkr" and not at.wait_for_request("ENTRY"):
        return False
    found = at.wait(lambda _: any(life.has("UNKNOWN ENTRY") for life in at.orders()))
    time.sleep(at.random.uniform(0, 0.5) if found else 0)
    return found


def _placed(at: Stalk) -> bool:
    """Kill the bridge too, at the moment in which an entry is on its disk and perhaps not yet in the socket."""
    if not at.wait(lambda life: life.has("INTENT ENTRY") and life.lacks("PLACED ENTRY")):
        return False
    if not at.bridge.creep(at.scene, lambda: at.now(lambda life: life.has("PLACED ENTRY")), 5.0, 0.0):
        return False
    os.kill(at.bridge.pid, signal.SIGKILL)
    return True


def _random(at: Stalk) -> bool:
    time.sleep(at.random.uniform(0, 8))
    return True


RECOVERY: Final = "while recovering"
_SLOW: Final = ((f"slow:{HELD_S}", MANY),)
_QUICK: Final = (("slow:0.05", MANY),)
_FILLED: Final = "JOURNAL ENTRY FILL"
AIMS: Final = (
    Aim("bar row, before its journal lines", _at_bar, troubled=True),
    Aim("SIGNAL line, before INTENT", _at_signal),
    Aim("INTENT line, before sending", _at_intent),
    Aim("entry sent, answer held", _held("ENTRY"), _SLOW),
    Aim("entry answered, answer unread", _answered("ENTRY"), _QUICK),
    Aim("SENT line, before ACKED", _line("SENT ENTRY", "REQUEST ENTRY"), _QUICK),
    Aim("ACKED line, before the fill", _line("ACKED ENTRY", "INTENT ENTRY")),
    Aim("fill at the gateway, unread", _fill_unread),
    Aim("fill's EXECUTION line", _line(_FILLED, "INTENT ENTRY"), troubled=True),
    Aim("answer lost, engine waiting for it", _doubting, (("timeout_after", 1),)),
    Aim("answer lost, UNKNOWN line", _doubted, (("timeout_after", 1),)),
    Aim("connection reset after the order, UNKNOWN line", _doubted, (("drop_after", 1),), route="traderspost"),
    Aim("entry PLACED by the bridge, both killed", _placed, route="ibkr"),
    Aim("exit's INTENT line, before sending", _exit_intent, variant="timed"),
    Aim("exit sent, answer held", _held("EXIT"), _SLOW, variant="timed"),
    Aim("exit answered, answer unread", _answered("EXIT"), _QUICK, variant="timed"),
    Aim("exit's fill, unread", _exit_unread, variant="bracket"),
    Aim("exit's EXECUTION line, before TRADE", _line("JOURNAL EXIT FILL", _FILLED)),
    Aim("TRADE line", _line("TRADE", _FILLED), troubled=True),
    Aim(RECOVERY, _random, troubled=True),
    Aim("anywhere", _random, troubled=True),
)
"""Every aim; the variant says whether a demo's trades are closed by their brackets or by the clock, empty: either."""

_ENTRY: Final = (
    ("UNKNOWN ENTRY", "entry UNKNOWN"),
    ("REFUSED ENTRY", "entry REFUSED"),
    ("ACKED ENTRY", "entry ACKED"),
    ("SENT ENTRY", "SENT line, no outcome"),
    ("ANSWER ENTRY", "answered, unread"),
    ("PLACED ENTRY", "placed, no answer"),
    ("REQUEST ENTRY", "sent, no answer"),
    ("INTENT ENTRY", "INTENT, not sent"),
    ("SIGNAL", "SIGNAL, no INTENT"),
)
_END: Final = (
    ("BOOKED", "flat"),
    ("CANCELLED", "flat"),
    ("TRADE", "TRADE line, not in trades.csv"),
    ("JOURNAL EXIT FILL", "exit EXECUTION, no TRADE"),
    ("ACCOUNT EXIT FILL", "exit filled, unread"),
    ("ACKED EXIT", "exit ACKED"),
    ("SENT EXIT", "exit SENT line, no outcome"),
    ("ANSWER EXIT", "exit answered, unread"),
    ("REQUEST EXIT", "exit sent, no answer"),
    ("INTENT EXIT", "exit INTENT, not sent"),
)


def landing(life: Life | None, killed_ns: int) -> str:
    """Return in words how far an order had come when its engine died at ``killed_ns``."""
    if life is None:
        return "flat"
    before = {fact for fact, at_ns in life.facts.items() if not fact.startswith("ANSWER") or at_ns <= killed_ns}
    if "BOOKED" in before and killed_ns - life.facts["BOOKED"] < JUST_NS:
        return "just booked"
    end = next((words for fact, words in _END if fact in before), "")
    if end:
        return end
    entry = next((words for fact, words in _ENTRY if fact in before), "flat")
    if _FILLED in before:
        return f"open; {entry}"
    return f"{entry}; filled, unread" if "ACCOUNT ENTRY FILL" in before else entry
