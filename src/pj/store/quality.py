"""Judge bars before anything is believed of them: what is there, what is missing, what looks wrong.

``judge`` takes bars that the backtester would accept; ``inspect_files`` takes files in any state and counts what is
wrong with them. Both look at the bars as a backtest would use them: of overlapping contracts the one with the larger
volume per trade date.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any, Final

import numpy as np

from live.market import INSTRUMENTS, NS_PER_S, Instrument
from live.trading_day import CLOSE_M, iso_utc
from pj.store.exchange_days import ExchangeDays, exchange_days
from pj.store.gaps import RULE, Coverage, coverage
from pj.store.minutes import Flags, Ints, trading_minutes
from pj.store.raw_bars import RawBars, StoreError, read_raw
from pj.store.rows import Rows, united
from strategies.mle.bar_file import BarColumns, Names, front_contract

#: A close this many times the trade date's median move away from the one before is shown.
MOVE: Final = 40
SHOWN_MOVES: Final = 20
SHOWN_FAULTS: Final = 20


@dataclass(frozen=True, slots=True)
class QualityReport:
    """Hold what is known about some bars; ``as_dict`` is the JSON, ``pj.store.quality_text`` the words.

    Times are ISO UTC. ``faults`` counts rows by what is wrong with them, ``conflicts`` rows of one minute and contract
    that differ, ``duplicates`` rows that stand twice, ``unordered`` rows that do not follow the row before.
    """

    source: str
    symbol: str
    rows: int
    used: int
    first: str
    last: str
    coverage: Coverage
    strays: int
    heartbeats: int
    degraded: int
    contracts: tuple[Mapping[str, Any], ...]
    rolls: tuple[Mapping[str, str], ...]
    moves: tuple[Mapping[str, Any], ...]
    duplicates: int = 0
    conflicts: int = 0
    conflict_rows: tuple[str, ...] = ()
    unordered: int = 0
    faults: Mapping[str, int] = field(default_factory=dict)
    faulty_rows: tuple[str, ...] = ()

    @property
    def clean(self) -> bool:
        """Tell whether a backtest takes the rows and no gap is reason to refuse them."""
        return not (self.faults or self.conflicts or self.coverage.material)

    def as_dict(self) -> dict[str, Any]:
        """Return the report as a JSON object, without the clock and without the place of the program."""
        found = self.coverage
        tree = {name: value for name, value in asdict(self).items() if name not in {"coverage", "faults"}}
        return {
            **tree,
            "faults": dict(self.faults),
            "trade_dates": found.trade_dates,
            "session_minutes": found.expected,
            "present_minutes": found.present,
            "coverage_pct": found.pct,
            "thin_minutes": found.thin_minutes,
            "lost_minutes": found.lost_minutes,
            "outside_sessions": found.outside,
            "unverified_dates": found.unknown_dates,
            "gaps": [gap.as_dict() for gap in found.gaps],
            "explained": [{"trade_date": day.isoformat(), "why": why} for day, why in found.explained],
            "material": found.material,
            "rule": RULE,
        }


def judge(columns: BarColumns, symbol: str, calendar: ExchangeDays | None = None, source: str = "") -> QualityReport:
    """Return the quality of bars as they will be used (in order of time, one contract at a time).

    ``calendar`` is the exchange's, by default the table that came with the program.
    """
    used = columns if _rising(columns.ts_ns) else front_contract(columns)
    ordinals, minutes, kept = _kept(used.ts_ns)
    names = Names.of(used.contract)
    return QualityReport(
        source=source,
        symbol=symbol,
        rows=len(columns.ts_ns),
        used=len(used.ts_ns),
        first=_iso(used.ts_ns[:1]),
        last=_iso(used.ts_ns[-1:]),
        coverage=coverage(ordinals[kept], minutes[kept], calendar or exchange_days()),
        strays=int((~kept).sum()),
        heartbeats=int(_heartbeats(used).sum()),
        degraded=0,
        contracts=tuple(_contracts(columns)),
        rolls=tuple(_rolls(ordinals[kept], names.codes[kept], names.names)),
        moves=tuple(_moves(used, ordinals, kept & ~_heartbeats(used), INSTRUMENTS[symbol])),
    )


def judge_coverage(ts_ns: Ints, calendar: ExchangeDays | None = None) -> Coverage:
    """Return only what is missing from bars in order of time: what an experiment asks before it runs."""
    ordinals, minutes, kept = _kept(ts_ns)
    return coverage(ordinals[kept], minutes[kept], calendar or exchange_days())


def inspect_files(paths: Sequence[Path], symbol: str, calendar: ExchangeDays | None = None) -> QualityReport:
    """Return the quality of files of bars taken together; raise StoreError for a file that holds no bars at all."""
    instrument = INSTRUMENTS[symbol]
    parts = [read_raw(path, instrument) for path in paths]
    faults: Counter[str] = Counter()
    faulty: list[str] = []
    for part in parts:
        bad = np.flatnonzero(~part.good)
        faults.update(part.fault[bad].tolist())
        faulty += [f"{part.path.name}, row {row}: {part.fault[row]}" for row in bad[:SHOWN_FAULTS].tolist()]
    unordered = sum(_unordered(part) for part in parts)
    rows = united([Rows.of(part, instrument) for part in parts], instrument)
    unique = rows.unique()
    kept = rows.take(unique.keep).in_order_of_time()
    source = ", ".join(str(path) for path in paths) if len(paths) <= 3 else f"{len(paths)} files from {paths[0]}"
    return replace(
        judge(kept.columns(), symbol, calendar, source),
        rows=sum(len(part) for part in parts),
        degraded=int(kept.degraded.sum()),
        duplicates=unique.duplicates + unique.mended,
        conflicts=len(unique.conflicts),
        conflict_rows=tuple(rows.conflict_words(pair) for pair in unique.conflicts[:SHOWN_FAULTS]),
        unordered=unordered,
        faults=dict(sorted(faults.items())),
        faulty_rows=tuple(faulty[:SHOWN_FAULTS]),
    )


def files_below(path: Path) -> list[Path]:
    """Return ``path`` if it is a file, else the Parquet files below the folder, sorted; raise StoreError if none."""
    if not path.is_dir():
        return [path]
    found = sorted(
        one for one in path.rglob("*.parquet") if not any(p.startswith(".") for p in one.relative_to(path).parts)
    )
    if not found:
        raise StoreError(f"{path} holds no Parquet file; name a file or a folder with bars")
    return found


def _kept(ts_ns: Ints) -> tuple[Ints, Ints, Flags]:
    """Return trade date, minute of the day, and whether the bar is no stray (pj1 S1.3)."""
    ordinals, minutes = trading_minutes(ts_ns)
    return ordinals, minutes, (minutes < CLOSE_M) & ((ordinals + 6) % 7 < 5)


def _rising(ts_ns: Ints) -> bool:
    return bool((ts_ns[1:] > ts_ns[:-1]).all())


def _iso(ts_ns: Ints) -> str:
    return iso_utc(int(ts_ns[0]) // NS_PER_S) if len(ts_ns) else ""


def _heartbeats(columns: BarColumns) -> Flags:
    """Tell which rows are heartbeats: no volume, flat at the close of the row before (pj1 S1.4)."""
    before = np.concatenate([[np.iinfo(np.int64).min], columns.close[:-1]])
    flat = (columns.open_ == columns.close) & (columns.high == columns.close) & (columns.low == columns.close)
    return np.asarray((columns.volume == 0) & flat & (columns.close == before), dtype=np.bool_)


def _contracts(columns: BarColumns) -> list[dict[str, Any]]:
    contract = Names.of(columns.contract)
    found = []
    for name in sorted(contract.names):
        ts_ns = columns.ts_ns[contract.codes == contract.names.index(name)]
        first, last = (iso_utc(int(at) // NS_PER_S) for at in (ts_ns.min(), ts_ns.max()))
        found.append({"contract": name, "rows": len(ts_ns), "first": first, "last": last})
    return found


def _rolls(ordinals: Ints, codes: Ints, names: Sequence[str]) -> list[dict[str, str]]:
    return [
        {
            "trade_date": date.fromordinal(int(ordinals[at])).isoformat(),
            "from": names[int(codes[at - 1])],
            "to": names[int(codes[at])],
        }
        for at in (np.flatnonzero(codes[1:] != codes[:-1]) + 1).tolist()
    ]


def _moves(columns: BarColumns, ordinals: Ints, real: Flags, instrument: Instrument) -> list[dict[str, Any]]:
    """Return the largest moves from one close to the next, far beyond what is usual that trade date."""
    rows = np.flatnonzero(real)
    if len(rows) < 2:
        return []
    close, ts_ns, days = columns.close[rows], columns.ts_ns[rows], ordinals[rows]
    names = Names.of(columns.contract).codes[rows]
    step = np.diff(close)
    comparable = (days[1:] == days[:-1]) & (names[1:] == names[:-1])
    usual = np.ones(len(step))
    turns = [0, *(np.flatnonzero(np.diff(days[1:])) + 1).tolist(), len(step)]
    for begin, end in itertools.pairwise(turns):
        of_day = np.abs(step[begin:end])[comparable[begin:end]]
        if len(of_day):
            usual[begin:end] = max(1.0, float(np.median(of_day)))
    times = np.where(comparable, np.abs(step) / usual, 0)
    at = np.flatnonzero(times >= MOVE)
    largest = sorted(at[np.argsort(-times[at], kind="stable")][:SHOWN_MOVES].tolist())
    return [
        {
            "at": iso_utc(int(ts_ns[i + 1]) // NS_PER_S),
            "points": ("+" if step[i] > 0 else "") + instrument.to_points(int(step[i])),
            "times_usual": int(times[i]),
            "returned": bool(i + 1 < len(step) and abs(int(step[i] + step[i + 1])) * 4 <= abs(int(step[i]))),
        }
        for i in largest
    ]


def _unordered(part: RawBars) -> int:
    """Count good rows that do not come after the row before of their contract."""
    count = 0
    for name in set(part.contract.tolist()):
        ts_ns = part.ts_ns[part.good & (part.contract == name)]
        count += int((ts_ns[1:] <= ts_ns[:-1]).sum())
    return count
