"""Hold the parameters of PJ-1 by their names of pj1 S13, checked and turned into exact integers.

Money is whole cents, prices and distances are ticks, windows are minutes of the trading day, ratios are
fractions: no double takes part in a decision. An unknown name, a wrong type or a value that would need
rounding is refused with one sentence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Any, Final

from live.market import Instrument
from live.trading_day import MINUTES_PER_DAY, minute_of_wall

SESSION_NAMES: Final = ("ASIA", "LDN", "OR", "NYAM", "NYL")
KINDS: Final = ("PD", *SESSION_NAMES, "EQ", "SW")
_PAIR: Final = 2
_TRIPLE: Final = 3


class ParamsError(ValueError):
    """Report a parameter that PJ-1 does not know or cannot use; the text is one sentence for the user."""


@dataclass(frozen=True, slots=True)
class SessionWindow:
    """Name a session and its minutes [start_m, end_m) of the trading day."""

    name: str
    start_m: int
    end_m: int


_DEFAULT_SESSIONS: Final = (
    SessionWindow("ASIA", 120, 360),
    SessionWindow("LDN", 480, 660),
    SessionWindow("OR", 930, 945),
    SessionWindow("NYAM", 930, 1020),
    SessionWindow("NYL", 1080, 1140),
)
_DEFAULT_WINDOWS: Final = ((480, 660), (930, 1050), (1170, 1305))


@dataclass(frozen=True, slots=True)
class Params:
    """Carry every PJ-1 parameter; field names are those of pj1 S13 with the unit last where it changed.

    Build with ``Params.from_dict``; the defaults are the spec's. ``blackouts`` are UTC epoch-second
    intervals [from, to); ``windows`` are minute intervals [start, end).
    """

    tick: Decimal = Decimal("0.25")
    tick_cents: int = 50
    sessions: tuple[SessionWindow, ...] = _DEFAULT_SESSIONS
    use_kinds: tuple[str, ...] = ("PD", "ASIA", "LDN", "OR", "NYAM", "NYL", "EQ", "SW")
    min_prev_day_bars: int = 300
    min_session_fill: Fraction = Fraction(1, 2)
    swing_n: int = 15
    swing_ttl_min: int = 240
    eq_tol_ticks: int = 8
    sweep_min_ticks: int = 1
    reclaim_min_ticks: int = 1
    reclaim_max_min: int = 10
    max_pen_ticks: int = 160
    max_chase_ticks: int = 120
    disp_num: int = 1
    disp_den: int = 2
    stop_buffer_ticks: int = 4
    min_risk_ticks: int = 20
    max_risk_ticks: int = 200
    target_r: Fraction = Fraction(2)
    max_hold_min: int = 60
    windows: tuple[tuple[int, int], ...] = _DEFAULT_WINDOWS
    flat_at_m: int = 1375
    max_entry_delay_min: int = 2
    risk_per_trade_cents: int = 10_000
    max_qty: int = 5
    comm_side_cents: int = 62
    slip_ticks: int = 1
    target_through_ticks: int = 1
    max_daily_loss_cents: int = 45_000
    max_trades_day: int = 6
    max_consec_losses: int = 3
    cooldown_min: int = 5
    max_orders_hour: int = 30
    max_gap_min: int = 5
    blackouts: tuple[tuple[int, int], ...] = ()

    @classmethod
    def from_dict(cls, raw: Mapping[str, object] | None = None, instrument: Instrument | None = None) -> Params:
        """Return the parameters of a JSON object, absent names at their default.

        ``instrument``, when given, supplies ``tick`` and ``tick_usd`` where ``raw`` does not (the spec's own
        defaults are MNQ's). Raises ParamsError naming the parameter, its value and what to do.
        """
        given = dict(raw or {})
        values: dict[str, object] = {}
        if instrument is not None:
            values.update(tick=instrument.tick, tick_cents=instrument.tick_cents)
        for name, value in given.items():
            rule = _RULES.get(name)
            if rule is None:
                raise ParamsError(f"unknown parameter {name!r}; the known ones are {', '.join(_RULES)}")
            field, read = rule
            values[field] = read(name, value)
        params = cls(**values)  # type: ignore[arg-type]
        _check_together(params)
        return params

    def to_dict(self) -> dict[str, object]:
        """Return the parameters as a JSON object that ``from_dict`` reads back to an equal value."""
        by_field = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: _plain(name, by_field[field]) for name, (field, _) in _RULES.items()}

    def instrument(self, base: Instrument) -> Instrument:
        """Return ``base`` with the tick and tick value that these parameters book with."""
        return Instrument(base.symbol, self.tick, self.tick_cents, base.multiplier, base.exchange, base.currency)


def _check_together(params: Params) -> None:
    if params.min_risk_ticks > params.max_risk_ticks:
        raise ParamsError(
            f"min_risk_ticks {params.min_risk_ticks} is above max_risk_ticks {params.max_risk_ticks}; lower the first"
        )
    if params.max_risk_ticks == 0:
        raise ParamsError("max_risk_ticks 0 leaves no trade with a risk; give at least 1")


def _fail(name: str, value: object, wanted: str) -> ParamsError:
    return ParamsError(f"parameter {name} is {value!r}; give {wanted}")


def _whole(least: int) -> Callable[[str, object], int]:
    def read(name: str, value: object) -> int:
        number = _number(name, value, f"a whole number of at least {least}")
        if number.denominator != 1 or number < least:
            raise _fail(name, value, f"a whole number of at least {least}")
        return int(number)

    return read


def _number(name: str, value: object, wanted: str) -> Fraction:
    """Return a JSON number or numeric text exactly as written (a double by its shortest text)."""
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal | Fraction):
        raise _fail(name, value, wanted)
    try:
        return Fraction(str(value)) if isinstance(value, int | Fraction) else Fraction(Decimal(str(value)))
    except (InvalidOperation, ValueError, OverflowError):
        pass
    try:
        return Fraction(str(value))
    except (ValueError, ZeroDivisionError) as error:
        raise _fail(name, value, wanted) from error


def _cents(least: int) -> Callable[[str, object], int]:
    def read(name: str, value: object) -> int:
        wanted = "an amount in USD of at least " + f"{least / 100:.2f}"
        cents = _number(name, value, wanted) * 100
        if cents.denominator != 1:
            raise _fail(
                name, value, "whole cents (money is booked in cents, a part of a cent would have to be rounded)"
            )
        if cents < least:
            raise _fail(name, value, wanted)
        return int(cents)

    return read


def _tick(name: str, value: object) -> Decimal:
    wanted = 'a price step above zero as text, e.g. "0.25"'
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
        raise _fail(name, value, wanted)
    try:
        tick = Decimal(str(value))
    except InvalidOperation as error:
        raise _fail(name, value, wanted) from error
    if not tick.is_finite() or tick <= 0:
        raise _fail(name, value, wanted)
    return tick


def _share(name: str, value: object) -> Fraction:
    share = _number(name, value, "a share from 0 to 1")
    if not 0 <= share <= 1:
        raise _fail(name, value, "a share from 0 to 1")
    return share


def _positive_ratio(name: str, value: object) -> Fraction:
    ratio = _number(name, value, 'a ratio above zero, e.g. "2" or "3/2"')
    if ratio <= 0:
        raise _fail(name, value, 'a ratio above zero, e.g. "2" or "3/2"')
    return ratio


def _minute(name: str, value: object) -> int:
    try:
        return minute_of_wall(value if isinstance(value, str) else repr(value))
    except ValueError as error:
        raise _fail(name, value, 'an ET wall time in quotes, "HH:MM"') from error


def _rows(name: str, value: object, width: int, wanted: str) -> list[list[object]]:
    if not isinstance(value, list | tuple):
        raise _fail(name, value, wanted)
    rows = []
    for row in value:
        if not isinstance(row, list | tuple) or len(row) != width:
            raise _fail(name, row, wanted)
        rows.append(list(row))
    return rows


def _interval(name: str, row: list[object]) -> tuple[int, int]:
    start, end = _minute(name, row[0]), _minute(name, row[1])
    end = end or MINUTES_PER_DAY
    if start >= end:
        raise _fail(name, row, "a window [start, end) that does not cross 18:00 ET, where the trading day turns")
    return start, end


def _windows(name: str, value: object) -> tuple[tuple[int, int], ...]:
    return tuple(_interval(name, row) for row in _rows(name, value, _PAIR, "a list of [HH:MM, HH:MM]"))


def _sessions(name: str, value: object) -> tuple[SessionWindow, ...]:
    found: list[SessionWindow] = []
    for row in _rows(name, value, _TRIPLE, "a list of [NAME, HH:MM, HH:MM]"):
        title = row[0]
        if title not in SESSION_NAMES:
            raise _fail(name, title, f"one of the names {', '.join(SESSION_NAMES)}")
        if any(session.name == title for session in found):
            raise _fail(name, title, "each session once")
        found.append(SessionWindow(str(title), *_interval(name, row[1:])))
    return tuple(found)


def _kinds(name: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or any(kind not in KINDS for kind in value):
        raise _fail(name, value, f"a list of {', '.join(KINDS)}")
    return tuple(dict.fromkeys(str(kind) for kind in value))


def _blackouts(name: str, value: object) -> tuple[tuple[int, int], ...]:
    spans = []
    for row in _rows(name, value, _PAIR, "a list of [utc_iso_from, utc_iso_to]"):
        start, end = (_moment(name, cell) for cell in row)
        if start >= end:
            raise _fail(name, row, "an interval [from, to) whose end lies after its start")
        spans.append((start, end))
    return tuple(spans)


def _moment(name: str, value: object) -> int:
    wanted = "UTC times like 2026-04-15T12:30:00Z"
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError as error:
        raise _fail(name, value, wanted) from error
    if moment is None or moment.microsecond:
        raise _fail(name, value, wanted)
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def _plain(name: str, value: Any) -> object:
    """Return a field as the JSON value that its reader takes."""
    if name in _MONEY:
        return f"{value // 100}.{value % 100:02d}"
    match name:
        case "sessions":
            return [[row.name, _wall(row.start_m), _wall(row.end_m)] for row in value]
        case "windows":
            return [[_wall(start), _wall(end)] for start, end in value]
        case "flat_at":
            return _wall(value)
        case "blackouts":
            return [[datetime.fromtimestamp(ts, UTC).isoformat() for ts in row] for row in value]
        case "use_kinds":
            return list(value)
        case _:
            return value if isinstance(value, int) else str(value)


def _wall(minute: int) -> str:
    wall = (minute + 18 * 60) % MINUTES_PER_DAY
    return f"{wall // 60:02d}:{wall % 60:02d}"


_MONEY: Final = frozenset({"tick_usd", "risk_per_trade_usd", "comm_side_usd", "max_daily_loss_usd"})
_RULES: Final[dict[str, tuple[str, Callable[[str, object], object]]]] = {
    "tick": ("tick", _tick),
    "tick_usd": ("tick_cents", _cents(1)),
    "sessions": ("sessions", _sessions),
    "use_kinds": ("use_kinds", _kinds),
    "min_prev_day_bars": ("min_prev_day_bars", _whole(1)),
    "min_session_fill": ("min_session_fill", _share),
    "swing_n": ("swing_n", _whole(1)),
    "swing_ttl_min": ("swing_ttl_min", _whole(0)),
    "eq_tol_ticks": ("eq_tol_ticks", _whole(0)),
    "sweep_min_ticks": ("sweep_min_ticks", _whole(0)),
    "reclaim_min_ticks": ("reclaim_min_ticks", _whole(0)),
    "reclaim_max_min": ("reclaim_max_min", _whole(0)),
    "max_pen_ticks": ("max_pen_ticks", _whole(0)),
    "max_chase_ticks": ("max_chase_ticks", _whole(0)),
    "disp_num": ("disp_num", _whole(0)),
    "disp_den": ("disp_den", _whole(1)),
    "stop_buffer_ticks": ("stop_buffer_ticks", _whole(0)),
    "min_risk_ticks": ("min_risk_ticks", _whole(1)),
    "max_risk_ticks": ("max_risk_ticks", _whole(1)),
    "target_r": ("target_r", _positive_ratio),
    "max_hold_min": ("max_hold_min", _whole(0)),
    "windows": ("windows", _windows),
    "flat_at": ("flat_at_m", _minute),
    "max_entry_delay_min": ("max_entry_delay_min", _whole(0)),
    "risk_per_trade_usd": ("risk_per_trade_cents", _cents(0)),
    "max_qty": ("max_qty", _whole(0)),
    "comm_side_usd": ("comm_side_cents", _cents(0)),
    "slip_ticks": ("slip_ticks", _whole(0)),
    "target_through_ticks": ("target_through_ticks", _whole(0)),
    "max_daily_loss_usd": ("max_daily_loss_cents", _cents(0)),
    "max_trades_day": ("max_trades_day", _whole(0)),
    "max_consec_losses": ("max_consec_losses", _whole(0)),
    "cooldown_min": ("cooldown_min", _whole(0)),
    "max_orders_hour": ("max_orders_hour", _whole(0)),
    "max_gap_min": ("max_gap_min", _whole(0)),
    "blackouts": ("blackouts", _blackouts),
}
