"""Show on stderr how far a long work is: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Final, Self, TextIO

_BAR_S: Final = 0.1
_LINE_S: Final = 10.0
_WIDTH: Final = 30


class Progress:
    """Count ``total`` pieces of work called ``unit``; quick work (under a bar's or line's interval) says nothing."""

    def __init__(self, total: int, unit: str, stream: TextIO | None = None) -> None:
        self._total = total
        self._unit = unit
        self._stream = sys.stderr if stream is None else stream
        self._bar = self._stream.isatty()
        self._every_s = _BAR_S if self._bar else _LINE_S
        self._began_s = self._said_s = time.monotonic()
        self._shown = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar and self._shown:
            self._stream.write("\r\x1b[K")
            self._stream.flush()

    def reach(self, done: int) -> None:
        """Say that ``done`` pieces are done, if it is time to."""
        now_s = time.monotonic()
        if now_s - self._said_s < self._every_s:
            return
        self._said_s = now_s
        self._shown = True
        rate = done / (now_s - self._began_s)
        left_s = (self._total - done) / rate if rate > 0 else 0.0
        words = f"{done:,} of {self._total:,} {self._unit}, {rate:,.0f}/s, {left_s:,.0f} s left"
        if self._bar:
            filled = _WIDTH * done // max(1, self._total)
            self._stream.write(f"\r\x1b[K[{'#' * filled}{'.' * (_WIDTH - filled)}] {words}")
        else:
            self._stream.write(words + "\n")
        self._stream.flush()
