"""Hold the no-lookahead instrument to its word: the engine is clean, every planted lookahead of pj1 S10 is caught."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import planted_lookaheads as planted
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pj1_files import MINUTE_FILES, real_columns
from pj1_tapes import lively_params, random_tape
from planted_lookaheads import MNQ, SETTINGS, Mutant, columns_of, honest

from live.market import NS_PER_S
from live.params import Params
from pj.cli import main
from strategies.mle.bar_file import BacktestInputError, BarColumns
from strategies.mle.causality.cuts import choose, hard_places, places_in_day
from strategies.mle.causality.futures import FUTURES, part
from strategies.mle.lookahead import ENGINES, Report, exact_engine, examine

pytestmark = pytest.mark.timeout(400)  # a first run compiles the kernels, on a busy machine slowly

PARAMS = Params.from_dict(SETTINGS)
CAUGHT: list[tuple[Mutant, str]] = [
    (planted.final_close_selects, "gone or changed"),
    (planted.pivot_unshifted, "gone or changed"),
    (planted.session_known_at_its_start, "gone or changed"),
    (planted.resample_labelled_left, "gone or changed"),
    (planted.whole_sample_scaling, "gone or changed"),
    (planted.future_roll_adjusted, "gone or changed"),
    (planted.fills_at_own_close, "entered at another price"),
    (planted.fills_on_own_bar, "no bar's open after the signal"),
    (planted.fills_at_extreme, "entered at another price"),
    (planted.fills_at_best_of_bar, "entered at another price"),
    (planted.fills_at_best_to_come, "was entered otherwise"),
    (planted.target_before_stop, "before its stop"),
    (planted.dodges_the_stop, "made at the open by what came after it"),
    (planted.pivot_stamped_at_its_bar, "stamped"),
    (planted.sweep_stamped_at_the_open, "stamped"),
]


def tape(seed: int = 20) -> BarColumns:
    return columns_of(random_tape(random.Random(seed), days=3, hours=4))


def examined(mutant: Mutant, params: Params = PARAMS, cuts: int = 60, seed: int = 20) -> Report:
    return examine(mutant(params), tape(seed), params, cuts=cuts)


@pytest.mark.parametrize(("mutant", "fault"), CAUGHT, ids=[mutant.__name__ for mutant, _ in CAUGHT])
def test_each_planted_lookahead_is_caught(mutant: Mutant, fault: str) -> None:
    report = examined(mutant)
    print(report.rewritten, report.findings[:2])
    assert any(fault in one.fault for one in report.findings)
    assert not report.clean


@pytest.mark.parametrize("engine", sorted(ENGINES))
def test_the_engine_rewrites_nothing(engine: str) -> None:
    report = examined(lambda params: ENGINES[engine](params, MNQ))
    assert report.findings == [] and report.rewritten == 0
    assert report.planted_found and report.clean
    assert report.readings > 1000 and report.runs > 500
    assert {"pivot", "signal", "open_position", "day_turn", "session_edge", "roll", "random"} <= set(report.cuts)


@pytest.mark.parametrize("engine", sorted(ENGINES))
@pytest.mark.parametrize("seed", range(4))
def test_random_rules_on_random_tapes_rewrite_nothing(seed: int, engine: str) -> None:
    rng = random.Random(seed)
    params = Params.from_dict(lively_params(rng))
    bars = columns_of(random_tape(rng, days=3, hours=3))
    report = examine(ENGINES[engine](params, MNQ), bars, params, cuts=25, seed=seed)
    assert report.clean, report.findings[:3]


@pytest.mark.parametrize("engine", sorted(ENGINES))
@pytest.mark.parametrize("name", MINUTE_FILES[:2])
def test_the_engine_rewrites_nothing_on_real_bars(market_data: Path, name: str, engine: str) -> None:
    bars = real_columns(market_data, name)
    at = len(bars.ts_ns) // 2
    report = examine(ENGINES[engine](Params(), MNQ), part(bars, at, at + 7000), Params(), cuts=6)
    assert report.clean, report.findings[:3]
    assert report.readings > 300


@pytest.mark.campaign
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("engine", sorted(ENGINES))
@pytest.mark.parametrize("name", MINUTE_FILES)
def test_the_engine_rewrites_nothing_on_whole_real_files(market_data: Path, name: str, engine: str) -> None:
    bars = real_columns(market_data, name)
    report = examine(ENGINES[engine](Params(), MNQ), bars, Params(), cuts=300)
    print(name, engine, report.cuts, report.runs, report.readings)
    assert report.clean, report.findings[:3]
    assert report.readings > 50_000


def test_the_same_seed_gives_the_same_report_and_another_seed_other_cuts() -> None:
    one, again = examined(honest, cuts=12), examined(honest, cuts=12)
    assert json.dumps(one.as_dict()) == json.dumps(again.as_dict())
    other = examine(honest(PARAMS), tape(), PARAMS, cuts=12, seed=17)
    assert other.clean and other.readings != one.readings


def test_every_future_keeps_the_known_bars_and_is_a_tape_the_engine_takes() -> None:
    bars = tape()
    for name, make in FUTURES.items():
        for cut in (1, 100, len(bars.ts_ns) - 1):
            made = make(bars, cut, np.random.default_rng(3))
            for column in ("ts_ns", "open_", "high", "low", "close", "volume"):
                assert (getattr(made, column)[:cut] == getattr(bars, column)[:cut]).all(), name
            assert list(made.contract[:cut]) == list(bars.contract[:cut])
            assert (np.diff(made.ts_ns) > 0).all(), name
            assert (made.low <= np.minimum(made.open_, made.close)).all(), name
            assert (made.high >= np.maximum(made.open_, made.close)).all(), name
            exact_engine(PARAMS, MNQ)(made)
        differs = make(bars, 100, np.random.default_rng(3))
        assert (
            len(differs.ts_ns) != len(bars.ts_ns)
            or list(differs.contract) != list(bars.contract)
            or any(
                (getattr(differs, column) != getattr(bars, column)).any()
                for column in ("open_", "high", "low", "close")
            )
        ), name


def test_cuts_fall_where_rules_change_their_mind() -> None:
    bars = tape()
    ran = honest(PARAMS)(bars)
    hard = hard_places(bars, PARAMS, ran.events, ran.trades)
    days, _ = places_in_day(bars.ts_ns)
    turns = set((np.flatnonzero(np.diff(days)) + 1).tolist())
    assert turns <= set(hard["day_turn"])
    trade = ran.trades[0]
    held = [cut for cut in hard["open_position"] if trade.entry_ts_s * NS_PER_S <= bars.ts_ns[cut - 1]]
    assert held
    chosen = choose(hard, len(bars.ts_ns), 40, np.random.default_rng(1))
    assert len(chosen) == 40 and all(0 < cut < len(bars.ts_ns) for cut in chosen)
    assert len(choose(hard, len(bars.ts_ns), 10**6, np.random.default_rng(1))) == len(bars.ts_ns) - 1


def test_a_tape_that_gives_no_event_proves_nothing_and_is_refused() -> None:
    with pytest.raises(BacktestInputError, match="give more bars"):
        examine(honest(PARAMS), part(tape(), 0, 3), PARAMS)
    with pytest.raises(BacktestInputError, match="at least 1"):
        examine(honest(PARAMS), tape(), PARAMS, cuts=0)


def write_parquet(path: Path, bars: BarColumns) -> None:
    prices = {"open": bars.open_, "high": bars.high, "low": bars.low, "close": bars.close}
    columns = {name: column / 4 for name, column in prices.items()}
    ts = pa.array(bars.ts_ns, pa.timestamp("ns", "UTC"))
    pq.write_table(pa.table({"ts": ts, **columns, "volume": bars.volume, "contract": list(bars.contract)}), path)


def test_the_verb_passes_the_engine_and_leaves_its_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, settings = tmp_path / "bars.parquet", tmp_path / "params.json"
    write_parquet(file, tape())
    settings.write_text(json.dumps(SETTINGS))
    words = ["validate", "lookahead", "--bars", str(file), "--params", str(settings), "--cuts", "5"]
    assert main([*words, "--out", str(tmp_path / "one"), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said == json.loads((tmp_path / "one" / "lookahead.json").read_text())
    assert said["clean"] is True and said["rewritten"] == 0 and sum(said["cuts"].values()) == 5 + 2
    assert main([*words, "--out", str(tmp_path / "two")]) == 0
    text = capsys.readouterr().out
    assert "rewritten    0" in text and "planted peek found" in text
    for name in ("lookahead.json", "run.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_the_verb_fails_an_engine_that_looks_ahead(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "bars.parquet"
    write_parquet(file, tape())
    (tmp_path / "params.json").write_text(json.dumps(SETTINGS))
    monkeypatch.setitem(ENGINES, "compiled", lambda params, _instrument: planted.pivot_unshifted(params))
    words = ["--bars", str(file), "--params", str(tmp_path / "params.json"), "--cuts", "8"]
    assert main(["validate", "lookahead", *words]) == 1
    assert "gone or changed: DEFINED" in capsys.readouterr().out
    (tmp_path / "file").write_text("")
    monkeypatch.undo()
    assert main(["validate", "lookahead", *words, "--out", str(tmp_path / "file" / "x")]) == 2
    assert "choose another --out" in capsys.readouterr().err
