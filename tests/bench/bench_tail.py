"""Print tail latency, CSV parse and write rates, BarBuilder rate: ``python -P tests/bench/bench_tail.py``.

Latency = from the stamp taken before the row was formatted, in the writer's process, to the parsed tick in this one.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

from live.bar_builder import BarBuilder
from live.market import INSTRUMENTS, NS_PER_MIN, Tick, TickKind
from pj.channels.journal import Journal
from pj.channels.rundir import RunDir
from pj.channels.stats import StatsWriter
from pj.channels.tailer import DayFollower
from pj.channels.tape import TapeParser, TapeWriter
from pj.channels.wake import Notifier

MNQ = INSTRUMENTS["MNQ"]
DAY = date(2026, 4, 13)
ROWS = 300_000
WRITER = textwrap.dedent(
    """
    import pathlib, sys, time
    from live.market import INSTRUMENTS, TickKind
    from pj.channels.tape import TapeWriter
    path, rate, batch, seconds = pathlib.Path(sys.argv[1]), *map(float, sys.argv[2:5])
    tape = TapeWriter(path, INSTRUMENTS["MNQ"])
    start = time.monotonic()
    for n in range(int(rate * seconds / batch)):
        time.sleep(max(0.0, start + n * batch / rate - time.monotonic()))
        for _ in range(int(batch)):
            tape.add(time.time_ns(), TickKind.TRADE, "25000.25", 1, source="TBT", contract="MNQZ6")
        tape.flush()
    tape.close()
    """
)


def latencies_us(rate: float, batch: int, seconds: float, *, notify: bool) -> list[float]:
    """Return the sorted latencies of one run of the writer."""
    with tempfile.TemporaryDirectory() as folder:
        run = RunDir(Path(folder), MNQ)
        path = run.day(DAY).create().market
        notifier = Notifier()
        if notify:
            notifier.watch(path.parent)
        wake = notifier.wake({path.name})
        follower = DayFollower(run, path.name, lambda _day, start: TapeParser(MNQ, at_start=start), DAY)
        arguments = [str(value) for value in (path, rate, batch, seconds)]
        writer = subprocess.Popen([sys.executable, "-P", "-c", WRITER, *arguments])
        wanted, found = int(rate * seconds / batch) * batch, list[float]()
        cpu = time.process_time()
        while len(found) < wanted:
            ticks = follower.poll()
            now = time.time_ns()
            found += [(now - tick.recv_ns) / 1e3 for tick in ticks]
            if not ticks:
                wake.wait()
        cpu = time.process_time() - cpu
        writer.wait()
        notifier.close()
        follower.close()
    way = "notified" if notify else "poll only"
    found.sort()
    at = {share: found[min(len(found) - 1, int(len(found) * share))] / 1e3 for share in (0.5, 0.95, 0.99)}
    print(
        f"tail {way:9} {rate:6.0f} rows/s in batches of {batch:3}: p50 {at[0.5]:8.2f} ms  p95 {at[0.95]:8.2f} ms  "
        f"p99 {at[0.99]:8.2f} ms  max {found[-1] / 1e3:8.2f} ms  reader CPU {100 * cpu / seconds:5.1f} %"
    )
    return found


def rate_of(name: str, count: int, work: Callable[[], object]) -> None:
    """Print the best of three runs as a rate."""
    best = float("inf")
    for _ in range(3):
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    print(f"{name:34} {count / best:12,.0f} per s")


def rates() -> None:
    """Print how fast rows are written, parsed and built into bars, and what a journal line costs."""
    start = NS_PER_MIN * 29_833_334
    ticks = [
        Tick(n, start + n * 20_000_000, TickKind.TRADE, 100_000 + n * 7919 % 400, 1, None, None, None, "TBT", "MNQZ6")
        for n in range(ROWS)
    ]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "t.csv"

        def write() -> None:
            path.unlink(missing_ok=True)
            writer = TapeWriter(path, MNQ)
            for tick in ticks:
                writer.add_tick(tick)
            writer.flush()
            writer.close()

        rate_of("tape rows formatted and written", ROWS, write)
        data = path.read_bytes()
        rate_of("tape rows parsed to ticks", ROWS, lambda: TapeParser(MNQ).feed(data))
        rate_of("ticks through BarBuilder", ROWS, lambda: BarBuilder().on_ticks(ticks))
        journal = Journal(Path(folder) / "j")
        rate_of("journal lines with fsync", 200, lambda: [journal.append("SENT", {"n": n}, n) for n in range(200)])
        rate_of(
            "journal lines without", 5000, lambda: [journal.append("S", {"n": n}, n, fsync=False) for n in range(5000)]
        )
        journal.close()
        rate_of("journal lines verified", 15_600, lambda: Journal(Path(folder) / "j").close())
        stats = StatsWriter(Path(folder) / "s.json", "bench", "x")
        gauges = {f"gauge_{n}": n for n in range(40)}
        rate_of("stats beats of 40 gauges", 500, lambda: [stats.beat("RUNNING", **gauges) for _ in range(500)])


def main() -> int:
    """Run all measurements."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="length of each latency run")
    seconds = parser.parse_args().seconds
    latencies_us(20, 1, seconds, notify=True)
    latencies_us(5000, 10, seconds, notify=True)
    latencies_us(20, 1, seconds, notify=False)
    rates()
    return 0


if __name__ == "__main__":
    sys.exit(main())
