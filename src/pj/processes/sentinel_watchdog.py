"""Run the Sentinel: start the bridge, the engine, the scribe and the dashboard, and keep them alive.

``python -P -m pj.processes.sentinel_watchdog [--headless] [--only bridge,engine]``

It imports no library that reads settings: see ``pj.supervision.settings``.
"""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

from pj.channels.redact import guard_process
from pj.channels.rundir import RunDir
from pj.clock import ClockError, clock_from_env
from pj.settings_text import ConfigError
from pj.supervision.child import Limits
from pj.supervision.duties import HaltRules
from pj.supervision.settings import from_json, read_settings
from pj.supervision.spawn import MODULES
from pj.supervision.start import EXIT_USAGE, default_commands, restart_policy, run_sentinel
from pj.supervision.terminal import Terminal, open_terminal

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run until stopped; return the documented exit code."""
    parser = argparse.ArgumentParser(prog="sentinel_watchdog", description="Start and watch the PJ Engine's processes.")
    parser.add_argument("--headless", action="store_true", help="no dashboard on this terminal; it draws into a file")
    parser.add_argument("--only", default=",".join(MODULES), metavar="NAMES", help="processes to run, comma-separated")
    parser.add_argument("--settings", metavar="JSON", help="what 'pj up' has read; without it they are read here")
    options = parser.parse_args(argv)
    names = [name for name in options.only.split(",") if name]
    unknown = [name for name in names if name not in MODULES]
    if unknown or not names:
        what = f"process {unknown[0]!r} is unknown" if unknown else "no process is named"
        sys.stderr.write(f"--only: {what}; use {', '.join(MODULES)}\n")
        return EXIT_USAGE
    try:
        settings = from_json(options.settings) if options.settings else read_settings(os.environ)
        clock = clock_from_env()
    except (ConfigError, ClockError) as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_USAGE
    if not settings.sheets_enabled:
        names = [name for name in names if name != "scribe"]
    headless = options.headless or "dashboard" not in names
    terminal = Terminal() if headless else open_terminal()
    times = settings.supervision
    return run_sentinel(
        RunDir(settings.run_dir, settings.instrument),
        default_commands(names, headless=headless or (sys.platform != "win32" and not terminal.lent)),
        limits=Limits(times.silent_s, times.start_grace_s, times.stop_s),
        policy=restart_policy(times.backoff_min_s, times.backoff_max_s, times.max_restarts, times.window_s),
        check_s=times.check_s,
        clock=clock,
        terminal=terminal,
        env=os.environ,
        session_overrides=settings.session_overrides,
        halt=HaltRules(times.slow_retry_s, times.slow_retry_closed_s, times.on_halt == "flatten"),
        disarmed=settings.profile == "live",
        windows_console=not headless,
    )


if __name__ == "__main__":
    guard_process(os.environ)
    try:
        sys.exit(main())
    except KeyboardInterrupt:  # before the Sentinel listens to signals: nothing has been started yet
        sys.stderr.write("stopped by the operator\n")
