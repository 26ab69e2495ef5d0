"""Plant bugs in the product's functions, inside the simulation only, to prove that the judge would see them.

Each mutant exchanges names for the length of one run and leaves no trace. ``MUTANTS`` maps its name to what plants it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from live import broker_verdicts, reconciliation
from live.broker_desk import BrokerDesk
from live.broker_verdicts import Verdicts
from live.commands import ClosePosition, PlaceBracket
from live.risk_guard import RiskGuard
from pj.brokers.dispatcher import Dispatcher
from pj.brokers.guarded import GuardedBroker
from pj.brokers.limits import SendLimits
from pj.brokers.port import Answer, Outcome
from pj.channels.fence import Fence
from pj.channels.journal import Journal
from pj.ibkr.order_book import OrderBook
from pj.ibkr.placed import PlacedLedger
from pj.processes.engine import broker_feed
from pj.processes.engine import core as core_module
from pj.processes.engine import shell as shell_module
from pj.processes.engine import startup as startup_module
from pj.processes.engine.assumed import AssumedPosition
from pj.processes.engine.broker_feed import BrokerFeed
from pj.processes.engine.outbox import Outbox

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sim_world import World

Plant = Callable[[Callable[..., None]], None]


def no_fsync_before_sending(patch: Callable[..., None]) -> None:
    """Hand orders to the sender before their INTENT is on the disk."""
    patch(Journal, "sync", lambda _self: None)


def entry_sent_again_on_timeout(patch: Callable[..., None]) -> None:
    """Repeat an entry whose answer is unknown."""
    deliver = Dispatcher._deliver

    def again(self: Dispatcher, order: Any) -> None:
        deliver(self, order)
        if isinstance(order, PlaceBracket) and self._results and self._results[-1].answer.outcome is Outcome.UNKNOWN:
            deliver(self, order)

    patch(Dispatcher, "_deliver", again)


def entry_sent_again_after_restart(patch: Callable[..., None]) -> None:
    """Take an intent without an answer for one that never left."""
    go_live = Outbox.go_live

    def resend(self: Outbox, lines: Any) -> Any:
        entries = [order for order in self._replayed if isinstance(order, PlaceBracket)]
        events = go_live(self, lines)
        known = {line.data["key"] for line in lines if line.type in {"ACKED", "REFUSED", "UNKNOWN"}}
        self._again += [order for order in entries if order.key in self._intents and order.key not in known]
        return [event for event in events if type(event).__name__ != "OrderUnknown"]

    patch(Outbox, "go_live", resend)


def one_observation_is_enough(patch: Callable[..., None]) -> None:
    """Act destructively on the first sight of something."""
    table = {cell: replace(ruling, needs=1, after_s=0) if ruling.needs > 1 else ruling
             for cell, ruling in reconciliation.TABLE.items()}  # fmt: skip
    patch(broker_verdicts, "judge", lambda belief, held, working: table[belief, held, working])


def key_used_again(patch: Callable[..., None]) -> None:
    """Give every further exit the first one's key."""
    patch(BrokerDesk, "next_key", lambda _self, stem, leg: stem + leg)


def exit_stopped_by_the_kill_switch(patch: Callable[..., None]) -> None:
    """Let the switch that forbids entries hold exits back too."""
    send = GuardedBroker.send

    def blocked(self: GuardedBroker, order: Any, now_ns: int) -> Answer:
        if isinstance(order, ClosePosition) and self._run_dir.kill_switch.exists():
            return Answer(Outcome.REFUSED, "KILL_SWITCH")
        return send(self, order, now_ns)

    patch(GuardedBroker, "send", blocked)


def executions_counted_twice(patch: Callable[..., None]) -> None:
    """Book an execution each time it is reported."""
    executed = BrokerDesk.executed

    def twice(self: BrokerDesk, fill: Any, out: Any) -> None:
        self._exec_ids.pop(fill.exec_id, None)
        executed(self, fill, out)

    patch(BrokerDesk, "executed", twice)


def human_position_flattened(patch: Callable[..., None]) -> None:
    """Treat whatever the account holds as ours to close."""
    rules = shell_module.desk_rules
    patch(shell_module, "desk_rules", lambda *args: replace(rules(*args), flatten_unknown=True))


def fence_ignored(patch: Callable[..., None]) -> None:
    """Go on as if nobody had been granted the fence since."""
    patch(Fence, "valid", lambda _self: True)
    patch(Fence, "check", lambda _self: None)


def kill_switch_ignored(patch: Callable[..., None]) -> None:
    """Look at no switch, neither in the engine nor in the guard nor at the moment of sending."""
    from pj.brokers import guarded
    from pj.processes.engine import shell

    for module in (guarded, shell, startup_module):
        patch(module, "entry_forbidden", lambda _run_dir: "")


def order_rate_ignored(patch: Callable[..., None]) -> None:
    """Count no order."""
    patch(RiskGuard, "ordered", lambda _self, _at_ns: None)
    patch(SendLimits, "refuses_entry", lambda _self, _now_ns: "")


def daily_loss_ignored(patch: Callable[..., None]) -> None:
    """Let the day's loss lock nothing."""
    patch(RiskGuard, "breaches", lambda _self, _cents: False)
    exited = RiskGuard.exited

    def forgiving(self: RiskGuard, net_cents: int, at_ns: int) -> None:
        exited(self, max(net_cents, 0), at_ns)

    patch(RiskGuard, "exited", forgiving)


def quiet_reports_not_journaled(patch: Callable[..., None]) -> None:
    """Journal a report only when a command came of it: a replay then misses what ended a doubt."""

    def forgetful(self: core_module.Core, event: Any) -> None:
        commands = self.engine.step(event)
        if commands:
            self.book.note_input(event)
            self._out(commands)

    patch(core_module.Core, "take_if_it_matters", forgetful)


