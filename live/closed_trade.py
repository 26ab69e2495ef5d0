"""Remember the trade that was closed last, as far as late news can concern it: its name, and what of it was guessed."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from typing import Literal, cast

from live.broker_order import Fills, Order
from live.commands import CorrectTrade, Trade
from live.events import ExecutionReported
from live.params import Params


@dataclass(slots=True)
class ClosedTrade:
    """Name a closed trade; ``side`` is the position's.

    ``guessed`` exits bear the price ``each``, ``qty`` and ``value`` sum all its exits. ``unseen`` contracts of its
    entry were believed without an execution, at ``unseen_value`` of the ``entry_value`` it was booked with.
    ``today`` tells whether its money stands in the net of the running trade date.
    """

    stem: str = ""
    contract: str = ""
    side: int = 0
    trade_id: int = 0
    pool_id: str = ""
    guessed: int = 0
    each: int = 0
    qty: int = 0
    value: int = 0
    today: bool = True
    unseen: int = 0
    unseen_value: int = 0
    entry_value: int = 0

    @classmethod
    def of(cls, order: Order, trade: Trade) -> ClosedTrade:
        """Return what is to be remembered of ``trade``, which ``order`` ended with."""
        signal, exits, guessed = order.signal, order.exit_total(), order.guessed
        each = guessed.value // guessed.qty if guessed.qty else 0
        closed = cls(order.stem, signal.contract, signal.side, trade.trade_id, signal.pool_id)
        closed.guessed, closed.each, closed.qty, closed.value = guessed.qty, each, exits.qty, exits.value
        closed.entry_value = order.entry.value
        if order.estimated and order.position is not None:
            closed.entry_value = order.position.entry_price * order.position.qty
            closed.unseen = order.position.qty - order.entry.qty
            closed.unseen_value = closed.entry_value - order.entry.value
        return closed

    def explains(self, fill: ExecutionReported, ref: str, *, nameless: bool) -> int:
        """Return how many contracts of a fill were believed without it; ``nameless`` where fills bear no keys."""
        named = bool(self.stem) and ref.startswith(self.stem)
        elsewhere = bool(fill.contract) and fill.contract != self.contract
        if elsewhere or not (named or nameless):
            return 0
        return min(self.guessed if fill.side == -self.side else self.unseen, fill.qty)

    def correct(self, qty: int, fill: ExecutionReported, params: Params) -> CorrectTrade:
        """Put the real price of ``qty`` contracts in the guess's place, and return what that changes."""
        leg: Literal["ENTRY", "EXIT"] = "ENTRY" if fill.side == self.side else "EXIT"
        before = self._average(leg)
        if leg == "EXIT":
            more = self.side * qty * (fill.price_ticks - self.each)
            self.guessed -= qty
            self.value += qty * (fill.price_ticks - self.each)
        else:
            believed = self.unseen_value * qty // self.unseen
            more = -self.side * (qty * fill.price_ticks - believed)
            self.unseen -= qty
            self.unseen_value -= believed
            self.entry_value += qty * fill.price_ticks - believed
        cents = more * params.tick_cents
        return CorrectTrade(
            self.trade_id, self.pool_id, leg, qty, before, self._average(leg), cents, self.today, fill.ts_ns
        )

    def words(self, correction: CorrectTrade, fill: ExecutionReported) -> str:
        """Return the sentence that tells a correction."""
        what = "were entered" if correction.leg == "ENTRY" else "left"
        trade = f"{correction.qty} of {self.stem.rstrip(':')} {what} at {fill.price_ticks} ticks"
        return f"{trade}; the trade was booked ESTIMATED and is corrected"

    def _average(self, leg: Literal["ENTRY", "EXIT"]) -> int:
        """Return the average price of a leg in ticks, as trades.csv rounds it: all that was entered has left."""
        if leg == "ENTRY":
            return Fills(self.qty, self.entry_value).average(self.side)
        return Fills(self.qty, self.value).average(-self.side)

    def row(self) -> list[object]:
        """Return the trade as a JSON array."""
        return list(astuple(self))


def closed_of(row: object) -> ClosedTrade:
    """Return the trade that ``ClosedTrade.row`` wrote; one of an older run has nothing unseen."""
    return ClosedTrade(*cast("tuple[str, str, int, int, str, int, int, int, int, bool, int, int, int]", row))
