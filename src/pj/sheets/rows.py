"""Say what one sheet row holds: self-describing cells ending in a CRC over the others.

RawTicks gets one row per TRADE row of live_market_data.csv, OneMinuteData one per row of bars.csv, TradeLog one per
signal, order answer, execution, closed trade, its correction and anchor of the journal. No cell is empty (``-`` stands
for "not applicable"): blanks would move the end of the table (services.md 2.3). Numbers of at most 15 digits are
written as numbers so that the sheet can chart them; ns and ids stay text, because the service keeps numbers as doubles.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any, Final

from live.market import NS_PER_S, Instrument
from live.records import TRADE_COLUMNS
from live.trading_day import trade_date
from pj.channels import formats
from pj.channels.anchors import Anchor, anchor_of

Cell = str | int | float
Row = tuple[Cell, ...]
#: One row and the byte offset just behind its line, relative to the beginning of the data.
Placed = tuple[Row, int]

BLANK: Final = "-"
RAW_TICKS: Final = "RawTicks"
ONE_MINUTE: Final = "OneMinuteData"
TRADE_LOG: Final = "TradeLog"
RAW_COLUMNS: Final = ("trade_date", "seq", "time", "price", "size", "bid", "ask", "crc32")
MINUTE_COLUMNS: Final = ("trade_date", *formats.BAR_COLUMNS, "crc32")
LOG_COLUMNS: Final = ("day", "seq", "time", "event", "mode", *TRADE_COLUMNS, "detail", "crc32")
#: Journal types that are trade events, and ANCHOR, which holds the journal to the sheet; SENT only repeats INTENT, the
#: other types decide nothing about money.
CORRECTED: Final = "TRADE_CORRECTED"
LOG_TYPES: Final = frozenset(
    {"SIGNAL", "INTENT", "ACKED", "REFUSED", "UNKNOWN", "EXECUTION", "TRADE", CORRECTED, "ANCHOR"}
)
MAX_DETAIL: Final = 2000
_MAX_DIGITS: Final = 15


class RowRefused(ValueError):
    """Report a line that cannot become a sheet row."""


def cell_text(value: object) -> str:
    """Return the one text of a cell as written or as read back unformatted (25000.0 and 25000 are the same)."""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def crc_of(cells: Sequence[object]) -> str:
    """Return the CRC-32 (8 hex digits) of the cells' texts."""
    return f"{zlib.crc32(chr(31).join(map(cell_text, cells)).encode()):08x}"


def with_crc(cells: Sequence[Cell]) -> Row:
    """Return the cells and their CRC as a whole row."""
    return (*cells, crc_of(cells))


def crc_holds(row: Sequence[object]) -> bool:
    """Tell whether a row read back still fits its own CRC."""
    return len(row) > 1 and cell_text(row[-1]) == crc_of(row[:-1])


@lru_cache(maxsize=1 << 16)
def number(text: str) -> Cell:
    """Return a decimal text as a number where the double shows the same digits, else as text; empty = BLANK."""
    if text == "":
        return BLANK
    digits = text.removeprefix("-").replace(".", "", 1)
    if not (digits.isascii() and digits.isdigit()) or len(digits) > _MAX_DIGITS:
        return text
    value: Cell = float(text) if "." in text else int(text)
    return int(value) if isinstance(value, float) and value.is_integer() else value


