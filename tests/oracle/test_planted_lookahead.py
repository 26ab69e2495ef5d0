"""Plant each lookahead of pj1 S10 in the oracle and demand that a detector finds it; the engine itself stays clean."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from typing import Any

import pj1_oracle
import pytest
from pj1_compare import oracle_rows
from pj1_detectors import Outcome, impossible_fills, rewritten
from pj1_tapes import random_tape

from live.market import INSTRUMENTS, Bar
from live.params import Params
from live.records import event_row
from strategies.mle.phase16_pj_engine import run_bars

SETTINGS: dict[str, Any] = {
    "windows": [["18:00", "17:00"]],
    "swing_n": 3,
    "min_prev_day_bars": 1,
    "min_session_fill": 0,
    "min_risk_ticks": 4,
    "max_consec_losses": 100,
    "max_trades_day": 100,
    "sessions": [["ASIA", "18:00", "18:45"], ["LDN", "02:00", "03:00"], ["NYAM", "09:30", "10:30"]],
}
Mutant = Callable[[pytest.MonkeyPatch, list[pj1_oracle.Row]], None]


def tape() -> list[Bar]:
    rng = random.Random(20)
    return random_tape(rng, days=3, hours=4)


def run(rows: list[pj1_oracle.Row]) -> Outcome:
    return pj1_oracle.run(rows, **SETTINGS)


def day_of(row: pj1_oracle.Row) -> Any:
    wall = pj1_oracle.dt.datetime.fromtimestamp(row[0], pj1_oracle.NEW_YORK).replace(tzinfo=None)
    return (wall + pj1_oracle.dt.timedelta(hours=6)).date()


def final_close_selects(monkeypatch: pytest.MonkeyPatch, rows: list[pj1_oracle.Row]) -> None:
    """Take only trades toward the day's final close."""
    final = {day_of(row): row[4] for row in rows}
    honest = pj1_oracle.gate

    def gate(x: Any, b: Any, risk: int, qty: int) -> str:
        side = 1 if b.c > b.o else -1
        return honest(x, b, risk, qty) if side * (final[b.date] - b.c) > 0 else "SELECTED"

    monkeypatch.setattr(pj1_oracle, "gate", gate)


def pivot_unshifted(monkeypatch: pytest.MonkeyPatch, rows: list[pj1_oracle.Row]) -> None:
    """Know a pivot on its own bar, n bars before it is confirmed."""
    place = {row[0]: at for at, row in enumerate(rows)}

    def new_pivots(x: Any, b: Any) -> None:
        n, at = x.p["swing_n"], place[b.ts]
        for side in (-1, 1):
            column = 2 if side == -1 else 3
            around = [-side * row[column] for row in rows[max(0, at - n) : at + n + 1]]
            price = b.h if side == -1 else b.l
            if max(around) == -side * price:
                pj1_oracle.add_pivot(x, pj1_oracle.Pv(b, price), side, b)

    monkeypatch.setattr(pj1_oracle, "new_pivots", new_pivots)


