"""Run PJ-1 over a tape with compiled kernels: the very rows that the live engine records, much sooner.

The structure pass (pools and their FSM) knows no money; the money pass (gate, fills, day limits) jumps from reclaim to
reclaim. Many parameter sets that agree on STRUCTURE share one structure pass. The live engine stays the reference:
tests hold every column of both against each other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from live.commands import RecordEvent, Trade
from live.params import Params
from strategies.mle.kernels import codes as c
from strategies.mle.kernels.merge import emission_order
from strategies.mle.kernels.money import D_COLUMNS, D_EVENTS, D_TRADES, Desk, money_pass
from strategies.mle.kernels.packing import calendar_of, check_fits, money_rules, session_table, structure_rules
from strategies.mle.kernels.pools import Bars, Work
from strategies.mle.kernels.structure import structure_pass
from strategies.mle.tape import Tape

Ints = npt.NDArray[np.int64]

STRUCTURE: Final = frozenset(
    {
        "sessions",
        "use_kinds",
        "min_prev_day_bars",
        "min_session_fill",
        "swing_n",
        "swing_ttl_min",
        "eq_tol_ticks",
        "sweep_min_ticks",
        "reclaim_min_ticks",
        "reclaim_max_min",
        "max_pen_ticks",
        "max_chase_ticks",
        "disp_num",
        "disp_den",
    }
)
"""Fields of ``Params`` that the structure pass depends on; every other one touches the money pass only."""
_DAY_BARS: Final = 1440


@dataclass(frozen=True, eq=False)
class Reclaims:
    """Hold one row per bar that reclaims, the tie decided (pj1 S4.4), and the pools and events behind it.

    ``bar`` is an index in the tape; ``worst`` the raw extreme of all tied pools, ``own`` the winner's; ``kind`` the
    place in the tie-break's order; ``pool`` the row in ``pools`` (columns P_ of kernels.codes). ``table`` holds the
    same as one int64 table (columns Q_), ``events`` the structure's rows of events.csv (columns V_).
    """

    bar: npt.NDArray[np.int32]
    side: npt.NDArray[np.int8]
    worst: npt.NDArray[np.int32]
    kind: npt.NDArray[np.int8]
    level: npt.NDArray[np.int32]
    own: npt.NDArray[np.int32]
    sweep_s: Ints
    pool: npt.NDArray[np.int32]
    table: Ints
    pools: Ints
    events: Ints

    def __len__(self) -> int:
        return len(self.bar)


@dataclass(frozen=True, eq=False)
class TradeTable:
    """Hold closed trades in order of exit as int64 rows (columns T_ of kernels.codes), and the money pass's events.

    ``rejects`` counts refusals by reason code (c.REASONS of kernels.codes).
    """

    rows: Ints
    events: Ints
    rejects: Ints

    def __len__(self) -> int:
        return len(self.rows)

    def column(self, code: int) -> Ints:
        """Return one column by its T_ code."""
        return self.rows[:, code]

    @property
    def refusals(self) -> dict[str, int]:
        """Return how often each gate refused, by name."""
        return {c.REASONS[code]: int(count) for code, count in enumerate(self.rejects) if count}


def bars_of(tape: Tape) -> Bars:
    """Return the arrays of a tape as kernels take them."""
    return Bars(tape.ts_s, tape.open, tape.high, tape.low, tape.close, tape.minute, tape.ordinal, tape.contract)


def reclaims(tape: Tape, params: Params, level_shift: Ints | None = None) -> Reclaims:
    """Run the structure pass; raises BacktestInputError for a parameter that 64-bit arithmetic cannot carry.

    ``level_shift`` gives the ticks by which each pool's level, in order of definition, lies farther out than the rules
    say: placebo levels (pj1 S11.9). Pools beyond its end are not moved.
    """
    check_fits(params)
    work = _work(tape, params, np.empty(0, np.int64) if level_shift is None else level_shift)
    structure_pass(bars_of(tape), structure_rules(params), work)
    table = work.reclaims[: work.counts[c.C_RECLAIMS]].copy()
    return Reclaims(
        bar=table[:, c.Q_BAR].astype(np.int32),
        side=table[:, c.Q_SIDE].astype(np.int8),
        worst=table[:, c.Q_WORST].astype(np.int32),
        kind=table[:, c.Q_KIND].astype(np.int8),
        level=table[:, c.Q_LEVEL].astype(np.int32),
        own=table[:, c.Q_OWN].astype(np.int32),
        sweep_s=table[:, c.Q_SWEEP].copy(),
        pool=table[:, c.Q_POOL].astype(np.int32),
        table=table,
        pools=work.pools[: work.counts[c.C_POOLS]],
        events=work.events[: work.counts[c.C_EVENTS]],
    )


def _work(tape: Tape, params: Params, shift: Ints) -> Work:
    """Return empty tables large enough: pivots of one side lie at least swing_n + 1 bars apart."""
    bars, days = len(tape), len(tape.days)
    span = min(params.swing_n, _DAY_BARS) + 1
    pools = 2 * (bars // span) + (2 + 2 * len(params.sessions)) * days + 1
    living = min(pools, 2 * (_DAY_BARS // span) + 2 + 2 * len(params.sessions)) + 1
    counts = np.zeros(c.C_COLUMNS, np.int64)
    counts[c.C_EDGE] = c.FAR
    return Work(
        pools=np.empty((pools, c.P_COLUMNS), np.int64),
        events=np.empty((4 * pools, c.V_COLUMNS), np.int64),
        reclaims=np.empty((min(pools, bars) + 1, c.Q_COLUMNS), np.int64),
        sessions=session_table(params),
        defined=np.empty(living, np.int64),
        swept=np.empty(living, np.int64),
        spare=np.empty(living, np.int64),
        now=np.empty(living, np.int64),
        highs=np.zeros((_DAY_BARS // span + 2, c.V_PIVOT_COLUMNS), np.int64),
        lows=np.zeros((_DAY_BARS // span + 2, c.V_PIVOT_COLUMNS), np.int64),
        counts=counts,
        flags=np.empty(bars, np.uint8),
        tops=np.empty(bars, np.int32),
        other_tops=np.empty(bars, np.int32),
        shift=shift,
    )


def trade_table(tape: Tape, found: Reclaims, params: Params, early_flat: Mapping[int, int] | None = None) -> TradeTable:
    """Run the money pass over the reclaims of the same tape and STRUCTURE.

    ``early_flat`` maps trade dates (ordinals) that close early to the minute at which they are flat (pj1 S5.6).
    """
    check_fits(params)
    many = len(found)
    events = 2 * many + len(tape.days) + 1
    desk = Desk(
        trades=np.empty((many + 1, c.T_COLUMNS), np.int64),
        events=np.empty((events, c.M_COLUMNS), np.int64),
        rejects=np.zeros(len(c.REASONS), np.int64),
        orders=np.empty(2 * many + 1, np.int64),
        now=np.zeros(D_COLUMNS, np.int64),
    )
    money_pass(bars_of(tape), found.table, money_rules(params), calendar_of(params, early_flat), desk)
    return TradeTable(desk.trades[: desk.now[D_TRADES]], desk.events[: desk.now[D_EVENTS]], desk.rejects)


def daily_net_cents(tape: Tape, table: TradeTable) -> Ints:
    """Return the net cents of each of ``tape.days``, by the trade date of the signal; 0 on days without a trade."""
    daily = np.zeros(len(tape.days), np.int64)
    np.add.at(daily, np.searchsorted(tape.days, table.column(c.T_DAY)), table.column(c.T_NET))
    return daily


@dataclass(frozen=True, eq=False)
class CompiledRun:
    """Hold what a compiled run recorded, as tables; ``order`` is the order of emission (kernels.merge)."""

    found: Reclaims
    table: TradeTable
    order: Ints

    def pool_id(self, pool: int) -> str:
        """Return the id of a pool (pj1 S13)."""
        row = self.found.pools[pool].tolist()
        kind = row[c.P_KIND]
        pivots = row[c.P_PIVOT1 : c.P_PIVOT1 + max(0, {c.K_EQ: 2, c.K_EQ + 1: 1}.get(kind, 0))]
        side = "L" if row[c.P_SIDE] > 0 else "H"
        return ":".join([str(row[c.P_DAY]), c.KINDS[kind] + side, *map(str, pivots)])

    def events(self) -> Iterator[RecordEvent]:
        """Yield the events in order of emission, without the gates' answers."""
        structure, money = self.found.events, self.table.events
        for place in self.order.tolist():
            row = structure[place].tolist() + [c.UNSET] * 4 if place >= 0 else money[-1 - place].tolist()
            yield self._event(row)

    def _event(self, row: list[int]) -> RecordEvent:
        pool, name = row[c.V_POOL], c.EVENTS[row[c.V_CODE]]
        cancel = name == "ENTRY_CANCEL"
        known = pool != c.UNSET and not cancel
        return RecordEvent(
            row[c.V_TS],
            name,
            self.pool_id(pool) if known else "",
            int(self.found.pools[pool, c.P_LEVEL]) if known else None,
            _maybe(row[c.V_EXTREME]),
            _maybe(row[c.M_ENTRY]),
            _maybe(row[c.M_STOP]),
            _maybe(row[c.M_TARGET]),
            _maybe(row[c.M_QTY]),
            c.REASONS[row[c.V_REASON]],
            self.pool_id(pool) if cancel else "",
        )

    def trades(self) -> list[Trade]:
        """Return the closed trades in order of exit."""
        return [self._trade(place + 1, row) for place, row in enumerate(self.table.rows.tolist())]

    def _trade(self, number: int, row: list[int]) -> Trade:
        day, pool, kind, side, level, sweep, extreme, signal, entry_ref, stop, target, qty = row[: c.T_ENTRY]
        entry, entry_price, exit_, exit_price, reason, *money = row[c.T_ENTRY :]
        risk, gross, cost, net, mae, mfe = money
        return Trade(
            trade_id=number,
            trade_date_ordinal=day,
            pool_id=self.pool_id(pool),
            kind=c.KINDS[kind],
            side=side,
            level_ticks=level,
            sweep_ts_s=sweep,
            extreme_ticks=extreme,
            signal_ts_s=signal,
            entry_ref_ticks=entry_ref,
            stop_ticks=stop,
            target_ticks=target,
            qty=qty,
            entry_ts_s=entry,
            entry_price_ticks=entry_price,
            exit_ts_s=exit_,
            exit_price_ticks=exit_price,
            exit_reason=c.REASONS[reason],
            risk_ticks=risk,
            gross_cents=gross,
            cost_cents=cost,
            net_cents=net,
            mae_ticks=mae,
            mfe_ticks=mfe,
        )


def _maybe(number: int) -> int | None:
    return None if number == c.UNSET else number


def run_compiled(tape: Tape, params: Params, early_flat: Mapping[int, int] | None = None) -> CompiledRun:
    """Return what a fresh live engine records over the bars of ``tape`` (phase16_pj_engine.run_bars)."""
    found = reclaims(tape, params)
    table = trade_table(tape, found, params, early_flat)
    order = np.empty(len(found.events) + len(table.events), np.int64)
    emission_order(found.events, table.events, order)
    return CompiledRun(found, table, order)
