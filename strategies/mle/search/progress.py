"""Say on stderr how far a search is, how fast, and when it will be done; stop it cleanly on Ctrl-C."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final, TextIO

_EVERY_S: Final = {True: 0.2, False: 10.0}


class Progress:
    """Count trials; on a terminal one line is rewritten, elsewhere a line comes now and then.

    Time is real and goes to ``stream`` only, never into a result.
    """

    def __init__(
        self, total: int, bars: int, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._total, self._bars = total, bars
        self._stream = sys.stderr if stream is None else stream
        self._clock = clock
        self._tty = self._stream.isatty()
        self._done = self._first = 0
        self._began = self._told = clock()

    def begin(self, done: int) -> None:
        """Start the clock; ``done`` trials were there already and count for no rate."""
        self._done = self._first = done
        self._began = self._told = self._clock()

    def add(self, trials: int) -> None:
        """Count trials that are stored, and tell if it is time."""
        self._done += trials
        now = self._clock()
        if now - self._told >= _EVERY_S[self._tty]:
            self._told = now
            self._say(self.line())

    def line(self) -> str:
        """Return the state as one line."""
        took = self._clock() - self._began
        fresh = self._done - self._first
        share = 100 * self._done / max(1, self._total)
        head = f"{self._done:,} of {self._total:,} combinations ({share:.1f} %)"
        if not fresh or took <= 0:
            return head
        rate = fresh / took
        left = (self._total - self._done) / rate
        return f"{head}, {rate:,.0f}/s, {rate * self._bars / 1e9:.2f} G parameter-bars/s, {_span(left)} left"

    def end(self) -> None:
        """Tell the last state and leave the line."""
        self._say(self.line())
        if self._tty:
            self._stream.write("\n")
            self._stream.flush()

    def _say(self, line: str) -> None:
        self._stream.write(f"\r{line}\x1b[K" if self._tty else f"{line}\n")
        self._stream.flush()


class Stop:
    """Remember that the operator wants to stop."""

    def __init__(self) -> None:
        self.asked = False

    def __bool__(self) -> bool:
        return self.asked

    @contextmanager
    def on_interrupt(self) -> Iterator[None]:
        """Take the first Ctrl-C as a wish; the second one ends the process as ever. Call in the main thread."""
        before = signal.getsignal(signal.SIGINT)

        def wish(_signal: int, _frame: FrameType | None) -> None:
            self.asked = True
            signal.signal(signal.SIGINT, before)
            sys.stderr.write("\nstopping after this part; press Ctrl-C again to drop it\n")

        def install(handler: Any) -> None:
            signal.signal(signal.SIGINT, handler)

        install(wish)
        try:
            yield
        finally:
            install(before)


def _span(seconds: float) -> str:
    whole = int(seconds + 0.5)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
