"""Run the real bridge process with its waits made short, a clock that can be stepped and a loop that can be stuck.

Environment: ``SHORT_PATIENCE`` the factor; ``SHORT_STEP`` a file that holds the step of the wall clock in seconds;
``SHORT_STUCK`` a file whose existence blocks the main loop for good. A side thread counts into
``SHORT_SIDE`` all along.
"""

from __future__ import annotations

import functools
import os
import sys
import threading
import time
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace

import pj.clock
from pj.ibkr.capture import Capture
from pj.ibkr.liveness import SHIPPED, Patience
from pj.processes import ibkr_bridge

factor = float(os.environ["SHORT_PATIENCE"])
short = Patience(**{field.name: factor * getattr(SHIPPED, field.name) for field in fields(Patience)})
real_beat = Capture.beat


def stepped_ns() -> int:
    step = Path(os.environ["SHORT_STEP"])
    return time.time_ns() + (int(step.read_text() or 0) * 1_000_000_000 if step.exists() else 0)


def beat(capture: Capture) -> None:
    if Path(os.environ["SHORT_STUCK"]).exists():
        time.sleep(600)
    real_beat(capture)


def live_on() -> None:
    for count in range(10**9):
        Path(os.environ["SHORT_SIDE"]).write_text(str(count))
        time.sleep(0.05)


pj.clock.time = SimpleNamespace(time_ns=stepped_ns, monotonic_ns=time.monotonic_ns)  # type: ignore[assignment]
Capture.beat = beat  # type: ignore[method-assign]
ibkr_bridge.Bridge = functools.partial(ibkr_bridge.Bridge, patience=short)  # type: ignore[assignment,misc]
threading.Thread(target=live_on, daemon=True).start()
sys.exit(ibkr_bridge.main([]))
