"""Run the bridge process: the IBKR feed and account to the files of the run folder.

``python -P -m pj.processes.ibkr_bridge``. Exit codes: 0 stopped on request, 1 capturing cannot go on (disk, another
bridge) or the feed stays dead on a living connection, 2 configuration. A gateway that is not there is waited for,
never an exit.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import uuid
from collections.abc import Sequence

from live.market import INSTRUMENTS
from pj.channels.files import Locked, WriteFailed
from pj.channels.logs import EventLog, open_log
from pj.channels.redact import guard_process, learn
from pj.channels.rundir import RunDir
from pj.channels.tape import TapeDamaged
from pj.clock import Clock, ClockError, clock_from_env
from pj.config import ConfigError, Settings, load_settings
from pj.ibkr.bridge import PROCESS, Bridge
from pj.ibkr.errors import FeedDead, Misconfigured
from pj.ibkr.library import choose_library

STOPPED, FAILED, MISCONFIGURED = 0, 1, 2
SIGNALS = ("SIGTERM", "SIGINT", "SIGBREAK")


def main(argv: Sequence[str] | None = None) -> int:
    """Run until stopped; return the exit code."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    if arguments:
        print(f"ibkr_bridge takes no arguments, not {' '.join(arguments)}; it is set by PJ_CONFIG", file=sys.stderr)
        return MISCONFIGURED
    try:
        settings = load_settings()
        learn(settings.traderspost.webhook_url.get_secret_value())  # it may stand in .env, which only settings read
        clock = clock_from_env()
        choose_library(settings.ibkr.library)
    except (ConfigError, ClockError, Misconfigured) as error:
        print(error, file=sys.stderr)
        return MISCONFIGURED
    run = RunDir(settings.run_dir, INSTRUMENTS[settings.symbol])
    try:
        run.create()
        log = open_log(settings.run_dir, PROCESS)
    except OSError as error:
        print(f"run_dir {settings.run_dir} cannot be written: {error}; correct the key", file=sys.stderr)
        return MISCONFIGURED
    code = _guarded(settings, run, clock, log)
    log.event("EXIT", code=code)
    log.close()
    return code


def _guarded(settings: Settings, run: RunDir, clock: Clock, log: EventLog) -> int:
    try:
        asyncio.run(_live(settings, run, clock, log))
    except Misconfigured as error:
        log.error("MISCONFIGURED", error=error)  # noqa: TRY400 - one sentence, no traceback
        print(error, file=sys.stderr)
        return MISCONFIGURED
    except (Locked, WriteFailed, TapeDamaged, FeedDead) as error:
        log.error("FAILED", error=error)  # noqa: TRY400 - one sentence, no traceback
        print(error, file=sys.stderr)
        return FAILED
    return STOPPED


async def _live(settings: Settings, run: RunDir, clock: Clock, log: EventLog) -> None:
    instance = os.environ.get("PJ_INSTANCE") or uuid.uuid4().hex
    bridge = Bridge(settings, run, INSTRUMENTS[settings.symbol], clock, instance)
    loop = asyncio.get_running_loop()
    for name in SIGNALS:
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), lambda *_: loop.call_soon_threadsafe(bridge.stop))
    log.event("START", pid=os.getpid(), instance=instance, host=settings.ibkr.host, port=settings.ibkr.port)
    await bridge.run()


if __name__ == "__main__":
    guard_process(os.environ, output=True)
    sys.exit(main())
