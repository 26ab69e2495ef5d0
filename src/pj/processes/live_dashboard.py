"""Run the dashboard: ``python -P -m pj.processes.live_dashboard [--once] [--export-svg FILE] [--headless]``."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from live.params import ParamsError
from pj.channels.files import WriteFailed
from pj.channels.redact import guard_process, learn
from pj.clock import ClockError, clock_from_env
from pj.config import ConfigError, load_settings

if TYPE_CHECKING:
    from collections.abc import Sequence

SMALLEST = (40, 10)


def _size(text: str) -> tuple[int, int]:
    columns, by, lines = text.lower().partition("x")
    if not (by and columns.isdecimal() and lines.isdecimal()):
        raise argparse.ArgumentTypeError(f"{text!r} is not COLUMNSxLINES, for instance 160x50")
    size = int(columns), int(lines)
    if size[0] < SMALLEST[0] or size[1] < SMALLEST[1]:
        raise argparse.ArgumentTypeError(f"{text!r} is too small; the least is {SMALLEST[0]}x{SMALLEST[1]}")
    return size


def main(argv: Sequence[str] | None = None) -> int:
    """Show the dashboard; return 0, 1 when asked once and the system does not run, 2 for unusable settings."""
    parser = argparse.ArgumentParser(prog="live_dashboard", description="Show what the PJ Engine does.")
    parser.add_argument("--once", action="store_true", help="print one frame; exit 1 when the system is not running")
    parser.add_argument(
        "--export-svg", type=Path, metavar="FILE", help="write one frame as a picture; exit code as --once"
    )
    parser.add_argument("--size", type=_size, metavar="COLUMNSxLINES", help="size of the one frame")
    parser.add_argument("--headless", action="store_true", help="draw into state/dashboard.txt instead of a console")
    options = parser.parse_args(argv)
    try:
        settings = load_settings()
        learn(settings.traderspost.webhook_url.get_secret_value())
        clock = clock_from_env()
        from pj.dashboard.app import once, run  # brings rich: not for a wrong key or --help

        if options.once or options.export_svg:
            return once(settings, clock, options.size, options.export_svg)
        return run(settings, clock, headless=options.headless)
    except (ConfigError, ClockError, ParamsError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except WriteFailed as error:
        sys.stderr.write(f"{error}\n")
        return 3


if __name__ == "__main__":
    guard_process(os.environ)
    sys.exit(main())
