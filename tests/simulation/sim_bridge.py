"""Be the bridge process: the product's own tape writer and account recorder, fed with the simulated market and account.

It can die, be killed in mid-write, be paused, lose its connection, deliver positions late and executions twice. The
wire messages are built by hand, in the fields that ``pj.ibkr.account_wire`` reads.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from sim_account import Account, Fill, Working
from sim_disk import Crash, SimDisk
from sim_gateway import CLIENT, Connection, Lies, contract_of, open_fields, status_fields
from sim_loop import SimLoop
from sim_time import S, Scheduler, SimClock

from live.execution_bridge import order_ref
from live.market import Instrument, TickKind
from pj.channels.daytape import DayTape
from pj.channels.files import Locked, WriteFailed
from pj.channels.formats import PriceText
from pj.channels.rundir import RunDir
from pj.channels.stats import StatsWriter
from pj.config import Settings
from pj.ibkr.account import AccountRecorder
from pj.ibkr.order_desk import OrderDesk

RESTART_S = (0.5, 3.0)


class OrdersNotifier:
    """Stand for the notifier of the order inbox."""

    waking: Callable[[], None] = staticmethod(lambda: None)

    def subscribe(self, callback: Callable[[], None], _names: object = None) -> int:
        OrdersNotifier.waking = staticmethod(callback)
        return 1

    def watch(self, _folder: object) -> bool:
        return True

    def close(self) -> None:
        return None

    @classmethod
    def fire(cls) -> None:
        """Tell the inbox that its file changed."""
        cls.waking()


@dataclass(slots=True)
class News:
    """Say how the account's news travels: chances per message."""

    late: float = 0.0
    lost_fill: float = 0.0
    twice: float = 0.0
    stale: float = 0.0


