"""Count what a backtest did; the counts of the live engine's rows and of the compiled tables are the same."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field

import numpy as np

from live.commands import RecordEvent, Trade
from live.records import usd_text
from live.trading_day import iso_utc
from strategies.mle.bar_file import BarColumns
from strategies.mle.compiled import CompiledRun
from strategies.mle.kernels import codes as c


@dataclass(frozen=True, slots=True)
class BacktestSummary:
    """Count what a backtest did; ``net_usd`` is text with two decimals, ``figures`` are those of ``equity``.

    ``tape_sha256`` is the hash of the real bars as arrays, empty where a price is beyond them (exact engine only).
    """

    bars: int
    first_bar: str
    last_bar: str
    pools: dict[str, int] = field(default_factory=dict)
    sweeps: int = 0
    reclaims: int = 0
    signals: int = 0
    refusals: dict[str, int] = field(default_factory=dict)
    cancels: dict[str, int] = field(default_factory=dict)
    locks: int = 0
    trades: int = 0
    wins: int = 0
    net_usd: str = "0.00"
    trades_path: str = ""
    events_path: str = ""
    equity_path: str = ""
    engine: str = ""
    tape_sha256: str = ""
    figures: dict[str, object] = field(default_factory=dict)

    def as_dict(self) -> dict[str, object]:
        """Return the summary as a JSON object."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Counts:
    """Count events by name, pools by kind, refusals and cancels by reason, each in order of first appearance."""

    events: dict[str, int]
    pools: dict[str, int]
    refusals: dict[str, int]
    cancels: dict[str, int]


def counted(events: Iterable[RecordEvent]) -> Counts:
    """Count the live engine's rows."""
    counts = Counts({}, {}, {}, {})
    for event in events:
        _add(counts.events, event.event)
        if event.event == "DEFINED":
            _add(counts.pools, event.pool.split(":")[1][:-1])
        elif event.event == "REJECT":
            _add(counts.refusals, event.reason)
        elif event.event == "ENTRY_CANCEL":
            _add(counts.cancels, event.reason)
    return counts


def _add(counts: dict[str, int], name: str) -> None:
    counts[name] = counts.get(name, 0) + 1


def counted_tables(run: CompiledRun) -> Counts:
    """Count the rows of a compiled run."""
    structure, money, pools = run.found.events, run.table.events, run.found.pools
    events = _by_code(np.concatenate([structure[:, c.V_CODE], money[:, c.V_CODE]]), c.EVENTS)
    rejects, cancels = (money[money[:, c.V_CODE] == code, c.V_REASON] for code in (c.E_REJECT, c.E_CANCEL))
    return Counts(
        events,
        _by_code(pools[:, c.P_KIND], c.KINDS),
        _by_code(rejects, c.REASONS),
        _by_code(cancels, c.REASONS),
    )


def _by_code(codes: np.ndarray, names: Sequence[str]) -> dict[str, int]:
    found, first, many = np.unique(codes, return_index=True, return_counts=True)
    return {names[int(found[place])]: int(many[place]) for place in np.argsort(first)}


def summary_of(columns: BarColumns, counts: Counts, trades: Sequence[Trade], **more: object) -> BacktestSummary:
    """Return the summary of a run; ``more`` are further fields."""
    stamps = columns.ts_ns
    return BacktestSummary(
        bars=len(stamps),
        first_bar=iso_utc(int(stamps[0]) // 10**9) if len(stamps) else "",
        last_bar=iso_utc(int(stamps[-1]) // 10**9) if len(stamps) else "",
        pools=counts.pools,
        sweeps=counts.events.get("SWEPT", 0),
        reclaims=counts.events.get("RECLAIMED", 0),
        signals=counts.events.get("SIGNAL", 0),
        refusals=counts.refusals,
        cancels=counts.cancels,
        locks=counts.events.get("LOCK", 0),
        trades=len(trades),
        wins=sum(trade.net_cents > 0 for trade in trades),
        net_usd=usd_text(sum(trade.net_cents for trade in trades)),
        **more,  # type: ignore[arg-type]
    )
