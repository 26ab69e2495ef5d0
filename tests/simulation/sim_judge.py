"""Say what must hold: at every sending and fill, and of what is left when the faults are over and all is calm.

The judge knows the truth of the broker and the bytes on the disk; of the product it asks only what an operator sees:
the journal, the files, the gauges. Each broken invariant is one sentence in ``failures``.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from sim_account import ENTRY, EXIT, HUMAN, STOP, TARGET, Fill
from sim_time import S

from live.broker_order import order_row
from live.engine import Engine, Route
from live.execution_bridge import key_of_ref
from live.market import NS_PER_S
from live.trading_day import trade_ordinal
from pj.channels.journal import JournalDamaged, JournalLine, read_journal, verify_run
from pj.channels.switches import entry_forbidden
from pj.processes.engine.assumed import YOUNG_NS
from pj.processes.engine.recorded import read_day, replay

if TYPE_CHECKING:
    from sim_webhook import Call
    from sim_world import World

HOUR_NS = 3600 * NS_PER_S
SEEN_NS = 20 * NS_PER_S
ENTRY_ACTIONS = frozenset({"buy", "sell", "add"})
DOUBTFUL = frozenset(
    {"PHANTOM", "POSITION_MISMATCH", "FOREIGN_EXECUTION", "UNKNOWN_POSITION", "ENTRY_LOST", "EXIT_STUCK", "OVERFILL",
     "REVERSED", "PARTIAL", "PARTIAL_EXIT", "PHANTOM_ORPHANS", "REPLAY_MISMATCH"}
)  # fmt: skip
GONE = ("PHANTOM", "PHANTOM_ORPHANS", "ENTRY_LOST")
ROLL_NS = 65 * NS_PER_S
STEADY_NS = 16 * NS_PER_S
BARE_NS = 30 * NS_PER_S
HIDING = frozenset({"stale", "late", "lost-fill", "human"})
"""Kinds of fault under which nobody can see at once that a stop is gone, or the position is not ours to protect."""
MAX_AGE_S = 5.5
MAX_SNAPSHOT = 200_000


class Judge:
    """Hold the invariants of one run."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.failures: list[str] = []
        self.debug = False
        self.hopeless = False
        self.entries: dict[str, int] = {}
        self.left: set[str] = set()
        self.numbers: dict[int, tuple[str, str]] = {}
        self.human = False
        self.doubted_ns = 0
        self.bare_ns = 0
        self.contracts: dict[str, str] = {}
        self.lines: list[JournalLine] = []
        self.lines_by_day: dict[int, list[JournalLine]] = {}
        self._failed_ends = 0

    def fail(self, sentence: str) -> None:
        """Note a broken invariant."""
        self.world.log(f"BROKEN {sentence}")
        self.failures.append(sentence)

    # -- at every sending ---------------------------------------------------------------------------------

    def sent(self, call: Call) -> None:
        """Judge a request at the moment its bytes leave."""
        key, action = call.body["extras"]["key"], call.body["action"]
        self.world.log(f"bytes leave: {action} {key} ({call.fault})")
        contract = self.world.webhook._symbol(call.body["ticker"])
        self.order_left(key, entry=action in ENTRY_ACTIONS, instance=call.instance, contract=contract)

    def placed(self, order: Any, contract: str) -> None:
        """Judge an order of the ibkr route at the moment its bytes leave for the gateway."""
        world, key = self.world, key_of_ref(order.orderRef)
        number = order.orderId
        world.log(f"bytes leave: {order.orderType} {key} id {number} qty {order.totalQuantity}")
        if f"[{number}," not in world.disk.durable_bytes(str(world.run_dir.state_folder / "placed.jsonl")).decode():
            self.fail(f"order {number} of {key} left before the ledger had its id on the disk")
        what = (key, order.orderType)
        if self.numbers.setdefault(number, what) != what:
            self.fail(f"order id {number} was used again: for {what} after {self.numbers[number]}")
        if order.orderType == "MKT":
            entry = key.endswith(":ENTRY")
            self.order_left(key, entry=entry, instance=self._fence_holder(), contract=contract)

    def point(self, what: str) -> None:
        """Pass a moment of placing at which the bridge may die."""
        self.world.bridge_point(what)

    def order_left(self, key: str, *, entry: bool, instance: str, contract: str = "") -> None:
        """Judge one order at the moment it leaves the product."""
        world = self.world
        self.left.add(key)
        if not self._intent_is_durable(key):
            self.fail(f"{key} left before its INTENT was on the disk")
        if self._fence_holder() != instance:
            self.fail(f"{key} was sent by {instance} while {self._fence_holder()} holds the fence")
        if not entry:
            if not self._intent_is_durable(key.rpartition(":")[0] + ":ENTRY"):
                self.fail(f"{key} touches what no entry of ours explains")
            return
        age_s = world.clock.now_ns() / S - int(key.rpartition("@")[2].partition(":")[0])
        if age_s > MAX_AGE_S:
            self.fail(f"entry {key} left {age_s:.1f} s after its signal")
        if key in self.entries:
            self.fail(f"entry {key} was sent twice")
        forbidden = entry_forbidden(world.run_dir)
        if forbidden:
            self.fail(f"entry {key} left while {forbidden} stands")
        if contract and contract != world.contract and world.rolled_ns < world.scheduler.now - ROLL_NS:
            self.fail(f"entry {key} was sent in {contract} long after the roll to {world.contract}")
        if world.paper:
            self.fail(f"{key} was sent on the paper route")
        self._limits(key)
        if world.blind:
            self._unresolved(key)
        else:
            self._doubts(key)
        self.entries[key] = world.scheduler.now

    def _intent_is_durable(self, key: str) -> bool:
        world = self.world
        for day in world.run_dir.days():
            data = world.disk.durable_bytes(str(world.run_dir.day(day).journal))
            if f'"key":"{key}"'.encode() in data:
                rows = (line for line in data.split(b"\n") if b'"type":"INTENT"' in line)
                if any(f'"key":"{key}"'.encode() in row for row in rows):
                    return True
        return False

    def _fence_holder(self) -> str:
        node = self.world.disk.names.get(str(self.world.run_dir.state_folder / "engine.fence"))
        return "" if node is None else str(json.loads(bytes(node.data))["instance"])

    def _limits(self, key: str) -> None:
        world, params = self.world, self.world.params
        now = world.scheduler.now
        recent = sum(at > now - HOUR_NS for at in self.entries.values())
        if recent >= params.max_orders_hour:
            self.fail(f"entry {key} is number {recent + 1} within an hour, the limit is {params.max_orders_hour}")
        filled = {
            fill.key
            for fill in world.account.fills
            if fill.leg == ENTRY and fill.at_ns < now - SEEN_NS and self._of_today(fill.key)
        }
        if not world.blind and len(filled) >= params.max_trades_day:
            self.fail(f"entry {key} follows {len(filled)} trades of the day, the limit is {params.max_trades_day}")
        money = self._realised_cents(now - SEEN_NS)
        if not world.blind and money <= -params.max_daily_loss_cents:
            self.fail(f"entry {key} was sent {money} cents into a day whose limit is {params.max_daily_loss_cents}")

    def _doubts(self, key: str) -> None:
        """Fail when the engine could have known for long that something else is open, unknown or out of sight."""
        world = self.world
        seen_ns = world.scheduler.now - SEEN_NS
        for order in world.account.working():
            if order.leg == ENTRY and order.key != key:
                self.fail(f"entry {key} was sent while {order.key} works at the broker")
        moved = max((fill.at_ns for fill in world.account.fills), default=0)
        if world.account.held() and moved < seen_ns and world.bridge.steady_since(seen_ns):
            self.fail(f"entry {key} was sent while the account holds {world.account.held():+d}")
        if not world.bridge.sees and world.bridge.since_ns < world.scheduler.now - 2 * S and world.bridge.alive:
            self.fail(f"entry {key} was sent while nobody sees the account")

    def _unresolved(self, key: str) -> None:
        """Fail when an entry's fate is unknown and nobody has said since what the account holds (pj1 S8)."""
        if self.doubted_ns > self.world.stated_ns:
            self.fail(f"entry {key} was sent although nobody knows what became of an earlier one")

    def _realised_cents(self, until_ns: int) -> int:
        """Return what our closed round trips brought by the broker's own fills."""
        total = 0
        for stem, (qty, value, count, mine) in self._trips(until_ns).items():
            if qty == 0 and mine and self._of_today(stem + ":ENTRY"):
                total += -value * self.world.params.tick_cents - count * self.world.params.comm_side_cents
        return total

    def _of_today(self, key: str) -> bool:
        """Tell whether an entry was decided on the running trade date."""
        signal_ns = int(key.rpartition("@")[2].partition(":")[0]) * S
        return trade_ordinal(signal_ns) == trade_ordinal(self.world.scheduler.now)

    def _trips(self, until_ns: int) -> dict[str, tuple[int, int, int, bool]]:
        """Return (net quantity, net value, contracts, all ours) of the fills by the stem of their key."""
        trips: dict[str, tuple[int, int, int, bool]] = {}
        for fill in self.world.account.fills:
            if fill.at_ns <= until_ns and fill.key:
                stem = fill.key.rpartition(":")[0]
                qty, value, count, _ = trips.get(stem, (0, 0, 0, True))
                signed = fill.side * fill.qty
                trips[stem] = (qty + signed, value + signed * fill.price, count + fill.qty, True)
        return trips

    def filled(self, fill: Fill) -> None:
        """Judge a fill at the moment it happens."""
        if fill.leg == HUMAN:
            self.human = True
            return
        contract = self.contracts.setdefault(fill.key.rpartition(":")[0], fill.contract)
        if contract != fill.contract:
            self.fail(f"{fill.key} filled in {fill.contract}, its trade lives in {contract}")
        if fill.leg in {ENTRY, EXIT, STOP, TARGET} and not self._intent_is_durable(fill.key):
            self.fail(f"the broker filled {fill.leg} of {fill.key}, of which the journal knows no INTENT")

    def look_for_a_stop(self) -> None:
        """Fail when a position has stood without a stop although engine and bridge were well all the while."""
        world, now = self.world, self.world.scheduler.now
        legs = {one.leg for one in world.account.working()}
        bare = world.account.held() and not legs & {STOP, EXIT}
        self.bare_ns = (self.bare_ns or now) if bare else 0
        shell = world.shell
        if not bare or world.settings.execution.route != "ibkr" or HIDING & world.plan.kinds or shell is None:
            return
        since = max(self.bare_ns, world.upset_ns, world.bridge.since_ns)
        well = shell.run_parts is not None and world.bridge.sees and world.bridge.alive and not world.disk.full
        well = well and world.instance not in world.disk.dead
        known = shell.engine.desk.position is not None and shell.engine.desk.leaving is None
        if well and known and now - since > BARE_NS:
            self.fail(f"the account has held {world.account.held():+d} without a stop for {(now - since) // S} s")
            self.bare_ns = now  # say it once in a while, not at every look

    def engine_ended(self, code: int | str) -> None:
        """Judge how a process ended: never misconfigured, never halted by damage that nobody did."""
        if code in {2, 4}:
            self.fail(f"the engine refused to start with code {code}")
            self.hopeless = True
        self._failed_ends = self._failed_ends + 1 if code == "raised" else 0
        if self._failed_ends >= 3:
            self.hopeless = True

    def journaled(self, data: bytes) -> None:
        """Judge a line at the moment the engine writes it: nobody may be told that something is gone which is there."""
        if b'"type":"UNKNOWN"' in data and b':ENTRY"' in data:
            self.doubted_ns = self.world.scheduler.now
        if b'"type":"ALARM"' not in data:
            return
        world = self.world
        code = next((code for code in GONE if f'"code":"{code}"'.encode() in data), "")
        since = world.scheduler.now - STEADY_NS
        moved = max((fill.at_ns for fill in world.account.fills), default=0)
        if code and not world.blind and world.account.held() and moved < since and world.bridge.steady_since(since):
            self.fail(f"{code} is told while the account has held {world.account.held():+d} for long")

    def answered(self, data: bytes) -> None:
        """Judge the bridge's answers as they are written: what lives or has filled at the broker was not refused."""
        for text in data.decode().split("\n"):
            cells = text.split(",")
            if len(cells) > 7 and cells[2] == "ANSWER" and cells[7].startswith("REFUSED"):
                key, account = key_of_ref(cells[5]), self.world.account
                lives = [one for one in (*account.working(), *account.ended) if one.key == key and one.leg == ENTRY]
                if any(one.ended in {"", "Filled"} for one in lives):
                    self.fail(f"{key} is told {cells[7]}, and the broker has it as {lives[0].ended or 'working'}")

    def _false_alarms(self, alarms: Counter[str]) -> None:
        """Fail when the engine halted for an overfill or a reversal that the broker never had."""
        told = {"OVERFILL", "REVERSED"} & set(alarms)
        if not told or self.world.blind or self.human or "stale" in self.world.plan.kinds:
            return
        held: dict[str, int] = {}
        for fill in self.world.account.fills:
            stem = fill.key.rpartition(":")[0]
            side = next(one.side for one in self.world.account.fills if one.key == f"{stem}:ENTRY")
            held[stem] = held.get(stem, 0) + side * fill.side * fill.qty
            if held[stem] < 0:
                return
        self.fail(f"{told} was told, and the broker's fills never went beyond what was ordered")

    # -- at the end -------------------------------------------------------------------------------------

    def look_at_the_end(self) -> None:
        """Judge what is left after the calm."""
        shell = self.world.shell
        assert shell is not None
        try:
            verify_run(self.world.run_dir)
        except JournalDamaged as error:
            self.fail(f"the journal's chain is broken: {error}")
            return
        lines = self.lines = self._lines()
        if shell.phase not in {"STOPPING", "RUNNING"} or shell.run_parts is None:
            self.fail(f"the engine is {shell.phase} after the calm")
            return
        mismatch = [line for line in lines if line.data.get("code") == "REPLAY_MISMATCH"]
        if mismatch and not self.world.power_cuts:  # what a power cut took may be missed, and stops entries for the day
            self.fail(f"a start could not replay the journal: {mismatch[0].data['text']}"[:400])
        alarms = Counter(str(line.data.get("code")) for line in lines if line.type == "ALARM")
        if self.world.paper:
            self._paper_stays_inside(lines)
        else:
            self._false_alarms(alarms)
            self._position_agrees(shell, alarms)
            self._nothing_works(shell, alarms)
            self._orders_are_explained(lines)
            self._unknown_is_answered(lines)
            self._money_agrees(lines, alarms)
        if not mismatch:
            self._replays(shell.engine)
        if not mismatch:
            self._day_adds_up(shell.engine)
        self._is_bounded(shell.engine)

    def _day_adds_up(self, engine: Engine) -> None:
        """Compare the day's counters with the day's own journal: it begins where the trade date turned."""
        day = trade_ordinal(engine.last_bar_ns)
        lines = self._lines_since_the_turn(day)
        kinds = {"TRADE", "TRADE_CORRECTED"}
        money = [line for line in lines if line.type in kinds and line.data.get("counts", True)]
        cents = sum(round(float(line.data["net_usd"]) * 100) for line in money)
        if engine.guard.net_cents != cents:
            self.fail(f"the day's net is {engine.guard.net_cents} cents, its journal adds up to {cents}")
        if bool(engine.guard.locked) != any(line.type == "LOCK" for line in lines):
            self.fail(f"the day's lock is {engine.guard.locked!r}, its journal says otherwise")
        order = engine.desk.order
        shell = self.world.shell
        alarms = Counter(str(line.data.get("code")) for line in self.lines if line.type == "ALARM")
        if order is not None and order.signal.ordinal != day and not self._stopped(shell, alarms):
            self.fail(f"{order.key} lives on in the next trade date")

    def _paper_stays_inside(self, lines: list[JournalLine]) -> None:
        """Fail when paper intended or sent anything, or booked more trades than the day allows."""
        if self.left or any(line.type in {"INTENT", "SENT"} for line in lines):
            self.fail("the paper route had something to send")
        booked = [line for line in lines if line.type == "TRADE"]
        most = max(Counter(str(line.data["trade_date"]) for line in booked).values(), default=0)
        if most > self.world.params.max_trades_day:
            self.fail(f"paper booked {most} trades of one day, the limit is {self.world.params.max_trades_day}")
        if len({line.data["trade_id"] for line in booked}) != len(booked):
            self.fail("a paper trade was booked twice")

    def _lines_since_the_turn(self, day: int) -> list[JournalLine]:
        """Return the day's lines from the bar on that turned the engine's day: an edge without a trade is none."""
        world, lines = self.world, self.lines_by_day.get(day, [])
        if not world.plan.turn or day == min(self.lines_by_day):
            return lines
        recorded = read_day(world.run_dir, world.run_dir.day_at(world.clock.now_ns()).trade_date, world.bridge.prices)
        real = next((count for count, bar in enumerate(recorded.bars, 1) if bar.volume), len(recorded.bars) + 1)
        return [line for line in lines if int(line.data["after_bar"]) >= real]

    def _lines(self) -> list[JournalLine]:
        run = self.world.run_dir
        self.lines_by_day = {day.toordinal(): read_journal(run.day(day).journal) for day in run.days()}
        return [line for lines in self.lines_by_day.values() for line in lines]

    def _stopped(self, shell: Any, alarms: Counter[str]) -> bool:
        """Tell whether the engine says that it is in doubt or halted, and has told somebody."""
        engine = shell.engine
        doubt = engine.desk.doubt or engine.desk.stuck or engine.killed or engine.outside
        return bool(doubt) and bool(alarms)

    def _position_agrees(self, shell: Any, alarms: Counter[str]) -> None:
        engine, account = shell.engine, self.world.account
        position = engine.desk.position
        believed = 0 if position is None else position.signal.side * engine.desk.order.left
        spread = len([qty for qty in account.positions.values() if qty]) > 1
        if (account.held() == believed == 0 and not spread) or (self.human and self.world.blind):
            return  # what a human does where there is no source, nobody can see
        if not self._stopped(shell, alarms):
            self.fail(f"the account holds {account.held():+d}, the engine believes {believed:+d} and doubts nothing")

    def _nothing_works(self, shell: Any, alarms: Counter[str]) -> None:
        engine, account = shell.engine, self.world.account
        working = [] if self.human and self.world.blind else account.working()
        if not account.held() and working and not self._stopped(shell, alarms):
            legs = [f"{one.leg} {one.key}" for one in working]
            self.fail(f"the account is flat, but orders work there: {legs}")
        for leg in (STOP, TARGET):
            covered = sum(-one.side * one.qty for one in working if one.leg == leg)
            if working and account.held() and covered != account.held() and not self._stopped(shell, alarms):
                self.fail(f"{leg} covers {covered:+d} of {account.held():+d}")
        if engine.desk.order is not None and not self._stopped(shell, alarms):
            self.fail(f"{engine.desk.order.key} is still {engine.desk.order.state} after the calm")

    def _orders_are_explained(self, lines: list[JournalLine]) -> None:
        intents = Counter(line.data["key"] for line in lines if line.type == "INTENT")
        twice = [key for key, count in intents.items() if count > 1]
        if twice:
            self.fail(f"the journal has two INTENTs of {twice[0]}")
        for line in lines:
            if line.data.get("code") == "KEY_REUSED":
                self.fail(f"a key was used twice: {line.data['text']}")
            if self.world.settings.execution.route == "ibkr":
                continue  # an exit of what is flat already is answered without an order
            late = line.ts_ns > self.world.clock.now_ns() - SEEN_NS
            if (
                line.type == "INTENT"
                and line.data["order"] != "ENTRY"
                and not self._left_or_followed(str(line.data["key"]))
                and not (self.world.blind and self._stated_after(line, lines))
                and not late
            ):
                self.fail(f"{line.data['key']} was intended and never left")
        for call in self.world.webhook.calls:
            if call.body["extras"]["key"] not in intents:
                self.fail(f"{call.body['extras']['key']} was sent, the journal knows no INTENT of it")

    def _unknown_is_answered(self, lines: list[JournalLine]) -> None:
        """Fail when nobody can say what became of an entry, and no exit was ever asked to make it known (pj1 S8)."""
        asked = {str(line.data["key"]) for line in lines if line.type == "INTENT" and line.data["order"] == "EXIT"}
        for line in lines if self.world.settings.execution.position_source == "none" else ():
            key = str(line.data.get("key", ""))
            late = line.ts_ns > self.world.clock.now_ns() - SEEN_NS
            if line.type == "UNKNOWN" and key.endswith(":ENTRY") and not late:
                stem = key.removesuffix("ENTRY")
                if line.ts_ns - int(stem.rpartition("@")[2].rstrip(":")) * S > YOUNG_NS - SEEN_NS:
                    continue  # found by a start long after: the operator may hold a position of his own by now
                if not any(one.startswith(stem) for one in asked):
                    self.fail(f"{key} is UNKNOWN and no exit was asked for to make it known")

    def _stated_after(self, intent: JournalLine, lines: list[JournalLine]) -> bool:
        """Tell whether a human said what there is after the intent: an exit owed on suspicion is owed no more."""
        return any(line.type == "STATED" and line.ts_ns >= intent.ts_ns for line in lines)

    def _left_or_followed(self, key: str) -> bool:
        """Tell whether an exit left, or, where exits are owed on suspicion, another of its trade stands for it."""
        stem = key.rpartition(":")[0]
        others = any(one.startswith(stem + ":EXIT") for one in self.left)
        return key in self.left or ((self.world.blind or bool(self.world.plan.turn)) and others)

    def _money_agrees(self, lines: list[JournalLine], alarms: Counter[str]) -> None:
        """Compare the booked trades with the broker's fills, where nothing was estimated."""
        if self.world.blind or self.human or DOUBTFUL & set(alarms):
            return
        stems = {}
        for line in lines:
            if line.type == "INTENT" and line.data["order"] == "ENTRY":
                stems[line.data["pool"]] = line.data["key"].rpartition(":")[0]
        trips = self._trips(self.world.scheduler.now)
        booked = {}
        for line in lines:
            if line.type == "TRADE":
                stem = stems[line.data["pool_id"]]
                booked[stem] = round(float(line.data["gross_usd"]) * 100)
            elif line.type == "TRADE_CORRECTED":
                booked[stems[line.data["pool_id"]]] += round(float(line.data["net_usd"]) * 100)
        for stem, (qty, value, _, _) in trips.items():
            true = -value * self.world.params.tick_cents
            if qty == 0 and booked.get(stem) != true:
                self.fail(f"trade {stem} brought {true} cents, the journal books {booked.get(stem)}")
        for stem in booked.keys() - trips.keys():
            self.fail(f"the journal books a trade of {stem}, which never filled")

    def _replays(self, engine: Engine) -> None:
        """Step a fresh engine through what the files recorded: it must stand where the living one stands."""
        world = self.world
        route = Route.SIMULATED if world.paper else Route.BROKER
        fresh = Engine(world.params, world.run_dir.instrument, route, engine.desk.rules)
        for day in world.run_dir.days():
            recorded = read_day(world.run_dir, day, world.bridge.prices)
            replay(fresh, recorded, lambda _commands, _count: None)
            for fault in recorded.faults:
                self.fail(f"the record cannot be replayed: {fault}")
        mine, theirs = _essence(engine), _essence(fresh)
        for name, value in mine.items():
            if theirs[name] != value:
                self.fail(f"a replay ends with another {name}: {theirs[name]} instead of {value}"[:600])

    def _is_bounded(self, engine: Engine) -> None:
        size = len(json.dumps(engine.snapshot(), default=str))
        if size > MAX_SNAPSHOT:
            self.fail(f"the engine's state has grown to {size} bytes")


def _essence(engine: Engine) -> dict[str, Any]:
    """Return what must survive a restart: money, limits, order, position, doubt, pools."""
    desk = engine.desk
    order = desk.order
    return {
        "guard": engine.guard.snapshot(),
        "order": None if order is None else order_row(order),
        "position": None if desk.position is None else desk.position.snapshot(),
        "doubt": desk.doubt,
        "desk": {name: value for name, value in desk.snapshot().items() if name != "last_price"},
        "killed": engine.killed,
        "pools": engine.liquidity.snapshot(),
        "bars": (engine.bars, engine.signals, engine.refusals),
    }
