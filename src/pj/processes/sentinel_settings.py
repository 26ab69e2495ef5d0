"""Print what the Sentinel needs of the settings as JSON: ``python -P -m pj.processes.sentinel_settings``.

It ends at once and takes the libraries that read settings with it. Exit codes: 0 printed, 2 settings cannot be used.
"""

from __future__ import annotations

import os
import sys

from pj.channels.redact import guard_process
from pj.config import ConfigError, load_settings
from pj.supervision.settings import of_settings


def main() -> int:
    """Print the values, or the sentence that says what is wrong; return the exit code."""
    try:
        settings = load_settings()
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write(of_settings(settings).to_json() + "\n")
    return 0


if __name__ == "__main__":
    guard_process(os.environ)
    sys.exit(main())
