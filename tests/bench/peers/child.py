"""Be supervised, the same under every tool: ``child.py FOLDER NAME MODE UDP_PORT``.

The first instruction reads the clock; the row ``NAME PID BORN_NS`` (CLOCK_MONOTONIC) goes to FOLDER/births.txt.
healthy beats once a second into FOLDER/state/NAME.stats.json, and by datagram to UDP_PORT unless it is 0;
crash exits 1 at once.
"""

from __future__ import annotations

import time

BORN_NS = time.monotonic_ns()

import os  # noqa: E402 - the first instruction is measured
import sys  # noqa: E402

folder, name, mode, udp_port = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
births = os.open(f"{folder}/births.txt", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
os.write(births, f"{name} {os.getpid()} {BORN_NS}\n".encode())
os.close(births)
if mode == "crash":
    sys.stderr.write("the sky fell\n")
    sys.exit(1)

import signal  # noqa: E402
import socket  # noqa: E402
from pathlib import Path  # noqa: E402

from pj.channels.stats import StatsWriter  # noqa: E402

signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(0))
signal.signal(signal.SIGINT, lambda _number, _frame: sys.exit(0))
stats = StatsWriter(Path(folder) / "state" / f"{name}.stats.json", name, os.environ.get("PJ_INSTANCE", ""))
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
while True:
    if stats.beat_if_due("RUNNING") and udp_port:
        # The format that circus's watchdog plugin reads by default.
        sender.sendto(f"{os.getpid()};{time.time()}".encode(), ("127.0.0.1", udp_port))
    time.sleep(stats.due_in_s())
