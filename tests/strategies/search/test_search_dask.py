"""A Dask cluster of separate processes gives the bytes of one machine, also when a worker is killed midway."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from search_files import SPACE, bytes_of, command, market, run, write_bars

from strategies.mle.search.cluster import compute_part
from strategies.mle.search.space import SearchInputError

CLUSTER = """
import json, sys
from distributed import LocalCluster
if __name__ == "__main__":
    with LocalCluster(n_workers=2, threads_per_worker=2, processes=True, host="127.0.0.1", scheduler_port=0,
                      dashboard_address=None, silence_logs=50) as cluster:
        print(json.dumps([cluster.scheduler_address, [nanny.pid for nanny in cluster.workers.values()]]), flush=True)
        sys.stdin.read()
"""
BIG = SPACE + "max_consec_losses: {from: 1, to: 6, step: 1}\nmax_trades_day: {from: 1, to: 12, step: 1}\n"


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("dask")
    (folder / "space.yaml").write_text(BIG, "utf-8")
    return write_bars(folder / "bars.parquet", market(4)), folder / "space.yaml"


@pytest.fixture(scope="module")
def alone(places: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    out = tmp_path_factory.mktemp("alone") / "out"
    assert run(*command(*places, out)).returncode == 0
    return without_backend(out)


def started() -> tuple[Any, str, list[int]]:
    """Return a process with a scheduler and two worker processes, the scheduler's address, the workers' pids."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    child: Any = subprocess.Popen([sys.executable, "-c", CLUSTER], text=True, **pipes)
    address, pids = json.loads(child.stdout.readline())
    return child, address.removeprefix("tcp://"), pids


@pytest.fixture
def cluster() -> Iterator[tuple[str, list[int]]]:
    """Give the address of a scheduler with two worker processes of their own, and their pids."""
    child, address, pids = started()
    yield address, pids
    child.communicate(timeout=100)


def without_backend(out: Path) -> dict[str, str]:
    """Return the folder's bytes; run.json without the name of the backend."""
    found = bytes_of(out)
    record = json.loads((out / "run.json").read_text("utf-8"))
    record["results"].pop("backend")
    return {**found, "run.json": json.dumps(record, sort_keys=True)}


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_cluster_gives_the_same_bytes(
    places: tuple[Path, Path], alone: dict[str, str], cluster: tuple[str, list[int]], tmp_path: Path
) -> None:
    address, _ = cluster
    done = run(*command(*places, tmp_path / "out", "--backend", f"dask://{address}"))
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "out/run.json").read_text("utf-8"))
    assert record["results"]["backend"] == f"dask://{address}"
    assert without_backend(tmp_path / "out") == alone


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_a_worker_killed_midway_is_not_seen(
    places: tuple[Path, Path], alone: dict[str, str], cluster: tuple[str, list[int]], tmp_path: Path
) -> None:
    address, pids = cluster
    out = tmp_path / "out"
    words = command(*places, out, "--backend", f"dask://{address}")
    child = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while child.poll() is None and len(list((out / "trials").glob("part-*"))) < 1:
        time.sleep(0.002)
    os.kill(pids[0], signal.SIGKILL)
    killed_at = len(list((out / "trials").glob("part-*")))
    _, said = child.communicate(timeout=250)
    assert child.returncode == 0, said
    print("killed after part", killed_at)
    assert 0 < killed_at < len(list((out / "trials").glob("part-*")))
    assert without_backend(out) == alone


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_no_scheduler_is_exit_three_in_one_sentence(places: tuple[Path, Path], free_port: int, tmp_path: Path) -> None:
    done = run(*command(*places, tmp_path / "out", "--backend", f"dask://127.0.0.1:{free_port}"))
    assert done.returncode == 3 and done.stderr.count("\n") == 1, done.stderr
    assert "no Dask scheduler answers" in done.stderr and not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_cluster_that_goes_away_leaves_a_search_to_resume(
    places: tuple[Path, Path], alone: dict[str, str], tmp_path: Path
) -> None:
    scheduler, address, _ = started()
    out = tmp_path / "out"
    words = command(*places, out, "--backend", f"dask://{address}")
    child = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while child.poll() is None and len(list((out / "trials").glob("part-*"))) < 1:
        time.sleep(0.002)
    scheduler.kill()
    _, said = child.communicate(timeout=250)
    scheduler.communicate()
    assert child.returncode == 3 and "Traceback" not in said, said
    assert "went away" in said and "--resume" in said
    done = run(*command(*places, out, "--resume"))
    assert done.returncode == 0 and without_backend(out) == alone


def test_a_worker_with_another_program_refuses() -> None:
    with pytest.raises(SearchInputError, match="another version of the program"):
        compute_part(b"", {"code": "0" * 64}, 0)
