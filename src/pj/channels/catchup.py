"""Read a day's tape in a hurry, for its bars alone: check every row, deliver only those that can change a bar.

A bar is made of TRADE and GAP rows, and of the fact that its minute had any row at all (``live.bar_builder``). So of
the QUOTE and HEARTBEAT rows only the first of a minute says anything, and making a ``Tick`` of each would be most of
what reading costs. A whole day has to be back within seconds.

Only a chunk that is in every row exactly as our writer writes it is read in columns: contiguous ``seq``, stamps in
order, nothing but trades, quotes and heartbeats, every price on the grid and every number a number. A chunk with
anything else in it goes the long way of ``TapeParser`` and is refused, reported or delivered there, so that bars,
counters, quarantine and holes are the same either way (a property of the tests).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from itertools import compress
from typing import Final

from live.market import NS_PER_MIN, Instrument, Tick, TickKind
from pj.channels.formats import PriceText
from pj.channels.tape import BadRow, TapeParser

_PLAIN: Final = {kind.value: kind for kind in (TickKind.TRADE, TickKind.QUOTE, TickKind.HEARTBEAT)}


class _Unusual(ValueError):
    """Report a chunk that has to go the long way."""


class CatchUpParser(TapeParser):
    """Parse live_market_data.csv as TapeParser does; while ``hurried()`` only what can change a bar is delivered.

    The last row of a chunk and its last QUOTE are delivered always: they carry the newest stamps.
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
        rows = self._rows(lines)
        if rows and self._hurried():
            try:
                return self._in_columns(rows)
            except ValueError:  # whatever it was: the long way finds it again, row by row, and says so
                return self._each(rows)
        return self._each(rows)

    def _in_columns(self, rows: list[str]) -> list[Tick]:
        """Return the ticks that matter; raise ValueError, with nothing changed, when any row is not plain."""
        count = len(rows)
        if self.last_seq is None or {row.count(",") for row in rows} != {self._width - 1}:
            raise _Unusual
        cells = ",".join(rows).split(",")  # one list of cells, not one for each row: the collector has nothing to do
        seqs, recvs, kinds, prices, sizes, bids, asks, exchs, sources, contracts = (
            cells[at :: self._width] for at in range(self._width)
        )
        numbers = range(self.last_seq + 1, self.last_seq + 1 + count)
        stamps = list(map(int, recvs))
        if list(map(int, seqs)) != list(numbers) or stamps != sorted(stamps) or not _PLAIN.keys() >= set(kinds):
            raise _Unusual
        trades = [kind == "TRADE" for kind in kinds]
        traded = {*compress(sizes, trades)}
        if "" in {*compress(prices, trades)} | traded or any(text[0] == "-" for text in traded):
            raise _Unusual
        if (stamped := "".join(exchs)) and not stamped.isdecimal():
            raise _Unusual
        size_of = {text: int(text) if text else 0 for text in {*sizes}}
        price = {text: self._prices.ticks(text) for text in {*prices, *bids, *asks}}
        columns = (numbers, stamps, kinds, prices, sizes, bids, asks, exchs, sources, contracts)
        ticks = [
            Tick(
                seq, ns, _PLAIN[kind], price[at], size_of[size], price[bid], price[ask],
                int(exch) if exch else None, source, contract,
            )
            for seq, ns, kind, at, size, bid, ask, exch, source, contract in compress(
                zip(*columns, strict=True), _wanted(trades, kinds, stamps)
            )
        ]  # fmt: skip
        self.last_seq += count
        return ticks


def _wanted(trades: list[bool], kinds: list[str], stamps: list[int]) -> bytearray:
    """Return 1 for each row to deliver: trades, the first row of each minute, the last QUOTE, the last row."""
    wanted = bytearray(trades)
    at = 0
    while at < len(stamps):
        wanted[at] = 1
        at = bisect_left(stamps, stamps[at] - stamps[at] % NS_PER_MIN + NS_PER_MIN, at)
    wanted[-1] = 1
    if "QUOTE" in kinds:
        wanted[len(kinds) - 1 - kinds[::-1].index("QUOTE")] = 1
    return wanted
