"""Whatever the account does and however late it says so: one order a signal, agreement or a halt, exits that cover.

A machine of hypothesis plays the market, the broker, the line between, a human at the same account, restarts and time
against the real engine; at the end everything still under way arrives, and the account is looked at once more.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from honest_broker import HonestBroker
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from pj1_scenes import EVE, MNQ, SCENE, START_M, SWEEP_LOW, bar, close_ns, quiet

from live.broker_watch import DeskRules
from live.commands import Command, PlaceBracket, RaiseAlarm, RecordTrade, ThrowKillSwitch, Trade
from live.engine import Engine, Route
from live.events import (
    BarClosed,
    BrokerReport,
    ClockPassed,
    Event,
    ExecutionReported,
    Leg,
    Mode,
    ModeChanged,
    OrdersReported,
    PositionReported,
    PriceMarked,
    TruthChanged,
)
from live.market import NS_PER_S
from live.params import Params
from live.stance import Stance

POLL_NS = 5 * NS_PER_S
LAG_NS = 8 * NS_PER_S
SECOND = (quiet(START_M + 59, 950), quiet(START_M + 60, 950), bar(START_M + 61, 1001, 1010, 989, 990))
UNJOURNALED = (ClockPassed, PositionReported, OrdersReported, TruthChanged)


class BrokerDeskMachine(RuleBasedStateMachine):
    """Play; every rule is something that happens in the world, none looks into the desk to choose its move."""

    desk_rules = DeskRules(places_exits=True, tells_refs=True)

    def __init__(self) -> None:
        super().__init__()
        self.engine = self.new_engine()
        self.broker = HonestBroker()
        self.now_ns = close_ns(SWEEP_LOW)
        self.polled_ns = self.now_ns
        self.connected = True
        self.alarms: list[str] = []
        self.thrown = 0
        self.keys: list[str] = []
        self.journal: list[Event] = []
        self.fates: list[str] = []
        self.later = list(SECOND)
        self.trades: list[Trade] = []
        self.human = self.wild = self.frozen = self.rough = False
        self.tardiest_ns = 0

    def new_engine(self) -> Engine:
        return Engine(Params.from_dict(SCENE), MNQ, Route.BROKER, self.desk_rules)

    # -- the line between engine and broker ------------------------------------------------------------

    def step(self, event: Event) -> list[Command]:
        """Step the engine as the shell does: journal what matters, hand orders to the broker."""
        doubt, held_back = self.engine.desk.doubt, self.engine.desk.halted or self.engine.killed
        before = self.engine.desk.material
        said = self.engine.step(event)
        if said or not isinstance(event, UNJOURNALED) or self.engine.desk.material != before:
            self.journal.append(event)
        for command in said:
            if isinstance(command, PlaceBracket):
                assert not doubt, "no entry while any doubt"
                assert not held_back
            if isinstance(command, RaiseAlarm):
                assert command.text
                self.alarms.append(command.code)
            key = getattr(command, "key", "")
            if key:
                self.keys.append(key)
            fate = self.fates.pop() if self.fates and isinstance(command, PlaceBracket) else "OK"
            self.broker.take(command, fate, self.now_ns)
            if isinstance(command, RecordTrade):
                self.trades.append(command.trade)
            if isinstance(command, ThrowKillSwitch):
                self.thrown += 1
        return said

    def deliver(self, name: str, *, twice: bool = False) -> None:
        channel = self.broker.channels[name]
        if channel and self.connected:
            event = self.seen(channel.popleft())
            self.tardiest_ns = max(self.tardiest_ns, self.now_ns - event.ts_ns)
            event = replace(event, ts_ns=self.now_ns)  # stamped where it arrives
            self.step(event)
            if twice:
                self.step(event)

    def seen(self, event: BrokerReport) -> BrokerReport:
        """Return what the engine gets to see of a report."""
        return event

    def poll(self) -> None:
        if self.now_ns - self.polled_ns >= POLL_NS:
            self.polled_ns = self.now_ns
            self.broker.show_position(self.now_ns)
            self.broker.show_orders(self.now_ns, reread=True)

    # -- what happens ----------------------------------------------------------------------------------

    @initialize(fate=st.sampled_from(["OK", "OK", "REFUSED", "LOST", "UNKNOWN"]), rough=st.booleans())
    def signal(self, fate: str, rough: bool) -> None:
        self.rough = rough
        self.fates = ["OK", fate]
        self.step(BarClosed(bar(100, 950, 1000, 900, 950, EVE)))
        self.step(BarClosed(bar(START_M, 950, 951, 949, 950)))
        self.step(ModeChanged(Mode.LIVE))
        self.step(BarClosed(SWEEP_LOW))
        assert len(self.broker.inbox) == 1

    @rule(seconds=st.integers(1, 12))
    def time_passes(self, seconds: int) -> None:
        if not self.rough:
            seconds = min(seconds, LAG_NS // NS_PER_S - 1)
            self.keep_pace(seconds * NS_PER_S)
        self.now_ns += seconds * NS_PER_S
        self.step(ClockPassed(self.now_ns))
        self.poll()

    def keep_pace(self, ahead_ns: int) -> None:
        """Do and tell what would be late after ``ahead_ns``, where nothing may be late."""
        broker, due_ns = self.broker, self.now_ns + ahead_ns - LAG_NS
        while broker.inbox and broker.inbox[0][2] <= due_ns:
            broker.work(self.now_ns)
        for name, channel in broker.channels.items():
            while channel and channel[0].ts_ns <= due_ns:
                self.deliver(name)

    @rule()
    def broker_works(self) -> None:
        self.broker.work(self.now_ns)

    @rule(name=st.sampled_from(["answers", "stream", "positions"]), twice=st.booleans())
    def something_arrives(self, name: str, twice: bool) -> None:
        self.deliver(name, twice=twice)

    @rule()
    def everything_arrives(self) -> None:
        for name in self.broker.channels:
            while self.connected and self.broker.channels[name]:
                self.deliver(name)

    @rule(qty=st.integers(1, 5), price=st.integers(909, 913))
    def entry_fills(self, qty: int, price: int) -> None:
        self.broker.fill_entry(qty, price, self.now_ns)

    @rule(leg=st.sampled_from([Leg.STOP, Leg.TARGET]), qty=st.sampled_from([1, 3, 5, 5]), both=st.booleans())
    def exit_fills(self, leg: Leg, qty: int, both: bool) -> None:
        both = both and self.rough
        self.wild |= both
        self.broker.fill_exit(leg, qty, self.now_ns, both=both)

    @precondition(lambda self: self.rough)
    @rule(leg=st.sampled_from([Leg.STOP, Leg.TARGET]))
    def exchange_cancels_an_exit(self, leg: Leg) -> None:
        self.wild = True
        self.broker.lose(leg, self.now_ns)

    @precondition(lambda self: self.rough)
    @rule(signed=st.sampled_from([-5, -1, 1, 5]))
    def human_trades(self, signed: int) -> None:
        self.human = True
        self.broker.human(signed, 905, self.now_ns)

    @rule()
    def market_halts(self) -> None:
        self.frozen = True

    @rule(price=st.sampled_from([880, 887, 905, 930]))
    def price_moves(self, price: int) -> None:
        self.step(PriceMarked(self.now_ns, price))

    @precondition(lambda self: self.connected and self.rough)
    @rule()
    def line_breaks(self) -> None:
        self.connected = False
        self.step(TruthChanged(connected=False, ts_ns=self.now_ns))

    @precondition(lambda self: not self.connected)
    @rule()
    def line_is_back(self) -> None:
        """Come back as the bridge does: executions of the day, positions and orders are read again."""
        self.connected = True
        self.broker.channels["positions"].clear()
        self.step(TruthChanged(connected=True, ts_ns=self.now_ns))
        self.broker.show_orders(self.now_ns)
        self.broker.show_position(self.now_ns)

    @rule()
    def engine_restarts_from_a_snapshot(self) -> None:
        again = self.new_engine()
        again.restore(json.loads(json.dumps(self.engine.snapshot())))
        assert again.snapshot() == self.engine.snapshot()
        self.engine = again

    @rule()
    def engine_restarts_by_replay(self) -> None:
        self.engine = self.replayed()

    @precondition(lambda self: bool(self.later))
    @rule()
    def an_hour_later_the_other_side_is_swept(self) -> None:
        if not self.rough:
            self.everything_arrives()
        for one in self.later:
            self.step(BarClosed(one))
        self.now_ns = max(self.now_ns, close_ns(self.later[-1]))
        self.later.clear()

    # -- what must hold --------------------------------------------------------------------------------

    @invariant()
    def keys_are_never_used_twice(self) -> None:
        assert len(set(self.keys)) == len(self.keys)
        assert len(set(self.broker.entries)) == len(self.broker.entries)

    def replayed(self) -> Engine:
        again = self.new_engine()
        for event in self.journal:
            again.step(event)
        assert again.snapshot() == self.engine.snapshot()
        return again

    def teardown(self) -> None:
        if not self.journal:
            return
        self.quiesce()
        self.replayed()
        self.ends()

    def ends(self) -> None:
        """Agree with the account and cover it exactly, or be halted with an alarm; in a calm world never be halted."""
        desk, broker = self.engine.desk, self.broker
        believed = 0 if desk.order is None else desk.order.believed
        assert bool(self.thrown) or not desk.halted
        if desk.halted:
            assert self.alarms, "a halt is never silent"
            assert self.engine.stance[0] is Stance.HALTED
            assert not self.calm, self.alarms
        else:
            assert not desk.doubt, "an honest account that has said everything leaves no doubt"
        two = (
            len([key for key in self.keys if key.endswith(":ENTRY")]) > 1
        )  # the first may fill after the second was sent
        if not desk.halted or not (self.human or two):
            assert broker.position == believed, self.alarms
        if broker.position == believed:
            assert broker.covered(Leg.STOP) == broker.covered(Leg.TARGET) == abs(believed)
            assert not broker.covered(Leg.ENTRY)
        if self.calm and not {"ENTRY_LOST", "PARTIAL"} & set(self.alarms):  # our own cancel may cross a late fill
            assert not {"NAKED", "OVERFILL", "REVERSED", "PHANTOM", "PARTIAL_EXIT"} & set(self.alarms)
            if not broker.position:
                assert sum(trade.gross_cents for trade in self.trades) == broker.cash_ticks * MNQ.tick_cents

    @property
    def calm(self) -> bool:
        """Tell whether nobody interfered and everything was done and told within the patience for lagging reports."""
        return not self.human and not self.wild and max(self.tardiest_ns, self.broker.slowest_ns) < LAG_NS

    def quiesce(self) -> None:
        """Let everything under way happen and be told, then wait two minutes with an honest account."""
        if not self.connected:
            self.line_is_back()
        for _ in range(30):
            while self.broker.inbox:
                self.broker.work(self.now_ns)
            if not self.frozen:
                self.broker.fill_entry(99, 911, self.now_ns)
            for name in self.broker.channels:
                while self.broker.channels[name]:
                    self.deliver(name)
            self.now_ns += POLL_NS
            self.step(ClockPassed(self.now_ns))
            self.poll()


class ServiceMachine(BrokerDeskMachine):
    """Play the same where a service places the orders: nothing bears our keys, exits cannot be placed by themselves."""

    desk_rules = DeskRules()

    def seen(self, event: BrokerReport) -> BrokerReport:
        if isinstance(event, ExecutionReported):
            return replace(event, order_ref="")
        if isinstance(event, OrdersReported):
            return replace(event, orders=tuple(replace(one, key="", leg=Leg.FOREIGN) for one in event.orders))
        return event

    def ends(self) -> None:
        """Agree or halt; what the service left working when the account is flat is the service's own."""
        desk = self.engine.desk
        believed = 0 if desk.order is None else desk.order.believed
        assert desk.halted or self.broker.position == believed, self.alarms
        assert not desk.halted or self.alarms


PLAYED = settings(
    max_examples=150, stateful_step_count=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
BrokerDeskMachine.TestCase.settings = ServiceMachine.TestCase.settings = PLAYED
TestBrokerDesk: Any = BrokerDeskMachine.TestCase
TestServiceDesk: Any = ServiceMachine.TestCase
