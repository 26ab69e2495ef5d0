"""Run the engine process: tape to bars to decisions to orders, everything journaled before it acts.

``python -P -m pj.processes.run_live_engine``. Exit codes: 0 stopped on request, 1 it cannot go on (disk, another
engine, no valid fence, a file that was cut), 2 configuration, 4 journal or bars are damaged: nobody may trade on them.
"""

from __future__ import annotations

import os
import signal
import sys
import uuid
from collections.abc import Sequence
from types import FrameType
from typing import Final

from live.engine import Route
from live.params import Params, ParamsError
from pj.brokers.dispatcher import Dispatcher
from pj.channels.appender import FormatMismatch
from pj.channels.fence import Fence, FenceLost, GrantFailed, grant
from pj.channels.files import Locked, WriteFailed, is_locked, lock_file
from pj.channels.journal import JournalDamaged
from pj.channels.logs import EventLog, open_log
from pj.channels.redact import guard_process
from pj.channels.rundir import RunDir
from pj.channels.stats import StatsWriter
from pj.channels.tailer import TailBroken
from pj.clock import Clock, ClockError, clock_from_env
from pj.config import ConfigError, Settings, load_settings, unsaid
from pj.processes.engine.recorded import RecordDamaged, RouteChanged
from pj.processes.engine.shell import Shell
from pj.processes.engine.startup import Context

PROCESS: Final = "engine"
STOPPED, FAILED, MISCONFIGURED, HALTED = 0, 1, 2, 4
LOCK_WAIT_S: Final = 2.0
SIGNALS: Final = ("SIGTERM", "SIGINT", "SIGBREAK")


def main(argv: Sequence[str] | None = None) -> int:
    """Run until stopped; return the exit code."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    if arguments:
        print(f"run_live_engine takes no arguments, not {' '.join(arguments)}; it is set by PJ_CONFIG", file=sys.stderr)
        return MISCONFIGURED
    try:
        settings, clock = load_settings(), clock_from_env()
        params = settings.params()
        run_dir = RunDir(settings.run_dir, settings.instrument).create()
        log = open_log(settings.run_dir, PROCESS)
    except (ConfigError, ClockError, ParamsError) as error:
        print(error, file=sys.stderr)
        return MISCONFIGURED
    except OSError as error:
        print(f"run_dir {settings.run_dir} cannot be written: {error}; correct the key", file=sys.stderr)
        return MISCONFIGURED
    code = _guarded(settings, run_dir, params, clock, log)
    log.event("EXIT", code=code)
    log.close()
    return code


def _guarded(settings: Settings, run_dir: RunDir, params: Params, clock: Clock, log: EventLog) -> int:
    """Live, and turn what ends it into one sentence and an exit code."""
    try:
        _live(settings, run_dir, params, clock, log)
    except (ConfigError, ParamsError, RouteChanged, FormatMismatch) as error:
        code, words = MISCONFIGURED, str(error)
    except (JournalDamaged, RecordDamaged) as error:
        code, words = HALTED, str(error)
    except (FenceLost, GrantFailed, Locked, WriteFailed, TailBroken) as error:
        code, words = FAILED, str(error)
    else:
        return STOPPED
    log.error("ENDED", code=code, why=words)
    print(words, file=sys.stderr)
    return code


def _live(settings: Settings, run_dir: RunDir, params: Params, clock: Clock, log: EventLog) -> None:
    token = os.environ.get("PJ_INSTANCE", "")
    if not token:
        _refuse_beside_a_sentinel(run_dir)
    instance = token or uuid.uuid4().hex
    route = Route.SIMULATED if settings.execution.route == "paper" else Route.BROKER
    context = Context(settings, run_dir, clock, log, route, instance)
    shell = Shell(context, params, StatsWriter(run_dir.state(PROCESS), PROCESS, instance))
    _stop_on_signals(shell)
    # Held before anything is read: an engine that is still ending must not write behind a reader's back. And held
    # before a fence is granted: an engine started by mistake must not take it from the one that runs.
    with lock_file(run_dir.state_folder / "engine.lock", LOCK_WAIT_S):
        if not token:
            grant(run_dir, PROCESS, instance)
        fence = Fence(run_dir, PROCESS, instance)
        words = {"route": settings.execution.route, "symbol": settings.symbol}
        log.event("START", pid=os.getpid(), instance=instance, epoch=fence.epoch, **words)
        shell.run(fence, _dispatcher(settings, run_dir, clock, shell, fence))


def _refuse_beside_a_sentinel(run_dir: RunDir) -> None:
    """Raise FenceLost when a Sentinel rules: it alone grants the fence, and it has an engine of its own."""
    if is_locked(run_dir.state_folder / "sentinel.lock"):
        raise FenceLost(
            f"a Sentinel rules {run_dir.root} and starts the engine itself; use 'pj restart engine', or 'pj stop' first"
        )


def _stop_on_signals(shell: Shell) -> None:
    def stop(_signal: int, _frame: FrameType | None) -> None:
        shell.request_stop()

    for name in SIGNALS:
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), stop)


def _dispatcher(settings: Settings, run_dir: RunDir, clock: Clock, shell: Shell, fence: Fence) -> Dispatcher | None:
    """Return the sender of the configured route, None on paper; raise ConfigError for a route that cannot be had."""
    execution = settings.execution
    if execution.route == "paper":
        return None
    if execution.route == "ibkr":
        source = execution.position_source
        if source in {"none", "manual"}:
            raise ConfigError(
                f"execution.position_source is {source}, but route ibkr knows the position; set it to ibkr"
            )
        return _through_the_bridge(run_dir, shell, fence, clock, execution.max_signal_age_s)
    if unsaid(settings):
        raise ConfigError(unsaid(settings))
    url = settings.traderspost.webhook_url.get_secret_value()
    if not url:
        raise ConfigError(
            "execution.route is traderspost but PJ_TRADERSPOST_WEBHOOK_URL is not set; put the webhook's address there"
        )
    # Imported here and not at the top: the paper route needs no HTTP library.
    from pj.brokers.guarded import GuardedBroker
    from pj.brokers.secret_url import SecretUrl
    from pj.brokers.traderspost import TradersPost

    times = settings.traderspost
    secret = SecretUrl(url)
    waits = times.connect_timeout_s, times.read_timeout_s
    adapter = TradersPost(secret, settings.instrument, shell.limits, *waits, shell.price_of)
    broker = GuardedBroker(adapter, run_dir)
    wake, refuses = shell.wake.set, shell.refuses_entry
    return Dispatcher(broker, clock, wake, fence.sending, execution.max_signal_age_s, refuses)


def _through_the_bridge(run_dir: RunDir, shell: Shell, fence: Fence, clock: Clock, max_age_s: float) -> Dispatcher:
    """Return the sender that hands orders over to the bridge in orders.jsonl."""
    from pj.brokers.guarded import GuardedBroker
    from pj.brokers.ibkr_outbox import IbkrOutbox

    adapter = IbkrOutbox(run_dir, fence, shell.limits)
    shell.was_handed = adapter.handed_over
    return Dispatcher(
        GuardedBroker(adapter, run_dir), clock, shell.wake.set, fence.sending, max_age_s, shell.refuses_entry
    )


if __name__ == "__main__":
    guard_process(os.environ, output=True)
    sys.exit(main())
