"""Read the gateway's command line."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, time
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Final

GENERATOR: Final = "generator"
DEFAULT_DATE: Final = date(2026, 11, 18)


class UsageError(ValueError):
    """Report an option that cannot be used, in one sentence."""


@dataclass(frozen=True, slots=True)
class Options:
    """Hold the options as given; None = not given."""

    port: int
    tape: str
    speed: float | None
    symbol: str
    contract: str
    day: date | None
    start: time | None
    end: time | None
    seed: int
    ledger: Path | None
    run_dir: Path | None
    cash_usd: Decimal
    commission_usd: Decimal
    master_client: int
    control_port: int | None
    rate: float
    rate_seconds: float
    rate_batch: int


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> None:  # type: ignore[override]
        raise UsageError(message)


def parser() -> argparse.ArgumentParser:
    """Return the parser, also for the help text."""
    made = _Parser(prog="pj simulate gateway", description="Serve the TWS wire protocol on loopback from a tape.")
    add = made.add_argument
    add("--port", type=int, default=4002, help="TCP port, 0 = a free one (default 4002)")
    add("--tape", default=GENERATOR, help="a Parquet file of 1-minute bars, 1-second bars or trades, or 'generator'")
    add("--speed", type=float, default=None, help="virtual seconds per real second (default 1)")
    add("--symbol", default="MNQ", help="root: NQ, MNQ, ES or MES (default MNQ)")
    add("--contract", default="", help="e.g. MNQM6 (default: the larger volume of the trade date)")
    add("--date", default="", help="trade date YYYY-MM-DD (default: the tape's last; generator 2026-11-18)")
    add("--from", dest="start", default="", help="ET, HH:MM; 18:00 and later lies in the evening before the date")
    add("--to", dest="end", default="", help="ET, HH:MM, excluded (default 17:00)")
    add("--seed", type=int, default=7, help="the generator's seed (default 7)")
    add(
        "--ledger",
        type=Path,
        default=None,
        help="CSV of every tick sent (default RUN_DIR/simulators/gateway_ledger.csv)",
    )
    add("--run-dir", type=Path, default=None, help="run folder for the stats file and the ledger")
    add("--cash", default="100000", help="the account's USD at the start (default 100000)")
    add("--commission", default="0.62", help="USD per contract and side (default 0.62)")
    add("--master-client", type=int, default=0, help="client id that is told every client's orders and fills")
    add("--control-port", type=int, default=None, help="TCP port for fault commands, one JSON object per line")
    add("--rate", type=float, default=0.0, help="flood: synthetic ticks per second instead of the tape's prints")
    add("--rate-seconds", type=float, default=0.0, help="length of the flood in real seconds, 0 = endless")
    add("--rate-batch", type=int, default=50, help="most ticks per write in a flood (default 50)")
    return made


def read(argv: Sequence[str] | None) -> Options:
    """Return the options; raise UsageError naming the bad one."""
    raw = parser().parse_args(argv)
    for name, port in (("--port", raw.port), ("--control-port", raw.control_port or 0)):
        if not 0 <= port <= 65535:
            raise UsageError(f"{name} {port} is not a TCP port; use 0 to 65535")
    if raw.speed is not None and not 0 < raw.speed < float("inf"):
        raise UsageError(f"--speed {raw.speed} must be above 0")
    if raw.rate < 0 or raw.rate_seconds < 0 or raw.rate_batch < 1:
        raise UsageError("--rate and --rate-seconds must not be negative and --rate-batch must be at least 1")
    return Options(
        port=raw.port,
        tape=raw.tape,
        speed=raw.speed,
        symbol=raw.symbol,
        contract=raw.contract,
        day=_date(raw.date),
        start=_time("--from", raw.start),
        end=_time("--to", raw.end),
        seed=raw.seed,
        ledger=raw.ledger,
        run_dir=raw.run_dir,
        cash_usd=_money("--cash", raw.cash),
        commission_usd=_money("--commission", raw.commission),
        master_client=raw.master_client,
        control_port=raw.control_port,
        rate=raw.rate,
        rate_seconds=raw.rate_seconds,
        rate_batch=raw.rate_batch,
    )


def _date(value: str) -> date | None:
    try:
        return date.fromisoformat(value) if value else None
    except ValueError as error:
        raise UsageError(f"--date {value!r} is not a date; use YYYY-MM-DD") from error


def _time(name: str, value: str) -> time | None:
    try:
        return time.fromisoformat(value) if value else None
    except ValueError as error:
        raise UsageError(f"{name} {value!r} is not a time; use HH:MM (ET)") from error


def _money(name: str, value: str) -> Decimal:
    try:
        amount = Decimal(value)
    except InvalidOperation as error:
        raise UsageError(f"{name} {value!r} is not an amount in USD") from error
    if not amount.is_finite() or amount < 0:
        raise UsageError(f"{name} {value} must not be negative")
    return amount
