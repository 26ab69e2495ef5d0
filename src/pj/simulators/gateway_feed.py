"""Play a tape on the run's clock: every print at its moment, quotes in between.

A client stamps what arrives with the run's clock, and at speed N one real millisecond is N virtual ones. So
that a tick always arrives inside the minute it belongs to, a print of offset x inside its source minute is
due at x * (60 - guard) / 60, guard = min(30 s, 0.4 s * speed): order and minute are exact and the last ``guard``
virtual seconds of each minute (0.4 real seconds up to speed 75) stay free for delivery. The message carries
the source's own time. A print that falls due while nobody is subscribed moves the market and is not sent;
one that is sent after its minute has passed (the process was held up) is counted in ``late_prints``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Final

from pj.simulators.answers_market import print_messages, quotes_of
from pj.simulators.answers_orders import publish
from pj.simulators.eastern import MIN_NS, opens, trade_date
from pj.simulators.gateway_core import Core
from pj.simulators.matching import Notice
from pj.simulators.paths import NS_PER_S, Print
from pj.simulators.tapes import Tape

QUOTE_NS: Final = NS_PER_S
QUOTE_REAL_S: Final = 0.05
MAX_WAIT_S: Final = 0.2
MAX_BATCH: Final = 500


def guard_ns(speed: float) -> int:
    """Return the virtual time kept free at the end of each minute."""
    return int(min(30.0, 0.4 * speed) * NS_PER_S)


def due(minute_ns: int, exch_ns: int, guard: int) -> int:
    """Return when a print of ``exch_ns`` inside the minute is to be sent."""
    return minute_ns + (exch_ns - minute_ns) * (MIN_NS - guard) // MIN_NS


def schedule(tape: Tape, start_ns: int, end_ns: int, guard: int) -> Iterator[tuple[int, Print]]:
    """Yield the prints of the minutes in [start, end) with the time each is due, in order."""
    for minute in tape.minutes(start_ns, end_ns):
        for item in tape.prints(minute):
            yield due(minute, item.exch_ns, guard), item


class Feed:
    """Move the market along the tape's window and tell the subscribers."""

    def __init__(self, core: Core, start_ns: int, end_ns: int) -> None:
        """Prepare the window; the minutes before it set last price, day figures and history."""
        self._core = core
        self._start_ns = start_ns
        self._end_ns = end_ns
        self._day = trade_date(start_ns)
        #: The source's time of the last print, 0 before the first: the tape plays ahead of it (see above) or behind.
        self.last_exch_ns = 0
        self._quote_step_ns = max(QUOTE_NS, int(QUOTE_REAL_S * core.clock.speed * NS_PER_S))
        self._warm_up()

    async def run(self) -> None:
        """Play until the window has passed, then return with ``core.finished`` set."""
        clock, core = self._core.clock, self._core
        queue = schedule(core.tape, self._start_ns, self._end_ns, guard_ns(clock.speed))
        waiting = next(queue, None)
        next_quote = clock.now_ns()
        while waiting is not None or clock.now_ns() < self._end_ns:
            now = clock.now_ns()
            batch: list[Print] = []
            watched = any(session.prints for session in core.clients.values())
            # Strictly before: a clock held at the window's start lets nothing go until it runs.
            while waiting is not None and waiting[0] < now and len(batch) < MAX_BATCH:
                batch.append(waiting[1])
                core.late_prints += watched and now >= waiting[1].exch_ns // MIN_NS * MIN_NS + MIN_NS
                waiting = next(queue, None)
            if batch:
                self.play(batch)
            if now >= next_quote:
                self.quote()
                next_quote = now + self._quote_step_ns
            wake = min(next_quote, waiting[0]) if waiting else next_quote
            await asyncio.sleep(min(clock.real_s_until(wake), MAX_WAIT_S))
        core.finished = True

    async def quote_on(self) -> None:
        """Quote for ever after the window: nothing trades any more, but a market that is open still quotes."""
        while True:
            await asyncio.sleep(max(QUOTE_REAL_S, self._quote_step_ns / NS_PER_S / self._core.clock.speed))
            self.quote()

    def play(self, batch: Sequence[Print]) -> None:
        """Move the market by ``batch`` and send it: the prints in one write per client, then what they filled."""
        core = self._core
        now = core.clock.now_ns()
        notices: list[Notice] = []
        for item in batch:
            day = trade_date(item.exch_ns)
            if day != self._day:
                self._day = day
                core.market.turn_day()
                notices += core.book.end_day(now)
            core.market.trade(item)
            notices += core.book.trade(item, core.market, now)
        core.prints_played += len(batch)
        self.last_exch_ns = batch[-1].exch_ns
        if not (core.faults.silent or core.faults.silent_trades):
            for session in list(core.clients.values()):
                session.deliver(print_messages(core, session, batch))
        if notices:
            publish(core, notices)

    def quote(self) -> None:
        """Send the quote of the moment to its subscribers."""
        core = self._core
        core.market.quotes += 1
        if not (core.faults.silent or core.faults.silent_quotes):
            for session in list(core.clients.values()):
                session.deliver(quotes_of(core, session))

    def _warm_up(self) -> None:
        """Set the market as it stands when the window begins, from the minutes before it."""
        market, tape = self._core.market, self._core.tape
        day_start = opens(self._day)
        before = tape.minutes(0, day_start)
        for minute in before[-1:]:
            for item in tape.prints(minute):
                market.trade(item)
        market.turn_day()
        for bar in tape.bars(day_start, self._start_ns):
            market.trade(Print(bar.ts_ns, bar.open_ticks, 0))
            market.trade(Print(bar.ts_ns, bar.high_ticks, 0))
            market.trade(Print(bar.ts_ns, bar.low_ticks, 0))
            market.trade(Print(bar.ts_ns + MIN_NS - 1, bar.close_ticks, bar.volume))
