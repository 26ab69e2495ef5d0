"""Send orders without end under a fence, as an engine's sender would: ``fenced_sender.py RUN_DIR PORT INSTANCE``.

Every line on standard output is one answer: kind of order, outcome, code.
"""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

from live.commands import CancelOrders, ClosePosition, PlaceBracket
from live.market import INSTRUMENTS
from pj.brokers.dispatcher import Dispatcher
from pj.brokers.guarded import GuardedBroker
from pj.brokers.limits import SendLimits
from pj.brokers.port import Order
from pj.brokers.secret_url import SecretUrl
from pj.brokers.traderspost import TradersPost
from pj.channels.fence import Fence
from pj.channels.rundir import RunDir
from pj.clock import SystemClock

MNQ = INSTRUMENTS["MNQ"]


def orders(number: int, now_ns: int) -> list[Order]:
    """Return one order of each kind."""
    return [
        PlaceBracket(f"p@{number}:ENTRY", "MNQZ6", 1, 1, 100_000, 99_900, 100_200, now_ns, "p"),
        ClosePosition(f"p@{number}:EXIT", "MNQZ6", 1, "TIME", now_ns),
        CancelOrders(f"p@{number}:CANCEL", "MNQZ6", "x", now_ns),
    ]


def main() -> None:
    """Send until killed."""
    root, port, instance = sys.argv[1:]
    folder, clock = RunDir(Path(root), MNQ), SystemClock()
    url = SecretUrl(f"http://127.0.0.1:{port}/trading/webhook/6f9619ff-8b86-d011-b42d-00cf4fc964ff/pw")
    never_full = SendLimits(10**9, 10**9, 10**9)
    answered = threading.Event()
    fence = Fence(folder, "engine", instance)
    broker = GuardedBroker(TradersPost(url, MNQ, never_full), folder)
    dispatcher = Dispatcher(broker, clock, answered.set, fence.sending)
    number = 0
    while True:
        number += 1
        for order in orders(number, clock.now_ns()):
            dispatcher.submit(order)
        while dispatcher.waiting:
            answered.wait(0.05)
            answered.clear()
            for result in dispatcher.drain():
                kind = result.order.key.partition(":")[2]
                print(kind, result.answer.outcome.value, result.answer.code, flush=True)
        dispatcher.warm()
        time.sleep(0.002)


if __name__ == "__main__":
    main()
