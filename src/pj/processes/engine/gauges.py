"""Say in numbers what the core holds: the gauges of engine.stats.json.

Prices are text in points, money integer cents. What is not known is null, never zero.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

from live.engine import Engine
from live.market import Instrument
from live.pools import Pool
from live.risk_guard import HOUR_NS

NEAR_POOLS: Final = 12


def core_gauges(engine: Engine, instrument: Instrument, price: int | None, now_ns: int) -> dict[str, Any]:
    """Return pools, position, counters and limits; ``price`` is the last trade in ticks."""
    guard, params = engine.guard, engine.params
    return {
        "mode": engine.mode.value,
        "signals": engine.signals,
        "refusals": dict(engine.refusals),
        "trades_today": guard.fills,
        "losses_streak": guard.losses_streak,
        "orders_hour": sum(at > now_ns - HOUR_NS for at in guard.order_times),
        "locked": guard.locked,
        "killed": engine.killed or bool(engine.desk.halted),
        "stance": list(engine.stance),
        "limits": {
            "max_daily_loss_cents": params.max_daily_loss_cents,
            "max_trades_day": params.max_trades_day,
            "max_consec_losses": params.max_consec_losses,
            "max_orders_hour": params.max_orders_hour,
        },
        **_pools(engine, instrument, price),
        **_money(engine, instrument, price),
    }


def _pools(engine: Engine, instrument: Instrument, price: int | None) -> dict[str, Any]:
    book = engine.liquidity.book
    living = book.living()
    counts = Counter(pool.state.value for pool in living)
    counts["DEAD"] = sum(book.dead.values())
    nearest = sorted(living, key=lambda pool: abs(pool.level - price))[:NEAR_POOLS] if price is not None else []
    return {"pools": dict(counts), "pools_near": [_near(pool, instrument, price) for pool in nearest]}


def _near(pool: Pool, instrument: Instrument, price: int | None) -> dict[str, Any]:
    side = pool.pool_id.split(":")[1].removeprefix(pool.kind)
    return {
        "id": pool.pool_id,
        "kind": f"{pool.kind}{side}",
        "level": instrument.to_points(pool.level),
        "state": pool.state.value,
        "distance": None if price is None else instrument.to_points(pool.level - price),
    }


def _money(engine: Engine, instrument: Instrument, price: int | None) -> dict[str, Any]:
    position = engine.position
    realised = engine.guard.net_cents
    if position is None:
        return {
            "position": 0,
            "pending": engine.in_position,
            "entry_price": None,
            "open_pnl_cents": 0,
            "day_pnl_cents": realised,
        }
    open_cents = None if price is None else position.open_cents(price, engine.params)
    return {
        "position": position.signal.side * position.qty,
        "pending": False,
        "entry_price": instrument.to_points(position.entry_price),
        "stop": instrument.to_points(position.signal.stop),
        "target": instrument.to_points(position.signal.target),
        "open_pnl_cents": open_cents,
        "day_pnl_cents": None if open_cents is None else realised + open_cents,
    }
