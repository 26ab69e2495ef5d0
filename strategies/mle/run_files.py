"""Write the files of a backtest: trades.csv and events.csv digit for digit as pj1 S13 wants them.

Rows of the compiled engine are written as bytes by a kernel; rows of the live engine by the CSV writer. Both give the
same bytes.
"""

from __future__ import annotations

import csv
import io
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from live.commands import RecordEvent, Trade
from live.market import Instrument
from live.records import EVENT_COLUMNS, TRADE_COLUMNS, event_row, trade_row
from strategies.mle.bar_file import BacktestInputError
from strategies.mle.compiled import CompiledRun
from strategies.mle.kernels.codes import EVENTS, KINDS, REASONS
from strategies.mle.kernels.text import ROW_BYTES, Tables, Words, put_events

Chunks = Iterable[bytes]
_CHUNK_ROWS: Final = 16_384


def csv_chunks(columns: Sequence[str], rows: Iterable[dict[str, str]]) -> Iterator[bytes]:
    """Yield a CSV file of ``rows``, the header first, lines ended by a line feed."""
    stream = io.StringIO(newline="")
    writer = csv.DictWriter(stream, columns, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow(row)
        if stream.tell() > 1 << 20:
            yield stream.getvalue().encode()
            stream.seek(0)
            stream.truncate()
    yield stream.getvalue().encode()


def trade_chunks(trades: Iterable[Trade], instrument: Instrument) -> Iterator[bytes]:
    """Yield trades.csv."""
    return csv_chunks(TRADE_COLUMNS, (trade_row(trade, instrument) for trade in trades))


def event_chunks(events: Iterable[RecordEvent]) -> Iterator[bytes]:
    """Yield events.csv."""
    return csv_chunks(EVENT_COLUMNS, map(event_row, events))


def compiled_event_chunks(run: CompiledRun) -> Iterator[bytes]:
    """Yield events.csv of a compiled run."""
    yield (",".join(EVENT_COLUMNS) + "\n").encode()
    tables = Tables(run.found.events, run.table.events, run.found.pools, run.order)
    names = (Words.of(EVENTS), Words.of(KINDS), Words.of(REASONS))
    buffer = np.empty(min(_CHUNK_ROWS, len(run.order)) * ROW_BYTES, np.uint8)
    for begin in range(0, len(run.order), _CHUNK_ROWS):
        end = min(begin + _CHUNK_ROWS, len(run.order))
        yield buffer[: put_events(buffer, tables, begin, end, names)].tobytes()


def write_whole(files: Sequence[tuple[Path, Callable[[], Chunks]]]) -> None:
    """Write all files beside their places, then move them in, so that a failure leaves nothing half-written.

    Raises BacktestInputError when a place cannot be written.
    """
    staged: list[tuple[Path, Path]] = []
    try:
        for path, chunks in files:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
            staged.append((Path(name), path))
            with os.fdopen(handle, "wb") as stream:
                stream.writelines(chunks())
        for temporary, path in staged:
            temporary.replace(path)
    except OSError as error:
        raise BacktestInputError(
            f"{error.filename or files[0][0].parent} cannot be written ({error.strerror})"
        ) from error
    finally:
        for temporary, _ in staged:
            temporary.unlink(missing_ok=True)
