"""A search's folder: what it holds, what it refuses, and that no interruption can be seen in it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from search_cases import MNQ
from search_files import SPACE, bytes_of, market, write_bars

from pj.settings_text import parse_yaml
from strategies.mle.phase16_pj_engine import run_backtest
from strategies.mle.search.plan import Plan, rows_of_part
from strategies.mle.search.progress import Progress, Stop
from strategies.mle.search.space import SearchInputError, params_sha256, read_space
from strategies.mle.titan_search import BarChoice, open_search, run_search


@pytest.fixture(scope="module")
def bars(tmp_path_factory: pytest.TempPathFactory) -> BarChoice:
    return BarChoice(write_bars(tmp_path_factory.mktemp("bars") / "bars.parquet", market(6)))


@pytest.fixture(scope="module")
def finished(bars: BarChoice, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("search") / "out"
    run_search(bars, space_of(), out, part_rows=100)
    return out


def space_of(**more: Any) -> Any:
    return read_space({**parse_yaml(SPACE, "space"), **more}, MNQ)


def test_a_finished_search_reads_back(bars: BarChoice, finished: Path, tmp_path: Path) -> None:
    found = open_search(finished)
    space = space_of()
    trials = found.trials
    assert len(found) == len(trials["trial"]) == space.valid < space.total
    assert list(trials)[:9] == ["trial", *(axis.name for axis in space.axes)]
    assert (np.diff(trials["trial"]) > 0).all() and trials["trades"].max() > 20
    daily = found.daily()
    assert daily is not None and daily.shape == (6, len(found)) and daily.dtype == np.int32
    assert (daily.sum(axis=0) == trials["net_cents"]).all() and (trials["sum"] == trials["net_cents"]).all()
    for row in (0, len(found) // 3, len(found) - 1):
        trial = int(trials["trial"][row])
        params = found.params_of(trial)
        assert params == space.params_of(trial) and params_sha256(params) == trials["params_sha256"][row]
        assert trials["stop_buffer_ticks"][row] == params.stop_buffer_ticks
        assert trials["target_r"][row] == str(params.target_r)
        summary = run_backtest(bars.path, tmp_path / str(row), params)
        assert (summary.trades, summary.wins) == (trials["trades"][row], trials["wins"][row])
        assert summary.net_usd == f"{trials['net_cents'][row] / 100:.2f}"
    best = int(np.flatnonzero(trials["trial"] == found.best("net"))[0])
    assert trials["net_cents"][best] == trials["net_cents"].max()
    sharpe = int(np.flatnonzero(trials["trial"] == found.best())[0])
    assert trials["sharpe"][sharpe] == np.nanmax(trials["sharpe"])
    assert found.tape_path == bars.path and found.tape_sha256 == bars.tape(space).sha256 and len(found.days) == 6


def test_the_registry_knows_the_run(finished: Path, bars: BarChoice) -> None:
    record = json.loads((finished / "run.json").read_text("utf-8"))
    assert record["kind"] == "search" and record["results"]["trials"] == space_of().valid
    assert record["results"]["backend"] == "cpu" and record["seed"] is None
    assert sorted(record["outputs"]) == sorted(name for name in bytes_of(finished) if name != "run.json")


def test_the_size_of_a_part_does_not_change_a_trial(bars: BarChoice, finished: Path, tmp_path: Path) -> None:
    one, whole = open_search(finished), tmp_path / "whole"
    run_search(bars, space_of(), whole)
    other = open_search(whole)
    assert len(list((whole / "trials").iterdir())) == 1 < len(list((finished / "trials").iterdir()))
    for name in one.trials:
        assert (one.trials[name] == other.trials[name]).all()
    assert (finished / "daily.npy").read_bytes() == (whole / "daily.npy").read_bytes()


def test_a_stopped_search_goes_on_to_the_same_bytes(bars: BarChoice, finished: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    stops = 0
    while True:
        stop = Stop()
        stop.asked = True
        summary = run_search(bars, space_of(), out, part_rows=100, resume=stops > 0, stop=stop)
        if summary.finished:
            break
        stops += 1
        assert summary.stored == min(stops * 100, summary.combinations) - dropped_before(stops)
        with pytest.raises(SearchInputError, match="--resume"):
            open_search(out)
    assert stops > 5
    assert bytes_of(out) == bytes_of(finished)


def dropped_before(parts: int) -> int:
    plan = Plan(space_of(), 100)
    return sum(100 - len(plan.trials(part)) for part in range(parts))


def test_spoilt_parts_are_computed_again(bars: BarChoice, finished: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run_search(bars, space_of(), out, part_rows=100)
    (out / "trials/part-00003.parquet").write_bytes(b"PAR1")
    (out / "trials/part-00001.parquet").unlink()
    with (out / "daily.npy").open("rb+") as stream:
        stream.seek(5000)
        stream.write(b"\xff\xfe")
    (out / "trials/.part-00004.parquet.77").write_bytes(b"half")
    (out / "run.json").unlink()
    assert run_search(bars, space_of(), out, part_rows=100, resume=True).finished
    assert bytes_of(out) == bytes_of(finished)
    (out / "daily.npy").unlink()
    assert run_search(bars, space_of(), out, part_rows=100, resume=True).finished
    assert bytes_of(out) == bytes_of(finished)


def test_a_folder_of_another_search_is_refused(bars: BarChoice, finished: Path, tmp_path: Path) -> None:
    before = bytes_of(finished)
    with pytest.raises(SearchInputError, match="not empty; give --resume"):
        run_search(bars, space_of(), finished, part_rows=100)
    with pytest.raises(SearchInputError, match="the space differs"):
        run_search(bars, space_of(max_qty=[1, 2]), finished, part_rows=100, resume=True)
    with pytest.raises(SearchInputError, match="the size of a part differs"):
        run_search(bars, space_of(), finished, part_rows=50, resume=True)
    other = replace(bars, path=write_bars(tmp_path / "other.parquet", market(6, seed=2)))
    with pytest.raises(SearchInputError, match=r"the bars .* differs"):
        run_search(other, space_of(), finished, part_rows=100, resume=True)
    manifest = tmp_path / "code" / "manifest.json"
    manifest.parent.mkdir()
    manifest.write_text((finished / "manifest.json").read_text("utf-8").replace('"code": "', '"code": "0'), "utf-8")
    with pytest.raises(SearchInputError, match="the program differs"):
        run_search(bars, space_of(), manifest.parent, part_rows=100, resume=True)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("mine", "utf-8")
    with pytest.raises(SearchInputError, match="holds no search"):
        run_search(bars, space_of(), tmp_path / "full", resume=True)
    with pytest.raises(SearchInputError, match="is not a folder"):
        run_search(bars, space_of(), tmp_path / "full" / "thesis.txt")
    with pytest.raises(SearchInputError, match="holds no search"):
        open_search(tmp_path / "full")
    assert bytes_of(finished) == before


def test_too_many_days_leave_the_sums(bars: BarChoice, finished: Path, tmp_path: Path) -> None:
    said: list[str] = []
    out = tmp_path / "out"
    summary = run_search(bars, space_of(keep_daily_cells=100), out, part_rows=100, say=said.append)
    assert not summary.daily_kept and "sums alone are kept" in said[0]
    found, full = open_search(out), open_search(finished)
    assert found.daily() is None and not (out / "daily.npy").exists()
    for name in ("trial", "net_cents", "sharpe", "sum2", "sum3", "sum4"):
        assert (found.trials[name] == full.trials[name]).all()


def test_a_sample_is_a_part_of_the_whole(bars: BarChoice, finished: Path, tmp_path: Path) -> None:
    full = open_search(finished)
    chosen: list[set[int]] = []
    for seed in (1, 2):
        space = space_of(sample=50, seed=seed)
        out = tmp_path / str(seed)
        assert run_search(bars, space, out).trials == 50
        found = open_search(out)
        rows = np.searchsorted(full.trials["trial"], found.trials["trial"])
        for name in full.trials:
            assert (found.trials[name] == full.trials[name][rows]).all()
        chosen.append(set(found.trials["trial"].tolist()))
        assert json.loads((out / "run.json").read_text("utf-8"))["seed"] == seed
    assert len(chosen[0] & chosen[1]) < 40 and len(chosen[0]) == 50
    assert Plan(space_of(sample=10**6), 100).rows == space_of().valid


def test_parts_cover_every_trial_once() -> None:
    space = space_of()
    for size in (1, 7, 100, 10_000):
        plan = Plan(space, size)
        trials = np.concatenate([plan.trials(part) for part in range(len(plan))])
        assert trials.tolist() == np.flatnonzero(space.allowed(space.places(np.arange(space.total)))).tolist()
        assert [plan.offset(part + 1) - plan.offset(part) for part in range(len(plan))] == [
            len(plan.trials(part)) for part in range(len(plan))
        ]
    assert plan.dropped == space.total - len(trials) > 0
    assert rows_of_part(126) == 8192 and rows_of_part(5000) == 3200 and rows_of_part(10**7) == 64


def test_progress_tells_rate_and_rest() -> None:
    now = [0.0]

    class Lines(list[str]):
        def write(self, text: str) -> None:
            self.append(text)

        def flush(self) -> None: ...

        def isatty(self) -> bool:
            return False

    lines: Any = Lines()
    progress = Progress(1000, 150_000, lines, lambda: now[0])
    progress.begin(200)
    for _ in range(4):
        now[0] += 6
        progress.add(100)
    assert lines == [
        "400 of 1,000 combinations (40.0 %), 17/s, 0.00 G parameter-bars/s, 36 s left\n",
        "600 of 1,000 combinations (60.0 %), 17/s, 0.00 G parameter-bars/s, 24 s left\n",
    ]


def test_a_part_s_file_says_what_it_is(finished: Path) -> None:
    table = pq.read_table(finished / "trials/part-00000.parquet")
    meta = json.loads(table.schema.metadata[b"pj_search"])
    assert meta["part"] == 0 and len(meta["daily_sha256"]) == 64