def old_signals_sent(patch: Callable[..., None]) -> None:
    """Send an entry however old its signal is."""
    patch(
        Dispatcher, "_why_late", lambda self, order, _now_ns: self._blocked() if isinstance(order, PlaceBracket) else ""
    )


def trades_of_the_day_forgotten(patch: Callable[..., None]) -> None:
    """Count no fill of the day."""
    patch(RiskGuard, "filled", lambda _self: None)


def error_10349_trusted(patch: Callable[..., None]) -> None:
    """Take the gateway's comment on a missing time in force for the end of the order."""
    on_error = OrderBook.on_error

    def believing(self: OrderBook, order_id: int, code: int) -> None:
        on_error(self, order_id, code)
        seen = self.seen(order_id)
        if code == 10349 and seen is not None:
            seen.status, seen.remaining = "Cancelled", 0

    patch(OrderBook, "on_error", believing)


def order_ids_not_remembered(patch: Callable[..., None]) -> None:
    """Trust the gateway's counter of order ids, which may be rolled back."""
    patch(PlacedLedger, "high", property(lambda _self: 0, lambda _self, _value: None))


def ledger_not_synced(patch: Callable[..., None]) -> None:
    """Let orders leave for the gateway before their ids are on the disk."""
    record = PlacedLedger.record

    def lazy(self: PlacedLedger, placed: Any) -> None:
        sync, self._file.sync = self._file.sync, lambda: None  # type: ignore[method-assign]
        record(self, placed)
        self._file.sync = sync  # type: ignore[method-assign]

    patch(PlacedLedger, "record", lazy)


def entry_placed_again_by_the_bridge(patch: Callable[..., None]) -> None:
    """Forget, over a restart of the bridge, which entries were placed and which rows were taken."""
    begin = PlacedLedger.__init__

    def forgetful(self: PlacedLedger, *args: Any) -> None:
        begin(self, *args)
        self.cursor = ("", 0)
        self._entries.clear()

    patch(PlacedLedger, "__init__", forgetful)


def doubt_without_a_source_forgotten(patch: Callable[..., None]) -> None:
    """Take the next entry although nobody can say what became of the last one."""
    patch(AssumedPosition, "unverified", property(lambda _self: False))


def exit_in_the_contract_of_the_day(patch: Callable[..., None]) -> None:
    """Close a position in the contract that is traded now, not in its own."""
    close = Verdicts.close

    def astray(self: Verdicts, reason: str, at_ns: int, out: list[Any]) -> None:
        close(self, reason, at_ns, out)
        out[-1] = replace(out[-1], contract=self._desk.contract)

    patch(Verdicts, "close", astray)


def looks_put_off_by_every_row(patch: Callable[..., None]) -> None:
    """Let each row of the account put off the next look at it, also one that only says again what is known."""
    read = BrokerFeed._read

    def reset(self: BrokerFeed, row: Any) -> Any:
        self._repeated_at = broker_feed.time.monotonic()
        return read(self, row)

    patch(BrokerFeed, "_read", reset)


ROUTE_OF = {"doubt_without_a_source_forgotten": "traderspost:none"}
IBKR = frozenset(
    {
        "error_10349_trusted",
        "order_ids_not_remembered",
        "ledger_not_synced",
        "entry_placed_again_by_the_bridge",
        "looks_put_off_by_every_row",
    }
)
"""Mutants of code that only the ibkr route runs; the others are hunted on the TradersPost route."""
NEEDS: dict[str, frozenset[str]] = {
    "one_observation_is_enough": frozenset({"stale"}),
    "entry_sent_again_after_restart": frozenset({"crash", "sentinel", "power"}),
    "entry_sent_again_on_timeout": frozenset({"webhook"}),
    "executions_counted_twice": frozenset({"twice"}),
    "kill_switch_ignored": frozenset({"kill"}),
    "fence_ignored": frozenset({"fence"}),
    "old_signals_sent": frozenset({"pause"}),
    "error_10349_trusted": frozenset({"webhook", "twice"}),
    "order_ids_not_remembered": frozenset({"power"}),
    "doubt_without_a_source_forgotten": frozenset({"webhook", "crash", "sentinel", "power"}),
    "exit_in_the_contract_of_the_day": frozenset({"roll", "ride"}),
    "looks_put_off_by_every_row": frozenset({"strip"}),
}
"""One of these kinds of fault must be drawn for the bug to matter; a test need not run the other seeds."""
MUTANTS: dict[str, Plant] = {
    plant.__name__: plant
    for plant in (
        no_fsync_before_sending,
        entry_sent_again_on_timeout,
        entry_sent_again_after_restart,
        one_observation_is_enough,
        key_used_again,
        exit_stopped_by_the_kill_switch,
        executions_counted_twice,
        human_position_flattened,
        fence_ignored,
        kill_switch_ignored,
        order_rate_ignored,
        daily_loss_ignored,
        quiet_reports_not_journaled,
        old_signals_sent,
        trades_of_the_day_forgotten,
        error_10349_trusted,
        order_ids_not_remembered,
        ledger_not_synced,
        entry_placed_again_by_the_bridge,
        doubt_without_a_source_forgotten,
        exit_in_the_contract_of_the_day,
        looks_put_off_by_every_row,
    )
}


@contextmanager
def planted(name: str, world: World) -> Iterator[None]:
    """Plant one bug for the run of ``world``; it is taken out with everything else that was exchanged."""
    world.installation.wishes.append(MUTANTS[name])
    yield
