"""Hold every level the engine defines against a recomputation from the raw bars (pj1 S10: the tests to keep)."""

from __future__ import annotations

import random
from pathlib import Path

import planted_lookaheads as planted
import pytest
from levels_recomputed import Level, defined, defined_pivots, frame_of, pivots, previous_days, sessions
from pj1_files import MINUTE_FILES, real_columns
from pj1_tapes import lively_params, random_tape
from planted_lookaheads import MNQ, SETTINGS, Mutant, columns_of, honest

from live.commands import RecordEvent
from live.params import Params
from strategies.mle.bar_file import BarColumns
from strategies.mle.lookahead import ENGINES

pytestmark = pytest.mark.timeout(400)  # a first run compiles the kernels, on a busy machine slowly


def wrong(events: list[RecordEvent], tape: BarColumns, params: Params) -> dict[str, set[Level]]:
    """Return, by kind of level, what the engine says and the bars do not, or the other way round."""
    frame = frame_of(tape)
    named = [window.name for window in params.sessions]
    engine_pivots = {(name, ts): level for name, level, ts in defined_pivots(events)}
    bar_pivots = {(name, ts): level for name, level, ts in pivots(frame, params)}
    return {
        "PD": set(defined(events, "PD")) ^ set(previous_days(frame, params)),
        "session": set(defined(events, *named)) ^ set(sessions(frame, params)),
        "pivot": {(name, 0, ts) for name, ts in engine_pivots.keys() ^ bar_pivots.keys()}
        | {
            (name, level, ts)
            for (name, ts), level in engine_pivots.items()
            if level not in {0, bar_pivots.get((name, ts))}
        },
    }


def all_kinds(raw: dict[str, object]) -> Params:
    return Params.from_dict({name: value for name, value in raw.items() if name != "use_kinds"})


@pytest.mark.parametrize("engine", sorted(ENGINES))
def test_levels_of_random_tapes_are_those_of_the_bars(engine: str) -> None:
    counts = dict.fromkeys(("PD", "session", "pivot"), 0)
    for seed in range(60):
        rng = random.Random(seed)
        params, tape = all_kinds(lively_params(rng)), columns_of(random_tape(rng, days=4, hours=4))
        events = list(ENGINES[engine](params, MNQ)(tape).events)
        print("seed", seed)
        assert wrong(events, tape, params) == {"PD": set(), "session": set(), "pivot": set()}
        counts["PD"] += len(defined(events, "PD"))
        counts["session"] += len(defined(events, *(window.name for window in params.sessions)))
        counts["pivot"] += len(defined_pivots(events))
    print(counts)
    assert min(counts.values()) > 100


@pytest.mark.parametrize("name", MINUTE_FILES)
def test_levels_of_whole_real_files_are_those_of_the_bars(market_data: Path, name: str) -> None:
    tape = real_columns(market_data, name)
    events = list(ENGINES["compiled"](Params(), MNQ)(tape).events)
    print(name, len(defined(events, "PD")), len(defined_pivots(events)))
    assert wrong(events, tape, Params()) == {"PD": set(), "session": set(), "pivot": set()}
    assert len(defined(events, "PD")) > 20 and len(defined_pivots(events)) > 500


@pytest.mark.parametrize(
    ("mutant", "kind"),
    [
        (planted.utc_days, "PD"),
        (planted.resample_labelled_left, "PD"),
        (planted.session_unfinished, "session"),
        (planted.session_known_at_its_start, "session"),
        (planted.pivot_unshifted, "pivot"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_levels_taken_from_other_bars_are_found(mutant: Mutant, kind: str) -> None:
    params = Params.from_dict(SETTINGS)
    found = 0
    for seed in range(20, 26):
        tape = columns_of(random_tape(random.Random(seed), days=4, hours=4))
        assert wrong(list(honest(params)(tape).events), tape, params)[kind] == set()
        found += len(wrong(list(mutant(params)(tape).events), tape, params)[kind])
    assert found > 5
