"""Hand orders over to the bridge through ``orders.jsonl``; what becomes of them are facts that only the bridge has.

So ``send`` never says ACKED or UNKNOWN for the gateway: HANDED means that the row is on the disk itself, and the answer
comes back as an ANSWER row of broker_events.csv. An entry is handed over once in its life, also over restarts: its key
is looked up in the files of the last days first.
"""

from __future__ import annotations

import time
from datetime import date
from typing import Final

from live.commands import PlaceBracket
from pj.brokers.limits import SendLimits
from pj.brokers.port import Answer, Order, Outcome
from pj.channels.appender import AppendFile
from pj.channels.fence import Fence
from pj.channels.files import Locked, WriteFailed, open_shared
from pj.channels.journal import JournalDamaged
from pj.channels.jsonl import sealed_lines
from pj.channels.orders import Asked, BadOrderRow, OrderRow, order_row, read_order_row
from pj.channels.rundir import DayPaths, RunDir

DAYS_READ_BACK: Final = 4


class IbkrOutbox:
    """Append orders to the day's orders.jsonl; used by one thread at a time, under the engine's fence."""

    name = "ibkr"

    def __init__(self, run_dir: RunDir, fence: Fence, limits: SendLimits) -> None:
        """Read which entries were handed over before; no file is opened for writing yet.

        Raises JournalDamaged: on files that are not what was written nobody knows what was handed over.
        """
        self._run_dir = run_dir
        self._fence = fence
        self._limits = limits
        self._file: AppendFile | None = None
        self._day: date | None = None
        self._seq = 0
        self._handed: set[str] = set()
        for day in run_dir.days()[-DAYS_READ_BACK:]:
            self._handed |= {row.key for row in self._rows(run_dir.day(day)) if row.order is Asked.ENTRY}

    def handed_over(self, key: str) -> bool:
        """Return whether the entry of that key stands in a file: only then can it ever have reached the bridge."""
        return key in self._handed

    def send(self, order: Order, now_ns: int) -> Answer:
        """Put ``order`` on the disk; RETRY_SAFE when the disk did not take it, UNKNOWN when it may have."""
        entry = isinstance(order, PlaceBracket)
        if entry and order.key in self._handed:
            return Answer(Outcome.HANDED, "handed-over-before")
        full = self._limits.refuses_entry(now_ns) if entry else ""
        if full:
            return Answer(Outcome.REFUSED, f"limit-{full}")
        try:
            file = self._open(self._run_dir.day_at(now_ns))
            row = order_row(order, self._seq + 1, now_ns, self._fence.epoch, self._fence.instance)
            file.append(row.line())
        except WriteFailed as error:  # what got through was cut again: it is no whole line, so nobody has read it
            return Answer(Outcome.RETRY_SAFE, f"disk-{error.errno}")
        except Locked:
            return Answer(Outcome.RETRY_SAFE, "locked")
        self._seq += 1
        self._limits.count(now_ns, entry=entry)
        if entry:
            self._handed.add(order.key)
        try:
            file.sync()
        except WriteFailed as error:
            return Answer(Outcome.UNKNOWN, f"sync-{error.errno}", sent_mono_ns=time.monotonic_ns())
        return Answer(Outcome.HANDED, sent_mono_ns=time.monotonic_ns())

    def warm(self) -> None:
        """Do nothing: a file needs no connection."""

    def close(self) -> None:
        """Give the file back."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _open(self, day: DayPaths) -> AppendFile:
        if self._file is None or self._day != day.trade_date:
            self.close()
            self._file = AppendFile(day.create().orders)
            self._day = day.trade_date
            self._seq = max((row.seq for row in self._rows(day)), default=0)
        return self._file

    def _rows(self, day: DayPaths) -> list[OrderRow]:
        try:
            with open_shared(day.orders) as file:
                data = file.read()
        except FileNotFoundError:
            return []
        rows = []
        for number, line in enumerate(sealed_lines(data), 1):
            try:
                rows.append(read_order_row(line))
            except BadOrderRow as error:
                raise JournalDamaged(day.orders, number, str(error)) from error
        return rows
