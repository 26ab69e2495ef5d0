"""Follow broker_events.csv and tell the core what the account did: fills, and the position as it stands.

The position is the sum over all months of our root, so that a contract of yesterday is not overlooked.
What a row cannot say (unreadable, foreign root) is counted and passed over.
"""

from __future__ import annotations

import re
import time
from collections.abc import Collection
from datetime import date
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, InvalidOperation
from typing import Final

from live.events import ExecutionReported, PositionReported
from live.market import Instrument
from pj.channels.csvlog import CsvParser, Row
from pj.channels.formats import BROKER_EVENT_COLUMNS
from pj.channels.rundir import RunDir
from pj.channels.tailer import DayFollower
from pj.clock import Clock

REPEAT_S: Final = 5.0
BrokerEvent = ExecutionReported | PositionReported


class BrokerFeed:
    """Turn rows into events; ``known`` says whether the account's position is known and its source alive."""

    def __init__(self, run_dir: RunDir, instrument: Instrument, clock: Clock, start: date) -> None:
        """Begin at the first row of ``start``."""
        self.connected = False
        self.position: int | None = None
        self.bad_rows = 0
        self._instrument = instrument
        self._clock = clock
        self._ours = re.compile(rf"{re.escape(instrument.symbol)}[FGHJKMNQUVXZ]\d")
        self._held: dict[str, int] = {}
        self._repeated_at = time.monotonic()
        self._follower: DayFollower[Row] = DayFollower(run_dir, "broker_events.csv", self._parser, start)

    @property
    def known(self) -> bool:
        """Return whether the position can be relied on."""
        return self.connected and self.position is not None

    def begin(self, ours: Collection[str], seen: Collection[str]) -> list[BrokerEvent]:
        """Read what is there at the start: fills of our orders not ``seen`` yet, and the position last reported.

        Fills without one of our order references happened before us or beside us; the position shows them.
        """
        events: list[BrokerEvent] = []
        while rows := self._follower.poll():
            fills = (event for event in map(self._event, rows) if isinstance(event, ExecutionReported))
            events += [fill for fill in fills if fill.order_ref in ours and fill.exec_id not in seen]
        return events if self.position is None else [*events, self._now()]

    def poll(self) -> list[BrokerEvent]:
        """Return the events of the rows appended since, in order."""
        events: list[BrokerEvent] = []
        while rows := self._follower.poll():
            events += [event for event in map(self._event, rows) if event is not None]
        return events

    def repeat(self) -> PositionReported | None:
        """Return the position once more every five real seconds (pj1 S8), None while it is not known."""
        if not self.known or time.monotonic() - self._repeated_at < REPEAT_S:
            return None
        self._repeated_at = time.monotonic()
        return self._now()

    def close(self) -> None:
        """Close the file."""
        self._follower.close()

    def _parser(self, _day: date, at_start: bool) -> CsvParser:
        return CsvParser(BROKER_EVENT_COLUMNS, at_start=at_start, on_bad=self._bad)

    def _bad(self, _text: str, _reason: str) -> None:
        self.bad_rows += 1

    def _now(self) -> PositionReported:
        return PositionReported(self.position or 0, self._clock.now_ns())

    def _event(self, row: Row) -> BrokerEvent | None:
        try:
            match row["kind"]:
                case "STATUS":
                    self._status(row["status"])
                case "POSITION" if self._ours.fullmatch(row["contract"]):
                    return self._position(row)
                case "EXECUTION" if self._ours.fullmatch(row["contract"]):
                    return self._execution(row)
                case _:
                    pass
        except (ValueError, InvalidOperation):
            self.bad_rows += 1
        return None

    def _status(self, status: str) -> None:
        self.connected = status == "connected"
        if not self.connected:
            self.position = None
            self._held.clear()

    def _position(self, row: Row) -> PositionReported:
        self._held[row["contract"]] = int(Decimal(row["position"]))
        self.position = sum(self._held.values())
        self._repeated_at = time.monotonic()
        return PositionReported(self.position, int(row["recv_ns"]))

    def _execution(self, row: Row) -> ExecutionReported:
        side = {"BUY": 1, "SELL": -1}[row["side"]] if row["side"] in {"BUY", "SELL"} else 0
        qty = int(Decimal(row["qty"]))
        if not side or qty <= 0 or not row["exec_id"]:
            raise ValueError(f"execution row {row['seq']} has no side, quantity or id")
        exact = Decimal(row["price"]) / self._instrument.tick
        price = int(exact.to_integral_value(ROUND_CEILING if side > 0 else ROUND_FLOOR))
        return ExecutionReported(row["exec_id"], side, qty, price, int(row["recv_ns"]), row["order_ref"])
