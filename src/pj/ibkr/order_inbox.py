"""Read and write the desk's files: the rows of orders.jsonl, the account as our own files left it, WORKING cells."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from live.market import Instrument, OffGrid
from pj.channels.csvlog import read_rows
from pj.channels.formats import BROKER_EVENT_COLUMNS
from pj.channels.orders import ORDERS_FILE, OrderRow, OrderRows
from pj.channels.rundir import RunDir
from pj.channels.tailer import DayFollower
from pj.clock import Clock
from pj.ibkr.account import DAYS_READ_BACK
from pj.ibkr.account_wire import MalformedMessage
from pj.ibkr.client import Tap
from pj.ibkr.order_book import Working
from pj.ibkr.position_truth import PositionTruth

if TYPE_CHECKING:
    from pj.channels.wake import Notifier

POLL_S: Final = 0.5
log = logging.getLogger("pj.bridge.orders")


class OrderInbox:
    """Follow orders.jsonl from the newest one there is, woken by notification and at the latest every POLL_S."""

    def __init__(self, run: RunDir, clock: Clock) -> None:
        """Begin at the start of the newest file; the reader passes over what it took before."""
        self.bad_rows = 0
        self._run = run
        self._clock = clock
        days = [day for day in run.days() if run.day(day).orders.exists()]
        start = days[-1] if days else run.day_at(clock.now_ns()).trade_date
        self._follower: DayFollower[OrderRow] = DayFollower(run, ORDERS_FILE, lambda *_: OrderRows(self._bad), start)
        self._grown = asyncio.Event()
        self._notifier: Notifier | None = None

    def rows(self) -> Iterator[tuple[OrderRow, tuple[str, int]]]:
        """Return what was appended since, each row with its place (trade date, seq); raises TailBroken."""
        while rows := self._follower.poll():
            for row in rows:
                yield row, (self._follower.day.isoformat(), row.seq)

    async def wait(self) -> None:
        """Return when the file grew or POLL_S passed."""
        self._watch()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._grown.wait(), POLL_S)
        self._grown.clear()

    def close(self) -> None:
        """Stop following."""
        self._follower.close()
        if self._notifier is not None:
            self._notifier.close()

    def _watch(self) -> None:
        if self._notifier is None:
            from pj.channels.wake import Notifier  # its library is loaded only where orders are taken

            loop = asyncio.get_running_loop()
            self._notifier = Notifier()
            self._notifier.subscribe(lambda: (loop.call_soon_threadsafe(self._grown.set), None)[1], {ORDERS_FILE})
        self._notifier.watch(self._run.day_at(self._clock.now_ns()).folder)

    def _bad(self, why: str) -> None:
        self.bad_rows += 1
        log.error("ORDER_ROW_UNREADABLE why=%r", why)


def recall(run: RunDir, truth: PositionTruth) -> None:
    """Tell ``truth`` the account as our own files left it, so that a report that lags behind them is known as such."""
    for day in run.days()[-DAYS_READ_BACK:]:
        for row in read_rows(run.day(day).broker_events, BROKER_EVENT_COLUMNS):
            match row["kind"]:
                case "POSITION":
                    truth.reported(row["contract"], int(row["position"]))
                case "EXECUTION":
                    side = 1 if row["side"] == "BUY" else -1
                    truth.executed(row["exec_id"], row["contract"], side * int(Decimal(row["qty"])))
                case "STATUS" if row["status"] == "connected":
                    truth.ground()
                case _:
                    pass


def tolerant(reader: Callable[[list[str]], None]) -> Tap:
    """Return a tap that passes over what cannot be read: the recorder reads the same message, counts and logs it."""

    def tap(fields: list[str]) -> bool:
        with suppress(MalformedMessage):
            reader(fields)
        return False

    return tap


def cells(one: Working, instrument: Instrument) -> dict[str, str]:
    """Return the cells of a WORKING row; a foreign price off our grid is left out."""
    try:
        price = instrument.to_points(instrument.to_ticks(one.price)) if one.price else ""
    except OffGrid:
        price = ""
    return {
        "order_id": str(one.name[1]),
        "client_id": str(one.name[0]),
        "order_ref": one.key,
        "status": one.leg.value,
        "side": "BUY" if one.side > 0 else "SELL",
        "remaining": str(one.qty),
        "price": price,
        "contract": one.contract,
    }
