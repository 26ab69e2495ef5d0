"""Append rows to the plain CSVs of the run folder (bars, trades, fills, quarantines) and read them back.

Same promises as a tape: header first, whole rows, one write per batch, one writer, a torn tail is cut on the next
start, ``seq`` (where the file has that column) continues from 1.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Self

from pj.channels import formats
from pj.channels.appender import DEFAULT_LOCK_WAIT_S, AppendFile, FormatMismatch
from pj.channels.files import open_shared, replace_atomic

Row = dict[str, str]


class CsvLog:
    """Append rows to one CSV; ``seq`` is the number of the last row (rows of this file, from 1).

    Raises Locked, FormatMismatch, WriteFailed. ``torn`` = bytes cut at the start.
    """

    def __init__(self, path: Path, columns: Sequence[str], *, lock_wait_s: float = DEFAULT_LOCK_WAIT_S) -> None:
        self.path = path
        self.columns = tuple(columns)
        self._numbered = columns[0] == "seq"
        self._file = AppendFile(path, formats.header(columns), lock_wait_s)
        self.torn = self._file.torn
        self.existed = self._file.existed
        try:
            self.seq = self._count() if self.existed else 0
        except BaseException:
            self._file.close()
            raise

    def append(self, *rows: Mapping[str, str], sync: bool = False) -> int:
        """Write the rows with one write and return the last ``seq``; a missing column reads empty.

        ``seq`` is filled in here. Raises ValueError for a column the file does not have, WriteFailed.
        """
        lines = []
        for number, row in enumerate(rows, self.seq + 1):
            unknown = [name for name in row if name not in self.columns]
            if unknown:
                raise ValueError(f"{self.path.name} has no column {unknown[0]!r}; it has {', '.join(self.columns)}")
            cells = [row.get(name, "") for name in self.columns]
            if self._numbered:
                cells[0] = str(number)
            lines.append(formats.line(cells))
        self._file.append("".join(lines).encode())
        self.seq += len(rows)
        if sync:
            self._file.sync()
        return self.seq

    def sync(self) -> None:
        """Return when all rows are on the disk itself."""
        self._file.sync()

    def close(self) -> None:
        """Give the file back; harmless when repeated."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def _count(self) -> int:
        with open_shared(self.path) as file:
            return sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(1 << 20), b"")) - 1


class CsvParser:
    """Turn whole lines of one CSV into rows by column name; a line of another width goes to ``on_bad``."""

    def __init__(
        self, columns: Sequence[str], *, at_start: bool = True, on_bad: Callable[[str, str], None] | None = None
    ) -> None:
        self.bad = 0
        self._columns = tuple(columns)
        self._header_due = at_start
        self._on_bad = on_bad

    def feed(self, lines: bytes) -> list[Row]:
        """Return the rows of ``lines`` (whole lines, each ended by a newline), in order."""
        texts = lines.decode("utf-8", "replace").split("\n")
        texts.pop()
        if texts and self._header_due:
            self._header_due = False
            found = texts.pop(0)
            if found != ",".join(self._columns):
                raise FormatMismatch(f"the file begins with {found[:120]!r}, not with {','.join(self._columns)!r}")
        rows = []
        for text in texts:
            try:
                cells = formats.split_row(text)
            except csv.Error as error:
                self._refuse(text, str(error))
                continue
            if len(cells) == len(self._columns):
                rows.append(dict(zip(self._columns, cells, strict=True)))
            else:
                self._refuse(text, f"{len(cells)} cells instead of {len(self._columns)}")
        return rows

    def _refuse(self, text: str, reason: str) -> None:
        self.bad += 1
        if self._on_bad is not None:
            self._on_bad(text, reason)


def read_rows(path: Path, columns: Sequence[str], on_bad: Callable[[str, str], None] | None = None) -> list[Row]:
    """Return the rows a CSV holds now, without a torn tail; empty when it is missing; raise FormatMismatch."""
    try:
        with open_shared(path) as file:
            data = file.read()
    except FileNotFoundError:
        return []
    return CsvParser(columns, on_bad=on_bad).feed(data[: data.rfind(b"\n") + 1])


def write_rows(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, str]]) -> None:
    """Replace a whole CSV atomically (history.csv); raise WriteFailed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    body = "".join(formats.line(row.get(name, "") for name in columns) for row in rows)
    replace_atomic(path, formats.header(columns) + body.encode(), durable=True)  # the journal counts on these rows
