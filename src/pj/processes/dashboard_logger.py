"""Run the Scribe: copy ticks, bars and trades into the audit spreadsheet.

``python -P -m pj.processes.dashboard_logger``. It only reads files and calls Sheets, so nothing here can hold up the
bridge or the engine. The copying runs in one thread; the main loop beats the stats file and ends the process when
that thread has died or shows no sign of life. Exit codes: 0 stopped, 1 a defect or a full disk, 2 configuration,
credentials or a spreadsheet that holds something else.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Final

from pj.channels.files import HeldLock, Locked, lock_file
from pj.channels.logs import EventLog, open_log
from pj.channels.redact import guard_process, learn, learn_service_account
from pj.channels.rundir import RunDir
from pj.channels.stats import StatsWriter
from pj.clock import Clock, ClockError, clock_from_env
from pj.config import ConfigError, Settings, load_settings
from pj.sheets.client import AccessDenied, CredentialsUnusable, SheetsApi
from pj.sheets.opening import SheetUnusable
from pj.sheets.scribe import Scribe
from pj.sheets.streams import SourceDamaged

NAME: Final = "scribe"
DRAIN_S: Final = 4.0
END_S: Final = 4.6
LOCK_WAIT_S: Final = 2.0
#: Longer than any call may take (connect, read, token), so that only a stuck thread is called stuck.
STUCK_S: Final = 90.0
STEP_S: Final = 0.1
FATAL: Final = (SheetUnusable, AccessDenied, SourceDamaged)


@dataclass(slots=True)
class Run:
    """Hold the copying thread and how it ended."""

    scribe: Scribe
    error: BaseException | None = None
    thread: threading.Thread = field(init=False)

    def start(self) -> None:
        """Start copying."""
        self.thread = threading.Thread(target=self._work, name="scribe", daemon=True)
        self.thread.start()

    def _work(self) -> None:
        try:
            self.scribe.run()
        except BaseException as error:  # noqa: BLE001 (the main loop logs it and ends with its exit code)
            self.error = error


def main(argv: Sequence[str] | None = None) -> int:
    """Run until stopped; return the exit code. Takes no arguments: everything is in the settings."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments:
        return _refuse(f"unknown argument {arguments[0]!r}; the scribe takes none, settings come from config.yaml")
    try:
        settings, clock = load_settings(), clock_from_env()
    except (ConfigError, ClockError) as error:
        return _refuse(str(error))
    learn(settings.traderspost.webhook_url.get_secret_value())
    stop = _stop_signals()
    run_dir = RunDir(settings.run_dir, settings.instrument).create()
    log = open_log(settings.run_dir, NAME)
    stats = StatsWriter(run_dir.state(NAME), NAME, os.environ.get("PJ_INSTANCE") or uuid.uuid4().hex)
    code = _copy(settings, clock, run_dir, log, stats, stop) if settings.sheets.enabled else _idle(stats, clock, stop)
    log.close()  # not after an exception: the log takes its traceback
    return code


def _copy(
    settings: Settings, clock: Clock, run_dir: RunDir, log: EventLog, stats: StatsWriter, stop: threading.Event
) -> int:
    sheets = settings.sheets
    if not sheets.spreadsheet_id:
        return _refuse(
            "sheets.spreadsheet_id is empty: make a spreadsheet, share it with the service account as Editor and"
            " enter its id, or set sheets.enabled to false",
            log,
        )
    stats.beat("STARTING", enabled=True, run_ns=clock.now_ns())
    try:
        # Two writers of one tab would overwrite each other: one scribe per run folder (services.md 2.3).
        held = lock_file(run_dir.state_folder / "sheets.lock", LOCK_WAIT_S)
        _learn_key(sheets.service_account_file)
        api = SheetsApi(sheets.service_account_file, sheets.spreadsheet_id, sheets.api_base)
    except CredentialsUnusable as error:
        held.release()
        return _refuse(str(error), log)
    except Locked as error:
        log.warning("LOCKED", why=str(error))
        sys.stderr.write(f"{error}\n")
        return 1
    return _watch(Run(Scribe(api, run_dir, sheets, clock, log)), held, log, stats, stop)


def _learn_key(path: Path) -> None:
    """Mask the key wherever it might be printed; a file that cannot be read is refused by the next call."""
    try:
        learn_service_account(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return


def _watch(run: Run, held: HeldLock, log: EventLog, stats: StatsWriter, stop: threading.Event) -> int:
    """Beat while the thread copies; return the exit code when it ended or was stopped."""
    scribe = run.scribe
    log.event("START", spreadsheet=scribe.api.spreadsheet_id, account=scribe.api.client_email)
    run.start()
    end_ns = 0
    while run.thread.is_alive():
        if stop.is_set() and not end_ns:
            scribe.stop(DRAIN_S)
            end_ns = time.monotonic_ns() + int(END_S * 1e9)
        if end_ns and time.monotonic_ns() > end_ns:
            break  # a call is under way; its places are stored, the next start repeats it
        if time.monotonic_ns() - scribe.caller.turned_ns > STUCK_S * 1e9:
            log.error("STUCK", seconds=STUCK_S)
            return 1
        stats.beat_if_due(_phase(scribe, stopping=bool(end_ns)), run_ns=scribe.clock.now_ns(), **scribe.gauges())
        run.thread.join(min(STEP_S, stats.due_in_s() + 0.01))
    stats.beat("STOPPING", run_ns=scribe.clock.now_ns(), **scribe.gauges())
    held.release()
    if run.error is None:
        log.event("STOP", lag_rows=scribe.lag_rows())
        return 0
    if isinstance(run.error, FATAL):
        return _refuse(str(run.error), log)
    log.error("FAILED", error=repr(run.error))
    print(f"scribe: {run.error}", file=sys.stderr)
    return 1


def _phase(scribe: Scribe, *, stopping: bool) -> str:
    if stopping:
        return "STOPPING"
    if not scribe.opened:
        return "CONNECTING"
    return "RECOVERING" if scribe.caller.counts.last_error else "RUNNING"


def _idle(stats: StatsWriter, clock: Clock, stop: threading.Event) -> int:
    """Say that the sheet is switched off and wait: the Sentinel expects a living process."""
    while not stop.wait(STEP_S):
        stats.beat_if_due("WAITING", run_ns=clock.now_ns(), enabled=False)
    stats.beat("STOPPING", run_ns=clock.now_ns(), enabled=False)
    return 0


def _stop_signals() -> threading.Event:
    stop = threading.Event()

    def handler(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    for name in ("SIGTERM", "SIGINT", "SIGBREAK"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), handler)
    return stop


def _refuse(sentence: str, log: EventLog | None = None) -> int:
    if log is not None:
        log.error("REFUSED", why=sentence)
    print(f"scribe: {sentence}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    guard_process(os.environ, output=True)
    sys.exit(main())
