"""Finish what a killed bridge had begun: trades that reached the raw record but not yet the causal channel.

A batch is written to the quarantine, then to the raw record, then to the causal channel. A kill between the last two
writes leaves trades that the record has and the engine will never read. They are appended with their own stamps, edges
in order, before anything new is written.
"""

from __future__ import annotations

import logging
from typing import Final

from live.market import Instrument, TickKind
from pj.channels.appender import read_range
from pj.channels.csvlog import read_rows
from pj.channels.formats import RAW_TAPE_COLUMNS, REJECTED_COLUMNS, split_row
from pj.channels.rundir import DayPaths
from pj.channels.tape import TapeWriter, last_stamp

TAIL_BYTES: Final = 8 << 20
log = logging.getLogger("pj.bridge")


def mend(day: DayPaths, instrument: Instrument) -> int:
    """Append the raw record's trades that the causal channel of this day lacks; return how many.

    Raises what opening a tape raises.
    """
    if not day.ticks.exists() or not day.market.exists() or last_stamp(day.ticks) <= last_stamp(day.market):
        return 0
    refused = {(row["recv_ns"], row["raw"]) for row in read_rows(day.rejected_ticks, REJECTED_COLUMNS)}
    writer = TapeWriter(day.market, instrument)
    count = 0
    try:
        since_ns = writer.last_recv_ns
        for row in _tail(day):
            recv_ns = int(row["recv_ns"])
            if row["kind"] == TickKind.TRADE and recv_ns > since_ns and (row["recv_ns"], row["raw"]) not in refused:
                writer.cross_edges(recv_ns)
                exch_ns = int(row["exch_ns"]) if row["exch_ns"] else None
                cells = (row["price"], row["size"], row["bid"], row["ask"], exch_ns, row["source"], row["contract"])
                writer.add(recv_ns, TickKind.TRADE, *cells)
                count += 1
    finally:
        writer.close()
    if count:
        log.warning("MENDED trades=%d file=%s", count, day.market.name)
    return count


def _tail(day: DayPaths) -> list[dict[str, str]]:
    """Return the last rows of the raw record, a torn one left out."""
    size = day.ticks.stat().st_size
    start = max(0, size - TAIL_BYTES)
    lines = read_range(day.ticks, start, size).decode("utf-8", "replace").split("\n")[1:-1]
    rows = (split_row(line) for line in lines)
    return [
        dict(zip(RAW_TAPE_COLUMNS, cells, strict=True))
        for cells in rows
        if len(cells) == len(RAW_TAPE_COLUMNS) and cells[1].isdigit()
    ]
