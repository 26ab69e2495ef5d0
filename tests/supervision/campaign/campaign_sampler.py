"""Count the living processes of a run folder 20 times a second, in a process of its own: RUN_DIR OUT.

A line ``monotonic_ns bridge=pid,pid engine=pid ...`` per sample. A zombie is dead: it has no command line any more.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import psutil

from pj.supervision.spawn import MODULES

if TYPE_CHECKING:
    from collections.abc import Iterator

PERIOD_S: Final = 0.05
ENGINE: Final = MODULES["engine"]
NAMES: Final = {module: name for name, module in MODULES.items()}


def living(folder: str, known: dict[tuple[int, float], bool]) -> dict[str, list[int]]:
    """Return the pids of the living children of ``folder``; ``known`` remembers whose child a process is."""
    found: dict[str, list[int]] = {name: [] for name in MODULES}
    for process in psutil.process_iter():
        try:
            name = next((NAMES[word] for word in process.cmdline() if word in NAMES), None)
            if name is None:
                continue
            who = process.pid, process.create_time()
            if who not in known:
                known[who] = folder in process.environ().get("PJ_CONFIG", "")
            if known[who] and process.status() != psutil.STATUS_ZOMBIE:
                found[name].append(process.pid)
        except (psutil.Error, OSError):
            continue
    return found


@dataclass(frozen=True, slots=True)
class Sampled:
    """Hold what a sampler saw: the times, and the pids by child at each."""

    times_s: list[float]
    pids: list[dict[str, list[int]]]

    @property
    def doubled(self) -> list[tuple[float, str, list[int]]]:
        """Return the instants at which a child lived twice."""
        return [
            (at_s, name, pids)
            for at_s, sample in zip(self.times_s, self.pids, strict=True)
            for name, pids in sample.items()
            if len(pids) > 1
        ]

    @property
    def hz(self) -> float:
        """Return how many samples a second were really taken."""
        return (len(self.times_s) - 1) / (self.times_s[-1] - self.times_s[0])

    def report(self) -> dict[str, float]:
        """Return the figures of the sampling."""
        gaps = [later - sooner for sooner, later in zip(self.times_s, self.times_s[1:], strict=False)]
        engines = [sample["engine"] for sample in self.pids]
        return {
            "samples": len(self.pids),
            "hz": round(self.hz, 2),
            "longest_gap_ms": round(max(gaps) * 1000, 1),
            "median_gap_ms": round(statistics.median(gaps) * 1000, 1),
            "most_engines": max(map(len, engines)),
            "samples_without_engine": sum(not pids for pids in engines),
            "different_engines": len({pid for pids in engines for pid in pids}),
            "doubled_children": len(self.doubled),
        }


@contextmanager
def sampling(folder: Path, out: Path) -> Iterator[None]:
    """Sample as long as the block lasts; the samples then lie in ``out``."""
    process = subprocess.Popen([sys.executable, "-P", __file__, str(folder), str(out)], stdin=subprocess.DEVNULL)
    try:
        yield
        assert process.poll() is None, "the sampler ended before its campaign"
    finally:
        process.terminate()
        process.wait()


def read_samples(out: Path) -> Sampled:
    """Return the whole samples of a file."""
    rows = [line.split(" ") for line in out.read_text().split("\n")[:-1]]
    return Sampled(
        [int(at_ns) / 1e9 for at_ns, *_ in rows],
        [{name: _pids(text) for name, text in (word.split("=") for word in words)} for _, *words in rows],
    )


def _pids(text: str) -> list[int]:
    return [int(pid) for pid in text.split(",") if pid]


def main() -> None:
    """Sample until ended."""
    known: dict[tuple[int, float], bool] = {}
    due_s = time.monotonic()
    with Path(sys.argv[2]).open("w", buffering=1) as out:
        while True:
            at_ns = time.monotonic_ns()
            words = (f"{name}={','.join(map(str, pids))}" for name, pids in living(sys.argv[1], known).items())
            out.write(f"{at_ns} {' '.join(words)}\n")
            due_s = max(due_s + PERIOD_S, time.monotonic())
            time.sleep(max(0.0, due_s - time.monotonic()))


if __name__ == "__main__":
    main()
