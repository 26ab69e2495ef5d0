"""State the columns and cells of every CSV of the run folder, once.

Prices stand in points as the instrument writes them, times as ns integers on tapes and as ISO UTC in bars and
trades, an empty cell means "not applicable". A cell never holds a line break (it is escaped), so a line is a row.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from live.market import NS_PER_S, Bar, ClosedBy, Instrument, OffGrid

TAPE_COLUMNS: Final = (
    "seq",
    "recv_ns",
    "kind",
    "price",
    "size",
    "bid",
    "ask",
    "exch_ns",
    "source",
    "contract",
)
RAW_TAPE_COLUMNS: Final = (*TAPE_COLUMNS, "msg_id", "raw")
LATE_COLUMNS: Final = (*TAPE_COLUMNS, "minute")
REJECTED_COLUMNS: Final = (
    "recv_ns",
    "reason",
    "kind",
    "price",
    "size",
    "bid",
    "ask",
    "exch_ns",
    "source",
    "contract",
    "raw",
)
BAR_COLUMNS: Final = (
    "seq",
    "ts",
    "open",
    "high",
    "low",
    "close",
    "volume",
    "ticks",
    "heartbeat",
    "degraded",
    "closed_by",
    "contract",
)
HISTORY_COLUMNS: Final = ("ts", "open", "high", "low", "close", "volume", "contract")
BROKER_EVENT_COLUMNS: Final = (
    "seq",
    "recv_ns",
    "kind",
    "order_id",
    "perm_id",
    "order_ref",
    "client_id",
    "status",
    "side",
    "qty",
    "price",
    "filled",
    "remaining",
    "avg_price",
    "exec_id",
    "commission",
    "position",
    "contract",
)

_PRICE = re.compile(r"-?[0-9]{1,12}(\.[0-9]{1,9})?", re.ASCII)
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z", re.ASCII)
_MEMO_LIMIT: Final = 1 << 17


class BadCell(ValueError):
    """Report a cell that cannot be read, with its column and text."""


class PriceText:
    """Turn ticks into points text and back for one instrument, exactly.

    A day has a few thousand distinct prices; both directions are remembered, so that the decimal arithmetic of
    ``Instrument`` runs once per price and not once per tick.
    """

    __slots__ = ("_text", "_ticks", "instrument")

    def __init__(self, instrument: Instrument) -> None:
        self.instrument = instrument
        self._ticks: dict[str, int | None] = {"": None}
        self._text: dict[int | None, str] = {None: ""}

    def text(self, ticks: int | None) -> str:
        """Return points text; empty for None."""
        known = self._text.get(ticks)
        if known is not None or ticks is None:
            return known or ""
        if len(self._text) > _MEMO_LIMIT:
            self._text = {None: ""}
        made = self._text[ticks] = self.instrument.to_points(ticks)
        return made

    def ticks(self, text: str) -> int | None:
        """Return whole ticks; None for empty text; raise BadCell for anything but a plain decimal on the grid."""
        try:
            return self._ticks[text]
        except KeyError:
            return self._learn(text)

    def _learn(self, text: str) -> int:
        if _PRICE.fullmatch(text) is None:
            raise BadCell(f"price {text!r} is not a decimal number")
        try:
            ticks = self.instrument.to_ticks(text)
        except OffGrid as error:
            raise BadCell(str(error)) from error
        if len(self._ticks) > _MEMO_LIMIT:
            self._ticks = {"": None}
        self._ticks[text] = ticks
        return ticks


def escape(text: str) -> str:
    """Return ``text`` with line breaks and NULs written as backslash escapes, so that it stays on one line."""
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r").replace("\0", "\\0")


def cell(text: str) -> str:
    """Return ``text`` as one CSV cell: quoted only when it must be."""
    if any(character in text for character in "\n\r\0"):
        text = escape(text)
    if "," in text or '"' in text:
        return '"' + text.replace('"', '""') + '"'
    return text


def line(cells: Iterable[str]) -> str:
    """Return one CSV row with its newline."""
    return ",".join(map(cell, cells)) + "\n"


def header(columns: Sequence[str]) -> bytes:
    """Return the header line of a file with these columns."""
    return (",".join(columns) + "\n").encode()


def split_row(text: str) -> list[str]:
    """Return the cells of one CSV line (without newline)."""
    if '"' not in text:
        return text.split(",")
    return next(csv.reader([text], strict=True))


def iso_utc(ts_ns: int) -> str:
    """Return whole seconds as ``YYYY-MM-DDTHH:MM:SSZ``."""
    return datetime.fromtimestamp(ts_ns // NS_PER_S, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_iso_utc(text: str) -> int:
    """Return the ns of an ISO UTC second; raise BadCell."""
    try:  # strptime would be eight times dearer, and a recovery reads three thousand of these
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise BadCell(f"time {text!r} is not YYYY-MM-DDTHH:MM:SSZ") from error
    if _TIME.fullmatch(text) is None:
        raise BadCell(f"time {text!r} is not YYYY-MM-DDTHH:MM:SSZ")
    return int(moment.timestamp()) * NS_PER_S


def bar_row(bar: Bar, prices: PriceText) -> dict[str, str]:
    """Return the cells of one bars.csv row (``seq`` is the log's own)."""
    return {
        **history_row(bar, prices),
        "ticks": str(bar.ticks),
        "heartbeat": str(int(bar.heartbeat)),
        "degraded": str(int(bar.degraded)),
        "closed_by": bar.closed_by.value,
    }


def history_row(bar: Bar, prices: PriceText) -> dict[str, str]:
    """Return the cells of one history.csv row."""
    return {
        "ts": iso_utc(bar.ts_ns),
        "open": prices.text(bar.open_ticks),
        "high": prices.text(bar.high_ticks),
        "low": prices.text(bar.low_ticks),
        "close": prices.text(bar.close_ticks),
        "volume": str(bar.volume),
        "contract": bar.contract,
    }


def parse_bar(row: Mapping[str, str], prices: PriceText) -> Bar:
    """Return the Bar of one bars.csv or history.csv row; raise BadCell naming the cell.

    A history row has no seq, ticks, flags or closer: they read 0, 0, False and HISTORY.
    """
    try:
        closed_by = ClosedBy(row.get("closed_by", ClosedBy.HISTORY))
    except ValueError as error:
        raise BadCell(f"closed_by {row['closed_by']!r} is not one of {[c.value for c in ClosedBy]}") from error
    return Bar(
        ts_ns=parse_iso_utc(row["ts"]),
        open_ticks=_price(row, "open", prices),
        high_ticks=_price(row, "high", prices),
        low_ticks=_price(row, "low", prices),
        close_ticks=_price(row, "close", prices),
        volume=_whole(row, "volume"),
        contract=row["contract"],
        seq=_whole(row, "seq"),
        ticks=_whole(row, "ticks"),
        heartbeat=_whole(row, "heartbeat") != 0,
        degraded=_whole(row, "degraded") != 0,
        closed_by=closed_by,
    )


def _price(row: Mapping[str, str], column: str, prices: PriceText) -> int:
    ticks = prices.ticks(row[column])
    if ticks is None:
        raise BadCell(f"{column} is empty")
    return ticks


def _whole(row: Mapping[str, str], column: str) -> int:
    text = row.get(column, "0")
    if not (text.isascii() and text.isdigit()):
        raise BadCell(f"{column} {text!r} is not a whole number")
    return int(text)