class Bridge:
    """Hold one bridge after another; ``changed`` is called when a file of the run folder has new rows."""

    def __init__(self, disk: SimDisk, scheduler: Scheduler, clock: SimClock, rng: random.Random, account: Account,
                 run: RunDir, instrument: Instrument, changed: Callable[[], None]) -> None:  # fmt: skip
        self.disk, self.scheduler, self.clock, self.rng = disk, scheduler, clock, rng
        self.account, self.run, self.instrument, self.changed = account, run, instrument, changed
        self.news = News()
        self.prices = PriceText(instrument)
        self.contract = ""
        self.starts = self.sessions = 0
        self.settings: Settings
        self.judge: Any = None
        self.lies = Lies()
        self.desk: OrderDesk | None = None
        self.loop: SimLoop | None = None
        self.session: asyncio.Task[Any] | None = None
        self.alive = self.connected = self.gateway_up = False
        self.paused = False
        self.cut: list[Callable[[], None]] | None = None
        self.since_ns = 0
        self.owner = ""
        self.log: Callable[[str], None] = lambda _text: None
        self.tape: DayTape
        self.recorder: AccountRecorder
        self.stats: StatsWriter
        self._channel_ns: dict[str, int] = {}

    # -- life ----------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start a bridge process and connect it."""
        self.starts += 1
        self.owner = f"bridge-{self.starts}"
        self.alive, self.paused = True, False
        self.gateway_up = True
        try:
            with self.disk.acting(self.owner):
                self.stats = StatsWriter(self.run.state("bridge"), "bridge", self.owner)
                now_ns = self.clock.now_ns()
                self.run.day_at(now_ns).create()
                self.tape = DayTape(self.run, now_ns)
                self.recorder = AccountRecorder(self.run, self.instrument, self.clock.now_ns)
                self.desk = None
                if self.settings.execution.route == "ibkr":
                    parts = (self.settings, self.run, self.instrument, self.clock, self.recorder)
                    self.desk = OrderDesk(*parts, self.settings.params().max_qty)
                self._flush()
        except (Crash, OSError, Locked) as error:
            self.died(repr(error))
            return
        if self.desk is not None:
            self.loop = SimLoop(self.scheduler, lambda owner=self.owner: self.disk.acting(owner), self._look_after)
            self.loop.spawn(self.desk.run())
        self.connect()

    def died(self, why: str) -> None:
        """Let the process be dead; a new one comes soon."""
        if not self.alive:
            return
        self.log(f"bridge dies: {why}")
        self.alive = self.connected = False
        self.disk.dead.add(self.owner)
        if self.loop is not None:
            self.loop.end()
            self.loop = None
        self.disk.kill(self.owner)
        self.scheduler.after(self.rng.uniform(*RESTART_S), self.start)

    def act(self, deed: Callable[[], None]) -> None:
        """Do something as the living bridge process; a crash or a full disk ends it."""
        if not self.alive or self.paused:
            return
        try:
            with self.disk.acting(self.owner):
                deed()
        except (Crash, WriteFailed) as error:
            self.died(type(error).__name__)

    def connect(self) -> None:
        """Connect, and re-read what the account says before saying that it is connected."""
        if not self.alive or self.connected or not self.gateway_up:
            return
        self.connected, self.cut = True, None
        self.sessions += 1
        self.since_ns = self.scheduler.now
        if self.loop is not None and self.desk is not None:
            self.act(self.recorder.connecting)
            self.session = self.loop.spawn(self._attach(self.desk, Connection(self, self.rng)))
        else:
            self.act(self._reread)
        self.scheduler.after(1.0, self.pulse)

    async def _attach(self, desk: OrderDesk, connection: Connection) -> None:
        """Be the session: attach the desk, then let it look at the account again and again."""
        desk.connecting(CLIENT)
        await desk.attach(connection, lambda: contract_of(self.contract))  # type: ignore[arg-type]
        if self.tape.hole_open:
            self.tape.close_hole(self.clock.now_ns())
        self._flush()
        await desk.live()

    def _look_after(self) -> None:
        """See whether the process met its death in the loop; whatever is no death of the simulation's is a fault."""
        error = self.loop.fault() if self.loop is not None else None
        if error is not None and not isinstance(error, Crash | OSError | Locked):
            self.judge.fail(f"the order desk raised {type(error).__name__}: {error}")
        if self.alive and (error is not None or self.owner in self.disk.dead):
            owner = self.owner
            self.disk.dead.add(owner)
            self.scheduler.after(0, lambda: self.died("crash") if self.owner == owner else None)

    def finish(self) -> None:
        """End the process for good."""
        self.alive = False
        self.disk.dead.add(self.owner)
        if self.loop is not None:
            self.loop.end()
            self.loop = None

    def wake_desk(self) -> None:
        """Let the order desk see that orders.jsonl grew."""
        if self.loop is not None and self.alive and not self.paused:
            self.loop.call(OrdersNotifier.fire)

    def error(self, order_id: int, code: int) -> None:
        """Deliver a notice or an error."""
        desk = self.desk
        if self.connected and desk is not None and self.loop is not None:
            self.log(f"gateway says {code} of order {order_id}")
            self.loop.call(lambda: (desk.on_error(order_id, code), desk.on_batch())[1])

    def tell_execution(self, fill: Fill, req_id: int) -> None:
        """Deliver one execution."""
        self._execution(fill, req_id)

    def tell_position(self, contract: str, qty: int) -> None:
        """Deliver one position."""
        self._position(contract, qty)

    def tell_order(self, order: Working) -> None:
        """Deliver what an order is and how it stands."""
        self._tap(5, open_fields(order))
        self._tap(3, status_fields(order))

    def _tap(self, message: int, fields: list[str]) -> None:
        self.recorder.taps()[message](fields)
        if self.desk is not None:
            self.desk.taps()[message](fields)

    def disconnect(self, seconds: float) -> None:
        """Lose the connection for a while."""
        if not self.alive or not self.connected:
            return
        self.log("bridge disconnects")
        self.connected = self.gateway_up = False
        self.since_ns = self.scheduler.now
        if self.desk is not None and self.loop is not None:
            session, desk = self.session, self.desk
            self.loop.call(lambda: (session is not None and session.cancel(), desk.detach())[1])
        self.act(self._lost)
        self.scheduler.after(seconds, self._gateway_back)

    def servers(self, seconds: float, *, data_lost: bool) -> None:
        """Let the gateway lose IB's servers (1100): it says nothing true until 1102, or 1101 when news is gone."""
        if self.desk is None or not self.connected or self.cut is not None:
            return
        self.cut, self.since_ns = [], self.scheduler.now
        session = self.sessions
        self.error(-1, 1100)
        self.scheduler.after(seconds, lambda: self._servers_back(session, data_lost=data_lost))

    def _servers_back(self, session: int, *, data_lost: bool) -> None:
        waiting, cut = self.cut, self.cut is not None
        if not cut or not self.connected or session != self.sessions:
            return
        self.cut, self.since_ns = None, self.scheduler.now
        for deliver in waiting or [] if not data_lost else []:
            self._deliver(deliver)
        self.error(-1, 1101 if data_lost else 1102)

    @property
    def sees(self) -> bool:
        """Tell whether the account can be seen."""
        return self.connected and self.cut is None

    def _gateway_back(self) -> None:
        self.gateway_up = True
        self.connect()

    def _lost(self) -> None:
        if self.desk is None:
            self.recorder.status("disconnected")
        self.tape.open_hole(self.clock.now_ns(), "DISCONNECT")
        self._flush()

    def _reread(self) -> None:
        recorder = self.recorder
        recorder.connecting()
        for contract, qty in self.account.positions.items():
            self._position(contract, qty)
        for fill in self.account.fills:
            self._execution(fill, 7)
        recorder.connected(self.contract)
        if self.tape.hole_open:
            self.tape.close_hole(self.clock.now_ns())
        self._flush()

    def steady_since(self, at_ns: int) -> bool:
        """Tell whether the connection has stood since then."""
        return self.sees and self.since_ns < at_ns

    # -- market --------------------------------------------------------------------------------------

    def tick(self, kind: TickKind, price: int) -> None:
        """Write one trade or quote."""
        if not self.sees:
            return

        def write() -> None:
            now_ns = self.clock.now_ns()
            self.tape.cross_edges(now_ns)
            text = self.prices.text(price)
            if kind is TickKind.TRADE:
                self.tape.add(now_ns, kind, text, 1, exch_ns=now_ns, source="TBT", contract=self.contract)
            else:
                self.tape.add(now_ns, kind, "", "", text, self.prices.text(price + 1), source="MKT",
                              contract=self.contract)  # fmt: skip
            self._flush()

        self.act(write)

    def pulse(self) -> None:
        """Write the edge rows that are due and say that we live."""

        def beat() -> None:
            self.tape.cross_edges(self.clock.now_ns())
            self._flush()
            self.stats.beat(
                "RUNNING",
                connected=self.connected and (self.desk is None or self.desk.ready),
                market_data_type=1,
                server_offset_s=0.0,
            )

        self.act(beat)

    def _flush(self) -> None:
        self.tape.flush()
        self.recorder.flush()
        self.changed()

    # -- account -------------------------------------------------------------------------------------

    def hear(self, what: str, thing: Any) -> None:
        """Take news of the account at the moment it happens, and deliver it as the seed says."""
        if not self.connected:
            return
        if what == "fill":
            self._later("fill", lambda: self._execution(thing, -1), lost=self.rng.random() < self.news.lost_fill)
        elif what == "position":
            qty = self.account.positions.get(thing, 0)
            self._later("position", lambda: self._position(thing, qty))
            if self.desk is None and self.rng.random() < self.news.stale:
                after = self.rng.choice((self.rng.uniform(3, 9), self.rng.uniform(20, 70)))
                self.scheduler.after(after, lambda: self._stale(thing))

        elif what == "order" and self.desk is not None:
            shown = replace(thing)
            self._later("order", lambda: self.tell_order(shown))

    def _later(self, channel: str, deliver: Callable[[], None], *, lost: bool = False) -> None:
        if self.cut is not None:
            self.cut.append(deliver)
            return
        if lost:
            return  # comes with the next reading of the day's executions
        delay = self.rng.uniform(1, 9) if self.rng.random() < self.news.late else self.rng.uniform(0.02, 0.3)
        at = max(self.scheduler.now + int(delay * S), self._channel_ns.get(channel, 0) + 1)
        self._channel_ns[channel] = at
        self.scheduler.at(at, lambda: self._deliver(deliver))
        if self.rng.random() < self.news.twice:
            self.scheduler.at(at + int(self.rng.uniform(0, 30) * S), lambda: self._again(deliver))

    def _again(self, deliver: Callable[[], None]) -> None:
        """Deliver once more, past what the recorder knows to be written already."""
        if self.connected:
            self.recorder._fills.clear()
        self._deliver(deliver)

    def _deliver(self, deliver: Callable[[], None]) -> None:
        if not self.connected:
            return
        desk = self.desk
        if desk is None or self.loop is None:
            self.act(lambda: (deliver(), self._flush())[1])
        elif not self.paused:
            self.loop.call(lambda: (deliver(), desk.on_batch(), self._flush())[2])

    def _stale(self, contract: str) -> None:
        """Report an old position, and the right one a moment later."""
        now_qty = self.account.positions.get(contract, 0)
        old = self.rng.choice((0, -now_qty if self.rng.random() < 0.1 else 0, now_qty - 1 if now_qty > 1 else 0))
        self._deliver(lambda: self._position(contract, old))
        self.scheduler.after(
            self.rng.uniform(0.3, 4),
            lambda: self._deliver(lambda: self._position(contract, self.account.positions.get(contract, 0))),
        )

    def refresh(self) -> None:
        """Read the day's executions and positions back, as the product does now and then."""
        if self.connected and self.desk is None:
            self.act(self._refresh)

    def _refresh(self) -> None:
        known = self.recorder._fills
        fresh = [fill for fill in self.account.fills if fill.exec_id not in known]
        for fill in fresh:
            self._execution(fill, 7)
        if fresh:
            self._flush()

    def _position(self, contract: str, qty: int) -> None:
        fields = [""] * 16
        fields[0], fields[2], fields[3], fields[12], fields[14], fields[15] = "61", "DU1", "1", contract, str(qty), "0"
        self._tap(61, fields)

    def _execution(self, fill: Fill, req_id: int) -> None:
        fields = [""] * 30
        fields[1], fields[2], fields[3], fields[12] = str(req_id), str(fill.order_id), "1", fill.contract
        fields[14], fields[16], fields[18] = fill.exec_id, "DU1", "BOT" if fill.side > 0 else "SLD"
        fields[19], fields[20], fields[21] = str(fill.qty), self.instrument.to_points(fill.price), str(fill.order_id)
        fields[22] = "900" if self.desk is None else str(CLIENT if fill.key else 0)
        ref = order_ref(fill.key) if self.desk is not None and fill.key else fill.key
        fields[24], fields[25], fields[26] = str(fill.qty), fields[20], ref
        self._tap(11, fields)