@lru_cache(maxsize=4096)
def _second(epoch_s: int) -> str:
    return datetime.fromtimestamp(epoch_s, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def iso_ns(ns: int) -> str:
    """Return ns UTC as ISO text with nine decimals, so that nothing of the stamp is lost."""
    return f"{_second(ns // NS_PER_S)}.{ns % NS_PER_S:09d}Z"


def column_letters(count: int) -> str:
    """Return the letters of the last of ``count`` columns."""
    letters = ""
    while count:
        count, rest = divmod(count - 1, 26)
        letters = chr(65 + rest) + letters
    return letters


@dataclass(frozen=True, slots=True)
class Tab:
    """Describe one tab: where its rows come from and how it grows.

    ``parse(day, data, at_start, refuse)`` yields (row, offset behind its line) for whole lines of ``file_name``.
    ``count(data, at_start)`` returns how many rows such lines give if none is refused.
    ``step`` = rows added to the grid at once.
    """

    title: str
    columns: tuple[str, ...]
    file_name: str
    step: int
    parse: Callable[[date, bytes, bool, Callable[[str, str], None]], Iterator[Placed]]
    count: Callable[[bytes, bool], int]

    def area(self, first: int, rows: int) -> str:
        """Return A1 notation of ``rows`` whole rows from sheet row ``first`` (1-based) on."""
        return f"{self.title}!A{first}:{column_letters(len(self.columns))}{first + rows - 1}"


def tabs_for(instrument: Instrument) -> tuple[Tab, ...]:
    """Return the tabs of the audit sheet in the order they are written."""
    return (
        Tab(RAW_TICKS, RAW_COLUMNS, "live_market_data.csv", 20_000, tick_rows, _count_ticks),
        Tab(ONE_MINUTE, MINUTE_COLUMNS, "bars.csv", 2_000, bar_rows, _count_bars),
        Tab(TRADE_LOG, LOG_COLUMNS, "journal.jsonl", 500, _log_parser(instrument), _count_log),
    )


def _count_ticks(data: bytes, at_start: bool) -> int:  # noqa: ARG001 (the header has no TRADE)
    return data.count(b",TRADE,")


def _count_bars(data: bytes, at_start: bool) -> int:
    return data.count(b"\n") - int(at_start)


def _count_log(data: bytes, at_start: bool) -> int:  # noqa: ARG001 (a journal has no header)
    return sum(data.count(b'"type":"' + name.encode() + b'"') for name in LOG_TYPES)


def tick_rows(day: date, data: bytes, at_start: bool, refuse: Callable[[str, str], None]) -> Iterator[Placed]:
    """Yield the TRADE rows of a tape; GAP, HEARTBEAT, QUOTE and STATUS rows are no ticks."""
    trade_date, width, end = day.isoformat(), len(formats.TAPE_COLUMNS), 0
    for line in data.split(b"\n")[:-1]:
        end += len(line) + 1
        if b",TRADE," not in line:
            if at_start:
                _check_header(line, formats.TAPE_COLUMNS)
                at_start = False
            continue
        cells = line.decode("utf-8", "replace").split(",", width - 1)
        try:
            if len(cells) != width or cells[2] != "TRADE":
                raise RowRefused("it is no TRADE row of the tape's columns")
            seq, time_text = int(cells[0]), iso_ns(int(cells[1]))
        except ValueError as error:
            refuse(line.decode("utf-8", "replace"), str(error))
            continue
        head = (trade_date, seq, time_text, number(cells[3]), number(cells[4]), number(cells[5]), number(cells[6]))
        yield with_crc(head), end


def bar_rows(day: date, data: bytes, at_start: bool, refuse: Callable[[str, str], None]) -> Iterator[Placed]:
    """Yield the rows of bars.csv."""
    end = 0
    for line in data.split(b"\n")[:-1]:
        end += len(line) + 1
        if at_start:
            _check_header(line, formats.BAR_COLUMNS)
            at_start = False
            continue
        cells = line.decode("utf-8", "replace").split(",")
        if len(cells) != len(formats.BAR_COLUMNS):
            refuse(line.decode("utf-8", "replace"), f"{len(cells)} cells instead of {len(formats.BAR_COLUMNS)}")
            continue
        yield with_crc((day.isoformat(), *map(number, cells))), end


def _check_header(line: bytes, columns: Sequence[str]) -> None:
    found = line.decode("utf-8", "replace")
    if found != ",".join(columns):
        raise RowRefused(f"the file begins with {found[:120]!r}, not with {','.join(columns)!r}")


def _log_parser(
    instrument: Instrument,
) -> Callable[[date, bytes, bool, Callable[[str, str], None]], Iterator[Placed]]:
    def log_rows(day: date, data: bytes, at_start: bool, refuse: Callable[[str, str], None]) -> Iterator[Placed]:  # noqa: ARG001 (a journal has no header)
        end = 0
        for line in data.split(b"\n")[:-1]:
            end += len(line) + 1
            try:
                entry = json.loads(line)
                if not _is_ours(day, entry):
                    continue
                cells = log_cells(day, entry, instrument)
            except (ValueError, KeyError, TypeError) as error:
                refuse(line.decode("utf-8", "replace"), f"it is no journal line: {error!r}")
                continue
            yield with_crc(cells), end

    return log_rows


def _is_ours(day: date, entry: Mapping[str, Any]) -> bool:
    """Tell whether a journal line belongs into the TradeLog: rehearsed history only where it is this day's own.

    The same rule decides what stands in trades.csv.
    """
    if entry["type"] not in LOG_TYPES:
        return False
    data = entry["data"]
    if data.get("mode", "LIVE") == "LIVE" or entry["type"] == CORRECTED:
        return True
    if entry["type"] == "TRADE":
        return bool(data["trade_date"] == day.isoformat())
    return trade_date(int(data["ts"]) * NS_PER_S) == day


def log_cells(day: date, entry: Mapping[str, Any], instrument: Instrument) -> list[Cell]:
    """Return the TradeLog cells of one journal line without the CRC.

    A TRADE carries all columns of trades.csv (pj1 S13); the others fill what they know and keep their data in
    ``detail``. A correction carries what it adds to its trade, so that each money column adds up over all rows.
    """
    kind, data = str(entry["type"]), dict(entry["data"])
    known: dict[str, Cell]
    if kind == "TRADE":
        known, detail = {name: number(_plain(data.get(name))) for name in TRADE_COLUMNS}, BLANK
    else:
        if kind == "ANCHOR":
            data["head"] = entry["hash"]
        known = _corrected_cells(data) if kind == CORRECTED else _decided_cells(kind, data, instrument)
        detail = json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False)[:MAX_DETAIL]
    head: list[Cell] = [day.isoformat(), int(entry["seq"]), iso_ns(int(entry["ts_ns"])), kind]
    head.append(str(data.get("mode") or BLANK))
    return [*head, *(known.get(name, BLANK) for name in TRADE_COLUMNS), detail]


