"""``pj search`` as a process: killed, interrupted and resumed; its refusals are one sentence and an exit code."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from search_files import SPACE, bytes_of, command, market, run, write_bars

from pj.cli import main

KILLS = 7
BIG = SPACE + "max_consec_losses: {from: 1, to: 6, step: 1}\nmax_trades_day: {from: 1, to: 15, step: 1}\n"


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("search files")
    (folder / "space.yaml").write_text(BIG, "utf-8")
    return write_bars(folder / "bars.parquet", market(4)), folder / "space.yaml"


@pytest.fixture(scope="module")
def uninterrupted(places: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("whole") / "out"
    done = run(*command(*places, out))
    assert done.returncode == 0, done.stderr
    assert len(list((out / "trials").iterdir())) > 10
    return out


def parts(out: Path) -> int:
    return len(list((out / "trials").glob("part-*.parquet")))


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL; TerminateProcess is tried by the same code there")
def test_kill_nine_at_any_moment_is_not_seen_in_the_result(
    places: tuple[Path, Path], uninterrupted: Path, tmp_path: Path
) -> None:
    out, rng, kills = tmp_path / "out", random.Random(9), 0
    while True:
        words = command(*places, out, *(["--resume"] if out.exists() else []))
        child = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        before = parts(out)
        while kills < KILLS and child.poll() is None and parts(out) < before + kills % 3:
            time.sleep(0.002)
        if kills < KILLS:
            time.sleep(rng.random() * 0.05 if kills % 3 else rng.random())
            child.kill()
        _, said = child.communicate(timeout=250)
        if child.returncode == 0:
            break
        assert child.returncode == -signal.SIGKILL, said.decode()
        kills += 1
    print(kills, "kills")
    assert kills >= 5
    assert bytes_of(out) == bytes_of(uninterrupted)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C reaches a whole console there, the test's own too")
def test_ctrl_c_ends_after_a_part_and_says_how_to_go_on(
    places: tuple[Path, Path], uninterrupted: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    child = subprocess.Popen(command(*places, out), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while parts(out) < 2 and child.poll() is None:
        time.sleep(0.002)
    child.send_signal(signal.SIGINT)
    told, words = child.communicate(timeout=250)
    assert child.returncode == 0 and "Traceback" not in words
    assert "stopping after this part" in words and "the same command with --resume" in told
    assert 0 < parts(out) < parts(uninterrupted) and not (out / "run.json").exists()
    done = run(*command(*places, out, "--resume", "--json"))
    assert done.returncode == 0 and json.loads(done.stdout)["finished"] is True
    assert bytes_of(out) == bytes_of(uninterrupted)


def test_the_report_counts_and_warns(uninterrupted: Path, places: tuple[Path, Path]) -> None:
    done = run(*command(*places, uninterrupted, "--resume"))
    assert done.returncode == 0
    assert "finished         True" in done.stdout and "looks good on noise too" in done.stdout
    assert "100.0 %" in done.stderr
    assert bytes_of(uninterrupted)["run.json"]


@pytest.mark.parametrize(
    ("space", "more", "says"),
    [
        ("swing: [1]", [], "unknown parameter 'swing'"),
        ("swing_n: [1", [], "not valid YAML"),
        ("swing_n: []", [], "give a list"),
        ("swing_n: [1]\nswing_n: [2]", [], "stands twice"),
        ("- 1", [], "must be a table"),
        ("swing_n: [3]", ["--backend", "abacus"], "unknown backend 'abacus'"),
        ("swing_n: [3]", ["--backend", "dask://nowhere"], "not an address"),
        ("swing_n: [3]", ["--from", "2030-01-01"], "holds no bar of the chosen trade dates"),
        ("swing_n: [3]", ["--threads", "0"], "--threads is 0"),
        ("stop_buffer_ticks: [10000000000]", [], "compiled engine holds"),
        ("swing_n: [3]\nfixed: {tick: '0.3'}", [], "not a multiple of the tick"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_two(
    places: tuple[Path, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    space: str,
    more: list[str],
    says: str,
) -> None:
    path = tmp_path / "space.yaml"
    path.write_text(space, "utf-8")
    words = ["search", "--bars", str(places[0]), "--space", str(path), "--out", str(tmp_path / "out"), *more]
    assert main(words) == 2
    told = capsys.readouterr()
    assert says in told.err and told.err.count("\n") == 1 and not told.out
    assert not (tmp_path / "out").exists()


def test_missing_files_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str], places: tuple[Path, Path]) -> None:
    out = str(tmp_path / "out")
    assert main(["search", "--bars", str(tmp_path / "no.parquet"), "--space", str(places[1]), "--out", out]) == 2
    assert "no.parquet" in capsys.readouterr().err
    assert main(["search", "--bars", str(places[0]), "--space", str(tmp_path / "no.yaml"), "--out", out]) == 2
    assert "no.yaml" in capsys.readouterr().err


def test_help_is_quick_and_light() -> None:
    code = "import sys, pj.cli; pj.cli.main(['search', '--help']); sys.stderr.write(' '.join(sys.modules))"
    done = run(sys.executable, "-P", "-c", code)
    assert "--space" in done.stdout and "exit codes" in done.stdout
    loaded = {module.split(".")[0] for module in done.stderr.split()}
    assert not loaded & {"numba", "numpy", "pyarrow", "distributed", "dask", "strategies", "yaml", "pydantic"}


def test_a_search_on_processors_never_imports_the_cluster(tmp_path: Path) -> None:
    bars, space = write_bars(tmp_path / "bars.parquet", market(1)), tmp_path / "space.yaml"
    space.write_text("swing_n: [3]", "utf-8")
    code = "import sys, pj.cli; code = pj.cli.main(sys.argv[1:]); print(code, 'MODULES', *sys.modules)"
    done = run(sys.executable, "-P", "-c", code, *command(bars, space, tmp_path / "out")[4:])
    code_, _, modules = done.stdout.rpartition("\n0 MODULES ")
    assert code_ and not {"distributed", "dask", "numba.cuda.cudadrv.driver"} & set(modules.split()), done.stderr


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.skipif(sys.platform == "win32", reason="peak memory is read by getrusage")
def test_memory_does_not_grow_with_the_space(tmp_path: Path) -> None:
    bars = write_bars(tmp_path / "bars.parquet", market(4))
    sizes = {}
    for most in (15, 90):
        space = tmp_path / f"space{most}.yaml"
        space.write_text(BIG.replace("to: 15", f"to: {most}"), "utf-8")
        code = (
            "import resource, sys, pj.cli; pj.cli.main(sys.argv[1:]);"
            "print('KIB', resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
        )
        done = run(sys.executable, "-P", "-c", code, *command(bars, space, tmp_path / str(most))[4:])
        sizes[most] = int(done.stdout.rpartition("KIB ")[2]) / 1024
    print(sizes, "MiB")
    assert sizes[90] < sizes[15] + 30
