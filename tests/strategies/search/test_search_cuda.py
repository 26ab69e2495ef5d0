"""The CUDA backend gives the processors' bits: under numba's simulator everywhere, on a GPU where there is one."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

import pytest
from cuda_twin import compare
from search_files import bytes_of, command, market, run, write_bars

from strategies.mle.search.cuda import is_available

TWIN = Path(__file__).with_name("cuda_twin.py")
SPACE = "swing_n: [2, 4]\ntarget_r: [1, 2]\nmax_hold_min: [20, 60]\nstop_buffer_ticks: [1, 4]\n"
SPACE += "fixed: {windows: [['18:00', '17:00']], min_prev_day_bars: 1, risk_per_trade_usd: 400}\n"
SIMULATOR = {**os.environ, "NUMBA_ENABLE_CUDASIM": "1"}
WITHOUT = {**os.environ, "NUMBA_DISABLE_CUDA": "1"}


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_simulator_s_bits_are_the_processors() -> None:
    done = run(sys.executable, "-P", str(TWIN), "6", "4", timeout=250, env=SIMULATOR)
    assert done.returncode == 0, done.stdout + done.stderr
    rows, trades = (int(one) for one in re.findall(r"(\d+) (?:rows|trades)", done.stdout))
    assert rows > 60 and trades > 500


@pytest.mark.skipif(not is_available(), reason="no CUDA GPU here")
def test_a_gpu_s_bits_are_the_processors() -> None:
    found = [compare(seed, 7) for seed in range(40)]
    assert sum(rows for rows, _ in found) > 2000 and sum(trades for _, trades in found) > 10_000


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("cuda")
    (folder / "space.yaml").write_text(SPACE, "utf-8")
    return write_bars(folder / "bars.parquet", market(2)), folder / "space.yaml"


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_without_a_gpu_the_processors_search_and_it_is_said(places: tuple[Path, Path], tmp_path: Path) -> None:
    done = run(*command(*places, tmp_path / "cuda", "--backend", "cuda"), env=WITHOUT)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("no CUDA GPU here") == 1 and "the processors" in done.stderr
    assert json.loads((tmp_path / "cuda" / "run.json").read_text("utf-8"))["results"]["backend"] == "cpu"
    run(*command(*places, tmp_path / "cpu"))
    assert bytes_of(tmp_path / "cuda") == bytes_of(tmp_path / "cpu")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_search_by_the_simulator_has_the_same_files(places: tuple[Path, Path], tmp_path: Path) -> None:
    done = run(*command(*places, tmp_path / "cuda", "--backend", "cuda"), env=SIMULATOR)
    assert done.returncode == 0 and "GPU: " in done.stderr, done.stderr
    assert json.loads((tmp_path / "cuda" / "run.json").read_text("utf-8"))["results"]["backend"] == "cuda"
    run(*command(*places, tmp_path / "cpu"))
    cuda, cpu = bytes_of(tmp_path / "cuda"), bytes_of(tmp_path / "cpu")
    assert cuda.pop("run.json") != cpu.pop("run.json")
    assert cuda == cpu and len(cuda) == 4