def anchors_in(rows: Iterable[Sequence[object]], place: str) -> Iterator[Anchor]:
    """Yield the anchors of TradeLog rows as read back; a row with a wrong CRC is passed over."""
    for row in rows:
        if len(row) != len(LOG_COLUMNS) or row[3] != "ANCHOR" or not crc_holds(row):
            continue
        try:
            told = {"date": row[0], "seq": int(cell_text(row[1])), "head": json.loads(str(row[-2]))["head"]}
        except (ValueError, KeyError, TypeError):
            continue
        anchor = anchor_of(told, place)
        if anchor is not None:
            yield anchor


def _plain(value: object) -> str:
    return "" if value is None else cell_text(value)


def _decided_cells(kind: str, data: Mapping[str, Any], instrument: Instrument) -> dict[str, Cell]:
    return _signal_cells(data, instrument) if kind == "SIGNAL" else _order_cells(data, instrument)


def _corrected_cells(data: Mapping[str, Any]) -> dict[str, Cell]:
    """Return whose trade a correction is, its price as it is now, and the difference in gross and net (costs stay)."""
    cells = {name: number(_plain(data[name])) for name in ("trade_id", "pool_id", "qty")}
    money = number(str(data["net_usd"]))
    leg = "entry" if "new_entry" in data else "exit"
    cells[f"{leg}_price"] = number(str(data[f"new_{leg}"]))
    return cells | {"gross_usd": money, "cost_usd": 0, "net_usd": money}


def _signal_cells(data: Mapping[str, Any], instrument: Instrument) -> dict[str, Cell]:
    """Return the columns a SIGNAL knows: pool, side and raw ticks turned into points (pj1 S13 events)."""
    pool = str(data.get("pool") or "")
    name = pool.split(":")[1] if ":" in pool else ""
    side = {"H": "SHORT", "L": "LONG"}.get(name[-1:], BLANK)
    cells: dict[str, Cell] = {"pool_id": pool or BLANK, "kind": name[:-1] or BLANK, "side": side}
    for column, source in (("level", "level"), ("extreme", "extreme"), ("entry_ref", "entry")):
        cells[column] = _points(data.get(source), instrument)
    cells["stop"], cells["target"] = _points(data.get("stop"), instrument), _points(data.get("target"), instrument)
    cells["qty"] = number(_plain(data.get("qty")))
    if isinstance(data.get("ts"), int):
        cells["signal_ts"] = _second(data["ts"]) + "Z"
    return cells


def _points(ticks: object, instrument: Instrument) -> Cell:
    return number(instrument.to_points(ticks)) if isinstance(ticks, int) else BLANK


def _order_cells(data: Mapping[str, Any], instrument: Instrument) -> dict[str, Cell]:
    """Return what an order's intent or an execution says under the trade columns' names."""
    cells: dict[str, Cell] = {}
    if isinstance(data.get("pool"), str):
        cells["pool_id"] = data["pool"] or BLANK
    side = data.get("side")
    if isinstance(side, (int, str)) and side:
        words = ("BUY", "SELL") if "exec_id" in data else ("LONG", "SHORT")
        cells["side"] = side if isinstance(side, str) else words[side < 0]
    if isinstance(data.get("qty"), int):
        cells["qty"] = data["qty"]
    for name in ("entry_ref", "stop", "target"):
        cells[name] = _points(data.get(name), instrument)
    if isinstance(data.get("reason"), str) and data["reason"]:
        cells["exit_reason"] = data["reason"]
    return cells
