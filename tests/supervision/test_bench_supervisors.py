"""The benchmark beside other supervisors runs and measures; its times are nobody's business here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

BENCH = Path(__file__).parents[1] / "bench" / "bench_supervisors.py"
SHORT = ["--trials", "2", "--stops", "1", "--relaunches", "1", "--idle-s", "1", "--crash-s", "9", "--seed", "7"]

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="sends POSIX signals to real processes")


def bench(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", str(BENCH), *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)


@pytest.mark.slow
def test_the_benchmark_measures_the_real_sentinel(tmp_path: Path) -> None:
    out = tmp_path / "figures.json"
    done = bench("--peers", "none", "--scratch", str(tmp_path / "scratch"), "--json", str(out), *SHORT)
    assert done.returncode == 0, done.stderr
    figures = json.loads(out.read_text())
    assert set(figures["kill_ms"]) == {"sentinel", "plain spawn"}
    for found in figures["kill_ms"].values():
        assert found["n"] == 2 and found["never"] == 0 and 0 < found["median"] <= found["max"]
    hang = figures["stop_s"]["sentinel"]
    assert hang["n"] == 1 and hang["never"] == 0 and hang["median"] > 1  # a heartbeat, not the last one of the hung
    assert figures["relaunch"]["sentinel"] == [{"most": 1, "after_most": 1, "after_fewest": 1}]
    loop = figures["crash_loop"]["sentinel"]
    assert loop["starts"] > 5 and loop["others_alive"] == 3
    assert loop["alert_rows"] == 1 and "CRASH_LOOP" in loop["said"]
    assert figures["idle"]["sentinel"]["processes"] == 1 and figures["idle"]["sentinel"]["rss_mb"] > 5
    assert "kill -9 to first instruction, median ms" in done.stdout
    assert done.stdout.count("of at most") == 5
    left = [one.info["cmdline"] for one in psutil.process_iter(["cmdline"]) if one.info["cmdline"]]
    assert not [words for words in left if any(str(tmp_path) in word for word in words)]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--peers", "systemd"], "'systemd' is unknown; use supervisord, circus or none"),
        (["--scratch", str(BENCH.parent / "x")], "lies inside the repository"),
        (["--trials", "0"], "--trials"),
    ],
)
def test_wrong_usage_is_named(options: list[str], words: str) -> None:
    done = bench(*options)
    assert done.returncode == 2 and words in done.stderr
