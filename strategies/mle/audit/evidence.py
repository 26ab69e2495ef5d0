"""Take up what is to be judged: a backtest's folder, its bars, and the proof that one follows from the other.

A folder whose files are not what its run.json recorded, whose bars have other bytes, or whose trades do not come out of
its bars and parameters again, is refused: nothing is judged that cannot be made again.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Final

from live.market import INSTRUMENTS, Instrument
from live.params import Params
from live.records import TRADE_COLUMNS, trade_row
from strategies.mle.audit.market import Market
from strategies.mle.bar_file import BacktestInputError, BarColumns, load_columns
from strategies.mle.compiled import run_compiled
from strategies.mle.phase16_pj_engine import DEFAULT_SYMBOL, columns_between, read_params
from strategies.mle.registry import RUN_FILE, file_sha256
from strategies.mle.run_records import RunRecord, read_run
from strategies.mle.tape import Tape

_R_SLACK: Final = Decimal("0.0001")


@dataclass(frozen=True, slots=True)
class BarChoice:
    """Say which bars: the file (None: the one that run.json names) and how it is read, as ``pj backtest`` takes it."""

    bars: Path | None = None
    params: Path | None = None
    symbol: str | None = None
    front: bool = False
    snap: bool = False
    start: date | None = None
    end: date | None = None
    inspect: Callable[[str, BarColumns], Mapping[str, Any]] | None = None
    """Judges the bars (the file's name, the bars) before anything is opened; raises BacktestInputError to refuse."""

    @property
    def named(self) -> list[str]:
        """Return the options that only make sense for a folder without run.json."""
        given = {
            "--params": self.params,
            "--symbol": self.symbol,
            "--front": self.front,
            "--snap": self.snap,
            "--from": self.start,
            "--to": self.end,
        }
        return [name for name, value in given.items() if value]


@dataclass(frozen=True, slots=True)
class Evidence:
    """Hold one frozen configuration on one tape, and where it came from."""

    folder: Path
    bars: Path
    bars_sha256: str
    symbol: str
    params: Params
    market: Market
    quality: Mapping[str, Any] = field(default_factory=dict)
    """What ``BarChoice.inspect`` said of the bars."""


def params_sha256(params: Params) -> str:
    """Return the hash of a parameter set: SHA-256 of its JSON with sorted names and no spaces."""
    return hashlib.sha256(json.dumps(params.to_dict(), sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def backtest_evidence(folder: Path, choice: BarChoice) -> Evidence:
    """Return a backtest's folder as evidence; raises BacktestInputError, one sentence, for one that is none."""
    if not folder.is_dir():
        raise BacktestInputError(f"{folder} is not a folder; name the one that 'pj backtest --out' wrote")
    if (folder / RUN_FILE).exists():
        choice = _recorded(read_run(folder), choice)
        params = Params.from_dict(read_run(folder).tree["params"])
    elif choice.bars is None:
        raise BacktestInputError(f"{folder} holds no {RUN_FILE}; give its bars with --bars (and --params)")
    else:
        params = read_params(choice.params, choice.symbol)
    evidence = make_evidence(folder, params, choice)
    _check_trades(folder / "trades.csv", evidence)
    return evidence


def make_evidence(folder: Path, params: Params, choice: BarChoice) -> Evidence:
    """Return parameters on the bars of a choice that names a file; raises BacktestInputError."""
    assert choice.bars is not None  # noqa: S101 - both callers have named it
    symbol = choice.symbol or DEFAULT_SYMBOL
    instrument = params.instrument(known_instrument(symbol))
    columns = load_columns(choice.bars, instrument, front=choice.front, snap=choice.snap)
    used = columns_between(columns, choice.start, choice.end)
    quality = {} if choice.inspect is None else choice.inspect(str(choice.bars), used)
    tape = Tape.of(columns)
    if choice.start is not None or choice.end is not None:
        first, last = choice.start or date.min, choice.end or date.max
        tape = tape.between(first.toordinal(), last.toordinal())
    if not len(tape):
        raise BacktestInputError(f"{choice.bars} holds no bar of a trading day in the dates asked for; give others")
    return Evidence(folder, choice.bars, file_sha256(choice.bars), symbol, params, Market(tape, symbol), quality)


def known_instrument(symbol: str) -> Instrument:
    """Return the instrument of a symbol; raises BacktestInputError for an unknown one."""
    found = INSTRUMENTS.get(symbol)
    if found is None:
        raise BacktestInputError(f"unknown symbol {symbol!r}; the known ones are {', '.join(INSTRUMENTS)}")
    return found


def _recorded(record: RunRecord, choice: BarChoice) -> BarChoice:
    """Return the choice that run.json recorded; bars may lie elsewhere now, their bytes must be the same."""
    if record.kind != "backtest":
        raise BacktestInputError(f"{record.folder} holds a {record.kind}, not a backtest; name a backtest's folder")
    if choice.named:
        raise BacktestInputError(
            f"{record.folder / RUN_FILE} already says how the bars were read; drop {', '.join(choice.named)}"
        )
    for name, what in record.changed_outputs().items():
        raise BacktestInputError(f"{record.folder / name} is {what} since the run was recorded; run the backtest again")
    return choice_of(record.tree["inputs"], choice, record.folder)


def choice_of(inputs: Mapping[str, Any], given: BarChoice, folder: Path) -> BarChoice:
    """Return the bars that a run's inputs name, found where they were or where ``given`` says, with the recorded bytes.

    Raises BacktestInputError where they are missing or have other bytes.
    """
    recorded = inputs.get("bars")
    if not isinstance(recorded, dict) or "sha256" not in recorded:
        raise BacktestInputError(f"{folder / RUN_FILE} names no bars; run it again with this version")
    bars = given.bars or Path(str(recorded.get("path", "")))
    if not bars.is_file():
        raise BacktestInputError(f"the bars {bars} of {folder} are not there; give their place with --bars")
    if file_sha256(bars) != recorded["sha256"]:
        raise BacktestInputError(f"{bars} has other bytes than the bars that {folder} was run on; run it again")
    start, end = (date.fromisoformat(inputs[name]) if inputs.get(name) else None for name in ("from", "to"))
    symbol = str(inputs.get("symbol") or DEFAULT_SYMBOL)
    front, snap = bool(inputs.get("front")), bool(inputs.get("snap"))
    return BarChoice(bars, None, symbol, front, snap, start, end, given.inspect)


def _check_trades(path: Path, evidence: Evidence) -> None:
    """Raise BacktestInputError unless trades.csv is what bars and parameters give."""
    instrument = evidence.params.instrument(known_instrument(evidence.symbol))
    run = run_compiled(evidence.market.tape, evidence.params)
    wanted = [trade_row(trade, instrument) for trade in run.trades()]
    found = list(_trade_rows(path))
    for number, (want, have) in enumerate(zip(wanted, found, strict=False), start=1):
        wrong = [name for name in TRADE_COLUMNS if not _same(name, want[name], have.get(name))]
        if wrong:
            raise BacktestInputError(
                f"{path}, trade {number}: {wrong[0]} is {have.get(wrong[0])!r}, bars and parameters give"
                f" {want[wrong[0]]!r}; run the backtest again"
            )
    if len(found) != len(wanted):
        raise BacktestInputError(
            f"{path} holds {len(found)} trades, bars and parameters give {len(wanted)}; run the backtest again"
        )


def _trade_rows(path: Path) -> Iterator[dict[str, Any]]:
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            yield from csv.DictReader(stream)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise BacktestInputError(f"{path} cannot be read ({reason}); run the backtest again") from error


def _same(name: str, want: str, have: object) -> bool:
    """Tell whether two cells say the same: as text, or as numbers (r within 0.0001, pj1 S13)."""
    if want == have:
        return True
    try:
        return isinstance(have, str) and abs(Decimal(want) - Decimal(have)) <= (_R_SLACK if name == "r" else 0)
    except InvalidOperation:
        return False
