"""Break each law P1-P14 with a planted mutant of the engine and demand that the law says so.

The table at the end is the list: law, mutant, what was broken. Each mutant changes one small thing in a part of the
live engine (or of the bar builder before it) and is otherwise the engine that trades.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import pj1_laws as laws
import planted_lookaheads as planted
import pytest
from pj1_laws import COMPILED, EXACT, MNQ, Raw, Subject, collected, plain, stepping
from planted_lookaheads import columns_of

from live.bar_builder import BarBuilder, Output
from live.commands import Command
from live.engine import Engine, Route
from live.liquidity import Liquidity
from live.market import NS_PER_MIN, NS_PER_S, Bar, TickKind
from live.paper_fills import Exit, PaperFills
from live.params import Params
from live.pool_fsm import MirroredBar, PoolRules
from live.pools import Pool, PoolState
from live.position import Position
from live.risk_guard import Approved, Circumstances, Refused, RiskGuard
from live.session_manager import Signal, TradePlanner
from live.trading_day import trade_ordinal
from strategies.mle.causality.faults import Outcome

pytestmark = pytest.mark.timeout(400)  # a first run compiles the kernels, on a busy machine slowly

Law = Callable[[Subject, int], None]
SEEDS = range(60)


def altered(name: str, change: Callable[[Engine, Params], None]) -> Subject:
    """Return the engine with one part replaced."""

    def make(params: Params) -> Engine:
        engine = plain(params)
        change(engine, params)
        return engine

    return stepping(name, make)


def looking_ahead(mutant: planted.Mutant) -> Subject:
    def run(bars: list[Bar], raw: Raw) -> Outcome:
        return mutant(Params.from_dict(raw))(columns_of(bars))

    return Subject(mutant.__name__, run)


# -- before the engine -------------------------------------------------------------------------------


class ChunkStamps(BarBuilder):
    """Stamp every trade of a chunk with the chunk's first time: the time of reading, not of the row."""

    def on_ticks(self, rows: Any, now_ns: int | None = None) -> list[Output]:
        rows = list(rows)
        return super().on_ticks(
            [row._replace(recv_ns=rows[0].recv_ns) if row.kind is TickKind.TRADE else row for row in rows], now_ns
        )


class LateTicksCount(BarBuilder):
    """Count a late tick in the minute that is open when it is read."""

    def on_ticks(self, rows: Any, now_ns: int | None = None) -> list[Output]:
        newest, fixed = 0, []
        for row in rows:
            newest = max(newest, row.recv_ns, self.edge_ns - NS_PER_MIN)
            fixed.append(row._replace(recv_ns=newest))
        return super().on_ticks(fixed, now_ns)


# -- bars, pools, plans ------------------------------------------------------------------------------


class HeartbeatsAreBars(Engine):
    """Walk heartbeat bars through the rules."""

    def _take_bar(self, bar: Bar, out: list[Command]) -> None:
        super()._take_bar(dataclasses.replace(bar, volume=max(1, bar.volume)), out)


class LenientShorts(PoolRules):
    """Let a short displace with exactly the share that a long must exceed."""

    def mirror(self, side: int, ts_ns: int, prices: tuple[int, int, int, int]) -> MirroredBar:
        found = super().mirror(side, ts_ns, prices)
        open_, high, low, close = prices
        equal = side * (close - open_) * 2 >= high - low and side * (close - open_) > 0
        return dataclasses.replace(found, displaced=found.displaced or (side < 0 and equal))


class Rearms(Liquidity):
    """Put a reclaimed pool back among the swept ones."""

    def step_pools(self, bar: Bar, out: list[Command]) -> list[Pool]:
        reclaimed = super().step_pools(bar, out)
        for pool in reclaimed:
            self.book.keep_swept(dataclasses.replace(pool, state=PoolState.SWEPT))
        return reclaimed


