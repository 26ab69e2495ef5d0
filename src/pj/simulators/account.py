"""Keep the simulated account's money: cash, positions at cost, commissions, margin; exact arithmetic."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import Final

from pj.simulators.contracts import Future

ACCOUNT_ID: Final = "DU000001"
# Rounded intraday requirements per contract, USD; enough to refuse the absurd.
MARGIN_USD: Final = {"NQ": 33_000, "MNQ": 3_300, "ES": 23_000, "MES": 2_300}


@dataclass(slots=True)
class Position:
    """Hold one contract's signed quantity and the cost of what is open, in ticks times contracts."""

    quantity: int = 0
    cost_ticks: Fraction = Fraction(0)
    realized_usd: Fraction = Fraction(0)

    @property
    def average_ticks(self) -> Fraction:
        """Return the average entry price in ticks, 0 when flat."""
        return self.cost_ticks / self.quantity if self.quantity else Fraction(0)


@dataclass(slots=True)
class Account:
    """Hold one account."""

    cash_usd: Fraction
    commission_usd: Decimal = Decimal("0.62")
    account_id: str = ACCOUNT_ID
    positions: dict[Future, Position] = field(default_factory=dict)
    paid_usd: Fraction = Fraction(0)

    def position(self, future: Future) -> Position:
        """Return the position of ``future``, made flat when there was none."""
        return self.positions.setdefault(future, Position())

    def apply(self, future: Future, signed: int, price_ticks: int) -> Fraction | None:
        """Book a fill of ``signed`` contracts; return the USD realized, None when it only opened."""
        held = self.position(future)
        realized: Fraction | None = None
        closing = 0
        if held.quantity * signed < 0:
            closing = min(abs(signed), abs(held.quantity)) * (1 if held.quantity > 0 else -1)
            average = held.average_ticks
            realized = (price_ticks - average) * closing * future.instrument.tick_cents / 100
            held.cost_ticks -= average * closing
            held.quantity -= closing
            held.realized_usd += realized
            self.cash_usd += realized
        opening = signed + closing
        held.quantity += opening
        held.cost_ticks += opening * price_ticks
        self.paid_usd += Fraction(self.commission_usd) * abs(signed)
        self.cash_usd -= Fraction(self.commission_usd) * abs(signed)
        return realized

    def unrealized_usd(self, future: Future, mark_ticks: int) -> Fraction:
        """Return the open profit of ``future`` at ``mark_ticks``."""
        held = self.position(future)
        return (held.quantity * mark_ticks - held.cost_ticks) * future.instrument.tick_cents / 100

    def margin_usd(self, future: Future, quantity: int) -> int:
        """Return the requirement of a position of ``quantity``."""
        return MARGIN_USD[future.symbol] * abs(quantity)

    def affords(self, future: Future, signed: int, mark_ticks: int) -> bool:
        """Tell whether equity covers the margin after ``signed`` more contracts; reducing is always allowed."""
        held = self.position(future).quantity
        after = held + signed
        if abs(after) <= abs(held):
            return True
        equity = self.cash_usd + self.unrealized_usd(future, mark_ticks)
        return equity >= self.margin_usd(future, after)

    def values(self, future: Future, mark_ticks: int) -> dict[str, tuple[str, str]]:
        """Return the account values by tag as (value, currency)."""
        unrealized = self.unrealized_usd(future, mark_ticks)
        equity = self.cash_usd + unrealized
        margin = self.margin_usd(future, self.position(future).quantity)
        realized = sum((held.realized_usd for held in self.positions.values()), Fraction(0))
        figures: dict[str, Fraction | int] = {
            "NetLiquidation": equity,
            "TotalCashValue": self.cash_usd,
            "SettledCash": self.cash_usd,
            "EquityWithLoanValue": equity,
            "AvailableFunds": equity - margin,
            "ExcessLiquidity": equity - margin,
            "BuyingPower": equity - margin,
            "InitMarginReq": margin,
            "MaintMarginReq": margin,
            "GrossPositionValue": 0,
            "UnrealizedPnL": unrealized,
            "RealizedPnL": realized,
        }
        values = {tag: (f"{float(value):.2f}", "USD") for tag, value in figures.items()}
        values |= {
            "AccountCode": (self.account_id, ""),
            "AccountType": ("INDIVIDUAL", ""),
            "AccountReady": ("true", ""),
            "Currency": ("USD", "USD"),
            "CashBalance": (f"{float(self.cash_usd):.2f}", "USD"),
            "Leverage-S": ("0.00", ""),
        }
        return values
