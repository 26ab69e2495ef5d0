"""Put values into words for the console: unknown is said, never shown as zero; colour only repeats what a word says."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

from rich.text import Text

from pj.channels.alarm_table import Severity

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pj.channels.alerts import Alert

UNKNOWN: Final = "unknown"
GOOD: Final = "green"
BAD: Final = "bold red"
DOUBT: Final = "yellow"
FAINT: Final = "bright_black"
EASTERN: Final = ZoneInfo("America/New_York")
NS_PER_S: Final = 1_000_000_000


def urgent(alerts: Iterable[Alert]) -> bool:
    """Tell whether one of the alerts asks for something at once."""
    return any(alert.severity is Severity.ACT for alert in alerts)


def unknown() -> Text:
    """Return the word for a value that nobody has stated."""
    return Text(UNKNOWN, style=DOUBT)


def count(value: Any) -> Text:
    """Return a whole number with separators, or unknown."""
    return Text(f"{value:,}") if isinstance(value, int) and not isinstance(value, bool) else unknown()


def price(value: Any) -> Text:
    """Return a price in points with separators and at least two decimals, or unknown."""
    if value is None or value == "" or isinstance(value, bool):
        return unknown()
    try:
        return Text(f"{_cents(Decimal(str(value))):,f}", style="bold")
    except InvalidOperation:
        return Text(str(value), style=DOUBT)


def _cents(value: Decimal) -> Decimal:
    """Return the number with two decimals where it has fewer; it is never rounded."""
    exponent = value.as_tuple().exponent
    return value.quantize(Decimal("0.01")) if isinstance(exponent, int) and exponent > -2 else value


def signed(value: Any) -> str:
    """Return a number with its sign, or unknown."""
    try:
        return f"{_cents(Decimal(str(value))):+,f}"
    except InvalidOperation:
        return UNKNOWN


def dollars(cents: Any, *, plus: bool = True) -> Text:
    """Return cents as dollars with a sign, or unknown."""
    if not isinstance(cents, int) or isinstance(cents, bool):
        return unknown()
    sign = "-" if cents < 0 else "+" if plus and cents > 0 else ""
    style = BAD if cents < 0 else GOOD if plus and cents > 0 else ""
    whole, rest = divmod(abs(cents), 100)
    return Text(f"{sign}${whole:,}.{rest:02d}", style=style)


def age(seconds: float | None) -> str:
    """Return a span in the unit in which it is read at a glance."""
    if seconds is None:
        return UNKNOWN
    if seconds < 0:
        return "ahead"  # the clocks disagree: not an age
    if seconds < 100:
        return f"{seconds:.1f} s"
    if seconds < 6000:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h"


def percent(part: int, whole: int) -> str:
    """Return a share; a share that is not zero is never rounded to zero."""
    share = 100 * part / whole
    return f"{share:.3f} %" if share == 0 or abs(share) >= 0.001 else f"{share:.1e} %"


def milliseconds(value: Any) -> str:
    """Return a duration given in ms, or unknown."""
    return f"{value:.0f} ms" if isinstance(value, int | float) and not isinstance(value, bool) else UNKNOWN


def eastern(run_ns: int, pattern: str = "%Y-%m-%d %H:%M:%S") -> str:
    """Return a run time as Eastern wall time."""
    moment = datetime.fromtimestamp(run_ns // NS_PER_S, tz=UTC).astimezone(EASTERN)
    return f"{moment.strftime(pattern)} ET"


def used(amount: int | None, limit: Any, *, money: bool = False) -> Text:
    """Return how much of a limit is used: ``$120.00 of $450.00 (27 %)``, ``REACHED: ...`` at the limit."""
    if amount is None or not isinstance(limit, int) or isinstance(limit, bool) or limit <= 0:
        told = dollars(amount, plus=False) if money else count(amount)
        return Text.assemble(told, (" of ", ""), (UNKNOWN, DOUBT)) if amount is not None else unknown()
    share = 100 * amount // limit
    both = [dollars(value, plus=False).plain if money else f"{value:,}" for value in (amount, limit)]
    text = f"{both[0]} of {both[1]} ({share} %)"
    if amount >= limit:
        return Text(f"REACHED: {both[0]} of {both[1]}", style=BAD)
    return Text(text, style=DOUBT if share >= 75 else "")
