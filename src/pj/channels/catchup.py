"""Read a day's tape in a hurry, for its bars alone: check every row, deliver only those that can change a bar.

A bar is made of TRADE and GAP rows, and of the fact that its minute had any row at all (``live.bar_builder``). So once
a minute has shown a row, a further QUOTE or HEARTBEAT of it says nothing new, and making its ``Tick`` is half of what
reading it costs. Most rows of a tape are such, and a whole day has to be back within seconds.

Only a row that is exactly as our writer writes it is passed over or taken the short way: next in ``seq``, prices known,
plain numbers. Whatever is unusual goes the long way of ``TapeParser`` and is refused, reported or delivered there, so
that bars, counters, quarantine and holes are the same either way (a property of the tests).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from live.market import NS_PER_MIN, Instrument, Tick, TickKind
from pj.channels.formats import TAPE_COLUMNS, PriceText
from pj.channels.tape import BadRow, TapeParser

_PLAIN: Final = frozenset({TickKind.TRADE.value, TickKind.QUOTE.value, TickKind.HEARTBEAT.value})
_STAMPED: Final = frozenset({TickKind.TRADE, TickKind.QUOTE})
_WIDTH: Final = len(TAPE_COLUMNS)
_PLAIN_CHARS: Final = 400
_LAST_CELL: Final = _WIDTH - 1


class CatchUpParser(TapeParser):
    """Parse live_market_data.csv as TapeParser does; while ``hurried()`` only what can change a bar is delivered.

    The last row of a chunk and its last QUOTE after the last TRADE are delivered always: they carry the newest stamps.
    """

    def __init__(
        self,
        instrument: Instrument | PriceText,
        hurried: Callable[[], bool],
        *,
        at_start: bool = True,
        on_bad: Callable[[BadRow], None] | None = None,
    ) -> None:
        super().__init__(instrument, at_start=at_start, on_bad=on_bad)
        self._hurried = hurried

    def feed(self, lines: bytes) -> list[Tick]:
        """Return the ticks of ``lines`` (whole lines, each ended by a newline), in order."""
        return self._feed_hurried(lines) if self._hurried() else super().feed(lines)

    def _feed_hurried(self, lines: bytes) -> list[Tick]:
        ticks: list[Tick] = []
        known = self._prices.known()
        from_ns = end_ns = 0  # stamps of the minute that has shown a row: a quiet row in them changes nothing
        quote = passed = ""
        for row in self._rows(lines):
            cells = row.split(",", _LAST_CELL)
            if (
                len(cells) == _WIDTH
                and len(row) < _PLAIN_CHARS  # no number of it can be too long to be read
                and cells[2] in _PLAIN
                and cells[0].isdecimal()
                and self.last_seq is not None
                and int(cells[0]) - 1 == self.last_seq
                and cells[1].isdecimal()
                and cells[3] in known
                and (not cells[4] or cells[4].isdecimal())
                and cells[5] in known
                and cells[6] in known
                and (not cells[7] or cells[7].isdecimal())
            ):
                kind, stamp_ns = cells[2], int(cells[1])
                if kind != "TRADE" and from_ns <= stamp_ns < end_ns:
                    self.last_seq += 1
                    passed = row
                    if kind == "QUOTE":
                        quote = row
                    continue
                if kind == "TRADE" and cells[3] and cells[4]:
                    self.last_seq += 1
                    ticks.append(_trade(cells, self.last_seq, stamp_ns, known))
                    quote = passed = ""
                    from_ns, end_ns = stamp_ns, stamp_ns - stamp_ns % NS_PER_MIN + NS_PER_MIN
                    continue
            before = len(ticks)
            self._take(row, ticks)
            if len(ticks) > before:
                tick, passed = ticks[-1], ""
                quote = "" if tick.kind in _STAMPED else quote
                from_ns = tick.recv_ns
                # A gap shows no row of its minute: the next row has to.
                end_ns = 0 if tick.kind is TickKind.GAP else from_ns - from_ns % NS_PER_MIN + NS_PER_MIN
        if quote and quote != passed:  # only its stamp matters; the newest row of all stays the last
            ticks.insert(len(ticks) if passed else len(ticks) - 1, self._parse(quote))
        if passed:
            ticks.append(self._parse(passed))
        return ticks


def _trade(cells: list[str], seq: int, recv_ns: int, known: Mapping[str, int | None]) -> Tick:
    """Return the tick of a plain TRADE row."""
    _seq, _recv, _kind, price, size, bid, ask, exch, source, contract = cells
    exch_ns = int(exch) if exch else None
    return Tick(
        seq, recv_ns, TickKind.TRADE, known[price], int(size), known[bid], known[ask], exch_ns, source, contract
    )
