"""Remember the trade that was closed last, as far as late news can concern it: its name, and what of it was guessed."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from typing import cast

from live.broker_order import Fills, Order
from live.commands import CorrectTrade, Trade
from live.events import ExecutionReported
from live.params import Params


@dataclass(slots=True)
class ClosedTrade:
    """Name a closed trade; ``guessed`` exits bear the price ``each``, ``qty`` and ``value`` sum all its exits.

    ``side`` is the position's; ``today`` tells whether its money stands in the net of the running trade date.
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

    @classmethod
    def of(cls, order: Order, trade: Trade) -> ClosedTrade:
        """Return what is to be remembered of ``trade``, which ``order`` ended with."""
        signal, exits, guessed = order.signal, order.exit_total(), order.guessed
        each = guessed.value // guessed.qty if guessed.qty else 0
        name = (order.stem, signal.contract, signal.side, trade.trade_id, signal.pool_id)
        return cls(*name, guessed.qty, each, exits.qty, exits.value)

    def explains(self, fill: ExecutionReported, ref: str, *, nameless: bool) -> int:
        """Return how many contracts of a fill were guessed to have left; ``nameless`` where fills bear no keys."""
        named = bool(self.stem) and ref.startswith(self.stem)
        elsewhere = bool(fill.contract) and fill.contract != self.contract
        if fill.side != -self.side or elsewhere or not (named or nameless):
            return 0
        return min(self.guessed, fill.qty)

    def correct(self, qty: int, price: int, at_ns: int, params: Params) -> CorrectTrade:
        """Put the real price of ``qty`` guessed contracts in the guess's place, and return what that changes."""
        before = self.average()
        self.guessed -= qty
        self.value += qty * (price - self.each)
        cents = self.side * qty * (price - self.each) * params.tick_cents
        return CorrectTrade(self.trade_id, self.pool_id, qty, before, self.average(), cents, self.today, at_ns)

    def average(self) -> int:
        """Return the average exit price in ticks, as trades.csv rounds it."""
        return Fills(self.qty, self.value).average(-self.side)

    def row(self) -> list[object]:
        """Return the trade as a JSON array."""
        return list(astuple(self))


def closed_of(row: object) -> ClosedTrade:
    """Return the trade that ``ClosedTrade.row`` wrote."""
    return ClosedTrade(*cast("tuple[str, str, int, int, str, int, int, int, int, bool]", row))
