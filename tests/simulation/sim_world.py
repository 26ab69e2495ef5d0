"""Put the real engine process into a simulated world and let it live one seed through.

``World.run`` starts ``pj.processes.run_live_engine`` as the Sentinel would (fence granted first), lets it live until it
ends, crashes or is killed, starts it again, and after the calm looks at what is left. All that decides is the product's
own code: shell, startup, recovery, journal, outbox, dispatcher, guard, adapter, fence, tape, account recorder.
"""

from __future__ import annotations

import contextlib
import gc
import hashlib
import json
from collections.abc import Callable
from functools import partial
from typing import Any

from sim_account import STOP, Account
from sim_bridge import Bridge
from sim_disk import Crash, SimDisk
from sim_install import Installation, Log
from sim_judge import Judge
from sim_plan import (
    CONTRACT,
    DAY,
    HISTORY_MIN,
    NEXT_CONTRACT,
    NEXT_DAY,
    Death,
    draw_plan,
    path_of,
    reopening_ns,
    rng_of,
)
from sim_time import Batons, S, Scheduler, SimClock
from sim_webhook import NORMAL, Webhook

from live.market import INSTRUMENTS, NS_PER_MIN, TickKind
from live.params import Params
from live.trading_day import CLOSE_M, at_minute_ns, day_start_ns
from pj.calendar import Session, Sessions
from pj.channels.csvlog import write_rows
from pj.channels.fence import GrantFailed, grant
from pj.channels.files import WriteFailed
from pj.channels.formats import HISTORY_COLUMNS, PriceText, history_row
from pj.channels.rundir import RunDir
from pj.channels.statement import Statement, write_statement
from pj.config import Settings
from pj.processes import run_live_engine
from pj.processes.engine import shell as shell_module

MNQ = INSTRUMENTS["MNQ"]
HOOK = "http://127.0.0.1:9/trading/webhook/0b6c6f0e-6d7c-4b8e-9a53-5b7c3fd10a11/simulated-password"
TELLING = (b'"SIGNAL"', b'"INTENT"', b'"SENT"', b'"ACKED"', b'"REFUSED"', b'"UNKNOWN"', b'"EXECUTION"', b'"TRADE"')
ROUTES = ("traderspost", "ibkr")
SIDE_ROUTES = ("paper", "traderspost:none", "traderspost:manual")
"""A colon names the position source where it is not the broker; every fifth seed runs one of these."""
STATED_EVERY_S = 120
USURPED = 0.02
EXECUTIONS_EVERY_S = 4  # as pj.ibkr.session has it
PULSES_S = (0.02, 9.0, 18.0, 27.0, 36.0, 45.0, 54.0, 59.0)
QUIET_WAIT_S, OPEN_WAIT_S, BUSY_WAIT_S = 15.0, 2.5, 0.5