class WholePoints(Liquidity):
    """Round levels down to whole points."""

    def _define(self, kind: str, side: int, level: int, *more: Any) -> Pool:
        return super()._define(kind, side, level // 4 * 4, *more)


class NoBuffer(TradePlanner):
    """Put the stop at the extreme itself."""

    def __init__(self, params: Params) -> None:
        super().__init__(params)
        self._buffer = 0


class RawFloor(TradePlanner):
    """Round the target down in raw prices instead of toward the entry."""

    def plan(self, order: Sequence[Pool], close: int, when: tuple[int, int, int], contract: str) -> Signal:
        signal = super().plan(order, close, when, contract)
        exact = signal.risk_ticks * self._r_num
        return dataclasses.replace(signal, target=close + signal.side * exact // self._r_den)


class OddDays(Engine):
    """Refuse entries on odd trade dates."""

    def _outside(self, bar: Bar) -> str:
        return "ODD" if trade_ordinal(bar.ts_ns) % 2 else ""


# -- gate and fills ----------------------------------------------------------------------------------


class WideOnly(RiskGuard):
    """Turn the limit on risk round: what is narrower than it is refused."""

    def judge(self, signal: Signal, around: Circumstances) -> Approved | Refused:
        limit = self._params.max_risk_ticks
        turned = dataclasses.replace(signal, risk_ticks=max(1, 2 * limit - signal.risk_ticks))
        found = super().judge(turned, around)
        return dataclasses.replace(found, signal=signal)


class ForgetsFills(RiskGuard):
    """Count no fill of the day."""

    def filled(self) -> None:
        return


class NoSlipOut(PaperFills):
    """Fill a stop at the stop."""

    def inside_exit(self, position: Position, bar: Bar) -> Exit | None:
        done = super().inside_exit(position, bar)
        if done is None or done.reason != "STOP":
            return done
        return dataclasses.replace(done, price=done.price + position.signal.side * self._params.slip_ticks)


class SlipHelps(PaperFills):
    """Fill an entry one slippage better than the open instead of worse."""

    def try_entry(self, waiting: tuple[Signal, int], bar: Bar, ordinal: int) -> Position | str:
        found = super().try_entry(waiting, bar, ordinal)
        if not isinstance(found, str):
            found.entry_price -= 3 * found.signal.side * self._params.slip_ticks
        return found


class ExitsAskTheNews(PaperFills):
    """Hold a position through a blackout."""

    def _silent(self, bar: Bar) -> bool:
        return any(start <= bar.ts_ns // NS_PER_S < end for start, end in self._params.blackouts)

    def inside_exit(self, position: Position, bar: Bar) -> Exit | None:
        return None if self._silent(bar) else super().inside_exit(position, bar)

    def clock_exit(self, position: Position, bar: Bar, minute: int, ordinal: int, lock: str) -> Exit | None:
        return None if self._silent(bar) else super().clock_exit(position, bar, minute, ordinal, lock)


# -- restart -----------------------------------------------------------------------------------------


class ForgetsPivots(Engine):
    """Come back without the day's pivots."""

    def restore(self, state: dict[str, object]) -> None:
        super().restore(state)
        self.liquidity._highs.pivots = []
        self.liquidity._lows.pivots = []


class ForgetsTheLastExit(Engine):
    """Come back without the cooldown."""

    def restore(self, state: dict[str, object]) -> None:
        super().restore(state)
        self.guard.last_exit_ns = None


def leaves_orders_behind() -> Subject:
    """Keep the hour's order times from one run to the next, as a compiled work table reused without clearing would."""
    left: list[int] = []

    def run(bars: list[Bar], raw: Raw) -> Outcome:
        engine = plain(Params.from_dict(raw))
        engine.guard.trades = len(left)
        found = collected(engine, bars)
        left.extend(trade.trade_id for trade in found.trades)
        return found

    return Subject("leaves_orders_behind", run)


def of(kind: type[Engine]) -> Subject:
    return stepping(kind.__name__, lambda params: kind(params, MNQ, Route.SIMULATED))


def with_part(name: str, kind: Callable[[Params], Any]) -> Subject:
    """Return the engine with the part ``name`` (a dotted path of attributes) made by ``kind``."""
    *path, last = name.split(".")

    def change(engine: Engine, params: Params) -> None:
        owner: Any = engine
        for one in path:
            owner = getattr(owner, one)
        made = kind(params)
        if last in {"guard", "paper"}:
            made.flat_m = getattr(owner, last).flat_m
        setattr(owner, last, made)
        if last == "guard":
            engine.desk.guard = made

    return altered(getattr(kind, "__name__", name), change)


def with_builder(kind: Callable[[], BarBuilder]) -> Subject:
    return dataclasses.replace(EXACT, name=getattr(kind, "__name__", ""), builder=kind)


TABLE: list[tuple[Law, Subject]] = [
    (laws.p01_prefix_causality, looking_ahead(planted.pivot_unshifted)),
    (laws.p01_prefix_causality, looking_ahead(planted.pivot_stamped_at_its_bar)),
    (laws.p02_altered_future, looking_ahead(planted.whole_sample_scaling)),
    (laws.p02_altered_future, looking_ahead(planted.session_known_at_its_start)),
    (laws.p03_ticks_through_the_builder, with_builder(ChunkStamps)),
    (laws.p04_heartbeats, of(HeartbeatsAreBars)),
    (laws.p05_mirror, with_part("liquidity._rules", LenientShorts)),
    (laws.p05_mirror, with_part("_planner", RawFloor)),
    (laws.p06_legal_transitions, with_part("liquidity", Rearms)),
    (laws.p07_trade_invariants, with_part("_planner", NoBuffer)),
    (laws.p07_trade_invariants, with_part("paper", NoSlipOut)),
    (laws.p07_trade_invariants, with_part("guard", ForgetsFills)),
    (laws.p08_price_shift, with_part("liquidity", WholePoints)),
    (laws.p09_week_shift, of(OddDays)),
    (laws.p10_restart, of(ForgetsPivots)),
    (laws.p10_restart, of(ForgetsTheLastExit)),
    (laws.p10_restart, leaves_orders_behind()),
    (laws.p11_late_ticks, with_builder(LateTicksCount)),
    (laws.p12_tighter_limits, with_part("guard", WideOnly)),
    (laws.p13_exits_pass, with_part("paper", ExitsAskTheNews)),
    (laws.p14_higher_costs, with_part("paper", SlipHelps)),
]


@pytest.mark.parametrize(("law", "mutant"), TABLE, ids=[f"{law.__name__[:3]}-{mutant.name}" for law, mutant in TABLE])
def test_each_law_kills_its_mutant(law: Law, mutant: Subject) -> None:
    for seed in SEEDS:
        try:
            law(mutant, seed)
        except AssertionError:
            print("dead at seed", seed)
            law(EXACT, seed)  # the engine itself keeps the law on the very tape
            return
    pytest.fail(f"{mutant.name} lives: {law.__name__} held on {len(SEEDS)} tapes")


def test_every_law_has_a_mutant() -> None:
    every = {name for name in vars(laws) if name.startswith("p") and name[1:3].isdecimal()}
    assert {law.__name__ for law, _ in TABLE} == every
    assert sorted(name[1:3] for name in every) == [f"{number:02d}" for number in range(1, 15)]


def test_the_subjects_are_not_mutants_of_each_other() -> None:
    raw, bars, _ = laws.made(3)
    assert EXACT.run(bars, raw).trades == COMPILED.run(bars, raw).trades


LAWS = sorted({law.__name__ for law, _ in TABLE})


@pytest.mark.campaign
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("subject", [EXACT, COMPILED], ids=lambda subject: subject.name)
@pytest.mark.parametrize("law", LAWS)
def test_a_thousand_seeds_keep_every_law(law: str, subject: Subject) -> None:
    for seed in range(10**6, 10**6 + 1000):
        try:
            getattr(laws, law)(subject, seed)
        except AssertionError as error:
            raise AssertionError(f"{law} is broken by {subject.name} at seed {seed}") from error
