"""Say what the closed trades of a run amount to: the equity curve per trade date and a few figures.

Money is counted in whole cents; quotients are rounded half to even from the exact value. A day is the trade date of
the signal, as in trades.csv; days with bars and no trade count with 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from itertools import accumulate
from typing import Final

from live.commands import Trade
from live.records import usd_text

COLUMNS: Final = ("date", "net_usd", "cumulative_usd", "drawdown_usd", "trades")
_WIDTH, _HEIGHT, _MARGIN = 960, 360, 40


@dataclass(frozen=True, slots=True)
class Day:
    """Hold one trade date of the curve; ``drawdown_cents`` is how far the sum lies below its highest, 0 or less."""

    ordinal: int
    net_cents: int
    cumulative_cents: int
    drawdown_cents: int
    trades: int


def curve(days: Sequence[int], trades: Sequence[Trade]) -> list[Day]:
    """Return one row per trade date of ``days`` (ordinals, ascending)."""
    net = dict.fromkeys(days, 0)
    count = dict.fromkeys(days, 0)
    for trade in trades:
        net[trade.trade_date_ordinal] += trade.net_cents
        count[trade.trade_date_ordinal] += 1
    sums = list(accumulate(net.values()))
    falls = drawdowns(sums)
    return [Day(day, net[day], total, fall, count[day]) for day, total, fall in zip(days, sums, falls, strict=True)]


def drawdowns(sums: Sequence[int]) -> list[int]:
    """Return how far each running sum lies below the highest so far, a start of 0 included."""
    return [total - max(0, peak) for total, peak in zip(sums, accumulate(sums, max), strict=True)]


def csv_bytes(rows: Sequence[Day]) -> bytes:
    """Return equity.csv."""
    lines = [",".join(COLUMNS)]
    for row in rows:
        money = (row.net_cents, row.cumulative_cents, row.drawdown_cents)
        lines.append(",".join([date.fromordinal(row.ordinal).isoformat(), *map(usd_text, money), str(row.trades)]))
    return ("\n".join(lines) + "\n").encode()


def figures(rows: Sequence[Day], trades: Sequence[Trade]) -> dict[str, object]:
    """Return the figures of a run as a JSON object; quotients without a divisor are empty."""
    nets = [trade.net_cents for trade in trades]
    won, lost = sum(net for net in nets if net > 0), -sum(net for net in nets if net < 0)
    daily = [row.net_cents for row in rows]
    sides = {side: [trade for trade in trades if trade.side == sign] for side, sign in (("long", 1), ("short", -1))}
    return {
        "max_drawdown_usd": usd_text(min([0, *drawdowns(list(accumulate(nets)))])),
        "max_drawdown_daily_usd": usd_text(min([0, *(row.drawdown_cents for row in rows)])),
        "profit_factor": _ratio(won, lost),
        "win_rate_percent": _ratio(100 * sum(net > 0 for net in nets), len(nets), 2),
        "average_trade_usd": _ratio(sum(nets), 100 * len(nets), 2),
        "best_trade_usd": usd_text(max(nets)) if nets else "",
        "worst_trade_usd": usd_text(min(nets)) if nets else "",
        "longest_losing_streak": max([0, *_losing_streaks(nets)]),
        "gross_usd": usd_text(sum(trade.gross_cents for trade in trades)),
        "cost_usd": usd_text(sum(trade.cost_cents for trade in trades)),
        "days": len(rows),
        "days_traded": sum(row.trades > 0 for row in rows),
        "days_won": sum(net > 0 for net in daily),
        "days_lost": sum(net < 0 for net in daily),
        "best_day_usd": usd_text(max(daily)) if daily else "",
        "worst_day_usd": usd_text(min(daily)) if daily else "",
        **{f"{side}_trades": len(some) for side, some in sides.items()},
        **{f"{side}_net_usd": usd_text(sum(one.net_cents for one in some)) for side, some in sides.items()},
        "exits": {name: sum(one.exit_reason == name for one in trades) for name in _reasons(trades)},
    }


def _reasons(trades: Sequence[Trade]) -> list[str]:
    return sorted({trade.exit_reason for trade in trades})


def _losing_streaks(nets: Sequence[int]) -> Iterator[int]:
    streak = 0
    for net in nets:
        streak = streak + 1 if net < 0 else 0
        yield streak


def _ratio(number: int, divisor: int, places: int = 4) -> str:
    if not divisor:
        return ""
    scaled = round(Fraction(number * 10**places, divisor))
    whole, part = divmod(abs(scaled), 10**places)
    return f"{'-' if scaled < 0 else ''}{whole}.{part:0{places}d}"


def svg_bytes(rows: Sequence[Day], title: str) -> bytes:
    """Return the curve as a self-contained picture: the sum as a line, the drawdown below it as an area."""
    sums = [0, *(row.cumulative_cents for row in rows)]
    falls = [0, *(row.drawdown_cents for row in rows)]
    low, high = min(*sums, *falls, 0), max(*sums, 1)
    across, down = _WIDTH - 2 * _MARGIN, _HEIGHT - 2 * _MARGIN

    def point(place: int, cents: int) -> str:
        x = _MARGIN * 10 + place * across * 10 // max(1, len(sums) - 1)
        y = _MARGIN * 10 + (high - cents) * down * 10 // (high - low)
        return f"{x // 10}.{x % 10},{y // 10}.{y % 10}"

    line = " ".join(point(place, cents) for place, cents in enumerate(sums))
    area = " ".join(point(place, cents) for place, cents in enumerate(falls))
    zero, end = point(0, 0), point(len(sums) - 1, 0)
    zero_y = zero.split(",")[1]
    first = date.fromordinal(rows[0].ordinal).isoformat() if rows else ""
    last = date.fromordinal(rows[-1].ordinal).isoformat() if rows else ""
    text = f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif">
<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#ffffff"/>
<text x="{_MARGIN}" y="24" font-size="14">{_escaped(title)}</text>
<polygon points="{zero} {area} {end}" fill="#f2c9c4"/>
<line x1="{_MARGIN}" x2="{_WIDTH - _MARGIN}" y1="{zero_y}" y2="{zero_y}" stroke="#888888"/>
<polyline points="{line}" fill="none" stroke="#1f4e79" stroke-width="1.5"/>
<text x="{_MARGIN}" y="{_HEIGHT - 12}" font-size="12">{first}</text>
<text x="{_WIDTH - _MARGIN}" y="{_HEIGHT - 12}" font-size="12" text-anchor="end">{last}</text>
<text x="{_WIDTH - _MARGIN}" y="24" font-size="12" text-anchor="end">high {usd_text(max(sums))}, \
low {usd_text(min(sums))} USD</text>
</svg>
"""
    return text.encode()


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
