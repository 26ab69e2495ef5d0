"""Say what a demo plays, and refuse what cannot be played before a file or a process exists."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from live.market import INSTRUMENTS, NS_PER_S

EASTERN: Final = ZoneInfo("America/New_York")
DEFAULT_DATE: Final = dt.date(2026, 11, 18)
DEFAULT_WINDOW: Final = ("09:25", "11:00")
TRADE_DATE_TURN_HOUR: Final = 18


class DemoError(Exception):
    """Report a demo that cannot start; the message is one sentence for the user."""


@dataclass(frozen=True, slots=True)
class DemoPlan:
    """Hold what one demo plays: a stretch of one trade date, at a speed, into a fresh run folder."""

    tape: str
    symbol: str
    contract: str
    trade_date: dt.date
    from_ns: int
    to_ns: int
    speed: float
    seed: int
    route: str
    run_dir: Path
    sheets: bool
    headless: bool


def eastern_ns(trade_date: dt.date, text: str) -> int:
    """Return the UTC ns of an ET time ``HH:MM`` within ``trade_date`` (18:00 and later = the evening before)."""
    try:
        clock = dt.time.fromisoformat(text)
    except ValueError as error:
        raise DemoError(f"time {text!r} is not HH:MM (ET); give for instance --from 08:00") from error
    day = trade_date - dt.timedelta(days=1) if clock.hour >= TRADE_DATE_TURN_HOUR else trade_date
    moment = dt.datetime.combine(day, clock, tzinfo=EASTERN)
    return int(moment.timestamp()) * NS_PER_S


def run_base() -> Path:
    """Return where demo folders lie: data/run beside the settings file, as for every other run."""
    named = os.environ.get("PJ_CONFIG")
    return (Path(named).absolute().parent if named else Path.cwd()) / "data" / "run"


def fresh_run_dir(text: str | None, base: Path) -> Path:
    """Return a run folder that holds nothing yet; raise DemoError naming one that does."""
    if text is None:
        stamp = dt.datetime.now(tz=dt.UTC).strftime("%Y%m%d-%H%M%S")
        return base / f"demo-{stamp}"
    path = Path(text).expanduser().absolute()
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise DemoError(f"run folder {path} is not empty; give --run-dir a new or empty folder")
    return path


def plan_from_options(options: Mapping[str, object]) -> DemoPlan:
    """Return the plan that the command line asks for; raise DemoError for a value that cannot be played."""
    symbol = str(options.get("symbol") or "MNQ")
    if symbol not in INSTRUMENTS:
        raise DemoError(f"symbol {symbol!r} is unknown; choose one of {', '.join(sorted(INSTRUMENTS))}")
    tape = str(options.get("tape") or "generator")
    date_text = options.get("date")
    if date_text is None and tape != "generator":
        raise DemoError("--tape needs --date: give the CME trade date to play, for instance --date 2026-04-15")
    try:
        trade_date = dt.date.fromisoformat(str(date_text)) if date_text else DEFAULT_DATE
    except ValueError as error:
        raise DemoError(f"date {date_text!r} is not YYYY-MM-DD") from error
    from_ns = eastern_ns(trade_date, str(options.get("from") or DEFAULT_WINDOW[0]))
    to_ns = eastern_ns(trade_date, str(options.get("to") or DEFAULT_WINDOW[1]))
    if to_ns <= from_ns:
        raise DemoError("--to is not after --from; both are ET, and 18:00 or later is the evening before the date")
    speed = _number(options.get("speed"), 60.0)
    if not 0 < speed <= 600:
        raise DemoError(f"speed {speed:g} is outside 0-600")
    return DemoPlan(
        tape=tape if tape == "generator" else str(Path(tape).expanduser().absolute()),
        symbol=symbol,
        contract=str(options.get("contract") or ""),
        trade_date=trade_date,
        from_ns=from_ns,
        to_ns=to_ns,
        speed=speed,
        seed=int(_number(options.get("seed"), 7)),
        route=str(options.get("route") or "traderspost"),
        run_dir=fresh_run_dir(_text_or_none(options.get("run_dir")), run_base()),
        sheets=bool(options.get("sheets", True)),
        headless=bool(options.get("headless", False)),
    )


def _number(value: object, default: float) -> float:
    return default if value is None else float(str(value))


def _text_or_none(value: object) -> str | None:
    return None if value is None else str(value)


def gateway_arguments(plan: DemoPlan) -> list[str]:
    """Return what the simulated gateway is to play."""
    window = ["--date", plan.trade_date.isoformat(), *_et_window(plan)]
    contract = ["--contract", plan.contract] if plan.contract else []
    return ["--port", "0", "--tape", plan.tape, "--symbol", plan.symbol, "--seed", str(plan.seed), *window, *contract]


def check_tape(plan: DemoPlan) -> None:
    """Raise DemoError when the gateway could not play the plan, before a file or a process exists."""
    from pj.simulators.gateway import choose
    from pj.simulators.gateway_options import UsageError, read
    from pj.simulators.tapes import TapeError

    try:
        choose(read(gateway_arguments(plan)))
    except (TapeError, UsageError) as error:
        raise DemoError(str(error)) from None


def _et_window(plan: DemoPlan) -> list[str]:
    def wall(ns: int) -> str:
        return dt.datetime.fromtimestamp(ns // NS_PER_S, tz=EASTERN).strftime("%H:%M")

    return ["--from", wall(plan.from_ns), "--to", wall(plan.to_ns)]
