"""A real child process for the Sentinel's tests: ``tiny_child.py RUN_DIR NAME MODE``.

healthy beats and ends on SIGTERM; stubborn ignores SIGTERM; config exits 2 with a sentence; crash exits 1 at once;
planted does so as long as the file ``bomb`` lies in the run folder.
"""

from __future__ import annotations

import os
import signal
import sys
import time

BORN_NS = time.monotonic_ns()

from pathlib import Path  # noqa: E402 - the first instruction is measured

run_dir, name, mode = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
with (run_dir / "births.txt").open("a") as births:
    births.write(f"{name} {os.getpid()} {BORN_NS}\n")

from pj.channels.stats import StatsWriter  # noqa: E402

if mode == "config":
    sys.stderr.write("ibkr.port is 99999; use 1 to 65535\n")
    sys.exit(2)
if mode == "crash" or (mode == "planted" and (run_dir / "bomb").exists()):
    sys.stderr.write("the sky fell\n")
    sys.exit(1)

stopping: list[int] = []
signal.signal(signal.SIGTERM, lambda number, _frame: stopping.append(number))
signal.signal(signal.SIGINT, lambda number, _frame: stopping.append(number))
stats = StatsWriter(run_dir / "state" / f"{name}.stats.json", name, os.environ["PJ_INSTANCE"], every_s=0.1)
while not stopping or mode == "stubborn":
    stats.beat_if_due("RUNNING")
    time.sleep(0.01)
with (run_dir / "ends.txt").open("a") as ends:
    ends.write(f"{name} {time.monotonic_ns()}\n")
