"""Run the real bridge until it comes to one step of an order's life for the first time, and die there as by SIGKILL.

Environment: ``DIE_AT`` names the step, ``DIE_FLAG`` a file that is made at death; once it stands nobody dies any more.
``HANG_S`` makes it hang for so many seconds instead of dying.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pj.ibkr.account import AccountRecorder
from pj.ibkr.order_acts import OrderActs
from pj.ibkr.order_desk import OrderDesk
from pj.ibkr.ordering_client import OrderingClient
from pj.ibkr.placed import PlacedLedger
from pj.processes import ibkr_bridge

STEPS: dict[str, tuple[type, str, int, bool]] = {
    # step: class, method, how many calls before, whether the call is made first
    "row-read": (OrderDesk, "_take", 0, False),
    "before-ledger": (PlacedLedger, "record", 0, False),
    "after-ledger": (PlacedLedger, "record", 0, True),
    "after-parent": (OrderingClient, "put", 0, True),
    "before-last-leg": (OrderingClient, "put", 2, False),
    "after-last-leg": (OrderingClient, "put", 2, True),
    "before-answer": (OrderDesk, "_answer", 0, False),
    "after-answer-row": (AccountRecorder, "answer", 0, True),
    "after-answer": (OrderDesk, "_answer", 0, True),
    "before-cancel": (OrderActs, "_cancel", 0, False),
    "close-ledger": (PlacedLedger, "record", 1, True),
    "close-sent": (OrderingClient, "put", 3, True),
}


def die_there(step: str, flag: Path) -> None:
    owner, name, spared, first = STEPS[step]
    real: Callable[..., Any] = getattr(owner, name)
    calls = 0

    def dying(*args: Any, **more: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls != spared + 1 or flag.exists():
            return real(*args, **more)
        if first:
            real(*args, **more)
        flag.write_text(step)
        if "HANG_S" in os.environ:
            time.sleep(float(os.environ["HANG_S"]))
            return None if first else real(*args, **more)
        os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
        raise SystemExit(137)

    setattr(owner, name, dying)


die_there(os.environ["DIE_AT"], Path(os.environ["DIE_FLAG"]))
sys.exit(ibkr_bridge.main([]))
