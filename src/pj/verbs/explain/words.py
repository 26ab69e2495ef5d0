"""Put prices, times, money and the engine's short names into a trader's words. Times are Eastern, as he reads them."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final
from zoneinfo import ZoneInfo

from live.market import NS_PER_S, Instrument

EASTERN: Final = ZoneInfo("America/New_York")
KINDS: Final = {
    "PD": "previous day's",
    "ASIA": "Asian session's",
    "LDN": "London session's",
    "OR": "opening range's",
    "NYAM": "New York morning's",
    "NYL": "New York lunch's",
    "EQ": "equal",
    "SW": "swing",
}
ENDS: Final = {
    "EXPIRED": "it expired before a signal came of it",
    "BROKEN": "price went too far beyond the level: it was broken, not swept",
    "TIMEOUT": "price stayed beyond the level too long",
    "RAN_AWAY": "price came back inside but ran too far away to enter",
    "TIE": "another pool, reclaimed by the same bar, ranks before it; one bar gives one signal",
    "MISSED": "it was reclaimed while nobody was watching (history, or the engine was down)",
    "ROLL": "the contract rolled",
    "MERGED": "it was merged into a pool of equal highs or lows",
}
EXITS: Final = {
    "STOP": "by its stop",
    "TARGET": "by its target",
    "TIME": "because it had been held for the longest time allowed",
    "FLAT": "because the day's flat time had come",
    "DAY_ROLL": "because the trade date or the contract had turned",
    "DAILY_LOSS": "because the day's loss limit was reached",
    "MANUAL": "between stop and target, by no order of ours",
    "UNVERIFIED": "because nobody could vouch for the position",
}
OUTSIDE: Final = {
    "RECOVERING": "the engine had just started and had not yet seen one full fresh bar",
    "STALE": "the market data were too old, came through a silent bridge, or the bar lacked ticks",
    "DELAYED_DATA": "the gateway sent delayed data",
    "CALENDAR": "the calendar said closed, or about to close, or could not be read",
    "CALENDAR_HORIZON": "the trading calendar did not reach this day",
    "ROLL": "the contract's roll date had come",
    "UNVERIFIED": "the account's position was not known for certain",
    "REPLAY_MISMATCH": "the replay of the journal did not come out the same",
}
CANCELS: Final = {
    "STALE": "the next bar came too late",
    "GAP": "the next bar opened beyond stop or target",
}


def price(ticks: Any, instrument: Instrument) -> str:
    """Return ticks as points with separators and two decimals, '-' for none."""
    return f"{instrument.tick * ticks:,.2f}" if isinstance(ticks, int) else "-"


def points(text: Any) -> str:
    """Return a decimal text of points as ``price`` would show it."""
    return f"{Decimal(str(text)):,.2f}"


def dollars(cents: int) -> str:
    """Return cents as dollars with a sign before the symbol."""
    return f"{'-' if cents < 0 else ''}${abs(cents) // 100:,}.{abs(cents) % 100:02d}"


def usd(text: Any) -> str:
    """Return a USD text as dollars with a sign before the symbol."""
    return dollars(int(Decimal(str(text)) * 100))


def eastern(ns: int, pattern: str = "%H:%M:%S") -> str:
    """Return a run time as Eastern wall time."""
    return datetime.fromtimestamp(ns // NS_PER_S, UTC).astimezone(EASTERN).strftime(pattern)


def moment_ns(iso: str) -> int:
    """Return ISO text (UTC) as ns."""
    return int(datetime.fromisoformat(iso).timestamp()) * NS_PER_S


def wall(minute: int) -> str:
    """Return a minute of the trading day (from 18:00 ET) as Eastern wall time."""
    of_day = (minute + 18 * 60) % 1440
    return f"{of_day // 60:02d}:{of_day % 60:02d}"


def pool_words(pool: str) -> str:
    """Return what a pool id means: ``739938:ORL`` is 'the opening range's low'."""
    parts = pool.split(":")
    name = parts[1] if len(parts) > 1 else ""
    edge = {"H": "high", "L": "low"}.get(name[-1:], "level")
    kind = KINDS.get(name[:-1], name[:-1])
    return f"{kind} {edge}{'s' if kind == 'equal' else ''}"


def side_words(side: int) -> str:
    """Return LONG or SHORT."""
    return "LONG" if side > 0 else "SHORT"


def count(number: int, word: str) -> str:
    """Return a number with its word: '1 trade', '2 trades'."""
    return f"{number} {word}{'' if number == 1 else 's' if not word.endswith('s') else 'es'}"


def span(seconds: int) -> str:
    """Return a span in minutes and seconds."""
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    said = [f"{hours} h"] * bool(hours) + [f"{minutes} min"] * bool(minutes) + [f"{rest} s"] * bool(rest)
    return " ".join(said) or "0 s"