def session_unfinished(monkeypatch: pytest.MonkeyPatch, rows: list[pj1_oracle.Row]) -> None:
    """Define a session's final high and low when it begins."""

    def close_sessions(x: Any, b: Any) -> None:
        for name, *hours in x.p["sessions"]:
            start, end = pj1_oracle.window(hours)
            if name in x.closed or start > b.m:
                continue
            x.closed.add(name)
            today = [row for row in rows if day_of(row) == b.date]
            inside = [row for row in today if start <= (row[0] - b.ts) // 60 + b.m < end]
            if inside:
                pj1_oracle.define(x, b.date, name, -1, max(r[2] for r in inside), b.ts, pj1_oracle.five_pm(b.date))
                pj1_oracle.define(x, b.date, name, 1, min(r[3] for r in inside), b.ts, pj1_oracle.five_pm(b.date))

    monkeypatch.setattr(pj1_oracle, "close_sessions", close_sessions)


def resample_labelled_left(monkeypatch: pytest.MonkeyPatch, rows: list[pj1_oracle.Row]) -> None:
    """Take PDH and PDL from the day that is just beginning."""
    honest = pj1_oracle.begin

    def begin(x: Any, b: Any) -> None:
        if not x.bars or x.bars[-1].date != b.date:
            today = [row for row in rows if day_of(row) == b.date]
            x.buffer = [pj1_oracle.B(r[0], r[1], r[2], r[3], r[4], r[6], b.date, 0) for r in today]
        honest(x, b)

    monkeypatch.setattr(pj1_oracle, "begin", begin)


def whole_sample_scaling(monkeypatch: pytest.MonkeyPatch, rows: list[pj1_oracle.Row]) -> None:
    """Scale the tolerance of equal levels by the range of the whole sample."""
    spread = max(row[2] for row in rows) - min(row[3] for row in rows)
    honest = pj1_oracle.find_mate

    def find_mate(x: Any, pivot: Any, side: int) -> Any:
        x.p["eq_tol_ticks"] = spread // 20
        return honest(x, pivot, side)

    monkeypatch.setattr(pj1_oracle, "find_mate", find_mate)


def future_roll_adjusted(monkeypatch: pytest.MonkeyPatch, rows: list[pj1_oracle.Row]) -> None:
    """Shift the past by roll gaps that were not known yet."""
    honest = pj1_oracle.bar_step
    gaps = [(after[0], after[1] - before[4]) for before, after in itertools.pairwise(rows) if after[6] != before[6]]

    def bar_step(x: Any, b: Any) -> None:
        shift = sum(gap for ts, gap in gaps if ts > b.ts)
        honest(x, pj1_oracle.B(b.ts, b.o + shift, b.h + shift, b.l + shift, b.c + shift, b.contract, b.date, b.m))

    monkeypatch.setattr(pj1_oracle, "bar_step", bar_step)


def fills_at_own_close(monkeypatch: pytest.MonkeyPatch, rows: list[pj1_oracle.Row]) -> None:
    """Fill a signal at the close of its own bar."""
    monkeypatch.setattr(pj1_oracle, "manage", filling_at(lambda plan: plan["ref"]))


def fills_at_extreme(monkeypatch: pytest.MonkeyPatch, rows: list[pj1_oracle.Row]) -> None:
    """Fill a signal at the sweep's extreme."""
    monkeypatch.setattr(pj1_oracle, "manage", filling_at(lambda plan: plan["extreme"]))


def filling_at(price: Callable[[dict[str, Any]], int]) -> Callable[[Any, Any], None]:
    honest = pj1_oracle.manage

    def manage(x: Any, b: Any) -> None:
        plan = x.pending
        honest(x, b)
        if plan is not None and x.position is not None:
            x.position["entry"] = price(plan)

    return manage


def utc_days(monkeypatch: pytest.MonkeyPatch, rows: list[pj1_oracle.Row]) -> None:
    """Take PDH and PDL from UTC days."""
    honest = pj1_oracle.begin

    def begin(x: Any, b: Any) -> None:
        today = b.ts // 86_400
        x.buffer = [one for one in x.bars if one.ts // 86_400 == today - 1] if x.bars else x.buffer
        honest(x, b)

    monkeypatch.setattr(pj1_oracle, "begin", begin)


REWRITING = [
    final_close_selects,
    pivot_unshifted,
    session_unfinished,
    resample_labelled_left,
    whole_sample_scaling,
    future_roll_adjusted,
]


def mutated(mutant: Mutant) -> Callable[[list[pj1_oracle.Row]], Outcome]:
    """Return a run whose mutant sees exactly the rows it is given: its whole sample."""

    def over(rows: list[pj1_oracle.Row]) -> Outcome:
        with pytest.MonkeyPatch.context() as patch:
            mutant(patch, rows)
            return run(rows)

    return over


@pytest.mark.parametrize("mutant", REWRITING, ids=lambda mutant: mutant.__name__)
def test_prefixes_find_a_mutant_that_reads_the_future(mutant: Mutant) -> None:
    rows = oracle_rows(tape())
    assert rewritten(mutated(mutant), rows, range(40, len(rows), 37)) > 0


@pytest.mark.parametrize("mutant", [fills_at_own_close, fills_at_extreme], ids=lambda mutant: mutant.__name__)
def test_fills_find_a_mutant_that_trades_at_a_past_price(mutant: Mutant) -> None:
    rows = oracle_rows(tape())
    trades = mutated(mutant)(rows)[1]
    assert trades
    assert impossible_fills(rows, trades, 1) > 0


def test_the_comparison_finds_days_cut_at_utc_midnight() -> None:
    rows = oracle_rows(tape())
    assert mutated(utc_days)(rows)[0] != run(rows)[0]


def test_neither_engine_nor_oracle_trips_a_detector() -> None:
    bars = tape()
    rows = oracle_rows(bars)
    params = Params.from_dict(SETTINGS)

    def engine(part: list[pj1_oracle.Row]) -> Outcome:
        ran = run_bars(bars[: len(part)], params, INSTRUMENTS["MNQ"])
        return [dict(event_row(event)) for event in ran.events], [{"trade": trade} for trade in ran.trades]

    cuts = range(40, len(rows), 37)
    assert rewritten(engine, rows, cuts) == 0
    assert rewritten(run, rows, cuts) == 0
    assert impossible_fills(rows, run(rows)[1], 1) == 0
    assert len(run(rows)[1]) > 5
