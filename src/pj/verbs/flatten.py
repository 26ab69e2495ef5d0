"""Close what is open, by the broker itself: works when engine, bridge and Sentinel are dead.

Order of the acts: kill switch (a living engine must send no entry meanwhile), look, show, ask, act by route, verify.
Nothing of ours may keep it from going on: a full disk, a closed terminal or a damaged journal is said and passed over.
Exit codes: 0 only when flat is verified (or nothing is at any broker), 1 not flat or UNVERIFIED, 2 usage, 3 broker
unreachable.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
import uuid
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from live.market import OffGrid
from live.trading_day import trade_date
from pj.channels.files import WriteFailed, is_locked, lock_file, open_shared, replace_atomic
from pj.channels.stats import read_stats
from pj.channels.steplog import StepLog
from pj.clock import Clock, clock_from_env
from pj.config import AT_GATEWAY
from pj.contracts import front_contract
from pj.verbs.common import Options, print_json, run_dir_of, settings_of
from pj.verbs.schema import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from pj.brokers.flatten import Asked
    from pj.channels.rundir import RunDir
    from pj.config import Settings
    from pj.ibkr.account_view import AccountView
    from pj.ibkr.flatten import Flattener, Scope

#: How long flat must hold: longer while an engine lives or a webhook works, whose orders may still be on their way.
SETTLE_S: Final = 0.5
SETTLE_WEBHOOK_S: Final = 1.0
SETTLE_ENGINE_S: Final = 3.0
GRACE_S: Final = 10.0
WEBHOOK_S: Final = 6.0
BY_HAND: Final = "close and cancel by hand: TWS or IBKR Mobile, or the broker's trade desk by phone"


class End(StrEnum):
    """Name how a flatten ended."""

    FLAT = "FLAT"
    NOTHING = "NOTHING"
    NOT_FLAT = "NOT_FLAT"
    UNVERIFIED = "UNVERIFIED"
    DECLINED = "DECLINED"
    INTERRUPTED = "INTERRUPTED"
    UNREACHABLE = "UNREACHABLE"
    MISCONFIGURED = "MISCONFIGURED"


CODES: Final = {End.FLAT: 0, End.NOTHING: 0, End.UNREACHABLE: 3, End.MISCONFIGURED: 2}


def flatten(options: Options) -> int:
    """Run the verb; return the exit code."""
    settings = settings_of(options)
    if not options["timeout"] > 0:
        raise UsageError(f"--timeout {options['timeout']:g} must be above 0 seconds")
    asks = settings.execution.route != "paper" and not options["yes"]
    if asks and not (sys.stdin and sys.stdin.isatty()):
        raise UsageError("pj flatten asks before it acts, and there is no terminal to ask on; add --yes")
    act = Act(settings, run_dir_of(settings), clock_from_env(), options)
    try:
        with act.alone():
            end, why = act.run()
    except KeyboardInterrupt:
        end, why = End.INTERRUPTED, f"stopped by the operator half-way; run it again, or {BY_HAND}"
    return act.finish(end, why)


@dataclass(slots=True)
class Act:
    """Be one flatten from switch to verdict."""

    settings: Settings
    folder: RunDir
    clock: Clock
    options: Options
    run_id: str = field(default_factory=lambda: uuid.uuid4().hex[:8])
    begun: float = field(default_factory=time.monotonic)
    acting_since: float = field(default_factory=time.monotonic)
    seen: dict[str, list[str]] = field(default_factory=dict)
    _mute: bool = False
    _unwritten: str = ""

    # -- saying ----------------------------------------------------------------------------------------

    def say(self, step: str, text: str, **data: object) -> None:
        """Write one step to the audit file and print it; neither may stop the act."""
        row = {"ts_ns": time.time_ns(), "run": self.run_id, "pid": os.getpid(), "step": step, "text": text, **data}
        try:
            StepLog(self.folder.flatten_log).append(row)
        except WriteFailed as error:
            if not self._unwritten:
                self._print(f"the record is not written: {error}")
            self._unwritten = str(error)
        self._print(f"{datetime.now(tz=UTC):%H:%M:%S.%f}"[:-3] + f" {step:<14} {text}")

    def _print(self, line: str) -> None:
        if self._mute:
            return
        try:
            print(line, file=sys.stderr if self.options["json"] else sys.stdout, flush=True)
        except OSError:  # the reader or the terminal is gone: the position is not
            self._mute = True

    def finish(self, end: End, why: str) -> int:
        """Say the verdict; return the exit code."""
        code = CODES.get(end, 1)
        seconds = round(time.monotonic() - self.begun, 3)
        self.say("END", f"{end.value}: {why}", end=end.value, exit_code=code, seconds=seconds)
        if self.options["json"] and not self._mute:
            print_json(
                {
                    "end": end.value,
                    "verified": end is End.FLAT,
                    "why": why,
                    "route": self.settings.execution.route,
                    "position_source": self.settings.execution.position_source,
                    "seen": self.seen,
                    "kill_switch": self.folder.kill_switch.exists(),
                    "record": str(self.folder.flatten_log),
                    "seconds": seconds,
                }
            )
        return code

    def alone(self) -> AbstractContextManager[object]:
        """Return the lock of this run folder's flatten; raise Locked when another holds it: two would close twice."""
        try:
            return lock_file(self.folder.state_folder / "flatten.lock")
        except OSError as error:
            self.say("NO_LOCK", f"cannot see whether another flatten runs: {error}")
            return nullcontext()

    # -- the act ---------------------------------------------------------------------------------------

    def run(self) -> tuple[End, str]:
        """Throw the switch, then do what the route needs."""
        if hasattr(signal, "SIGHUP"):
            signal.signal(signal.SIGHUP, signal.SIG_IGN)  # a terminal that closes must not leave it half-done
        self.throw_switch()
        execution = self.settings.execution
        self.say("ROUTE", f"route {execution.route}, position source {execution.position_source}")
        if execution.route == "paper":
            return End.NOTHING, "the paper route has nothing at any broker; nothing was sent, nothing to verify"
        if execution.route == "traderspost":
            return self._by_webhook()
        return self._by_gateway()

    def throw_switch(self) -> None:
        """Forbid entries before anything else; what stood in the file is kept below our line."""
        moment = datetime.now(tz=UTC).isoformat(timespec="seconds")
        path = self.folder.kill_switch
        try:
            self.folder.create()
            before = _read(path)
            replace_atomic(path, f"FLATTEN: by pj flatten, {moment}\n".encode() + before, durable=True)
        except OSError as error:
            self.say("SWITCH_FAILED", f"the kill switch cannot be thrown ({error}); a living engine may send an entry")
            return
        self.say("KILL_SWITCH", f"thrown: no entries until 'pj resume' ({path})")
        if self._engine_lives():
            self.say("ENGINE_LIVES", "the engine is running: it sends no entry now, its own exits may cross ours")

    def _engine_lives(self) -> bool:
        try:
            return is_locked(self.folder.state_folder / "engine.lock")
        except OSError:
            return True  # not known: wait as if it lived

    def _by_gateway(self) -> tuple[End, str]:
        if not self.options["yes"]:
            try:
                self._show(asyncio.run(self._flattener().look()))
            except _gateway_errors() as error:
                return self._failed(error, reached=False)
            if not self._consent():
                return End.DECLINED, "nothing was sent; the kill switch stands until 'pj resume'"
        return self._at_gateway(None)

    def _by_webhook(self) -> tuple[End, str]:
        truth = self.settings.execution.position_source in AT_GATEWAY
        view = self._look_if_possible() if truth else None
        if not self.options["yes"] and not self._consent():
            return End.DECLINED, "nothing was sent; the kill switch stands until 'pj resume'"
        # Where we can close at the gateway ourselves, a dead webhook is not waited for long.
        webhook_s = min(WEBHOOK_S, self.options["timeout"] / 2) if view is not None else self.options["timeout"]
        asked = self._ask_webhook(self._contracts(view), webhook_s)
        if truth:
            return self._at_gateway(asked)
        words = "UNVERIFIED: no position source tells whether the account is flat; look at the broker"
        return (End.UNVERIFIED if asked.reached else End.UNREACHABLE), f"{_words(asked)}; {words}"

    def _at_gateway(self, asked: Asked | None) -> tuple[End, str]:
        """Flatten and verify at the gateway; what the webhook was ``asked`` gets its time first."""
        from pj.ibkr.flatten import summary

        told = f"{_words(asked)}; " if asked is not None else ""
        try:
            verdict = asyncio.run(self._flattener(asked).run())
        except _gateway_errors() as error:
            end, why = self._failed(error, reached=asked is not None and asked.reached)
            return end, told + why
        if verdict.flat:
            return End.FLAT, f"{told}verified at the gateway: {summary(self._scope(), verdict.view)}"
        return End.NOT_FLAT, f"{told}{verdict.why}; {BY_HAND}"

    def _failed(self, error: Exception, *, reached: bool) -> tuple[End, str]:
        """Return how it ended when the gateway could not be worked with; ``reached``: the webhook was."""
        from pj.ibkr.errors import GatewayUnavailable, Misconfigured

        if isinstance(error, Misconfigured):
            return End.MISCONFIGURED, f"{error}; meanwhile {BY_HAND}"
        if isinstance(error, GatewayUnavailable) and not reached:
            return End.UNREACHABLE, f"{error}; {BY_HAND}"
        return End.UNVERIFIED, f"UNVERIFIED: {error}; {BY_HAND}"

    # -- parts -----------------------------------------------------------------------------------------

    def _scope(self) -> Scope:
        from pj.ibkr.flatten import Scope

        return Scope(self.settings.symbol, everything=self.options["all"])

    def _flattener(self, asked: Asked | None = None) -> Flattener:
        """Return a flattener for the time that is left; after a webhook it first gives that its time."""
        from pj.ibkr.client import Endpoint
        from pj.ibkr.flatten import Flattener, Patience

        ibkr = self.settings.ibkr
        total_s = max(1.0, self.options["timeout"] - (time.monotonic() - self.acting_since))
        settle_s = SETTLE_S if asked is None else SETTLE_WEBHOOK_S
        if self._engine_lives():
            settle_s = SETTLE_ENGINE_S
        grace_s = min(GRACE_S, total_s / 3) if asked is not None and asked.taken else 0.0
        endpoint = Endpoint(
            ibkr.host, ibkr.port, ibkr.flatten_client_id, ibkr.account, ibkr.library, ibkr.connect_timeout_s
        )
        return Flattener(endpoint, self._scope(), self._say_seen, Patience(total_s, settle_s, grace_s))

    def _say_seen(self, step: str, text: str, **data: Any) -> None:
        if step == "SEEN":
            self.seen = self.seen or data
        self.say(step, text, **data)

    def _show(self, view: AccountView) -> None:
        from pj.ibkr.flatten import as_data

        self.seen = as_data(self._scope(), view)
        for item in (*self.seen["positions"], *self.seen["orders"]):
            self.say("SEEN_OURS", item)
        for item in self.seen["others"]:
            self.say("SEEN_OTHER", f"{item}: not touched")
        if not self.seen["positions"] and not self.seen["orders"]:
            self.say("SEEN_OURS", f"no position and no working order of {self.settings.symbol}")

    def _look_if_possible(self) -> AccountView | None:
        try:
            view = asyncio.run(self._flattener().look())
        except _gateway_errors() as error:
            self.say("BLIND", f"the position is not known: {error}")
            return None
        self._show(view)
        return view

    def _consent(self) -> bool:
        """Ask on the terminal; everything but y is a no."""
        what = "every future and order of the account" if self.options["all"] else f"all of {self.settings.symbol}"
        sys.stderr.write(f"Cancel and close {what} at market now? [y/N] ")
        sys.stderr.flush()
        answer = sys.stdin.readline().strip().lower()
        self.acting_since = time.monotonic()
        self.say("CONSENT", f"the operator answered {answer!r}")
        return answer in {"y", "yes"}

    def _contracts(self, view: AccountView | None) -> list[str]:
        """Return the contracts to ask flat for: the configured or front one, those seen, those we traded lately."""
        names = [self.settings.contract or front_contract(self.settings.symbol, trade_date(self.clock.now_ns()))]
        if view is not None:
            names += [held.contract for held in self._scope().positions(view)]
            names += [order.seen.contract for order in self._scope().orders(view)]
        return list(dict.fromkeys(names + intended_contracts(self.folder)))

    def _ask_webhook(self, contracts: list[str], timeout_s: float) -> Asked:
        from pj.brokers.flatten import Asked, ask_for_flat
        from pj.brokers.guarded import GuardedBroker
        from pj.brokers.limits import SendLimits
        from pj.brokers.secret_url import SecretUrl
        from pj.brokers.traderspost import TradersPost

        post = self.settings.traderspost
        url = post.webhook_url.get_secret_value()
        if not url:
            self.say("NO_WEBHOOK", "PJ_TRADERSPOST_WEBHOOK_URL is not set here: nothing can be sent to TradersPost")
            return Asked((), (), tuple(contracts), reached=False)
        waits = post.connect_timeout_s, post.read_timeout_s
        adapter = TradersPost(SecretUrl(url), self.settings.instrument, SendLimits(), *waits, self._price_of)
        broker = GuardedBroker(adapter, self.folder)
        try:
            return ask_for_flat(broker, contracts, self.clock, timeout_s, self.say)
        finally:
            broker.close()

    def _price_of(self, contract: str) -> int | None:
        """Return the last price that the bridge told of ``contract``, in ticks; None when it told none."""
        try:
            told = read_stats(self.folder.state("bridge"))
            if told is None or told.gauge("contract", "") != contract:
                return None
            return self.settings.instrument.to_ticks(told.gauge("last_price", ""))
        except (OSError, OffGrid):
            return None  # a damaged stats file knows no price; the exit goes without one


def _read(path: Path) -> bytes:
    try:
        with open_shared(path) as file:
            return file.read(2000)
    except FileNotFoundError:
        return b""


def intended_contracts(folder: RunDir) -> list[str]:
    """Return the contracts of the orders in the last two days' journals; damaged lines are passed over."""
    found: list[str] = []
    for day in folder.days()[-2:]:
        try:
            with open_shared(folder.day(day).journal) as file:
                lines = [line for line in file if b'"INTENT"' in line]
        except OSError:
            continue
        for line in lines:
            try:
                found.append(str(json.loads(line)["data"]["contract"]))
            except (ValueError, KeyError, TypeError):
                continue
    return list(dict.fromkeys(found))


def _gateway_errors() -> tuple[type[Exception], ...]:
    from pj.ibkr.errors import GatewayError, Misconfigured

    return (GatewayError, Misconfigured)


def _words(asked: Asked) -> str:
    parts = (
        ("took exit and cancel of", asked.taken),
        ("refused", asked.refused),
        ("did not answer for", asked.unanswered),
    )
    return "; ".join(f"TradersPost {words} {', '.join(names)}" for words, names in parts if names)