class World:
    """Hold one run; ``failures`` are the broken invariants, ``story`` the event log, ``digest`` its hash."""

    def __init__(self, seed: int, keep: frozenset[str] | None = None, **settings: str) -> None:
        self.seed = seed
        self.plan = draw_plan(seed, keep)
        self.story: list[str] = []
        self._hash = hashlib.sha256()
        self.scheduler = Scheduler(self.plan.start_ns)
        self.clock = SimClock(self.scheduler)
        self.disk = SimDisk(rng_of(seed, "disk"))
        self.rng = rng_of(seed, "world")
        self.run_dir = RunDir(self.disk.root(), MNQ).create()  # type: ignore[arg-type]
        self.account = Account(self.scheduler, rng_of(seed, "account"), self._heard)
        where = (self.disk, self.scheduler, self.clock)
        self.bridge = Bridge(*where, rng_of(seed, "bridge"), self.account, self.run_dir, MNQ, self._files_changed)
        self.webhook = Webhook(
            self.scheduler, rng_of(seed, "webhook"), self.account, lambda ticker: ticker[:-4] + ticker[-1]
        )
        route, _, source = settings.get("route", ROUTES[0]).partition(":")
        self.paper, self.blind, self.stated_ns = route == "paper", source in {"none", "manual"}, 0
        self.webhook.log = self.bridge.log = self.log
        self.webhook.draw, self.webhook.arrived = self._draw_webhook, self._arrived
        self.settings = self._settings(settings)
        self.bridge.settings = self.settings
        self.params = Params.from_dict(self.settings.strategy.pj, MNQ)
        self.installation = Installation(self)
        self.judge = Judge(self)
        self.webhook.left = self.judge.sent
        self.bridge.judge = self.judge
        self.outgoing: Any = None
        self.shell: shell_module.Shell | None = None
        self.batons: Batons | None = None
        self.instance = ""
        self.lives = self.power_cuts = 0
        self.woken = False
        self.stopping = False
        self.exit_codes: list[int] = []
        self._deaths = list(self.plan.deaths)
        self._countdown = self._deaths[0].countdown if self._deaths else 0
        self._doomed = ""
        self._pause_ns = 0
        self.contract, self.rolled_ns = CONTRACT, 0
        self.upset_ns = 0
        self._asleep_ns = 0
        self.account.reopening = reopening_ns if self.plan.turn else lambda _now_ns: 0
        self._turns = rng_of(seed, "the turn")
        self._usurpers = rng_of(seed, "usurpers") if "usurp" in self.plan.kinds else None
        self._last_data = b""
        self.disk.before, self.disk.after, self.disk.torn_write = self._before, self._after, self._torn

    # -- the log --------------------------------------------------------------------------------------

    def log(self, text: str) -> None:
        """Write one line of the run's story."""
        line = f"{(self.scheduler.now - self.plan.start_ns) / 1e9:9.3f} {text}"
        self.story.append(line)
        self._hash.update(line.encode())

    @property
    def digest(self) -> str:
        """Return the hash of the story and of every journal."""
        whole = self._hash.copy()
        for path in sorted(self.disk.names):
            if path.endswith(("journal.jsonl", "trades.csv", "bars.csv", "orders.jsonl", "broker_events.csv")):
                whole.update(bytes(self.disk.names[path].data))
        return whole.hexdigest()

    @property
    def failures(self) -> list[str]:
        """Return the invariants that broke, in order."""
        return self.judge.failures

    # -- a run ----------------------------------------------------------------------------------------

    def run(self) -> World:
        """Live the whole seed through; return self."""
        enabled = gc.isenabled()
        gc.disable()
        try:
            with self.installation:
                self._furnish()
                self._schedule()
                end_ns = self.plan.start_ns + self.plan.minutes * NS_PER_MIN
                self.scheduler.at(end_ns, self._stop)
                while self.scheduler.now < end_ns and not self.judge.hopeless:
                    self._life()
                    if self._asleep_ns > self.scheduler.now:
                        self.scheduler.run(self._asleep_ns, lambda: False)
                    if self.scheduler.now < end_ns:
                        self.scheduler.run(
                            min(end_ns, self.scheduler.now + int(self.rng.uniform(0.1, 6) * S)), lambda: False
                        )
                if self.shell is not None:
                    self.judge.look_at_the_end()
                self.bridge.finish()
        finally:
            if enabled:
                gc.enable()
        return self

    def _life(self) -> None:
        """Live one engine process from its fence to its end."""
        self.lives += 1
        self.upset_ns = self.scheduler.now
        self.instance = f"engine-{self.lives}"
        self._doomed, self._pause_ns, self.woken = "", 0, False
        self.shell = None
        try:
            with self.disk.acting("sentinel"):
                grant(self.run_dir, "engine", self.instance)
        except (GrantFailed, OSError) as error:
            self.log(f"no fence: {type(error).__name__}")
            return
        self.log(f"engine {self.lives} starts")
        self.scheduler.after(1.0, self.bridge.pulse)
        self.batons = Batons(self.scheduler, self.instance, self.disk.acting)
        self.installation.threads(self.batons)
        code: int | str
        try:
            with self.disk.acting(self.instance):
                code = run_live_engine._guarded(self.settings, self.run_dir, self.params, self.clock, Log(self))  # type: ignore[arg-type]
        except Crash:
            code = "crash"
        except Exception as error:
            code = "raised"
            self.judge.fail(f"the engine raised {type(error).__name__}: {error}")
            if self.judge.debug:
                raise
        self.disk.kill(self.instance)
        self.batons.kill()
        if self.batons.fault is not None:
            self.judge.fail(f"the sender's thread raised {self.batons.fault!r}")
        self._others_die()
        self.log(f"engine {self.lives} ended: {code}")
        self.judge.engine_ended(code)

    def _others_die(self) -> None:
        """Let what ended the engine end the others too: the Sentinel's death, or the power's."""
        scope = self._doomed.partition(":")[0]
        if scope in {"sentinel", "power"}:
            self.bridge.died(scope)
        if scope == "power":
            self.disk.power_cut()
            self.power_cuts += 1
        if "torn-tail" in self.plan.kinds and self.rng.random() < 0.5 and self.scheduler.now < self.plan.calm_ns:
            self._tear()

    def _tear(self) -> None:
        """Let the death have torn the journal's last, never acknowledged line."""
        path = str(self.run_dir.day_at(self.clock.now_ns()).journal)
        node = self.disk.names.get(path)
        if node is not None and node.data.endswith(b"\n"):
            node.data += b'{"data":{"key":"torn'[: self.rng.randint(1, 20)]
            self.log("the journal's tail is torn")

    def _stop(self) -> None:
        self.stopping = True
        self.woken = True
        if self.shell is not None:
            self.shell.request_stop()

    # -- waiting: the world goes on -------------------------------------------------------------------

    def wait(self, timeout: float) -> bool:
        """Let the world go on until a file changed or the time is over; the engine may die in here."""
        started = self.scheduler.now
        until = started + int(self._stretch(timeout) * S)
        with self.disk.acting("world"):
            self.scheduler.run(until, lambda: self.woken or bool(self._doomed))
            if self._pause_ns > self.scheduler.now and not self._doomed:
                self.scheduler.run(self._pause_ns, lambda: bool(self._doomed))
            elif "late-wake" in self.plan.kinds and self.scheduler.now < self.plan.calm_ns:
                self.scheduler.run(self.scheduler.now + int(self.rng.expovariate(20) * S), lambda: bool(self._doomed))
        self.woken = False
        self._die_if_doomed()
        return True

    def _stretch(self, timeout: float) -> float:
        """Return how long the engine sleeps: a loaded machine may wake it late, most of all when nothing happens."""
        if self.shell is None or self.shell.run_parts is None:
            return timeout
        desk = self.shell.engine.desk
        if self.shell.run_parts.outbox.waiting:
            return max(timeout, BUSY_WAIT_S)
        if not desk.busy:
            return QUIET_WAIT_S if not desk.doubt else 4.0
        steady = desk.position is not None and desk.leaving is None and not desk.doubt
        return OPEN_WAIT_S if steady else 1.0

    def sleep(self, seconds: float) -> None:
        """Stand for ``time.sleep`` and for waiting on the wire, in whatever thread the product does it."""
        batons = self.batons
        if batons is not None and batons.current() is not None:
            batons.block(self.scheduler.now + int(seconds * S))
            return
        self.scheduler.run(self.scheduler.now + int(seconds * S), lambda: bool(self._doomed))
        self._die_if_doomed()

    def _die_if_doomed(self) -> None:
        if self.batons is not None and self.batons.crashed and not self._doomed:
            self._doomed = "crash"
        if self._doomed and self.disk.owner == self.instance:
            self.disk.dead.add(self.instance)
            raise Crash(self._doomed)

    # -- deaths at the moments of an order's life -------------------------------------------------------

    def _telling(self, owner: str, what: str, path: str) -> bool:
        if owner != self.instance or not self._deaths or self.scheduler.now >= self.plan.calm_ns:
            return False
        if what.startswith(("send", "answer")):
            return True
        if not path.endswith(("journal.jsonl", "orders.jsonl")):
            return False
        return what == "fsync" or (what == "write" and any(word in self._last_data for word in TELLING))

    def _due(self) -> Death | None:
        self._countdown -= 1
        if self._countdown > 0:
            return None
        death = self._deaths.pop(0)
        self._countdown = self._deaths[0].countdown if self._deaths else 0
        return death

    def _before(self, owner: str, what: str, path: str) -> None:
        if owner == self.bridge.owner and path.endswith("placed.jsonl"):
            self.bridge_point(f"{what} of placed.jsonl")
        self._usurp(owner, what, path)
        if self._telling(owner, what, path) and what != "write" and self._deaths[0].when != "after":
            death = self._due()
            if death is not None:
                self._end_engine(death, f"before {what}")

    def _usurp(self, owner: str, what: str, path: str) -> None:
        """Let another engine be granted the fence while ours stands before a telling step, as if it slept there."""
        rng = self._usurpers
        if rng is None or owner != self.instance or self.scheduler.now >= self.plan.calm_ns:
            return
        step = what.startswith("send") or (what == "fsync" and path.endswith(("journal.jsonl", "orders.jsonl")))
        if step and rng.random() < USURPED:
            self.log(f"another engine is granted the fence before {what}")
            self._steal_fence()

    def _after(self, owner: str, what: str, path: str) -> None:
        if what == "write" and path.endswith("broker_events.csv"):
            self.woken = True
        if what == "fsync" and path.endswith("orders.jsonl"):
            self.scheduler.after(0.005, self.bridge.wake_desk)
        if self._telling(owner, what, path) and self._deaths[0].when == "after":
            death = self._due()
            if death is not None:
                self._end_engine(death, f"after {what}")

    def _torn(self, owner: str, path: str, data: bytes) -> int | None:
        self._last_data = data
        if owner == self.bridge.owner and path.endswith("broker_events.csv"):
            self.judge.answered(data)
        if owner == self.instance and path.endswith("journal.jsonl"):
            self.judge.journaled(data)
        if not self._telling(owner, "write", path) or self._deaths[0].when == "after":
            return None
        death = self._due()
        if death is None:
            return None
        self.log(f"engine dies in writing {path.rpartition('/')[2]} ({death.scope})")
        self._doomed = death.scope
        if self.batons is not None:
            self.batons.crashed = True
        return 0 if death.when == "before" else self.rng.randint(0, len(data) - 1)

    def _end_engine(self, death: Death, where: str) -> None:
        self.log(f"engine dies {where} ({death.scope})")
        self._doomed = death.scope
        if self.batons is not None:
            self.batons.crashed = True
        self.disk.dead.add(self.instance)
        raise Crash(where)

    def point(self, what: str) -> None:
        """Pass a moment of sending at which the process may die."""
        self._before(self.disk.owner, what, "")
        self._after(self.disk.owner, what, "")

    def bridge_point(self, what: str) -> None:
        """Pass a moment at which the bridge may die: after a send, before and after each write of its ledger."""
        if "crash-bridge" in self.plan.kinds and self.scheduler.now < self.plan.calm_ns and self.rng.random() < 0.08:
            self.log(f"bridge dies at {what}")
            self.disk.dead.add(self.bridge.owner)
            raise Crash(what)

    # -- faults that come at their time -----------------------------------------------------------------

    def _schedule(self) -> None:
        self.bridge.contract = CONTRACT
        self.account.gaps[NEXT_CONTRACT] = rng_of(self.seed, "gap").choice((0, -300, 300))
        self.bridge.start()
        if self.plan.turn:
            self._schedule_turn()
        bars = {bar.ts_ns: bar for bar in self.plan.bars[HISTORY_MIN:]}
        for place in range(self.plan.minutes):
            start = self.plan.start_ns + place * NS_PER_MIN
            bar = bars.get(start)
            for second, price in path_of(bar) if bar is not None else []:
                self.scheduler.at(start + int(second * S), partial(self._trade, price))
            if bar is not None:
                self.scheduler.at(start + int(57.5 * S), partial(self._quote, bar.close_ticks))
            for second in PULSES_S:
                self.scheduler.at(start + int(second * S), self.bridge.pulse)
                self.scheduler.at(start + int(second * S), self.judge.look_for_a_stop)
            for second in range(3, 60, EXECUTIONS_EVERY_S):
                self.scheduler.at(start + second * S, self.bridge.refresh)
        for second, kind in self.plan.timed:
            self.scheduler.at(self.plan.start_ns + int(second * S), partial(self._happen, kind))
        self.scheduler.at(self.plan.calm_ns, self._calm)
        if self.settings.execution.position_source == "manual":
            for second in range(5, self.plan.minutes * 60, STATED_EVERY_S):
                self.scheduler.at(self.plan.start_ns + second * S, self._state)
        self._manners(self.plan.kinds)

    def _schedule_turn(self) -> None:
        """Let the way of this seed through the break begin as soon as something is open before it, or at its brink."""
        close_ns = at_minute_ns(DAY, CLOSE_M)
        self.scheduler.at(day_start_ns(NEXT_DAY) + 20 * S, self._bring_history)
        match self.plan.turn:
            case "asleep" | "blind":
                begin_ns = close_ns - int(self._turns.uniform(60, 720) * S)
                self.scheduler.at(begin_ns, partial(self._before_the_break, close_ns))
            case "restart":
                for second in (-20, 1700, 3599, 3600 + self._turns.uniform(0.5, 130)):
                    if self._turns.random() < 0.6:
                        self.scheduler.at(close_ns + int(second * S), partial(self._happen, "crash"))
            case _:
                pass

    def _before_the_break(self, close_ns: int) -> None:
        """Wait for a position or a working entry, then let engine or sight be gone until the market is open again."""
        busy = self.account.held() or self.account.working()
        if not busy and self.scheduler.now < close_ns - 40 * S:
            self.scheduler.after(2.0, partial(self._before_the_break, close_ns))
            return
        after_s = self._turns.choice((-1500.0, self._turns.uniform(-2, 30), self._turns.uniform(30, 240)))
        back_ns = day_start_ns(NEXT_DAY) + int(after_s * S)
        self.log(f"{self.plan.turn} over the break, the account holds {self.account.held():+d}")
        if self.plan.turn == "asleep":
            self._asleep_ns = back_ns
            self._happen("crash")
        else:
            self.bridge.disconnect((back_ns - self.scheduler.now) / S)

    def _bring_history(self) -> None:
        """Be the session that fetches the new day's history at the turn: the minutes of the day before it."""
        past = [bar for bar in self.plan.bars if bar.ts_ns < day_start_ns(NEXT_DAY)]
        rows = [history_row(bar, PriceText(MNQ)) for bar in past]
        day = self.run_dir.day(NEXT_DAY)
        if self.bridge.alive and not day.history.exists():
            with contextlib.suppress(WriteFailed, OSError, Crash), self.disk.acting(self.bridge.owner):
                write_rows(day.create().history, HISTORY_COLUMNS, rows)
        else:
            self.scheduler.after(5.0, self._bring_history)

    def _manners(self, kinds: frozenset[str]) -> None:
        chance = rng_of(self.seed, "manners").choice((0.1, 0.3, 0.7))
        manners, news = self.account.manners, self.bridge.news
        manners.partial = chance if "partial" in kinds else 0.0
        manners.slow = chance if "slow-fill" in kinds else 0.0
        manners.cancel_race = chance if "cancel-race" in kinds else 0.0
        manners.both_exits = 0.3 if "both-exits" in kinds else 0.0
        news.late = chance if "late" in kinds else 0.0
        news.stale = chance if "stale" in kinds else 0.0
        news.lost_fill = chance if "lost-fill" in kinds else 0.0
        lies, ibkr = self.bridge.lies, self.settings.execution.route == "ibkr"
        lies.false_cancel = chance if ibkr and kinds & {"webhook", "twice"} else 0.0
        lies.rejected_later = chance / 2 if ibkr and "webhook" in kinds else 0.0
        lies.unanswered = 0.1 if ibkr and "late" in kinds else 0.0
        lies.rolled_ids = 0.5 if ibkr and "power" in kinds else 0.0
        lies.lost_order = chance / 2 if ibkr and "disconnect" in kinds else 0.0
        news.twice = chance if "twice" in kinds else 0.0

    def _calm(self) -> None:
        """End all faults; what was done is done."""
        self.log("calm")
        self._deaths.clear()
        self._manners(frozenset())
        self.disk.full = False
        self.plan.webhook.clear()
        self.clock.drift(0)

    def _trade(self, price: int) -> None:
        self.account.mark(price)
        self.bridge.tick(TickKind.TRADE, self.account.price_of(self.contract))

    def _quote(self, price: int) -> None:
        self.bridge.tick(TickKind.QUOTE, price + self.account.gaps.get(self.contract, 0))

    def _happen(self, kind: str) -> None:
        rng = self.rng
        match kind:
            case "crash" | "sentinel" | "power":
                self._doomed = f"{kind}:timed"
                if self.batons is not None:
                    self.batons.crashed = True
            case "crash-bridge":
                self.bridge.died("killed")
            case "pause":
                self.upset_ns = self._pause_ns = self.scheduler.now + int(rng.choice((1, 6, 20, 70)) * S)
                self.woken = True
            case "step":
                self.clock.step(rng.choice((-45, -3, -0.4, 0.4, 3, 45)))
            case "drift":
                self.clock.drift(rng.choice((-2000, 2000, 300)))
            case "full":
                self.disk.full = True
                self.scheduler.after(rng.uniform(1, 40), self._space)
            case "disconnect":
                self.bridge.disconnect(rng.uniform(1, 60))
            case "human":
                self.account.human(self.contract, rng.choice((-2, -1, 1, 2)))
            case "roll":
                self._roll()
            case "ride":
                self._roll_when_open()
            case "strip":
                self._strip()
            case "servers":
                self.bridge.servers(rng.choice((0.5, 4.0, rng.uniform(5, 90))), data_lost=rng.random() < 0.5)
            case "fence":
                self._steal_fence()
            case "kill":
                self._throw(rng.uniform(60, 400))
            case _:
                return
        self.log(f"fault {kind}")

    def _roll(self) -> None:
        if self.contract == CONTRACT:
            self.log(f"the contract rolls while the account holds {self.account.held():+d}")
            self.contract = self.bridge.contract = NEXT_CONTRACT
            self.rolled_ns = self.scheduler.now

    def _roll_when_open(self) -> None:
        """Wait for a position, then roll."""
        if self.account.held():
            self._roll()
        elif self.scheduler.now < self.plan.calm_ns:
            self.scheduler.after(2.0, self._roll_when_open)

    def _strip(self) -> None:
        """Wait for a protected position of the ibkr route, then let somebody cancel its stop in TWS."""
        stop = next((one for one in self.account.working() if one.leg == STOP and one.armed), None)
        if stop is not None and self.settings.execution.route == "ibkr":
            self.log(f"somebody cancels the stop {stop.order_id} of {stop.key}")
            self.account.cancel_id(stop.order_id)
        elif self.scheduler.now < self.plan.calm_ns:
            self.scheduler.after(2.0, self._strip)

    def _space(self) -> None:
        self.disk.full, self.upset_ns = False, self.scheduler.now

    def _steal_fence(self) -> None:
        with contextlib.suppress(GrantFailed, OSError), self.disk.acting("sentinel"):
            grant(self.run_dir, "engine", "somebody-else")

    def _state(self) -> None:
        """Be the human who looks at his account, sees it standing still, and states what he sees."""
        moved = max((fill.at_ns for fill in self.account.fills), default=0)
        if moved > self.scheduler.now - 10 * S or any(not one.price for one in self.account.working()):
            return
        with contextlib.suppress(WriteFailed), self.disk.acting("human"):
            write_statement(self.run_dir.position, Statement(self.account.held(), self.clock.now_ns(), "seed"))
            self.stated_ns = self.scheduler.now

    def _throw(self, seconds: float) -> None:
        path = str(self.run_dir.kill_switch)
        self.disk.put(path, b"thrown by hand\n")
        self.scheduler.after(seconds, lambda: self.disk.names.pop(path, None) and None)

    def _heard(self, what: str, thing: Any) -> None:
        if what == "fill":
            self.log(f"broker fills {thing.leg} {thing.key or 'human'} {thing.side * thing.qty:+d} at {thing.price}")
            self.judge.filled(thing)
        self.bridge.hear(what, thing)

    def _files_changed(self) -> None:
        self.woken = True

    def _draw_webhook(self, action: str) -> str:
        rng, chances = self.webhook._rng, self.plan.webhook
        wanted = ["refused-connection"] if action == "connect" else [f for f in chances if f != "refused-connection"]
        for fault in wanted:
            if rng.random() < chances.get(fault, 0.0) / (1 if action == "connect" else 3):
                return fault
        return NORMAL

    def _arrived(self, call: Any) -> None:
        self.log(f"webhook receives {call.body['action']} {call.body['extras']['key']} ({call.fault})")

    # -- what the product sees ----------------------------------------------------------------------------

    def _settings(self, more: dict[str, str]) -> Settings:
        route, _, source = more.get("route", ROUTES[0]).partition(":")
        execution = {"route": route, "position_source": source or "ibkr"}
        return Settings.model_validate(
            {
                "run_dir": "simulated",
                "execution": execution,
                "traderspost": {"webhook_url": HOOK},
                "strategy": {"pj": self.plan.params},
            }
        )

    def _furnish(self) -> None:
        """Write the schedule and the history that the run begins with."""
        days = (DAY, NEXT_DAY) if self.plan.turn else (DAY,)
        rows_ = tuple(Session(day, day_start_ns(day), at_minute_ns(day, CLOSE_M)) for day in days)
        tree = Sessions(rows_, days[0], days[-1]).to_json()
        self.disk.put(str(self.run_dir.session_file), json.dumps(tree).encode())
        prices = PriceText(MNQ)
        rows = (history_row(bar, prices) for bar in self.plan.bars[:HISTORY_MIN])
        with self.disk.acting("bridge-0"):
            write_rows(self.run_dir.day(DAY).create().history, HISTORY_COLUMNS, rows)


def route_of(seed: int) -> str:
    """Return the route a seed runs on where none is named."""
    return SIDE_ROUTES[seed // 5 % len(SIDE_ROUTES)] if seed % 5 == 4 else ROUTES[seed % len(ROUTES)]


def run_seed(
    seed: int, prepare: Callable[[World], contextlib.AbstractContextManager[None]] | None = None, **more: Any
) -> World:
    """Run one seed; ``prepare`` may plant a bug for the time of the run."""
    world = World(seed, **more)
    with prepare(world) if prepare is not None else contextlib.nullcontext():
        return world.run()
