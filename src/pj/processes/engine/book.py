"""Write down what happens before anything acts on it: one day's journal, bars.csv and trades.csv.

While a day is replayed the same calls compare instead of write: a row that the journal already
holds must come out again, equal and in order; what a crash kept from being written is appended.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any, Final

from live.commands import Command, CorrectTrade, RecordEvent, RecordTrade, ThrowKillSwitch
from live.events import Event, Mode
from live.market import NS_PER_S, Bar, Instrument
from live.records import TRADE_COLUMNS, trade_row
from live.trading_day import iso_utc
from pj.channels.anchors import ANCHOR, Anchor, FileSum
from pj.channels.csvlog import CsvLog, read_rows
from pj.channels.formats import BAR_COLUMNS, PriceText, bar_row
from pj.channels.journal import JournalLine, open_journal
from pj.channels.rundir import DayPaths, RunDir
from pj.clock import Clock
from pj.processes.engine.rows import (
    DURABLE_TYPES,
    OUTPUT_TYPES,
    TOLD_TYPES,
    Order,
    input_row,
    intent_data,
    output_row,
    same_output,
)

KEPT_NOTES: Final = 20


class DayBook:
    """Hold the three files of one trade date open; ``after_bar`` counts the bars of bars.csv the core has taken.

    ``synced`` names the last line that is surely on the disk itself: what may be anchored elsewhere.
    """

    def __init__(self, run_dir: RunDir, day: DayPaths, instrument: Instrument, clock: Clock) -> None:
        """Open (or continue) the day. Raises JournalDamaged, Locked, FormatMismatch, WriteFailed."""
        self.day = day.create()
        self.after_bar = 0
        self.mismatch = ""
        self.notes: deque[str] = deque(maxlen=KEPT_NOTES)
        self._instrument = instrument
        self._prices = PriceText(instrument)
        self._clock = clock
        self.journal = open_journal(run_dir, day)
        self.lines: list[JournalLine] = list(self.journal.lines)
        self._bars = CsvLog(day.bars, BAR_COLUMNS)
        self._trades = CsvLog(day.trades, TRADE_COLUMNS)
        self._trade_ids = {row["trade_id"] for row in read_rows(day.trades, TRADE_COLUMNS)}
        self._expected = deque(line for line in self.lines if line.type in OUTPUT_TYPES)
        self.bars_first = False
        self._unsynced_bars = True  # as far as we know: the last writer may have died before it synced
        self._replaying = True
        self._anchored_at = 0
        self.synced: Anchor | None = None
        self._bars_sum = FileSum(day.bars)

    @property
    def head(self) -> str:
        """Return the journal's head hash."""
        return self.journal.head

    def add_bar(self, bar: Bar) -> None:
        """Append one closed bar."""
        self._bars.append(bar_row(bar, self._prices))
        self._unsynced_bars = True

    def note(self, kind: str, data: Mapping[str, Any], *, durable: bool = False) -> JournalLine:
        """Append one line; ``durable`` puts it, and the bars before it, on the disk itself.

        With ``bars_first`` (live) the bars are on the disk before any line that counts them: the system writes two
        files back in any order, and after a power cut a line without its bar could not be replayed.
        """
        if self.bars_first:
            self._sync_bars()
        line = self.journal.append(kind, {**data, "after_bar": self.after_bar}, self._clock.now_ns(), fsync=False)
        if durable:
            self.sync()
        return line

    def anchor(self) -> Anchor | None:
        """Append one ANCHOR line and sync up to it; None when nothing was written since the last one."""
        if self.journal.count == self._anchored_at:
            return None
        self._sync_bars()
        line = self.note(ANCHOR, self._bars_sum.data(self._bars.seq), durable=True)
        self._anchored_at = line.seq
        return self.synced

    def note_input(self, event: Event, **more: Any) -> None:
        """Append the line of one input event, with more data beside it.

        What is taken from history.csv is durable before the first own bar is: its bars come first in every replay.
        """
        kind, data = input_row(event)
        self.note(kind, {**data, **more}, durable=kind in DURABLE_TYPES or "history" in more)

    def record(self, commands: Iterable[Command], mode: Mode) -> list[Order]:
        """Write what the core asked to record, and return the orders it asked to send, in order.

        Nothing durable is awaited here: the caller syncs once, before it acts.
        """
        orders: list[Order] = []
        for command in commands:
            if isinstance(command, Order):
                orders.append(command)
                continue
            kind, data = output_row(command, self._instrument, mode)
            if kind in TOLD_TYPES and self._replaying:
                continue  # it was said when it happened
            if kind in TOLD_TYPES or not self._already_written(kind, data):
                self.note(kind, data)
                self._remember(kind, data)
            if isinstance(command, RecordTrade):
                self._add_trade(command, mode)
        return orders

    def record_durably(self, commands: Iterable[Command], mode: Mode) -> list[Order]:
        """Do ``record``, then sync when a durable row is among the commands and no order follows (it syncs itself)."""
        kept = list(commands)
        orders = self.record(kept, mode)
        if not orders and any(_is_durable(command) for command in kept):
            self.sync()
        return orders

    def intent(self, order: Order) -> None:
        """Append the INTENT of ``order``; ``sync`` must follow before it is sent."""
        self.note("INTENT", intent_data(order))

    def sync(self) -> None:
        """Return when bars and journal are on the disk itself; bars first, so that no line outlives its bar."""
        self._sync_bars()
        self.journal.sync()
        if self.journal.count:
            self.synced = Anchor(self.day.trade_date, self.journal.count, self.journal.head, "")

    def _sync_bars(self) -> None:
        if self._unsynced_bars:
            self._bars.sync()
            self._unsynced_bars = False

    def end_replay(self) -> None:
        """Say that nothing more comes out again; journal rows left over are a mismatch."""
        self._replaying = False
        if self._expected:
            self._report(f"journal line {self._expected[0].seq} ({self._expected[0].type}) did not come out again")
            self._expected.clear()

    def close(self) -> None:
        """Sync and give the files back."""
        try:
            self.sync()
        finally:
            self.journal.close()
            self._bars.close()
            self._trades.close()

    def _already_written(self, kind: str, data: Mapping[str, Any]) -> bool:
        if not self._expected:
            return False
        line = self._expected.popleft()
        if not same_output(kind, data, line.type, line.data):
            self._report(f"journal line {line.seq} says {line.type}, the replay says {kind}: {dict(data)}")
        return True

    def _report(self, text: str) -> None:
        self.mismatch = self.mismatch or text

    def _add_trade(self, command: RecordTrade, mode: Mode) -> None:
        row = trade_row(command.trade, self._instrument)
        ours = mode is Mode.LIVE or row["trade_date"] == self.day.trade_date.isoformat()
        if ours and row["trade_id"] not in self._trade_ids:
            self._trades.append(row, sync=mode is Mode.LIVE)
            self._trade_ids.add(row["trade_id"])

    def _remember(self, kind: str, data: Mapping[str, Any]) -> None:
        if kind in {"SIGNAL", "REJECT", "LOCK", "SWEPT", "RECLAIMED"}:
            words = [kind, data["pool"], data["reason"]]
            at = iso_utc(data["ts"])
        elif kind == "ALARM":
            words, at = [kind, data["code"]], iso_utc(data["at_ns"] // NS_PER_S)
        elif kind == "TRADE":
            words, at = [kind, data["side"], data["exit_reason"], data["net_usd"], "USD"], data["exit_ts"]
        elif kind == "TRADE_CORRECTED":
            words, at = [kind, data["trade_id"], data["net_usd"], "USD"], iso_utc(data["at_ns"] // NS_PER_S)
        else:
            return
        self.notes.append(" ".join([at[11:], *(str(word) for word in words if word)]))


def _is_durable(command: Command) -> bool:
    if isinstance(command, RecordTrade | CorrectTrade | ThrowKillSwitch):
        return True
    return isinstance(command, RecordEvent) and command.event in DURABLE_TYPES
