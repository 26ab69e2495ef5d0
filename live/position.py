"""Hold one open position and book it when it ends (pj1 S5.8, S6.7, S13); the same arithmetic for every route."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from typing import cast

from live.commands import Trade
from live.market import NS_PER_S
from live.params import Params
from live.session_manager import Signal


def signal_row(signal: Signal) -> list[object]:
    """Return a signal as a JSON array."""
    return list(astuple(signal))


def signal_of(row: object) -> Signal:
    """Return the signal that ``signal_row`` wrote."""
    return Signal(*cast("list[int]", row))  # type: ignore[arg-type]


@dataclass(slots=True)
class Position:
    """Hold an open position; ``worst_m`` and ``best_m`` are mirrored extremes (s * price) of the bars held."""

    signal: Signal
    qty: int
    entry_ns: int
    entry_price: int
    worst_m: int
    best_m: int

    def see(self, high: int, low: int) -> None:
        """Widen the excursions by a bar's or mark's raw high and low."""
        if self.signal.side < 0:
            high, low = -low, -high
        self.worst_m = min(self.worst_m, low)
        self.best_m = max(self.best_m, high)

    def open_cents(self, price: int, params: Params) -> int:
        """Return what closing at ``price`` now would book: slippage and both commissions included (pj1 S6.7)."""
        ticks = self.signal.side * (price - self.entry_price) - params.slip_ticks
        return (ticks * params.tick_cents - 2 * params.comm_side_cents) * self.qty

    def closed(self, trade_id: int, exit_ns: int, exit_price: int, reason: str, params: Params) -> Trade:
        """Return the trade that ends this position at ``exit_price`` (raw ticks), stamped ``exit_ns``."""
        gross = self.signal.side * (exit_price - self.entry_price) * params.tick_cents * self.qty
        return self.booked(trade_id, exit_ns, exit_price, reason, (gross, 2 * params.comm_side_cents * self.qty))

    def booked(self, trade_id: int, exit_ns: int, exit_price: int, reason: str, money: tuple[int, int]) -> Trade:
        """Return the trade with given (gross, cost) in cents, where several fills make the price an average."""
        signal = self.signal
        side = signal.side
        entry_m = side * self.entry_price
        gross, cost = money
        return Trade(
            trade_id=trade_id,
            trade_date_ordinal=signal.ordinal,
            pool_id=signal.pool_id,
            kind=signal.kind,
            side=side,
            level_ticks=signal.level,
            sweep_ts_s=signal.sweep_ns // NS_PER_S,
            extreme_ticks=signal.extreme,
            signal_ts_s=signal.signal_ns // NS_PER_S,
            entry_ref_ticks=signal.entry_ref,
            stop_ticks=signal.stop,
            target_ticks=signal.target,
            qty=self.qty,
            entry_ts_s=self.entry_ns // NS_PER_S,
            entry_price_ticks=self.entry_price,
            exit_ts_s=exit_ns // NS_PER_S,
            exit_price_ticks=exit_price,
            exit_reason=reason,
            risk_ticks=signal.risk_ticks,
            gross_cents=gross,
            cost_cents=cost,
            net_cents=gross - cost,
            mae_ticks=max(0, entry_m - self.worst_m),
            mfe_ticks=max(0, self.best_m - entry_m),
        )

    def snapshot(self) -> list[object]:
        """Return the position as a JSON array."""
        return [signal_row(self.signal), self.qty, self.entry_ns, self.entry_price, self.worst_m, self.best_m]

    @classmethod
    def restored(cls, row: list[object]) -> Position:
        """Return the position that ``snapshot`` wrote."""
        numbers = cast("list[int]", row[1:])
        return cls(signal_of(row[0]), *numbers)
