"""Run the product's own Sentinel over the benchmark's children: ``sentinel_entry.py FOLDER NAME=MODE ...``.

Everything is ``pj.processes.sentinel_watchdog`` with its settings (PJ__ variables); only the children's command lines
are exchanged.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pj.channels.redact import guard_process
from pj.processes import sentinel_watchdog

if TYPE_CHECKING:
    from collections.abc import Sequence

CHILD = str(Path(__file__).with_name("child.py"))


def main(folder: str, modes: dict[str, str]) -> int:
    """Run until stopped and return the Sentinel's exit code."""

    def commands(names: Sequence[str], *, headless: bool) -> dict[str, tuple[str, ...]]:
        return {name: (sys.executable, "-P", CHILD, folder, name, modes[name], "0") for name in names}

    sentinel_watchdog.default_commands = commands
    return sentinel_watchdog.main(["--headless", "--only", ",".join(modes)])


if __name__ == "__main__":
    guard_process(os.environ)
    sys.exit(main(sys.argv[1], dict(pair.split("=") for pair in sys.argv[2:])))
