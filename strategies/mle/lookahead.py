"""Prove by trial that an engine never reads the future: ``pj validate lookahead`` (pj1 S7 "causal proof", P1, P2).

The tape is cut at many places. At each cut the engine runs over the known bars alone, over one bar more, and over
the known bars followed by the true future and by ten invented ones. Whatever it wrote about the known bars must
stand unchanged in all of them, every new row must be stamped as pj1 S13 says, a position open at the cut must have
been entered alike in every future, and every fill must be a price its bar offered after the decision.

The engine is any function from bars to rows, so that a faulty one can be put in its place: each report also says
that an engine which peeks one bar ahead was found out by the same instrument on the same tape.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Final

import numpy as np

from live.market import NS_PER_S, Instrument
from live.params import Params
from live.trading_day import iso_utc
from strategies.mle.bar_file import BacktestInputError, BarColumns
from strategies.mle.causality.cuts import choose, hard_places, places_in_day
from strategies.mle.causality.faults import (
    Outcome,
    badly_stamped,
    entries,
    impossible_fills,
    peeked_inside,
    rewritten,
    stamped_ahead,
)
from strategies.mle.causality.futures import FUTURES, open_only, part
from strategies.mle.compiled import run_compiled
from strategies.mle.phase16_pj_engine import run_bars
from strategies.mle.registry import canonical
from strategies.mle.tape import Tape

Run = Callable[[BarColumns], Outcome]
Told = Callable[[int, int], None]
DEFAULT_CUTS: Final = 200
DEFAULT_SEED: Final = 16
DAYS_BEFORE: Final = 2
DAYS_AFTER: Final = 1
"""A cut sees this many trade dates on each side: pools live one day and PDH looks back one (pj1 S3)."""
WHOLE_CUTS: Final = 2
"""So many cuts are made in the whole file as well: a rule may look at all of it."""
SHOWN: Final = 20
TRUE_FUTURE: Final = "as it was"
REPORT_FILE: Final = "lookahead.json"


@dataclass(frozen=True, slots=True)
class Finding:
    """Hold one fault: at which cut (bars known, and the last one's close), in which future, and what."""

    cut: int
    known_until: str
    place: str
    future: str
    fault: str


@dataclass(slots=True)
class Report:
    """Hold what was tried and found; ``rewritten`` must be 0 and ``planted_found`` must be true."""

    bars: int
    seed: int
    cuts: dict[str, int]
    runs: int = 0
    readings: int = 0
    rewritten: int = 0
    planted_found: bool = False
    findings: list[Finding] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Tell whether nothing was found and the instrument was shown to see."""
        return not self.rewritten and self.planted_found

    def as_dict(self) -> dict[str, object]:
        """Return the report as a JSON object, with the first findings only."""
        whole = asdict(self)
        whole["findings"] = whole["findings"][:SHOWN]
        return {**whole, "futures": list(FUTURES), "clean": self.clean}


@dataclass(frozen=True, slots=True)
class Slice:
    """Hold the part of a tape around a cut, how many of its bars are known, and where the cut is in the file."""

    tape: BarColumns
    known: int
    cut: int
    place: str


def exact_engine(params: Params, instrument: Instrument) -> Run:
    """Return the live engine as a function from bars to rows."""

    def run(tape: BarColumns) -> Outcome:
        ran = run_bars(tape.bars(), params, instrument)
        return Outcome(ran.events, ran.trades)

    return run


def compiled_engine(params: Params, _instrument: Instrument) -> Run:
    """Return the compiled kernels as a function from bars to rows."""

    def run(tape: BarColumns) -> Outcome:
        ran = run_compiled(Tape.of(tape), params)
        return Outcome(list(ran.events()), ran.trades())

    return run


ENGINES: Final[dict[str, Callable[[Params, Instrument], Run]]] = {"compiled": compiled_engine, "exact": exact_engine}


def peeking(run: Run) -> Run:
    """Return ``run`` with a planted fault: every bar's high and low already hold those of the bar after it."""

    def over(tape: BarColumns) -> Outcome:
        high, low = tape.high.copy(), tape.low.copy()
        high[:-1] = np.maximum(high[:-1], tape.high[1:])
        low[:-1] = np.minimum(low[:-1], tape.low[1:])
        return run(replace(tape, high=high, low=low))

    return over


def examine(
    run: Run,
    tape: BarColumns,
    params: Params,
    *,
    cuts: int = DEFAULT_CUTS,
    seed: int = DEFAULT_SEED,
    told: Told | None = None,
) -> Report:
    """Cut ``tape`` at ``cuts`` places and return what of the past any future rewrote.

    ``told`` is called with (cuts done, cuts in all). Raises BacktestInputError for a tape too short to say anything.
    """
    bars = len(tape.ts_ns)
    if cuts < 1:
        raise BacktestInputError(f"--cuts is {cuts}; give at least 1")
    whole = run(tape)
    if bars < 2 or not whole.events:
        raise BacktestInputError(f"{bars} bars give no event at all, so nothing could be rewritten; give more bars")
    rng = np.random.default_rng(seed)
    chosen = choose(hard_places(tape, params, whole.events, whole.trades), bars, cuts, rng)
    slices = [*_slices(tape, chosen), *_whole_slices(tape, chosen, rng)]
    places = [one.place for one in slices]
    report = Report(bars, seed, {place: places.count(place) for place in sorted(set(places))}, runs=1)
    faults = impossible_fills(tape, whole.trades, params)
    _add(report, (Finding(bars, _close(tape, bars), "whole file", TRUE_FUTURE, fault) for fault in faults))
    for number, one in enumerate(slices):
        _add(report, _look(run, one, params, np.random.default_rng((seed, one.cut)), report))
        if told is not None:
            told(number + 1, len(slices))
    report.planted_found = _planted_found(run, slices, params, seed)
    return report


def _planted_found(run: Run, slices: list[Slice], params: Params, seed: int) -> bool:
    """Tell whether the same cuts find an engine that peeks one bar ahead; stops at the first that does."""
    blind = peeking(run)
    unused = Report(0, seed, {})
    return any(
        any(True for _ in _look(blind, one, params, np.random.default_rng((seed, one.cut)), unused)) for one in slices
    )


def _slices(tape: BarColumns, chosen: dict[int, str]) -> Iterator[Slice]:
    """Yield each cut with the trade dates around it."""
    days = places_in_day(tape.ts_ns)[0]
    _, starts = np.unique(days, return_index=True)
    for cut, place in chosen.items():
        day = int(np.searchsorted(starts, cut - 1, side="right")) - 1
        first = int(starts[max(0, day - DAYS_BEFORE)])
        after = day + DAYS_AFTER + 1
        last = int(starts[after]) if after < len(starts) else len(tape.ts_ns)
        yield Slice(part(tape, first, last), cut - first, cut, place)


def _whole_slices(tape: BarColumns, chosen: dict[int, str], rng: np.random.Generator) -> Iterator[Slice]:
    for cut in sorted(rng.permutation(list(chosen))[:WHOLE_CUTS].tolist()):
        yield Slice(tape, int(cut), int(cut), "whole file")


def _look(run: Run, one: Slice, params: Params, rng: np.random.Generator, report: Report) -> Iterator[Finding]:
    """Yield the faults at one cut; adds to the report's counts what was run and compared."""
    tape, known = one.tape, one.known
    close_s = int(tape.ts_ns[known - 1]) // NS_PER_S + 60
    before = run(part(tape, 0, known))
    report.runs += 1
    report.readings += len(before.events) + len(before.trades)

    def found(future: str, faults: Iterator[str]) -> Iterator[Finding]:
        return (Finding(one.cut, iso_utc(close_s), one.place, future, fault) for fault in faults)

    yield from found("none", stamped_ahead(before, close_s))
    if known < len(tape.ts_ns):
        longer = part(tape, 0, known + 1)
        more = run(longer)
        report.runs += 1
        yield from found("one bar more", badly_stamped(before, more, int(tape.ts_ns[known]) // NS_PER_S))
        if tape.volume[known] > 0:  # else the bar may be a heartbeat at one price and none at another (pj1 S1.4)
            at_open = run(open_only(longer))
            report.runs += 1
            counts = (len(before.events), len(before.trades))
            yield from found("one bar more", peeked_inside(more, at_open, counts))
    entered: dict[tuple[str, int], tuple[object, ...]] = {}
    for name, future in ((TRUE_FUTURE, tape), *((name, make(tape, known, rng)) for name, make in FUTURES.items())):
        after = run(future)
        report.runs += 1
        yield from found(name, rewritten(before, after, close_s))
        yield from found(name, impossible_fills(future, after.trades, params))
        yield from found(name, _entered_otherwise(entered, after, close_s))


def _entered_otherwise(
    entered: dict[tuple[str, int], tuple[object, ...]], after: Outcome, close_s: int
) -> Iterator[str]:
    """Yield the positions open at the cut that this future enters otherwise than an earlier one did."""
    for key, entry in entries(after.trades, close_s).items():
        if entered.setdefault(key, entry) != entry:
            yield f"the position of {key[0]} was entered otherwise: {entry}, not {entered[key]}"


def _add(report: Report, findings: Iterator[Finding]) -> None:
    """Count each fault once per cut, in whichever futures it shows, and keep it."""
    seen: set[tuple[int, str]] = set()
    for one in findings:
        if (one.cut, one.fault) not in seen:
            seen.add((one.cut, one.fault))
            report.findings.append(one)
            report.rewritten += 1


def write_report(folder: Path, report: Report) -> Path:
    """Write lookahead.json into ``folder``; the same trial gives the same bytes. Raises BacktestInputError."""
    path = folder / REPORT_FILE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(canonical(report.as_dict()), "utf-8", newline="\n")
    except OSError as error:
        raise BacktestInputError(f"{path} cannot be written ({error.strerror}); choose another --out") from error
    return path


def _close(tape: BarColumns, known: int) -> str:
    return iso_utc(int(tape.ts_ns[known - 1]) // NS_PER_S + 60)
