"""Run the real engine until it comes to one step of an order's life for the first time, and die there as by SIGKILL.

Environment: ``DIE_AT`` names the step, ``DIE_FLAG`` a file that is made at death; once it stands nobody dies any more.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from live.events import ExecutionReported, OrderAcked
from pj.brokers.dispatcher import Dispatcher
from pj.brokers.ibkr_outbox import IbkrOutbox
from pj.channels.appender import AppendFile
from pj.processes import run_live_engine
from pj.processes.engine.book import DayBook


def always(*_: Any) -> bool:
    return True


def of_orders(file: AppendFile, *_: Any) -> bool:
    return file.path.name == "orders.jsonl"


def of_ack(_book: DayBook, event: object, *_: Any) -> bool:
    return isinstance(event, OrderAcked)


def of_fill(_book: DayBook, event: object, *_: Any) -> bool:
    return isinstance(event, ExecutionReported)


STEPS: dict[str, tuple[type, str, Callable[..., bool], bool]] = {
    # step: class, method, which call, whether the call is made first
    "intent-on-disk": (Dispatcher, "submit", always, False),
    "before-row": (IbkrOutbox, "send", always, False),
    "row-not-synced": (AppendFile, "sync", of_orders, False),
    "handed-over": (IbkrOutbox, "send", always, True),
    "ack-not-journaled": (DayBook, "note_input", of_ack, False),
    "ack-journaled": (DayBook, "note_input", of_ack, True),
    "fill-not-journaled": (DayBook, "note_input", of_fill, False),
    "fill-journaled": (DayBook, "note_input", of_fill, True),
}


def die_there(step: str, flag: Path) -> None:
    owner, name, meant, first = STEPS[step]
    real: Callable[..., Any] = getattr(owner, name)

    def dying(*args: Any, **more: Any) -> Any:
        if flag.exists() or not meant(*args):
            return real(*args, **more)
        if first:
            real(*args, **more)
        flag.write_text(step)
        os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
        raise SystemExit(137)

    setattr(owner, name, dying)


die_there(os.environ["DIE_AT"], Path(os.environ["DIE_FLAG"]))
sys.exit(run_live_engine.main([]))
